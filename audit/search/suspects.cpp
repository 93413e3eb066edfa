#include "cinch/audit/search/suspects.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/audit/search/flow.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::searching {

namespace {

bool is(const Expr& e, const Op& op) { return &e.op() == &op; }

const Tensor* value_of(const Expr& leaf, const checking::Probe& at) {
  if (const Tensor* value = constant_value(leaf)) return value;
  const auto input = std::ranges::find(at.inputs, leaf);
  return input == at.inputs.end() ? nullptr
                                  : &at.values[static_cast<std::size_t>(input - at.inputs.begin())];
}

bool all_alike(const Tensor& x) {
  for (std::int64_t i = 1; i < x.size(); ++i) {
    if (x.at(i) != x.at(0)) return false;
  }
  return true;
}

bool same_elements(const Tensor& a, const Tensor& b, bool transposed) {
  if (!transposed) {
    if (a.shape() != b.shape()) return false;
    for (std::int64_t i = 0; i < a.size(); ++i) {
      if (a.at(i) != b.at(i)) return false;
    }
    return true;
  }
  if (a.rank() != 2 || b.rank() != 2 || a.shape()[0] != b.shape()[1] ||
      a.shape()[1] != b.shape()[0]) {
    return false;
  }
  const std::int64_t rows = a.shape()[0], columns = a.shape()[1];
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      if (a.at(i * columns + j) != b.at(j * rows + i)) return false;
    }
  }
  return true;
}

NodeMap<std::vector<Expr>> users_of(const Expr& root) {
  NodeMap<std::vector<Expr>> result;
  for (const Expr& node : value_nodes(root)) {
    for (const Expr& input : node.inputs()) result[input.get()].push_back(node);
  }
  return result;
}

/// relu, also as maximum(x, 0).
bool is_relu(const Expr& e) {
  return is(e, relu_op) || (is(e, maximum_op) && (graphs::is_constant(e.inputs()[0], 0) ||
                                                  graphs::is_constant(e.inputs()[1], 0)));
}

/// sigmoid, also written out.
bool is_sigmoid(const Expr& e) {
  if (is(e, sigmoid_op)) return true;
  if (!is(e, div_op)) return false;
  return std::ranges::any_of(div_op.rules(), [&](const Rule& rule) {
    const Expr simple = rewriting::apply_rule(rule, e);
    return simple.has_value() && is(simple, sigmoid_op);
  });
}

/// Nothing but a logarithm looks at it: log(s), log(1 - s), log1p(-s).
bool undone_by_log(const Expr& e, const NodeMap<std::vector<Expr>>& users) {
  const auto mine = users.find(e.get());
  return mine != users.end() && std::ranges::all_of(mine->second, [&](const Expr& user) {
           if (is(user, log_op) || is(user, log1p_op)) return true;
           const bool complement =
               (is(user, sub_op) && graphs::is_constant(user.inputs()[0], 1)) || is(user, neg_op);
           if (!complement) return false;
           const auto next = users.find(user.get());
           return next != users.end() && std::ranges::all_of(next->second, [](const Expr& u) {
                    return is(u, log_op) || is(u, log1p_op);
                  });
         });
}

std::string name_of(const Expr& e) {
  return is_relu(e) ? "relu" : is_sigmoid(e) ? "sigmoid" : std::string(e.op().name);
}

}  // namespace

std::vector<Copy> copies(const Expr& term, const checking::Probe& at) {
  std::vector<Copy> result;
  const auto users = users_of(term);
  for (const Expr& leaf : value_nodes(term)) {
    if (!graphs::is_leaf(leaf) || std::ranges::find(at.parameters, leaf) != at.parameters.end())
      continue;
    const Tensor* value = value_of(leaf, at);
    if (!value || value->size() < 2 || !is_float(value->dtype()) || all_alike(*value)) continue;
    for (std::size_t k = 0; k < at.parameters.size(); ++k) {
      const bool plain = same_elements(*value, at.values[k], false);
      if (!plain && !same_elements(*value, at.values[k], true)) continue;
      const auto mine = users.find(leaf.get());
      if (mine == users.end()) continue;
      const auto user = std::ranges::find_if(mine->second, [&](const Expr& u) {
        return !is(u, sub_op) ||
               std::ranges::find(u.inputs(), at.parameters[k]) == u.inputs().end();
      });
      if (user != mine->second.end()) result.push_back({leaf, k, !plain, *user});
      break;
    }
  }
  return result;
}

