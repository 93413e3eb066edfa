#include "cinch/core/derivatives.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor real(const Shape& shape, std::mt19937& random) {
  return random_tensor(DType::float64, shape, random, -1, 1);
}

/// A small contractive encoder and what is made of it.
struct Encoder {
  std::mt19937 random{3};
  Expr x = dmatrix("x"), W = dmatrix("W"), b = dvector("b");
  std::vector<Binding> at{
      {x, real({5, 4}, random)}, {W, real({4, 3}, random)}, {b, real({3}, random)}};
  Expr h = sigmoid(dot(x, W) + b), z = sigmoid(dot(h, transpose(W)));
  Expr losses = sum(square(z - x), 1);
};

Tensor value(const Expr& e, const std::vector<Binding>& at) { return evaluate(e, at); }

/// Values of f at x + t v for t = +-step, +-2 step, as a fourth-order difference.
template <class F>
Tensor slope(F&& f, std::vector<Binding> at, std::size_t which, const Tensor& v) {
  constexpr double step = 1e-3;
  const Tensor x = at[which].second;
  std::vector<Tensor> values;
  for (const double t : {-2., -1., 1., 2.}) {
    at[which].second = x;
    for (std::size_t k = 0; k < v.data<double>().size(); ++k)
      at[which].second.data<double>()[k] += t * step * v.data<double>()[k];
    values.push_back(f(at));
  }
  Tensor result = values[0];
  for (std::size_t k = 0; k < result.data<double>().size(); ++k) {
    const auto y = [&](std::size_t i) { return values[i].data<double>()[k]; };
    result.data<double>()[k] = (y(0) - 8 * y(1) + 8 * y(2) - y(3)) / (12 * step);
  }
  return result;
}

}  // namespace

TEST_CASE("Rop is the derivative along a direction") {
  Encoder m;
  for (const Expr& y : {m.h, m.z, m.losses, log_softmax(dot(m.x, m.W)), sum(m.z)}) {
    for (std::size_t k = 0; k < 3; ++k) {
      const Tensor v = real(m.at[k].second.shape(), m.random);
      if (k == 2 && y == log_softmax(dot(m.x, m.W))) continue;
      std::vector<Binding> at = m.at;
      const Expr direction = variable("v", DType::float64, Shape(v.shape().size(), -1));
      at.emplace_back(direction, v);
      Expr along;
      try {
        along = Rop(y, m.at[k].first, direction);
      } catch (const GradError&) {
        CHECK(k == 2);  // log_softmax has no bias.
        continue;
      }
      const Tensor numeric =
          slope([&](const std::vector<Binding>& p) { return value(y, p); }, m.at, k, v);
      CHECK(distance(value(along, at), numeric) < 1e-9);
    }
  }
}

TEST_CASE("a vector has the shape of what it belongs to: of any rank, with sizes known or not") {
  std::mt19937 random(5);
  const std::vector<Shape> shapes{{}, {1}, {3}, {2, 3}, {3, 2}, {1, 3}, {2, 1}, {2, 2, 3}};
  const auto products = [](const Expr& x, const Expr& v) {
    return std::vector<std::pair<const char*, std::function<Expr()>>>{
        {"Lop", [=] { return Lop(x, x, v); }},
        {"Lop", [=] { return Lop(exp(x), x, v); }},
        {"Rop", [=] { return Rop(exp(x), x, v); }},
        {"vjp", [=] { return vjp(exp(x), x, v)[0]; }},
        {"Rop", [=] { return jvp(exp(x), x, v)[0]; }},
        {"hessian_vector", [=] { return hessian_vector(sum(exp(x)), x, v); }},
    };
  };
  for (const Shape& of : shapes) {
    for (const Shape& given : shapes) {
      for (const bool known : {true, false}) {
        CAPTURE(text(of));
        CAPTURE(text(given));
        CAPTURE(known);
        const auto sizes = [&](const Shape& s) { return known ? s : Shape(s.size(), -1); };
        const Expr x = variable("x", DType::float64, sizes(of)),
                   v = variable("v", DType::float64, sizes(given));
        const std::vector<Binding> at{{x, real(of, random)}, {v, real(given, random)}};
        for (const auto& [product_name, product] : products(x, v)) {
          const char* name = product_name;
          CAPTURE(name);
          if (of == given) {
            CHECK(value(product(), at).shape() == of);
            continue;
          }
          const auto run = [&at, make = product] { value(make(), at); };
          CHECK_THROWS_WITH_AS(run(), doctest::Contains(name), TypeError);
        }
      }
    }
  }
}

