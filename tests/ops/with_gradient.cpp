// Gradients of the user's own: a rule that states the true one changes nothing, in no derivative.
#include "cinch/ops/with_gradient.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

Tensor random(const Shape& shape, unsigned seed, double low = 0.2, double high = 0.9) {
  std::mt19937 source(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Tensor result(DType::float64, shape);
  for (double& x : result.data<double>()) x = uniform(source);
  return result;
}

void check_close(const Tensor& got, const Tensor& wanted, double tolerance) {
  REQUIRE(got.shape() == wanted.shape());
  REQUIRE(got.dtype() == wanted.dtype());
  for (std::int64_t i = 0; i < got.size(); ++i)
    CHECK(got.at(i) == doctest::Approx(wanted.at(i)).epsilon(tolerance).scale(1));
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

using Unary = Expr (*)(const Expr& x);

/// A function, as ops know it and with the same gradient as a rule.
struct TrueRule {
  const char* name;
  Unary plain, given;
};

const TrueRule true_rules[] = {
    {"by the input", [](const Expr& x) { return sin(x); },
     [](const Expr& x) {
       return with_gradient(sin(x), x, [&](const Expr& g) { return g * cos(x); });
     }},
    {"by the value", [](const Expr& x) { return tanh(x); },
     [](const Expr& x) {
       const Expr y = tanh(x);
       return with_gradient(y, x, [&](const Expr& g) { return g * (1 - square(y)); });
     }},
    {"of a value without a slope", [](const Expr& x) { return exp(x); },
     [](const Expr& x) {
       const Expr y = stop_gradient(exp(x));
       return with_gradient(y, x, [&](const Expr& g) { return g * y; });
     }},
    {"by Lop", [](const Expr& x) { return x * sigmoid(x); },
     [](const Expr& x) {
       const Expr y = x * sigmoid(x);
       return with_gradient(y, x, [&](const Expr& g) { return Lop(y, x, g); });
     }},
    {"of two inputs, one of them in the other", [](const Expr& x) { return x * exp(x) * log(x); },
     [](const Expr& x) {
       const Expr e = exp(x), l = log(x), y = x * e * l;
       return with_gradient(y, {x, e, l}, [&](const Expr& g) {
         return std::vector{g * e * l, g * x * l, g * x * e};
       });
     }},
    {"along an axis", [](const Expr& x) { return softmax(x, 1); },
     [](const Expr& x) {
       const Expr y = softmax(x, 1);
       return with_gradient(
           y, x, [&](const Expr& g) { return y * (g - sum(g * y, 1, /*keepdims=*/true)); });
     }},
    {"with another shape than its input", [](const Expr& x) { return sum(square(x), 1); },
     [](const Expr& x) {
       return with_gradient(sum(square(x), 1), x,
                            [&](const Expr& g) { return 2 * expand_dims(g, 1) * x; });
     }},
    {"one in another", [](const Expr& x) { return sin(square(x)) * x; },
     [](const Expr& x) {
       const Expr s = with_gradient(square(x), x, [&](const Expr& g) { return 2 * g * x; });
       return with_gradient(sin(s) * x, {s, x}, [&](const Expr& g) {
         return std::vector{g * x * cos(s), g * sin(s)};
       });
     }},
    {"of a part of the value", [](const Expr& x) { return exp(sin(x)) + x; },
     [](const Expr& x) {
       const Expr s = sin(x);
       return with_gradient(exp(s), s, [&](const Expr& g) { return g * exp(s); }) + x;
     }},
    {"by a product of matrices", [](const Expr& x) { return dot(x, dot(transpose(x), x)); },
     [](const Expr& x) {
       const Expr A = dot(transpose(x), x), y = dot(x, A);
       return with_gradient(y, {x, A}, [&](const Expr& g) {
         return std::vector{dot(g, transpose(A)), dot(transpose(x), g)};
       });
     }},
    {"grad_scale by 1", [](const Expr& x) { return x * x; },
     [](const Expr& x) { return grad_scale(x, 1) * grad_reverse(x, -1); }},
    {"straight_through of itself", [](const Expr& x) { return exp(x); },
     [](const Expr& x) { return straight_through(1 * exp(x), exp(x)); }},
};

/// A cost of y that its gradient is not constant for.
Expr cost_of(const Expr& y) { return sum(y * y * y) + sum(exp(0.3 * y)); }

}  // namespace

TEST_CASE("rules that state the true gradient change no derivative, to second order") {
  for (const TrueRule& row : true_rules) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      const Expr x = variable("x", dtype, {-1, -1});
      const Tensor at = random({3, 4}, 1).cast(dtype), v = random({3, 4}, 2).cast(dtype);
      const auto all = [&](Unary f) {
        const Expr y = f(x), cost = cost_of(y), g = grad(cost, x);
        const Expr w = constant(v);
        return std::vector<Expr>{cost,
                                 g,
                                 grad(sum(g * g * w), x),
                                 Rop(y, x, w),
                                 Rop(g, x, w),
                                 hessian_vector(cost, x, w),
                                 hessian(cost, x),
                                 jacobian_full(y, x)};
      };
      const std::vector<Expr> plain = all(row.plain), given = all(row.given);
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        for (std::size_t k = 0; k < plain.size(); ++k) {
          CAPTURE(std::string(row.name));
          CAPTURE(k);
          const auto value = [&](const Expr& e) {
            return function({.inputs = {x}, .outputs = {e}, .mode = mode})({at})[0];
          };
          check_close(value(given[k]), value(plain[k]), dtype == DType::float64 ? 1e-10 : 2e-3);
        }
      }
    }
  }
}

