// The value behind a shared variable.
#pragma once

#include <cstdint>
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
  bool free_rows = false;    ///< Whether the first axis may change.
  std::uint64_t number = 0;  ///< Of all that this program has made.
  /// What every function that reads the variable assigns to it after a call, unless its own updates
  /// say otherwise: how random streams advance. Empty for ordinary variables.
  std::function<Expr(const Expr&)> advance;
};

namespace graphs {
/// How many shared variables this program has made: the number of the next one.
std::uint64_t shared_variables_made();
}  // namespace graphs

}  // namespace cinch
