#include "cinch/core/compile/accumulate.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/run/row_parts.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::compiling {

namespace {

constexpr std::int64_t most_stacked = 256;  // Of the inner size: stacking copies the factors.

/// scale * factor * value, or its transpose; factor may be missing.
struct Addend {
  Expr value;
  double scale;
  Expr factor;
  bool transposed;
};

Expr transposed(const Expr& x) { return dimshuffle(x, {1, 0}); }

class Terms {
 public:
  explicit Terms(const NodeMap<int>& uses) : uses_(uses) {}

  /// Splits a sum into its terms, as far as nothing else uses its parts.
  void split(const Expr& root) {
    std::vector<Addend> pending{{root, 1, {}, false}};
    while (!pending.empty()) {
      const Addend t = std::move(pending.back());
      pending.pop_back();
      const Expr& e = t.value;
      const bool own = e == root || uses_.at(e.get()) == 1;
      const auto part = [&](const Expr& x) {
        const bool whole = x.dims() == e.dims();
        return own && whole;
      };
      const LinearForm form = own ? e.op().linear : LinearForm::none;
      if ((form == LinearForm::sum || form == LinearForm::difference) && part(e.inputs()[0]) &&
          part(e.inputs()[1])) {
        pending.push_back(
            {e.inputs()[1], form == LinearForm::sum ? t.scale : -t.scale, t.factor, t.transposed});
        pending.push_back({e.inputs()[0], t.scale, t.factor, t.transposed});
      } else if (e.op().algebra == Algebra::negative && own) {
        pending.push_back({e.inputs()[0], -t.scale, t.factor, t.transposed});
      } else if (e.op().algebra == Algebra::product && own && scalar_side(e) >= 0) {
        const auto side = static_cast<std::size_t>(scalar_side(e));
        Addend inner{e.inputs()[1 - side], t.scale, t.factor, t.transposed};
        multiply(inner, e.inputs()[side]);
        pending.push_back(std::move(inner));
      } else if (e.op().algebra == Algebra::permute && own && e.rank() == 2 &&
                 AxisPattern::of(e.attrs()) == std::vector<std::int64_t>{1, 0}) {
        pending.push_back({e.inputs()[0], t.scale, t.factor, !t.transposed});
      } else {
        const bool product = e.op().algebra == Algebra::matrix_product && own && !(e == root);
        (product ? products : others).push_back(t);
      }
    }
  }

  std::vector<Addend> products, others;

 private:
  /// The operand of a product that is one number, or -1.
  static int scalar_side(const Expr& e) {
    for (int side = 0; side < 2; ++side) {
      if (e.inputs()[static_cast<std::size_t>(side)].rank() == 0) return side;
    }
    return -1;
  }

  static void multiply(Addend& t, const Expr& scalar) {
    if (const Tensor* value = constant_value(scalar)) {
      t.scale *= value->item();
    } else {
      t.factor = t.factor.has_value() ? t.factor * scalar : scalar;
    }
  }

  const NodeMap<int>& uses_;
};

Expr scaled(Expr x, const Addend& t) {
  if (t.factor.has_value()) x = t.factor * x;
  if (t.scale == -1) return -x;
  return t.scale == 1 ? x : literal(t.scale) * x;
}

/// The rest of a product of which `part` is one factor, if all else in it is the same for every row
/// of `part`; an empty expression otherwise. 1 where there is nothing else.
Expr beside(const Expr& product, const Expr& part) {
  Expr rest = literal(1);
  std::vector<Expr> pending{product};
  bool found = false;
  while (!pending.empty()) {
    const Expr e = std::move(pending.back());
    pending.pop_back();
    const bool by_column = e.rank() < 2 || (e.rank() == 2 && e.dims()[0] == Dim(1));
    if (e == part && !found) {
      found = true;
    } else if (by_column) {
      rest = rest * e;
    } else if (e.op().algebra == Algebra::product) {
      pending.insert(pending.end(), e.inputs().begin(), e.inputs().end());
    } else if (e.op().algebra == Algebra::repeat) {
      pending.push_back(e.inputs()[0]);
    } else {
      return {};
    }
  }
  return found ? rest : Expr();
}

/// A row r with which the sum of these terms is r times `old`, column by column; an empty
/// expression where there is none.
Expr column_scale(const std::vector<Addend>& terms, const Expr& old) {
  Expr total;
  for (const Addend& t : terms) {
    const Expr rest = t.transposed ? Expr() : beside(t.value, old);
    if (!rest.has_value()) return {};
    const Expr part = scaled(rest, t);
    total = total.has_value() ? total + part : part;
  }
  return total;
}

Expr with_products(const Expr& root, const Terms& terms, const SharedState* target) {
  Expr base;
  for (const Addend& t : terms.others) {
    const Expr value = scaled(t.transposed ? transposed(t.value) : t.value, t);
    base = base.has_value() ? base + value : value;
  }
  if (!base.has_value())
    base = apply(copy_op, {broadcast_to(cast(Arg(0.0), root.dtype()), sizes(root))});
  // Where only its columns are scaled, the products are added in the same pass.
  Expr old, scale;
  for (const Addend& t : terms.others) {
    for (const Expr& node : topological(std::span(&t.value, 1))) {
      if (is_shared(node) && node.attrs().state.get() == target) old = node;
    }
  }
  if (old.has_value() && !(base == old)) scale = column_scale(terms.others, old);
  // Rows of the left factors' transposes and of the right factors: what is stacked lies row by row.
  std::vector<Expr> left, right;
  std::int64_t inner = 0;
  for (const Addend& t : terms.products) {
    Expr a = t.value.inputs()[0], b = t.value.inputs()[1];
    if (t.transposed) {
      std::swap(a, b);
      a = transposed(a);
      b = transposed(b);
    }
    a = transposed(a);
    const bool scale_left = a.dims()[1].size() < b.dims()[1].size();
    (scale_left ? a : b) = scaled(scale_left ? a : b, t);
    inner += b.dims()[0].size();
    left.push_back(a);
    right.push_back(b);
  }
  if (inner <= most_stacked && left.size() > 1) {
    left = {concatenate(left, 0, root->where)};
    right = {concatenate(right, 0, root->where)};
  }
  for (std::size_t k = 0; k < left.size(); ++k) {
    if (k == 0 && scale.has_value()) {
      const Expr row =
          broadcast_to(cast(scale, old.dtype()), {constant(Tensor(std::int64_t{1})), size(old, 1)});
      base = scaled_add_dot(old, row, transposed(left[k]), right[k]);
    } else {
      base = add_dot(base, transposed(left[k]), right[k]);
    }
  }
  return base;
}

}  // namespace

