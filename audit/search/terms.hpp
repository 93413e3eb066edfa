// The terms of a sum.
#pragma once

#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"

namespace cinch::searching {

/// One term: the cost is the sum of the `whole` of all.
struct Term {
  Expr head;   ///< What the user wrote, without constant factors and outer means.
  Expr whole;  ///< A scalar.
};

/// Splits `cost`. A factor or divisor is looked through where it is a scalar and not in `depends`,
/// the nodes that depend on parameters. Sums of vectors are terms where they were written on
/// another line than the sum; sums of matrices never are. Nothing below a node in `named` is split.
std::vector<Term> split(const Expr& cost, const NodeSet& depends, const NodeSet& named);

/// Over how many values besides `examples` a term is a mean: 784 for the mean of an (examples, 784)
/// matrix, 1 for the mean over examples of sums. `value` computes scalars.
std::int64_t mean_over(const Expr& whole, const NodeSet& depends, std::int64_t examples,
                       const std::function<double(const Expr&)>& value);

/// The sizes of axes that a term is a sum over, outside of all that is not linear, and of which it
/// is no mean.
std::vector<double> summed_over(const Expr& whole, const NodeSet& depends,
                                const std::function<double(const Expr&)>& value);

}  // namespace cinch::searching
