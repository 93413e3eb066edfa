// How a call is refused: one form for all texts of what does not fit.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/error.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// "function: what", a line for each operand with its type, its formula and where the user wrote
/// it, the function that the user called where that is another one, and the user's line. No line
/// has more than 100 columns where there are blanks to break it at.
std::string refusal(std::string_view function, const std::string& what,
                    std::span<const Expr> operands, Source where);

/// A line of text that says where something was written; nothing where that was not by the user.
std::string written_at(Source where);

/// The same of operands, on the line of `first`.
std::string refusal(std::string_view function, const std::string& what, const Arg& first,
                    const std::vector<Expr>& others);

/// Throws E with that: TypeError for what does not fit, ValueError for a number out of its range.
template <class E = TypeError>
[[noreturn]] void refuse(std::string_view function, const std::string& what, const Arg& first,
                         const std::vector<Expr>& others = {}) {
  throw E(refusal(function, what, first, others));
}
template <class E = TypeError>
[[noreturn]] void refuse(std::string_view function, const std::string& what, Source where) {
  throw E(refusal(function, what, {}, where));
}
/// Throws what was found inside anew, in the function's name.
[[noreturn]] void refuse(std::string_view function, const Error& found, const Arg& first,
                         const std::vector<Expr>& others = {});

}  // namespace cinch
