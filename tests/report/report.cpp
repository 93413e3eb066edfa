#include "cinch/report/report.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/variables.hpp"
#include "cinch/core/version.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/random_state.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/optim/sgd.hpp"
#include "support/html.hpp"
#include "support/programs.hpp"

namespace cinch {
namespace {

using testing::contents, testing::faults_of_page, testing::Scratch;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t result = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++result;
  return result;
}

std::string written(const Scratch& scratch, const Report& report) {
  const std::string path = scratch.path + "/report.html";
  write_report(path, report);
  return contents(path);
}

GreyImage noise(std::int64_t width, std::int64_t height, std::uint64_t seed) {
  GreyImage image{width, height, {}};
  for (std::int64_t k = 0; k < width * height; ++k) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    image.pixels.push_back(static_cast<std::uint8_t>(seed >> 56));
  }
  return image;
}

Curve wave(std::size_t points, const std::string& name = "wave") {
  Curve result{.name = name};
  for (std::size_t k = 0; k < points; ++k) {
    result.xs.push_back(static_cast<double>(k));
    result.ys.push_back(std::sin(0.1 * static_cast<double>(k)));
  }
  return result;
}

template <class E>
std::string refused(const Report& report) {
  const Scratch scratch;
  try {
    write_report(scratch.path + "/report.html", report);
  } catch (const E& error) {
    CHECK(std::filesystem::is_empty(scratch.path));
    return error.what();
  }
  return "nothing was thrown";
}

/// One of each kind of part, of a small model.
Report of_each_kind(const std::string& name) {
  RandomState random(1);
  const Shared W(random.uniform(-1, 1, {4, 3}), "W");
  const Expr x = dmatrix("x");
  const Expr cost = mean(square(dot(x, W)));
  const Tensor examples = random.uniform(0, 1, {5, 4});
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W}, 0.1), .name = name});
  step({examples});
  Report report{.title = name, .command = name, .commit = name, .notes = {name}};
  report.add(name, name, name);
  report.add(name, Table{{name, "b"}, {{name, "2"}}}, name);
  Curve curve = wave(10, name);
  curve.errors.assign(10, 0.1);
  curve.labels.assign(10, name);
  curve.ys[3] = std::nan("");
  curve.ys[4] = HUGE_VAL;
  report.add(name, Plot{name, name, {curve}, {name}}, name);
  report.add(name, Picture{name, noise(8, 8, 1), {name, name}, {name}, name, name}, name);
  report.add(name, audit(cost, {W}, {{x, examples}}), name);
  report.add(name, explain(step), name);
  return report;
}

TEST_CASE("whatever texts say, a report is a sound page that leads nowhere") {
  const Scratch scratch;
  for (const std::string name :
       {"plain", "</script><script>alert(1)</script>", "\" onload=\"alert(1)", "a & b < c > d 'e'",
        "‖J‖² λ → ∂h/∂x", "bad \xff\xc3 bytes \xed\xa0\x80 \x1b[31m \x01", "<!-- ", "]]>",
        "\\\"\\u003c", "https://example.org/?a=b", ""}) {
    CAPTURE(name);
    const std::string page = written(scratch, of_each_kind(name));
    CHECK(faults_of_page(page) == "");
    CHECK(count(page, "<script>") == 1);
    CHECK(count(page, "alert(1)</script>") == 0);
    CHECK(page.size() < 100000);
  }
  // What finds faults finds them.
  const std::string page = written(scratch, of_each_kind("plain"));
  CHECK(page.find("‖J‖²") == std::string::npos);
  CHECK(written(scratch, of_each_kind("‖J‖²")).find("‖J‖²") != std::string::npos);
  const auto with = [&](const std::string& more) {
    std::string changed = page;
    changed.insert(changed.find("<h1>"), more);
    return faults_of_page(changed);
  };
  CHECK(with("") == "");
  CHECK(with("<p>") != "");
  CHECK(with("a & b") != "");
  CHECK(with("<p class=a></p>") != "");
  CHECK(with("<p>x <> y</p>") != "");
  CHECK(with("<svg><image href=\"http://a/b.png\"/></svg>") != "");
  CHECK(with("<p id=\"part0\"></p>") != "");
  CHECK(with("<a href=\"#nowhere\">a</a>") != "");
  CHECK(with("<style>a { background: url(b.png) }</style>") != "");
}

