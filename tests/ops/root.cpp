// Derivatives of functions of lengths where the length is 0: against the same function written in
// the square of the length, without any root.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/rules/even.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Formula = std::function<Expr(const Expr&)>;

constexpr int highest_order = 4;

/// f(r) for a length r, and its even power series: coefficient k belongs to r^2k.
struct Outer {
  const char* name;
  Formula f;
  std::vector<double> series;
  bool removable = std::string_view(name).find('/') != std::string_view::npos;  ///< By r itself.
};

std::vector<Outer> outer_functions() {
  const Expr scale = constant(Tensor(2.0));
  return {
      {"r^2", [](const Expr& r) { return square(r); }, {0, 1, 0}},
      {"r r", [](const Expr& r) { return r * r; }, {0, 1, 0}},
      {"r^4", [](const Expr& r) { return pow(r, 4); }, {0, 0, 1}},
      {"r r r r", [](const Expr& r) { return r * (r * r) * r; }, {0, 0, 1}},
      {"exp(-r^2)", [](const Expr& r) { return exp(-square(r)); }, {1, -1, 0.5}},
      {"exp(-(r / 2)^2)",
       [=](const Expr& r) { return exp(-square(r / scale)); },
       {1, -0.25, 1. / 32}},
      {"(r - 1)^2 + 2 r", [](const Expr& r) { return square(r - 1) + 2 * r; }, {1, 1, 0}},
      {"1 / (1 + r^2)", [](const Expr& r) { return 1 / (1 + pow(r, 2)); }, {1, -1, 1}},
      {"log(1 + r^2)", [](const Expr& r) { return log(1 + square(r)); }, {0, 1, -0.5}},
      {"sqrt(1 + r^2)", [](const Expr& r) { return sqrt(1 + square(r)); }, {1, 0.5, -0.125}},
      {"tanh(r^2)", [](const Expr& r) { return tanh(square(r)); }, {0, 1, 0}},
      {"cosh", [](const Expr& r) { return cosh(r); }, {1, 1. / 2, 1. / 24}},
      {"cos(3 r)", [](const Expr& r) { return cos(3 * r); }, {1, -9. / 2, 81. / 24}},
      {"log_cosh", [](const Expr& r) { return log_cosh(r); }, {0, 1. / 2, -1. / 12}},
      {"log(cosh)", [](const Expr& r) { return log(cosh(r)); }, {0, 1. / 2, -1. / 12}},
      {"1 / cosh", [](const Expr& r) { return 1 / cosh(r); }, {1, -1. / 2, 5. / 24}},
      {"r tanh(r)", [](const Expr& r) { return r * tanh(r); }, {0, 1, -1. / 3}},
      {"r sin(r)", [](const Expr& r) { return r * sin(r); }, {0, 1, -1. / 6}},
      {"r sinh(r)", [](const Expr& r) { return r * sinh(r); }, {0, 1, 1. / 6}},
      {"r arctan(r)", [](const Expr& r) { return r * arctan(r); }, {0, 1, -1. / 3}},
      {"r erf(r)",
       [](const Expr& r) { return r * erf(r); },
       {0, 1.1283791670955126, -1.1283791670955126 / 3}},
      {"r arcsinh(r)", [](const Expr& r) { return r * arcsinh(r); }, {0, 1, -1. / 6}},
      {"tanh^2", [](const Expr& r) { return square(tanh(r)); }, {0, 1, -2. / 3}},
      {"sech^2", [](const Expr& r) { return 1 - square(tanh(r)); }, {1, -1, 2. / 3}},
      {"softplus(r) + softplus(-r)",
       [](const Expr& r) { return softplus(r) + softplus(-r); },
       {1.3862943611198906, 0.25, -1. / 96}},
      {"sigmoid(r) sigmoid(-r)",
       [](const Expr& r) { return sigmoid(r) * sigmoid(-r); },
       {0.25, -1. / 16, 1. / 96}},
      {"r / tanh(r)",
       [](const Expr& r) { return where(r > 0, r / tanh(r), 1); },
       {1, 1. / 3, -1. / 45}},
      {"sin(r) / r, guarded",
       [](const Expr& r) { return where(equal(r, 0), 1, sin(r) / where(equal(r, 0), 1, r)); },
       {1, -1. / 6, 1. / 120}},
      {"(1 - cos(r)) / r^2",
       [](const Expr& r) { return where(r > 0, (1 - cos(r)) / square(r), 0.5); },
       {0.5, -1. / 24, 1. / 720}},
      {"r^4 by a root", [](const Expr& r) { return pow(r * r * r, 4. / 3); }, {0, 0, 1}},
      {"ndtr(r) ndtr(-r)",
       [](const Expr& r) { return ndtr(r) * ndtr(-r); },
       {0.25, -0.5 / 3.14159265358979323846, 0.5 / (3 * 3.14159265358979323846)}},
      {"logaddexp(r, -r)",
       [](const Expr& r) { return logaddexp(r, -r); },
       {0.69314718055994530942, 1. / 2, -1. / 12}},
      {"r logit(1 / 2 + r / 4)",
       [](const Expr& r) { return r * logit(0.5 + r / 4); },
       {0, 1, 1. / 12}},
      {"r erfinv(r)",
       [](const Expr& r) { return r * erfinv(r); },
       {0, 0.88622692545275801365, 0.23201366653465449965}},
      {"log2(2 + r^2)",
       [](const Expr& r) { return log2(2 + square(r)); },
       {1, 0.72134752044448170368, -0.18033688011112042592}},
      {"Huber", [](const Expr& r) { return where(r < 1, 0.5 * square(r), r - 0.5); }, {0, 0.5, 0}},
      {"max(r, 1) + cosh(r)",
       [](const Expr& r) { return maximum(r, 1) + cosh(r); },
       {2, 0.5, 1. / 24}},
  };
}

