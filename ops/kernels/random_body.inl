// Draws in blocks, so that the generator's rounds run on vectors. Included by kernels_body.inl,
// once for each instruction set.

constexpr std::int64_t random_block = 64;  // Pairs.

template <class T>
CINCH_INLINE void uniform_pairs(const std::uint64_t* a, const std::uint64_t* b, T* out,
                                std::int64_t n) {
  for (std::int64_t k = 0; k < n; ++k) {
    out[2 * k] = unit_of<T>(a[k]);
    out[2 * k + 1] = unit_of<T>(b[k]);
  }
}

/// Box and Muller, 1958, in double precision whatever T is.
template <class T>
CINCH_INLINE void normal_pairs(const std::uint64_t* a, const std::uint64_t* b, T* out,
                               std::int64_t n) {
  constexpr double turn = 6.283185307179586;
  for (std::int64_t k = 0; k < n; ++k) {
    const double radius = __builtin_sqrt(-2 * FastMath::log(1 - unit_of<double>(a[k])));
    const double angle = turn * unit_of<double>(b[k]);
    out[2 * k] = static_cast<T>(radius * FastMath::cos(angle));
    out[2 * k + 1] = static_cast<T>(radius * FastMath::sin(angle));
  }
}

template <class T, void (*Draw)(const std::uint64_t*, const std::uint64_t*, T*, std::int64_t)>
void fill_random(const std::int64_t* state, std::int64_t first, void* out, std::int64_t n) {
  const WordPair key{static_cast<std::uint64_t>(state[0]), static_cast<std::uint64_t>(state[1])};
  const auto calls = static_cast<std::uint64_t>(state[2]);
  T* to = static_cast<T*>(out);
  std::uint64_t a[random_block], b[random_block];
  T last[2 * random_block];
  for (std::int64_t at = 0; at < n; at += 2 * random_block) {
    const auto base = static_cast<std::uint64_t>(first + at / 2);
    for (std::int64_t k = 0; k < random_block; ++k) {
      const WordPair words = threefry(key, {calls, base + static_cast<std::uint64_t>(k)});
      a[k] = words.a;
      b[k] = words.b;
    }
    if (n - at >= 2 * random_block) {
      Draw(a, b, to + at, random_block);
    } else {
      Draw(a, b, last, (n - at + 1) / 2);
      for (std::int64_t k = 0; k < n - at; ++k) to[at + k] = last[k];
    }
  }
}
