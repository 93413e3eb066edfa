// What audit() measures and finds: each kind of finding where there is cause, and none where not.
#include "cinch/audit/audit.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A small untied autoencoder in float64 and what its parts are.
struct Fixture {
  std::mt19937 random{3};
  Expr x = dmatrix("x");
  Shared W{random_tensor(DType::float64, {12, 5}, random, -0.5, 0.5), "W"},
      b{random_tensor(DType::float64, {5}, random, -0.1, 0.1), "b"},
      V{random_tensor(DType::float64, {5, 12}, random, -0.5, 0.5), "V"};
  Expr h = sigmoid(dot(x, W) + b);
  Expr error = mean(sum(square(dot(h, V) - x), 1));
  Expr penalty = mean(sum(square(jacobian(h, x)), {1, 2}));
  std::vector<Shared> params{W, b, V};
  std::vector<Binding> at{{x, random_tensor(DType::float64, {8, 12}, random, 0, 1)}};

  AuditReport operator()(const Expr& cost, const AuditOptions& options = {}) const {
    return audit(cost, params, at, options);
  }
};

const AuditFinding& the(const AuditReport& a, Finding kind) {
  for (const AuditFinding& f : a.findings) {
    if (f.kind == kind) return f;
  }
  FAIL("there is no such finding in\n", text(a));
  throw 0;
}

int line_of(const AuditFinding& f) { return static_cast<int>(f.where.line); }

}  // namespace

TEST_CASE("a sound cost: terms, values, norms and shares as computed apart, and no finding") {
  const Fixture f;
  const AuditReport a = f(f.error + 0.1 * f.penalty);
  INFO(text(a));
  CHECK(a.findings.empty());
  REQUIRE(a.terms.size() == 2);
  CHECK(a.examples == 8);
  CHECK(a.parameters == std::vector<std::string>{"W", "b", "V"});
  const Expr parts[] = {f.error, 0.1 * f.penalty};
  double total = 0;
  std::vector<double> norms;
  for (std::size_t t = 0; t < 2; ++t) {
    CHECK(a.terms[t].value == doctest::Approx(evaluate(parts[t], f.at).item()).epsilon(1e-12));
    double squares = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const Expr g = grad(parts[t], f.params, {.disconnected = Disconnected::zero})[k];
      const double norm = std::sqrt(evaluate(sum(square(g)), f.at).item());
      CHECK(a.terms[t].norms[k] == doctest::Approx(norm).epsilon(1e-12));
      squares += norm * norm;
    }
    norms.push_back(std::sqrt(squares));
    total += norms.back();
    CHECK(a.terms[t].differences.ok);
    REQUIRE(a.terms[t].growth);
    CHECK(*a.terms[t].growth == doctest::Approx(0).epsilon(1e-6));
    CHECK(a.terms[t].mean_over == 1);
  }
  for (std::size_t t = 0; t < 2; ++t) CHECK(a.terms[t].share == doctest::Approx(norms[t] / total));
  CHECK(a.terms[1].reach == std::vector<Reach>{Reach::flows, Reach::flows, Reach::none});
  CHECK(a.value == doctest::Approx(evaluate(f.error + 0.1 * f.penalty, f.at).item()));
  REQUIRE(a.units.size() == 1);
  CHECK(a.units[0].op == "sigmoid");
  CHECK(a.units[0].units == 5);
  CHECK(text(a).find("Nothing looks like a mistake") != std::string::npos);
}

TEST_CASE("differences and constant factors are split; products are not") {
  const Fixture f;
  const AuditReport a = f(2 * (f.error - 0.5 * sum(square(f.W))) + f.error * f.penalty);
  REQUIRE(a.terms.size() == 3);
  CHECK(a.terms[1].value < 0);
  double sum = 0;
  for (const AuditTerm& t : a.terms) sum += t.value;
  CHECK(sum == doctest::Approx(a.value));
  const AuditReport named = f(f.error + 0.1 * f.penalty,
                              {.names = {{f.error, "reconstruction"}, {f.penalty, "contraction"}}});
  CHECK(named.terms[0].name == "reconstruction");
  CHECK(named.terms[1].name == "contraction");
}

TEST_CASE("what stops a gradient is named with its line and a remedy") {
  const Fixture f;
  const Expr norm2 = sum(square(f.W));
  struct Row {
    Expr term;
    int line;
    const char* expected;
  };
  const Row rows[] = {
      {floor_div(norm2, 3), __LINE__, "write a / b"},
      {round(norm2), __LINE__, "Rounding"},
      {stop_gradient(norm2), __LINE__, "stop_gradient()"},
      {cast(cast(norm2 * 100, DType::int64), DType::float64), __LINE__, "the cast"},
      {cast(sum(argmax(f.W, 1)), DType::float64), __LINE__, "max()"},
      {sum(sign(f.W)), __LINE__, "tanh()"},
      {cast(sum(cast(f.W > 0.1, DType::float64)), DType::float64), __LINE__, "switch_()"},
  };
  for (const Row& row : rows) {
    const AuditReport a = f(f.error + row.term);
    CAPTURE(text(a));
    const AuditFinding& found = the(a, Finding::no_gradient);
    CHECK(found.parameters == std::vector<std::string>{"W"});
    CHECK(found.term == 1);
    CHECK(line_of(found) == row.line);
    CHECK(found.text.find(row.expected) != std::string::npos);
    CHECK(a.terms[1].reach[0] == Reach::stopped);
    CHECK(text(a).find("stopped") != std::string::npos);
  }
}

