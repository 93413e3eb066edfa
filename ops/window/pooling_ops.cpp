#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/pooling.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/pooling_kernels.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch {

namespace {

// Types
// ----------------------------------------------------------------------------------------------

void require_maps(const Expr& x) {
  if (x.rank() < 2) throw TypeError("needs height and width as its last two axes");
}

void require_numbers(const Expr& x) {
  if (x.dtype() == DType::bool_) throw TypeError("bools cannot be pooled: cast them first");
}

/// Whether one of the windows over n elements has padding alone under it. Only a dilated one over
/// fewer elements than its steps are long can.
bool sees_nothing(const windows::Window& w, std::int64_t n) {
  if (w.dilation <= 1 || w.before == 0 || n >= w.dilation) return false;
  const std::int64_t count = w.count(n);
  constexpr std::int64_t most = 4096;  // Beyond, all of them are taken to.
  for (std::int64_t o = 0; o < std::min(count, most); ++o) {
    const std::int64_t first = o * w.stride - w.before;
    const std::int64_t k = first < 0 ? (w.dilation - 1 - first) / w.dilation : 0;
    if (k >= w.width || first + k * w.dilation >= n) return true;
  }
  return count > most;
}

Type window_type(Args x, const Attrs& attrs) {
  require_maps(x[0]);
  require_numbers(x[0]);
  Type result{x[0].dtype(), x[0].dims()};
  const windows::Windows windows = windows::windows_of(attrs);
  for (std::size_t k = 0; k < 2; ++k) {
    Dim& n = result.dims[result.dims.size() - 2 + k];
    if (n.known() && sees_nothing(windows[k], n.size())) {
      throw TypeError(text("a window dilated by ", windows[k].dilation,
                           " would see nothing of the ", n.size(), " elements but the padding"));
    }
    n = window_count(n, windows[k].width, windows[k]);
  }
  return result;
}

Type window_argmax_type(Args x, const Attrs& attrs) {
  Type result = window_type(x, attrs);
  for (std::size_t k = 1; k <= 2; ++k) {
    if (x[0].dims()[x[0].dims().size() - k] == Dim(0))
      throw TypeError("the largest of no elements");
  }
  result.dtype = DType::int64;
  return result;
}

Type window_spread_type(Args x, const Attrs& attrs) {
  require_maps(x[0]);
  require_numbers(x[0]);
  Type result{x[0].dtype(), x[0].dims()};
  const windows::Windows windows = windows::windows_of(attrs);
  const Dims n = records::dims_of(x.subspan(1));
  for (std::size_t k = 0; k < 2; ++k) {
    Dim& count = result.dims[result.dims.size() - 2 + k];
    require_count(count, n[k], windows[k].width, windows[k], k);
    count = n[k];
  }
  return result;
}

/// The sizes in front that maps and positions share.
Dims shared_lead(const Expr& maps, const Expr& positions) {
  require_maps(maps);
  if (positions.dtype() != DType::int64) throw TypeError("the positions must be int64");
  if (positions.rank() != maps.rank())
    throw TypeError("the maps and the positions must have the same number of axes");
  Dims lead;
  for (std::size_t k = 0; k + 2 < maps.dims().size(); ++k) {
    lead.push_back(windows::shared_size(maps.dims()[k], positions.dims()[k],
                                        "the sizes in front of the maps must agree: there are",
                                        "positions for"));
  }
  return lead;
}

Type pick_type(Args x, const Attrs&) {
  Type result{x[0].dtype(), shared_lead(x[0], x[1])};
  result.dims.insert(result.dims.end(), x[1].dims().end() - 2, x[1].dims().end());
  return result;
}

Type unpool_type(Args x, const Attrs&) {
  require_numbers(x[0]);
  Type result{x[0].dtype(), shared_lead(x[0], x[1])};
  for (std::size_t k = 1; k <= 2; ++k) {
    windows::shared_size(x[0].dims()[x[0].dims().size() - k], x[1].dims()[x[1].dims().size() - k],
                         "every element needs a position: there are", "and");
  }
  const Dims n = records::dims_of(x.subspan(2));
  result.dims.insert(result.dims.end(), n.begin(), n.end());
  return result;
}

// References
// ----------------------------------------------------------------------------------------------

Shape with_map(const Shape& shape, std::int64_t rows, std::int64_t columns) {
  Shape result(shape.begin(), shape.end() - 2);
  result.insert(result.end(), {rows, columns});
  return result;
}

Shape pooled_shape(const Shape& x, const windows::Windows& windows) {
  return with_map(x, windows[0].count(x[x.size() - 2]), windows[1].count(x.back()));
}

std::int64_t area(const Shape& shape) { return shape[shape.size() - 2] * shape.back(); }

/// Calls f(element of x, element of y) where a window, which gives y, sees an element of x: element
/// by element of x, in each of its windows.
template <class F>
void for_each_sight(const Shape& x, const Shape& y, const windows::Windows& windows, F&& f) {
  const std::int64_t rows = y[y.size() - 2], columns = y.back(), width = x.back();
  const auto sees = [](const windows::Window& window, std::int64_t o, std::int64_t at) {
    const std::int64_t k = at + window.before - o * window.stride;
    return k >= 0 && k < window.span() && k % window.dilation == 0;
  };
  for (std::int64_t i = 0; i < element_count(x); ++i) {
    const std::int64_t map = i / area(x), at = i % area(x);
    for (std::int64_t o = 0; o < rows * columns; ++o) {
      if (sees(windows[0], o / columns, at / width) && sees(windows[1], o % columns, at % width))
        f(static_cast<std::size_t>(i), static_cast<std::size_t>(map * rows * columns + o));
    }
  }
}

/// to[o] += from[i], or the other way round, over all sights; in double or wrapping integers.
template <class T>
Tensor summed(const Tensor& from, const Shape& shape, const windows::Windows& windows,
              bool spread) {
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  std::vector<Wide> total(static_cast<std::size_t>(element_count(shape)));
  const auto values = from.data<T>();
  for_each_sight(spread ? shape : from.shape(), spread ? from.shape() : shape, windows,
                 [&](std::size_t i, std::size_t o) {
                   total[spread ? i : o] += static_cast<Wide>(values[spread ? o : i]);
                 });
  Tensor result(dtype_of<T>(), shape);
  std::ranges::transform(total, result.data<T>().begin(),
                         [](Wide sum) { return static_cast<T>(sum); });
  return result;
}

Tensor window_sum_reference(Values in, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  return dispatch(in[0]->dtype(), [&]<class T> {
    return summed<T>(*in[0], pooled_shape(in[0]->shape(), windows), windows, false);
  });
}

Tensor window_spread_reference(Values in, const Attrs& attrs) {
  const Shape n = records::shape_of(in.subspan(1));
  return dispatch(in[0]->dtype(), [&]<class T> {
    return summed<T>(*in[0], with_map(in[0]->shape(), n[0], n[1]), windows::windows_of(attrs),
                     true);
  });
}

Tensor window_argmax_reference(Values in, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  const Tensor& x = *in[0];
  Tensor result = Tensor::full(DType::int64, pooled_shape(x.shape(), windows), -1);
  const auto best = result.data<std::int64_t>();
  dispatch(x.dtype(), [&]<class T> {
    const auto values = x.data<T>();
    const auto map_area = static_cast<std::size_t>(area(x.shape()));
    // The elements come in row-major order, so the first of equal ones stays.
    for_each_sight(x.shape(), result.shape(), windows, [&](std::size_t i, std::size_t o) {
      const std::size_t map = i / map_area * map_area;
      const auto is_nan = [](T value) { return !(value == value); };
      if (best[o] >= 0) {
        const T most = values[map + static_cast<std::size_t>(best[o])];
        if (is_nan(most) || (!is_nan(values[i]) && values[i] <= most)) return;
      }
      best[o] = static_cast<std::int64_t>(i - map);
    });
  });
  return result;
}

/// Calls f(element of the maps, number of the position) for every position.
template <class F>
void for_each_position(const Tensor& positions, std::int64_t map_area, F&& f) {
  const auto at = positions.data<std::int64_t>();
  for (std::int64_t o = 0; o < positions.size(); ++o) {
    const std::int64_t map = o / area(positions.shape());
    f(static_cast<std::size_t>(map * map_area +
                               windows::inside_map(at[static_cast<std::size_t>(o)], map_area)),
      static_cast<std::size_t>(o));
  }
}

Tensor pick_reference(Values in, const Attrs&) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    Tensor result(dtype_of<T>(), in[1]->shape());
    for_each_position(*in[1], area(in[0]->shape()), [&](std::size_t i, std::size_t o) {
      result.data<T>()[o] = in[0]->data<T>()[i];
    });
    return result;
  });
}

