// Ten kinds of training steps, for the tests of written files.
#pragma once

#include <string>
#include <vector>

#include "cinch/cinch.hpp"

namespace cinch::testing {

struct TrainingStep {
  std::string name;
  std::vector<Expr> inputs;  ///< Without a size where the batch is.
  std::vector<Tensor> values;
  Expr cost;
  Updates updates;

  FunctionSpec spec() const {
    return {.inputs = inputs, .outputs = {cost}, .updates = updates, .name = name};
  }
  std::vector<Shape> sizes() const;
};

/// Small ones in float64, with parameters of their own.
std::vector<TrainingStep> training_steps();

/// The draws that the next call of a function with these draws will make; streams stay where they
/// are.
Tensor next_draw(const Expr& draw);

}  // namespace cinch::testing
