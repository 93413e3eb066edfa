// Tensors: making, reading, converting, and what they refuse.
#include "cinch/core/tensor.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace cinch;

TEST_CASE("a scalar tensor has the kind of its value") {
  CHECK(Tensor().dtype() == DType::float64);
  CHECK(Tensor(true).dtype() == DType::bool_);
  CHECK(Tensor(1).dtype() == DType::int64);
  CHECK(Tensor(std::uint8_t{1}).dtype() == DType::int64);
  CHECK(Tensor(1.f).dtype() == DType::float32);
  CHECK(Tensor(1.0).dtype() == DType::float64);
  CHECK(Tensor(1.0L).dtype() == DType::float64);
  CHECK(Tensor(-3).item() == -3);
  CHECK(Tensor(0.5f).item() == 0.5);
  CHECK(Tensor(2).shape().empty());
  CHECK(Tensor(std::int64_t{1} << 62).data<std::int64_t>()[0] == std::int64_t{1} << 62);
}

TEST_CASE("a new tensor is zero, aligned and of the size its shape says") {
  for (const DType dtype : {DType::bool_, DType::int64, DType::float32, DType::float64}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3}, Shape{2, 0, 4}, Shape{5, 7}}) {
      const Tensor t(dtype, shape);
      CAPTURE(text(t));
      CHECK(t.size() == element_count(shape));
      CHECK(t.bytes() == static_cast<std::size_t>(t.size()) * size_of(dtype));
      CHECK(t.rank() == static_cast<std::int64_t>(shape.size()));
      CHECK(reinterpret_cast<std::uintptr_t>(t.raw()) % 64 == 0);
      for (std::int64_t i = 0; i < t.size(); ++i) CHECK(t.at(i) == 0);
    }
  }
}

TEST_CASE("from takes exactly as many values as the shape asks for") {
  const Tensor t = Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(t.at(4) == 5);
  CHECK_THROWS_WITH_AS(Tensor::from<double>({2, 3}, {1, 2}),
                       doctest::Contains("needs 6 values, got 2"), TypeError);
  CHECK_THROWS_AS(Tensor::from<double>({}, {1, 2}), TypeError);
  CHECK(Tensor::from<float>({0}, {}).size() == 0);
  CHECK(Tensor::full(DType::int64, {2}, 7) == Tensor::from<std::int64_t>({2}, {7, 7}));
}

TEST_CASE("shapes that make no sense are refused") {
  CHECK_THROWS_WITH_AS(Tensor(DType::float32, {2, -1}), doctest::Contains("negative size -1"),
                       TypeError);
  const std::int64_t big = std::int64_t{1} << 32;
  CHECK_THROWS_AS(Tensor(DType::float32, {big, big}), TypeError);
  CHECK_THROWS_AS(Tensor(DType::float64, {big, big / 4}), TypeError);
  CHECK(element_count({0, 5}) == 0);
  CHECK(element_count({}) == 1);
}

TEST_CASE("elements are read by their own type, or as doubles within bounds") {
  Tensor t = Tensor::from<float>({2}, {1.5f, 2.5f});
  t.data<float>()[1] = 4;
  CHECK(t.at(1) == 4);
  CHECK_THROWS_WITH_AS(t.data<double>(), doctest::Contains("holds float32, not float64"),
                       TypeError);
  CHECK_THROWS_WITH_AS(t.at(2), doctest::Contains("element 2 of a tensor with 2"), TypeError);
  CHECK_THROWS_AS(t.at(-1), TypeError);
  CHECK_THROWS_WITH_AS(t.item(), doctest::Contains("(2,)"), TypeError);
  CHECK_THROWS_AS(Tensor(DType::float64, {0}).item(), TypeError);
  CHECK(Tensor::from<double>({1, 1}, {3}).item() == 3);
}

