// What the parts of a minibatch add up: as little as the formula allows.
#include <doctest/doctest.h>

#include <algorithm>
#include <cinch/cinch.hpp>
#include <utility>
#include <vector>

#include "cinch/train/parallel/stages.hpp"
#include "small_training.hpp"

using namespace cinch;

namespace {

constexpr std::int64_t row_count = 40, visible = 7, hidden = 5;

/// Elements of each sum of a step's parts.
std::vector<std::int64_t> summed(const Expr& x, const Expr& cost,
                                 const std::vector<Shared>& params) {
  const Tensor data = RandomState(3).uniform(0, 1, {row_count, visible}, DType::float32);
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, params, 0.1)});
  parallel::StagedStep staged = parallel::staged("train", step, {&data});
  REQUIRE(staged.stages.size() == 1);
  const Tensor all(row_count), first(std::int64_t{0});
  const std::vector<const Tensor*> arguments{&data, &all, &first, &all};
  const parallel::Share share{
      row_count, 1, {0, 1}, [&](auto, auto) { return std::span<const Tensor* const>(arguments); }};
  std::vector<Tensor> sums;
  staged.stages[0].begin(share);
  staged.stages[0].compute(0, sums);
  sums.resize(sums.size() + staged.stages[0].product_count());
  for (std::size_t k = 0; k < staged.stages[0].product_count(); ++k) {
    Tensor& sum = sums[staged.stages[0].other_count() + k];
    staged.stages[0].multiply(k, {0, 1}, {0, visible}, sum);
    CHECK(sum.shape()[0] == visible);
  }
  std::vector<std::int64_t> result;
  for (const Tensor& sum : sums) result.push_back(sum.size());
  std::ranges::sort(result);
  return result;
}

}  // namespace

TEST_CASE("of a contractive penalty parts add up a row, not a matrix") {
  RandomState random(1);
  const Expr x = matrix("x");
  for (const Penalty penalty : {Penalty::closed, Penalty::jacobian}) {
    const auto m = contractive_autoencoder(visible, hidden, random);
    const Expr cost = contractive_cost(m, x, 0.1, penalty).total;
    // The cost, both biases, the row that scales W's columns, and the products.
    CHECK(summed(x, cost, m.params()) ==
          std::vector<std::int64_t>{1, hidden, hidden, visible, visible * hidden});
  }
}

TEST_CASE(
    "what the same weights get in several places is one sum, beside what rows do not change") {
  RandomState random(1);
  const Expr x = matrix("x");
  const Shared W(random.normal(0, 1, {visible, hidden}, DType::float32), "W");
  const Expr h = tanh(dot(x, W)), z = dot(h, transpose(W));
  const Expr cost = mean(square(x - z)) + 0.01 * sum(square(W)) + 0.1 * mean(abs(h));
  CHECK(summed(x, cost, {W}).back() == visible * hidden);
  std::int64_t matrices = 0;
  for (const std::int64_t n : summed(x, cost, {W})) matrices += n == visible * hidden;
  CHECK(matrices == 1);
}

TEST_CASE("a factor that differs from row to row, or shows rows on an axis, stays inside") {
  RandomState random(1);
  const Expr x = matrix("x");
  Shared W(random.normal(0, 1, {visible, hidden}, DType::float32), "W"),
      V(random.normal(0, 1, {visible, hidden}, DType::float32), "V");
  const Expr h = sigmoid(dot(x, W));
  // Rows and columns both inside: sum_n h_nj x_ni V_ij is no V times less.
  const Expr each = expand_dims(h, 1) * expand_dims(x, 2) * V;
  const auto trained = [&](bool parts) {
    RandomState again(1);
    const Tensor start = again.normal(0, 1, {visible, hidden}, DType::float32);
    W.set(start), V.set(start);
    const Tensor data = RandomState(3).uniform(0, 1, {row_count, visible}, DType::float32);
    const Expr cost = mean(square(each)) + mean(each) * 2;
    const Function step =
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W, V}, 0.1)});
    train(testing::quiet_options(step, data, row_count, 3, parts ? one_process() : nullptr));
    return std::pair(W.get(), V.get());
  };
  const auto [one, other] = trained(true);
  const auto [whole, other_whole] = trained(false);
  for (std::int64_t k = 0; k < one.size(); ++k) {
    CHECK(one.at(k) == doctest::Approx(whole.at(k)).epsilon(1e-4));
    CHECK(other.at(k) == doctest::Approx(other_whole.at(k)).epsilon(1e-4));
  }
}

TEST_CASE("rows that agreed by chance, computed at once, are compared again") {
  // What a row becomes depends on how many there are, where an element is large: as a product that
  // is planned otherwise for more rows rounds few elements otherwise.
  const std::int64_t rows = 16, columns = 3;
  const auto stage = [&] {
    const Expr x = variable("x", {DType::float32, {Dim::unknown(), Dim(columns)}});
    const Expr count = lscalar("count"), at = lscalar("at"), kept = matrix("kept");
    parallel::Stage::Functions f;
    f.kept = {Shared::with_free_rows(Tensor(DType::float32, {0, columns}), "kept")};
    const Expr changed = switch_(x > 2, cast(size(x, 0), DType::float32), x);
    f.rows = function(
        {.inputs = {x, count}, .updates = {{f.kept[0], changed}}, .allow_unused_inputs = true});
    f.part = function({.inputs = {x, count, at, kept},
                       .outputs = {sum(narrow(kept, 0, at, count), 0)},
                       .allow_unused_inputs = true});
    f.outputs = 1;
    f.reads_kept = true;
    return parallel::Stage(std::move(f), {parallel::Combine::add});
  };
  parallel::Stage together = stage(), alone = stage();
  for (int minibatch = 0; minibatch < 5; ++minibatch) {
    CAPTURE(minibatch);
    Tensor data = RandomState(static_cast<unsigned>(minibatch))
                      .uniform(0, 1, {rows, columns}, DType::float32);
    if (minibatch == 3) data.data<float>()[40] = 3;
    Tensor held, count(std::int64_t{0});
    std::vector<const Tensor*> arguments{&held, &count};
    const auto share = [&](parallel::PartRange own) {
      return parallel::Share{rows, 2, own, [&](parallel::PartRows of, parallel::PartRows meant) {
                               held = Tensor(DType::float32, {of.count, columns});
                               const auto from = data.data<float>().subspan(
                                   static_cast<std::size_t>(of.first * columns),
                                   static_cast<std::size_t>(of.count * columns));
                               std::ranges::copy(from, held.data<float>().begin());
                               count = Tensor(meant.count);
                               return std::span<const Tensor* const>(arguments);
                             }};
    };
    const parallel::Share both = share({0, 2});
    together.begin(both);
    for (const std::int64_t part : {0, 1}) {
      const parallel::Share one = share({part, part + 1});
      std::vector<Tensor> expected, found;
      together.compute(part, found);
      alone.begin(one);
      alone.compute(part, expected);
      CHECK(found == expected);
    }
  }
}
