// The derivative of a function of one number, from its values, and how far it can be trusted.
#pragma once

#include <functional>

namespace cinch::checking {

/// A derivative measured by finite differences.
struct Slope {
  double value = 0;
  double error = 0;   ///< Bound on the distance from the derivative: truncation and rounding.
  double size = 0;    ///< Largest |f| that was met at a step that could be used.
  bool flat = false;  ///< f did not move at all, or by no more than its rounding.
  double still = 0;   ///< The largest step at which it did not move by a bit.
  double jump = 0;    ///< What it jumped by at larger ones.
};

/// f'(0) from central differences of eighth order. At each step tried, the truncation is judged by
/// the difference to sixth order, and the rounding of f by the seventh and eighth differences of
/// the same nine values, which hold next to nothing else. Steps grow and shrink by factors of eight
/// until the sum of both is at most `wanted`, else the best is taken: no scale of f or of its
/// argument is assumed. Steps at which f is not finite, or not smooth, are passed over; `error` is
/// infinite if there is no other, as where f has a kink at 0.
/// After each step `enough` is asked, if it is there, whether to leave it at that.
Slope slope_at_zero(const std::function<double(double)>& f, double wanted = 0,
                    const std::function<bool()>& enough = {});

}  // namespace cinch::checking