TEST_CASE("Jacobians of each example and vectorize() follow a rule") {
  const Tensor at = random({3, 4}, 1), many = random({2, 3, 4}, 2);
  for (const TrueRule& row : true_rules) {
    const std::string name = row.name;
    CAPTURE(name);
    const Expr x = dmatrix("x");
    const Expr plain = row.plain(x), given = row.given(x);
    CHECK(examples_are_separate(plain, x) == examples_are_separate(given, x));
    std::vector<std::pair<Expr, Expr>> both;
    if (examples_are_separate(plain, x)) {
      both.emplace_back(jacobian(given, x), jacobian(plain, x));
      both.emplace_back(grad(sum(square(both[0].first)), x), grad(sum(square(both[0].second)), x));
      if (plain.rank() == 2)
        both.emplace_back(jacobian(jacobian(given, x), x), jacobian(jacobian(plain, x), x));
      const Expr costs = sum(reshape(plain * plain, {size(x, 0), -1}), 1),
                 costs_given = sum(reshape(given * given, {size(x, 0), -1}), 1);
      both.emplace_back(per_example_grad(costs_given, x), per_example_grad(costs, x));
    }
    const Expr xs = constant(many);
    for (const auto& [of_given, of_plain] :
         {std::pair{given, plain}, std::pair{grad(cost_of(given), x), grad(cost_of(plain), x)}})
      both.emplace_back(vectorize(of_given, x, xs), vectorize(of_plain, x, xs));
    // The gradient of what was vectorized.
    const Expr three = variable("xs", DType::float64, {-1, -1, -1});
    both.emplace_back(
        substitute(std::vector{grad(cost_of(vectorize(given, x, three)), three)}, {{three, xs}})[0],
        substitute(std::vector{grad(cost_of(vectorize(plain, x, three)), three)},
                   {{three, xs}})[0]);
    for (const auto& [of_given, of_plain] : both)
      check_close(evaluate(of_given, {{x, at}}), evaluate(of_plain, {{x, at}}), 1e-9);
  }
}

