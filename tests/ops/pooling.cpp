// Pooling by hand: values, whom the gradient goes to, edges, and mistakes.
#include "cinch/ops/pooling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/window/windows.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN(),
             inf = std::numeric_limits<double>::infinity();

Tensor row(const std::vector<double>& values) {
  return Tensor::from<double>({static_cast<std::int64_t>(values.size())},
                              std::span<const double>(values));
}

std::vector<double> elements(const Tensor& x) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < x.size(); ++i) result.push_back(x.at(i));
  return result;
}

/// The value of an expression of constants, the same by kernels and references.
Tensor value(const Expr& e) {
  const Tensor fast = function({.outputs = {e}})()[0],
               checked = cinch::running::interpret(std::span(&e, 1), {}, /*watch=*/false)[0];
  CHECK(distance(fast, checked) < 1e-14);
  return fast;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& all, const std::string& part) {
  return all.find(part) != std::string::npos;
}

using Numbers = std::vector<double>;

/// 4 x 6 with its largest elements scattered.
Tensor map46() {
  return Tensor::from<double>({4, 6}, {1, 2,  3,  4, 5, 6,  //
                                       9, 8,  -7, 0, 1, 2,  //
                                       0, -1, 5,  5, 3, 8,  //
                                       2, 4,  5,  1, 7, 3});
}

}  // namespace

TEST_CASE("max_pool2d takes the largest of each window, and drops what no window covers") {
  const Expr x = constant(map46());
  CHECK(elements(value(max_pool2d(x, 2))) == Numbers{9, 4, 6, 4, 5, 8});
  CHECK(elements(value(max_pool2d(x, {4, 3}))) == Numbers{9, 8});
  CHECK(elements(value(max_pool2d(x, 3))) == Numbers{9, 8});
  CHECK(elements(value(max_pool2d(x, {2, 3}, {.stride = {1, 3}}))) == Numbers{9, 6, 9, 8, 5, 8});
  CHECK(elements(value(max_pool2d(x, 3, {.padding = {{0, 2}, 0}}))) == Numbers{9, 8, 5, 7});
  CHECK(elements(value(max_pool2d(x, 2, {.padding = 1}))) ==
        Numbers{1, 3, 5, 6, 9, 8, 5, 8, 2, 5, 7, 3});
}

TEST_CASE("padding is never the largest element") {
  CHECK(elements(value(max_pool1d(constant(row({-3, -5, -4})), 2, {.padding = 1}))) ==
        Numbers{-3, -4});
  CHECK(elements(value(max_pool1d(constant(row({-inf, -inf})), 2))) == Numbers{-inf});
}

TEST_CASE("max_pool1d pools along the last axis, and keeps the odd end if padded behind") {
  const Expr x = constant(Tensor::from<double>({2, 5}, {1, 4, 2, 3, 9, 5, 1, 7, 6, 2}));
  CHECK(elements(value(max_pool1d(x, 2))) == Numbers{4, 3, 5, 7});
  CHECK(elements(value(max_pool1d(x, 2, {.padding = {{0, 1}}}))) == Numbers{4, 3, 9, 5, 7, 2});
  CHECK(elements(value(max_pool1d(x, 3, {.stride = 1, .padding = Pad::same}))) ==
        Numbers{4, 4, 4, 9, 9, 5, 7, 7, 7, 6});
}

TEST_CASE("the position of a maximum is that of the first of equal ones, or of the first NaN") {
  const Expr x = constant(map46());
  CHECK(elements(value(max_pool2d_positions(x, 2))) == Numbers{6, 3, 5, 19, 14, 17});
  const Expr ties = constant(row({2, 2, 1, not_a_number, not_a_number, 5, 7, not_a_number}));
  CHECK(elements(value(max_pool1d_positions(ties, 2))) == Numbers{0, 3, 4, 7});
  CHECK(std::isnan(value(max_pool1d(ties, 2)).at(3)));
  const Expr integers = constant(Tensor::from<std::int64_t>({4}, {3, 3, -1, 0}));
  CHECK(value(max_pool1d(integers, 2)) == Tensor::from<std::int64_t>({2}, {3, 0}));
}

TEST_CASE("the gradient of a maximum goes to the first of equal elements, and adds up") {
  const Expr x = dvector("x");
  const Tensor ties = row({5, 5, 1, 5, 2});
  const Expr apart = max_pool1d(x, 2), overlapping = max_pool1d(x, 3, {.stride = 1});
  CHECK(elements(evaluate(grad(sum(apart * constant(row({1, 10}))), x), {{x, ties}})) ==
        Numbers{1, 0, 0, 10, 0});
  CHECK(elements(evaluate(grad(sum(overlapping * constant(row({1, 10, 100}))), x), {{x, ties}})) ==
        Numbers{1, 10, 0, 100, 0});
  // The second derivative of the squares is 2 where a maximum was found.
  const Expr slope = grad(sum(square(overlapping)), x);
  CHECK(elements(evaluate(grad(sum(slope * constant(row({1, 2, 3, 4, 5}))), x), {{x, ties}})) ==
        Numbers{2, 4, 0, 8, 0});
}

