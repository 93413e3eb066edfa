#include "cinch/ops/random_state.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

// A fused multiply-add rounds once where NumPy rounds twice, so the compiler must not form any.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace cinch {

namespace {

constexpr std::size_t words = RandomState::State::word_count;
constexpr std::size_t middle = 397;  // MT19937's m: the second word that a new word mixes in.
constexpr std::uint32_t upper_bit = 0x80000000;

std::uint32_t twist(std::uint32_t upper, std::uint32_t lower, std::uint32_t far) {
  const std::uint32_t y = (upper & upper_bit) | (lower & ~upper_bit);
  return far ^ (y >> 1) ^ ((y & 1) * 0x9908b0df);
}

/// All entries drawn one after the other by `draw()`, a double.
template <class Draw>
Tensor floats(const char* function, Shape shape, DType dtype, const Draw& draw) {
  if (!is_float(dtype)) {
    throw TypeError(text(function, ": dtype must be float32 or float64, got ", name(dtype)));
  }
  Tensor result(dtype, std::move(shape));
  dispatch_float(dtype, [&]<class T> {
    for (T& value : result.data<T>()) value = static_cast<T>(draw());
  });
  return result;
}

/// Throws where numbers as large as `largest` are infinite in this type.
void require_range(const char* function, double largest, DType dtype) {
  const bool fits =
      dtype == DType::float32 ? std::isfinite(static_cast<float>(largest)) : std::isfinite(largest);
  if (!fits) throw ValueError(text(function, ": numbers may be too large for ", name(dtype)));
}

/// The same as floats() for a `draw()` that gives std::int64_t.
template <class Draw>
Tensor integers(Shape shape, const Draw& draw) {
  Tensor result(DType::int64, std::move(shape));
  for (std::int64_t& value : result.data<std::int64_t>()) value = draw();
  return result;
}

/// Binomial(n, p) by inversion: walks up the distribution function from 0 until it passes u.
/// Expects p <= 0.5 and np <= 30.
class Inversion {
 public:
  Inversion(std::int64_t n, double p)
      : n_(n),
        p_(p),
        q_(1 - p),
        none_(std::exp(static_cast<double>(n) * std::log(q_))),
        bound_(bound(static_cast<double>(n), p, q_)) {}

  template <class Uniform>
  std::int64_t operator()(const Uniform& uniform) const {
    for (;;) {
      double u = uniform();
      double probability = none_;
      for (std::int64_t x = 0; x <= bound_; ++x) {
        if (u <= probability) return x;
        u -= probability;
        probability =
            static_cast<double>(n_ - x) * p_ * probability / (static_cast<double>(x + 1) * q_);
      }
    }  // Rounding has left u beyond all the probabilities: start again.
  }

 private:
  static std::int64_t bound(double n, double p, double q) {
    const double mean = n * p;
    return static_cast<std::int64_t>(std::min(n, mean + 10 * std::sqrt(mean * q + 1)));
  }

  std::int64_t n_;
  double p_, q_;
  double none_;  // The probability of 0.
  std::int64_t bound_;
};

/// Binomial(n, p) by rejection from a triangle, two parallelograms and two exponential tails.
/// Kachitvichyanukul and Schmeiser, "Binomial random variate generation", CACM 31 (1988): names and
/// step numbers are theirs. Expects p <= 0.5 and np > 30.
class Btpe {
 public:
  Btpe(std::int64_t n, double p)  // Step 0
      : n_(n), count_(static_cast<double>(n)), r_(p), q_(1 - p), variance_(count_ * r_ * q_) {
    const double fm = count_ * r_ + r_;
    m_ = static_cast<std::int64_t>(std::floor(fm));
    p1_ = std::floor(2.195 * std::sqrt(variance_) - 4.6 * q_) + 0.5;
    xm_ = static_cast<double>(m_) + 0.5;
    xl_ = xm_ - p1_;
    xr_ = xm_ + p1_;
    c_ = 0.134 + 20.5 / (15.3 + static_cast<double>(m_));
    lambda_l_ = tail_rate((fm - xl_) / (fm - xl_ * r_));
    lambda_r_ = tail_rate((xr_ - fm) / (xr_ * q_));
    p2_ = p1_ * (1 + 2 * c_);
    p3_ = p2_ + c_ / lambda_l_;
    p4_ = p3_ + c_ / lambda_r_;
  }

  template <class Uniform>
  std::int64_t operator()(const Uniform& uniform) const {
    for (;;) {
      const double u = uniform() * p4_;
      double v = uniform();
      double y = 0;
      if (u <= p1_) {  // Step 1, the triangle: below the distribution, accepted as it is.
        return static_cast<std::int64_t>(std::floor(xm_ - p1_ * v + u));
      } else if (u <= p2_) {  // Step 2, the parallelograms
        const double x = xl_ + (u - p1_) / c_;
        v = v * c_ + 1 - std::abs(static_cast<double>(m_) - x + 0.5) / p1_;
        if (v > 1) continue;
        y = std::floor(x);
      } else if (u <= p3_) {  // Step 3, the left tail
        y = std::floor(xl_ + std::log(v) / lambda_l_);
        if (v == 0 || y < 0) continue;
        v = v * (u - p2_) * lambda_l_;
      } else {  // Step 4, the right tail
        y = std::floor(xr_ - std::log(v) / lambda_r_);
        if (v == 0 || y > count_) continue;
        v = v * (u - p3_) * lambda_r_;
      }
      const auto successes = static_cast<std::int64_t>(y);
      if (accepts(successes, v)) return successes;
    }
  }

