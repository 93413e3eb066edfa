// Numbers of 16 bits: elements of tensors that are stored narrow. None computes with them.
#pragma once

#include <cstdint>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// IEEE 754 binary16: a sign, 5 bits of the exponent, 10 of the fraction. Up to 65504, whole
/// numbers up to 2048, three digits.
struct Float16 {
  std::uint16_t bits = 0;

  Float16() = default;
  /// The nearest one, of two equally near the even one; beyond 65519.99 infinity. NaN stays NaN.
  explicit Float16(double value);
  /// From a whole number, rounded once.
  explicit Float16(std::int64_t value);
  /// The same number, exactly.
  explicit operator float() const;
};

/// The upper half of a float32: its range, and two digits.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  /// The nearest one, of two equally near the even one. NaN stays NaN.
  explicit BFloat16(double value);
  /// From a whole number, rounded once.
  explicit BFloat16(std::int64_t value);
  /// The same number, exactly.
  explicit operator float() const;
};

/// As of floats: NaN differs from itself, 0 and -0 are equal.
inline bool operator==(Float16 a, Float16 b) {
  return static_cast<float>(a) == static_cast<float>(b);
}
inline bool operator==(BFloat16 a, BFloat16 b) {
  return static_cast<float>(a) == static_cast<float>(b);
}

}  // namespace cinch
