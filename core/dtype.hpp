// Element types and the one switch over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cinch/core/error.hpp"
#include "cinch/core/half.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Element type of a tensor. The order of the first four, which ops compute with, is the order of
/// promotion. The others are for storage alone: a tensor holds them, its parts are taken by
/// slice(), take() and the like, and widened() makes float32 of them, as cast() does.
enum class DType : std::uint8_t { bool_, int64, float32, float64, uint8, float16, bfloat16 };

/// "bool", "int64", "float32", "float64", "uint8", "float16" or "bfloat16".
std::string_view name(DType dtype);
/// Prints its name.
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name(dtype); }
/// Bytes of one element.
std::size_t size_of(DType dtype);

constexpr bool is_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }
/// Whether numbers of this type are stored only, and have to be widened to be computed with.
constexpr bool is_storage(DType dtype) { return dtype > DType::float64; }

/// Type of a result of operands `a` and `b`: the later in bool, int64, float32, float64. An integer
/// never widens a float.
constexpr DType promote(DType a, DType b) { return a < b ? b : a; }

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) {
    return DType::bool_;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return DType::int64;
  } else if constexpr (std::is_same_v<T, float>) {
    return DType::float32;
  } else if constexpr (std::is_same_v<T, std::uint8_t>) {
    return DType::uint8;
  } else if constexpr (std::is_same_v<T, Float16>) {
    return DType::float16;
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return DType::bfloat16;
  } else {
    static_assert(std::is_same_v<T, double>,
                  "tensors hold bool, std::int64_t, float, double, and, for storage, "
                  "std::uint8_t, cinch::Float16 or cinch::BFloat16");
    return DType::float64;
  }
}

/// Throws TypeError: `dtype` is for storage alone.
[[noreturn]] void refuse_storage(DType dtype);

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`. Throws TypeError for one that
/// is for storage alone: dispatch_all() takes those too.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bool_:
      return f.template operator()<bool>();
    case DType::int64:
      return f.template operator()<std::int64_t>();
    case DType::float32:
      return f.template operator()<float>();
    case DType::float64:
      return f.template operator()<double>();
    case DType::uint8:
    case DType::float16:
    case DType::bfloat16:
      break;
  }
  refuse_storage(dtype);
}

/// The same for all, those for storage alone as std::uint8_t, Float16 and BFloat16.
template <class F>
decltype(auto) dispatch_all(DType dtype, F&& f) {
  switch (dtype) {
    case DType::uint8:
      return f.template operator()<std::uint8_t>();
    case DType::float16:
      return f.template operator()<Float16>();
    case DType::bfloat16:
      return f.template operator()<BFloat16>();
    default:
      return dispatch(dtype, std::forward<F>(f));
  }
}

/// The same for float32 and float64 only. Throws TypeError for another dtype.
template <class F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  if (dtype == DType::float32) return f.template operator()<float>();
  if (dtype == DType::float64) return f.template operator()<double>();
  throw TypeError("expected float32 or float64, got " + std::string(name(dtype)));
}

}  // namespace cinch
