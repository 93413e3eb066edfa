// check_grad: rejects what is wrong, and only that.
#include "cinch/core/check_grad.hpp"

#include <doctest/doctest.h>

#include <random>
#include <sstream>
#include <string>

#include "cinch/cinch.hpp"
#include "cinch/core/columns.hpp"
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

/// `right` with another gradient.
Op with_grad(const Op& right, Grads (*grad)(Args, const Expr&, const Expr&)) {
  Op op = right;
  op.grad = grad;
  return op;
}

/// `x` with one element, the 17th, changed by a factor.
Expr one_changed(const Expr& x, double factor) {
  Tensor mask = Tensor::full(DType::float64, x.type().shape(), 1);
  mask.data<double>()[17] = factor;
  return x * constant(mask);
}

const Op wrong_sign = with_grad(
    sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads { return {-gy * cos(x[0])}; });
const Op wrong_factor = with_grad(
    square_op, [](Args x, const Expr&, const Expr& gy) -> Grads { return {4 * gy * x[0]}; });
const Op wrong_slightly = with_grad(
    sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads { return {1.0001 * gy * cos(x[0])}; });
const Op wrong_transposed = with_grad(dot_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {dot(gy, x[1]), dot(transpose(x[0]), gy)};
});
const Op missing_term = with_grad(mul_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {gy * x[1], Expr()};
});
const Op flat_exp =
    with_grad(exp_op, [](Args, const Expr&, const Expr& gy) -> Grads { return {0.0 * gy}; });
const Op flat_square =
    with_grad(square_op, [](Args, const Expr&, const Expr& gy) -> Grads { return {0.0 * gy}; });
const Op wrong_at_one = with_grad(sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {one_changed(gy * cos(x[0]), 2)};
});
const Op wrong_slightly_at_one =
    with_grad(sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {one_changed(gy * cos(x[0]), 1.0001)};
    });
const Op not_finite = with_grad(
    sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (x[0] - x[0])}; });
/// Its first derivative is right, and its second one 0.
const Op wrong_second = with_grad(sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {gy * stop_gradient(cos(x[0]))};
});
const Op wrong_cos = with_grad(
    cos_op, [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * sin(x[0])}; });
const Op wrong_second_sign = with_grad(sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {gy * apply(wrong_cos, {x[0]})};
});
const Op wrong_third = with_grad(cos_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {-gy * apply(wrong_sign, {x[0]})};
});
const Op wrong_third_only = with_grad(sin_op, [](Args x, const Expr&, const Expr& gy) -> Grads {
  return {gy * apply(wrong_third, {x[0]})};
});

}  // namespace

TEST_CASE("check_grad rejects wrong gradients, at any scale of the cost") {
  const Shared X(random({5, 5}, 1), "X");
  // Values whose gradient is lacking, which nobody has asked for.
  const Expr x = X, f = exp(X), held = apply(flat_exp, {X}), held_x = log(held);
  // Values of f with another gradient: c f + (1 - c) held has c times the gradient.
  const auto times = [&](double c) { return c * f + (1 - c) * held; };
  const Expr weights = constant(random({5, 5}, 2));
  struct Row {
    const char* what;
    Expr cost;
    int order = 1;  ///< The first at which it is wrong.
  };
  const Row rows[] = {
      {"sign", sum(times(-1))},
      {"factor 2", sum(times(2))},
      {"five digits only", sum(times(1.00001))},
      {"a missing term", sum(f + x * held_x)},
      {"a part that is held", sum(f) + sum(apply(flat_square, {x}))},
      {"a small missing term", sum(f + 1e-4 * held_x)},
      {"sign, in an op", sum(apply(wrong_sign, {x}))},
      {"factor 2, in an op", sum(apply(wrong_factor, {x}))},
      {"1e-4, in an op", sum(weights * apply(wrong_slightly, {x}))},
      {"transposed", sum(weights * apply(wrong_transposed, {x, exp(x)}))},
      {"a missing term, in an op", sum(apply(missing_term, {x, x}))},
      {"one element", sum(apply(wrong_at_one, {x}))},
      {"one element by 1e-4", sum(apply(wrong_slightly_at_one, {x}))},
      {"not finite", sum(apply(not_finite, {x}))},
      {"second order, held", sum(weights * apply(wrong_second, {x})), 2},
      {"second order, sign", sum(apply(wrong_second_sign, {x})), 2},
      {"third order", sum(apply(wrong_third_only, {x})), 3},
  };
  for (const Row& row : rows) {
    for (const double scale : {1.0, 1e8, 1e-8}) {
      CAPTURE(std::string(row.what));
      CAPTURE(scale);
      const GradCheck check = check_grad(scale * row.cost, X, row.order);
      CHECK_MESSAGE(!check.ok, check.report);
      CHECK_FALSE(bool(check));
      CHECK_FALSE(check.worst <= 1e-7);
      REQUIRE(check.orders.size() == static_cast<std::size_t>(row.order));
      for (const OrderCheck& order : check.orders) {
        CHECK(order.entries.empty() == (order.order < row.order));
      }
      if (row.order > 1) CHECK(check_grad(scale * row.cost, X, row.order - 1));
    }
  }
}

