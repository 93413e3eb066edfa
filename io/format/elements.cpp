#include "cinch/io/format/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace cinch::format {

namespace {

static_assert(std::endian::native == std::endian::little, "elements lie in files as in memory");

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
      return f.template operator()<Float16, float>();
    case Stored::bfloat16:
      return f.template operator()<BFloat16, float>();
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

namespace {

template <class From, class To>
Tensor read_as(ByteStream& bytes, const Shape& shape, bool big_endian) {
  bytes.claim(element_count(shape), sizeof(To));
  Tensor result(dtype_of<To>(), shape);
  if (std::is_same_v<From, To> && (!big_endian || sizeof(From) == 1)) {
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
}

}  // namespace

Tensor read_elements(ByteStream& bytes, Stored type, const Shape& shape, bool big_endian,
                     bool narrow) {
  if (narrow && type == Stored::uint8)
    return read_as<std::uint8_t, std::uint8_t>(bytes, shape, big_endian);
  if (narrow && type == Stored::float16) return read_as<Float16, Float16>(bytes, shape, big_endian);
  if (narrow && type == Stored::bfloat16)
    return read_as<BFloat16, BFloat16>(bytes, shape, big_endian);
  return dispatch(
      type, [&]<class From, class To> { return read_as<From, To>(bytes, shape, big_endian); });
}

}  // namespace cinch::format
