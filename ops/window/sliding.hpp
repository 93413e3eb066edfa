// Sums of products with what windows see of images, where it lies or lies once for each column of
// the filters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "cinch/core/run/team.hpp"
#include "cinch/ops/kernels/kernels.hpp"

namespace cinch::windows {

/// Memory of the calling thread for one purpose; it only grows.
template <class T, int Purpose>
T* memory(std::int64_t count) {
  thread_local constinit running::ThreadMemory kept;
  return reinterpret_cast<T*>(kept.get(static_cast<std::size_t>(count) * sizeof(T)));
}

enum Purpose {
  gathered,
  offset_table,
  own_offset_table,
  tap_table,
  packed,
  turned,
  result,
  partial,
  lane_table
};

inline const simd::WindowProducts& products() { return simd::kernels().windows; }

template <class T>
constexpr std::size_t dtype = sizeof(T) == 8;
template <class T>
std::int64_t vector_lanes() {
  return products().vector_bytes / static_cast<std::int64_t>(sizeof(T));
}

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a >= 0 ? a / b : -ceil_div(-a, b);
}

/// Along one axis, output number o sees positions o * stride + first + k * step, k < taps, of n.
struct Axis {
  std::int64_t n, count, stride, first, step, taps;

  std::int64_t shift(std::int64_t k) const { return first + k * step; }
  bool is_plain() const { return taps == 1 && first == 0 && stride == 1 && n == count; }
};

/// The outputs whose position `shift` behind lies inside.
inline running::Span inside(const Axis& axis, std::int64_t shift) {
  const std::int64_t begin = std::clamp<std::int64_t>(
      ceil_div(std::max<std::int64_t>(-shift, 0), axis.stride), 0, axis.count);
  return {begin, std::clamp<std::int64_t>(floor_div(axis.n - 1 - shift, axis.stride) + 1, begin,
                                          axis.count)};
}

/// Rows [i, i + rows) and columns [j, j + columns) of the taps.
struct Taps {
  std::int64_t i, rows, j, columns;

  std::int64_t count() const { return rows * columns; }
};

/// Sums over channels and taps of packed weights times what an image has there. For each column of
/// the taps the image is copied as this column sees it, so that a row of windows sees elements
/// that lie side by side, and rows of windows that stand below each other rows that do. Several
/// small images lie side by side as one.
template <class T>
class Sliding {
 public:
  Sliding(std::int64_t channels, std::int64_t rows, std::int64_t examples, const Axis& down,
          const Axis& across)
      : channels_(channels), rows_(rows), down_(down), across_(across) {
    const auto at_least_1 = [](std::int64_t n) { return std::max<std::int64_t>(n, 1); };
    const std::int64_t area = at_least_1(down.count * across.count);
    const std::int64_t least = 6 * vector_lanes<T>();
    together_ = std::clamp<std::int64_t>(least / area, 1, at_least_1(examples));
    const std::int64_t channel_row = across.taps * row_length();
    const std::int64_t fit =
        most_elements / at_least_1(channel_row * std::min<std::int64_t>(channels, 8));
    band_ = std::clamp<std::int64_t>(fit - down.taps, 1, at_least_1(down.count));
    direct_ = down.is_plain() && across.is_plain() && together_ == 1 &&
              across.n * down.n % vector_lanes<T>() == 0;
  }

  std::int64_t together() const { return together_; }
  /// Smaller bands, so that there are about `parts` of them.
  void divide(std::int64_t parts) {
    const std::int64_t least =
        ceil_div(6 * vector_lanes<T>(), std::max<std::int64_t>(row_length(), 1));
    band_ = std::min(band_, std::max(least, ceil_div(down_.count, parts)));
    if (direct_ && band_ * across_.count % vector_lanes<T>() != 0) band_ = down_.count;
  }
  std::int64_t band() const { return band_; }
  /// Of windows.
  std::int64_t rows() const { return down_.count; }
  std::int64_t bands() const { return ceil_div(down_.count, band_); }
  std::int64_t row_length() const { return together_ * across_.count; }
  bool fits() const {
    return most_gathered(chunk()) < std::numeric_limits<std::int32_t>::max() &&
           channels_ * down_.n * across_.n < std::numeric_limits<std::int32_t>::max();
  }

