// Everyday functions: what holds for all functions that are composed of ops, their values against
// loops over the definition, NumPy's conventions for NaN and infinities, and texts of errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Real = long double;
constexpr double inf = std::numeric_limits<double>::infinity(),
                 quiet_nan = std::numeric_limits<double>::quiet_NaN();

const Type v{DType::float64, {5}}, m{DType::float64, {4, 3}}, cube{DType::float64, {2, 4, 3}},
    three{DType::float64, {3}}, images{DType::float64, {2, 3, 4, 5}}, i{DType::int64, {}};

std::vector<Tensor> both_modes(const Expr& y, const std::vector<Binding>& bindings = {}) {
  return {evaluate(y, bindings),
          cinch::running::interpret(std::span(&y, 1), bindings, /*watch=*/false)[0]};
}

Tensor doubles(const Shape& shape, const std::vector<double>& values) {
  return Tensor::from<double>(shape, std::span<const double>(values));
}

/// Equal, NaN to NaN.
bool same(const Tensor& a, const Tensor& b, double tolerance = 1e-13) {
  if (a.shape() != b.shape()) return false;
  for (std::int64_t k = 0; k < a.size(); ++k) {
    const double x = a.at(k), y = b.at(k);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    if (!(std::abs(x - y) <= tolerance * (1 + std::abs(y)))) return false;
  }
  return true;
}

/// |got - expected| in units of the last digit of the result.
double ulps(double got, Real expected) {
  const auto rounded = static_cast<double>(expected);
  if (got == rounded || (std::isnan(got) && std::isnan(rounded))) return 0;
  const double size = std::abs(rounded);
  return static_cast<double>(std::abs(got - expected) / (std::nextafter(size, inf) - size));
}

struct Row {
  Expr y;
  Tensor expected;
};

}  // namespace

