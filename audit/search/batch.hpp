// How terms change with the number of examples.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/check/probe.hpp"

namespace cinch::searching {

/// The inputs of a probe whose first axis counts examples.
struct Batch {
  std::int64_t examples = 0;  ///< 0: there are none.
  std::vector<std::size_t> inputs;
};

/// The inputs that stand for `chosen`; for an empty list the variables whose first size is not
/// fixed, of the most common such size. Throws TypeError where chosen ones are no inputs or have
/// different sizes.
Batch find_batch(const checking::Probe& at, std::span<const Expr> chosen);

struct Growth {
  std::vector<std::optional<double>> exponents;  ///< One for each term.
  /// Of each term: it is not the sum or the mean of what examples give apart, as with a mean
  /// activity that is squared, or a softmax over the examples.
  std::vector<bool> mixes;
  std::string error;  ///< Why another number of examples cannot be computed; empty if it can.
};
/// With each example taken twice, and with either half of them: e where a term is proportional to
/// n^e in both. Nothing where a term is 0, changes sign, or where the two disagree. An example
/// takes the random numbers that it draws along, so that there is no noise in this.
Growth growth(std::span<const Expr> terms, const checking::Probe& at, const Batch& batch);

/// The inputs of the probe with the examples [from, to) in place of all.
std::vector<Tensor> with_examples(const checking::Probe& at, const Batch& batch, std::int64_t from,
                                  std::int64_t to);

}  // namespace cinch::searching