Tensor unpool_reference(Values in, const Attrs&) {
  const Shape n = records::shape_of(in.subspan(2));
  return dispatch(in[0]->dtype(), [&]<class T> {
    Tensor result(dtype_of<T>(), with_map(in[0]->shape(), n[0], n[1]));
    for_each_position(*in[1], n[0] * n[1], [&](std::size_t i, std::size_t o) {
      T& to = result.data<T>()[i];
      to = static_cast<T>(to + in[0]->data<T>()[o]);
    });
    return result;
  });
}

// Derivatives
// ----------------------------------------------------------------------------------------------

Expr window_sum(const Expr& x, const Attrs& windows) { return apply(window_sum_op, {x}, windows); }
Expr window_spread(const Expr& y, const std::vector<Expr>& sizes, const Attrs& windows) {
  return apply(window_spread_op, {y, sizes[0], sizes[1]}, windows);
}
Expr pick(const Expr& x, const Expr& positions) { return apply(pick_op, {x, positions}); }
Expr unpool(const Expr& y, const Expr& positions, const std::vector<Expr>& sizes) {
  return apply(unpool_op, {y, positions, sizes[0], sizes[1]});
}

/// Any axes may be in front: one more changes nothing.
Expr batch_maps(Args x, const std::vector<bool>&, const Expr& y) {
  return apply(y.op(), {x.begin(), x.end()}, y.attrs(), y->where);
}