TEST_CASE("a cast truncates towards zero; a bool is 'not zero'") {
  struct Row {
    double x, as_int;
    bool as_bool;
  };
  for (const Row& row : {Row{0, 0, false}, Row{-0.0, 0, false}, Row{0.9, 0, true},
                         Row{-1.9, -1, true}, Row{2.5, 2, true}, Row{1e15, 1e15, true}}) {
    CAPTURE(row.x);
    CHECK(Tensor(row.x).cast(DType::int64).item() == row.as_int);
    CHECK((Tensor(row.x).cast(DType::bool_).item() == 1) == row.as_bool);
    CHECK(Tensor(row.x).cast(DType::float64) == Tensor(row.x));
  }
  CHECK(Tensor(std::numeric_limits<double>::quiet_NaN()).cast(DType::bool_).item() == 1);
  CHECK(Tensor(true).cast(DType::float32) == Tensor(1.f));
  CHECK(Tensor::from<double>({2, 1}, {1, 2}).cast(DType::int64).shape() == Shape{2, 1});
}

TEST_CASE("a reshaped tensor has the same elements in row-major order") {
  const Tensor t = Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(t.reshaped({3, 2}) == Tensor::from<double>({3, 2}, {1, 2, 3, 4, 5, 6}));
  CHECK(t.reshaped({6}).shape() == Shape{6});
  CHECK_THROWS_WITH_AS(t.reshaped({4}), doctest::Contains("(2, 3) to (4,)"), TypeError);
  CHECK(Tensor(DType::float32, {0, 3}).reshaped({7, 0}).size() == 0);
}

TEST_CASE("a copy is deep, a move keeps the elements") {
  Tensor a = Tensor::from<double>({2}, {1, 2});
  Tensor b = a;
  b.data<double>()[0] = 9;
  CHECK(a.at(0) == 1);
  a = b;
  b.data<double>()[1] = 8;
  CHECK(a.at(0) == 9);
  CHECK(a.at(1) == 2);
  const void* const where = a.raw();
  const Tensor c = std::move(a);
  CHECK(c.raw() == where);
  Tensor& self = b;
  b = self;
  CHECK(b.at(1) == 8);
}

TEST_CASE("memory that is given is the tensor's, and freed with it as its pointer says") {
  int freed = 0;
  double numbers[] = {1, 2, 3, 4, 5, 6};
  {
    Tensor t =
        Tensor::adopt<double>({2, 3}, std::shared_ptr<double>(numbers, [&](double*) { ++freed; }));
    CHECK(t.data<double>().data() == numbers);
    t.data<double>()[5] = 7;
    CHECK(numbers[5] == 7);
    Tensor copy = t;
    copy.data<double>()[0] = -1;
    CHECK(numbers[0] == 1);
    Tensor moved = std::move(t);
    CHECK(freed == 0);
    CHECK(moved == Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 7}));
    moved = copy;
    CHECK(freed == 1);
  }
  CHECK(freed == 1);
  CHECK(Tensor::adopt<float>({0, 3}, nullptr) == Tensor(DType::float32, {0, 3}));
  CHECK_THROWS_WITH_AS(Tensor::adopt<float>({3}, nullptr),
                       "Tensor::adopt: no elements for shape (3,)", TypeError);
  CHECK_THROWS_AS(Tensor::adopt<float>({-3}, nullptr), TypeError);
  const std::shared_ptr<double> odd(reinterpret_cast<double*>(reinterpret_cast<char*>(numbers) + 4),
                                    [](double*) {});
  CHECK_THROWS_WITH_AS(Tensor::adopt<double>({2}, odd),
                       "Tensor::adopt: elements of float64 have to lie at a multiple of 8 bytes",
                       TypeError);
}

TEST_CASE("tensors are equal when dtype, shape and elements are; NaN never is") {
  const Tensor a = Tensor::from<double>({2}, {1, 2});
  CHECK(a == Tensor::from<double>({2}, {1, 2}));
  CHECK_FALSE(a == Tensor::from<double>({2}, {1, 3}));
  CHECK_FALSE(a == Tensor::from<double>({2, 1}, {1, 2}));
  CHECK_FALSE(a == Tensor::from<float>({2}, {1, 2}));
  const Tensor nan(std::nan(""));
  CHECK_FALSE(nan == nan);
}