TEST_CASE("Rop and Lop are transposes of each other, for several inputs and outputs at once") {
  Encoder m;
  const std::vector<Expr> y{m.h, m.z}, wrt{m.W, m.b};
  const Expr u1 = dmatrix("u1"), u2 = dmatrix("u2"), vW = dmatrix("vW"), vb = dvector("vb");
  std::vector<Binding> at = m.at;
  at.emplace_back(u1, real({5, 3}, m.random));
  at.emplace_back(u2, real({5, 4}, m.random));
  at.emplace_back(vW, real({4, 3}, m.random));
  at.emplace_back(vb, real({3}, m.random));
  const std::vector<Expr> u{u1, u2}, v{vW, vb};
  const auto forward = jvp(y, wrt, v), backward = vjp(y, wrt, u);
  const double a = value(sum(forward[0] * u1) + sum(forward[1] * u2), at).item(),
               b = value(sum(backward[0] * vW) + sum(backward[1] * vb), at).item();
  CHECK(a == doctest::Approx(b).epsilon(1e-12));
  // Zero where there is no way.
  const Expr other = dmatrix("other");
  CHECK(value(sum(abs(jvp(std::vector{2 * other}, std::vector{m.x}, std::vector{m.x})[0])),
              {{m.x, m.at[0].second}, {other, real({5, 4}, m.random)}})
            .item() == 0);
}

TEST_CASE("the full Jacobian has the axes of both, also where examples mix") {
  Encoder m;
  const Expr centered = m.h - mean(m.h, 0, true);
  CHECK_THROWS_WITH_AS(jacobian(centered, m.x), doctest::Contains("jacobian_full()"), GradError);
  const Tensor J = value(jacobian_full(centered, m.x), m.at);
  CHECK(J.shape() == Shape{5, 3, 5, 4});
  for (const std::size_t j : {std::size_t{0}, std::size_t{7}, std::size_t{19}}) {
    Tensor v(DType::float64, {5, 4});
    v.data<double>()[j] = 1;
    const Tensor column =
        slope([&](const std::vector<Binding>& p) { return value(centered, p); }, m.at, 0, v);
    for (std::size_t i = 0; i < 15; ++i)
      CHECK(J.data<double>()[i * 20 + j] ==
            doctest::Approx(column.data<double>()[i]).epsilon(1e-8));
  }
  // A scalar's Jacobian is its gradient.
  CHECK(distance(value(jacobian_full(sum(m.losses), m.W), m.at),
                 value(grad(sum(m.losses), m.W), m.at)) < 1e-13);
}

TEST_CASE("Hessians of closed forms") {
  std::mt19937 random(1);
  const Expr x = dvector("x"), A = dmatrix("A");
  const Tensor xv = real({4}, random), Av = real({4, 4}, random);
  // x'Ax: A + A'.
  const Expr quadratic = dot(x, dot(A, x));
  CHECK(distance(value(hessian(quadratic, x), {{x, xv}, {A, Av}}),
                 value(A + transpose(A), {{A, Av}})) < 1e-13);
  // log sum exp: diag(p) - pp'.
  const Expr p = softmax(x);
  CHECK(distance(value(hessian(logsumexp(x, 0), x), {{x, xv}}),
                 value(eye(4, DType::float64) * p - outer(p, p), {{x, xv}})) < 1e-13);
  // Third order: d^3 sum(x^4) / dx^3 = 24 x on the diagonal.
  const Expr third = jacobian_full(hessian(sum(pow(x, 4)), x), x);
  const Tensor t = value(third, {{x, xv}});
  for (std::int64_t i = 0; i < 64; ++i) {
    const bool diagonal = i / 16 == i / 4 % 4 && i / 4 % 4 == i % 4;
    CHECK(t.at(i) == doctest::Approx(diagonal ? 24 * xv.at(i % 4) : 0));
  }
  // A linear cost has none.
  CHECK(value(hessian(sum(2 * x), x), {{x, xv}}) == Tensor(DType::float64, {4, 4}));
}

