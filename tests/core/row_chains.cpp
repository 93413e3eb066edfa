// Loops that run together over some rows at a time, beside the same loops one after the other.
#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/run/row_chain.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Chains of whatever size, of so many rows at a time, for a while.
struct BlockRows {
  explicit BlockRows(std::int64_t rows) { running::forced_block_rows = rows; }
  ~BlockRows() { running::forced_block_rows = 0; }
};

bool is_joined(const Function& f) { return f.plan_text().find(" loops by ") != std::string::npos; }

Expr layer_norm_of(const Expr& a) { return (a - mean(a, 1, true)) / sqrt(var(a, 1, true) + 1e-5); }

struct Formula {
  std::string text;
  std::function<Expr(Expr x, Expr g, Expr b)> y;
};
const std::vector<Formula>& formulas() {
  static const std::vector<Formula> all{
      {"layer norm", [](Expr x, Expr g, Expr b) { return layer_norm_of(x) * g + b; }},
      {"two layer norms and gelus",
       [](Expr x, Expr g, Expr b) {
         return gelu(layer_norm_of(gelu(layer_norm_of(x) * g + b)) * g + b);
       }},
      {"softmax", [](Expr x, Expr g, Expr) { return softmax(x * g); }},
      {"log softmax", [](Expr x, Expr, Expr b) { return log_softmax(x + b); }},
      {"rms norm",
       [](Expr x, Expr g, Expr) { return x / sqrt(mean(square(x), 1, true) + 1e-6) * g; }},
      {"logsumexp of rows", [](Expr x, Expr g, Expr) { return logsumexp(x, 1, true) + x * g; }},
      {"largest of a row", [](Expr x, Expr, Expr b) { return x - max(x, 1, true) + b; }},
      {"row sums of row sums",
       [](Expr x, Expr, Expr) {
         const Expr s = sum(x, 1);
         return x * expand_dims(s * s / (1 + abs(s)), 1);
       }},
      {"means over rows between them",
       [](Expr x, Expr g, Expr) {
         const Expr c = layer_norm_of(x);
         return layer_norm_of(c - mean(c, 0, true)) * g;
       }},
      {"counts of elements",
       [](Expr x, Expr, Expr b) {
         return x * cast(sum(cast(x > 0, DType::int64), 1, true), x.dtype()) + b;
       }},
      {"transposed",
       [](Expr x, Expr g, Expr) { return transpose(transpose(layer_norm_of(x)) * 2) * g; }},
  };
  return all;
}

}  // namespace

TEST_CASE("loops over the same rows make together what they make one after the other") {
  for (const Formula& formula : formulas()) {
    for (const DType dtype : {DType::float64, DType::float32}) {
      for (const std::int64_t rows : {7, 8}) {
        CAPTURE(formula.text);
        CAPTURE(rows);
        std::mt19937 random(4);
        const Expr x = matrix("x", dtype), g = vector("g", dtype), b = vector("b", dtype);
        const std::vector<Tensor> values{random_tensor(dtype, {rows, 150}, random, -2, 2),
                                         random_tensor(dtype, {150}, random, -1, 1),
                                         random_tensor(dtype, {150}, random, -1, 1)};
        const Expr y = formula.y(x, g, b), cost = mean(square(y)) + sum(sin(y));
        std::vector<Expr> outputs{y, cost, sum(y, 0), sum(y, 1)};
        for (const Expr& slope : grad(cost, {x, g, b}, {.disconnected = Disconnected::zero}))
          outputs.push_back(slope);
        const auto compiled = [&] {
          return function({.inputs = {x, g, b}, .outputs = outputs, .allow_unused_inputs = true});
        };
        const std::vector<Tensor> expected = compiled()(values);
        for (const std::int64_t block : {1, 3, 64}) {
          CAPTURE(block);
          const BlockRows use(block);
          const Function f = compiled();
          std::vector<Tensor> first;
          for (const int n : {1, 2, 3}) {
            const Threads team(n);
            const std::vector<Tensor> made = f(values);
            if (first.empty()) first = made;
            for (std::size_t k = 0; k < made.size(); ++k) {
              CAPTURE(k);
              CHECK(made[k] == first[k]);
              CHECK(distance(made[k], expected[k]) <= (dtype == DType::float64 ? 1e-12 : 1e-4));
            }
          }
          CHECK(is_joined(f));
        }
      }
    }
  }
}

