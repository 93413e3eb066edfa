// x[...], against what NumPy gives: each element of arange(n).reshape(shape)[...] says where it is
// from.
#include "cinch/ops/subscript.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Ints = std::vector<std::int64_t>;

Tensor ints(const Shape& shape, const Ints& values) {
  return Tensor::from<std::int64_t>(shape, std::span<const std::int64_t>(values));
}
doctest::Contains says(const char* text) { return doctest::Contains(text); }

/// The elements of a (2, 3, 4) tensor at every one of these rows, columns and depths.
Ints box(const Ints& a, const Ints& b, const Ints& c) {
  Ints result;
  for (const std::int64_t i : a) {
    for (const std::int64_t j : b) {
      for (const std::int64_t k : c) result.push_back((i * 3 + j) * 4 + k);
    }
  }
  return result;
}

}  // namespace

TEST_CASE("subscripts hold in every way that ops do") {
  const Type cube{DType::float64, {3, 5, 4}}, rows{DType::int64, {4}};
  check_composed({
      {"slices",
       {cube},
       [](Args x) {
         return subscript(x[0], {Slice{}, Slice{{}, {}, -2}, Slice{1, -1}});
       },
       {},
       true},
      {"an element of each example",
       {cube},
       [](Args x) {
         return subscript(x[0], {ellipsis, -1, 2});
       },
       {},
       true},
      {"index tensors",
       {cube, rows, rows},
       [](Args x) {
         return subscript(x[0], {Slice{}, x[1], x[2]});
       },
       {0, 5, 4}},
      {"index tensors apart",
       {cube, rows, rows},
       [](Args x) {
         return subscript(x[0], {x[1] - 3, Slice{1, {}}, x[2]});
       },
       {0, 3, 4}},
      {"columns by number",
       {cube, rows},
       [](Args x) {
         return subscript(x[0], {ellipsis, x[1], new_axis});
       },
       {0, 4},
       true},
      {"set",
       {cube, rows},
       [](Args x) {
         const Expr part = subscript(x[0], {Slice{}, Slice{{}, {}, 2}, x[1]});
         return set_subtensor(x[0], part, square(subscript(x[0], {Slice{}, Slice{2, {}}, x[1]})));
       },
       {0, 4}},
      {"add",
       {cube, rows, rows},
       [](Args x) {
         return inc_subtensor(x[0], subscript(x[0], {1, x[1], x[2]}), sin(subscript(x[0], {0, 0})));
       },
       {0, 5, 4}},
  });
}

TEST_CASE("subscripts choose as in NumPy") {
  const Expr x = variable("x", DType::int64, {-1, -1, -1}), i = lvector("i"), j = lmatrix("j"),
             k = lscalar("k");
  const Ints all2{0, 1}, all3{0, 1, 2}, all4{0, 1, 2, 3};
  struct Row {
    std::vector<Subscript> subscripts;
    Tensor expected;
  };
  const Tensor value = ints({2, 3, 4}, box(all2, all3, all4));
  for (const Row& r : {
           Row{{}, value},
           Row{{ellipsis}, value},
           Row{{1}, ints({3, 4}, box({1}, all3, all4))},
           Row{{-1, k}, ints({4}, box({1}, {2}, all4))},
           Row{{ellipsis, 0}, ints({2, 3}, box(all2, all3, {0}))},
           Row{{0, ellipsis, Slice{1, 3}}, ints({3, 2}, box({0}, all3, {1, 2}))},
           Row{{Slice{}, Slice{{}, {}, -1}}, ints({2, 3, 4}, box(all2, {2, 1, 0}, all4))},
           Row{{Slice{}, Slice{}, Slice{-1, 0, -2}}, ints({2, 3, 2}, box(all2, all3, {3, 1}))},
           Row{{Slice{k, 9}}, ints({0, 3, 4}, {})},
           Row{{Slice{}, Slice{k - 1, {}}}, ints({2, 2, 4}, box(all2, {1, 2}, all4))},
           Row{{new_axis, 0, new_axis, Slice{2, {}}}, ints({1, 1, 1, 4}, box({0}, {2}, all4))},
           Row{{ellipsis, i}, ints({2, 3, 3}, box(all2, all3, {3, 0, 0}))},
           Row{{Slice{}, i - 1, Slice{0, 1}}, ints({2, 3, 1}, box(all2, {2, 2, 2}, {0}))},
           Row{{Slice{}, j, i}, ints({2, 2, 3}, {3, 4, 0, 11, 4, 8, 15, 16, 12, 23, 16, 20})},
           Row{{1, i}, ints({3, 4}, box({1}, {2, 0, 0}, all4))},
           // Index tensors and integers apart: their axes come first.
           Row{{1, Slice{}, i}, ints({3, 3}, {15, 19, 23, 12, 16, 20, 12, 16, 20})},
           Row{{Slice{}, 2, i}, ints({2, 3}, {11, 8, 8, 23, 20, 20})},
       }) {
    const Tensor three = ints({3}, {3, 0, -4}), two = ints({2, 3}, {0, 1, 0, 2, 1, 2});
    const bool rows_of_three =
        r.subscripts.size() == 2 && std::holds_alternative<Arg>(r.subscripts[0]);
    const bool middle = r.subscripts.size() == 3 && std::holds_alternative<Arg>(r.subscripts[1]) &&
                        !std::holds_alternative<Arg>(r.subscripts[2]);
    const Tensor index = rows_of_three ? ints({3}, {2, 0, -3})
                         : middle      ? ints({3}, {3, 0, 3})
                                       : three;
    const Expr y = subscript(x, r.subscripts);
    CAPTURE(describe(y, 6));
    CHECK(function({.inputs = {x, i, j, k}, .outputs = {y}, .allow_unused_inputs = true})(
              {value, index, two, Tensor(std::int64_t{2})})[0] == r.expected);
  }
}

TEST_CASE("subscripts of known sizes give known sizes") {
  const Expr x = variable("x", DType::float64, {7, 4});
  CHECK(subscript(x, {Slice{{}, {}, -3}, new_axis}).dims() == Dims{3, 1, 4});
  CHECK(subscript(x, {Slice{-2, {}}, 0}).dims() == Dims{2});
}

TEST_CASE("mistakes in subscripts are explained") {
  const Expr x = dmatrix("x"), b = variable("b", DType::bool_, {-1}), f = dvector("f");
  CHECK_THROWS_WITH_AS(subscript(x, {0, 0, 0}),
                       says("subscript: there are 2 axes, the subscripts speak of 3"), TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {ellipsis, ellipsis}), says("there may be one ellipsis"),
                       TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {b}), says("a size that depends on values: switch_"),
                       TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {f}), says("indices must be int64, f is float64"), TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {0.5}), says("indices must be int64"), TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {0.5}), says("subscript.cpp:"), TypeError);
  CHECK_THROWS_WITH_AS(subscript(x, {Slice{0, 2, 0}}), says("the step cannot be 0"), ValueError);
  CHECK_THROWS_WITH_AS(evaluate(subscript(x, {3}), {{x, Tensor(DType::float64, {3, 2})}}),
                       says("index 3 is out of range"), ValueError);
}
