// What is stored narrow computes as its float32 would, and only parts of it are ever widened.
#include "cinch/ops/widened.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <optional>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr DType storage[] = {DType::uint8, DType::float16, DType::bfloat16};

/// Every number that the type has.
Tensor all_of(DType dtype) {
  const std::int64_t count = dtype == DType::uint8 ? 256 : 65536;
  Tensor result(dtype, {count});
  if (dtype == DType::uint8) {
    for (std::size_t k = 0; k < 256; ++k)
      result.data<std::uint8_t>()[k] = static_cast<std::uint8_t>(k);
  } else {
    auto* bits = static_cast<std::uint16_t*>(result.raw());
    for (std::int64_t k = 0; k < count; ++k) bits[k] = static_cast<std::uint16_t>(k);
  }
  return result;
}

template <class T>
bool same_bits(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

/// The definition: divided in float64, then rounded.
template <class T>
void check_widened(const Tensor& stored, double divisor, const Tensor& wide) {
  REQUIRE(wide.dtype() == dtype_of<T>());
  for (std::int64_t k = 0; k < stored.size(); ++k) {
    const T wanted = static_cast<T>(stored.at(k) / divisor);
    if (!same_bits(wide.data<T>()[static_cast<std::size_t>(k)], wanted))
      FAIL_CHECK(text(stored.dtype()), " number ", k, " by ", divisor, " is ", wide.at(k), ", not ",
                 wanted);
  }
}

/// Rows 2, 3, ... of a matrix, by their numbers.
Expr rows_of(const Expr& whole, std::int64_t count) { return take(whole, arange(count) + 2); }

/// Of the same bits but for the sign of zeros and the bits of NaN.
bool equal_numbers(const Tensor& a, const Tensor& b) { return distance(a, b) == 0; }

std::string refusal_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "not refused";
}

/// A data set of so many images as bytes.
Tensor bytes_of_images(std::int64_t rows, std::int64_t columns) {
  Tensor result(DType::uint8, {rows, columns});
  std::uint32_t state = 1;
  for (std::uint8_t& byte : result.data<std::uint8_t>())
    byte = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return result;
}

}  // namespace

TEST_CASE("every stored number is widened to what its definition says, with any divisor") {
  for (const DType dtype : storage) {
    const Tensor all = all_of(dtype);
    const Shared x(all, "x");
    for (const double divisor : {1.0, 255.0, 256.0, 0.3, 3.0, 1e-30, 1e30, 1e-300, 1e300}) {
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        const Function f =
            function({.outputs = {widened(x, divisor), widened(x, divisor, DType::float64)},
                      .mode = mode,
                      .watch = Watch::nothing});
        const auto both = f();
        check_widened<float>(all, divisor, both[0]);
        check_widened<double>(all, divisor, both[1]);
      }
    }
    CHECK(equal_numbers(evaluate(cast(x, DType::float32)), all.cast(DType::float32)));
    // One element for all, and every second one.
    check_widened<float>(evaluate(narrow(x, 0, 0, 128, 2)), 3,
                         evaluate(widened(narrow(x, 0, 0, 128, 2), 3)));
    CHECK(equal_numbers(evaluate(widened(at(x, 77), 3) + zeros({4}, DType::float32)),
                        Tensor::full(DType::float32, {4}, all.at(77) / 3)));
  }
  const Shared bytes(all_of(DType::uint8), "bytes");
  CHECK(evaluate(cast(bytes, DType::int64)) == all_of(DType::uint8).cast(DType::int64));
}

