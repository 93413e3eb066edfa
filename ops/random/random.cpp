#include "cinch/ops/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <xtensor/xarray.hpp>

#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/incomplete_gamma.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/kernels/threefry.hpp"
#include "cinch/ops/order.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// Numbers 2k and 2k + 1 of a draw, from the state {seed, draw, calls}.
simd::WordPair bits(const std::int64_t* state, std::uint64_t k) {
  return simd::threefry(
      {static_cast<std::uint64_t>(state[0]), static_cast<std::uint64_t>(state[1])},
      {static_cast<std::uint64_t>(state[2]), k});
}

template <class T>
std::array<T, 2> uniform_pair(simd::WordPair words) {
  return {simd::unit_of<T>(words.a), simd::unit_of<T>(words.b)};
}

/// Box and Muller, 1958, in double precision whatever T is.
template <class T>
std::array<T, 2> normal_pair(simd::WordPair words) {
  const double radius = std::sqrt(-2 * std::log(1 - simd::unit_of<double>(words.a)));
  const double angle = 2 * std::numbers::pi * simd::unit_of<double>(words.b);
  return {static_cast<T>(radius * std::cos(angle)), static_cast<T>(radius * std::sin(angle))};
}

Type random_type(Args x, const Attrs& attrs) {
  if (x[0].dtype() != DType::int64 || x[0].rank() != 1)
    throw TypeError("the state must be an int64 vector");
  return {attrs.dtype, records::dims_of(x.subspan(1))};
}

/// Which of the draw's numbers is the first: the state's fourth, or 0. A part of a draw, rows from
/// one on, so has the numbers that it has in the whole.
std::int64_t first_number(const std::int64_t* state, std::int64_t words) {
  return words > 3 ? state[3] : 0;
}

/// Element by element, each from its own counter, through an xtensor container.
template <bool Normal>
Tensor random_reference(Values in, const Attrs& attrs) {
  Tensor result(attrs.dtype, records::shape_of(in.subspan(1)));
  const std::int64_t* state = in[0]->data<std::int64_t>().data();
  const auto first = static_cast<std::uint64_t>(first_number(state, in[0]->size()));
  return dispatch_float(attrs.dtype, [&]<class T> {
    xt::xarray<T> values = xt::zeros<T>({static_cast<std::size_t>(result.size())});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const simd::WordPair words = bits(state, (first + i) / 2);
      values(i) = (Normal ? normal_pair<T>(words) : uniform_pair<T>(words))[(first + i) % 2];
    }
    std::copy(values.begin(), values.end(), result.data<T>().begin());
    return result;
  });
}

