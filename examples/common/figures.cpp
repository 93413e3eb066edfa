#include "common/figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "commit.hpp"

namespace cinch::examples {

namespace {

/// Draws all three files; whether gnuplot could be started.
template <class Draw>
bool drawn(const Options& o, const std::string& name, const Draw& draw) {
  for (const char* extension : {".png", ".svg", ".pdf"}) {
    try {
      draw(o.output + "/" + name + extension);
    } catch (const NoPlotter& error) {  // The figures are in the log and the results as well.
      std::fprintf(stderr, "%s\n", error.what());
      return false;
    }
  }
  return true;
}

/// As a shell takes it.
std::string quoted(const std::string& word) {
  const bool plain = std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) || std::strchr("-_./,:=+%@", c) != nullptr;
  });
  if (plain && !word.empty()) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// Numbers of a log by its columns; of the header, a quote is left out.
struct Log {
  std::vector<std::string> names;
  std::vector<std::vector<double>> columns;

  /// A file that train() wrote: of commas, or of JSON lines, each of which names its values.
  explicit Log(const std::string& path) {
    std::ifstream in(path);
    const bool named = path.ends_with(".jsonl");
    bool first = true;
    for (std::string line; std::getline(in, line); first = false) {
      std::istringstream row(named ? line.substr(1, line.size() - 2) : line);
      std::size_t k = 0;
      for (std::string cell; std::getline(row, cell, ','); ++k) {
        const std::size_t value = named ? cell.rfind(':') + 1 : 0;
        if (first) {
          std::string name = named ? cell.substr(0, value - 1) : cell;
          std::erase(name, '"');
          names.push_back(name);
          columns.emplace_back();
          if (!named) continue;
        }
        char* end = nullptr;
        const double number = std::strtod(cell.c_str() + value, &end);
        columns.at(k).push_back(
            end == cell.c_str() + value ? std::numeric_limits<double>::quiet_NaN() : number);
      }
      for (std::vector<double>& column : columns)  // An empty cell at the end.
        column.resize(columns[0].size(), std::numeric_limits<double>::quiet_NaN());
    }
  }
};

/// All columns over the first, each in a panel of its own but for what is validated, which stands
/// with what it validates.
Plot plot_of(const Log& log) {
  Plot plot{"", log.names[0], {}};
  for (std::size_t k = 1; k < log.names.size(); ++k) {
    const std::string& name = log.names[k];
    if (name == "step") continue;
    std::size_t panel = plot.y_labels.size();
    if (name.starts_with("validation ")) {
      const auto found = std::ranges::find(plot.y_labels, name.substr(11));
      panel = static_cast<std::size_t>(found - plot.y_labels.begin());
    }
    if (panel == plot.y_labels.size()) plot.y_labels.push_back(name);
    plot.curves.push_back({name, log.columns[0], log.columns[k], static_cast<int>(panel)});
  }
  return plot;
}

}  // namespace

void show(const Options& o, const std::string& name, Plot plot, const std::string& caption) {
  std::erase_if(plot.curves, [](const Curve& c) { return c.xs.empty(); });
  if (plot.curves.empty() || !o.writes()) return;
  drawn(o, name, [&](const std::string& path) { plot_curves(path, plot); });
  if (o.page) o.page->figures.push_back({plot.title, plot, caption});
}

void show(const Options& o, const std::string& name, const Picture& picture,
          const std::string& caption) {
  if (!o.writes()) return;
  if (!drawn(o, name, [&](const std::string& path) { plot_picture(path, picture); }))
    write_png(o.output + "/" + name + ".png", picture.image);
  if (o.page) o.page->figures.push_back({picture.title, picture, caption});
}

Picture filters(const Expr& W, const Tiling& tiling) {
  return {.title = "Filters, each on a scale of its own",
          .image = tile_images(evaluate(transpose(W)), tiling),
          .black = "least",
          .white = "largest"};
}

