// Inputs for the tests that go through the catalog.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"

namespace cinch::testing {

/// The op's own examples, or for an elementwise op calls of every broadcast pattern and awkward
/// size.
std::vector<Example> examples_of(const Op& op);

/// The variables, values and expression of one example.
struct Sample {
  std::vector<Expr> inputs;
  std::vector<Binding> bindings;
  std::vector<Tensor> values;
  Expr y;
  std::string label;
};

/// Random inputs from `random`; floats from the op's probe interval, as `real`. Sizes are symbolic
/// if asked for.
Sample sample(const Op& op, const Example& example, DType real, std::mt19937& random,
              bool symbolic = false);

/// Random elements of the given type: floats in [low, high), integers in [0, limit), bools.
Tensor random_tensor(DType dtype, const Shape& shape, std::mt19937& random, double low = -2,
                     double high = 2, double limit = 5);

/// Largest |a - b| / (1 + |b|) over elements; infinite where shapes or dtypes differ or only one is
/// NaN.
double distance(const Tensor& a, const Tensor& b);

/// Same dtype, shape and bits.
bool same_bits(const Tensor& a, const Tensor& b);

/// A bound for the rounding of a few operations, or sums of a few thousand, in this dtype.
double rounding(DType dtype);

}  // namespace cinch::testing
