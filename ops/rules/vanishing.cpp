#include "cinch/ops/rules/vanishing.hpp"

#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/special.hpp"

namespace cinch::rules {

namespace {

constexpr int deepest = 6;
constexpr std::size_t most_factors = 12;

bool is(const Expr& e, const Op& op) { return &e.op() == &op; }

/// What is 0 where one of these is: factors, numerators and roots of e, and e itself.
void add_factors(const Expr& e, std::vector<Expr>& factors, int depth = 0) {
  if (factors.size() >= most_factors || depth > deepest || constant_value(e)) return;
  factors.push_back(e);
  const bool first = is(e, neg_op) || is(e, square_op) || is(e, abs_op) || is(e, sqrt_op) ||
                     is(e, div_op) || is(e, mul_op);
  if (first) add_factors(e.inputs()[0], factors, depth + 1);
  if (is(e, mul_op)) add_factors(e.inputs()[1], factors, depth + 1);
}

bool vanishes_with(const Expr& x, const Expr& q) {
  std::vector<Expr> factors;
  add_factors(q, factors);
  for (const Expr& factor : factors) {
    if (factor == x) return true;
  }
  return false;
}

/// Whether a logarithm is among the factors of `e`, or of the terms of a sum that is one.
bool has_log(const Expr& e, int depth = 0) {
  if (depth > deepest) return false;
  if (is(e, log_op)) return !is_final(e);
  if (is(e, mul_op) || is(e, add_op) || is(e, sub_op))
    return has_log(e.inputs()[0], depth + 1) || has_log(e.inputs()[1], depth + 1);
  return (is(e, neg_op) || is(e, div_op)) && has_log(e.inputs()[0], depth + 1);
}

/// x log(q), and 0 where x is 0, also where q is x / 0.
Expr log_times(const Expr& q, const Expr& x) {
  if (!is(q, div_op) || !(q.inputs()[0] == x)) return xlogy(x, q);
  const Expr& y = q.inputs()[1];
  return xlogy(x, x / switch_(logical_and(equal(x, 0), equal(y, 0)), 1, y));
}

/// e * x where a logarithm in e is of what vanishes with x; else empty.
Expr times(const Expr& e, const Expr& x, int depth = 0) {
  if (depth > deepest || !has_log(e, depth)) return {};
  if (is(e, log_op)) return vanishes_with(x, e.inputs()[0]) ? log_times(e.inputs()[0], x) : Expr();
  const Expr first = times(e.inputs()[0], x, depth + 1);
  if (is(e, neg_op)) return first.has_value() ? -first : Expr();
  const Expr& b = e.inputs()[1];
  if (is(e, div_op)) return first.has_value() ? first / b : Expr();
  if (is(e, mul_op)) {
    if (first.has_value()) return first * b;
    const Expr second = times(b, x, depth + 1);
    return second.has_value() ? e.inputs()[0] * second : Expr();
  }
  const Expr second = times(b, x, depth + 1);
  if (!first.has_value() && !second.has_value()) return {};
  const auto term = [&](const Expr& made, const Expr& t) {
    if (made.has_value()) return made;
    return is(t, log_op) && !is_final(t) ? xlogy(x, t.inputs()[0]) : t * x;
  };
  const Expr left = term(first, e.inputs()[0]), right = term(second, b);
  return is(e, add_op) ? left + right : left - right;
}

/// e / x for a factor x of e; `found` says whether it is one. Empty for 1.
Expr without(const Expr& e, const Expr& x, bool& found, int depth = 0) {
  if (e == x) {
    found = true;
    return {};
  }
  if (depth > deepest) return e;
  if (is(e, square_op) && e.inputs()[0] == x) {
    found = true;
    return x;
  }
  if (is(e, neg_op)) {
    const Expr rest = without(e.inputs()[0], x, found, depth + 1);
    return rest.has_value() ? -rest : Expr(-1.0);
  }
  if (is(e, div_op)) {
    const Expr rest = without(e.inputs()[0], x, found, depth + 1);
    return rest.has_value() ? rest / e.inputs()[1] : 1 / e.inputs()[1];
  }
  if (is(e, mul_op)) {
    for (const std::size_t k : {0u, 1u}) {
      const Expr rest = without(e.inputs()[k], x, found, depth + 1);
      if (found) return rest.has_value() ? rest * e.inputs()[1 - k] : Expr(e.inputs()[1 - k]);
    }
  }
  return e;
}

}  // namespace

Expr with_vanishing_logs(const Expr& product) {
  if (!is_float(product.dtype())) return {};
  for (const std::size_t k : {0u, 1u}) {
    const Expr &logs = product.inputs()[k], &others = product.inputs()[1 - k];
    if (!has_log(logs)) continue;
    std::vector<Expr> factors;
    add_factors(others, factors);
    for (const Expr& x : factors) {
      bool found = false;
      const Expr rest = without(others, x, found);
      if (!found) continue;
      const Expr result = times(logs, x);
      if (result.has_value()) return rest.has_value() ? result * rest : result;
    }
  }
  return {};
}

}  // namespace cinch::rules
