#include "cinch/ops/window/convolution_kernels.hpp"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/linalg/blas.hpp"
#include "cinch/ops/window/convolution_direct.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch::windows {

ConvolutionSizes::ConvolutionSizes(Sizes x, Sizes w, Sizes y, const Attrs& attrs)
    : groups(x.size() == 5 ? x[0] : 1), window(windows_of(attrs)) {
  const std::size_t lead = x.size() - 4;
  examples = x[lead];
  channels = x[lead + 1];
  filters = w[lead];
  in = {x[lead + 2], x[lead + 3]};
  width = {w[lead + 2], w[lead + 3]};
  out = {y[lead + 2], y[lead + 3]};
}

bool convolution_accepts(const Strided& where, const Shape& shape) {
  return dense_inside(where, shape, 3);
}

double convolution_nanoseconds(const ConvolutionSizes& s, std::size_t bytes) {
  const auto columns = static_cast<double>(s.meetings() * static_cast<std::int64_t>(bytes));
  return columns * (running::cost::gathered_byte +
                    2 * static_cast<double>(s.filters) * running::cost::flop(1));
}

namespace {

/// Memory of the calling thread that only grows, so that steps allocate nothing after the first.
template <class T, int Purpose>
T* memory(std::int64_t count) {
  thread_local constinit running::ThreadMemory kept;
  return reinterpret_cast<T*>(kept.get(static_cast<std::size_t>(count) * sizeof(T)));
}

template <class T>
T* columns_memory(const ConvolutionSizes& s) {
  return memory<T, 0>(s.meetings());
}

/// Calls row(columns, x, horizontal) for every channel, position in the filter, and row of windows:
/// where the windows' elements at this position go in the matrix, the row of x that they come from
/// (null outside), and which of the windows have it inside.
template <class T, class F>
void for_each_row(const ConvolutionSizes& s, T* x, T* columns, F&& row) {
  for (std::int64_t c = 0; c < s.channels; ++c) {
    for (std::int64_t i = 0; i < s.width[0]; ++i) {
      const running::Span vertical = windows_inside(s.window[0], i, s.in[0], s.out[0]);
      for (std::int64_t j = 0; j < s.width[1]; ++j) {
        const running::Span horizontal = windows_inside(s.window[1], j, s.in[1], s.out[1]);
        const std::int64_t first = j * s.window[1].dilation - s.window[1].before;
        for (std::int64_t o = 0; o < s.out[0]; ++o, columns += s.out[1]) {
          const std::int64_t at =
              o * s.window[0].stride + i * s.window[0].dilation - s.window[0].before;
          const bool there = o >= vertical.begin && o < vertical.end;
          T* from = there ? x + (c * s.in[0] + at) * s.in[1] : nullptr;
          row(columns, from, first, horizontal);
        }
      }
    }
  }
}

/// The matrix (channels * width area, windows) of what each window sees of one example.
template <class T>
void gather(const ConvolutionSizes& s, const T* x, T* columns) {
  const std::int64_t stride = s.window[1].stride, out = s.out[1];
  for_each_row<T>(s, const_cast<T*>(x), columns,
                  [&](T* to, const T* from, std::int64_t first, running::Span inside) {
                    if (!from) {
                      std::fill_n(to, out, T(0));
                      return;
                    }
                    for (std::int64_t o = 0; o < inside.begin; ++o) to[o] = T(0);
                    if (stride == 1) {
                      std::copy(from + inside.begin + first, from + inside.end + first,
                                to + inside.begin);
                    } else {
                      for (std::int64_t o = inside.begin; o < inside.end; ++o)
                        to[o] = from[o * stride + first];
                    }
                    for (std::int64_t o = inside.end; o < out; ++o) to[o] = T(0);
                  });
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  } else {
    return a + b;
  }
}