TEST_CASE("large arrays are gone through some rows at a time, and need memory for these only") {
  std::mt19937 random(4);
  const Expr x = matrix("x"), g = vector("g"), b = vector("b");
  Expr h = x;
  for (int k = 0; k < 3; ++k) h = gelu(layer_norm_of(h) * g + b);
  std::vector<Expr> outputs{mean(square(h))};
  for (const Expr& slope : grad(outputs[0], {g, b})) outputs.push_back(slope);
  const Function f = function({x, g, b}, outputs);
  const std::vector<Tensor> values{random_tensor(DType::float32, {300, 1000}, random, -1, 1),
                                   random_tensor(DType::float32, {1000}, random, 0.5, 1),
                                   random_tensor(DType::float32, {1000}, random, -1, 1)};
  std::vector<Tensor> first;
  for (const int n : {1, 2, 3, 5}) {
    const Threads team(n);
    const std::vector<Tensor> made = f(values);
    if (first.empty()) first = made;
    for (std::size_t k = 0; k < made.size(); ++k) CHECK(made[k] == first[k]);
  }
  CHECK(is_joined(f));
  CHECK(f.arena_bytes() < 4 * values[0].bytes());
  const Function exact = function({x, g, b}, outputs, {}, {}, Mode::checked);
  const std::vector<Tensor> expected = exact(values);
  for (std::size_t k = 0; k < expected.size(); ++k) CHECK(distance(first[k], expected[k]) <= 1e-4);
}

TEST_CASE("what a loop needs of other rows, or of a product, waits for all of them") {
  const BlockRows use(2);
  std::mt19937 random(4);
  const DType dtype = DType::float64;
  const Expr x = dmatrix("x"), W = dmatrix("W");
  const Expr c = layer_norm_of(x), p = dot(tanh(c), W), q = softmax(p + mean(p, 0, true));
  const std::vector<Expr> outputs{q, sum(q * c), transpose(c) * 2 + transpose(c)[0],
                                  reverse(c, 0) * c, cumsum(c, 0) + c};
  const std::vector<Tensor> values{random_tensor(dtype, {6, 6}, random, -2, 2),
                                   random_tensor(dtype, {6, 6}, random, -1, 1)};
  const Function f = function({x, W}, outputs);
  const std::vector<Tensor> made = f(values);
  CHECK(is_joined(f));
  const std::vector<Tensor> expected = function({x, W}, outputs, {}, {}, Mode::checked)(values);
  for (std::size_t k = 0; k < made.size(); ++k) {
    CAPTURE(k);
    CHECK(distance(made[k], expected[k]) <= 1e-12);
  }
}

TEST_CASE("more loops than a block has room for make several chains") {
  std::mt19937 random(4);
  const Expr x = dmatrix("x"), g = dvector("g");
  Expr h = x;
  for (int k = 0; k < 4; ++k) h = gelu(layer_norm_of(h) * g);
  std::vector<Expr> outputs{h};
  for (const Expr& slope : grad(sum(square(h)), {x, g})) outputs.push_back(slope);
  const std::vector<Tensor> values{random_tensor(DType::float64, {9, 2000}, random, -1, 1),
                                   random_tensor(DType::float64, {2000}, random, 0.5, 1)};
  const Function whole = function({x, g}, outputs);
  const std::vector<Tensor> expected = whole(values);
  CHECK(!is_joined(whole));
  const BlockRows use(4);
  const Function f = function({x, g}, outputs);
  const std::vector<Tensor> made = f(values);
  std::size_t chains = 0;
  const std::string plan = f.plan_text();
  for (std::size_t at = plan.find(" loops by "); at != std::string::npos;
       at = plan.find(" loops by ", at + 1))
    ++chains;
  CHECK(chains > 1);
  for (std::size_t k = 0; k < made.size(); ++k) CHECK(distance(made[k], expected[k]) <= 1e-10);
}
