// What train() is asked to do: whether it makes sense, and what follows from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/shared.hpp"
#include "cinch/core/tensor.hpp"
#include "cinch/train/train.hpp"

namespace cinch::checks {

/// Throws TypeError where functions and data do not fit, ValueError for settings that make no
/// sense, FileError where a checkpoint cannot be written.
void require_settings(const TrainOptions& o);

/// "loss", "output 1", ... where the user gave no names.
std::vector<std::string> output_names(const TrainOptions& o);

/// Variables that the functions change, and more, each once.
std::vector<Shared> all_variables(const TrainOptions& o);

}  // namespace cinch::checks