TEST_CASE("a report of a long run stays under 1 MB and says what it shortened") {
  const Scratch scratch;
  Report small{.title = "Fifty epochs"};
  Plot plot{"", "epoch", {}};
  for (int k = 0; k < 6; ++k) {
    plot.curves.push_back(wave(50, text("cost ", k)));
    plot.curves.back().panel = k;
  }
  small.add("Training", plot);
  for (int k = 0; k < 4; ++k)
    small.add("Filters", Picture{"", noise(289, 289, static_cast<std::uint64_t>(k))});
  const std::string whole = written(scratch, small);
  CHECK(whole.size() <= largest_report);
  CHECK(whole.find("keep the file small") == std::string::npos);

  Report large = small;
  for (int k = 0; k < 40; ++k)
    large.add("Filters", Picture{"", noise(600, 500, static_cast<std::uint64_t>(k))});
  Curve spike = wave(1000000, "spiky");
  spike.ys[777777] = 12345;
  large.add("Long", Plot{"", "step", {spike}});
  large.add("Text", std::string(3000000, 'x'));
  Table table{{"n"}, {}};
  for (int k = 0; k < 100000; ++k) table.rows.push_back({text("row ", k)});
  large.add("Table", table);
  const std::string page = written(scratch, large);
  CAPTURE(page.size());
  CHECK(page.size() <= largest_report);
  CHECK(page.size() > largest_report / 5);  // Not more is left out than must be.
  CHECK(faults_of_page(page) == "");
  CHECK(count(page, "<image ") == 44);
  CHECK(count(page, "Made smaller to keep the file small: ") >= 40);
  CHECK(page.find(" of 600 x 500 pixels.") != std::string::npos);
  CHECK(page.find("of the 1000000 points of spiky.") != std::string::npos);
  CHECK(page.find("12345") != std::string::npos);  // A peak is not lost.
  CHECK(page.find(" of 3000000 bytes.") != std::string::npos);
  CHECK(page.find(" of 100000 rows.") != std::string::npos);
}

TEST_CASE("a report that cannot be made is an error, and leaves no file") {
  Report report{.title = "a"};
  report.parts = {{"t", Table{{"a", "b"}, {{"1"}}}}};
  CHECK(refused<TypeError>(report) == "write_report: a table of 2 columns has a row of 1");
  report.parts = {{"p", Plot{}}};
  CHECK(refused<TypeError>(report) == "plot_curves: there is no curve to draw");
  report.parts = {{"i", Picture{}}};
  CHECK(refused<TypeError>(report) == "write_report: the image of a picture is empty");
  report.parts.assign(20000, {std::string(50, 'a'), "b"});
  const std::string error = refused<ValueError>(report);
  CHECK(error.find("20000 parts, more than 1000000: make several reports") != std::string::npos);
  report.parts.clear();
  CHECK_THROWS_AS(write_report("/no/such/folder/report.html", report), FileError);
}

TEST_CASE("a report says what makes the run again, where it ran, and of which sources") {
  const Scratch scratch;
  const Report clean{.title = "a", .command = "./a --rate '0.1 x'", .commit = "1234abcd"};
  const std::string page = written(scratch, clean);
  CHECK(page.find("./a --rate &#39;0.1 x&#39;") != std::string::npos);
  CHECK(page.find("<td>1234abcd</td>") != std::string::npos);
  CHECK(page.find("changes that are in no commit") == std::string::npos);
  for (const auto& row : environment().rows) {
    CAPTURE(row[0]);
    CHECK(row[1] != "");
    if (row[0] != "time") CHECK(page.find("<td>" + row[0] + "</td>") != std::string::npos);
  }
  CHECK(page.find("<td>" + std::string(version()) + "</td>") != std::string::npos);
  const Report dirty{.title = "a", .commit = "1234abcd-dirty"};
  CHECK(written(scratch, dirty).find("1234abcd-dirty alone does not make this run again") !=
        std::string::npos);
}

