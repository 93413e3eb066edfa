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
#include "cinch/core/refusal.hpp"
#include "cinch/io/csv.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/jsonl.hpp"
#include "cinch/io/tensorboard.hpp"
#include "cinch/train/checks/not_finite.hpp"
#include "cinch/train/checks/suspects.hpp"
#include "cinch/train/minibatches.hpp"
#include "cinch/train/progress.hpp"
#include "cinch/train/reading/fingerprint.hpp"

namespace cinch {

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
/// Steps after which values are copied: as many are made again to find the one that went wrong.
constexpr std::int64_t snapshot_interval = 64;

void require_positive(const char* what, std::int64_t value, std::int64_t least = 1) {
  if (value < least)
    throw ValueError(text("train: ", what, " must be at least ", least, ", got ", value));
}

/// Throws TypeError where the inputs are not as many as the tensors, or there is no output.
void require_fitting(const char* which, const Function& f, std::size_t tensors) {
  const compiling::Program& program = Inspect::program(f);
  if (program.inputs.size() != tensors) {
    std::string names;
    for (const Expr& input : program.inputs) names += (names.empty() ? "" : ", ") + describe(input);
    throw TypeError(text("train: ", which, " takes ", program.inputs.size(), " inputs (", names,
                         "), its data are ", tensors, " tensors"));
  }
  if (program.output_count == 0)
    throw TypeError(text("train: ", which, " has no outputs; the first must be the loss"));
  for (std::size_t k = 0; k < program.output_count; ++k) {
    const Expr& output = program.written[k];
    if (output.rank() != 0)
      refuse("train",
             text("output ", k, " of ", which, " must be a scalar, got ", output.type(), "  ",
                  describe(output), "\n  Take its mean() over the examples."),
             output->where);
  }
}

/// Variables that the functions change, and more, each once.
std::vector<Shared> all_variables(const TrainOptions& o) {
  std::vector<Shared> result;
  const auto add = [&](const std::vector<Shared>& more) {
    for (const Shared& variable : more) {
      if (std::ranges::find(result, variable) == result.end()) result.push_back(variable);
    }
  };
  add(Inspect::program(o.step).targets);
  if (o.validate) add(Inspect::program(o.validate).targets);
  add(o.params);
  add(o.also);
  return result;
}

/// "loss", "output 1", ... where the user gave no names.
std::vector<std::string> output_names(const TrainOptions& o) {
  const std::size_t count = Inspect::program(o.step).output_count;
  if (!o.names.empty() && o.names.size() != count)
    throw ValueError(text("train: ", o.names.size(), " names for ", count, " outputs"));
  if (!o.names.empty()) return o.names;
  std::vector<std::string> result;
  for (std::size_t k = 0; k < count; ++k) result.push_back(k == 0 ? "loss" : text("output ", k));
  return result;
}

/// The step of data that it holds itself takes a number.
void require_number(const TrainOptions& o) {
  require_fitting("the step, which has no data but `rows`,", o.step, 1);
  const Expr& number = Inspect::program(o.step).inputs[0];
  if (number.dtype() != DType::int64 || number.rank() != 0)
    throw TypeError(
        text("train: without data, the step's input is the number of the minibatch, an "
             "int64 scalar, got ",
             text(number.type()), "  ", describe(number)));
  if (o.shuffle) throw ValueError("train: shuffle needs data: the step's own are in its hands");
}

void require_settings(const TrainOptions& o) {
  require_positive("epochs", o.epochs, 0);
  require_positive("checkpoint_every", o.checkpoint_every);
  require_positive("validation_frequency", o.validation_frequency, 0);
  require_positive("validation_batch", o.validation_batch, 0);
  if (o.rows != 0 && !o.data.empty()) throw ValueError("train: give data or rows, not both");
  if (o.rows != 0 && !o.shards.empty()) throw ValueError("train: give shards or rows, not both");
  if (!o.data.empty() && !o.shards.empty())
    throw ValueError("train: give data or shards, not both");
  if (!o.validation_data.empty() && !o.validation_shards.empty())
    throw ValueError("train: give validation_data or validation_shards, not both");
  if (o.rows != 0) {
    require_number(o);
  } else {
    require_fitting("the step", o.step, o.data.size() + o.shards.size());
  }
  checks::require_updates(o.step);
  const std::size_t validation = o.validation_data.size() + o.validation_shards.size();
  if (!o.validate != (validation == 0))
    throw ValueError("train: validate and validation_data belong together: one of them is missing");
  if (o.validate) {
    require_fitting("the validation", o.validate, validation);
    checks::require_no_training(o.validate, o.step, o.params);
  }
  const std::size_t validated = o.validate ? Inspect::program(o.validate).output_count : 0;
  if (!o.validation_names.empty() && o.validation_names.size() != validated)
    throw ValueError(text("train: ", o.validation_names.size(), " names for ", validated,
                          " outputs of the validation"));
  if (o.early_stopping) {
    if (!o.validate)
      throw ValueError("train: early stopping needs validation: give validate and validation_data");
    require_valid(*o.early_stopping);
  }
  if (o.restore_best && (o.params.empty() || !o.validate))
    throw ValueError("train: restore_best needs params and validation");
  if (!o.checkpoint.empty()) {
    for (const Shared& variable : all_variables(o)) {
      if (variable.dtype() == DType::bfloat16)
        throw TypeError("train: a checkpoint holds no bfloat16, of which " + describe(variable) +
                        " is: store it as float16 or float32");
    }
  }
  if (o.resume != Resume::never && o.checkpoint.empty())
    throw ValueError("train: resume needs the path of a checkpoint");
  if (!o.log.empty() && !o.checkpoint.empty() &&
      std::filesystem::weakly_canonical(o.log) == std::filesystem::weakly_canonical(o.checkpoint))
    throw ValueError("train: log and checkpoint are one file, " + o.log + ": give each its own");
  if (!o.checkpoint.empty()) AtomicFile(o.checkpoint);  // That it can be written; it is not.
  if (o.rate.has_value() && o.rate.rank() != 0)
    throw TypeError("train: rate must be a scalar, got " + text(o.rate.type()));
}

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
  void validate();
  void end_epoch();
  void save();
  void require_finite(std::int64_t made);
  void print(const EpochReport& report) const;
  void open_logs();
  std::vector<double> log_row(const EpochReport& report) const;
  std::vector<double> means() const;
  [[noreturn]] void explain(std::int64_t made);
  std::string interrupted_text() const;
  bool patience_is_out() const {
    return o_.early_stopping && state_.patience.steps <= static_cast<double>(state_.step - 1);
  }

