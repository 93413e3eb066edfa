// Random numbers inside a graph. Their state is a shared variable that every function using them
// advances.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/expr.hpp"
#include "core/op.hpp"
#include "core/shared.hpp"

namespace cinch {

extern const Op random_uniform_op, random_normal_op;

/// A source of random expressions. Each draw has a state of its own, {seed, number of the draw,
/// calls so far}: element i of call n depends on nothing else (Threefry-2x64-20, Salmon et al., SC
/// 2011), so results repeat from a seed, for any number of threads, and go on where they stopped
/// when the states are saved and set. Within one function an expression is drawn once, however
/// often it is used; each call draws anew, unless the call throws.
class RandomStreams {
 public:
  explicit RandomStreams(std::int64_t seed) : seed_(seed) {}

  /// Uniform on [low, high). `sizes` are int64 scalars, as from sizes(x).
  Expr uniform(const std::vector<Expr>& sizes, const Arg& low = 0.0, const Arg& high = 1.0,
               DType dtype = DType::float32, Source where = Source::here());
  /// mean + sd * standard normal, so gradients reach mean and sd.
  Expr normal(const std::vector<Expr>& sizes, const Arg& mean = 0.0, const Arg& sd = 1.0,
              DType dtype = DType::float32, Source where = Source::here());
  /// Successes in n trials of probability p, as numbers of type `dtype`. No gradient.
  Expr binomial(const std::vector<Expr>& sizes, std::int64_t n, const Arg& p,
                DType dtype = DType::float32, Source where = Source::here());
  // The same with numbers for sizes.
  Expr uniform(const Shape& sizes, const Arg& low = 0.0, const Arg& high = 1.0,
               DType dtype = DType::float32, Source where = Source::here());
  Expr normal(const Shape& sizes, const Arg& mean = 0.0, const Arg& sd = 1.0,
              DType dtype = DType::float32, Source where = Source::here());
  Expr binomial(const Shape& sizes, std::int64_t n, const Arg& p, DType dtype = DType::float32,
                Source where = Source::here());

  /// The states of all draws so far, in the order they were written: int64 vectors of 3, to save
  /// and restore.
  std::span<const Shared> states() const { return states_; }

 private:
  Expr draw(const Op& op, const std::vector<Expr>& sizes, DType dtype, Source where);

  std::int64_t seed_;
  std::vector<Shared> states_;
};

}  // namespace cinch
