#include "models/losses.hpp"

#include <algorithm>

#include "ops/activation.hpp"
#include "ops/arithmetic.hpp"
#include "ops/reduce.hpp"

namespace cinch {

Expr cross_entropy(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return -example_sum(x * log(z) + (1 - x) * log(1 - z));
}

Expr squared_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return example_sum(square(x - z));
}

Expr absolute_error(const Arg& x, const Arg& z) {
  const Attribution as(x.where());
  return example_sum(abs(x - z));
}

Expr example_sum(const Arg& x) {
  const Attribution as(x.where());
  if (x->rank() < 2) {
    throw TypeError(
        text("a number for each example needs a first axis of examples and others to "
             "sum over:\n  ",
             text(x->type()), "  ", describe(x), "\n  written at ", x.where().text()));
  }
  std::vector<std::int64_t> axes;
  for (std::int64_t axis = 1; axis < x->rank(); ++axis) axes.push_back(axis);
  return sum(x, axes);
}

void require_fit(const Loss& loss, const Activation& output, Source where) {
  const Activation unbounded[] = {linear, tanh, relu, softplus};
  if (loss != cross_entropy || !std::ranges::count(unbounded, output)) return;
  throw TypeError(
      text("cross_entropy needs reconstructions in (0, 1), which this output does not "
           "give: make it sigmoid, or take squared_error\n  written at ",
           where.text()));
}

}  // namespace cinch