 private:
  static double tail_rate(double a) { return a * (1 + a / 2); }

  /// Step 5: whether `v` is at most f(y) / f(m), f being the binomial probabilities and m their
  /// mode.
  bool accepts(std::int64_t y, double v) const {
    const auto k = static_cast<double>(std::abs(y - m_));
    if (k <= 20 || k >= variance_ / 2 - 1) return v <= ratio(y);  // Step 5.1
    // Step 5.2: bounds on the logarithm of the ratio
    const double rho =
        (k / variance_) * ((k * (k / 3 + 0.625) + 0.16666666666666666) / variance_ + 0.5);
    const double t = -k * k / (2 * variance_);
    const double log_v = std::log(v);
    if (log_v < t - rho) return true;
    if (log_v > t + rho) return false;
    return log_v <= log_ratio(y);  // Step 5.3
  }

  /// f(y) / f(m), factor by factor.
  double ratio(std::int64_t y) const {
    const double s = r_ / q_;
    const double a = s * static_cast<double>(static_cast<std::uint64_t>(n_) + 1);
    double f = 1;
    for (std::int64_t i = m_ + 1; i <= y; ++i) f *= a / static_cast<double>(i) - s;
    for (std::int64_t i = y + 1; i <= m_; ++i) f /= a / static_cast<double>(i) - s;
    return f;
  }

  /// log(f(y) / f(m)) by Stirling's series.
  double log_ratio(std::int64_t y) const {
    const auto x1 = static_cast<double>(y + 1);
    const auto f1 = static_cast<double>(m_ + 1);
    const auto z = static_cast<double>(n_ - m_ + 1);
    const auto w = static_cast<double>(n_ - y + 1);
    return xm_ * std::log(f1 / x1) + (static_cast<double>(n_ - m_) + 0.5) * std::log(z / w) +
           static_cast<double>(y - m_) * std::log(w * r_ / (x1 * q_)) + stirling(f1) + stirling(z) +
           stirling(x1) + stirling(w);
  }

  /// What Stirling's formula leaves out of log((x - 1)!), with NumPy's figures, so as to reject
  /// what it rejects: the series starts with 1/12 = 13860/166320, not 13680, and `log_ratio` should
  /// subtract the terms of x1 and w. That shifts the logarithm by 7e-4 for n = 1000, p = 0.4 and by
  /// 8e-6 for n = 100000, p = 0.3, and only step 5.3 sees it.
  static double stirling(double x) {
    const double x2 = x * x;
    return (13680 - (462 - (132 - (99 - 140 / x2) / x2) / x2) / x2) / x / 166320;
  }

  std::int64_t n_;
  double count_, r_, q_, variance_;  // n, p, 1 - p and npq
  std::int64_t m_ = 0;
  double p1_ = 0, xm_ = 0, xl_ = 0, xr_ = 0, c_ = 0, lambda_l_ = 0, lambda_r_ = 0, p2_ = 0, p3_ = 0,
         p4_ = 0;
};

}  // namespace

RandomState::RandomState(std::int64_t seed) {
  if (seed < 0 || seed > std::numeric_limits<std::uint32_t>::max()) {
    throw ValueError(text("RandomState: seed must be between 0 and 4294967295, got ", seed));
  }
  auto word = static_cast<std::uint32_t>(seed);
  for (std::uint32_t i = 0; i < words; ++i) {
    state_.words[i] = word;
    word = 1812433253 * (word ^ (word >> 30)) + i + 1;
  }
}

void RandomState::set_state(const State& state) {
  if (state.position > words) {
    throw ValueError(
        text("RandomState::set_state: position must be between 0 and 624, got ", state.position));
  }
  const auto& w = state.words;
  if ((w[0] & upper_bit) == 0 && std::all_of(w.begin() + 1, w.end(), [](auto x) { return !x; })) {
    throw ValueError("RandomState::set_state: the 624 words are all zero; was the state saved?");
  }
  state_ = state;
  temper();
}

Tensor RandomState::random_sample(Shape shape, DType dtype) {
  return floats("random_sample", std::move(shape), dtype, [this] { return next_double(); });
}

Tensor RandomState::uniform(double low, double high, Shape shape, DType dtype) {
  const double range = high - low;
  if (!std::isfinite(range)) {
    throw ValueError(
        text("uniform: low, high and high - low must be finite, got low ", low, ", high ", high));
  }
  require_range("uniform", std::max(std::abs(low), std::abs(high)), dtype);
  return floats("uniform", std::move(shape), dtype,
                [=, this] { return low + range * next_double(); });
}