TEST_CASE("everyday functions hold in every way that ops do") {
  check_composed({
      {"celu", {m}, [](Args x) { return celu(x[0], 0.7); }, {}, true},
      {"prelu", {m, three}, [](Args x) { return prelu(x[0], x[1]); }},
      {"softshrink", {m}, [](Args x) { return softshrink(x[0], 0.4); }, {}, true},
      {"hardshrink", {m}, [](Args x) { return hardshrink(x[0], 0.4); }, {}, true},
      {"hardtanh", {m}, [](Args x) { return hardtanh(x[0]); }, {}, true},
      {"hard_swish", {m}, [](Args x) { return hard_swish(x[0]); }, {}, true},
      {"log_sigmoid", {m}, [](Args x) { return log_sigmoid(x[0]); }, {}, true},
      {"glu", {cube}, [](Args x) { return glu(x[0], 1); }, {}, true},
      {"clip below", {m}, [](Args x) { return clip(x[0], {.low = 0.1}); }, {}, true},
      {"clip above", {m}, [](Args x) { return clip(x[0], {.high = 0.1}); }, {}, true},
      {"ndtr", {m}, [](Args x) { return ndtr(x[0]); }, {}, true},
      {"gammaln", {m}, [](Args x) { return gammaln(square(x[0]) + 0.3); }, {}, true},
      {"betaln", {v, v}, [](Args x) { return betaln(square(x[0]) + 1, square(x[1]) + 1); }},
      {"nan_to_num", {m}, [](Args x) { return nan_to_num(x[0]); }, {}, true},
      {"nansum", {cube}, [](Args x) { return nansum(x[0], {1}); }, {}, true},
      {"nanprod", {cube}, [](Args x) { return nanprod(x[0], {1}); }},
      {"nanmean", {cube}, [](Args x) { return nanmean(x[0], -1, true); }, {}, true},
      {"nanmax",
       {cube},
       [](Args x) {
         return nanmax(x[0], {1, 2});
       },
       {},
       true},
      {"nanmin", {cube}, [](Args x) { return nanmin(x[0]); }},
      {"nanvar", {cube}, [](Args x) { return nanvar(x[0], 1, false, 1); }, {}, true},
      {"nanstd",
       {cube},
       [](Args x) {
         return nanstd(x[0], {1, 2});
       },
       {},
       true},
      {"isclose",
       {m, m},
       [](Args x) { return cast(isclose(x[0], x[1], {.atol = 1}), DType::float64); },
       {},
       true,
       false},
      {"median", {cube}, [](Args x) { return median(x[0], 1); }, {}, true},
      {"median of all", {m}, [](Args x) { return median(x[0]); }},
      {"median of axes",
       {cube},
       [](Args x) {
         return median(x[0], {1, 2}, true);
       }},
      {"quantile", {cube}, [](Args x) { return quantile(x[0], 0.3, 1); }, {}, true},
      {"quantiles",
       {m},
       [](Args x) {
         return quantile(x[0], constant(doubles({3}, {0, 0.45, 1})), 0);
       }},
      {"ptp", {cube}, [](Args x) { return ptp(x[0], 1); }, {}, true},
      {"average", {cube, three}, [](Args x) { return average(x[0], square(x[1]) + 1, 2); }},
      {"cov", {m}, [](Args x) { return cov(x[0]); }},
      {"corrcoef", {m}, [](Args x) { return corrcoef(x[0]); }},
      {"cummax", {cube}, [](Args x) { return cummax(x[0], 1); }, {}, true},
      {"cummin", {cube}, [](Args x) { return cummin(x[0], -1, Direction::backward); }, {}, true},
      {"logcumsumexp", {cube}, [](Args x) { return logcumsumexp(x[0], 1); }},
      {"logcumsumexp backward",
       {v},
       [](Args x) { return logcumsumexp(x[0], 0, Direction::backward); }},
      {"matmul",
       {cube, Type{DType::float64, {3, 2}}},
       [](Args x) { return matmul(x[0], x[1]); },
       {},
       true},
      {"matmul of stacks",
       {Type{DType::float64, {2, 1, 4, 3}}, Type{DType::float64, {5, 3, 2}}},
       [](Args x) { return matmul(x[0], x[1]); }},
      {"matmul with a vector", {cube, three}, [](Args x) { return matmul(x[0], x[1]); }},
      {"matmul of a vector",
       {three, Type{DType::float64, {2, 3, 4}}},
       [](Args x) { return matmul(x[0], x[1]); }},
      {"einsum",
       {cube, m},
       [](Args x) {
         return einsum("nij,ij->n", {x[0], x[1]});
       },
       {},
       true},
      {"einsum of three",
       {m, m, v},
       [](Args x) {
         return einsum("ij,kj,l->ikl", {x[0], x[1], x[2]});
       }},
      {"einsum of a diagonal",
       {Type{DType::float64, {2, 3, 3}}},
       [](Args x) { return einsum("nii->ni", {x[0]}); },
       {},
       true},
      {"full",
       {Type{DType::float64, {}}},
       [](Args x) {
         return full({2, 3}, square(x[0]));
       }},
      {"tensordot",
       {cube, m},
       [](Args x) {
         return tensordot(x[0], x[1], {1, 2}, {0, 1});
       }},
      {"tensordot of the last", {cube, m}, [](Args x) { return tensordot(x[0], x[1]); }},
      {"kron", {m, Type{DType::float64, {2, 5}}}, [](Args x) { return kron(x[0], x[1]); }},
      {"cross", {m, m}, [](Args x) { return cross(x[0], x[1]); }},
      {"matrix_power",
       {Type{DType::float64, {2, 3, 3}}},
       [](Args x) { return matrix_power(x[0], 5); }},
      {"embedding",
       {m, Type{DType::int64, {2, 2}}},
       [](Args x) { return embedding(x[0], x[1]); },
       {0, 4}},
      {"split in sizes that inputs say",
       {cube, i},
       [](Args x) {
         return split_sizes(x[0], {x[1], 4 - x[1]}, 1)[0];
       },
       {0, 5}},
      {"unstack", {cube}, [](Args x) { return unstack(x[0], 1, 4)[2]; }, {}, true},
      {"linspace",
       {Type{DType::float64, {}}, Type{DType::float64, {}}},
       [](Args x) { return linspace(x[0], x[1], 5); }},
      {"logspace",
       {Type{DType::float64, {}}, Type{DType::float64, {}}},
       [](Args x) { return logspace(x[0], x[1], 4, 3.0); }},
      {"meshgrid",
       {v, three},
       [](Args x) {
         const auto grid = meshgrid({x[0], x[1]});
         return grid[0] * grid[1];
       }},
      {"trapezoid", {cube}, [](Args x) { return trapezoid(x[0], 0.5, 1); }, {}, true},
      {"trapezoid at positions", {m, three}, [](Args x) { return trapezoid(x[0], x[1]); }},
      {"interp", {m, v}, [](Args x) { return interp(x[0], arange(5) - 2.0, x[1]); }},
      {"resize_bilinear", {images}, [](Args x) { return resize_bilinear(x[0], 7, 3); }, {}, true},
      {"resize_bilinear to corners",
       {images},
       [](Args x) { return resize_bilinear(x[0], 2, 9, true); },
       {},
       true},
      {"pooling with holes",
       {images},
       [](Args x) {
         return max_pool2d(x[0], {2, 3}, {.stride = 1, .dilation = 2, .ceil = true});
       }},
      {"averages with holes",
       {images},
       [](Args x) {
         return average_pool2d(x[0], 2,
                               {.stride = 2, .padding = 1, .dilation = {1, 3}, .ceil = true});
       }},
  });
}

