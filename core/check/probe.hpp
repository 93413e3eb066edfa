// A formula taken out of its surroundings, to be evaluated at other values than its variables have.
#pragma once

#include <span>
#include <vector>

#include "cinch/core/parameters.hpp"
#include "cinch/core/run/interpret.hpp"

namespace cinch::checking {

/// `roots` with all that they depend on as inputs, among them each of `parameters`.
/// Evaluating it changes no shared variable, and draws from random streams are the same each time.
struct Probe {
  std::vector<Expr> roots;
  std::vector<Expr> parameters;  ///< The inputs that stand for the parameters.
  std::vector<Expr> inputs;      ///< These first, then everything else.
  std::vector<Expr> originals;   ///< What the inputs stand for.
  std::vector<Tensor> values;    ///< Of the inputs.

  /// The inputs with their values.
  std::vector<Binding> bindings() const;
};

/// A probe of `roots`, at the values that variables have in `at` and shared variables now. With
/// `in_float64` the formula is the same in that dtype throughout, whatever it is written in.
/// Throws TypeError for a variable without a value, a value that does not fit, and parameters that
/// are twice the same. `who` begins the messages.
Probe probe(std::span<const Expr> roots, const Parameters& parameters,
            const std::vector<Binding>& at, bool in_float64, std::string_view who);

}  // namespace cinch::checking
