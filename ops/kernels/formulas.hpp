// The arithmetic of every elementwise op, once: the reference path runs it with <cmath> (Math =
// ExactMath), the fused kernels with straight-line approximations of exp, log and the like (Math =
// FastMath, fast_math.inl). No branches: a condition is written with ?:, so that a loop over a
// formula becomes SIMD code.
#pragma once

#include <bit>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "cinch/ops/kernels/formula.hpp"
#include "cinch/ops/kernels/function_formulas.hpp"

namespace cinch::formula {

struct Add : NumberBinary {
  CINCH_FORMULA T f(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct Sub : NumberBinary {
  CINCH_FORMULA T f(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct Mul : NumberBinary {
  CINCH_FORMULA T f(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
struct Div : RealBinary {
  CINCH_FORMULA T f(T a, T b) { return a / b; }
};
/// Quotient rounded down, the one that Mod leaves the remainder of: 9 of 1 and 0.1, which is a
/// little more than a tenth. An integer divided by 0 gives 0.
struct FloorDiv : NumberBinary {
  CINCH_FORMULA T f(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = Math::fmod(a, b), ratio = a / b;
      const T whole = (a - r) / b;  // A whole number but for rounding.
      const T q = Math::round(r != T(0) && (r < T(0)) != (b < T(0)) ? whole - T(1) : whole);
      return b == T(0) ? ratio : (q == T(0) ? T(0) * ratio : q);
    } else {
      if (b == 0) return 0;
      if (b == -1) return wrapping(T(0), a, [](auto x, auto y) { return x - y; });
      const T q = a / b;
      return q - T(a % b != 0 && (a < 0) != (b < 0));
    }
  }
};
/// The remainder with the sign of b; an integer modulo 0 gives 0.
struct Mod : NumberBinary {
  CINCH_FORMULA T f(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = Math::fmod(a, b);
      return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
    } else {
      if (b == 0 || b == -1) return 0;
      const T r = a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
  }
};
struct Pow : RealBinary {
  CINCH_FORMULA T f(T a, T b) { return Math::pow(a, b); }
};
/// NaN if either is.
struct Maximum : NumberBinary {
  CINCH_FORMULA T f(T a, T b) { return a > b ? a : (a != a ? a : b); }
};
struct Minimum : NumberBinary {
  CINCH_FORMULA T f(T a, T b) { return a < b ? a : (a != a ? a : b); }
};
struct Neg : NumberUnary {
  CINCH_FORMULA T f(T a) {
    if constexpr (std::is_floating_point_v<T>)
      return -a;
    else
      return wrapping(T(0), a, [](auto x, auto y) { return x - y; });
  }
};
struct Abs : NumberUnary {
  CINCH_FORMULA T f(T a) {
    if constexpr (std::is_floating_point_v<T>)
      return Math::abs(a);
    else
      return a < 0 ? Neg::f<Math>(a) : a;
  }
};
/// -1, 0 or 1; NaN for NaN.
struct Sign : NumberUnary {
  CINCH_FORMULA T f(T a) { return a > T(0) ? T(1) : (a < T(0) ? T(-1) : (a == T(0) ? T(0) : a)); }
};
struct Square : NumberUnary {
  CINCH_FORMULA T f(T a) { return Mul::f<Math>(a, a); }
};
struct Sqrt : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::sqrt(a); }
};
struct Exp : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::exp(a); }
};
struct Expm1 : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::expm1(a); }
};
struct Log : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::log(a); }
};
struct Log1p : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::log1p(a); }
};
struct Sin : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::sin(a); }
};
struct Cos : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::cos(a); }
};
struct Floor : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::floor(a); }
};
struct Ceil : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::ceil(a); }
};
/// To the nearest integer, halves to the even one.
struct Round : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::round(a); }
};
/// 1 / (1 + exp(-a)) without overflow on either side.
struct Sigmoid : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T t = Math::exp(-Math::abs(a));
    const T r = T(1) / (T(1) + t);
    return a < T(0) ? t * r : r;
  }
};
struct Tanh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::tanh(a); }
};
/// log(1 + exp(a)) without overflow.
struct Softplus : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T positive = a < T(0) ? T(0) : a;
    return positive + Math::log1p_of_fraction(Math::exp(-Math::abs(a)));
  }
};
/// max(a, 0); NaN for NaN.
struct Relu : NumberUnary {
  CINCH_FORMULA T f(T a) { return a < T(0) ? T(0) : a; }
};

