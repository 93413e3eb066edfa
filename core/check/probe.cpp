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
    } else if (const Tensor* value = constant_value(node);
               value && in_float64 && value->dtype() == DType::float32) {
      done[node.get()] = constant(value->cast(DType::float64), node->where);
    }
  }
  const auto convert = [&](const Expr& e) {
    if (e.op().observes) return Expr(e.inputs()[0]);  // Evaluated more often than is worth showing.
    if (!in_float64 || e.inputs().empty() || e.attrs().dtype != DType::float32) return e;
    Attrs attrs = e.attrs();
    attrs.dtype = DType::float64;
    const Attribution as(e->where, /*force=*/true);
    return apply(e.op(), {e.inputs().begin(), e.inputs().end()}, std::move(attrs), e->where);
  };
  result.roots = rebuild(whole, convert, done);
  return result;
}

}  // namespace cinch::checking
