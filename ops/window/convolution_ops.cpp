#include <algorithm>
#include <type_traits>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/convolution.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/convolution_kernels.hpp"

namespace cinch {

namespace {

// Types
// ----------------------------------------------------------------------------------------------

/// Position of the axis after the groups. Throws TypeError unless both have two spatial axes and
/// elements of one kind.
std::size_t lead_of(const Expr& a, const Expr& b) {
  if (a.rank() != b.rank() || a.rank() < 4 || a.rank() > 5)
    throw TypeError("both operands must have four axes, or five with groups in front");
  if (a.dtype() != b.dtype() || a.dtype() == DType::bool_)
    throw TypeError("both operands must have the same dtype, and not bool");
  return static_cast<std::size_t>(a.rank() - 4);
}

/// The result's sizes from its three parts.
Type joined(const Expr& a, const Expr& b, std::size_t lead, Dim outer, Dim inner, Dims spatial) {
  Type result{a.dtype(), {}};
  if (lead) {
    result.dims.push_back(windows::shared_size(a.dims()[0], b.dims()[0], "the groups number",
                                               "those of the other operand"));
  }
  result.dims.insert(result.dims.end(), {outer, inner});
  result.dims.insert(result.dims.end(), spatial.begin(), spatial.end());
  return result;
}

Type convolution_type(Args x, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  const std::size_t lead = lead_of(x[0], x[1]);
  const Dims &in = x[0].dims(), &w = x[1].dims();
  windows::shared_size(in[lead + 1], w[lead + 1], "the channels of the input number",
                       "those of the filters");
  Dims out;
  for (std::size_t k = 0; k < 2; ++k)
    out.push_back(window_count(in[lead + 2 + k], w[lead + 2 + k], windows[k]));
  return joined(x[0], x[1], lead, in[lead], w[lead], out);
}

Type convolution_data_type(Args x, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  const std::size_t lead = lead_of(x[0], x[1]);
  const Dims &y = x[0].dims(), &w = x[1].dims(), in = records::dims_of(x.subspan(2));
  windows::shared_size(y[lead + 1], w[lead], "the channels of the input number", "the filters");
  for (std::size_t k = 0; k < 2; ++k)
    require_count(y[lead + 2 + k], in[k], w[lead + 2 + k], windows[k], k);
  return joined(x[0], x[1], lead, y[lead], w[lead + 1], in);
}

Type convolution_filters_type(Args x, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  const std::size_t lead = lead_of(x[0], x[1]);
  const Dims &in = x[0].dims(), &y = x[1].dims(), width = records::dims_of(x.subspan(2));
  windows::shared_size(in[lead], y[lead], "the examples number", "those of the other operand");
  for (std::size_t k = 0; k < 2; ++k)
    require_count(y[lead + 2 + k], in[lead + 2 + k], width[k], windows[k], k);
  return joined(x[0], x[1], lead, y[lead + 1], in[lead + 1], width);
}

Expr convolution(const Expr& x, const Expr& w, const Attrs& windows) {
  return apply(convolution_op, {x, w}, windows);
}
Expr convolution_data(const Expr& y, const Expr& w, const std::vector<Expr>& in,
                      const Attrs& windows) {
  return apply(convolution_data_op, {y, w, in[0], in[1]}, windows);
}
Expr convolution_filters(const Expr& x, const Expr& y, const std::vector<Expr>& width,
                         const Attrs& windows) {
  return apply(convolution_filters_op, {x, y, width[0], width[1]}, windows);
}

// References
// ----------------------------------------------------------------------------------------------

/// Calls f(i, j, k) for every product in the sum: elements i of x, j of w and k of y.
template <class F>
void for_each_product(const windows::ConvolutionSizes& s, F&& f) {
  const auto seen_at = [&](std::size_t axis, std::int64_t o, std::int64_t k) {
    const windows::Window& window = s.window[axis];
    return o * window.stride - window.before + k * window.dilation;
  };
  const std::int64_t maps = s.groups * s.examples * s.filters;
  for (std::int64_t map = 0; map < maps; ++map) {
    const std::int64_t filter = map % s.filters, example = map / s.filters;
    const std::int64_t group = example / s.examples;
    for (std::int64_t o = 0; o < s.out_area(); ++o) {
      for (std::int64_t ck = 0; ck < s.channels * s.width_area(); ++ck) {
        const std::int64_t c = ck / s.width_area(), k = ck % s.width_area();
        const std::int64_t row = seen_at(0, o / s.out[1], k / s.width[1]),
                           column = seen_at(1, o % s.out[1], k % s.width[1]);
        if (row < 0 || row >= s.in[0] || column < 0 || column >= s.in[1]) continue;
        f(((example * s.channels + c) * s.in[0] + row) * s.in[1] + column,
          (group * s.filters + filter) * s.channels * s.width_area() + ck, map * s.out_area() + o);
      }
    }
  }
}

/// to[i] += a[j] * b[k] over all products, where `pick` says which of the three tensors is which.
/// Sums are kept in double, so that what is compared with them is judged by its own rounding.
template <class Pick>
Tensor sum_of_products(const windows::ConvolutionSizes& s, const Tensor& a, const Tensor& b,
                       const Shape& shape, Pick&& pick) {
  return dispatch(a.dtype(), [&]<class T> {
    using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
    std::vector<Wide> total(static_cast<std::size_t>(element_count(shape)));
    const auto left = a.data<T>(), right = b.data<T>();
    for_each_product(s, [&](std::int64_t x, std::int64_t w, std::int64_t y) {
      const auto at = pick(static_cast<std::size_t>(x), static_cast<std::size_t>(w),
                           static_cast<std::size_t>(y));
      total[at[0]] += static_cast<Wide>(left[at[1]]) * static_cast<Wide>(right[at[2]]);
    });
    Tensor result(dtype_of<T>(), shape);
    std::ranges::transform(total, result.template data<T>().begin(),
                           [](Wide sum) { return static_cast<T>(sum); });
    return result;
  });
}

using Three = std::array<std::size_t, 3>;

Tensor convolution_reference(Values in, const Attrs& attrs) {
  const windows::Windows windows = windows::windows_of(attrs);
  const Shape &x = in[0]->shape(), &w = in[1]->shape();
  const std::size_t lead = x.size() - 4;
  Shape y(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(lead) + 1);
  y.push_back(w[lead]);
  for (std::size_t k = 0; k < 2; ++k) {
    windows::Window window = windows[k];
    window.width = w[lead + 2 + k];
    y.push_back(window.count(x[lead + 2 + k]));
  }
  return sum_of_products(windows::ConvolutionSizes(x, w, y, attrs), *in[0], *in[1], y,
                         [](std::size_t i, std::size_t j, std::size_t k) {
                           return Three{k, i, j};
                         });
}

/// The leading sizes of a result that ends in the sizes given as inputs.
Shape with_spatial(Values in, std::int64_t outer, std::int64_t inner) {
  Shape result;
  if (in[0]->rank() == 5) result.push_back(in[0]->shape()[0]);
  result.insert(result.end(), {outer, inner});
  for (const std::int64_t n : records::shape_of(in.subspan(2))) result.push_back(n);
  return result;
}

Tensor convolution_data_reference(Values in, const Attrs& attrs) {
  const Shape &y = in[0]->shape(), &w = in[1]->shape();
  const std::size_t lead = y.size() - 4;
  const Shape x = with_spatial(in, y[lead], w[lead + 1]);
  return sum_of_products(windows::ConvolutionSizes(x, w, y, attrs), *in[0], *in[1], x,
                         [](std::size_t i, std::size_t j, std::size_t k) {
                           return Three{i, k, j};
                         });
}

Tensor convolution_filters_reference(Values in, const Attrs& attrs) {
  const Shape &x = in[0]->shape(), &y = in[1]->shape();
  const std::size_t lead = x.size() - 4;
  const Shape w = with_spatial(in, y[lead + 1], x[lead + 1]);
  return sum_of_products(windows::ConvolutionSizes(x, w, y, attrs), *in[0], *in[1], w,
                         [](std::size_t i, std::size_t j, std::size_t k) {
                           return Three{j, i, k};
                         });
}

// Derivatives
// ----------------------------------------------------------------------------------------------

Grads convolution_grad(Args x, const Expr& y, const Expr& gy) {
  const Attrs& windows = y.attrs();
  return {convolution_data(gy, x[1], windows::spatial_sizes(x[0]), windows),
          convolution_filters(x[0], gy, windows::spatial_sizes(x[1]), windows)};
}

Grads convolution_data_grad(Args x, const Expr& y, const Expr& gy) {
  const Attrs& windows = y.attrs();
  return {convolution(gy, x[1], windows),
          convolution_filters(gy, x[0], windows::spatial_sizes(x[1]), windows)};
}

Grads convolution_filters_grad(Args x, const Expr& y, const Expr& gy) {
  const Attrs& windows = y.attrs();
  return {convolution_data(x[1], gy, windows::spatial_sizes(x[0]), windows),
          convolution(x[0], gy, windows)};
}

/// Which axis of an operand, after the groups, the sum does not run over, and where it stands in
/// the result.
struct FreeAxis {
  std::int64_t from, to;
};

FreeAxis free_axis(const Op& op, std::size_t operand) {
  if (&op == &convolution_op) return operand == 0 ? FreeAxis{0, 0} : FreeAxis{0, 1};
  if (&op == &convolution_data_op) return operand == 0 ? FreeAxis{0, 0} : FreeAxis{1, 1};
  return operand == 0 ? FreeAxis{1, 1} : FreeAxis{1, 0};
}

/// x with its axis 0 moved to just before what is axis `to` without it, and merged with it.
Expr first_axis_into(const Expr& x, std::int64_t to) {
  std::vector<std::int64_t> order;
  std::vector<Expr> merged;
  const std::vector<Expr> all = sizes(x);
  for (std::int64_t axis = 1; axis < x.rank(); ++axis) {
    const auto k = static_cast<std::size_t>(axis);
    if (axis - 1 == to) order.push_back(0);
    order.push_back(axis);
    merged.push_back(axis - 1 == to ? product({all[0], all[k]}) : all[k]);
  }
  return reshape(dimshuffle(x, order), merged);
}

/// The inverse: axis `at` divided into `count` and the rest, and `count` moved to the front.
Expr first_axis_from(const Expr& y, std::int64_t at, const Expr& count, const Expr& rest) {
  std::vector<Expr> divided;
  std::vector<std::int64_t> order{at};
  const std::vector<Expr> all = sizes(y);
  for (std::int64_t axis = 0; axis < y.rank(); ++axis) {
    if (axis == at) divided.push_back(count);
    divided.push_back(axis == at ? rest : all[static_cast<std::size_t>(axis)]);
    order.push_back(axis < at ? axis : axis + 1);
  }
  return dimshuffle(reshape(y, divided), order);
}

/// Many of one operand are more of its free axis; many pairs are groups.
Expr batch_convolution(Args x, const std::vector<bool>& batched, const Expr& y) {
  const bool grouped = y.rank() == 5;
  const auto with = [&](const Expr& a, const Expr& b) {
    std::vector<Expr> inputs{a, b};
    inputs.insert(inputs.end(), y.inputs().begin() + 2, y.inputs().end());
    return apply(y.op(), std::move(inputs), y.attrs(), y->where);
  };
  if (batched[0] && batched[1]) {
    if (!grouped) return with(x[0], x[1]);
    const Expr all = with(first_axis_into(x[0], 0), first_axis_into(x[1], 0));
    return first_axis_from(all, 0, size(x[0], 0), size(y, 0));
  }
  const std::size_t many = batched[0] ? 0 : 1;
  const FreeAxis axis = free_axis(y.op(), many);
  const std::int64_t from = axis.from + grouped, to = axis.to + grouped;
  const Expr wide = first_axis_into(x[many], from);
  return first_axis_from(many == 0 ? with(wide, x[1]) : with(x[0], wide), to, size(x[many], 0),
                         size(y, to));
}

std::int64_t follow_convolution(Args, std::span<const std::int64_t> axes, const Expr& y) {
  const std::int64_t lead = y.rank() - 4;
  if (lead == 1 && std::max(axes[0], axes[1]) == 0) return 0;
  if (axes[0] >= 0 && axes[1] >= 0) return -1;
  const std::size_t operand = axes[0] >= 0 ? 0 : 1;
  const FreeAxis free = free_axis(y.op(), operand);
  return axes[operand] == free.from + lead ? free.to + lead : -1;
}

/// Spatial sizes of a result that are inputs.
Expr given_size(const Expr& y, std::int64_t axis) {
  return Expr(y.inputs()[static_cast<std::size_t>(axis - y.rank() + 4)]);
}

double count_flops(const windows::ConvolutionSizes& s) {
  return 2.0 * static_cast<double>(s.groups * s.examples * s.filters) *
         static_cast<double>(s.meetings());
}

// Examples
// ----------------------------------------------------------------------------------------------

struct Case {
  Shape x, w;
  ConvOptions options = {};
};

std::vector<Case> cases() {
  return {{{2, 3, 5, 6}, {4, 3, 3, 2}},
          {{2, 2, 7, 5}, {3, 2, 3, 3}, {.stride = 2, .padding = 1}},
          {{1, 2, 6, 7}, {2, 2, 2, 3}, {.stride = {2, 3}, .padding = {{0, 1}, {2, 1}}}},
          {{2, 1, 7, 6}, {2, 1, 2, 2}, {.padding = {2, 0}, .dilation = {3, 2}}},
          {{2, 2, 5, 4}, {1, 2, 4, 3}, {.padding = {{1, 2}, {1, 1}}}},
          {{1, 2, 6, 5}, {2, 2, 3, 3}, {.stride = 2, .padding = 2, .dilation = 2}},
          {{2, 3, 4, 3}, {2, 3, 1, 1}},
          {{2, 1, 1, 1}, {1, 1, 3, 3}, {.padding = 1}},
          {{1, 1, 5, 5}, {1, 1, 5, 5}},
          {{2, 4, 4, 4}, {6, 2, 2, 2}, {.stride = 2, .groups = 2}},
          {{2, 3, 4, 4}, {3, 1, 3, 3}, {.padding = 1, .groups = 3, .flip = true}},
          {{0, 2, 4, 4}, {3, 2, 2, 2}},
          {{2, 0, 4, 4}, {3, 0, 2, 2}},
          {{2, 1, 6}, {3, 1, 3}, {.stride = 2, .padding = {{1, 0}}}},
          {{2, 4, 5}, {2, 2, 2}, {.dilation = 2, .groups = 2, .flip = true}},
          {{9, 2, 20, 30}, {5, 2, 4, 3}, {.padding = 1}}};
}

Type float64(const Shape& shape) { return {DType::float64, to_dims(shape)}; }

Expr conv(const Arg& x, const Arg& w, const ConvOptions& options) {
  return x->rank() == 3 ? conv1d(x, w, options) : conv2d(x, w, options);
}

std::vector<Example> convolution_examples() {
  std::vector<Example> result;
  for (const Case& c : cases()) {
    result.push_back({{float64(c.x), float64(c.w)},
                      [options = c.options](Args x) { return conv(x[0], x[1], options); }});
  }
  // Operands that lie in memory the other way round.
  result.push_back({{float64({4, 2, 3, 5}), float64({3, 3, 2, 4})}, [](Args x) {
                      return conv2d(transpose(x[0], {1, 2, 3, 0}), transpose(x[1], {3, 1, 2, 0}));
                    }});
  return result;
}

std::vector<Example> convolution_data_examples() {
  return {
      {{float64({2, 4, 3, 5}), float64({4, 3, 3, 2})},
       [](Args x) { return conv_transpose2d(x[0], x[1]); }},
      {{float64({2, 3, 4, 3}), float64({3, 2, 3, 3})},
       [](Args x) {
         return conv_transpose2d(x[0], x[1], {.stride = 2, .padding = 1, .output_padding = {0, 1}});
       }},
      {{float64({1, 2, 2, 3}), float64({2, 1, 3, 2})},
       [](Args x) {
         return conv_transpose2d(x[0], x[1],
                                 {.stride = 3,
                                  .padding = {{2, 2}, {1, 1}},
                                  .output_padding = 2,
                                  .dilation = 2,
                                  .flip = true});
       }},
      {{float64({2, 4, 2, 2}), float64({4, 3, 2, 2})},
       [](Args x) { return conv_transpose2d(x[0], x[1], {.stride = 2, .groups = 2}); }},
      {{float64({2, 3, 4, 1}), float64({3, 2, 1, 1})},
       [](Args x) { return conv_transpose2d(x[0], x[1]); }},
      {{float64({0, 2, 3, 3}), float64({2, 2, 2, 2})},
       [](Args x) { return conv_transpose2d(x[0], x[1]); }},
      {{float64({2, 3, 4}), float64({3, 1, 3})}, [](Args x) {
         return conv_transpose1d(x[0], x[1], {.stride = 2, .padding = 1, .output_padding = 1});
       }}};
}

std::vector<Example> convolution_filters_examples() {
  const auto example = [](const Shape& x, const Shape& y, std::int64_t height, std::int64_t width,
                          const std::vector<windows::Window>& windows) {
    return Example{{float64(x), float64(y)}, [=](Args in) {
                     return convolution_filters(in[0], in[1],
                                                {constant(Tensor(height)), constant(Tensor(width))},
                                                attrs_of(along_two(windows)));
                   }};
  };
  const windows::Window plain, strided{1, 2, 1, 1, 1}, uneven{1, 3, 0, 1, 2};
  return {example({2, 3, 5, 6}, {2, 4, 3, 5}, 3, 2, {plain, plain}),
          example({2, 2, 7, 5}, {2, 3, 4, 3}, 3, 3, {strided, strided}),
          example({1, 2, 6, 7}, {1, 2, 2, 2}, 2, 3, {uneven, uneven}),
          example({3, 2, 2, 3}, {3, 2, 2, 3}, 1, 1, {plain, plain}),
          example({0, 2, 4, 4}, {0, 3, 3, 3}, 2, 2, {plain, plain}),
          example({2, 3, 1, 4, 4}, {2, 3, 2, 3, 3}, 2, 2, {plain, plain}),
          example({40, 2, 12, 12}, {40, 5, 9, 9}, 4, 4, {plain, plain})};
}

}  // namespace

constinit const Op convolution_op{
    .name = "convolution",
    .type = convolution_type,
    .reference = convolution_reference,
    .grad = convolution_grad,
    .batch = batch_convolution,
    .follow = follow_convolution,
    .size_of =
        [](const Expr& y, std::int64_t axis) {
          const Expr &x = y.inputs()[0], &w = y.inputs()[1];
          const auto k = static_cast<std::size_t>(axis - y.rank() + 2);
          return window_count(size(x, axis), size(w, axis), windows::windows_of(y.attrs())[k]);
        },
    .runs =
        Kernel{.run = windows::convolution_kernel,
               .accepts = windows::convolution_accepts,
               .flops =
                   [](const Expr& y) {
                     return count_flops({y.inputs()[0].type().shape(), y.inputs()[1].type().shape(),
                                         y.type().shape(), y.attrs()});
                   }},
    .examples = convolution_examples,
};

constinit const Op convolution_data_op{
    .name = "convolution_data",
    .type = convolution_data_type,
    .reference = convolution_data_reference,
    .sizes_from = 2,
    .grad = convolution_data_grad,
    .batch = batch_convolution,
    .follow = follow_convolution,
    .size_of = given_size,
    .runs = Kernel{.run = windows::convolution_data_kernel,
                   .accepts = windows::convolution_accepts,
                   .flops =
                       [](const Expr& x) {
                         return count_flops({x.type().shape(), x.inputs()[1].type().shape(),
                                             x.inputs()[0].type().shape(), x.attrs()});
                       }},
    .examples = convolution_data_examples,
};

constinit const Op convolution_filters_op{
    .name = "convolution_filters",
    .type = convolution_filters_type,
    .reference = convolution_filters_reference,
    .sizes_from = 2,
    .grad = convolution_filters_grad,
    .batch = batch_convolution,
    .follow = follow_convolution,
    .size_of = given_size,
    .runs = Kernel{.run = windows::convolution_filters_kernel,
                   .accepts = windows::convolution_accepts,
                   .flops =
                       [](const Expr& w) {
                         return count_flops({w.inputs()[0].type().shape(), w.type().shape(),
                                             w.inputs()[1].type().shape(), w.attrs()});
                       }},
    .examples = convolution_filters_examples,
};

}  // namespace cinch