/// The transpose of gather: adds each window's elements to where they were seen.
template <class T>
void scatter(const ConvolutionSizes& s, T* columns, T* x) {
  const std::int64_t stride = s.window[1].stride;
  std::fill_n(x, s.channels * s.in_area(), T(0));
  for_each_row<T>(s, x, columns,
                  [&](const T* from, T* to, std::int64_t first, running::Span inside) {
                    if (!to) return;
                    if (stride == 1) {
                      for (std::int64_t o = inside.begin; o < inside.end; ++o)
                        to[o + first] = sum_of(to[o + first], from[o]);
                    } else {
                      for (std::int64_t o = inside.begin; o < inside.end; ++o)
                        to[o * stride + first] = sum_of(to[o * stride + first], from[o]);
                    }
                  });
}

/// The matrix is x itself: filters of one element, at every position.
bool sees_all(const ConvolutionSizes& s) {
  const auto plain = [](const Window& w) { return w.stride == 1 && w.before == 0 && w.after == 0; };
  return s.width_area() == 1 && plain(s.window[0]) && plain(s.window[1]);
}

template <class T>
void multiply(const blas::Matrix<const T>& a, const blas::Matrix<const T>& b,
              const blas::Matrix<T>& c, bool accumulate) {
  if constexpr (std::is_floating_point_v<T>) {
    blas::product(a, b, c, accumulate);
  } else {
    for (std::int64_t i = 0; i < c.rows; ++i) {
      for (std::int64_t j = 0; j < c.columns; ++j) {
        std::uint64_t total = accumulate ? static_cast<std::uint64_t>(c.data[i * c.row + j]) : 0;
        for (std::int64_t k = 0; k < a.columns; ++k) {
          total += static_cast<std::uint64_t>(a.data[i * a.row + k * a.column]) *
                   static_cast<std::uint64_t>(b.data[k * b.row + j * b.column]);
        }
        c.data[i * c.row + j] = static_cast<T>(total);
      }
    }
  }
}

template <class T>
blas::Matrix<T> rows_by_columns(T* data, std::int64_t rows, std::int64_t columns) {
  return {data, rows, columns, std::max<std::int64_t>(columns, 1), 1};
}

template <class T>
blas::Matrix<T> transposed(const blas::Matrix<T>& m) {
  return {m.data, m.columns, m.rows, m.column, m.row};
}

/// The filters of one group as (filters, channels * width area).
template <class T>
blas::Matrix<const T> filter_matrix(const ConvolutionSizes& s, const Blocks<T>& w, std::int64_t g) {
  const std::int64_t length = s.channels * s.width_area();
  const std::int64_t row = s.filters > 1 ? w.outer : length;
  return {w.at(g, 0), s.filters, length, std::max<std::int64_t>(row, 1), 1};
}

/// Calls work(group, example) for all of them, several at once.
template <class F>
void for_each_example(const ConvolutionSizes& s, std::size_t bytes, F&& work) {
  const std::int64_t count = s.groups * s.examples;
  const std::int64_t parts =
      running::parts_for(convolution_nanoseconds(s, bytes) * static_cast<double>(count), count);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(count, 1, parts, part);
    for (std::int64_t i = own.begin; i < own.end; ++i) work(i / s.examples, i % s.examples);
  });
}

template <class T>
void convolve(const ConvolutionSizes& s, const Operand& x_in, const Operand& w_in,
              const Operand& y_out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (convolve_directly(s, Blocks<const T>(x_in), Blocks<const T>(w_in), Blocks<T>(y_out)))
      return;
  }
  const Blocks<T> x(x_in), w(w_in), y(y_out);
  for_each_example(s, sizeof(T), [&](std::int64_t g, std::int64_t b) {
    const T* seen = x.at(g, b);
    if (!sees_all(s)) {
      T* columns = columns_memory<T>(s);
      gather(s, seen, columns);
      seen = columns;
    }
    multiply<T>(filter_matrix(s, w, g),
                rows_by_columns(seen, s.channels * s.width_area(), s.out_area()),
                rows_by_columns(y.at(g, b), s.filters, s.out_area()), false);
  });
}

