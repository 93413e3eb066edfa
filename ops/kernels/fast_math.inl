// exp, log and relatives as straight-line arithmetic, which compilers turn into SIMD code when it
// stands in a loop. Included once per instruction set, inside that set's namespace (see
// kernels_body.inl), so it includes nothing itself.
//
// Argument reduction and series are the textbook ones (Cody and Waite 1980; Muller, Elementary
// Functions): exp(x) = 2^n exp(r) with |r| <= ln 2 / 2, and log(2^e m) = e ln 2 + log(1 + f) by the
// series in f / (2 + f).

#define CINCH_INLINE inline __attribute__((always_inline))

template <class T>
struct FloatBits;

template <>
struct FloatBits<float> {
  using Int = std::int32_t;
  static constexpr int mantissa = 23;
  static constexpr Int bias = 127;
  static constexpr float round =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits.
  static constexpr float biased = round + bias;                // The same, and the exponent's bias.
  static constexpr float exp_low = -104.0f, exp_high = 90.0f;  // exp(90) / 2 is infinite, too.
  static constexpr float log2_e = 1.44269504088896341f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float smallest_normal = 1.17549435e-38f, lift = 33554432.0f;  // lift = 2^25
  static constexpr Int lift_exponent = 25;
  static constexpr Int sqrt_half = 0x3f3504f3;
};

template <>
struct FloatBits<double> {
  using Int = std::int64_t;
  static constexpr int mantissa = 52;
  static constexpr Int bias = 1023;
  static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double biased = round + bias;
  static constexpr double exp_low = -746.0, exp_high = 711.0;
  static constexpr double log2_e = 1.4426950408889634074;
  static constexpr double ln2_high = 6.93147180369123816490e-01,
                          ln2_low = 1.90821492927058770002e-10;
  static constexpr double smallest_normal = 2.2250738585072014e-308,
                          lift = 18014398509481984.0;  // lift = 2^54
  static constexpr Int lift_exponent = 54;
  static constexpr Int sqrt_half = 0x3fe6a09e667f3bcd;
};

struct FastMath {
  /// 2^n from n + FloatBits<T>::biased, n an integer in the normal range.
  template <class T>
  static CINCH_INLINE T power_of_two(T shifted) {
    using U = std::make_unsigned_t<typename FloatBits<T>::Int>;
    return std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(shifted) << FloatBits<T>::mantissa));
  }

  // Bits of positive floats are ordered as signed integers, which those of negative ones are below;
  // those of negative ones the other way round as unsigned ones, above the others. Their minimum is
  // one instruction, where that of floats is several, because of NaN.
#if defined(CINCH_VECTOR_BYTES)
  template <class T>
  static constexpr bool has_integer_minimum = sizeof(T) == 4 || CINCH_VECTOR_BYTES == 64;
#else
  template <class T>
  static constexpr bool has_integer_minimum = false;
