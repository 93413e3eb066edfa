// Every elementwise op against its formula in long double, and the vectorised elementary functions
// over their whole range.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;
constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();

struct Oracle {
  Real (*f)(Real, Real);
  double ulp = 4;  ///< Accepted error in units of the last digit of the result.
  double low = -8, high = 8;
};

Real sign_of(Real a) { return a > 0 ? 1 : a < 0 ? -1 : a; }
Real log_cosh_of(Real a) {
  const Real s = std::sinh(a);
  return std::abs(a) < 1 ? std::log1p(s * s) / 2
                         : std::abs(a) - std::log(Real(2)) + std::log1p(std::exp(-2 * std::abs(a)));
}
Real log1mexp_of(Real a) { return a > -0.5L ? std::log(-std::expm1(a)) : std::log1p(-std::exp(a)); }
Real softplus_of(Real a) { return std::max(a, Real(0)) + std::log1p(std::exp(-std::abs(a))); }

Real normal_cdf_of(Real a) { return std::erfc(a * -0.70710678118654752440L) / 2; }

/// What each op means, by name; unary ones ignore the second operand.
const std::map<std::string_view, Oracle>& oracles() {
  static const std::map<std::string_view, Oracle> table{
      {"add", {[](Real a, Real b) { return a + b; }, 0.5}},
      {"sub", {[](Real a, Real b) { return a - b; }, 0.5}},
      {"mul", {[](Real a, Real b) { return a * b; }, 0.51}},
      {"div", {[](Real a, Real b) { return a / b; }, 0.51}},
      {"floor_div", {[](Real a, Real b) { return std::floor(a / b); }, 0}},
      {"mod", {[](Real a, Real b) { return a - b * std::floor(a / b); }, 64}},  // Digits cancel.
      {"pow", {[](Real a, Real b) { return std::pow(a, b); }, 4, 0.01, 20}},
      {"maximum", {[](Real a, Real b) { return std::max(a, b); }, 0}},
      {"minimum", {[](Real a, Real b) { return std::min(a, b); }, 0}},
      {"neg", {[](Real a, Real) { return -a; }, 0}},
      {"abs", {[](Real a, Real) { return std::abs(a); }, 0}},
      {"sign", {[](Real a, Real) { return sign_of(a); }, 0}},
      {"square", {[](Real a, Real) { return a * a; }, 0.51}},
      {"sqrt", {[](Real a, Real) { return std::sqrt(a); }, 0.51, 0, 1e6}},
      {"length", {[](Real a, Real) { return std::sqrt(a); }, 0.51, 0, 1e6}},
      {"floor", {[](Real a, Real) { return std::floor(a); }, 0}},
      {"ceil", {[](Real a, Real) { return std::ceil(a); }, 0}},
      {"round", {[](Real a, Real) { return std::nearbyint(a); }, 0}},
      {"exp", {[](Real a, Real) { return std::exp(a); }}},
      {"expm1", {[](Real a, Real) { return std::expm1(a); }}},
      {"log", {[](Real a, Real) { return std::log(a); }, 4, 0, 100}},
      {"log1p", {[](Real a, Real) { return std::log1p(a); }, 4, -1, 100}},
      {"sin", {[](Real a, Real) { return std::sin(a); }}},
      {"cos", {[](Real a, Real) { return std::cos(a); }}},
      {"sigmoid", {[](Real a, Real) { return 1 / (1 + std::exp(-a)); }}},
      {"tanh", {[](Real a, Real) { return std::tanh(a); }}},
      {"softplus", {[](Real a, Real) { return softplus_of(a); }}},
      {"relu", {[](Real a, Real) { return std::max(a, Real(0)); }, 0}},
      {"trunc", {[](Real a, Real) { return std::trunc(a); }, 0}},
      {"exp2", {[](Real a, Real) { return std::exp2(a); }}},
      {"log2", {[](Real a, Real) { return std::log2(a); }, 4, 0, 100}},
      {"log10", {[](Real a, Real) { return std::log10(a); }, 4, 0, 100}},
      {"log1mexp", {[](Real a, Real) { return log1mexp_of(a); }, 4, -8, 0}},
      // Of numbers above 0, where nothing cancels.
      {"logaddexp", {[](Real a, Real b) { return std::log(std::exp(a) + std::exp(b)); }, 4, 0, 8}},
      {"xlogy", {[](Real a, Real b) { return a * std::log(b); }, 4, 0, 8}},
      {"xlog1py", {[](Real a, Real b) { return a * std::log1p(b); }, 4, -1, 8}},
      {"log_cosh", {[](Real a, Real) { return log_cosh_of(a); }}},
      {"erf", {[](Real a, Real) { return std::erf(a); }}},
      {"erfc", {[](Real a, Real) { return std::erfc(a); }}},
      {"sech", {[](Real a, Real) { return 1 / std::cosh(a); }}},
      {"sigmoid_slope",
       {[](Real a, Real) { return 0.25L * std::pow(std::cosh(a / 2), Real(-2)); }}},
      {"one_minus_square", {[](Real a, Real) { return (1 - a) * (1 + a); }}},
      {"normal_cdf", {[](Real a, Real) { return normal_cdf_of(a); }}},
      {"exp_of_product", {[](Real a, Real b) { return std::exp(a * b); }, 4, -8, 8}},
      {"tan", {[](Real a, Real) { return std::tan(a); }}},
      {"arcsin", {[](Real a, Real) { return std::asin(a); }, 4, -1, 1}},
      {"arccos", {[](Real a, Real) { return std::acos(a); }, 4, -1, 1}},
      {"arctan", {[](Real a, Real) { return std::atan(a); }}},
      {"arctan2", {[](Real a, Real b) { return std::atan2(a, b); }}},
      {"hypot", {[](Real a, Real b) { return std::hypot(a, b); }}},
      {"sinh", {[](Real a, Real) { return std::sinh(a); }}},
      {"cosh", {[](Real a, Real) { return std::cosh(a); }}},
      {"arcsinh", {[](Real a, Real) { return std::asinh(a); }}},
      {"arccosh", {[](Real a, Real) { return std::acosh(a); }, 4, 1, 100}},
      {"arctanh", {[](Real a, Real) { return std::atanh(a); }, 4, -1, 1}},
      {"softsign", {[](Real a, Real) { return a / (1 + std::abs(a)); }}},
      {"equal", {[](Real a, Real b) { return Real(a == b); }, 0, -2, 2}},
      {"not_equal", {[](Real a, Real b) { return Real(a != b); }, 0, -2, 2}},
      {"less", {[](Real a, Real b) { return Real(a < b); }, 0}},
      {"less_equal", {[](Real a, Real b) { return Real(a <= b); }, 0}},
      {"is_nan", {[](Real a, Real) { return Real(std::isnan(a)); }, 0}},
      {"copy", {[](Real a, Real) { return a; }, 0}},
      {"stop_gradient", {[](Real a, Real) { return a; }, 0}},
      {"cast", {[](Real a, Real) { return a; }, 0}},
  };
  return table;
}

