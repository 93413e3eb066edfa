// The loops behind KernelTable. Compiled once per instruction set by kernels_*.cpp, which define
// CINCH_SIMD_NAME and CINCH_SIMD_TABLE; everything lives in an unnamed namespace so that no two
// sets can share code.
#include <bit>
#include <cstddef>
#include <cstdint>
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

/// 256 bytes of partial results: four registers of the widest vectors.
template <class F, class T>
void fold(void* out, const void* in, std::size_t n) {
  constexpr std::size_t lanes = 256 / sizeof(T);
  const T* a = static_cast<const T*>(in);
  T& total = *static_cast<T*>(out);
  std::size_t i = 0;
  if (n >= lanes) {
    T part[lanes];
    for (std::size_t k = 0; k < lanes; ++k) part[k] = a[k];
    for (i = lanes; i + lanes <= n; i += lanes) {
      for (std::size_t k = 0; k < lanes; ++k) part[k] = F::template f<FastMath>(part[k], a[i + k]);
    }
    for (std::size_t width = lanes / 2; width > 0; width /= 2) {
      for (std::size_t k = 0; k < width; ++k)
        part[k] = F::template f<FastMath>(part[k], part[k + width]);
    }
    total = F::template f<FastMath>(total, part[0]);
  }
  for (; i < n; ++i) total = F::template f<FastMath>(total, a[i]);
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
  float block = 0;
  fold<formula::Add, float>(&block, in, n);
  *static_cast<double*>(out) += block;
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
  return {{nullptr, fold<F, std::int64_t>, fold<F, float>, fold<F, double>},
          {nullptr, zip<F, std::int64_t>, zip<F, float>, zip<F, double>}};
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
      {fold_wide, zip_wide},
      skinny,
      windows,
      random_kernels};
}

}  // namespace

const KernelTable CINCH_SIMD_TABLE = make_table(std::make_index_sequence<formula::formula_count>());

}  // namespace cinch::simd