TEST_CASE("check_grad accepts right gradients of costs that are hard to difference") {
  const Shared X(random({4, 5}, 1), "X"), W(random({5, 3}, 2), "W"), b(random({3}, 3), "b");
  const Shared tiny(random({7}, 4, 1e-7, 2e-7), "tiny"), huge(random({7}, 5, 1e7, 2e7), "huge");
  const Shared zero(Tensor(DType::float64, {6}), "zero");
  Tensor spread = random({8}, 6, 1, 2);
  for (std::size_t i = 0; i < 8; ++i)
    spread.data<double>()[i] *= std::pow(10, 3 * static_cast<double>(i) - 12);
  const Shared mixed(spread, "mixed");
  const Shared low_rank(evaluate(dot(constant(random({4, 2}, 7)), constant(random({2, 4}, 8)))),
                        "low_rank");
  const Shared covariance(Tensor::from<double>({2, 2}, {2, 0.5, 0.5, 1}), "covariance"),
      W4(random({2, 2}, 9), "W4");
  const Expr h = sigmoid(dot(X, W) + b);
  struct Row {
    const char* what;
    Expr cost;
    std::vector<Expr> wrt;
    int order = 3;
  };
  const Row rows[] = {
      {"plain", mean(square(h)), {X, W, b}},
      {"tiny", 1e-8 * mean(square(h)), {X, W, b}},
      {"huge", 1e8 * mean(square(h)), {X, W, b}},
      {"parameters of very different scales",
       sum(sin(tiny * huge) + sin(tiny * 1e7)),
       {tiny, huge}},
      {"elements of very different scales", sum(log(mixed)), {mixed}},
      {"elements of very different scales, added", sum(sqrt(mixed)), {mixed}},
      {"a parameter that is far too small to matter", sum(exp(tiny)), {tiny}},
      {"a large offset", 1e6 + sum(square(W)), {W}},
      {"a difference of large numbers", (1e6 + sum(square(W))) - 1e6, {W}, 1},
      {"all zero", sum(exp(zero)), {zero}},
      {"a minimum", sum(square(zero)), {zero}},
      {"saturated sigmoids", sum(sigmoid(40 * (1.5 + W))), {W}},
      {"sigmoids that underflow", sum(sigmoid(-1000 * (1.5 + W))), {W}},
      {"cross-entropy of saturated sigmoids",
       -sum(0.3 * log(sigmoid(60 * W)) + 0.7 * log(1 - sigmoid(60 * W))),
       {W}},
      {"large logits", sum(square(log_softmax(300 * W, 0))), {W}},
      {"kinks nearby", sum(relu(W)) + sum(abs(X - 0.3)), {W, X}},
      {"one element", square(sum(b)), {b}},
      {"beside a pole", sum(log(tiny)), {tiny}},
      {"a derivative that is 0", sum(W * 0 + stop_gradient(b)), {W}},
      {"a determinant two ranks below", det(low_rank), {low_rank}, 1},
      {"a logarithm whose op refuses where steps lead", logdet(covariance), {covariance}},
      {"a factor whose op refuses there", sum(cholesky(covariance)), {covariance}},
      {"an exponential of a matrix that overflows there", sum(expm(200 * W4)), {W4}, 1},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const GradCheck check = check_grad(row.cost, row.wrt, row.order);
    CHECK_MESSAGE(check.ok, check.report);
    CHECK(check.worst <= 1e-7);
  }
}

