// Exponents as sums of multiples of expressions: what says that two are the same, multiples of each
// other, or apart by a number.
#pragma once

#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/op.hpp"

namespace cinch::exponentials {

constexpr int deepest = 12;  // Levels that are looked at; formulas written by hand have fewer.

inline bool is(const Expr& e, const Op& op) { return &e.op() == &op; }

/// The value of a constant scalar.
std::optional<double> number(const Expr& e);

/// Whether a number is positive, and so is its inverse.
inline bool usual(double x) { return x > 1e-300 && x < 1e300; }

inline bool whole(double k) { return k == std::floor(k); }
inline bool odd(double k) { return std::fmod(std::abs(k), 2) == 1; }

/// Sum of coefficient * term + constant.
struct Linear {
  std::vector<std::pair<Expr, double>> terms = {};
  double constant = 0;

  /// Adds k * e; nothing where `e` is empty.
  void add(const Expr& e, double k, int depth = deepest);
  void add(const Linear& other, double k);
  double coefficient(const Expr& term) const;

 private:
  void add_term(const Expr& e, double k);
};

Expr times(double k, const Expr& x);
/// a + b, where an empty expression is 0.
Expr plus(const Expr& a, const Expr& b);

/// k (a - b), where an empty expression is 0; in one term where it has only one, so that x - -x is
/// 2 x.
Expr difference(const Expr& a, const Expr& b, double k);

/// Whether a - b = c - d, where an empty expression is 0.
bool parallel(const Expr& a, const Expr& b, const Expr& c, const Expr& d);

/// log(exp(a) + exp(b)), an empty b being 0.
Expr log_of_sum(const Expr& a, const Expr& b);

/// x^k by the cheapest op.
Expr power(const Expr& x, double k);

}  // namespace cinch::exponentials
