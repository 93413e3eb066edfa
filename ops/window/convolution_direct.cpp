#include "cinch/ops/window/convolution_direct.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "cinch/ops/window/sliding.hpp"

namespace cinch::windows {

namespace {

Axis seen_by(const ConvolutionSizes& s, std::size_t axis) {
  const Window& w = s.window[axis];
  return {s.in[axis], s.out[axis], w.stride, -w.before, w.dilation, s.width[axis]};
}

constexpr std::int64_t most_phases = 4;

/// Of the positions phase + stride * o of the input: elements first, first + step, ... of each
/// filter see them, so many, and these are those from `at` on of all phases' taps.
struct Phase {
  std::int64_t first, step, taps, at;
};

/// The windows that see positions stride * o, stride * o + 1, ...: taps of all phases, over windows
/// that stand one beside the other.
struct Phases {
  Axis axis;
  std::int64_t count;  ///< More than most_phases where these would not do.
  Phase phases[most_phases];
};

Phases phases_of(const ConvolutionSizes& s, std::size_t axis) {
  const Window& w = s.window[axis];
  const std::int64_t n = s.in[axis], common = std::gcd(w.stride, w.dilation);
  Phases result{{s.out[axis], ceil_div(n, w.stride), 1, 0, -w.dilation / common, 0}, w.stride, {}};
  // Neighbouring taps of one phase see neighbours, unless filters are both strided and dilated.
  if (w.stride > most_phases || (w.stride > 1 && result.axis.step != -1)) {
    result.count = most_phases + 1;
    return result;
  }
  const std::int64_t step = w.stride / common;
  std::int64_t shifts[most_phases] = {};
  std::int64_t most = std::numeric_limits<std::int64_t>::min(),
               least = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t phase = 0; phase < w.stride; ++phase) {
    Phase& p = result.phases[phase];
    p = {0, step, 0, 0};
    const auto meets = [&](std::int64_t k) {
      return (phase + w.before - k * w.dilation) % w.stride == 0;
    };
    const std::int64_t end = std::min(step, s.width[axis]);
    while (p.first < end && !meets(p.first)) ++p.first;
    if (p.first >= end) continue;
    p.taps = ceil_div(s.width[axis] - p.first, step);
    shifts[phase] = floor_div(phase + w.before - p.first * w.dilation, w.stride);
    most = std::max(most, shifts[phase]);
    least = std::min(least, shifts[phase] + (p.taps - 1) * result.axis.step);
  }
  result.axis.first = most;
  result.axis.taps = (most - least) / -result.axis.step + 1;
  for (std::int64_t phase = 0; phase < w.stride; ++phase) {
    Phase& p = result.phases[phase];
    if (p.taps > 0) p.at = (most - shifts[phase]) / -result.axis.step;
  }
  return result;
}

/// A row of n elements of phases that lie `distance` apart.
template <class T>
void spread_row(const T* phases, std::int64_t distance, std::int64_t count, std::int64_t n,
                T* row) {
  if (count == 1) {
    std::copy_n(phases, n, row);
  } else if (count == 2) {
    products().weave[dtype<T>](n / 2, phases, phases + distance, row);
    if (n % 2 != 0) row[n - 1] = phases[n / 2];
  } else {
    for (std::int64_t j = 0; j < count; ++j) {
      for (std::int64_t p = j; p < n; p += count) row[p] = phases[j * distance + p / count];
    }
  }
}

/// Rows [begin, end) of the windows of `count` examples of one group, from the first on.
struct Band {
  std::int64_t group, first, count, begin, end;
};

/// Calls work(band) for all bands, several at once, when everything has been prepared.
template <class T, class F>
void for_each_band(const ConvolutionSizes& s, Sliding<T>& sliding, std::span<const Taps> parts,
                   F&& work) {
  constexpr std::int64_t least_parts = 8;
  const std::int64_t blocks = ceil_div(s.examples, sliding.together());
  const std::int64_t images = s.groups * blocks;
  if (images == 0) return;
  if (images < least_parts) sliding.divide(least_parts / images);
  sliding.prepare(parts);
  const std::int64_t bands = sliding.bands(), count = images * bands;
  const std::int64_t shared = running::parts_for(
      convolution_nanoseconds(s, sizeof(T)) * static_cast<double>(s.groups * s.examples), count);
  running::share_work(shared, [&](std::int64_t part) {
    const running::Span own = running::part_of(count, 1, shared, part);
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      const std::int64_t image = i / bands, begin = i % bands * sliding.band();
      const std::int64_t first = image % blocks * sliding.together();
      work(Band{image / blocks, first, std::min(sliding.together(), s.examples - first), begin,
                std::min(begin + sliding.band(), sliding.rows())});
    }
  });
}

