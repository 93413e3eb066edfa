// The steps of W1 to W3 written out by hand: how fast this processor can do them. Compiled for the
// processor at hand (-march=native); for measuring only.
//
// What makes it fast: three sweeps over W a step and none besides. (1) A = X W. (2) For a block of
// rows of W that stays in the cache: Z = H W', the loss and dZ, and dH += dZ W. (3) W = s W + X' dA
// + dZ' H with the penalty's direct part as the scale s of each column, and the column norms for
// the next step summed on the way. W is never copied; the small operands lie in rows of an odd
// number of cache lines; -rate is folded into dZ and dA, so no gradient of W exists. Rows of W are
// padded with zeros to whole vectors.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "works.hpp"

namespace cinch::bench {

namespace {

#if defined(__AVX512F__) && defined(__AVX512DQ__)
constexpr int vector_bytes = 64, tile_rows = 10, update_rows = 8;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int vector_bytes = 32, tile_rows = 6, update_rows = 4;
#else
constexpr int vector_bytes = 16, tile_rows = 4, update_rows = 4;
#endif
constexpr int tile_vectors = 2;

#define BENCH_INLINE inline __attribute__((always_inline))

template <class T>
struct Simd;
template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(vector_bytes)));
  typedef std::int32_t I __attribute__((vector_size(vector_bytes)));
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float round = 12582912.0f, lowest = -87.0f;  // 1.5 * 2^23
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  // exp(r) = 1 + r + r^2 q(r) for |r| <= ln 2 / 2; log(1 + f) = f - f^2 / 2 + f^3 q(f) for
  // 1/sqrt(2) <= 1 + f <= sqrt(2).
  static constexpr float exp_series[] = {0.5f, 0.16666577f, 4.16665547e-2f, 8.36317307e-3f,
                                         1.39261762e-3f};
  static constexpr float log_series[] = {0.333333307f, -0.250003062f, 0.200010451f, -0.166412815f,
                                         0.142144959f, -0.129981838f, 0.126223192f, -0.0790274377f};
};
template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(vector_bytes)));
  typedef std::int64_t I __attribute__((vector_size(vector_bytes)));
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double round = 6755399441055744.0, lowest = -700.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 6.93147180369123816490e-01,
                          ln2_low = 1.90821492927058770002e-10;
  // The Taylor series suffices for exp; log(1 + f) = 2s + s q(s^2) with s = f / (2 + f).
  static constexpr double exp_series[] = {
      1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,      1.0 / 5040,
      1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
  static constexpr double log_series[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,
                                          2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17};
};

template <class T>
using Vector = typename Simd<T>::V;
template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
BENCH_INLINE Vector<T> load(const T* p) {
  Vector<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
BENCH_INLINE void store(T* p, Vector<T> v) {
  std::memcpy(p, &v, sizeof v);
}
template <class T>
BENCH_INLINE Vector<T> all(T x) {
  return Vector<T>{} + x;
}
template <int Bit, class T, std::size_t... I>
BENCH_INLINE Vector<T> neighbours(Vector<T> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, static_cast<int>(I ^ Bit)...);
}
template <int Bit, class T, std::size_t... I>
BENCH_INLINE Vector<T> merge(Vector<T> a, Vector<T> b, std::index_sequence<I...>) {
  constexpr int other = lanes<T>;
  return __builtin_shufflevector(a, b, static_cast<int>(I & Bit ? other + I : I)...) +
         __builtin_shufflevector(a, b, static_cast<int>(I & Bit ? other + (I ^ Bit) : I ^ Bit)...);
}
/// In each lane the sum of v's lanes whose numbers differ from its own in bits from Bit on.
template <class T, int Bit>
BENCH_INLINE Vector<T> fold(Vector<T> v) {
  if constexpr (Bit < lanes<T>) {
    return fold<T, 2 * Bit>(v + neighbours<Bit, T>(v, std::make_index_sequence<lanes<T>>()));
  } else {
    return v;
  }
}
template <class T>
BENCH_INLINE T total(Vector<T> v) {
  return fold<T, 1>(v)[0];
}
/// The totals of a, b, c, d in the first four lanes.
template <class T>
BENCH_INLINE Vector<T> totals(Vector<T> a, Vector<T> b, Vector<T> c, Vector<T> d) {
  constexpr auto all_lanes = std::make_index_sequence<lanes<T>>();
  return fold<T, 4>(
      merge<2, T>(merge<1, T>(a, b, all_lanes), merge<1, T>(c, d, all_lanes), all_lanes));
}

