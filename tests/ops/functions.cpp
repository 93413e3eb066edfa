// Angles, lengths, logarithms and the error function at special values and at known ones, for every
// instruction set; arctan2 and hypot over all magnitudes.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/records/elementwise.hpp"

using namespace cinch;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN(),
                 least = std::numeric_limits<double>::denorm_min(), pi = 3.14159265358979323846;

std::vector<const cinch::simd::KernelTable*> tables() {
  std::vector<const cinch::simd::KernelTable*> result{&cinch::simd::kernels_baseline};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    result.push_back(&cinch::simd::kernels_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
    result.push_back(&cinch::simd::kernels_avx512);
#endif
  return result;
}

/// f(x) or f(x, y) of the table's float64 kernel, the same in the middle of a vector and in its
/// tail.
double run(const cinch::simd::KernelTable& table, std::size_t formula, double x, double y = 0) {
  const std::vector<double> a(37, x), b(37, y);
  std::vector<double> out(37, 7);
  const void* operands[] = {a.data(), b.data()};
  table.elementwise[formula][static_cast<std::size_t>(DType::float64)](out.data(), operands, 0, 37);
  CHECK(std::bit_cast<std::uint64_t>(out.front()) == std::bit_cast<std::uint64_t>(out.back()));
  return out.front();
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace

TEST_CASE("functions of special values are those of the standard library") {
  struct Row {
    const char* name;
    std::size_t formula;
    double (*f)(double);
  };
  const Row rows[] = {
      {"exp2", cinch::formula::formula_index<formula::Exp2>(), std::exp2},
      {"log2", cinch::formula::formula_index<formula::Log2>(), std::log2},
      {"log10", cinch::formula::formula_index<formula::Log10>(), std::log10},
      {"erf", cinch::formula::formula_index<formula::Erf>(), std::erf},
      {"erfc", cinch::formula::formula_index<formula::Erfc>(), std::erfc},
      {"sinh", cinch::formula::formula_index<formula::Sinh>(), std::sinh},
      {"cosh", cinch::formula::formula_index<formula::Cosh>(), std::cosh},
      {"arcsin", cinch::formula::formula_index<formula::Arcsin>(), std::asin},
      {"arccos", cinch::formula::formula_index<formula::Arccos>(), std::acos},
      {"arctan", cinch::formula::formula_index<formula::Arctan>(), std::atan},
      {"arcsinh", cinch::formula::formula_index<formula::Arcsinh>(), std::asinh},
      {"arccosh", cinch::formula::formula_index<formula::Arccosh>(), std::acosh},
      {"arctanh", cinch::formula::formula_index<formula::Arctanh>(), std::atanh},
      {"trunc", cinch::formula::formula_index<formula::Trunc>(), std::trunc},
  };
  for (const cinch::simd::KernelTable* table : tables()) {
    for (const Row& row : rows) {
      for (const double x : {0.0, -0.0, least, -least, 1.0, -1.0, inf, -inf, quiet_nan, 2.0, -2.0,
                             1e4, -1e4, 1e300, -1e300}) {
        const double got = run(*table, row.formula, x), expected = row.f(x);
        CAPTURE(table->name);
        CAPTURE(std::string(row.name));
        CAPTURE(x);
        CAPTURE(got);
        CAPTURE(expected);
        const bool exact = expected == 0 || !std::isfinite(expected);
        // 4 units of the last digit where the value is none of these.
        CHECK(
            (exact ? same(got, expected) : std::abs(got - expected) <= 9e-16 * std::abs(expected)));
      }
    }
  }
}

TEST_CASE(
    "arctan2 and hypot: every pair of special values as the standard library, all magnitudes") {
  const std::size_t angle = cinch::formula::formula_index<formula::Arctan2>(),
                    length = cinch::formula::formula_index<formula::Hypot>();
  std::vector<double> values{0.0, -0.0, least, -least,    1,     -1,
                             3,   inf,  -inf,  quiet_nan, 1e308, -1e308};
  std::mt19937_64 random(5);
  for (int k = 0; k < 60; ++k) {
    const double x = std::bit_cast<double>(random());
    if (std::isfinite(x)) values.push_back(x);
  }
  for (const cinch::simd::KernelTable* table : tables()) {
    for (const double y : values) {
      for (const double x : values) {
        CAPTURE(table->name);
        CAPTURE(y);
        CAPTURE(x);
        const double a = run(*table, angle, y, x), expected = std::atan2(y, x);
        CHECK((same(a, expected) || (std::abs(a - expected) <= 9e-16 * std::abs(expected) + least &&
                                     std::signbit(a) == std::signbit(expected))));
        const double h = run(*table, length, y, x), true_length = std::hypot(y, x);
        CHECK((same(h, true_length) || std::abs(h - true_length) <= 9e-16 * true_length + least));
      }
    }
  }
}

TEST_CASE("log2 is exact for powers of 2, exp2 of integers, log10 for powers of 10") {
  for (const cinch::simd::KernelTable* table : tables()) {
    CAPTURE(table->name);
    for (int k = -1074; k < 1024; ++k) {
      CHECK(run(*table, cinch::formula::formula_index<formula::Log2>(), std::ldexp(1.0, k)) == k);
      CHECK(run(*table, cinch::formula::formula_index<formula::Exp2>(), k) == std::ldexp(1.0, k));
    }
    double power = 1;
    for (int k = 0; k <= 22; ++k, power *= 10) {
      CAPTURE(k);
      CHECK(run(*table, cinch::formula::formula_index<formula::Log10>(), power) == k);
    }
  }
}

TEST_CASE("the functions' names and angles are NumPy's") {
  struct Row {
    Expr y;
    double value;
  };
  const Expr x = dscalar("x");
  const double v = 0.3;
  const Row rows[] = {
      {tan(x), std::tan(v)},
      {arcsin(x), std::asin(v)},
      {arccos(x), std::acos(v)},
      {arctan(x), std::atan(v)},
      {arctan2(x, -1), std::atan2(v, -1)},
      {arctan2(-x, 0), -pi / 2},
      {hypot(x, 0.4), 0.5},
      {sinh(x), std::sinh(v)},
      {cosh(x), std::cosh(v)},
      {arcsinh(x), std::asinh(v)},
      {arccosh(1 + x), std::acosh(1 + v)},
      {arctanh(x), std::atanh(v)},
      {erf(x), std::erf(v)},
      {erfc(x), std::erfc(v)},
      {exp2(x), std::exp2(v)},
      {log2(x), std::log2(v)},
      {log10(x), std::log10(v)},
      {log1mexp(-x), std::log(1 - std::exp(-v))},
      {logaddexp(x, 1), std::log(std::exp(v) + std::exp(1))},
      {xlogy(x, 2), v * std::log(2)},
      {xlog1py(x, 2), v * std::log(3)},
      {times_log(x, 2), v * 2},
      {log_cosh(x), std::log(std::cosh(v))},
      {trunc(-10 * x), -3},
      {reciprocal(x), 1 / v},
      {rsqrt(x), 1 / std::sqrt(v)},
      {clip(x, 0.5, 1), 0.5},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.y));
    for (const Tensor& got :
         {evaluate(row.y, {{x, v}}),
          cinch::running::interpret(std::span(&row.y, 1), std::vector<Binding>{{x, v}}, true)[0]})
      CHECK(got.item() == doctest::Approx(row.value).epsilon(1e-14));
  }
  CHECK(reciprocal(lscalar("n")).dtype() == DType::float64);
}