Tensor RandomState::normal(double mean, double sd, Shape shape, DType dtype) {
  if (!std::isfinite(mean)) throw ValueError(text("normal: mean must be finite, got ", mean));
  if (!std::isfinite(sd) || sd < 0) {
    throw ValueError(text("normal: sd must be finite and not negative, got ", sd));
  }
  constexpr double furthest = 13;  // The smallest radius in the polar method is 2^-52.
  require_range("normal", std::abs(mean) + furthest * sd, dtype);
  return floats("normal", std::move(shape), dtype, [=, this] { return mean + sd * next_gauss(); });
}

Tensor RandomState::binomial(std::int64_t n, double p, Shape shape) {
  if (n < 0) throw ValueError(text("binomial: n must not be negative, got ", n));
  if (!(p >= 0 && p <= 1)) throw ValueError(text("binomial: p must be in [0, 1], got ", p));

  const bool mirrored = p > 0.5;  // Then count the failures.
  const double rarer = mirrored ? 1 - p : p;
  const auto fill = [&](const auto& draw) {
    const auto uniform = [this] { return next_double(); };
    return integers(std::move(shape), [&] { return mirrored ? n - draw(uniform) : draw(uniform); });
  };
  return static_cast<double>(n) * rarer <= 30 ? fill(Inversion(n, rarer)) : fill(Btpe(n, rarer));
}

Tensor RandomState::randint(std::int64_t low, std::int64_t high, Shape shape) {
  if (low >= high) {
    throw ValueError(text("randint: low must be below high, got low ", low, ", high ", high));
  }
  const auto first = static_cast<std::uint64_t>(low);  // Unsigned, for the range may exceed int64.
  const std::uint64_t largest = static_cast<std::uint64_t>(high) - first - 1;
  return integers(std::move(shape),
                  [=, this] { return static_cast<std::int64_t>(first + next_up_to(largest)); });
}

Tensor RandomState::permutation(std::int64_t n) {
  if (n < 0) throw ValueError(text("permutation: n must not be negative, got ", n));
  Tensor result(DType::int64, {n});
  const auto values = result.data<std::int64_t>();
  std::iota(values.begin(), values.end(), 0);
  shuffle(values);
  return result;
}

void RandomState::shuffle(std::span<std::int64_t> values) {
  for (std::size_t left = values.size(); left > 1; --left) {
    std::swap(values[left - 1], values[next_up_to(left - 1)]);
  }
}

/// Replaces all the words by the following ones of MT19937's recurrence.
void RandomState::refill() {
  auto& w = state_.words;
  std::size_t i = 0;
  for (; i < words - middle; ++i) w[i] = twist(w[i], w[i + 1], w[i + middle]);
  for (; i < words - 1; ++i) w[i] = twist(w[i], w[i + 1], w[i + middle - words]);
  w[i] = twist(w[i], w[0], w[middle - 1]);
  state_.position = 0;
  temper();
}

void RandomState::temper() {
  for (std::size_t i = 0; i < words; ++i) {
    std::uint32_t y = state_.words[i];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    tempered_[i] = y ^ (y >> 18);
  }
}

inline std::uint32_t RandomState::next_word() {
  if (state_.position == words) refill();
  return tempered_[state_.position++];
}

inline std::uint64_t RandomState::next_word_pair() {
  const std::uint64_t upper = next_word();
  return upper << 32 | next_word();
}

/// A multiple of 2^-53 in [0, 1), from the upper 27 bits of one word and the upper 26 of the next.
inline double RandomState::next_double() {
  const std::uint64_t upper = next_word() >> 5;
  const std::uint64_t lower = next_word() >> 6;
  return static_cast<double>(static_cast<std::int64_t>(upper << 26 | lower)) * 0x1p-53;
}

/// Standard normal, by Marsaglia's polar method.
double RandomState::next_gauss() {
  if (std::exchange(state_.has_gauss, false)) return std::exchange(state_.cached_gauss, 0);
  for (;;) {
    const double x = 2 * next_double() - 1;
    const double y = 2 * next_double() - 1;
    const double r2 = x * x + y * y;
    if (r2 >= 1 || r2 == 0) continue;
    const double f = std::sqrt(-2 * std::log(r2) / r2);
    state_.has_gauss = true;
    state_.cached_gauss = f * x;
    return f * y;
  }
}

/// Uniform in [0, largest]: as few low bits as `largest` needs, drawn until they do not exceed it.
std::uint64_t RandomState::next_up_to(std::uint64_t largest) {
  if (largest == 0) return 0;
  const std::uint64_t mask = ~std::uint64_t{0} >> std::countl_zero(largest);
  const bool one_word = largest <= std::numeric_limits<std::uint32_t>::max();
  for (;;) {
    const std::uint64_t value = (one_word ? next_word() : next_word_pair()) & mask;
    if (value <= largest) return value;
  }
}

}  // namespace cinch
