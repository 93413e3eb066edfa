// Parts chosen by index tensors, replaced and added to, against plain loops.
#include "cinch/ops/subtensor.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/composed.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Ints = std::vector<std::int64_t>;

Tensor ints(const Shape& shape, const Ints& values) {
  return Tensor::from<std::int64_t>(shape, std::span<const std::int64_t>(values));
}
Tensor numbered(const Shape& shape) {
  Tensor result(DType::int64, shape);
  for (std::int64_t k = 0; k < result.size(); ++k)
    result.data<std::int64_t>()[static_cast<std::size_t>(k)] = k;
  return result;
}
doctest::Contains says(const char* text) { return doctest::Contains(text); }

const Type m{DType::float64, {5, 3}}, cube{DType::float64, {2, 4, 3}}, i4{DType::int64, {4}},
    row{DType::float64, {3}};

}  // namespace

TEST_CASE("index tensors, and parts set and added to, hold in every way that ops do") {
  check_composed({
      {"take", {cube, i4}, [](Args x) { return take(x[0], x[1] - 2, 1); }, {0, 4}, true},
      {"take rows of examples",
       {m, i4},
       [](Args x) {
         return take(x[0], reshape(x[1], Shape{2, 2}), -1);
       },
       {0, 3},
       true},
      {"take by what examples are",
       {m},
       [](Args x) { return take(arange(7) * 0.5, argmax(x[0], 1)) * sum(x[0], 1); },
       {},
       true},
      {"take along an axis",
       {cube, Type{DType::int64, {2, 6, 1}}},
       [](Args x) { return take_along_axis(x[0], x[1], 1); },
       {0, 4},
       true},
      {"take along by what examples are",
       {cube},
       [](Args x) { return take_along_axis(x[0], expand_dims(argmax(x[0], 1), 1), 1); },
       {},
       true},
      {"gather",
       {m, i4, i4},
       [](Args x) {
         return gather(x[0], {x[1] - 5, x[2]});
       },
       {0, 5, 3}},
      {"gather rows and columns",
       {cube, Type{DType::int64, {4, 1}}, Type{DType::int64, {2}}},
       [](Args x) {
         return gather(x[0], {x[1], x[2]});
       },
       {0, 2, 4}},
      {"gather an element of each row",
       {m},
       [](Args x) {
         return gather(x[0], {arange(size(x[0], 0)), argmax(x[0], 1)});
       }},
      {"an element where examples say",
       {row, row},
       [](Args x) { return at(x[0], argmax(x[1], 0)) * x[1]; }},
      {"a slice from where examples say",
       {cube, row},
       [](Args x) {
         const Expr start = minimum(argmax(x[1], 0), 1);
         return narrow(square(x[0]), 1, start, 2, 2) * x[1];
       }},
      {"a gradient from where examples say",
       {cube, row},
       [](Args x) {
         const Expr start = minimum(argmax(x[1], 0), 1);
         return grad(sum(square(rows(transpose(x[0]), start, 2))), x[0]) * x[1];
       }},
      {"set rows",
       {m, m},
       [](Args x) { return set_subtensor(x[0], slice(x[0], 1, 5, 0, 2), slice(x[1], 3, 5)); }},
      {"set a row to a vector",
       {m, row},
       [](Args x) { return set_subtensor(x[0], at(x[0], -2), x[1]); }},
      {"set columns of examples",
       {cube},
       [](Args x) {
         return set_subtensor(x[0], slice(slice(x[0], 1, 3, 1), 0, 2, 2),
                              slice(slice(x[0], 2, 4, 1), 1, 3, 2) * 0.5);
       }},
      {"set a box backwards",
       {cube, Type{DType::float64, {3, 2}}},
       [](Args x) {
         return set_subtensor(x[0], transpose(at(reverse(x[0], 1), 1), {1, 0}),
                              concatenate({x[1], x[1]}, 1));
       }},
      {"set rows by numbers",
       {m, i4, Type{DType::float64, {4, 3}}},
       [](Args x) { return set_subtensor(x[0], take(x[0], x[1]), x[2]); },
       {0, 5}},
      {"set by what examples are",
       {m},
       [](Args x) {
         return set_subtensor(x[0], take_along_axis(x[0], expand_dims(argmax(x[0], 1), 1), 1),
                              sum(x[0], 1, true));
       },
       {},
       true},
      {"set columns by numbers",
       {cube, i4, Type{DType::float64, {2, 4, 4}}},
       [](Args x) { return set_subtensor(x[0], take(x[0], x[1], 2), x[2]); },
       {0, 3},
       true},
      {"set along an axis",
       {cube, Type{DType::int64, {2, 5, 3}}},
       [](Args x) { return put_along_axis(x[0], x[1] - 4, sum(square(x[0]), 1, true), 1); },
       {0, 4}},
      {"set pairs",
       {m, i4, i4, Type{DType::float64, {4}}},
       [](Args x) {
         return set_subtensor(x[0], gather(x[0], {x[1], x[2]}), x[3]);
       },
       {0, 5, 3}},
      {"set a diagonal",
       {m, row},
       [](Args x) { return set_subtensor(x[0], diagonal(x[0], -2), x[1]); }},
      {"set nothing",
       {m, Type{DType::int64, {0}}},
       [](Args x) { return set_subtensor(x[0], take(x[0], x[1]), 3); }},
      {"set all", {m}, [](Args x) { return set_subtensor(x[0], x[0], square(x[0])); }},
      {"add to rows",
       {m, row},
       [](Args x) { return inc_subtensor(x[0], slice(x[0], 2, 4), x[1]); }},
      {"add to rows by numbers",
       {m, i4, Type{DType::float64, {4, 3}}},
       [](Args x) { return inc_subtensor(x[0], take(x[0], x[1]), x[2]); },
       {0, 5}},
      {"add to an element of each row",
       {m, Type{DType::int64, {5, 1}}},
       [](Args x) {
         return inc_subtensor(x[0], take_along_axis(x[0], x[1], 1), sum(x[0], 1, true));
       },
       {0, 3}},
      {"put",
       {cube, i4, Type{DType::float64, {4}}},
       [](Args x) { return put(x[0], x[1], x[2]); },
       {0, 24}},
      {"bincount",
       {Type{DType::float64, {3, 2}}, Type{DType::int64, {3, 2}}},
       [](Args x) { return bincount(x[1], 4, x[0]); },
       {0, 4}},
  });
}