TEST_CASE("derivatives of the third order agree with finite differences") {
  const Expr x = dvector("x"), y = dvector("y");
  struct Row {
    Expr e;
    double low, high;
  };
  const Row rows[] = {
      {tan(x), -1, 1},
      {arcsin(x), -0.6, 0.6},
      {arccos(x), -0.6, 0.6},
      {arctan(x), -2, 2},
      {arctan2(x, y), 0.5, 2},
      {hypot(x, y), 0.5, 2},
      {sinh(x) * cosh(y), -1, 1},
      {arcsinh(x), -2, 2},
      {arccosh(x), 1.5, 3},
      {arctanh(x), -0.6, 0.6},
      {erf(x), -2, 2},
      {erfc(x), -2, 2},
      {exp2(x), -2, 2},
      {log2(x) + log10(y), 0.5, 3},
      {log1mexp(x), -3, -0.5},
      {logaddexp(x, y), -2, 2},
      {xlogy(x, y), 0.5, 3},
      {xlog1py(x, y), -0.5, 2},
      {log_cosh(x), -2, 2},
  };
  std::mt19937 random(9);
  for (const Row& row : rows) {
    CAPTURE(describe(row.e));
    std::uniform_real_distribution<double> draw(row.low, row.high);
    Tensor vx(DType::float64, {6}), vy(DType::float64, {6});
    for (double& v : vx.data<double>()) v = draw(random);
    for (double& v : vy.data<double>()) v = draw(random);
    const std::vector<Expr> wrt{x};
    const GradCheck check = check_grad(sum(row.e), wrt, {{x, vx}, {y, vy}}, {.order = 3});
    CHECK_MESSAGE(check.ok, check.report);
  }
}