#endif
  /// The smaller one, where limit > 0; any number for NaN.
  template <class T>
  static CINCH_INLINE T at_most(T x, T limit) {
    using I = typename FloatBits<T>::Int;
    if constexpr (has_integer_minimum<T>) {
      const I a = std::bit_cast<I>(x), b = std::bit_cast<I>(limit);
      return std::bit_cast<T>(a < b ? a : b);
    } else {
      return x < limit ? x : limit;
    }
  }
  /// The larger one, where limit < 0; any number for NaN.
  template <class T>
  static CINCH_INLINE T at_least(T x, T limit) {
    using U = std::make_unsigned_t<typename FloatBits<T>::Int>;
    if constexpr (has_integer_minimum<T>) {
      const U a = std::bit_cast<U>(x), b = std::bit_cast<U>(limit);
      return std::bit_cast<T>(a < b ? a : b);
    } else {
      return x > limit ? x : limit;
    }
  }

  /// (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2.
  static CINCH_INLINE float exp_series(float r) {
    float q = 1.3926176119935578884e-3f;
    q = q * r + 8.3631730745137109e-3f;
    q = q * r + 4.1666554662050534e-2f;
    q = q * r + 0.16666577025597988f;
    return q * r + 0.5f;
  }
  static CINCH_INLINE double exp_series(double r) {
    double q = 2.09146793765839351e-9;
    q = q * r + 2.5105206373957011116e-8;
    q = q * r + 2.7557273661348636219e-7;
    q = q * r + 2.7557255425746434282e-6;
    q = q * r + 0.000024801587325533363819;
    q = q * r + 0.00019841269874800491981;
    q = q * r + 0.0013888888888883752417;
    q = q * r + 0.008333333333326140884;
    q = q * r + 0.041666666666666669752;
    q = q * r + 0.16666666666666670986;
    return q * r + 0.5;
  }

  /// exp(r) - 1 and 2^n in two factors, of x - extra = n ln 2 + r, x clamped to where exp is not
  /// surely 0 or infinite.
  template <class T>
  struct Reduced {
    T tail, scale, rest;
  };
  template <class T>
  static CINCH_INLINE Reduced<T> reduce(T x, T extra = 0) {
    using B = FloatBits<T>;
    x = at_least(at_most(x, B::exp_high), B::exp_low);
    const T n = ((x - extra) * B::log2_e + B::round) - B::round;
    T r = x - n * B::ln2_high;
    r = r - n * B::ln2_low;
    r = r - extra;
    const T half = n * T(0.5) + B::biased;  // Two factors, for results near the ends of the range.
    const T other = (n - (half - B::biased)) + B::biased;
    return {exp_series(r) * r * r + r, power_of_two(half), power_of_two(other)};
  }

  template <class T>
  static CINCH_INLINE T exp(T x) {
    const Reduced<T> e = reduce(x);
    const T y = (e.tail + T(1)) * e.scale * e.rest;
    return x != x ? x : y;
  }

  template <class T>
  static CINCH_INLINE T expm1(T x) {
    const T low = sizeof(T) == 4 ? T(-40) : T(-60);  // Below, the result is -1.
    const Reduced<T> e = reduce(at_least(x, low));
    // Where the power itself would overflow, one part is kept back.
    const T power = e.scale * e.rest;
    const T y = e.tail * power + (power - T(1));
    const T large = (e.tail + T(1)) * e.scale * e.rest;
    const T result = x > T(60) ? large : y;
    return x != x ? x : (x == T(0) ? x : result);
  }

  /// log(1 + f) - f + f^2/2 over s, for s = f / (2 + f), sqrt(1/2) <= 1 + f <= sqrt(2); z = s^2.
  static CINCH_INLINE float log_series(float z) {
    float q = 0.24279078841f;
    q = q * z + 0.28498786688f;
    q = q * z + 0.40000972152f;
    return (q * z + 0.66666662693f) * z;
  }
  static CINCH_INLINE double log_series(double z) {
    double q = 1.479819860511658591e-01;
    q = q * z + 1.531383769920937332e-01;
    q = q * z + 1.818357216161805012e-01;
    q = q * z + 2.222219843214978396e-01;
    q = q * z + 2.857142874366239149e-01;
    q = q * z + 3.999999999940941908e-01;
    return (q * z + 6.666666666666735130e-01) * z;
  }

  /// log(x) in parts, for x that is finite and > 0: x = 2^exponent (1 + f), and log(1 + f) =
  /// f - (half_square - product).
  template <class T>
  struct SplitLog {
    T exponent, f, half_square, product;
    CINCH_INLINE T mantissa() const { return f - (half_square - product); }
  };
  template <class T>
  static CINCH_INLINE SplitLog<T> split_log(T x) {
    using B = FloatBits<T>;
    using Int = typename B::Int;
    using U = std::make_unsigned_t<Int>;
    const bool tiny = x < B::smallest_normal;
    const T lifted = tiny ? x * B::lift : x;
    // e such that 2^-e x lies in [sqrt(1/2), sqrt(2)), by integer arithmetic on the bits.
    const U above = std::bit_cast<U>(lifted) - static_cast<U>(B::sqrt_half);
    const U exponent_bits = above & ~((U(1) << B::mantissa) - U(1));
    const T m = std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(lifted) - exponent_bits));
    // The exponent as a float: biased to be positive, shifted down, put in the low bits of `round`.
    const U biased = (above + (static_cast<U>(B::bias) << B::mantissa)) >> B::mantissa;
    const T shifted =
        std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(B::round) + biased)) - B::round;
    const T e = shifted - T(B::bias) - (tiny ? T(B::lift_exponent) : T(0));
    const T f = m - T(1);
    const T s = f / (T(2) + f);
    const T half_square = T(0.5) * f * f;
    return {e, f, half_square, s * (half_square + log_series(s * s))};
  }

  /// log(x) + extra, for x that is finite and > 0.
  template <class T>
  static CINCH_INLINE T log_finite(T x, T extra) {
    using B = FloatBits<T>;
    const SplitLog<T> l = split_log(x);
    const T low = l.product + (l.exponent * B::ln2_low + extra);
    return l.exponent * B::ln2_high - ((l.half_square - low) - l.f);
  }

  template <class T>
  static CINCH_INLINE T log(T x) {
    const T inf = __builtin_huge_val();
    const T y = log_finite(x, T(0));
    const T special = x == T(0) ? -inf : (x < T(0) ? T(__builtin_nan("")) : x);
    return x > T(0) && x < inf ? y : special;
  }

  template <class T>
  static CINCH_INLINE T log1p(T x) {
    const T inf = __builtin_huge_val();
    const T u = T(1) + x;
    const T lost = (x - (u - T(1))) / u;  // What rounding took from 1 + x, to first order.
    const T y = log_finite(u, lost);
    const T special = u == T(0) ? -inf : (u < T(0) ? T(__builtin_nan("")) : u);
    const T general = u > T(0) && u < inf ? y : special;
    return u == T(1) ? x : general;
  }

  static CINCH_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
  static CINCH_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
  static CINCH_INLINE float abs(float x) { return __builtin_fabsf(x); }
  static CINCH_INLINE double abs(double x) { return __builtin_fabs(x); }
  static CINCH_INLINE float floor(float x) { return __builtin_floorf(x); }
  static CINCH_INLINE double floor(double x) { return __builtin_floor(x); }
  static CINCH_INLINE float ceil(float x) { return __builtin_ceilf(x); }
  static CINCH_INLINE double ceil(double x) { return __builtin_ceil(x); }
  static CINCH_INLINE float round(float x) { return __builtin_rintf(x); }
  static CINCH_INLINE double round(double x) { return __builtin_rint(x); }
  static CINCH_INLINE float fmod(float x, float y) { return __builtin_fmodf(x, y); }
  static CINCH_INLINE double fmod(double x, double y) { return __builtin_fmod(x, y); }
  /// By exp(y log|x|) in double, which has digits to spare: the nearest float but for one in a
  /// million. Special cases as C has them.
  static CINCH_INLINE float pow(float x, float y) {
    const float size = abs(x), half = 0.5f * y;
    const float power =
        static_cast<float>(exp(static_cast<double>(y) * log(static_cast<double>(size))));
    const bool whole = y == floor(y), odd = whole && half != floor(half);
    const bool is_negative = std::bit_cast<std::int32_t>(x) < 0;  // Also -0.
    const float with_sign = is_negative && odd ? -power : power;
    const bool has_none = x < 0.0f && size < __builtin_huge_valf() && !whole;
    const float general = has_none ? __builtin_nanf("") : with_sign;
    const bool is_one = y == 0.0f || x == 1.0f || (x == -1.0f && abs(y) == __builtin_huge_valf());
    return is_one ? 1.0f : general;
  }
  static CINCH_INLINE double pow(double x, double y) { return __builtin_pow(x, y); }
  static CINCH_INLINE float sin(float x) { return __builtin_sinf(x); }
  static CINCH_INLINE double sin(double x) { return __builtin_sin(x); }
  static CINCH_INLINE float cos(float x) { return __builtin_cosf(x); }
  static CINCH_INLINE double cos(double x) { return __builtin_cos(x); }
  static CINCH_INLINE float tan(float x) { return __builtin_tanf(x); }
  static CINCH_INLINE double tan(double x) { return __builtin_tan(x); }
  static CINCH_INLINE float trunc(float x) { return __builtin_truncf(x); }
  static CINCH_INLINE double trunc(double x) { return __builtin_trunc(x); }

  // Defined in fast_functions.inl.
  /// log(1 + t) for 0 <= t <= 1.
  template <class T>
  static T log1p_of_fraction(T t);
  template <class T>
  static T exp2(T x);
  template <class T>
  static T log2(T x);
  template <class T>
  static T log10(T x);
  template <class T>
  static T erf(T x);
  template <class T>
  static T erfc(T x);
  template <class T>
  static T normal_cdf(T x);
  template <class T>
  static T exp_of_product(T x, T y);
  template <class T>
  static T tanh(T x);
  template <class T>
  static T sinh(T x);
  template <class T>
  static T cosh(T x);
  template <class T>
  static T asinh(T x);
  template <class T>
  static T acosh(T x);
  template <class T>
  static T atanh(T x);
  template <class T>
  static T asin(T x);
  template <class T>
  static T acos(T x);
  template <class T>
  static T atan(T x);
  template <class T>
  static T atan2(T y, T x);
  template <class T>
  static T hypot(T x, T y);
};
