#include "cinch/train/parallel/kinds.hpp"

#include <algorithm>

#include "cinch/core/algebra.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/additive.hpp"
#include "cinch/train/parallel/sizes.hpp"

namespace cinch::parallel {

using deriving::Count;
using deriving::Place;
using deriving::Separation;

Kinds::Kinds(const char* what, std::span<const Expr> roots, std::span<const Separation::Given> rows,
             const Count& examples)
    : what_(what), examples_(examples), all_(roots, rows, examples) {
  for (const Separation::Given& given : rows) kinds_[given.x.get()] = Kind::local;
  const std::vector<Expr> nodes = topological(roots);
  follow(nodes);
  if (replacement_) return;
  for (const Expr& root : roots) {
    if (of(root) == Kind::sum || of(root) == Kind::extreme) needed_.push_back(root);
    if (of(root) != Kind::local) continue;
    refuse(what_,
           text("a result has a row for each of the minibatch's, ", root.type(), "  ",
                describe(root), ": parts of the rows can only add up their sums"),
           root->where);
  }
  NodeSet needed;
  for (const Expr& node : needed_) needed.insert(node.get());
  needed_.clear();
  for (const Expr& node : nodes) {
    if (needed.contains(node.get())) needed_.push_back(node);
  }
}

void Kinds::follow(std::span<const Expr> nodes) {
  for (const Expr& node : nodes) {
    if (kinds_.contains(node.get())) continue;
    const Kind kind = kind_of(node);
    if (replacement_) return;
    kinds_[node.get()] = kind;
    for (std::int64_t axis = 0; kind == Kind::same && axis < node.rank(); ++axis) {
      const auto& symbols = all_.size(node, axis).symbols();
      known_symbols_.insert(symbols.begin(), symbols.end());
    }
  }
}

void Kinds::note_same(std::span<const Expr> roots) {
  for (const Expr& node : topological(roots)) kinds_.try_emplace(node.get(), Kind::same);
}

Combine Kinds::how(const Expr& needed) const {
  const auto found = extremes_.find(needed.get());
  return found == extremes_.end() ? Combine::add : found->second;
}

const Count* Kinds::of_each_example(const Expr& size) const {
  const auto found = counts_.find(size.get());
  return found == counts_.end() ? nullptr : &found->second;
}

const Expr* Kinds::number(const Expr& node) const {
  const auto found = numbers_.find(node.get());
  return found == numbers_.end() ? nullptr : &found->second;
}

bool Kinds::is_local_operand(const Expr& node, std::size_t k) const {
  const Op& op = node.op();
  if (&op == &deriving::derivative_op && k > 0) return false;  // Says of what it is one.
  const Kind of_input = of(node.inputs()[k]);
  if (of_input == Kind::local) return true;
  if (of_input != Kind::size) return false;
  const bool is_position = node.dtype() == DType::int64 && node.rank() > 0;
  return graphs::says_size(node, k) || &op == &arange_op || &op == &eye_op || is_position;
}

Kind Kinds::kind_of(const Expr& node) {
  if (node.op().observes) {
    refuse(what_, "a value is shown, which each part would do: take observed() out", node->where);
  }
  if (graphs::is_leaf(node)) return Kind::same;
  const std::size_t count = node.inputs().size();
  std::vector<bool> local(count);
  bool any_local = false, any_size = false, any_sum = false, counts = &node.op() == &arange_op;
  for (std::size_t k = 0; k < count; ++k) {
    const Expr& input = node.inputs()[k];
    any_size = any_size || of(input) == Kind::size;
    any_sum = any_sum || of(input) == Kind::sum || of(input) == Kind::extreme ||
              of(input) == Kind::blocked;
    local[k] = is_local_operand(node, k);
    any_local = any_local || local[k];
    counts = counts || (counting_.contains(input.get()) && node.op().reads(k));
  }
  if (any_sum) return kind_with_sums(node, any_local);
  if (&node.op() == &size_op) return any_local ? kind_of_size(node) : Kind::same;
  if (is_whole_scalar(node) && node.op().elementwise() && any_size) return Kind::size;
  if (!any_local) return Kind::same;
  return kind_of_local(node, local, counts);
}

Kind Kinds::kind_of_size(const Expr& node) {
  const Count& n = all_.size(node.inputs()[0], AlongAxis::of(node.attrs()).axis);
  if (n.symbols().empty()) {
    numbers_[node.get()] = constant(Tensor(n.factor()), node->where);
    return Kind::same;
  }
  if (const auto each = n.over(examples_)) counts_.emplace(node.get(), *each);
  return Kind::size;
}

/// What is linear in sums of parts is one itself; all else needs them whole.
Kind Kinds::kind_with_sums(const Expr& node, bool any_local) {
  std::vector<bool> partial;
  bool linear = !any_local;
  for (const Expr& input : node.inputs()) {
    partial.push_back(of(input) == Kind::sum);
    linear =
        linear && (of(input) == Kind::sum || of(input) == Kind::same || of(input) == Kind::size);
  }
  if (linear && is_linear(node, partial)) return Kind::sum;
  for (std::size_t k = 0; k < partial.size(); ++k) {
    if (partial[k] || of(node.inputs()[k]) == Kind::extreme) needed_.push_back(node.inputs()[k]);
  }
  return Kind::blocked;
}

Kind Kinds::kind_of_local(const Expr& node, const std::vector<bool>& local, bool counts) {
  if (&node.op() == &scan_op) return kind_of_loop(node);
  if (&node.op() == &eye_op) refuse_mixing(node);
  std::vector<Place> places;
  for (const Expr& input : node.inputs()) places.push_back(all_.place(input));
  const Expr mixing = all_.mixing(node);
  if (mixing.has_value() && mixing != node) refuse_mixing(mixing);
  const bool apart = !mixing.has_value() && all_.place(node).found();
  const std::int64_t rows = row_axes(node);
  if (rows > 1) refuse_mixing(node);  // A part has fewer of both.
  // The number of a row within its part is not that in the minibatch: it may say where among the
  // part's rows something stands, but is no value, and finds nothing elsewhere.
  const bool finds_own_rows =
      &node.op() == &scatter_add_op ? local[2] : places[0].found() && &node.op() != &cast_op;
  if (counts && node.dtype() == DType::int64 && rows == 1) {
    counting_.insert(node.get());
  } else if (counts && !(apart && finds_own_rows)) {
    refuse(what_,
           text("a value depends on the number of its row within the minibatch, which a part does "
                "not know\n  ",
                node.type(), "  ", describe(node)),
           node->where);
  }
  if (apart || counting_.contains(node.get())) return Kind::local;
  const std::optional<Combine> how = combination(node, places, local);
  if (!how) {
    // Softmax over rows, say, is made of sums and a maximum.
    const Expr expanded = node.op().expand ? node.op().expand(node) : Expr();
    if (!expanded.has_value()) refuse_mixing(node);
    replacement_ = {node, expanded};
    return Kind::blocked;
  }
  if (*how == Combine::add) return Kind::sum;
  extremes_[node.get()] = *how;
  return Kind::extreme;
}

/// Along how many of its axes, or how many times along one, `node` has the part's rows. Refuses it
/// where its sizes cannot be followed.
std::int64_t Kinds::row_axes(const Expr& node) const {
  std::int64_t result = 0;
  for (std::int64_t axis = 0; axis < node.rank(); ++axis) {
    Count n = all_.size(node, axis);
    while (const auto rest = n.over(examples_)) n = *rest, ++result;
    const bool known = std::ranges::all_of(
        n.symbols(), [&](std::int64_t symbol) { return known_symbols_.contains(symbol); });
    if (!known) refuse_mixing(node);
  }
  return result;
}

void Kinds::refuse_mixing(const Expr& node) const {
  refuse(what_,
         text(".distribute cuts a minibatch into parts of its rows, and ", node.op().name,
              " needs them all\n  ", node.type(), "  ", describe(node),
              "\n  Sums and means over the rows may be taken of anything; what sorts, compares or "
              "otherwise mixes rows can be trained without .distribute."),
         node->where);
}

}  // namespace cinch::parallel