  /// Writes down, in the calling thread's memory, what all threads look up: before anything is
  /// gathered, for chunks of so many channels. Until the next one is prepared.
  void prepare(std::span<const Taps> parts, std::int64_t channels) {
    most_ = channels;
    taps_ = memory<Tap, tap_table>(down_.taps);
    std::int64_t all_rows = 0;
    for_each_phase(0, band_, [&](std::int64_t phase, std::int64_t low, std::int64_t high) {
      for (std::int64_t k = 0; k < down_.taps; ++k) {
        const std::int64_t first = floor_div(down_.shift(k), down_.stride);
        if (down_.shift(k) - first * down_.stride == phase)
          taps_[k] = {all_rows, first - low, high - low};
      }
      all_rows += high - low;
    });
    std::int64_t count = 0;
    for (const Taps& part : parts) count += most_ * part.count();
    offsets_ = memory<std::int32_t, offset_table>(count);
    write_offsets(parts, together_, offsets_);
  }
  void prepare(std::span<const Taps> parts) { prepare(parts, chunk()); }

  /// Where what the first part's channels and taps see begins.
  const std::int32_t* offsets() const { return offsets_; }

  /// Rows [begin, end) of the windows, of `count` examples, whose images `image(e)` points to: for
  /// each of the parts of the taps that were prepared, whose weights `weights(part)` points to,
  /// out(part)[r * ldc + (o - begin) * count * width + e * width + p].
  template <class Image, class Weights, class Out>
  void run(std::int64_t begin, std::int64_t end, std::int64_t count, Image&& image,
           std::span<const Taps> parts, Weights&& weights, std::int64_t lda, Out&& out,
           std::int64_t ldc) const {
    const std::int64_t columns = (end - begin) * count * across_.count;
    const auto product = products().product[dtype<T>];
    const std::int32_t* table = offsets_;
    if (count != together_) {
      std::int64_t all = 0;
      for (const Taps& part : parts) all += most_ * part.count();
      std::int32_t* const own = memory<std::int32_t, own_offset_table>(all);
      write_offsets(parts, count, own);
      table = own;
    }
    T* const to = direct_ ? nullptr : memory<T, gathered>(most_gathered(most_));
    for (std::int64_t c = 0; c < channels_; c += most_) {
      const std::int64_t now = std::min(most_, channels_ - c);
      const T* seen = to;
      if (direct_) {
        seen = image(0) + (c * down_.n + begin) * across_.n;
      } else {
        gather(begin, end, count, c, now, image, to);
      }
      const std::int32_t* offsets = table;
      for (std::size_t k = 0; k < parts.size(); ++k) {
        const std::int64_t taps = parts[k].count();
        product(rows_, columns, now * taps, weights(k) + c * taps * lda, lda, seen, offsets, out(k),
                ldc, c > 0 ? simd::SumStart::old : simd::SumStart::zero);
        offsets += most_ * taps;
      }
    }
  }

  /// The images of channels [channel, channel + channels) as windows [begin, end) see them.
  template <class Image>
  void gather(std::int64_t begin, std::int64_t end, std::int64_t count, std::int64_t channel,
              std::int64_t channels, Image&& image, T* to) const {
    const std::int64_t width = across_.count, length = count * width, n = across_.n;
    const std::int64_t area = down_.n * n, stride = down_.stride;
    const auto see = products().see_rows[dtype<T>];
    for_each_phase(begin, end, [&](std::int64_t phase, std::int64_t low, std::int64_t high) {
      // As many rows for each channel as a whole band has.
      const std::int64_t all = high - low + band_ - (end - begin);
      const std::int64_t first = std::clamp<std::int64_t>(0, low, high),
                         last = std::clamp<std::int64_t>(floor_div(down_.n - 1 - phase, stride) + 1,
                                                         first, high);
      for (std::int64_t j = 0; j < across_.taps; ++j) {
        const std::int64_t shift = across_.shift(j);
        const running::Span there = inside(across_, shift);
        for (std::int64_t e = 0; e < count; ++e) {
          const T* const x = image(e);
          see({.planes = channels,
               .before = first - low,
               .rows = last - first,
               .after = high - last,
               .count = width,
               .begin = there.begin,
               .end = there.end,
               .stride = across_.stride,
               .from_row = stride * n,
               .from_plane = area,
               .to_row = length,
               .to_plane = all * length},
              x, x + channels_ * area, x + channel * area + (first * stride + phase) * n + shift,
              to + j * most_ * all * length + e * width);
        }
      }
      to += across_.taps * most_ * all * length;
    });
  }

