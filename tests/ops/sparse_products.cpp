// Products of what is mostly zeros: the values of the whole products, whatever is computed of them.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/ops/linalg/fused_products.hpp"
#include "cinch/ops/linalg/sparse.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Of numbers between -1 and 1, all but a share of them 0.
Tensor sparse_matrix(DType dtype, const Shape& shape, double share, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform(0, 1);
  Tensor result(dtype, shape);
  dispatch_float(dtype, [&]<class T> {
    for (T& x : result.data<T>())
      if (uniform(random) < share) x = static_cast<T>(2 * uniform(random) - 1);
  });
  return result;
}

Tensor transposed_value(const Tensor& x) { return evaluate(transpose(constant(x))); }

/// a b, in long double; infinities and NaN as IEEE says.
std::vector<long double> product_of(const Tensor& a, const Tensor& b) {
  const std::int64_t rows = a.shape()[0], depth = a.shape()[1], columns = b.shape()[1];
  std::vector<long double> result(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t k = 0; k < depth; ++k) {
      const long double x = a.at(i * depth + k);
      for (std::int64_t j = 0; j < columns; ++j)
        result[static_cast<std::size_t>(i * columns + j)] += x * b.at(k * columns + j);
    }
  }
  return result;
}

double furthest(const Tensor& found, const std::vector<long double>& expected) {
  double result = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const double x = found.at(static_cast<std::int64_t>(k)), y = static_cast<double>(expected[k]);
    if (std::isnan(x) != std::isnan(y) || std::isinf(x) != std::isinf(y)) return 1;
    if (std::isfinite(x)) result = std::max(result, std::abs(x - y) / (1 + std::abs(y)));
  }
  return result;
}

}  // namespace

TEST_CASE("products of mostly zeros are those of all elements, in any layout") {
  std::mt19937 random(3);
  int sparse = 0;
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const double share : {0.0, 0.0005, 0.01, 0.1, 1.0}) {
      for (const bool left : {true, false}) {
        for (const int layout : {0, 1, 2, 3}) {
          for (const double special : {0.0, std::numeric_limits<double>::infinity(),
                                       std::numeric_limits<double>::quiet_NaN()}) {
            CAPTURE(share);
            CAPTURE(left);
            CAPTURE(layout);
            CAPTURE(special);
            const std::int64_t rows = 70, depth = 900, columns = 130;
            Tensor a = sparse_matrix(dtype, {rows, depth}, left ? share : 1, random),
                   b = sparse_matrix(dtype, {depth, columns}, left ? 1 : share, random);
            // In the operand that is full, where the other one has zeros.
            if (special != 0) {
              dispatch_float(dtype, [&]<class T> {
                (left ? b : a).data<T>()[left ? 77 : 901] = static_cast<T>(special);
              });
            }
            const std::vector<long double> expected = product_of(a, b);
            const Expr x = matrix("x", dtype), y = matrix("y", dtype), c = matrix("c", dtype);
            const Expr p = dot(layout & 1 ? transpose(x) : x, layout & 2 ? transpose(y) : y);
            const Function f = function({x, y, c}, {p, add_dot(c, p.inputs()[0], p.inputs()[1])});
            const Tensor start = random_tensor(dtype, {rows, columns}, random, -1, 1);
            const std::vector<Tensor> arguments{layout & 1 ? transposed_value(a) : a,
                                                layout & 2 ? transposed_value(b) : b, start};
            set_threads(1);
            const std::vector<Tensor> found = f(arguments);
            set_threads(2);
            const std::vector<Tensor> again = f(arguments);
            const double tolerance = dtype == DType::float32 ? 1e-4 : 1e-12;
            CHECK(furthest(found[0], expected) < tolerance);
            std::vector<long double> added = expected;
            for (std::size_t k = 0; k < added.size(); ++k)
              added[k] += start.at(static_cast<std::int64_t>(k));
            CHECK(furthest(found[1], added) < tolerance);
            if (special == 0) {
              CHECK(distance(found[0], again[0]) == 0);
              CHECK(distance(found[1], again[1]) == 0);
            }
            if (share > 0 && share < 0.005 && dtype == DType::float64 && layout == 0) {
              Tensor result(dtype, {rows, columns});
              const blas::Matrix<const double> A{a.data<double>().data(), rows, depth, depth, 1},
                  B{b.data<double>().data(), depth, columns, columns, 1};
              const blas::Matrix<double> C{result.data<double>().data(), rows, columns, columns, 1};
              const bool done = blas::sparse_product(A, B, C, false);
              CHECK(done == (special == 0));  // Infinity times 0 is NaN.
              if (done) CHECK(furthest(result, expected) < 1e-12);
              sparse += done;
            }
          }
        }
      }
    }
  }
  set_threads(0);
  CHECK(sparse == 2);
}