TEST_CASE("a parameter that each of many shares has the gradient of all") {
  const Expr x = dvector("x"), w = dvector("w"), xs = dmatrix("xs");
  const auto product = [](const Expr& a, const Expr& b) {
    return with_gradient(a * b, {a, b}, [=](const Expr& g) { return std::vector{g * b, g * a}; });
  };
  const Expr cost = sum(square(vectorize(product(x, w), x, xs))),
             plain = sum(square(vectorize(x * w, x, xs)));
  const std::vector<Binding> at{{xs, random({3, 4}, 1)}, {w, random({4}, 2)}};
  check_close(evaluate(grad(cost, w), at), evaluate(grad(plain, w), at), 1e-12);
  // And a value without the axis has it, as its derivative has.
  const Expr held = with_gradient(w, x, [&](const Expr& g) { return g * x; });
  const Expr many = vectorize(held, x, xs);
  CHECK(evaluate(many, at).shape() == Shape{3, 4});
  check_close(evaluate(grad(sum(many), xs), at), at[0].second, 1e-12);
}

TEST_CASE("a gradient flows by the rule alone, and to the inputs alone") {
  const Expr x = dvector("x"), w = dvector("w");
  const Tensor x_at = random({4}, 1), w_at = random({4}, 2);
  const std::vector<Binding> at{{x, x_at}, {w, w_at}};
  const Expr y = with_gradient(exp(x) * w, x, [&](const Expr& g) { return 7 * g; });
  check_close(evaluate(y, at), evaluate(exp(x) * w, at), 1e-15);
  check_close(evaluate(grad(sum(y), x), at), Tensor::full(DType::float64, {4}, 7), 1e-15);
  // What else the value is made of is held, and an error where nothing else depends on it.
  const std::string message = message_of([&] { grad(sum(y), w); });
  CHECK(message.find("does not depend on w") != std::string::npos);
  CHECK(message.find("through what has no gradient:\n  with_gradient(") != std::string::npos);
  CHECK(message.find("with_gradient.cpp:") != std::string::npos);
  check_close(evaluate(grad(sum(y), w, {.disconnected = Disconnected::zero}), at),
              Tensor(DType::float64, {4}), 1e-15);
  // So is what the rule alone uses, until the gradient is differentiated.
  const Expr z = with_gradient(sign(x), x, [&](const Expr& g) { return g * sin(w) * x; });
  CHECK(message_of([&] { grad(sum(z), w); }).find("does not depend on w") != std::string::npos);
  check_close(evaluate(grad(sum(grad(sum(z), x)), w), at), evaluate(cos(w) * x, at), 1e-12);
  check_close(evaluate(grad(sum(grad(sum(z), x)), x), at), evaluate(sin(w), at), 1e-12);
  // An input without a gradient.
  const Expr half = with_gradient(x * w, {x, w}, [&](const Expr& g) { return std::vector{g * w}; });
  CHECK(message_of([&] { grad(sum(half), w); }).find("no gradient") != std::string::npos);
  check_close(evaluate(grad(sum(half), x), at), w_at, 1e-15);
}

