// Convolutions by hand, against each other and their transposes; what they do with sizes, threads
// and mistakes.
#include "cinch/ops/convolution.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/ops/window/windows.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor row(const std::vector<double>& values) {
  return Tensor::from<double>({1, 1, static_cast<std::int64_t>(values.size())},
                              std::span<const double>(values));
}

std::vector<double> elements(const Tensor& x) {
  return {x.data<double>().begin(), x.data<double>().end()};
}

/// The value of an expression of constants.
Tensor value(const Expr& e) { return evaluate(e, {}); }

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

/// Sizes and options, with the output_padding that leads back to x.
struct Row {
  Shape x, w;
  ConvOptions options = {};
  PerAxis output_padding = 0;
  Shape y = {};
};

std::vector<Row> rows_of_shapes() {
  return {{{2, 3, 5, 6}, {4, 3, 3, 2}, {}, 0, {2, 4, 3, 5}},
          {{1, 2, 8, 7}, {3, 2, 3, 3}, {.stride = 2, .padding = 1}, {1, 0}, {1, 3, 4, 4}},
          {{2, 1, 9, 8}, {2, 1, 2, 4}, {.stride = {3, 2}}, {1, 0}, {2, 2, 3, 3}},
          {{2, 2, 7, 9},
           {1, 2, 3, 2},
           {.padding = {{2, 0}, {1, 3}}, .dilation = {2, 4}},
           0,
           {2, 1, 5, 9}},
          {{1, 2, 7, 6}, {2, 2, 4, 3}, {.padding = Pad::same}, 0, {1, 2, 7, 6}},
          {{1, 1, 7, 6}, {2, 1, 4, 3}, {.stride = 2, .padding = Pad::same}, {0, 1}, {1, 2, 4, 3}},
          {{2, 4, 5, 5}, {6, 2, 3, 3}, {.stride = 2, .groups = 2, .flip = true}, 0, {2, 6, 2, 2}},
          {{2, 3, 1, 1}, {2, 3, 1, 1}, {}, 0, {2, 2, 1, 1}},
          {{0, 2, 4, 4}, {3, 2, 2, 2}, {}, 0, {0, 3, 3, 3}},
          {{2, 2, 9}, {3, 2, 4}, {.stride = 2, .padding = {{1, 2}}}, 0, {2, 3, 5}},
          {{1, 3, 6}, {3, 1, 2}, {.padding = Pad::same, .dilation = 3, .groups = 3}, 0, {1, 3, 6}}};
}

Expr conv(const Expr& x, const Expr& w, const ConvOptions& o) {
  return x.rank() == 3 ? conv1d(x, w, o) : conv2d(x, w, o);
}

Expr conv_transpose(const Expr& y, const Expr& w, const Row& r) {
  const ConvTransposeOptions o{r.options.stride,   r.options.padding, r.output_padding,
                               r.options.dilation, r.options.groups,  r.options.flip};
  return y.rank() == 3 ? conv_transpose1d(y, w, o) : conv_transpose2d(y, w, o);
}

}  // namespace

TEST_CASE("conv1d slides the filter as it is, and backwards with flip") {
  const Expr x = constant(row({1, 2, 3, 5})), w = constant(row({1, 0, -2}));
  CHECK(elements(value(conv1d(x, w))) == std::vector<double>{-5, -8});
  CHECK(elements(value(conv1d(x, w, {.flip = true}))) == std::vector<double>{1, 1});
  CHECK(elements(value(conv1d(x, w, {.padding = 1}))) == std::vector<double>{-4, -5, -8, 3});
  CHECK(elements(value(conv1d(x, w, {.padding = {{0, 2}}}))) == std::vector<double>{-5, -8, 3, 5});
  CHECK(elements(value(conv1d(x, w, {.stride = 2, .padding = 1}))) == std::vector<double>{-4, -8});
  CHECK(elements(value(conv1d(x, constant(row({1, 10})), {.dilation = 3}))) ==
        std::vector<double>{51});
}