TEST_CASE("NaN and infinity: what is found, replaced and left out is as in NumPy") {
  const Expr x = dvector("x");
  const Tensor value = doubles({5}, {1, quiet_nan, -inf, inf, -2});
  const double most = std::numeric_limits<double>::max();
  for (const Row& r : {
           Row{cast(is_inf(x), DType::float64), doubles({5}, {0, 0, 1, 1, 0})},
           Row{cast(is_finite(x), DType::float64), doubles({5}, {1, 0, 0, 0, 1})},
           Row{nan_to_num(x), doubles({5}, {1, 0, -most, most, -2})},
           Row{nan_to_num(x, {.nan = 7, .infinity = 8, .minus_infinity = 9}),
               doubles({5}, {1, 7, 9, 8, -2})},
           Row{nansum(slice(x, 0, 2)), doubles({}, {1})},
           Row{nanmean(subscript(x, {constant(Tensor::from<std::int64_t>({3}, {0, 1, 4}))})),
               doubles({}, {-0.5})},
           Row{nanmax(x), doubles({}, {inf})},
           Row{nanmin(x), doubles({}, {-inf})},
           Row{nanmax(slice(x, 1, 2)), doubles({}, {quiet_nan})},
           Row{nanmean(slice(x, 1, 2)), doubles({}, {quiet_nan})},
           Row{nansum(slice(x, 1, 2)), doubles({}, {0})},
           Row{nanprod(slice(x, 1, 2)), doubles({}, {1})},
           Row{nanvar(slice(x, 0, 2)), doubles({}, {0})},
           Row{nanvar(slice(x, 0, 2), {}, false, 1), doubles({}, {quiet_nan})},
           Row{cast(isclose(x, x), DType::float64), doubles({5}, {1, 0, 1, 1, 1})},
           Row{cast(isclose(x, x, {.equal_nan = true}), DType::float64),
               doubles({5}, {1, 1, 1, 1, 1})},
           Row{cast(isclose(1e300, x), DType::float64), doubles({5}, {0, 0, 0, 0, 0})},
           Row{median(x), doubles({}, {quiet_nan})},
           Row{quantile(x, 0.5), doubles({}, {quiet_nan})},
           Row{cummax(x, 0), doubles({5}, {1, quiet_nan, quiet_nan, quiet_nan, quiet_nan})},
           Row{cummin(x, 0, Direction::backward),
               doubles({5}, {quiet_nan, quiet_nan, -inf, -2, -2})},
           Row{logcumsumexp(slice_from(x, 2), 0), doubles({3}, {-inf, inf, inf})},
           Row{softshrink(x), doubles({5}, {0.5, quiet_nan, -inf, inf, -1.5})},
           Row{hardshrink(x, 1), doubles({5}, {0, quiet_nan, -inf, inf, -2})},
           Row{clip(x, {.low = 0}), doubles({5}, {1, quiet_nan, 0, inf, 0})},
       }) {
    CAPTURE(describe(r.y));
    for (const Tensor& got : both_modes(r.y, {{x, value}})) CHECK(same(got, r.expected));
  }
  // No gradient flows to what was replaced or left out.
  for (const Expr& cost : {sum(nan_to_num(x)), nansum(where(is_inf(x), quiet_nan, x))})
    CHECK(same(evaluate(grad(cost, x), {{x, value}}), doubles({5}, {1, 0, 0, 0, 1})));
  const Expr labels = lvector("labels");
  CHECK(nan_to_num(labels).dtype() == DType::int64);
  CHECK(evaluate(allclose(x, x + 1e-9), {{x, doubles({2}, {1, 2})}}).item() == 1);
}

TEST_CASE(
    "medians and quantiles are NumPy's, of odd and even counts, at the ends and of integers") {
  const Expr x = dmatrix("x"), labels = lvector("labels"), q = dscalar("q");
  const Tensor value = doubles({2, 4}, {4, 1, 3, 2, -1, 8, 5, 5});
  for (const Row& r : {
           Row{median(x, 1), doubles({2}, {2.5, 5})},
           Row{median(x), doubles({}, {3.5})},
           Row{median(x, 0, true), doubles({1, 4}, {1.5, 4.5, 4, 3.5})},
           Row{quantile(x, 0, 1), doubles({2}, {1, -1})},
           Row{quantile(x, 1, 1), doubles({2}, {4, 8})},
           Row{quantile(x, 0.25, 1), doubles({2}, {1.75, 3.5})},
           Row{quantile(x, q, 1), doubles({2}, {1.75, 3.5})},
           Row{quantile(x, constant(doubles({2}, {0.5, 0.9})), 1),
               doubles({2, 2}, {2.5, 5, 3.7, 7.1})},
           Row{quantile(x, constant(doubles({2}, {0.5, 0.9})), 1, true),
               doubles({2, 2, 1}, {2.5, 5, 3.7, 7.1})},
           Row{quantile(q, constant(doubles({2}, {0.5, 0.9}))), doubles({2}, {0.25, 0.25})},
           Row{median(labels), doubles({}, {2})},
           Row{ptp(x, 1), doubles({2}, {3, 9})},
           Row{average(x, constant(doubles({4}, {1, 0, 0, 3})), 1), doubles({2}, {2.5, 3.5})},
           Row{cov(x), doubles({2, 2}, {5.0 / 3, -4.5, -4.5, 14.25})},
       }) {
    CAPTURE(describe(r.y));
    for (const Tensor& got : both_modes(
             r.y, {{x, value}, {q, 0.25}, {labels, Tensor::from<std::int64_t>({3}, {2, 7, 1})}}))
      CHECK(same(got, r.expected));
  }
  CHECK(median(fmatrix("f"), 1).dtype() == DType::float32);
  CHECK(quantile(fmatrix("f"), 0.5, 1).dtype() == DType::float32);
  CHECK(quantile(fmatrix("f"), q, 1).dtype() == DType::float32);
  CHECK(cov(fmatrix("f")).dtype() == DType::float32);
  CHECK_THROWS_WITH_AS(quantile(x, 1.5), doctest::Contains("quantile: q must be in [0, 1]"),
                       ValueError);
  CHECK_THROWS_AS(evaluate(median(x, 1), {{x, Tensor(DType::float64, {2, 0})}}), Error);
}