TEST_CASE("blocks of a Hessian and Hessian-vector products agree with differences of gradients") {
  Encoder m;
  const Expr cost = sum(m.losses) + 0.1 * sum(square(jacobian(m.h, m.x)));
  const std::vector<Expr> wrt{m.W, m.b};
  const auto blocks = hessian(cost, wrt);
  CHECK(value(blocks[0][1], m.at).shape() == Shape{4, 3, 3});
  const Tensor vW = real({4, 3}, m.random);
  const Expr v = dmatrix("v");
  std::vector<Binding> at = m.at;
  at.emplace_back(v, vW);
  const std::vector<Expr> direction{v, 0 * m.b};
  const auto products = hessian_vector(cost, wrt, direction);
  const auto gradients = grad(cost, wrt);
  for (std::size_t a = 0; a < 2; ++a) {
    const Tensor numeric =
        slope([&](const std::vector<Binding>& p) { return value(gradients[a], p); }, m.at, 1, vW);
    CHECK(distance(value(products[a], at), numeric) < 1e-8);
    // The block of W times v.
    const std::int64_t inner = 12, outer_count = a == 0 ? 12 : 3;
    const Tensor block = value(blocks[a][0], m.at), product = value(products[a], at);
    for (std::int64_t i = 0; i < outer_count; ++i) {
      double total = 0;
      for (std::int64_t j = 0; j < inner; ++j) total += block.at(i * inner + j) * vW.at(j);
      CHECK(product.at(i) == doctest::Approx(total).epsilon(1e-11));
    }
  }
}

TEST_CASE("diagonals and traces are those of the whole") {
  Encoder m;
  const Tensor J = value(jacobian(m.z, m.x), m.at),
               diagonal = value(jacobian_diagonal(m.z, m.x), m.at),
               traces = value(divergence(m.z, m.x), m.at);
  for (std::int64_t n = 0; n < 5; ++n) {
    double trace = 0;
    for (std::int64_t i = 0; i < 4; ++i) {
      CHECK(diagonal.at(n * 4 + i) == doctest::Approx(J.at(n * 16 + i * 5)).epsilon(1e-12));
      trace += J.at(n * 16 + i * 5);
    }
    CHECK(traces.at(n) == doctest::Approx(trace).epsilon(1e-12));
  }
  const Expr cost = sum(m.losses), mixed = square(sum(m.z));
  for (const Expr& c : {cost, mixed}) {
    const Tensor H = value(hessian(c, m.x), m.at), d = value(hessian_diagonal(c, m.x), m.at);
    CHECK(d.shape() == Shape{5, 4});
    for (std::int64_t i = 0; i < 20; ++i)
      CHECK(d.at(i) == doctest::Approx(H.at(i * 21)).epsilon(1e-11));
  }
  CHECK(value(hessian_diagonal(sum(exp(m.b)), m.b), m.at) == value(exp(m.b), m.at));
}

TEST_CASE("per-example gradients are those of each example alone") {
  Encoder m;
  const std::vector<Expr> wrt{m.W, m.b};
  const auto each = per_example_grad(m.losses, wrt);
  const Tensor gW = value(each[0], m.at),
               norms = value(per_example_grad_norms(m.losses, wrt), m.at);
  CHECK(gW.shape() == Shape{5, 4, 3});
  for (std::int64_t n = 0; n < 5; ++n) {
    const auto alone = grad(at(m.losses, n), wrt);
    const Tensor a = value(alone[0], m.at), b = value(alone[1], m.at);
    double squares = 0;
    for (std::int64_t k = 0; k < 12; ++k) {
      CHECK(gW.at(n * 12 + k) == doctest::Approx(a.at(k)).epsilon(1e-12));
      squares += a.at(k) * a.at(k);
    }
    for (std::int64_t k = 0; k < 3; ++k) squares += b.at(k) * b.at(k);
    CHECK(norms.at(n) == doctest::Approx(std::sqrt(squares)).epsilon(1e-12));
  }
  CHECK(distance(value(sum(each[0], 0), m.at), value(grad(sum(m.losses), m.W), m.at)) < 1e-12);
}