TEST_CASE("max_unpool puts elements back where max_pool found them") {
  const Expr x = constant(map46());
  const Expr at = max_pool2d_positions(x, 2);
  const Tensor back = value(max_unpool2d(max_pool2d(x, 2), at, x));
  CHECK(elements(back) == Numbers{0, 0, 0, 4, 0, 6,  //
                                  9, 0, 0, 0, 0, 0,  //
                                  0, 0, 5, 0, 0, 8,  //
                                  0, 4, 0, 0, 0, 0});
  const Expr y = constant(row({1, 2, 4})),
             same = constant(Tensor::from<std::int64_t>({3}, {1, 3, 1}));
  CHECK(elements(value(max_unpool1d(y, same, constant(row({0, 0, 0, 0}))))) == Numbers{0, 5, 0, 2});
}

TEST_CASE("average_pool takes means, over windows or over what lies inside") {
  const Expr x = constant(row({2, 4, 6, 9, 1}));
  CHECK(elements(value(average_pool1d(x, 2))) == Numbers{3, 7.5});
  const PoolOptions padded{.stride = 2, .padding = {{1, 1}}};
  CHECK(elements(value(average_pool1d(x, 4, padded))) == Numbers{3, 5});
  PoolOptions inside = padded;
  inside.count_include_pad = false;
  CHECK(elements(value(average_pool1d(x, 4, inside))) == Numbers{4, 5});
  inside.padding = {{0, 3}};
  CHECK(elements(value(average_pool1d(x, 4, inside))) == Numbers{5.25, 16.0 / 3, 1});
  const Expr integers = constant(Tensor::from<std::int64_t>({2, 2}, {1, 2, 3, 5}));
  CHECK(elements(value(average_pool2d(integers, 2))) == Numbers{2.75});
  const Expr single = variable("x", DType::float32, {4, 4});
  CHECK(average_pool2d(single, 2, {.padding = 1, .count_include_pad = false}).dtype() ==
        DType::float32);
}

TEST_CASE("upsample repeats elements, and its gradient sums over them") {
  const Expr x = constant(Tensor::from<double>({2, 2}, {1, 2, 3, 4}));
  CHECK(elements(value(upsample2d(x, {2, 3}))) == Numbers{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2,  //
                                                          3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4});
  CHECK(elements(value(upsample1d(x, 2))) == Numbers{1, 1, 2, 2, 3, 3, 4, 4});
  const Expr mask = constant(Tensor::from<bool>({2}, {true, false}));
  CHECK(value(upsample1d(mask, 2)) == Tensor::from<bool>({4}, {true, true, false, false}));
  const Expr v = dvector("v");
  const Expr weighted = sum(upsample1d(v, 2) * constant(row({1, 2, 3, 4})));
  CHECK(elements(evaluate(grad(weighted, v), {{v, row({0, 0})}})) == Numbers{3, 7});
}

TEST_CASE("averaging undoes upsampling, whatever the axes in front, with sizes unknown") {
  std::mt19937 random(5);
  const Expr x = tensor4("x", DType::float64);
  const Expr large = upsample2d(x, {3, 2});
  const Tensor small = random_tensor(DType::float64, {2, 3, 4, 5}, random);
  CHECK(evaluate(large, {{x, small}}).shape() == Shape{2, 3, 12, 10});
  CHECK(distance(evaluate(average_pool2d(large, {3, 2}), {{x, small}}), small) < 1e-15);
  CHECK(evaluate(max_pool2d(large, {3, 2}), {{x, small}}) == small);
}

TEST_CASE("sizes of pooled maps are known where the maps' are") {
  const Expr x = variable("x", DType::float64, {-1, 3, 9, 7});
  CHECK(text(max_pool2d(x, 2).dims()) == "(?, 3, 4, 3)");
  CHECK(max_pool2d(x, 2).dims()[0] == x.dims()[0]);
  CHECK(text(average_pool2d(x, {2, 3}, {.stride = 1, .padding = Pad::same}).dims()) ==
        "(?, 3, 9, 7)");
  CHECK(text(upsample2d(x, 2).dims()) == "(?, 3, 18, 14)");
}

