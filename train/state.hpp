// What a training is besides the values of its variables, and the file that holds both.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/shared.hpp"
#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random_state.hpp"
#include "cinch/train/early_stopping.hpp"

namespace CINCH_PUBLIC cinch {

/// An epoch as the log shows it.
struct EpochReport {
  std::int64_t epoch = 0;        ///< From 0.
  std::int64_t step = 0;         ///< Steps made up to its end, in all epochs.
  std::vector<double> training;  ///< Means of the step's outputs over the epoch's rows.
  std::vector<double>
      validation;      ///< Means of the last validation's outputs; NaN before the first.
  double best = 0;     ///< Smallest validation loss so far; infinity before the first.
  double rate = 0;     ///< Before the epoch's first step; NaN where none was given.
  double seconds = 0;  ///< Of training, the time before a resume included.
};

/// All that decides how a training goes on, besides its variables.
struct TrainState {
  std::int64_t epoch = 0, batch = 0,
               step = 0;  ///< Made so far: epochs, minibatches of this one, steps.
  bool stopped_early = false;
  std::vector<double> sums;  ///< Of the outputs, times rows, in this epoch.
  double weight = 0;         ///< Rows in these sums.
  double rate = 0, seconds = 0;
  RandomState::State random;  ///< Of shuffling, before this epoch's order was drawn.
  Patience patience;
  std::vector<double> validation;
  std::vector<EpochReport> history;
  std::vector<Tensor> best;  ///< The parameters at the best validation loss; empty before it.
};

/// Variables with names that differ: their labels; "label#k", k their place, where that is needed.
using NamedVariables = std::vector<std::pair<std::string, Shared>>;
NamedVariables named(const std::vector<Shared>& variables);

/// What must be the same for a training to go on: "rows", "batch", "outputs", "validation_outputs"
/// at least, each with its number.
using TrainSetup = std::vector<std::pair<std::string, std::int64_t>>;

/// Writes one .npz file, replaced as a whole: at any moment, also where the program is killed, the
/// path holds the file before or the new one. `state.best` belongs to `params`. Throws FileError.
void write_state(const std::string& path, const TrainSetup& setup, const TrainState& state,
                 const NamedVariables& variables, const NamedVariables& params);

/// Reads it and sets the variables. Throws FileError where the file is damaged, is no checkpoint,
/// or is one of another model or setup, and then says how they differ: names, dtypes, shapes. In
/// that case no variable has changed.
TrainState read_state(const std::string& path, const TrainSetup& setup,
                      const NamedVariables& variables, const NamedVariables& params);

}  // namespace cinch
