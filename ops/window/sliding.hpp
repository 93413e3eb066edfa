// Sums of products with what windows see of images, where it lies or lies once for each column of
// the filters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "cinch/core/run/team.hpp"
#include "cinch/ops/kernels/kernels.hpp"

namespace cinch::windows {

/// Memory of the calling thread for one purpose; it only grows.
template <class T, int Purpose>
T* memory(std::int64_t count) {
  thread_local constinit running::ThreadMemory kept;
  return reinterpret_cast<T*>(kept.get(static_cast<std::size_t>(count) * sizeof(T)));
}

enum Purpose { gathered, offset_table, tap_table, packed, turned, result, partial, lane_table };

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

/// Sums over channels and taps of packed weights times what an image has there. For each column of
/// the filter the image is copied as this column sees it, so that a row of windows sees elements
/// that lie side by side, and rows of windows that stand below each other rows that do. Several
/// small images lie side by side as one.
template <class T>
class Sliding {
 public:
  Sliding(std::int64_t channels, std::int64_t rows, std::int64_t examples, const Axis& down,
          const Axis& across)
      : channels_(channels), rows_(rows), down_(down), across_(across) {
    const std::int64_t area = down.count * across.count;
    const std::int64_t least = 6 * vector_lanes<T>();
    together_ = area >= least ? 1
                              : std::clamp<std::int64_t>(least / std::max<std::int64_t>(area, 1), 1,
                                                         std::max<std::int64_t>(examples, 1));
    const std::int64_t channel_row = across.taps * row_length();
    const std::int64_t fit =
        most_elements /
        std::max<std::int64_t>(channel_row * std::min<std::int64_t>(channels, 8), 1);
    band_ = std::clamp<std::int64_t>(fit - down.taps, 1, std::max<std::int64_t>(down.count, 1));
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
  std::int64_t bands() const { return ceil_div(down_.count, band_); }
  std::int64_t row_length() const { return together_ * across_.count; }
  bool fits() const {
    return most_gathered(chunk(band_)) < std::numeric_limits<std::int32_t>::max() &&
           channels_ * down_.n * across_.n < std::numeric_limits<std::int32_t>::max();
  }

  /// Rows [begin, end) of the windows: out[r * ldc + (o - begin) * row_length() + e * count + p]
  /// for `count` examples, whose images `image(e)` points to.
  template <class Image>
  void run(std::int64_t begin, std::int64_t end, std::int64_t count, Image&& image, const T* a,
           std::int64_t lda, T* out, std::int64_t ldc) const {
    const std::int64_t taps = down_.taps * across_.taps, length = count * across_.count;
    const std::int64_t columns = (end - begin) * length, most = chunk(end - begin);
    const auto product = products().product[dtype<T>];
    for (std::int64_t c = 0; c < channels_; c += most) {
      const std::int64_t now = std::min(most, channels_ - c);
      const T* seen = nullptr;
      const std::int32_t* offsets = nullptr;
      if (direct_) {
        seen = image(0) + begin * across_.n;
        offsets = direct_offsets();
        seen += c * down_.n * across_.n;
      } else {
        T* const to = memory<T, gathered>(most_gathered(most));
        offsets = gather(begin, end, count, c, now, image, to);
        seen = to;
      }
      product(rows_, columns, now * taps, a + c * taps * lda, lda, seen, offsets, out, ldc,
              c > 0 ? simd::SumStart::old : simd::SumStart::zero);
    }
  }

  /// The images of channels [channel, channel + channels) as windows see them, and where what
  /// channel, row and column of the filters see begins.
  template <class Image>
  const std::int32_t* gather(std::int64_t begin, std::int64_t end, std::int64_t count,
                             std::int64_t channel, std::int64_t channels, Image&& image,
                             T* to) const {
    const std::int64_t length = count * across_.count, stride = down_.stride;
    // Rows of one phase of the stride stand below each other; each phase has a block of its own.
    struct Tap {
      std::int64_t start, rows;
    };
    Tap* const tap_rows = memory<Tap, tap_table>(down_.taps);
    std::int64_t start = 0;
    for_each_phase(begin, end, [&](std::int64_t phase, std::int64_t low, std::int64_t high) {
      for (std::int64_t k = 0; k < down_.taps; ++k) {
        const std::int64_t first = floor_div(down_.shift(k), stride);
        if (down_.shift(k) - first * stride == phase)
          tap_rows[k] = {start + first + begin - low, high - low};
      }
      start += channels * across_.taps * (high - low);
      gather_phase(phase, low, high, count, channel, channels, image, to);
      to += channels * across_.taps * (high - low) * length;
    });
    std::int32_t* const offsets =
        memory<std::int32_t, offset_table>(channels * down_.taps * across_.taps);
    std::int32_t* next = offsets;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t i = 0; i < down_.taps; ++i) {
        for (std::int64_t j = 0; j < across_.taps; ++j) {
          *next++ = static_cast<std::int32_t>(
              (tap_rows[i].start + (c * across_.taps + j) * tap_rows[i].rows) * length);
        }
      }
    }
    return offsets;
  }

