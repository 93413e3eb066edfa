// Lines that people write first, coming from NumPy, Theano or PyTorch: each compiles, and means
// there what it means here.
#include <doctest/doctest.h>

#include <iomanip>
#include <sstream>
#include <type_traits>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

template <class T>
std::string printed_by(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

Tensor two_by_two() { return Tensor::from<double>({2, 2}, {1, 2, 3, 4}); }

}  // namespace

TEST_CASE("first lines: sums and products of expressions") {
  const Expr x = dvector("x");
  const Tensor v = Tensor::from({1.0, 2.0, 3.0});
  const auto value = [&](const Expr& e) { return evaluate(e, {{x, v}}); };
  Expr cost = sum(x);
  cost += 0.1 * sum(square(x));
  CHECK(value(cost).item() == doctest::Approx(7.4));
  cost -= 1;
  cost *= 2.0;
  cost /= sum(x);
  CHECK(value(cost).item() == doctest::Approx(12.8 / 6));
  Expr total = 0.0;
  for (int k = 1; k <= 3; ++k) total += k * sum(x);
  CHECK(value(total).item() == 36);
  Expr product = 1;
  for (const Expr& factor : {x, x}) product *= factor;
  CHECK(value(product) == Tensor::from({1.0, 4.0, 9.0}));
  const Expr y = 2.0;
  CHECK(value(y * x) == Tensor::from({2.0, 4.0, 6.0}));
  CHECK(value(-x) == Tensor::from({-1.0, -2.0, -3.0}));
  CHECK(value(x[0]).item() == 1);
  CHECK(value(x[-1]).item() == 3);
  CHECK(value(x[argmax(x, 0)]).item() == 3);
  CHECK(value(where(x > 1, x, 0)) == Tensor::from({0.0, 2.0, 3.0}));
  CHECK(value(where(equal(x, 2), 10, x)) == Tensor::from({1.0, 10.0, 3.0}));
  CHECK(value(maximum(x, 2)) == Tensor::from({2.0, 2.0, 3.0}));
  CHECK(value(max(x, 0)).item() == 3);
  CHECK(value(1 / (1 + exp(-x))).at(0) == doctest::Approx(0.731059));
  CHECK(value(pow(x, 2)) == Tensor::from({1.0, 4.0, 9.0}));
  CHECK(value(sum(x, -1)).item() == 6);
  CHECK(value(norm(x, {.p = 1, .axes = 0})).item() == 6);
  CHECK(value(norm(x, 1)).item() == 6);
  CHECK(evaluate(grad(sum(square(x)), x), {{x, v}}) == Tensor::from({2.0, 4.0, 6.0}));
}

TEST_CASE("first lines: sizes in braces") {
  RandomStreams random(1);
  const Expr x = dmatrix("x");
  const std::vector<Binding> at{{x, two_by_two()}};
  const auto shape = [&](const Expr& e) { return evaluate(e, at).shape(); };
  CHECK(shape(random.uniform({100})) == Shape{100});
  CHECK(shape(random.normal({size(x, 0), 5})) == Shape{2, 5});
  CHECK(shape(random.normal(sizes(x))) == Shape{2, 2});
  CHECK(shape(random.uniform({})).empty());
  CHECK(shape(random.uniform(two_by_two().shape(), -1, 1)) == Shape{2, 2});
  CHECK(shape(random.binomial({4, 3}, 1, 0.5)) == Shape{4, 3});
  CHECK(shape(broadcast_to(x[0], {3, 2})) == Shape{3, 2});
  CHECK(shape(broadcast_to(x[0], {size(x, 0), 2})) == Shape{2, 2});
  CHECK(shape(reshape(x, {4})) == Shape{4});
  CHECK(shape(reshape(x, {-1, 1})) == Shape{4, 1});
  CHECK(shape(reshape(x, {size(x, 0), -1})) == Shape{2, 2});
  CHECK(random.normal({3, 4}).type().shape() == Shape{3, 4});
}

TEST_CASE("first lines: printing") {
  const Expr x = fmatrix("x");
  const Tensor t = two_by_two();
  CHECK(printed_by(t) == "float64 (2, 2)\n[[1, 2],\n [3, 4]]");
  CHECK(printed_by(Tensor(2.5)) == "float64 () 2.5");
  CHECK(printed_by(Tensor::from({1, 2})) == "int64 (2,) [1, 2]");
  CHECK(printed_by(Tensor(DType::bool_, {2, 1, 2})) == "bool (2, 1, 2)\n[[[0, 0]],\n\n [[0, 0]]]");
  CHECK(printed_by(t.dtype()) == "float64");
  std::ostringstream out;
  out << t.shape();
  CHECK(out.str() == "(2, 2)");
  CHECK(printed_by(x.dims()) == "(?, ?)");
  CHECK(printed_by(x.type()) == "float32 (?, ?)");
  CHECK(printed_by(sum(square(x - 1), 1)) == "sum(square(sub(x, 1)), 1)");
  CHECK(printed_by(Shared(t, "W")) == "W");
  CHECK(printed_by(Expr()) == "empty expression");
  out.str("");
  out << std::setprecision(3) << Tensor(2.0 / 3);
  CHECK(out.str() == "float64 () 0.667");
}

