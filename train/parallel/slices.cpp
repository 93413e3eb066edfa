#include "cinch/train/parallel/slices.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "cinch/core/algebra.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/regroup.hpp"

namespace cinch::parallel {

namespace {

constexpr std::int64_t least_elements = 4096;
constexpr int deepest = 200;  // Of formulas that are followed.

bool is_sliceable(const Expr& e) {
  return is_float(e.dtype()) && e.type().is_static() && has_slices(e.type().shape());
}

/// A formula of one shape, row by row.
class RowFormula {
 public:
  /// `leaves` are variables in the places of slices, by what they are slices of; new ones are
  /// added.
  RowFormula(const Dims& dims, const NodeSet& sums, NodeMap<Expr>& leaves)
      : dims_(dims), sums_(sums), leaves_(leaves) {}

  /// Of some rows, what `e` is of all; empty where that is not known.
  Expr made(const Expr& e) {
    const auto result = follow(e, false, 0);
    return result && result->has_rows ? result->value : Expr();
  }

  std::vector<Expr> beside;  ///< What is the same for all rows.
  std::vector<Expr> large;   ///< What has slices.

 private:
  struct Found {
    Expr value;
    bool has_rows;
  };

  bool is_full(const Expr& e, bool turned) const {
    Dims own = e.dims();
    if (turned) std::ranges::reverse(own);
    return own == dims_;
  }

  std::optional<Found> follow(const Expr& e, bool turned, int depth) {
    const auto key = std::pair(e.get(), turned);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    if (depth > deepest) return {};
    const std::optional<Found> found =
        is_full(e, turned) ? full(e, turned, depth) : same_for_all(e, turned);
    known_.emplace(key, found);
    return found;
  }

  std::optional<Found> same_for_all(const Expr& e, bool turned) {
    const auto rank = static_cast<std::int64_t>(dims_.size());
    Expr value = e;
    if (e.rank() > 0 && turned) {
      if (e.rank() != 2 || e.dims()[1] != Dim(1)) return {};
      value = dimshuffle(e, {1, 0});
    } else if (e.rank() == rank && e.dims()[0] != Dim(1)) {
      return {};
    }
    beside.push_back(e);
    return Found{value, false};
  }

  std::optional<Found> full(const Expr& e, bool turned, int depth) {
    const Op& op = e.op();
    if (is_shared(e) || sums_.contains(e.get())) {
      if (turned || !is_sliceable(e)) return {};
      Expr& leaf = leaves_[e.get()];
      if (!leaf.has_value()) {
        Dims dims = e.dims();
        dims[0] = Dim::unknown();
        leaf = variable(describe(e), {e.dtype(), dims}, e->where);
      }
      large.push_back(e);
      return Found{leaf, true};
    }
    if (is_transposed(e)) return follow(e.inputs()[0], !turned, depth + 1);
    if (op.algebra == Algebra::repeat || (&op == &sum_like_op && e.inputs()[0].dims() == e.dims()))
      return follow(e.inputs()[0], turned, depth + 1);
    if (!op.elementwise() || e.inputs().empty()) return {};
    std::vector<Expr> inputs;
    bool has_rows = false;
    for (const Expr& input : e.inputs()) {
      const auto each = follow(input, turned, depth + 1);
      if (!each) return {};
      inputs.push_back(each->value);
      has_rows = has_rows || each->has_rows;
    }
    const Expr value = with_inputs(e, std::move(inputs));
    if (value.dtype() != e.dtype()) return {};
    return Found{value, has_rows};
  }

  Dims dims_;
  const NodeSet& sums_;
  NodeMap<Expr>& leaves_;
  std::map<std::pair<const Node*, bool>, std::optional<Found>> known_;
};

bool sums_all(const Expr& e) {
  return e.op().algebra == Algebra::sum && e.rank() == 0 && is_float(e.dtype()) &&
         is_sliceable(e.inputs()[0]);
}

class Slicer {
 public:
  Slicer(const WholeUpdate& update, Rank rank, bool slices)
      : update_(update), rank_(rank), slices_(slices), roots_(update.roots) {
    for (const Expr& sum : update.sums) sums_.insert(sum.get());
  }

