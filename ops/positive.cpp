#include "ops/positive.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/engine_ops.hpp"
#include "core/graph.hpp"
#include "core/leaves.hpp"
#include "ops/activation.hpp"
#include "ops/along.hpp"
#include "ops/arithmetic.hpp"
#include "ops/expansion.hpp"
#include "ops/index.hpp"
#include "ops/logsumexp.hpp"
#include "ops/prod.hpp"
#include "ops/reduce.hpp"
#include "ops/reduction.hpp"
#include "ops/root.hpp"
#include "ops/shape.hpp"
#include "ops/slopes.hpp"
#include "ops/special.hpp"
#include "ops/trigonometry.hpp"

namespace cinch {

namespace {

constexpr int deepest = 12;  // Levels that are looked at; formulas written by hand have fewer.
constexpr std::int64_t largest_constant = 4096;  // Elements that are looked at for their signs.
constexpr double ln2 = 0.69314718055994530942;

bool is(const Expr& e, const Op& op) { return &e.op() == &op; }
bool whole(double k) { return k == std::floor(k); }
bool odd(double k) { return std::fmod(std::abs(k), 2) == 1; }

/// The value of a constant scalar.
std::optional<double> number(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || value->rank() != 0) return {};
  return value->at(0);
}

/// Whether a number is positive, and so is its inverse.
bool usual(double x) { return x > 1e-300 && x < 1e300; }

/// Sum of coefficient * term + constant: whether two exponents are multiples of each other.
struct Linear {
  std::vector<std::pair<Expr, double>> terms = {};
  double constant = 0;

  void add(const Expr& e, double k, int depth = deepest) {
    if (!e.has_value()) return;
    const std::optional<double> value = number(e);
    if (value) {
      constant += k * *value;
    } else if (depth == 0) {
      add_term(e, k);
    } else if (is(e, add_op) || is(e, sub_op)) {
      add(e.inputs()[0], k, depth - 1);
      add(e.inputs()[1], is(e, sub_op) ? -k : k, depth - 1);
    } else if (is(e, neg_op)) {
      add(e.inputs()[0], -k, depth - 1);
    } else if (is(e, mul_op) && number(e.inputs()[0])) {
      add(e.inputs()[1], k * *number(e.inputs()[0]), depth - 1);
    } else if (is(e, mul_op) && number(e.inputs()[1])) {
      add(e.inputs()[0], k * *number(e.inputs()[1]), depth - 1);
    } else if (is(e, div_op) && number(e.inputs()[1]) && *number(e.inputs()[1]) != 0) {
      add(e.inputs()[0], k / *number(e.inputs()[1]), depth - 1);
    } else {
      add_term(e, k);
    }
  }
  void add(const Linear& other, double k) {
    for (const auto& [term, coefficient] : other.terms) add_term(term, k * coefficient);
    constant += k * other.constant;
  }
  double coefficient(const Expr& term) const {
    for (const auto& [mine, k] : terms) {
      if (mine == term) return k;
    }
    return 0;
  }

 private:
  void add_term(const Expr& e, double k) {
    for (auto term = terms.begin(); term != terms.end(); ++term) {
      if (!(term->first == e)) continue;
      const double total = term->second + k;
      // What is left by rounding of coefficients such as .1 is nothing.
      if (std::abs(total) <= 1e-14 * std::abs(k)) {
        terms.erase(term);
      } else {
        term->second = total;
      }
      return;
    }
    if (k != 0) terms.emplace_back(e, k);
  }
};

Expr times(double k, const Expr& x) { return k == 1 ? x : k == -1 ? -x : k * Arg(x); }
Expr plus(const Expr& a, const Expr& b) { return !a.has_value() ? b : !b.has_value() ? a : a + b; }

/// k (a - b), where an empty expression is 0; in one term where it has only one, so that x - -x is
/// 2 x.
Expr difference(const Expr& a, const Expr& b, double k) {
  Linear sum;
  sum.add(a, k);
  sum.add(b, -k);
  if (sum.terms.size() == 1) {
    const Expr x = times(sum.terms[0].second, sum.terms[0].first);
    return sum.constant == 0 ? x : x + sum.constant;
  }
  if (!b.has_value()) return times(k, a);
  if (!a.has_value()) return times(-k, b);
  return times(k, a - b);
}

/// log(exp(a) + exp(b)), an empty b being 0.
Expr log_of_sum(const Expr& a, const Expr& b) {
  return b.has_value() ? logaddexp(a, b) : softplus(a);
}

/// log(1 - t + 3 t^2 - 15 t^3 ...), which the tails of a normal distribution have besides their
/// exponential: to 1e-8 for t up to 1/50, to 1e-16 up to 1/288.
Expr log_of_tail(const Expr& t) {
  Expr rest = 1 - 19 * t;
  for (int k = 17; k > 1; k -= 2) rest = 1 - k * t * rest;
  return log1p(-(t * rest));
}

/// log(P(X <= x)) for a standard normal X, also where the probability vanishes.
Expr log_normal_cdf(const Expr& x) {
  constexpr double log_root_two_pi = 0.91893853320467274178;
  // Powers of the probability there, in derivatives, are still numbers.
  const double edge = x.dtype() == DType::float32 ? -7.1 : -17;
  const Expr below = x < edge, far = switch_(below, x, edge);
  const Expr tail =
      -(0.5 * square(far) + (final_log(-far) + log_root_two_pi)) + log_of_tail(1 / square(far));
  return switch_(below, tail, final_log(normal_cdf(switch_(below, edge, x))));
}

/// log(erfc(x)), also where erfc vanishes.
Expr log_erfc(const Expr& x) {
  constexpr double log_root_pi = 0.57236494292470008707;
  const double edge = x.dtype() == DType::float32 ? 5 : 12;
  const Expr above = x > edge, far = switch_(above, x, edge);
  const Expr tail =
      -(square(far) + (final_log(far) + log_root_pi)) + log_of_tail(0.5 / square(far));
  return switch_(above, tail, final_log(erfc(switch_(above, edge, x))));
}

struct Power {
  Expr x;
  double k;
  bool counts = false;  ///< It is a number of elements.
};
struct Pair {
  Expr a, b;  ///< An empty b is 0.
  double k;
};
struct Known {
  Expr value, log;
  double k;
  bool grows;
};

/// A sum of terms weight * exp(log), of which nothing says that it is positive.
struct Weighted {
  Expr sum;             ///< As it was written.
  Expr terms, weights;  ///< Their logarithms, over the axes that the sum goes over.
  std::vector<std::int64_t> axes;
  double k;
};

/// What is known of a positive expression.
struct Positive {
  Expr log = {};         ///< Empty: nothing is known.
  bool grows = false;    ///< It may overflow where its logarithm does not,
  bool vanishes = true;  ///< or be 0.
};

/// constant * product of exp(x)^k, (exp(a) + exp(b))^k, (exp(a) - exp(b))^k, values known by their
/// logarithms, and the rest.
struct Product {
  double constant = 1;
  std::vector<Power> exps = {}, rest = {};
  std::vector<Pair> sums = {}, differences = {};
  std::vector<Known> known = {};
  std::vector<Weighted> weighted = {};
  bool divided = false;  ///< By something that overflows or vanishes.
  bool rooted = false;   ///< A root, or a power that is not whole, was taken of such.
  int growing = 0;       ///< Factors that overflow.

