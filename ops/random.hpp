// Random numbers inside a graph. Their state is a shared variable that every function using them
// advances.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op random_uniform_op, random_normal_op, checked_parameter_op;

/// A source of random expressions. Each draw has a state of its own, {seed, number of the draw,
/// calls so far}: element i of call n depends on nothing else (Threefry-2x64-20, Salmon et al., SC
/// 2011), so results repeat from a seed, for any number of threads, and go on where they stopped
/// when the states are saved and set. Within one function an expression is drawn once, however
/// often it is used; each call draws anew, unless the call throws.
///
/// Copies share the count of draws, so that two layers that hold a copy each draw different
/// numbers.
///
/// Parameters that no distribution has (a bound, sd or p that is NaN or outside its range) throw
/// ValueError: at once where they are numbers; where they are expressions at run time, which costs
/// a pass over them, not over the draws.
class RandomStreams {
 public:
  explicit RandomStreams(std::int64_t seed) : draws_(std::make_shared<Draws>(Draws{seed, {}})) {}

  /// Uniform on [low, high), or all `low` where both are equal. `sizes` are numbers, {100}, or
  /// int64 scalars, as from sizes(x). low <= high, both finite.
  Expr uniform(const Sizes& sizes, const Arg& low = 0.0, const Arg& high = 1.0,
               DType dtype = DType::float32, Source where = Source::here());
  /// mean + sd * standard normal, so gradients reach mean and sd. sd >= 0.
  Expr normal(const Sizes& sizes, const Arg& mean = 0.0, const Arg& sd = 1.0,
              DType dtype = DType::float32, Source where = Source::here());
  /// Successes in n trials of probability p, as numbers of type `dtype`. No gradient. Throws
  /// TypeError unless n >= 1.
  Expr binomial(const Sizes& sizes, std::int64_t n, const Arg& p, DType dtype = DType::float32,
                Source where = Source::here());

  /// location + scale * standard Gumbel, whose distribution function is exp(-exp(-x)), so gradients
  /// reach both. scale >= 0.
  Expr gumbel(const Sizes& sizes, const Arg& location = 0.0, const Arg& scale = 1.0,
              DType dtype = DType::float32, Source where = Source::here());
  /// From the gamma distribution of this shape > 0 and scale >= 0, whose mean is shape * scale.
  /// Gradients of every order reach both: a draw is the quantile of a uniform number, and moves
  /// with the shape as that does (Figurnov et al., 2018). Where the shape is so small that draws
  /// fall below the smallest normal number of `dtype`, they are that, times scale.
  Expr gamma(const Sizes& sizes, const Arg& shape, const Arg& scale = 1.0,
             DType dtype = DType::float32, Source where = Source::here());
  /// Counts of mean `mean` >= 0, as numbers of type `dtype`. No gradient.
  Expr poisson(const Sizes& sizes, const Arg& mean, DType dtype = DType::float32,
               Source where = Source::here());
  /// Indices along p's last axis, int64 of its other sizes: k with the probability p[..., k] / sum
  /// of p[...]. p is at least 0, finite, and not 0 throughout; of logits it is softmax(logits, -1).
  /// No gradient. The largest of log p + Gumbel noise (Maddison et al., "A* Sampling", 2014).
  Expr categorical(const Arg& p, Source where = Source::here());
  /// The numbers 0 to n - 1 in random order along the last axis, n its size: int64, each order as
  /// probable as any other.
  Expr permutation(const Sizes& sizes, Source where = Source::here());
  /// `count` elements of x along its first axis, each as probable as any other, with its gradient.
  /// Without `replace` none is drawn twice: ValueError for more than there are.
  Expr choice(const Arg& x, std::int64_t count, bool replace = true, Source where = Source::here());

  /// The states of all draws so far, in the order they were written: int64 vectors of 3, to save
  /// and restore. Valid until the next draw.
  std::span<const Shared> states() const { return draws().states; }

 private:
  struct Draws {
    std::int64_t seed;
    std::vector<Shared> states;
  };
  Draws& draws() const;
  Expr draw(const Op& op, const Sizes& sizes, DType dtype, Source where);

  std::shared_ptr<Draws> draws_;
};

/// `x`, a float, through which gradients flow. ValueError at run time where an element is NaN,
/// below 0, 0 where it must be positive, or above `most`, 1 or infinity, which itself is too much;
/// `name` says what it is.
Expr checked_parameter(const Arg& x, double most, const std::string& name, bool positive = false);

}  // namespace cinch
