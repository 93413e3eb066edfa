// Functions of expressions as values: what a layer's activation and a model's loss are.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "cinch/core/error.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A function of expressions: sigmoid, or any callable, as a lambda that holds a slope:
/// [](const Arg& x) { return elu(x, 0.5); }. Two are equal where both are the same function, or
/// copies of one value; null holds none. Of an overloaded function the one with these parameters is
/// taken.
template <class... Operands>
class ExprFunction {
 public:
  using Pointer = Expr (*)(Operands...);

  ExprFunction(std::nullptr_t = nullptr) {}
  ExprFunction(Pointer function) : function_(function) {}
  template <class F>
  requires(
      !std::same_as<std::remove_cvref_t<F>, ExprFunction> &&
      std::convertible_to<std::invoke_result_t<const std::remove_cvref_t<F>&, Operands...>, Expr>)
      ExprFunction(F&& f)
      : callable_(std::make_shared<const std::function<Expr(Operands...)>>(std::forward<F>(f))) {}

  /// Throws TypeError where this holds no function.
  Expr operator()(Operands... x) const {
    if (function_) return function_(x...);
    if (!callable_)
      throw TypeError("an activation or a loss that holds no function was used: assign one");
    return (*callable_)(x...);
  }
  explicit operator bool() const { return function_ || callable_; }

  friend bool operator==(const ExprFunction&, const ExprFunction&) = default;

 private:
  Pointer function_ = nullptr;
  std::shared_ptr<const std::function<Expr(Operands...)>> callable_;
};

}  // namespace cinch
