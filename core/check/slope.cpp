#include "cinch/core/check/slope.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace cinch::checking {

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();

/// The k-th difference of the k + 1 values from `f` on, over its factor for independent errors.
double scaled_difference(const double* f, int k) {
  double sum = 0, binomial = 1, squares = 0;
  for (int j = 0; j <= k; ++j) {
    sum += (j % 2 ? -binomial : binomial) * f[j];
    squares += binomial * binomial;
    binomial = binomial * (k - j) / (j + 1);
  }
  return sum / std::sqrt(squares);
}

/// Tries one step after the other and keeps the best.
class Search {
 public:
  explicit Search(const std::function<double(double)>& f) : f_(f), at_zero_(f(0)) {}

  void attempt(double h) {
    std::array<double, 9> v{};
    double size = 0, low = at_zero_, high = at_zero_;
    for (int j = -4; j <= 4; ++j) {
      double& value = v[static_cast<std::size_t>(j + 4)];
      value = j == 0 ? at_zero_ : f_(j * h);
      if (!std::isfinite(value)) return;
      size = std::max(size, std::abs(value));
      low = std::min(low, value);
      high = std::max(high, value);
    }
    const auto odd = [&](std::size_t j) { return v[4 + j] - v[4 - j]; };
    const double sixth = (0.75 * odd(1) - 0.15 * odd(2) + odd(3) / 60) / h;
    const double eighth = (0.8 * odd(1) - 0.2 * odd(2) + odd(3) * (4.0 / 105) - odd(4) / 280) / h;
    double noise = std::max({std::abs(scaled_difference(v.data(), 8)),
                             std::abs(scaled_difference(v.data(), 7)),
                             std::abs(scaled_difference(v.data() + 1, 7))});
    const double rounding = std::numeric_limits<double>::epsilon() * size + smallest_noise;
    const bool flat = high - low <= 8 * rounding;
    if (high == low) still_ = std::max(still_, h);
    if (!flat && noise > 1e-3 * (high - low)) {
      // No rounding of a smooth function: the step is too large to see how f runs, or f jumps, or
      // its rounding is coarse.
      rough_ = rough_ > 0 ? std::min(rough_, noise) : noise;
      candidate_.error = infinite;
      return;
    }
    const double truncation = 2 * std::abs(eighth - sixth);
    // Where rounding rules, it is no smaller at other steps, whatever these happen to show: f may
    // be a small difference of large numbers.
    if (amplification * noise / h > truncation && noise > 0) {
      floor_ = floor_ > 0 ? std::min(floor_, noise) : noise;
    }
    // Where f does not move at all, it may be constant between two jumps, or just between two of
    // the few values that it takes.
    noise = std::max({noise, floor_, rounding, flat ? rough_ : 0});
    const Slope slope{eighth, truncation + amplification * noise / h, size, flat};
    if (rough_ > 0 && !flat) {
      // A staircase may look straight at one step: the next smaller one has to confirm it.
      const double apart = std::abs(candidate_.value - slope.value);
      if (apart <= candidate_.error + slope.error) keep(candidate_);
      candidate_ = slope;
    } else {
      keep(slope);
      candidate_.error = infinite;
    }
  }

  Slope best() const {
    Slope result = best_;
    result.still = still_;
    result.jump = rough_;
    return result;
  }

 private:
  void keep(const Slope& slope) {
    if (slope.error < best_.error) best_ = slope;
  }

  /// Independent errors of the values are 1.2 times as large in the quotient: three standard
  /// deviations of that.
  static constexpr double amplification = 3.6;
  /// What is left of numbers near the end of their range.
  static constexpr double smallest_noise = 1e-300;

  const std::function<double(double)>& f_;
  double at_zero_;
  double floor_ = 0, rough_ = 0, still_ = 0;
  Slope best_{0, infinite, 0, false}, candidate_ = best_;
};

}  // namespace

Slope slope_at_zero(const std::function<double(double)>& f, double wanted,
                    const std::function<bool()>& enough) {
  Search search(f);
  constexpr int first = -6, smallest = -51, largest = 3, factor = 3;  // Exponents of 2.
  search.attempt(std::ldexp(1.0, first));
  const double size = search.best().size;
  const auto goes_on = [&] { return search.best().error > wanted && !(enough && enough()); };
  for (int k = first + factor; k <= largest && goes_on(); k += factor) {
    search.attempt(std::ldexp(1.0, k));
  }
  for (int k = first - factor; k >= smallest && goes_on(); k -= factor) {
    search.attempt(std::ldexp(1.0, k));
  }
  Slope result = search.best();
  result.size = std::max(result.size, size);
  return result;
}

}  // namespace cinch::checking
