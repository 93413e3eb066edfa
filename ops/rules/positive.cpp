#include "cinch/ops/rules/positive.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/logsumexp.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/complement.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/factors.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::rules {

using namespace exponentials;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// (exp(a) + exp(b))^-k times the exponentials that it has taken up.
Expr quotient(const Pair& sum, const Shares& shares, double& constant) {
  Expr result;
  const double both = std::min(shares.left, shares.right);
  const auto times_power = [&](const Expr& x, double k) {
    if (k <= 0) return;
    const Expr factor = power(x, k);
    result = result.has_value() ? result * factor : factor;
  };
  if (both > 0) {
    if (whole(both)) {
      times_power(sigmoid_slope(difference(sum.a, sum.b, 1)), both);
    } else {
      times_power(sech(difference(sum.a, sum.b, 0.5)), 2 * both);
      constant *= std::pow(0.25, both);
    }
  }
  times_power(sigmoid(difference(sum.a, sum.b, 1)), shares.left - both);
  times_power(sigmoid(difference(sum.b, sum.a, 1)), shares.right - both);
  return result;
}

/// `y` if it is `f` of something over one axis that is then repeated, else empty.
Expr along_one_axis(const Expr& y, const Op& f, const Expr& over) {
  const bool moved = is(y, dimshuffle_op);
  const Expr& inner = moved ? y.inputs()[0] : y;
  if (!is(inner, f) || over.rank() != inner.rank() + 1) return {};
  const auto& axes = OverAxes::of(inner.attrs());
  if (axes.size() != 1) return {};
  const std::int64_t axis = axes[0];
  if (!moved) return axis == 0 ? inner : Expr();  // Sizes align from the right.
  std::vector<std::int64_t> pattern;
  for (std::int64_t k = 0; k < over.rank(); ++k) pattern.push_back(k < axis ? k : k - 1);
  pattern[axis] = -1;
  return AxisPattern::of(y.attrs()) == pattern ? inner : Expr();
}

/// softmax(x) for exp(x) / sum(exp(x)) along an axis, also with the maximum taken out of x by hand.
Expr softmax_of(const Expr& x, const Expr& total) {
  const Expr sum = along_one_axis(total, sum_op, x);
  if (!sum.has_value() || !is(sum.inputs()[0], exp_op) || !(sum.inputs()[0].inputs()[0] == x))
    return {};
  Expr of = x;
  if (is(x, sub_op) && x.inputs()[0].rank() == x.rank()) {
    const Expr most = along_one_axis(x.inputs()[1], max_op, x);
    const bool taken_out =
        most.has_value() && most.inputs()[0] == x.inputs()[0] && most.attrs() == sum.attrs();
    if (taken_out) of = x.inputs()[0];
  }
  return apply(softmax_op, {of}, sum.attrs());
}

/// exp(x) and 1 / sum(exp(x)) among the factors are a softmax.
void find_softmax(Product& p) {
  for (std::size_t i = 0; i < p.known.size(); ++i) {
    if (p.known[i].k != -1) continue;
    for (std::size_t j = 0; j < p.exps.size(); ++j) {
      if (p.exps[j].k != 1) continue;
      const Expr share = softmax_of(p.exps[j].x, p.known[i].value);
      if (!share.has_value()) continue;
      p.known[i] = {
          share, apply(log_softmax_op, {share.inputs()[0]}, share.attrs()), 1, false, true, {}};
      p.exps.erase(p.exps.begin() + static_cast<std::ptrdiff_t>(j));
      break;
    }
  }
}

