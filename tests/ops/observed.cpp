// Values shown while a function computes.
#include "cinch/ops/observed.hpp"

#include <doctest/doctest.h>

#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

const Tensor three = Tensor::from<double>({3}, {0.5, -1, 2});

/// Values that were seen, in order.
struct Seen {
  std::vector<Tensor> values;
  Expr operator()(const Expr& x) {
    return observed(x, [this](const Tensor& value) { values.push_back(value); });
  }
};

int steps_of(const Function& f) { return static_cast<int>(explain(f).steps.size()); }

}  // namespace

TEST_CASE("a value is shown once a call, and is what it was") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    for (const DType dtype : {DType::float64, DType::float32, DType::int64, DType::bool_}) {
      Seen seen;
      const Expr x = variable("x", dtype, {-1});
      const Function f = function({.inputs = {x}, .outputs = {seen(x), 2 * x}, .mode = mode});
      const Tensor value = three.cast(dtype);
      for (int call = 1; call <= 3; ++call) {
        CHECK(f({value})[0] == value);
        REQUIRE(seen.values.size() == static_cast<std::size_t>(call));
        CHECK(seen.values.back() == value);
      }
    }
  }
}

TEST_CASE("values are shown in the order of the graph, each by its own name") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    std::ostringstream out;
    const Expr x = dvector("x");
    const Expr h = printed(x + 1, "h", out), y = printed(exp(h), "y", out);
    const Expr z = printed(sum(y) + sum(printed(h, "again", out)), "z", out);
    const Function f = function({.inputs = {x}, .outputs = {z}, .mode = mode});
    f({Tensor::from<double>({2}, {-1, -1})});
    const std::string text = out.str();
    CAPTURE(text);
    CHECK(text.find("h: float64 (2,) [0, 0]\n") != std::string::npos);
    CHECK(text.find("again: float64 (2,) [0, 0]\n") != std::string::npos);
    CHECK(text.find("h: ") < text.find("y: float64 (2,) [1, 1]\n"));
    CHECK(text.find("y: ") < text.find("z: float64 () 2\n"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 4);
  }
}

TEST_CASE("gradients pass through, and derivatives see the value once") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    Seen seen;
    const Expr x = dvector("x"), h = seen(tanh(x)), plain = tanh(x);
    const auto derivatives = [&](const Expr& y) {
      const Expr cost = sum(y * y * exp(y)), g = grad(cost, x);
      return std::vector<Expr>{cost, g, Rop(g, x, x), hessian(cost, x), jacobian(exp(y), x)};
    };
    const Function f = function({.inputs = {x}, .outputs = derivatives(h), .mode = mode}),
                   wanted = function({.inputs = {x}, .outputs = derivatives(plain), .mode = mode});
    const std::vector<Tensor> got = f({three}), right = wanted({three});
    REQUIRE(seen.values.size() == 1);
    for (std::size_t k = 0; k < got.size(); ++k)
      for (std::int64_t i = 0; i < got[k].size(); ++i)
        CHECK(got[k].at(i) == doctest::Approx(right[k].at(i)).epsilon(1e-12));
  }
  // Of many at once, all are seen.
  Seen seen;
  const Expr x = dvector("x"), xs = dmatrix("xs");
  const Function many = function({xs}, {vectorize(seen(square(x)), x, xs)});
  many({Tensor::from<double>({2, 2}, {1, 2, 3, 4})});
  REQUIRE(seen.values.size() == 1);
  CHECK(seen.values[0] == Tensor::from<double>({2, 2}, {1, 4, 9, 16}));
}

TEST_CASE("constants are seen at each call, and never while a function is made") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    Seen seen;
    const Expr c = seen(constant(three)), n = seen(constant(Tensor(std::int64_t{3})));
    const Expr x = dvector("x");
    const Function f =
        function({.inputs = {x}, .outputs = {x + exp(c), reshape(x, {n})}, .mode = mode});
    CHECK(seen.values.empty());
    f({three});
    f({three});
    CHECK(seen.values.size() == 4);
  }
}

TEST_CASE("around a value that is shown everything is fused as it was") {
  Seen seen;
  const Expr x = dvector("x"), W = dmatrix("W");
  const auto chain = [](const Expr& e) { return sum(square(tanh(2 * e + 1))); };
  // A product is stored anyhow; what is computed of it stays one loop.
  const Expr product = dot(x, W);
  const Function plain = function({x, W}, {chain(product)}),
                 shown = function({x, W}, {chain(seen(product))});
  const std::vector<Tensor> values{three, Tensor::from<double>({3, 2}, {1, 2, 3, 4, 5, 6})};
  CHECK(plain(values)[0] == shown(values)[0]);
  CHECK(steps_of(shown) == steps_of(plain) + 1);
  CHECK(seen.values.size() == 1);
}

TEST_CASE("what is evaluated to look for something is shown to nobody") {
  Seen seen;
  const Shared w(three, "w");
  const Expr cost = sum(square(tanh(seen(exp(w)))));
  CHECK(check_grad(cost, w, 2));
  audit(cost, w);
  CHECK(seen.values.empty());
  // The search for a NaN's origin computes everything again and again.
  const Expr x = dvector("x");
  const Function f =
      function({.inputs = {x}, .outputs = {sum(log(seen(x) - 1))}, .watch = Watch::nan});
  CHECK_THROWS_AS(f({three}), ValueError);
  CHECK(seen.values.size() == 1);
}

TEST_CASE("what an observer throws ends the call, and the next one is as any") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    bool throws = true;
    const Expr x = dvector("x");
    const Shared total(Tensor(0.0), "total");
    const Expr y = observed(2 * x, [&](const Tensor&) {
      if (throws) throw std::runtime_error("enough");
    });
    const Function f = function(
        {.inputs = {x}, .outputs = {sum(y)}, .updates = {{total, total + sum(y)}}, .mode = mode});
    CHECK_THROWS_WITH_AS(f({three}), "enough", std::runtime_error);
    CHECK(total.get().item() == 0);
    throws = false;
    CHECK(f({three})[0].item() == 3);
    CHECK(total.get().item() == 3);
  }
  CHECK_THROWS_AS(observed(dvector("x"), nullptr), TypeError);
}
