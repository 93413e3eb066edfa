#include "cinch/core/check/probe.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::checking {

namespace {

[[noreturn]] void refuse(std::string_view who, const std::string& what) {
  throw TypeError(refusal(who, what, {}, attributed({})));
}

const Tensor& value_of(const Expr& e, const std::vector<Binding>& at, std::string_view who) {
  const auto found = std::ranges::find(at, e, &Binding::first);
  if (found == at.end()) {
    if (is_shared(e)) return as_shared(e).value();
    refuse(who, text("no value is given for ", describe(e), " (", text(e.type()), ")"));
  }
  const Tensor& value = found->second;
  const Type given = type_of(value);
  bool fits = given.dtype == e.dtype() && given.rank() == e.rank();
  for (std::size_t k = 0; fits && k < given.dims.size(); ++k) {
    fits = !e.dims()[k].known() || e.dims()[k] == given.dims[k];
  }
  if (!fits) {
    refuse(who, text(describe(e), " is ", text(e.type()), ", its value is ", text(given),
                     ": convert it with cast() or reshaped()"));
  }
  return value;
}

/// `roots` with all that is float32 as float64, where that is asked for, and without what shows
/// values, which are evaluated more often than is worth showing; formulas inside ops, as the steps
/// of loops, as well. `done` has what some nodes become.
std::vector<Expr> converted(std::span<const Expr> roots, bool in_float64, NodeMap<Expr>& done) {
  NodeSet cut;
  for (const auto& [node, result] : done) cut.insert(node);
  for (const Expr& node : topological(roots, cut)) {
    if (done.contains(node.get())) continue;
    const bool single = in_float64 && node.dtype() == DType::float32;
    if (const Tensor* value = constant_value(node)) {
      done[node.get()] = single ? constant(value->cast(DType::float64), node->where) : node;
      continue;
    }
    if (graphs::is_leaf(node)) {  // Of a formula inside an op.
      done[node.get()] =
          single && is_variable(node)
              ? variable(node.attrs().label, Type{DType::float64, node.dims()}, node->where)
              : node;
      continue;
    }
    std::vector<Expr> inputs;
    for (const Expr& input : node.inputs()) inputs.push_back(done.at(input.get()));
    if (node.op().observes) {
      done[node.get()] = inputs[0];
      continue;
    }
    Attrs attrs = node.attrs();
    if (in_float64 && attrs.dtype == DType::float32) attrs.dtype = DType::float64;
    if (!attrs.formula.empty()) {
      NodeMap<Expr> inside;
      attrs.formula = converted(attrs.formula, in_float64, inside);
    }
    const bool same = std::ranges::equal(node.inputs(), inputs) && attrs == node.attrs();
    const Attribution as(node->where, /*force=*/true);
    Expr now = same ? node : apply(node.op(), std::move(inputs), std::move(attrs), node->where);
    done[node.get()] = std::move(now);
  }
  std::vector<Expr> result;
  for (const Expr& root : roots) result.push_back(root.has_value() ? done.at(root.get()) : root);
  return result;
}

}  // namespace

std::vector<Binding> Probe::bindings() const {
  std::vector<Binding> result;
  for (std::size_t k = 0; k < inputs.size(); ++k) result.emplace_back(inputs[k], values[k]);
  return result;
}

Probe probe(std::span<const Expr> roots, const Parameters& parameters,
            const std::vector<Binding>& at, bool in_float64, std::string_view who) {
  Probe result;
  NodeMap<Expr> done;
  const auto wanted = [&](DType dtype) {
    return in_float64 && dtype == DType::float32 ? DType::float64 : dtype;
  };
  const auto add_input = [&](const Expr& e) {
    const Tensor& value = value_of(e, at, who);
    const DType dtype = wanted(e.dtype());
    const Attribution as(e->where, /*force=*/true);
    // Sizes that are symbols keep being the same symbols.
    const Expr input = variable(
        describe(e), Type{dtype, is_shared(e) ? to_dims(value.shape()) : e.dims()}, e->where);
    result.inputs.push_back(input);
    result.originals.push_back(e);
    result.values.push_back(value.dtype() == dtype ? value : value.cast(dtype));
    done[e.get()] = input;
    return input;
  };
  for (const Expr& w : parameters.all()) {
    if (!w.has_value()) refuse(who, "a parameter is an empty expression");
    if (done.contains(w.get())) refuse(who, describe(w) + " is given twice");
    if (!is_float(w.dtype())) {
      refuse(who, text(describe(w), " is ", text(w.type()), ", parameters must be float"));
    }
    result.parameters.push_back(add_input(w));
  }
  NodeSet cut;
  for (const auto& [node, input] : done) cut.insert(node);
  std::vector<Expr> replaced(parameters.begin(), parameters.end());
  for (const auto& [given, value] : at) {
    replaced.push_back(given);
    if (!done.contains(given.get())) cut.insert(given.get());
  }
  const std::vector<Expr> whole = graphs::showing(roots, replaced);
  for (const Expr& node : topological(whole, cut)) {
    if (done.contains(node.get())) continue;
    const bool given = cut.contains(node.get());
    if (given || is_variable(node) || is_shared(node)) {
      add_input(node);
    }
  }
  result.roots = converted(whole, in_float64, done);
  return result;
}

}  // namespace cinch::checking