TEST_CASE("where a function has no slope the gradient is what its documentation says") {
  const Expr x = dscalar("x"), y = dscalar("y");
  struct Row {
    Expr e;
    double x, y, by_x, by_y;
  };
  const Row rows[] = {
      {hypot(x, y), 0, 0, 0, 0},
      {hypot(x, y), 0, -2, 0, -1},
      {hypot(x, y), 3e200, 4e200, 0.6, 0.8},
      {arctan2(x, y), 1e-200, 1e-200, 5e199, -5e199},
      {logaddexp(x, y), 1, 1, 0.5, 0.5},
      {logaddexp(x, y), -inf, -inf, 0.5, 0.5},
      {logaddexp(x, y), -inf, 3, 0, 1},
      {logaddexp(x, y), 1000, -1000, 1, 0},
      {xlogy(x, y), 0, 0, -inf, 0},
      {xlogy(x, y), 0, 2, std::log(2), 0},
      {xlog1py(x, y), 0, -1, -inf, 0},
      {log_cosh(x) + 0 * y, 1000, 0, 1, 0},
      {log_cosh(x) + 0 * y, -1000, 0, -1, 0},
      {log1mexp(x) + 0 * y, -1000, 0, 0, 0},
      {arcsinh(x) + 0 * y, 1e200, 0, 1e-200, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.e));
    CAPTURE(row.x);
    CAPTURE(row.y);
    const std::vector<Binding> at{{x, row.x}, {y, row.y}};
    const std::vector<Expr> g = grad(row.e, {x, y});
    const double by_x = evaluate(g[0], at).item(), by_y = evaluate(g[1], at).item();
    CAPTURE(by_x);
    CAPTURE(by_y);
    CHECK((same(by_x, row.by_x) || std::abs(by_x - row.by_x) <= 1e-14 * std::abs(row.by_x)));
    CHECK((same(by_y, row.by_y) || std::abs(by_y - row.by_y) <= 1e-14 * std::abs(row.by_y)));
  }
  // The mixed derivative of x log y where x is 0 is that of its neighbours.
  const Expr mixed = grad(grad(xlogy(x, y), y), x);
  CHECK(evaluate(mixed, {{x, 0.0}, {y, 4.0}}).item() == 0.25);
  const Expr curvature = grad(grad(logaddexp(x, y), x), x);
  CHECK(evaluate(curvature, {{x, 2.0}, {y, 2.0}}).item() == 0.25);
}

TEST_CASE("whole powers: derivatives to third order at negative bases, at 0 and elsewhere") {
  const std::vector<double> bases{-2, 0, 1.5};
  const Expr x = dvector("x"), p = dvector("p"), f = fvector("f");
  const Tensor at = Tensor::from<double>({3}, std::span<const double>(bases));
  const auto falling = [](double exponent, int order, double base) {
    double factor = 1;
    for (int k = 0; k < order; ++k) factor *= exponent - k;
    return factor == 0 ? 0.0 : factor * std::pow(base, exponent - order);
  };
  for (int e = -3; e <= 5; ++e) {
    const Tensor exponents = Tensor::full(DType::float64, {3}, e);
    struct Row {
      const char* name;
      Expr y, by;
    };
    for (const Row& row :
         {Row{"a literal", pow(x, e), x}, Row{"a literal float", pow(x, static_cast<double>(e)), x},
          Row{"a constant", pow(x, constant(exponents)), x}, Row{"a variable", pow(x, p), x},
          Row{"an integer", pow(x, cast(p, DType::int64)), x}, Row{"float32", pow(f, e), f}}) {
      const std::vector<Binding> bindings{{x, at}, {p, exponents}, {f, at.cast(DType::float32)}};
      Expr d = row.y;
      for (int order = 1; order <= 3; ++order) {
        d = grad(sum(d), row.by, {.disconnected = Disconnected::zero});
        const Tensor fast = evaluate(d, bindings),
                     checked = cinch::running::interpret(std::span(&d, 1), bindings, false)[0];
        for (std::int64_t k = 0; k < 3; ++k) {
          CAPTURE(std::string(row.name));
          CAPTURE(e);
          CAPTURE(order);
          CAPTURE(at.at(k));
          double expected = falling(e, order, at.at(k));
          // At 0 the sign of infinity is that of a positive base.
          if (std::isinf(expected)) expected = std::copysign(inf, expected);
          for (const double got : {checked.at(k), fast.at(k)})
            CHECK((got == expected || std::abs(got - expected) <= 1e-6 * std::abs(expected)));
        }
      }
    }
  }
  // Different exponents in one tensor.
  const Expr mixed = pow(x, constant(Tensor::from<double>({4}, {1, 2, 3, 4})));
  Expr d = mixed;
  for (int order = 1; order <= 5; ++order) {
    d = grad(sum(d), x, {.disconnected = Disconnected::zero});
    const Tensor slope = evaluate(d, {{x, Tensor(DType::float64, {4})}});
    for (int k = 0; k < 4; ++k)
      CHECK(slope.at(k) == (k + 1 == order ? falling(order, order, 1) : 0));
  }
}