  bool plain() const {
    return exps.empty() && sums.empty() && differences.empty() && known.empty() && weighted.empty();
  }
  bool positive() const {
    const bool known_signs = std::ranges::all_of(rest, [](const Power& x) { return x.counts; });
    return constant > 0 && known_signs && differences.empty() && weighted.empty();
  }
};

/// Whether `e` is a number of elements: a size, one of several, or a product of such.
bool is_count(const Expr& e, int depth = 8) {
  if (is(e, size_op)) return true;
  if (depth == 0) return false;
  const auto counts = [&](std::size_t k) {
    const Expr& input = e.inputs()[k];
    const std::optional<double> value = number(input);
    return value ? *value > 0 : is_count(input, depth - 1);
  };
  if (is(e, cast_op)) return counts(0);
  if (is(e, switch_op)) return counts(1) && counts(2);
  return (is(e, mul_op) || is(e, maximum_op)) && counts(0) && counts(1);
}

/// Ops that put elements elsewhere and change none: their logarithm is that of the elements.
bool rearranges(const Op& op) {
  return &op == &dimshuffle_op || &op == &reshape_op || &op == &broadcast_to_op ||
         &op == &narrow_op || &op == &take_op || &op == &take_along_op;
}

Expr product_of(const std::vector<Power>& rest);

class Reader {
 public:
  /// Multiplies `e` to the power k into `p`.
  void read(const Expr& e, double k, Product& p, int depth) {
    const std::optional<double> value = number(e);
    if (value) return read_constant(e, *value, k, p);
    if (depth == 0 || --budget_ < 0) return rest(e, k, p);
    if (is_count(e)) return p.rest.push_back({e, k, true});
    if (is(e, exp_op)) return exponential(e.inputs()[0], k, p);
    if (is(e, exp2_op)) return exponential(ln2 * e.inputs()[0], k, p);
    if (is(e, neg_op) && whole(k)) {
      if (odd(k)) p.constant = -p.constant;
      return read(e.inputs()[0], k, p, depth - 1);
    }
    if (is(e, mul_op) || (is(e, div_op) && !is_final(e)))
      return read_two(e, k, is(e, mul_op) ? k : -k, p, depth);
    if (is(e, square_op)) return read_power(e, e.inputs()[0], 2, k, p, depth);
    if (is(e, sqrt_op) || is(e, length_op)) return read_power(e, e.inputs()[0], 0.5, k, p, depth);
    if (is(e, pow_op)) {
      if (const std::optional<double> by = number(e.inputs()[1]); by && *by != 0)
        return read_power(e, e.inputs()[0], *by, k, p, depth);
      if (const std::optional<double> base = number(e.inputs()[0]); base && usual(*base))
        return exponential(std::log(*base) * e.inputs()[1], k, p);
    }
    const bool bounded = is(e, sigmoid_op) || is(e, sech_op) || is(e, sigmoid_slope_op);
    if (k < 0 && (bounded || is(e, cosh_op))) p.divided = true;
    if (is(e, sigmoid_op)) return add_sum(-e.inputs()[0], {}, -k, p);
    if (is(e, sigmoid_slope_op))
      return add_sum(0.5 * e.inputs()[0], -0.5 * e.inputs()[0], -2 * k, p);
    if (is(e, cosh_op) || is(e, sech_op)) {
      const double by = is(e, cosh_op) ? k : -k;
      p.constant *= std::pow(0.5, by);
      if (is(e, cosh_op) && k > 0) ++p.growing;
      return add_sum(e.inputs()[0], -e.inputs()[0], by, p);
    }
    if (whole(k) && std::abs(k) <= 2) {
      if (is(e, expm1_op)) return add_difference(e.inputs()[0], {}, k, p);
      if (is(e, sinh_op)) {
        p.constant *= std::pow(0.5, k);
        return add_difference(e.inputs()[0], -e.inputs()[0], k, p);
      }
      if (is(e, sub_op) && is(e.inputs()[0], exp_op) && is(e.inputs()[1], exp_op))
        return add_difference(e.inputs()[0].inputs()[0], e.inputs()[1].inputs()[0], k, p);
    }
    if (is(e, add_op) && read_sum(e, k, p, depth)) return;
    if (const Positive known = positive(e, depth); known.log.has_value()) {
      p.known.push_back({e, known.log, k, known.grows});
      p.growing += known.grows && k > 0;
      p.divided |= k < 0 && (known.grows || known.vanishes);
      return;
    }
    if (std::abs(k) == 1 && (is(e, sum_op) || is(e, add_op) || is(e, sub_op))) {
      std::optional<Weighted> sum = is(e, sum_op) ? weighted_sum(e, depth) : two_terms(e, depth);
      if (sum) {
        sum->k = k;
        p.weighted.push_back(std::move(*sum));
        return;
      }
    }
    rest(e, k, p);
  }

