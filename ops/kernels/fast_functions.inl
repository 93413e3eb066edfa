// erf, angles, hyperbolic functions and logarithms to other bases as straight-line arithmetic: the
// rest of FastMath. Included after fast_math.inl, once per instruction set.
//
// Polynomials are Chebyshev fits computed with 50 digits, of an error below half a unit in the last
// place of what they are added to.

template <class T>
struct FunctionBounds;

template <>
struct FunctionBounds<float> {
  static constexpr float erfc_zero = 10.2f;  // From here on erfc is 0.
  static constexpr float erfc_middle = 2.0f;
  static constexpr std::uint32_t upper_half = 0xfffff000;  // 12 digits, whose square is exact.
  static constexpr float squares = 4096.0f;  // Above, a^2 + 1 or a^2 - 1 is a^2 to rounding.
  static constexpr float exp2_low = -160.0f, exp2_high = 130.0f;
  static constexpr float log10_2_high = 0.301025390625f, log10_2_low = 4.60503906e-6f;
  static constexpr float half_pi_high = 1.57079637f, half_pi_low = -4.37113883e-8f;
};

template <>
struct FunctionBounds<double> {
  static constexpr double erfc_zero = 27.5;
  static constexpr double erfc_middle = 4.0;
  static constexpr std::uint64_t upper_half = 0xfffffffff8000000;  // 26 digits.
  static constexpr double squares = 134217728.0;
  static constexpr double exp2_low = -1090.0, exp2_high = 1030.0;
  static constexpr double log10_2_high = 0.30102999566395283, log10_2_low = 2.8363394551044964e-14;
  static constexpr double half_pi_high = 1.5707963267948966, half_pi_low = 6.123233995736766e-17;
};

CINCH_INLINE float copy_sign(float x, float sign) { return __builtin_copysignf(x, sign); }
CINCH_INLINE double copy_sign(double x, double sign) { return __builtin_copysign(x, sign); }

