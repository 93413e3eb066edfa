// Which node made the NaN or the infinity that a result shows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/watch.hpp"

namespace cinch::compiling {

/// Whether `value` holds something that is watched for.
bool is_faulty(const Tensor& value, Watch watch);

/// The first node, inputs before their users, that makes the NaN or infinity of a result.
struct Fault {
  Expr node;
  std::int64_t element;  ///< The first of its elements that is NaN, or else infinite.
  std::string text;      ///< Element, formula, what it was computed from, line, remedy.
};

/// Values of formulas in the form that compiled functions compute, by references, and whose fault
/// it is where one of them is not as it should be.
struct Inquiry {
  std::vector<Tensor> values;
  std::optional<Fault> fault;
  bool refused = false;  ///< An op does not take what is not finite; NaN stands for its value.
};

/// Computes `roots`, rewritten, and looks for the fault where one of them, of those in `watched`
/// (all, if it is empty), is not finite or, for Watch::nan, is NaN. What is NaN or infinite and
/// harmless is never blamed: a factor that where() selects away, an exponential that overflows and
/// is then inverted, a mask of -inf, a form that rewriting makes exact. Nor is an infinity that was
/// written as a number, wherever it shows.
///
/// The nodes that make a NaN or an infinity of finite operands are found by computing everything
/// once. Then, which of them matters: the results are computed again with numbers in place of what
/// the later ones make. The first node whose own NaN or infinity spoils a result is the fault.
Inquiry inquire(std::span<const Expr> roots, std::span<const Binding> bindings,
                Watch watch = Watch::not_finite, const std::vector<bool>& watched = {});

/// Said where results are not finite and the same formulas, computed op by op, are.
inline constexpr std::string_view only_compiled =
    "Computed op by op the formula stays finite here; the compiled one does not:\n  a value is at "
    "the edge of its dtype's range.";

}  // namespace cinch::compiling
