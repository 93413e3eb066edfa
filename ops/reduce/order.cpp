#include "cinch/ops/order.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/attributes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/reference/positions.hpp"

namespace cinch {

namespace {

using records::Sorting;

void require_enough(std::int64_t wanted, std::int64_t n) {
  if (wanted > n) throw ValueError(text("there are ", n, " elements along the axis, not ", wanted));
}

Type argsort_type(Args x, const Attrs& attrs) {
  Dims dims = x[0].dims();
  const Sorting s = Sorting::of(attrs);
  Dim& n = dims[s.axis];
  const std::int64_t wanted = s.count;
  if (n.known() && wanted > n.size())
    throw TypeError(text("there are ", n.size(), " elements along the axis, not ", wanted));
  if (wanted >= 0) n = wanted;
  return {DType::int64, std::move(dims)};
}

template <class T>
bool is_missing(T x) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
  return false;
}

template <class T>
struct Element {
  T value;
  std::int64_t index;
};

/// Whether `a` comes first: no two elements are the same, so any way of sorting is stable.
template <class T, bool Descending>
bool comes_first(const Element<T>& a, const Element<T>& b) {
  const Element<T>&small = Descending ? b : a, &large = Descending ? a : b;
  if (small.value < large.value) return true;
  if (large.value < small.value) return false;
  if (is_missing(a.value) != is_missing(b.value)) return is_missing(large.value);
  return a.index < b.index;
}

template <class T, bool Descending>
void sort_lane(Element<T>* elements, std::int64_t n, std::int64_t wanted) {
  if (wanted < n)
    std::nth_element(elements, elements + wanted, elements + n, comes_first<T, Descending>);
  std::sort(elements, elements + wanted, comes_first<T, Descending>);
}

/// Writes those elements of a lane that may be among the first `wanted`, and returns how many: of
/// few that are wanted, most others are seen to come later by their values alone.
template <class T, bool Descending>
std::int64_t candidates(const T* x, std::int64_t stride, std::int64_t n, std::int64_t wanted,
                        Element<T>* elements) {
  const std::int64_t most = wanted > n / 4 ? n : 2 * wanted;
  std::int64_t count = 0;
  T last{};  // The value of the last of the first ones so far.
  bool full = false;
  for (std::int64_t k = 0; k < n; ++k) {
    const T value = x[k * stride];
    if (full && (Descending ? value <= last : value >= last)) continue;
    elements[count++] = {value, k};
    if (count < most || most == n) continue;
    std::nth_element(elements, elements + wanted - 1, elements + count, comes_first<T, Descending>);
    count = wanted;
    last = elements[wanted - 1].value;
    full = true;
  }
  return count;
}

/// An unsigned number that is larger the later x comes: equal ones for equal elements.
template <class T>
auto key_of(T x) {
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
    using Key = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr Key sign = Key(1) << (8 * sizeof(T) - 1);
    if (std::isnan(x)) return ~Key(0);
    const Key bits = std::bit_cast<Key>(x == 0 ? T(0) : x);
    return (bits & sign) != 0 ? ~bits : bits | sign;
  } else if constexpr (std::is_same_v<T, bool>) {
    return static_cast<std::uint32_t>(x);
  } else {
    return static_cast<std::uint64_t>(x) ^ std::uint64_t{1} << 63;
  }
}

template <class Key>
struct Keyed {
  Key key;
  std::uint32_t index;
};

/// Sorts by keys, digit after digit from the last one on, each pass from one array to the other;
/// those of equal keys stay in their order. Returns the array with the result.
template <class Key>
Keyed<Key>* sort_by_digits(Keyed<Key>* from, Keyed<Key>* to, std::int64_t n) {
  constexpr std::size_t digits = sizeof(Key), values = 256;
  std::uint32_t counts[digits][values] = {};
  for (std::int64_t k = 0; k < n; ++k) {
    for (std::size_t d = 0; d < digits; ++d) ++counts[d][from[k].key >> 8 * d & 0xff];
  }
  for (std::size_t d = 0; d < digits; ++d) {
    const auto digit = [&](Key key) { return static_cast<std::size_t>(key >> 8 * d & 0xff); };
    std::uint32_t(&places)[values] = counts[d];
    if (places[digit(from[0].key)] == n) continue;  // The same in all.
    std::uint32_t before = 0;
    for (std::uint32_t& place : places) before += std::exchange(place, before);
    for (std::int64_t k = 0; k < n; ++k) to[places[digit(from[k].key)]++] = from[k];
    std::swap(from, to);
  }
  return from;
}