  /// Elements that `gather` writes for so many channels of a band, and what is read beyond them.
  std::int64_t most_gathered(std::int64_t channels) const {
    return channels * across_.taps * band_rows() * row_length() + vector_lanes<T>();
  }

 private:
  static constexpr std::int64_t most_elements = (192 << 10) / static_cast<std::int64_t>(sizeof(T));
  static constexpr std::int64_t most_depth = 512;

  /// Of a row of taps: rows of each channel in the phases before its own; where it begins among its
  /// own, and how many these are.
  struct Tap {
    std::int64_t before, first, rows;
  };

  std::int64_t channels_, rows_;
  Axis down_, across_;
  std::int64_t together_ = 1, band_ = 1, most_ = 1;
  bool direct_ = false;
  Tap* taps_ = nullptr;
  std::int32_t* offsets_ = nullptr;

  /// Calls f(phase, low, high) for the rows that windows [begin, end) see: numbers phase +
  /// stride * r, low <= r < high. Rows of one phase lie below each other.
  template <class F>
  void for_each_phase(std::int64_t begin, std::int64_t end, F&& f) const {
    const std::int64_t stride = down_.stride;
    if (stride == 1 && down_.taps > 0) {
      const std::int64_t a = down_.shift(0), b = down_.shift(down_.taps - 1);
      return f(0, std::min(a, b) + begin, std::max(a, b) + end);
    }
    for (std::int64_t phase = 0; phase < stride; ++phase) {
      std::int64_t low = std::numeric_limits<std::int64_t>::max(), high = 0;
      bool any = false;
      for (std::int64_t k = 0; k < down_.taps; ++k) {
        const std::int64_t first = floor_div(down_.shift(k), stride);
        if (down_.shift(k) - first * stride != phase) continue;
        low = std::min(low, first + begin);
        high = any ? std::max(high, first + end) : first + end;
        any = true;
      }
      if (any) f(phase, low, high);
    }
  }

  std::int64_t band_rows() const {
    std::int64_t total = 0;
    for_each_phase(0, band_,
                   [&](std::int64_t, std::int64_t low, std::int64_t high) { total += high - low; });
    return total;
  }

  /// Channels at a time: their rows stay in the second-level cache, and the weights of a few rows
  /// in the first.
  std::int64_t chunk() const {
    const std::int64_t taps = std::max<std::int64_t>(down_.taps * across_.taps, 1);
    const std::int64_t each = std::max<std::int64_t>(across_.taps * band_rows() * row_length(), 1);
    const std::int64_t fit =
        direct_ ? most_depth : std::min(most_depth / taps, most_elements / each);
    return std::clamp<std::int64_t>(fit, 1, std::max<std::int64_t>(channels_, 1));
  }

  void write_offsets(std::span<const Taps> parts, std::int64_t count, std::int32_t* to) const {
    const std::int64_t length = count * across_.count;
    for (const Taps& part : parts) {
      for (std::int64_t c = 0; c < most_; ++c) {
        for (std::int64_t i = part.i; i < part.i + part.rows; ++i) {
          const Tap& tap = taps_[i];
          for (std::int64_t j = part.j; j < part.j + part.columns; ++j) {
            const std::int64_t row =
                tap.before * across_.taps * most_ + (j * most_ + c) * tap.rows + tap.first;
            *to++ = static_cast<std::int32_t>(direct_ ? c * down_.n * across_.n : row * length);
          }
        }
      }
    }
  }
};

/// Distance between the rows of packed weights and of turned images: vectors of one begin on cache
/// lines, and rows spread over all sets of the first-level cache.
template <class T>
std::int64_t packed_distance(std::int64_t n) {
  const std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  return n < line ? n : (ceil_div(n, line) | 1) * line;
}

}  // namespace cinch::windows
