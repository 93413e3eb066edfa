#include "cinch/train/train.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/io/csv.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/jsonl.hpp"
#include "cinch/io/tensorboard.hpp"
#include "cinch/train/checks/not_finite.hpp"
#include "cinch/train/checks/settings.hpp"
#include "cinch/train/checks/suspects.hpp"
#include "cinch/train/fingerprint.hpp"
#include "cinch/train/minibatches.hpp"
#include "cinch/train/parallel/agreement.hpp"
#include "cinch/train/parallel/parts.hpp"
#include "cinch/train/parallel/step.hpp"
#include "cinch/train/progress.hpp"

namespace cinch {

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
/// Steps after which values are copied: as many are made again to find the one that went wrong.
constexpr std::int64_t snapshot_interval = 64;

Minibatches minibatches(const TrainOptions& o) {
  if (o.rows != 0) return {"train", o.rows, o.batch, o.drop_last};
  if (!o.shards.empty()) return {"train", o.shards, o.batch, o.drop_last};
  return {"train", o.data, o.batch, o.drop_last};
}

Minibatches validation_minibatches(const TrainOptions& o) {
  const std::int64_t size = o.validation_batch > 0 ? o.validation_batch : o.batch;
  if (!o.validation_shards.empty()) return {"train, validation", o.validation_shards, size};
  return {"train, validation", o.validation_data, size};
}

class Run {
 public:
  explicit Run(const TrainOptions& options);
  TrainResult go();

 private:
  void begin_epoch();
  bool next_step();
  void make_step(std::int64_t rows);
  void validate();
  std::vector<double> validation_sums();
  void end_epoch();
  void save();
  void require_finite(std::int64_t made);
  /// Before anybody looks at variables.
  void complete() {
    if (parallel_) parallel_->complete();
  }
  void print(const EpochReport& report) const;
  void open_logs();
  std::vector<double> log_row(const EpochReport& report) const;
  std::vector<double> means() const;
  [[noreturn]] void explain(std::int64_t made);
  std::string interrupted_text() const;
  void agree();
  bool is_first() const { return !o_.distribute || o_.distribute->rank() == 0; }
  bool interrupted() const { return parallel_ ? signal_ != 0 : interruption_->asked(); }
  bool patience_is_out() const {
    return o_.early_stopping && state_.patience.steps <= static_cast<double>(state_.step - 1);
  }