  /// Whether `e` has factors that overflow.
  bool grows(const Expr& e) {
    Product p;
    read(e, 1, p, deepest);
    return p.growing > 0;
  }

  /// The logarithm of `e`, where it is known to be positive and in other terms than log(e).
  Positive positive(const Expr& e, int depth) {
    const auto known = known_.find(e.get());
    if (known != known_.end()) return known->second;
    const bool looks = depth > 0 && is_float(e.dtype()) && --budget_ >= 0;
    const Positive result = looks ? find(e, depth - 1) : Positive{};
    return known_[e.get()] = result;
  }

 private:
  struct Term {
    Expr weight, log;
  };

  /// `e` as weight * exp(log), where the exponential may overflow.
  std::optional<Term> term(const Expr& e, int depth) {
    Product p;
    read(e, 1, p, depth);
    if (p.growing == 0 || !p.differences.empty() || !p.weighted.empty()) return {};
    Product weight{.constant = p.constant, .rest = std::move(p.rest)};
    p.constant = 1;
    p.rest.clear();
    const Expr log = log_of(std::move(p));
    if (!log.has_value()) return {};
    const Expr rest = product_of(weight.rest);
    return Term{rest.has_value() ? times(weight.constant, rest) : literal(weight.constant), log};
  }

  std::optional<Weighted> weighted_sum(const Expr& e, int depth) {
    const Expr& x = e.inputs()[0];
    const std::optional<Term> each = term(x, depth - 1);
    if (!each) return {};
    return Weighted{e, broadcast_if_other(each->log, x),
                    broadcast_if_other(cast(each->weight, x.dtype()), x), e.attrs().ints, 1};
  }

  std::optional<Weighted> two_terms(const Expr& e, int depth) {
    const std::optional<Term> a = term(e.inputs()[0], depth - 1),
                              b = term(e.inputs()[1], depth - 1);
    if (!a || !b) return {};
    const auto pair = [&](const Expr& first, const Expr& second) {
      return stack(
          {broadcast_like(cast(first, e.dtype()), e), broadcast_like(cast(second, e.dtype()), e)},
          -1);
    };
    return Weighted{e,
                    pair(a->log, b->log),
                    pair(a->weight, is(e, sub_op) ? -b->weight : b->weight),
                    {e.rank()},
                    1};
  }

  static Expr broadcast_if_other(const Expr& x, const Expr& like) {
    return x.dims() == like.dims() ? x : broadcast_like(x, like);
  }

  static void rest(const Expr& e, double k, Product& p) { p.rest.push_back({e, k}); }

  static void exponential(const Expr& x, double k, Product& p) {
    p.exps.push_back({x, k});
    ++p.growing;
    if (k < 0) p.divided = true;
  }

  static void read_constant(const Expr& e, double value, double k, Product& p) {
    const double power = std::pow(std::abs(value), k);
    if (!(power > 1e-30 && power < 1e30 && (value > 0 || whole(k)))) return rest(e, k, p);
    p.constant *= value < 0 && odd(k) ? -power : power;
  }

  void read_two(const Expr& e, double k, double second, Product& p, int depth) {
    const bool apart =
        whole(k) || (sign_known(e.inputs()[0], depth) && sign_known(e.inputs()[1], depth));
    if (!apart) return rest(e, k, p);
    read(e.inputs()[0], k, p, depth - 1);
    read(e.inputs()[1], second, p, depth - 1);
  }

  void read_power(const Expr& e, const Expr& x, double by, double k, Product& p, int depth) {
    const bool powers = whole(by) && whole(k);
    if (!powers && !sign_known(x, depth)) return rest(e, k, p);
    const std::size_t before = p.exps.size() + p.sums.size() + p.known.size();
    read(x, k * by, p, depth - 1);
    if (!whole(by) && p.exps.size() + p.sums.size() + p.known.size() > before) p.rooted = true;
  }

  bool sign_known(const Expr& e, int depth) {
    const std::optional<double> value = number(e);
    return value ? *value > 0 : positive(e, depth).log.has_value();
  }

