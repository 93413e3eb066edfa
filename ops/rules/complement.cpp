#include "cinch/ops/rules/complement.hpp"

#include <algorithm>
#include <limits>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/logsumexp.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/factors.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::exponentials {

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

Expr final_log1mexp(const Expr& x) { return apply(log1mexp_op, {x}, rules::Final::attrs()); }

/// Of a softmax along axes of x: where an element is the only largest one, and the logarithm of the
/// sum of all others' exponentials there.
struct Leader {
  Expr alone, others;
};

/// Whether there is no element along the axes of a softmax.
bool is_of_nothing(const Expr& softmax) {
  return reduction::nothing_along(softmax, OverAxes::of(softmax.attrs()));
}

Leader leader_of(const Expr& x, const std::vector<std::int64_t>& axes) {
  const Expr top = equal(x, max(x, axes, /*keepdims=*/true));
  const Expr count = sum(cast(top, DType::int64), axes, /*keepdims=*/true);
  const Expr alone = logical_and(top, equal(count, 1));
  return {alone, logsumexp(switch_(alone, -inf, x), axes, /*keepdims=*/true)};
}

/// log(1 - softmax(x)). All others together are what the largest one leaves.
Expr log_of_others(const Expr& log_share) {
  const Expr& x = log_share.inputs()[0];
  const auto [alone, others] = leader_of(x, OverAxes::of(log_share.attrs()));
  return switch_(alone, -softplus(x - others), final_log1mexp(switch_(alone, -1, log_share)));
}

/// log(-log_softmax(x)), also where that is 0 but for rounding.
Expr log_of_negated(const Expr& log_share) {
  const Expr& x = log_share.inputs()[0];
  const auto [alone, others] = leader_of(x, OverAxes::of(log_share.attrs()));
  return switch_(alone, log(softplus(others - x)), rules::final_log(switch_(alone, 1, -log_share)));
}

/// f of the log_softmax that `e` takes elements of, or repeats; empty if it is not such.
template <class F>
Expr inside_rearranged(const Expr& e, const F& f, int depth = 4) {
  if (is(e, log_softmax_op)) return is_of_nothing(e) ? Expr() : f(e);
  if (depth == 0 || graphs::is_leaf(e) || !rearranges(e.op())) return {};
  const Expr inner = inside_rearranged(e.inputs()[0], f, depth - 1);
  if (!inner.has_value()) return {};
  std::vector<Expr> inputs(e.inputs().begin(), e.inputs().end());
  inputs[0] = inner;
  return apply(e.op(), std::move(inputs), e.attrs());
}

/// log(-a) for a sum of terms that are all negative; empty if they are not, or for what is not
/// known in another form.
Expr log_of_minus(const Expr& a, int depth) {
  if (depth == 0 || graphs::is_leaf(a)) return {};
  const bool reduced = is(a, sum_op), moved = rearranges(a.op());
  if (reduced || moved) {
    const Expr inner = log_of_minus(a.inputs()[0], depth - 1);
    if (!inner.has_value()) return {};
    std::vector<Expr> inputs(a.inputs().begin(), a.inputs().end());
    inputs[0] = inner;
    return apply(reduced ? logsumexp_op : a.op(), std::move(inputs), a.attrs());
  }
  Linear sum;
  sum.add(a, -1);
  if (sum.constant != 0 || sum.terms.empty() || sum.terms.size() > 4) return {};
  Expr total;
  for (const auto& [term, k] : sum.terms) {
    Expr each;
    if (k > 0) {
      each = is(term, softplus_op) ? log(term) : rules::log_of_positive(term);
    } else if (is(term, log_softmax_op)) {
      each = inside_rearranged(term, log_of_negated);
    } else if (!(term == a)) {
      each = log_of_minus(term, depth - 1);
    }
    if (!each.has_value()) return {};
    const double size = std::abs(k);
    if (size != 1) each = each + std::log(size);
    total = total.has_value() ? logaddexp(total, each) : each;
  }
  return total;
}

/// r^k as r and k, for a whole k of 2 to 4.
std::pair<Expr, int> whole_power(const Expr& q) {
  if (is(q, square_op)) return {q.inputs()[0], 2};
  const std::optional<double> by = is(q, pow_op) ? number(q.inputs()[1]) : std::nullopt;
  if (by && (*by == 3 || *by == 4)) return {q.inputs()[0], static_cast<int>(*by)};
  return {};
}

}  // namespace

Expr complement_of(const Expr& e) {
  if (is(e, sub_op) && number(e.inputs()[0]) == 1.0) return e.inputs()[1];
  if (!is(e, add_op)) return {};
  for (const std::size_t k : {0u, 1u}) {
    const Expr& other = e.inputs()[1 - k];
    if (number(e.inputs()[k]) == 1.0 && is(other, neg_op)) return other.inputs()[0];
  }
  return {};
}