TEST_CASE("codes of a few units, their decoders and all gradients are those of the formulas") {
  std::mt19937 random(4);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const int kind : {0, 1, 2}) {
      CAPTURE(kind);
      const std::int64_t batch = 33, inputs = 40, units = 1500;
      const Expr x = matrix("x", dtype), E = matrix("E", dtype), D = matrix("D", dtype);
      const Expr p = dot(x, E);
      const Expr code = kind == 0   ? k_sparse(p, 3)
                        : kind == 1 ? topk_code(p, 5)
                                    : k_sparse(tanh(0.1 * p), 4) * 0.5;
      const Expr z = dot(code, D), cost = mean(squared_error(x, z));
      std::vector<Expr> outputs{cost, z};
      for (const Expr& g : grad(cost, {x, E, D})) outputs.push_back(g);
      const std::vector<Tensor> arguments{random_tensor(dtype, {batch, inputs}, random, -1, 1),
                                          random_tensor(dtype, {inputs, units}, random, -1, 1),
                                          random_tensor(dtype, {units, inputs}, random, -1, 1)};
      const Function fast = function({x, E, D}, outputs),
                     plain = function({x, E, D}, outputs, {}, {}, Mode::checked);
      const std::vector<Tensor> found = fast(arguments), expected = plain(arguments);
      for (std::size_t k = 0; k < found.size(); ++k)
        CHECK(distance(found[k], expected[k]) < (dtype == DType::float32 ? 1e-4 : 1e-12));
      CHECK(explain(fast).text().find("chosen_dot") != std::string::npos);
    }
  }
}

TEST_CASE("a product is whole where it is used besides where it is chosen") {
  const Expr x = dmatrix("x"), W = dmatrix("W");
  const Expr p = dot(x, W), kept = switch_(largest(p, 2, 1), p, 0);
  const Expr i = lmatrix("i"),
             mask = add_along_axis(ones_like(cast(i, DType::float64)), i, p, 1) > 0;
  std::mt19937 random(5);
  const std::vector<Tensor> arguments{
      random_tensor(DType::float64, {40, 300}, random, -1, 1),
      random_tensor(DType::float64, {300, 200}, random, -1, 1),
      evaluate(argsort(constant(random_tensor(DType::float64, {40, 3}, random, -1, 1)), 1))};
  const auto text_of = [&](const Expr& y) {
    const Function f = function({.inputs = {x, W, i}, .outputs = {y}, .allow_unused_inputs = true});
    const Tensor found = f(arguments)[0],
                 expected = function({.inputs = {x, W, i},
                                      .outputs = {y},
                                      .mode = Mode::checked,
                                      .allow_unused_inputs = true})(arguments)[0];
    CHECK(distance(found, expected) < 1e-12);
    return explain(f).text();
  };
  const auto is_chosen = [&](const Expr& y) {
    return text_of(y).find("chosen_dot") != std::string::npos;
  };
  CHECK_FALSE(is_chosen(kept));  // What is largest is known when all are.
  CHECK(is_chosen(switch_(mask, square(p), 1)));
  CHECK_FALSE(is_chosen(switch_(mask, p, exp(-square(p)))));
  CHECK_FALSE(is_chosen(switch_(mask, p, 0) + p));
  CHECK_FALSE(is_chosen(switch_(x[0][0] > 0, p, 0)));
}
