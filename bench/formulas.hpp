// Costs as papers print them, and where one was found, the form that a person derives by hand: what
// the compiler is for, beside the few works of works.hpp. Timed by bench_formulas; the test bench
// compares the two and bounds their memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::bench {

/// A cost and what it is minimised by.
struct Objective {
  Expr cost;
  std::vector<Shared> params;
};

struct Formula {
  std::string_view name;
  std::vector<std::int64_t> input;  ///< Shape of x, float32, values in [0, 1).
  std::function<Objective(const Expr& x)> as_printed;
  std::function<Objective(const Expr& x)> by_hand;  ///< The same cost; empty where there is none.
  /// Bytes of temporaries that a step of SGD may take: 1.25 times what it takes, or less.
  std::int64_t most_bytes;
};
std::span<const Formula> formulas();

/// x, the number of examples not known.
Expr input_of(const Formula& formula);
/// One step of SGD, which returns the cost before it.
Function step_of(const Objective& objective, const Expr& x);

}  // namespace cinch::bench