std::vector<Expr> join_column_norms(std::span<const Expr> roots) {
  constexpr std::int64_t most_rows = 128;  // Of a product that passes over the matrix only once.
  std::vector<Expr> result(roots.begin(), roots.end());
  NodeSet tried;
  while (true) {
    const std::vector<Expr> order = topological(result);
    NodeMap<Expr> norms;  // By matrix.
    for (const Expr& node : order) {
      if (node.op().algebra != Algebra::sum ||
          OverAxes::of(node.attrs()) != std::vector<std::int64_t>{0})
        continue;
      const Expr& body = node.inputs()[0];
      if (body.rank() == 2 && body.op().algebra == Algebra::square && is_float(body.dtype()))
        norms[body.inputs()[0].get()] = node;
    }
    // One pair at a time: each changes the graph.
    const auto pair = std::ranges::find_if(order, [&](const Expr& node) {
      if (node.op().algebra != Algebra::matrix_product || node.rank() != 2) return false;
      const auto norm = norms.find(node.inputs()[1].get());
      if (norm == norms.end() || running::deciding_rows(node.dims()[0].size()) > most_rows)
        return false;
      if (!tried.insert(node.get()).second) return false;
      // The product must not need the norms.
      const auto before = topological(std::span(&node, 1));
      return std::ranges::find(before, norm->second) == before.end();
    });
    if (pair == order.end()) return result;
    const Expr product = *pair, norm = norms.at(product.inputs()[1].get());
    const Attribution as(product->where, /*force=*/true);
    const Expr both = dot_squares(product.inputs()[0], product.inputs()[1]);
    const std::int64_t rows = product.dims()[0].size();
    NodeMap<Expr> done;
    done[product.get()] = narrow(both, 0, 0, rows, 1);
    done[norm.get()] = reshape(narrow(both, 0, rows, 1, 1), {size(norm, 0)});
    result = rebuild(result, done);
  }
}

void accumulate_products(std::vector<planning::PlanResult>& results) {
  std::vector<Expr> roots;
  for (const planning::PlanResult& r : results) roots.push_back(r.value);
  NodeMap<int> uses;
  for (const Expr& node : topological(roots)) {
    for (const Expr& input : node.inputs()) ++uses[input.get()];
  }
  for (const Expr& root : roots) ++uses[root.get()];
  for (planning::PlanResult& r : results) {
    if (!r.target || r.value.rank() != 2 || !is_float(r.value.dtype()) ||
        uses.at(r.value.get()) > 1)
      continue;
    Terms terms(uses);
    terms.split(r.value);
    // One product alone is written where it shall lie; several are added to nothing.
    if (terms.products.size() < (terms.others.empty() ? 2u : 1u)) continue;
    const Attribution as(r.value->where, /*force=*/true);
    const Expr better = with_products(r.value, terms, r.target);
    if (better.type().shape() == r.value.type().shape() && better.dtype() == r.value.dtype())
      r.value = better;
  }
}

}  // namespace cinch::compiling