/// f(r, h) with another value h, and its even power series.
struct Mixed {
  const char* name;
  std::function<Expr(const Expr& r, const Expr& h)> f;
  std::function<std::vector<Expr>(const Expr& h)> series;
};

std::vector<Mixed> mixed_functions() {
  using List = std::vector<Expr>;
  std::vector<Mixed> result{
      {"(h r) tanh(r)", [](const Expr& r, const Expr& h) { return (h * r) * tanh(r); },
       [](const Expr& h) {
         return List{0 * h, h, -h / 3};
       }},
      {"(r - h)^2 + 2 h r", [](const Expr& r, const Expr& h) { return square(r - h) + 2 * h * r; },
       [](const Expr& h) {
         return List{square(h), 1 + 0 * h, 0 * h};
       }},
      {"(r - h) (r + h)", [](const Expr& r, const Expr& h) { return (r - h) * (r + h); },
       [](const Expr& h) {
         return List{-square(h), 1 + 0 * h, 0 * h};
       }},
      {"(1 + h r) exp(-h r)",
       [](const Expr& r, const Expr& h) {
         const Expr u = h * r;  // What is taken off are its odd terms.
         return (1 + u) * exp(-u) - pow(u, 3) / 3 - pow(u, 5) / 30;
       },
       [](const Expr& h) {
         return List{1 + 0 * h, -square(h) / 2, -square(square(h)) / 8};
       }},
      {"cos(h r)", [](const Expr& r, const Expr& h) { return cos(h * r); },
       [](const Expr& h) {
         return List{1 + 0 * h, -square(h) / 2, square(square(h)) / 24};
       }},
      {"exp(h cosh(r))", [](const Expr& r, const Expr& h) { return exp(h * cosh(r)); },
       [](const Expr& h) {
         return List{exp(h), exp(h) * h / 2, exp(h) * (h / 24 + square(h) / 8)};
       }},
      {"Huber of width h",
       [](const Expr& r, const Expr& h) {
         return where(r < h, 0.5 * square(r), h * (r - 0.5 * h));
       },
       [](const Expr& h) {
         return List{0 * h, 0.5 + 0 * h, 0 * h};
       }},
  };
  for (const Outer& outer : outer_functions()) {
    result.push_back({outer.name,
                      [f = outer.f](const Expr& r, const Expr& h) { return exp(h) * f(r); },
                      [c = outer.series](const Expr& h) {
                        return List{c[0] * exp(h), c[1] * exp(h), c[2] * exp(h)};
                      }});
  }
  return result;
}

