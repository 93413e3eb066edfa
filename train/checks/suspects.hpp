// What a training should be told before it begins.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::checks {

/// Throws ValueError unless the step has updates besides those of random draws.
void require_updates(const Function& step);

/// Throws ValueError where the validation updates one of these variables, or one that the step
/// does.
void require_no_training(const Function& validate, const Function& step,
                         std::span<const Shared> params);

/// Throws ValueError where, for these arguments, the target of a binary cross-entropy in the loss
/// lies outside [0, 1], as pixels from 0 to 255 do: such a loss falls without end.
void require_probabilities(const Function& step, std::span<const Tensor* const> arguments);

/// A stored variable that nothing changes beside one that the step trains: a bias added to a
/// product by trained weights, or the weights below a trained bias, that the loss has a gradient
/// by. Whole layers that are left alone, data and buffers are none.
struct LeftOut {
  Expr variable, beside;
};
std::vector<LeftOut> left_out(const Function& step);
/// "no update changes b (at ...), ...": one line each.
std::string text_of(const LeftOut& one);

}  // namespace cinch::checks
