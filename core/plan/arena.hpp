// Places buffers with known lifetimes in one block of memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>

namespace cinch::planning {

/// Offsets for buffers that come and go: best fit among the gaps, growing at the end. Multiples of
/// 64 bytes.
class ArenaLayout {
 public:
  std::size_t take(std::size_t bytes) {
    bytes = rounded(bytes);
    const auto gap = by_size_.lower_bound(bytes);
    if (gap == by_size_.end()) {
      const std::size_t offset = end_;
      end_ += bytes;
      return offset;
    }
    const auto [size, offset] = *gap;
    erase(offset, size);
    if (size > bytes) insert(offset + bytes, size - bytes);
    return offset;
  }

  void give_back(std::size_t offset, std::size_t bytes) {
    bytes = rounded(bytes);
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && offset + bytes == next->first) {
      const auto [at, size] = *next;
      bytes += size;
      erase(at, size);
    }
    next = by_offset_.lower_bound(offset);
    if (next != by_offset_.begin()) {
      const auto [at, size] = *std::prev(next);
      if (at + size == offset) {
        erase(at, size);
        offset = at;
        bytes += size;
      }
    }
    insert(offset, bytes);
  }

  /// Bytes that all of it needs.
  std::size_t bytes() const { return end_; }

 private:
  static std::size_t rounded(std::size_t bytes) {
    return std::max<std::size_t>((bytes + 63) / 64 * 64, 64);
  }
  void insert(std::size_t offset, std::size_t bytes) {
    by_offset_[offset] = bytes;
    by_size_.emplace(bytes, offset);
  }
  void erase(std::size_t offset, std::size_t bytes) {
    by_offset_.erase(offset);
    const auto [first, last] = by_size_.equal_range(bytes);
    by_size_.erase(
        std::find_if(first, last, [&](const auto& gap) { return gap.second == offset; }));
  }

  std::map<std::size_t, std::size_t> by_offset_;
  std::multimap<std::size_t, std::size_t> by_size_;
  std::size_t end_ = 0;
};

}  // namespace cinch::planning