  const TrainOptions o_;
  std::vector<std::string> names_;
  std::vector<std::string> validation_names_;
  Minibatches data_;
  std::unique_ptr<Minibatches> validation_;
  std::int64_t frequency_ = 0;
  NamedVariables variables_, params_;
  TrainSetup setup_;
  TrainState state_;
  RandomState random_{0};
  std::vector<std::int64_t> order_;
  Function rate_;
  checks::Snapshot snapshot_;
  std::int64_t snapshot_batch_ = 0;
  std::unique_ptr<FileLock> lock_;
  std::vector<std::function<void(const EpochReport&)>> logs_;
  std::unique_ptr<Progress> progress_;
  double seconds_before_ = 0;
  std::vector<Tensor> outputs_;
  std::unique_ptr<parallel::Step> parallel_;  // Null where nobody else takes part.
  std::optional<Interruption> interruption_;
  int signal_ = 0;  // That any rank has got.
};

Run::Run(const TrainOptions& options)
    : o_((checks::require_settings(options), options)),
      names_(checks::output_names(o_)),
      data_(minibatches(o_)),
      variables_(named(checks::all_variables(o_))),
      params_(named(o_.params)),
      random_(o_.shuffle.value_or(0)),
      snapshot_(checks::all_variables(o_)) {
  frequency_ = o_.validation_frequency;
  if (o_.validate) {
    validation_ = std::make_unique<Minibatches>(validation_minibatches(o_));
    const std::size_t count = Inspect::program(o_.validate).output_count;
    validation_names_ = o_.validation_names;
    for (std::size_t k = validation_names_.size(); k < count; ++k)
      validation_names_.push_back("validation " +
                                  (k < names_.size() ? names_[k] : text("output ", k)));
  }
  if (frequency_ == 0) {
    frequency_ = data_.count();
    if (o_.early_stopping)
      frequency_ = std::clamp<std::int64_t>(
          static_cast<std::int64_t>(std::min(o_.early_stopping->patience / 2, 1e15)), 1,
          frequency_);
  }
  if (o_.distribute) {
    data_.keep_parts_apart(o_.parts);
    if (validation_) validation_->keep_parts_apart();
    std::vector<const Tensor*> row;  // Of each tensor of the data.
    if (o_.rows == 0) {
      const std::span<const Tensor* const> first = data_.part(0, 0, 1);
      row.assign(first.begin(), first.end());
    }
    parallel_ = std::make_unique<parallel::Step>(o_.step, row, std::min(o_.batch, data_.rows()),
                                                 o_.distribute, o_.parts);
  }
  if (o_.rate.has_value()) rate_ = function({.outputs = {o_.rate}, .name = "rate"});
  setup_ = {{"rows", data_.rows()},
            {"batch", o_.batch},
            {"drop_last", o_.drop_last},
            {"shuffled", o_.shuffle.has_value()},
            {"seed", o_.shuffle.value_or(0)},
            {"outputs", static_cast<std::int64_t>(names_.size())},
            {"validation_outputs", static_cast<std::int64_t>(validation_names_.size())}};
  // A training in parts has other digits than one that is not, or is cut otherwise.
  if (o_.distribute) setup_.emplace_back("parts", parallel::part_count(o_.batch, o_.parts));
  if (!o_.checkpoint.empty() || o_.distribute) {
    std::vector<const Tensor*> data = o_.data;
    data.insert(data.end(), o_.validation_data.begin(), o_.validation_data.end());
    setup_.emplace_back("hash of the data", fingerprint(data));
    std::vector<const Shards*> shards = o_.shards;
    shards.insert(shards.end(), o_.validation_shards.begin(), o_.validation_shards.end());
    for (std::size_t k = 0; k < shards.size(); ++k)
      setup_.emplace_back(text("hash of shards ", k),
                          static_cast<std::int64_t>(shards[k]->fingerprint() >> 1));
    if (!o_.shards.empty()) {
      setup_.emplace_back("rows in a block", data_.blocks().first);
      setup_.emplace_back("blocks in a window", data_.blocks().second);
      if (o_.distribute && o_.shuffle) setup_.emplace_back("each part's rows apart", 1);
    }
  }

  if (!o_.checkpoint.empty() && is_first()) lock_ = std::make_unique<FileLock>(o_.checkpoint);
  const bool present = o_.resume != Resume::never && std::filesystem::exists(o_.checkpoint);
  const bool resumed = o_.resume == Resume::always || present;
  if (resumed) {
    state_ = read_state(o_.checkpoint, setup_, variables_, params_);
    random_.set_state(state_.random);
  } else {
    state_.sums.assign(names_.size(), 0);
    state_.validation.assign(validation_names_.size(), nan_value);
    state_.random = random_.state();
    if (o_.early_stopping) state_.patience.steps = o_.early_stopping->patience;
  }
  if (o_.distribute) agree();
  snapshot_.take();
  seconds_before_ = state_.seconds;
  open_logs();
  // Once in a training: random numbers that the targets draw go on from there.
  if (o_.epochs > 0 && !resumed) checks::require_probabilities(o_.step, data_.get(0));
  if (o_.out) {
    for (const checks::LeftOut& one : checks::left_out(o_.step))
      std::fprintf(o_.out, "train: %s\n", text_of(one).c_str());
    const auto& targets = Inspect::program(o_.step).targets;
    for (const Shared& param : o_.params) {
      if (std::ranges::find(targets, param) == targets.end())
        std::fprintf(o_.out, "train: %s is among .params and no update changes it\n",
                     describe(param).c_str());
    }
  }
  progress_ = std::make_unique<Progress>(o_.out, o_.epochs * data_.count(), state_.step);
}

/// Before anything is written, or waited for.
void Run::agree() {
  parallel::Description mine = parallel::description_of(o_.step, checks::all_variables(o_));
  for (const auto& [name, value] : setup_) mine.emplace_back(name, text(value));
  mine.emplace_back("epochs", text(o_.epochs));
  mine.emplace_back("validation frequency", text(frequency_));
  mine.emplace_back("checkpoint", o_.checkpoint.empty() ? "none" : o_.checkpoint);
  mine.emplace_back("checkpoint_every", text(o_.checkpoint_every));
  mine.emplace_back("early stopping", o_.early_stopping
                                          ? text(o_.early_stopping->patience, ", ",
                                                 o_.early_stopping->patience_increase, ", ",
                                                 o_.early_stopping->improvement_threshold)
                                          : "none");
  mine.emplace_back("epochs and steps made before", text(state_.epoch, ", ", state_.step));
  parallel::require_agreement(*o_.distribute, mine);
}

/// With what a resumed training has behind it.
void Run::open_logs() {
  std::vector<std::string> columns{"epoch", "step"};
  columns.insert(columns.end(), names_.begin(), names_.end());
  columns.insert(columns.end(), validation_names_.begin(), validation_names_.end());
  if (validation_) columns.emplace_back("best");
  if (o_.rate.has_value()) columns.emplace_back("rate");
  columns.emplace_back("seconds");
  const auto add = [this](auto writer) {
    logs_.push_back([this, writer](const EpochReport& r) { writer->row(log_row(r)); });
  };
  if (o_.log.ends_with(".jsonl")) {
    add(std::make_shared<JsonlWriter>(o_.log, columns));
  } else if (!o_.log.empty()) {
    add(std::make_shared<CsvWriter>(o_.log, columns));
  }
  if (!o_.tensorboard.empty()) {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    // Epochs stand as if there had been no pause: the bytes of records are as many as they were,
    // so that a TensorBoard that is looking on reads on where it was.
    logs_.push_back([this, columns, began = now.count() - seconds_before_,
                     events = std::make_shared<EventWriter>(o_.tensorboard)](const EpochReport& r) {
      const std::vector<double> row = log_row(r);
      std::vector<std::pair<std::string, double>> values;
      for (std::size_t k = 0; k < row.size(); ++k) {
        if (columns[k] != "step") values.emplace_back(columns[k], row[k]);
      }
      events->scalars(r.step, values, began + r.seconds);
    });
  }
  for (const EpochReport& report : state_.history)
    for (const auto& log : logs_) log(report);
}

std::vector<double> Run::log_row(const EpochReport& r) const {
  std::vector<double> row{static_cast<double>(r.epoch), static_cast<double>(r.step)};
  row.insert(row.end(), r.training.begin(), r.training.end());
  row.insert(row.end(), r.validation.begin(), r.validation.end());
  if (validation_) row.push_back(r.best);
  if (o_.rate.has_value()) row.push_back(r.rate);
  row.push_back(r.seconds);
  return row;
}

std::vector<double> Run::means() const {
  std::vector<double> result = state_.sums;
  for (double& mean : result) mean /= state_.weight;
  return result;
}

void Run::begin_epoch() {
  if (o_.shuffle && !o_.shards.empty()) {
    data_.shuffle(*o_.shuffle, state_.epoch);
  } else if (o_.shuffle) {
    state_.random = random_.state();
    const Tensor order = random_.permutation(data_.rows());
    order_.assign(order.data<std::int64_t>().begin(), order.data<std::int64_t>().end());
  }
  snapshot_.take();
  snapshot_batch_ = state_.batch;
  if (state_.batch > 0) return;  // Resumed within it.
  std::ranges::fill(state_.sums, 0);
  state_.weight = 0;
  state_.rate = o_.rate.has_value() ? rate_()[0].item() : nan_value;
}

/// `made`: minibatches of this epoch, the one that went wrong included.
void Run::explain(std::int64_t made) {
  explain_not_finite(
      o_.step, snapshot_batch_, made, [this](std::int64_t k) { return data_.get(k, order_); },
      snapshot_,
      [this](std::int64_t k) {
        return text("train: stopped in epoch ", state_.epoch, ", minibatch ", k, " (of ",
                    data_.count(), "), step ", state_.step - state_.batch + k);
      });
}

/// Throws where a variable has become NaN or infinite.
void Run::require_finite(std::int64_t made) {
  if (!snapshot_.spoiled().empty()) explain(made);
}

void Run::make_step(std::int64_t rows) {
  if (!parallel_) return o_.step.call(data_.get(state_.batch, order_), outputs_);
  signal_ = interruption_->signal();
  const auto part = [this](std::int64_t first, std::int64_t count) {
    return data_.part(state_.batch, first, count, order_);
  };
  parallel_->make(rows, part, outputs_, signal_);
}

/// False where patience is out.
bool Run::next_step() {
  const std::int64_t rows = data_.rows_of(state_.batch);
  make_step(rows);
  if (!checks::are_finite(outputs_)) explain(state_.batch + 1);
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    state_.sums[k] += outputs_[k].item() * static_cast<double>(rows);
  state_.weight += static_cast<double>(rows);

  const bool validates = validation_ && (state_.step + 1) % frequency_ == 0;
  const bool last = state_.batch + 1 == data_.count();
  if (o_.after_step) complete();
  if (validates || last || state_.batch + 1 - snapshot_batch_ >= snapshot_interval) {
    complete();
    require_finite(state_.batch + 1);
    if (validates) validate();
    snapshot_.take();
    snapshot_batch_ = state_.batch + 1;
  }
  const StepReport report{state_.epoch, state_.batch, state_.step, rows, outputs_};
  ++state_.batch;
  ++state_.step;
  if (o_.after_step) o_.after_step(report);
  if (progress_->due(state_.step))
    progress_->show(state_.step, text("epoch ", state_.epoch, ", ", names_[0], " ",
                                      state_.sums[0] / state_.weight));
  return !patience_is_out();
}

/// Of each output, the sum over minibatches of its value times their rows. Several processes share
/// the minibatches, unless one leads to the next, as draws do, and add up in their order.
std::vector<double> Run::validation_sums() {
  const std::size_t count = validation_names_.size();
  const bool shared = parallel_ && Inspect::program(o_.validate).targets.empty();
  const std::int64_t ranks = shared ? o_.distribute->ranks() : 1;
  const std::int64_t own = shared ? o_.distribute->rank() : 0;
  std::vector<double> values(static_cast<std::size_t>(validation_->count()) * count);
  std::vector<Tensor> outputs;
  for (std::int64_t k = own; k < validation_->count(); k += ranks) {
    o_.validate.call(validation_->get(k), outputs);
    if (!checks::are_finite(outputs)) {
      explain_not_finite(
          o_.validate, shared ? k : 0, k + 1,
          [this](std::int64_t j) { return validation_->get(j); }, snapshot_,
          [this](std::int64_t j) {
            return text("train: stopped in epoch ", state_.epoch, ", validation after step ",
                        state_.step, ", minibatch ", j, " (of ", validation_->count(), ")");
          });
    }
    for (std::size_t i = 0; i < count; ++i)
      values[static_cast<std::size_t>(k) * count + i] = outputs[i].item();
  }
  if (ranks > 1) parallel::gather_values(*o_.distribute, values, count);
  std::vector<double> sums(count, 0);
  for (std::int64_t k = 0; k < validation_->count(); ++k) {
    for (std::size_t i = 0; i < count; ++i)
      sums[i] += values[static_cast<std::size_t>(k) * count + i] *
                 static_cast<double>(validation_->rows_of(k));
  }
  return sums;
}

void Run::validate() {
  snapshot_.take();  // Validation may draw random numbers.
  std::vector<double> sums = validation_sums();
  for (double& sum : sums) sum /= static_cast<double>(validation_->rows());
  state_.validation = sums;
  const EarlyStopping* stopping = o_.early_stopping ? &*o_.early_stopping : nullptr;
  if (!observe(state_.patience, stopping, state_.step, sums[0])) return;
  state_.best.clear();
  for (const auto& [name, variable] : params_) state_.best.push_back(variable.get());
}

void Run::print(const EpochReport& r) const {
  progress_->clear();
  if (!o_.out) return;
  std::string line = text("epoch ", r.epoch);
  for (std::size_t k = 0; k < names_.size(); ++k) line += text("  ", names_[k], " ", r.training[k]);
  for (std::size_t k = 0; k < validation_names_.size(); ++k)
    line += text("  ", validation_names_[k], " ", r.validation[k]);
  if (o_.rate.has_value()) line += text("  rate ", r.rate);
  std::fprintf(o_.out, "%s  %.1f s\n", line.c_str(), r.seconds);
  std::fflush(o_.out);
}

void Run::end_epoch() {
  state_.seconds = seconds_before_ + progress_->elapsed();
  const EpochReport report{state_.epoch,         state_.step, means(),       state_.validation,
                           state_.patience.best, state_.rate, state_.seconds};
  state_.history.push_back(report);
  for (const auto& log : logs_) log(report);
  print(report);
  ++state_.epoch;
  state_.batch = 0;
  state_.random = random_.state();
  if (o_.after_epoch) o_.after_epoch(report);
}

void Run::save() {
  if (o_.checkpoint.empty() || !is_first()) return;
  state_.seconds = seconds_before_ + progress_->elapsed();
  write_state(o_.checkpoint, setup_, state_, variables_, params_);
}

/// Where it stopped and how to go on.
std::string Run::interrupted_text() const {
  std::string what = text("train: interrupted in epoch ", state_.epoch, ", after step ",
                          state_.step, " (", state_.batch, " of ", data_.count(), " minibatches)");
  what += o_.checkpoint.empty()
              ? "; there is no checkpoint to go on from: name one, .checkpoint"
              : "; saved: .resume = Resume::if_present goes on from " + o_.checkpoint;
  return printable(what);
}

TrainResult Run::go() {
  using Stopped = TrainResult::Stopped;
  interruption_.emplace();
  bool stops = false, saved = false;
  while (state_.epoch < o_.epochs && !state_.stopped_early && !stops) {
    begin_epoch();
    saved = false;
    while (state_.batch < data_.count() && !state_.stopped_early && !stops) {
      state_.stopped_early = !next_step();
      stops = interrupted();
    }
    complete();
    require_finite(state_.batch);  // Before anything is saved.
    if (state_.batch < data_.count() && !state_.stopped_early) break;
    end_epoch();
    if (state_.epoch % o_.checkpoint_every == 0) {
      save();
      saved = true;
    }
    stops = stops || interrupted();
  }
  progress_->clear();
  if (!saved) save();
  const bool unfinished = state_.epoch < o_.epochs && !state_.stopped_early;
  std::FILE* out = o_.out;
  if (parallel_) {
    if (unfinished && out) {
      std::fprintf(out, "%s\n", interrupted_text().c_str());
      std::fflush(out);
      out = nullptr;
    }
    // Nobody ends before all is said and saved: whoever started the processes then ends the others.
    all_gathered(*o_.distribute, "saved");
  }
  const int signal = parallel_ ? signal_ : interruption_->signal();
  interruption_.reset();
  if (unfinished) end_interrupted(signal, o_.after_interrupt, out, interrupted_text());
  if (o_.restore_best) {
    for (std::size_t k = 0; k < state_.best.size(); ++k) {
      Shared param = params_[k].second;
      param.set(state_.best[k]);
    }
  }
  const Stopped how = state_.stopped_early       ? Stopped::early
                      : state_.epoch < o_.epochs ? Stopped::interrupted
                                                 : Stopped::at_end;
  return {how, std::move(state_)};
}

/// What rank 0 alone does: it shows, logs and saves.
TrainOptions of_rank(TrainOptions o) {
  if (o.after_interrupt == AfterInterrupt::as_shown)
    o.after_interrupt = o.out ? AfterInterrupt::end_program : AfterInterrupt::give_back;
  if (o.distribute->rank() == 0) return o;
  o.out = nullptr;
  o.log.clear();
  o.tensorboard.clear();
  return o;
}

}  // namespace

TrainResult train(const TrainOptions& options) {
  if (!options.distribute) {
    parallel::require_alone();
    return Run(options).go();
  }
  try {
    return Run(of_rank(options)).go();
  } catch (const std::exception& error) {
    options.distribute->fail(error.what());
    throw;
  }
}

}  // namespace cinch
