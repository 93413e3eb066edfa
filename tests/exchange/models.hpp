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
  Substitutions givens = {};

  FunctionSpec spec() const {
    return {
        .inputs = inputs, .outputs = {cost}, .updates = updates, .givens = givens, .name = name};
  }
  std::vector<Shape> sizes() const;
};

/// Small ones, with parameters of their own.
std::vector<TrainingStep> training_steps();

/// What the next call of a function will draw here, its first `rows`; the stream stays where it is.
Tensor next_draw(const Expr& draw, std::int64_t rows);

}  // namespace cinch::testing