TEST_CASE("pooling gives the same bits for any number of threads") {
  std::mt19937 random(6);
  const Expr x = variable("x", DType::float64, {20, 8, 31, 30});
  const PoolOptions overlapping{.stride = 2, .padding = 1};
  const Expr cost =
      sum(square(max_pool2d(x, 3, overlapping))) + sum(square(average_pool2d(x, 3, overlapping)));
  const Function f = function({.inputs = {x}, .outputs = {cost, grad(cost, x)}});
  const std::vector<Tensor> arguments{random_tensor(DType::float64, {20, 8, 31, 30}, random)};
  const int before = threads();
  set_threads(1);
  const std::vector<Tensor> alone = f(arguments);
  for (const int n : {2, 5}) {
    set_threads(n);
    CHECK(f(arguments) == alone);
  }
  set_threads(before);
}

TEST_CASE("errors of pooling say what is wrong, the operand and the line") {
  const Expr x = variable("x", DType::float64, {2, 3, 4, 4});
  struct Mistake {
    PerAxis window;
    PoolOptions options;
    const char* says;
  };
  for (const Mistake& m : std::vector<Mistake>{
           {5, {}, "max_pool2d: a window spans 5 elements, more than the 4 there are"},
           {0, {}, "max_pool2d: the window is 0, it must be at least 1"},
           {{1, 2, 3}, {}, "max_pool2d: the window has 3 numbers for 2 spatial axes"},
           {2, {.stride = -1}, "max_pool2d: the stride is -1, it must be at least 0"},
           {2, {.padding = 2}, "max_pool2d: the padding of 2 must be less than the window of 2"}}) {
    const std::string message = error_of([&] { max_pool2d(x, m.window, m.options); });
    CAPTURE(message);
    CHECK(contains(message, m.says));
    CHECK(contains(message, "float64 (2, 3, 4, 4)  x"));
    CHECK(contains(message, "written at pooling.cpp:"));
  }
  CHECK(contains(error_of([&] { average_pool2d(dvector("v"), 2); }),
                 "average_pool2d: needs height and width as its last two axes"));
  CHECK(contains(error_of([&] { upsample2d(x, 0); }),
                 "upsample2d: the factor is 0, it must be at least 1"));
  CHECK(contains(error_of([&] { upsample1d(dscalar("s"), 2); }), "upsample1d: needs an axis"));
  CHECK(contains(error_of([&] {
                   max_pool1d(constant(Tensor(DType::float64, {3, 0})), 1);
                 }),
                 "max_pool1d: a window spans 1 elements, more than the 0 there are"));
  CHECK(contains(error_of([&] { max_unpool2d(x, x, x); }), "unpool: the positions must be int64"));
  CHECK(contains(error_of([&] { max_unpool2d(x, dvector("v"), x); }),
                 "max_unpool2d: each operand needs at least 2 axes"));
}

TEST_CASE("errors of the ops behind pooling say what they want") {
  const cinch::Attrs attrs = cinch::windows::attrs_of({windows::Window{}, windows::Window{}});
  const Expr maps = variable("x", DType::float64, {2, 3, 3}),
             at = variable("at", DType::int64, {4, 3, 3});
  CHECK(contains(error_of([&] { apply(window_sum_op, {dvector("v")}, attrs); }),
                 "needs height and width as its last two axes"));
  CHECK(contains(error_of([&] {
                   const Expr n = constant(Tensor(std::int64_t{3}));
                   apply(window_spread_op, {bmatrix("b"), n, n}, attrs);
                 }),
                 "bools cannot be pooled: cast them first"));
  CHECK(contains(error_of([&] {
                   const cinch::windows::Window padded{2, 2, 1, 1, 1};
                   apply(window_argmax_op, {variable("x", DType::float64, {3, 0})},
                         cinch::windows::attrs_of({padded, padded}));
                 }),
                 "the largest of no elements"));
  CHECK(contains(error_of([&] {
                   apply(pick_op, {maps, at});
                 }),
                 "the sizes in front of the maps must agree: there are 2, positions for 4"));
  CHECK(contains(error_of([&] {
                   apply(pick_op, {maps, lmatrix("at")});
                 }),
                 "the maps and the positions must have the same number of axes"));
}

TEST_CASE("positions outside a map are errors of the call, in both modes") {
  const Expr y = dvector("y"), at = lvector("at");
  const Expr x = max_unpool1d(y, at, constant(row({0, 0, 0})));
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({.inputs = {y, at}, .outputs = {x}, .mode = mode});
    const auto at_position = [&](std::int64_t p) {
      return error_of([&] { f({row({1}), Tensor::from<std::int64_t>({1}, {p})}); });
    };
    CHECK(contains(at_position(3), "unpool: position 3 lies outside a map of 3 elements"));
    CHECK(contains(at_position(-1), "unpool: position -1 lies outside"));
    CHECK(contains(at_position(3), "at pooling.cpp:"));
    CHECK(at_position(2) == "no error");
    CHECK(contains(error_of([&] {
                     f({row({1, 2}), Tensor::from<std::int64_t>({1}, {0})});
                   }),
                   "every element needs a position: there are 2, and 1"));
  }
}
