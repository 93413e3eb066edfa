#include "ops/cumulative.hpp"

#include <algorithm>

#include "core/team.hpp"
#include "ops/arithmetic.hpp"
#include "ops/index.hpp"
#include "ops/positions.hpp"
#include "ops/shape.hpp"
#include "ops/xtensor_view.hpp"

namespace cinch {

namespace {

/// attrs.ints of a cumsum.
enum : std::size_t { axis_at, backward_at };

/// Row after row of the elements that lie behind each other, blocks before the axis in parallel.
void cumsum_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  if (out.size() == 0) return;
  const Lanes lanes(out.shape, attrs.ints[axis_at]);
  const std::int64_t n = lanes.n, inner = lanes.inner, blocks = lanes.count / inner;
  const bool backward = attrs.ints[backward_at] != 0;
  const std::int64_t step = backward ? -inner : inner;
  dispatch(out.dtype, [&]<class T> {
    if constexpr (!std::is_same_v<T, bool>) {
      const std::int64_t parts = parts_for(static_cast<double>(out.size()), blocks);
      share_work(parts, [&](std::int64_t part) {
        const Span own = part_of(blocks, 1, parts, part);
        for (std::int64_t i = own.begin; i < own.end; ++i) {
          const std::int64_t first = (i * n + (backward ? n - 1 : 0)) * inner;
          const T* x = in[0].as<T>() + first;
          T* y = out.as<T>() + first;
          std::copy_n(x, inner, y);
          for (std::int64_t k = 1; k < n; ++k, y += step) {
            x += step;
            for (std::int64_t j = 0; j < inner; ++j) y[step + j] = static_cast<T>(y[j] + x[j]);
          }
        }
      });
    }
  });
}

/// Each sum by itself, from the first element on.
Tensor cumsum_reference(Values in, const Attrs& attrs) {
  const auto axis = static_cast<std::size_t>(attrs.ints[axis_at]);
  const Shape& shape = in[0]->shape();
  Tensor result(in[0]->dtype(), shape);
  dispatch(result.dtype(), [&]<class T> {
    const auto from = view<T>(*in[0]);
    auto to = view<T>(result);
    for_each_index(shape, [&](const std::vector<std::size_t>& here) {
      std::vector<std::size_t> there = here;
      T sum{};
      const bool backward = attrs.ints[backward_at] != 0;
      const std::size_t count =
          backward ? static_cast<std::size_t>(shape[axis]) - here[axis] : here[axis] + 1;
      for (std::size_t k = 0; k < count; ++k) {
        there[axis] = backward ? static_cast<std::size_t>(shape[axis]) - 1 - k : k;
        sum = static_cast<T>(sum + from.element(there.begin(), there.end()));
      }
      to.element(here.begin(), here.end()) = sum;
    });
  });
  return result;
}

Direction direction_of(const Expr& y) {
  return y.attrs().ints[backward_at] ? Direction::backward : Direction::forward;
}

}  // namespace

constinit const Op cumsum_op{
    .name = "cumsum",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = cumsum_reference,
    .operands = Operands::numeric,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      const bool backward = y.attrs().ints[backward_at] != 0;
      return {
          cumsum(gy, y.attrs().ints[axis_at], backward ? Direction::forward : Direction::backward)};
    },
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return cumsum(x[0], y.attrs().ints[axis_at] + 1, direction_of(y));
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] == y.attrs().ints[axis_at] ? -1 : axes[0];
    },
    .kernel = cumsum_kernel,
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result;
      for (const auto& [dims, axis] : std::vector<std::pair<Dims, std::int64_t>>{{{5}, 0},
                                                                                 {{3, 4}, 1},
                                                                                 {{3, 4}, 0},
                                                                                 {{2, 3, 4}, -2},
                                                                                 {{3, 1}, 1},
                                                                                 {{0, 3}, 1},
                                                                                 {{3, 0}, 1}}) {
        for (const Direction direction : {Direction::forward, Direction::backward}) {
          result.push_back({{Type{DType::float64, dims}}, [axis = axis, direction](Args x) {
                              return cumsum(x[0], axis, direction);
                            }});
        }
      }
      return result;
    },
};

Expr cumsum(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  return apply(cumsum_op, {x},
               {.ints = {axis_of("cumsum", x, axis), direction == Direction::backward}}, x.where());
}

Expr cumprod(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  axis = axis_of("cumprod", x, axis);
  const Expr numbers = x->dtype() == DType::bool_ ? cast(x, DType::int64) : x.expr();
  return numbers * recurrence(numbers, zeros_like(numbers), axis, direction, 1);
}

Expr diff(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("diff", x, axis);
  return slice_from(x, 1, axis) - slice(x, 0, -1, axis);
}

}  // namespace cinch
