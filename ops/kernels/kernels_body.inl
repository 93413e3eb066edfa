// The loops behind KernelTable. Compiled once per instruction set by kernels_*.cpp, which define
// CINCH_SIMD_NAME and CINCH_SIMD_TABLE; everything lives in an unnamed namespace so that no two
// sets can share code.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/kernels/threefry.hpp"

// Operands may be the output itself, element for element: no iteration reads what another writes.
#if defined(__clang__)
#define CINCH_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define CINCH_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace cinch::simd {
namespace {

#include "cinch/ops/kernels/fast_math.inl"
// Of functions that fast_math.inl declares.
#include "cinch/ops/kernels/fast_functions.inl"

template <class F, class T>
using Result = decltype(F::template f<FastMath>(T()));

template <class F, class T, bool S0, bool S1>
void binary(void* out, const void* const* in, std::size_t n) {
  using R = decltype(F::template f<FastMath>(T(), T()));
  R* o = static_cast<R*>(out);
  const T* a = static_cast<const T*>(in[0]);
  const T* b = static_cast<const T*>(in[1]);
  const T a0 = *a, b0 = *b;
  CINCH_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i)
    o[i] = F::template f<FastMath>(S0 ? a0 : a[i], S1 ? b0 : b[i]);
}

template <class F, class T>
void block(void* out, const void* const* in, unsigned splat, std::size_t n) {
  if (n == 0) return;
  if constexpr (F::arity == 1) {
    using R = decltype(F::template f<FastMath>(T()));
    R* o = static_cast<R*>(out);
    const T* a = static_cast<const T*>(in[0]);
    if (splat) {
      const R value = F::template f<FastMath>(*a);
      for (std::size_t i = 0; i < n; ++i) o[i] = value;
      return;
    }
    CINCH_INDEPENDENT
    for (std::size_t i = 0; i < n; ++i) o[i] = F::template f<FastMath>(a[i]);
  } else {
    switch (splat) {
      case 0:
        return binary<F, T, false, false>(out, in, n);
      case 1:
        return binary<F, T, true, false>(out, in, n);
      case 2:
        return binary<F, T, false, true>(out, in, n);
      default:
        return binary<F, T, true, true>(out, in, n);
    }
  }
}

template <class T, bool C, bool A, bool B>
void choose_loop(void* out, const void* const* in, std::size_t n) {
  T* o = static_cast<T*>(out);
  const auto* c = static_cast<const unsigned char*>(in[0]);
  const T* a = static_cast<const T*>(in[1]);
  const T* b = static_cast<const T*>(in[2]);
  const unsigned char c0 = *c;
  const T a0 = *a, b0 = *b;
  CINCH_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i)
    o[i] = formula::Choose::f(C ? c0 : c[i], A ? a0 : a[i], B ? b0 : b[i]);
}

template <class T>
void choose(void* out, const void* const* in, unsigned splat, std::size_t n) {
  if (n == 0) return;
  switch (splat) {
    case 0:
      return choose_loop<T, false, false, false>(out, in, n);
    case 1:
      return choose_loop<T, true, false, false>(out, in, n);
    case 2:
      return choose_loop<T, false, true, false>(out, in, n);
    case 3:
      return choose_loop<T, true, true, false>(out, in, n);
    case 4:
      return choose_loop<T, false, false, true>(out, in, n);
    case 5:
      return choose_loop<T, true, false, true>(out, in, n);
    case 6:
      return choose_loop<T, false, true, true>(out, in, n);
    default:
      return choose_loop<T, true, true, true>(out, in, n);
  }
}

template <class From, class To>
void cast(void* out, const void* const* in, unsigned splat, std::size_t n) {
  To* o = static_cast<To*>(out);
  const From* a = static_cast<const From*>(in[0]);
  CINCH_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i) o[i] = formula::Cast::f<To>(a[splat ? 0 : i]);
}

/// Divided as if in double, whose quotients round to the same floats. In float alone that holds for
/// numbers of few digits that stay far from the ends of its range; it is several times as fast.
template <class From, class To>
void widen(void* out, const void* const* in, unsigned splat, std::size_t n) {
  using formula::Widen;
  To* o = static_cast<To*>(out);
  const double divisor = *static_cast<const double*>(in[0]);
  const From* a = static_cast<const From*>(in[1]);
  if (splat & 2u) {
    const double wide = Widen::f<double>(*a);
    const To one = static_cast<To>(divisor == 1 ? wide : wide / divisor);
    CINCH_INDEPENDENT
    for (std::size_t i = 0; i < n; ++i) o[i] = one;
    return;
  }
  const float narrow = static_cast<float>(divisor);
  const bool is_narrow = static_cast<double>(narrow) == divisor && divisor > 0x1p-60 &&
                         divisor < 0x1p60 && !std::is_same_v<From, formula::UpperHalf>;
  if (divisor == 1) {
    CINCH_INDEPENDENT
    for (std::size_t i = 0; i < n; ++i) o[i] = Widen::f<To>(a[i]);
  } else if (std::is_same_v<To, float> && is_narrow) {
    CINCH_INDEPENDENT
    for (std::size_t i = 0; i < n; ++i) o[i] = static_cast<To>(Widen::f<float>(a[i]) / narrow);
  } else {
    CINCH_INDEPENDENT
    for (std::size_t i = 0; i < n; ++i) o[i] = static_cast<To>(Widen::f<double>(a[i]) / divisor);
  }
}

