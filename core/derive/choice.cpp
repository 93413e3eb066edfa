#include "cinch/core/derive/choice.hpp"

#include <optional>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"

namespace cinch::deriving {

namespace {

/// `value` where `chosen` holds, else 0. `chosen` is empty for nowhere.
struct Choice {
  Expr chosen, value;
};

constexpr int deepest = 16;  // Nested choices that are still taken apart.

/// A condition that may be empty, for everywhere.
Expr both(const Expr& a, const Expr& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  return a == b ? a : logical_and(a, b);
}

std::optional<Choice> choice_of(const Expr& g, int depth = 0);

/// switch(c, a, b), at least one of whose branches is 0 somewhere.
std::optional<Choice> choice_of_branches(const Expr& c, const Expr& a, const Expr& b, int depth) {
  const bool a_zero = graphs::is_constant(a, 0), b_zero = graphs::is_constant(b, 0);
  if (a_zero && b_zero) return {};
  if (b_zero) {
    const auto inner = choice_of(a, depth);
    return Choice{both(c, inner ? inner->chosen : Expr()), inner ? inner->value : a};
  }
  if (a_zero) {
    const auto inner = choice_of(b, depth);
    return Choice{both(logical_not(c), inner ? inner->chosen : Expr()), inner ? inner->value : b};
  }
  const auto of_a = choice_of(a, depth), of_b = choice_of(b, depth);
  if (!of_a && !of_b) return {};
  Expr chosen;
  if (of_a && of_b) {
    chosen = switch_(c, of_a->chosen, of_b->chosen);
  } else {
    chosen = of_a ? logical_or(logical_not(c), of_a->chosen) : logical_or(c, of_b->chosen);
  }
  return Choice{chosen, switch_(c, of_a ? of_a->value : a, of_b ? of_b->value : b)};
}

/// The bool that a number was made of, which multiplies as a choice does; empty for another number.
Expr condition_of(const Expr& number) {
  const bool cast = &number.op() == &cast_op && number.inputs()[0].dtype() == DType::bool_;
  return cast ? number.inputs()[0] : Expr();
}

std::optional<Choice> choice_of(const Expr& g, int depth) {
  if (depth > deepest || graphs::is_leaf(g)) return {};
  const Op& op = g.op();
  if (&op == &switch_op)
    return choice_of_branches(g.inputs()[0], g.inputs()[1], g.inputs()[2], depth + 1);
  if (&op == &cast_op && is_float(g.inputs()[0].dtype())) {
    auto inner = choice_of(g.inputs()[0], depth + 1);
    if (inner) inner->value = cast(inner->value, g.dtype());
    return inner;
  }
  if (op.algebra == Algebra::product && op.elementwise()) {
    for (const std::size_t k : {0u, 1u}) {
      const Expr c = condition_of(g.inputs()[k]), &other = g.inputs()[1 - k];
      if (c.has_value() && c.dims() == g.dims() && other.dims() == g.dims()) {
        const auto inner = choice_of(other, depth + 1);
        return Choice{both(c, inner ? inner->chosen : Expr()), inner ? inner->value : other};
      }
    }
    return {};
  }
  // A sum is 0 where nothing was chosen.
  if (&op == &sum_op || &op == &sum_like_op) {
    const Expr& input = g.inputs()[0];
    const auto inner = choice_of(input, depth + 1);
    if (!inner) return {};
    std::vector<Expr> inputs(g.inputs().begin(), g.inputs().end());
    inputs[0] = cast(broadcast_like(inner->chosen, input), DType::int64);
    return Choice{cast(apply(op, std::move(inputs), g.attrs()), DType::bool_), g};
  }
  // What only moves elements moves the condition as well.
  if (op.view()) {
    const Expr& input = g.inputs()[0];
    auto inner = choice_of(input, depth + 1);
    if (!inner) return {};
    for (Expr* part : {&inner->chosen, &inner->value}) {
      std::vector<Expr> inputs(g.inputs().begin(), g.inputs().end());
      inputs[0] = broadcast_like(*part, input);
      *part = apply(op, std::move(inputs), g.attrs());
    }
    return inner;
  }
  return {};
}

}  // namespace

bool is_zeros(const Expr& e) {
  if (graphs::is_constant(e, 0)) return true;
  const Op* op = &e.op();
  const bool carries = op == &cast_op || op == &sum_like_op || op->name == "broadcast_like" ||
                       op->name == "broadcast_to";
  return carries && is_zeros(e.inputs()[0]);
}

namespace {

/// What is `value` if a condition holds, or if it does not, and else `zeros`, without being
/// computed.
struct Lazy {
  Expr condition, value, zeros;
  bool holds;

