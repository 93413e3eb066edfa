// Reductions over any axes.
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op sum_op, max_op, min_op, argmax_op, argmin_op;

/// Which axes to reduce over: all, one, or several; negative ones count from the end.
class Axes {
 public:
  Axes() = default;  ///< All.
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Axes(T axis)
      : axes_(std::vector{static_cast<std::int64_t>(axis)}) {}
  Axes(std::initializer_list<std::int64_t> axes) : axes_(axes) {}
  Axes(std::vector<std::int64_t> axes) : axes_(std::move(axes)) {}

  /// Those of `x`, ascending. Throws TypeError, in the name of `function`, for one that does not
  /// exist or comes twice.
  std::vector<std::int64_t> of(std::string_view function, const Arg& x) const;

 private:
  std::optional<std::vector<std::int64_t>> axes_;
};

/// Sum; bools count as integers. The reduced axes go, or stay as size 1 with `keepdims`. Empty sums
/// are 0.
Expr sum(const Arg& x, const Axes& axes = {}, bool keepdims = false);
/// Arithmetic mean; integers give float64.
Expr mean(const Arg& x, const Axes& axes = {}, bool keepdims = false);
/// Largest element; NaN if there is one; an error where there is none. Equal largest ones share the
/// gradient.
Expr max(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr min(const Arg& x, const Axes& axes = {}, bool keepdims = false);
/// Index (int64) of the first largest element along `axis`, which goes; of the first NaN if there
/// is one. No gradient.
Expr argmax(const Arg& x, std::int64_t axis);
Expr argmin(const Arg& x, std::int64_t axis);
/// Whether all, or any, of the elements are true; numbers are where they are not 0.
Expr all(const Arg& x, const Axes& axes = {}, bool keepdims = false);
Expr any(const Arg& x, const Axes& axes = {}, bool keepdims = false);

}  // namespace cinch
