#include "cinch/core/contract/differences.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Build = std::function<Expr(const Expr&)>;

/// What is made of squared distances of all pairs. Points are at 0 from themselves.
const std::vector<std::pair<std::string, Build>>& uses() {
  static const std::vector<std::pair<std::string, Build>> all{
      {"sum", [](const Expr& D) { return sum(D); }},
      {"Gaussian kernel", [](const Expr& D) { return sum(exp(-D / 2)); }},
      {"Student kernel", [](const Expr& D) { return mean(1 / (1 + D)); }},
      {"near the pole", [](const Expr& D) { return sum(1 / (D + 1e-3)); }},
      {"guarded length", [](const Expr& D) { return mean(sqrt(D + 1e-6)); }},
      {"logarithm", [](const Expr& D) { return mean(log(D + 1e-5)); }},
      {"nearest", [](const Expr& D) { return sum(min(D, -1)); }},
      {"lengths", [](const Expr& D) { return sum(sqrt(D)); }},
  };
  return all;
}

struct Cloud {
  std::string name;
  std::function<double(std::mt19937&, std::int64_t point, std::int64_t coordinate)> at;
  bool coincides = false;  ///< With points of another one drawn so.
};

double normal(std::mt19937& random) { return std::normal_distribution<double>()(random); }

const std::vector<Cloud>& clouds() {
  static const std::vector<Cloud> all{
      {"normal", [](auto& random, auto, auto) { return normal(random); }},
      {"far from 0", [](auto& random, auto, auto) { return 1000 + normal(random); }},
      {"clusters",
       [](auto& random, auto i, auto k) {
         return 300.0 * static_cast<double>((i * 7 + k * 3) % 4) + normal(random);
       }},
      {"small", [](auto& random, auto, auto) { return 1e-3 * normal(random); }},
      {"each twice",
       [](auto&, auto i, auto k) { return std::sin(static_cast<double>((i / 2) * 31 + k * 17)); },
       true},
      {"all one", [](auto&, auto, auto) { return 3.3; }, true},
  };
  return all;
}

Tensor points_of(const Cloud& cloud, DType dtype, const Shape& shape, std::mt19937& random) {
  std::vector<double> values;
  const std::int64_t k = shape.back();
  for (std::int64_t e = 0; e < element_count(shape); ++e)
    values.push_back(cloud.at(random, e / k, e % k));
  return Tensor::from<double>(shape, values).cast(dtype);
}

bool has_op(const Function& f, std::string_view op) {
  return explain(f).text().find(op) != std::string::npos;
}

}  // namespace

TEST_CASE("sums over differences of all pairs keep their digits, wherever the points are") {
  std::mt19937 random(7);
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const Cloud& cloud : clouds()) {
      for (const auto& [use, build] : uses()) {
        for (const bool own : {true, false}) {
          CAPTURE(dtype);
          CAPTURE(cloud.name);
          CAPTURE(use);
          CAPTURE(own);
          // At 0 a length has no derivative.
          if (use == "lengths" && (own || cloud.coincides)) continue;
          const Expr x = matrix("x", dtype), y = own ? x : matrix("y", dtype);
          const Expr cost = build(sum(square(expand_dims(x, 1) - expand_dims(y, 0)), 2));
          std::vector<Expr> inputs{x}, outputs{cost, grad(cost, x)};
          std::vector<Tensor> at{points_of(cloud, dtype, {37, 12}, random)};
          if (!own) {
            inputs.push_back(y);
            outputs.push_back(grad(cost, y));
            at.push_back(points_of(cloud, dtype, {45, 12}, random));
          }
          const Function fast = function({.inputs = inputs, .outputs = outputs}),
                         exact = function(
                             {.inputs = inputs, .outputs = outputs, .mode = Mode::checked});
          const std::vector<Tensor> got = fast(at), wanted = exact(at);
          CHECK(has_op(fast, "squared_differences"));
          // The gradient of a minimum chooses pairs: it is no product.
          CHECK((use == "nearest" || has_op(fast, "weighted_differences")));
          CHECK(distance(got[0], wanted[0]) < 4 * rounding(dtype));
          for (std::size_t k = 1; k < got.size(); ++k) {
            // To the largest, which is what a step takes.
            double most = 0, error = 0;
            for (std::int64_t e = 0; e < got[k].size(); ++e) {
              most = std::max(most, std::abs(wanted[k].at(e)));
              error = std::max(error, std::abs(wanted[k].at(e) - got[k].at(e)));
            }
            CHECK(error <= 40 * rounding(dtype) * most + 1e-30);
          }
        }
      }
    }
  }
}

