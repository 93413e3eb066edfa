// Text that fits: lines folded at a width, tables, the width of a terminal.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Columns that a text takes; characters of UTF-8 count one each.
int columns_of(std::string_view text);

/// Columns of the terminal that `out` is; $COLUMNS where it does not say; 80 where `out` is none.
int terminal_width(std::FILE* out);

/// Each line of a text broken at spaces into lines of at most `width` columns, of which all but the
/// first begin with `indent` spaces. A longer word stays whole.
std::string folded(std::string_view text, int width, int indent = 0);

/// Rows as a table of at most `width` columns, each line ended. The first column and the last one
/// are aligned on the left, the rest on the right. Where they are too wide, cells of the first are
/// folded, and columns that have no place follow below, beside the first again.
std::string table(const std::vector<std::vector<std::string>>& rows, int width);

}  // namespace cinch