template <class T, std::size_t N>
BENCH_INLINE Vector<T> series(const T (&c)[N], Vector<T> x) {
  Vector<T> q = all(c[N - 1]);
#pragma GCC unroll 16
  for (std::size_t k = 1; k < N; ++k) q = q * x + c[N - 1 - k];
  return q;
}

/// exp(x) for x <= 0; what would be denormal is the smallest normal number instead.
template <class T>
BENCH_INLINE Vector<T> exp_negative(Vector<T> x) {
  using S = Simd<T>;
  x = x < S::lowest ? all(S::lowest) : x;
  const Vector<T> shifted = x * T(1.44269504088896340736) + S::round, n = shifted - S::round;
  const Vector<T> r = (x - n * S::ln2_high) - n * S::ln2_low;
  const typename S::I bits = (reinterpret_cast<typename S::I>(shifted) + S::bias) << S::mantissa;
  return (series<T>(S::exp_series, r) * r * r + r + T(1)) * reinterpret_cast<Vector<T>>(bits);
}

/// log(1 + t) for 0 <= t <= 1.
template <class T>
BENCH_INLINE Vector<T> log1p_fraction(Vector<T> t) {
  using S = Simd<T>;
  const auto large = t > T(0.41421356237309504880);
  const Vector<T> f = large ? (t - T(1)) * T(0.5) : t;
  const Vector<T> ln2 = large ? all(T(0.69314718055994530942)) : Vector<T>{};
  if constexpr (sizeof(T) == 4) {
    const Vector<T> f2 = f * f;
    return series<T>(S::log_series, f) * f * f2 + (f2 * T(-0.5) + f) + ln2;
  } else {
    const Vector<T> s = f / (f + T(2)), z = s * s;
    return series<T>(S::log_series, z) * z * s + (s + s) + ln2;
  }
}

template <class T>
BENCH_INLINE Vector<T> magnitude_negated(Vector<T> x) {
  return x < T(0) ? x : -x;
}

template <class T>
BENCH_INLINE Vector<T> sigmoid(Vector<T> x) {
  const Vector<T> t = exp_negative<T>(magnitude_negated<T>(x)), r = T(1) / (t + T(1));
  return x < T(0) ? r * t : r;
}

/// Sigmoid and log(1 + exp(x)) from one exponential.
template <class T>
BENCH_INLINE void sigmoid_and_softplus(Vector<T> x, Vector<T>& s, Vector<T>& plus) {
  const Vector<T> t = exp_negative<T>(magnitude_negated<T>(x)), r = T(1) / (t + T(1));
  s = x < T(0) ? r * t : r;
  plus = (x < T(0) ? Vector<T>{} : x) + log1p_fraction<T>(t);
}

// Products. Sizes in vectors where a vector runs along the axis.

