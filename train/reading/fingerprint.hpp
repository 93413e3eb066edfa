// Which data a training is on.
#pragma once

#include <cstdint>
#include <span>

#include "cinch/core/tensor.hpp"

namespace cinch::training {

/// A number that other data have another of. Order, shapes and every bit count.
std::int64_t fingerprint(std::span<const Tensor* const> data);

}  // namespace cinch::training
