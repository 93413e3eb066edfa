// Every variant trains in parts of its minibatches, or is refused with the op that mixes their
// rows.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/train/parallel/step.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"
#include "variants.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t examples = 70;

/// Parameters after two steps of `examples` rows: as one function, or in parts.
std::vector<Tensor> trained(const Variant& variant, bool in_parts) {
  Setting s(examples, 5);
  const Trained made = moved(variant, s);
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  for (const auto& [x, value] : s.values(made.cost)) {
    inputs.push_back(x);
    values.push_back(value);
  }
  std::vector<const Tensor*> data;
  for (const Tensor& value : values) data.push_back(&value);
  const Function step = function({.inputs = inputs,
                                  .outputs = {made.cost},
                                  .updates = sgd(made.cost, made.params, 0.05),
                                  .allow_unused_inputs = true});
  std::vector<Tensor> result;
  if (in_parts) {
    Minibatches all("test", data, examples);
    parallel::Step parts(step, data, examples, one_process());
    int flag = 0;
    for (int k = 0; k < 2; ++k) {
      parts.make(
          examples,
          [&](std::int64_t first, std::int64_t count) { return all.part(0, first, count); }, result,
          flag);
    }
  } else {
    for (int k = 0; k < 2; ++k) step.call(data, result);
  }
  for (const Shared& p : made.params) result.push_back(p.get());
  return result;
}

}  // namespace

TEST_CASE("every variant: in parts it trains as in one, or the op that mixes rows is named") {
  std::set<std::string> refused;
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    const std::vector<Tensor> whole = trained(variant, false);
    std::vector<Tensor> parts;
    try {
      parts = trained(variant, true);
    } catch (const TypeError& error) {
      const std::string said = error.what();
      CAPTURE(said);
      CHECK(contains(said, "train: .distribute cuts a minibatch into parts of its rows, and "));
      CHECK(contains(said, "variants.cpp:"));  // The line of the variant's cost.
      refused.insert(variant.name);
      continue;
    }
    REQUIRE(parts.size() == whole.size());
    for (std::size_t k = 0; k < whole.size(); ++k) {
      CAPTURE(k);
      CHECK(distance(whole[k], parts[k]) < 1e-10);
    }
  }
  // Of each: which rows are the largest of the minibatch, who is whose neighbour, a row beside one
  // drawn at random.
  std::string names;
  for (const std::string& name : refused) names += name + "; ";
  CAPTURE(names);
  CHECK(refused == std::set<std::string>{
                       "winner take all", "convolutional, contractive, winners take all",
                       "dictionary, BatchTopK", "dictionary, Matryoshka",
                       "scaled isometry at mixed codes", "scaled isometry by probes", "topological",
                       "neighbourhoods, first order", "neighbourhoods, second order"});
}