TEST_CASE("a penalty held by consider_constant, in part, is told from one that is held whole") {
  const Fixture f;
  const Expr slope = f.h * (1 - f.h);
  const Expr penalty = mean(sum(square(slope) * sum(square(f.W), 0), 1));
  const AuditReport whole = f(f.error + penalty, {.consider_constant = {penalty}});
  CHECK(whole.has(Finding::no_gradient));
  const AuditReport none = f(f.error + penalty);
  CHECK(!none.has(Finding::no_gradient));
  CHECK(!none.has(Finding::partial_gradient));
  // Cut on one of two ways only: the gradient is not that of the value.
  const Expr held = mean(sum(square(slope) * sum(square(floor_div(f.W, 0.01) * 0.01), 0), 1));
  const AuditReport part = f(f.error + held);
  CHECK(the(part, Finding::partial_gradient).parameters == std::vector<std::string>{"W"});
  // A comparison that only chooses stops nothing that anybody expects.
  const AuditReport choice = f(f.error + sum(switch_(f.W > 0, f.W, -0.5 * f.W)));
  CHECK(!choice.has(Finding::partial_gradient));
  CHECK(!choice.has(Finding::no_gradient));
}

TEST_CASE("copies of a parameter are found by value, as constants, stored, transposed") {
  const Fixture f;
  const Expr slope = square(f.h * (1 - f.h));
  const auto with = [&](const Expr& weights) {
    return f(f.error + mean(sum(slope * sum(square(weights), 0), 1)));
  };
  const Shared frozen(f.W.value(), "frozen");
  for (const Expr& copy : {constant(f.W.value()), Expr(frozen)}) {
    const AuditReport a = with(copy);
    const AuditFinding& found = the(a, Finding::copied_parameter);
    CHECK(found.parameters == std::vector<std::string>{"W"});
    REQUIRE(found.mended);
    const Expr meant = mean(sum(slope * sum(square(f.W), 0), 1));
    const double norm = std::sqrt(evaluate(sum(square(grad(meant, f.W))), f.at).item());
    CHECK(*found.mended == doctest::Approx(norm).epsilon(1e-9));
  }
  const AuditReport turned =
      f(f.error + mean(sum(square(dot(f.h, constant(evaluate(transpose(f.W))))), 1)));
  CHECK(the(turned, Finding::copied_parameter).text.find("transpose(W)") != std::string::npos);
  CHECK(!with(f.W).has(Finding::copied_parameter));
  // Staying close to a start is meant, and so are numbers that only happen to be there.
  CHECK(!f(f.error + sum(square(f.W - constant(f.W.value())))).has(Finding::copied_parameter));
  std::mt19937 other(9);
  CHECK(!with(constant(random_tensor(DType::float64, {12, 5}, other)))
             .has(Finding::copied_parameter));
}

TEST_CASE("slopes of another nonlinearity are found, and the right ones left alone") {
  const Fixture f;
  const Expr a = dot(f.x, f.W) + f.b;
  const auto with = [&](const Expr& slope) {
    return f(f.error + mean(sum(square(slope) * sum(square(f.W), 0), 1)));
  };
  const Expr r = relu(a), t = tanh(a), s = sigmoid(a), p = softplus(a);
  CHECK(the(with(r * (1 - r)), Finding::foreign_slope).text.find("relu") != std::string::npos);
  CHECK(with(t * (1 - t)).has(Finding::foreign_slope));
  CHECK(with(p * (1 - p)).has(Finding::foreign_slope));
  CHECK(with(1 - square(s)).has(Finding::foreign_slope));
  CHECK(with(1 - r * r).has(Finding::foreign_slope));
  CHECK(!with(s * (1 - s)).has(Finding::foreign_slope));
  CHECK(!with(1 - square(t)).has(Finding::foreign_slope));
}

TEST_CASE("parameters that nothing reaches, and terms without parameters") {
  const Fixture f;
  const Shared unused(Tensor(DType::float64, {3}), "unused");
  std::vector<Shared> params = f.params;
  params.push_back(unused);
  const AuditReport a = audit(f.error + sum(square(f.x)), params, f.at);
  CHECK(the(a, Finding::unreached).parameters == std::vector<std::string>{"unused"});
  CHECK(the(a, Finding::constant_term).term == 1);
  CHECK(!f(f.error).has(Finding::unreached));
}