/// A sum of f(length) over something of x, which is a matrix (3, 2), and of a function of the
/// square.
struct Spelling {
  const char* name;
  std::function<Expr(const Expr&x, const Formula&f)> with_root, with_square;
  Tensor at;  ///< Where all lengths are 0.
};

std::vector<Spelling> spellings() {
  const Tensor zero(DType::float64, {3, 2});
  const Tensor equal_rows = Tensor::from<double>({3, 2}, {1, 2, 1, 2, 1, 2});
  const auto all = [](const Expr& x, const Formula& f) { return f(sum(square(x))); };
  const auto rows = [](const Expr& x, const Formula& f) { return sum(f(sum(square(x), 1))); };
  const auto each = [](const Expr& x, const Formula& f) { return sum(f(square(x))); };
  const auto points = [](const Expr& x) { return expand_dims(x, 0) - expand_dims(x, 1); };
  return {
      {"norm", [](const Expr& x, const Formula& f) { return f(norm(x)); }, all, zero},
      {"sqrt of a sum", [](const Expr& x, const Formula& f) { return f(sqrt(sum(square(x)))); },
       all, zero},
      {"sqrt of x x", [](const Expr& x, const Formula& f) { return f(sqrt(sum(x * x))); }, all,
       zero},
      {"sqrt of dot",
       [](const Expr& x, const Formula& f) { return f(sqrt(dot(flatten(x), flatten(x)))); }, all,
       zero},
      {"Frobenius", [](const Expr& x, const Formula& f) { return f(frobenius_norm(x)); }, all,
       zero},
      {"rows", [](const Expr& x, const Formula& f) { return sum(f(norm(x, 2, 1))); }, rows, zero},
      {"rows, kept", [](const Expr& x, const Formula& f) { return sum(f(norm(x, 2, 1, true))); },
       rows, zero},
      {"hypot",
       [](const Expr& x, const Formula& f) { return sum(f(hypot(at(x, 0, 1), at(x, 1, 1)))); },
       rows, zero},
      {"abs", [](const Expr& x, const Formula& f) { return sum(f(abs(x))); }, each, zero},
      {"sqrt of square", [](const Expr& x, const Formula& f) { return sum(f(sqrt(square(x)))); },
       each, zero},
      {"distances", [=](const Expr& x, const Formula& f) { return sum(f(norm(points(x), 2, 2))); },
       [=](const Expr& x, const Formula& f) { return sum(f(sum(square(points(x)), 2))); },
       equal_rows},
      {"std", [](const Expr& x, const Formula& f) { return sum(f(std_(x, 0))); },
       [](const Expr& x, const Formula& f) { return sum(f(var(x, 0))); }, equal_rows},
  };
}

Tensor as_written(const Expr& y, const std::vector<Binding>& bindings) {
  return cinch::running::interpret(std::span(&y, 1), bindings, /*watch=*/false)[0];
}

/// The derivative in one direction more.
Expr along(const Expr& f, const Expr& x, std::mt19937& random) {
  const Tensor u = random_tensor(DType::float64, {3, 2}, random, 0.5, 1.5).cast(x.dtype());
  return sum(grad(f, x, {.disconnected = Disconnected::zero}) * constant(u));
}

}  // namespace