TEST_CASE("first lines: tensors from lists, and their elements") {
  const Tensor t = Tensor::from({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  CHECK(t == Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6}));
  CHECK(t(1, 2) == 6);
  CHECK(t(-1, 0) == 4);
  CHECK(t.at({0, 1}) == 2);
  CHECK(t.at(4) == 5);
  const std::vector<float> values{1, 2};
  CHECK(Tensor::from(values) == Tensor::from<float>({2}, {1, 2}));
  CHECK(Tensor::from({2, 1}, values).shape() == Shape{2, 1});
  CHECK(Tensor::from(std::vector<int>{1, 2}) == Tensor::from<std::int64_t>({2}, {1, 2}));
  CHECK(Tensor::from(std::vector<std::vector<double>>{{1, 2}, {3, 4}}) == two_by_two());
  CHECK(Tensor::from({{1, 2}, {3, 4}}).dtype() == DType::int64);
  CHECK(Tensor::from<float>({{1, 2}, {3, 4}}).dtype() == DType::float32);
  CHECK(Tensor::from({true, false}).dtype() == DType::bool_);
  CHECK_THROWS_WITH_AS(t(2, 0), "element (2, 0) of a tensor (2, 3): index 2 is outside axis 0",
                       TypeError);
  CHECK_THROWS_WITH_AS(t.at({1}), "element (1,) of a tensor (2, 3): there must be 2 indices",
                       TypeError);
  CHECK_THROWS_WITH_AS(Tensor::from({{1, 2}, {3}}),
                       doctest::Contains("rows of a matrix must have one length"), TypeError);
}

TEST_CASE("first lines: activations and losses are functions and lambdas") {
  RandomState random(1);
  const double slope = 0.3;
  const Activation mine = [slope](const Arg& x) { return leaky_relu(x, slope); };
  const Network net = network({4, 3, 2}, random, {.hidden = leaky_relu, .output = softmax});
  const Expr x = fmatrix("x");
  const Tensor v = random.uniform(-1, 1, {5, 4}, DType::float32);
  CHECK(evaluate(net(x), {{x, v}}).shape() == Shape{5, 2});
  for (const Activation& a :
       {mine, Activation(elu), Activation([](const Arg& u) { return elu(u, .5); }),
        Activation([](const Expr& u) { return u * sigmoid(u); }), Activation(tanh)}) {
    const Autoencoder model = autoencoder({4, 3}, random, {.hidden = a, .output = sigmoid});
    const Expr cost = reconstruction_cost(
        model, x, [](const Arg& t, const Arg& z) { return mean(square(t - z), 1); });
    CHECK(evaluate(cost, {{x, v}}).item() > 0);
    CHECK(grad(cost, model.params()).size() == 3);
  }
  const Layer layer = dense(4, 3, random, {.activation = [](const auto& a) { return relu(a); }});
  CHECK(evaluate(layer(x), {{x, v}}).shape() == Shape{5, 3});
  // What a model asks about them.
  CHECK(Activation(sigmoid) == sigmoid);
  CHECK(Activation(tanh) != sigmoid);
  CHECK(mine == Activation(mine));
  CHECK(mine != Activation([slope](const Arg& u) { return leaky_relu(u, slope); }));
  CHECK_FALSE(Activation());
  CHECK_THROWS_WITH_AS(Activation()(x), doctest::Contains("holds no function"), TypeError);
  CHECK_THROWS_WITH_AS(
      reconstruction_cost(autoencoder({4, 3}, random, {.output = tanh}), x, cross_entropy),
      doctest::Contains("cross_entropy: needs reconstructions in (0, 1)"), TypeError);
}

// What must not compile, because it would mean something else than it says.
template <class A, class B>
concept equal_comparable = requires(const A& a, const B& b) {
  a == b;
};
template <class... T>
concept where_takes = requires(const T&... x) {
  where(x...);
};
template <class A, class B>
concept max_takes = requires(const A& a, const B& b) {
  max(a, b);
};
template <class A, class B>
concept adds_to = requires(A& a, const B& b) {
  a += b;
};

TEST_CASE("first lines: an index that is none says what takes it") {
  const Expr x = dmatrix("x");
  CHECK_THROWS_WITH_AS(x[lvector("i")], doctest::Contains("take(x, indices)"), TypeError);
  CHECK_THROWS_WITH_AS(x[x > 0], doctest::Contains("where(condition, x, 0)"), TypeError);
  CHECK_THROWS_WITH_AS(at(x, 0.5), doctest::Contains("at: an index must be an int64 scalar"),
                       TypeError);
  CHECK_THROWS_WITH_AS(at(x, lvector("i"), 1), doctest::Contains("first_lines.cpp:"), TypeError);
}

TEST_CASE("first lines: what would be misread does not compile") {
  static_assert(equal_comparable<Expr, Expr>);  // "The same node?", for if and algorithms,
  static_assert(!equal_comparable<Expr, int>);  // not elements with a number,
  using Same = decltype(Expr() == Expr());
  static_assert(!where_takes<Same, Expr, Expr>);  // nor a condition.
  static_assert(!std::is_convertible_v<Same, Expr>);
  static_assert(!max_takes<Expr, double>);  // maximum(x, 0.0)
  static_assert(!max_takes<Expr, Expr>);
  static_assert(!max_takes<Expr, bool>);
  static_assert(adds_to<Expr, double>);
  static_assert(!adds_to<Shared, double>);  // A variable's value changes by set() or updates.
}