/// Whether there are loops, and something to do that they can count.
template <class T>
bool has_loops(const ConvolutionSizes& s) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  return products().product[dtype<T>] && s.channels > 0 && s.filters > 0 && s.in_area() > 0 &&
         s.out_area() > 0 && s.width_area() > 0 && s.channels * s.in_area() < most / 64 &&
         s.filters * s.out_area() < most / 64 && s.filters * s.channels * s.width_area() < most;
}

}  // namespace

template <class T>
bool convolve_directly(const ConvolutionSizes& s, const Blocks<const T>& x,
                       const Blocks<const T>& w, const Blocks<T>& y) {
  if (!has_loops<T>(s)) return false;
  Sliding<T> sliding(s.channels, s.filters, s.examples, seen_by(s, 0), seen_by(s, 1));
  if (!sliding.fits()) return false;
  const std::int64_t length = s.channels * s.width_area(), lda = packed_distance<T>(s.filters);
  T* const a = memory<T, packed>(s.groups * length * lda);
  for (std::int64_t g = 0; g < s.groups; ++g)
    products().turn[dtype<T>](s.filters, length, w.at(g, 0), s.filters > 1 ? w.outer : length,
                              a + g * length * lda, lda);
  const Taps all{0, s.width[0], 0, s.width[1]};
  const std::span<const Taps> parts(&all, 1);
  for_each_band(s, sliding, parts, [&](const Band& band) {
    const std::int64_t width = s.out[1];
    const auto image = [&](std::int64_t e) { return x.at(band.group, band.first + e); };
    const auto weights = [&](std::size_t) { return a + band.group * length * lda; };
    if (sliding.together() == 1) {
      T* const to = y.at(band.group, band.first) + band.begin * width;
      return sliding.run(
          band.begin, band.end, 1, image, parts, weights, lda, [&](std::size_t) { return to; },
          s.out_area());
    }
    const std::int64_t columns = (band.end - band.begin) * band.count * width;
    T* const maps = memory<T, result>(s.filters * columns);
    sliding.run(
        band.begin, band.end, band.count, image, parts, weights, lda,
        [&](std::size_t) { return maps; }, columns);
    const T* from = maps;
    for (std::int64_t f = 0; f < s.filters; ++f) {
      for (std::int64_t o = band.begin; o < band.end; ++o) {
        for (std::int64_t e = 0; e < band.count; ++e, from += width) {
          T* const to = y.at(band.group, band.first + e) + f * s.out_area() + o * width;
          for (std::int64_t p = 0; p < width; ++p) to[p] = from[p];
        }
      }
    }
  });
  return true;
}