TEST_CASE("smooth functions of a length have their derivatives where it is 0") {
  for (const Outer& outer : outer_functions()) {
    const Formula in_square = [&](const Expr& s) {
      return outer.series[0] + outer.series[1] * s + outer.series[2] * square(s);
    };
    for (const Spelling& spelling : spellings()) {
      for (const DType dtype : {DType::float64, DType::float32}) {
        const Expr x = variable("x", dtype, {3, 2});
        const std::vector<Binding> at{{x, spelling.at.cast(dtype)}};
        std::mt19937 first(7), second(7);
        Expr f = spelling.with_root(x, outer.f), g = spelling.with_square(x, in_square);
        for (int order = 1; order <= highest_order; ++order) {
          f = along(f, x, first);
          g = along(g, x, second);
          const double expected = as_written(g, at).item();
          CAPTURE(std::string(outer.name));
          CAPTURE(std::string(spelling.name));
          CAPTURE(name(dtype));
          CAPTURE(order);
          const double tolerance = dtype == DType::float64 ? 1e-11 : 2e-4;
          const double checked = as_written(f, at).item();
          CHECK(std::abs(checked - expected) <= tolerance * (1 + std::abs(expected)));
          // Compiling takes its time.
          if (order > 2 && dtype == DType::float32) continue;
          const double fast = evaluate(f, at).item();
          CHECK(std::abs(fast - expected) <= tolerance * (1 + std::abs(expected)));
        }
      }
    }
  }
}

TEST_CASE("smooth functions of a length times other functions: at 0 and close to it, to order 4") {
  int turn = 0;
  for (const Mixed& mixed : mixed_functions()) {
    const bool times_one = std::string_view(mixed.name).find('h') == std::string_view::npos;
    for (const Spelling& spelling : spellings()) {
      for (const bool scalar : {true, false}) {
        // There are many of these, each as good as the next one.
        if (++turn % (times_one ? 7 : 3) != 0) continue;
        const Expr x = dmatrix("x");
        // Of one number, or of one for each length.
        const auto other = [&](const Expr& like) {
          const Expr h = 0.7 + sin(at(at(x, 1), 1) - 0.3 * sum(x));
          return scalar ? h : h * ones_like(like);
        };
        const Formula f = [&](const Expr& r) { return sum(mixed.f(r, other(r))); };
        const Formula g = [&](const Expr& s) {
          const std::vector<Expr> c = mixed.series(other(s));
          return sum(c[0] + c[1] * s + c[2] * square(s));
        };
        std::mt19937 first(7), second(7);
        Expr with_root = spelling.with_root(x, f), with_square = spelling.with_square(x, g);
        for (int order = 1; order <= highest_order; ++order) {
          with_root = along(with_root, x, first);
          with_square = along(with_square, x, second);
          for (const double away : {0.0, 1e-8, 1e-4}) {
            // As it is written this one has no digits left.
            if (away == 1e-8 && std::string_view(mixed.name).starts_with("(1 - cos")) continue;
            std::mt19937 third(9);
            Tensor v = spelling.at;
            for (double& value : v.data<double>())
              value += away * random_tensor(DType::float64, {}, third, 0.5, 2).item();
            const std::vector<Binding> at{{x, v}};
            const double expected = as_written(with_square, at).item(),
                         found = as_written(with_root, at).item();
            CAPTURE(std::string(mixed.name));
            CAPTURE(std::string(spelling.name));
            CAPTURE(scalar);
            CAPTURE(away);
            CAPTURE(order);
            CHECK(std::abs(found - expected) <=
                  (away == 0 ? 1e-10 : 1e-5) * (1 + std::abs(expected)));
          }
        }
      }
    }
  }
}

