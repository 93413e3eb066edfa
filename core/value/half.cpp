#include "cinch/core/half.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace cinch {

namespace {

/// Bits of the nearest float with so many bits of the fraction, whose exponents begin at `least`,
/// that of the smallest normal one, and end before `beyond`. Ties go to even.
std::uint16_t nearest(double value, int fraction, int least, int beyond) {
  const auto sign = static_cast<unsigned>(std::signbit(value)) << 15;
  const unsigned infinity = static_cast<unsigned>(beyond - least + 1) << fraction;
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | infinity | 1u << (fraction - 1));
  const double size = std::abs(value);
  if (size == 0) return static_cast<std::uint16_t>(sign);
  if (std::isinf(size)) return static_cast<std::uint16_t>(sign | infinity);
  // Below the smallest normal one all are as far apart as there.
  const int exponent = std::max(std::ilogb(size), least);
  if (exponent >= beyond) return static_cast<std::uint16_t>(sign | infinity);
  // Exact: a power of two, of a number that has more bits than are kept.
  const double steps = std::nearbyint(std::ldexp(size, fraction - exponent));
  // The leading one adds 1 to the exponent, and so does a fraction that was rounded up to 2.
  const auto bits =
      (static_cast<unsigned>(exponent - least) << fraction) + static_cast<unsigned>(steps);
  return static_cast<std::uint16_t>(sign | bits);
}

/// A double that rounds to every shorter float as `value` does: bits that it has no room for are
/// one, the last, where any of them is set.
double to_odd(std::int64_t value) {
  const bool negative = value < 0;
  std::uint64_t size = static_cast<std::uint64_t>(value);
  if (negative) size = 0 - size;
  constexpr int spare = 64 - std::numeric_limits<double>::digits;
  if (size >> std::numeric_limits<double>::digits) {
    const bool rest = size & ((std::uint64_t{1} << spare) - 1);
    size = (size >> spare | rest) << spare;
  }
  const auto result = static_cast<double>(size);
  return negative ? -result : result;
}

}  // namespace

Float16::Float16(double value) : bits(nearest(value, 10, -14, 16)) {}
Float16::Float16(std::int64_t value) : Float16(to_odd(value)) {}

Float16::operator float() const {
  const unsigned exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  float size = 0;
  if (exponent == 31) {
    size =
        fraction ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    size = static_cast<float>(fraction) * 0x1p-24F;
  } else {
    size = std::bit_cast<float>((exponent + 112) << 23 | fraction << 13);
  }
  return std::copysign(size, bits >> 15 ? -1.0F : 1.0F);
}

BFloat16::BFloat16(double value) : bits(nearest(value, 7, -126, 128)) {}
BFloat16::BFloat16(std::int64_t value) : BFloat16(to_odd(value)) {}

BFloat16::operator float() const {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace cinch