/// Partial results, four registers of the widest vectors at most: they are enough to add without
/// waiting, and as many for every instruction set.
template <class T>
constexpr std::size_t most_partial = 256 / sizeof(T);

#if defined(CINCH_VECTOR_BYTES)
constexpr std::size_t register_bytes = CINCH_VECTOR_BYTES;
#else
constexpr std::size_t register_bytes = 16;
#endif

/// F(neutral, x) is x.
template <class F, class T>
constexpr T neutral() {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_same_v<F, formula::Add>) {
    return T(0);
  } else if constexpr (std::is_same_v<F, formula::Mul>) {
    return T(1);
  } else if constexpr (std::is_same_v<F, formula::Maximum>) {
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  } else {
    static_assert(std::is_same_v<F, formula::Minimum>);
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
  }
}

/// F of several numbers at once, of types that have vectors.
template <class F, class V>
CINCH_INLINE V combined(V a, V b) {
  if constexpr (std::is_same_v<F, formula::Add>) {
    return a + b;
  } else if constexpr (std::is_same_v<F, formula::Mul>) {
    return a * b;
  } else if constexpr (std::is_same_v<F, formula::Maximum>) {
    return ((a > b) | (a != a)) ? a : b;
  } else {
    static_assert(std::is_same_v<F, formula::Minimum>);
    return ((a < b) | (a != a)) ? a : b;
  }
}

/// Halves are combined as vectors: which of two numbers is larger no processor can guess, so that
/// it may not become a jump, as the compiler makes of a few numbers.
template <class F, class T, std::size_t Width>
CINCH_INLINE T halved(const T (&part)[Width]) {
  if constexpr (Width == 1) {
    return part[0];
  } else {
    constexpr std::size_t half_width = Width / 2;
    T half[half_width];
    if constexpr (std::is_floating_point_v<T> && half_width * sizeof(T) <= register_bytes &&
                  half_width > 1) {
      using V __attribute__((vector_size(half_width * sizeof(T)))) = T;
      V a, b;
      __builtin_memcpy(&a, part, sizeof a);
      __builtin_memcpy(&b, part + half_width, sizeof b);
      a = combined<F, V>(a, b);
      __builtin_memcpy(half, &a, sizeof a);
    } else if constexpr (std::is_floating_point_v<T> && half_width == 1) {
      using V __attribute__((vector_size(16))) = T;
      V a{}, b{};
      a[0] = part[0];
      b[0] = part[1];
      return combined<F, V>(a, b)[0];
    } else {
      for (std::size_t k = 0; k < half_width; ++k)
        half[k] = F::template f<FastMath>(part[k], part[k + half_width]);
    }
    return halved<F, T, half_width>(half);
  }
}

/// Element k goes to partial result k modulo Width; these are combined in halves.
template <class F, class T, std::size_t Width>
CINCH_INLINE T folded(const T* a, std::size_t n) {
  T part[Width];
  if (n < Width) {
    for (std::size_t k = 0; k < Width; ++k) part[k] = k < n ? a[k] : neutral<F, T>();
    return halved<F>(part);
  }
  for (std::size_t k = 0; k < Width; ++k) part[k] = a[k];
  std::size_t i = Width;
  for (; i + Width <= n; i += Width) {
    for (std::size_t k = 0; k < Width; ++k) part[k] = F::template f<FastMath>(part[k], a[i + k]);
  }
  if (const std::size_t rest = n - i; rest > 0) {
    for (std::size_t k = 0; k < Width; ++k)
      part[k] = F::template f<FastMath>(part[k], k < rest ? a[i + k] : neutral<F, T>());
  }
  return halved<F>(part);
}

template <class F, class T, class Total, std::size_t Width>
void fold_rows_by(Total* out, const T* a, std::size_t rows, std::size_t n) {
  for (std::size_t r = 0; r < rows; ++r)
    out[r] = F::template f<FastMath>(out[r], static_cast<Total>(folded<F, T, Width>(a + r * n, n)));
}

/// Rows of up to so many elements: each in its order.
constexpr std::size_t short_row = 16;