  SlicedUpdate made() {
    SlicedUpdate result;
    if (slices_) {
      take_norms();
      take_rows();
      leave_what_others_read();
    }
    find_needed();
    std::vector<Expr> with_norms = update_.inputs;
    with_norms.insert(with_norms.end(), norm_variables_.begin(), norm_variables_.end());
    for (const Expr& norm : norm_variables_)
      result.norm_values.emplace_back(norm.dtype(), norm.type().shape());

    FunctionSpec own = update_.spec(with_norms, update_.name + ", its rows");
    for (const Candidate& c : candidates_) {
      if (rank_.ranks == 1) continue;
      const Tensor& whole = c.target.value();
      const PartRange rows = slice_of(whole.shape()[0], rank_);
      Shape shape = whole.shape();
      shape[0] = rows.end - rows.begin;
      result.owned.push_back({c.target,
                              Shared(Tensor(whole.dtype(), shape), "rows of " + describe(c.target)),
                              !is_needed(c.target)});
    }
    NodeMap<Expr> slices = slices_of(result.owned);
    for (std::size_t k = 0; k < candidates_.size(); ++k) {
      const Shared& target = result.owned.empty() ? candidates_[k].target : result.owned[k].slice;
      own.updates.push_back({target, replaced(candidates_[k].formula, slices)});
    }
    result.has_own = !candidates_.empty();
    result.own = function(std::move(own));

    FunctionSpec norms = update_.spec(update_.inputs, update_.name + ", its norms");
    for (const Expr& rows : norm_formulas_) norms.outputs.push_back(replaced(rows, slices));
    result.norms = function(std::move(norms));

    FunctionSpec rest = update_.spec(with_norms, update_.name);
    for (std::size_t k = 0; k < roots_.size(); ++k) {
      if (k < update_.output_count) {
        rest.outputs.push_back(roots_[k]);
      } else if (const Shared& target = update_.targets[k - update_.output_count];
                 !is_candidate(target)) {
        rest.updates.push_back({target, roots_[k]});
      }
    }
    result.rest = function(std::move(rest));
    for (const Expr& sum : update_.sums) {
      result.needs_whole.push_back(rank_.ranks == 1 || !is_sliceable(sum) ||
                                   needed_.contains(sum.get()));
    }
    return result;
  }

 private:
  struct Candidate {
    Shared target;
    Expr formula;
  };

  /// What is summed whole becomes the sum of its rows' sums, which are computed apart.
  void take_norms() {
    NodeMap<Expr> done;
    for (const Expr& node : topological(roots_)) {
      if (!sums_all(node)) continue;
      const Expr& body = node.inputs()[0];
      RowFormula formula(body.dims(), sums_, leaves_);
      const Expr rows = formula.made(body);
      if (!rows.has_value() || rows.rank() != body.rank()) continue;
      std::vector<std::int64_t> axes;
      for (std::int64_t axis = 1; axis < body.rank(); ++axis) axes.push_back(axis);
      const Attribution as(node->where, /*force=*/true);
      norm_formulas_.push_back(sum(rows, axes));
      norm_variables_.push_back(
          variable("rows' sums", {norm_formulas_.back().dtype(), {body.dims()[0]}}));
      const Expr total = sum(norm_variables_.back(), 0);
      if (total.dtype() != node.dtype()) {
        norm_formulas_.pop_back(), norm_variables_.pop_back();
        continue;
      }
      done[node.get()] = total;
      beside_.insert(beside_.end(), formula.beside.begin(), formula.beside.end());
      large_.insert(large_.end(), formula.large.begin(), formula.large.end());
    }
    roots_ = rebuild(roots_, done);
  }

  void take_rows() {
    for (std::size_t k = update_.output_count; k < roots_.size(); ++k) {
      const Shared& target = update_.targets[k - update_.output_count];
      const Expr& value = roots_[k];
      if (!is_sliceable(target) || value.dims() != target.dims() || value.dtype() != target.dtype())
        continue;
      RowFormula formula(target.dims(), sums_, leaves_);
      const Expr rows = formula.made(value);
      // What all rows decide, as the norms of columns, would be computed besides.
      const bool of_rows_alone =
          std::ranges::none_of(topological(formula.beside), [&](const Expr& e) {
            return is_sliceable(e) && (is_shared(e) || sums_.contains(e.get()));
          });
      if (!rows.has_value() || !of_rows_alone) continue;
      candidates_.push_back({target, rows});
      beside_.insert(beside_.end(), formula.beside.begin(), formula.beside.end());
      large_.insert(large_.end(), formula.large.begin(), formula.large.end());
    }
  }

