// Figures as files, and with --report all of a run on one page.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/common.hpp"

namespace cinch::examples {

/// What a run gathers for its report.
struct Page {
  std::string command;
  std::vector<std::string> logs = {};      ///< CSV files.
  std::vector<ReportPart> figures = {};    ///< In the order in which they were drawn.
  std::vector<ReportPart> functions = {};  ///< Audits and explanations.
  Table results{{"figure", "ours", "published"}, {}};
  std::string title = {};
};

/// Draws NAME.png, NAME.svg and NAME.pdf in the output folder; curves without points are left out,
/// and where none has any there is no file. The caption, for the report, says what is seen. Where
/// gnuplot cannot be started, a line on the error output says so, and of a picture there is a PNG
/// file without its labels.
void show(const Options& options, const std::string& name, Plot plot,
          const std::string& caption = "");
void show(const Options& options, const std::string& name, const Picture& picture,
          const std::string& caption = "");

/// The first hundred filters of W, (pixels, units), each on a scale of its own.
Picture filters(const Expr& W, const Tiling& tiling);
/// A row of images for each name, all between 0, black, and 1.
Picture image_rows(const std::vector<std::pair<std::string, Tensor>>& rows, Tiling tiling);

/// What is left of a trained model: its parameters by their labels, as NAME_parameters.npz; for the
/// report audit() of its cost at values, and explain() of the function that lowers it.
void examine(const Options& options, const std::string& name, const Function& step,
             const Expr& cost, const std::vector<Shared>& params, const std::vector<Binding>& at);

/// The page of a run that was called so.
std::shared_ptr<Page> new_page(int argc, char** argv);
/// Writes report.html to the output folder. `note`: what a reader must know.
void write_page(const Options& options, const std::string& note);

}  // namespace cinch::examples
