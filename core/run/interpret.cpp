#include "cinch/core/run/interpret.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <stdexcept>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/naming.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::running {

namespace {

/// Index of the first element that is NaN or infinite, or -1.
std::int64_t first_not_finite(const Tensor& value) {
  if (!is_float(value.dtype())) return -1;
  return dispatch_float(value.dtype(), [&]<class T> {
    const auto data = value.data<T>();
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (!std::isfinite(data[i])) return static_cast<std::int64_t>(i);
    }
    return std::int64_t{-1};
  });
}

void require_finite(const Expr& node, const Tensor& value) {
  const std::int64_t at = first_not_finite(value);
  if (at < 0) return;
  throw ValueError(text("Mode::checked: element ", at, " of ", describe(node), " is ", value.at(at),
                        "\n  ", text(type_of(value)), "  ", node.op().name,
                        written_at(node->where)));
}

/// Stands for a computed value where the type rule looks at it: sizes keep their numbers.
Expr stand_in(const Expr& node, const Tensor& value, const std::string& label) {
  if (value.dtype() == DType::int64 && value.rank() == 0) return constant(value, node->where);
  return variable(label, type_of(value), node->where);
}

/// Throws TypeError where the actual sizes of `node`'s operands do not fit.
void require_sizes(const Expr& node, std::span<const Tensor* const> values) {
  const Attribution as(node->where, /*force=*/true);
  const auto check = [&](bool named) {
    std::vector<Expr> inputs;
    for (std::size_t k = 0; k < values.size(); ++k) {
      inputs.push_back(
          stand_in(node.inputs()[k], *values[k], named ? describe(node.inputs()[k]) : ""));
    }
    apply(node.op(), std::move(inputs), node.attrs());
  };
  try {
    check(false);
  } catch (const TypeError&) {
    check(true);  // Names cost more than the check: they are made for the message only.
  }
}

}  // namespace

Tensor interpret_node(const Expr& node, std::span<const Tensor* const> operands) {
  require_sizes(node, operands);
  const auto explained = [&](const char* what) {
    return text(graphs::op_name_of(node), ": ", what, "\n  in ", describe(node), "  at ",
                node->where.text());
  };
  try {
    return node.op().reference(operands, node.attrs());
  } catch (const ValueError& error) {
    throw ValueError(explained(error.what()));
  } catch (const TypeError& error) {  // The result has too many elements.
    throw TypeError(explained(error.what()));
  } catch (const Error& error) {
    throw Error(explained(error.what()));
  } catch (const std::bad_alloc&) {
    throw Error(explained("not enough memory"));
  } catch (const std::length_error&) {
    throw Error(explained("not enough memory"));
  }
}

namespace {

/// What is needed for the roots, inputs before their users: of an ifelse() the chosen side only,
/// which `value_of` the condition says.
template <class F>
void compute_needed(std::span<const Expr> roots, F compute, const NodeMap<const Tensor*>& value) {
  std::vector<Expr> path;
  for (const Expr& root : roots) {
    path.push_back(root);
    while (!path.empty()) {
      const Expr node = path.back();
      if (value.contains(node.get())) {
        path.pop_back();
        continue;
      }
      std::size_t before = path.size();
      const auto need = [&](const Expr& input) {
        if (!value.contains(input.get())) path.push_back(input);
      };
      if (&node.op() == &ifelse_op) {
        need(node.inputs()[0]);
        if (path.size() == before) {
          const bool holds = value.at(node.inputs()[0].get())->item() != 0;
          need(node.inputs()[holds ? 1 : 2]);
        }
      } else {
        for (const Expr& input : node.inputs()) need(input);
      }
      if (path.size() > before) continue;
      compute(node);
      path.pop_back();
    }
  }
}

}  // namespace

std::vector<Tensor> interpret(std::span<const Expr> roots, std::span<const Binding> bindings,
                              bool watch) {
  NodeMap<const Tensor*> value;
  NodeMap<Tensor> computed;
  NodeMap<std::size_t> uses;
  const std::vector<Expr> order = topological(roots);
  for (const Expr& node : order) {
    for (const Expr& input : node.inputs()) ++uses[input.get()];
  }
  for (const Expr& root : roots) ++uses[root.get()];
  for (const auto& [variable, tensor] : bindings) value[variable.get()] = &tensor;

  const auto compute = [&](const Expr& node) {
    if (is_shared(node)) {
      value[node.get()] = &as_shared(node).value();
    } else if (const Tensor* constant = constant_value(node)) {
      value[node.get()] = constant;
    } else if (&node.op() == &ifelse_op) {
      const bool holds = value.at(node.inputs()[0].get())->item() != 0;
      value[node.get()] = &(computed[node.get()] = *value.at(node.inputs()[holds ? 1 : 2].get()));
    } else if (!graphs::is_leaf(node)) {
      std::vector<const Tensor*> values;
      for (const Expr& input : node.inputs()) values.push_back(value.at(input.get()));
      value[node.get()] = &(computed[node.get()] = interpret_node(node, values));
    } else if (!value.contains(node.get())) {
      throw TypeError("variable " + describe(node) + " has no value");
    }
    // An infinity that was written as a number is meant.
    if (watch && !constant_value(node)) require_finite(node, *value.at(node.get()));
  };
  const bool chooses =
      std::ranges::any_of(order, [](const Expr& node) { return &node.op() == &ifelse_op; });
  if (chooses) {
    compute_needed(roots, compute, value);
  } else {
    for (const Expr& node : order) {
      compute(node);
      for (const Expr& input : node.inputs()) {
        if (--uses[input.get()] == 0) computed.erase(input.get());
      }
    }
  }
  std::vector<Tensor> result;
  for (const Expr& root : roots) result.push_back(*value.at(root.get()));
  return result;
}

}  // namespace cinch::running