  /// Rows are updated first: of what the rest reads the old values have to be left. Which these are
  /// does not depend on the number of ranks, by which formulas would be simplified otherwise.
  void leave_what_others_read() {
    for (std::size_t before = candidates_.size() + 1; candidates_.size() < before;) {
      before = candidates_.size();
      std::vector<Expr> others;
      for (std::size_t k = 0; k < roots_.size(); ++k) {
        if (k < update_.output_count || !is_candidate(update_.targets[k - update_.output_count]))
          others.push_back(roots_[k]);
      }
      NodeSet read;
      for (const Expr& node : topological(others)) read.insert(node.get());
      std::erase_if(candidates_,
                    [&](const Candidate& c) { return read.contains(c.target.pointer().get()); });
    }
  }

  bool is_candidate(const Shared& target) const {
    return std::ranges::any_of(candidates_, [&](const Candidate& c) {
      return c.target.attrs().state == target.attrs().state;
    });
  }

  /// What is needed whole: sums by their nodes, variables by their states.
  void find_needed() {
    std::vector<Expr> all = beside_;
    all.insert(all.end(), update_.read_before.begin(), update_.read_before.end());
    for (std::size_t k = 0; k < roots_.size(); ++k) {
      if (k < update_.output_count || !is_candidate(update_.targets[k - update_.output_count]))
        all.push_back(roots_[k]);
    }
    for (const Expr& node : topological(all)) {
      needed_.insert(node.get());
      if (is_shared(node)) needed_states_.push_back(node.attrs().state.get());
    }
  }
  bool is_needed(const Shared& variable) const {
    return std::ranges::find(needed_states_, variable.attrs().state.get()) != needed_states_.end();
  }

  /// What stands for each leaf: this rank's rows of it.
  NodeMap<Expr> slices_of(const std::vector<SlicedUpdate::Own>& owned) {
    NodeMap<Expr> result;
    for (const Expr& whole : large_) {
      const Expr& leaf = leaves_.at(whole.get());
      if (result.contains(leaf.get())) continue;
      if (is_shared(whole)) {
        const auto kept = std::ranges::find_if(owned, [&](const SlicedUpdate::Own& o) {
          return o.is_kept && o.variable.attrs().state == whole.attrs().state;
        });
        if (kept != owned.end()) {
          result[leaf.get()] = kept->slice;
          continue;
        }
      }
      const PartRange rows = slice_of(whole.dims()[0].size(), rank_);
      result[leaf.get()] = rank_.ranks == 1 ? whole
                                            : narrow(whole, 0, constant(Tensor(rows.begin)),
                                                     constant(Tensor(rows.end - rows.begin)));
    }
    return result;
  }

  static Expr replaced(const Expr& e, NodeMap<Expr> done) {
    return rebuild(std::span(&e, 1), done).front();
  }

  const WholeUpdate& update_;
  Rank rank_;
  bool slices_;
  std::vector<Expr> roots_;
  NodeSet sums_, needed_;
  std::vector<const SharedState*> needed_states_;
  NodeMap<Expr> leaves_;
  std::vector<Expr> norm_formulas_, norm_variables_, beside_, large_;
  std::vector<Candidate> candidates_;
};

}  // namespace

bool has_slices(const Shape& shape) {
  return shape.size() >= 2 && element_count(shape) >= least_elements;
}

PartRange slice_of(std::int64_t rows, Rank rank) {
  return parts_of_rank(rows, rank.rank, rank.ranks);
}

ByteRange slice_of(const Tensor& whole, Rank rank) {
  const std::int64_t rows = whole.shape()[0];
  const PartRange own = slice_of(rows, rank);
  const std::size_t each = rows == 0 ? 0 : whole.bytes() / static_cast<std::size_t>(rows);
  return {static_cast<std::size_t>(own.begin) * each,
          static_cast<std::size_t>(own.end - own.begin) * each};
}

SlicedUpdate sliced(const WholeUpdate& update, Rank rank, bool slices) {
  return Slicer(update, rank, slices).made();
}

}  // namespace cinch::parallel