/// A sum of weight * exp(log) with all else in the exponents; empty where there is no such sum, or
/// nothing that it is divided by.
Expr divided_inside(const Product& p, const Expr& e) {
  const bool one = p.weighted.size() == 1 && p.weighted[0].k == 1 && p.weighted[0].moves.empty() &&
                   p.differences.empty();
  if (!one || !p.divided || !is(p.weighted[0].sum, sum_op)) return {};
  if (p.exps.empty() && p.sums.empty() && p.known.empty()) return {};
  const Weighted& w = p.weighted[0];
  const Expr others = log_of_factors(p);
  if (others.rank() > 0 && others.rank() != w.sum.rank()) return {};
  const Expr spread = others.rank() == 0 ? others : reduction::kept(others, w.axes, w.terms.rank());
  // What has weight 0 may be as large as it likes.
  const Expr terms = w.terms + spread;
  const Expr masked = logical_and(equal(w.weights, 0), terms > 0);
  const Expr sum = sum_axes(w.weights * exp(switch_(masked, 0, terms)), w.axes);
  const Expr rest = product_of(p.rest);
  const Expr result = rest.has_value() ? rest * sum : sum;
  return result.rank() == e.rank() ? times(p.constant, result) : Expr();
}

/// (a + b) / d as a / d + b / d where a or b overflows together with d, and a + b, of unknown sign,
/// has no logarithm.
Expr divided_apart(const Product& p, const Expr& e) {
  if (!is(e, div_op) || !p.divided) return {};
  const Expr &above = e.inputs()[0], &below = e.inputs()[1];
  if (!is(above, add_op) && !is(above, sub_op)) return {};
  const bool unread =
      std::ranges::any_of(p.rest, [&](const Power& x) { return x.x == above && x.k == 1; }) ||
      std::ranges::any_of(p.weighted,
                          [&](const Weighted& w) { return w.sum == above && w.k == 1; });
  if (!unread) return {};
  Reader reader;
  const Positive divisor = reader.positive(below, deepest);
  const Expr &a = above.inputs()[0], &b = above.inputs()[1];
  if (!divisor.log.has_value() || !divisor.grows || !(reader.grows(a) || reader.grows(b)))
    return {};
  return is(above, add_op) ? a / below + b / below : a / below - b / below;
}

std::size_t count_of_factors(const Product& p) {
  return p.exps.size() + p.sums.size() + p.known.size() + p.weighted.size() + p.differences.size();
}

/// Whether `term` is in what `e` is computed from, as far as formulas written by hand go.
bool is_made_of(const Expr& e, const Expr& term) {
  std::vector<std::pair<Expr, int>> pending{{e, 0}};
  NodeSet seen;
  while (!pending.empty() && seen.size() < 50) {
    const auto [node, level] = pending.back();
    pending.pop_back();
    if (node == term) return true;
    if (graphs::is_leaf(node) || level > deepest || !seen.insert(node.get()).second) continue;
    for (const Expr& input : node.inputs()) pending.emplace_back(input, level + 1);
  }
  return false;
}

/// Whether one argument makes an exponential of `p` overflow and another factor vanish.
bool exponentials_meet(const Product& p) {
  const Linear exponent = linear_of(p.exps);
  return std::ranges::any_of(exponent.terms, [&](const auto& term) {
    return std::ranges::any_of(p.known,
                               [&](const Known& x) {
                                 return x.vanishes && x.k > 0 && is_made_of(x.value, term.first);
                               }) ||
           std::ranges::any_of(p.sums, [&](const Pair& sum) {
             Linear both;
             both.add(sum.a, 1);
             both.add(sum.b, -1);
             return sum.k < 0 && both.coefficient(term.first) != 0;
           });
  });
}

/// 1 where a factor of `p` is a number whose exponent is one, as x / x is, also where it vanishes
/// or overflows. NaN stays NaN.
Expr ratio_of_equals(const Product& p) {
  const Expr log = !p.known.empty()  ? p.known[0].log
                   : !p.sums.empty() ? log_of_sum(p.sums[0].a, p.sums[0].b)
                                     : Expr();
  return log.has_value() ? final_exp(log - log) : Expr();
}

