// Codes with few units that are not 0. Each is a function of a code, put between a model's encode
// and decode; the gradient goes through what is kept.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Which elements are among the `count` largest along `axis`; of equal ones the first. bool, in
/// x's shape. Throws TypeError unless 1 <= count <= the axis' size; where that is not known, an
/// error at run time. No gradient.
Expr largest(const Arg& x, std::int64_t count, std::int64_t axis = -1);

/// The k largest units of each example; the others become 0: (batch, units). Makhzani and Frey,
/// "k-Sparse Autoencoders", ICLR 2014, who encode linearly. Throws TypeError unless 1 <= k <=
/// units.
Expr k_sparse(const Arg& h, std::int64_t k);

/// Of each unit the largest values among the examples, a share `rate` of them, rounded, and at
/// least one ("lifetime sparsity"); the others become 0: (batch, units). Makhzani and Frey,
/// "Winner-Take-All Autoencoders", NIPS 2015. For training: the paper's codes of new examples are h
/// itself. Throws ValueError unless 0 < rate <= 1.
Expr winner_take_all(const Arg& h, double rate);

/// The largest element of each map ("spatial sparsity", in the same paper), the first of equal
/// ones; the others become 0: (batch, channels, height, width). With a `rate` below 1 also of each
/// channel the largest of these among the examples only, as in winner_take_all.
Expr spatial_winners(const Arg& maps, double rate = 1);

}  // namespace cinch
