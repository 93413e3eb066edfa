#include "cinch/ops/cumulative.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/op.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/attributes.hpp"
#include "cinch/ops/reference/positions.hpp"
#include "cinch/ops/reference/xtensor_view.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

using records::Running;
using records::RunningExtreme;

constexpr double inf = std::numeric_limits<double>::infinity();

/// What running sums are kept in: float32 would lose digits in proportion to their number.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;

/// Running sums of Rows rows of n elements that lie one behind the other: several at once, because
/// each waits for its last addition.
template <class T, int Rows>
void sum_along(const T* x, T* y, std::int64_t n, bool backward) {
  Sum<T> sums[Rows] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t k = backward ? n - 1 - i : i;
    for (int r = 0; r < Rows; ++r) {
      sums[r] = static_cast<Sum<T>>(sums[r] + x[r * n + k]);
      y[r * n + k] = static_cast<T>(sums[r]);
    }
  }
}

/// Row after row of the elements that lie behind each other, a few columns at a time, blocks before
/// the axis in parallel.
void cumsum_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  if (out.size() == 0) return;
  const references::Lanes lanes(out.shape, Running::of(attrs).axis);
  const std::int64_t n = lanes.n, inner = lanes.inner, blocks = lanes.count / inner;
  const bool backward = Running::of(attrs).backward;
  const std::int64_t step = backward ? -inner : inner;
  dispatch(out.dtype, [&]<class T> {
    if constexpr (!std::is_same_v<T, bool>) {
      const std::int64_t parts =
          running::parts_for(running::cost::scanned * static_cast<double>(out.size()), blocks);
      running::share_work(parts, [&](std::int64_t part) {
        running::Span own = running::part_of(blocks, 1, parts, part);
        if (inner == 1) {
          constexpr int rows = 8;
          const auto at = [&](std::int64_t i) { return in[0].as<T>() + i * n; };
          for (; own.begin + rows <= own.end; own.begin += rows)
            sum_along<T, rows>(at(own.begin), out.as<T>() + own.begin * n, n, backward);
          for (; own.begin < own.end; ++own.begin)
            sum_along<T, 1>(at(own.begin), out.as<T>() + own.begin * n, n, backward);
        }
        for (std::int64_t i = own.begin; i < own.end; ++i) {
          constexpr std::int64_t most = 64;
          for (std::int64_t column = 0; column < inner; column += most) {
            const std::int64_t columns = std::min(most, inner - column),
                               first = (i * n + (backward ? n - 1 : 0)) * inner + column;
            const T* x = in[0].as<T>() + first;
            T* y = out.as<T>() + first;
            Sum<T> sums[most] = {};
            for (std::int64_t k = 0; k < n; ++k) {
              for (std::int64_t j = 0; j < columns; ++j) {
                sums[j] = static_cast<Sum<T>>(sums[j] + x[j]);
                y[j] = static_cast<T>(sums[j]);
              }
              if (k + 1 < n) x += step, y += step;
            }
          }
        }
      });
    }
  });
}

/// Lane after lane, each from its first element on.
Tensor cumsum_reference(Values in, const Attrs& attrs) {
  const bool backward = Running::of(attrs).backward;
  const references::Lanes lanes(in[0]->shape(), Running::of(attrs).axis);
  Tensor result(in[0]->dtype(), in[0]->shape());
  if (result.size() == 0) return result;
  dispatch(result.dtype(), [&]<class T> {
    const auto x = in[0]->data<T>();
    const auto y = result.data<T>();
    for (std::int64_t lane = 0; lane < lanes.count; ++lane) {
      Sum<T> sum{};
      for (std::int64_t k = 0; k < lanes.n; ++k) {
        const std::int64_t place = backward ? lanes.n - 1 - k : k;
        const auto at = static_cast<std::size_t>(lanes.first(lane) + place * lanes.inner);
        sum = static_cast<Sum<T>>(sum + x[at]);
        y[at] = static_cast<T>(sum);
      }
    }
  });
  return result;
}

Direction direction_of(const Expr& y) {
  return Running::of(y.attrs()).backward ? Direction::backward : Direction::forward;
}

/// Whether `x` takes the place of what was the largest (or smallest) so far.
template <class T>
bool exceeds(T x, T best, bool smallest) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(best)) return false;
    if (std::isnan(x)) return true;
  }
  return smallest ? x < best : best < x;
}

void running_argmax_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  if (out.size() == 0) return;
  const RunningExtreme r = RunningExtreme::of(attrs);
  const references::Lanes lanes(out.shape, r.axis);
  const bool backward = r.backward, smallest = r.smallest;
  const std::int64_t begin = backward ? lanes.n - 1 : 0, step = backward ? -1 : 1;
  dispatch(in[0].dtype, [&]<class T> {
    const std::int64_t parts = running::parts_for(
        running::cost::argument_scanned * static_cast<double>(out.size()), lanes.count);
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(lanes.count, 1, parts, part);
      for (std::int64_t lane = own.begin; lane < own.end; ++lane) {
        const T* x = in[0].as<T>() + lanes.first(lane);
        auto* y = out.as<std::int64_t>() + lanes.first(lane);
        std::int64_t best = begin;
        for (std::int64_t i = 0, k = begin; i < lanes.n; ++i, k += step) {
          if (exceeds(x[k * lanes.inner], x[best * lanes.inner], smallest)) best = k;
          y[k * lanes.inner] = best;
        }
      }
    });
  });
}