template <bool Normal>
void random_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const simd::RandomKernels& table = simd::kernels().random;
  const auto fill = (Normal ? table.normal : table.uniform)[out.dtype == DType::float64];
  const auto width = static_cast<std::int64_t>(size_of(out.dtype));
  const auto* state = in[0].as<std::int64_t>();
  std::int64_t first = first_number(state, in[0].size()), n = out.size();
  auto* to = out.as<std::byte>();
  if (first % 2 != 0 && n > 0) {  // The second of a pair stands alone.
    alignas(double) std::byte pair[2 * sizeof(double)];
    fill(state, first / 2, pair, 2);
    std::memcpy(to, pair + width, static_cast<std::size_t>(width));
    to += width, ++first, --n;
  }
  const std::int64_t unit = 128, units = (n + unit - 1) / unit;
  const std::int64_t parts = running::parts_for(
      static_cast<double>(n) * (Normal ? running::cost::normal : running::cost::uniform), units);
  running::share_work(parts, [&](std::int64_t part) {
    const running::Span own = running::part_of(n, unit, parts, part);
    fill(state, (first + own.begin) / 2, to + own.begin * width, own.end - own.begin);
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

/// What a distribution asks of a parameter: a probability lies in [0, 1], others are finite, and
/// some are not 0.
struct ParameterCheck {
  bool probability, positive;

  static ParameterCheck of(const Attrs& a) { return {a.ints[0] != 0, a.ints[1] != 0}; }
  Attrs attrs(const std::string& name) const {
    return {.ints = {probability, positive}, .label = name};
  }
};

template <class T>
void copy_checked(const T* from, T* to, std::int64_t n, const Attrs& attrs) {
  const auto [probability, positive] = ParameterCheck::of(attrs);
  const T most = probability ? T(1) : std::numeric_limits<T>::max();
  for (std::int64_t k = 0; k < n; ++k) {
    if (!(from[k] >= 0 && from[k] <= most) || (positive && from[k] == 0)) {
      throw ValueError(text("the draw's parameter must be in ", positive ? "(0, " : "[0, ",
                            probability ? "1]" : "infinity)", ", element ", k, " is ", from[k]));
    }
    to[k] = from[k];
  }
}

}  // namespace

constinit const Op checked_parameter_op{
    .name = "checked_parameter",
    .type =
        [](Args x, const Attrs&) {
          if (!is_float(x[0].dtype())) throw TypeError("a draw's parameter must be a float");
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference =
        [](Values in, const Attrs& attrs) {
          Tensor result = *in[0];
          dispatch_float(result.dtype(), [&]<class T> {
            copy_checked<T>(result.data<T>().data(), result.data<T>().data(), result.size(), attrs);
          });
          return result;
        },
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads { return {gy}; },
    .batch = [](Args x, const std::vector<bool>&,
                const Expr& y) { return apply(checked_parameter_op, {x[0]}, y.attrs()); },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
                         dispatch_float(out.dtype, [&]<class T> {
                           copy_checked<T>(in[0].as<T>(), out.as<T>(), out.size(), attrs);
                         });
                       }},
    .examples = []() -> std::vector<Example> {
      const auto of = [](Type type) -> Example {
        return {{type}, [](Args x) { return checked_parameter(square(x[0]), 1 / 0.0, "test"); }};
      };
      return {of({DType::float64, {3, 4}}),
              of({DType::float64, {}}),
              {{Type{DType::float64, {5}}},
               [](Args x) { return checked_parameter(0.5 + 0.1 * x[0], 1, "test"); }}};
    },
};

constinit const Op random_uniform_op{
    .name = "random_uniform",
    .type = random_type,
    .reference = random_reference<false>,
    .sizes_from = 1,
    .follow = no_follow,
    .size_of = drawn_size,
    .runs = Kernel{.run = random_kernel<false>},
    .examples = [] { return random_examples<DType::float64>(random_uniform_op); },
};

constinit const Op random_normal_op{
    .name = "random_normal",
    .type = random_type,
    .reference = random_reference<true>,
    .sizes_from = 1,
    .follow = no_follow,
    .size_of = drawn_size,
    .runs = Kernel{.run = random_kernel<true>},
    .examples = [] { return random_examples<DType::float32>(random_normal_op); },
};

RandomStreams::Draws& RandomStreams::draws() const {
  if (!draws_) throw TypeError("a RandomStreams was used after std::move() had taken its draws");
  return *draws_;
}

Expr RandomStreams::draw(const Op& op, const Sizes& sizes, DType dtype, Source where) {
  std::vector<Shared>& states = draws().states;
  const auto number = static_cast<std::int64_t>(states.size());
  Shared state(Tensor::from<std::int64_t>({3}, {draws().seed, number, 0}),
               text("random state ", number), where);
  state.attrs().state->advance = [](const Expr& s) {
    return s + constant(Tensor::from<std::int64_t>({3}, {0, 0, 1}));
  };
  Expr result = apply(op, records::with_first(state, sizes.all()), {.dtype = dtype}, where);
  states.push_back(std::move(state));
  return result;
}

namespace {

/// The largest number below `high` that `dtype` has.
double below(double high, DType dtype) {
  constexpr double down = -std::numeric_limits<double>::infinity();
  return dtype == DType::float32 ? static_cast<double>(std::nextafter(static_cast<float>(high),
                                                                      static_cast<float>(down)))
                                 : std::nextafter(high, down);
}

/// Whether low + (high - low) u, rounded to T, is below high for every u in [0, 1) that is drawn;
/// `low + width * u` may or may not be rounded in between.
template <class T>
bool stays_below(double low_, double high_) {
  const T low = static_cast<T>(low_), high = static_cast<T>(high_), width = high - low;
  const T most = 1 - std::numeric_limits<T>::epsilon() / 2;
  const volatile T apart = width * most;
  return low + apart < high && std::fma(width, most, low) < high;
}

const double* number(const Expr& e, double& place) {
  const Tensor* value = constant_value(e);
  if (!value || value->size() != 1) return nullptr;
  place = value->at(0);
  return &place;
}

}  // namespace

