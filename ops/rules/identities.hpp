// Parts of what is made of identities, as Jacobians are, whose seeds are one.
#pragma once

#include <cstdint>
#include <optional>

#include "cinch/core/expr.hpp"

namespace cinch::rules {

/// Whether `e` is a product of an identity and others, or made of such by sums and moves.
bool stems_from_identity(const Expr& e);

/// Whether `e` is a constant whose axes of more than one element are the two of a matrix that is a
/// multiple of the identity.
bool is_identity_constant(const Expr& e);

/// Where an axis of a reshape's operand is in the result: in `axis`, each of whose positions is one
/// of it, or `each` of which are. Nothing where it is cut, or behind another one in the same axis,
/// or where sizes are not known.
struct Regrouped {
  std::int64_t axis, each;
};
std::optional<Regrouped> regrouped_axis(const Expr& reshape, std::int64_t axis);

/// A narrow() of what stems from an identity, taken of its factors: part of dot(a, b) is
/// dot(a, part of b), and rows of an identity are a smaller one beside zeros. Of a concatenation,
/// that of the part in which it lies; of an embed(), what of the embedded it shows. An empty
/// expression where there is nothing to do.
Expr part_of_factors(const Expr& narrow);

}  // namespace cinch::rules
