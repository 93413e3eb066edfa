#include "cinch/ops/rules/exponents.hpp"

#include <cmath>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/special.hpp"

namespace cinch::exponentials {

std::optional<double> number(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || value->rank() != 0) return {};
  return value->at(0);
}

void Linear::add(const Expr& e, double k, int depth) {
  if (!e.has_value()) return;
  const std::optional<double> value = number(e);
  if (value) {
    constant += k * *value;
  } else if (depth == 0) {
    add_term(e, k);
  } else if (is(e, add_op) || is(e, sub_op)) {
    add(e.inputs()[0], k, depth - 1);
    add(e.inputs()[1], is(e, sub_op) ? -k : k, depth - 1);
  } else if (is(e, neg_op)) {
    add(e.inputs()[0], -k, depth - 1);
  } else if (is(e, mul_op) && number(e.inputs()[0])) {
    add(e.inputs()[1], k * *number(e.inputs()[0]), depth - 1);
  } else if (is(e, mul_op) && number(e.inputs()[1])) {
    add(e.inputs()[0], k * *number(e.inputs()[1]), depth - 1);
  } else if (is(e, div_op) && number(e.inputs()[1]) && *number(e.inputs()[1]) != 0) {
    add(e.inputs()[0], k / *number(e.inputs()[1]), depth - 1);
  } else {
    add_term(e, k);
  }
}

void Linear::add(const Linear& other, double k) {
  for (const auto& [term, coefficient] : other.terms) add_term(term, k * coefficient);
  constant += k * other.constant;
}

double Linear::coefficient(const Expr& term) const {
  for (const auto& [mine, k] : terms) {
    if (mine == term) return k;
  }
  return 0;
}

void Linear::add_term(const Expr& e, double k) {
  for (auto term = terms.begin(); term != terms.end(); ++term) {
    if (!(term->first == e)) continue;
    const double total = term->second + k;
    // What is left by rounding of coefficients such as .1 is nothing.
    if (std::abs(total) <= 1e-14 * std::abs(k)) {
      terms.erase(term);
    } else {
      term->second = total;
    }
    return;
  }
  if (k != 0) terms.emplace_back(e, k);
}

Expr times(double k, const Expr& x) { return k == 1 ? x : k == -1 ? -x : k * Arg(x); }
Expr plus(const Expr& a, const Expr& b) { return !a.has_value() ? b : !b.has_value() ? a : a + b; }

Expr difference(const Expr& a, const Expr& b, double k) {
  Linear sum;
  sum.add(a, k);
  sum.add(b, -k);
  if (sum.terms.size() == 1) {
    const Expr x = times(sum.terms[0].second, sum.terms[0].first);
    return sum.constant == 0 ? x : x + sum.constant;
  }
  if (!b.has_value()) return times(k, a);
  if (!a.has_value()) return times(-k, b);
  return times(k, a - b);
}

Expr log_of_sum(const Expr& a, const Expr& b) {
  return b.has_value() ? logaddexp(a, b) : softplus(a);
}

Expr power(const Expr& x, double k) {
  if (k == 1) return x;
  if (k == 2) return square(x);
  if (k == 0.5) return sqrt(x);
  return pow(x, k);
}

bool parallel(const Expr& a, const Expr& b, const Expr& c, const Expr& d) {
  Linear sum;
  sum.add(a, 1);
  sum.add(b, -1);
  sum.add(c, -1);
  sum.add(d, 1);
  return sum.terms.empty() && sum.constant == 0;
}

}  // namespace cinch::exponentials