TEST_CASE("examples set and added to stay apart") {
  const Expr x = dmatrix("x"), first = expand_dims(argmax(x, 1), 1);
  const Tensor value = Tensor::from<double>({2, 3}, {1, 5, 2, 7, 3, 4});
  // Each largest element is doubled: a Jacobian of 1 but there.
  const Expr y = inc_subtensor(x, take_along_axis(x, first, 1), max(x, 1, true));
  CHECK(evaluate(y, {{x, value}}) == Tensor::from<double>({2, 3}, {1, 10, 2, 14, 3, 4}));
  CHECK(evaluate(jacobian(y, x), {{x, value}}) ==
        Tensor::from<double>({2, 3, 3}, {1, 0, 0, 0, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 1}));
  CHECK(evaluate(jacobian(set_subtensor(x, slice(x, 0, 2, 1), square(slice(x, 1, 3, 1))), x),
                 {{x, value}}) ==
        Tensor::from<double>({2, 3, 3}, {0, 10, 0, 0, 0, 4, 0, 0, 1, 0, 6, 0, 0, 0, 8, 0, 0, 1}));
}

TEST_CASE("several index tensors broadcast together, as NumPy's") {
  const Expr x = variable("x", DType::int64, {-1, -1, -1}), i = lmatrix("i"), j = lvector("j");
  const Tensor value = numbered({3, 4, 5}), rows = ints({2, 1}, {2, -3}),
               columns = ints({3}, {0, -1, 1});
  const Tensor got = evaluate(gather(x, {i, j}), {{x, value}, {i, rows}, {j, columns}});
  Ints expected;
  for (const std::int64_t r : {2, 0}) {
    for (const std::int64_t c : {0, 3, 1}) {
      for (std::int64_t k = 0; k < 5; ++k) expected.push_back((r * 4 + c) * 5 + k);
    }
  }
  CHECK(got == ints({2, 3, 5}, expected));
  CHECK(evaluate(gather(x, {j}), {{x, value}, {j, ints({1}, {1})}}) ==
        evaluate(slice(x, 1, 2), {{x, value}}));
  CHECK(evaluate(gather(x, {j, j, j}), {{x, value}, {j, ints({2}, {2, 1})}}) ==
        ints({2}, {52, 26}));
}