/// Of each element, over all that come before it on its side.
Tensor running_argmax_reference(Values in, const Attrs& attrs) {
  Tensor result(DType::int64, in[0]->shape());
  if (result.size() == 0) return result;
  const RunningExtreme r = RunningExtreme::of(attrs);
  const references::Lanes lanes(in[0]->shape(), r.axis);
  const bool backward = r.backward, smallest = r.smallest;
  const auto places = result.data<std::int64_t>();
  dispatch(in[0]->dtype(), [&]<class T> {
    const auto x = in[0]->data<T>();
    for (std::int64_t lane = 0; lane < lanes.count; ++lane) {
      const auto at = [&](std::int64_t k) {
        const std::int64_t place = backward ? lanes.n - 1 - k : k;
        return static_cast<std::size_t>(lanes.first(lane) + place * lanes.inner);
      };
      for (std::int64_t k = 0, best = 0; k < lanes.n; ++k) {
        if (exceeds(x[at(k)], x[at(best)], smallest)) best = k;
        places[at(k)] = backward ? lanes.n - 1 - best : best;
      }
    }
  });
  return result;
}

}  // namespace

constinit const Op running_argmax_op{
    .name = "running_argmax",
    .type = [](Args x, const Attrs&) -> Type {
      return {DType::int64, x[0].dims()};
    },
    .reference = running_argmax_reference,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          RunningExtreme more = RunningExtreme::of(y.attrs());
          ++more.axis;
          return apply(running_argmax_op, {x[0]}, more.attrs());
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] == RunningExtreme::of(y.attrs()).axis ? -1 : axes[0];
    },
    .runs = Kernel{.run = running_argmax_kernel},
    .examples = []() -> std::vector<Example> {
      std::vector<Example> result;
      for (const Direction direction : {Direction::forward, Direction::backward}) {
        for (const auto& [dims, axis] : std::vector<std::pair<Dims, std::int64_t>>{
                 {{9}, 0}, {{3, 4}, 0}, {{2, 5, 3}, 1}, {{0, 3}, 1}, {{3, 0}, 1}}) {
          const Type type{DType::float64, dims};
          result.push_back({{type}, [axis = axis, direction](Args x) {
                              return cummax_positions(x[0], axis, direction);
                            }});
          result.push_back({{type}, [axis = axis, direction](Args x) {
                              return cummin_positions(x[0], axis, direction);
                            }});
        }
      }
      result.push_back(
          {{Type{DType::int64, {4, 6}}}, [](Args x) { return cummax_positions(x[0], 1); }, {3}});
      return result;
    },
};

constinit const Op cumsum_op{
    .name = "cumsum",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = cumsum_reference,
    .operands = Operands::numeric,
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads {
      const auto [axis, backward] = Running::of(y.attrs());
      return {cumsum(gy, axis, backward ? Direction::forward : Direction::backward)};
    },
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return cumsum(x[0], Running::of(y.attrs()).axis + 1, direction_of(y));
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] == Running::of(y.attrs()).axis ? -1 : axes[0];
    },
    .runs = Kernel{.run = cumsum_kernel},
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
  const Running along{axis_of("cumsum", x, axis), direction == Direction::backward};
  return apply(cumsum_op, {x}, along.attrs(), x.where());
}

Expr cumprod(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  axis = axis_of("cumprod", x, axis);
  const Expr numbers = x->dtype() == DType::bool_ ? cast(x, DType::int64) : x.expr();
  return numbers * recurrence(numbers, zeros_like(numbers), axis, direction, 1);
}

namespace {

Expr extreme_positions(const char* name, const Arg& x, std::int64_t axis, Direction direction,
                       bool smallest) {
  const RunningExtreme along{axis_of(name, x, axis), direction == Direction::backward, smallest};
  return apply(running_argmax_op, {x}, along.attrs(), x.where());
}

}  // namespace

Expr cummax_positions(const Arg& x, std::int64_t axis, Direction direction) {
  return extreme_positions("cummax_positions", x, axis, direction, /*smallest=*/false);
}

Expr cummin_positions(const Arg& x, std::int64_t axis, Direction direction) {
  return extreme_positions("cummin_positions", x, axis, direction, /*smallest=*/true);
}

Expr cummax(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  return take_along_axis(x, extreme_positions("cummax", x, axis, direction, false), axis);
}

Expr cummin(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  return take_along_axis(x, extreme_positions("cummin", x, axis, direction, true), axis);
}

Expr logcumsumexp(const Arg& x, std::int64_t axis, Direction direction) {
  const Attribution as(x.where());
  axis = axis_of("logcumsumexp", x, axis);
  if (direction == Direction::backward) return reverse(logcumsumexp(reverse(x, axis), axis), axis);
  const Expr real = is_float(x->dtype()) ? x.expr() : cast(x, DType::float64);
  // Relative to the largest so far, which cancels, the sums are a recurrence whose factors are at
  // most 1: s[k] = exp(m[k - 1] - m[k]) s[k - 1] + exp(x[k] - m[k]).
  const Expr m = stop_gradient(cummax(real, axis));
  const Expr shift = switch_(abs(m) < inf, m, 0);
  const auto last_kept = [&](const Expr& e) { return slice(e, 0, -1, axis); };
  const Expr first = zeros_like(slice(real, 0, 1, axis));
  const Expr factors =
      switch_(last_kept(m) > -inf, exp(last_kept(shift) - slice_from(shift, 1, axis)), 0);
  // The recurrence gives its start first, which is dropped, and uses no last coefficients.
  const Expr a = concatenate({first, factors, first}, axis),
             b = concatenate({exp(real - shift), first}, axis);
  const Expr total = slice_from(recurrence(a, b, axis, Direction::forward, 0), 1, axis);
  const Expr none = equal(total, 0);
  return switch_(none, -inf, shift + log(switch_(none, 1, total)));
}

Expr diff(const Arg& x, std::int64_t axis) {
  const Attribution as(x.where());
  axis = axis_of("diff", x, axis);
  return slice_from(x, 1, axis) - slice(x, 0, -1, axis);
}

}  // namespace cinch