TEST_CASE("matmul of all ranks is a loop over matrices, and what does not fit is refused by name") {
  const std::vector<Shape> lefts{{3}, {2, 3}, {1, 2, 3}, {4, 2, 3}, {5, 1, 2, 3}},
      rights{{3}, {3, 2}, {1, 3, 2}, {4, 3, 2}, {5, 4, 3, 2}, {2, 1, 3, 2}, {2}, {2, 2}, {4, 2, 2}};
  std::mt19937 random(81);
  for (const Shape& sa : lefts) {
    for (const Shape& sb : rights) {
      const Tensor va = random_tensor(DType::float64, sa, random),
                   vb = random_tensor(DType::float64, sb, random);
      Shape a = sa, b = sb;
      if (a.size() == 1) a.insert(a.begin(), 1);
      if (b.size() == 1) b.push_back(1);
      const std::size_t rank = std::max(a.size(), b.size());
      a.insert(a.begin(), rank - a.size(), 1);
      b.insert(b.begin(), rank - b.size(), 1);
      bool fits = a[rank - 1] == b[rank - 2];
      Shape lead;
      for (std::size_t k = 0; k + 2 < rank; ++k) {
        fits = fits && (a[k] == b[k] || a[k] == 1 || b[k] == 1);
        lead.push_back(std::max(a[k], b[k]));
      }
      const std::int64_t rows = a[rank - 2], inner = a[rank - 1], columns = b[rank - 1];
      Shape shape = lead;
      if (sa.size() > 1) shape.push_back(rows);
      if (sb.size() > 1) shape.push_back(columns);
      for (const bool symbolic : {false, true}) {
        const Expr x = variable("x", DType::float64, symbolic ? Shape(sa.size(), -1) : sa),
                   y = variable("y", DType::float64, symbolic ? Shape(sb.size(), -1) : sb);
        CAPTURE(text(to_dims(sa)));
        CAPTURE(text(to_dims(sb)));
        if (!fits) {
          CHECK_THROWS_WITH_AS(evaluate(matmul(x, y), {{x, va}, {y, vb}}),
                               doctest::Contains("matmul:"), TypeError);
          continue;
        }
        for (const Tensor& got : both_modes(matmul(x, y), {{x, va}, {y, vb}})) {
          REQUIRE(got.shape() == shape);
          for (std::int64_t n = 0; n < got.size(); ++n) {
            // Where element n of the result lies in the stacks of both.
            std::int64_t rest = n / (rows * columns), at_a = 0, at_b = 0, over_a = 1, over_b = 1;
            for (std::size_t k = lead.size(); k-- > 0; rest /= lead[k]) {
              if (a[k] > 1) at_a += rest % lead[k] * over_a;
              if (b[k] > 1) at_b += rest % lead[k] * over_b;
              over_a *= a[k];
              over_b *= b[k];
            }
            Real expected = 0;
            for (std::int64_t k = 0; k < inner; ++k) {
              expected += Real(va.at((at_a * rows + n / columns % rows) * inner + k)) *
                          vb.at((at_b * inner + k) * columns + n % columns);
            }
            CHECK(std::abs(got.at(n) - static_cast<double>(expected)) < 1e-13);
          }
        }
      }
    }
  }
  CHECK_THROWS_WITH_AS(matmul(dscalar("s"), dmatrix("A")), doctest::Contains("matmul: a scalar"),
                       TypeError);
}