TEST_CASE("check_grad accuses no staircase, however its steps meet those of the differences") {
  RandomState draws(1);
  int decided = 0;
  for (int round = 0; round < 200; ++round) {
    const double width = 0.01 + 0.1 * draws.uniform(0, 1, {1}, DType::float64).at(0);
    const Shared x(draws.uniform(0.5, 3, {2}, DType::float64), "x");
    const Shared y(Tensor::full(DType::float64, {2}, width), "y");
    const GradCheck check = check_grad(sum(mod(x, y)), {x, y}, 2);
    CHECK_MESSAGE(check.verdict != Verdict::wrong, check.report);
    decided += check.ok;
  }
  CHECK(decided > 50);
  const Shared x(random({4}, 5), "x");
  CHECK(check_grad(logsumexp(log_softmax(x, 0)), {x}).verdict != Verdict::wrong);
}

TEST_CASE("check_grad reports the worst entries of the worst parameter") {
  const Shared X(random({5, 5}, 1), "X"), b(random({5}, 2), "b");
  const GradCheck check =
      check_grad(sum(apply(wrong_at_one, {X})) + sum(exp(b)), {b, X}, {}, {.shown = 2});
  REQUIRE_FALSE(check.ok);
  const OrderCheck& order = check.orders[0];
  REQUIRE(order.parameters.size() == 2);
  CHECK(order.parameters[0].first == "b");
  CHECK(order.parameters[0].second.excess < 1e-7);
  CHECK(order.parameters[1].second.excess > 1e-2);
  REQUIRE(order.entries.size() == 25);
  const GradEntry& worst = order.entries[0];
  CHECK(worst.parameter == "X");
  CHECK(worst.index == Shape{3, 2});
  CHECK(worst.by.analytic == doctest::Approx(2 * std::cos(X.value().at(17))));
  CHECK(worst.by.numeric == doctest::Approx(std::cos(X.value().at(17))));
  for (std::size_t i = 1; i < order.entries.size(); ++i) CHECK(order.entries[i].by.excess < 1e-7);

  std::ostringstream printed;
  printed << check;
  CHECK(printed.str() == doctest::String(doctest::toString(check)).c_str());
  for (const char* part : {"gradients are wrong", "order 1: FAILS", "b alone:", "X alone:",
                           "worst entries of X, of 25 tried", "X[3, 2]: analytic "}) {
    CHECK_MESSAGE(printed.str().find(part) != std::string::npos, part << "\n" << printed.str());
  }
  const auto lines = std::count(check.report.begin(), check.report.end(), '\n');
  CHECK_MESSAGE(lines == 2 + 2 + 1 + 2, check.report);
}