template <class T>
bool convolve_data_directly(const ConvolutionSizes& s, const Blocks<const T>& y,
                            const Blocks<const T>& w, const Blocks<T>& x) {
  if (!has_loops<T>(s)) return false;
  // Of few channels, what their windows add to is less than what they see of all filters' maps; and
  // of small maps with much around them most of what they would see is 0.
  if (2 * s.channels * s.width[0] < s.filters) return false;
  const std::int64_t seen = s.in_area() / (s.window[0].stride * s.window[1].stride);
  if (s.filters * seen / 32 > s.filters * s.out_area() / 28 + s.out_area()) return false;
  const Phases down = phases_of(s, 0), across = phases_of(s, 1);
  if (down.count > most_phases || across.count > most_phases) return false;
  Sliding<T> sliding(s.filters, s.channels, s.examples, down.axis, across.axis);
  if (!sliding.fits()) return false;
  // For each phase the weights of its taps, one channel's beside the other's.
  const std::int64_t area = s.width_area(), lda = packed_distance<T>(s.channels);
  T* const all = memory<T, packed>(s.groups * s.filters * area * lda);
  for (std::int64_t k = 0; k < s.groups * s.filters; ++k)
    products().turn[dtype<T>](s.channels, area, w.at(k / s.filters, k % s.filters), area,
                              all + k * area * lda, lda);
  Taps parts[most_phases * most_phases];
  std::int64_t begins[most_phases * most_phases];
  std::size_t count = 0;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < down.count; ++i) {
    for (std::int64_t j = 0; j < across.count; ++j) {
      parts[count] = {down.phases[i].at, down.phases[i].taps, across.phases[j].at,
                      across.phases[j].taps};
      begins[count++] = begin;
      begin += s.groups * s.filters * down.phases[i].taps * across.phases[j].taps * lda;
    }
  }
  const T* a = all;
  if (count > 1) {
    T* to = memory<T, turned>(begin);
    a = to;
    for (std::size_t part = 0; part < count; ++part) {
      const Phase& v = down.phases[part / static_cast<std::size_t>(across.count)];
      const Phase& h = across.phases[part % static_cast<std::size_t>(across.count)];
      for (std::int64_t k = 0; k < s.groups * s.filters; ++k) {
        for (std::int64_t i = 0; i < v.taps; ++i) {
          for (std::int64_t j = 0; j < h.taps; ++j, to += lda) {
            const std::int64_t at = (v.first + i * v.step) * s.width[1] + h.first + j * h.step;
            std::copy_n(all + (k * area + at) * lda, s.channels, to);
          }
        }
      }
    }
  }
  for_each_band(s, sliding, {parts, count}, [&](const Band& band) {
    const std::int64_t wide = across.axis.count;
    const auto image = [&](std::int64_t e) { return y.at(band.group, band.first + e); };
    const auto weights = [&](std::size_t part) {
      return a + begins[part] + band.group * s.filters * parts[part].count() * lda;
    };
    if (count == 1 && sliding.together() == 1) {
      T* const to = x.at(band.group, band.first) + band.begin * wide;
      return sliding.run(
          band.begin, band.end, 1, image, {parts, count}, weights, lda,
          [&](std::size_t) { return to; }, s.in_area());
    }
    const std::int64_t columns = (band.end - band.begin) * band.count * wide,
                       size = s.channels * columns;
    T* const sums = memory<T, result>(size * static_cast<std::int64_t>(count));
    sliding.run(
        band.begin, band.end, band.count, image, {parts, count}, weights, lda,
        [&](std::size_t part) { return sums + static_cast<std::int64_t>(part) * size; }, columns);
    for (std::int64_t c = 0; c < s.channels; ++c) {
      for (std::int64_t o = band.begin; o < band.end; ++o) {
        for (std::int64_t e = 0; e < band.count; ++e) {
          const std::int64_t at = c * columns + ((o - band.begin) * band.count + e) * wide;
          for (std::int64_t i = 0; i < down.count && o * down.count + i < s.in[0]; ++i) {
            T* const row =
                x.at(band.group, band.first + e) + (c * s.in[0] + o * down.count + i) * s.in[1];
            spread_row(sums + i * across.count * size + at, size, across.count, s.in[1], row);
          }
        }
      }
    }
  });
  return true;
}

namespace {

/// Gradients by the filters of one group, summed over examples.
template <class T>
class FilterSums {
 public:
  explicit FilterSums(const ConvolutionSizes& s)
      : s_(s), length_(s.channels * s.width_area()), down_(seen_by(s, 0)), across_(seen_by(s, 1)) {
    const auto L = static_cast<double>(vector_lanes<T>());
    const auto area = static_cast<double>(s.out_area()), depth = static_cast<double>(length_);
    // What each takes for a product that both do at best in one vector operation.
    const auto run = static_cast<double>(run_length());
    const double runs = depth / run, vectors = std::ceil(run / L);
    const double turning = s.channels < vector_lanes<T>()
                               ? 2 * L / static_cast<double>(s.filters * s.width_area())
                               : .1;
    const double by_channels = vectors * L * runs / depth + turning;
    const double by_lanes = 1 + 8 * L / area;
    const std::int64_t lane_bytes = s.filters * length_ * products().vector_bytes;
    by_lanes_ = lane_bytes <= (512 << 10) && by_lanes < by_channels;
  }

  /// Adds nothing up: sum (filters, channels, height, width) is set.
  template <class Image, class Maps>
  void run(std::int64_t examples, Image&& image, Maps&& maps, T* sum) const {
    by_lanes_ ? lanes(examples, image, maps, sum) : channels(examples, image, maps, sum);
  }

 private:
  const ConvolutionSizes& s_;
  std::int64_t length_;
  Axis down_, across_;
  bool by_lanes_ = false;

  /// Columns of the filters and channels that lie side by side in an image whose channels do.
  std::int64_t run_length() const {
    return across_.step == 1 ? s_.width[1] * s_.channels : s_.channels;
  }

