// Random numbers equal to those of NumPy's legacy numpy.random.RandomState, number for number.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The generator behind NumPy's `numpy.random.RandomState(seed)` (not `default_rng`): the Mersenne
/// Twister MT19937 of Matsumoto and Nishimura (1998) and the distributions that NumPy has frozen
/// since version 1.17. The same seed and the same calls give the same numbers, on any machine and
/// for any number of threads. `uniform`, `random_sample`, `randint`, `permutation` and `shuffle`
/// agree to the last bit; `normal` and `binomial` call the C library's log and exp as NumPy does,
/// so they agree to the last bit where the two libraries round alike.
///
/// A value: a copy continues the same sequence independently. One object is not to be used by two
/// threads at once. Tensors are filled in row-major order. Every function checks its arguments
/// before it draws, so a call that throws leaves the sequence where it was; besides what is said
/// below, a bad shape throws TypeError as in Tensor, and so does a dtype other than float32 or
/// float64. A float32 result is the float64 result rounded, and advances the sequence as far.
class RandomState {
 public:
  /// Everything the coming numbers depend on, as NumPy's `get_state()` returns it.
  struct State {
    static constexpr std::uint32_t word_count = 624;

    std::array<std::uint32_t, word_count> words{};
    std::uint32_t position = word_count;  ///< Words already used, 0..624.
    bool has_gauss = false;               ///< Whether `cached_gauss` is the next standard normal.
    double cached_gauss = 0;              ///< 0 unless has_gauss.

    friend bool operator==(const State&, const State&) = default;
  };

  /// Starts the sequence of `RandomState(seed)`: MT19937's init_genrand, as std::mt19937(seed).
  /// Throws ValueError unless 0 <= seed <= 4294967295.
  explicit RandomState(std::int64_t seed);

  const State& state() const { return state_; }
  /// Continues from a state saved earlier, or taken from NumPy. Throws ValueError where position is
  /// above 624, or where the words are zeros, from which the generator never leaves.
  void set_state(const State& state);

  /// Uniform in [0, 1): multiples of 2^-53, two words each.
  Tensor random_sample(Shape shape, DType dtype = DType::float64);

  /// low + (high - low) * u with u as in random_sample: uniform in [low, high), or in (high, low]
  /// for low > high; the rounding, above all to float32, may return `high` itself. Throws
  /// ValueError unless low, high and high - low are finite.
  Tensor uniform(double low, double high, Shape shape, DType dtype = DType::float64);

  /// Normal with mean `mean` and standard deviation `sd`, by Marsaglia's polar method. That gives
  /// two numbers at a time: the second is kept for the next call, whatever is drawn in between.
  /// Throws ValueError unless mean and sd are finite and sd >= 0.
  Tensor normal(double mean, double sd, Shape shape, DType dtype = DType::float64);

  /// Successes in `n` trials of probability `p`, int64 in [0, n]. By inversion where
  /// n min(p, 1 - p) <= 30, else by Kachitvichyanukul and Schmeiser's BTPE (1988). With n = 1 every
  /// entry takes one u of random_sample and is 1 iff u <= p for p > 0.5, iff u > 1 - p for p <= 0.5
  /// (give or take the last bit of p). NumPy's integers overflow in BTPE for n above 1e17; these do
  /// not, so there the numbers may differ. Throws ValueError unless n >= 0 and 0 <= p <= 1.
  Tensor binomial(std::int64_t n, double p, Shape shape);

  /// Uniform in [low, high), int64. Takes masked words, rejecting those beyond the range: single
  /// ones for up to 2^32 values, pairs above; none where high = low + 1. Throws ValueError unless
  /// low < high.
  Tensor randint(std::int64_t low, std::int64_t high, Shape shape);

  /// The integers 0..n-1 in random order, int64 of shape (n): shuffle of 0, 1, ..., n-1. Throws
  /// ValueError for n < 0.
  Tensor permutation(std::int64_t n);

  /// Puts `values` in random order by Fisher and Yates' algorithm, from the last place down.
  void shuffle(std::span<std::int64_t> values);

 private:
  void refill();
  void temper();
  std::uint32_t next_word();
  std::uint64_t next_word_pair();
  double next_double();
  double next_gauss();
  std::uint64_t next_up_to(std::uint64_t largest);

  State state_;
  std::array<std::uint32_t, State::word_count> tempered_{};  // Follows from state_.words.
};

}  // namespace cinch
