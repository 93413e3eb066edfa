#include "cinch/train/parallel/repeated.hpp"

#include <algorithm>
#include <cstdint>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/sizes.hpp"

namespace cinch::parallel {

namespace {

using deriving::Count;
using deriving::Separation;
using graphs::Recurrence;

/// A formula whose repeats are being marked.
class Marking {
 public:
  Marking(std::span<const Expr> roots, std::span<const Separation::Given> given,
          const Count& examples, const std::function<Expr(DType)>& ones)
      : all_(roots, given, examples), examples_(examples), ones_(ones), nodes_(topological(roots)) {
    for (const Expr& node : nodes_) {
      if (done_.contains(node.get())) continue;
      if (&node.op() == &scan_op) {
        mark_loop(node);
      } else {
        mark(node);
      }
    }
  }

  std::vector<Expr> of(std::span<const Expr> roots) const {
    std::vector<Expr> result;
    for (const Expr& root : roots) result.push_back(done_.at(root.get()));
    return result;
  }

 private:
  void mark(const Expr& node);
  void mark_loop(const Expr& node);

  const Separation all_;
  const Count& examples_;
  const std::function<Expr(DType)>& ones_;
  const std::vector<Expr> nodes_;
  NodeMap<Expr> done_;
};

void Marking::mark(const Expr& node) {
  const std::vector<Expr> inputs = of(node.inputs());
  Expr& now = done_[node.get()];
  now = with_known_sizes(with_inputs(node, inputs));
  if (&node.op() != &broadcast_to_op) return;
  for (std::int64_t axis = 0; axis < node.rank(); ++axis) {
    const auto each = all_.size(node, axis).over(examples_);
    const std::int64_t own = axis - (node.rank() - node.inputs()[0].rank());
    const bool repeats =
        own < 0 || node.inputs()[0].dims()[static_cast<std::size_t>(own)] == Dim(1);
    if (!each || !each->symbols().empty() || !repeats) continue;
    // (..., 1, each, ...) times (n, 1), as (..., n each, ...).
    const Attribution as(node->where, /*force=*/true);
    std::vector<Expr> sizes(inputs.begin() + 1, inputs.end()), once = sizes;
    once[static_cast<std::size_t>(axis)] = constant(Tensor(each->factor()));
    std::vector<std::int64_t> apart;
    for (std::int64_t a = 0; a < node.rank(); ++a) {
      if (a == axis) apart.push_back(-1);
      apart.push_back(a);
    }
    std::vector<std::int64_t> along(static_cast<std::size_t>(node.rank() - axis + 1), -1);
    along[0] = 0;
    const Expr block = dimshuffle(broadcast_to(inputs[0], once), apart),
               each_row = dimshuffle(ones_(node.dtype()), along);
    now = reshape(node.dtype() == DType::bool_ ? logical_and(block, each_row) : block * each_row,
                  sizes);
    return;  // A second one is refused.
  }
}

/// All results of the loop at once, which then have the same steps again.
void Marking::mark_loop(const Expr& node) {
  Recurrence r = Recurrence::of(node.attrs());
  std::vector<Expr> results;
  for (const Expr& other : nodes_) {
    if (&other.op() == &scan_op && std::ranges::equal(other.inputs(), node.inputs()) &&
        Recurrence::of(other.attrs()).has_steps_of(r))
      results.push_back(other);
  }
  std::vector<Separation::Given> given;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Expr& operand = node.inputs()[k];
    Separation::Given one{r.variables[k], {}, {}};
    for (std::int64_t axis = k < r.sequences ? 1 : 0; axis < operand.rank(); ++axis)
      one.sizes.push_back(all_.size(operand, axis));
    given.push_back(std::move(one));
  }
  std::vector<Expr> roots = r.updates;
  for (const Expr& result : results) {
    const Recurrence one = Recurrence::of(result.attrs());
    if (one.last < 0) roots.push_back(one.value);
  }
  std::vector<Expr> operands = of(node.inputs()), met;
  const std::function<Expr(DType)> ones = [&](DType dtype) {
    for (const Expr& variable : met) {
      if (variable.dtype() == dtype) return variable;
    }
    operands.push_back(ones_(dtype));
    met.push_back(variable("1 for each row", {dtype, operands.back().dims()}));
    return met.back();
  };
  const std::vector<Expr> marked = Marking(roots, given, examples_, ones).of(roots);
  r.variables.insert(r.variables.end(), met.begin(), met.end());
  r.updates.assign(marked.begin(), marked.begin() + static_cast<std::ptrdiff_t>(r.states));
  auto value = marked.begin() + static_cast<std::ptrdiff_t>(r.states);
  for (const Expr& result : results) {
    Recurrence one = r;
    one.last = Recurrence::of(result.attrs()).last;
    if (one.last < 0) one.value = *value++;
    done_[result.get()] = met.empty() && std::ranges::equal(operands, node.inputs()) &&
                                  std::ranges::equal(one.attrs().formula, result.attrs().formula)
                              ? result
                              : apply(scan_op, operands, one.attrs(), result->where);
  }
}

}  // namespace

std::vector<Expr> with_marked_repeats(std::span<const Expr> roots,
                                      std::span<const Separation::Given> given,
                                      const Count& examples,
                                      const std::function<Expr(DType)>& ones) {
  return Marking(roots, given, examples, ones).of(roots);
}

}  // namespace cinch::parallel