/// |got - expected| in units of the last digit of `expected` as a T.
template <class T>
double ulps(double got, Real expected) {
  const T rounded = static_cast<T>(expected);
  if (std::isnan(got) || std::isnan(rounded))
    return std::isnan(got) && std::isnan(rounded) ? 0 : inf;
  if (std::isinf(rounded) || std::isinf(got)) return static_cast<T>(got) == rounded ? 0 : inf;
  const T size = std::max(std::abs(rounded), std::numeric_limits<T>::min());
  const Real unit = std::nextafter(size, std::numeric_limits<T>::infinity()) - size;
  return static_cast<double>(std::abs(Real(got) - expected) / unit);
}

double ulps(DType dtype, double got, Real expected) {
  return dtype == DType::float32 ? ulps<float>(got, expected) : ulps<double>(got, expected);
}

bool takes_floats(const Op& op) {
  // What is stored narrow has every one of its numbers tested: widened.cpp.
  if (&op == &widen_op) return false;
  return op.elementwise() && op.operands != Operands::boolean && op.operands != Operands::choice;
}

Expr applied(const Op& op, const Expr& a, const Expr& b) {
  if (&op == &cast_op) return apply(op, {a}, {.dtype = a.dtype()});
  return op.arity == 1 ? apply(op, {a}) : apply(op, {a, b});
}

}  // namespace

TEST_CASE("every elementwise op of floats is in the table of formulas") {
  for (const Op* op : all_ops()) {
    if (!takes_floats(*op)) continue;
    CAPTURE(op->name);
    CHECK(oracles().contains(op->name));
  }
}

