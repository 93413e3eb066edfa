// Numbers of 16 bits, all of them, against their definitions.
#include "cinch/core/half.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cinch/core/tensor.hpp"

using namespace cinch;

namespace {

/// What the bits say by the formats' definitions: a sign, an exponent, a fraction.
double defined(std::uint16_t bits, int fraction_bits) {
  const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  const double fraction = bits & ((1 << fraction_bits) - 1), unit = std::pow(2.0, fraction_bits);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  if (exponent == 0) return sign * (fraction / unit) * std::pow(2.0, 1 - bias);
  return sign * (1 + fraction / unit) * std::pow(2.0, exponent - bias);
}

template <class T>
constexpr int fraction_bits = std::is_same_v<T, Float16> ? 10 : 7;

template <class T>
T of_bits(std::uint16_t bits) {
  T result;
  result.bits = bits;
  return result;
}

/// All values from 0 to the largest, in order; their bits are their places.
template <class T>
std::vector<double> sizes() {
  std::vector<double> result;
  for (std::uint16_t bits = 0; std::isfinite(defined(bits, fraction_bits<T>)); ++bits)
    result.push_back(defined(bits, fraction_bits<T>));
  return result;
}

template <class T>
void check_all_values() {
  for (unsigned k = 0; k < 65536; ++k) {
    const auto bits = static_cast<std::uint16_t>(k);
    const double wanted = defined(bits, fraction_bits<T>);
    const auto value = static_cast<float>(of_bits<T>(bits));
    const T back{static_cast<double>(value)};
    if (std::isnan(wanted)) {
      if (!std::isnan(value) || !std::isnan(static_cast<float>(back))) FAIL_CHECK("NaN ", k);
      continue;
    }
    if (value != wanted || std::signbit(value) != std::signbit(wanted)) FAIL_CHECK("value ", k);
    if (back.bits != bits) FAIL_CHECK("back ", k);
  }
}

/// Between two neighbours: the nearer one, and of two equally near the one whose last bit is 0.
template <class T>
void check_rounding() {
  const std::vector<double> all = sizes<T>();
  const std::size_t infinity = all.size();
  for (std::size_t k = 0; k < all.size(); ++k) {
    // The next one after the largest would be twice as far as the last step.
    const double next = k + 1 < all.size() ? all[k + 1] : all[k] + (all[k] - all[k - 1]);
    const double middle = all[k] + (next - all[k]) / 2;
    const std::size_t even = k % 2 == 0 ? k : k + 1;
    struct Row {
      double value;
      std::size_t place;
    };
    for (const Row& row :
         {Row{std::nextafter(middle, 0), k}, Row{middle, even},
          Row{std::nextafter(middle, std::numeric_limits<double>::infinity()), k + 1},
          Row{std::nextafter(next, 0), k + 1}}) {
      if (T(row.value).bits != row.place) FAIL_CHECK("size ", row.value, " in place ", k);
      if (T(-row.value).bits != (row.place | 0x8000)) FAIL_CHECK("size ", -row.value);
    }
  }
  CHECK(T(std::numeric_limits<double>::max()).bits == infinity);
  CHECK(T(std::numeric_limits<double>::infinity()).bits == infinity);
  CHECK(T(std::numeric_limits<double>::denorm_min()).bits == 0);
  CHECK(std::isnan(static_cast<float>(T(std::nan("")))));
}

}  // namespace

TEST_CASE("all 65,536 numbers of float16 and bfloat16 are what their bits say, and come back") {
  check_all_values<Float16>();
  check_all_values<BFloat16>();
}

TEST_CASE("float16 and bfloat16 are rounded to the nearest, ties to even") {
  check_rounding<Float16>();
  check_rounding<BFloat16>();
}

TEST_CASE("whole numbers become bfloat16 in one rounding") {
  // A double between would be the middle of two, which rounds down.
  const std::int64_t above_middle = (std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1;
  CHECK(static_cast<float>(BFloat16(above_middle)) == 0x1p62F + 0x1p55F);
  CHECK(static_cast<float>(BFloat16(-above_middle)) == -0x1p62F - 0x1p55F);
  CHECK(static_cast<float>(BFloat16(above_middle - 1)) == 0x1p62F);
  CHECK(static_cast<float>(BFloat16(std::numeric_limits<std::int64_t>::min())) == -0x1p63F);
  CHECK(std::isinf(static_cast<float>(Float16(std::int64_t{65520}))));
  CHECK(static_cast<float>(Float16(std::int64_t{65519})) == 65504);
}

TEST_CASE("tensors are stored narrow and read again") {
  const Tensor x = Tensor::from<double>({2, 3}, {0, 1, 2.5, 100, 254.9, 255});
  const Tensor bytes = x.cast(DType::uint8);
  CHECK(bytes.bytes() == 6);
  const std::vector<std::uint8_t> raw{0, 1, 2, 100, 254, 255};
  CHECK(Tensor::from({2, 3}, std::span(raw)) == bytes);
  CHECK(Tensor::from({2, 3}, raw) == bytes.cast(DType::int64));
  CHECK(text(bytes) == "uint8 (2, 3) [0, 1, 2, 100, 254, 255]");
  CHECK(bytes.at({1, -1}) == 255);
  CHECK(bytes.cast(DType::float32) == Tensor::from<float>({2, 3}, {0, 1, 2, 100, 254, 255}));
  CHECK(bytes.cast(DType::int64) == Tensor::from<std::int64_t>({2, 3}, {0, 1, 2, 100, 254, 255}));
  CHECK(bytes.cast(DType::bool_).at(0) == 0);
  CHECK(bytes.cast(DType::float16).cast(DType::uint8) == bytes);
  CHECK(x.cast(DType::bfloat16).at(4) == 255);
  CHECK(x.cast(DType::float16).at(4) == 254.875);
  CHECK(bytes.reshaped({6}).at(5) == 255);
  CHECK(Tensor(bytes) == bytes);
  CHECK_FALSE(x.cast(DType::float16) == x.cast(DType::bfloat16));
  CHECK(Tensor::full(DType::float16, {2}, 0.1).at(1) == doctest::Approx(0.1).epsilon(1e-3));
  const Tensor nan = Tensor(std::nan("")).cast(DType::float16);
  CHECK_FALSE(nan == nan);
  CHECK(text(nan) == "float16 () [nan]");
}

TEST_CASE("what uint8 does not hold is refused") {
  struct Row {
    double value;
    const char* words;
  };
  for (const Row& row : {Row{256, "element 1 is 256"}, Row{-1, "element 1 is -1"},
                         Row{std::nan(""), "nan"}, Row{1e30, "0 to 255"}}) {
    CAPTURE(row.value);
    try {
      static_cast<void>(Tensor::from<double>({2}, {0, row.value}).cast(DType::uint8));
      FAIL_CHECK("not refused");
    } catch (const ValueError& error) {
      CHECK(std::string(error.what()).find(row.words) != std::string::npos);
    }
  }
  CHECK_THROWS_WITH_AS(Tensor(DType::uint8, {2}).data<float>(),
                       doctest::Contains("the tensor holds uint8, not float32"), TypeError);
}