  /// (exp(a) + exp(b))^k; equal ones are one.
  static void add_sum(const Expr& a, const Expr& b, double k, Product& p) {
    p.sums.push_back({a, b, k});
  }

  static void add_difference(const Expr& a, const Expr& b, double k, Product& p) {
    p.differences.push_back({a, b, k});
    ++p.growing;
    if (k < 0) p.divided = true;
  }

  /// a + b of positive operands, one of them an exponential or the like.
  bool read_sum(const Expr& e, double k, Product& p, int depth) {
    Expr a = e.inputs()[0], b = e.inputs()[1];
    if (number(a)) std::swap(a, b);
    if (is(a, expm1_op) && number(b) && usual(*number(b) - 1)) {
      a = exp(a.inputs()[0]);
      b = literal(*number(b) - 1);
    }
    const Positive first = positive(a, depth);
    if (!first.log.has_value()) return false;
    bool grows = first.grows;
    if (const std::optional<double> value = number(b)) {
      if (!usual(*value) || !first.grows) return false;
      p.constant *= std::pow(*value, k);
      add_sum(*value == 1 ? first.log : first.log - std::log(*value), {}, k, p);
    } else {
      const Positive second = positive(b, depth);
      if (!second.log.has_value()) return false;
      grows |= second.grows;
      if (!first.vanishes && !second.vanishes && !grows) return false;
      add_sum(first.log, second.log, k, p);
      p.divided |= k < 0;  // Of parts that all vanish, or one that overflows.
    }
    if (grows) {
      p.growing += k > 0;
      p.divided |= k < 0;
    }
    return true;
  }

  Positive find(const Expr& e, int depth) {
    if (const Tensor* value = constant_value(e)) {
      if (value->size() > largest_constant) return {};
      for (std::int64_t i = 0; i < value->size(); ++i) {
        if (!usual(value->at(i))) return {};
      }
      return {log(e), false, false};
    }
    if (is_leaf(e)) return {};
    const Op& op = e.op();
    if (is(e, normal_cdf_op)) return {log_normal_cdf(e.inputs()[0])};
    if (is(e, erfc_op)) return {log_erfc(e.inputs()[0])};
    const auto first = [&] { return positive(e.inputs()[0], depth); };
    const auto again = [&](const Expr& x) { return apply(op, {x}, e.attrs()); };
    if (is(e, softmax_op)) return {apply(log_softmax_op, {e.inputs()[0]}, e.attrs())};
    if (is(e, sum_op) || is(e, max_op) || is(e, min_op) || is(e, prod_op)) {
      const Positive x = first();
      if (!x.log.has_value()) return {};
      const Op& in_logs = is(e, sum_op) ? logsumexp_op : is(e, prod_op) ? sum_op : op;
      const bool grows = x.grows || is(e, prod_op);
      return {apply(in_logs, {x.log}, e.attrs()), grows, x.vanishes || is(e, prod_op)};
    }
    if (is(e, maximum_op) || is(e, minimum_op) || is(e, switch_op) || is(e, concatenate_op)) {
      const std::size_t from = is(e, switch_op) ? 1 : 0;
      std::vector<Expr> logs(e.inputs().begin(), e.inputs().end());
      Positive result{{}, false, false};
      for (std::size_t i = from; i < logs.size(); ++i) {
        const std::optional<double> value = number(logs[i]);
        if (value && !usual(*value)) return {};
        const Positive x =
            value ? Positive{literal(std::log(*value)), false, false} : positive(logs[i], depth);
        if (!x.log.has_value()) return {};
        logs[i] = x.log;
        result.grows |= x.grows;
        result.vanishes |= x.vanishes;
      }
      result.log = apply(op, logs, e.attrs());
      return result;
    }
    if (rearranges(op)) {
      Positive x = first();
      if (!x.log.has_value()) return {};
      std::vector<Expr> inputs(e.inputs().begin(), e.inputs().end());
      inputs[0] = x.log;
      x.log = apply(op, inputs, e.attrs());
      return x;
    }
    if (is(e, cast_op) && is_float(e.inputs()[0].dtype())) {
      Positive x = first();
      if (x.log.has_value()) x.log = again(x.log);
      return x;
    }
    if (is(e, pow_op) && !number(e.inputs()[1])) {
      const std::optional<double> base = number(e.inputs()[0]);
      if (base) {
        if (!usual(*base)) return {};
        return {std::log(*base) * e.inputs()[1], true, true};
      }
      const Positive x = first();
      return x.log.has_value() ? Positive{e.inputs()[1] * x.log, true, true} : Positive{};
    }
    Product p;
    if (is(e, exp_op) || is(e, exp2_op) || is(e, sigmoid_op) || is(e, cosh_op) || is(e, sech_op) ||
        is(e, sigmoid_slope_op) || is(e, mul_op) || is(e, div_op) || is(e, square_op) ||
        is(e, sqrt_op) || is(e, length_op) || is(e, pow_op)) {
      read(e, 1, p, depth);
    } else if (!is(e, add_op)) {
      return {};
    } else if (!read_sum(e, 1, p, depth)) {
      return bounded_sum(e, depth);
    }
    if (!p.positive()) return {};
    if (p.plain())
      return p.rest.empty() ? Positive{literal(std::log(p.constant)), false, false} : Positive{};
    const bool sum = is(e, add_op) && !p.sums.empty() && !p.sums[0].b.has_value();
    return {log_of(p), p.growing > 0 || p.divided, !sum};
  }