TEST_CASE("products of tensors, powers and grids at known values") {
  const Expr A = constant(doubles({2, 2}, {1, 2, 3, 4}));
  const Expr x = constant(doubles({3}, {1, 2, 3})), y = constant(doubles({3}, {4, 5, 6}));
  const Expr row = constant(doubles({2}, {10, 20}));
  for (const Row& r : {
           Row{kron(A, constant(doubles({1, 2}, {1, 10}))),
               doubles({2, 4}, {1, 10, 2, 20, 3, 30, 4, 40})},
           Row{cross(x, y), doubles({3}, {-3, 6, -3})},
           Row{matrix_power(A, 0), doubles({2, 2}, {1, 0, 0, 1})},
           Row{matrix_power(A, 5), doubles({2, 2}, {1069, 1558, 2337, 3406})},
           Row{matmul(matrix_power(A, -2), matrix_power(A, 2)), doubles({2, 2}, {1, 0, 0, 1})},
           Row{tensordot(A, A), doubles({}, {30})},
           Row{tensordot(A, row, 1), doubles({2}, {50, 110})},
           Row{tensordot(A, row, {0}, {0}), doubles({2}, {70, 100})},
           Row{tensordot(row, x, 0), doubles({2, 3}, {10, 20, 30, 20, 40, 60})},
           Row{linspace(2, 3, 5), doubles({5}, {2, 2.25, 2.5, 2.75, 3})},
           Row{linspace(2, 3, 1), doubles({1}, {2})},
           Row{linspace(2, 3, 0), doubles({0}, {})},
           Row{logspace(0, 2, 3), doubles({3}, {1, 10, 100})},
           Row{meshgrid({row, x})[0], doubles({2, 3}, {10, 10, 10, 20, 20, 20})},
           Row{meshgrid({row, x}, true)[1], doubles({3, 2}, {1, 1, 2, 2, 3, 3})},
           Row{trapezoid(y), doubles({}, {10})},
           Row{trapezoid(y, constant(doubles({3}, {0, 1, 4}))), doubles({}, {21})},
           Row{interp(constant(doubles({5}, {0, 1, 2.5, 3, 9})), x, y),
               doubles({5}, {4, 4, 5.5, 6, 6})},
           Row{cast(searchsorted(x, constant(doubles({5}, {0, 1, 1.5, 3, quiet_nan}))),
                    DType::float64),
               doubles({5}, {0, 0, 1, 2, 3})},
           Row{cast(searchsorted(x, constant(doubles({3}, {0, 1, 3})), true), DType::float64),
               doubles({3}, {0, 1, 3})},
           Row{resize_bilinear(A, 3, 3, true), doubles({3, 3}, {1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4})},
           Row{resize_bilinear(A, 4, 2), doubles({4, 2}, {1, 2, 1.5, 2.5, 2.5, 3.5, 3, 4})},
           Row{logcumsumexp(constant(doubles({4}, {1000, 1000, -inf, 0})), 0),
               doubles({4},
                       {1000, 1000 + std::log(2.0), 1000 + std::log(2.0), 1000 + std::log(2.0)})},
           Row{glu(constant(doubles({1, 2}, {3, 0}))), doubles({1, 1}, {1.5})},
       }) {
    CAPTURE(describe(r.y));
    for (const Tensor& got : both_modes(r.y)) CHECK(same(got, r.expected));
  }
  CHECK_THROWS_WITH_AS(outer(A, x), doctest::Contains("outer: takes vectors"), TypeError);
  CHECK_THROWS_WITH_AS(kron(A, x), doctest::Contains("kron: takes matrices"), TypeError);
  CHECK_THROWS_WITH_AS(cross(x, row), doctest::Contains("cross:"), TypeError);
  CHECK_THROWS_WITH_AS(tensordot(A, x, 1), doctest::Contains("tensordot: sizes 2 and 3"),
                       TypeError);
  CHECK_THROWS_WITH_AS(glu(x), doctest::Contains("glu: axis 0 of size 3 has no two halves"),
                       TypeError);
  CHECK_THROWS_WITH_AS(interp(x, x, row), doctest::Contains("interp:"), TypeError);
  CHECK_THROWS_WITH_AS(linspace(x, 1, 3), doctest::Contains("linspace: the start must be"),
                       TypeError);
  CHECK_THROWS_WITH_AS(unstack(dvector("u")), doctest::Contains("give `count`"), TypeError);
  const Expr u = dvector("u");
  CHECK_THROWS_AS(evaluate(unstack(u, 0, 2)[0], {{u, Tensor(DType::float64, {3})}}), Error);
  // A row that pads has no gradient.
  const Expr table = dmatrix("table");
  const Expr rows_of =
      embedding(table, constant(Tensor::from<std::int64_t>({3}, {0, 2, 2})), /*padding=*/-1);
  CHECK(same(evaluate(grad(sum(rows_of), table), {{table, Tensor(DType::float64, {3, 1})}}),
             doubles({3, 1}, {1, 0, 0})));
}

TEST_CASE("gammaln, digamma and polygamma: known values, poles, and few ulps everywhere") {
  const Expr x = dvector("x");
  const Real gamma = 0.57721566490153286060651209008240243L,
             zeta3 = 1.20205690315959428539973816151144999L,
             pi = 3.14159265358979323846264338327950288L;
  struct Known {
    Expr y;
    double at;
    Real value;
  };
  for (const Known& k : {
           Known{gammaln(x), 1, 0},
           Known{gammaln(x), 0.5, std::log(pi) / 2},
           Known{gammaln(x), 11, std::log(Real(3628800))},
           Known{gammaln(x), -1.5, std::log(4 * std::sqrt(pi) / 3)},
           Known{gammaln(x), 0, inf},
           Known{gammaln(x), -3, inf},
           Known{gammaln(x), -inf, inf},
           Known{digamma(x), 1, -gamma},
           Known{digamma(x), 0.5, -gamma - 2 * std::log(Real(2))},
           Known{digamma(x), -0.5, 2 - gamma - 2 * std::log(Real(2))},
           Known{digamma(x), 0, -inf},
           Known{digamma(x), -1, quiet_nan},
           Known{digamma(x), inf, inf},
           Known{polygamma(1, x), 1, pi * pi / 6},
           Known{polygamma(1, x), 0.5, pi * pi / 2},
           Known{polygamma(2, x), 1, -2 * zeta3},
           Known{polygamma(3, x), 0.5, pi * pi * pi * pi},
           Known{polygamma(1, x), -0.5, pi * pi / 2 + 4},
           Known{polygamma(1, x), -2, inf},
           Known{polygamma(2, x), -2, quiet_nan},
           Known{polygamma(1, x), inf, 0},
       }) {
    CAPTURE(describe(k.y));
    CAPTURE(k.at);
    for (const Tensor& got : both_modes(k.y, {{x, doubles({1}, {k.at})}})) {
      CAPTURE(got.at(0));
      CHECK(ulps(got.at(0), k.value) <= 2);
    }
  }
  // Kernel and reference go different ways.
  std::mt19937 random(82);
  for (const auto& [low, high] :
       std::vector<std::pair<double, double>>{{1e-3, 4.0}, {1.0, 60.0}, {-9.0, 0.0}, {1e3, 1e9}}) {
    const Tensor at = random_tensor(DType::float64, {2000}, random, low, high);
    for (const Expr& y :
         {gammaln(x), digamma(x), polygamma(1, x), polygamma(2, x), polygamma(4, x)}) {
      const auto got = both_modes(y, {{x, at}});
      double worst = 0, worst_at = 0;
      for (std::int64_t k = 0; k < at.size(); ++k) {
        // Near a zero digits of either way cancel.
        if (std::abs(got[0].at(k) - got[1].at(k)) < 3e-17) continue;
        const double e = ulps(got[0].at(k), got[1].at(k));
        if (e > worst) worst = e, worst_at = at.at(k);
      }
      CAPTURE(describe(y));
      CAPTURE(worst_at);
      CHECK(worst <= 4);
    }
  }
  const Expr f = fvector("f");
  for (const Tensor& got :
       both_modes(digamma(f), {{f, Tensor::from<float>({2}, {1.4616321F, -0.504083F})}})) {
    CHECK(std::abs(got.at(0)) < 1e-6);
    CHECK(std::abs(got.at(1)) < 1e-5);
  }
  CHECK_THROWS_WITH_AS(polygamma(-1, x), doctest::Contains("polygamma: the order"), ValueError);
}