TEST_CASE("of several values for one element the last stays and has the gradient, all are added") {
  const Expr x = dvector("x"), v = dvector("v"), i = lvector("i");
  const std::vector<Binding> given{{x, Tensor::from<double>({3}, {1, 2, 3})},
                                   {v, Tensor::from<double>({4}, {10, 20, 30, 40})},
                                   {i, ints({4}, {0, 2, -3, 2})}};
  const Expr set = set_subtensor(x, take(x, i), v), more = inc_subtensor(x, take(x, i), v);
  CHECK(evaluate(set, given) == Tensor::from<double>({3}, {30, 2, 40}));
  CHECK(evaluate(more, given) == Tensor::from<double>({3}, {41, 2, 63}));
  CHECK(evaluate(grad(sum(square(set)), v), given) == Tensor::from<double>({4}, {0, 0, 60, 80}));
  CHECK(evaluate(grad(sum(square(set)), x), given) == Tensor::from<double>({3}, {0, 4, 0}));
  CHECK(evaluate(grad(sum(square(more)), v), given) ==
        Tensor::from<double>({4}, {82, 126, 82, 126}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(evaluate(set, {given[1], given[2], {x, Tensor::from<double>({3}, {nan, 2, nan})}}) ==
        Tensor::from<double>({3}, {30, 2, 40}));
}

TEST_CASE("parts of integers and bools are set, and integers added to") {
  const Expr x = lvector("x"), i = lvector("i"), b = variable("b", DType::bool_, {-1});
  const Tensor numbers = numbered({4}), two = ints({2}, {3, 1});
  CHECK(evaluate(set_subtensor(x, take(x, i), 9), {{x, numbers}, {i, two}}) ==
        ints({4}, {0, 9, 2, 9}));
  CHECK(evaluate(inc_subtensor(x, slice(x, 1, 3), 5), {{x, numbers}}) == ints({4}, {0, 6, 7, 3}));
  const Tensor no = Tensor::from<bool>({4}, {false, false, true, true});
  CHECK(evaluate(set_subtensor(b, take(b, i), true), {{b, no}, {i, two}}) ==
        Tensor::from<bool>({4}, {false, true, true, true}));
  CHECK(evaluate(set_subtensor(b, slice(b, 1, 3), logical_not(slice(b, 1, 3))), {{b, no}}) ==
        Tensor::from<bool>({4}, {false, true, false, true}));
  CHECK(evaluate(put(x, i, 7), {{x, numbers}, {i, two}}) == ints({4}, {0, 7, 2, 7}));
}

TEST_CASE("bincount counts") {
  const Expr x = lmatrix("x"), n = lscalar("n");
  const Tensor value = ints({2, 3}, {1, 0, 3, 1, 1, 3});
  CHECK(evaluate(bincount(x, 5), {{x, value}}) == ints({5}, {1, 3, 0, 2, 0}));
  CHECK(evaluate(bincount(x, n), {{x, value}, {n, 4}}) == ints({4}, {1, 3, 0, 2}));
  CHECK(evaluate(bincount(x, 2), {{x, ints({0, 3}, {})}}) == ints({2}, {0, 0}));
  CHECK_THROWS_WITH_AS(evaluate(bincount(x, 3), {{x, value}}), says("element 3 is not in [0, 3)"),
                       ValueError);
  CHECK_THROWS_WITH_AS(evaluate(bincount(x, 3), {{x, ints({1, 1}, {-1})}}),
                       says("element -1 is not in [0, 3)"), ValueError);
}

TEST_CASE("indices out of range are errors in both modes, and say where") {
  const Expr x = dmatrix("x"), i = lvector("i");
  const Tensor value(DType::float64, {5, 3});
  struct Row {
    Expr y;
    std::int64_t index;
    const char* text;
  };
  for (const Row& r :
       {Row{take(x, i, 1), 3, "index 3 is out of range for an axis of size 3"},
        Row{gather(x, {i, i}), 3, "index 3 is out of range for an axis of size 3"},
        Row{gather(x, {i, i}), -4, "index -4 is out of range for an axis of size 3"},
        Row{take_along_axis(x, expand_dims(i, 0), 0), -6,
            "index -6 is out of range for an axis of size 5"},
        Row{set_subtensor(x, take(x, i), 1), 5, "index 5 is out of range for an axis of size 5"},
        Row{inc_subtensor(x, take(x, i, 1), 1), 3,
            "index 3 is out of range for an axis of size 3"}}) {
    const std::vector<Binding> given{{x, value}, {i, ints({1}, {r.index})}};
    CHECK_THROWS_WITH_AS(evaluate(r.y, given), says(r.text), ValueError);
    CHECK_THROWS_WITH_AS(evaluate(r.y, given), says("subtensor.cpp:"), ValueError);
    CHECK_THROWS_WITH_AS(cinch::running::interpret(std::span(&r.y, 1), given, true), says(r.text),
                         ValueError);
  }
  // Also where the index is known beforehand: what fails, fails when it is called.
  CHECK_THROWS_WITH_AS(
      evaluate(gather(x, {constant(ints({1}, {0})), constant(ints({1}, {3}))}), {{x, value}}),
      says("subtensor.cpp:"), ValueError);
}

TEST_CASE("mistakes with parts and indices are explained") {
  const Expr x = dmatrix("x"), y = dmatrix("y"), i = lvector("i"), f = dvector("f");
  CHECK_THROWS_WITH_AS(set_subtensor(x, slice(y, 0, 2), 1),
                       says("is not a part of x: it is made by"), TypeError);
  CHECK_THROWS_WITH_AS(inc_subtensor(x, x * 2, 1), says("it is made by mul of"), TypeError);
  CHECK_THROWS_WITH_AS(inc_subtensor(x, x * 2, 1), says("A part is x under slice"), TypeError);
  const Expr k = variable("k", DType::float64, {4, 3}), v = variable("v", DType::float64, {2});
  CHECK_THROWS_WITH_AS(set_subtensor(k, at(k, 0), v),
                       says("set_subtensor: the value does not broadcast to the part"), TypeError);
  const Expr b = variable("b", DType::bool_, {-1});
  CHECK_THROWS_WITH_AS(inc_subtensor(b, slice(b, 0, 1), true),
                       says("inc_subtensor: bools cannot be added"), TypeError);
  CHECK_THROWS_WITH_AS(gather(x, {}), says("gather: takes 1 to 2 index tensors"), TypeError);
  CHECK_THROWS_WITH_AS(gather(x, {i, i, i}), says("got 3"), TypeError);
  CHECK_THROWS_WITH_AS(gather(x, {i, f}), says("the indices must be int64"), TypeError);
  CHECK_THROWS_WITH_AS(take_along_axis(x, f, 0), says("the indices must be int64"), TypeError);
  CHECK_THROWS_WITH_AS(take_along_axis(x, i, 0), says("both must have the same number of axes"),
                       TypeError);
  CHECK_THROWS_WITH_AS(take_along_axis(x, i, 2), says("take_along_axis"), TypeError);
  const Expr wide = variable("w", DType::int64, {2, 5});
  CHECK_THROWS_WITH_AS(take_along_axis(k, wide, 0), says("take_along_axis: "), TypeError);
  CHECK_THROWS_WITH_AS(add_along_axis(k, variable("w", DType::int64, {2, 3}), k, 0),
                       says("sizes differ along axis 0"), TypeError);
  CHECK_THROWS_WITH_AS(add_along_axis(expand_dims(b, 0), wide, wide, 1),
                       says("bools cannot be added"), TypeError);
  CHECK_THROWS_WITH_AS(bincount(x, 3), says("the indices must be int64"), TypeError);
  const Expr length = argmax(f, 0), many = dmatrix("many");
  CHECK_THROWS_WITH_AS(vectorize(slice(x, 0, length), f, many),
                       says("vectorize: the lengths of slices cannot differ"), GradError);
  CHECK_THROWS_WITH_AS(checked_index(i, f), says("sizes must be int64 scalars"), TypeError);
  CHECK_THROWS_AS(last_writer(i, -1), TypeError);
}
