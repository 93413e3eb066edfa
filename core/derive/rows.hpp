// All vector-Jacobian products of an expression at once.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "cinch/core/graph.hpp"

namespace cinch::deriving {

/// `pulled`, which is linear in `seed` of y's type, for each output of y along its axes from
/// `first_axis` on: these axes, then those of `pulled`.
Expr rows(const Expr& pulled, const Expr& seed, const Expr& y, std::int64_t first_axis);

/// `roots` for many values of some variables together: of each pair {variable, values} the values
/// have one more axis in front, all of one length, and so have the results. Empty where a root
/// depends on none of them. Throws GradError for an op that cannot take one more axis.
std::vector<Expr> over_many(std::span<const Expr> roots, const Substitutions& many);

/// `x` so many times, an int64 scalar, along a new first axis.
Expr repeated(const Expr& x, const Expr& count);

/// The first of the many, for its shape.
Expr one_of(const Expr& many);
/// Throws GradError, in the name of `function`, where `pulled`, a vector-Jacobian product of y, is
/// no linear function of the vector `seed`, as a gradient that the user gives need not be.
void require_linear(std::string_view function, const Expr& pulled, const Expr& seed, const Expr& y);

/// Whether the value of `y` is made of that of `x`.
bool depends_on(const Expr& y, const Expr& x);

/// vectorize() of `y` as an expression in several variables at once: each first of a pair becomes
/// the second, which has one more axis in front, all equally long.
Expr vectorized(const Expr& y, const Substitutions& by);

}  // namespace cinch::deriving
