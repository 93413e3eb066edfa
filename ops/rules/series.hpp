// Power series of expressions: what a scalar formula of one variable does just above 0.
#pragma once

#include <array>
#include <optional>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::rules {

/// A coefficient: a number where it is known when the graph is built, else a float scalar
/// expression.
class Coefficient {
 public:
  Coefficient(double value = 0);
  explicit Coefficient(Expr scalar) : scalar_(std::move(scalar)) {}

  bool known() const { return !scalar_.has_value(); }
  double value() const { return value_; }  ///< Of a known one.
  /// Certainly 0, but for the rounding of what it was computed from.
  bool zero() const;
  Expr expr() const;

  friend Coefficient operator+(const Coefficient& a, const Coefficient& b);
  friend Coefficient operator-(const Coefficient& a, const Coefficient& b);
  friend Coefficient operator*(const Coefficient& a, const Coefficient& b);
  friend Coefficient operator/(const Coefficient& a, const Coefficient& b);

 private:
  Expr scalar_;
  double value_ = 0, size_ = 0;  ///< size_: of the terms that value_ is a sum of.
};

/// Whether `a` is 0 whatever its variables are: known to be, or so at values drawn at random.
bool identically_zero(const Coefficient& a);

/// c[0] + c[1] v + c[2] v^2 ...
struct Series {
  static constexpr std::size_t most = 24;     ///< Terms, where all coefficients are numbers.
  static constexpr std::size_t unknown = 12;  ///< Terms, where some are expressions.

  std::array<Coefficient, most> c;
  std::size_t terms = most;  ///< How many are right.
  bool varies = false;       ///< Whether it is a function of v at all.
  /// Whether the formula itself, at v = 0, says something else: 0 / 0, or a value chosen for there.
  bool removable = false;
  bool jumps = false;  ///< Whether that is not c[0], or may not be.
};

/// The first coefficient that is not 0 for certain; `terms` if there is none.
std::size_t order_of(const Series& a);

/// The value of a condition at v = 0, and just above.
struct Truth {
  bool at = false, beside = false;
  Expr unknown = {};  ///< Where variables decide: the condition, the same at both.
};

/// Reads formulas of scalars as power series of the variable `v`, which is not negative. All else
/// that they depend on is coefficients.
class SeriesIn {
 public:
  explicit SeriesIn(Expr v) : v_(std::move(v)) {}

  /// Nothing where the formula has no series around v = 0 that is known here, or is so large that
  /// looking at it is not worth the while.
  const std::optional<Series>& of(const Expr& e);

  /// Where the series are those of the formulas: every choice on the way, between branches or the
  /// two sides of a kink, is as it is just above 0. Empty where nothing is chosen by v.
  const Expr& unchanged() const { return unchanged_; }

 private:
  /// above / below, of which the latter may be 0 at v = 0.
  struct Ratio {
    Series above, below;
  };

  std::optional<Series> find(const Expr& e);
  std::optional<Series> divided(const Expr& e);
  std::optional<Ratio> ratio(const Expr& e, int depth);
  std::optional<Series> choice(const Expr& condition, const Expr& yes, const Expr& no);
  std::optional<Series> larger(const Expr& a, const Expr& b, bool largest);
  std::optional<Truth> truth(const Expr& condition);
  std::optional<Truth> comparison(const Op& op, const Expr& a, const Expr& b);
  bool varies(const Expr& e) const;
  void keep(const Expr& condition);

  Expr v_;
  NodeMap<std::optional<Series>> known_;
  Expr unchanged_;
  std::vector<Expr> alive_;           // Addresses are keys: none may be used again.
  static constexpr int deepest = 60;  // Recursion, so that it costs little stack.
  static constexpr int most_products = 8;
  int budget_ = 400, depth_ = 0;  // Nodes to look at.
};

}  // namespace cinch::rules