TEST_CASE("betaln keeps its digits where one argument is far larger than the other") {
  // B(a, k) = (k - 1)! / (a (a + 1) ... (a + k - 1)) for whole k.
  for (const DType dtype : {DType::float64, DType::float32}) {
    const Expr a = scalar("a", dtype), b = scalar("b", dtype);
    const double eps = dtype == DType::float64 ? 2.3e-16 : 1.2e-7;
    for (const bool swapped : {false, true}) {
      const Expr y = swapped ? betaln(b, a) : betaln(a, b), slope = grad(y, a);
      const Function f = function({a, b}, {y, slope, grad(slope, a)});
      for (double size = 0.01; size < 1e15; size *= 2.7) {
        const auto at = static_cast<double>(static_cast<float>(size));
        for (int k = 1; k <= 6; ++k) {
          Real value = std::lgamma(static_cast<Real>(k)), first = 0, second = 0;
          for (int j = 0; j < k; ++j) {
            const Real x = static_cast<Real>(at) + j;
            value -= std::log(x), first -= 1 / x, second += 1 / (x * x);
          }
          const std::vector<Tensor> got =
              f({Tensor(at).cast(dtype), Tensor(static_cast<double>(k)).cast(dtype)});
          CAPTURE(at);
          CAPTURE(k);
          // Below 15 by three values of gammaln, of up to 30.
          CHECK(std::abs(got[0].item() - static_cast<double>(value)) <=
                eps * (60 + 8 * std::abs(static_cast<double>(value))));
          CHECK(std::abs(got[1].item() / static_cast<double>(first) - 1) <= 200 * eps);
          CHECK(std::abs(got[2].item() / static_cast<double>(second) - 1) <= 2000 * eps);
        }
      }
    }
  }
}

TEST_CASE("erfinv, ndtri and logit undo erf, the normal distribution function and sigmoid") {
  const Expr x = dvector("x"), f = fvector("f");
  std::mt19937 random(83);
  std::vector<double> probabilities{1e-300, 1e-100, 1e-30, 1e-10, 0.25, 0.5, 0.75, 1 - 1e-10};
  for (int k = 0; k < 3000; ++k) {
    const double u = std::uniform_real_distribution<double>(0, 1)(random);
    probabilities.push_back(k % 3 ? u : std::exp(-200 * u));
  }
  const Tensor p = doubles({static_cast<std::int64_t>(probabilities.size())}, probabilities);
  for (const Expr& y : {erfinv(x), erfinv(-x), ndtri(x), logit(x)}) {
    const auto got = both_modes(y, {{x, p}});
    double worst = 0, worst_at = 0;
    for (std::int64_t k = 0; k < p.size(); ++k) {
      const double e = ulps(got[0].at(k), got[1].at(k));
      if (e > worst) worst = e, worst_at = p.at(k);
    }
    CAPTURE(describe(y));
    CAPTURE(worst_at);
    CHECK(worst <= 4);
  }
  const Tensor ends = doubles({5}, {0, 1, -1, 2, quiet_nan});
  for (const Row& r : {Row{erfinv(x), doubles({5}, {0, inf, -inf, quiet_nan, quiet_nan})},
                       Row{ndtri(x), doubles({5}, {-inf, inf, quiet_nan, quiet_nan, quiet_nan})},
                       Row{logit(x), doubles({5}, {-inf, inf, quiet_nan, quiet_nan, quiet_nan})}}) {
    for (const Tensor& got : both_modes(r.y, {{x, ends}})) CHECK(same(got, r.expected));
  }
  CHECK(evaluate(logit(sigmoid(x)), {{x, doubles({2}, {800, -800})}}).at(0) == 800);
  for (const Tensor& got :
       both_modes(ndtri(f), {{f, Tensor::from<float>({2}, {1e-40F, 0.975F})}})) {
    CHECK(got.at(0) == doctest::Approx(-13.31092).epsilon(1e-6));
    CHECK(got.at(1) == doctest::Approx(1.959964).epsilon(1e-6));
  }
}