TEST_CASE("check_grad prints in 80 columns, whatever is named in it") {
  const std::string name = "the weights from the third hidden layer of the encoder to the code";
  const Shared X(random({5, 5}, 1), name), b(random({5}, 2), "b"),
      zero(Tensor(DType::float64, {3}), name + ", where nothing has been learned yet");
  const Expr stopped = stop_gradient(tanh(dot(X, exp(X) + 1e-9 * square(X)) + sigmoid(b)));
  const GradCheckOptions titled{
      .order = 2, .title = "the reconstruction of what was masked, and the penalty of the code"};
  for (const GradCheck& check :
       {check_grad(sum(exp(X)), X),
        check_grad(sum(stopped * exp(X)) + sum(exp(b)), {X, b}, {}, titled),
        check_grad(1e-200 * sum(apply(wrong_at_one, {X})) + sum(exp(b)), {b, X}, {}, titled),
        check_grad(sum(apply(wrong_sign, {X})) - 12345.678 * sum(exp(b)), {X, b}, {}, titled),
        check_grad(sum(relu(zero)) + sum(exp(b)), {zero, b}, {}, titled),
        check_grad(sum(apply(not_finite, {X})), {X, b}, {},
                   {.disconnected = Disconnected::zero})}) {
    std::ostringstream printed;
    printed << check;
    std::istringstream in(printed.str());
    std::string joined;
    for (std::string line; std::getline(in, line);) {
      CHECK_MESSAGE(columns_of(line) <= 80, line);
      CHECK_FALSE(line.ends_with(' '));
      std::istringstream words(line);
      for (std::string word; words >> word;) joined += word + " ";
    }
    // Nothing is lost.
    std::istringstream words(check.report);
    std::string expected;
    for (std::string word; words >> word;) expected += word + " ";
    CHECK(joined.ends_with(expected));
  }
}

TEST_CASE("check_grad finds one wrong entry among many") {
  const Shared X(random({300, 100}, 1), "X");
  for (const Op* op : {&wrong_at_one, &wrong_slightly_at_one}) {
    const GradCheck check = check_grad(sum(apply(*op, {X})), X, {}, {.entries = 20});
    REQUIRE_FALSE(check.ok);
    REQUIRE(check.orders[0].entries.size() == 20);
    CHECK(check.orders[0].entries[0].index == Shape{0, 17});
    CHECK(check.orders[0].entries[1].by.excess < 1e-7);
  }
}

TEST_CASE("check_grad says where differences tell nothing") {
  const Shared zero(Tensor(DType::float64, {3}), "zero");
  const GradCheck check = check_grad(sum(relu(zero)), zero);
  CHECK_FALSE(check.ok);
  CHECK(check.report.find("kink") != std::string::npos);
  const GradCheck infinite = check_grad(sum(sqrt(zero)), zero);
  CHECK_FALSE(infinite.ok);
  CHECK(infinite.report.find("not finite") != std::string::npos);
}

TEST_CASE("check_grad takes variables with values and stored ones, and formulas of float32") {
  const Expr x = matrix("x"), d = dmatrix("d");
  const Shared W(random({3, 2}, 1).cast(DType::float32), "W"), b(Tensor(DType::float32, {2}), "b");
  const Expr cost = mean(square(sigmoid(dot(x, W) + b) - cast(0.25f * d, DType::float32)));
  const Tensor x_value = random({4, 3}, 2).cast(DType::float32), d_value = random({4, 2}, 3);
  CHECK(check_grad(cost, {x, W, b, d}, {{x, x_value}, {d, d_value}}, {.order = 3}));
  CHECK(check_grad(cost, std::vector<Shared>{W, b}, {{x, x_value}, {d, d_value}}));
  CHECK(check_grad(sum(square(W)), W));
  CHECK_FALSE(check_grad(sum(W * stop_gradient(W)), W, {}, {.hold_stopped = false}));
  // Another value than the stored one.
  const GradCheck at_two =
      check_grad(sum(square(b)), b, {{b, Tensor::full(DType::float32, {2}, 2)}});
  CHECK(at_two.ok);
  CHECK(at_two.orders[0].along[0].analytic != 0);
}