TEST_CASE("what a rule is made of is found by substitute, givens and derivatives") {
  const Expr x = dvector("x"), w = dvector("w"), inner = sin(w);
  const Tensor x_at = random({4}, 1), w_at = random({4}, 2), other = random({4}, 3);
  const Expr z = with_gradient(round(x), x, [&](const Expr& g) { return g * square(inner) * x; });
  const Expr g = grad(sum(z), x);
  const Expr wanted = square(sin(w)) * x;
  check_close(evaluate(g, {{x, x_at}, {w, w_at}}), evaluate(wanted, {{x, x_at}, {w, w_at}}), 1e-14);
  const Expr replaced = substitute(std::span(&z, 1), {{w, constant(other)}})[0];
  check_close(evaluate(grad(sum(replaced), x), {{x, x_at}}),
              evaluate(wanted, {{x, x_at}, {w, other}}), 1e-14);
  const Expr at_inner = substitute(std::span(&z, 1), {{inner, constant(other)}})[0];
  check_close(evaluate(grad(sum(at_inner), x), {{x, x_at}}),
              evaluate(square(constant(other)) * x, {{x, x_at}}), 1e-14);
  check_close(evaluate(substitute(std::span(&g, 1), {{inner, constant(other)}})[0], {{x, x_at}}),
              evaluate(square(constant(other)) * x, {{x, x_at}}), 1e-14);
  const Function given =
      function({.inputs = {x}, .outputs = {g}, .givens = {{w, constant(other)}}});
  check_close(given({x_at})[0], evaluate(wanted, {{x, x_at}, {w, other}}), 1e-14);
  // By an inner node that the rule uses.
  check_close(evaluate(grad(sum(g), inner), {{x, x_at}, {w, w_at}}),
              evaluate(2 * sin(w) * x, {{x, x_at}, {w, w_at}}), 1e-13);
  // By one of the value's.
  const Expr e = exp(x), y = with_gradient(sin(e), e, [&](const Expr&c) { return c * cos(e); });
  check_close(evaluate(grad(sum(y * y), e), {{x, x_at}}),
              evaluate(2 * sin(e) * cos(e), {{x, x_at}}), 1e-13);
  check_close(evaluate(grad(sum(grad(sum(y * y), x)), e), {{x, x_at}}),
              evaluate(grad(sum(grad(sum(square(sin(e))), x)), e), {{x, x_at}}), 1e-12);
  check_close(
      evaluate(grad(sum(y * y), x, {.consider_constant = {y}, .disconnected = Disconnected::zero}),
               {{x, x_at}}),
      Tensor(DType::float64, {4}), 1e-15);
}

TEST_CASE("examples that a rule mixes are refused, and those that it keeps apart are not") {
  const Expr x = dmatrix("x");
  const auto with = [&](const std::function<Expr(const Expr&)>& rule) {
    return with_gradient(round(4 * x), x, rule);
  };
  CHECK(examples_are_separate(with([](const Expr& g) { return 3 * g; }), x));
  CHECK(examples_are_separate(
      with([&](const Expr& g) { return g * mean(stop_gradient(g), 1, true); }), x));
  CHECK_FALSE(examples_are_separate(
      with([](const Expr& g) { return g - mean(g, 0, /*keepdims=*/true); }), x));
  CHECK_FALSE(
      examples_are_separate(with([&](const Expr& g) { return broadcast_like(sum(g), x); }), x));
  const std::string message =
      message_of([&] { jacobian(with([](const Expr& g) { return flip(g, 0); }), x); });
  CHECK(message.find("examples mix in with_gradient(") != std::string::npos);
  // Examples folded with another axis, as positions of images are.
  const Expr images = variable("images", DType::float64, {5, 2, 3, 4});
  const Expr flat = reshape(images, {-1, 4});
  const Expr coded = reshape(straight_through(round(flat), flat), {5, 24});
  CHECK(examples_are_separate(coded, images));
  CHECK(evaluate(jacobian(coded, images), {{images, random({5, 2, 3, 4}, 1)}}).shape() ==
        Shape{5, 24, 2, 3, 4});
  CHECK_FALSE(examples_are_separate(
      reshape(with_gradient(round(flat), flat, [](const Expr& g) { return flip(g, 0); }), {5, 24}),
      images));
}