TEST_CASE("the text of a tensor is its dtype, shape and first elements") {
  CHECK(text(Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6})) ==
        "float64 (2, 3) [1, 2, 3, 4, 5, 6]");
  CHECK(text(Tensor::from<std::int64_t>({7}, {1, 2, 3, 4, 5, 6, 7})) ==
        "int64 (7,) [1, 2, 3, 4, 5, 6, ...]");
  CHECK(text(Tensor(1.5f)) == "float32 () [1.5]");
  CHECK(text(Tensor(DType::bool_, {0})) == "bool (0,) []");
  CHECK(text(Shape{}) == "()");
}

TEST_CASE("the text of a tensor has as many elements and digits as are asked for") {
  const Tensor t = Tensor::from<double>({2, 4}, {1.0 / 3, 2, 3, 4, 5, 6, 7, 8});
  CHECK(text(t, {.precision = 3, .most = 2}) == "float64 (2, 4) [0.333, 2, ...]");
  CHECK(text(t, {.precision = 10, .most = t.size()}) ==
        "float64 (2, 4) [0.3333333333, 2, 3, 4, 5, 6, 7, 8]");
}

TEST_CASE("a large tensor is printed by its first and last elements along each axis") {
  Tensor t(DType::int64, {7, 200});
  for (std::int64_t k = 0; k < t.size(); ++k)
    t.data<std::int64_t>()[static_cast<std::size_t>(k)] = k;
  std::ostringstream out;
  out << t;
  CHECK(out.str() ==
        "int64 (7, 200)\n[[0, 1, 2, ..., 197, 198, 199],\n [200, 201, 202, ..., 397, 398, 399],\n "
        "[400, 401, 402, ..., 597, 598, 599],\n ...,\n [800, 801, 802, ..., 997, 998, 999],\n "
        "[1000, 1001, 1002, ..., 1197, 1198, 1199],\n [1200, 1201, 1202, ..., 1397, 1398, 1399]]");
}

TEST_CASE("a NaN is printed as nan whatever its sign") {
  for (const double nan : {std::nan(""), -std::nan(""), std::copysign(std::nan(""), -1.0)}) {
    std::ostringstream out;
    out << Tensor(nan) << " " << Tensor(static_cast<float>(nan));
    CHECK(out.str() == "float64 () nan float32 () nan");
    CHECK(text(Tensor(nan)) == "float64 () [nan]");
    CHECK(text(nan, " ", static_cast<float>(nan)) == "nan nan");
  }
}

TEST_CASE("texts are the same in every locale") {
  struct Grouping : std::numpunct<char> {
    char do_thousands_sep() const override { return '.'; }
    char do_decimal_point() const override { return ','; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale before = std::locale::global(std::locale(std::locale(), new Grouping));
  const std::string number = text("W#", 1000, " ", 1.5), tensor = text(Tensor(12345.5)),
                    shape = text(Shape{60000, 784});
  std::locale::global(before);
  CHECK(number == "W#1000 1.5");
  CHECK(tensor == "float64 () [12345.5]");
  CHECK(shape == "(60000, 784)");
}

TEST_CASE("casting a float that int64 does not hold gives -2^63, as the op does") {
  const double huge[] = {std::nan(""), 1e300, -1e300, 0x1p63};
  for (const double x : huge)
    CHECK(Tensor(x).cast(DType::int64) == Tensor(std::numeric_limits<std::int64_t>::min()));
  CHECK(Tensor(-0x1p63).cast(DType::int64) == Tensor(std::numeric_limits<std::int64_t>::min()));
  CHECK(Tensor(-2.7).cast(DType::int64) == Tensor(-2));
}
