#include "cinch/train/parallel/parts.hpp"

#include <algorithm>
#include <bit>

namespace cinch::parallel {

namespace {
constexpr std::int64_t usual_parts = 8, fewest_rows = 8, enough_rows = 64;
}

std::int64_t part_count(std::int64_t rows, std::int64_t asked) {
  if (asked > 0) return std::clamp<std::int64_t>(rows / fewest_rows, 1, asked);
  const std::int64_t large = rows / enough_rows;
  if (large > usual_parts)
    return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(large)));
  return std::clamp<std::int64_t>(rows / fewest_rows, 1, usual_parts);
}

PartRows part_rows(std::int64_t rows, std::int64_t parts, std::int64_t part) {
  // The first ones have a row more. Products of large numbers are avoided.
  const std::int64_t each = rows / parts, more = rows % parts;
  return {part * each + std::min(part, more), each + (part < more)};
}

PartRange parts_of_rank(std::int64_t parts, int rank, int ranks) {
  return {parts * rank / ranks, parts * (rank + 1) / ranks};
}

std::int64_t middle_of(std::int64_t begin, std::int64_t end) {
  return begin +
         static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(end - begin)) / 2);
}

}  // namespace cinch::parallel
