// The value behind a shared variable.
#pragma once

#include <functional>
#include <string>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph/access.hpp"

namespace cinch {

/// The value behind a shared variable.
struct SharedState {
  Tensor value;
  /// Held while a function computes with the value, get() copies it or set() replaces it.
  mutable graphs::Access access;
  std::string label;
  /// What every function that reads the variable assigns to it after a call, unless its own updates
  /// say otherwise: how random streams advance. Empty for ordinary variables.
  std::function<Expr(const Expr&)> advance;
};

}  // namespace cinch
