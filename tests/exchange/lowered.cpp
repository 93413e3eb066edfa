// What is written to files: the compiler's graph.
#include "cinch/exchange/graph/lowered.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "cinch/cinch.hpp"
#include "io/temporary_folder.hpp"

using namespace cinch;

namespace {

/// README.md's training step.
FunctionSpec contractive_step(std::int64_t visible, std::int64_t hidden) {
  const Shared W(RandomState(1).uniform(-0.2, 0.2, {visible, hidden}, DType::float32), "W");
  const Shared b(Tensor(DType::float32, {hidden}), "b"), c(Tensor(DType::float32, {visible}), "c");
  const Expr x = matrix("x"), h = sigmoid(dot(x, W) + b), z = sigmoid(dot(h, transpose(W)) + c);
  const Expr loss = -sum(x * log(z) + (1 - x) * log(1 - z), 1);
  const Expr cost = mean(loss + 0.1 * sum(square(jacobian(h, x)), {1, 2}));
  return {.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W, b, c}, 0.05), .name = "step"};
}

}  // namespace

TEST_CASE("a Jacobian that the compiler does without is in no written file") {
  const exchange::Lowered graph =
      exchange::lowered("test", contractive_step(784, 500), {.unknown_sizes = true});
  for (const Expr& node : graph.order) {
    CAPTURE(describe(node));
    CHECK(element_count(node.type().shape()) <= 784 * 500);
  }
  const testing::TemporaryFolder folder;
  const CInterface c =
      write_c(folder / "step.c", contractive_step(784, 500), {.sizes = {{20, 784}}});
  CHECK(c.memory < 8'000'000);  // The Jacobian of 20 examples alone would take 31 million bytes.
  CHECK(std::filesystem::file_size(folder / "step.c") < 200'000);
}

TEST_CASE("sizes that are not known are as general as the formula lets them be") {
  const exchange::Lowered graph =
      exchange::lowered("test", contractive_step(6, 4), {.unknown_sizes = true});
  REQUIRE(graph.unknown.size() == 1);
  CHECK(graph.unknown[0].name == "batch");
  const std::vector<exchange::Size> sizes = graph.sizes_of(graph.inputs[0].value);
  CHECK_FALSE(sizes[0].is_number());
  CHECK(sizes[1] == exchange::Size{6, {}});  // W's rows.

  const Expr a = dmatrix("a"), b = dmatrix("b");
  const auto of = [&](const Expr& y) {
    return exchange::lowered("test", {.inputs = {a, b}, .outputs = {y}}, {.unknown_sizes = true});
  };
  CHECK(of(dot(a, b)).unknown.size() == 3);
  CHECK(of(a + b).unknown.size() == 2);
  CHECK(of(sum(a) + sum(b)).unknown.size() == 4);
  const exchange::Lowered product = of(dot(a, b));
  CHECK(product.sizes_of(product.inputs[0].value)[1] ==
        product.sizes_of(product.inputs[1].value)[0]);
  // Twice as many rows.
  const exchange::Lowered twice = of(concatenate({a, a}, 0) + sum(b));
  CHECK(twice.sizes_of(twice.outputs[0].value)[0] == exchange::Size{2, {0}});
}

TEST_CASE("a size that depends on a value is refused by name") {
  const Expr a = dvector("a"), n = lscalar("n");
  CHECK_THROWS_WITH_AS(
      exchange::lowered("test", {.inputs = {a, n}, .outputs = {slice(a, 0, n)}}, {}),
      doctest::Contains("must be known"), TypeError);
  CHECK_THROWS_WITH_AS(exchange::lowered("test", {.inputs = {a, n}, .outputs = {slice(a, 0, n)}},
                                         {.sizes = {{5}, {}}}),
                       doctest::Contains("depends on a value"), TypeError);
  // From k n to (k + 1) n is n, wherever it begins; from n to n^2 it is not.
  const Expr x = dvector("x");
  const auto rows = [&](const Expr& from, const Expr& to) {
    return exchange::lowered("test", {.inputs = {x, n}, .outputs = {slice(x, from, to)}},
                             {.sizes = {{20}, {}}});
  };
  CHECK(text(rows(n * 5, (n + 1) * 5).outputs[0].value.dims()) == "(5,)");
  CHECK(text(rows(n, n + 3).outputs[0].value.dims()) == "(3,)");
  CHECK_THROWS_AS(rows(n, n * n), TypeError);
  CHECK_THROWS_AS(rows(n, n * 2), TypeError);
}

TEST_CASE("variables of free rows have in files the rows that they have now") {
  const Expr x = variable("x", DType::float64, {2, 3});
  const Shared data = Shared::with_free_rows(Tensor(DType::float64, {4, 3}), "data");
  const auto known = [](const Expr& e) { return e.type().is_static(); };
  const exchange::Lowered read =
      exchange::lowered("test", {.inputs = {x}, .outputs = {dot(x, transpose(data))}}, {});
  CHECK(std::ranges::all_of(read.order, known));
  REQUIRE(read.constants.size() == 1);
  CHECK(text(read.constants[0].value.type()) == "float64 (4, 3)");
  const exchange::Lowered changed = exchange::lowered(
      "test", {.inputs = {x}, .outputs = {}, .updates = {{data, data + sum(x)}}}, {});
  REQUIRE(changed.parameters.size() == 1);
  CHECK_THROWS_WITH_AS(
      exchange::lowered(
          "test", {.inputs = {x}, .outputs = {}, .updates = {{data, concatenate({data, x}, 0)}}},
          {}),
      doctest::Contains("updated variable data is float64 (4, 3), its new value is float64 (6, 3)"),
      TypeError);
}