struct Equal : AnyBinary {
  CINCH_FORMULA bool f(T a, T b) { return a == b; }
};
struct NotEqual : AnyBinary {
  CINCH_FORMULA bool f(T a, T b) { return a != b; }
};
struct Less : AnyBinary {
  CINCH_FORMULA bool f(T a, T b) { return a < b; }
};
struct LessEqual : AnyBinary {
  CINCH_FORMULA bool f(T a, T b) { return a <= b; }
};
struct And : Shape<2, Domain::boolean> {
  CINCH_FORMULA bool f(T a, T b) { return a & b; }
};
struct Or : Shape<2, Domain::boolean> {
  CINCH_FORMULA bool f(T a, T b) { return a | b; }
};
struct Not : Shape<1, Domain::boolean> {
  CINCH_FORMULA bool f(T a) { return !a; }
};
struct IsNan : RealUnary {
  CINCH_FORMULA bool f(T a) { return a != a; }
};
/// The element itself: a copy to another place.
struct Identity : Shape<1, Domain::any> {
  CINCH_FORMULA T f(T a) { return a; }
};

/// condition ? a : b, with a bool in front, or the byte of one.
struct Choose {
  template <class Condition, class T>
  static inline __attribute__((always_inline)) T f(Condition condition, T a, T b) {
    // By bits of bytes, which g++ vectorises: of bools it takes single ones.
    using Bits =
        std::conditional_t<sizeof(T) == 8, std::uint64_t,
                           std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint8_t>>;
    const auto mask = static_cast<Bits>(-static_cast<Bits>(condition));
    const auto kept = static_cast<Bits>(std::bit_cast<Bits>(a) & mask),
               other = static_cast<Bits>(std::bit_cast<Bits>(b) & static_cast<Bits>(~mask));
    return std::bit_cast<T>(static_cast<Bits>(kept | other));
  }
};

/// A float becomes an integer by truncation; what an int64 cannot hold becomes its smallest value,
/// as on x86.
struct Cast {
  template <class To, class From>
  static inline __attribute__((always_inline)) To f(From a) {
    if constexpr (std::is_same_v<To, bool>) {
      return a != From(0);
    } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, std::int64_t>) {
      const bool fits = a >= From(-9223372036854775808.0) && a < From(9223372036854775808.0);
      return fits ? static_cast<To>(a) : INT64_MIN;
    } else {
      return static_cast<To>(a);
    }
  }
};

/// Bits of a binary16 and of the upper half of a float32.
struct Half {
  std::uint16_t bits;
};
struct UpperHalf {
  std::uint16_t bits;
};

/// What is stored narrow, exactly.
struct Widen {
  template <class To>
  static inline __attribute__((always_inline)) To f(std::uint8_t a) {
    return static_cast<To>(a);
  }
  template <class To>
  static inline __attribute__((always_inline)) To f(UpperHalf a) {
    return static_cast<To>(std::bit_cast<float>(static_cast<std::uint32_t>(a.bits) << 16));
  }
  /// The exponent is moved by a product, which makes subnormal numbers normal ones as well.
  template <class To>
  static inline __attribute__((always_inline)) To f(Half a) {
    const std::uint32_t size = (a.bits & 0x7fffu) << 13, sign = (a.bits & 0x8000u) << 16;
    const auto bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) * 0x1p112F);
    // Infinity and NaN have the largest exponent in both.
    const std::uint32_t special = size >= 0x0f800000u ? 0x7f800000u : 0u;
    return static_cast<To>(std::bit_cast<float>(bits | special | sign));
  }
};

/// All formulas of one element type; an op is found in the kernel tables by its place here.
using Formulas = std::tuple<
    formula::Add, formula::Sub, formula::Mul, formula::Div, formula::FloorDiv, formula::Mod,
    formula::Pow, formula::Maximum, formula::Minimum, formula::Neg, formula::Abs, formula::Sign,
    formula::Square, formula::Sqrt, formula::Exp, formula::Expm1, formula::Log, formula::Log1p,
    formula::Sin, formula::Cos, formula::Floor, formula::Ceil, formula::Round, formula::Sigmoid,
    formula::Tanh, formula::Softplus, formula::Relu, formula::Equal, formula::NotEqual,
    formula::Less, formula::LessEqual, formula::And, formula::Or, formula::Not, formula::IsNan,
    formula::Identity, formula::Trunc, formula::Hypot, formula::Exp2, formula::Log2, formula::Log10,
    formula::Log1mexp, formula::LogAddExp, formula::Xlogy, formula::Xlog1py, formula::LogCosh,
    formula::Erf, formula::Erfc, formula::Tan, formula::Sinh, formula::Cosh, formula::Arcsin,
    formula::Arccos, formula::Arctan, formula::Arctan2, formula::Arcsinh, formula::Arccosh,
    formula::Arctanh, formula::Softsign, formula::Sech, formula::SigmoidSlope,
    formula::OneMinusSquare, formula::ExpOfProduct, formula::NormalCdf>;
constexpr std::size_t formula_count = std::tuple_size_v<Formulas>;

template <class F, std::size_t I = 0>
constexpr std::size_t formula_index() {
  if constexpr (std::is_same_v<F, std::tuple_element_t<I, Formulas>>) {
    return I;
  } else {
    return formula_index<F, I + 1>();
  }
}

}  // namespace cinch::formula