TEST_CASE("every op of what is stored narrow gives the bits that it gives of float32") {
  std::mt19937 random(1);
  int count = 0;
  const auto outcome = [](const Expr& y, const std::vector<Expr>& inputs,
                          const std::vector<Tensor>& values, Mode mode) -> std::optional<Tensor> {
    try {
      return function({.inputs = inputs,
                       .outputs = {y},
                       .mode = mode,
                       .watch = Watch::nothing,
                       .allow_unused_inputs = true})(values)[0];
    } catch (const ValueError&) {
      return {};
    }
  };
  for (const Op* op : all_ops()) {
    for (const Example& example : examples_of(*op)) {
      Sample s;
      try {
        s = sample(*op, example, DType::float32, random);
      } catch (const TypeError&) {
        continue;
      }
      for (const DType dtype : storage) {
        // Each float operand is a part of something larger, sliced or taken.
        std::vector<Expr> narrow_operands, wide_operands, inputs;
        std::vector<Tensor> values;
        bool any = false;
        for (std::size_t k = 0; k < s.inputs.size(); ++k) {
          const Tensor& value = s.values[k];
          if (value.dtype() != DType::float32 || value.rank() == 0) {
            narrow_operands.push_back(s.inputs[k]);
            wide_operands.push_back(s.inputs[k]);
            inputs.push_back(s.inputs[k]);
            values.push_back(value);
            continue;
          }
          any = true;
          Shape larger = value.shape();
          larger[0] += 3;
          const double low = dtype == DType::uint8 ? 0 : op->probe.low,
                       high = dtype == DType::uint8 ? 256 : op->probe.high;
          const Tensor stored =
              random_tensor(DType::float64, larger, random, low, high).cast(dtype);
          const double divisor = dtype == DType::uint8 ? 255 : 1;
          const Shared narrow_one(stored, "stored");
          const Shared wide_one(evaluate(widened(narrow_one, divisor)), "float32");
          const std::int64_t rows = value.shape()[0];
          const auto part = [&](const Expr& whole) {
            if (count % 2) return rows_of(whole, rows);
            return narrow(whole, 0, 2, rows);
          };
          narrow_operands.push_back(part(widened(narrow_one, divisor)));
          wide_operands.push_back(part(wide_one));
        }
        if (!any) continue;
        Expr y, wide;
        try {
          y = example.build(narrow_operands);
          wide = example.build(wide_operands);
        } catch (const Error&) {
          continue;  // An operand that has to be a variable.
        }
        CAPTURE(s.label);
        CAPTURE(dtype);
        for (const Mode mode : {Mode::fast, Mode::checked}) {
          const auto a = outcome(y, inputs, values, mode), b = outcome(wide, inputs, values, mode);
          REQUIRE(a.has_value() == b.has_value());
          if (a) CHECK(equal_numbers(*a, *b));
        }
        ++count;
      }
    }
  }
  CHECK(count > 1000);
}

TEST_CASE("a step over images stored as bytes widens a minibatch of them and no more") {
  const std::int64_t rows = 60000, columns = 784, batch = 100;
  const Shared images(bytes_of_images(rows, columns), "images");
  CHECK(images.value().bytes() == 47040000);
  const Expr all = widened(images, 255), x = matrix("x"), k = lscalar("k"),
             picked = lvector("rows");
  RandomState random(1);
  const Shared W(random.uniform(-0.1, 0.1, {columns, 20}, DType::float32), "W");
  const Expr h = sigmoid(dot(x, W)), z = sigmoid(dot(h, transpose(W)));
  const Expr cost = mean(sum(square(x - z), 1)) + 0.1 * mean(sum(square(jacobian(h, x)), {1, 2}));
  struct Row {
    const char* how;
    std::vector<Expr> inputs;
    Expr part;
    Tensor argument;
  };
  const std::vector<Row> table{
      {"slice", {k}, slice(all, k * batch, (k + 1) * batch), Tensor(7)},
      {"rows", {k}, cinch::rows(all, k, batch), Tensor(700)},
      {"take", {picked}, take(all, picked), Tensor::from(std::vector<std::int64_t>(100, 5))},
      {"subscript",
       {k},
       all[k].rank() == 1 ? slice(slice(all, k, k + 200), 0, batch) : Expr(),
       Tensor(7)},
      {"reshaped",
       {k},
       reshape(cinch::rows(reshape(all, {rows, 28, 28}), k, batch), {batch, columns}),
       Tensor(3)},
  };
  for (const Row& row : table) {
    CAPTURE(row.how);
    const Function step = function({.inputs = row.inputs,
                                    .outputs = {cost},
                                    .updates = sgd(cost, {W}, 0.01),
                                    .givens = {{x, row.part}}});
    step({row.argument});
    CHECK(explain(step).temporary_bytes < 10 * 4 * batch * columns);
    // In checked mode, which computes what is written, a call takes no data set either.
    const Function checked = function({.inputs = row.inputs,
                                       .outputs = {mean(x)},
                                       .givens = {{x, row.part}},
                                       .mode = Mode::checked});
    CHECK(checked({row.argument})[0].item() == doctest::Approx(0.5).epsilon(0.02));
  }
}

