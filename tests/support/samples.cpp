#include "support/samples.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "cinch/core/op.hpp"

namespace cinch::testing {

std::vector<Example> examples_of(const Op& op) {
  if (op.examples) return op.examples();
  if (!op.elementwise()) return {};
  const DType given = op.operands == Operands::boolean ? DType::bool_ : DType::float64;
  std::vector<std::vector<Dims>> patterns;
  const std::vector<Dims> shapes{{},     {1},      {5},       {3, 4},   {2, 3, 4},
                                 {0, 3}, {37, 41}, {2, 1100}, {1500, 3}};
  for (const Dims& shape : shapes) patterns.emplace_back(static_cast<std::size_t>(op.arity), shape);
  if (op.arity > 1) {
    for (const auto& [a, b] : std::vector<std::pair<Dims, Dims>>{{{3, 4}, {4}},
                                                                 {{3, 1}, {3, 4}},
                                                                 {{3, 4}, {}},
                                                                 {{}, {3, 4}},
                                                                 {{3, 1}, {1, 4}},
                                                                 {{2, 1, 4}, {3, 1}},
                                                                 {{600, 2}, {2}},
                                                                 {{600, 2}, {600, 1}},
                                                                 {{1, 3}, {0, 3}}}) {
      std::vector<Dims> pattern(static_cast<std::size_t>(op.arity), a);
      pattern.back() = b;
      patterns.push_back(pattern);
    }
  }
  std::vector<Example> result;
  for (const auto& pattern : patterns) {
    Example example{{}, [&op](Args x) { return apply(op, {x.begin(), x.end()}); }};
    for (const Dims& dims : pattern) example.inputs.push_back({given, dims});
    if (op.operands == Operands::choice) example.inputs[0].dtype = DType::bool_;
    result.push_back(example);
  }
  if (op.arity == 2 && given == DType::float64) {
    // Operands that lie in memory the other way round.
    result.push_back({{Type{DType::float64, {3, 4}}, Type{DType::float64, {4, 3}}}, [&op](Args x) {
                        return apply(op, {x[0], dimshuffle(x[1], {1, 0})});
                      }});
  }
  return result;
}

Tensor random_tensor(DType dtype, const Shape& shape, std::mt19937& random, double low, double high,
                     double limit) {
  Tensor result(dtype, shape);
  std::uniform_real_distribution<double> real(low, high);
  std::uniform_int_distribution<std::int64_t> integer(
      0, std::max<std::int64_t>(static_cast<std::int64_t>(limit) - 1, 0));
  dispatch(dtype, [&]<class T> {
    for (T& x : result.data<T>()) {
      if constexpr (std::is_same_v<T, bool>) {
        x = random() & 1;
      } else if constexpr (std::is_integral_v<T>) {
        x = integer(random);
      } else {
        x = static_cast<T>(real(random));
      }
    }
  });
  return result;
}

Sample sample(const Op& op, const Example& example, DType real, std::mt19937& random,
              bool symbolic) {
  Sample result;
  for (std::size_t k = 0; k < example.inputs.size(); ++k) {
    Type type = example.inputs[k];
    if (type.dtype == DType::float64) type.dtype = real;
    const double limit = k < example.limits.size() ? example.limits[k] : 5;
    Tensor value =
        random_tensor(type.dtype, type.shape(), random, op.probe.low, op.probe.high, limit);
    Shape sizes = type.shape();
    if (symbolic) sizes.assign(sizes.size(), -1);
    Expr x = variable("x" + std::to_string(k), type.dtype, sizes);
    result.inputs.push_back(x);
    result.bindings.emplace_back(x, value);
    result.values.push_back(std::move(value));
  }
  result.y = example.build(result.inputs);
  result.label = std::string(op.name) + " " + describe(result.y);
  for (const Tensor& value : result.values) result.label += " " + text(type_of(value));
  return result;
}

double distance(const Tensor& a, const Tensor& b) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return infinite;
  double result = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double x = a.at(i), y = b.at(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double d = std::abs(x - y) / (1 + std::abs(y));
    result = std::isnan(d) ? infinite : std::max(result, d);
  }
  return result;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

double rounding(DType dtype) {
  return dtype == DType::float32 ? 2e-5 : dtype == DType::float64 ? 3e-13 : 0;
}

}  // namespace cinch::testing
