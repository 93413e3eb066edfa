// Written ONNX files, checked and run beside Cinch.
#include "cinch/exchange/onnx.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
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