std::vector<ForeignSlope> foreign_slopes(const Expr& term) {
  const auto right = [](const Expr& h) -> std::string {
    if (is_relu(h)) return "1 where h > 0 and 0 elsewhere: cast(h > 0, h.dtype())";
    if (is(h, tanh_op)) return "1 - square(h)";
    if (is_sigmoid(h)) return "h * (1 - h)";
    return "1 - exp(-h)";  // softplus
  };
  const auto nonlinear = [](const Expr& h) {
    return is_relu(h) || is(h, tanh_op) || is(h, softplus_op) || is_sigmoid(h);
  };
  std::vector<ForeignSlope> result;
  for (const Expr& node : value_nodes(term)) {
    if (is(node, mul_op)) {
      for (int k : {0, 1}) {
        const Expr &h = node.inputs()[static_cast<std::size_t>(k)],
                   &rest = node.inputs()[static_cast<std::size_t>(1 - k)];
        const bool complement =
            is(rest, sub_op) && graphs::is_constant(rest.inputs()[0], 1) && rest.inputs()[1] == h;
        if (!complement || !nonlinear(h) || is_sigmoid(h)) continue;
        result.push_back({node, h, "h * (1 - h)", "sigmoid", right(h)});
      }
    } else if (is(node, sub_op) && graphs::is_constant(node.inputs()[0], 1)) {
      const Expr& squared = node.inputs()[1];
      const bool product = is(squared, mul_op) && squared.inputs()[0] == squared.inputs()[1];
      if (!product && !is(squared, square_op)) continue;
      const Expr& h = squared.inputs()[0];
      if (!nonlinear(h) || is(h, tanh_op)) continue;
      result.push_back({node, h, "1 - h^2", "tanh", right(h)});
    }
  }
  return result;
}

std::vector<Squashed> squashed_twice(const Expr& cost) {
  // Signs, moves and copies change nothing.
  const auto behind = [](Expr e) {
    while (is(e, neg_op) || is(e, copy_op) || is(e, dimshuffle_op) || is(e, broadcast_to_op))
      e = Expr(e.inputs()[0]);
    return e;
  };
  std::vector<Squashed> result;
  for (const Expr& node : value_nodes(cost)) {
    const bool softmax = is(node, softmax_op) || is(node, log_softmax_op);
    // log(sigmoid(p)) is -softplus(-p).
    if (!softmax && !is(node, sigmoid_op) && !is(node, softplus_op)) continue;
    const Expr inner = behind(node.inputs()[0]);
    if (is(inner, softmax ? softmax_op : sigmoid_op)) result.push_back({node, inner});
  }
  return result;
}

std::vector<Nonlinearity> nonlinearities(const Expr& cost, const NodeSet& depends) {
  std::vector<Nonlinearity> result;
  const auto users = users_of(cost);
  for (const Expr& node : value_nodes(cost)) {
    if (!depends.contains(node.get()) || node.rank() == 0) continue;
    const bool limited = is_sigmoid(node) || is(node, tanh_op);
    if (!limited && !is_relu(node)) continue;
    if (is_sigmoid(node) && undone_by_log(node, users)) continue;
    result.push_back({node, name_of(node)});
  }
  return result;
}

Expr argument_of(const Expr& relu) {
  return is(relu, maximum_op) && graphs::is_constant(relu.inputs()[0], 0) ? relu.inputs()[1]
                                                                          : relu.inputs()[0];
}

std::int64_t count_far_units(const Tensor& x) {
  const std::int64_t examples = x.rank() > 1 ? x.shape()[0] : 1;
  const std::int64_t units = examples > 0 ? x.size() / examples : 0;
  const auto n = static_cast<double>(examples);
  std::int64_t result = 0;
  for (std::int64_t unit = 0; unit < units; ++unit) {
    double sum = 0, squares = 0, largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < examples; ++i) {
      const double a = x.at(i * units + unit);
      sum += a;
      squares += a * a;
      largest = std::max(largest, a);
    }
    const double variance = std::max(0.0, squares / n - (sum / n) * (sum / n));
    result += largest < -1 && largest < -3 * std::sqrt(variance);
  }
  return result;
}

AuditUnits count_units(const Nonlinearity& units, const Tensor& value, double saturation) {
  AuditUnits result{units.op, units.node->where};
  const std::int64_t examples = value.rank() > 1 ? value.shape()[0] : 1;
  if (value.size() == 0) return result;
  result.units = value.size() / examples;
  const double low = units.op == "tanh" ? -1 : 0;
  std::int64_t all = 0;
  for (std::int64_t unit = 0; unit < result.units; ++unit) {
    std::int64_t mine = 0;
    for (std::int64_t n = 0; n < examples; ++n) {
      const double h = value.at(n * result.units + unit);
      mine += units.op == "relu" ? h == 0 : std::min(h - low, 1 - h) < saturation;
    }
    all += mine;
    result.stuck += mine == examples;
  }
  result.saturated = static_cast<double>(all) / static_cast<double>(value.size());
  return result;
}

}  // namespace cinch::searching