TEST_CASE("every elementwise op of floats is within its bound of the formula, in both modes") {
  std::mt19937 random(11);
  for (const Op* op : all_ops()) {
    if (!takes_floats(*op) || !oracles().contains(op->name)) continue;
    const Oracle& oracle = oracles().at(op->name);
    for (const DType dtype : {DType::float64, DType::float32}) {
      const Expr a = variable("a", dtype, {-1}), b = variable("b", dtype, {-1});
      const Tensor va = random_tensor(dtype, {3000}, random, oracle.low, oracle.high);
      const Tensor vb = random_tensor(dtype, {3000}, random, oracle.low, oracle.high);
      const Expr y = applied(*op, a, b);
      const std::vector<Binding> bindings{{a, va}, {b, vb}};
      for (const Tensor& got : {evaluate(y, bindings),
                                cinch::running::interpret(std::span(&y, 1), bindings, false)[0]}) {
        double worst = 0, at_a = 0, at_b = 0;
        for (std::int64_t i = 0; i < got.size(); ++i) {
          const Real expected = oracle.f(va.at(i), vb.at(i));
          // The digits that mod and sub lose are those of their operands.
          const bool cancels = op == &mod_op;
          const double e = cancels ? ulps(dtype, got.at(i) + va.at(i), expected + va.at(i))
                                   : ulps(dtype, got.at(i), expected);
          if (e > worst) worst = e, at_a = va.at(i), at_b = vb.at(i);
        }
        CAPTURE(op->name);
        CAPTURE(name(dtype));
        CAPTURE(at_a);
        CAPTURE(at_b);
        CHECK(worst <= oracle.ulp);
      }
    }
  }
}

TEST_CASE("ops of integers and bools are exact, and wrap as NumPy's do") {
  const Expr i = lscalar("i"), j = lscalar("j");
  const std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                     most = std::numeric_limits<std::int64_t>::max();
  struct Row {
    Expr e;
    std::int64_t i, j, result;
  };
  const Row rows[] = {
      {floor_div(i, j), 7, 2, 3},
      {floor_div(i, j), -7, 2, -4},
      {floor_div(i, j), 7, -2, -4},
      {floor_div(i, j), -7, -2, 3},
      {floor_div(i, j), 7, 0, 0},
      {floor_div(i, j), least, -1, least},
      {mod(i, j), 7, 3, 1},
      {mod(i, j), -7, 3, 2},
      {mod(i, j), 7, -3, -2},
      {mod(i, j), -6, 3, 0},
      {mod(i, j), 5, 0, 0},
      {mod(i, j), least, -1, 0},
      {i + j, most, 1, least},
      {i - j, least, 1, most},
      {i * j, most, 2, -2},
      {-i, least, 0, least},
      {abs(i), -5, 0, 5},
      {abs(i), least, 0, least},
      {sign(i), -5, 0, -1},
      {square(i), -3, 0, 9},
      {relu(i), -3, 0, 0},
      {maximum(i, j), least, most, most},
      {minimum(i, j), least, most, least},
      {cast(i < j, DType::int64), 1, 2, 1},
      {cast(equal(i, j), DType::int64), most, most - 1, 0},
      {i * j + j, 3, 4, 16},
  };
  for (const Row& row : rows) {
    CAPTURE(describe(row.e));
    CAPTURE(row.i);
    CAPTURE(row.j);
    const std::vector<Binding> bindings{{i, Tensor(row.i)}, {j, Tensor(row.j)}};
    CHECK(evaluate(row.e, bindings).data<std::int64_t>()[0] == row.result);
    CHECK(cinch::running::interpret(std::span(&row.e, 1), bindings, false)[0]
              .data<std::int64_t>()[0] == row.result);
  }
  const Expr p = scalar("p", DType::bool_), q = scalar("q", DType::bool_);
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      const std::vector<Binding> bindings{{p, a}, {q, b}};
      CHECK(evaluate(logical_and(p, q), bindings).item() == (a && b));
      CHECK(evaluate(logical_or(p, q), bindings).item() == (a || b));
      CHECK(evaluate(logical_not(p), bindings).item() == !a);
      CHECK(evaluate(p + q, bindings).item() == a + b);
      CHECK(evaluate(switch_(p, i, 3), {{p, a}, {i, 9}}).item() == (a ? 9 : 3));
    }
  }
}

