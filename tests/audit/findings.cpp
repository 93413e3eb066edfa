// What audit() says of many costs, sound ones and others, and on which line.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <sstream>

#include "cinch/audit/audit.hpp"
#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"

using namespace cinch;

namespace {

Tensor random(const Shape& shape, unsigned seed, double low = -1, double high = 1) {
  std::mt19937 source(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Tensor result(DType::float64, shape);
  for (double& x : result.data<double>()) x = uniform(source);
  return result;
}

double norm(const Tensor& x) {
  double squares = 0;
  for (const double v : x.data<double>()) squares += v * v;
  return std::sqrt(squares);
}

/// A small autoencoder, untied, and its two terms.
struct Fixture {
  Expr x = dmatrix("x");
  Shared W{random({6, 4}, 1), "W"}, b{random({4}, 2), "b"};
  Shared V{random({4, 6}, 3), "V"}, c{random({6}, 4), "c"};
  std::vector<Shared> params{W, b, V, c};
  Tensor value = random({8, 6}, 5, 0, 1);
  std::vector<Binding> at{{x, value}};

  Expr h = sigmoid(dot(x, W) + b);
  Expr z = dot(h, V) + c;
  Expr loss = mean(sum(square(x - z), 1));
  Expr penalty = mean(sum(square(jacobian(h, x)), {1, 2}));
};

const AuditFinding* find(const AuditReport& report, Finding kind) {
  for (const AuditFinding& f : report.findings) {
    if (f.kind == kind) return &f;
  }
  return nullptr;
}

/// The one finding of its kind, on this line, with these words.
void check_finding(const AuditReport& report, Finding kind, int term, int line,
                   std::initializer_list<const char*> words) {
  CAPTURE(report.text());
  const AuditFinding* f = find(report, kind);
  REQUIRE(f != nullptr);
  CHECK(f->term == term);
  CHECK(f->where.line == line);
  CHECK(f->where.text().find("findings.cpp:") == 0);
  for (const char* word : words)
    CHECK_MESSAGE(f->text.find(word) != std::string::npos, std::string(word));
  CHECK(report.text().find("\n1. ") != std::string::npos);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "sound costs of many kinds have no finding") {
  const Expr a = dot(x, W) + b, r = relu(a), t = tanh(a), z2 = sigmoid(dot(h, V) + c);
  RandomStreams streams(3);
  const Expr noisy = x * streams.binomial(sizes(x), 1, 0.7, DType::float64);
  const Expr bits = -mean(sum(x * log(z2) + (1 - x) * log(1 - z2), 1));
  const Expr decoded = mean(sum(square(x - dot(sigmoid(dot(noisy, W) + b), V) - c), 1));
  struct Row {
    const char* what;
    Expr cost;
    std::size_t terms;
  };
  const Row rows[] = {
      {"cross-entropy", bits, 1},
      {"denoising", decoded, 1},
      {"weight decay", loss + 1e-3 * (sum(square(W)) + sum(square(V))), 3},
      {"L1", loss + 1e-3 * sum(abs(W)), 2},
      {"relu units and their Jacobian",
       mean(sum(square(x - dot(r, V) - c), 1)) + mean(sum(square(jacobian(r, x)), {1, 2})), 2},
      {"tanh units and their slope",
       mean(sum(square(x - dot(t, V) - c), 1)) +
           mean(dot(square(1 - square(t)), sum(square(W), 0))),
       2},
      {"terms added before the mean", mean(sum(square(x - z), 1) + sum(abs(h), 1)), 1},
      {"a difference of terms", loss - 0.01 * mean(sum(h, 1)), 2},
      {"a hard choice", loss + mean(max(h, 1)), 2},
      {"selected by an index", loss + sum(take(transpose(W), argmax(sum(square(W), 0), 0))), 2},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const AuditReport report = audit(row.cost, params, at);
    CAPTURE(report.text());
    CHECK(report.findings.empty());
    CHECK(report.terms.size() == row.terms);
    double sum = 0;
    for (const AuditTerm& term : report.terms) sum += term.value;
    CHECK(sum == doctest::Approx(report.value));
  }
}

TEST_CASE_FIXTURE(Fixture, "terms are found through signs, factors, means and casts") {
  const Expr p = mean(square(W)), q = mean(square(V)), s = mean(square(b));
  const Expr cost = 2 * (p - 3 * (q + s) / 4) + cast(cast(p, DType::float64), DType::float64);
  const AuditReport report = audit(cost, {W, V, b}, {}, {.names = {{q, "decay of V"}}});
  CAPTURE(report.text());
  REQUIRE(report.terms.size() == 4);
  const double vp = evaluate(p).item(), vq = evaluate(q).item(), vs = evaluate(s).item();
  const double expected[] = {2 * vp, -1.5 * vq, -1.5 * vs, vp};
  for (std::size_t t = 0; t < 4; ++t) {
    CHECK(report.terms[t].value == doctest::Approx(expected[t]));
  }
  CHECK(report.terms[1].name == "decay of V");
  CHECK(report.text().find("decay of V") != std::string::npos);
  CHECK(report.examples == 0);
  CHECK_FALSE(report.terms[0].growth);
}

TEST_CASE_FIXTURE(Fixture, "audit finds what cuts a gradient, and on which line") {
  const Expr J2 = sum(square(jacobian(h, x)), {1, 2});
  const Expr divided = floor_div(sum(J2), size(x, 0));
  const int divided_at = __LINE__ - 1;
  const Expr held = stop_gradient(J2);
  const int held_at = __LINE__ - 1;
  const Expr winner = cast(argmax(h, 1), DType::float64);
  const int winner_at = __LINE__ - 1;
  const Expr active = cast(h > 0.5, DType::float64);
  const int active_at = __LINE__ - 1;
  const Expr rounded = round(10 * h);
  const int rounded_at = __LINE__ - 1;
  const Expr counted = cast(cast(10 * h, DType::int64), DType::float64);
  const int counted_at = __LINE__ - 1;
  const Expr signs = sign(h - 0.5);
  const int signs_at = __LINE__ - 1;
  struct Row {
    const char* what;
    Expr term;
    int line;
    std::vector<const char*> words;
    bool mended;
  };
  const Row rows[] = {
      {"integer division", divided, divided_at, {"floor_div stops it", "write a / b"}, true},
      {"stop_gradient", mean(held), held_at, {"stop_gradient", "finite differences see"}, true},
      {"argmax", mean(winner), winner_at, {"argmax stops it", "softmax()"}, false},
      {"comparison", mean(sum(active, 1)), active_at, {"A comparison is flat"}, false},
      {"rounding", mean(sum(rounded, 1)), rounded_at, {"Rounding is a staircase"}, true},
      {"integers", mean(sum(counted, 1)), counted_at, {"leave the cast out"}, true},
      {"sign", mean(sum(signs, 1)), signs_at, {"use tanh()"}, false},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const AuditReport report = audit(loss + 0.1 * row.term, params, at);
    REQUIRE(report.terms.size() == 2);
    check_finding(report, Finding::no_gradient, 1, row.line,
                  {"Term 2 mentions W and b but has no gradient to them"});
    const AuditFinding& f = *find(report, Finding::no_gradient);
    for (const char* word : row.words) {
      CHECK_MESSAGE(f.text.find(word) != std::string::npos, word << "\n" << f.text);
    }
    CHECK(f.parameters == std::vector<std::string>{"W", "b"});
    CHECK(f.mended.has_value() == row.mended);
    CHECK(report.terms[1].reach ==
          std::vector<Reach>{Reach::stopped, Reach::stopped, Reach::none, Reach::none});
    CHECK(report.terms[1].share == 0);
    CHECK(report.text().find("stopped") != std::string::npos);
    CHECK_FALSE(report.has(Finding::unreached));  // The other term reaches them.
  }
  // What the gradient would be with a proper division.
  const AuditReport report = audit(loss + 0.1 * divided, params, at);
  const std::vector<Expr> wrt{W, b};
  const std::vector<Expr> g = grad(0.1 * penalty, wrt);
  const double right = std::hypot(norm(evaluate(g[0], at)), norm(evaluate(g[1], at)));
  CHECK(find(report, Finding::no_gradient)->mended.value() == doctest::Approx(right));
}

TEST_CASE_FIXTURE(Fixture, "audit finds what consider_constant cuts") {
  const Expr cost = loss + 0.1 * penalty;
  const AuditReport report = audit(cost, params, at, {.consider_constant = {penalty}});
  check_finding(report, Finding::no_gradient, 1, penalty->where.line,
                {"mentions W and b", "consider_constant: leave it out"});
  CHECK(report.terms[1].norms == std::vector<double>{0, 0, 0, 0});
  CHECK(find(report, Finding::no_gradient)->mended);
}

TEST_CASE_FIXTURE(Fixture, "audit finds a gradient that is cut on some of its ways") {
  const Expr norms = stop_gradient(sum(square(W), 0));
  const int line = __LINE__ - 1;
  const AuditReport report = audit(loss + 0.1 * mean(dot(square(h * (1 - h)), norms)), params, at);
  check_finding(report, Finding::partial_gradient, 1, line,
                {"Term 2 has no gradient to W through stop_gradient", "finite differences see",
                 "Without the stop"});
  CHECK(report.terms[1].reach[0] == Reach::flows);
  CHECK_FALSE(report.terms[1].differences.ok);
  CHECK(report.text().find("DISAGREE") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "audit names gradients that rules give, and accuses no estimator") {
  const Expr coded = straight_through(round(4 * h) / 4, h);
  const Expr own = with_gradient(square(h), h, [&](const Expr& g) { return 2 * g * h; });
  const AuditReport report =
      audit(mean(sum(square(x - (dot(coded, V) + c)), 1)) + 0.1 * mean(sum(own, 1)), params, at);
  CAPTURE(report.text());
  CHECK(report.findings.empty());
  REQUIRE(report.notes.size() == 1);
  const AuditFinding& note = report.notes[0];
  CHECK(note.kind == Finding::given_gradient);
  CHECK(note.term == 0);
  CHECK(note.text.find("the gradient that a rule gives") != std::string::npos);
  CHECK(note.text.find("with_gradient(") != std::string::npos);
  CHECK(note.text.find("findings.cpp:") != std::string::npos);
  CHECK(report.terms[0].reach[0] == Reach::flows);
  // What the value alone is made of has no gradient.
  const AuditReport stopped = audit(
      mean(sum(with_gradient(h * norm(V), h, [](const Expr& g) { return g; }), 1)), {W, V}, at);
  CAPTURE(stopped.text());
  CHECK(stopped.has(Finding::no_gradient));
  CHECK(stopped.text().find("name it there") != std::string::npos);
  // And what is wrong beside a rule is found.
  CHECK(audit(mean(sum(coded, 1)) + sum(square(stop_gradient(V))), params, at)
            .has(Finding::no_gradient));
}

TEST_CASE_FIXTURE(Fixture, "audit notes what is held as a target, and does not accuse it") {
  const Shared codes(random({5, 4}, 7), "codes");
  const Expr distances = sum(square(expand_dims(h, 1) - dimshuffle(codes, {-1, 0, 1})), 2);
  const Expr nearest = take(codes, argmin(distances, 1));
  const Expr through = h + stop_gradient(nearest - h);
  const Expr quantised = mean(sum(square(x - (dot(through, V) + c)), 1)) +
                         mean(sum(square(stop_gradient(h) - nearest), 1)) +
                         0.25 * mean(sum(square(h - stop_gradient(nearest)), 1));
  std::vector<Shared> with_codes = params;
  with_codes.push_back(codes);
  const Expr residual = stop_gradient(x - z);
  const Expr auxiliary = mean(sum(square(residual - dot(sigmoid(dot(x, W)), V)), 1));
  struct Row {
    const char* what;
    Expr cost;
    std::vector<Shared> params;
  };
  const Row rows[] = {
      {"a target", loss + mean(sum(square(h - stop_gradient(h + 1)), 1)), params},
      {"vector quantisation", quantised, with_codes},
      {"an auxiliary loss of what is left", loss + 0.1 * auxiliary, params},
      {"a teacher", loss + mean(sum(square(z - stop_gradient(tanh(dot(h, V)))), 1)), params},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const AuditReport report = audit(row.cost, row.params, at);
    CAPTURE(report.text());
    CHECK(report.findings.empty());
    CHECK((report.has(Finding::partial_gradient) || report.has(Finding::no_gradient)));
    CHECK(report.text().find("unless the value is meant as a target") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "audit notes what a term selects by or freezes and others train") {
  const Shared T(random({4, 6}, 8), "T");
  const Expr gated = mean(sum(square(x - dot(switch_(h > 0.5, slice(x, 0, 4, 1), 0), T)), 1));
  const Expr frozen = mean(sum(square(x - dot(h, stop_gradient(V)) - stop_gradient(c)), 1));
  for (const Expr& term : {gated, frozen}) {
    const AuditReport report = audit(loss + term, {W, b, V, c, T}, at);
    CAPTURE(report.text());
    CHECK((find(report, Finding::unreached) != nullptr) == bool(term == frozen));
    CHECK(find(report, Finding::no_gradient) == nullptr);
    CHECK(find(report, Finding::partial_gradient) == nullptr);
    CHECK((report.has(Finding::no_gradient) || report.has(Finding::partial_gradient)));
  }
  // How many are selected is a number, whose gradient is missed; and what no other term trains.
  const Expr count = mean(sum(cast(h > 0.5, DType::float64), 1));
  CHECK(find(audit(loss + count, params, at), Finding::no_gradient) != nullptr);
  CHECK(find(audit(gated, {W, b, T}, at), Finding::no_gradient) != nullptr);
  CHECK(find(audit(loss + sum(square(x - dot(h, stop_gradient(T)))), {W, b, V, c, T}, at),
             Finding::no_gradient) != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "audit compares no mean with an error that is a share of the variance") {
  const Expr share = loss / stop_gradient(mean(sum(square(x - mean(x, 0, true)), 1)));
  const Expr values = 0.1 * mean(square(dot(h, V)));
  CHECK(find(audit(loss + values, params, at), Finding::mixed_means) != nullptr);
  CHECK(find(audit(share + values, params, at), Finding::mixed_means) == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "audit finds copies of parameters, whatever holds them") {
  const Tensor turned = evaluate(transpose(W));
  const Expr stored = Shared(W.get(), "copy");
  const Expr input = dmatrix("weights");
  struct Row {
    const char* what;
    Expr norms;
    const char* says;
  };
  const Row rows[] = {
      {"a constant", sum(square(constant(W.get())), 0), "takes a constant with the elements of W"},
      {"transposed", sum(square(constant(turned)), 1), "write transpose(W)"},
      {"stored", sum(square(stored), 0), "takes copy with the elements of W"},
      {"an input", sum(square(input), 0), "takes weights with the elements of W"},
  };
  std::vector<Binding> with_input = at;
  with_input.emplace_back(input, W.get());
  const AuditReport right =
      audit(loss + 0.1 * mean(dot(square(h * (1 - h)), sum(square(W), 0))), params, at);
  CHECK(right.findings.empty());
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const Expr term = mean(dot(square(h * (1 - h)), row.norms));
    const AuditReport report = audit(loss + 0.1 * term, params, with_input, {.batch = {x}});
    check_finding(report, Finding::copied_parameter, 1, row.norms.inputs()[0]->where.line,
                  {row.says, "With W in its place"});
    CHECK(find(report, Finding::copied_parameter)->mended.value() ==
          doctest::Approx(right.terms[1].norms[0]));
  }
  // A start to stay close to is meant, and equal numbers tell nothing.
  CHECK(audit(loss + sum(square(W + 1 - constant(W.get()))), params, at)
            .has(Finding::copied_parameter));
  CHECK_FALSE(
      audit(loss + sum(square(W - constant(W.get()))), params, at).has(Finding::copied_parameter));
  b.set(Tensor(DType::float64, {4}));
  CHECK_FALSE(audit(loss + sum(square(b + constant(Tensor(DType::float64, {4})))), params, at)
                  .has(Finding::copied_parameter));
}

TEST_CASE_FIXTURE(Fixture, "audit finds parameters that no term reaches, and terms without any") {
  const AuditReport report = audit(mean(sum(square(h), 1)), params, at);
  CAPTURE(report.text());
  std::vector<std::string> unreached;
  for (const AuditFinding& f : report.findings) {
    CHECK(f.kind == Finding::unreached);
    CHECK(f.text.find("none mentions it") != std::string::npos);
    unreached.insert(unreached.end(), f.parameters.begin(), f.parameters.end());
  }
  CHECK(unreached == std::vector<std::string>{"V", "c"});

  const AuditReport cut = audit(loss + sum(round(square(W))), {W, Shared(b), V, c}, at);
  CHECK_FALSE(cut.has(Finding::unreached));
  const AuditReport stopped = audit(sum(square(stop_gradient(W))), W);
  check_finding(stopped, Finding::unreached, -1, W->where.line, {"it will never be trained"});
  CHECK(stopped.has(Finding::no_gradient));

  const Expr shift = mean(sum(square(x), 1));
  const int line = __LINE__ - 1;
  check_finding(audit(loss + shift, params, at), Finding::constant_term, 1, line,
                {"depends on no parameter"});
}

TEST_CASE_FIXTURE(Fixture,
                  "a model whose relu units are all dead is told so, near to life or not") {
  for (const std::int64_t units : {1, 2, 4, 30}) {
    for (const double below : {1e-6, 0.02, 0.5, 100.0}) {
      for (const bool by_maximum : {false, true}) {
        const Shared U(random({6, units}, 11), "U"), d(random({units}, 12), "d"),
            T(random({units, 6}, 13), "T");
        const Expr a = dot(x, U) + d;
        const Expr low = a - (evaluate(max(a), at).item() + below);
        const Expr code = by_maximum ? maximum(low, 0) : relu(low);
        const int line = __LINE__ - 1;
        const AuditReport report =
            audit(mean(sum(square(x - dot(code, T) - c), 1)), std::vector{U, d, T, c}, at);
        CAPTURE(units);
        CAPTURE(below);
        const std::string all = text(units, " of ", units, " relu units are 0 for every example");
        check_finding(report, Finding::dead, -1, line, {all.c_str()});
        CHECK_FALSE(report.text().find("Nothing looks like a mistake") != std::string::npos);
      }
    }
  }
  // One layer of many units, with others that live.
  const Shared U(random({6, 20}, 11), "U"), T(random({20, 5}, 13), "T"), R(random({5, 6}, 14), "R");
  const Expr first = dot(x, U), code = relu(first - (evaluate(max(first), at).item() + 0.01));
  const int line = __LINE__ - 1;
  const Expr out = dot(relu(dot(code, T) + 1), R);
  check_finding(audit(mean(sum(square(x - out), 1)), std::vector{U, T, R}, at), Finding::dead, -1,
                line, {"20 of 20 relu units"});
}

TEST_CASE_FIXTURE(Fixture, "audit finds saturated units and dead ones") {
  const auto units = [&](const Expr& code) {
    return audit(mean(sum(square(x - dot(code, V) - c), 1)), params, at);
  };
  const Expr a = dot(x, W) + b;
  CHECK(units(sigmoid(a)).findings.empty());
  CHECK(units(tanh(a)).findings.empty());
  CHECK(units(relu(a)).findings.empty());
  const Expr hard = sigmoid(60 * a);
  const int hard_at = __LINE__ - 1;
  check_finding(units(hard), Finding::saturated, -1, hard_at, {"4 sigmoid units", "of a limit"});
  check_finding(units(1 / (1 + exp(-60 * a))), Finding::saturated, -1, __LINE__, {"sigmoid"});
  check_finding(units(tanh(-60 * a)), Finding::saturated, -1, __LINE__, {"tanh"});
  check_finding(units(relu(a - constant(Tensor::from<double>({4}, {0, 100, 0, 100})))),
                Finding::dead, -1, __LINE__ - 1, {"2 of 4 relu units"});
  const AuditReport counted =
      units(sigmoid(a + constant(Tensor::from<double>({4}, {0, 90, 0, 90}))));
  REQUIRE(counted.units.size() == 1);
  CHECK(counted.units[0].saturated == doctest::Approx(0.5));
  CHECK(counted.units[0].stuck == 2);
  // A logarithm undoes what a sigmoid does, so that its logits may be large.
  const Expr z2 = sigmoid(50 * z);
  CHECK(audit(-mean(sum(x * log(z2) + (1 - x) * log(1 - z2), 1)), params, at)
            .has(Finding::saturated) == false);
  // Thresholds are options.
  CHECK(audit(loss, params, at, {.saturation = 0.45}).has(Finding::saturated));
  CHECK_FALSE(audit(mean(sum(square(x - dot(hard, V) - c), 1)), params, at,
                    {.most_saturated = 2, .most_stuck = 2})
                  .has(Finding::saturated));
}

TEST_CASE_FIXTURE(Fixture, "audit finds terms that change with the number of examples") {
  const Expr J2 = sum(square(jacobian(h, x)), {1, 2});
  struct Row {
    const char* what;
    Expr term;
    double growth;
    const char* says;
  };
  const Row rows[] = {
      {"a sum", sum(J2), 1, "is a sum over the examples"},
      {"divided by a number", sum(J2) / 8.0, 1, "is a sum over the examples"},
      {"the mean of weights", sum(square(W)) / size(x, 0), -1, "halves"},
      {"twice a sum", square(sum(J2)), 2, "as n^2"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const AuditReport report = audit(loss + 0.1 * row.term, params, at);
    REQUIRE(report.terms.size() == 2);
    CHECK(report.terms[1].growth.value() == doctest::Approx(row.growth));
    CHECK(std::abs(report.terms[0].growth.value()) < 1e-9);
    check_finding(report, Finding::batch_scale, 1, report.terms[1].where.line,
                  {row.says, "Other terms stay"});
  }
  // All terms alike: still a step that grows, but no term against another.
  const AuditReport all = audit(sum(square(x - z)) + 0.1 * sum(J2), params, at);
  REQUIRE(all.has(Finding::batch_scale));
  CHECK(find(all, Finding::batch_scale)->text.find("Other terms stay") == std::string::npos);
  // A batch size that is part of the formula.
  const Expr fixed = mean(sum(square(reshape(x - z, {8, 3, 2})), {1, 2}));
  check_finding(audit(fixed, params, at), Finding::fixed_batch, -1, fixed->where.line,
                {"cannot be computed for another number of examples than 8"});
}

TEST_CASE_FIXTURE(Fixture, "audit finds a mean over values beside a sum over them") {
  const AuditReport report = audit(mean(square(x - z)) + 0.1 * penalty, params, at);
  check_finding(report, Finding::mixed_means, 0, report.terms[0].where.line,
                {"mean over the 6 values of an example", "6 times less"});
  CHECK(report.terms[0].mean_over == 6);
  // Decay sums weights, not values of examples; a kernel's mean is over pairs of examples.
  const Expr code = dot(h, V), kernel = exp(-sum(square(expand_dims(code, 1) - code), 2));
  for (const Expr& right :
       {mean(square(x - z)) + 1e-3 * sum(square(W)), loss + 1e-3 * mean(square(V)),
        loss + 0.1 * mean(kernel), loss + 0.1 * mean(relu(1 - std_(h, 0)))}) {
    const AuditReport none = audit(right, params, at);
    CHECK_MESSAGE(none.findings.empty(), none.text());
  }
}

TEST_CASE_FIXTURE(Fixture, "audit finds the slope of one nonlinearity on the units of another") {
  const Expr a = dot(x, W) + b;
  const auto with = [&](const Expr& code, const Expr& slope) {
    return audit(
        mean(sum(square(x - dot(code, V) - c), 1)) + mean(dot(square(slope), sum(square(W), 0))),
        params, at);
  };
  const Expr r = relu(a), t = tanh(a), s = sigmoid(a);
  check_finding(with(r, r * (1 - r)), Finding::foreign_slope, 1, __LINE__,
                {"h * (1 - h), the slope of a sigmoid", "relu"});
  check_finding(with(t, t * (1 - t)), Finding::foreign_slope, 1, __LINE__, {"1 - square(h)"});
  check_finding(with(s, 1 - square(s)), Finding::foreign_slope, 1, __LINE__,
                {"the slope of a tanh", "sigmoid"});
  CHECK_FALSE(with(s, s * (1 - s)).has(Finding::foreign_slope));
  CHECK_FALSE(with(t, 1 - t * t).has(Finding::foreign_slope));
}

TEST_CASE_FIXTURE(Fixture, "audit finds wrong gradients, kinks, zeros and what is not finite") {
  static const Op wrong = [] {
    Op op = sin_op;
    op.grad = [](Args in, const Expr&, const Expr& gy) -> Grads { return {2 * gy * cos(in[0])}; };
    return op;
  }();
  const Expr term = mean(apply(wrong, {h}));
  check_finding(audit(loss + term, params, at), Finding::wrong_gradient, 1, term->where.line,
                {"Term 2's gradient is not that of its value", "order 1: FAILS"});

  const Shared zero(Tensor(DType::float64, {3}), "zero");
  const Expr kink = sum(relu(zero));
  check_finding(audit(kink, zero), Finding::undecided, -1 + 1, kink->where.line, {"kink"});

  const AuditReport flat = audit(loss + 0 * sum(square(W)), params, at);
  check_finding(flat, Finding::zero_gradient, 1, flat.terms[1].where.line, {"all of it is 0"});

  const Expr root = sum(sqrt(zero));
  const int line = __LINE__ - 1;
  check_finding(audit(root, zero), Finding::not_finite, 0, line, {"gradient by zero"});
  const Expr logs = sum(log(zero));
  check_finding(audit(loss + logs, {W, b, V, c, zero}, at), Finding::not_finite, 1,
                logs->where.line, {"Term 2 is -inf"});
  CHECK(audit(logs, zero).text().find(" ? ") != std::string::npos);  // Nobody's share of infinity.
  CHECK(audit(logs, zero).text().find("2147483648") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "audit writes to nothing, and takes float32") {
  RandomStreams streams(3);
  const Expr noisy = x * streams.binomial(sizes(x), 1, 0.5, DType::float64);
  const Expr cost = mean(sum(square(x - dot(sigmoid(dot(noisy, W) + b), V) - c), 1));
  std::vector<Tensor> before;
  for (const Shared& s : shared_variables(std::span(&cost, 1))) before.push_back(s.get());
  CHECK(audit(cost, params, at).findings.empty());
  std::vector<Tensor> after;
  for (const Shared& s : shared_variables(std::span(&cost, 1))) after.push_back(s.get());
  CHECK(before == after);

  const Expr y = matrix("y");
  const Shared U(random({6, 4}, 1).cast(DType::float32), "U");
  const AuditReport report = audit(mean(sum(square(y - dot(sigmoid(dot(y, U)), transpose(U))), 1)),
                                   U, {{y, value.cast(DType::float32)}});
  CAPTURE(report.text());
  CHECK(report.findings.empty());
  CHECK(report.terms[0].differences.ok);
}

TEST_CASE_FIXTURE(Fixture, "audit finds pixels from 0 to 255 in a cross-entropy") {
  const Expr s = sigmoid(z);
  const Tensor pixels = random({8, 6}, 5, 0, 255);
  const Expr written = -mean(sum(x * log(s) + (1 - x) * log(1 - s), 1));
  const int line = __LINE__ - 1;
  const AuditReport report = audit(written, params, {{x, pixels}});
  check_finding(report, Finding::out_of_range, 0, x->where.line,
                {"is a cross-entropy whose targets x are from", "Divide pixels by 255"});
  CHECK(line > 0);
  for (const Expr& cost : {written, mean(cross_entropy(x, s)), mean(binary_cross_entropy(x, s)),
                           mean(binary_cross_entropy_from_logits(x, z))}) {
    CHECK(audit(cost, params, {{x, pixels}}).has(Finding::out_of_range));
    CHECK_FALSE(audit(cost, params, at).has(Finding::out_of_range));
  }
  CHECK_FALSE(audit(mean(squared_error(x, s)), params, {{x, pixels}}).has(Finding::out_of_range));
}

TEST_CASE_FIXTURE(Fixture, "audit finds what is squashed twice, however it is spelt") {
  const Expr a = dot(h, V) + c, s = sigmoid(a), p = softmax(a);
  const auto bce = [&](const Expr& q) { return -mean(sum(x * log(q) + (1 - x) * log(1 - q), 1)); };
  const auto nll = [&](const Expr& q) { return -mean(sum(x * log(q), 1)); };
  for (const Expr& wrong :
       {bce(sigmoid(s)), mean(binary_cross_entropy_from_logits(x, s)),
        mean(cross_entropy(x, 1 / (1 + exp(-s)))), mean(sum(square(x - sigmoid(s)), 1)),
        nll(softmax(p)), mean(categorical_cross_entropy_from_logits(argmax(x, 1), p)),
        -mean(sum(x * log_softmax(p), 1)), nll(exp(p) / sum(exp(p), 1, true)),
        mean(sum(square(x - softmax(p)), 1))}) {
    const AuditReport report = audit(wrong, params, at);
    CAPTURE(report.text());
    CHECK(report.has(Finding::squashed_twice));
  }
  const Expr V2 = transpose(W);
  for (const Expr& right :
       {bce(s), mean(binary_cross_entropy_from_logits(x, a)), nll(p),
        mean(categorical_cross_entropy_from_logits(argmax(x, 1), a)),
        bce(sigmoid(dot(sigmoid(dot(x, W) + b), V2))), mean(sum(square(x - s * sigmoid(-a)), 1)),
        nll(softmax(dot(softmax(dot(x, W)), V2))), mean(sum(softplus(-a) + softplus(a), 1))}) {
    const AuditReport report = audit(right, params, at);
    CAPTURE(report.text());
    CHECK_FALSE(report.has(Finding::squashed_twice));
  }
}

TEST_CASE_FIXTURE(Fixture, "audit finds a softmax over the examples, and notes other mixing") {
  const Expr a = dot(h, V) + c;
  const auto nll = [&](const Expr& p) { return -mean(sum(x * log(p), 1)); };
  const int line = __LINE__ - 1;  // Of log(softmax), which is one op.
  const AuditReport wrong = audit(nll(softmax(a, 0)), params, at);
  check_finding(wrong, Finding::examples_mix, -1, line, {"over the examples, axis 0"});
  CHECK(audit(mean(sum(square(x - exp(a) / sum(exp(a), 0)), 1)), params, at)
            .has(Finding::examples_mix));
  for (const Expr& right : {nll(softmax(a)), nll(softmax(a, 1)), loss, loss + 0.1 * penalty,
                            loss + 1e-3 * sum(square(W)), mean(square(max(h, 1)))}) {
    const AuditReport report = audit(right, params, at);
    CHECK_FALSE_MESSAGE(report.has(Finding::examples_mix), report.text());
  }
  // Neither are pairs of examples, each of which has the others for its classes.
  const Expr scores = dot(h, transpose(tanh(h))), own = arange(size(x, 0));
  for (const Expr& pairs : {mean(categorical_cross_entropy_from_logits(own, scores)),
                            -mean(diagonal(log_softmax(scores, 0))),
                            -mean(log(diagonal(exp(scores) / sum(exp(scores), 1, true))))}) {
    const AuditReport report = audit(pairs, {W, b}, at);
    CAPTURE(report.text());
    CHECK(report.findings.empty());
    CHECK(report.has(Finding::examples_mix));
  }
  // Columns against rows, also where they happen not to mix: y is above all that is compared.
  const Shared w(random({6}, 9), "w");
  const Expr y = dmatrix("y"), column = variable("column", DType::float64, {-1, 1});
  for (const Expr& t : {y, column}) {
    for (const double above : {0.0, 50.0}) {
      const std::vector<Binding> both{{x, value}, {t, random({8, 1}, 10, above, above + 1)}};
      for (const Expr& apart : {t - dot(x, w), dot(x, w) - t}) {
        for (const Expr& cost : {mean(abs(apart)), mean(square(apart)), mean(log_cosh(apart))}) {
          const AuditReport report = audit(cost, {w}, both);
          CHECK_MESSAGE(report.has(Finding::examples_mix), report.text());
          CHECK(report.findings.size() >= 1);
        }
      }
      const Expr apart = squeeze(t, 1) - dot(x, w);
      CHECK_FALSE(audit(mean(abs(apart)), {w}, both).has(Finding::examples_mix));
    }
  }
  // Batch normalisation is meant: a note and no finding.
  const Expr normal = (h - mean(h, 0)) / sqrt(mean(square(h - mean(h, 0)), 0) + 1e-3);
  const AuditReport normalised = audit(mean(sum(square(x - dot(normal, V) - c), 1)), params, at);
  CAPTURE(normalised.text());
  CHECK(normalised.findings.empty());
  REQUIRE(normalised.notes.size() == 1);
  CHECK(normalised.notes[0].kind == Finding::examples_mix);
  CHECK(normalised.text().find("Nothing looks like a mistake") != std::string::npos);
  CHECK(normalised.text().find("Good to know") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "audit notes stored variables with a gradient that are no parameters") {
  const AuditReport report = audit(loss, {W, b, V}, at);
  CHECK(report.findings.empty());
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].kind == Finding::not_trained);
  CHECK(report.notes[0].parameters == std::vector<std::string>{"c"});
  CHECK(audit(loss, params, at).notes.empty());
  // Data that are sliced are none, nor is what is held.
  const Shared images(value, "images");
  const Expr batch = slice(images, 0, 4);
  const Expr code = sigmoid(dot(batch, W) + b);
  CHECK(audit(mean(sum(square(batch - dot(code, V) - stop_gradient(c)), 1)), {W, b, V}, {})
            .notes.empty());
}

TEST_CASE_FIXTURE(Fixture, "random draws are the same for an example that comes again") {
  RandomStreams streams(3);
  const Expr noise = streams.normal(sizes(h), 0, 1, DType::float64);
  const Expr probes = streams.normal({constant(Tensor(std::int64_t{3})), size(x, 0), size(x, 1)}, 0,
                                     1, DType::float64);
  const Expr code = h + noise;
  const Expr right =
      mean(sum(square(x - dot(code, V) - c), 1)) + mean(sum(square(dot(probes, W)), {0, 2}));
  for (const std::int64_t n : {4, 5, 8}) {
    const AuditReport report = audit(right, params, {{x, random({n, 6}, 5, 0, 1)}});
    CAPTURE(report.text());
    CHECK(report.findings.empty());
    for (const AuditTerm& t : report.terms) CHECK(std::abs(t.growth.value()) < 1e-9);
  }
  const AuditReport wrong = audit(sum(square(x - dot(code, V) - c)), params, at);
  CHECK(wrong.has(Finding::batch_scale));
  CHECK(wrong.terms[0].growth.value() == doctest::Approx(1));
}

TEST_CASE_FIXTURE(Fixture, "what audit() prints fits the width asked for, and says the same") {
  const Expr copied = mean(sum(square(x - dot(h, V) - stop_gradient(2 * c)), 1));
  const Expr slopes = sum(square(exp(30 * dot(x, W)) * stop_gradient(h)));
  const AuditReport report =
      audit(loss + 0.1 * penalty + copied + 1e-3 * slopes + mean(square(V)), params, at);
  CHECK(report.findings.size() >= 2);
  std::ostringstream printed;
  printed << report;
  CHECK(printed.str() == report.text(80));
  std::string table_as_it_is = report.text(100000);
  table_as_it_is.resize(table_as_it_is.find("\n\n1. "));
  for (const int width : {60, 80, 120}) {
    CAPTURE(width);
    const std::string text = report.text(width);
    CAPTURE(text);
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      CAPTURE(line);
      CHECK(columns_of(line) <= width);
    }
    // Each cell of the table is somewhere.
    std::istringstream cells(table_as_it_is);
    for (std::string cell; cells >> cell;) CHECK(text.find(cell) != std::string::npos);
  }
  std::istringstream rows(table_as_it_is);
  std::size_t widest = 0;
  for (std::string row; std::getline(rows, row);) widest = std::max(widest, row.size());
  CHECK(widest > 80);
}