template <class F, class T, class Total>
void fold_short_rows(Total* out, const T* a, std::size_t rows, std::size_t n) {
  constexpr std::size_t L = register_bytes / sizeof(T);
  for (std::size_t r = 0; r < rows; r += L, a += L * n) {
    const std::size_t count = rows - r < L ? rows - r : L;
    // The rows turned, so that a vector runs over them.
    T turned[short_row * L];
    if (count < L) {
      for (std::size_t k = 0; k < short_row * L; ++k) turned[k] = neutral<F, T>();
    }
    for (std::size_t l = 0; l < count; ++l) {
      for (std::size_t k = 0; k < n; ++k) turned[k * L + l] = a[l * n + k];
    }
    T part[L];
    for (std::size_t l = 0; l < L; ++l) part[l] = neutral<F, T>();
    if constexpr (std::is_floating_point_v<T>) {
      using V __attribute__((vector_size(register_bytes))) = T;
      V sum, next;
      __builtin_memcpy(&sum, part, sizeof sum);
      for (std::size_t k = 0; k < n; ++k) {
        __builtin_memcpy(&next, turned + k * L, sizeof next);
        sum = combined<F, V>(sum, next);
      }
      __builtin_memcpy(part, &sum, sizeof sum);
    } else {
      for (std::size_t k = 0; k < n; ++k) {
        for (std::size_t l = 0; l < L; ++l)
          part[l] = F::template f<FastMath>(part[l], turned[k * L + l]);
      }
    }
    for (std::size_t l = 0; l < count; ++l)
      out[r + l] = F::template f<FastMath>(out[r + l], static_cast<Total>(part[l]));
  }
}

/// Of each row: out[r] = out[r] o a[r n] o a[r n + 1] ...
template <class F, class T, class Total = T>
void fold_rows(void* out, const void* in, std::size_t rows, std::size_t n) {
  constexpr std::size_t most = most_partial<T>;
  Total* const o = static_cast<Total*>(out);
  const T* const a = static_cast<const T*>(in);
  if (n <= short_row && rows > 1) {
    fold_short_rows<F, T, Total>(o, a, rows, n);
  } else if (n <= short_row) {
    T total = neutral<F, T>();
    for (std::size_t k = 0; k < n; ++k) total = F::template f<FastMath>(total, a[k]);
    *o = F::template f<FastMath>(*o, static_cast<Total>(total));
  } else if (n <= most / 2) {
    fold_rows_by<F, T, Total, most / 2>(o, a, rows, n);
  } else {
    fold_rows_by<F, T, Total, most>(o, a, rows, n);
  }
}

template <class F, class T>
void fold(void* out, const void* in, std::size_t n) {
  fold_rows<F, T>(out, in, 1, n);
}

/// Of each column: out[c] = out[c] o a[c] o a[n + c] ... Of narrow rows several at a time, so that
/// they fill what there is of partial results.
template <class F, class T, class Total = T>
void fold_columns(void* out, const void* in, std::size_t rows, std::size_t n) {
  constexpr std::size_t most = most_partial<T>;
  Total* const o = static_cast<Total*>(out);
  const T* const a = static_cast<const T*>(in);
  T part[most];
  if (n == 0) return;
  if (n < most / 2) {
    const std::size_t period = most / n * n, all = rows * n;
    for (std::size_t k = 0; k < most; ++k) part[k] = neutral<F, T>();
    for (std::size_t i = 0; i < all; i += period) {
      const std::size_t width = all - i < period ? all - i : period;
      for (std::size_t k = 0; k < most; ++k)
        part[k] = F::template f<FastMath>(part[k], k < width ? a[i + k] : neutral<F, T>());
    }
    for (std::size_t k = 0; k < period && k < all; k += n) {
      for (std::size_t c = 0; c < n; ++c)
        o[c] = F::template f<FastMath>(o[c], static_cast<Total>(part[k + c]));
    }
    return;
  }
  std::size_t c = 0;
  for (; c + most <= n; c += most) {
    for (std::size_t k = 0; k < most; ++k) part[k] = neutral<F, T>();
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t k = 0; k < most; ++k)
        part[k] = F::template f<FastMath>(part[k], a[r * n + c + k]);
    }
    for (std::size_t k = 0; k < most; ++k)
      o[c + k] = F::template f<FastMath>(o[c + k], static_cast<Total>(part[k]));
  }
  if (const std::size_t rest = n - c; rest > 0) {
    for (std::size_t k = 0; k < most; ++k) part[k] = neutral<F, T>();
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t k = 0; k < most; ++k)
        part[k] = F::template f<FastMath>(part[k], k < rest ? a[r * n + c + k] : neutral<F, T>());
    }
    for (std::size_t k = 0; k < rest; ++k)
      o[c + k] = F::template f<FastMath>(o[c + k], static_cast<Total>(part[k]));
  }
}