TEST_CASE("per-example gradients and Jacobians are of each example in what is taken of them next") {
  Encoder m;
  // Element (n, i..., j...) of the Jacobian is element (n, i..., n, j...) of the whole one.
  const auto check = [&](const Expr& g, const Expr& x) {
    const Tensor J = value(jacobian(g, x), m.at), whole = value(jacobian_full(g, x), m.at);
    const std::int64_t n = J.shape()[0], inputs = 4, outputs = J.size() / (n * inputs);
    REQUIRE(whole.size() == J.size() * n);
    double most = 0;
    for (std::int64_t e = 0; e < n; ++e) {
      for (std::int64_t i = 0; i < outputs; ++i) {
        for (std::int64_t other = 0; other < n; ++other) {
          for (std::int64_t j = 0; j < inputs; ++j) {
            const double all = whole.at(((e * outputs + i) * n + other) * inputs + j);
            const double one = other == e ? J.at((e * outputs + i) * inputs + j) : 0;
            CHECK(all == doctest::Approx(one).epsilon(1e-11).scale(1));
            most = std::max(most, std::abs(one));
          }
        }
      }
    }
    CHECK(most > 1e-3);
  };
  for (const Expr& losses : {m.losses, sum(square(m.h), 1), sum(tanh(m.z), 1) * sum(m.h, 1)}) {
    for (const Expr& g : per_example_grad(losses, std::vector<Expr>{m.W, m.b})) {
      check(g, m.x);
      check(square(g) + 1, m.x);
    }
  }
  check(jacobian(m.h, m.x), m.x);
  check(jacobian(m.z, m.h), m.x);
  // Losses whose examples mix have no such Jacobian, nor has a sum over examples.
  const Expr mixed = sum(m.h - mean(m.h, 0), 1);
  CHECK_THROWS_WITH_AS(jacobian(per_example_grad(mixed, m.W), m.x),
                       doctest::Contains("examples mix"), GradError);
  CHECK_THROWS_AS(jacobian(per_example_grad(m.losses, m.W) + grad(sum(m.losses), m.W), m.x),
                  GradError);
}

TEST_CASE("every derivative can be differentiated again") {
  Encoder m;
  const Expr v = dmatrix("v"), vW = dmatrix("vW");
  std::vector<Binding> at = m.at;
  at.emplace_back(v, real({5, 4}, m.random));
  at.emplace_back(vW, real({4, 3}, m.random));
  const Expr cost = sum(m.losses);
  const std::vector<Expr> wrt{m.W, m.b};
  const Expr costs[] = {
      sum(square(Rop(m.h, m.x, v))),          sum(square(hessian_vector(cost, m.W, vW))),
      sum(square(divergence(m.z, m.x))),      sum(per_example_grad_norms(m.losses, wrt)),
      sum(tanh(jacobian_diagonal(m.z, m.x))), sum(square(hessian(sum(m.h), m.b)))};
  for (const Expr& c : costs) {
    const GradCheck check = check_grad(c, wrt, at, {.order = 2, .tolerance = 1e-6});
    CAPTURE(check.report);
    CHECK(check.ok);
  }
}

