#include "cinch/optim/clipping.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "cinch/cinch.hpp"
#include "error_of.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Gradients = std::vector<Expr>;

std::vector<double> values(const Gradients& gradients) {
  std::vector<double> result;
  for (const Expr& g : gradients) {
    const Tensor value = evaluate(g);
    for (std::int64_t i = 0; i < value.size(); ++i) result.push_back(value.at(i));
  }
  return result;
}

Expr row(std::initializer_list<double> numbers, DType dtype = DType::float64) {
  return constant(
      Tensor::from<double>({static_cast<std::int64_t>(numbers.size())}, numbers).cast(dtype));
}

constexpr double inf = INFINITY, not_a_number = NAN;

}  // namespace

TEST_CASE("gradients are clipped by value, by their norms, by the norm of all") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    CAPTURE(name(dtype));
    const Gradients g{row({3, -4}, dtype), row({-12, 0}, dtype)};  // Norms 5, 12, together 13.
    const double digits = dtype == DType::float32 ? 1e-6 : 1e-14;
    struct Row {
      Gradients clipped;
      std::vector<double> expected;
    };
    for (const Row& r :
         {Row{clip_by_value(g, 3.5), {3, -3.5, -3.5, 0}},
          Row{clip_by_value(g, -5, 2), {2, -4, -5, 0}}, Row{clip_by_norm(g, 6), {3, -4, -6, 0}},
          Row{clip_by_norm(g, 2.5), {1.5, -2, -2.5, 0}},
          Row{clip_by_global_norm(g, 6.5), {1.5, -2, -6, 0}},
          Row{clip_by_global_norm(g, 13), {3, -4, -12, 0}},
          Row{clip_by_global_norm(g, 100), {3, -4, -12, 0}}}) {
      const std::vector<double> got = values(r.clipped);
      REQUIRE(got.size() == r.expected.size());
      for (std::size_t k = 0; k < got.size(); ++k)
        CHECK(got[k] == doctest::Approx(r.expected[k]).epsilon(digits));
      for (const Expr& e : r.clipped) CHECK(e.dtype() == dtype);
    }
    CHECK(evaluate(global_norm(g)).item() == doctest::Approx(13).epsilon(1e-14));
  }
}

TEST_CASE("a float32 gradient whose squares overflow is clipped all the same") {
  const std::vector<double> got =
      values(clip_by_global_norm({row({3e30, -4e30}, DType::float32)}, 1));
  CHECK(got[0] == doctest::Approx(0.6).epsilon(1e-6));
  CHECK(got[1] == doctest::Approx(-0.8).epsilon(1e-6));
}

TEST_CASE("norms of gradients of any size are right, and so is what is clipped by them") {
  for (const DType dtype : {DType::float64, DType::float32}) {
    const int most = dtype == DType::float64 ? 307 : 37;
    for (int e = -most; e <= most; e += 4) {
      const double size = static_cast<double>(std::pow(10.0L, e));
      CAPTURE(name(dtype));
      CAPTURE(size);
      const double digits = dtype == DType::float32 ? 2e-6 : 1e-13;
      const Gradients g{row({3 * size, -4 * size}, dtype), row({-12 * size, 0}, dtype)};
      CHECK(evaluate(global_norm(g)).item() == doctest::Approx(13 * size).epsilon(digits));
      const std::vector<double> each = values(clip_by_norm(g, 2 * size)),
                                all = values(clip_by_global_norm(g, 6.5 * size));
      const double of_each[] = {1.2, -1.6, -2, 0}, of_all[] = {1.5, -2, -6, 0};
      for (std::size_t k = 0; k < 4; ++k) {
        CHECK(each[k] / size == doctest::Approx(of_each[k]).epsilon(digits));
        CHECK(all[k] / size == doctest::Approx(of_all[k]).epsilon(digits));
      }
    }
  }
  CHECK(values(clip_by_norm({row({}), row({3e200})}, 1)) == std::vector<double>{1});
  CHECK(evaluate(global_norm({row({})})).item() == 0);
}

TEST_CASE("zero gradients stay zero") {
  CHECK(values(clip_by_norm({row({0, 0})}, 1)) == std::vector<double>{0, 0});
  CHECK(values(clip_by_global_norm({row({0, 0})}, 1)) == std::vector<double>{0, 0});
}

TEST_CASE("clipping does not hide NaN and infinity, zero_unless_finite does") {
  for (const double bad : {not_a_number, inf, -inf}) {
    CAPTURE(bad);
    const Gradients g{row({1, bad}), row({2, 3})};
    for (const double value : values(clip_by_global_norm(g, 1))) CHECK(std::isnan(value));
    const std::vector<double> own = values(clip_by_norm(g, 10));
    CHECK(std::isnan(own[0]));
    CHECK(std::isnan(own[1]));
    CHECK(own[2] == 2);
    CHECK(values(zero_unless_finite(g)) == std::vector<double>{0, 0, 0, 0});
  }
  CHECK(values(zero_unless_finite({row({1, 2}), row({3})})) == std::vector<double>{1, 2, 3});
  const std::vector<double> limited = values(clip_by_value({row({not_a_number, inf, -inf})}, 2));
  CHECK(std::isnan(limited[0]));
  CHECK(limited[1] == 2);
  CHECK(limited[2] == -2);
}

TEST_CASE("clipped gradients make a training step, its bound may be an input") {
  const Shared p(Tensor::from<double>({2}, {3, 4}), "p");
  const Expr bound = dscalar("bound");
  const Gradients g = clip_by_global_norm(grad(sum(square(p)) / 2, {p}), bound);
  const Function step = function({.inputs = {bound}, .updates = sgd({p}, g, 1.0)});
  step({2.5});  // The gradient (3, 4) has norm 5.
  CHECK(p.value().at(0) == doctest::Approx(1.5));
  CHECK(p.value().at(1) == doctest::Approx(2.0));
}

TEST_CASE("clipping refuses bounds and gradients that make no sense, with the user's line") {
  const Gradients g{row({1, 2})};
  struct Row {
    std::function<void()> make;
    const char* says;
  };
  const std::vector<Row> rows{
      {[&] { clip_by_value(g, 0); }, "clip_by_value: bound must be positive, got 0"},
      {[&] { clip_by_value(g, 2, 1); }, "low must not be above high, got 2 and 1"},
      {[&] { clip_by_norm(g, -1); }, "clip_by_norm: bound must be finite and not negative, got -1"},
      {[&] { clip_by_global_norm({}, 1); }, "the list of gradients is empty"},
      {[&] { clip_by_global_norm({lscalar("n")}, 1); }, "gradient 0 must be a float"},
      {[&] { clip_by_norm(g, vector("v")); }, "bound must be a number or a scalar"},
      {[&] { zero_unless_finite({Expr()}); }, "gradient 0 is an empty expression"},
  };
  for (const Row& r : rows) {
    const std::string error = error_of<Error>(r.make);
    CAPTURE(error);
    CAPTURE(r.says);
    CHECK(contains(error, r.says));
    CHECK(contains(error, "clipping.cpp:"));
  }
}