TEST_CASE("mod has the sign of its divisor, in both modes") {
  const Expr a = dvector("a"), b = dvector("b"), y = mod(a, b);
  const Tensor va = Tensor::from<double>({8}, {1, 1, 0.6, -1, 3, 5.3, -0.3, 1e15}),
               vb = Tensor::from<double>({8}, {0.1, -0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.7});
  for (const Tensor& got :
       {evaluate(y, {{a, va}, {b, vb}}),
        cinch::running::interpret(std::span(&y, 1), std::vector<Binding>{{a, va}, {b, vb}},
                                  false)[0]}) {
    for (std::int64_t i = 0; i < 8; ++i) {
      CAPTURE(va.at(i));
      CAPTURE(vb.at(i));
      CAPTURE(got.at(i));
      CHECK(got.at(i) * vb.at(i) >= 0);
      CHECK(std::abs(got.at(i)) <= std::abs(vb.at(i)));
    }
  }
}

TEST_CASE("a cast between any two dtypes is NumPy's") {
  const Expr x = dvector("x"), i = lvector("i"), f = fvector("f");
  const Tensor v = Tensor::from<double>({7}, {0, -0.0, 0.7, -2.9, 3e9, 1e300, -1e300});
  CHECK(evaluate(cast(x, DType::int64), {{x, v}}).at(3) == -2);
  CHECK(evaluate(cast(x, DType::int64), {{x, v}}).at(4) == 3e9);
  CHECK(evaluate(cast(x, DType::float32), {{x, v}}).at(5) == inf);
  CHECK(evaluate(cast(x, DType::bool_), {{x, v}}).at(1) == 0);
  CHECK(evaluate(cast(x, DType::bool_), {{x, v}}).at(2) == 1);
  for (const DType from : {DType::float64, DType::float32, DType::int64, DType::bool_}) {
    for (const DType to : {DType::float64, DType::float32, DType::int64, DType::bool_}) {
      const Expr e = variable("e", from, {-1});
      const Expr y = cast(e, to);
      const std::vector<Binding> bindings{{e, v.cast(DType::float32).cast(from)}};
      CAPTURE(name(from));
      CAPTURE(name(to));
      CHECK(evaluate(y, bindings) ==
            cinch::running::interpret(std::span(&y, 1), bindings, false)[0]);
    }
  }
}