TEST_CASE("what needs all of a stored tensor has all of it for a call, as explain() shows") {
  const Shared images(bytes_of_images(2000, 50), "images");
  const Expr all = widened(images, 255);
  const Function gram = function({.outputs = {dot(transpose(all), all)}});
  gram();
  CHECK(explain(gram).temporary_bytes >= 4 * 2000 * 50);
  const Function total = function({.outputs = {mean(all)}});  // Within its loop.
  total();
  CHECK(explain(total).temporary_bytes < 4 * 2000);
}

TEST_CASE("a batch that is used in several ways is widened once") {
  const Shared images(bytes_of_images(2000, 50), "images");
  const Expr x = slice(widened(images, 255), 0, 64);
  const Shared W(Tensor::full(DType::float32, {50, 8}, 0.1), "W");
  const Function f = function({.outputs = {grad(sum(square(dot(x, W))), W)}});
  f();
  int loops = 0;
  for (const StepInfo& step : explain(f).steps)
    for (const Expr& node : step.nodes) loops += &node.op() == &widen_op;
  CHECK(loops == 1);
}

TEST_CASE("stored tensors are arguments, variables and results") {
  const Tensor bytes = bytes_of_images(10, 4);
  const Expr pixels = matrix("pixels", DType::uint8), k = lscalar("k");
  const Tensor divided = evaluate(widened(pixels, 255), {{pixels, bytes}});
  CHECK(divided.at({3, 1}) == static_cast<float>(bytes.at({3, 1}) / 255));
  const Shared images(bytes, "images");
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function part = function({.inputs = {k},
                                    .outputs = {slice(images, k, k + 2), transpose(images),
                                                reshape(transpose(images), Shape{40}), images[k]},
                                    .mode = mode});
    const auto parts = part({3});
    CHECK(parts[0].dtype() == DType::uint8);
    CHECK(parts[0].at({1, 2}) == bytes.at({4, 2}));
    CHECK(parts[1].at({2, 4}) == bytes.at({4, 2}));
    CHECK(parts[2].at(2 * 10 + 4) == bytes.at({4, 2}));
    CHECK(parts[3].at(1) == bytes.at({3, 1}));
  }
  // Shuffled where it stands, and as a buffer whose number of rows changes.
  const Expr order = lvector("order");
  const Function shuffle =
      function({.inputs = {order}, .updates = {{images, take(images, order)}}});
  shuffle({Tensor::from({9, 8, 7, 6, 5, 4, 3, 2, 1, 0})});
  CHECK(images.value().at({0, 1}) == bytes.at({9, 1}));
  Shared window = Shared::with_free_rows(bytes, "window");
  const Function mean_of = function({.outputs = {mean(widened(window))}});
  const double before = mean_of()[0].item();
  window.set(Tensor::full(DType::uint8, {3, 4}, 200));
  CHECK(mean_of()[0].item() == 200);
  CHECK(before != 200);
  CHECK_THROWS_AS(window.set(Tensor(DType::float32, {3, 4})), TypeError);
  // A number that is stored narrow, alone.
  const Shared one(Tensor(7).cast(DType::uint8), "one");
  CHECK(evaluate(at(constant(Tensor::from({0, 1, 4, 9, 16, 25, 36, 49})), cast(one, DType::int64)))
            .item() == 49);
}