  Expr around(const Expr& e, const Expr& otherwise) const {
    return apply(ifelse_op, {condition, holds ? e : otherwise, holds ? otherwise : e}, {},
                 e->where);
  }
};

std::optional<Lazy> lazy_of(const Expr& g, int depth = 0) {
  if (depth > deepest || graphs::is_leaf(g)) return {};
  if (&g.op() == &ifelse_op) {
    const Expr &a = g.inputs()[1], &b = g.inputs()[2];
    if (is_zeros(b)) return Lazy{g.inputs()[0], a, b, true};
    if (is_zeros(a)) return Lazy{g.inputs()[0], b, a, false};
    return {};
  }
  const Op* op = &g.op();
  if (op != &cast_op && op != &sum_op && op != &sum_like_op && !op->view()) return {};
  auto inner = lazy_of(g.inputs()[0], depth + 1);
  if (!inner || !is_float(inner->value.dtype())) return {};
  for (Expr* part : {&inner->value, &inner->zeros}) {
    std::vector<Expr> inputs(g.inputs().begin(), g.inputs().end());
    inputs[0] = *part;
    *part = with_inputs(g, std::move(inputs));
  }
  return inner;
}

/// Whether each element of `node` is computed from those at its place and from scalars, also by a
/// kernel of its own: along every axis positions stay where they are.
bool by_elements(const Expr& node) {
  const Op& op = node.op();
  if (op.elementwise()) return true;
  if (!op.kernel() || !op.follow || op.sizes_from >= 0) return false;
  for (const Expr& input : node.inputs())
    if (input.rank() != 0 && input.dims() != node.dims()) return false;
  for (std::int64_t axis = 0; axis < node.rank(); ++axis) {
    std::vector<std::int64_t> axes;
    for (const Expr& input : node.inputs()) axes.push_back(input.rank() == 0 ? -1 : axis);
    if (op.follow(node.inputs(), axes, node) != axis) return false;
  }
  return true;
}

}  // namespace

Grads gradients_inside_choice(const Expr& node, const Expr& gy) {
  if (const auto lazy = lazy_of(gy)) {
    Grads result = gradients_inside_choice(node, lazy->value);
    for (std::size_t k = 0; k < result.size(); ++k) {
      Expr& g = result[k];
      if (!g.has_value()) continue;
      const Expr& input = node.inputs()[k];
      if (g == lazy->value && g.dims() == input.dims()) {
        g = gy;
        continue;
      }
      // The shape is the input's, which is known without what is not chosen.
      if (g.dims() != input.dims()) g = sum_like(g, input);
      g = lazy->around(g, broadcast_like(cast(Arg(0.0), g.dtype()), input));
    }
    return result;
  }
  const auto choice = by_elements(node) ? choice_of(gy) : std::nullopt;
  if (!choice) return node.op().grad(node.inputs(), node, gy);
  Grads result = node.op().grad(node.inputs(), node, choice->value);
  for (Expr& g : result) {
    if (g.has_value()) g = g == choice->value ? gy : switch_(choice->chosen, g, 0);
  }
  return result;
}

Expr sum_of_choices(const Expr& a, const Expr& b) {
  if (const auto lazy_a = lazy_of(a), lazy_b = lazy_of(b);
      lazy_a && lazy_b && lazy_a->condition == lazy_b->condition) {
    if (lazy_a->holds == lazy_b->holds)
      return lazy_a->around(sum_of_choices(lazy_a->value, lazy_b->value), lazy_a->zeros);
    const Lazy& first = lazy_a->holds ? *lazy_a : *lazy_b;
    const Lazy& second = lazy_a->holds ? *lazy_b : *lazy_a;
    return apply(ifelse_op, {first.condition, first.value, second.value}, {}, a->where);
  }
  const auto of_a = choice_of(a), of_b = choice_of(b);
  if (!of_a || !of_b) return a + b;
  if (of_a->chosen == of_b->chosen) return switch_(of_a->chosen, of_a->value + of_b->value, 0);
  return switch_(logical_or(of_a->chosen, of_b->chosen), a + b, 0);
}

}  // namespace cinch::deriving
