#include "cinch/io/plot.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "cinch/core/error.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_file, testing::TemporaryFolder,
    testing::write_file;

bool gnuplot_is_missing() {
  if (std::system("gnuplot --version >/dev/null 2>&1") == 0) return false;
  MESSAGE("skipped: gnuplot is not installed");
  return true;
}

bool is_png(const std::string& content) {
  return content.starts_with("\x89PNG\r\n") && content.ends_with("IEND\xae\x42\x60\x82");
}

TEST_CASE("curves with gaps, two axes and awkward names are drawn") {
  if (gnuplot_is_missing()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "it's; `touch x` $(touch y) \"z\".png";
  const std::string awkward = "it's 'a' \"b\" \\ ${x}_1^2 `touch x`\nset output 'x' \xce\xbb";
  plot_curves(path, {.title = awkward,
                     .x_label = awkward,
                     .curves = {{awkward, {0, 1, 2, 3}, {5, std::nan(""), HUGE_VAL, 2}},
                                {"right", {0, 3}, {1e-300, 1e300}, true},
                                {"no points", {}, {}}}});
  CHECK(is_png(read_file(path)));
  CHECK(folder.entries() == 1);
}

TEST_CASE("one point, a constant, a right axis alone and logarithmic axes are drawn") {
  if (gnuplot_is_missing()) return;
  const TemporaryFolder folder;
  const Curve squares{"squares", {1, 2, 3}, {1, 4, 9}};
  Curve right = squares;
  right.right_axis = true;
  for (const Plot& plot :
       {Plot{"point", "x", {{"a", {1}, {1}}}}, Plot{"constant", "x", {{"a", {1, 2}, {3, 3}}}},
        Plot{"right", "x", {right}},
        Plot{.title = "log", .x_label = "x", .curves = {squares}, .log_x = true, .log_y = true}}) {
    CAPTURE(plot.title);
    plot_curves(folder / (plot.title + ".png"), plot);
    CHECK(is_png(read_file(folder / (plot.title + ".png"))));
  }
}

TEST_CASE("curves that cannot be drawn are an error, and leave the old file") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.png";
  write_file(path, "old");
  CHECK(error_of<TypeError>([&] { plot_curves(path, {}); }) ==
        "plot_curves: there is no curve to draw");
  CHECK(error_of<TypeError>([&] {
          plot_curves(path, {"t", "x", {{"cost", {1, 2}, {1}}}});
        }) == "plot_curves: the curve 'cost' has 2 xs and 1 ys");
  CHECK(contains(error_of([&] {
                   plot_curves(folder / "no/a.png", {"t", "x", {{"c", {1}, {1}}}});
                 }),
                 "no/a.png: cannot be written: "));
  if (!gnuplot_is_missing()) {
    CHECK(contains(error_of([&] {
                     plot_curves(path, {"t", "x", {{"cost", {1}, {std::nan("")}}}});
                   }),
                   "a.png: cannot be drawn: gnuplot says: "));
  }
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("without gnuplot the error says how to get it") {
  const TemporaryFolder folder;
  const std::string old_path = std::getenv("PATH") ? std::getenv("PATH") : "";
  setenv("PATH", folder.path().c_str(), 1);
  const std::string error = error_of([&] {
    plot_curves(folder / "a.png", {"t", "x", {{"c", {1}, {1}}}});
  });
  setenv("PATH", old_path.c_str(), 1);
  CHECK(error == (folder / "a.png") +
                     ": cannot be drawn: gnuplot is not installed; apt-get install gnuplot-nox");
  CHECK(folder.entries() == 0);
}

}  // namespace
}  // namespace cinch