TEST_CASE("even functions of |x| are those of x, wherever x is") {
  const Expr x = dscalar("x");
  for (const Outer& outer : outer_functions()) {
    for (const double v : {-0.3, 1e-9, 1e-5, 3e-3, 0.08, 0.5}) {
      // Guarded forms say "r > 0", and the kinks of others are at 1.
      const Formula f = outer.f;
      const Expr h = exp(x), by_size = h * f(abs(x)), by_root = h * f(sqrt(square(x) * 1.0));
      const Expr oracle = v > 0 ? h * f(x) : h * f(-x);
      Expr a = by_size, b = by_root, c = oracle;
      for (int order = 1; order <= 3; ++order) {
        a = grad(a, x);
        b = grad(b, x);
        c = grad(c, x);
        const std::vector<Binding> at{{x, Tensor(v)}};
        const double expected = as_written(c, at).item();
        CAPTURE(std::string(outer.name));
        CAPTURE(v);
        CAPTURE(order);
        // The plain formula cancels close to 0 itself.
        if (std::abs(v) < 0.05 && outer.removable) continue;
        CHECK(as_written(a, at).item() == doctest::Approx(expected).epsilon(1e-9));
        CHECK(as_written(b, at).item() == doctest::Approx(expected).epsilon(1e-9));
      }
    }
  }
}

TEST_CASE("smooth functions of lengths: some rows of a batch are 0") {
  std::mt19937 random(8);
  const Expr x = dmatrix("x");
  Tensor v = random_tensor(DType::float64, {5, 3}, random);
  for (const std::int64_t k : {1, 4})
    for (std::int64_t j = 0; j < 3; ++j) v.data<double>()[static_cast<std::size_t>(3 * k + j)] = 0;
  const Expr s = sum(square(x), 1), r = norm(x, 2, 1);
  struct Row {
    const char* name;
    Expr with_root, with_square;
  };
  for (const Row& row :
       {Row{"r^2", square(r), s}, Row{"r^4", pow(r, 4), square(s)},
        Row{"exp(-r^2)", exp(-square(r)), exp(-s)},
        Row{"(1 + r^2)^-1", 1 / (1 + r * r), 1 / (1 + s)},
        Row{"(1 + r^2)^.5", sqrt(1 + pow(r, 2)), sqrt(1 + s)},
        Row{"cosh^2 - sinh^2 + r^2", square(cosh(r)) - square(sinh(r)) + r * r, 1 + s}}) {
    CAPTURE(std::string(row.name));
    Expr f = sum(row.with_root), g = sum(row.with_square);
    for (int order = 1; order <= 3; ++order) {
      const Expr df = grad(f, x), dg = grad(g, x);
      const Tensor expected = as_written(dg, {{x, v}});
      CAPTURE(order);
      CHECK(distance(as_written(df, {{x, v}}), expected) < 1e-9);
      CHECK(distance(evaluate(df, {{x, v}}), expected) < 1e-9);
      f = sum(df * sin(dg));
      g = sum(dg * sin(dg));
    }
  }
}

TEST_CASE("smooth functions of lengths: Jacobians of Jacobians of each example, some of them 0") {
  const Expr x = dmatrix("x");
  const Tensor v = Tensor::from<double>({4, 2}, {0, 0, 1, 2, 1e-9, -1e-9, -0.3, 0.1});
  const Expr s = sum(square(x), 1, true), r = norm(x, 2, 1, true);
  for (const auto& [f, g] :
       {std::pair{exp(x) * cosh(r), exp(x) * (1 + s / 2 + square(s) / 24)},
        std::pair{sin(x) * r * r, sin(x) * s},
        std::pair{x * exp(-square(r)) + square(square(r)), x * exp(-s) + s * s}}) {
    const Tensor expected = evaluate(jacobian(jacobian(g, x), x), {{x, v}}),
                 found = evaluate(jacobian(jacobian(f, x), x), {{x, v}});
    REQUIRE(found.shape() == Shape{4, 2, 2, 2});
    for (std::int64_t k = 0; k < found.size(); ++k) {
      // The second series is cut where examples are not small.
      if (k / 8 == 1 || k / 8 == 3) continue;
      CHECK(found.at(k) == doctest::Approx(expected.at(k)).epsilon(1e-9));
    }
  }
}