Expr batch_positions(Args x, const std::vector<bool>& batched, const Expr& y) {
  std::vector<Expr> inputs(x.begin(), x.end());
  const Expr count = size(x[batched[0] ? 0 : 1], 0);
  for (std::size_t k = 0; k < 2; ++k) {
    if (!batched[k]) inputs[k] = broadcast_to(x[k], records::with_leading_size(count, x[k]));
  }
  return apply(y.op(), std::move(inputs), y.attrs(), y->where);
}

std::int64_t follow_maps(Args, std::span<const std::int64_t> axes, const Expr& y) {
  return axes[0] < y.rank() - 2 ? axes[0] : -1;
}

std::int64_t follow_positions(Args, std::span<const std::int64_t> axes, const Expr& y) {
  if (axes[0] >= 0 && axes[1] >= 0 && axes[0] != axes[1]) return -1;
  const std::int64_t axis = std::max(axes[0], axes[1]);
  return axis < y.rank() - 2 ? axis : -1;
}

Expr pooled_size(const Expr& y, std::int64_t axis) {
  const windows::Window window =
      windows::windows_of(y.attrs())[static_cast<std::size_t>(axis - y.rank() + 2)];
  return window_count(size(y.inputs()[0], axis), constant(Tensor(window.width)), window);
}

// Examples
// ----------------------------------------------------------------------------------------------

struct Case {
  Shape x;
  PerAxis window = 2;
  PoolOptions options = {};
};

std::vector<Case> cases() {
  return {{{2, 3, 4, 6}},
          {{2, 2, 5, 7}},
          {{1, 2, 5, 4}, 2, {.padding = {{0, 1}, {0, 0}}}},
          {{2, 1, 6, 5}, {3, 2}, {.stride = 1}},
          {{2, 2, 5, 5}, 3, {.stride = 2, .padding = 1}},
          {{1, 1, 7, 6}, {2, 3}, {.stride = {3, 1}, .padding = {{1, 0}, {0, 2}}}},
          {{3, 4}, {3, 4}},
          {{2, 1, 1}, 1},
          {{0, 2, 4, 4}},
          {{2, 3, 9}, 3, {.stride = 2, .padding = {{1, 1}}}},
          {{2, 0, 8}, 2},
          {{17, 5, 12, 30}, 2}};
}

bool flat(const Case& c) { return c.x.size() == 3 && c.x.back() > 1; }

/// Examples of a function of each dimension, over the cases.
std::vector<Example> examples_of(Expr (*f1)(const Arg&, const PerAxis&, const PoolOptions&),
                                 Expr (*f2)(const Arg&, const PerAxis&, const PoolOptions&)) {
  std::vector<Example> result;
  for (const Case& c : cases()) {
    result.push_back({{Type{DType::float64, to_dims(c.x)}},
                      [f = flat(c) ? f1 : f2, c](Args x) { return f(x[0], c.window, c.options); }});
  }
  result.push_back({{Type{DType::float64, {4, 4, 3, 2}}}, [f2](Args x) {
                      return f2(transpose(x[0], {3, 2, 0, 1}), 2, {});
                    }});
  return result;
}

}  // namespace