/// All of a lane's positions in order.
template <class T, bool Descending>
void sort_whole_lane(const T* x, std::int64_t stride, std::int64_t n, std::int64_t* y,
                     std::int64_t y_stride) {
  using Key = decltype(key_of(T()));
  auto* const keyed = reinterpret_cast<Keyed<Key>*>(
      running::thread_scratch(static_cast<std::size_t>(2 * n) * sizeof(Keyed<Key>)));
  for (std::int64_t k = 0; k < n; ++k) {
    const Key key = key_of(x[k * stride]);
    keyed[k] = {Descending ? static_cast<Key>(~key) : key, static_cast<std::uint32_t>(k)};
  }
  const Keyed<Key>* const sorted = sort_by_digits(keyed, keyed + n, n);
  for (std::int64_t k = 0; k < n; ++k) y[k * y_stride] = sorted[k].index;
}

/// Lanes that are sorted by digits: more than their counts are, and that 32 bits can number.
bool sorts_by_digits(std::int64_t n) {
  return n >= 64 && n <= std::numeric_limits<std::uint32_t>::max();
}

void argsort_kernel(std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
  const Sorting s = Sorting::of(attrs);
  const references::Lanes from(in[0].shape, s.axis), to(out.shape, s.axis);
  require_enough(to.n, from.n);
  if (out.size() == 0) return;
  const double depth = std::log2(2.0 + static_cast<double>(to.n));
  dispatch(in[0].dtype, [&]<class T> {
    const std::int64_t parts = running::parts_for(
        running::cost::compared * static_cast<double>(in[0].size()) * depth, from.count);
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(from.count, 1, parts, part);
      for (std::int64_t lane = own.begin; lane < own.end; ++lane) {
        const T* x = in[0].as<T>() + from.first(lane);
        const auto sort = [&]<bool Descending> {
          std::int64_t* const y = out.as<std::int64_t>() + to.first(lane);
          if (to.n == from.n && sorts_by_digits(to.n))
            return sort_whole_lane<T, Descending>(x, from.inner, from.n, y, to.inner);
          auto* const elements = reinterpret_cast<Element<T>*>(
              running::thread_scratch(static_cast<std::size_t>(from.n) * sizeof(Element<T>)));
          const std::int64_t n = candidates<T, Descending>(x, from.inner, from.n, to.n, elements);
          sort_lane<T, Descending>(elements, n, to.n);
          for (std::int64_t k = 0; k < to.n; ++k) y[k * to.inner] = elements[k].index;
        };
        if (s.descending)
          sort.template operator()<true>();
        else
          sort.template operator()<false>();
      }
    });
  });
}

/// The place of each element is the number of those that come before it.
Tensor argsort_reference(Values in, const Attrs& attrs) {
  Shape shape = in[0]->shape();
  const Sorting s = Sorting::of(attrs);
  std::int64_t& n = shape[s.axis];
  if (s.count >= 0) {
    require_enough(s.count, n);
    n = s.count;
  }
  Tensor result(DType::int64, shape);
  const references::Lanes from(in[0]->shape(), s.axis), to(shape, s.axis);
  const auto places = result.data<std::int64_t>();
  dispatch(in[0]->dtype(), [&]<class T> {
    const auto x = in[0]->data<T>();
    for (std::int64_t lane = 0; lane < from.count; ++lane) {
      const auto element = [&](std::int64_t k) {
        return x[static_cast<std::size_t>(from.first(lane) + k * from.inner)];
      };
      for (std::int64_t k = 0; k < from.n; ++k) {
        std::int64_t place = 0;
        for (std::int64_t j = 0; j < from.n; ++j) {
          const T a = element(j), b = element(k);
          const bool both_missing = is_missing(a) && is_missing(b);
          const bool smaller = is_missing(b) ? !is_missing(a) : a < b;
          const bool same = both_missing || a == b;
          place += same ? j < k : smaller != s.descending;
        }
        if (place < to.n) places[static_cast<std::size_t>(to.first(lane) + place * to.inner)] = k;
      }
    }
  });
  return result;
}