TEST_CASE("straight_through, grad_clip, grad_scale and grad_reverse do what their names say") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr x = variable("x", dtype, {-1});
    const Tensor at = Tensor::from<double>({4}, {-2, -0.3, 0.4, 5}).cast(dtype);
    const auto gradient = [&](const Expr& y) {
      CHECK(y.dtype() == dtype);
      return evaluate(
          grad(sum(y * constant(Tensor::from<double>({4}, {-9, -1, 2, 8}).cast(dtype))), x),
          {{x, at}});
    };
    const auto is = [&](const Tensor& got, const std::vector<double>& wanted) {
      check_close(got, Tensor::from<double>({4}, wanted).cast(dtype), 1e-6);
    };
    is(gradient(straight_through(sign(x), x)), {-9, -1, 2, 8});
    is(gradient(straight_through(x > 0, x)), {-9, -1, 2, 8});
    is(evaluate(straight_through(x > 0, x), {{x, at}}), {0, 0, 1, 1});
    is(gradient(grad_clip(x, -2, 3)), {-2, -1, 2, 3});
    is(gradient(grad_scale(x, 0.5)), {-4.5, -0.5, 1, 4});
    is(gradient(grad_scale(x, square(x))), {-36, -0.09, 0.32, 200});
    is(gradient(grad_reverse(x)), {9, 1, -2, -8});
    is(gradient(grad_reverse(x, 2)), {18, 2, -4, -16});
    for (const Expr& same : {grad_clip(x, -2, 3), grad_scale(x, 0.5), grad_reverse(x)})
      CHECK(evaluate(same, {{x, at}}) == at);
  }
  CHECK_THROWS_AS(grad_clip(dvector("x"), 1, -1), ValueError);
  CHECK_THROWS_AS(grad_clip(dvector("x"), std::nan(""), 1), ValueError);
}

TEST_CASE("estimators of the literature are rules of a few lines") {
  const Expr x = dmatrix("x"), t = dvector("t");
  const double e = 0.5;
  // Rajamanoharan et al., "Jumping Ahead", 2024: JumpReLU and its derivative by the threshold.
  const Expr jump = with_gradient(where(x > t, x, 0), {x, t}, [&](const Expr& g) {
    return std::vector{where(x > t, g, 0),
                       sum(-t / e * g * cast(abs(x - t) < e / 2, DType::float64), 0)};
  });
  const Tensor x_at = Tensor::from<double>({3, 2}, {0.1, 0.6, 0.5, 2, 0.9, 0.2}),
               t_at = Tensor::from<double>({2}, {0.4, 0.5});
  const std::vector<Expr> by = grad(sum(jump), {x, t});
  check_close(evaluate(by[0], {{x, x_at}, {t, t_at}}),
              Tensor::from<double>({3, 2}, {0, 1, 1, 1, 1, 0}), 1e-15);
  check_close(evaluate(by[1], {{x, x_at}, {t, t_at}}), Tensor::from<double>({2}, {-0.8, -1}),
              1e-12);

  // van den Oord et al., 2017: the nearest code, straight through.
  const Shared codes(Tensor::from<double>({3, 2}, {0, 0, 1, 1, 2, 0}), "codes");
  const Expr distance = sum(square(expand_dims(x, 1) - codes), 2);
  const Expr nearest = take(codes, argmin(distance, 1));
  const Expr quantised = straight_through(nearest, x);
  check_close(evaluate(quantised, {{x, x_at}}), evaluate(nearest, {{x, x_at}}), 1e-15);
  check_close(evaluate(jacobian(quantised, x), {{x, x_at}}),
              evaluate(jacobian(1 * x, x), {{x, x_at}}), 1e-15);
  CHECK(message_of([&] { grad(sum(quantised), codes); }).find("no gradient") != std::string::npos);

  // Mentzer et al., "Finite Scalar Quantization", 2023.
  const Expr bounded = 2 * tanh(x), fsq = straight_through(round(bounded), bounded);
  check_close(evaluate(grad(sum(fsq * fsq), x), {{x, x_at}}),
              evaluate(2 * round(bounded) * 2 * (1 - square(tanh(x))), {{x, x_at}}), 1e-12);

  // Gradients limited on their way back through time.
  Expr h = x;
  for (int step = 0; step < 3; ++step) h = 10 * grad_clip(h, -1, 1);
  check_close(evaluate(grad(sum(h), x), {{x, x_at}}), Tensor::full(DType::float64, {3, 2}, 1),
              1e-15);
}