constinit const Op window_sum_op{
    .name = "window_sum",
    .type = window_type,
    .reference = window_sum_reference,
    .operands = Operands::numeric,
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {window_spread(gy, windows::spatial_sizes(x[0]), y.attrs())};
    },
    .batch = batch_maps,
    .follow = follow_maps,
    .size_of = pooled_size,
    .runs = Kernel{.run = windows::window_sum_kernel, .accepts = windows::pooling_accepts},
    .examples = [] { return examples_of(average_pool1d, average_pool2d); },
};

constinit const Op window_spread_op{
    .name = "window_spread",
    .type = window_spread_type,
    .reference = window_spread_reference,
    .sizes_from = 1,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      return {window_sum(gy, y.attrs())};
    },
    .batch = batch_maps,
    .follow = follow_maps,
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          return Expr(y.inputs()[static_cast<std::size_t>(axis - y.rank() + 3)]);
        },
    .runs = Kernel{.run = windows::window_spread_kernel, .accepts = windows::pooling_accepts},
    .examples = []() -> std::vector<Example> {
      const auto spread = [](std::int64_t rows, std::int64_t columns,
                             const windows::Window& window) {
        return [=](Args x) {
          return window_spread(x[0], {constant(Tensor(rows)), constant(Tensor(columns))},
                               windows::attrs_of({window, window}));
        };
      };
      const Type maps{DType::float64, {2, 3, 2, 3}};
      return {{{maps}, [](Args x) { return upsample2d(x[0], 2); }},
              {{maps},
               [](Args x) {
                 return upsample2d(x[0], {3, 1});
               }},
              {{maps}, [](Args x) { return upsample1d(x[0], 2); }},
              {{Type{DType::float64, {0, 2, 2}}}, [](Args x) { return upsample2d(x[0], 2); }},
              {{maps}, spread(5, 7, {2, 2, 0, 0, 1})},
              {{maps}, spread(4, 6, {3, 2, 1, 1, 1})},
              {{maps}, spread(3, 4, {2, 1, 0, 0, 1})}};
    },
};

constinit const Op window_argmax_op{
    .name = "window_argmax",
    .type = window_argmax_type,
    .reference = window_argmax_reference,
    .operands = Operands::numeric,
    .batch = batch_maps,
    .follow = follow_maps,
    .size_of = pooled_size,
    .runs = Kernel{.run = windows::window_argmax_kernel, .accepts = windows::pooling_accepts},
    .examples = [] { return examples_of(max_pool1d_positions, max_pool2d_positions); },
};

constinit const Op pick_op{
    .name = "pick",
    .type = pick_type,
    .reference = pick_reference,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {unpool(gy, x[1], windows::spatial_sizes(x[0])), Expr()};
    },
    .batch = batch_positions,
    .follow = follow_positions,
    .runs = Kernel{.run = windows::pick_kernel, .accepts = windows::pooling_accepts},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result = examples_of(max_pool1d, max_pool2d);
      const Type maps{DType::float64, {2, 3, 4}}, positions{DType::int64, {2, 1, 5}};
      result.push_back({{maps, positions}, [](Args x) { return pick(x[0], x[1]); }, {0, 12}});
      return result;
    },
};

constinit const Op unpool_op{
    .name = "unpool",
    .type = unpool_type,
    .reference = unpool_reference,
    .sizes_from = 2,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {pick(gy, x[1]), Expr()};
    },
    .batch = batch_positions,
    .follow = follow_positions,
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          return Expr(y.inputs()[static_cast<std::size_t>(axis - y.rank() + 4)]);
        },
    .runs = Kernel{.run = windows::unpool_kernel, .accepts = windows::pooling_accepts},
    .examples = []() -> std::vector<Example> {
      const auto into = [](std::int64_t rows, std::int64_t columns) {
        return [=](Args x) {
          return unpool(x[0], x[1], {constant(Tensor(rows)), constant(Tensor(columns))});
        };
      };
      const Type y{DType::float64, {2, 2, 3}}, at{DType::int64, {2, 2, 3}};
      return {{{y, at}, into(4, 5), {0, 20}},
              {{y, at}, into(1, 2), {0, 2}},
              {{Type{DType::float64, {0, 2, 2}}, Type{DType::int64, {0, 2, 2}}}, into(3, 3)}};
    },
};

}  // namespace cinch
