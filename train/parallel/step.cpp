#include "cinch/train/parallel/step.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "cinch/core/error.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

Step::Step(const Function& step, const std::vector<const Tensor*>& data, std::int64_t batch,
           std::shared_ptr<Distribution> ranks, std::int64_t asked_parts, const char* what)
    : ranks_(std::move(ranks)),
      step_(staged(what, step, data, {ranks_->rank(), ranks_->ranks()})),
      holds_data_(data.empty()),
      asked_parts_(asked_parts) {
  const std::int64_t parts = part_count(batch, asked_parts);
  if (ranks_->ranks() > parts) {
    throw ValueError(text(what, ": there are ", ranks_->ranks(), " ranks, and a minibatch of ",
                          batch, " rows has ", parts, parts == 1 ? " part" : " parts",
                          ": start at most ", parts,
                          ", or make minibatches larger (8 parts from 64 rows on)"));
  }
  for (const Stage& stage : step_.stages) {
    adders_.emplace_back(ranks_);
    adders_.back().combine_by(stage.how());
  }
  sums_.resize(adders_.size());
  auto needed = step_.update.needs_whole.begin();
  for (std::size_t k = 0; k < adders_.size(); ++k) {
    const auto end = needed + std::ssize(step_.stages[k].how());
    // The stages after it take all of it.
    if (k + 1 == adders_.size()) adders_[k].need_whole({needed, end});
    needed = end;
  }
}

/// This rank's rows of variables that nothing but their own update reads.
void Step::load_slices() {
  for (const SlicedUpdate::Own& one : step_.update.owned) {
    if (!one.is_kept) continue;
    Tensor& slice = one.slice.attrs().state->value;
    const Tensor& whole = one.variable.value();
    const ByteRange own = slice_of(whole, {ranks_->rank(), ranks_->ranks()});
    std::memcpy(slice.raw(), static_cast<const std::byte*>(whole.raw()) + own.begin, own.count);
  }
}

namespace {

/// Fetches the rows of others of variables that are kept by slices, or of those that are not.
void gather_variables(Distribution& ranks, const std::vector<SlicedUpdate::Own>& owned, bool kept) {
  std::vector<RowsOfRank> rows;
  std::vector<std::unique_lock<graphs::Access>> locks;
  for (const SlicedUpdate::Own& one : owned) {
    if (one.is_kept != kept) continue;
    SharedState& state = *one.variable.attrs().state;
    locks.emplace_back(state.access);
    rows.push_back({&state.value, static_cast<const std::byte*>(one.slice.value().raw())});
  }
  if (!rows.empty()) gather_rows(ranks, rows);
}

}  // namespace

void Step::complete() {
  if (!is_whole_) gather_variables(*ranks_, step_.update.owned, /*kept=*/true);
  is_whole_ = true;
}

/// From the sums of all parts to new values, before which norms are added up.
void Step::update(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs) {
  SlicedUpdate& u = step_.update;
  if (is_whole_) load_slices();
  std::vector<const Tensor*> all(arguments.begin(), arguments.end());
  if (!u.norm_values.empty()) {
    u.norms.call(arguments, norms_);
    std::vector<RowsOfRank> rows;
    for (std::size_t k = 0; k < u.norm_values.size(); ++k) {
      rows.push_back({&u.norm_values[k], static_cast<const std::byte*>(norms_[k].raw())});
      all.push_back(&u.norm_values[k]);
    }
    gather_rows(*ranks_, rows);
  }
  std::vector<Tensor> none;
  if (u.has_own) u.own.call(all, none);
  u.rest.call(all, outputs);
  is_whole_ = std::ranges::none_of(u.owned, &SlicedUpdate::Own::is_kept);
  gather_variables(*ranks_, u.owned, /*kept=*/false);
}

std::vector<Tensor> Step::states() const {
  std::vector<Tensor> result;
  for (const Shared& state : step_.draws) result.push_back(state.value());
  return result;
}

/// Throws where the step slices other numbers of rows than minibatches have.
void Step::require_rows(std::int64_t rows, std::span<const Tensor* const> number) const {
  for (const Tensor& sliced : step_.rows.call(number)) {
    if (sliced.at(0) == static_cast<double>(rows)) continue;
    throw ValueError(text("train: minibatch ", number[0]->at(0), " has ", rows,
                          " rows, and the step slices ", sliced.at(0),
                          " of a shared variable: both by the same .batch"));
  }
}

void Step::make(std::int64_t rows, const Rows& of, std::vector<Tensor>& outputs, int& flag) {
  const std::int64_t parts = part_count(rows, asked_parts_);
  const std::vector<Tensor> draws = states();
  const Tensor count_of_all(rows);
  Tensor first(std::int64_t{0}), count(std::int64_t{0});
  std::vector<const Tensor*> arguments;
  if (holds_data_) require_rows(rows, of(0, 0));
  PartRange own = parts_of_rank(parts, ranks_->rank(), ranks_->ranks());
  if (own.begin == own.end) own = {0, 1};  // It has none, and must know the sums' sizes.
  PartRows held{0, -1};
  std::span<const Tensor* const> data;
  std::size_t stages_before = 0;
  const Share share{rows, parts, own, [&](PartRows rows_held, PartRows meant) {
                      first.data<std::int64_t>()[0] = meant.first;
                      count.data<std::int64_t>()[0] = meant.count;
                      if (rows_held.first != held.first || rows_held.count != held.count) {
                        held = rows_held;
                        data = of(held.first, held.count);
                      }
                      arguments.assign(data.begin(), data.end());
                      arguments.insert(arguments.end(), {&count_of_all, &first, &count});
                      for (const Tensor& state : draws) arguments.push_back(&state);
                      for (std::size_t before = 0; before < stages_before; ++before) {
                        for (const Tensor& sum : sums_[before]) arguments.push_back(&sum);
                      }
                      return std::span<const Tensor* const>(arguments);
                    }};
  for (std::size_t k = 0; k < adders_.size(); ++k) {
    stages_before = k;
    Stage& stage = step_.stages[k];
    stage.begin(share);
    adders_[k].add(
        parts,
        {.part = [&](std::int64_t part,
                     std::vector<Tensor>& result) { stage.compute(part, result); },
         .others = stage.other_count(),
         .products = stage.product_count(),
         .product = [&](std::size_t p, PartRange range, PartRange own_rows,
                        Tensor& result) { stage.multiply(p, range, own_rows, result); },
         .has_rows_apart = [&](std::size_t p,
                               PartRange range) { return stage.has_rows_apart(p, range); }},
        sums_[k], flag);
  }
  if (adders_.empty()) {
    for (const std::string& said : all_gathered(*ranks_, std::string(1, static_cast<char>(flag))))
      flag = std::max(flag, static_cast<int>(static_cast<unsigned char>(said[0])));
  }
  arguments.clear();
  if (holds_data_) {
    const auto number = of(0, 0);
    arguments.assign(number.begin(), number.end());
  }
  arguments.push_back(&count_of_all);
  for (const auto& sums : sums_) {
    for (const Tensor& sum : sums) arguments.push_back(&sum);
  }
  update(arguments, outputs);
}

}  // namespace cinch::parallel