TEST_CASE(
    "where a function of a length has no derivative it is NaN or the convention, never a quiet 0") {
  const Expr x = dvector("x");
  const std::vector<Binding> zero{{x, Tensor(DType::float64, {3})}};
  struct Row {
    const char* name;
    Expr f;
    int last;  ///< The last order that is a number at 0.
  };
  const Expr r = norm(x), X = expand_dims(x, 0);
  const Expr u = constant(Tensor::from<double>({3}, {0.6, 0, 0.8}));
  for (const Row& row :
       {Row{"r", r, 1}, Row{"exp(-r)", exp(-r), 1}, Row{"tanh(r)", tanh(r), 1},
        Row{"(r - 1)^2", square(r - 1), 1}, Row{"r^3", pow(r, 3), 2},
        Row{"Matern 3/2", (1 + r) * exp(-r), 2}, Row{"r^5", pow(r, 5), 4},
        Row{"u x / (r + 1)", sum(u * x / (r + 1)), 1}, Row{"std", std_(x), 1},
        Row{"Frobenius", frobenius_norm(X), 1}, Row{"norm, p = 3", norm(x, 3), 1},
        Row{"hypot", hypot(at(x, 0), at(x, 2)), 1},
        Row{"lengths times others",
            sum(square(norm(expand_dims(x, 1), 2, 1) + norm(expand_dims(x, 0), 2, 0)) - square(r)),
            1},
        Row{"exp(x) r^3", sum(exp(x)) * pow(r, 3), 2},
        Row{"Matern 5/2", (1 + r + square(r) / 3) * exp(-r) * exp(at(x, 0)), 4}}) {
    CAPTURE(std::string(row.name));
    Expr f = row.f;
    for (int order = 1; order <= row.last + 1; ++order) {
      f = sum(grad(f, x, {.disconnected = Disconnected::zero}) * u);
      CAPTURE(order);
      CHECK(std::isnan(evaluate(f, zero).item()) == (order > row.last));
      CHECK(std::isnan(as_written(f, zero).item()) == (order > row.last));
    }
  }
}

TEST_CASE("what has no kink after all has its curvature at 0") {
  const Expr x = dvector("x");
  for (const Expr& y : {abs(square(x)), abs(x * x), sqrt(square(square(x))), abs(abs(x)) * abs(x),
                        square(maximum(x, -x)), square(minimum(-x, x))}) {
    CAPTURE(describe(y));
    const Expr curvature = grad(sum(grad(sum(y), x)), x);
    const std::vector<Binding> at{{x, Tensor::from<double>({3}, {-1, 0, 2})}};
    CHECK(evaluate(curvature, at) == Tensor::from<double>({3}, {2, 2, 2}));
    CHECK(cinch::running::interpret(std::span(&curvature, 1), at, false)[0] ==
          Tensor::from<double>({3}, {2, 2, 2}));
  }
}

TEST_CASE("powers of norms for other p are those of the sum where they are whole") {
  const Expr x = dmatrix("x");
  const Tensor v = Tensor::from<double>({2, 2}, {0, 0, 0, 2});
  for (const double p : {4.0, 6.0}) {
    Expr f = sum(pow(norm(x, p, 1), p)), g = sum(pow(x, p));
    for (int order = 1; order <= 4; ++order) {
      f = sum(grad(f, x));
      g = sum(grad(g, x));
      CAPTURE(p);
      CAPTURE(order);
      const double expected = as_written(g, {{x, v}}).item();
      CHECK(as_written(f, {{x, v}}).item() == doctest::Approx(expected).epsilon(1e-12));
      CHECK(evaluate(f, {{x, v}}).item() == doctest::Approx(expected).epsilon(1e-12));
    }
  }
}

