// Angles and lengths, and the hyperbolic functions. Elementwise, in radians. (sin and cos:
// ops/activation.hpp, with tanh)
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op tan_op, arcsin_op, arccos_op, arctan_op, arctan2_op, sinh_op, cosh_op, arcsinh_op,
    arccosh_op, arctanh_op, hypot_op;

Expr tan(const Arg& x);
Expr arcsin(const Arg& x);  ///< In [-pi/2, pi/2]; NaN unless |x| <= 1.
Expr arccos(const Arg& x);  ///< In [0, pi]; NaN unless |x| <= 1.
Expr arctan(const Arg& x);  ///< In [-pi/2, pi/2].
/// Angle of the point (x, y), in [-pi, pi]. No gradient (NaN) at (0, 0).
Expr arctan2(const Arg& y, const Arg& x);
/// sqrt(x^2 + y^2), also where the squares overflow. Gradient 0 at (0, 0).
Expr hypot(const Arg& x, const Arg& y);

Expr sinh(const Arg& x);
Expr cosh(const Arg& x);
Expr arcsinh(const Arg& x);
Expr arccosh(const Arg& x);  ///< NaN below 1.
Expr arctanh(const Arg& x);  ///< NaN unless |x| <= 1.

}  // namespace cinch