TEST_CASE("pooling with holes and with a last window that reaches out, against loops") {
  std::mt19937 random(84);
  for (const std::int64_t n : {5, 6, 7, 8}) {
    for (const std::int64_t width : {2, 3}) {
      for (const std::int64_t stride : {1, 2, 3, 4}) {
        for (const std::int64_t dilation : {1, 2}) {
          for (const std::int64_t padding : {0, 1}) {
            for (const bool ceil : {false, true}) {
              const PoolOptions options{
                  .stride = stride, .padding = padding, .dilation = dilation, .ceil = ceil};
              PoolOptions inner = options;
              inner.count_include_pad = false;
              const Tensor value = random_tensor(DType::float64, {1, n}, random);
              const Expr x = dmatrix("x");
              std::vector<double> most, all, inside_only;
              const std::int64_t span = (width - 1) * dilation + 1;
              for (std::int64_t start = -padding; start < n; start += stride) {
                if (start + span > n + padding && !ceil) break;
                // As PyTorch: one window more at most.
                if (start + span >= n + padding + stride) break;
                double largest = -inf, total = 0;
                int seen = 0, counted = 0;
                for (std::int64_t k = 0; k < width; ++k) {
                  const std::int64_t at = start + k * dilation;
                  counted += at < n + padding;
                  if (at < 0 || at >= n) continue;
                  largest = std::max(largest, value.at(at));
                  total += value.at(at);
                  ++seen;
                }
                most.push_back(largest);
                all.push_back(total / counted);
                inside_only.push_back(total / seen);
              }
              const Shape shape{1, static_cast<std::int64_t>(most.size())};
              CAPTURE(n);
              CAPTURE(width);
              CAPTURE(stride);
              CAPTURE(dilation);
              CAPTURE(padding);
              CAPTURE(ceil);
              for (const Row& r :
                   {Row{max_pool1d(x, width, options), doubles(shape, most)},
                    Row{average_pool1d(x, width, options), doubles(shape, all)},
                    Row{average_pool1d(x, width, inner), doubles(shape, inside_only)}}) {
                for (const Tensor& got : both_modes(r.y, {{x, value}})) {
                  CHECK(same(got, r.expected));
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST_CASE("conv3d is the sum over its filters, with every option, and differentiable") {
  std::mt19937 random(85);
  const Tensor vx = random_tensor(DType::float64, {2, 4, 5, 4, 6}, random);
  for (const ConvOptions& o :
       {ConvOptions{}, ConvOptions{.stride = {2, 1, 3}, .padding = {1, 0, 2}},
        ConvOptions{.padding = {{0, 2}, {1, 0}, {0, 0}}, .dilation = {2, 1, 2}, .flip = true},
        ConvOptions{.padding = Pad::same, .groups = 2}}) {
    const std::int64_t each = 4 / o.groups;
    const Tensor vw = random_tensor(DType::float64, {2, each, 3, 2, 3}, random);
    const auto stride = o.stride.of(3, 1, ""), dilation = o.dilation.of(3, 1, "");
    const Shape n{5, 4, 6}, k{3, 2, 3};
    std::vector<std::int64_t> spans;
    Shape out{2, 2};
    for (std::size_t a = 0; a < 3; ++a) spans.push_back((k[a] - 1) * dilation[a] + 1);
    const std::vector<Sides> padding = o.padding.of(spans);
    for (std::size_t a = 0; a < 3; ++a)
      out.push_back((n[a] + padding[a].before + padding[a].after - spans[a]) / stride[a] + 1);
    Tensor expected(DType::float64, out);
    const std::int64_t windows = out[2] * out[3] * out[4];
    for (std::int64_t at = 0; at < expected.size(); ++at) {
      const std::int64_t place = at % windows, f = at / windows % 2, b = at / windows / 2;
      const std::int64_t o_at[] = {place / (out[3] * out[4]), place / out[4] % out[3],
                                   place % out[4]};
      double total = 0;
      for (std::int64_t t = 0; t < each * 18; ++t) {
        const std::int64_t c = t / 18, tap[] = {t / 6 % 3, t / 3 % 2, t % 3};
        std::int64_t x_at = b * 4 + f / (2 / o.groups) * each + c, w_at = f * each + c;
        bool inside = true;
        for (std::size_t a = 0; a < 3; ++a) {
          const std::int64_t p = o_at[a] * stride[a] - padding[a].before + tap[a] * dilation[a];
          inside = inside && p >= 0 && p < n[a];
          x_at = x_at * n[a] + p;
          w_at = w_at * k[a] + (o.flip ? k[a] - 1 - tap[a] : tap[a]);
        }
        if (inside) total += vx.at(x_at) * vw.at(w_at);
      }
      expected.data<double>()[static_cast<std::size_t>(at)] = total;
    }
    for (const bool symbolic : {false, true}) {
      const Expr x = variable("x", DType::float64,
                              symbolic ? Shape{-1, 4, -1, -1, -1} : vx.shape()),
                 w = variable("w", DType::float64, vw.shape());
      for (const Tensor& got : both_modes(conv3d(x, w, o), {{x, vx}, {w, vw}}))
        CHECK(same(got, expected));
      const GradCheck check = check_grad(sum(square(conv3d(x, w, o))), std::vector{x, w},
                                         {{x, vx}, {w, vw}}, {.order = 1});
      CHECK_MESSAGE(check.ok, check.report);
    }
  }
  CHECK_THROWS_WITH_AS(conv3d(variable("x", DType::float64, {1, 3, 5, 5, 5}),
                              variable("w", DType::float64, {2, 4, 3, 3, 3})),
                       doctest::Contains("conv3d: the input has 3 channels"), TypeError);
}

TEST_CASE("einsum is the loop over all its letters") {
  std::mt19937 random(8);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string alphabet = "ijkZ";
  const std::int64_t lengths[] = {2, 3, 1, 4};
  int without_arrow = 0;
  for (int round = 0; round < 300; ++round) {
    std::string subscripts, used;
    std::vector<std::string> of_operands(1 + pick(3));
    std::vector<Expr> operands;
    std::vector<Binding> at;
    for (std::string& letters : of_operands) {
      const std::size_t rank = pick(4);
      Shape shape;
      for (std::size_t k = 0; k < rank; ++k) {
        letters += alphabet[pick(4)];
        shape.push_back(lengths[alphabet.find(letters.back())]);
        if (used.find(letters.back()) == std::string::npos) used += letters.back();
      }
      const Type type{DType::float64, round % 2 ? to_dims(shape) : Dims(rank, Dim::unknown())};
      operands.push_back(variable("x", type));
      at.emplace_back(operands.back(),
                      RandomState(static_cast<std::uint32_t>(round)).normal(0, 1, shape));
      subscripts += (operands.size() == 1 ? "" : ", ") + letters;
    }
    std::string result;
    if (pick(3) == 0) {
      ++without_arrow;
      std::string all;
      for (const std::string& letters : of_operands) all += letters;
      for (const char c : std::string("Zijk")) {  // Capitals come first.
        if (std::ranges::count(all, c) == 1) result += c;
      }
    } else {
      for (const char c : used) {
        if (pick(2)) result.insert(pick(result.size() + 1), 1, c);
      }
      subscripts += " -> " + result;
    }
    Shape shape;
    for (const char c : result) shape.push_back(lengths[alphabet.find(c)]);
    Tensor expected(DType::float64, shape);
    std::int64_t index[4];
    const auto offset = [&](const std::string& letters) {
      std::int64_t at_letters = 0;
      for (const char c : letters)
        at_letters = at_letters * lengths[alphabet.find(c)] + index[alphabet.find(c)];
      return at_letters;
    };
    const auto bound = [&](std::size_t k) {
      return used.find(alphabet[k]) == std::string::npos ? 1 : lengths[k];
    };
    for (index[0] = 0; index[0] < bound(0); ++index[0]) {
      for (index[1] = 0; index[1] < bound(1); ++index[1]) {
        for (index[2] = 0; index[2] < bound(2); ++index[2]) {
          for (index[3] = 0; index[3] < bound(3); ++index[3]) {
            double product = 1;
            for (std::size_t k = 0; k < operands.size(); ++k)
              product *= at[k].second.at(offset(of_operands[k]));
            expected.data<double>()[static_cast<std::size_t>(offset(result))] += product;
          }
        }
      }
    }
    CAPTURE(subscripts);
    for (const Tensor& got : both_modes(einsum(subscripts, operands), at))
      CHECK(same(got, expected));
  }
  CHECK(without_arrow > 50);
  const Expr a = dmatrix("a"), known = variable("b", DType::float64, {3, 4}),
             other = variable("c", DType::float64, {5, 4});
  const auto message = [](const std::function<Expr()>& make) {
    try {
      make();
    } catch (const TypeError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const std::pair<std::string, std::string> refused[] = {
      {message([&] { return einsum("ij,jk->ik", {a}); }), "is for 2 operands, not for 1"},
      {message([&] { return einsum("ijk->i", {a}); }), "operand 0 has 2 axes"},
      {message([&] { return einsum("ij->k", {a}); }), "which no operand has"},
      {message([&] { return einsum("ij->ii", {a}); }), "twice"},
      {message([&] { return einsum("...j->j", {a}); }), "where a letter is needed"},
      {message([&] {
         return einsum("ij,ij->i", {known, other});
       }),
       "\"i\" is 5 in operand 1 and 3 before"},
  };
  for (const auto& [message_of_one, part] : refused) {
    const std::string& got = message_of_one;
    CAPTURE(got);
    CHECK(got.find("einsum: ") == 0);
    CHECK(got.find(part) != std::string::npos);
    CHECK(got.find("vocabulary.cpp:") != std::string::npos);
  }
}

TEST_CASE("arange, zeros, ones and full are NumPy's") {
  const auto whole = [](const Expr& y) { return evaluate(y); };
  CHECK(whole(arange(2, 5)) == Tensor::from<std::int64_t>({3}, {2, 3, 4}));
  CHECK(whole(arange(5, -2, -3)) == Tensor::from<std::int64_t>({3}, {5, 2, -1}));
  CHECK(whole(arange(5, 2)).size() == 0);
  CHECK(whole(arange(0, 3, 0)).size() == 0);
  CHECK(same(whole(arange(0.5, 2, 0.5)), doubles({3}, {0.5, 1, 1.5})));
  CHECK(same(whole(arange(1, 2, 0.4)), doubles({3}, {1, 1.4, 1.8})));
  const Expr start = dscalar("start");
  CHECK(evaluate(grad(sum(square(arange(start, 2, 0.5))), start), {{start, 0.25}}).item() ==
        doctest::Approx(2 * (0.25 + 0.75 + 1.25 + 1.75)));
  const Expr n = lscalar("n");
  CHECK(evaluate(sum(arange(n, 2 * n, 2)), {{n, 5}}).item() == 5 + 7 + 9);
  CHECK(evaluate(zeros({n, 3}), {{n, 2}}) == Tensor(DType::float32, {2, 3}));
  CHECK(evaluate(ones({n}, DType::int64), {{n, 2}}) == Tensor::from<std::int64_t>({2}, {1, 1}));
  CHECK(whole(full({2}, 7)) == Tensor::from<std::int64_t>({2}, {7, 7}));
  CHECK(whole(full({}, 0.5)).item() == 0.5);
  CHECK(whole(logical_xor(arange(3), 1)) == evaluate(equal(arange(3), 0)));
}