TEST_CASE("conv1d with flip and full padding is the product of polynomials") {
  // NumPy: convolve([1, 2, 3], [0, 1, 0.5]) = [0, 1, 2.5, 4, 1.5].
  const Expr y =
      conv1d(constant(row({1, 2, 3})), constant(row({0, 1, 0.5})), {.padding = 2, .flip = true});
  CHECK(elements(value(y)) == std::vector<double>{0, 1, 2.5, 4, 1.5});
}

TEST_CASE("conv2d of one channel by hand") {
  const Expr x = constant(Tensor::from<double>({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9})),
             w = constant(Tensor::from<double>({1, 1, 2, 2}, {1, 2, 3, 4}));
  CHECK(elements(value(conv2d(x, w))) == std::vector<double>{37, 47, 67, 77});
  CHECK(elements(value(conv2d(x, w, {.flip = true}))) == std::vector<double>{23, 33, 53, 63});
  CHECK(elements(value(conv2d(x, w, {.stride = 2, .padding = 1}))) ==
        std::vector<double>{4, 18, 36, 77});
}

TEST_CASE("conv2d sums over channels and has an output for each filter") {
  const Expr x = constant(Tensor::from<double>({1, 2, 1, 2}, {1, 2, 10, 20})),
             w = constant(Tensor::from<double>({3, 2, 1, 1}, {1, 1, 2, 0, 0, 3}));
  CHECK(elements(value(conv2d(x, w))) == std::vector<double>{11, 22, 2, 4, 30, 60});
}

TEST_CASE("conv_transpose1d places the filter at each element of its input") {
  const Expr y = constant(row({1, 2})), w = constant(row({1, 10, 100}));
  CHECK(elements(value(conv_transpose1d(y, w, {.stride = 2}))) ==
        std::vector<double>{1, 10, 102, 20, 200});
  CHECK(elements(value(conv_transpose1d(y, w, {.stride = 2, .padding = 1}))) ==
        std::vector<double>{10, 102, 20});
  CHECK(elements(value(conv_transpose1d(y, w, {.stride = 2, .padding = 1, .output_padding = 1}))) ==
        std::vector<double>{10, 102, 20, 200});
  CHECK(elements(value(conv_transpose1d(y, w, {.dilation = 2}))) ==
        std::vector<double>{1, 2, 10, 20, 100, 200});
}

TEST_CASE("a convolution and its transpose are adjoint and invert each other's shapes") {
  std::mt19937 random(1);
  for (const Row& r : rows_of_shapes()) {
    CAPTURE(text(r.x));
    CAPTURE(text(r.w));
    const Tensor x_value = random_tensor(DType::float64, r.x, random),
                 w_value = random_tensor(DType::float64, r.w, random),
                 y_value = random_tensor(DType::float64, r.y, random);
    for (const bool symbolic : {false, true}) {
      const Shape unknown(r.x.size(), -1);
      const Expr x = variable("x", DType::float64, symbolic ? unknown : r.x),
                 y = variable("y", DType::float64, symbolic ? unknown : r.y),
                 w = variable("w", DType::float64, r.w);
      const Expr forward = conv(x, w, r.options), back = conv_transpose(y, w, r);
      if (!symbolic) {
        CHECK(forward.type().shape() == r.y);
        CHECK(back.type().shape() == r.x);
      }
      const std::vector<Tensor> values = function(
          {.inputs = {x, y, w}, .outputs = {forward, back, sum(forward * y), sum(x * back)}})(
          {x_value, y_value, w_value});
      CHECK(values[0].shape() == r.y);
      CHECK(values[1].shape() == r.x);
      CHECK(values[2].item() == doctest::Approx(values[3].item()).epsilon(1e-12));
    }
  }
}