template <class F, class T>
void zip(void* out, const void* in, std::size_t n) {
  T* o = static_cast<T*>(out);
  const T* a = static_cast<const T*>(in);
  CINCH_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i) o[i] = F::template f<FastMath>(o[i], a[i]);
}

/// A block is summed as float32, in few additions to each number.
inline void fold_wide(void* out, const void* in, std::size_t n) {
  fold_rows<formula::Add, float, double>(out, in, 1, n);
}

inline void zip_wide(void* out, const void* in, std::size_t n) {
  double* o = static_cast<double*>(out);
  const float* a = static_cast<const float*>(in);
  CINCH_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i) o[i] += a[i];
}

#include "cinch/ops/kernels/random_body.inl"
constexpr RandomKernels random_kernels{
    {fill_random<float, uniform_pairs<float>>, fill_random<double, uniform_pairs<double>>},
    {fill_random<float, normal_pairs<float>>, fill_random<double, normal_pairs<double>>}};

#if defined(CINCH_VECTOR_BYTES)
#include "cinch/ops/kernels/products_body.inl"
constexpr SkinnyProducts skinny{{skinny_product<float, false>, skinny_product<double, false>},
                                {skinny_product<float, true>, skinny_product<double, true>},
                                {pack<float>, pack<double>},
                                {update<float>, update<double>},
                                {parts_product<float>, parts_product<double>},
                                2 * CINCH_VECTOR_BYTES,
                                tile_rows};
#include "cinch/ops/kernels/windows_body.inl"
constexpr WindowProducts windows{{indirect_product<float>, indirect_product<double>},
                                 {lane_products<float>, lane_products<double>},
                                 {sum_lanes<float>, sum_lanes<double>},
                                 {turn<float>, turn<double>},
                                 {see_rows<float>, see_rows<double>},
                                 {weave<float>, weave<double>},
                                 CINCH_VECTOR_BYTES};
#else
constexpr SkinnyProducts skinny{};
constexpr WindowProducts windows{};
#endif

template <class F, class T>
constexpr BlockFn block_or_null() {
  if constexpr (formula::in_domain<T, F::domain>) {
    return block<F, T>;
  } else {
    return nullptr;
  }
}

template <class F>
constexpr FoldKernels fold_kernels() {
  return {
      {nullptr, fold<F, std::int64_t>, fold<F, float>, fold<F, double>},
      {nullptr, zip<F, std::int64_t>, zip<F, float>, zip<F, double>},
      {nullptr, fold_rows<F, std::int64_t>, fold_rows<F, float>, fold_rows<F, double>},
      {nullptr, fold_columns<F, std::int64_t>, fold_columns<F, float>, fold_columns<F, double>}};
}

template <std::size_t... I>
constexpr KernelTable make_table(std::index_sequence<I...>) {
  return {
      CINCH_SIMD_NAME,
      {{block_or_null<std::tuple_element_t<I, formula::Formulas>, bool>(),
        block_or_null<std::tuple_element_t<I, formula::Formulas>, std::int64_t>(),
        block_or_null<std::tuple_element_t<I, formula::Formulas>, float>(),
        block_or_null<std::tuple_element_t<I, formula::Formulas>, double>()}...},
      {choose<bool>, choose<std::int64_t>, choose<float>, choose<double>},
      {{cast<bool, bool>, cast<bool, std::int64_t>, cast<bool, float>, cast<bool, double>},
       {cast<std::int64_t, bool>, cast<std::int64_t, std::int64_t>, cast<std::int64_t, float>,
        cast<std::int64_t, double>},
       {cast<float, bool>, cast<float, std::int64_t>, cast<float, float>, cast<float, double>},
       {cast<double, bool>, cast<double, std::int64_t>, cast<double, float>, cast<double, double>}},
      {{widen<std::uint8_t, std::int64_t>, widen<std::uint8_t, float>, widen<std::uint8_t, double>},
       {nullptr, widen<formula::Half, float>, widen<formula::Half, double>},
       {nullptr, widen<formula::UpperHalf, float>, widen<formula::UpperHalf, double>}},
      fold_kernels<formula::Add>(),
      fold_kernels<formula::Maximum>(),
      fold_kernels<formula::Minimum>(),
      fold_kernels<formula::Mul>(),
      {fold_wide, zip_wide, fold_rows<formula::Add, float, double>,
       fold_columns<formula::Add, float, double>},
      skinny,
      windows,
      random_kernels};
}

}  // namespace

const KernelTable CINCH_SIMD_TABLE = make_table(std::make_index_sequence<formula::formula_count>());

}  // namespace cinch::simd