  const TrainOptions& o_;
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
};

Run::Run(const TrainOptions& options)
    : o_((require_settings(options), options)),
      names_(output_names(o_)),
      data_(minibatches(o_)),
      variables_(named(all_variables(o_))),
      params_(named(o_.params)),
      random_(o_.shuffle.value_or(0)),
      snapshot_(all_variables(o_)) {
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
  if (o_.rate.has_value()) rate_ = function({.outputs = {o_.rate}, .name = "rate"});
  setup_ = {{"rows", data_.rows()},
            {"batch", o_.batch},
            {"drop_last", o_.drop_last},
            {"shuffled", o_.shuffle.has_value()},
            {"seed", o_.shuffle.value_or(0)},
            {"outputs", static_cast<std::int64_t>(names_.size())},
            {"validation_outputs", static_cast<std::int64_t>(validation_names_.size())}};
  if (!o_.checkpoint.empty()) {
    std::vector<const Tensor*> data = o_.data;
    data.insert(data.end(), o_.validation_data.begin(), o_.validation_data.end());
    setup_.emplace_back("hash of the data", training::fingerprint(data));
    std::vector<const Shards*> shards = o_.shards;
    shards.insert(shards.end(), o_.validation_shards.begin(), o_.validation_shards.end());
    for (std::size_t k = 0; k < shards.size(); ++k)
      setup_.emplace_back(text("hash of shards ", k),
                          static_cast<std::int64_t>(shards[k]->fingerprint() >> 1));
    if (!o_.shards.empty()) {
      setup_.emplace_back("rows in a block", data_.blocks().first);
      setup_.emplace_back("blocks in a window", data_.blocks().second);
    }
  }

  if (!o_.checkpoint.empty()) lock_ = std::make_unique<FileLock>(o_.checkpoint);
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

/// False where patience is out.
bool Run::next_step() {
  o_.step.call(data_.get(state_.batch, order_), outputs_);
  if (!checks::are_finite(outputs_)) explain(state_.batch + 1);
  const std::int64_t rows = data_.rows_of(state_.batch);
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    state_.sums[k] += outputs_[k].item() * static_cast<double>(rows);
  state_.weight += static_cast<double>(rows);

  const bool validates = validation_ && (state_.step + 1) % frequency_ == 0;
  const bool last = state_.batch + 1 == data_.count();
  if (validates || last || state_.batch + 1 - snapshot_batch_ >= snapshot_interval) {
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

void Run::validate() {
  snapshot_.take();  // Validation may draw random numbers.
  std::vector<double> sums(validation_names_.size(), 0);
  std::vector<Tensor> outputs;
  for (std::int64_t k = 0; k < validation_->count(); ++k) {
    o_.validate.call(validation_->get(k), outputs);
    if (!checks::are_finite(outputs)) {
      explain_not_finite(
          o_.validate, 0, k + 1, [this](std::int64_t j) { return validation_->get(j); }, snapshot_,
          [this](std::int64_t j) {
            return text("train: stopped in epoch ", state_.epoch, ", validation after step ",
                        state_.step, ", minibatch ", j, " (of ", validation_->count(), ")");
          });
    }
    for (std::size_t i = 0; i < outputs.size(); ++i)
      sums[i] += outputs[i].item() * static_cast<double>(validation_->rows_of(k));
  }
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
  if (o_.checkpoint.empty()) return;
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
  auto interruption = std::make_optional<Interruption>();
  bool interrupted = false, saved = false;
  while (state_.epoch < o_.epochs && !state_.stopped_early && !interrupted) {
    begin_epoch();
    saved = false;
    while (state_.batch < data_.count() && !state_.stopped_early && !interrupted) {
      state_.stopped_early = !next_step();
      interrupted = interruption->asked();
    }
    require_finite(state_.batch);  // Before anything is saved.
    if (state_.batch < data_.count() && !state_.stopped_early) break;
    end_epoch();
    if (state_.epoch % o_.checkpoint_every == 0) {
      save();
      saved = true;
    }
    interrupted = interrupted || interruption->asked();
  }
  progress_->clear();
  if (!saved) save();
  const int signal = interruption->signal();
  interruption.reset();
  if (state_.epoch < o_.epochs && !state_.stopped_early)
    end_interrupted(signal, o_.after_interrupt, o_.out, interrupted_text());
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

}  // namespace

TrainResult train(const TrainOptions& options) { return Run(options).go(); }

}  // namespace cinch
