// What all optimizers share: checks of what they are given, gradients, and named state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::optimizer {

/// A parameter, its gradient, and what its state is called after.
struct Slope {
  Shared p;
  Expr g;
  std::string name;  ///< p's label; with "#k" where there is none, or another parameter has it too.
};

/// One call of an optimizer, for messages: what was called, and on which of the user's lines.
class Caller {
 public:
  Caller(std::string_view name, Source where) : name_(name), where_(where) {}

  /// Throws ValueError "name: `what` must be `range`, got `value`" unless `valid`.
  void require(bool valid, std::string_view what, double value, std::string_view range) const;
  /// For numbers and expressions: a scalar, as TypeError says; where it is a constant it must also
  /// be at least 0 and finite, and, `below_one`, less than 1.
  void require_scalar(const Arg& x, std::string_view what, bool below_one = false) const;

  /// Throws ValueError where there are none, or one comes twice, TypeError for one without value or
  /// of another dtype than float32 and float64.
  void require_parameters(const std::vector<Shared>& params) const;
  /// The gradients of `cost`. Throws as require_parameters() and grad() do.
  std::vector<Expr> gradients(const Arg& cost, const std::vector<Shared>& params) const;
  /// Throws TypeError unless there is one gradient a parameter, of its dtype and shape.
  std::vector<Slope> slopes(const std::vector<Shared>& params,
                            const std::vector<Expr>& gradients) const;

  /// A new variable of the parameter's type, `start` everywhere, labelled "caller.what/parameter".
  Shared state(std::string_view what, const Slope& slope, double start = 0) const;
  /// A new int64 scalar, 0, labelled "caller.what".
  Shared counter(std::string_view what) const;

  [[noreturn]] void refuse_value(const std::string& message) const;
  [[noreturn]] void refuse_type(const std::string& message) const;

 private:
  std::string message(const std::string& what) const;

  std::string_view name_;
  Source where_;
};

}  // namespace cinch::optimizer