/// c (Rows, Columns vectors) = a b, or += : one tile, in registers.
template <class T, int Rows, int Columns>
BENCH_INLINE void plain_tile(const T* a, long lda, const T* b, long ldb, T* c, long ldc, long depth,
                             bool accumulate) {
  Vector<T> sum[Rows][Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Columns; ++j)
      sum[i][j] = accumulate ? load(c + i * ldc + j * lanes<T>) : Vector<T>{};
  for (long k = 0; k < depth; ++k) {
    Vector<T> row[Columns];
#pragma GCC unroll 16
    for (int j = 0; j < Columns; ++j) row[j] = load(b + k * ldb + j * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> x = all(a[i * lda + k]);
#pragma GCC unroll 16
      for (int j = 0; j < Columns; ++j) sum[i][j] += x * row[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Columns; ++j) store(c + i * ldc + j * lanes<T>, sum[i][j]);
}

template <class T, int Rows>
void plain_rows(const T* a, long lda, const T* b, long ldb, T* c, long ldc, long depth,
                long columns, bool accumulate) {
  constexpr long wide = tile_vectors * lanes<T>;
  long j = 0;
  for (; j + wide <= columns; j += wide)
    plain_tile<T, Rows, tile_vectors>(a, lda, b + j, ldb, c + j, ldc, depth, accumulate);
  for (; j < columns; j += lanes<T>)
    plain_tile<T, Rows, 1>(a, lda, b + j, ldb, c + j, ldc, depth, accumulate);
}

/// Calls f with tile<Rows> and the first row for tiles that make up all rows, of the largest size
/// possible.
template <int Rows>
using tile = std::integral_constant<int, Rows>;
template <class F>
BENCH_INLINE void for_tiles(long rows, F f) {
  long i = 0;
  for (; i + tile_rows <= rows; i += tile_rows) f(tile<tile_rows>(), i);
  for (; i + 2 <= rows; i += 2) f(tile<2>(), i);
  for (; i < rows; ++i) f(tile<1>(), i);
}

/// c (rows, columns) = a b, or +=. `columns` is a multiple of a vector.
template <class T>
void plain(long rows, const T* a, long lda, const T* b, long ldb, T* c, long ldc, long depth,
           long columns, bool accumulate) {
  for_tiles(rows, [&]<int Rows>(tile<Rows>, long i) {
    plain_rows<T, Rows>(a + i * lda, lda, b, ldb, c + i * ldc, ldc, depth, columns, accumulate);
  });
}

/// c (Rows, Columns) = a b': products along rows of both, one tile.
template <class T, int Rows, int Columns>
BENCH_INLINE void transposed_tile(const T* a, long lda, const T* b, long ldb, T* c, long ldc,
                                  long depth) {
  Vector<T> sum[Rows][Columns] = {};
  for (long k = 0; k < depth; k += lanes<T>) {
    Vector<T> row[Columns];
#pragma GCC unroll 16
    for (int j = 0; j < Columns; ++j) row[j] = load(b + j * ldb + k);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> x = load(a + i * lda + k);
#pragma GCC unroll 16
      for (int j = 0; j < Columns; ++j) sum[i][j] += x * row[j];
    }
  }
  if constexpr (Rows % 2 == 0 && Columns == 2 && lanes<T> >= 4) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; i += 2) {
      const Vector<T> four = totals<T>(sum[i][0], sum[i][1], sum[i + 1][0], sum[i + 1][1]);
      std::memcpy(c + i * ldc, &four, 2 * sizeof(T));
      std::memcpy(c + (i + 1) * ldc, reinterpret_cast<const T*>(&four) + 2, 2 * sizeof(T));
    }
  } else {
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Columns; ++j) c[i * ldc + j] = total<T>(sum[i][j]);
  }
}

/// c (rows, columns) = a b'. `depth` is a multiple of a vector, `columns` is even.
template <class T>
void transposed(long rows, const T* a, long lda, const T* b, long ldb, T* c, long ldc, long depth,
                long columns) {
  for_tiles(rows, [&]<int Rows>(tile<Rows>, long i) {
    for (long j = 0; j < columns; j += 2)
      transposed_tile<T, Rows, 2>(a + i * lda, lda, b + j * ldb, ldb, c + i * ldc + j, ldc, depth);
  });
}

