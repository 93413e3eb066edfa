#include "cinch/io/format/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace cinch::format {

namespace {

static_assert(std::endian::native == std::endian::little, "elements lie in files as in memory");

/// IEEE 754 binary16: 1 bit of sign, 5 of the exponent, 10 of the fraction.
struct Half {
  std::uint16_t bits;

  explicit operator float() const {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = 0;
    if (exponent == 31) {
      size = fraction ? std::numeric_limits<float>::quiet_NaN()
                      : std::numeric_limits<float>::infinity();
    } else if (exponent == 0) {
      size = std::ldexp(static_cast<float>(fraction), -24);
    } else {
      size = std::ldexp(static_cast<float>(fraction | 1024), exponent - 25);
    }
    return std::copysign(size, bits >> 15 ? -1.0F : 1.0F);
  }
};

/// The upper half of a float.
struct Bfloat16 {
  std::uint16_t bits;

  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

/// Calls f<From, To>(): what lies in the file, what it is held as.
template <class F>
auto dispatch(Stored type, F&& f) {
  switch (type) {
    case Stored::bool_:
      return f.template operator()<std::uint8_t, bool>();
    case Stored::uint8:
      return f.template operator()<std::uint8_t, std::int64_t>();
    case Stored::int8:
      return f.template operator()<std::int8_t, std::int64_t>();
    case Stored::uint16:
      return f.template operator()<std::uint16_t, std::int64_t>();
    case Stored::int16:
      return f.template operator()<std::int16_t, std::int64_t>();
    case Stored::uint32:
      return f.template operator()<std::uint32_t, std::int64_t>();
    case Stored::int32:
      return f.template operator()<std::int32_t, std::int64_t>();
    case Stored::uint64:
      return f.template operator()<std::uint64_t, std::int64_t>();
    case Stored::int64:
      return f.template operator()<std::int64_t, std::int64_t>();
    case Stored::float16:
      return f.template operator()<Half, float>();
    case Stored::bfloat16:
      return f.template operator()<Bfloat16, float>();
    case Stored::float32:
      return f.template operator()<float, float>();
    case Stored::float64:
      break;
  }
  return f.template operator()<double, double>();
}

template <class From>
void swap_bytes(std::span<From> elements) {
  for (From& element : elements) {
    auto* first = reinterpret_cast<std::uint8_t*>(&element);
    std::reverse(first, first + sizeof(From));
  }
}

}  // namespace

std::int64_t size_of(Stored type) {
  return dispatch(type, []<class From, class>() -> std::int64_t { return sizeof(From); });
}

Tensor read_elements(ByteStream& bytes, Stored type, const Shape& shape, bool big_endian) {
  return dispatch(type, [&]<class From, class To> {
    bytes.claim(element_count(shape), sizeof(To));
    Tensor result(dtype_of<To>(), shape);
    if (std::is_same_v<From, To> && !big_endian) {
      bytes.read({static_cast<std::uint8_t*>(result.raw()), result.bytes()}, "the elements");
      return result;
    }
    std::array<From, 4096> buffer;
    for (std::span<To> left = result.data<To>(); !left.empty();) {
      const auto part = std::span(buffer).first(std::min(left.size(), buffer.size()));
      bytes.read({reinterpret_cast<std::uint8_t*>(part.data()), part.size_bytes()}, "the elements");
      if (big_endian) swap_bytes(part);
      if constexpr (std::is_same_v<From, std::uint64_t>) {
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        if (std::ranges::any_of(part, [](std::uint64_t value) { return value > most; }))
          bytes.fail("holds a uint64 that is larger than any int64");
      }
      std::ranges::transform(part, left.begin(), [](From value) { return static_cast<To>(value); });
      left = left.subspan(part.size());
    }
    return result;
  });
}

}  // namespace cinch::format