Expr RandomStreams::uniform(const Sizes& sizes, const Arg& low, const Arg& high, DType dtype,
                            Source where) {
  const Attribution as(where);
  double places[2];
  const double *a = number(low, places[0]), *b = number(high, places[1]);
  if ((a && !std::isfinite(*a)) || (b && !std::isfinite(*b)) || (a && b && !(*a <= *b))) {
    refuse<ValueError>("uniform",
                       text("there are no numbers from ", a ? text(*a) : describe(low), " to ",
                            b ? text(*b) : describe(high), ": low <= high must hold, both finite"),
                       where);
  }
  const double most = dtype == DType::float32
                          ? static_cast<double>(std::numeric_limits<float>::max())
                          : std::numeric_limits<double>::max();
  if (a && b && !(std::abs(*a) <= most && std::abs(*b) <= most && *b - *a <= most)) {
    refuse<ValueError>(
        "uniform", text("from ", *a, " to ", *b, " is more than ", name(dtype), " has numbers for"),
        where);
  }
  const Expr u = draw(random_uniform_op, sizes, dtype, where);
  if (!a || !b) {
    const Expr width = checked_parameter(high - low, std::numeric_limits<double>::infinity(),
                                         "uniform: high - low");
    const Expr y = low + width * u;
    return switch_(y < high, y, low);  // Where rounding has reached `high`.
  }
  const Expr y = low + (high - low) * u;
  const bool safe =
      dtype == DType::float32 ? stays_below<float>(*a, *b) : stays_below<double>(*a, *b);
  return safe || *a == *b ? y : minimum(y, std::max(below(*b, dtype), *a));
}

Expr RandomStreams::normal(const Sizes& sizes, const Arg& mean, const Arg& sd, DType dtype,
                           Source where) {
  const Attribution as(where);
  double places[2];
  const double *m = number(mean, places[0]), *s = number(sd, places[1]);
  if ((m && !std::isfinite(*m)) || (s && !(*s >= 0 && std::isfinite(*s)))) {
    refuse<ValueError>(
        "normal",
        text("no distribution has mean ", m ? text(*m) : describe(mean), " and standard deviation ",
             s ? text(*s) : describe(sd), ": both must be finite, sd >= 0"),
        where);
  }
  const Expr spread =
      s ? sd.expr() : checked_parameter(sd, std::numeric_limits<double>::infinity(), "normal: sd");
  return mean + spread * draw(random_normal_op, sizes, dtype, where);
}

Expr RandomStreams::binomial(const Sizes& sizes, std::int64_t n, const Arg& p, DType dtype,
                             Source where) {
  const Attribution as(where);
  if (n < 1)
    refuse<ValueError>("binomial", text("the number of trials must be at least 1, got ", n), where);
  double place;
  const double* literal = number(p, place);
  if (literal && !(*literal >= 0 && *literal <= 1))
    refuse<ValueError>("binomial", text("p is a probability, in [0, 1], got ", *literal), where);
  const Expr chance = literal ? p.expr() : checked_parameter(p, 1, "binomial: p");
  // In double precision, so that p is met to 2^-53 for any result type.
  if (n == 1) return cast(draw(random_uniform_op, sizes, DType::float64, where) < chance, dtype);
  const Expr trials = constant(Tensor(n));
  const Expr u =
      draw(random_uniform_op, records::with_first(trials, sizes.all()), DType::float64, where);
  return cast(sum(u < chance, 0), dtype);
}

Expr RandomStreams::gumbel(const Sizes& sizes, const Arg& location, const Arg& scale, DType dtype,
                           Source where) {
  const Attribution as(where);
  double places[2];
  const double *m = number(location, places[0]), *s = number(scale, places[1]);
  if ((m && !std::isfinite(*m)) || (s && !(*s >= 0 && std::isfinite(*s)))) {
    refuse<ValueError>(
        "gumbel",
        text("no distribution has location ", m ? text(*m) : describe(location), " and scale ",
             s ? text(*s) : describe(scale), ": both must be finite, scale >= 0"),
        where);
  }
  const Expr spread =
      s ? scale.expr()
        : checked_parameter(scale, std::numeric_limits<double>::infinity(), "gumbel: scale");
  // A number of 0, one in 2^53, would give an infinity.
  const Expr u = maximum(draw(random_uniform_op, sizes, DType::float64, where), 0x1p-54);
  return location + spread * cast(-log(-log(u)), dtype);
}

