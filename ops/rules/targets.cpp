#include "cinch/ops/rules/targets.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/special.hpp"

namespace cinch::rules {

namespace {

template <class... Ops>
bool is_one_of(const Expr& e, const Ops&... ops) {
  return ((&e.op() == &ops) || ...);
}

/// A factor of a logarithm: t of t log(z).
std::vector<Expr> weights_of_logs(Expr e) {
  while (is_one_of(e, neg_op, copy_op)) e = e.inputs()[0];
  if (is_one_of(e, xlogy_op, xlog1py_op)) return {e.inputs()[0]};
  if (!is_one_of(e, mul_op)) return {};
  const auto is_log = [](Expr x) {
    while (is_one_of(x, neg_op, copy_op)) x = x.inputs()[0];
    return is_one_of(x, log_op, log1p_op, softplus_op);
  };
  std::vector<Expr> result;
  for (const std::size_t k : {0, 1}) {
    Expr factor = e.inputs()[1 - k];
    while (is_one_of(factor, neg_op, copy_op)) factor = factor.inputs()[0];
    if (is_log(e.inputs()[k])) result.push_back(factor);
  }
  return result;
}

bool complements(const Expr& rest, const Expr& t) {
  return is_one_of(rest, sub_op) && graphs::is_constant(rest.inputs()[0], 1) &&
         rest.inputs()[1] == t;
}

}  // namespace

std::vector<Expr> cross_entropy_targets(const Expr& root) {
  std::vector<Expr> result;
  for (const Expr& node : topological(std::span(&root, 1))) {
    if (!is_one_of(node, add_op, sub_op)) continue;
    for (const Expr& a : weights_of_logs(node.inputs()[0])) {
      for (const Expr& b : weights_of_logs(node.inputs()[1])) {
        const bool first = complements(b, a);
        if (!first && !complements(a, b)) continue;
        const Expr& t = first ? a : b;
        if (std::ranges::find(result, t) == result.end()) result.push_back(t);
      }
    }
  }
  return result;
}

}  // namespace cinch::rules
