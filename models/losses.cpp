#include "cinch/models/losses.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch {

namespace {

/// The sum over all axes but the first of `each`, which `function` made of x and z.
Expr sum_of_each(const char* function, const Expr& each, std::initializer_list<Arg> operands) {
  if (each.rank() < 2) {
    refuse(function,
           "a number for each example needs a first axis of examples and others to sum over",
           *operands.begin(), {operands.begin() + 1, operands.end()});
  }
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 1; axis < each.rank(); ++axis) axes.push_back(axis);
  return sum(each, axes);
}

}  // namespace

Expr cross_entropy(const Arg& target, const Arg& z) {
  const Attribution as(target.where());
  const Expr x = records::beside("cross_entropy", target, z);
  return -sum_of_each("cross_entropy", x * log(z) + (1 - x) * log(1 - z), {target, z});
}

Expr squared_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return sum_of_each("squared_error", square(records::beside("squared_error", x, z) - z), {x, z});
}

Expr absolute_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return sum_of_each("absolute_error", abs(records::beside("absolute_error", x, z) - z), {x, z});
}

Expr example_sum(const Arg& x) {
  const Attribution as(x.where());
  return sum_of_each("example_sum", x, {x});
}

void require_fit(const Loss& loss, const Activation& output, Source where) {
  const Activation unbounded[] = {linear, tanh, relu, softplus};
  if (loss != cross_entropy || !std::ranges::count(unbounded, output)) return;
  refuse("cross_entropy",
         "needs reconstructions in (0, 1), which this output does not give\n"
         "  Make it sigmoid, or take squared_error.",
         where);
}

}  // namespace cinch
