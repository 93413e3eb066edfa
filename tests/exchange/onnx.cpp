// Written ONNX files, checked and run beside Cinch.
#include "cinch/exchange/onnx.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "exchange/models.hpp"
#include "exchange/onnx_runs.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"

using namespace cinch;

namespace {

double furthest(const std::vector<double>& found, const Tensor& expected) {
  REQUIRE(static_cast<std::int64_t>(found.size()) == expected.size());
  double most = 0, size = 1e-30;
  for (std::int64_t k = 0; k < expected.size(); ++k) {
    most = std::max(most, std::abs(found[static_cast<std::size_t>(k)] - expected.at(k)));
    size = std::max(size, std::abs(expected.at(k)));
  }
  return std::isnan(most) ? 1 : most / size;
}

}  // namespace

TEST_CASE("training steps written as ONNX do what Cinch does, 100 of them") {
  const testing::TemporaryFolder folder;
  const std::vector<testing::TrainingStep> all = testing::training_steps();
  std::vector<testing::OnnxRun> runs;
  std::vector<std::string> files;
  std::vector<std::vector<double>> costs;
  for (const testing::TrainingStep& model : all) {
    CAPTURE(model.name);
    files.push_back(folder / (model.name + ".onnx"));
    testing::OnnxRun run{files.back(),
                         write_onnx(files.back(), model.spec(), {.outputs = {"cost"}}),
                         model.values,
                         {}};
    for (const OnnxValue& p : run.model.parameters)
      run.parameters.push_back(as_shared(p.value).get());
    // The sizes of draws are the batch's, which the model leaves open.
    const Function step = function(model.spec());
    std::vector<double>& expected = costs.emplace_back();
    for (int t = 0; t < 100; ++t) {
      std::vector<Tensor> draws;
      for (const OnnxValue& draw : run.model.draws)
        draws.push_back(testing::next_draw(draw.value, model.values[0].shape()[0]));
      run.draws.push_back(draws);
      expected.push_back(step(model.values)[0].item());
    }
    runs.push_back(std::move(run));
  }
  testing::check_onnx(files);
  const std::vector<testing::OnnxResult> results = testing::run_onnx(folder, runs);
  if (results.empty()) return;
  for (std::size_t k = 0; k < all.size(); ++k) {
    CAPTURE(all[k].name);
    const testing::OnnxResult& result = results[k];
    CHECK(result.error == "");
    if (!result.error.empty()) continue;
    const std::vector<double>& found = result.scalars.at("cost");
    REQUIRE(found.size() == costs[k].size());
    for (std::size_t t = 0; t < found.size(); ++t)
      CHECK(std::abs(found[t] - costs[k][t]) <= 1e-5 * std::abs(costs[k][t]));
    CHECK(found.front() != found.back());
    for (const OnnxValue& p : runs[k].model.parameters)
      CHECK(furthest(result.last.at(p.next), as_shared(p.value).get()) < 1e-5);
  }
}

TEST_CASE("the program of docs/manual/exchange.md trains by onnxruntime-web") {
  const testing::TemporaryFolder folder;
  RandomState random(1);
  const Autoencoder model = autoencoder({6, 4}, random, {.dtype = DType::float64});
  const Expr x = variable("x", DType::float64, {-1, 6}), h = model.encode(x);
  const Expr cost = mean(cross_entropy(x, model.decode(h))) + 0.1 * mean(jacobian_norm2(h, x));
  write_onnx(folder / "train_step.onnx",
             {.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, model.params(), 0.5)},
             {.outputs = {"cost"}});
  std::ostringstream page;
  page << std::ifstream(CINCH_SOURCE_DIR "/docs/manual/exchange.md").rdbuf();
  const std::string text = page.str();
  const auto begin = text.find("```js\n"), end = text.find("```\n", begin + 6);
  REQUIRE(end != std::string::npos);
  std::ofstream(folder / "train.mjs") << text.substr(begin + 6, end - begin - 6);
  const std::string modules = testing::node_modules(folder);
  if (modules.empty()) return;
  std::filesystem::create_directory_symlink(modules + "/node_modules", folder / "node_modules");
  REQUIRE(std::system(("cd " + folder.path() + " && node train.mjs > printed").c_str()) == 0);
  std::string printed;
  std::getline(std::ifstream(folder / "printed") >> std::ws, printed);
  // What the C program on that page prints.
  CHECK(text.find("status 0, " + printed + "\n") != std::string::npos);
  CHECK(printed.starts_with("cost 0.0"));
}

TEST_CASE("what has no counterpart in ONNX is refused before anything is written") {
  const testing::TemporaryFolder folder;
  const std::string path = folder / "f.onnx";
  const Expr a = dmatrix("a");
  CHECK_THROWS_WITH_AS(write_onnx(path, {.inputs = {a}, .outputs = {inverse(a)}}),
                       doctest::Contains("the op inverse has no counterpart in ONNX: inverse(a)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(write_onnx(path, {.inputs = {a}, .outputs = {diag(a)}}),
                       doctest::Contains("has no counterpart in ONNX where the size of one"),
                       TypeError);
  CHECK_THROWS_WITH_AS(write_onnx(path, {.inputs = {a}, .outputs = {a}}, {.sizes = {{3}}}),
                       doctest::Contains("do not fit the input a"), TypeError);
  CHECK(folder.entries() == 0);
  CHECK_THROWS_AS(write_onnx(folder / "none/f.onnx", {.inputs = {a}, .outputs = {exp(a)}}),
                  FileError);
  write_onnx(path, {.inputs = {a}, .outputs = {exp(a)}});
  CHECK(folder.entries() == 1);
}

TEST_CASE("sizes that are not known stand in ONNX files by name, and run as any number") {
  const testing::TemporaryFolder folder;
  const Expr a = dmatrix("a"), b = dmatrix("b");
  const Expr y = softmax(dot(a, b)) - mean(a), rows = sum(a, 1) * cast(size(a, 0), DType::float64);
  const OnnxInterface model = write_onnx(
      folder / "f.onnx", {.inputs = {a, b}, .outputs = {y, rows, concatenate({a, a}, 0)}});
  CHECK_FALSE(model.outputs[0].type.dims[0].known());
  CHECK(model.inputs[0].type.dims[1].known() == false);
  testing::check_onnx({folder / "f.onnx"});
  std::vector<testing::OnnxRun> runs;
  RandomState random(1);
  for (const auto& [n, k, m] : std::vector<std::array<std::int64_t, 3>>{{1, 2, 3}, {7, 1, 4}})
    runs.push_back({folder / "f.onnx",
                    model,
                    {random.uniform(-1, 1, {n, k}), random.uniform(-1, 1, {k, m})},
                    {}});
  const std::vector<testing::OnnxResult> results = testing::run_onnx(folder, runs);
  const Function f = function({.inputs = {a, b}, .outputs = {y, rows, concatenate({a, a}, 0)}});
  for (std::size_t k = 0; k < results.size(); ++k) {
    CHECK(results[k].error == "");
    if (!results[k].error.empty()) continue;
    const std::vector<Tensor> expected = f(runs[k].inputs);
    for (std::size_t o = 0; o < expected.size(); ++o)
      CHECK(furthest(results[k].last.at(model.outputs[o].name), expected[o]) < 1e-12);
  }
}