TEST_CASE("derivatives store no array that their result does not need") {
  const std::int64_t batch = 20, visible = 300, hidden = 200;
  std::mt19937 random(5);
  const Expr x = dmatrix("x"), W = dmatrix("W"), v = dmatrix("v");
  const Expr h = sigmoid(dot(x, W)), z = sigmoid(dot(h, transpose(W)));
  const Expr losses = sum(square(z - x), 1);
  const auto arena = [&](const Expr& e) {
    const Function f = function({.inputs = {x, W, v}, .outputs = {e}, .allow_unused_inputs = true});
    f({real({batch, visible}, random), real({visible, hidden}, random),
       real({batch, visible}, random)});
    return f.arena_bytes();
  };
  const std::size_t matrix = 8 * visible * hidden, row = 8 * batch * (visible + hidden);
  const std::size_t jacobian_bytes = 8 * batch * visible * hidden;  // 9.6 MB
  CHECK(arena(Rop(h, x, v)) < 3 * row);
  CHECK(arena(sum(square(jacobian(h, x)))) < 3 * row);
  CHECK(arena(sum(per_example_grad_norms(sum(square(h), 1), std::vector{W}))) < 4 * row);
  CHECK(arena(divergence(z, x)) < 3 * matrix + 4 * row);
  CHECK(arena(grad(sum(square(jacobian(h, x))), W)) < 4 * matrix + 4 * row);
  CHECK(arena(hessian_vector(sum(losses), W, W)) < 8 * matrix);
  CHECK(8 * matrix < jacobian_bytes);
}

TEST_CASE("Hutchinson's estimates agree with the exact values within their errors") {
  Encoder m;
  RandomStreams random(9);
  for (const Probe probe : {Probe::rademacher, Probe::normal}) {
    const HutchinsonOptions options{.probes = 2000, .probe = probe};
    const struct {
      Estimate estimate;
      Expr exact;
    } rows[] = {{divergence_estimate(m.z, m.x, random, options), divergence(m.z, m.x)},
                {jacobian_norm2_estimate(m.h, m.x, random, options),
                 sum(square(jacobian(m.h, m.x)), {1, 2})},
                {hessian_trace_estimate(sum(m.losses), m.x, random, options),
                 sum(hessian_diagonal(sum(m.losses), m.x))}};
    for (const auto& [estimate, exact] : rows) {
      const Function f = function({.inputs = {m.x, m.W, m.b},
                                   .outputs = {estimate.mean, estimate.standard_error, exact},
                                   .allow_unused_inputs = true});
      const auto values = f({m.at[0].second, m.at[1].second, m.at[2].second});
      const auto again = f({m.at[0].second, m.at[1].second, m.at[2].second});
      CHECK_FALSE(values[0] == again[0]);  // Other probes.
      for (std::int64_t k = 0; k < values[0].size(); ++k) {
        const double error = values[1].at(k);
        CHECK(error > 0);
        CHECK(error < 0.1 * (1 + std::abs(values[2].at(k))));
        CHECK(std::abs(values[0].at(k) - values[2].at(k)) < 5 * error);
      }
    }
  }
  CHECK_THROWS_WITH_AS(divergence_estimate(m.z, m.x, random, {.probes = 1}),
                       doctest::Contains("take at least 2"), ValueError);
  // With fixed probes an estimate has a gradient like anything else.
  const Expr penalty = sum(jacobian_norm2_estimate(m.h, m.x, random, {.probes = 3}).mean);
  const GradCheck check = check_grad(penalty, std::vector{m.W}, m.at);
  CAPTURE(check.report);
  CHECK(check.ok);
}

TEST_CASE("mistakes with derivatives are explained") {
  const Expr x = variable("x", DType::float64, {5, 4}), y = 2 * x,
             v = variable("v", DType::float64, {4});
  const Expr other = dmatrix("other");
  CHECK_THROWS_WITH_AS(Rop(y, x, v),
                       doctest::Contains("a vector must have the shape of what it belongs to"),
                       TypeError);
  CHECK_THROWS_WITH_AS(Rop(y, x, v), doctest::Contains("derivatives.cpp:"), TypeError);
  CHECK_THROWS_WITH_AS(Rop(y, other, other), doctest::Contains("other"), GradError);
  CHECK_THROWS_WITH_AS(hessian_vector(sum(y), std::vector{x}, std::vector<Expr>{}),
                       doctest::Contains("there are 1 expressions and 0 vectors"), TypeError);
  CHECK_THROWS_AS(hessian(y, x), TypeError);
  CHECK_THROWS_WITH_AS(jacobian_diagonal(variable("z", DType::float64, {5, 3}), x),
                       doctest::Contains("is 3 by 4, not square"), TypeError);
  CHECK_THROWS_WITH_AS(per_example_grad(y, x), doctest::Contains("one number an example"),
                       TypeError);
}