namespace {

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

struct Elementary {
  const char* name;
  std::size_t formula;
  Real (*f)(Real);
  double low, high;  // Where the function is looked at densely.
};

const Elementary elementaries[] = {
    {"exp", cinch::formula::formula_index<formula::Exp>(), [](Real a) { return std::exp(a); }, -760,
     720},
    {"log", cinch::formula::formula_index<formula::Log>(), [](Real a) { return std::log(a); }, 0,
     4},
    {"log1p", cinch::formula::formula_index<formula::Log1p>(), [](Real a) { return std::log1p(a); },
     -1, 3},
    {"expm1", cinch::formula::formula_index<formula::Expm1>(), [](Real a) { return std::expm1(a); },
     -4, 4},
    {"tanh", cinch::formula::formula_index<formula::Tanh>(), [](Real a) { return std::tanh(a); },
     -4, 4},
    {"sigmoid", cinch::formula::formula_index<formula::Sigmoid>(),
     [](Real a) { return a < 0 ? std::exp(a) / (1 + std::exp(a)) : 1 / (1 + std::exp(-a)); }, -760,
     40},
    {"softplus", cinch::formula::formula_index<formula::Softplus>(),
     [](Real a) { return softplus_of(a); }, -760, 40},
    {"exp2", cinch::formula::formula_index<formula::Exp2>(), [](Real a) { return std::exp2(a); },
     -1090, 1030},
    {"log2", cinch::formula::formula_index<formula::Log2>(), [](Real a) { return std::log2(a); }, 0,
     4},
    {"log10", cinch::formula::formula_index<formula::Log10>(), [](Real a) { return std::log10(a); },
     0, 12},
    {"log1mexp", cinch::formula::formula_index<formula::Log1mexp>(), log1mexp_of, -40, 0},
    {"log_cosh", cinch::formula::formula_index<formula::LogCosh>(), log_cosh_of, -4, 4},
    {"erf", cinch::formula::formula_index<formula::Erf>(), [](Real a) { return std::erf(a); }, -6,
     6},
    {"erfc", cinch::formula::formula_index<formula::Erfc>(), [](Real a) { return std::erfc(a); },
     -6, 28},
    {"erfc", cinch::formula::formula_index<formula::Erfc>(), [](Real a) { return std::erfc(a); },
     -1, 3},
    {"normal_cdf", cinch::formula::formula_index<formula::NormalCdf>(), normal_cdf_of, -38, 9},
    {"normal_cdf", cinch::formula::formula_index<formula::NormalCdf>(), normal_cdf_of, -2, 2},
    {"sech", cinch::formula::formula_index<formula::Sech>(),
     [](Real a) { return 1 / std::cosh(a); }, -700, 700},
    {"sech", cinch::formula::formula_index<formula::Sech>(),
     [](Real a) { return 1 / std::cosh(a); }, -3, 3},
    {"sigmoid_slope", cinch::formula::formula_index<formula::SigmoidSlope>(),
     [](Real a) { return 0.25L * std::pow(std::cosh(a / 2), Real(-2)); }, -700, 700},
    {"sinh", cinch::formula::formula_index<formula::Sinh>(), [](Real a) { return std::sinh(a); },
     -4, 4},
    {"sinh", cinch::formula::formula_index<formula::Sinh>(), [](Real a) { return std::sinh(a); },
     -712, 712},
    {"cosh", cinch::formula::formula_index<formula::Cosh>(), [](Real a) { return std::cosh(a); },
     -712, 712},
    {"arcsin", cinch::formula::formula_index<formula::Arcsin>(),
     [](Real a) { return std::asin(a); }, -1, 1},
    {"arccos", cinch::formula::formula_index<formula::Arccos>(),
     [](Real a) { return std::acos(a); }, -1, 1},
    {"arctan", cinch::formula::formula_index<formula::Arctan>(),
     [](Real a) { return std::atan(a); }, -4, 4},
    {"arcsinh", cinch::formula::formula_index<formula::Arcsinh>(),
     [](Real a) { return std::asinh(a); }, -4, 4},
    {"arccosh", cinch::formula::formula_index<formula::Arccosh>(),
     [](Real a) { return std::acosh(a); }, 1, 3},
    {"arctanh", cinch::formula::formula_index<formula::Arctanh>(),
     [](Real a) { return std::atanh(a); }, -1, 1},
};

/// Random bit patterns (all magnitudes, both signs, subnormals) and an even grid.
template <class T>
std::vector<T> points(double low, double high, std::size_t count) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  std::vector<T> result;
  std::mt19937_64 random(17);
  while (result.size() < count) {
    const T x = std::bit_cast<T>(static_cast<Bits>(random()));
    if (std::isfinite(x)) result.push_back(x);
  }
  for (std::size_t k = 0; k <= count; ++k)
    result.push_back(
        static_cast<T>(low + (high - low) * static_cast<double>(k) / static_cast<double>(count)));
  // Magnitudes from 1e-12 to 1e4, where the functions do what they are known for.
  std::uniform_real_distribution<double> exponent(-12, 4);
  for (std::size_t k = 0; k < count; ++k)
    result.push_back(static_cast<T>((k % 2 ? 1 : -1) * std::pow(10, exponent(random))));
  return result;
}

template <class T>
void check_elementary(const cinch::simd::KernelTable& table, const Elementary& e,
                      std::size_t count) {
  const std::vector<T> in = points<T>(e.low, e.high, count);
  std::vector<T> out(in.size());
  const void* operands[] = {in.data()};
  table.elementwise[e.formula][static_cast<std::size_t>(dtype_of<T>())](out.data(), operands, 0,
                                                                        in.size());
  double worst = 0;
  T at = 0;
  for (std::size_t k = 0; k < in.size(); ++k) {
    const double d = ulps<T>(out[k], e.f(in[k]));
    if (d > worst) worst = d, at = in[k];
  }
  CAPTURE(table.name);
  CAPTURE(std::string(e.name));
  CAPTURE(sizeof(T));
  CAPTURE(at);
  CHECK(worst <= 4);
}

}  // namespace