TEST_CASE("a convolution in groups is each group's convolution, joined") {
  std::mt19937 random(2);
  const Expr x = constant(random_tensor(DType::float64, {2, 6, 5, 4}, random)),
             w = constant(random_tensor(DType::float64, {9, 2, 2, 3}, random));
  std::vector<Expr> parts;
  for (int g = 0; g < 3; ++g)
    parts.push_back(conv2d(slice(x, 2 * g, 2 * g + 2, 1), slice(w, 3 * g, 3 * g + 3)));
  CHECK(distance(value(conv2d(x, w, {.groups = 3})), value(concatenate(parts, 1))) < 1e-14);
}

TEST_CASE("the size of a convolution is known where its input's is, or follows from it") {
  const Expr w = constant(Tensor(DType::float64, {4, 3, 3, 3}));
  const Expr batch = variable("x", DType::float64, {-1, 3, 9, 8});
  CHECK(text(conv2d(batch, w, {.stride = 2}).dims()) == "(?, 4, 4, 3)");
  CHECK(conv2d(batch, w).dims()[0] == batch.dims()[0]);
  const Expr any = tensor4("any", DType::float64);
  CHECK(conv2d(any, w, {.padding = Pad::same}).dims()[2] == any.dims()[2]);
  CHECK_FALSE(conv2d(any, w).dims()[2].known());
  // Asked for without computing the convolution: flatten() needs it to make its plan.
  const Expr flat = flatten(conv2d(any, w, {.stride = 2}), 1);
  CHECK(evaluate(flat, {{any, Tensor(DType::float64, {2, 3, 7, 9})}}).shape() ==
        Shape{2, 4 * 3 * 4});
}

TEST_CASE("convolutions keep float32 and compute integers exactly") {
  const Expr x = constant(Tensor::from<std::int64_t>({1, 1, 3}, {1, 1LL << 60, -7})),
             w = constant(Tensor::from<std::int64_t>({1, 1, 2}, {3, 1}));
  const Tensor y = value(conv1d(x, w));
  CHECK(y == Tensor::from<std::int64_t>({1, 1, 2}, {3 + (1LL << 60), 3 * (1LL << 60) - 7}));
  const Expr narrow = variable("x", DType::float32, {1, 1, 3});
  CHECK(conv1d(narrow, w).dtype() == DType::float32);
  CHECK(conv1d(narrow, cast(w, DType::float64)).dtype() == DType::float64);
  CHECK(conv1d(cast(x, DType::bool_), cast(w, DType::bool_)).dtype() == DType::int64);
}

TEST_CASE("all forms of a convolution give the same bits for any number of threads") {
  std::mt19937 random(3);
  const Expr x = variable("x", DType::float32, {64, 3, 20, 20}),
             w = variable("w", DType::float32, {8, 3, 5, 5});
  const Expr y = conv2d(x, w);
  const Expr cost = sum(square(y));
  const Function f = function({.inputs = {x, w}, .outputs = {y, grad(cost, x), grad(cost, w)}});
  const std::vector<Tensor> arguments{random_tensor(DType::float32, {64, 3, 20, 20}, random),
                                      random_tensor(DType::float32, {8, 3, 5, 5}, random)};
  const int before = threads();
  set_threads(1);
  const std::vector<Tensor> alone = f(arguments);
  for (const int n : {2, 3, 5}) {
    set_threads(n);
    CHECK(f(arguments) == alone);
  }
  set_threads(before);
}

/// x, filters and options that fit, by the generator's numbers.
Row drawn_row(std::mt19937& random) {
  const auto draw = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  // Now and then more than a vector, a tile or a block of anything.
  const std::int64_t groups = draw(0, 3) ? 1 : draw(2, 3), channels = draw(0, 2) ? draw(1, 5) : 20,
                     filters = draw(0, 2) ? draw(1, 9) : 35;
  Row row{{draw(1, 7), groups * channels}, {groups * filters, channels}};
  std::vector<std::int64_t> strides, dilations;
  std::vector<Sides> padding;
  for (int axis = 0; axis < 2; ++axis) {
    const std::int64_t width = draw(1, 5), dilation = draw(0, 2) ? 1 : draw(2, 3),
                       span = (width - 1) * dilation + 1;
    const std::int64_t n = span + (draw(0, 2) ? draw(0, 9) : draw(10, 40));
    row.x.push_back(n);
    row.w.push_back(width);
    strides.push_back(draw(0, 1) ? 1 : draw(2, 4));
    dilations.push_back(dilation);
    padding.push_back({draw(0, span), draw(0, span)});
  }
  row.options = {.stride = {strides[0], strides[1]},
                 .padding = {padding[0], padding[1]},
                 .dilation = {dilations[0], dilations[1]},
                 .groups = groups};
  return row;
}