/// W = scale W + X1' D1 + X2' D2, one tile of Rows rows; norms += W^2.
template <class T, int Rows, int Columns>
BENCH_INLINE void update_tile(T* W, long ldw, const T* X1, long ld1, const T* D1, const T* X2,
                              long ld2, const T* D2, long ldd, long depth, const T* scale,
                              T* norms) {
  Vector<T> sum[Rows][Columns];
#pragma GCC unroll 16
  for (int j = 0; j < Columns; ++j) {
    const Vector<T> s = load(scale + j * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) sum[i][j] = load(W + i * ldw + j * lanes<T>) * s;
  }
  const auto add = [&](const T* X, long ldx, const T* D) __attribute__((always_inline)) {
    for (long k = 0; k < depth; ++k) {
      Vector<T> row[Columns];
#pragma GCC unroll 16
      for (int j = 0; j < Columns; ++j) row[j] = load(D + k * ldd + j * lanes<T>);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vector<T> x = all(X[k * ldx + i]);
#pragma GCC unroll 16
        for (int j = 0; j < Columns; ++j) sum[i][j] += x * row[j];
      }
    }
  };
  add(X1, ld1, D1);
  add(X2, ld2, D2);
#pragma GCC unroll 16
  for (int j = 0; j < Columns; ++j) {
    Vector<T> norm = load(norms + j * lanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      norm += sum[i][j] * sum[i][j];
      store(W + i * ldw + j * lanes<T>, sum[i][j]);
    }
    store(norms + j * lanes<T>, norm);
  }
}

/// The same for all 784 rows of W, which divide into tiles.
template <class T>
void update(T* W, long ldw, const T* X1, long ld1, const T* D1, const T* X2, long ld2, const T* D2,
            long ldd, long depth, long columns, const T* scale, T* norms) {
  static_assert(visible % update_rows == 0);
  constexpr long wide = tile_vectors * lanes<T>;
  long j = 0;
  for (; j + wide <= columns; j += wide)
    for (long i = 0; i < visible; i += update_rows)
      update_tile<T, update_rows, tile_vectors>(W + i * ldw + j, ldw, X1 + i, ld1, D1 + j, X2 + i,
                                                ld2, D2 + j, ldd, depth, scale + j, norms + j);
  for (; j < columns; j += lanes<T>)
    for (long i = 0; i < visible; i += update_rows)
      update_tile<T, update_rows, 1>(W + i * ldw + j, ldw, X1 + i, ld1, D1 + j, X2 + i, ld2, D2 + j,
                                     ldd, depth, scale + j, norms + j);
}

/// Which pixels RandomStreams(corruption_seed).binomial(..., 1 - corruption) keeps in call `call`:
/// element i is one half of Threefry-2x64-20 of the counter {call, i / 2}.
template <class T>
void corrupt(std::uint64_t call, const T* x, T* out, long size) {
  constexpr auto together = 64;  // Counters side by side, for the compiler to make vectors of.
  constexpr std::array<int, 8> turns{16, 42, 12, 31, 16, 32, 24, 21};
  constexpr std::uint64_t key0 = corruption_seed, key1 = 0;
  constexpr std::uint64_t keys[3] = {key0, key1, 0x1BD11BDAA9FC1A22u ^ key0 ^ key1};
  // u < p for u = (word >> 11) / 2^53.
  const auto limit = static_cast<std::uint64_t>(std::ceil((1 - corruption) * 0x1p53));
  for (long begin = 0; begin < size; begin += 2 * together) {
    alignas(64) std::uint64_t a[together], b[together];
    for (int i = 0; i < together; ++i) {
      a[i] = call + keys[0];
      b[i] = static_cast<std::uint64_t>(begin / 2 + i) + keys[1];
    }
#pragma GCC unroll 20
    for (unsigned round = 0; round < 20; ++round) {
      const int r = turns[round % 8];
      for (int i = 0; i < together; ++i) {
        a[i] += b[i];
        b[i] = (b[i] << r | b[i] >> (64 - r)) ^ a[i];
      }
      if (round % 4 == 3) {
        const unsigned s = round / 4 + 1;
        for (int i = 0; i < together; ++i) {
          a[i] += keys[s % 3];
          b[i] += keys[(s + 1) % 3] + s;
        }
      }
    }
    alignas(64) T kept[2 * together];
    for (int i = 0; i < together; ++i) {
      kept[2 * i] = a[i] >> 11 < limit ? T(1) : T(0);
      kept[2 * i + 1] = b[i] >> 11 < limit ? T(1) : T(0);
    }
    const long end = std::min<long>(2 * together, size - begin);
    for (long i = 0; i < end; ++i) out[begin + i] = x[begin + i] * kept[i];
  }
}