/// w exp(x) / sum(w exp(x)) with the largest x taken out of both. Where w is 0, x may be as large
/// as it likes.
Expr masked_softmax(Product p) {
  const bool one = p.weighted.size() == 1 && p.weighted[0].k == -1 && p.weighted[0].log.has_value();
  if (!one || !p.differences.empty()) return {};
  const Weighted sum = std::move(p.weighted[0]);
  p.weighted.clear();
  if (p.exps.empty() && p.sums.empty() && p.known.empty()) return {};
  const Expr above = log_of_factors(p);
  if (!parallel(above, {}, sum.log, {})) return {};
  Product below{.weighted = {sum}};
  shift_weighted(below);
  const Expr apart = above - below.exps[0].x;
  p.rest.push_back(below.rest[0]);
  const Expr share = product_of(p.rest) * exp(switch_(apart > 0, -inf, apart));
  return times(p.constant, share);
}

/// The sums of `p` as they are written, where they only multiply and nothing else does.
Expr plain_sums(const Product& p) {
  Expr result;
  const bool alone = p.exps.empty() && p.known.empty();
  for (const auto& [a, b, k] : p.sums) {
    if (!alone || k < 0) return {};
    const Expr factor = power(b.has_value() ? exp(a) + exp(b) : 1 + exp(a), k);
    result = result.has_value() ? result * factor : factor;
  }
  return result;
}

/// The positive part of `p` in bounded factors; empty if there are none.
Expr bounded_factors(const Product& p, double& constant) {
  double factor = 1;
  Linear exponent = linear_of(p.exps);
  Expr result;
  const auto multiply = [&](const Expr& x) { result = result.has_value() ? result * x : x; };
  const bool fractions =
      std::ranges::any_of(p.sums, [](const Pair& sum) { return !whole(2 * sum.k); });
  for (const Pair& sum : p.sums) {
    if (sum.k > 0 || fractions) return {};
    const std::optional<Shares> shares = take_up(sum, exponent);
    if (!shares || !whole(2 * std::min(shares->left, shares->right)) ||
        !whole(shares->left - shares->right))
      return {};
    multiply(quotient(sum, *shares, factor));
  }
  for (const auto& [value, log, k, grows, vanishes, tail] : p.known) {
    if (k <= 0 || !whole(k) || grows) return {};
    multiply(power(value, k));
  }
  if (!exponent.terms.empty() || !result.has_value()) return {};
  constant *= factor * std::exp(exponent.constant);
  return result;
}

/// Whether an exponential, or what is made of one, is among the factors and terms of `e`: nearly
/// all products have none, and are done with here.
bool mentions_exponential(const Expr& e) {
  std::vector<std::pair<Expr, int>> pending{{e, 0}};
  NodeSet seen;
  while (!pending.empty() && seen.size() < 200) {
    const auto [node, level] = pending.back();
    pending.pop_back();
    if (graphs::is_leaf(node) || level > deepest || !seen.insert(node.get()).second) continue;
    const Op& op = node.op();
    if ((&op == &exp_op && !is_final(node)) || &op == &softplus_op || &op == &exp2_op ||
        &op == &expm1_op || &op == &sigmoid_op || &op == &softmax_op || &op == &cosh_op ||
        &op == &sinh_op || &op == &sech_op || &op == &sigmoid_slope_op || &op == &normal_cdf_op ||
        &op == &erfc_op)
      return true;
    const bool power_of_number = &op == &pow_op && number(node.inputs()[0]);
    if (power_of_number) return true;
    const bool whole_op = &op == &mul_op || &op == &div_op || &op == &add_op || &op == &sub_op ||
                          &op == &maximum_op || &op == &minimum_op || &op == &switch_op ||
                          &op == &concatenate_op;
    const bool first_only = &op == &neg_op || &op == &square_op || &op == &sqrt_op ||
                            &op == &length_op || &op == &pow_op || &op == &sum_op ||
                            &op == &max_op || &op == &min_op || &op == &prod_op ||
                            &op == &cast_op || rearranges(op);
    if (!whole_op && !first_only) continue;
    const std::size_t count = whole_op ? node.inputs().size() : 1;
    for (std::size_t k = 0; k < count; ++k) pending.emplace_back(node.inputs()[k], level + 1);
  }
  return false;
}

}  // namespace