/// The largest difference of two tensors of the same shape, by the size of the second's elements.
double difference(const Tensor& a, const Tensor& b) {
  const Tensor x = a.cast(DType::float64), y = b.cast(DType::float64);
  double most = 0, largest = 1e-30;
  for (std::size_t k = 0; k < x.data<double>().size(); ++k) {
    most = std::max(most, std::abs(x.data<double>()[k] - y.data<double>()[k]));
    largest = std::max(largest, std::abs(y.data<double>()[k]));
  }
  return most / largest;
}

TEST_CASE("convolutions of any sizes and their gradients are the sums that the references write") {
  std::mt19937 random(5);
  RandomState values(6);
  for (int k = 0; k < 150; ++k) {
    const Row row = drawn_row(random);
    const DType dtype = k % 3 ? DType::float32 : DType::float64;
    CAPTURE(k);
    CAPTURE(text(row.x));
    CAPTURE(text(row.w));
    const Expr x = variable("x", dtype, row.x), w = variable("w", dtype, row.w);
    const Expr y = conv2d(x, w, row.options), gy = variable("gy", y.type());
    const std::vector<Expr> outputs{y, Lop(y, x, gy), Lop(y, w, gy)};
    const std::vector<Tensor> in{values.normal(0, 1, row.x, dtype),
                                 values.normal(0, 1, row.w, dtype),
                                 values.normal(0, 1, y.type().shape(), dtype)};
    const std::vector<Tensor> fast = function({.inputs = {x, w, gy}, .outputs = outputs})(in),
                              checked = function({.inputs = {x, w, gy},
                                                  .outputs = outputs,
                                                  .mode = Mode::checked})(in);
    // Sums of up to some ten thousand products, in other orders.
    const double most = dtype == DType::float32 ? 2e-5 : 1e-13;
    for (std::size_t output = 0; output < outputs.size(); ++output) {
      CAPTURE(output);
      CHECK(difference(fast[output], checked[output]) <= most);
    }
  }
}

TEST_CASE("an infinity reaches the windows that see it and no other") {
  for (const ConvOptions& options :
       {ConvOptions{.padding = 1}, ConvOptions{.stride = 2, .padding = 1}, ConvOptions{}}) {
    const Expr x = tensor4("x"), w = tensor4("w"), y = conv2d(x, w, options);
    RandomState random(2);
    const Tensor w0 = random.uniform(1, 2, {9, 3, 3, 3}, DType::float32);
    Tensor x0 = random.uniform(1, 2, {2, 3, 13, 11}, DType::float32);
    for (const std::size_t at : {0u, 10u, 11u, 75u, 142u, 429u, 857u}) {
      x0.data<float>()[at] = std::numeric_limits<float>::infinity();
      const Function f = function({x, w}, {y});
      const Tensor fast = f({x0, w0})[0],
                   checked = function({.inputs = {x, w},
                                       .outputs = {y},
                                       .mode = Mode::checked,
                                       .watch = Watch::nothing})({x0, w0})[0];
      for (std::size_t k = 0; k < fast.data<float>().size(); ++k) {
        CAPTURE(k);
        REQUIRE(std::isinf(fast.data<float>()[k]) == std::isinf(checked.data<float>()[k]));
      }
    }
  }
}

