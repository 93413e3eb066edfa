#include "cinch/io/plot.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cinch/core/columns.hpp"
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

/// Whether it is all of what its name says.
bool is_whole(const std::string& path) {
  const std::string content = read_file(path);
  const auto between = [&](const char* begin, const char* end) {
    return content.starts_with(begin) &&
           content.find(end, content.size() - std::min<std::size_t>(content.size(), 12)) !=
               std::string::npos;
  };
  return path.ends_with(".png")   ? between("\x89PNG\r\n", "IEND\xae\x42\x60\x82")
         : path.ends_with(".svg") ? between("<?xml", "</svg>")
                                  : between("%PDF-", "%%EOF");
}

/// What is drawn, as the text of an SVG file.
std::string svg_of(const Plot& plot) {
  const TemporaryFolder folder;
  plot_curves(folder / "a.svg", plot);
  return read_file(folder / "a.svg");
}
std::string svg_of(const Picture& picture) {
  const TemporaryFolder folder;
  plot_picture(folder / "a.svg", picture);
  return read_file(folder / "a.svg");
}
/// Whether some text is just this.
bool says(const std::string& svg, const std::string& text) {
  return contains(svg, ">" + text + "</text>") || contains(svg, "> " + text + "</text>");
}

TEST_CASE("curves with gaps, panels and awkward names are drawn as PNG, SVG and PDF") {
  if (gnuplot_is_missing()) return;
  const TemporaryFolder folder;
  const std::string awkward = "it's 'a' \"b\" \\ ${x}_1^2 `touch x`\nset output 'x' \xce\xbb";
  for (const char* extension : {".png", ".svg", ".pdf"}) {
    const std::string path = folder / ("it's; `touch x` $(touch y) \"z\"" + std::string(extension));
    Curve labelled{awkward, {0, 1, 2, 3}, {5, std::nan(""), HUGE_VAL, 2}};
    labelled.labels.assign(4, awkward);
    labelled.errors = {1, 2, std::nan(""), 0};
    plot_curves(path,
                {.title = awkward,
                 .x_label = awkward,
                 .curves = {labelled, {"below", {0, 3}, {1e-300, 1e300}, 1}, {"no points", {}, {}}},
                 .y_labels = {awkward}});
    CHECK(is_whole(path));
  }
  CHECK(folder.entries() == 3);
}

