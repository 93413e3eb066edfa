#include "cinch/optim/optimizer/line_search.hpp"

#include <algorithm>
#include <cmath>

namespace cinch::optimizer {

namespace {

/// Where the cubic through both points, with their slopes, is least; NaN where it is nowhere.
double cubic_minimum(const LinePoint& a, const LinePoint& b) {
  const double width = b.step - a.step;
  const double d1 = a.slope + b.slope - 3 * (b.value - a.value) / width;
  const double d2 = std::copysign(std::sqrt(d1 * d1 - a.slope * b.slope), width);
  return b.step - width * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
}

class Search {
 public:
  Search(const std::function<LinePoint(double)>& along, double value0, double slope0,
         const WolfeOptions& options)
      : along_(along), start_{0, value0, slope0}, options_(options) {}

  std::optional<LinePoint> run(double step) {
    LinePoint before = start_;
    while (evaluations_ < options_.evaluations) {
      const LinePoint now = at(step);
      if (good(now)) return now;
      if (!lower(now) || rises(before, now)) return zoom(before, now);
      if (now.slope >= 0) return zoom(now, before);
      const double guess = cubic_minimum(before, now);
      before = now;
      step = std::isfinite(guess) ? std::clamp(guess, 1.1 * now.step, 10 * now.step) : 2 * now.step;
    }
    return settled(before);
  }

 private:
  LinePoint at(double step) {
    ++evaluations_;
    return last_ = along_(step);
  }
  static bool finite(const LinePoint& p) {
    return std::isfinite(p.value) && std::isfinite(p.slope);
  }
  bool lower(const LinePoint& p) const {
    return finite(p) &&
           p.value <= start_.value + options_.decrease * p.step * start_.slope + noise(start_, p);
  }
  double noise(const LinePoint& a, const LinePoint& b) const {
    return options_.rounding * std::max(std::abs(a.value), std::abs(b.value));
  }
  bool good(const LinePoint& p) const {
    return lower(p) && std::abs(p.slope) <= -options_.curvature * start_.slope;
  }
  /// Whether the values at `to`, or the slope where they cannot be told apart, put a minimum
  /// between it and `from`.
  bool rises(const LinePoint& from, const LinePoint& to) const {
    const double change = to.value - from.value;
    return std::abs(change) > noise(from, to) ? change > 0 : to.slope * (to.step - from.step) >= 0;
  }

  /// Between `low`, which has enough decrease and slopes down towards `high`, and `high`.
  std::optional<LinePoint> zoom(LinePoint low, LinePoint high) {
    double widest = INFINITY;  // Two trials later the width is to be two thirds of it at most.
    for (int trial = 0; evaluations_ < options_.evaluations; ++trial) {
      const double width = high.step - low.step;
      bool halve = !finite(high);
      if (trial % 2 == 0) {
        halve = halve || std::abs(width) > 0.66 * widest;
        widest = std::abs(width);
      }
      if (std::abs(width) <= 1e-15 * std::max(std::abs(low.step), std::abs(high.step))) break;
      double step = halve ? NAN : cubic_minimum(low, high);
      const double nearest = low.step + 0.1 * width, farthest = high.step - 0.1 * width;
      step = std::isfinite(step)
                 ? std::clamp(step, std::min(nearest, farthest), std::max(nearest, farthest))
                 : low.step + 0.5 * width;
      const LinePoint now = at(step);
      if (good(now)) return now;
      if (!lower(now) || rises(low, now)) {
        high = now;
      } else {
        if (now.slope * width >= 0) high = low;
        low = now;
      }
    }
    return settled(low);
  }

  std::optional<LinePoint> settled(const LinePoint& low) {
    if (!(low.step > 0) || !(low.value < start_.value)) return std::nullopt;
    return last_.step == low.step ? low : at(low.step);
  }

  const std::function<LinePoint(double)>& along_;
  LinePoint start_, last_{};
  WolfeOptions options_;
  std::int64_t evaluations_ = 0;
};

}  // namespace

std::optional<LinePoint> line_search(const std::function<LinePoint(double step)>& along,
                                     double value0, double slope0, double first,
                                     const WolfeOptions& options) {
  return Search(along, value0, slope0, options).run(first);
}

}  // namespace cinch::optimizer
