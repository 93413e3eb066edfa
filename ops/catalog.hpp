// All ops there are, for tests to go through.
#pragma once

#include <span>
#include <string_view>

#include "cinch/core/op.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Every op but the leaves.
std::span<const Op* const> all_ops();
/// The op of this name. Throws TypeError where there is none.
const Op& find_op(std::string_view name);

}  // namespace cinch