template <class T>
void convolve_data(const ConvolutionSizes& s, const Operand& y_in, const Operand& w_in,
                   const Operand& x_out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (convolve_data_directly(s, Blocks<const T>(y_in), Blocks<const T>(w_in), Blocks<T>(x_out)))
      return;
  }
  const Blocks<T> y(y_in), w(w_in), x(x_out);
  for_each_example(s, sizeof(T), [&](std::int64_t g, std::int64_t b) {
    const bool direct = sees_all(s);
    T* columns = direct ? x.at(g, b) : columns_memory<T>(s);
    const T* maps = y.at(g, b);
    multiply<T>(transposed(filter_matrix(s, w, g)), rows_by_columns(maps, s.filters, s.out_area()),
                rows_by_columns(columns, s.channels * s.width_area(), s.out_area()), false);
    if (!direct) scatter(s, columns, x.at(g, b));
  });
}

/// Examples are dealt out to parts, each of which has a sum of its own.
template <class T>
void convolve_filters(const ConvolutionSizes& s, const Operand& x_in, const Operand& y_in,
                      const Operand& w_out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (convolve_filters_directly(s, Blocks<const T>(x_in), Blocks<const T>(y_in),
                                  Blocks<T>(w_out)))
      return;
  }
  constexpr std::int64_t most_elements = (1 << 20) / static_cast<std::int64_t>(sizeof(T));
  const Blocks<T> x(x_in), y(y_in), w(w_out);
  const std::int64_t length = s.channels * s.width_area(), size = s.filters * length;
  const std::int64_t most = std::clamp<std::int64_t>(
      most_elements / std::max<std::int64_t>(size, 1), 1, std::max<std::int64_t>(s.examples, 1));
  const std::int64_t parts = running::parts_for(
      convolution_nanoseconds(s, sizeof(T)) * static_cast<double>(s.examples), most);
  for (std::int64_t g = 0; g < s.groups; ++g) {
    T* result = w.at(g, 0);
    T* partial = parts > 1 ? memory<T, 1>((parts - 1) * size) : nullptr;
    running::share_work(parts, [&](std::int64_t part) {
      T* sum = part == 0 ? result : partial + (part - 1) * size;
      std::fill_n(sum, size, T(0));
      const running::Span own = running::part_of(s.examples, 1, parts, part);
      for (std::int64_t b = own.begin; b < own.end; ++b) {
        const T* seen = x.at(g, b);
        if (!sees_all(s)) {
          T* columns = columns_memory<T>(s);
          gather(s, seen, columns);
          seen = columns;
        }
        const T* maps = y.at(g, b);
        multiply<T>(rows_by_columns(maps, s.filters, s.out_area()),
                    transposed(rows_by_columns(seen, length, s.out_area())),
                    rows_by_columns(sum, s.filters, length), true);
      }
    });
    for (std::int64_t part = 1; part < parts; ++part) {
      const T* more = partial + (part - 1) * size;
      for (std::int64_t k = 0; k < size; ++k) result[k] = sum_of(result[k], more[k]);
    }
  }
}

/// Calls f with the elements' type; there are no bools.
template <class F>
void dispatch_number(DType dtype, F&& f) {
  if (dtype == DType::int64) {
    f.template operator()<std::int64_t>();
  } else {
    dispatch_float(dtype, f);
  }
}

}  // namespace

void convolution_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const ConvolutionSizes s(in[0].shape, in[1].shape, out.shape, attrs);
  dispatch_number(out.dtype, [&]<class T> { convolve<T>(s, in[0], in[1], out); });
}

void convolution_data_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const ConvolutionSizes s(out.shape, in[1].shape, in[0].shape, attrs);
  dispatch_number(out.dtype, [&]<class T> { convolve_data<T>(s, in[0], in[1], out); });
}

void convolution_filters_kernel(std::span<const Operand> in, const Operand& out,
                                const Attrs& attrs) {
  const ConvolutionSizes s(in[0].shape, out.shape, in[1].shape, attrs);
  dispatch_number(out.dtype, [&]<class T> { convolve_filters<T>(s, in[0], in[1], out); });
}

}  // namespace cinch::windows
