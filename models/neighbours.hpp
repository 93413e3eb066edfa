// What of the examples' neighbourhoods a code keeps. x is (batch, n), the code h (batch, m).
#pragma once

#include <cstdint>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// |x_i - x_j|^2 of each two examples: (batch, n) -> (batch, batch), exactly 0 on the diagonal.
Expr squared_distances(const Arg& x);

/// The k examples of the batch that are nearest to each, itself left out, the nearest first:
/// (batch, n) -> (batch, k), int64, no gradient. Throws ValueError for k < 1; where there are not
/// so many others, an error at run time.
Expr nearest_examples(const Arg& x, std::int64_t k);

/// How far the distances that hold the data together are from those of the code, and the other way
/// round: half the sum over edges of the minimum spanning tree of x of (d_x - d_h)^2, and the same
/// for that of h, one number: () for distances d. These edges are where connected components of a
/// growing neighbourhood merge, its persistent homology of dimension 0. Moor, Horn, Rieck,
/// Borgwardt, "Topological Autoencoders", ICML 2020. Edges are constant to derivatives.
Expr topological_error(const Arg& x, const Arg& h);

/// The sum over neighbours j, (batch, k), of |x_j - z_i - J_i d - d'H_i d / 2|^2 for d = h_j -
/// h_i, J = dz/dh and, where `order` is 2, its derivative H: (batch). The decoder's expansion at an
/// example is to reconstruct those around it. Lee, Kwon, Park, "Neighborhood Reconstructing
/// Autoencoders", NeurIPS 2021. Throws ValueError unless `order` is 1 or 2.
Expr neighbourhood_error(const Arg& x, const Arg& z, const Expr& h, const Arg& neighbours,
                         int order = 1);

}  // namespace cinch