Picture image_rows(const std::vector<std::pair<std::string, Tensor>>& rows, Tiling tiling) {
  Picture result{.title = "Reconstructions", .image = {}};
  std::vector<Tensor> images;
  for (const auto& [name, row] : rows) {
    result.rows.push_back(name);
    images.push_back(row);
    tiling.grid_columns = std::min(tiling.grid_columns, row.shape()[0]);
  }
  result.image = tile_rows(images, tiling);
  return result;
}

void examine(const Options& o, const std::string& name, const Function& step, const Expr& cost,
             const std::vector<Shared>& params, const std::vector<Binding>& at) {
  if (!o.writes()) return;
  save(params, o.output + "/" + (name.empty() ? "" : file_name(name) + "_") + "parameters.npz");
  if (!o.page) return;
  const std::string of = name.empty() ? "" : ", " + name;
  o.page->functions.push_back(
      {"Audit of the cost" + of, audit(cost, params, at),
       "What audit() finds after training: each term's gradient, what stops it, and what looks "
       "like a mistake."});
  const std::string title = "The training step" + of;
  try {
    o.page->functions.push_back(
        {title, explain(step), "What explain() says of the compiled step."});
  } catch (const Error& error) {  // No epoch was left to do, so it was never called.
    o.page->functions.push_back({title, std::string(error.what())});
  }
}

std::shared_ptr<Page> new_page(int argc, char** argv) {
  auto page = std::make_shared<Page>();
  for (const char* name : {"CINCH_DATA", "CINCH_THREADS", "CINCH_SIMD", "OPENBLAS_CORETYPE"}) {
    if (const char* value = std::getenv(name))
      page->command += std::string(name) + "=" + quoted(value) + " ";
  }
  for (int k = 0; k < argc; ++k) {
    const std::string word = argv[k];
    // From its beginning: what it went on from is part of the run.
    if (word != "--resume") page->command += (k > 0 ? " " : "") + quoted(word);
  }
  return page;
}

void write_page(const Options& o, const std::string& note) {
  if (!o.page) return;
  Page& page = *o.page;
  Table settings{{"", ""}, {}};
  for (const auto& [name, value] : o.record->lines()) settings.rows.push_back({name, value});
  const std::string& program = o.record->lines().front().second;
  Report report{.title = page.title.empty() ? program : page.title,
                .command = "cd " + quoted(std::filesystem::current_path()) + "\n" + page.command,
                .commit = commit_of_build};
  if (!note.empty()) report.notes.push_back(note);
  if (!page.results.rows.empty()) {
    Table results = page.results;
    if (std::ranges::all_of(results.rows, [](const auto& row) { return row[2].empty(); })) {
      results.header.pop_back();
      for (auto& row : results.rows) row.pop_back();
    }
    report.add("Results", results);
  }
  std::vector<std::string> seen;
  for (const std::string& path : page.logs) {
    if (std::ranges::find(seen, path) != seen.end()) continue;
    seen.push_back(path);
    const Log log(path);
    const std::string file = std::filesystem::path(path).filename();
    const bool only = page.logs.size() == 1;
    if (log.names.size() < 2 || log.columns[0].empty()) {
      report.add("Training: " + file, "No epoch was finished.");
    } else {
      report.add(only ? "Training" : "Training: " + file, plot_of(log),
                 "Every column of " + file + " but the count of steps, over " + log.names[0] +
                     "s. Costs and errors are means over the images of an epoch.");
    }
  }
  for (auto* parts : {&page.figures, &page.functions})
    report.parts.insert(report.parts.end(), parts->begin(), parts->end());
  report.add("Options and data", settings,
             "run.txt: what the run was asked for, and hashes of its data.");
  report.add("All options as --config takes them", o.record->configuration(), "run.ini");
  const std::string path = o.output + "/report.html";
  write_report(path, report);
  if (!o.quiet) std::printf("the report is %s\n", path.c_str());
}

}  // namespace cinch::examples
