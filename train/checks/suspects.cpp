#include "cinch/train/checks/suspects.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/targets.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::checks {

namespace {

Expr without_moves(Expr e) {
  while (&e.op() == &dimshuffle_op || &e.op() == &broadcast_to_op || &e.op() == &reshape_op ||
         &e.op() == &cast_op) {
    e = e.inputs()[0];
  }
  return e;
}

/// What a sum is the sum of.
std::vector<Expr> summands(const Expr& sum) {
  std::vector<Expr> result, pending{sum};
  while (!pending.empty()) {
    const Expr e = without_moves(pending.back());
    pending.pop_back();
    if (&e.op() == &add_op) {
      pending.insert(pending.end(), e.inputs().begin(), e.inputs().end());
    } else {
      result.push_back(e);
    }
  }
  return result;
}

/// The stored float variables that `e` is a product by, or is.
std::vector<Expr> stored(const Expr& e) {
  std::vector<Expr> result;
  const std::string_view op = e.op().name;
  if (is_shared(e)) {
    result.push_back(e);
  } else if (&e.op() == &dot_op || op.starts_with("conv")) {
    for (const Expr& input : e.inputs()) {
      const Expr inner = without_moves(input);
      if (is_shared(inner)) result.push_back(inner);
    }
  }
  std::erase_if(result, [](const Expr& s) { return !is_float(s.dtype()); });
  return result;
}

bool has_gradient(const Expr& loss, const Expr& variable) {
  try {
    grad(loss, variable);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

void require_updates(const Function& step) {
  const auto& targets = Inspect::program(step).targets;
  const bool any = std::ranges::any_of(
      targets, [](const Shared& target) { return !target.attrs().state->advance; });
  if (any) return;
  throw ValueError(text("train: the step \"", Inspect::program(step).name,
                        "\" has no updates, so that nothing would be trained\n  Give function() "
                        "its .updates, sgd(cost, params, rate) say; mean_over() only computes."));
}

void require_no_training(const Function& validate, const Function& step,
                         std::span<const Shared> params) {
  const std::vector<Shared>& trained = Inspect::program(step).targets;
  for (const Shared& target : Inspect::program(validate).targets) {
    const bool is_trained = std::ranges::find(trained, target) != trained.end() ||
                            std::ranges::find(params, target) != params.end();
    if (!is_trained || target.attrs().state->advance) continue;  // Random draws may be shared.
    throw ValueError(text("train: the validation \"", Inspect::program(validate).name,
                          "\" updates ", describe(target),
                          ", so that it would train on what it validates with\n  Give it a "
                          "function() of the same cost without .updates."));
  }
}

void require_probabilities(const Function& step, std::span<const Tensor* const> arguments) {
  const compiling::Program& program = Inspect::program(step);
  const std::vector<Expr> targets = rules::cross_entropy_targets(program.written[0]);
  if (targets.empty()) return;
  std::vector<Expr> limits;
  for (const Expr& t : targets) {
    limits.push_back(min(t));
    limits.push_back(max(t));
  }
  const std::vector<Tensor> values =
      function({.inputs = program.inputs, .outputs = limits, .allow_unused_inputs = true})
          .call(arguments);
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const double low = values[2 * k].item(), high = values[2 * k + 1].item();
    constexpr double rounding = 1e-5;
    if (!(low < -rounding || high > 1 + rounding)) continue;
    refuse<ValueError>(
        "train",
        text("the targets of a cross-entropy lie in [0, 1]; ", describe(targets[k]), " is from ",
             low, " to ", high, " in the first minibatch, where the loss falls without end\n  ",
             high > 1.5 && low >= 0 ? "Divide pixels by 255, or take squared_error."
                                    : "Scale them into [0, 1], or take squared_error."),
        targets[k]->where);
  }
}

std::vector<LeftOut> left_out(const Function& step) {
  const compiling::Program& program = Inspect::program(step);
  const auto trained = [&](const Expr& e) {
    return std::ranges::any_of(program.targets, [&](const Shared& t) { return t == e; });
  };
  std::vector<LeftOut> result;
  const Expr& loss = program.written[0];
  for (const Expr& node : topological(std::span(&loss, 1))) {
    if (&node.op() != &add_op) continue;
    std::vector<Expr> terms = summands(node), found;
    const bool product = std::ranges::any_of(
        terms, [](const Expr& e) { return !is_shared(e) && !stored(e).empty(); });
    if (!product) continue;
    for (const Expr& e : terms) {
      for (const Expr& s : stored(e)) found.push_back(s);
    }
    const auto beside = std::ranges::find_if(found, trained);
    if (beside == found.end()) continue;
    for (const Expr& s : found) {
      const bool known =
          std::ranges::any_of(result, [&](const LeftOut& l) { return l.variable == s; });
      if (!known && !trained(s) && has_gradient(loss, s)) result.push_back({s, *beside});
    }
  }
  return result;
}

std::string text_of(const LeftOut& one) {
  return text("no update changes ", describe(one.variable), " (", one.variable->where.text(),
              "), and the loss has a gradient by it and ", describe(one.beside),
              " beside it is trained: unless it is to stay, it belongs to the parameters");
}

}  // namespace cinch::checks
