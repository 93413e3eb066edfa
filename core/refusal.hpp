// How a call is refused: one form for all texts of what does not fit.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch {

/// "function: what", a line for each operand with its type, its formula and where the user wrote
/// it, the function that the user called where that is another one, and the user's line. No line
/// has more than 100 columns where there are blanks to break it at.
std::string refusal(std::string_view function, const std::string& what,
                    std::span<const Expr> operands, Source where);

/// Throws TypeError with that, on the line of `first`.
[[noreturn]] void refuse(std::string_view function, const std::string& what, const Arg& first,
                         const std::vector<Expr>& others = {});

}  // namespace cinch
