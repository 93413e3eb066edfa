#include "cinch/train/in_parts.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "cinch/core/error.hpp"
#include "cinch/train/fingerprint.hpp"
#include "cinch/train/minibatches.hpp"
#include "cinch/train/parallel/agreement.hpp"
#include "cinch/train/parallel/parts.hpp"
#include "cinch/train/parallel/step.hpp"

namespace cinch {

namespace {

constexpr const char* caller = "in_parts";
/// Sums as large as the gradient are made of each.
constexpr std::int64_t most_parts = 64;

std::vector<const Tensor*> pointers_to(const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> result;
  for (const Tensor& tensor : tensors) result.push_back(&tensor);
  return result;
}

std::int64_t parts_of(std::int64_t rows, std::int64_t asked) {
  return asked > 0 ? asked : std::min(parallel::part_count(rows), most_parts);
}

/// All rows are one minibatch.
Minibatches minibatch_of(const std::vector<const Tensor*>& arguments,
                         const std::vector<const Shards*>& shards) {
  if (!shards.empty()) {
    if (!arguments.empty())
      throw ValueError(text(caller, ": rows are in arguments or in shards, not in both"));
    return {caller, shards, shards[0]->rows()};
  }
  if (arguments.empty())
    throw TypeError(text(caller,
                         ": the function has no arguments, so there are no rows to share: "
                         "make the data an input, lbfgs(value_and_gradient(cost, params, "
                         "{x}), params, {data}, ...)"));
  for (const Tensor* argument : arguments) {
    if (argument->rank() == 0)
      throw TypeError(text(caller,
                           ": an argument is a number, and each must have the data's rows: "
                           "make it a shared variable"));
  }
  return {caller, arguments, arguments[0]->shape()[0]};
}

class InParts : public Evaluation {
 public:
  InParts(std::shared_ptr<Distribution> ranks, const PartsOptions& options, const Function& f,
          const std::vector<Shared>& params, const std::vector<Tensor>& arguments)
      : ranks_(std::move(ranks)),
        rows_(minibatch_of(pointers_to(arguments), options.shards)),
        step_(f, first_row(), rows_.rows(), ranks_, parts_of(rows_.rows(), options.parts), caller) {
    rows_.keep_parts_apart();  // All in one order: no others are read.
    parallel::Description mine = parallel::description_of(f, params);
    mine.emplace_back("parts", text(parts_of(rows_.rows(), options.parts)));
    mine.emplace_back("hash of the data", text(fingerprint(pointers_to(arguments))));
    for (const Shards* shards : options.shards)
      mine.emplace_back("hash of shards", text(shards->fingerprint()));
    parallel::require_agreement(*ranks_, mine);
  }

  void evaluate(std::vector<Tensor>& outputs, int& signal) override {
    const auto part = [this](std::int64_t first, std::int64_t count) {
      return rows_.part(0, first, count);
    };
    step_.make(rows_.rows(), part, outputs, signal);
    step_.complete();  // Whoever minimises reads variables between evaluations.
  }
  bool is_first() const override { return ranks_->rank() == 0; }
  void wait() override { all_gathered(*ranks_, "done"); }
  void fail(const std::string& why) noexcept override { ranks_->fail(why); }

 private:
  std::vector<const Tensor*> first_row() {
    const std::span<const Tensor* const> row = rows_.part(0, 0, 1);
    return {row.begin(), row.end()};
  }

  std::shared_ptr<Distribution> ranks_;
  Minibatches rows_;
  parallel::Step step_;
};

}  // namespace

Evaluator in_parts(std::shared_ptr<Distribution> ranks, const PartsOptions& options) {
  if (!ranks) throw ValueError(text(caller, ": no processes are given: mpi(), or one_process()"));
  return [ranks, options](const Function& f, const std::vector<Shared>& params,
                          const std::vector<Tensor>& arguments) -> std::unique_ptr<Evaluation> {
    try {
      return std::make_unique<InParts>(ranks, options, f, params, arguments);
    } catch (const std::exception& error) {
      ranks->fail(error.what());
      throw;
    }
  };
}

}  // namespace cinch