TEST_CASE("the Jacobian of a convolution has the filter in its rows") {
  const Expr x = variable("x", DType::float64, {-1, 1, 4}), w = constant(row({2, 3, 5}));
  const Expr y = flatten(conv1d(x, w, {.stride = 2, .padding = 1}), 1);
  const Tensor J = evaluate(jacobian(y, x), {{x, Tensor(DType::float64, {2, 1, 4})}});
  CHECK(J.shape() == Shape{2, 2, 1, 4});
  const std::vector<double> one{3, 5, 0, 0, 0, 2, 3, 5};
  std::vector<double> both = one;
  both.insert(both.end(), one.begin(), one.end());
  CHECK(elements(J) == both);
}

TEST_CASE("the Jacobian of a convolution refuses to mix examples") {
  const Expr x = variable("x", DType::float64, {2, 1, 4});
  const Expr filters = conv1d(x, reshape(flatten(x), Shape{1, 1, 8}), {.padding = 4});
  CHECK(contains(error_of([&] { jacobian(filters, x); }), "jacobian: examples mix in"));
}

TEST_CASE("many inputs each with filters of their own are convolved at once") {
  std::mt19937 random(4);
  const Expr x = variable("x", DType::float64, {2, 4, 3, 3}),
             many = variable("many", DType::float64, {3, 2, 4, 3, 3});
  const Tensor values = random_tensor(DType::float64, {3, 2, 4, 3, 3}, random);
  for (const std::int64_t groups : {1, 2}) {
    const Expr w =
        reshape(slice(flatten(sin(x)), 0, 4 * 4 / groups * 4), Shape{4, 4 / groups, 2, 2});
    const Expr y = conv2d(x, w, {.padding = {{1, 0}, 0}, .groups = groups});
    // The gradient holds the other two forms.
    for (const Expr& e : {y, grad(sum(square(y)), x)}) {
      const Tensor all = evaluate(vectorize(e, x, many), {{many, values}});
      for (std::int64_t i = 0; i < 3; ++i) {
        const Tensor one = evaluate(at(many, i), {{many, values}});
        const Expr stacked = constant(all);
        CHECK(distance(value(at(stacked, i)), evaluate(e, {{x, one}})) < 1e-13);
      }
    }
  }
}

TEST_CASE("errors of the ops behind convolutions say what they want") {
  const auto text_of = [](const Op& op, const std::vector<Type>& types) {
    std::vector<Expr> inputs;
    for (const Type& type : types) inputs.push_back(variable("x", type));
    for (int k = 0; k < 2 && &op != &convolution_op; ++k)
      inputs.push_back(constant(Tensor(std::int64_t{2})));
    return error_of([&] {
      apply(op, inputs, cinch::windows::attrs_of({windows::Window{}, windows::Window{}}));
    });
  };
  const Type maps{DType::float64, {2, 3, 4, 4}}, filters{DType::float64, {5, 3, 2, 2}};
  CHECK(contains(text_of(convolution_op, {maps, {DType::float64, {3, 3}}}),
                 "both operands must have four axes, or five with groups in front"));
  CHECK(contains(text_of(convolution_op, {maps, {DType::float32, {5, 3, 2, 2}}}),
                 "both operands must have the same dtype, and not bool"));
  CHECK(contains(text_of(convolution_op,
                         {{DType::float64, {2, 2, 3, 4, 4}}, {DType::float64, {3, 5, 3, 2, 2}}}),
                 "the groups number 2, those of the other operand 3"));
  CHECK(contains(text_of(convolution_data_op, {maps, filters}),
                 "the channels of the input number 3, the filters 5"));
  CHECK(contains(text_of(convolution_data_op, {{DType::float64, {2, 5, 4, 4}}, filters}),
                 "1 windows of 2 stand along size 2 of spatial axis 0, not 4"));
  CHECK(contains(text_of(convolution_filters_op, {maps, {DType::float64, {4, 5, 3, 3}}}),
                 "the examples number 2, those of the other operand 4"));
}

