// How a minibatch is cut into parts, and in which order their sums are added.
#pragma once

#include <cstdint>

namespace cinch::parallel {

/// Into how many parts a minibatch of so many rows is cut: by its size alone, so that results do
/// not depend on who computes which. 8 from 64 rows on, fewer below; parts of at least 64 rows, as
/// many as a power of two, from 1024 rows on. With `asked` so many, but none of fewer than 8 rows.
std::int64_t part_count(std::int64_t rows, std::int64_t asked = 0);

/// First row, and number of rows, of one of them. They differ by one row at most.
struct PartRows {
  std::int64_t first, count;
};
PartRows part_rows(std::int64_t rows, std::int64_t parts, std::int64_t part);

/// The parts begin, ..., end - 1 that one rank computes, of so many.
struct PartRange {
  std::int64_t begin, end;
};
PartRange parts_of_rank(std::int64_t parts, int rank, int ranks);

/// How results of parts are put together.
enum class Combine : std::uint8_t { add, max, min };

/// Sums of parts are added along a binary tree: parts [begin, end) are those before the middle plus
/// those from it on. The middle leaves the largest power of two on the left.
std::int64_t middle_of(std::int64_t begin, std::int64_t end);

}  // namespace cinch::parallel
