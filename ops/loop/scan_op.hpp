// The record behind scan(), and what it shares with it.
#pragma once

#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::loops {

/// What has the shape of one row, and is never computed: it may have no rows.
Expr like_a_row(const Expr& rows);

/// Loops from which tests of the record are made.
std::vector<Example> scan_examples();

}  // namespace cinch::loops