TEST_CASE("quotients rounded down and remainders belong together") {
  std::mt19937 random(9);
  std::uniform_real_distribution<double> numbers(-20, 20);
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr a = variable("a", dtype, {-1}), b = variable("b", dtype, {-1});
    std::vector<double> as{1, -1, 1, 6, -6, 7, 0, 5, 1e10, 1e-10},
        bs{.1, .1, -.1, 3, 3, -7, 2, inf, .7, 3};
    for (int k = 0; k < 2000; ++k) {
      as.push_back(numbers(random));
      bs.push_back(k % 3 ? numbers(random) : std::round(numbers(random)) / 10 + 0.05);
    }
    const auto n = static_cast<std::int64_t>(as.size());
    const std::vector<Binding> at{
        {a, Tensor::from<double>({n}, std::span<const double>(as)).cast(dtype)},
        {b, Tensor::from<double>({n}, std::span<const double>(bs)).cast(dtype)}};
    const Expr q = floor_div(a, b), r = mod(a, b);
    const Tensor quotient = evaluate(q, at), rest = evaluate(r, at);
    CHECK(quotient == cinch::running::interpret(std::span(&q, 1), at, false)[0]);
    const double epsilon = dtype == DType::float64 ? 1e-15 : 1e-6;
    for (std::int64_t k = 0; k < n; ++k) {
      const double x = at[0].second.at(k), y = at[1].second.at(k);
      CAPTURE(x);
      CAPTURE(y);
      CHECK(quotient.at(k) == std::floor(quotient.at(k)));
      if (std::isinf(y)) continue;
      CHECK(std::abs(y * quotient.at(k) + rest.at(k) - x) <= epsilon * (std::abs(x) + std::abs(y)));
    }
    CHECK(quotient.at(0) == 9);
    CHECK(quotient.at(1) == -10);
    CHECK(quotient.at(2) == -10);
    CHECK(quotient.at(7) == 0);
  }
  struct Row {
    double a, b, quotient;
  };
  for (const cinch::simd::KernelTable* table : tables()) {
    const auto quotient = [&](double a, double b) {
      return run(*table, cinch::formula::formula_index<formula::FloorDiv>(), a, b);
    };
    for (const Row& row :
         {Row{1, .1, 9}, Row{-1, .1, -10}, Row{.3, .1, 2}, Row{-5, inf, -1}, Row{5, -inf, -1},
          Row{1, 0, inf}, Row{-1, 0, -inf}, Row{-0.0, 3, -0.0}, Row{inf, 2, quiet_nan},
          Row{0, 0, quiet_nan}, Row{quiet_nan, 1, quiet_nan}, Row{1e300, 1e-300, inf},
          Row{least, 3, 0}, Row{-least, 3, -1}}) {
      CAPTURE(row.a);
      CAPTURE(row.b);
      const double got = quotient(row.a, row.b);
      CHECK((std::isnan(row.quotient)
                 ? std::isnan(got)
                 : got == row.quotient && std::signbit(got) == std::signbit(row.quotient)));
    }
    for (int k = 0; k < 2000; ++k) {
      const double a = numbers(random), b = numbers(random);
      CHECK(quotient(a, b) == formula::FloorDiv::f<cinch::records::ExactMath>(a, b));
    }
  }
}