#if defined(__FMA__)
/// x y + z, rounded once.
CINCH_INLINE float fused_sum(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
CINCH_INLINE double fused_sum(double x, double y, double z) { return __builtin_fma(x, y, z); }
#endif

/// c[0] x^n + c[1] x^(n-1) + ... + c[n], without a loop, which would keep an outer one from
/// becoming SIMD code.
template <class T, std::size_t N, std::size_t... K>
CINCH_INLINE T polynomial(T x, const T (&c)[N], std::index_sequence<K...>) {
  T y = c[0];
  ((y = y * x + c[K + 1]), ...);
  return y;
}
template <class T, std::size_t N>
CINCH_INLINE T polynomial(T x, const T (&c)[N]) {
  return polynomial(x, c, std::make_index_sequence<N - 1>());
}

/// (1 + 2 a) exp(a^2) erfc(a) over t = (a - middle) / (a + middle), which is smooth from 0 to where
/// erfc ends (Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x",
/// Mathematics of Computation 36, 1981).
CINCH_INLINE float erfc_series(float t) {
  constexpr float c[] = {-0.00042251547f, -0.0012606344f, 0.00132876774f, 0.00866199844f,
                         -0.00806206837f, -0.0542138778f, 0.164055198f,   -0.166030437f,
                         -0.0927639604f,  1.27697837f};
  return polynomial(t, c);
}
CINCH_INLINE double erfc_series(double t) {
  constexpr double c[] = {-1.8822551750393533e-09, -1.387063343675277e-08, -7.770852409868655e-09,
                          1.1579545491817747e-07,  6.309931892048124e-08,  -8.355403600708081e-07,
                          3.00822697160671e-07,    5.718019430428633e-06,  -1.1224436722701745e-05,
                          -2.440316536962711e-05,  0.00015062210715057866, -0.00019925552619520982,
                          -0.0007577733091379332,  0.005031969762284736,   -0.016197734063710445,
                          0.03716751556148306,     -0.06633036581115447,   0.0937328349968727,
                          -0.10103906603636773,    0.06809705425473468,    0.015379652102620996,
                          -0.13962111684056286,    1.2329951186255526};
  return polynomial(t, c);
}

/// (2 artanh(s) / s - 2) / z over z = s^2 <= 1/9.
CINCH_INLINE float artanh_series(float z) {
  constexpr float c[] = {0.232243292f, 0.217065758f, 0.28592358f, 0.399997063f, 0.666666673f};
  return polynomial(z, c);
}
CINCH_INLINE double artanh_series(double z) {
  constexpr double c[] = {0.1563057780092285,  0.074921437955507673, 0.10845178394880015,
                          0.11734279061303197, 0.13335178631449256,  0.15384543964860549,
                          0.18181819897962714, 0.22222222198236771,  0.28571428571600099,
                          0.39999999999999523, 0.66666666666666667};
  return polynomial(z, c);
}

/// erf(x) / x - 1 over z = x^2 <= 1.
CINCH_INLINE float erf_series(float z) {
  constexpr float c[] = {7.87587487e-05f, -0.00080168643f, 0.00518908724f, -0.0268542115f,
                         0.112835944f,    -0.37612626f,    0.128379166f};
  return polynomial(z, c);
}
CINCH_INLINE double erf_series(double z) {
  constexpr double c[] = {-7.795898827002142e-10, 1.3720064546777686e-08, -1.6208483801871705e-07,
                          1.6447424703317362e-06, -1.492473690741966e-05, 0.00012055294904839707,
                          -0.0008548325975389692, 0.0052239776071164225,  -0.02686617064323777,
                          0.11283791670945006,    -0.37612638903183543,   0.12837916709551256};
  return polynomial(z, c);
}

/// (arctan(t) / t - 1) / z over z = t^2 <= tan(pi / 8)^2.
CINCH_INLINE float arctan_series(float z) {
  constexpr float c[] = {-0.0645088181f, 0.107434154f, -0.142639264f, 0.199995399f, -0.333333313f};
  return polynomial(z, c);
}
CINCH_INLINE double arctan_series(double z) {
  constexpr double c[] = {-0.019169476385361265, 0.03922560559586107,  -0.05085240174154878,
                          0.05858108856106755,   -0.06664506835133263, 0.07692182863309693,
                          -0.09090904564022367,  0.11111111014909221,  -0.14285714284662226,
                          0.199999999999955,     -0.3333333333333333};
  return polynomial(z, c);
}

/// (arcsin(s) / s - 1) / z over z = s^2 <= 1/4.
CINCH_INLINE float arcsin_series(float z) {
  constexpr float c[] = {0.0336908475f, 0.0171492379f, 0.0311006624f,
                         0.0445994027f, 0.0750009418f, 0.166666657f};
  return polynomial(z, c);
}
CINCH_INLINE double arcsin_series(double z) {
  constexpr double c[] = {0.028757851367421566, -0.014851887071247204, 0.01740087944269402,
                          0.005457506718640358, 0.01032281435018578,   0.011479177415184906,
                          0.013971212973552933, 0.017352392720869973,  0.02237217294214989,
                          0.030381944138531247, 0.04464285714635543,   0.07499999999998433,
                          0.16666666666666669};
  return polynomial(z, c);
}

/// The leading half of the digits of a; what is left has no more.
template <class T>
CINCH_INLINE T leading_half(T a) {
  using U = std::make_unsigned_t<typename FloatBits<T>::Int>;
  return std::bit_cast<T>(static_cast<U>(std::bit_cast<U>(a) & FunctionBounds<T>::upper_half));
}

/// erfc(sqrt(scale) a) for a >= 0, scale 1 or 1/2.
template <class T>
CINCH_INLINE T erfc_positive(T a, T root = 1, T scale = 1) {
  using B = FunctionBounds<T>;
  const T most = B::erfc_zero / root;
  a = FastMath::at_most(a, most);
  const T z = root * a;
  const T t = (z - B::erfc_middle) / (z + B::erfc_middle);
  const T g = erfc_series(t) / (T(1) + T(2) * z);
  // exp(-a^2) needs more digits of a^2 than fit: a^2 = h^2 + (a - h) (a + h), h^2 exact.
  const T h = leading_half(a);
  const FastMath::Reduced<T> e = FastMath::reduce(-scale * h * h, scale * (a - h) * (a + h));
  return (e.tail + T(1)) * g * e.scale * e.rest;
}

/// erf(x) for |x| <= 1.
template <class T>
CINCH_INLINE T erf_near_zero(T x) {
  return x + x * erf_series(x * x);
}

template <class T>
CINCH_INLINE T FastMath::erfc(T x) {
  const T a = abs(x);
  const T y = erfc_positive(a);
  const T far = x < T(0) ? T(2) - y : y;
  return x != x ? x : (a < T(0.5) ? T(1) - erf_near_zero(x) : far);
}

template <class T>
CINCH_INLINE T FastMath::normal_cdf(T x) {
  constexpr T root_half = T(0.70710678118654752440);
  const T a = abs(x);
  const T y = T(0.5) * erfc_positive(a, root_half, T(0.5));
  const T near = T(0.5) + T(0.5) * erf_near_zero(root_half * x);
  const T far = x < T(0) ? y : T(1) - y;
  return x != x ? x : (a < T(0.5) ? near : far);
}

template <class T>
CINCH_INLINE T FastMath::exp_of_product(T x, T y) {
  const T p = x * y;
#if defined(__FMA__)
  const T lost = -fused_sum(x, y, -p);  // p - x y
#else
  const T xh = leading_half(x), xl = x - xh, yh = leading_half(y), yl = y - yh;
  const T lost = ((p - xh * yh) - xh * yl - xl * yh) - xl * yl;  // p - x y
#endif
  const Reduced<T> e = reduce(p, abs(p) < T(1000) ? lost : T(0));
  return p != p ? p : (e.tail + T(1)) * e.scale * e.rest;
}

template <class T>
CINCH_INLINE T FastMath::erf(T x) {
  const T a = abs(x);
  const T far = copy_sign(T(1) - erfc_positive(a), x);
  return x != x ? x : (a < T(1) ? erf_near_zero(x) : far);
}

/// 2 artanh(s) for s = t / (2 + t), of which t and t^2 / 2 are taken exactly.
template <class T>
CINCH_INLINE T FastMath::log1p_of_fraction(T t) {
  const T s = t / (T(2) + t), z = s * s, half_square = T(0.5) * t * t;
  return t - (half_square - s * (half_square + z * artanh_series(z)));
}

/// By exp(-2 |x|) - 1, of which neither the power of two nor the result leaves the normal range.
template <class T>
CINCH_INLINE T FastMath::tanh(T x) {
  using B = FloatBits<T>;
  constexpr T low = sizeof(T) == 4 ? T(-40) : T(-60);  // Below, the result is -1.
  const T m = at_least(T(-2) * abs(x), low);
  const T shifted = m * B::log2_e + B::biased, n = shifted - B::biased;
  T r = m - n * B::ln2_high;
  r = r - n * B::ln2_low;
  const T power = power_of_two(shifted);
  const T t = (exp_series(r) * r * r + r) * power + (power - T(1));
  const T y = copy_sign(t / (t + T(2)), x);
  return x != x ? x : y;
}

template <class T>
CINCH_INLINE T FastMath::sinh(T x) {
  const T a = abs(x);
  const Reduced<T> e = reduce(a);
  const T power = e.scale * e.rest;
  const T t = e.tail * power + (power - T(1));  // exp(a) - 1
  const T y = T(0.5) * (t + t / (t + T(1)));
  const T large = (e.tail + T(1)) * e.scale * (T(0.5) * e.rest);
  return x != x ? x : copy_sign(a > T(30) ? large : y, x);
}

template <class T>
CINCH_INLINE T FastMath::cosh(T x) {
  const T a = abs(x);
  const Reduced<T> e = reduce(a);
  const T half = (e.tail + T(1)) * e.scale * (T(0.5) * e.rest);  // exp(a) / 2
  return x != x ? x : half + T(0.25) / half;
}

template <class T>
CINCH_INLINE T FastMath::exp2(T x) {
  using B = FunctionBounds<T>;
  const T round = FloatBits<T>::biased;
  const T y = at_least(at_most(x, B::exp2_high), B::exp2_low);
  const T n = (y + round) - round;
  const T r = (y - n) * T(0.69314718055994531);
  const T half = n * T(0.5) + round;
  const T other = (n - (half - round)) + round;
  const T tail = exp_series(r) * r * r + r;
  const T result = (tail + T(1)) * power_of_two(half) * power_of_two(other);
  return x != x ? x : result;
}

/// What a logarithm is at 0, below, at infinity and of NaN, else `y`.
template <class T>
CINCH_INLINE T logarithm_or_special(T x, T y) {
  const T inf = __builtin_huge_val();
  const T special = x == T(0) ? -inf : (x < T(0) ? T(__builtin_nan("")) : x);
  return ((x > T(0)) & (x < inf)) ? y : special;
}

template <class T>
CINCH_INLINE T FastMath::log2(T x) {
  const SplitLog<T> l = split_log(x);
  return logarithm_or_special(x, l.mantissa() * T(1.4426950408889634) + l.exponent);
}

template <class T>
CINCH_INLINE T FastMath::log10(T x) {
  using B = FunctionBounds<T>;
  const SplitLog<T> l = split_log(x);
  const T low = l.mantissa() * T(0.43429448190325183) + l.exponent * B::log10_2_low;
  return logarithm_or_special(x, l.exponent * B::log10_2_high + low);
}

/// log(1 + w) where `large` is false, log(2 a) where it is true, both from one logarithm; for
/// finite arguments.
template <class T>
CINCH_INLINE T log1p_or_log(T w, T a, bool large) {
  const T sum = T(1) + w;
  const T u = large ? a : sum;
  const T lost = large ? T(0.69314718055994531) : (w - (sum - T(1))) / sum;
  const T y = FastMath::log_finite(u, lost);
  return ((sum == T(1)) & !large) ? w : y;
}

template <class T>
CINCH_INLINE T FastMath::asinh(T x) {
  const T inf = __builtin_huge_val();
  const T a = abs(x), a2 = a * a;
  const T w = a + a2 / (T(1) + sqrt(T(1) + a2));
  const T y = log1p_or_log(w, a, a > FunctionBounds<T>::squares);
  return copy_sign(a < inf ? y : a, x);
}

template <class T>
CINCH_INLINE T FastMath::acosh(T x) {
  const T inf = __builtin_huge_val();
  const T t = x - T(1);
  const T w = t + sqrt(t * (t + T(2)));
  const T y = log1p_or_log(w, x, x > FunctionBounds<T>::squares);
  return x < T(1) ? T(__builtin_nan("")) : (x < inf ? y : x);
}

template <class T>
CINCH_INLINE T FastMath::atanh(T x) {
  const T a = abs(x);
  return copy_sign(T(0.5) * log1p(T(2) * a / (T(1) - a)), x);
}

// Conditions that come back from a function are numbers, 0 or 1: a bool in a structure would keep
// the loop from becoming SIMD code.

/// arctan(num / den) = eighths pi / 4 + tail, for finite 0 <= num <= den, den > 0.
template <class T>
struct ArctanParts {
  T tail, eighths;
};
template <class T>
CINCH_INLINE ArctanParts<T> arctan_parts(T num, T den) {
  const T far = num > T(0.41421356237309503) * den ? T(1) : T(0);  // tan(pi / 8)
  const T t = (num - far * den) / (den + far * num);
  const T z = t * t;
  return {t + t * z * arctan_series(z), far};
}

/// eighths pi / 4 + tail, with the digits of pi that do not fit.
template <class T>
CINCH_INLINE T angle(T eighths, T tail) {
  using B = FunctionBounds<T>;
  const T quarters = T(0.5) * eighths;
  return quarters * B::half_pi_high + (quarters * B::half_pi_low + tail);
}

template <class T>
CINCH_INLINE T FastMath::atan(T x) {
  const T a = abs(x) < T(1e30) ? abs(x) : T(1e30);  // There it is pi / 2 to rounding.
  const T steep = a > T(1) ? T(1) : T(0);
  const ArctanParts<T> p = arctan_parts(a > T(1) ? T(1) : a, a > T(1) ? a : T(1));
  const T eighths = p.eighths + steep * (T(2) - T(2) * p.eighths);  // 2 - eighths if steep
  return x != x ? x : copy_sign(angle(eighths, p.tail * (T(1) - T(2) * steep)), x);
}

template <class T>
CINCH_INLINE T FastMath::atan2(T y, T x) {
  const T inf = __builtin_huge_val();
  const T ay = abs(y), ax = abs(x);
  const T larger = ay > ax ? ay : ax, smaller = ay > ax ? ax : ay;
  const T steep = ay > ax ? T(1) : T(0), left = copy_sign(T(1), x) < T(0) ? T(1) : T(0);
  // Neither 0 / 0 nor an infinity, nor a sum that overflows.
  const bool huge = larger > T(1e37), endless = larger == inf;
  T num = huge ? T(0.25) * smaller : smaller, den = huge ? T(0.25) * larger : larger;
  num = endless ? (smaller == inf ? T(1) : T(0)) : num;
  den = (endless | (larger == T(0))) ? T(1) : den;
  const ArctanParts<T> p = arctan_parts(num, den);
  T eighths = p.eighths + steep * (T(2) - T(2) * p.eighths);
  T tail = p.tail * (T(1) - T(2) * steep);
  eighths = eighths + left * (T(4) - T(2) * eighths);
  tail = tail * (T(1) - T(2) * left);
  const T result = copy_sign(angle(eighths, tail), y);
  return x != x ? x : (y != y ? y : result);
}

/// With a = |x|: arcsin(a) = v where far is 0, and pi / 2 - 2 v where it is 1, by arcsin(a) = pi /
/// 2
/// - 2 arcsin(sqrt((1 - a) / 2)).
template <class T>
struct ArcsinParts {
  T v, far;
};
template <class T>
CINCH_INLINE ArcsinParts<T> arcsin_parts(T a) {
  const T root = FastMath::sqrt(T(0.5) * (T(1) - a));
  const T s = a > T(0.5) ? root : a;
  const T z = a > T(0.5) ? T(0.5) * (T(1) - a) : a * a;
  return {s + s * z * arcsin_series(z), a > T(0.5) ? T(1) : T(0)};
}

template <class T>
CINCH_INLINE T FastMath::asin(T x) {
  const ArcsinParts<T> p = arcsin_parts(abs(x));
  return copy_sign(angle(T(2) * p.far, p.v * (T(1) - T(3) * p.far)), x);
}

template <class T>
CINCH_INLINE T FastMath::acos(T x) {
  const ArcsinParts<T> p = arcsin_parts(abs(x));
  // pi / 2 - v or 2 v for x >= 0, pi / 2 + v or pi - 2 v for x < 0.
  const T sign = copy_sign(T(1), x);
  const T eighths = T(2) - T(2) * p.far * sign;
  return angle(eighths, sign * p.v * (T(3) * p.far - T(1)));
}

template <class T>
CINCH_INLINE T FastMath::hypot(T x, T y) {
  const T inf = __builtin_huge_val();
  const T ax = abs(x), ay = abs(y);
  const T larger = ax > ay ? ax : ay, smaller = ax > ay ? ay : ax;
  const T ratio = smaller / (larger == T(0) ? T(1) : larger);
  const T length = larger * sqrt(T(1) + ratio * ratio);
  return ((ax == inf) | (ay == inf)) ? inf : length;
}