Expr softmax_by_logarithm(const Expr& x) {
  if (graphs::is_leaf(x)) return {};
  if (is(x, log_softmax_op)) return apply(softmax_op, {x.inputs()[0]}, x.attrs());
  if (rearranges(x.op())) {
    const Expr inner = softmax_by_logarithm(x.inputs()[0]);
    if (!inner.has_value()) return {};
    std::vector<Expr> inputs(x.inputs().begin(), x.inputs().end());
    inputs[0] = inner;
    return apply(x.op(), std::move(inputs), x.attrs());
  }
  if (!is(x, sub_op)) return {};
  const Expr total = along_one_axis(x.inputs()[1], logsumexp_op, x.inputs()[0]);
  if (!total.has_value() || !(total.inputs()[0] == x.inputs()[0])) return {};
  return apply(softmax_op, {x.inputs()[0]}, total.attrs());
}

bool is_positive(const Expr& e) {
  if (const std::optional<double> value = number(e)) return *value > 0;
  return Reader().positive(e, deepest).log.has_value();
}

Expr log_of_positive(const Expr& e) {
  if (!mentions_exponential(e)) return {};
  Product p;
  Reader().read(e, 1, p, deepest);
  if (p.plain()) return log_of_difference(e);
  if (p.known.size() == 1 && p.known[0].value == e && is(p.known[0].log, log_op) &&
      p.known[0].log.inputs()[0] == e)
    return {};
  return log_of(std::move(p));
}

Expr balanced(const Expr& e) {
  if (is_final(e) || !is_float(e.dtype()) || !mentions_exponential(e)) return {};
  Product p;
  if (is(e, pow_op) && !number(e.inputs()[1])) {
    if (constant_value(e.inputs()[0])) return {};  // Exact as it is: decay^step.
    Reader reader;
    const Positive base = reader.positive(e.inputs()[0], deepest);
    return base.log.has_value() ? exp(e.inputs()[1] * base.log) : Expr();
  }
  Reader().read(e, 1, p, deepest);
  if (p.plain()) return {};
  p.divided |= p.mildly && count_of_factors(p) > 1;
  const bool wide =
      std::ranges::any_of(p.exps, [&](const Power& x) { return x.x.dims() == e.dims(); });
  const bool meets = exponentials_meet(p);
  const bool may_meet = !p.exps.empty() && (p.growing > 1 || !p.sums.empty() || meets) && wide;
  if (!p.divided && !p.rooted && !may_meet) return {};
  if (const Expr masked = masked_softmax(p); masked.has_value()) return masked;
  if (const Expr inside = divided_inside(p, e); inside.has_value()) return inside;
  if (const Expr apart = divided_apart(p, e); apart.has_value()) return apart;
  if (p.divided || p.growing > 1) shift_weighted(p);
  const Expr one = ratio_of_equals(p);
  gather(p);
  find_softmax(p);
  double constant = p.constant;
  Expr positive = bounded_factors(p, constant);
  if (!positive.has_value() && !p.rooted) positive = plain_sums(p);
  if (!positive.has_value()) {
    // Products of exponentials and what is bounded are left alone, as they are what they say.
    if (!p.divided && !p.rooted && p.growing < 2 && !meets) return {};
    const bool nothing = p.exps.empty() && p.known.empty() && p.sums.empty();
    if (!nothing) {
      positive = exp(log_of_factors(p));
    } else if (p.rest.empty()) {
      if (!one.has_value()) return {};
      positive = one;
    }
  }
  const Expr rest = product_of(p.rest);
  Expr result = !rest.has_value() ? positive : !positive.has_value() ? rest : rest * positive;
  if (!std::isfinite(constant) || std::abs(constant) < 1e-300) return {};
  if (constant != 1) result = constant == -1 ? -result : constant * Arg(result);
  if (result.rank() < e.rank()) result = broadcast_like(result, e);
  return result;
}

}  // namespace cinch::rules