TEST_CASE("rules that fit no input are refused with the user's line") {
  const Expr x = dmatrix("x"), n = lvector("n"), f = matrix("f");
  const auto refused = [&](const Expr& input, const std::function<Expr(const Expr&)>& rule) {
    return message_of([&] { with_gradient(exp(x), input, rule); });
  };
  for (const auto& [message, wanted] : {
           std::pair{refused(x, [](const Expr& g) { return sum(g, 0); }),
                     std::string("with_gradient: the rule gives a gradient of float64 (?,)")},
           std::pair{refused(x, [](const Expr& g) { return cast(g, DType::float32); }),
                     std::string("gradient of float32")},
           std::pair{refused(n, [](const Expr& g) { return g; }), std::string("only a float")},
           std::pair{refused(x, nullptr), std::string("empty")},
           std::pair{message_of([&] {
                       with_gradient(exp(x), {x}, [](const Expr& g) { return std::vector{g, g}; });
                     }),
                     std::string("2 gradients for 1 inputs")},
           std::pair{message_of([&] {
                       with_gradient(exp(x), {x, x}, [](const Expr& g) { return std::vector{g}; });
                     }),
                     std::string("given twice")},
           std::pair{message_of([&] {
                       with_gradient(n, {x}, [](const Expr& g) { return std::vector{g}; });
                     }),
                     std::string("the value must be a float")},
           std::pair{message_of([&] {
                       with_gradient(x, std::vector<Expr>{},
                                     [](const Expr& g) { return std::vector{g}; });
                     }),
                     std::string("no inputs")},
       }) {
    CAPTURE(message);
    CHECK(message.find(wanted) != std::string::npos);
    CHECK(message.find("with_gradient.cpp:") != std::string::npos);
  }
  // Sizes that are not known are looked at where the gradient is computed.
  const Expr y = with_gradient(sum(x, 0), x, [](const Expr& g) { return expand_dims(g, 0); });
  const Expr g = grad(sum(y), x);
  CHECK(evaluate(y, {{x, random({2, 3}, 1)}}).shape() == Shape{3});
  CHECK_NOTHROW(evaluate(g, {{x, random({1, 3}, 1)}}));
  const std::string late = message_of([&] { evaluate(g, {{x, random({2, 3}, 1)}}); });
  CAPTURE(late);
  CHECK(late.find("with_gradient") != std::string::npos);
  CHECK(late.find("with_gradient.cpp:") != std::string::npos);
}

TEST_CASE("a rule that is not linear has no Jacobian to multiply by") {
  const Expr x = dvector("x");
  const Expr y = exp(grad_clip(x, -1, 1));
  const std::string message = message_of([&] { Rop(y, x, x); });
  CAPTURE(message);
  CHECK(message.find("Rop: a rule of with_gradient() is not linear") != std::string::npos);
  const Expr batch = dmatrix("batch"), clipped = exp(grad_clip(batch, -1, 1));
  for (const auto& f : std::vector<std::function<Expr()>>{
           [&] { return jacobian(clipped, batch); }, [&] { return jacobian_full(y, x); },
           [&] { return hessian(sum(square(y)), x); }})
    CHECK(message_of([&] { f(); }).find("is not linear in the cotangent") != std::string::npos);
  CHECK_NOTHROW(hessian(sum(square(exp(grad_scale(x, sin(x))))), x));
  CHECK(message.find("with_gradient.cpp:") != std::string::npos);
  CHECK_NOTHROW(evaluate(grad(sum(y), x), {{x, random({3}, 1)}}));
}

TEST_CASE("nothing is left of a rule in what a function computes") {
  const Expr x = dvector("x");
  const Function plain = function({x}, {exp(x) * 2 + x});
  const Expr e = exp(x);
  const Function given = function(
      {x}, {with_gradient(e, x, [&](const Expr& g) { return g * dot(x, x) * e; }) * 2 + x});
  const Tensor at = random({5}, 1);
  CHECK(plain({at})[0] == given({at})[0]);
  CHECK(explain(plain).steps.size() == explain(given).steps.size());
  CHECK(explain(plain).temporary_bytes == explain(given).temporary_bytes);
}