TEST_CASE("the same curves are the same files, whenever they are drawn") {
  if (gnuplot_is_missing()) return;
  const TemporaryFolder folder;
  for (const char* end : {".png", ".svg", ".pdf"}) {
    CAPTURE(end);
    const std::string path = folder / ("curves" + std::string(end));
    std::string first;
    for (int k = 0; k < 2; ++k) {
      if (k > 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // Times have seconds.
      plot_curves(path, {"title", "x", {{"y", {0, 1, 2}, {3, 1, 2}}}});
      if (k == 0) first = read_file(path);
    }
    CHECK(is_whole(path));
    CHECK(read_file(path) == first);
  }
}

TEST_CASE("one point, a constant, a lower panel alone, arrows and logarithmic axes are drawn") {
  if (gnuplot_is_missing()) return;
  const TemporaryFolder folder;
  const Curve squares{"squares", {1, 2, 3}, {1, 4, 9}};
  Curve arrow = squares;
  arrow.mark = Mark::arrows;
  Curve points = squares;
  points.mark = Mark::points;
  for (const Plot& plot :
       {Plot{"point", "x", {{"a", {1}, {1}}}}, Plot{"constant", "x", {{"a", {1, 2}, {3, 3}}}},
        Plot{"zero", "x", {{"a", {0, 0}, {0, 0}}}}, Plot{"arrow", "x", {arrow}},
        Plot{"points", "x", {points}},
        Plot{.title = "both", .x_label = "x", .curves = {squares, {"b", {1, 2}, {1, 2}, 1}}},
        Plot{.title = "log", .x_label = "x", .curves = {squares}, .log_x = true, .log_y = true},
        Plot{.title = "equal", .x_label = "x", .curves = {squares}, .equal_axes = true}}) {
    CAPTURE(plot.title);
    plot_curves(folder / (plot.title + ".png"), plot);
    CHECK(is_whole(folder / (plot.title + ".png")));
  }
}

TEST_CASE("figures say what they show, in letters of any script") {
  if (gnuplot_is_missing()) return;
  Curve cost{"training", {0, 1, 2, 3}, {5, 4, 3.5, 3}},
      penalty{"‖J‖²", {0, 1, 2, 3}, {1, 2, 3, 4}, 1};
  cost.labels = {"λ = 0.1", "", "", "last"};
  Curve validation{"validation", {0, 1, 2, 3}, {6, 5, 4, 3.5}};
  const Plot plot{
      "A title", "epoch", {cost, validation, penalty}, {"cross-entropy, nats an image"}};
  const std::string svg = svg_of(plot);
  for (const char* text : {"A title", "epoch", "training", "validation", "‖J‖²",
                           "cross-entropy, nats an image", "λ = 0.1", "last", "0", "1", "2", "3"}) {
    CAPTURE(std::string(text));
    CHECK(says(svg, text));
  }
  // Epochs are whole, and the lower panel's curve is named once, by its axis.
  CHECK_FALSE(says(svg, "0.5"));
  CHECK_FALSE(says(svg, "1.5"));
  CHECK(plot.panels() == 2);
  CHECK(plot.y_label(1) == "‖J‖²");
  CHECK(plot.y_label(0) == "cross-entropy, nats an image");
  // Two panels are higher than one.
  const auto height = [](const std::string& drawn) {
    const std::size_t at = drawn.find("height=\"") + 8;
    return std::stoi(drawn.substr(at));
  };
  CHECK(height(svg) > height(svg_of(Plot{"one", "x", {cost}})));

  GreyImage image{3, 2, {0, 50, 100, 150, 200, 255}};
  const std::string tiles =
      svg_of(Picture{"Tiles σ²", image, {"original", "noisy"}, {"a", "b", "c"}, "-0.5", "0.5"});
  for (const char* text : {"Tiles σ²", "original", "noisy", "a", "b", "c", "-0.5", "0.5"}) {
    CAPTURE(std::string(text));
    CHECK(says(tiles, text));
  }
  const std::string bare = svg_of(Picture{.title = "", .image = image});
  CHECK_FALSE(contains(bare, "<text>"));
  CHECK(contains(bare, "<image "));
}

/// The points of each line of a colour, in the pixels of the page.
std::vector<std::vector<std::pair<double, double>>> lines_of(const std::string& svg,
                                                             const std::string& colour) {
  std::vector<std::vector<std::pair<double, double>>> lines;
  const std::string begin = "<path stroke='" + colour + "'";
  for (std::size_t at = svg.find(begin); at != std::string::npos; at = svg.find(begin, at + 1)) {
    const std::size_t data = svg.find(" d='", at) + 4;
    std::istringstream places(svg.substr(data, svg.find('\'', data) - data));
    for (std::string place; places >> place;) {
      double x = 0, y = 0;
      if (std::sscanf(place.c_str() + 1, "%lf,%lf", &x, &y) != 2) continue;
      if (place[0] == 'M') lines.emplace_back();
      lines.back().emplace_back(x, y);
    }
  }
  return lines;
}

TEST_CASE("labels of a sweep do not lie on each other") {
  if (gnuplot_is_missing()) return;
  Curve sweep{.name = "λ",
              .xs = {273.7, 176.6, 134.1, 83.91, 44.35, 21.79, 10.01},
              .ys = {61.07, 61.32, 61.87, 63.54, 67.57, 78.7, 101.9},
              .mark = Mark::points};
  for (const char* lambda : {"0", "0.01", "0.03", "0.1", "0.3", "1", "3"})
    sweep.labels.push_back(text("λ = ", lambda));
  Plot plot{"Two forces", "contraction", {sweep}, {"reconstruction"}};
  plot.log_x = true;
  const std::string svg = svg_of(plot);
  std::vector<std::array<double, 4>> boxes;  // Left, right, lower and upper end.
  for (const std::string& label : sweep.labels) {
    const std::size_t at = svg.find(">" + label + "<");
    REQUIRE(at != std::string::npos);
    const std::size_t begin = svg.rfind("translate(", at);
    double x = 0, y = 0;
    REQUIRE(std::sscanf(svg.c_str() + begin, "translate(%lf,%lf)", &x, &y) == 2);
    const bool to_the_left = svg.substr(begin, at - begin).find("\"end\"") != std::string::npos;
    const double width = 7.0 * columns_of(label), height = 12;
    boxes.push_back({to_the_left ? x - width : x, to_the_left ? x : x + width, y - height, y});
  }
  for (std::size_t a = 0; a < boxes.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const bool apart = boxes[a][1] < boxes[b][0] || boxes[b][1] < boxes[a][0] ||
                         boxes[a][3] < boxes[b][2] || boxes[b][3] < boxes[a][2];
      CHECK_MESSAGE(apart, sweep.labels[a] << " and " << sweep.labels[b]);
    }
  }
}