TEST_CASE("derivatives go through what is computed of stored data") {
  std::mt19937 random(1);
  const Shared data(random_tensor(DType::float64, {6, 4}, random).cast(DType::float16), "data");
  const Shared W(random_tensor(DType::float64, {4, 3}, random), "W");
  const Expr x = widened(data, 2, DType::float64);
  const Expr h = tanh(dot(x, W));
  const Expr cost = sum(square(h)) + sum(square(jacobian(h, x)));
  CHECK(check_grad(cost, W, {}, {.order = 2}));
  const Function given =
      function({.outputs = {grad(cost, x)}, .givens = {{x, constant(evaluate(x))}}});
  CHECK(distance(evaluate(grad(cost, x)), given()[0]) < 1e-12);
  // Through whole numbers that choose what is widened nothing flows.
  const Expr chosen = widened(take(data, argmax(W, 0)), 1, DType::float64);
  CHECK(equal_numbers(evaluate(grad(sum(dot(chosen, W)), W)),
                      evaluate(grad(sum(dot(constant(evaluate(chosen)), W)), W))));
}

TEST_CASE("arithmetic refuses what is stored narrow, and says what computes with it") {
  const Shared x(Tensor(DType::uint8, {3, 4}), "images");
  const Shared w(Tensor(DType::float16, {3}), "w");
  const Shared v(Tensor(DType::float32, {4}), "v");
  const Expr cost = sum(square(widened(x) * v));
  struct Row {
    std::function<void()> wrong;
    std::vector<const char*> words;
  };
  const std::vector<Row> table{
      {[&] { static_cast<void>(x + 1.0); }, {"add", "stored as uint8", "widened(x", "images"}},
      {[&] { static_cast<void>(dot(x, v)); }, {"stored as uint8", "widened(x"}},
      {[&] { static_cast<void>(sum(x)); }, {"stored as uint8", "images"}},
      {[&] { static_cast<void>(mean(w)); }, {"stored as float16", "(3,)"}},
      {[&] {
         static_cast<void>(concatenate({x, x}, 0));
       },
       {"stored as uint8"}},
      {[&] { static_cast<void>(switch_(v > 0, x, x)); }, {"stored as uint8"}},
      {[&] { static_cast<void>(grad(cost, w)); }, {"cannot differentiate by w", "data", "float32"}},
      {[&] { static_cast<void>(sgd(cost, {w}, 0.1)); }, {"w", "float16", "data"}},
      {[&] { static_cast<void>(widened(v)); }, {"widened", "float32 already", "v"}},
      {[&] { static_cast<void>(widened(x, 0)); }, {"divisor must be positive, got 0"}},
      {[&] { static_cast<void>(widened(x, std::nan(""))); }, {"divisor must be positive, got nan"}},
      {[&] { static_cast<void>(widened(w, 1, DType::int64)); }, {"float16 is widened to float32"}},
      {[&] { static_cast<void>(widened(x, 1, DType::float16)); }, {"not to float16"}},
      {[&] { static_cast<void>(widened(x, 2, DType::int64)); }, {"not divided, got 2"}},
      {[&] { static_cast<void>(cast(v, DType::float16)); },
       {"storage alone", "t.cast(DType::float16)"}},
      {[&] {
         static_cast<void>(function({.outputs = {cost}, .updates = {{w, v}}}));
       },
       {"w"}},
      {[&] {
         function({.inputs = {matrix("x")}, .outputs = {Expr(v)}, .allow_unused_inputs = true})(
             {Tensor(DType::uint8, {2, 2})});
       },
       {"must be float32 (?, ?), got uint8 (2, 2)"}},
      {[&] { static_cast<void>(dispatch(DType::bfloat16, []<class T> { return sizeof(T); })); },
       {"bfloat16 is for storage alone"}},
  };
  for (const Row& row : table) {
    const std::string said = refusal_of(row.wrong);
    CAPTURE(said);
    for (const char* word : row.words) CHECK(said.find(word) != std::string::npos);
  }
}