  /// Each lane of a vector sums some of the windows' products.
  template <class Image, class Maps>
  void lanes(std::int64_t examples, Image&& image, Maps&& maps, T* sum) const {
    const std::int64_t L = vector_lanes<T>(), size = s_.filters * length_;
    T* const sums = memory<T, lane_table>(size * L);
    std::fill_n(sums, size * L, T(0));
    Sliding<T> sliding(s_.channels, s_.filters, /*examples=*/1, down_, across_);
    const Taps all{0, s_.width[0], 0, s_.width[1]};
    sliding.prepare({&all, 1}, s_.channels);
    T* const seen = memory<T, gathered>(sliding.most_gathered(s_.channels));
    for (std::int64_t b = 0; b < examples; ++b) {
      for (std::int64_t begin = 0; begin < s_.out[0]; begin += sliding.band()) {
        const std::int64_t end = std::min(begin + sliding.band(), s_.out[0]);
        sliding.gather(
            begin, end, 1, 0, s_.channels, [&](std::int64_t) { return image(b); }, seen);
        products().lane_products[dtype<T>](s_.filters, length_, (end - begin) * s_.out[1],
                                           maps(b) + begin * s_.out[1], s_.out_area(), seen,
                                           sliding.offsets(), sums);
      }
    }
    products().lane_sums[dtype<T>](size, sums, sum);
  }

  /// Images with their channels side by side, so that vectors run along these.
  template <class Image, class Maps>
  void channels(std::int64_t examples, Image&& image, Maps&& maps, T* sum) const {
    constexpr std::int64_t least_depth = 128, most_depth = 512;
    const std::int64_t C = s_.channels, width = s_.out[1];
    const std::int64_t band = std::clamp<std::int64_t>(most_depth / width, 1, s_.out[0]);
    const std::int64_t together = std::clamp<std::int64_t>(least_depth / (band * width), 1,
                                                           std::max<std::int64_t>(examples, 1));
    const std::int64_t ldg = packed_distance<T>(s_.filters);
    // Of a band: all rows and columns that windows reach over.
    const std::int64_t high = (band - 1) * down_.stride + (down_.taps - 1) * down_.step + 1,
                       wide = (width - 1) * across_.stride + (across_.taps - 1) * across_.step + 1;
    const std::int64_t depth = band * width;
    T* const g = memory<T, turned>(together * depth * ldg);
    T* const seen = memory<T, gathered>(together * high * wide * C + vector_lanes<T>());
    T* const flat = memory<T, result>(s_.in[1] * std::max(high, s_.in[0]) * C);
    T* const total = memory<T, lane_table>(s_.filters * length_);
    std::int32_t* const offsets = memory<std::int32_t, offset_table>(together * depth);
    bool is_first = true;
    for (std::int64_t b = 0; b < examples; b += together) {
      const std::int64_t count = std::min(together, examples - b);
      for (std::int64_t begin = 0; begin < s_.out[0]; begin += band, is_first = false) {
        const std::int64_t end = std::min(begin + band, s_.out[0]);
        std::int64_t k = 0;
        for (std::int64_t e = 0; e < count; ++e) {
          products().turn[dtype<T>](s_.filters, (end - begin) * width, maps(b + e) + begin * width,
                                    s_.out_area(), g + k * ldg, ldg);
          turn_image(image(b + e), begin * down_.stride + down_.first, high, wide, flat,
                     seen + e * high * wide * C);
          for (std::int64_t o = 0; o < end - begin; ++o) {
            for (std::int64_t p = 0; p < width; ++p, ++k) {
              offsets[k] = static_cast<std::int32_t>(
                  ((e * high + o * down_.stride) * wide + p * across_.stride) * C);
            }
          }
        }
        const std::int64_t runs = across_.step == 1 ? 1 : across_.taps;
        for (std::int64_t i = 0; i < down_.taps; ++i) {
          for (std::int64_t j = 0; j < runs; ++j) {
            products().product[dtype<T>](s_.filters, run_length(), k, g, ldg,
                                         seen + (i * down_.step * wide + j * across_.step) * C,
                                         offsets, total + (i * s_.width[1] + j) * C, length_,
                                         is_first ? simd::SumStart::zero : simd::SumStart::apart);
          }
        }
      }
    }
    if (is_first) return void(std::fill_n(sum, s_.filters * length_, T(0)));
    for (std::int64_t f = 0; f < s_.filters; ++f)
      products().turn[dtype<T>](s_.width_area(), C, total + f * length_, C, sum + f * length_,
                                s_.width_area());
  }