TEST_CASE("errors of convolutions say the sizes, the operands and the line") {
  const Expr x = variable("x", DType::float64, {2, 3, 8, 8}),
             w = variable("w", DType::float64, {4, 2, 3, 3}),
             ok = variable("ok", DType::float64, {4, 3, 3, 3});
  const auto text_of = [&](const Expr& filters, const ConvOptions& options) {
    return error_of([&] { conv2d(x, filters, options); });
  };
  const std::string channels = text_of(w, {});
  CHECK(contains(channels, "conv2d: the input has 3 channels, the filters are for 2"));
  CHECK(contains(channels, "float64 (2, 3, 8, 8)  x"));
  CHECK(contains(channels, "float64 (4, 2, 3, 3)  w"));
  CHECK(contains(channels, "written at convolution.cpp:"));
  struct Mistake {
    ConvOptions options;
    const char* says;
  };
  for (const Mistake& m : std::vector<Mistake>{
           {{.stride = 0}, "the stride is 0, it must be at least 1"},
           {{.stride = {1, 1, 1}}, "the stride has 3 numbers for 2 spatial axes"},
           {{.padding = -1}, "the padding is -1, it must be at least 0: cut with slice() instead"},
           {{.padding = {1, 1, 1}}, "the padding is given for 3 axes, there are 2 spatial ones"},
           {{.dilation = 4}, "a window spans 9 elements, more than the 8 there are"},
           {{.groups = 0}, "the groups number 0, there must be at least 1"},
           {{.groups = 3}, "4 filters cannot be divided into 3 groups"},
           {{.groups = 2}, "the input has 3 channels, the filters are for 3 in each group"}}) {
    CAPTURE(m.says);
    const std::string message = text_of(ok, m.options);
    CAPTURE(message);
    CHECK(contains(message, m.says));
  }
  CHECK(contains(error_of([&] { conv1d(x, ok); }),
                 "conv1d: the first operand must have axes (batch, channels, length)"));
  CHECK(contains(text_of(dmatrix("w"), {}),
                 "conv2d: the filters must have axes (filters, channels, height, width)"));
  CHECK(contains(text_of(variable("w", DType::float64, {4, 3, 0, 3}), {}),
                 "a window needs at least one element"));
  CHECK(contains(text_of(variable("w", DType::float64, {-1, -1, -1, -1}), {.padding = Pad::same}),
                 "Pad::same needs filters of known size"));
}

TEST_CASE("errors of transposed convolutions say what does not fit") {
  const Expr y = variable("y", DType::float64, {2, 4, 3, 3}),
             w = variable("w", DType::float64, {4, 2, 3, 3});
  CHECK(contains(error_of([&] {
                   conv_transpose2d(y, dimshuffle(w, {1, 0, 2, 3}));
                 }),
                 "conv_transpose2d: the input has 4 channels, there are 2 filters"));
  CHECK(contains(error_of([&] { conv_transpose2d(y, w, {.stride = 2, .output_padding = 2}); }),
                 "the output_padding is 2, it must be less than the stride 2"));
  CHECK(contains(error_of([&] { conv_transpose2d(y, w, {.padding = 3}); }),
                 "nothing is left along spatial axis 0 when the padding is off: -1"));
}

TEST_CASE("sizes that turn out not to fit are errors of the call, in both modes") {
  const Expr x = tensor4("x", DType::float64), w = tensor4("w", DType::float64);
  const Expr y = conv2d(x, w);
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({.inputs = {x, w}, .outputs = {y}, .mode = mode});
    const auto message = [&](const Shape& a, const Shape& b) {
      return error_of([&] { f({Tensor(DType::float64, a), Tensor(DType::float64, b)}); });
    };
    CHECK(contains(message({1, 3, 5, 5}, {2, 2, 3, 3}),
                   "the channels of the input number 3, those of the filters 2"));
    CHECK(contains(message({1, 2, 5, 2}, {2, 2, 3, 3}),
                   "a window spans 3 elements, more than the 2 there are"));
    CHECK(message({1, 2, 5, 3}, {2, 2, 3, 3}) == "no error");
  }
}