TEST_CASE("sums over differences are found in any order of axes, with factors and batches") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 150),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t found = 0;
  for (std::int64_t seed = first; seed < first + programs; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](std::size_t n) { return random() % n; };
    // Axes: sets, i, j, k, of which each factor has some; in a random order.
    struct Axis {
      char name;
      std::int64_t size;
    };
    std::vector<Axis> axes{{'i', 9 + static_cast<std::int64_t>(pick(9))},
                           {'j', 9 + static_cast<std::int64_t>(pick(9))},
                           {'k', 8 + static_cast<std::int64_t>(pick(9))}};
    if (pick(2)) axes.push_back({'s', 3});
    if (pick(2)) axes.push_back({'l', 10});  // More coordinates.
    std::ranges::shuffle(axes, random);
    std::vector<Expr> inputs;
    std::vector<Tensor> at;
    const auto factor = [&](std::string_view names) {
      Shape shape;
      for (const Axis& axis : axes)
        shape.push_back(names.find(axis.name) != names.npos ? axis.size : 1);
      inputs.push_back(variable("v" + std::to_string(inputs.size()), DType::float64, shape));
      at.push_back(random_tensor(DType::float64, shape, random));
      return inputs.back();
    };
    const Expr d = factor("iskl") - factor("jskl");
    Expr body = pick(2) ? square(d) : d;
    for (std::size_t extra = pick(3); extra-- > 0;)
      body = body * factor(pick(4) == 0 ? "ik" : pick(2) ? "ijs" : "ij");
    std::vector<std::int64_t> over;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      if (pick(2)) over.push_back(static_cast<std::int64_t>(axis));
    }
    if (over.empty()) over.push_back(0);
    const Expr y = sum(body, Axes(over)), cost = sum(sin(y / 100));
    std::vector<Expr> outputs{y};
    for (const Expr& g : grad(cost, inputs)) outputs.push_back(g);
    const Function fast = function({.inputs = inputs, .outputs = outputs}),
                   exact = function({.inputs = inputs, .outputs = outputs, .mode = Mode::checked});
    const std::vector<Tensor> got = fast(at), wanted = exact(at);
    found += has_op(fast, "_differences") ? 1 : 0;
    for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-10);
  }
  CHECK(found > programs / 4);
}

TEST_CASE("what is not finite in points is so in what is made of them, and nowhere else") {
  std::mt19937 random(3);
  for (const double odd : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
    const Expr x = variable("x", DType::float64, {20, 16}),
               y = variable("y", DType::float64, {30, 16});
    const Expr D = sum(square(expand_dims(x, 1) - expand_dims(y, 0)), 2);
    Tensor points = random_tensor(DType::float64, {20, 16}, random);
    points.data<double>()[16 * 3 + 5] = odd;
    const std::vector<Tensor> at{points, random_tensor(DType::float64, {30, 16}, random)};
    const std::vector<Expr> outputs{D, grad(sum(exp(-D)), y)};
    const Function fast = function({.inputs = {x, y}, .outputs = outputs}),
                   exact = function({.inputs = {x, y},
                                     .outputs = outputs,
                                     .mode = Mode::checked,
                                     .watch = Watch::nothing});
    const std::vector<Tensor> got = fast(at), wanted = exact(at);
    for (std::size_t k = 0; k < got.size(); ++k) CHECK(distance(got[k], wanted[k]) < 1e-10);
  }
}