namespace {

/// `x` as float64, checked: at once where it is a number, else at run time.
Expr parameter(const char* draw, const char* name, const Arg& x, bool positive, Source where) {
  double place;
  if (const double* value = number(x, place)) {
    if (!(*value >= 0 && std::isfinite(*value)) || (positive && *value == 0)) {
      refuse<ValueError>(
          draw,
          text(name, " must be finite and ", positive ? "above" : "at least", " 0, got ", *value),
          where);
    }
    return cast(x, DType::float64);
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return checked_parameter(cast(x, DType::float64), infinity, text(draw, ": ", name), positive);
}

}  // namespace

Expr RandomStreams::gamma(const Sizes& sizes, const Arg& shape, const Arg& scale, DType dtype,
                          Source where) {
  const Attribution as(where);
  const Expr a = parameter("gamma", "shape", shape, /*positive=*/true, where),
             factor = parameter("gamma", "scale", scale, /*positive=*/false, where);
  // A number of 0, one in 2^53, would give 0.
  const Expr u = maximum(draw(random_uniform_op, sizes, DType::float64, where), 0x1p-54);
  const double smallest = dtype == DType::float32 ? std::numeric_limits<float>::min()
                                                  : std::numeric_limits<double>::min();
  return cast(factor * maximum(gammaincinv(a, u), smallest), dtype);
}

Expr RandomStreams::poisson(const Sizes& sizes, const Arg& mean, DType dtype, Source where) {
  const Attribution as(where);
  const Expr m = parameter("poisson", "mean", mean, /*positive=*/false, where);
  const Expr count = poisson_quantile(m, draw(random_uniform_op, sizes, DType::float64, where));
  return cast(cast(minimum(count, 0x1p62), DType::int64), dtype);  // Integers have no gradient.
}

Expr RandomStreams::categorical(const Arg& p, Source where) {
  const Attribution as(where);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (p->rank() < 1)
    refuse("categorical", "p is a scalar, it needs an axis of probabilities", where);
  const Expr weights = checked_parameter(cast(p, DType::float64), infinity, "categorical: p");
  const Expr scale = checked_parameter(1 / sum(weights, -1, /*keepdims=*/true), infinity,
                                       "categorical: 1 / sum of p");
  const Expr noise = gumbel(sizes(weights), 0.0, 1.0, DType::float64, where);
  return argmax(log(weights * scale) + noise, -1);
}

Expr RandomStreams::permutation(const Sizes& sizes, Source where) {
  const Attribution as(where);
  if (sizes.all().empty())
    refuse("permutation", "there is no axis along which to put numbers in order", where);
  return argsort(draw(random_uniform_op, sizes, DType::float64, where), -1);
}

Expr RandomStreams::choice(const Arg& x, std::int64_t count, bool replace, Source where) {
  const Attribution as(where);
  if (x->rank() < 1) refuse("choice", "x is a scalar, it has no axis to choose from", where);
  const Dim of_x = x->dims()[0];
  const bool too_many =
      of_x.known() && (replace ? of_x.size() == 0 && count > 0 : count > of_x.size());
  if (count < 0 || too_many) {
    refuse<ValueError>("choice",
                       text("cannot choose ", count, " elements ",
                            replace ? "" : "without replacing ", "from x, ", text(x->type())),
                       where);
  }
  const Expr n = size(x, 0);
  if (!replace)
    return take(x, narrow(permutation({n}, where), 0, 0, constant(Tensor(count)), /*step=*/1), 0);
  const Expr u = draw(random_uniform_op, {constant(Tensor(count))}, DType::float64, where);
  return take(x, cast(u * cast(n, DType::float64), DType::int64), 0);
}

Expr checked_parameter(const Arg& x, double most, const std::string& name, bool positive) {
  const Expr v = is_float(x->dtype()) ? x.expr() : cast(x, DType::float64);
  const ParameterCheck check{!std::isinf(most), positive};
  return apply(checked_parameter_op, {v}, check.attrs(name), x.where());
}

}  // namespace cinch
