// Derivatives pulled back through elementwise functions as products, whatever the function.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::deriving {

/// `pulled`, which is linear in `seed`, with each elementwise part of it that is more than a
/// product, as where(x > 0, g, 0) or g / (1 + |x|)^2, written as g times what does not depend on
/// the seed. The factor is one number an element, where g has a row for each seed once there are
/// many; and products are what contractions are found in. Choices stay inside the factor, and cut
/// off what is not finite there as before.
Expr factored(const Expr& pulled, const Expr& seed);

/// The factors of a product, with their powers written out, as far as they are elementwise. Of more
/// than `most` not all.
std::vector<Expr> factors_of(const Expr& product,
                             std::size_t most = std::numeric_limits<std::size_t>::max());

}  // namespace cinch::deriving