TEST_CASE("points keep clear of the frame, lines differ by more than colour, errors have bars") {
  if (gnuplot_is_missing()) return;
  const Curve line{"a", {0, 1, 2}, {1, 2, 3}};
  Curve other = line, bars = line, arrow{"c", {0, 1}, {0, 1}};
  other.name = "b";
  for (double& y : other.ys) y += 1;
  const std::string blue = "rgb(  0, 114, 178)", red = "rgb(213,  94,   0)";
  const std::string svg = svg_of(Plot{"t", "x", {line, other}, {"y"}});
  const auto of_three = [](const auto& points) { return points.size() == 3; };
  const auto frames = lines_of(svg, "rgb(136, 136, 136)");
  const auto frame = std::ranges::find_if(frames, of_three);
  REQUIRE(frame != frames.end());
  const double left = (*frame)[1].first, floor = (*frame)[1].second, right = (*frame)[2].first,
               top = (*frame)[0].second;
  CHECK(right > left + 500);
  CHECK(floor > top + 300);
  for (const std::string& colour : {blue, red}) {
    const auto lines = lines_of(svg, colour);
    const auto curve = std::ranges::find_if(lines, of_three);
    REQUIRE(curve != lines.end());
    for (const std::pair<double, double>& point : *curve) {
      CHECK(point.first > left + 10);
      CHECK(point.first < right - 10);
      CHECK(point.second > top + 10);
      CHECK(point.second < floor - 10);
    }
  }
  CHECK(contains(svg, red + "' stroke-dasharray="));
  CHECK_FALSE(contains(svg, blue + "' stroke-dasharray="));
  const auto count = [&](const Curve& c) {
    return lines_of(svg_of(Plot{"t", "x", {c}}), blue).size();
  };
  const auto plain = count(line);
  bars.errors = {0.5, 0.5, 0.5};
  CHECK(count(bars) >= plain + 3);
  const auto straight = count(arrow);
  arrow.mark = Mark::arrows;
  CHECK(count(arrow) != straight);
  // On equal axes a unit is as long in x as in y.
  Plot equal{"t", "x", {{"wide", {0, 10, 10}, {0, 0, 1}}}};
  equal.equal_axes = true;
  const auto drawn = lines_of(svg_of(equal), blue);
  const auto bent = std::ranges::find_if(drawn, of_three);
  REQUIRE(bent != drawn.end());
  const double wide = (*bent)[1].first - (*bent)[0].first,
               high = (*bent)[1].second - (*bent)[2].second;
  CHECK(wide > 9.9 * high);
  CHECK(wide < 10.1 * high);
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
  CHECK(error_of<TypeError>([&] {
          plot_curves(path, {"t", "x", {{"cost", {1, 2}, {1, 2}, 0, {1}}}});
        }) == "plot_curves: the curve 'cost' has 2 xs and 1 errors");
  CHECK(error_of<TypeError>([&] {
          plot_curves(path, {"t", "x", {{"cost", {1}, {1}, 0, {}, {"a", "b"}}}});
        }) == "plot_curves: the curve 'cost' has 1 xs and 2 labels");
  CHECK(error_of<TypeError>([&] {
          plot_curves(path, {"t", "x", {{"cost", {1}, {1}, -1}}});
        }) == "plot_curves: the curve 'cost' is in panel -1, which is none of 0 to 99");
  CHECK(contains(error_of<TypeError>([&] {
                   plot_curves(folder / "a.jpg", {"t", "x", {{"c", {1}, {1}}}});
                 }),
                 "a.jpg ends neither with .png nor .svg nor .pdf"));
  CHECK(error_of<TypeError>([&] { plot_picture(path, {}); }) == "plot_picture: the image is empty");
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

TEST_CASE("a gnuplot without a terminal is named as such") {
  const TemporaryFolder folder, programs;
  write_file(programs / "gnuplot",
             "#!/bin/sh\ncat > /dev/null\necho '         line 2: unknown or ambiguous terminal "
             "type; type just 'set terminal' for a list' >&2\nexit 1\n");
  std::filesystem::permissions(programs / "gnuplot", std::filesystem::perms::owner_all);
  const std::string old_path = std::getenv("PATH") ? std::getenv("PATH") : "";
  setenv("PATH", (programs.path() + ":" + old_path).c_str(), 1);
  const std::string error = error_of<NoPlotter>([&] {
    plot_curves(folder / "a.pdf", {"t", "x", {{"c", {1}, {1}}}});
  });
  setenv("PATH", old_path.c_str(), 1);
  CHECK(error == (folder / "a.pdf") +
                     ": cannot be drawn: this gnuplot has no terminal pdfcairo; apt-get install "
                     "gnuplot-nox");
  CHECK(folder.entries() == 0);
}

}  // namespace
}  // namespace cinch
