#include "ops/random.hpp"

#include <array>
#include <cmath>
#include <numbers>
#include <xtensor/xarray.hpp>

#include "core/team.hpp"
#include "ops/arithmetic.hpp"
#include "ops/index.hpp"
#include "ops/kernels.hpp"
#include "ops/reduce.hpp"
#include "ops/shape.hpp"
#include "ops/sizes.hpp"
#include "ops/threefry.hpp"

namespace cinch {

namespace {

/// Numbers 2k and 2k + 1 of a draw, from the state {seed, draw, calls}.
WordPair bits(const std::int64_t* state, std::uint64_t k) {
  return threefry({static_cast<std::uint64_t>(state[0]), static_cast<std::uint64_t>(state[1])},
                  {static_cast<std::uint64_t>(state[2]), k});
}

template <class T>
std::array<T, 2> uniform_pair(WordPair words) {
  return {unit_of<T>(words.a), unit_of<T>(words.b)};
}

/// Box and Muller, 1958, in double precision whatever T is.
template <class T>
std::array<T, 2> normal_pair(WordPair words) {
  const double radius = std::sqrt(-2 * std::log(1 - unit_of<double>(words.a)));
  const double angle = 2 * std::numbers::pi * unit_of<double>(words.b);
  return {static_cast<T>(radius * std::cos(angle)), static_cast<T>(radius * std::sin(angle))};
}

Type random_type(Args x, const Attrs& attrs) {
  if (x[0].dtype() != DType::int64 || x[0].rank() != 1)
    throw TypeError("the state must be an int64 vector");
  return {attrs.dtype, dims_of(x.subspan(1))};
}

/// Element by element, each from its own counter, through an xtensor container.
template <bool Normal>
Tensor random_reference(Values in, const Attrs& attrs) {
  Tensor result(attrs.dtype, shape_of(in.subspan(1)));
  const std::int64_t* state = in[0]->data<std::int64_t>().data();
  return dispatch_float(attrs.dtype, [&]<class T> {
    xt::xarray<T> values = xt::zeros<T>({static_cast<std::size_t>(result.size())});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const WordPair words = bits(state, i / 2);
      values(i) = (Normal ? normal_pair<T>(words) : uniform_pair<T>(words))[i % 2];
    }
    std::copy(values.begin(), values.end(), result.data<T>().begin());
    return result;
  });
}

template <bool Normal>
void random_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const RandomKernels& table = kernels().random;
  const auto fill = (Normal ? table.normal : table.uniform)[out.dtype == DType::float64];
  const std::int64_t n = out.size();
  const auto width = static_cast<std::int64_t>(size_of(out.dtype));
  const std::int64_t unit = 128, units = (n + unit - 1) / unit;
  const std::int64_t parts = parts_for(static_cast<double>(n) * (Normal ? 5 : 0.5), units);
  share_work(parts, [&](std::int64_t part) {
    const Span own = part_of(n, unit, parts, part);
    fill(in[0].as<std::int64_t>(), own.begin / 2, out.as<std::byte>() + own.begin * width,
         own.end - own.begin);
  });
}

std::int64_t no_follow(Args, std::span<const std::int64_t>, const Expr&) { return -1; }

Expr drawn_size(const Expr& y, std::int64_t axis) {
  return y.inputs()[static_cast<std::size_t>(axis) + 1];
}

template <DType D>
std::vector<Example> random_examples(const Op& op) {
  const auto build = [&op](const Shape& shape) {
    return [&op, shape](Args x) {
      std::vector<Expr> inputs{x[0]};
      for (const std::int64_t n : shape) inputs.push_back(constant(Tensor(n)));
      return apply(op, inputs, {.dtype = D});
    };
  };
  const Type state{DType::int64, {3}};
  return {{{state}, build({3, 5}), {1000}},
          {{state}, build({}), {1000}},
          {{state}, build({0, 2}), {1000}}};
}

}  // namespace

constinit const Op random_uniform_op{
    .name = "random_uniform",
    .type = random_type,
    .reference = random_reference<false>,
    .sizes_from = 1,
    .follow = no_follow,
    .size_of = drawn_size,
    .kernel = random_kernel<false>,
    .examples = [] { return random_examples<DType::float64>(random_uniform_op); },
};

constinit const Op random_normal_op{
    .name = "random_normal",
    .type = random_type,
    .reference = random_reference<true>,
    .sizes_from = 1,
    .follow = no_follow,
    .size_of = drawn_size,
    .kernel = random_kernel<true>,
    .examples = [] { return random_examples<DType::float32>(random_normal_op); },
};

Expr RandomStreams::draw(const Op& op, const std::vector<Expr>& sizes, DType dtype, Source where) {
  const auto number = static_cast<std::int64_t>(states_.size());
  Shared state(Tensor::from<std::int64_t>({3}, {seed_, number, 0}), text("random state ", number),
               where);
  state.attrs().state->advance = [](const Expr& s) {
    return s + constant(Tensor::from<std::int64_t>({3}, {0, 0, 1}));
  };
  std::vector<Expr> inputs{state};
  inputs.insert(inputs.end(), sizes.begin(), sizes.end());
  Expr result = apply(op, std::move(inputs), {.dtype = dtype}, where);
  states_.push_back(std::move(state));
  return result;
}

namespace {
std::vector<Expr> constants(const Shape& sizes) {
  std::vector<Expr> result;
  for (const std::int64_t n : sizes) result.push_back(constant(Tensor(n)));
  return result;
}
}  // namespace

Expr RandomStreams::uniform(const std::vector<Expr>& sizes, const Arg& low, const Arg& high,
                            DType dtype, Source where) {
  const Attribution as(where);
  return low + (high - low) * draw(random_uniform_op, sizes, dtype, where);
}

Expr RandomStreams::normal(const std::vector<Expr>& sizes, const Arg& mean, const Arg& sd,
                           DType dtype, Source where) {
  const Attribution as(where);
  return mean + sd * draw(random_normal_op, sizes, dtype, where);
}

Expr RandomStreams::binomial(const std::vector<Expr>& sizes, std::int64_t n, const Arg& p,
                             DType dtype, Source where) {
  const Attribution as(where);
  if (n < 1)
    throw TypeError(text("binomial: the number of trials must be at least 1, got ", n,
                         "\n  written at ", where.text()));
  // In double precision, so that p is met to 2^-53 for any result type.
  if (n == 1) return cast(draw(random_uniform_op, sizes, DType::float64, where) < p, dtype);
  std::vector<Expr> trials = sizes;
  trials.insert(trials.begin(), constant(Tensor(n)));
  return cast(sum(draw(random_uniform_op, trials, DType::float64, where) < p, 0), dtype);
}

Expr RandomStreams::uniform(const Shape& sizes, const Arg& low, const Arg& high, DType dtype,
                            Source where) {
  return uniform(constants(sizes), low, high, dtype, where);
}
Expr RandomStreams::normal(const Shape& sizes, const Arg& mean, const Arg& sd, DType dtype,
                           Source where) {
  return normal(constants(sizes), mean, sd, dtype, where);
}
Expr RandomStreams::binomial(const Shape& sizes, std::int64_t n, const Arg& p, DType dtype,
                             Source where) {
  return binomial(constants(sizes), n, p, dtype, where);
}

}  // namespace cinch
