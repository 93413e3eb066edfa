// A step that several processes make together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/train/distribution.hpp"
#include "cinch/train/parallel/stages.hpp"
#include "cinch/train/parallel/sums.hpp"

namespace cinch::parallel {

/// Makes the steps of a function, part by part.
class Step {
 public:
  /// As staged(), in the name of `what`. Throws ValueError where there are more ranks than parts
  /// of a minibatch of `batch` rows. `parts`: as part_count() takes it.
  Step(const Function& step, const std::vector<const Tensor*>& data, std::int64_t batch,
       std::shared_ptr<Distribution> ranks, std::int64_t parts = 0, const char* what = "train");

  /// The part's rows of the data: `count` from `first` on, counted within the minibatch. Without
  /// data the number of the minibatch. Valid until the next call.
  using Rows =
      std::function<std::span<const Tensor* const>(std::int64_t first, std::int64_t count)>;
  /// A step over a minibatch of `rows` rows: outputs, after which updates hold. `flag`, of this
  /// rank and from 0 to 255, becomes the largest of all.
  void make(std::int64_t rows, const Rows& of, std::vector<Tensor>& outputs, int& flag);

  /// Makes all variables whole on every rank: of some a rank has its rows only after a step. All
  /// ranks call it at the same time.
  void complete();

 private:
  void update(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs);
  void load_slices();
  std::vector<Tensor> states() const;
  void require_rows(std::int64_t rows, std::span<const Tensor* const> number) const;

  std::shared_ptr<Distribution> ranks_;
  StagedStep step_;
  bool holds_data_;
  std::int64_t asked_parts_;
  std::vector<Sums> adders_;
  std::vector<std::vector<Tensor>> sums_;  // Of each stage.
  std::vector<Tensor> norms_;              // Of this rank's rows.
  bool is_whole_ = true;                   // Whether variables are whole on every rank.
};

}  // namespace cinch::parallel