TEST_CASE("a cost, its gradient and its Hessian see the same draw, each call a new one") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    RandomStreams streams(8);
    const Expr x = dmatrix("x"), sd = dscalar("sd");
    std::mt19937 random(4);
    const Shared W(random_tensor(DType::float64, {6, 3}, random), "W");
    const Tensor values = random_tensor(DType::float64, {5, 6}, random),
                 direction = random_tensor(DType::float64, {6, 3}, random);
    const Expr noise = streams.normal(sizes(x), 0.0, 1.0, DType::float64),
               mask = streams.binomial(sizes(x), 1, 0.5, DType::float64);
    const Expr noisy = mask * (x + sd * noise), v = constant(direction);
    const Expr cost = sum(square(square(dot(noisy, W))));
    const Function f = function({.inputs = {x, sd},
                                 .outputs = {cost, noisy, noise, grad(cost, W),
                                             hessian_vector(cost, W, v), grad(cost, sd), mask},
                                 .mode = mode});
    const Shared state = streams.states()[0];
    const Tensor before = state.get();
    const auto first = f({values, 0.4}), second = f({values, 0.4});
    CHECK(!(first[2] == second[2]));
    CHECK(!(first[6] == second[6]));
    for (const auto& out : {first, second}) {
      // The same with the draws as inputs.
      const Expr drawn = dmatrix("drawn"), kept = dmatrix("kept");
      const Expr again = sum(square(square(dot(kept * (x + sd * drawn), W))));
      const auto expected =
          function({x, sd, drawn, kept}, {again, grad(again, W), hessian_vector(again, W, v),
                                          grad(again, sd)})({values, 0.4, out[2], out[6]});
      CHECK(distance(out[0], expected[0]) < 1e-12);
      CHECK(distance(out[3], expected[1]) < 1e-12);
      CHECK(distance(out[4], expected[2]) < 1e-12);
      CHECK(distance(out[5], expected[3]) < 1e-12);
    }
    Shared again = state;
    again.set(before);
    Shared mask_state = streams.states()[1];
    mask_state.set(Tensor::from<std::int64_t>({3}, {8, 1, 0}));
    const auto third = f({values, 0.4});
    for (std::size_t k = 0; k < third.size(); ++k) CHECK(third[k] == first[k]);
  }
}

TEST_CASE("lists of stored variables do for parameters, in braces or as a model hands them out") {
  const Expr x = dvector("x");
  std::mt19937 random(4);
  const Shared a(random_tensor(DType::float64, {4}, random), "a"),
      b(random_tensor(DType::float64, {4}, random), "b");
  const std::vector<Shared> params{a, b};
  const Expr y = exp(a * x) * b, cost = sum(y);
  const std::vector<Expr> v{constant(Tensor::full(DType::float64, {4}, 2)),
                            constant(Tensor::full(DType::float64, {4}, 3))};
  const Tensor value = random_tensor(DType::float64, {4}, random);
  const std::vector<Expr> as_expressions{a, b};
  const auto same = [&](const std::vector<Expr>& one, const std::vector<Expr>& other) {
    REQUIRE(one.size() == other.size());
    for (std::size_t k = 0; k < one.size(); ++k)
      CHECK(evaluate(one[k], {{x, value}}) == evaluate(other[k], {{x, value}}));
  };
  same(hessian_vector(cost, params, v), hessian_vector(cost, as_expressions, v));
  same({Rop(y, params, v)}, {Rop(y, as_expressions, v)});
  same(Lop(y, params, x), Lop(y, {a, b}, x));
  same(hessian(cost, params)[0], hessian(cost, {a, b})[0]);
  same(per_example_grad(y, params), per_example_grad(y, {a, b}));
  same({per_example_grad_norms(y, params)}, {per_example_grad_norms(y, {a, b})});
  same(vjp({{y, square(y)}}, params, {{x, x}}), vjp({{y, square(y)}}, {a, b}, {{x, x}}));
}
