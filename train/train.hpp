// One loop that trains: minibatches, validation, early stopping, progress, log, checkpoints.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/interruption.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/io/shards.hpp"
#include "cinch/train/distribution.hpp"
#include "cinch/train/early_stopping.hpp"
#include "cinch/train/state.hpp"

namespace CINCH_PUBLIC cinch {

/// A step just made.
struct StepReport {
  std::int64_t epoch, batch, step;  ///< Counted from 0; `batch` within the epoch.
  std::int64_t rows;                ///< Of the minibatch.
  std::span<const Tensor> outputs;
};

enum class Resume {
  never,       ///< Begin anew.
  if_present,  ///< Go on from the checkpoint where there is one.
  always,      ///< Go on from the checkpoint; FileError where there is none.
};

/// What to train and how. Name the fields: train({.step = step, .data = {&images}, .batch = 20}).
struct TrainOptions {
  /// Makes a step by its updates. Its inputs take rows of `data`, one tensor each; its outputs are
  /// scalars, means over these rows, the first of which is called the loss.
  Function step;
  std::vector<const Tensor*> data = {};  ///< Not copied.
  /// Instead, data in files, which may be larger than memory. Shuffled, blocks of rows that lie
  /// together are, and then the rows of some hundred blocks among each other: see Minibatches.
  std::vector<const Shards*> shards = {};
  /// With no `data`, how many rows the step's own have. Its input is then the number k of the
  /// minibatch, counted from 0 in each epoch, and the step slices a shared variable:
  /// .givens = {{x, slice(X, k * batch, (k + 1) * batch)}}.
  std::int64_t rows = 0;
  std::vector<std::string> names = {};  ///< Of all outputs; "loss", "output 1", ... without.
  std::int64_t epochs = 10, batch = 20;
  bool drop_last = false;                    ///< Leave out a last, smaller minibatch.
  std::optional<std::int64_t> shuffle = {};  ///< Seed of a new order each epoch; else the data's.

  /// The same for other data, without updates; may be missing. Its first output is what early
  /// stopping watches.
  Function validate = {};
  std::vector<const Tensor*> validation_data = {};
  std::vector<const Shards*> validation_shards = {};  ///< Instead.
  /// Of all its outputs; "validation " and `names` without.
  std::vector<std::string> validation_names = {};
  std::int64_t validation_batch = 0;  ///< 0: as `batch`.
  /// Steps from one validation to the next. 0: one epoch; with early stopping, as the tutorials
  /// have it, at most half the patience.
  std::int64_t validation_frequency = 0;
  std::optional<EarlyStopping> early_stopping = {};

  Expr rate = {};                   ///< A scalar to show and log at each epoch: the schedule.
  std::vector<Shared> params = {};  ///< Kept as they were at the best validation loss,
  bool restore_best = false;        ///< and set to that in the end.
  std::vector<Shared> also = {};    ///< More variables to save than the functions update.

  /// A row an epoch: a CSV file, or one JSON object a line where it ends in ".jsonl"; "": none.
  std::string log = {};
  std::string tensorboard = {};       ///< Folder for the same as an event file, by steps; "": none.
  std::string checkpoint = {};        ///< File; "": none.
  std::int64_t checkpoint_every = 1;  ///< Epochs. At Ctrl-C and at the end there is one, too.
  Resume resume = Resume::never;
  std::FILE* out = stdout;  ///< For progress and a line an epoch; null: nothing.
  AfterInterrupt after_interrupt = AfterInterrupt::as_shown;

  /// Several processes train together: mpi(), of the component cinch::mpi. Each computes parts of
  /// every minibatch; the first one shows, logs and saves, and callbacks run on all. Null: alone.
  std::shared_ptr<Distribution> distribute = {};
  /// Into how many parts it cuts a minibatch, each of 8 rows or more: at least as many as there are
  /// ranks. Results depend on it, by rounding. 0: 8 from 64 rows on, more from 1024 on.
  std::int64_t parts = 0;

  std::function<void(const StepReport&)> after_step = {};    ///< May not change variables.
  std::function<void(const EpochReport&)> after_epoch = {};  ///< May: a rate, say, if in `also`.
};

struct TrainResult {
  enum class Stopped { at_end, early, interrupted } stopped;
  TrainState state;  ///< With the history of all epochs.
};

/// Trains for `epochs` passes over the data, until patience runs out, or until Ctrl-C (SIGINT, or
/// SIGTERM; a second one ends the program), which is noticed after each step: it then saves, says
/// on `out` where it stopped and how to go on, and does what `after_interrupt` says.
///
/// A checkpoint holds the variables that the functions update (parameters, the optimizer's state,
/// step counters, the states of random draws), `also`, and TrainState. A training that is resumed,
/// from the middle of an epoch too, ends with the same bits as one that was never interrupted. More
/// epochs than before may be asked for; data, batch and shuffling must be as they were, and
/// FileError names what is not. While it runs, no other training writes the same log, event file or
/// checkpoint: the second one throws FileError. Log and events are written anew where a training is
/// resumed, from what the checkpoint knows of its epochs.
///
/// Throws ValueError when an output or a variable becomes NaN or infinite: with the epoch, the
/// minibatch and the line of the user's program that made it. The variables are then as they were
/// before that step, and the checkpoint is the last good one. So it is where a file of shards is
/// missing or changed, or holds a NaN: FileError names the file and the row. Throws TypeError where
/// functions and data do not fit, ValueError for settings that make no sense, FileError. What can
/// be seen before the first step is said then: a step without updates, a checkpoint that cannot be
/// written, targets of a cross-entropy outside [0, 1] in the first minibatch (ValueError). A
/// variable that is left alone beside one that is trained, a bias beside its weights, may be meant:
/// a line on `out` says so.
///
/// With .distribute a minibatch is cut into parts, whose number depends on its size alone, and sums
/// over rows are added along a fixed tree: variables end with the same bits for any number of
/// processes, of which each ends where one does: with an Error that names the one that stopped. A
/// checkpoint goes on with any number of them. Throws TypeError, with the user's line, where a
/// step's rows mix in another way than by sums and means over them; ValueError where there are more
/// processes than parts, or where processes were started together, by mpirun, and nothing here
/// tells them of each other; Error where they differ in program, settings, data or variables.
TrainResult train(const TrainOptions& options);

}  // namespace cinch
