// The counter-based generator behind random streams.
#pragma once

#include <bit>
#include <cstdint>

namespace cinch::simd {

/// Two 64-bit words.
struct WordPair {
  std::uint64_t a, b;
};

/// Threefry-2x64 with 20 rounds: a keyed permutation of 128-bit counters. Salmon, Moraes, Dror and
/// Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011).
// Internal linkage and always inlined: it is compiled for several instruction sets.
static inline __attribute__((always_inline)) WordPair threefry(WordPair key, WordPair counter) {
  constexpr int rotations[8] = {16, 42, 12, 31, 16, 32, 24, 21};
  const std::uint64_t keys[3] = {key.a, key.b, 0x1BD11BDAA9FC1A22u ^ key.a ^ key.b};
  std::uint64_t a = counter.a + keys[0], b = counter.b + keys[1];
#pragma GCC unroll 20
  for (unsigned round = 0; round < 20; ++round) {
    const int turn = rotations[round % 8];
    a += b;
    b = (b << turn | b >> (64 - turn)) ^ a;
    if (round % 4 == 3) {
      const unsigned s = round / 4 + 1;
      a += keys[s % 3];
      b += keys[(s + 1) % 3] + s;
    }
  }
  return {a, b};
}

/// In [0, 1), a multiple of 2^-53 or 2^-24.
template <class T>
static inline __attribute__((always_inline)) T unit_of(std::uint64_t word) {
  if constexpr (sizeof(T) == 4) {
    return static_cast<T>(static_cast<std::int32_t>(word >> 40)) * 0x1p-24f;
  } else {
    return static_cast<T>(static_cast<std::int64_t>(word >> 11)) * 0x1p-53;
  }
}

}  // namespace cinch::simd
