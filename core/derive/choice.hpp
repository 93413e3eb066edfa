// Gradients of what stands in a choice.
//
// The gradient of where(c, f(x), b) is where(c, gy, 0) f'(x), and where f'(x) is not finite,
// outside f's domain, 0 times that is NaN although f was not asked. Inside the choice, as where(c,
// gy f'(x), 0), it is 0. So a gradient that is a choice between something and 0 is taken apart, the
// op's gradient is computed of the something, and the choice is put around the results, where the
// next op finds it again.
#pragma once

#include "cinch/core/op.hpp"

namespace cinch::deriving {

/// Whether `e` is 0 throughout, as the gradient by what a formula does not depend on.
bool is_zeros(const Expr& e);

/// What the op's rule gives for `gy`, inside the choice that gy is made by, if it is.
Grads gradients_inside_choice(const Expr& node, const Expr& gy);

/// a + b, which is a choice again where both are.
Expr sum_of_choices(const Expr& a, const Expr& b);

}  // namespace cinch::deriving
