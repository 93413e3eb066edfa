// A cost of several parameters, of every rank up to 3, with its value and gradient by hand.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch::testing {

/// sum_i a_i (p_i - q_i)^2 + c (sum_i p_i)^2 over the elements of all parameters, one after the
/// other.
struct Coupled {
  static constexpr double coupling = 0.05;
  std::vector<Shared> params;
  std::vector<double> start, center, curvature;
  Expr cost;

  explicit Coupled(DType dtype) {
    Expr total;
    for (const auto& [label, shape] : std::vector<std::pair<std::string, Shape>>{
             {"W", {2, 3}}, {"b", {3}}, {"s", {}}, {"T", {2, 1, 2}}}) {
      const auto n = element_count(shape);
      const auto tensor = [&, size = n, dims = shape](std::vector<double>& all, auto f) {
        std::vector<double> own;
        for (std::int64_t i = 0; i < size; ++i)
          own.push_back(f(static_cast<double>(all.size()) + static_cast<double>(i)));
        all.insert(all.end(), own.begin(), own.end());
        return Tensor::from<double>(dims, std::span<const double>(own)).cast(dtype);
      };
      // Multiples of 1/8: the same in both dtypes.
      params.emplace_back(tensor(start, [](double i) { return std::fmod(5 * i, 7) / 4 - 0.625; }),
                          label);
      const Expr q = constant(tensor(center, [](double i) { return 1 - std::fmod(3 * i, 8) / 4; }));
      const Expr a =
          constant(tensor(curvature, [](double i) { return 0.25 + std::fmod(i, 5) / 2; }));
      const Expr part = sum(a * square(params.back() - q));
      total = total.has_value() ? total + part : part;
    }
    Expr all = sum(params[0]);
    for (std::size_t k = 1; k < params.size(); ++k) all = all + sum(params[k]);
    cost = total + coupling * square(all);
  }

  double cost_at(const std::vector<double>& p) const {
    const double all = std::accumulate(p.begin(), p.end(), 0.0);
    double result = coupling * all * all;
    for (std::size_t i = 0; i < p.size(); ++i)
      result += curvature[i] * std::pow(p[i] - center[i], 2);
    return result;
  }
  std::vector<double> gradient_at(const std::vector<double>& p) const {
    const double all = std::accumulate(p.begin(), p.end(), 0.0);
    std::vector<double> result;
    for (std::size_t i = 0; i < p.size(); ++i)
      result.push_back(2 * curvature[i] * (p[i] - center[i]) + 2 * coupling * all);
    return result;
  }
  std::vector<double> values() const {
    std::vector<double> result;
    for (const Shared& p : params)
      for (std::int64_t i = 0; i < p.value().size(); ++i) result.push_back(p.value().at(i));
    return result;
  }
};

/// Largest difference; infinite where one of them is NaN.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double result = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double d = std::abs(a[i] - b[i]);
    result = std::max(result, std::isnan(d) ? INFINITY : d);
  }
  return result;
}

}  // namespace cinch::testing
