// What the formulas of elementwise ops are written with: see formulas.hpp.
#pragma once

#include <cstdint>
#include <type_traits>

namespace cinch::formula {

/// Which element types a formula is made for.
enum class Domain { real, number, boolean, any };

template <class T, Domain D>
constexpr bool in_domain = D == Domain::any || (D == Domain::boolean && std::is_same_v<T, bool>) ||
                           (D == Domain::real && std::is_floating_point_v<T>) ||
                           (D == Domain::number && !std::is_same_v<T, bool>);

#define CINCH_FORMULA            \
  template <class Math, class T> \
  static inline __attribute__((always_inline))

/// Integers wrap around, as NumPy's do.
template <class T, class F>
inline __attribute__((always_inline)) T wrapping(T a, T b, F f) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
  } else {
    return f(a, b);
  }
}

template <int Arity, Domain D>
struct Shape {
  static constexpr int arity = Arity;
  static constexpr Domain domain = D;
};
using RealUnary = Shape<1, Domain::real>;
using NumberUnary = Shape<1, Domain::number>;
using NumberBinary = Shape<2, Domain::number>;
using RealBinary = Shape<2, Domain::real>;
using AnyBinary = Shape<2, Domain::any>;

}  // namespace cinch::formula