  /// A constant plus what neither overflows nor takes anything away: its own logarithm is good.
  Positive bounded_sum(const Expr& e, int depth) {
    for (const std::size_t k : {0u, 1u}) {
      const std::optional<double> value = number(e.inputs()[k]);
      if (value && usual(*value) && positive(e.inputs()[1 - k], depth).log.has_value())
        return {log(e), false, false};
    }
    return {};
  }

 public:
  static Expr log_of(Product p);

 private:
  NodeMap<Positive> known_;
  int budget_ = 200;  // Nodes looked at: formulas written by hand have fewer, generated ones do not
                      // become slow.
};

/// exp(left a + right b) / (exp(a) + exp(b))^(left + right) is sigmoid(a - b)^left
/// sigmoid(b - a)^right.
struct Shares {
  double left, right;
};

/// What of `exponent` the sum takes up, leaving fewer terms: exp(left a + right b) with left +
/// right = k, both at least 0.
std::optional<Shares> take_up(const Pair& sum, Linear& exponent) {
  const double k = -sum.k;
  Linear apart;
  apart.add(sum.a, 1);
  apart.add(sum.b, -1);
  Linear left_over = exponent;
  left_over.add(sum.b, -k);
  if (apart.terms.empty()) return {};
  const double share = left_over.coefficient(apart.terms[0].first) / apart.terms[0].second;
  if (!(share >= 0 && share <= k)) return {};
  left_over.add(apart, -share);
  for (const auto& [term, coefficient] : apart.terms) {
    if (left_over.coefficient(term) != 0) return {};
  }
  if (std::abs(left_over.constant) > 30) return {};
  exponent = left_over;
  return Shares{share, k - share};
}

Expr power(const Expr& x, double k) {
  if (k == 1) return x;
  if (k == 2) return square(x);
  if (k == 0.5) return sqrt(x);
  return pow(x, k);
}

/// Whether a - b = c - d, where an empty expression is 0.
bool parallel(const Expr& a, const Expr& b, const Expr& c, const Expr& d) {
  Linear sum;
  sum.add(a, 1);
  sum.add(b, -1);
  sum.add(c, -1);
  sum.add(d, 1);
  return sum.terms.empty() && sum.constant == 0;
}

/// Sums that differ by an exponential are one; differences become sums times a hyperbolic
/// tangent.
void gather(Product& p) {
  for (const Pair& d : p.differences) {
    p.rest.push_back({tanh(difference(d.a, d.b, 0.5)), d.k});
    p.sums.push_back(d);
  }
  p.differences.clear();
  for (const Weighted& w : p.weighted) p.rest.push_back({w.sum, w.k});
  p.weighted.clear();
  std::vector<Pair> sums;
  for (const Pair& sum : p.sums) {
    const bool known = std::ranges::any_of(sums, [&](Pair& other) {
      // exp(a) + exp(b) is exp(b - d) (exp(c) + exp(d)) where a - b = c - d.
      const bool same = parallel(sum.a, sum.b, other.a, other.b);
      if (!same && !parallel(sum.a, sum.b, other.b, other.a)) return false;
      const Expr &mine = sum.b, &theirs = same ? other.b : other.a;
      if (!parallel(mine, {}, theirs, {})) {
        if (mine.has_value()) p.exps.push_back({mine, sum.k});
        if (theirs.has_value()) p.exps.push_back({theirs, -sum.k});
      }
      other.k += sum.k;
      return true;
    });
    if (!known) sums.push_back(sum);
  }
  std::erase_if(sums, [](const Pair& sum) { return sum.k == 0; });
  p.sums = std::move(sums);
}

/// The factors of `rest` as one expression; empty if there are none.
Expr product_of(const std::vector<Power>& rest) {
  Expr above, below;
  for (const auto& [x, k, counts] : rest) {
    Expr& side = k > 0 ? above : below;
    const Expr factor = power(x, std::abs(k));
    side = side.has_value() ? side * factor : factor;
  }
  if (!below.has_value()) return above;
  return above.has_value() ? above / below : 1 / below;
}

Expr exponent_of(const std::vector<Power>& exps) {
  Expr sum;
  for (const auto& [x, k, counts] : exps) {
    if (k > 0 || !sum.has_value()) {
      sum = plus(sum, times(k, x));
    } else {
      sum = sum - times(-k, x);
    }
  }
  return sum;
}

Linear linear_of(const std::vector<Power>& exps) {
  Linear sum;
  for (const auto& [x, k, counts] : exps) sum.add(x, k);
  return sum;
}

/// The logarithm of the one weighted sum of `p`, and of the factors of unknown sign, which go into
/// its weights: only the whole need be positive. Takes them out of `p`.
Expr take_weighted(Product& p) {
  const Weighted w = std::move(p.weighted[0]);
  p.weighted.clear();
  std::vector<Power> factors;  // Upside down for 1 / sum, whose logarithm is -log(sum).
  for (const auto& [x, k, counts] : p.rest) {
    if (!counts) factors.push_back({x, w.k * k});
  }
  std::erase_if(p.rest, [](const Power& x) { return !x.counts; });
  Expr terms = w.terms, weights = p.constant < 0 ? -w.weights : w.weights;
  p.constant = std::abs(p.constant);
  std::vector<std::int64_t> axes = w.axes;
  if (Expr factor = product_of(factors); factor.has_value()) {
    if (factor.rank() > 0) {
      if (factor.rank() < w.sum.rank()) factor = broadcast_like(factor, w.sum);
      const std::int64_t more = factor.rank() - w.sum.rank();  // They lead those of the sum.
      for (std::int64_t& axis : axes) axis += more;
      factor = reduction::kept(factor, axes, terms.rank() + more);
    }
    weights = weights * factor;
    if (terms.dims() != weights.dims()) terms = broadcast_like(terms, weights);
  }
  return times(w.k, apply(weighted_logsumexp_op, {terms, weights}, {.ints = axes}));
}

Expr Reader::log_of(Product p) {
  Expr total;
  if (p.rest.empty() && p.differences.size() == 1 && p.differences[0].k == 1) {
    // log(exp(a) - exp(b)), NaN where it is negative.
    const Pair d = p.differences[0];
    const Expr &a = p.constant > 0 ? d.a : d.b, &b = p.constant > 0 ? d.b : d.a;
    total = plus(a, log1mexp(difference(b, a, 1)));
    p.constant = std::abs(p.constant);
    p.differences.clear();
  }
  if (p.weighted.size() == 1 && p.differences.empty()) total = plus(total, take_weighted(p));
  if (p.plain() && !total.has_value()) return {};
  gather(p);
  if (p.constant < 0) {
    if (p.rest.empty()) return {};
    p.rest[0].x = -p.rest[0].x;
    p.constant = -p.constant;
  }
  Linear exponent = linear_of(p.exps);
  Expr taken;
  for (Pair& sum : p.sums) {
    if (sum.k >= 0) continue;
    const std::optional<Shares> shares = take_up(sum, exponent);
    if (!shares) continue;
    const double both = std::min(shares->left, shares->right), left = shares->left - both,
                 right = shares->right - both;
    if (both > 0) taken = plus(taken, times(-2 * both, log_cosh(difference(sum.a, sum.b, 0.5))));
    if (left > 0) taken = plus(taken, times(-left, softplus(difference(sum.b, sum.a, 1))));
    if (right > 0) taken = plus(taken, times(-right, softplus(difference(sum.a, sum.b, 1))));
    p.constant *= std::pow(0.25, both);
    sum.k = 0;
  }
  if (taken.has_value()) {
    total = plus(total, taken);
    for (const auto& [x, k] : exponent.terms) total = plus(total, times(k, x));
    p.constant *= std::exp(exponent.constant);
  } else {
    total = plus(total, exponent_of(p.exps));
  }
  for (const auto& [a, b, k] : p.sums) {
    if (k == 0) continue;
    const bool mirrored = b.has_value() && parallel(a, {}, {}, b);  // exp(x) + exp(-x)
    if (mirrored) p.constant *= std::pow(2, k);
    total = plus(total, times(k, mirrored ? log_cosh(a) : log_of_sum(a, b)));
  }
  for (const auto& [value, log, k, grows] : p.known) total = plus(total, times(k, log));
  if (!total.has_value()) return {};
  if (p.constant != 1) total = total + std::log(p.constant);
  const Expr rest = product_of(p.rest);
  return rest.has_value() ? log(rest) + total : total;
}

/// (exp(a) + exp(b))^-k times the exponentials that it has taken up.
Expr quotient(const Pair& sum, const Shares& shares, double& constant) {
  Expr result;
  const double both = std::min(shares.left, shares.right);
  const auto times_power = [&](const Expr& x, double k) {
    if (k <= 0) return;
    const Expr factor = power(x, k);
    result = result.has_value() ? result * factor : factor;
  };
  if (both > 0) {
    if (whole(both)) {
      times_power(sigmoid_slope(difference(sum.a, sum.b, 1)), both);
    } else {
      times_power(sech(difference(sum.a, sum.b, 0.5)), 2 * both);
      constant *= std::pow(0.25, both);
    }
  }
  times_power(sigmoid(difference(sum.a, sum.b, 1)), shares.left - both);
  times_power(sigmoid(difference(sum.b, sum.a, 1)), shares.right - both);
  return result;
}

/// `y` if it is `f` of something over one axis that is then repeated, else empty.
Expr along_one_axis(const Expr& y, const Op& f, const Expr& over) {
  const bool moved = is(y, dimshuffle_op);
  const Expr& inner = moved ? y.inputs()[0] : y;
  if (!is(inner, f) || inner.attrs().ints.size() != 1 || over.rank() != inner.rank() + 1) return {};
  const std::int64_t axis = inner.attrs().ints[0];
  if (!moved) return axis == 0 ? inner : Expr();  // Sizes align from the right.
  std::vector<std::int64_t> pattern;
  for (std::int64_t k = 0; k < over.rank(); ++k) pattern.push_back(k < axis ? k : k - 1);
  pattern[static_cast<std::size_t>(axis)] = -1;
  return y.attrs().ints == pattern ? inner : Expr();
}

/// softmax(x) for exp(x) / sum(exp(x)) along an axis, also with the maximum taken out of x by hand.
Expr softmax_of(const Expr& x, const Expr& total) {
  const Expr sum = along_one_axis(total, sum_op, x);
  if (!sum.has_value() || !is(sum.inputs()[0], exp_op) || !(sum.inputs()[0].inputs()[0] == x))
    return {};
  Expr of = x;
  if (is(x, sub_op) && x.inputs()[0].rank() == x.rank()) {
    const Expr most = along_one_axis(x.inputs()[1], max_op, x);
    const bool taken_out =
        most.has_value() && most.inputs()[0] == x.inputs()[0] && most.attrs() == sum.attrs();
    if (taken_out) of = x.inputs()[0];
  }
  return apply(softmax_op, {of}, sum.attrs());
}

/// exp(x) and 1 / sum(exp(x)) among the factors are a softmax.
void find_softmax(Product& p) {
  for (std::size_t i = 0; i < p.known.size(); ++i) {
    if (p.known[i].k != -1) continue;
    for (std::size_t j = 0; j < p.exps.size(); ++j) {
      if (p.exps[j].k != 1) continue;
      const Expr share = softmax_of(p.exps[j].x, p.known[i].value);
      if (!share.has_value()) continue;
      p.known[i] = {share, apply(log_softmax_op, {share.inputs()[0]}, share.attrs()), 1, false};
      p.exps.erase(p.exps.begin() + static_cast<std::ptrdiff_t>(j));
      break;
    }
  }
}

/// log of the exponentials, sums and known values of `p`.
Expr log_of_factors(const Product& p) {
  Expr total = exponent_of(p.exps);
  for (const auto& [a, b, k] : p.sums) total = plus(total, times(k, log_of_sum(a, b)));
  for (const auto& [value, log, k, grows] : p.known) total = plus(total, times(k, log));
  return total;
}

/// A sum of weight * exp(log) with all else in the exponents; empty where there is no such sum, or
/// nothing that it is divided by.
Expr divided_inside(const Product& p, const Expr& e) {
  const bool one = p.weighted.size() == 1 && p.weighted[0].k == 1 && p.differences.empty();
  if (!one || !p.divided || !is(p.weighted[0].sum, sum_op)) return {};
  if (p.exps.empty() && p.sums.empty() && p.known.empty()) return {};
  const Weighted& w = p.weighted[0];
  const Expr others = log_of_factors(p);
  if (others.rank() > 0 && others.rank() != w.sum.rank()) return {};
  const Expr spread = others.rank() == 0 ? others : reduction::kept(others, w.axes, w.terms.rank());
  const Expr sum = sum_axes(w.weights * exp(w.terms + spread), w.axes);
  const Expr rest = product_of(p.rest);
  const Expr result = rest.has_value() ? rest * sum : sum;
  return result.rank() == e.rank() ? times(p.constant, result) : Expr();
}

/// (a + b) / d as a / d + b / d where a or b overflows together with d, and a + b, of unknown sign,
/// has no logarithm.
Expr divided_apart(const Product& p, const Expr& e) {
  if (!is(e, div_op) || !p.divided) return {};
  const Expr &above = e.inputs()[0], &below = e.inputs()[1];
  if (!is(above, add_op) && !is(above, sub_op)) return {};
  const bool unread =
      std::ranges::any_of(p.rest, [&](const Power& x) { return x.x == above && x.k == 1; }) ||
      std::ranges::any_of(p.weighted,
                          [&](const Weighted& w) { return w.sum == above && w.k == 1; });
  if (!unread) return {};
  Reader reader;
  const Positive divisor = reader.positive(below, deepest);
  const Expr &a = above.inputs()[0], &b = above.inputs()[1];
  if (!divisor.log.has_value() || !divisor.grows || !(reader.grows(a) || reader.grows(b)))
    return {};
  return is(above, add_op) ? a / below + b / below : a / below - b / below;
}

/// The sums of `p` as they are written, where they only multiply and nothing else does.
Expr plain_sums(const Product& p) {
  Expr result;
  const bool alone = p.exps.empty() && p.known.empty();
  for (const auto& [a, b, k] : p.sums) {
    if (!alone || k < 0) return {};
    const Expr factor = power(b.has_value() ? exp(a) + exp(b) : 1 + exp(a), k);
    result = result.has_value() ? result * factor : factor;
  }
  return result;
}

/// The positive part of `p` in bounded factors; empty if there are none.
Expr bounded_factors(const Product& p, double& constant) {
  double factor = 1;
  Linear exponent = linear_of(p.exps);
  Expr result;
  const auto multiply = [&](const Expr& x) { result = result.has_value() ? result * x : x; };
  const bool fractions =
      std::ranges::any_of(p.sums, [](const Pair& sum) { return !whole(2 * sum.k); });
  for (const Pair& sum : p.sums) {
    if (sum.k > 0 || fractions) return {};
    const std::optional<Shares> shares = take_up(sum, exponent);
    if (!shares || !whole(2 * std::min(shares->left, shares->right)) ||
        !whole(shares->left - shares->right))
      return {};
    multiply(quotient(sum, *shares, factor));
  }
  for (const auto& [value, log, k, grows] : p.known) {
    if (k <= 0 || !whole(k) || grows) return {};
    multiply(power(value, k));
  }
  if (!exponent.terms.empty() || !result.has_value()) return {};
  constant *= factor * std::exp(exponent.constant);
  return result;
}

/// Whether an exponential, or what is made of one, is among the factors and terms of `e`: nearly
/// all products have none, and are done with here.
bool mentions_exponential(const Expr& e) {
  std::vector<std::pair<Expr, int>> pending{{e, 0}};
  NodeSet seen;
  while (!pending.empty() && seen.size() < 200) {
    const auto [node, level] = pending.back();
    pending.pop_back();
    if (is_leaf(node) || level > deepest || !seen.insert(node.get()).second) continue;
    const Op& op = node.op();
    if (&op == &exp_op || &op == &exp2_op || &op == &expm1_op || &op == &sigmoid_op ||
        &op == &softmax_op || &op == &cosh_op || &op == &sinh_op || &op == &sech_op ||
        &op == &sigmoid_slope_op || &op == &normal_cdf_op || &op == &erfc_op)
      return true;
    const bool power_of_number = &op == &pow_op && number(node.inputs()[0]);
    if (power_of_number) return true;
    const bool whole_op = &op == &mul_op || &op == &div_op || &op == &add_op || &op == &sub_op ||
                          &op == &maximum_op || &op == &minimum_op || &op == &switch_op ||
                          &op == &concatenate_op;
    const bool first_only = &op == &neg_op || &op == &square_op || &op == &sqrt_op ||
                            &op == &length_op || &op == &pow_op || &op == &sum_op ||
                            &op == &max_op || &op == &min_op || &op == &prod_op ||
                            &op == &cast_op || rearranges(op);
    if (!whole_op && !first_only) continue;
    const std::size_t count = whole_op ? node.inputs().size() : 1;
    for (std::size_t k = 0; k < count; ++k) pending.emplace_back(node.inputs()[k], level + 1);
  }
  return false;
}

/// The q of 1 - q; empty for any other expression.
Expr complement_of(const Expr& e) {
  if (is(e, sub_op) && number(e.inputs()[0]) == 1.0) return e.inputs()[1];
  if (!is(e, add_op)) return {};
  for (const std::size_t k : {0u, 1u}) {
    const Expr& other = e.inputs()[1 - k];
    if (number(e.inputs()[k]) == 1.0 && is(other, neg_op)) return other.inputs()[0];
  }
  return {};
}

/// log(1 - q) by the logarithm of q, as for q = prod(1 - sigmoid(x)), and log(sigmoid(a) -
/// sigmoid(b)), the share of a logistic distribution between two points: what is left where nearly
/// all is taken away. NaN where the difference is negative.
Expr log_of_difference(const Expr& e) {
  if (const Expr q = complement_of(e); q.has_value()) {
    if (is(q, sigmoid_op)) return -softplus(q.inputs()[0]);
    const Positive known = Reader().positive(q, deepest);
    return known.log.has_value() && !is(known.log, log_op) ? log1mexp(known.log) : Expr();
  }
  if (!is(e, sub_op) || !is(e.inputs()[0], sigmoid_op) || !is(e.inputs()[1], sigmoid_op)) return {};
  // sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)).
  const Expr &a = e.inputs()[0].inputs()[0], &b = e.inputs()[1].inputs()[0];
  return log1mexp(difference(b, a, 1)) - (softplus(-a) + softplus(b));
}

}  // namespace

