#include "core/check_grad.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "core/function.hpp"
#include "core/grad.hpp"
#include "core/graph.hpp"
#include "core/op.hpp"
#include "core/shared.hpp"

namespace cinch {

extern const Op mul_op;  // Defined in ops/.

namespace {

Tensor random_direction(const Shape& shape, std::mt19937& random) {
  Tensor result(DType::float64, shape);
  std::normal_distribution<double> normal;
  for (double& x : result.data<double>()) x = normal(random);
  return result;
}

Tensor moved(const Tensor& x, const Tensor& direction, double by) {
  Tensor result = x;
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.size()); ++i) {
    result.data<double>()[i] += by * direction.data<double>()[i];
  }
  return result;
}

}  // namespace

GradCheck check_grad(const Arg& cost, std::span<const Expr> wrt, const std::vector<Binding>& at,
                     const GradCheckOptions& options) {
  const Attribution as(cost.where());
  if (cost->dtype() != DType::float64 || cost->rank() != 0) {
    throw TypeError("check_grad: the cost must be a float64 scalar, it is " + text(cost->type()));
  }
  // Parameters become inputs, so that they can be moved.
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  Substitutions fresh;
  std::vector<Expr> parameters;
  for (const Expr& w : wrt) {
    if (w.dtype() != DType::float64) {
      throw TypeError("check_grad: " + describe(w) + " is " + text(w.type()) +
                      ": make it float64 for the check");
    }
    parameters.push_back(variable(describe(w), w.type()));
    inputs.push_back(parameters.back());
    fresh.emplace_back(w, parameters.back());
    if (is_shared(w)) {
      values.push_back(as_shared(w).value());
    } else {
      const auto found = std::ranges::find(at, w, &Binding::first);
      if (found == at.end()) throw TypeError("check_grad: no value is given for " + describe(w));
      values.push_back(found->second);
    }
  }
  for (const auto& [variable, value] : at) {
    if (std::ranges::find(wrt, variable) != wrt.end()) continue;
    inputs.push_back(variable);
    values.push_back(value);
  }

  // Draws stay the same ones at every point.
  for (const Shared& state : shared_variables(std::span(&cost.expr(), 1))) {
    if (state.attrs().state->advance) fresh.emplace_back(state, constant(state.value()));
  }

  std::mt19937 random(options.seed);
  GradCheck result;
  Expr f = substitute(std::span(&cost.expr(), 1), fresh).front();
  for (int order = 1; order <= options.order; ++order) {
    std::vector<Tensor> directions;
    std::vector<Expr> gradients = grad(
        f, parameters, {.disconnected = order == 1 ? Disconnected::error : Disconnected::zero});
    Expr along = cast(Arg(0.0), DType::float64);
    std::vector<Expr> outputs{f};
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      directions.push_back(random_direction(values[k].shape(), random));
      along = along + sum_like(apply(mul_op, {gradients[k], constant(directions[k])}), along);
      outputs.push_back(gradients[k]);
    }
    const Function run =
        function({.inputs = inputs, .outputs = outputs, .allow_unused_inputs = true});
    const std::vector<Tensor> here = run(values);
    double analytic = 0, scale = 1;
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(values[k].size()); ++i) {
        const double part = here[k + 1].data<double>()[i] * directions[k].data<double>()[i];
        analytic += part;
        scale += std::abs(part);
      }
    }
    const auto value_at = [&](double by) {
      std::vector<Tensor> there = values;
      for (std::size_t k = 0; k < parameters.size(); ++k)
        there[k] = moved(values[k], directions[k], by);
      return run(there)[0].item();
    };
    const double h = options.step;
    const double numeric =
        (8 * (value_at(h) - value_at(-h)) - (value_at(2 * h) - value_at(-2 * h))) / (12 * h);
    // Rounding of the values themselves, magnified by the small step.
    scale += 1e-4 * std::abs(here[0].item());
    const double difference = std::abs(analytic - numeric) / scale;
    result.report += text("order ", order, ": analytic ", analytic, ", numeric ", numeric,
                          ", difference ", difference, "\n");
    result.worst = std::isnan(difference) ? difference : std::max(result.worst, difference);
    result.ok = result.ok && difference <= options.tolerance;
    f = along;
  }
  return result;
}

}  // namespace cinch
