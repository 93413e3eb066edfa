// Written C files, compiled and run beside Cinch.
#include "cinch/exchange/c.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "exchange/compiled.hpp"
#include "exchange/models.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"

using namespace cinch;

TEST_CASE("training steps written as C do what Cinch does, 100 of them") {
  const testing::TemporaryFolder folder;
  const std::vector<testing::TrainingStep> all = testing::training_steps();
  std::vector<CInterface> written;
  for (const testing::TrainingStep& model : all) {
    CAPTURE(model.name);
    written.push_back(write_c(folder / (model.name + ".c"), model.spec(),
                              {.sizes = model.sizes(), .outputs = {"cost"}}));
  }
  const testing::Compiled compiled(folder, written, "-O3");
  for (std::size_t k = 0; k < all.size(); ++k) {
    const CInterface& f = written[k];
    CAPTURE(f.name);
    const Function step = function(all[k].spec());
    std::vector<Tensor> parameters, constants, inputs = all[k].values;
    std::vector<Tensor> outputs{Tensor(f.outputs[0].type.dtype, {})};
    for (const CParameter& p : f.parameters) parameters.push_back(as_shared(p.value).get());
    for (const CParameter& p : f.constants) constants.push_back(as_shared(p.value).get());
    double first = 0;
    for (int t = 0; t < 100; ++t) {
      std::vector<Tensor> draws;
      for (const CParameter& draw : f.draws)
        draws.push_back(testing::next_draw(draw.value, draw.type.shape()[0]));
      REQUIRE(compiled.run(f, inputs, draws, parameters, constants, outputs) == 0);
      const double expected = step(all[k].values)[0].item(), cost = outputs[0].item();
      CHECK(std::abs(cost - expected) <= 1e-5 * std::abs(expected));
      if (t == 0) first = cost;
    }
    CHECK(first != outputs[0].item());
    for (std::size_t i = 0; i < parameters.size(); ++i)
      CHECK(testing::distance(parameters[i], as_shared(f.parameters[i].value).get()) < 1e-5);
  }
}

TEST_CASE("what has no counterpart in C is refused before anything is written") {
  const testing::TemporaryFolder folder;
  const Expr a = dmatrix("a");
  const std::string path = folder / "f.c";
  CHECK_THROWS_WITH_AS(write_c(path, {.inputs = {a}, .outputs = {inverse(a)}}, {.sizes = {{3, 3}}}),
                       doctest::Contains("the op inverse has no counterpart in C: inverse(a)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(write_c(path, {.inputs = {a}, .outputs = {exp(a)}}),
                       doctest::Contains("must be known"), TypeError);
  CHECK_FALSE(std::ifstream(path).good());
}

TEST_CASE("a C function says where an index is out of range, and has changed nothing") {
  const testing::TemporaryFolder folder;
  const Shared images(RandomState(1).uniform(0, 1, {15, 2}), "images"),
      total(Tensor(DType::float64, {2}), "total");
  const Expr k = lscalar("k"), part = slice(images, k * 5, (k + 1) * 5);
  const Expr labels = lvector("labels");
  const FunctionSpec spec{.inputs = {k, labels},
                          .outputs = {sum(take(part, labels))},
                          .updates = {{total, total + sum(part, 0)}},
                          .name = "step"};
  const std::vector<CInterface> written{write_c(folder / "step.c", spec, {.sizes = {{}, {2}}})};
  const testing::Compiled compiled(folder, written, "-O2");
  std::vector<Tensor> parameters{total.get()}, constants{images.get()}, none,
      outputs{Tensor(DType::float64, {})};
  const auto run = [&](std::int64_t batch, std::int64_t label) {
    std::vector<Tensor> inputs{Tensor(batch), Tensor::from<std::int64_t>({2}, {label, 0})};
    return compiled.run(written[0], inputs, none, parameters, constants, outputs);
  };
  CHECK(run(2, 4) == 0);
  const Tensor expected =
      function(spec)({Tensor(std::int64_t{2}), Tensor::from<std::int64_t>({2}, {4, 0})})[0];
  CHECK(outputs[0].item() == doctest::Approx(expected.item()));
  const double before = parameters[0].at(0);
  CHECK(before == doctest::Approx(total.get().at(0)));
  CHECK(run(3, 0) == 1);
  CHECK(run(0, 5) == 1);
  CHECK(run(0, -6) == 1);
  CHECK(parameters[0].at(0) == before);
  CHECK(run(0, -5) == 0);
}

TEST_CASE("whatever variables are called, C files compute what they should") {
  const testing::TemporaryFolder folder;
  const std::vector<std::string> labels{
      "a",      "b",     "c",       "x",      "y",       "k",    "k0",     "k1",  "i0",
      "i1",     "j",     "o",       "p",      "q",       "v0",   "v1",     "t0",  "t1",
      "u_x",    "bytes", "total",   "exp",    "expf",    "x0",   "memory", "int", "main",
      "linux",  "NAN",   "table_0", "best",   "now",     "most", "last",   "s",   "b0",
      "memcpy", "f",     "rows",    "labels", "f_MEMORY"};
  RandomState random(1);
  std::vector<Expr> inputs, rows;
  std::vector<Tensor> values;
  for (const std::string& label : labels) {
    inputs.push_back(dmatrix(label));
    values.push_back(random.uniform(-1, 1, {5, 5}));
  }
  const std::size_t n = inputs.size();
  for (std::size_t k = 0; k < n; ++k) {
    const Expr y = dot(inputs[k], inputs[(k + n - 1) % n]);
    rows.push_back(sum(exp(y), 0) + sum(cumsum(inputs[k], 1), 1) +
                   cast(argmax(inputs[k], 0), DType::float64));
  }
  const Expr table = constant(random.uniform(-1, 1, {static_cast<std::int64_t>(n), 5}));
  const FunctionSpec spec{.inputs = inputs, .outputs = {stack(rows) * table}, .name = "f"};
  const std::vector<CInterface> written{
      write_c(folder / "f.c", spec, {.sizes = std::vector<Shape>(n, {5, 5}), .outputs = {"v2"}})};
  const testing::Compiled compiled(folder, written, "-O0");
  std::vector<Tensor> none, outputs{Tensor(DType::float64, {static_cast<std::int64_t>(n), 5})};
  REQUIRE(compiled.run(written[0], values, none, none, none, outputs) == 0);
  CHECK(testing::distance(outputs[0], function(spec)(values)[0]) < 1e-12);
}