bool is_positive(const Expr& e) {
  if (const std::optional<double> value = number(e)) return *value > 0;
  return Reader().positive(e, deepest).log.has_value();
}

Expr log_of_positive(const Expr& e) {
  if (!mentions_exponential(e)) return {};
  Product p;
  Reader().read(e, 1, p, deepest);
  if (p.plain()) return log_of_difference(e);
  if (p.known.size() == 1 && p.known[0].value == e && is(p.known[0].log, log_op) &&
      p.known[0].log.inputs()[0] == e)
    return {};
  return Reader::log_of(std::move(p));
}

Expr balanced(const Expr& e) {
  if (is_final(e) || !is_float(e.dtype()) || !mentions_exponential(e)) return {};
  Product p;
  if (is(e, pow_op) && !number(e.inputs()[1])) {
    if (constant_value(e.inputs()[0])) return {};  // Exact as it is: decay^step.
    Reader reader;
    const Positive base = reader.positive(e.inputs()[0], deepest);
    return base.log.has_value() ? exp(e.inputs()[1] * base.log) : Expr();
  }
  Reader().read(e, 1, p, deepest);
  if (p.plain()) return {};
  const bool wide =
      std::ranges::any_of(p.exps, [&](const Power& x) { return x.x.dims() == e.dims(); });
  const bool may_meet = !p.exps.empty() && (p.growing > 1 || !p.sums.empty()) && wide;
  if (!p.divided && !p.rooted && !may_meet) return {};
  if (const Expr inside = divided_inside(p, e); inside.has_value()) return inside;
  if (const Expr apart = divided_apart(p, e); apart.has_value()) return apart;
  gather(p);
  find_softmax(p);
  double constant = p.constant;
  Expr positive = bounded_factors(p, constant);
  if (!positive.has_value() && !p.rooted) positive = plain_sums(p);
  if (!positive.has_value()) {
    // Products of exponentials and what is bounded are left alone, as they are what they say.
    if (!p.divided && !p.rooted && p.growing < 2) return {};
    if (p.exps.empty() && p.known.empty() && p.sums.empty()) {
      if (p.rest.empty()) return {};
    } else {
      positive = exp(log_of_factors(p));
    }
  }
  const Expr rest = product_of(p.rest);
  Expr result = !rest.has_value() ? positive : !positive.has_value() ? rest : rest * positive;
  if (!std::isfinite(constant) || std::abs(constant) < 1e-300) return {};
  if (constant != 1) result = constant == -1 ? -result : constant * Arg(result);
  if (result.rank() < e.rank()) result = broadcast_like(result, e);
  return result;
}

}  // namespace cinch
