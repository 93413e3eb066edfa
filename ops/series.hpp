// Power series of expressions: what a function of one node alone does near 0.
#pragma once

#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "core/expr.hpp"
#include "core/graph.hpp"

namespace cinch {

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

/// c[0] + c[1] y + c[2] y^2 ...
struct Series {
  static constexpr std::size_t terms = 8;

  std::array<Coefficient, terms> c;
  bool varies = false;  ///< Whether it is a function of y at all.
};

/// Finds what depends on the node `y` alone, element by element: constants, scalars that do not
/// depend on what y depends on, and elementwise functions of these.
class SeriesAround {
 public:
  explicit SeriesAround(Expr y) : y_(std::move(y)) {}

  /// The series of `e` in y around y = 0; nothing where `e` is something else, or has none there,
  /// or is so large that looking at it is not worth the while.
  const std::optional<Series>& of(const Expr& e);
  /// The value where y is 0 of a bool that depends on y alone.
  std::optional<bool> truth(const Expr& e);

 private:
  std::optional<Series> find(const Expr& e);
  std::optional<Series> find_function(const Expr& e);
  std::optional<bool> find_truth(const Expr& e);
  bool independent(const Expr& e);

  Expr y_;
  NodeMap<std::optional<Series>> known_;
  std::optional<NodeSet> leaves_;     // That y's value depends on.
  static constexpr int deepest = 60;  // Recursion, so that it costs little stack.
  int budget_ = 300, depth_ = 0;      // Nodes to look at.
};

}  // namespace cinch