TEST_CASE("elementary functions are within 4 units of the last digit over the whole range") {
  for (const cinch::simd::KernelTable* table : tables()) {
    for (const Elementary& e : elementaries) {
      check_elementary<float>(*table, e, 100000);
      check_elementary<double>(*table, e, 100000);
    }
  }
}

TEST_CASE("elementary functions of special values are exact") {
  struct Row {
    std::size_t formula;
    double x, y;
  };
  const double least = std::numeric_limits<double>::denorm_min();
  const std::size_t exp_ = elementaries[0].formula, log_ = elementaries[1].formula,
                    log1p_ = elementaries[2].formula, expm1_ = elementaries[3].formula,
                    tanh_ = elementaries[4].formula, sigmoid_ = elementaries[5].formula,
                    softplus_ = elementaries[6].formula;
  const Row rows[] = {
      {exp_, 0, 1},
      {exp_, -0.0, 1},
      {exp_, inf, inf},
      {exp_, -inf, 0},
      {exp_, quiet_nan, quiet_nan},
      {exp_, 1e4, inf},
      {exp_, -1e4, 0},
      {log_, 1, 0},
      {log_, 0, -inf},
      {log_, -0.0, -inf},
      {log_, inf, inf},
      {log_, -1, quiet_nan},
      {log_, -inf, quiet_nan},
      {log_, quiet_nan, quiet_nan},
      {log1p_, 0, 0},
      {log1p_, -0.0, -0.0},
      {log1p_, -1, -inf},
      {log1p_, -2, quiet_nan},
      {log1p_, inf, inf},
      {log1p_, quiet_nan, quiet_nan},
      {log1p_, least, least},
      {expm1_, 0, 0},
      {expm1_, -0.0, -0.0},
      {expm1_, inf, inf},
      {expm1_, -inf, -1},
      {expm1_, quiet_nan, quiet_nan},
      {expm1_, 1e4, inf},
      {expm1_, least, least},
      {tanh_, 0, 0},
      {tanh_, -0.0, -0.0},
      {tanh_, inf, 1},
      {tanh_, -inf, -1},
      {tanh_, quiet_nan, quiet_nan},
      {tanh_, 1e4, 1},
      {tanh_, least, least},
      {sigmoid_, 0, 0.5},
      {sigmoid_, inf, 1},
      {sigmoid_, -inf, 0},
      {sigmoid_, quiet_nan, quiet_nan},
      {sigmoid_, 1e4, 1},
      {sigmoid_, -1e4, 0},
      {softplus_, inf, inf},
      {softplus_, -inf, 0},
      {softplus_, quiet_nan, quiet_nan},
      {softplus_, 1e4, 1e4},
      {softplus_, -1e4, 0},
  };
  for (const cinch::simd::KernelTable* table : tables()) {
    for (const Row& row : rows) {
      // Alone, in the middle of a vector, and in its tail.
      for (const std::size_t n : {1, 37}) {
        std::vector<double> in(n, row.x), out(n, 7);
        const void* operands[] = {in.data()};
        table->elementwise[row.formula][3](out.data(), operands, 0, n);
        std::vector<float> in32(n, static_cast<float>(row.x)), out32(n, 7);
        const void* operands32[] = {in32.data()};
        table->elementwise[row.formula][2](out32.data(), operands32, 0, n);
        CAPTURE(table->name);
        CAPTURE(row.formula);
        CAPTURE(row.x);
        for (const double y : {out.front(), out.back()}) {
          CHECK((std::isnan(row.y) ? std::isnan(y)
                                   : y == row.y && std::signbit(y) == std::signbit(row.y)));
        }
        if (row.x == least) continue;
        const double y32 = out32.back();
        CHECK((std::isnan(row.y) ? std::isnan(y32)
                                 : y32 == row.y && std::signbit(y32) == std::signbit(row.y)));
      }
    }
  }
}

TEST_CASE("a power with exponent 0 has slope 0 everywhere, also at base 0") {
  const Expr x = dvector("x"), b = dscalar("b");
  const Tensor slope =
      evaluate(grad(sum(pow(x, b)), x), {{x, Tensor::from<double>({3}, {0, 2, -1})}, {b, 0.0}});
  for (std::int64_t i = 0; i < 3; ++i) CHECK(slope.at(i) == 0);
}