TEST_CASE("terms that change with the number of examples") {
  const Fixture f;
  const Expr n = cast(size(f.x, 0), DType::float64);
  const Expr decay = 1e-3 * sum(square(f.W));
  struct Row {
    Expr cost;
    int wrong;  // The term, or -1.
    double growth;
  };
  const Row rows[] = {
      {f.error + 0.1 * f.penalty, -1, 0},
      {f.error + decay, -1, 0},  // Weight decay does not grow, as it should not.
      {f.error + 0.1 * sum(square(jacobian(f.h, f.x))), 1, 1},
      {f.error + decay / n, 1, -1},
      {sum(square(dot(f.h, f.V) - f.x)) + 0.1 * f.penalty, 0, 1},
  };
  for (const Row& row : rows) {
    const AuditReport a = f(row.cost);
    CAPTURE(text(a));
    CHECK(a.has(Finding::batch_scale) == (row.wrong >= 0));
    if (row.wrong < 0) continue;
    CHECK(the(a, Finding::batch_scale).term == row.wrong);
    CHECK(*a.terms[static_cast<std::size_t>(row.wrong)].growth ==
          doctest::Approx(row.growth).epsilon(1e-6));
  }
  const AuditReport mixed = f(mean(square(dot(f.h, f.V) - f.x)) + 0.1 * f.penalty);
  CHECK(the(mixed, Finding::mixed_means).text.find("12") != std::string::npos);
  const AuditReport fixed = f(sum(square(reshape(dot(f.h, f.V) - f.x, Shape{8, 12}))) / 8);
  CHECK(fixed.has(Finding::fixed_batch));
}

TEST_CASE("units that hardly move") {
  Fixture f;
  f.W.set(random_tensor(DType::float64, {12, 5}, f.random, 3, 4));
  const AuditReport limits = f(f.error + 0.1 * f.penalty);
  CHECK(limits.has(Finding::saturated));
  CHECK(limits.units[0].saturated > 0.9);
  f.W.set(random_tensor(DType::float64, {12, 5}, f.random, -2, -1));
  const AuditReport dead =
      f(mean(sum(square(dot(relu(dot(f.x, f.W)), f.V) - f.x), 1)) + sum(square(f.b)));
  CHECK(dead.units[0].stuck == 5);
  CHECK(the(dead, Finding::dead).text.find("5 of 5 relu units") != std::string::npos);
  // A logarithm undoes a sigmoid: such a pair has a gradient wherever it is.
  f.W.set(random_tensor(DType::float64, {12, 5}, f.random, 3, 4));
  CHECK(!f(-mean(log(sigmoid(dot(f.x, f.W) + f.b))) + sum(square(f.V))).has(Finding::saturated));
}

TEST_CASE("values that are not finite, and gradients that are exactly 0") {
  const Fixture f;
  const AuditReport a = f(f.error + log(sum(f.W) * 0));
  CHECK(the(a, Finding::not_finite).text.find("log") != std::string::npos);
  const AuditReport zero = f(f.error + 0 * sum(square(f.W)));
  CHECK(zero.terms.size() == 2);
  CHECK((zero.has(Finding::zero_gradient) || zero.terms[1].norms[0] == 0));
}

TEST_CASE("kinks are told from wrong gradients") {
  const Fixture f;
  const Shared origin(Tensor(DType::float64, {4}), "origin");
  const AuditReport a = audit(sum(abs(origin)) + f.error, std::vector<Shared>{origin, f.W}, f.at);
  CHECK(!a.has(Finding::wrong_gradient));
  const Expr half = sum(square(f.W)) + stop_gradient(sum(square(f.W)));
  const AuditReport wrong = f(f.error + half);
  CHECK((wrong.has(Finding::partial_gradient) || wrong.has(Finding::no_gradient) ||
         wrong.has(Finding::wrong_gradient)));
}

TEST_CASE("audit writes to nothing and says what it cannot audit") {
  const Fixture f;
  RandomStreams streams(4);
  const Expr noise = streams.normal(sizes(f.x), 0, 1, DType::float64);
  const Expr noisy = mean(sum(square(dot(sigmoid(dot(f.x + 0.1 * noise, f.W)), f.V) - f.x), 1));
  const Tensor before = f.W.value();
  const AuditReport a = audit(noisy, std::vector<Shared>{f.W, f.V}, f.at);
  INFO(text(a));
  CHECK(!a.has(Finding::wrong_gradient));
  CHECK(f.W.value() == before);
  CHECK_THROWS_WITH_AS(f(square(f.x)), doctest::Contains("float scalar"), TypeError);
  CHECK_THROWS_WITH_AS(audit(f.error, std::vector<Shared>{}, f.at),
                       doctest::Contains("no parameters"), TypeError);
  CHECK_THROWS_WITH_AS(audit(f.error, f.params, {}), doctest::Contains("no value is given for x"),
                       TypeError);
  CHECK_THROWS_WITH_AS(f(f.error, {.batch = {dmatrix("other")}}), doctest::Contains("other"),
                       TypeError);
}
