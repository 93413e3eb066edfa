#include "ops/factors.hpp"

#include <algorithm>
#include <cmath>

#include "core/engine_ops.hpp"
#include "core/leaves.hpp"
#include "ops/activation.hpp"
#include "ops/along.hpp"
#include "ops/arithmetic.hpp"
#include "ops/expansion.hpp"
#include "ops/index.hpp"
#include "ops/logsumexp.hpp"
#include "ops/normal_tail.hpp"
#include "ops/positive.hpp"
#include "ops/prod.hpp"
#include "ops/reduce.hpp"
#include "ops/reduction.hpp"
#include "ops/root.hpp"
#include "ops/shape.hpp"
#include "ops/slopes.hpp"
#include "ops/special.hpp"
#include "ops/trigonometry.hpp"

namespace cinch::exponentials {

namespace {

constexpr std::int64_t largest_constant = 4096;  // Elements that are looked at for their signs.
constexpr double ln2 = 0.69314718055994530942;

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

Expr broadcast_if_other(const Expr& x, const Expr& like) {
  return x.dims() == like.dims() ? x : broadcast_like(x, like);
}

void rest(const Expr& e, double k, Product& p) { p.rest.push_back({e, k}); }

void exponential(const Expr& x, double k, Product& p) {
  p.exps.push_back({x, k});
  ++p.growing;
  if (k < 0) p.divided = true;
}

void read_constant(const Expr& e, double value, double k, Product& p) {
  const double power = std::pow(std::abs(value), k);
  if (!(power > 1e-30 && power < 1e30 && (value > 0 || whole(k)))) return rest(e, k, p);
  p.constant *= value < 0 && odd(k) ? -power : power;
}

/// (exp(a) + exp(b))^k; equal ones are one.
void add_sum(const Expr& a, const Expr& b, double k, Product& p) { p.sums.push_back({a, b, k}); }

void add_difference(const Expr& a, const Expr& b, double k, Product& p) {
  p.differences.push_back({a, b, k});
  ++p.growing;
  if (k < 0) p.divided = true;
}

}  // namespace

bool rearranges(const Op& op) {
  return &op == &dimshuffle_op || &op == &reshape_op || &op == &broadcast_to_op ||
         &op == &narrow_op || &op == &take_op || &op == &take_along_op;
}

void Reader::read(const Expr& e, double k, Product& p, int depth) {
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
  if (is(e, sigmoid_slope_op)) return add_sum(0.5 * e.inputs()[0], -0.5 * e.inputs()[0], -2 * k, p);
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

bool Reader::grows(const Expr& e) {
  Product p;
  read(e, 1, p, deepest);
  return p.growing > 0;
}

Positive Reader::positive(const Expr& e, int depth) {
  const auto known = known_.find(e.get());
  if (known != known_.end()) return known->second;
  const bool looks = depth > 0 && is_float(e.dtype()) && --budget_ >= 0;
  const Positive result = looks ? find(e, depth - 1) : Positive{};
  return known_[e.get()] = result;
}

/// `e` as weight * exp(log), where the exponential may overflow.
std::optional<Reader::Term> Reader::term(const Expr& e, int depth) {
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

std::optional<Weighted> Reader::weighted_sum(const Expr& e, int depth) {
  const Expr& x = e.inputs()[0];
  const std::optional<Term> each = term(x, depth - 1);
  if (!each) return {};
  return Weighted{e, broadcast_if_other(each->log, x),
                  broadcast_if_other(cast(each->weight, x.dtype()), x), e.attrs().ints, 1};
}

std::optional<Weighted> Reader::two_terms(const Expr& e, int depth) {
  const std::optional<Term> a = term(e.inputs()[0], depth - 1), b = term(e.inputs()[1], depth - 1);
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

void Reader::read_two(const Expr& e, double k, double second, Product& p, int depth) {
  const bool apart =
      whole(k) || (sign_known(e.inputs()[0], depth) && sign_known(e.inputs()[1], depth));
  if (!apart) return rest(e, k, p);
  read(e.inputs()[0], k, p, depth - 1);
  read(e.inputs()[1], second, p, depth - 1);
}

void Reader::read_power(const Expr& e, const Expr& x, double by, double k, Product& p, int depth) {
  const bool powers = whole(by) && whole(k);
  if (!powers && !sign_known(x, depth)) return rest(e, k, p);
  const std::size_t before = p.exps.size() + p.sums.size() + p.known.size();
  read(x, k * by, p, depth - 1);
  if (!whole(by) && p.exps.size() + p.sums.size() + p.known.size() > before) p.rooted = true;
}

bool Reader::sign_known(const Expr& e, int depth) {
  const std::optional<double> value = number(e);
  return value ? *value > 0 : positive(e, depth).log.has_value();
}

/// a + b of positive operands, one of them an exponential or the like.
bool Reader::read_sum(const Expr& e, double k, Product& p, int depth) {
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

Positive Reader::find(const Expr& e, int depth) {
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
Positive Reader::bounded_sum(const Expr& e, int depth) {
  for (const std::size_t k : {0u, 1u}) {
    const std::optional<double> value = number(e.inputs()[k]);
    if (value && usual(*value) && positive(e.inputs()[1 - k], depth).log.has_value())
      return {log(e), false, false};
  }
  return {};
}

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

namespace {

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

}  // namespace

Expr log_of(Product p) {
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

}  // namespace cinch::exponentials