TEST_CASE(
    "powers in float32: every pair of special values as the standard library, the nearest float") {
  const auto run = [](const cinch::simd::KernelTable& table, std::vector<float> x,
                      std::vector<float> y) {
    std::vector<float> out(x.size());
    const void* operands[] = {x.data(), y.data()};
    table.elementwise[cinch::formula::formula_index<formula::Pow>()]
                     [static_cast<std::size_t>(DType::float32)](out.data(), operands, 0, x.size());
    return out;
  };
  using Limits = std::numeric_limits<float>;
  std::vector<float> special;
  for (const float v : {0.0F, 1.0F, 0.5F, 2.0F, 3.0F, 1.5F, 0.999F, 1e-3F, 7e5F, 8388607.0F,
                        8388608.0F, 16777217.0F, 4e9F, Limits::denorm_min(), Limits::min(),
                        Limits::max(), Limits::infinity(), Limits::quiet_NaN()}) {
    special.push_back(v);
    special.push_back(-v);
  }
  std::vector<float> x, y;
  for (const float a : special) {
    for (const float b : special) {
      x.push_back(a);
      y.push_back(b);
    }
  }
  const std::size_t pairs = x.size();
  std::mt19937 random(8);
  std::uniform_real_distribution<float> exponent(-40, 40), logarithm(-3, 3);
  for (int k = 0; k < 200'000; ++k) {
    // Half of them anywhere, half where the power is an ordinary number.
    const auto bits = static_cast<std::uint32_t>(random());
    x.push_back(k % 2 ? std::bit_cast<float>(bits) : std::exp(logarithm(random)));
    y.push_back(k % 4 == 1 ? static_cast<float>(static_cast<int>(random() % 9) - 4)
                           : exponent(random));
  }
  for (const cinch::simd::KernelTable* table : tables()) {
    CAPTURE(table->name);
    const std::vector<float> out = run(*table, x, y);
    double most = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const long double exact =
          std::pow(static_cast<long double>(x[k]), static_cast<long double>(y[k]));
      const auto expected = static_cast<float>(exact);
      const bool same_special = same(out[k], expected);
      if (k < pairs && !same_special) {
        CAPTURE(x[k]);
        CAPTURE(y[k]);
        CHECK(std::abs(out[k] - expected) <= 1e-7F * std::abs(expected));
        CHECK(std::signbit(out[k]) == std::signbit(expected));
      }
      if (same_special || !std::isfinite(expected)) {
        CHECK((same_special || !std::isfinite(out[k]) || std::isfinite(expected)));
        continue;
      }
      const float unit =
          std::max(Limits::denorm_min(),
                   std::nextafter(std::abs(expected), Limits::infinity()) - std::abs(expected));
      most = std::max(most, static_cast<double>(std::abs((out[k] - exact) / unit)));
    }
    CHECK(most < 0.51);
  }
}

TEST_CASE("powers to small whole exponents are products, with the special values of powers") {
  std::mt19937 random(9);
  for (const DType dtype : {DType::float32, DType::float64}) {
    const double unit = dtype == DType::float32 ? 0x1p-23 : 0x1p-52;
    std::vector<double> values{0, -0.0, 1, -1, inf, -inf, quiet_nan, 1e-3, -7};
    std::uniform_real_distribution<double> anywhere(-3, 3);
    for (int k = 0; k < 500; ++k) values.push_back(anywhere(random));
    const Tensor at =
        Tensor::from<double>({static_cast<std::int64_t>(values.size())}, values).cast(dtype);
    const Expr x = variable("x", dtype, {-1});
    for (int twice = -34; twice <= 34; ++twice) {
      const double p = twice / 2.0;
      CAPTURE(p);
      for (const bool positive : {false, true}) {
        if (p == 0.5 && !positive) continue;  // The square root, which has others of -0 and -inf.
        const Expr base = positive ? abs(x) : x;
        const Function f =
            function({.inputs = {x}, .outputs = {pow(base, p)}, .watch = Watch::nothing});
        const Tensor out = f({at})[0];
        const bool whole = twice % 2 == 0, small = std::abs(p) >= 1 && std::abs(p) <= 16.5;
        if (small && (whole || positive) && std::abs(p) != 16.5)
          CHECK(f.plan_text().find("pow") == std::string::npos);
        for (std::int64_t k = 0; k < at.size(); ++k) {
          const double b = positive ? std::abs(at.at(k)) : at.at(k),
                       exact = static_cast<double>(std::pow(static_cast<long double>(b), p)),
                       expected = dtype == DType::float32 ? static_cast<float>(exact) : exact;
          CAPTURE(b);
          if (!std::isfinite(expected) || expected == 0) {
            CHECK(same(out.at(k), expected));
          } else {
            CHECK(std::abs(out.at(k) - expected) <=
                  (1 + std::abs(p)) * unit * std::abs(expected) + 1e-37);
          }
        }
      }
    }
  }
}
