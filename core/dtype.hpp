// Element types and the one switch over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "cinch/core/error.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Element type of a tensor. The order is the order of promotion.
enum class DType : std::uint8_t { bool_, int64, float32, float64 };

/// "bool", "int64", "float32" or "float64".
std::string_view name(DType dtype);
/// Prints its name.
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name(dtype); }
/// Bytes of one element.
std::size_t size_of(DType dtype);

constexpr bool is_float(DType dtype) { return dtype >= DType::float32; }

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
  } else {
    static_assert(std::is_same_v<T, double>, "tensors hold bool, std::int64_t, float or double");
    return DType::float64;
  }
}

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`.
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
      break;
  }
  return f.template operator()<double>();
}

/// The same for float32 and float64 only. Throws TypeError for another dtype.
template <class F>
decltype(auto) dispatch_float(DType dtype, F&& f) {
  if (dtype == DType::float32) return f.template operator()<float>();
  if (dtype == DType::float64) return f.template operator()<double>();
  throw TypeError("expected float32 or float64, got " + std::string(name(dtype)));
}

}  // namespace cinch