TEST_CASE("check_grad leaves stored values and random streams as they were") {
  const Shared W(random({3, 2}, 1), "W"), data(random({5, 3}, 2), "data");
  RandomStreams streams(7);
  const Expr noisy = data * streams.binomial(sizes(data), 1, 0.5, DType::float64) +
                     streams.normal(sizes(data), 0, 1, DType::float64);
  const Expr cost = mean(square(dot(noisy, W)));
  std::vector<Tensor> before;
  for (const Shared& s : shared_variables(std::span(&cost, 1))) before.push_back(s.get());
  REQUIRE(before.size() >= 3);
  const auto unchanged = [&] {
    std::vector<Tensor> after;
    for (const Shared& s : shared_variables(std::span(&cost, 1))) after.push_back(s.get());
    return before == after;
  };
  CHECK(check_grad(cost, W, 2));
  CHECK(unchanged());
  CHECK_FALSE(check_grad(cost + sum(apply(wrong_sign, {W})), W));
  CHECK(unchanged());
  // The sizes turn out not to fit when the cost is computed.
  const Expr x = dmatrix("x");
  CHECK_THROWS_AS(check_grad(cost + sum(dot(x, W)), W, {{x, random({2, 4}, 1)}}), TypeError);
  CHECK(unchanged());
}

