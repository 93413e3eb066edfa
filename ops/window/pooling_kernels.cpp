#include "cinch/ops/window/pooling_kernels.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/window.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch::windows {

bool pooling_accepts(const Strided& where, const Shape& shape) {
  return dense_inside(where, shape, 2);
}

namespace {

/// The maps of a tensor (..., height, width), one after the other.
template <class T>
class Maps {
 public:
  explicit Maps(const Operand& x)
      : rows(x.shape[x.shape.size() - 2]), columns(x.shape.back()), x_(x) {}

  std::int64_t rows, columns;
  std::int64_t area() const { return rows * columns; }
  std::int64_t count() const {
    std::int64_t result = 1;
    for (std::size_t k = 0; k + 2 < x_.shape.size(); ++k) result *= x_.shape[k];
    return result;
  }
  T* at(std::int64_t map) const {
    std::int64_t offset = 0;
    for (std::size_t k = x_.shape.size() - 2; k-- > 0; map /= x_.shape[k])
      offset += map % x_.shape[k] * x_.strides[k];
    return x_.as<T>() + offset;
  }

 private:
  const Operand& x_;
};

/// Calls work(map) for all maps, several at once, where one element takes about `nanoseconds`.
template <class F>
void for_each_map(std::int64_t count, std::int64_t area, double nanoseconds, F&& work) {
  const double total = static_cast<double>(count * area) * nanoseconds;
  const std::int64_t parts = running::parts_for(total, count);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(count, 1, parts, part);
    for (std::int64_t map = own.begin; map < own.end; ++map) work(map);
  });
}

/// The elements that window number `o` has inside [0, n): from begin on, `dilation` apart.
running::Span seen(const Window& window, std::int64_t o, std::int64_t n) {
  const std::int64_t start = o * window.stride - window.before, d = window.dilation;
  const std::int64_t skipped = start < 0 ? (d - 1 - start) / d : 0;
  return {start + skipped * d, std::min(start + window.span(), n)};
}

/// Calls f(window number, its rows, its columns) for every window of a map.
template <class F>
void for_each_window(const Windows& windows, std::int64_t rows, std::int64_t columns,
                     std::int64_t row_count, std::int64_t column_count, F&& f) {
  for (std::int64_t o = 0; o < row_count; ++o) {
    const running::Span vertical = seen(windows[0], o, rows);
    for (std::int64_t p = 0; p < column_count; ++p)
      f(o * column_count + p, vertical, seen(windows[1], p, columns));
  }
}

/// Integers wrap around instead of overflowing.
template <class T>
using Sum = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;

/// Calls f with the elements' type; there are no bools.
template <class F>
void dispatch_number(DType dtype, F&& f) {
  if (dtype == DType::int64) {
    f.template operator()<std::int64_t>();
  } else {
    dispatch_float(dtype, f);
  }
}

/// Every element once in each window of a row of windows that stand side by side.
template <class T>
void repeat(const T* from, std::int64_t rows, std::int64_t columns, const Windows& windows, T* to) {
  const std::int64_t high = windows[0].width, wide = windows[1].width, run = columns * wide;
  for (std::int64_t o = 0; o < rows; ++o, from += columns) {
    T* first = to;
    for (std::int64_t p = 0; p < columns; ++p, to += wide) std::fill_n(to, wide, from[p]);
    for (std::int64_t k = 1; k < high; ++k, to += run)
      std::memcpy(to, first, static_cast<std::size_t>(run) * sizeof(T));
  }
}

/// Positions of the maxima of a row of windows that see these rows of a map. Goes over the windows
/// once for each of their elements. No processor can guess which of two is larger, so nothing here
/// may become a jump on it: a position is moved by a mask, and the largest is looked up by
/// position.
template <class T>
void largest_of_row(const T* x, std::int64_t width, running::Span rows, std::int64_t down,
                    const Window& window, std::int64_t* best, std::int64_t count) {
  for (std::int64_t p = 0; p < count; ++p)
    best[p] = rows.begin * width + seen(window, p, width).begin;
  for (std::int64_t i = rows.begin; i < rows.end; i += down) {
    for (std::int64_t j = 0; j < window.width; ++j) {
      const running::Span inside = windows_inside(window, j, width, count);
      const std::int64_t first = i * width + j * window.dilation - window.before;
      for (std::int64_t p = inside.begin; p < inside.end; ++p) {
        const std::int64_t position = first + p * window.stride;
        const T element = x[position], most = x[best[p]];
        // Larger, or the first NaN.
        const bool better = !(element <= most) & (most == most);
        best[p] += (position - best[p]) & -static_cast<std::int64_t>(better);
      }
    }
  }
}

}  // namespace