Expr sorted_positions(std::string_view name, const Arg& x, std::int64_t axis, bool descending,
                      std::int64_t count) {
  const Sorting sorting{axis_of(name, x, axis), descending, count};
  return apply(argsort_op, {x}, sorting.attrs(), x.where());
}

}  // namespace

constinit const Op argsort_op{
    .name = "argsort",
    .type = argsort_type,
    .reference = argsort_reference,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          Sorting more = Sorting::of(y.attrs());
          ++more.axis;
          return apply(argsort_op, {x[0]}, more.attrs());
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr& y) -> std::int64_t {
      return axes[0] == Sorting::of(y.attrs()).axis ? -1 : axes[0];
    },
    .runs = Kernel{.run = argsort_kernel},
    .examples = []() -> std::vector<Example> {
      const Type v{DType::float64, {17}}, m{DType::float64, {6, 5}}, i{DType::int64, {5, 9}};
      return {{{v}, [](Args x) { return argsort(x[0]); }},
              {{m}, [](Args x) { return argsort(x[0], 0); }},
              {{m}, [](Args x) { return argsort(x[0], 1, true); }},
              {{i}, [](Args x) { return argsort(x[0], 1); }, {4}},
              {{i}, [](Args x) { return argsort(x[0], 0, true); }, {3}},
              {{i}, [](Args x) { return topk(x[0], 4).indices; }, {3}},
              {{i}, [](Args x) { return topk(x[0], 2, 0, false).indices; }, {3}},
              {{m}, [](Args x) { return topk(x[0], 6, 0).indices; }},
              {{m}, [](Args x) { return topk(x[0], 0, 1).indices; }},
              {{Type{DType::float64, {2, 5, 3}}}, [](Args x) { return topk(x[0], 3, 1).indices; }},
              {{Type{DType::float64, {0, 3}}}, [](Args x) { return argsort(x[0]); }},
              {{Type{DType::float64, {3, 0}}}, [](Args x) { return argsort(x[0]); }}};
    },
};

Expr argsort(const Arg& x, std::int64_t axis, bool descending) {
  const Attribution as(x.where());
  return sorted_positions("argsort", x, axis, descending, -1);
}

Expr sort(const Arg& x, std::int64_t axis, bool descending) {
  const Attribution as(x.where());
  return take_along_axis(x, sorted_positions("sort", x, axis, descending, -1), axis);
}

TopK topk(const Arg& x, std::int64_t k, std::int64_t axis, bool largest) {
  const Attribution as(x.where());
  if (k < 0) {
    refuse<ValueError>("topk", text("cannot give ", k, " elements"), x);
  }
  const Expr indices = sorted_positions("topk", x, axis, largest, k);
  return {take_along_axis(x, indices, axis), indices};
}

Compressed compress(const Arg& x, const Arg& mask, std::int64_t count, std::int64_t axis,
                    double fill) {
  const Attribution as(x.where());
  axis = axis_of("compress", x, axis);
  const Dim along = x->dims()[static_cast<std::size_t>(axis)];
  const auto agree = [](Dim a, Dim b) { return a == b || !a.known() || !b.known(); };
  if (mask->dtype() != DType::bool_ || mask->rank() != 1 || !agree(mask->dims()[0], along)) {
    refuse("compress",
           text("the mask must be a bool for each part of x along axis ", axis, ", x is ",
                x->type(), ", the mask ", mask->type()),
           x);
  }
  if (count < 0) refuse<ValueError>("compress", text("cannot give ", count, " parts"), x);
  const Expr numbers = cast(mask, DType::int64), chosen = sum(numbers);
  // Of equal ones the earlier comes first.
  const Expr parts = take(x, topk(numbers, count, 0).indices, axis);
  std::vector<std::int64_t> pattern(static_cast<std::size_t>(x->rank()), -1);
  pattern[static_cast<std::size_t>(axis)] = 0;
  const Expr held = dimshuffle(arange(count) < chosen, pattern);
  return {switch_(held, parts, cast(literal(fill), x->dtype())), chosen};
}

}  // namespace cinch