  /// Elements that `gather` writes for so many channels of a band, and what is read beyond them.
  std::int64_t most_gathered(std::int64_t channels) const {
    return channels * across_.taps * band_rows(band_) * row_length() + vector_lanes<T>();
  }

 private:
  static constexpr std::int64_t most_elements = (192 << 10) / static_cast<std::int64_t>(sizeof(T));
  static constexpr std::int64_t most_depth = 512;

  std::int64_t channels_, rows_;
  Axis down_, across_;
  std::int64_t together_ = 1, band_ = 1;
  bool direct_ = false;

  /// Calls f(phase, low, high) for the rows that windows [begin, end) see: numbers phase +
  /// stride * r, low <= r < high.
  template <class F>
  void for_each_phase(std::int64_t begin, std::int64_t end, F&& f) const {
    const std::int64_t stride = down_.stride;
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

  std::int64_t band_rows(std::int64_t windows) const {
    std::int64_t total = 0;
    for_each_phase(0, windows,
                   [&](std::int64_t, std::int64_t low, std::int64_t high) { total += high - low; });
    return total;
  }

  /// Channels at a time: their rows stay in the second-level cache, and the weights of a few rows
  /// in the first.
  std::int64_t chunk(std::int64_t windows) const {
    const std::int64_t taps = std::max<std::int64_t>(down_.taps * across_.taps, 1);
    const std::int64_t each =
        std::max<std::int64_t>(across_.taps * band_rows(windows) * row_length(), 1);
    const std::int64_t fit =
        direct_ ? most_depth : std::min(most_depth / taps, most_elements / each);
    return std::clamp<std::int64_t>(fit, 1, std::max<std::int64_t>(channels_, 1));
  }

  const std::int32_t* direct_offsets() const {
    const std::int64_t count = std::min(channels_, most_depth);
    std::int32_t* const offsets = memory<std::int32_t, offset_table>(count);
    for (std::int64_t c = 0; c < count; ++c)
      offsets[c] = static_cast<std::int32_t>(c * down_.n * across_.n);
    return offsets;
  }

  /// Rows phase + stride * r, low <= r < high, of channels, as each column of the filters sees
  /// them.
  template <class Image>
  void gather_phase(std::int64_t phase, std::int64_t low, std::int64_t high, std::int64_t count,
                    std::int64_t channel, std::int64_t channels, Image&& image, T* to) const {
    const std::int64_t width = across_.count, length = count * width, n = across_.n;
    const std::int64_t area = down_.n * n, stride = down_.stride;
    const std::int64_t first = std::clamp<std::int64_t>(
                           ceil_div(std::max<std::int64_t>(-phase, 0), stride), low, high),
                       last = std::clamp<std::int64_t>(floor_div(down_.n - 1 - phase, stride) + 1,
                                                       first, high);
    const auto see = products().see_rows[dtype<T>];
    for (std::int64_t c = channel; c < channel + channels; ++c) {
      for (std::int64_t j = 0; j < across_.taps; ++j) {
        const std::int64_t shift = across_.shift(j);
        const running::Span there = inside(across_, shift);
        std::fill_n(to, (first - low) * length, T(0));
        to += (first - low) * length;
        const auto rows_from = [&](std::int64_t e, std::int64_t r, std::int64_t rows, T* at) {
          const T* const x = image(e);
          see({rows, width, there.begin, there.end, across_.stride, stride * n, width}, x,
              x + channels_ * area, x + c * area + (r * stride + phase) * n + shift, at);
        };
        if (count == 1) {
          rows_from(0, first, last - first, to);
          to += (last - first) * length;
        } else {
          // A row of each example, then the next.
          for (std::int64_t r = first; r < last; ++r) {
            for (std::int64_t e = 0; e < count; ++e, to += width) rows_from(e, r, 1, to);
          }
        }
        std::fill_n(to, (high - last) * length, T(0));
        to += (high - last) * length;
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