void window_sum_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Windows windows = windows_of(attrs);
  const std::int64_t down = windows[0].dilation, right = windows[1].dilation;
  dispatch_number(out.dtype, [&]<class T> {
    const Maps<const T> x(in[0]);
    const Maps<T> y(out);
    for_each_map(y.count(), x.area() + y.area(), running::cost::windowed, [&](std::int64_t map) {
      const T* from = x.at(map);
      T* to = y.at(map);
      for_each_window(windows, x.rows, x.columns, y.rows, y.columns,
                      [&](std::int64_t o, running::Span vertical, running::Span horizontal) {
                        Sum<T> total = 0;
                        for (std::int64_t i = vertical.begin; i < vertical.end; i += down) {
                          for (std::int64_t j = horizontal.begin; j < horizontal.end; j += right)
                            total += static_cast<Sum<T>>(from[i * x.columns + j]);
                        }
                        to[o] = static_cast<T>(total);
                      });
    });
  });
}

void window_spread_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Windows windows = windows_of(attrs);
  const std::int64_t down = windows[0].dilation, right = windows[1].dilation;
  dispatch_number(out.dtype, [&]<class T> {
    const Maps<const T> y(in[0]);
    const Maps<T> x(out);
    const auto tiles = [](const Window& w, std::int64_t count, std::int64_t n) {
      return w.stride == w.width && w.dilation == 1 && w.before == 0 && count * w.width == n;
    };
    const bool covers =
        tiles(windows[0], y.rows, x.rows) && tiles(windows[1], y.columns, x.columns);
    for_each_map(x.count(), x.area() + y.area(), running::cost::windowed, [&](std::int64_t map) {
      const T* from = y.at(map);
      T* to = x.at(map);
      if (covers) return repeat(from, y.rows, y.columns, windows, to);
      std::fill_n(to, x.area(), T(0));
      for_each_window(windows, x.rows, x.columns, y.rows, y.columns,
                      [&](std::int64_t o, running::Span vertical, running::Span horizontal) {
                        for (std::int64_t i = vertical.begin; i < vertical.end; i += down) {
                          for (std::int64_t j = horizontal.begin; j < horizontal.end; j += right) {
                            T& element = to[i * x.columns + j];
                            element = static_cast<T>(static_cast<Sum<T>>(element) +
                                                     static_cast<Sum<T>>(from[o]));
                          }
                        }
                      });
    });
  });
}

void window_argmax_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Windows windows = windows_of(attrs);
  dispatch_number(in[0].dtype, [&]<class T> {
    const Maps<const T> x(in[0]);
    const Maps<std::int64_t> y(out);
    for_each_map(y.count(), x.area() + y.area(), running::cost::windowed, [&](std::int64_t map) {
      const T* from = x.at(map);
      std::int64_t* to = y.at(map);
      for (std::int64_t o = 0; o < y.rows; ++o, to += y.columns)
        largest_of_row(from, x.columns, seen(windows[0], o, x.rows), windows[0].dilation,
                       windows[1], to, y.columns);
    });
  });
}

void pick_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  dispatch(out.dtype, [&]<class T> {
    const Maps<const T> x(in[0]);
    const Maps<const std::int64_t> positions(in[1]);
    const Maps<T> y(out);
    for_each_map(y.count(), y.area(), running::cost::windowed, [&](std::int64_t map) {
      const T* from = x.at(map);
      const std::int64_t* at = positions.at(map);
      T* to = y.at(map);
      for (std::int64_t o = 0; o < y.area(); ++o) to[o] = from[inside_map(at[o], x.area())];
    });
  });
}

void unpool_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  dispatch_number(out.dtype, [&]<class T> {
    const Maps<const T> y(in[0]);
    const Maps<const std::int64_t> positions(in[1]);
    const Maps<T> x(out);
    for_each_map(x.count(), x.area() + y.area(), running::cost::spread, [&](std::int64_t map) {
      const T* from = y.at(map);
      const std::int64_t* at = positions.at(map);
      T* to = x.at(map);
      std::fill_n(to, x.area(), T(0));
      for (std::int64_t o = 0; o < y.area(); ++o) {
        T& element = to[inside_map(at[o], x.area())];
        element = static_cast<T>(static_cast<Sum<T>>(element) + static_cast<Sum<T>>(from[o]));
      }
    });
  });
}

}  // namespace cinch::windows