TEST_CASE(
    "a length's scale may be a variable: derivatives by both are right where the length is 0") {
  const Expr x = dvector("x"), scale = dscalar("scale");
  const std::vector<Binding> at{{x, Tensor(DType::float64, {2})}, {scale, Tensor(0.5)}};
  const Expr r = norm(x), s = sum(square(x));
  const Expr f = (1 + scale * r) * exp(-scale * r) + cosh(r / scale);
  const Expr g = 1 - square(scale) * s / 2 + 1 + s / (2 * square(scale));
  const auto by = [](const Expr& cost, const std::vector<Expr>& wrt) {
    Expr result = cost;
    for (const Expr& w : wrt) result = sum(grad(result, w, {.disconnected = Disconnected::zero}));
    return result;
  };
  const std::vector<std::vector<Expr>> orders{{x},           {scale},        {x, x},
                                              {x, scale},    {scale, scale}, {x, x, scale},
                                              {x, scale, x}, {scale, x, x}};
  for (const auto& wrt : orders) {
    const double expected = as_written(by(g, wrt), at).item();
    CAPTURE(wrt.size());
    CHECK(as_written(by(f, wrt), at).item() == doctest::Approx(expected).epsilon(1e-12));
    CHECK(evaluate(by(f, wrt), at).item() == doctest::Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("kinks that cancel leave no mark: products of vectors, pairs of relus, maxima") {
  const Expr x = dvector("x");
  const Expr a = abs(x), p = relu(x), q = relu(-x);
  struct Row {
    const char* name;
    Expr y, plain;
  };
  for (const Row& row : {Row{"dot of magnitudes", dot(a, a), sum(square(x))},
                         Row{"dot of functions", dot(a, tanh(a)), sum(x * tanh(x))},
                         Row{"difference of relus", sum(exp(p - q)), sum(exp(x))},
                         Row{"sum of relus", sum(square(p + q)), sum(square(x))},
                         Row{"squares of relus", sum(square(p) + square(q)), sum(square(x))},
                         Row{"larger of both signs", sum(cosh(maximum(x, -x))), sum(cosh(x))},
                         Row{"smaller of both signs", sum(cosh(minimum(-x, x))), sum(cosh(x))},
                         Row{"chosen sign", sum(square(where(x > 0, x, -x))), sum(square(x))},
                         Row{"sign times x", sum(cosh(sign(x) * x)), sum(cosh(x))}}) {
    CAPTURE(std::string(row.name));
    const std::vector<Binding> at{{x, Tensor::from<double>({4}, {0, -0.5, 0.25, 0})}};
    const Expr slope = grad(row.y, x), right = grad(row.plain, x);
    const Expr curvature = hessian(row.y, x), right_curvature = hessian(row.plain, x);
    for (const auto& [got, expected] :
         {std::pair(slope, right), std::pair(curvature, right_curvature)}) {
      const Tensor found = as_written(got, at), fast = evaluate(got, at),
                   wanted = as_written(expected, at);
      for (std::int64_t k = 0; k < wanted.size(); ++k) {
        CHECK(found.at(k) == doctest::Approx(wanted.at(k)));
        CHECK(fast.at(k) == doctest::Approx(wanted.at(k)));
      }
    }
  }
}

TEST_CASE("the absolute value of integers is no length: derivatives beside it are taken") {
  const Expr n = lvector("n"), h = cast(abs(n), DType::float64);
  const Expr cost = sum(h * tanh(h) + square(h));
  const Tensor at = Tensor::from<std::int64_t>({3}, {-2, 0, 1});
  const Expr x = dvector("x");
  const Tensor got = evaluate(Rop(grad(cost, h), h, h), {{n, at}}),
               wanted = evaluate(Rop(grad(sum(x * tanh(x) + square(x)), x), x, x),
                                 {{x, Tensor::from<double>({3}, {2, 0, 1})}});
  for (std::int64_t k = 0; k < 3; ++k) CHECK(got.at(k) == doctest::Approx(wanted.at(k)));
}
