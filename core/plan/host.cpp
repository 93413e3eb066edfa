#include "cinch/core/plan/host.hpp"

#include <algorithm>
#include <cstring>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/run/interpret.hpp"

namespace cinch::planning {

HostProgram::HostProgram(std::span<const Expr> roots, std::span<const Expr> inputs)
    : inputs_(inputs.begin(), inputs.end()) {
  NodeSet size_nodes, position_nodes;
  std::vector<Expr> positions;
  for (const Expr& node : topological(roots)) {
    const Op& op = node.op();
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const Expr& input = node.inputs()[i];
      if (constant_value(input)) continue;
      if (graphs::says_size(node, i)) {
        if (size_nodes.insert(input.get()).second) sizes_.push_back(input);
      } else if (op.view() && static_cast<int>(i) == op.view()->starts_at) {
        if (position_nodes.insert(input.get()).second) positions.push_back(input);
      }
    }
  }
  for (const Expr& node : sizes_) {
    if (!compute(node, inputs)) {
      slot_of_[node.get()] = slots_.size();
      late_slots_.push_back(slots_.size());
      slots_.push_back(0);
      late_.push_back(node);
    }
    size_slots_.push_back(slot_of_.at(node.get()));
  }
  for (const Expr& node : positions) {
    if (size_nodes.contains(node.get()) || !compute(node, inputs)) continue;
    positions_.push_back(node);
    position_slots_.push_back(slot_of_.at(node.get()));
  }
}

/// Adds what computes `node` to the program. False where it needs more than scalars and shapes.
bool HostProgram::compute(const Expr& root, std::span<const Expr> inputs) {
  // What is known already is not entered again: all sizes together cost one walk.
  for (const Expr& node : topological(std::span(&root, 1), known_)) {
    if (slot_of_.contains(node.get()) || refused_.contains(node.get())) continue;
    known_.insert(node.get());
    const std::size_t slot = slots_.size();
    const auto input = std::ranges::find(inputs, node);
    const auto load = [&](const Expr& leaf, std::int64_t axis) {
      const auto at = std::ranges::find(inputs, leaf);
      if (at == inputs.end() && !is_shared(leaf)) return false;
      loads_.push_back({slot, static_cast<std::size_t>(at - inputs.begin()),
                        is_shared(leaf) ? leaf.attrs().state.get() : nullptr, axis, leaf.dtype()});
      return true;
    };
    const bool scalar = node.rank() == 0 && !is_float(node.dtype()) && !is_storage(node.dtype());
    bool known = false;
    if (const Tensor* value = constant_value(node); value && scalar) {
      slots_.push_back(0);
      std::memcpy(&slots_[slot], value->raw(), value->bytes());
      slot_of_[node.get()] = slot;
      continue;
    }
    if (scalar && (input != inputs.end() || is_shared(node))) {
      known = load(node, -1);
    } else if (&node.op() == &size_op) {
      known = load(node.inputs()[0], AlongAxis::of(node.attrs()).axis);
    } else if (scalar && node.op().elementwise()) {
      known = std::ranges::all_of(node.inputs(),
                                  [&](const Expr& i) { return slot_of_.contains(i.get()); });
      if (known) {
        Step step{node.op().elementwise()->block(node.inputs().back().dtype(), node.dtype()),
                  slot,
                  {},
                  0};
        for (const Expr& i : node.inputs()) step.args[step.arity++] = slot_of_.at(i.get());
        steps_.push_back(step);
      }
    }
    if (known) {
      slots_.push_back(0);
      slot_of_[node.get()] = slot;
    } else {
      refused_.insert(node.get());
    }
  }
  return slot_of_.contains(root.get());
}

void HostProgram::run(std::span<const Tensor* const> arguments) {
  for (const Load& load : loads_) {
    const Tensor& tensor = load.state ? load.state->value : *arguments[load.argument];
    if (load.axis >= 0) {
      slots_[load.slot] = tensor.shape()[static_cast<std::size_t>(load.axis)];
    } else {
      std::memcpy(&slots_[load.slot], tensor.raw(), tensor.bytes());
    }
  }
  // Before the steps, which may use them.
  if (!late_.empty()) {
    std::vector<Binding> bindings;
    for (std::size_t k = 0; k < inputs_.size(); ++k)
      bindings.emplace_back(inputs_[k], *arguments[k]);
    const std::vector<Tensor> values = running::interpret(late_, bindings, /*watch=*/false);
    for (std::size_t k = 0; k < late_.size(); ++k)
      slots_[late_slots_[k]] = values[k].data<std::int64_t>()[0];
  }
  for (const Step& step : steps_) {
    const void* in[3] = {};
    for (int a = 0; a < step.arity; ++a) in[a] = &slots_[step.args[a]];
    step.run(&slots_[step.slot], in, 0, 1);
  }
}

}  // namespace cinch::planning