/// Elements of a row of `count` with padding to an odd number of cache lines.
template <class T>
constexpr long padded(long count) {
  const long lines = (count * static_cast<long>(sizeof(T)) + 63) / 64;
  return (lines | 1) * 64 / static_cast<long>(sizeof(T));
}

template <class T>
class Hand {
  using V = Vector<T>;
  static constexpr long L = lanes<T>;
  static constexpr long units = (hidden + L - 1) / L * L;  // With padding to whole vectors.
  static constexpr long ldh = padded<T>(hidden), ldv = padded<T>(visible);
  static constexpr long block = 112;  // Rows of W that stay in the cache between their two uses.
  static_assert(visible % L == 0 && visible % block == 0);

 public:
  Hand(const Config& config, const Data& data)
      : n_(config.batch),
        penalised_(config.work != "W3"),
        rate_(penalised_ ? contractive_rate : denoising_rate),
        images_(data.images) {
    const Tensor first = initial_matrix(1, visible, hidden, 4, dtype_of<T>());
    const T* w = first.template data<T>().data();
    for (long i = 0; i < visible; ++i)
      std::copy(w + i * hidden, w + (i + 1) * hidden, W() + i * ldh);
    for (long i = 0; i < visible; ++i)
      for (long j = 0; j < hidden; ++j) norms()[j] += W()[i * ldh + j] * W()[i * ldh + j];
    std::fill_n(scale(), units, T(1));
    std::fill_n(real(), hidden, T(1));
  }

  double step(std::int64_t index) {
    const T* x = images_.data<T>().data() + index * n_ * visible;
    const T* input = x;
    if (!penalised_) {
      corrupt(calls_++, x, corrupted(), n_ * visible);
      input = corrupted();
    }
    for (long k = 0; k < visible; k += visible / 2)
      plain(n_, input + k, visible, W() + k * ldh, ldh, A(), ldh, visible / 2, units, k > 0);
    const double penalty = encode();
    double loss = 0;
    for (long k = 0; k < visible; k += block) {
      T* rows = W() + k * ldh;
      transposed(n_, H(), ldh, rows, ldh, Z() + k, ldv, units, block);
      loss += reconstruct(x, k, k + block);
      plain(n_, Z() + k, ldv, rows, ldh, dH(), ldh, block, units, k > 0);
    }
    backwards();
    std::fill_n(norms(), units, T(0));
    update(W(), ldh, input, visible, A(), Z(), ldv, H(), ldh, n_, units, scale(), norms());
    return (loss + contraction * penalty) / static_cast<double>(n_);
  }

 private:
  /// From A: H, P = H (1 - H), and where there is a penalty its sum over the batch, the scale of
  /// W's columns that is its direct part, and in C the factor of P (1 - 2 H) in its part through H.
  double encode() {
    double penalty = 0;
    const T k = static_cast<T>(2 * contraction * rate_ / static_cast<double>(n_));
    for (long j = 0; j < units; j += L) {
      const V bias = load(b() + j), mask = load(real() + j);
      V sum{};
      for (long i = 0; i < n_; ++i) {
        const V h = sigmoid<T>(load(A() + i * ldh + j) + bias) * mask, p = h * (T(1) - h);
        store(H() + i * ldh + j, h);
        store(P() + i * ldh + j, p);
        sum += p * p;
      }
      if (!penalised_) continue;
      const V norm = load(norms() + j);
      store(scale() + j, T(1) - sum * k);
      store(C() + j, norm * -k);
      penalty += static_cast<double>(total<T>(sum * norm));
    }
    return penalty;
  }