TEST_CASE("check_grad says what it cannot check") {
  const Expr x = dvector("x"), free = dvector("free"), n = lvector("n");
  const Tensor value(DType::float64, {2});
  const auto message = [&](auto&& f) {
    try {
      f();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  struct Row {
    std::string got;
    const char* wanted;
  };
  const Row rows[] = {
      {message([&] {
         check_grad(x, x, {{x, value}});
       }),
       "must be a float scalar"},
      {message([&] {
         check_grad(sum(n), x, {{x, value}});
       }),
       "must be a float scalar"},
      {message([&] { check_grad(sum(free), free); }), "no value is given for free"},
      {message([&] {
         check_grad(sum(x * free), x, {{x, value}});
       }),
       "no value is given for free"},
      {message([&] {
         check_grad(sum(x * n), n, {{x, value}, {n, Tensor(DType::int64, {2})}});
       }),
       "parameters must be float"},
      {message([&] {
         check_grad(sum(x), {x, x}, {{x, value}});
       }),
       "x is given twice"},
      {message([&] {
         check_grad(sum(x), Parameters{}, {{x, value}});
       }),
       "no parameters"},
      {message([&] {
         check_grad(sum(x), Expr(), {{x, value}});
       }),
       "empty expression"},
      {message([&] {
         check_grad(sum(x), x, {{x, Tensor(DType::float32, {2})}});
       }),
       "x is float64 (?,), its value is float32 (2,)"},
      {message([&] {
         check_grad(sum(x), x, {{x, Tensor(DType::float64, {2, 1})}});
       }),
       "its value is float64 (2, 1)"},
      {message([&] {
         check_grad(sum(x), x, {{x, value}}, {.order = 0});
       }),
       "at least 1"},
      {message([&] {
         check_grad(sum(stop_gradient(x)), x, {{x, value}});
       }),
       "does not depend on x"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.got);
    CHECK(row.got.find(row.wanted) != std::string::npos);
  }
}

namespace {

/// Costs in which a value is held on purpose, of a smooth h of W and another, V.
std::vector<std::pair<std::string, Expr>> held_costs(const Expr& h, const Expr& V) {
  const Expr z = dot(h, V);
  const Expr nearest = take(V, argmin(sum(square(expand_dims(h, 1) - expand_dims(V, 0)), 2), 1));
  return {
      {"straight through rounding", sum(square(h + stop_gradient(round(4 * h) / 4 - h)))},
      {"straight through a sign", sum(square(h + stop_gradient(sign(h) - h) - 0.3))},
      {"an auxiliary loss", sum(square(h)) + sum(square(stop_gradient(h - z) - tanh(z)))},
      {"vector quantisation", sum(square(stop_gradient(h) - nearest)) +
                                  0.25 * sum(square(h - stop_gradient(nearest))) +
                                  sum(square(h + stop_gradient(nearest - h) - 1))},
      {"a held norm", sum(h / stop_gradient(norm(h)))},
      {"held twice", sum(h * stop_gradient(h * stop_gradient(z)))},
      {"a parameter, half held", sum(V * stop_gradient(V)) + sum(h)},
  };
}

}  // namespace

TEST_CASE("check_grad holds what stop_gradient() holds, and says so") {
  const Shared W(random({4, 3}, 1), "W"), V(random({3, 3}, 2), "V");
  const Expr h = tanh(dot(constant(random({5, 4}, 3)), W));
  for (const auto& [label, held] : held_costs(h, V)) {
    const auto& name = label;
    const Expr& cost = held;
    for (const int order : {1, 2}) {
      CAPTURE(name);
      CAPTURE(order);
      const GradCheck check =
          check_grad(cost, {W, V}, {}, {.order = order, .disconnected = Disconnected::zero});
      CHECK_MESSAGE(check.ok, check.report);
      CHECK_FALSE(check.held.empty());
      CHECK(check.report.find("held: stop_gradient(") != std::string::npos);
      CHECK(check.report.find("check_grad.cpp:") != std::string::npos);
    }
    // Where it moves, differences see a slope that is not passed on.
    const GradCheck moving =
        check_grad(cost, {W, V}, {}, {.disconnected = Disconnected::zero, .hold_stopped = false});
    CHECK_FALSE_MESSAGE(moving.ok, name);
    CHECK(moving.held.empty());
    // And a gradient that is wrong is so beside a value that is held.
    const GradCheck wrong = check_grad(cost + sum(apply(wrong_sign, {W})), {W, V}, {},
                                       {.disconnected = Disconnected::zero});
    CHECK(wrong.verdict == Verdict::wrong);
  }
}

TEST_CASE("check_grad holds what grad() is told to treat as constants") {
  const Shared W(random({4, 3}, 1), "W");
  const Expr s = square(W), e = exp(s);
  for (const auto& held : {std::vector<Expr>{s}, {e}, {s, e}, {dmatrix("elsewhere")}}) {
    for (const int order : {1, 2}) {
      const GradCheck check = check_grad(sum(W * s * e) + sum(sin(W) * e), W, {},
                                         {.order = order, .consider_constant = held});
      CHECK_MESSAGE(check.ok, check.report);
    }
  }
  const Expr cost = sum(W * s);
  const auto along = [&](const std::vector<Expr>& held) {
    return check_grad(cost, W, {}, {.consider_constant = held}).orders[0].along[0].analytic;
  };
  CHECK(along({}) == doctest::Approx(3 * along({s})).epsilon(1e-10));
}

TEST_CASE("a kink is neither right nor wrong, and the report says what was skipped") {
  const Shared zero(Tensor(DType::float64, {3}), "zero"), W(random({3}, 2), "W");
  for (const Expr& kink : {sum(relu(zero)), sum(abs(zero)), max(zero), sum(floor(zero)),
                           sum(maximum(zero, 2 * zero)), sum(where(zero > 0, 1.0, zero))}) {
    const GradCheck check = check_grad(kink + sum(square(W)), {zero, W}, {},
                                       {.disconnected = Disconnected::zero, .title = "my cost"});
    std::ostringstream printed;
    printed << check;
    CAPTURE(printed.str());
    CHECK_FALSE(check.ok);
    CHECK(check.verdict == Verdict::undecided);
    CHECK(printed.str().starts_with("my cost: undecided here"));
    CHECK(printed.str().find("gradients are wrong") == std::string::npos);
    CHECK(printed.str().find("zero alone: skipped, undecided") != std::string::npos);
    CHECK(printed.str().find("W alone: analytic") != std::string::npos);
    // What is wrong beside it is found all the same.
    const GradCheck wrong = check_grad(kink + sum(apply(wrong_sign, {W})), {zero, W}, {},
                                       {.disconnected = Disconnected::zero});
    CHECK(wrong.verdict == Verdict::wrong);
  }
}

TEST_CASE("staircases are derivatives of what is flat in pieces, and a missing slope is none") {
  const Shared x(random({6}, 1), "x");
  const Expr w = constant(random({6}, 2, 0.5, 1.5));
  // First derivatives that jump nearby, and stand still here.
  for (const Expr& cost : {sum(w * abs(x)), sum(w * relu(x)), max(w * abs(x)), norm(x, 1),
                           max(w * x) - min(x), sum(w * hard_sigmoid(3 * x))}) {
    const GradCheck check = check_grad(cost, x, 2);
    CHECK_MESSAGE(check.ok, check.report);
  }
  // The slope of a product that is lost is not, whatever jumps beside it.
  for (const Expr& beside : {sum(abs(x)), max(abs(x)), 100.0 * sum(relu(x))}) {
    const GradCheck check = check_grad(beside + sum(w * apply(wrong_second, {x})), x, 2);
    CHECK_MESSAGE(!check.ok, check.report);
  }
}

TEST_CASE("check_grad ends where a large parameter is wrong, and shows signs of life") {
  const Shared X(random({2000, 200}, 1), "X");
  const GradCheck check =
      check_grad(sum(apply(wrong_at_one, {X})), X, {}, {.entries = 100000, .seconds = 0.2});
  REQUIRE_FALSE(check.ok);
  CHECK(check.orders[0].entries.size() < 100000);
}

TEST_CASE("check_grad says what rules give, and compares the rest of the gradient") {
  const Shared W(random({4, 3}, 1), "W"), V(random({3, 3}, 2), "V");
  const Expr h = tanh(dot(constant(random({5, 4}, 3)), W));
  const Expr quantised = with_gradient(round(4 * h) / 4, h, [](const Expr& g) { return g; });
  const Expr squared = with_gradient(square(h), h, [&](const Expr& g) { return 2 * g * h; });
  const Expr cost = sum(square(dot(quantised, V) - 0.3)) + sum(squared * h) + sum(square(tanh(W)));
  for (const int order : {1, 2}) {
    const GradCheck check = check_grad(cost, {W, V}, {}, {.order = order});
    CHECK_MESSAGE(check.ok, check.report);
    REQUIRE(check.given.size() == 2);
    CHECK(check.held.empty());
    const bool first = check.given[1].same;  // In the order of the graph.
    const GivenGradient &wrong = check.given[first ? 0 : 1], &right = check.given[first ? 1 : 0];
    CHECK_FALSE(wrong.same);
    CHECK(wrong.by.numeric == 0);
    CHECK(std::abs(wrong.by.analytic) > 1e-3);
    CHECK(right.same);
    CHECK(right.by.numeric == doctest::Approx(right.by.analytic));
    CHECK(wrong.what.find("with_gradient(") == 0);
    CHECK(wrong.what.find("check_grad.cpp:") != std::string::npos);
    for (const char* part : {"given: with_gradient(", ", by the rule ", "the value's own slope 0\n",
                             ", as is the value's own slope\n"})
      CHECK_MESSAGE(check.report.find(part) != std::string::npos, check.report);
  }
  // A parameter that is reached by a rule alone is no error, and one that is not at all is.
  CHECK(check_grad(sum(quantised), W));
  CHECK_THROWS_AS(check_grad(sum(quantised), {W, V}), GradError);
  // Where the value moves, its slope is not that of the rule.
  const GradCheck moving = check_grad(cost, {W, V}, {}, {.hold_given = false});
  CHECK_FALSE(moving.ok);
  CHECK(moving.given.empty());
  CHECK(check_grad(sum(squared * h), W, {}, {.order = 2, .hold_given = false}));
  // A gradient that is wrong is so beside a rule.
  CHECK(check_grad(cost + sum(apply(wrong_sign, {W})), {W, V}).verdict == Verdict::wrong);
  // At a kink of the value nothing is told.
  const Shared zero(Tensor(DType::float64, {3}), "zero");
  const Expr kink = with_gradient(abs(zero), zero, [](const Expr& g) { return 0.5 * g; });
  const GradCheck untold = check_grad(sum(kink) + sum(square(zero)), zero);
  CHECK_MESSAGE(untold.report.find("not told here") != std::string::npos, untold.report);
}