  /// Rows [top, top + high) of an image and its columns from the first that a window sees, as
  /// (high, wide, channels), zeros where the image has ended.
  void turn_image(const T* x, std::int64_t top, std::int64_t high, std::int64_t wide, T* flat,
                  T* to) const {
    const std::int64_t C = s_.channels, n = s_.in[1];
    const std::int64_t first = std::clamp<std::int64_t>(top, 0, s_.in[0]),
                       last = std::clamp<std::int64_t>(top + high, first, s_.in[0]);
    const std::int64_t left = std::clamp<std::int64_t>(-across_.first, 0, wide),
                       right = std::clamp<std::int64_t>(n - across_.first, left, wide);
    const auto row_of = [&](std::int64_t r) { return to + (r - top) * wide * C; };
    products().turn[dtype<T>](C, (last - first) * n, x + first * n, s_.in_area(), flat, C);
    std::fill_n(to, (first - top) * wide * C, T(0));
    for (std::int64_t r = first; r < last; ++r) {
      T* const row = row_of(r);
      std::fill_n(row, left * C, T(0));
      std::copy_n(flat + ((r - first) * n + left + across_.first) * C, (right - left) * C,
                  row + left * C);
      std::fill_n(row + right * C, (wide - right) * C, T(0));
    }
    std::fill_n(row_of(last), (top + high - last) * wide * C, T(0));
  }
};

}  // namespace

/// Examples are dealt out to parts, each of which has a sum of its own.
template <class T>
bool convolve_filters_directly(const ConvolutionSizes& s, const Blocks<const T>& x,
                               const Blocks<const T>& y, const Blocks<T>& w) {
  constexpr std::int64_t most_elements = (1 << 20) / static_cast<std::int64_t>(sizeof(T));
  if (!has_loops<T>(s)) return false;
  const Sliding<T> sliding(s.channels, s.filters, 1, seen_by(s, 0), seen_by(s, 1));
  if (!sliding.fits()) return false;
  const std::int64_t size = s.filters * s.channels * s.width_area();
  const std::int64_t most = std::clamp<std::int64_t>(most_elements / (size * s.groups), 1,
                                                     std::max<std::int64_t>(s.examples, 1));
  const double nanoseconds =
      convolution_nanoseconds(s, sizeof(T)) * static_cast<double>(s.examples * s.groups);
  const std::int64_t parts = running::parts_for(nanoseconds, most * s.groups);
  const std::int64_t each = std::clamp<std::int64_t>(parts / s.groups, 1, most);
  T* const more = each > 1 ? memory<T, partial>(s.groups * (each - 1) * size) : nullptr;
  const FilterSums<T> sums(s);
  const std::int64_t count = s.groups * each;
  const std::int64_t shared = std::min(running::parts_for(nanoseconds, count), count);
  running::share_work(shared, [&](std::int64_t share) {
    const running::Span mine = running::part_of(count, 1, shared, share);
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      const std::int64_t g = i / each, part = i % each;
      const running::Span own = running::part_of(s.examples, 1, each, part);
      sums.run(
          own.end - own.begin, [&](std::int64_t b) { return x.at(g, own.begin + b); },
          [&](std::int64_t b) { return y.at(g, own.begin + b); },
          part == 0 ? w.at(g, 0) : more + (g * (each - 1) + part - 1) * size);
    }
  });
  for (std::int64_t g = 0; g < s.groups; ++g) {
    T* const total = w.at(g, 0);
    for (std::int64_t part = 1; part < each; ++part) {
      const T* const own = more + (g * (each - 1) + part - 1) * size;
      for (std::int64_t k = 0; k < size; ++k) total[k] += own[k];
    }
  }
  return true;
}

template bool convolve_directly<float>(const ConvolutionSizes&, const Blocks<const float>&,
                                       const Blocks<const float>&, const Blocks<float>&);
template bool convolve_directly<double>(const ConvolutionSizes&, const Blocks<const double>&,
                                        const Blocks<const double>&, const Blocks<double>&);
template bool convolve_data_directly<float>(const ConvolutionSizes&, const Blocks<const float>&,
                                            const Blocks<const float>&, const Blocks<float>&);
template bool convolve_data_directly<double>(const ConvolutionSizes&, const Blocks<const double>&,
                                             const Blocks<const double>&, const Blocks<double>&);
template bool convolve_filters_directly<float>(const ConvolutionSizes&, const Blocks<const float>&,
                                               const Blocks<const float>&, const Blocks<float>&);
template bool convolve_filters_directly<double>(const ConvolutionSizes&,
                                                const Blocks<const double>&,
                                                const Blocks<const double>&, const Blocks<double>&);

}  // namespace cinch::windows