TEST_CASE("a function is drawn kernel by kernel, and an audit by its findings") {
  const Scratch scratch;
  const Report report = of_each_kind("step");
  const std::string page = written(scratch, report);
  const auto& steps = std::get<Explanation>(report.parts.back().shown).steps;
  REQUIRE(steps.size() > 1);
  CHECK(count(page, "<g><title>") == steps.size());
  std::size_t arcs = 0;  // What a kernel reads and one before it wrote.
  std::vector<std::string> made;
  for (const StepInfo& s : steps) {
    std::vector<std::string> reads = s.reads;
    std::sort(reads.begin(), reads.end());
    reads.erase(std::unique(reads.begin(), reads.end()), reads.end());
    for (const std::string& value : reads)
      arcs += std::find(made.begin(), made.end(), value) != made.end();
    made.insert(made.end(), s.writes.begin(), s.writes.end());
  }
  CHECK(arcs > 0);
  CHECK(count(page, "stroke=\"#7a8ba0\"") == arcs);
  CHECK(page.find("Nothing looks like a mistake.") != std::string::npos);

  const Shared W(Tensor::full(DType::float64, {4, 3}, 0.5), "W");
  const Expr x = dmatrix("x");
  const Expr wrong = sum(square(dot(x, constant(W.get()))));
  Report other{.title = "a"};
  AuditReport found =
      audit(wrong + mean(square(dot(x, W))), {W}, {{x, Tensor::full(DType::float64, {5, 4}, 1)}});
  REQUIRE_FALSE(found.findings.empty());
  other.add("Audit", found);
  const std::string warns = written(scratch, other);
  CHECK(count(warns, "<p class=\"note\">") == found.findings.size());
  CHECK(warns.find("Nothing looks like a mistake") == std::string::npos);
}

/// What the page's own script is asked to do, after which it says what it saw.
constexpr const char* exercise = R"js(<script>
const figure = document.querySelector("figure.plot"), seen = [];
const drawn = () => figure.querySelector(".canvas").innerHTML;
const at = name => (x, y) => new MouseEvent(name, {bubbles: true, button: 0, clientX: x, clientY: y});
const svg = () => figure.querySelector("svg[data-panel]");
const send = (event) => svg().dispatchEvent(event);
const box = svg().getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
const whole = drawn();
send(at("mousemove")(x, y));
seen.push(["hover", figure.querySelector(".readout").textContent.includes("cost")]);
send(new WheelEvent("wheel", {bubbles: true, cancelable: true, deltaY: -1, clientX: x, clientY: y}));
seen.push(["wheel", drawn() !== whole]);
send(at("dblclick")(x, y));
seen.push(["reset", drawn() === whole]);
send(at("mousedown")(x, y));
send(at("mousemove")(x + 100, y + 50));
send(at("mouseup")(x + 100, y + 50));
seen.push(["drag", drawn() !== whole]);
send(at("dblclick")(x, y));
const [log] = figure.querySelectorAll(".tools input");
log.click();
seen.push(["log", drawn() !== whole]);
log.click();
seen.push(["linear", drawn() === whole]);
const lines = () => figure.querySelectorAll("svg[data-panel] g path[stroke-width='2']").length;
const before = lines();
figure.querySelector(".legend input").click();
seen.push(["legend", lines() === before - 1]);
document.body.dataset.seen = seen.map(s => s.join("=")).join(" ");
</script></body>)js";

TEST_CASE("in a browser curves zoom, nothing complains and nothing is fetched") {
  const Scratch scratch;
  Report report = of_each_kind("step");
  Plot plot{"", "epoch", {wave(50, "cost"), wave(50, "norm")}};
  for (double& y : plot.curves[0].ys) y += 2;
  plot.curves[1].panel = 1;
  plot.y_labels = {"nats an image"};
  report.parts.insert(report.parts.begin(), ReportPart{"Training", plot});
  Curve field{.name = "field", .xs = {0, 1, 2, 3}, .ys = {0, 1, 1, 0}, .mark = Mark::arrows};
  Plot flat{"", "x", {field}, {"y"}};
  flat.equal_axes = true;
  report.add("Field", flat);
  const std::string page = written(scratch, report), path = scratch.path + "/report.html";
  const auto with = [&](const std::string& more) {
    std::string changed = page;
    changed.replace(changed.rfind("</body>"), 7, more);
    std::ofstream(path) << changed;
    return testing::browse(path);
  };
  const testing::Browsed seen = with(exercise);
  if (!seen.there) {
    MESSAGE("skipped: chromium is not installed");
    return;
  }
  CHECK(seen.console == "");
  CHECK(seen.page.find("data-seen=\"hover=true wheel=true reset=true drag=true log=true "
                       "linear=true legend=true\"") != std::string::npos);
  CHECK(count(seen.page, "data-panel=\"0\"") == 3);
  CHECK(count(seen.page, "data-panel=\"1\"") == 1);
  // A browser complains where it is asked to fetch something, or a script is wrong.
  CHECK(with("<img src=\"http://127.0.0.1/a.png\"></body>").console != "");
  CHECK(with("<script>nothing();</script></body>").console != "");
}

}  // namespace
}  // namespace cinch
