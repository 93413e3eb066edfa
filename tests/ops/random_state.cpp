// The expected numbers were printed by NumPy 1.24.2 (numpy.random.RandomState), with all digits.
#include "cinch/ops/random_state.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace cinch {
namespace {

using Int = std::int64_t;
constexpr Int int_min = std::numeric_limits<Int>::min();
constexpr Int int_max = std::numeric_limits<Int>::max();

/// Sum over i = 1, 2, ... of i times the bits of element i, modulo 2^64: changes with any bit and,
/// all but surely, with any exchange.
template <class T>
std::uint64_t digest(std::span<const T> values) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  std::uint64_t sum = 0, i = 0;
  for (const T value : values) sum += ++i * std::bit_cast<Bits>(value);
  return sum;
}

std::uint64_t digest(const Tensor& tensor) {
  return dispatch(tensor.dtype(), [&]<class T> {
    if constexpr (std::is_same_v<T, bool>)
      return std::uint64_t{0};
    else
      return digest(tensor.data<T>());
  });
}

template <class T>
std::vector<T> first(const Tensor& tensor, std::size_t count) {
  const auto values = tensor.data<T>();
  return {values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// How many representable numbers lie from a to b, both of the same sign.
Int ulps(double a, double b) { return std::abs(std::bit_cast<Int>(a) - std::bit_cast<Int>(b)); }

/// The text of the ValueError that `call` throws, or "" where it throws none.
std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("random_sample gives NumPy's numbers, past the first 624 words too") {
  struct Row {
    Int seed;
    double at_0, at_1, at_2, at_311, at_312, at_9999;
    std::uint64_t all;
  };
  for (const Row& row :
       {Row{0, 0.5488135039273248, 0.7151893663724195, 0.6027633760716439, 0.14694664540037505,
            0.07952208258675575, 0.8135750799512289, 0xc71d29d903a257d4},
        Row{1, 0.417022004702574, 0.7203244934421581, 0.00011437481734488664, 0.9096355249515571,
            0.2571182937821962, 0.7627937776432221, 0xef0ccc0a32bb10f0},
        Row{123, 0.6964691855978616, 0.28613933495037946, 0.2268514535642031, 0.6609517950296032,
            0.29824539331732947, 0.6132971657996362, 0x80a07ee372ffc948},
        Row{4357, 0.9997417491891225, 0.282617806994923, 0.23165654007325776, 0.5500980307942475,
            0.2412302133225518, 0.7801434112412253, 0x364a4715b5bd6da6},
        Row{4294967295, 0.0976320289940138, 0.9123828453026218, 0.78903530185164,
            0.2845819535787153, 0.89887815082878, 0.4906684539227597, 0xb7a14a8eae0c7ba4}}) {
    CAPTURE(row.seed);
    RandomState random(row.seed);
    const Tensor u = random.random_sample({100, 100});
    CHECK(u.shape() == Shape{100, 100});
    CHECK(u.at(0) == row.at_0);
    CHECK(u.at(1) == row.at_1);
    CHECK(u.at(2) == row.at_2);
    CHECK(u.at(311) == row.at_311);
    CHECK(u.at(312) == row.at_312);
    CHECK(u.at(9999) == row.at_9999);
    CHECK(digest(u) == row.all);
  }
}

TEST_CASE("uniform gives NumPy's numbers, also with low above high") {
  struct Row {
    Int seed;
    double low, high;
    std::vector<double> values;
    std::uint64_t all;
  };
  for (const Row& row :
       {Row{123,
            -1,
            1,
            {0.3929383711957233, -0.42772133009924107, -0.5462970928715938},
            0x423d9378e7c72f86},
        Row{5,
            2,
            1,
            {1.7780068289102604, 1.1292676938226236, 1.7932808446605737},
            0xbc24a3132d9d59f1},
        Row{6,
            -0.1,
            0.7,
            {0.6142881211488013, 0.16558384424094172, 0.5569832984462654},
            0x34a85a027b8648c9},
        Row{7, 3, 3, {3, 3, 3}, 0x18a0000000000000},
        Row{8,
            1e300,
            -1e300,
            {-7.468588055836325e+299, -9.370813256418641e+299, -7.3838908042784e+299},
            0x103efbd6dac545c6}}) {
    CAPTURE(row.seed);
    RandomState random(row.seed);
    const Tensor x = random.uniform(row.low, row.high, {1000});
    CHECK(first<double>(x, 3) == row.values);
    CHECK(digest(x) == row.all);
  }
}

TEST_CASE("a float32 result is the float64 result rounded, and advances the sequence as far") {
  RandomState random(9), wide(9);
  const Tensor u = random.uniform(-0.1, 0.7, {1000}, DType::float32);
  CHECK(u.dtype() == DType::float32);
  CHECK(digest(u) == 0x00024ad0983eacec);
  CHECK(u == wide.uniform(-0.1, 0.7, {1000}).cast(DType::float32));
  CHECK(random.random_sample({9}, DType::float32) == wide.random_sample({9}).cast(DType::float32));
  CHECK(random.normal(1, 2, {9}, DType::float32) == wide.normal(1, 2, {9}).cast(DType::float32));
  CHECK(random.state() == wide.state());
}

TEST_CASE("the tutorial's initial weights are those of NumPy (mission 0.2)") {
  const double bound = 4 * std::sqrt(6. / (784 + 500));
  CHECK(bound == 0.27343437080986527);
  RandomState random(123);
  const Tensor W = random.uniform(-bound, bound, {784, 500});
  CHECK(first<double>(W, 4) == std::vector{0.10744285629495587, -0.11695371277764466,
                                           -0.14937640186460277, 0.02806244319486778});
  CHECK(W.at(499) == 0.1337725499703803);
  CHECK(W.at(500) == -0.15704347701031324);
  CHECK(W.at(784 * 500 - 1) == 0.06768157926785823);
  double sum = 0;  // From first to last.
  for (const double w : W.data<double>()) sum += w;
  CHECK(sum == 63.69847434749296);
  CHECK(digest(W) == 0x25afc82c9f00c0e9);
}

TEST_CASE("std::mt19937 with the published recipe gives the same numbers (mission 0.2)") {
  for (const Int seed : {Int{0}, Int{123}, Int{4294967295}}) {
    CAPTURE(seed);
    RandomState random(seed);
    std::mt19937 words(static_cast<std::uint32_t>(seed));
    std::vector<double> expected(5000);
    for (double& u : expected) {
      const std::uint64_t a = words(), b = words();
      u = static_cast<double>((a >> 5) * 67108864 + (b >> 6)) / 9007199254740992;
    }
    CHECK(random.random_sample({5000}) == Tensor::from<double>({5000}, expected));
  }
}

// Everything but the C library's log is exactly rounded, so two units in the last place allow for
// another library than the one NumPy was run with. With glibc 2.36 all bits agree.
TEST_CASE("normal gives NumPy's numbers") {
  struct Row {
    Int seed;
    double mean, sd, at_0, at_1, at_2, at_999, at_1000;
  };
  for (const Row& row : {Row{0, 0, 1, 1.764052345967664, 0.4001572083672233, 0.9787379841057392,
                             -0.35811407547985674, 0.555962679709798},
                         Row{123, 0, 1, -1.0856306033005612, 0.9973454465835858,
                             0.28297849805199204, -1.1114304477623544, -0.748827465569452},
                         Row{2023, 10, 0.5, 10.355836765131423, 9.837757521954163, 9.49906468067006,
                             10.258447882363967, 9.902993113270194},
                         Row{4, -3, 0, -3, -3, -3, -3, -3}}) {
    CAPTURE(row.seed);
    RandomState random(row.seed);
    const Tensor x = random.normal(row.mean, row.sd, {1001});
    CHECK(ulps(x.at(0), row.at_0) <= 2);
    CHECK(ulps(x.at(1), row.at_1) <= 2);
    CHECK(ulps(x.at(2), row.at_2) <= 2);
    CHECK(ulps(x.at(999), row.at_999) <= 2);
    CHECK(ulps(x.at(1000), row.at_1000) <= 2);
  }
}

TEST_CASE("calls mix as in NumPy: the second normal of a pair waits for the next normal") {
  RandomState random(42);
  const auto check_near = [](const Tensor& x, std::vector<double> expected) {
    REQUIRE(x.shape() == Shape{static_cast<Int>(expected.size())});
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(ulps(x.at(static_cast<Int>(i)), expected[i]) <= 2);
    }
  };
  check_near(random.normal(0, 1, {3}),
             {0.4967141530112327, -0.13826430117118466, 0.6476885381006925});
  CHECK(random.uniform(0, 1, {2}) ==
        Tensor::from<double>({2}, {0.15601864044243652, 0.15599452033620265}));
  check_near(random.normal(10, 2, {2}), {13.046059712816051, 13.158425631014783});
  CHECK(random.randint(0, 100, {3}) == Tensor::from<Int>({3}, {21, 52, 1}));
  CHECK(random.binomial(100, 0.4, {2}) == Tensor::from<Int>({2}, {33, 40}));
  CHECK(random.permutation(5) == Tensor::from<Int>({5}, {0, 1, 3, 4, 2}));
  check_near(random.normal(0, 1, {2}), {0.7674347291529088, -0.2510439680857766});
  CHECK(random.random_sample({}).item() == 0.6183860093330873);
}

TEST_CASE("binomial gives NumPy's numbers, by inversion and by rejection") {
  struct Row {
    Int seed, n;
    double p;
    std::vector<Int> values;
    std::uint64_t all;
  };
  for (const Row& row :
       {Row{1, 1, 0.7, {1, 0, 1, 1, 1, 1, 1, 1}, 0x00000000084806d2},
        Row{1, 1, 0.3, {0, 1, 0, 0, 0, 0, 0, 0}, 0x0000000003a3e23e},
        Row{1, 1, 0.5, {0, 1, 0, 0, 0, 0, 0, 0}, 0x00000000060d3f0f},
        Row{1, 1, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0x0000000000000000},
        Row{1, 1, 1, {1, 1, 1, 1, 1, 1, 1, 1}, 0x000000000bebe910},
        Row{1, 0, 0.3, {0, 0, 0, 0, 0, 0, 0, 0}, 0x0000000000000000},
        Row{123, 10, 0.5, {6, 4, 4, 5, 6, 5, 8, 6}, 0x000000003bb12059},
        Row{123, 60, 0.5, {32, 28, 27, 31, 32, 29, 38, 32}, 0x0000000165c6b43f},
        Row{123, 61, 0.5, {31, 27, 32, 26, 33, 34, 36, 32}, 0x000000016aab702f},
        Row{123, 100, 0.4, {43, 40, 44, 35, 41, 34, 42, 42}, 0x00000001dc912925},
        Row{123, 100, 0.8, {78, 82, 83, 80, 78, 81, 71, 78}, 0x00000003b98be18b},
        Row{123, 1000, 0.7, {722, 706, 717, 669, 691, 706, 683, 704}, 0x0000002097f836cf},
        Row{123, 1000, 0.3, {278, 294, 283, 331, 309, 294, 317, 296}, 0x0000000df98e2fb1},
        Row{123, 100000, 0.0002, {22, 17, 17, 20, 22, 19, 30, 22}, 0x00000000ee97ab44},
        Row{123,
            100000,
            0.3,
            {30201, 29921, 30167, 30340, 30077, 29914, 30164, 29934},
            0x000005751837b84a},
        Row{123,
            Int{1} << 40,
            0.9,
            {989560026042, 989560638344, 989560099595, 989559720259, 989560296206, 989560654751,
             989560105376, 989560610784},
            0xbab827d65c2b5c54}}) {
    CAPTURE(row.n);
    CAPTURE(row.p);
    RandomState random(row.seed);
    const Tensor x = random.binomial(row.n, row.p, {20000});
    CHECK(first<Int>(x, row.values.size()) == row.values);
    CHECK(digest(x) == row.all);
  }
}

TEST_CASE("binomial of one trial takes one u an entry and compares it with p (mission 3.3)") {
  for (const double p : {0.0, 0.3, 0.5, 0.7, 1.0}) {
    CAPTURE(p);
    RandomState random(3), same(3);
    const Tensor mask = random.binomial(1, p, {1000}), u = same.random_sample({1000});
    for (Int i = 0; i < 1000; ++i) CHECK(mask.at(i) == (p > 0.5 ? u.at(i) <= p : u.at(i) > 1 - p));
    CHECK(random.state() == same.state());
  }
}

TEST_CASE("binomial stays in range for the largest n") {
  RandomState random(1);
  for (const double p : {0.0, 1e-18, 0.5, 1.0}) {
    const Tensor x = random.binomial(int_max, p, {2000});
    const double mean = static_cast<double>(int_max) * p;
    for (const Int successes : x.data<Int>()) {
      CHECK(std::abs(static_cast<double>(successes) - mean) <= 8 * std::sqrt(mean * (1 - p)));
    }
  }
}

TEST_CASE("randint gives NumPy's numbers: one word for up to 2^32 values, two above") {
  struct Row {
    Int low, high;
    std::vector<Int> values;
    std::uint64_t all;
  };
  for (const Row& row :
       {Row{5, 6, {5, 5, 5, 5}, 0x000000000ee71428}, Row{0, 7, {6, 5, 6, 2}, 0x0000000008f59230},
        Row{0, 256, {254, 109, 126, 66}, 0x000000017db7137d},
        Row{0, 2147483648, {843828734, 914636141, 1228959102, 1840268610}, 0x00bd48be669f767d},
        Row{0, 4294967295, {2991312382, 3062119789, 1228959102, 1840268610}, 0x017e4d78e69f767d},
        Row{0, 4294967296, {2991312382, 3062119789, 1228959102, 1840268610}, 0x017e4d78e69f767d},
        Row{0, 4294967297, {3062119789, 1840268610, 2967327842, 3088727057}, 0x017c56dc7644c15e},
        Row{0,
            1099511627776,
            {1093983812973, 543006147906, 947860132962, 990931205137},
            0x7a874b6864e76faf},
        Row{-10, -3, {-4, -5, -4, -8}, 0xffffffffeb2769e0},
        Row{-1099511627776,
            1099511627777,
            {1093983812973, 543006147906, -567880456647, -178623719711},
            0x0529af0a6de7cfb9},
        Row{int_min,
            int_max,
            {3624216819017203053, -3945032883802979006, -5038701301934992286, 946590342492863505},
            0x1b6e0d6864e76faf}}) {
    CAPTURE(row.low);
    CAPTURE(row.high);
    RandomState random(123);
    const Tensor x = random.randint(row.low, row.high, {10000});
    CHECK(first<Int>(x, 4) == row.values);
    CHECK(digest(x) == row.all);
  }
}

TEST_CASE("a single possible integer takes nothing from the sequence") {
  RandomState random(1);
  const RandomState::State before = random.state();
  random.randint(5, 6, {1000});
  random.permutation(1);
  random.permutation(0);
  CHECK(random.state() == before);
}

TEST_CASE("permutation and shuffle give NumPy's orders") {
  struct Row {
    Int seed, n;
    std::vector<Int> values;
    std::uint64_t all;
  };
  for (const Row& row : {Row{1, 0, {}, 0x0000000000000000}, Row{1, 1, {0}, 0x0000000000000000},
                         Row{1, 2, {0, 1}, 0x0000000000000002},
                         Row{123, 10, {4, 0, 7, 5, 8, 3, 1, 6, 9, 2}, 0x0000000000000103},
                         Row{123,
                             100000,
                             {42083, 71825, 99535, 47879, 36734, 48636, 59566, 44826, 51584, 4368},
                             0x0000e38f66881d4f}}) {
    CAPTURE(row.n);
    RandomState random(row.seed);
    const Tensor order = random.permutation(row.n);
    CHECK(order.shape() == Shape{row.n});
    CHECK(first<Int>(order, row.values.size()) == row.values);
    CHECK(digest(order) == row.all);
  }
  RandomState random(77);
  std::vector<Int> values{40, 10, 30, 10, 20};
  random.shuffle(values);
  CHECK(values == std::vector<Int>{30, 10, 10, 40, 20});
  random.shuffle(values);
  CHECK(values == std::vector<Int>{10, 20, 40, 10, 30});
  CHECK(random.random_sample({}).item() == 0.7538401524802134);
}

TEST_CASE("the state is NumPy's get_state") {
  RandomState random(123);
  CHECK(random.state().words[0] == 0x7b);
  CHECK(random.state().words[1] == 0xe79f0388);
  CHECK(random.state().words[623] == 0xeda9e173);
  CHECK(random.state().position == 624);
  CHECK_FALSE(random.state().has_gauss);
  CHECK(random.state().cached_gauss == 0);
  random.normal(0, 1, {3});
  CHECK(random.state().words[0] == 0x42edaad9);
  CHECK(random.state().words[1] == 0x2bef2b29);
  CHECK(random.state().words[623] == 0xfe887424);
  CHECK(random.state().position == 8);
  CHECK(random.state().has_gauss);
  CHECK(ulps(random.state().cached_gauss, -1.506294713918092) <= 2);
}

TEST_CASE("a saved state resumes the sequence anywhere, in another object too") {
  for (const Int drawn : {0, 1, 311, 312, 313, 1000}) {
    for (const Int normals : {0, 1, 2}) {
      CAPTURE(drawn);
      CAPTURE(normals);
      RandomState random(2023);
      random.random_sample({drawn});
      random.normal(0, 1, {normals});
      random.randint(0, 256, {1});  // Leaves an odd number of words used.
      const RandomState::State saved = random.state();
      const RandomState copy = random;
      const Tensor x = random.normal(0, 1, {401});
      const Tensor u = random.random_sample({401});

      RandomState resumed(1);
      resumed.set_state(saved);
      CHECK(resumed.normal(0, 1, {401}) == x);
      CHECK(resumed.random_sample({401}) == u);
      CHECK(resumed.state() == random.state());
      CHECK(copy.state() == saved);
    }
  }
}

TEST_CASE("drawing in parts or at once is the same") {
  RandomState parts(5), whole(5);
  const Tensor all = whole.uniform(-1, 1, {700});
  for (Int i = 0; i < 700; ++i) CHECK(parts.uniform(-1, 1, {}).item() == all.at(i));
}

TEST_CASE("empty shapes give empty tensors and take nothing from the sequence") {
  RandomState random(5);
  const RandomState::State before = random.state();
  CHECK(random.uniform(0, 1, {0, 3}).shape() == Shape{0, 3});
  CHECK(random.normal(0, 1, {3, 0}).size() == 0);
  CHECK(random.binomial(100, 0.4, {0}).dtype() == DType::int64);
  CHECK(random.randint(0, 9, {0}).dtype() == DType::int64);
  CHECK(random.state() == before);
}

TEST_CASE("arguments out of range are named, and leave the sequence where it was") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  RandomState random(1);
  const RandomState::State before = random.state();
  RandomState::State bad = before;
  bad.position = 625;
  struct Row {
    std::function<void()> call;
    std::string text;
  };
  for (const Row& row : std::vector<Row>{
           {[] { RandomState(-1); }, "RandomState: seed must be between 0 and 4294967295, got -1"},
           {[] { RandomState(4294967296); },
            "RandomState: seed must be between 0 and 4294967295, got 4294967296"},
           {[&] { random.uniform(nan, 1, {2}); },
            "uniform: low, high and high - low must be finite, got low nan, high 1"},
           {[&] { random.uniform(0, inf, {2}); },
            "uniform: low, high and high - low must be finite, got low 0, high inf"},
           {[&] { random.uniform(-1.7e308, 1.7e308, {2}); },
            "uniform: low, high and high - low must be finite, got low -1.7e+308, high 1.7e+308"},
           {[&] { random.uniform(0, 1e39, {2}, DType::float32); },
            "uniform: numbers may be too large for float32"},
           {[&] { random.uniform(-1e39, 0, {2}, DType::float32); },
            "uniform: numbers may be too large for float32"},
           {[&] { random.normal(1e39, 1, {2}, DType::float32); },
            "normal: numbers may be too large for float32"},
           {[&] { random.normal(0, 1e38, {2}, DType::float32); },
            "normal: numbers may be too large for float32"},
           {[&] { random.normal(0, 1.7e308, {2}); },
            "normal: numbers may be too large for float64"},
           {[&] { random.normal(inf, 1, {2}); }, "normal: mean must be finite, got inf"},
           {[&] { random.normal(0, -1, {2}); },
            "normal: sd must be finite and not negative, got -1"},
           {[&] { random.normal(0, nan, {2}); },
            "normal: sd must be finite and not negative, got nan"},
           {[&] { random.binomial(-3, 0.5, {2}); }, "binomial: n must not be negative, got -3"},
           {[&] { random.binomial(1, -0.1, {2}); }, "binomial: p must be in [0, 1], got -0.1"},
           {[&] { random.binomial(1, 1.5, {2}); }, "binomial: p must be in [0, 1], got 1.5"},
           {[&] { random.binomial(1, nan, {2}); }, "binomial: p must be in [0, 1], got nan"},
           {[&] { random.randint(4, 4, {2}); },
            "randint: low must be below high, got low 4, high 4"},
           {[&] { random.permutation(-1); }, "permutation: n must not be negative, got -1"},
           {[&] { random.set_state(bad); },
            "RandomState::set_state: position must be between 0 and 624, got 625"},
           {[&] { random.set_state({}); },
            "RandomState::set_state: the 624 words are all zero; was the state saved?"}}) {
    CHECK(error_of(row.call) == row.text);
  }
  CHECK_THROWS_WITH_AS(random.uniform(0, 1, {2}, DType::int64),
                       "uniform: dtype must be float32 or float64, got int64", TypeError);
  CHECK_THROWS_AS(random.normal(0, 1, {-2}), TypeError);
  CHECK(random.state() == before);
}

}  // namespace
}  // namespace cinch