  /// From Z in columns [begin, end): the loss, Z = -rate dZ, and the update of c.
  double reconstruct(const T* x, long begin, long end) {
    V loss{};
    const T step = static_cast<T>(-rate_ / static_cast<double>(n_));
    for (long k = begin; k < end; k += L) {
      const V bias = load(c() + k);
      V sum{};
      for (long i = 0; i < n_; ++i) {
        const V z = load(Z() + i * ldv + k) + bias, pixel = load(x + i * visible + k);
        V s, plus;
        sigmoid_and_softplus<T>(z, s, plus);
        const V d = (s - pixel) * step;
        loss += plus - pixel * z;
        sum += d;
        store(Z() + i * ldv + k, d);
      }
      store(c() + k, bias + sum);
    }
    return static_cast<double>(total<T>(loss));
  }

  /// From dH: A = -rate dA, and the update of b.
  void backwards() {
    for (long j = 0; j < units; j += L) {
      const V factor = load(C() + j);
      V sum{};
      for (long i = 0; i < n_; ++i) {
        const V h = load(H() + i * ldh + j), p = load(P() + i * ldh + j);
        const V d = (factor * p * (T(1) - h - h) + load(dH() + i * ldh + j)) * p;
        store(A() + i * ldh + j, d);
        sum += d;
      }
      store(b() + j, load(b() + j) + sum);
    }
  }

  // Buffers, all zero at first and in order of size.
  struct Buffers {
    Tensor W, A, H, P, dH, Z, corrupted, b, c, norms, scale, C, real;
  };
  Buffers make() const {
    const auto zero = [](long rows, long ld) { return Tensor(dtype_of<T>(), {rows, ld}); };
    return {zero(visible, ldh),
            zero(n_, ldh),
            zero(n_, ldh),
            zero(n_, ldh),
            zero(n_, ldh),
            zero(n_, ldv),
            zero(penalised_ ? 0 : n_, visible),
            zero(1, ldh),
            zero(1, ldv),
            zero(1, ldh),
            zero(1, ldh),
            zero(1, ldh),
            zero(1, ldh)};
  }
  T* W() { return at(buffers_.W); }
  T* A() { return at(buffers_.A); }
  T* H() { return at(buffers_.H); }
  T* P() { return at(buffers_.P); }
  T* dH() { return at(buffers_.dH); }
  T* Z() { return at(buffers_.Z); }
  T* corrupted() { return at(buffers_.corrupted); }
  T* b() { return at(buffers_.b); }
  T* c() { return at(buffers_.c); }
  T* norms() { return at(buffers_.norms); }
  T* scale() { return at(buffers_.scale); }
  T* C() { return at(buffers_.C); }
  T* real() { return at(buffers_.real); }
  static T* at(Tensor& tensor) { return static_cast<T*>(tensor.raw()); }

  long n_;
  bool penalised_;
  double rate_;
  const Tensor& images_;
  std::uint64_t calls_ = 0;
  Buffers buffers_ = make();
};

template <class T>
Step make(const Config& config, const Data& data) {
  const auto hand = std::make_shared<Hand<T>>(config, data);
  return [hand](std::int64_t index) { return hand->step(index); };
}

}  // namespace

Step hand_step(const Config& config, const Data& data) {
  if (config.threads != 1)
    throw ValueError("--mode hand: the steps by hand run with 1 thread only");
  return config.dtype == DType::float32 ? make<float>(config, data) : make<double>(config, data);
}

// Read without running anything of this file.
extern const int hand_vector_bytes;
const int hand_vector_bytes = vector_bytes;

}  // namespace cinch::bench