bool is_share(const Expr& e, int depth) {
  if (const std::optional<double> value = number(e)) return *value >= 0 && *value <= 1;
  if (depth == 0 || graphs::is_leaf(e)) return false;
  const auto input = [&](std::size_t k) { return is_share(e.inputs()[k], depth - 1); };
  if (is(e, sigmoid_op) || is(e, softmax_op) || is(e, rules::sech_op) ||
      is(e, rules::sigmoid_slope_op) || is(e, rules::normal_cdf_op))
    return true;
  if (is(e, mul_op) || is(e, maximum_op) || is(e, minimum_op)) return input(0) && input(1);
  if (is(e, square_op) || is(e, sqrt_op) || is(e, prod_op) || is(e, max_op) || is(e, min_op) ||
      rearranges(e.op()))
    return input(0);
  if (is(e, pow_op)) {
    const std::optional<double> by = number(e.inputs()[1]);
    return by && *by > 0 && input(0);
  }
  const Expr q = complement_of(e);
  return q.has_value() && is_share(q, depth - 1);
}

std::optional<Weighted> unchosen(const Expr& e) {
  const Expr q = complement_of(e);
  if (!q.has_value() || !is(q, sum_op) || !is(q.inputs()[0], mul_op)) return {};
  const Expr& product = q.inputs()[0];
  for (const std::size_t k : {0u, 1u}) {
    const Expr &p = product.inputs()[k], &w = product.inputs()[1 - k];
    if (!is(p, softmax_op) || p.dims() != product.dims() || p.attrs() != q.attrs() ||
        is_of_nothing(p))
      continue;
    const Expr left = cast(1 - w, p.dtype());
    const Expr logs = apply(log_softmax_op, {p.inputs()[0]}, p.attrs());
    return Weighted{.sum = e,
                    .terms = logs,
                    .weights = left.dims() == p.dims() ? left : broadcast_like(left, p),
                    .axes = OverAxes::of(q.attrs()),
                    .log = logs};
  }
  return {};
}

Expr spread_complement(const Expr& e) {
  const Expr q = complement_of(e);
  if (!q.has_value()) return {};
  if (is(q, add_op) && is(q.inputs()[0], mul_op) && is(q.inputs()[1], mul_op)) {
    for (const std::size_t i : {0u, 1u}) {
      for (const std::size_t j : {0u, 1u}) {
        const Expr &w = q.inputs()[0].inputs()[i], &v = q.inputs()[1].inputs()[j];
        const Expr &a = q.inputs()[0].inputs()[1 - i], &b = q.inputs()[1].inputs()[1 - j];
        const Expr of_w = complement_of(w), of_v = complement_of(v);
        const bool numbers = number(w) && number(v) && *number(w) + *number(v) == 1;
        const bool apart =
            numbers || (of_v.has_value() && of_v == w) || (of_w.has_value() && of_w == v);
        if (apart) return w * (1 - a) + v * (1 - b);
      }
    }
  }
  if (!is(q, mul_op)) return {};
  const Expr &a = q.inputs()[0], &b = q.inputs()[1];
  Product p;
  Reader().read(q, 1, p, deepest);
  return p.weighted.empty() ? Expr() : (1 - a) + a * (1 - b);
}

Expr log_of_difference(const Expr& e) {
  if (const Expr q = complement_of(e); q.has_value()) {
    if (is(q, sigmoid_op)) return -softplus(q.inputs()[0]);
    const Positive known = Reader().positive(q, deepest);
    if (known.log.has_value()) return is(known.log, log_op) ? Expr() : log1mexp(known.log);
    // 1 - r^k = (1 - r) (1 + r + ... + r^(k - 1))
    const auto [r, k] = whole_power(q);
    if (!r.has_value()) return {};
    const Expr log_left = rules::log_of_positive(1 - r);
    if (!log_left.has_value()) return {};
    Expr others = r;
    for (int i = 2; i < k; ++i) others = r + r * others;
    return log_left + log1p(others);
  }
  if (!is(e, sub_op) || !is(e.inputs()[0], sigmoid_op) || !is(e.inputs()[1], sigmoid_op)) return {};
  // sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
  const Expr &a = e.inputs()[0].inputs()[0], &b = e.inputs()[1].inputs()[0];
  return log1mexp(difference(b, a, 1)) - (softplus(-a) + softplus(b));
}

Expr simplify_log1mexp(const Expr& e) {
  if (rules::is_final(e)) return {};
  const Expr& a = e.inputs()[0];
  if (is(a, neg_op) && is(a.inputs()[0], softplus_op)) return -softplus(-a.inputs()[0].inputs()[0]);
  if (const Expr others = inside_rearranged(a, log_of_others); others.has_value()) return others;
  const Expr log_size = log_of_minus(a, 6);
  if (!log_size.has_value()) return {};
  // log((1 - exp(-m)) / m) is a series in m, to m^8 exact for m < .14.
  constexpr double small = -2;
  const Expr below = log_size < small, m = rules::final_exp(switch_(below, log_size, small)),
             m2 = square(m);
  const Expr series =
      m * -0.5 + m2 * (1.0 / 24 + m2 * (-1.0 / 2880 + m2 * (1.0 / 181440 - m2 * (1.0 / 9676800))));
  return switch_(below, log_size + series, final_log1mexp(switch_(below, -1, a)));
}

}  // namespace cinch::exponentials
