// All ops there are, for tests to go through.
#pragma once

#include <span>

#include "core/op.hpp"

namespace cinch {

/// Every op but the leaves.
std::span<const Op* const> all_ops();

}  // namespace cinch
