// Curves and tiled images as figures: PNG, SVG and PDF files, drawn by gnuplot.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/error.hpp"
#include "cinch/io/image.hpp"

namespace CINCH_PUBLIC cinch {

/// How the points of a curve are drawn.
enum class Mark {
  line,    ///< A line through them; each is marked where they are few, some where they are many.
  points,  ///< Marked, without a line.
  arrows,  ///< From each point with an even index to the next one.
};

/// Points in the order given. A value that is not finite leaves a gap.
struct Curve {
  std::string name;
  std::vector<double> xs = {};
  std::vector<double> ys = {};
  int panel = 0;                         ///< 0: the uppermost. Each panel has a scale of its own.
  std::vector<double> errors = {};       ///< Error bars reach from y - error to y + error; or none.
  std::vector<std::string> labels = {};  ///< A text beside each point; or none.
  Mark mark = Mark::line;
};

/// Curves over one x axis, in panels one below the other. Texts are UTF-8 and taken as they are:
/// "‖J‖²" needs no markup. A label of an axis should say the unit, "cross-entropy, nats an image".
struct Plot {
  std::string title;
  std::string x_label;
  std::vector<Curve> curves;
  /// Of the panels; where one is missing or empty, the name of the panel's curve, if it has just
  /// one.
  std::vector<std::string> y_labels = {};
  bool log_x = false;
  bool log_y = false;       ///< The uppermost panel.
  bool equal_axes = false;  ///< One unit is as long on both axes.

  /// How many there are: one more than the largest of its curves.
  int panels() const;
  /// The label of a panel's y axis.
  std::string y_label(int panel) const;
};

/// Tiles, and what they are.
struct Picture {
  std::string title;
  GreyImage image;                        ///< By tile_images(), tile_rows() or tile_pairs().
  std::vector<std::string> rows = {};     ///< Beside as many rows of one height, from the top.
  std::vector<std::string> columns = {};  ///< Above as many columns of one width.
  /// What black and white stand for, beside a bar of greys; no bar where both are empty, as images
  /// need none.
  std::string black = {}, white = {};
};

/// gnuplot cannot be started, as it is not installed or the system gives no process, or it was
/// built without the kind of file that is asked for.
class NoPlotter : public FileError {
 public:
  using FileError::FileError;
};

/// Throws the TypeErrors of plot_curves() for what its curves hold.
void require_drawable(const Plot& plot);

/// Draws for a paper's column: 1440 pixels wide as PNG, or as SVG or PDF, by the end of the path.
/// Colours can be told apart by colour-blind readers, lines also by dashes and marks. The file is
/// replaced as a whole. Needs the program gnuplot. Throws TypeError where there is no curve, or one
/// whose xs, ys, errors or labels differ in number, and for another end of the path; NoPlotter;
/// FileError where gnuplot fails, for instance as no point can be drawn, and where the file cannot
/// be written.
void plot_curves(const std::string& path, const Plot& plot);

/// The same for tiles, enlarged to squares that can be seen. Throws TypeError for an empty image.
void plot_picture(const std::string& path, const Picture& picture);

}  // namespace cinch
