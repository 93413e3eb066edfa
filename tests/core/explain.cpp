#include "cinch/core/explain.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Contractive {
  Shared W, b;
  Expr x = dmatrix("x");
  Function step;
  Tensor data;

  explicit Contractive(bool profiled) {
    std::mt19937 random(1);
    W = Shared(random_tensor(DType::float64, {60, 40}, random), "W");
    b = Shared(Tensor(DType::float64, {40}), "b");
    data = random_tensor(DType::float64, {7, 60}, random);
    const Expr h = sigmoid(dot(x, W) + b);
    const Expr cost = mean(log(1 - sigmoid(h))) + sum(square(jacobian(h, x)));
    const auto g = grad(cost, std::vector<Shared>{W, b});
    step = function({.inputs = {x},
                     .outputs = {cost},
                     .updates = {{W, W - 0.01 * g[0]}, {b, b - 0.01 * g[1]}},
                     .name = "step",
                     .profile = profiled});
  }
};

}  // namespace

TEST_CASE("explain says what was rewritten, contracted and fused, from which lines") {
  const Contractive c(false);
  CHECK_THROWS_WITH_AS(explain(c.step), doctest::Contains("step has no plan: call it once"), Error);
  c.step({c.data});
  const Tensor W = c.W.value();
  const Explanation e = explain(c.step);
  CHECK(c.W.value() == W);  // Nothing ran.
  CHECK(e.name == "step");
  CHECK(std::ranges::any_of(e.rules, [](const Applied& a) {
    return a.rule == "log (1 - sigmoid)" && has(a.where.text(), "explain.cpp:");
  }));
  // The three-dimensional Jacobian is found, and costs a tiny part of what is written.
  const auto big = std::ranges::max_element(
      e.contractions, {}, [](const ContractionReport& r) { return r.written.flops; });
  REQUIRE(big != e.contractions.end());
  CHECK(big->written.flops > 7 * 60 * 40 * 2);
  CHECK(big->chosen.flops < 60 * 40 * 4);
  CHECK(big->chosen.bytes < big->written.bytes);
  CHECK(has(big->where.text(), "explain.cpp:"));
  CHECK(std::ranges::any_of(e.steps,
                            [](const auto& s) { return s.at_commit && s.writes[0] == "W"; }));
  CHECK(std::ranges::any_of(e.steps, [](const auto& s) { return s.kernel == "loop"; }));
  for (const auto& s : e.steps) {
    if (s.kernel == "dot") CHECK(s.flops >= 2 * 40);
  }
  CHECK(e.arena_bytes > 0);
  CHECK(e.temporary_bytes >= 8 * 7 * 40);
  const std::string text = e.text();
  for (const char* part : {"Rewritten", "log (1 - sigmoid)", "Contractions", "flop", "Kernels",
                           "updates, in place", "explain.cpp:", "Memory"})
    CHECK(has(text, part));
  const std::string dot = e.dot();
  CHECK(has(dot, "digraph \"step\" {"));
  CHECK(has(dot, "[shape=ellipse, label=\"W\"]"));
  CHECK(has(dot, " -> "));
}

TEST_CASE("what explain() and profile() print fits the width asked for, and says the same") {
  const Contractive c(true);
  c.step({c.data});
  const auto words = [](const std::string& text) {
    std::vector<std::string> result;
    std::istringstream in(text);
    for (std::string word; in >> word;) result.push_back(word);
    return result;
  };
  for (const bool profiled : {false, true}) {
    CAPTURE(profiled);
    const auto text = [&](int width) {
      return profiled ? profile(c.step).text(width) : explain(c.step).text(width);
    };
    CHECK((profiled ? profile(c.step).text() : explain(c.step).text()) == text(80));
    for (const int width : {60, 80, 120}) {
      CAPTURE(width);
      CHECK(words(text(width)) == words(text(100000)));
      std::istringstream in(text(width));
      std::size_t longest = 0;
      for (std::string line; std::getline(in, line);) {
        CAPTURE(line);
        longest = std::max(longest, line.size());
        if (words(line).size() > 1) CHECK(columns_of(line) <= width);
      }
      CHECK(longest > 50);  // Folded where it must be, not sooner.
    }
  }
}

TEST_CASE("profile says where the time went, by kernel and by line") {
  const Contractive quiet(false);
  quiet.step({quiet.data});
  CHECK_THROWS_WITH_AS(profile(quiet.step), doctest::Contains("no call of step was measured"),
                       Error);
  const Contractive c(true);
  for (int k = 0; k < 20; ++k) c.step({c.data});
  const Profile p = profile(c.step);
  CHECK(p.calls == 20);
  CHECK(p.nanoseconds > 0);
  double kernels = p.outside, lines = p.outside;
  for (const auto& row : p.kernels) {
    kernels += row.nanoseconds;
    CHECK(row.runs == 20);
  }
  for (const auto& row : p.lines) lines += row.nanoseconds;
  CHECK(kernels == doctest::Approx(p.nanoseconds).epsilon(0.01));
  CHECK(lines == doctest::Approx(p.nanoseconds).epsilon(0.01));
  for (std::size_t k = 1; k < p.kernels.size(); ++k)
    CHECK(p.kernels[k - 1].nanoseconds >= p.kernels[k].nanoseconds);
  CHECK(
      std::ranges::any_of(p.lines, [](const auto& row) { return has(row.what, "explain.cpp:"); }));
  CHECK(has(p.text(), "step: 20 calls"));
  // Switched on later and off again.
  quiet.step.set_profiling(true);
  quiet.step({quiet.data});
  quiet.step.set_profiling(false);
  quiet.step({quiet.data});
  CHECK(profile(quiet.step).calls == 1);
}

TEST_CASE("a function compiled for checked mode has no plan to explain") {
  const Expr x = dvector("x");
  const Function f = function({.inputs = {x}, .outputs = {sum(x)}, .mode = Mode::checked});
  f({Tensor::from<double>({2}, {1, 2})});
  CHECK_THROWS_AS(explain(f), Error);
  CHECK_THROWS_AS(Function().plan_text(), Error);
}
