#include "cinch/core/plan/chains.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "cinch/core/run/row_chain.hpp"

namespace cinch::planning {

namespace {

using running::LoopSpec;

/// Of the largest loop of a chain.
constexpr std::int64_t least_elements = 1 << 16;
/// Steps after the first one among which the others are looked for: plans may have thousands.
constexpr std::size_t most_steps = 512;

/// A chain that steps are tried for, one after the other.
class Chain {
 public:
  explicit Chain(const StepSketch& first) : rows_(first.loop->shape.front()) {}

  bool joins(const StepSketch& step) const {
    if (!step.loop || step.loop->shape.empty() || step.loop->shape.front() != rows_) return false;
    const auto skipped = [&](int buffer) { return others_.contains(buffer); };
    if (std::ranges::any_of(step.reads, skipped)) return false;
    const auto fits = [&](const LoopSpec::Input& in) {
      const auto written = row_stride_.find(in.buffer);
      return written == row_stride_.end() || reads_rows(*step.loop, in, written->second);
    };
    const auto by_rows = [](const LoopSpec::Output& out) {
      return !out.in_place && (out.accumulator || out.where.strides.front() > 0);
    };
    return std::ranges::all_of(step.loop->inputs, fits) &&
           std::ranges::all_of(step.loop->outputs, by_rows);
  }
  void add(std::size_t number, const LoopSpec& loop) {
    steps_.push_back(number);
    largest_ = std::max(largest_, element_count(loop.shape));
    for (const auto& out : loop.outputs) {
      row_stride_[out.buffer] = out.where.strides.front();
      bytes_ += static_cast<double>(out.size) * static_cast<double>(size_of(out.dtype));
    }
  }
  void skip(const StepSketch& step) { others_.insert(step.writes.begin(), step.writes.end()); }

  const std::vector<std::size_t>& steps() const { return steps_; }
  /// Whether a block of several rows of what it writes stays near the processor.
  bool has_room() const {
    constexpr double most_row_bytes = 1 << 17;
    return bytes_ / static_cast<double>(rows_) < most_row_bytes;
  }
  bool pays() const {
    constexpr std::size_t fewest = 3;
    constexpr std::int64_t least_rows = 16;
    constexpr double least_bytes = 1 << 22;
    if (running::forced_block_rows > 0) return steps_.size() > 1 && rows_ > 1;
    return steps_.size() >= fewest && rows_ >= least_rows && largest_ >= least_elements &&
           bytes_ >= least_bytes;
  }

 private:
  /// Whether it reads at row i what was written at row i, `stride` elements for each.
  static bool reads_rows(const LoopSpec& loop, const LoopSpec::Input& in, std::int64_t stride) {
    std::int64_t last = in.where.offset;
    for (std::size_t axis = 1; axis < loop.shape.size(); ++axis) {
      if (in.where.strides[axis] < 0) return false;
      last += in.where.strides[axis] * std::max<std::int64_t>(loop.shape[axis] - 1, 0);
    }
    return stride > 0 && in.where.strides.front() == stride && in.where.offset >= 0 &&
           last < stride;
  }

  std::int64_t rows_;
  std::vector<std::size_t> steps_;
  std::map<int, std::int64_t> row_stride_;  // Of what it writes; 0: a sum over rows.
  std::set<int> others_;                    // What steps that it skips write.
  std::int64_t largest_ = 0;
  double bytes_ = 0;
};

}  // namespace

std::vector<std::vector<std::size_t>> row_chains(std::span<const StepSketch> steps) {
  std::vector<std::vector<std::size_t>> result;
  std::vector<bool> taken(steps.size(), false);
  std::set<std::int64_t> worth_it;  // Numbers of rows of which there are large loops.
  for (const StepSketch& step : steps) {
    const bool is_large =
        step.loop && !step.loop->shape.empty() &&
        (element_count(step.loop->shape) >= least_elements || running::forced_block_rows > 0);
    if (is_large) worth_it.insert(step.loop->shape.front());
  }
  for (std::size_t begin = 0; begin < steps.size(); ++begin) {
    const LoopSpec* first = steps[begin].loop;
    if (taken[begin] || !first || first->shape.size() < 2) continue;
    if (!worth_it.contains(first->shape.front())) continue;
    Chain chain(steps[begin]);
    const std::size_t end = std::min(steps.size(), begin + most_steps);
    for (std::size_t k = begin; k < end && chain.has_room(); ++k) {
      if (!taken[k] && chain.joins(steps[k])) {
        chain.add(k, *steps[k].loop);
      } else {
        chain.skip(steps[k]);
      }
    }
    if (!chain.pays()) continue;
    for (const std::size_t k : chain.steps()) taken[k] = true;
    result.push_back(chain.steps());
  }
  return result;
}

}  // namespace cinch::planning
