// Which data a training is on.
#pragma once

#include <cstdint>
#include <span>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A number by which checkpoints, and records of runs, know their data: other data have another.
/// Not negative. Order, dtypes, shapes and every bit count.
std::int64_t fingerprint(std::span<const Tensor* const> data);

}  // namespace cinch
