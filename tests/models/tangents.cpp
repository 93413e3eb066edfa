// Tangents of the manifold that a code knows, and a classifier that is flat along them.
#include "cinch/models/tangents.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Setting {
  RandomState random{1};
  Expr x = dmatrix("x");
  Tensor value = RandomState(2).uniform(0, 1, {20, 6});
  Autoencoder model = autoencoder({6, 4}, random, {.dtype = DType::float64});

  Tensor of(const Expr& e) const { return evaluate(e, {{x, value}}); }
};

}  // namespace

TEST_CASE("tangents are orthonormal directions, and a code changes most along the first") {
  Setting s;
  const Expr h = s.model.encode(s.x), T = tangents(h, s.x, 3);
  const Tensor gram = s.of(batched_dot(dimshuffle(T, {0, 2, 1}), T) - eye(3, DType::float64));
  CHECK(distance(gram, Tensor(DType::float64, {20, 3, 3})) < 1e-13);
  // J maps each to a vector as long as its singular value.
  const Expr J = jacobian(h, s.x);
  CHECK(distance(s.of(norm(batched_dot(J, T), 2, 1)), s.of(slice(singular_values(J), 0, 3, 1))) <
        1e-13);
}

TEST_CASE("along all directions the tangent penalty is the Jacobian's norm") {
  Setting s;
  const Network net = network({6, 5, 2}, s.random, {.dtype = DType::float64});
  const Expr o = net(s.x);
  const Expr all = broadcast_to(expand_dims(eye(6, DType::float64), 0),
                                {size(s.x, 0), constant(Tensor(6)), constant(Tensor(6))});
  CHECK(distance(s.of(tangent_penalty(o, s.x, all)), s.of(jacobian_norm2(o, s.x))) < 1e-13);
}

TEST_CASE("the manifold tangent classifier is flat along the tangents and not across them") {
  Setting s;
  Tensor classes(DType::int64, {20});
  for (std::int64_t n = 0; n < 20; ++n) {
    classes.data<std::int64_t>()[static_cast<std::size_t>(n)] = s.value.at(6 * n) > 0.5;
  }
  const Expr labels = constant(classes);
  const Tensor fixed = s.of(tangents(s.model.encode(s.x), s.x, 2));
  const Expr T = constant(fixed);
  double along[2], whole[2];
  for (const bool flat : {false, true}) {
    RandomState random(4);
    const Network net = mlp({6, 8, 2}, random, {.dtype = DType::float64});
    const Expr o = net(s.x), penalty = mean(tangent_penalty(o, s.x, T));
    const Expr cost = classification_cost(labels, o);
    train(flat ? cost + penalty : cost, net.params(), s.x, s.value, 0.01, 1000);
    along[flat] = s.of(penalty).item();
    whole[flat] = s.of(mean(jacobian_norm2(o, s.x))).item();
  }
  CHECK(along[1] < 0.05 * along[0]);
  // The share of its slope that lies along the tangents.
  CHECK(along[1] / whole[1] < 0.1 * along[0] / whole[0]);
}

TEST_CASE("no gradient flows through tangents") {
  Setting s;
  const Expr T = tangents(s.model.encode(s.x), s.x, 2);
  CHECK_THROWS_AS(grad(sum(square(T)), s.model.encoder.params()), GradError);
}

TEST_CASE("the contraction ratio is |J u| for small steps and |W u| for any with a linear code") {
  Setting s;
  RandomStreams random(3);
  const Expr h = s.model.encode(s.x);
  const auto v =
      function({.inputs = {s.x},
                .outputs = {contraction_ratio(h, s.x, 1e-6, random),
                            slice(singular_values(jacobian(h, s.x)), 0, 1, 1)}})({s.value});
  for (std::int64_t n = 0; n < 20; ++n) CHECK(v[0].at(n) < v[1].at(n) * (1 + 1e-6));
  const Expr Q = svd(constant(s.random.normal(0, 1, {6, 6}))).U;
  const Expr radius = dscalar("radius");
  const Expr kept = contraction_ratio(dot(s.x, Q) * 0.5, s.x, radius, random);
  const Function ratio = function({.inputs = {s.x, radius}, .outputs = {kept}});
  for (const double r : {0.1, 1.0, 30.0}) {
    CHECK(distance(ratio({s.value, r})[0], Tensor::full(DType::float64, {20}, 0.5)) < 1e-13);
  }
}

TEST_CASE("a contractive autoencoder contracts more than a plain one") {
  double ratios[2];
  for (const bool contractive : {false, true}) {
    Setting s;
    RandomStreams random(3);
    const Expr h = s.model.encode(s.x);
    Expr cost = reconstruction_cost(s.model, s.x, cross_entropy);
    if (contractive) cost = cost + 0.5 * mean(jacobian_norm2(h, s.x));
    train(cost, s.model.params(), s.x, s.value, 0.01, 1000);
    ratios[contractive] = s.of(mean(contraction_ratio(h, s.x, 0.1, random))).item();
  }
  CHECK(ratios[1] < 0.7 * ratios[0]);
}

TEST_CASE("tangents refuse more directions than there are, and operands of other shapes") {
  Setting s;
  const Expr h = s.model.encode(s.x);
  for (const std::int64_t count : {0, 5}) {
    CHECK_THROWS_WITH_AS(tangents(h, s.x, count), doctest::Contains("tangents: there are not"),
                         TypeError);
  }
  CHECK_THROWS_WITH_AS(tangents(sum(h, 1), s.x, 1), doctest::Contains("both must be (batch, n)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(tangent_penalty(h, s.x, h),
                       doctest::Contains("directions must be (batch, n, count)"), TypeError);
  RandomStreams random(1);
  CHECK_THROWS_WITH_AS(contraction_ratio(sum(h, 1), s.x, 1, random),
                       doctest::Contains("written at tangents.cpp:"), TypeError);
}
