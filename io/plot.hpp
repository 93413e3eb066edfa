// Curves as a PNG file, drawn by gnuplot.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/error.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Points in the order given. A value that is not finite leaves a gap.
struct Curve {
  std::string name;
  std::vector<double> xs;
  std::vector<double> ys;
  bool right_axis = false;  ///< Has the scale of the right axis.
};

struct Plot {
  std::string title;
  std::string x_label;
  std::vector<Curve> curves;
  std::string y_label = "";      ///< Left axis; empty: the name of its curve, if it has just one.
  std::string right_label = "";  ///< Right axis, the same.
  bool log_x = false;
  bool log_y = false;  ///< The left axis.
};

/// gnuplot cannot be started: it is not installed, or the system gives no process.
class NoPlotter : public FileError {
 public:
  using FileError::FileError;
};

/// Draws 960 x 600 pixels; the file is replaced as a whole. Needs the program gnuplot. Throws
/// TypeError where there is no curve, or one whose xs and ys differ in number; NoPlotter; FileError
/// where gnuplot fails, for instance as no point can be drawn, and where the file cannot be
/// written.
void plot_curves(const std::string& path, const Plot& plot);

}  // namespace cinch
