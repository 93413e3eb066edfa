// Formulas of the less common functions: exponentials and logarithms of sums, angles, erf.
#pragma once

#include "cinch/ops/kernels/formula.hpp"

namespace cinch::formula {

/// Towards zero.
struct Trunc : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::trunc(a); }
};
/// sqrt(a^2 + b^2), also where the squares are too large or too small for T.
struct Hypot : RealBinary {
  CINCH_FORMULA T f(T a, T b) { return Math::hypot(a, b); }
};

struct Exp2 : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::exp2(a); }
};
struct Log2 : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::log2(a); }
};
struct Log10 : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::log10(a); }
};
/// log(1 - exp(a)) for a < 0. Each of the two ways loses digits where the other is exact (Maechler,
/// "Accurately computing log(1 - exp(-|a|))", 2012).
struct Log1mexp : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T near_zero = Math::log(-Math::expm1(a));
    const T far = Math::log1p(-Math::exp(a));
    return a > T(-0.6931471805599453) ? near_zero : far;
  }
};
/// log(exp(a) + exp(b)) without overflow; two operands that are the same infinity give it.
struct LogAddExp : RealBinary {
  CINCH_FORMULA T f(T a, T b) {
    const T larger = a > b ? a : (a != a ? a : b);
    const T distance = a == b ? T(0) : Math::abs(a - b);
    return larger + Math::log1p_of_fraction(Math::exp(-distance));
  }
};
/// a log(b), and 0 where a is 0 and b is a number >= 0.
struct Xlogy : RealBinary {
  CINCH_FORMULA T f(T a, T b) {
    const T product = a * Math::log(b);
    return ((a == T(0)) & (b >= T(0))) ? T(0) : product;
  }
};
/// a log(1 + b), and 0 where a is 0 and b is a number >= -1.
struct Xlog1py : RealBinary {
  CINCH_FORMULA T f(T a, T b) {
    const T product = a * Math::log1p(b);
    return ((a == T(0)) & (b >= T(-1))) ? T(0) : product;
  }
};
/// log(cosh(a)) without overflow: by the series of cosh(a) - 1 near 0, where cosh has lost what
/// matters, and by log(exp(|a|) / 2) + log(1 + exp(-2 |a|)) elsewhere.
struct LogCosh : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T size = Math::abs(a), z = a * a;
    T series = T(1.0 / 121645100408832000 / 20);  // 1 / 20!, then 1 / 18! and so on.
    series = series * z + T(1.0 / 6402373705728000);
    series = series * z + T(1.0 / 20922789888000);
    series = series * z + T(1.0 / 87178291200);
    series = series * z + T(1.0 / 479001600);
    series = series * z + T(1.0 / 3628800);
    series = series * z + T(1.0 / 40320);
    series = series * z + T(1.0 / 720);
    series = series * z + T(1.0 / 24);
    series = series * z + T(0.5);
    const bool small = size < T(1);
    const T l = Math::log1p_of_fraction(small ? series * z : Math::exp(T(-2) * size));
    return small ? l : (size - T(0.6931471805599453)) + l;
  }
};

/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to a.
struct Erf : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::erf(a); }
};
/// 1 - erf(a), exact where that is tiny.
struct Erfc : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::erfc(a); }
};

struct Tan : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::tan(a); }
};
struct Sinh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::sinh(a); }
};
struct Cosh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::cosh(a); }
};
struct Arcsin : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::asin(a); }
};
struct Arccos : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::acos(a); }
};
struct Arctan : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::atan(a); }
};
/// Angle of the point (b, a).
struct Arctan2 : RealBinary {
  CINCH_FORMULA T f(T a, T b) { return Math::atan2(a, b); }
};
struct Arcsinh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::asinh(a); }
};
struct Arccosh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::acosh(a); }
};
struct Arctanh : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::atanh(a); }
};

/// 1 / cosh(a), which is the square root of tanh's slope.
struct Sech : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T t = Math::exp(-Math::abs(a));
    return T(2) * t / (T(1) + t * t);
  }
};
/// Sigmoid's slope: the sigmoid's own exponential, small on both sides.
struct SigmoidSlope : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T t = Math::exp(-Math::abs(a));
    const T sum = T(1) + t;
    return t / (sum * sum);
  }
};
/// 1 - a^2 without losing digits near 1.
struct OneMinusSquare : RealUnary {
  CINCH_FORMULA T f(T a) { return (T(1) - a) * (T(1) + a); }
};
/// exp(a b) with the digits of the product that T has no room for: they are the leading ones of
/// what the exponential makes of them.
struct ExpOfProduct : RealBinary {
  CINCH_FORMULA T f(T a, T b) { return Math::exp_of_product(a, b); }
};
/// erfc(-a / sqrt(2)) / 2, where rounding the quotient would cost as many digits.
struct NormalCdf : RealUnary {
  CINCH_FORMULA T f(T a) { return Math::normal_cdf(a); }
};

/// a / (1 + |a|)
struct Softsign : RealUnary {
  CINCH_FORMULA T f(T a) {
    const T ratio = a / (T(1) + Math::abs(a));
    const T limit = a > T(0) ? T(1) : T(-1);
    return Math::abs(a) > T(1e30) ? limit : ratio;
  }
};

}  // namespace cinch::formula
