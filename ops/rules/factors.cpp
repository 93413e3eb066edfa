#include "cinch/ops/rules/factors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/along.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/logsumexp.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/records/reduction.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/complement.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/normal_tail.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::exponentials {

namespace {

constexpr std::int64_t largest_constant = 4096;  // Elements that are looked at for their signs.
constexpr std::size_t most_addends = 8;
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

/// a b, also as c x^2 where one is c times the other.
Expr product_in_exponent(const Expr& e) {
  Linear a, b;
  a.add(e.inputs()[0], 1);
  b.add(e.inputs()[1], 1);
  const bool same = a.terms.size() == 1 && b.terms.size() == 1 && a.constant == 0 &&
                    b.constant == 0 && a.terms[0].first == b.terms[0].first;
  if (!same) return e.inputs()[0] * e.inputs()[1];
  return times(a.terms[0].second * b.terms[0].second, square(a.terms[0].first));
}

/// Whether `e` is op(x), and not where that is known not to vanish.
bool is_tail(const Expr& e, const Op& op) { return is(e, op) && !rules::is_final(e); }

std::optional<Tail> tail_of(const Expr& e) {
  if (is_tail(e, rules::normal_cdf_op)) return normal_cdf_tail(e.inputs()[0]);
  if (is_tail(e, erfc_op)) return erfc_tail(e.inputs()[0]);
  return {};
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
  if (is(e, exp_op) && !rules::is_final(e)) return exponential(e.inputs()[0], k, p);
  if (is(e, rules::exp_of_product_op)) return exponential(product_in_exponent(e), k, p);
  if (is(e, exp2_op)) return exponential(ln2 * e.inputs()[0], k, p);
  if (is(e, neg_op) && whole(k)) {
    if (odd(k)) p.constant = -p.constant;
    return read(e.inputs()[0], k, p, depth - 1);
  }
  if (is(e, mul_op) || (is(e, div_op) && !rules::is_final(e)))
    return read_two(e, k, is(e, mul_op) ? k : -k, p, depth);
  if (is(e, square_op)) return read_power(e, e.inputs()[0], 2, k, p, depth);
  if (is(e, sqrt_op) || is(e, rules::length_op))
    return read_power(e, e.inputs()[0], 0.5, k, p, depth);
  if (is(e, pow_op)) {
    if (const std::optional<double> by = number(e.inputs()[1]); by && *by != 0)
      return read_power(e, e.inputs()[0], *by, k, p, depth);
    if (const std::optional<double> base = number(e.inputs()[0]); base && usual(*base))
      return exponential(std::log(*base) * e.inputs()[1], k, p);
  }
  const bool bounded = is(e, sigmoid_op) || is(e, rules::sech_op) || is(e, rules::sigmoid_slope_op);
  if (k < 0 && (bounded || is(e, cosh_op))) p.divided = true;
  if (is(e, sigmoid_op)) return add_sum(-e.inputs()[0], {}, -k, p);
  if (is(e, rules::sigmoid_slope_op))
    return add_sum(0.5 * e.inputs()[0], -0.5 * e.inputs()[0], -2 * k, p);
  if (is(e, cosh_op) || is(e, rules::sech_op)) {
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
  if (const Expr parts = spread_complement(e); parts.has_value() && whole(k))
    return read(parts, k, p, depth - 1);
  if (const Positive known = positive(e, depth); known.log.has_value()) {
    const bool late = is(e, softplus_op);  // It vanishes where its argument is below -700.
    p.known.push_back({e, known.log, k, known.grows, known.vanishes, tail_of(e)});
    p.growing += known.grows && k > 0;
    p.divided |= k < 0 && (known.grows || known.vanishes) && !late;
    p.mildly |= k < 0 && late;
    return;
  }
  if (const Expr q = complement_of(e); q.has_value() && whole(k) && std::abs(k) <= 2) {
    if (const Positive taken = positive(q, depth); taken.log.has_value() && taken.grows) {
      if (odd(k)) p.constant = -p.constant;
      return add_difference(taken.log, {}, k, p);
    }
  }
  if (whole(k)) {
    if (std::optional<Weighted> sum = weighted(e, depth)) {
      sum->k = k;
      p.divided |= k < 0 && sum->grows;
      p.mildly |= k < 0;
      p.growing += k > 0 && sum->grows && !sum->pair.empty();
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

namespace {
/// Of the outermost reader on this thread.
thread_local int* shared_budget = nullptr;
}  // namespace

Reader::Reader() : budget_(shared_budget ? *shared_budget : own_budget_) {
  if (!shared_budget) shared_budget = &own_budget_;
}

Reader::~Reader() {
  if (shared_budget == &own_budget_) shared_budget = nullptr;
}

Positive Reader::positive(const Expr& e, int depth) {
  const auto known = known_.find(e.get());
  if (known != known_.end()) return known->second;
  const bool looks = depth > 0 && is_float(e.dtype()) && --budget_ >= 0;
  const Positive result = looks ? find(e, depth - 1) : Positive{};
  return known_[e.get()] = result;
}

std::optional<Addend> Reader::addend(const Expr& e, int depth) {
  Product p;
  read(e, 1, p, depth);
  if (std::ranges::any_of(p.weighted, &Weighted::ordinary)) return Addend{e, {}};
  shift_weighted(p);
  if (p.plain()) return Addend{e, {}};
  for (const Pair& d : p.differences) {
    p.rest.push_back({tanh(difference(d.a, d.b, 0.5)), d.k});
    p.sums.push_back(d);
  }
  p.differences.clear();
  const bool vanishes = !p.exps.empty() || std::ranges::any_of(p.sums, [](const Pair& x) {
    return x.k < 0 || x.b.has_value();
  }) || std::ranges::any_of(p.known, [](const Known& x) { return x.vanishes; });
  const bool grows = p.growing > 0;
  const Product weight{.constant = p.constant, .rest = std::move(p.rest)};
  p.constant = 1;
  p.rest.clear();
  const Expr log = log_of(std::move(p)), rest = product_of(weight.rest);
  if (!log.has_value()) return Addend{e, {}};
  return Addend{rest.has_value() ? times(weight.constant, rest) : literal(weight.constant), log,
                grows, vanishes};
}

std::optional<Weighted> Reader::weighted(const Expr& e, int depth) {
  if (graphs::is_leaf(e) || depth == 0) return {};
  if (is(e, sum_op)) return weighted_sum(e, depth);
  if (std::optional<Weighted> sum = unchosen(e)) return sum;
  if (const Expr parts = spread_complement(e); parts.has_value()) return sum_of_terms(parts, depth);
  if (is(e, add_op) || is(e, sub_op)) return sum_of_terms(e, depth);
  if (!rearranges(e.op())) return {};
  std::optional<Weighted> sum = weighted(e.inputs()[0], depth - 1);
  if (sum) sum->moves.push_back(e);
  return sum;
}

std::optional<Weighted> Reader::weighted_sum(const Expr& e, int depth) {
  const Expr& x = e.inputs()[0];
  if (reduction::nothing_along(x, OverAxes::of(e.attrs()))) return {};  // No largest term.
  const std::optional<Addend> each = addend(x, depth - 1);
  if (!each || !(each->grows || each->vanishes)) return {};
  return Weighted{.sum = e,
                  .terms = broadcast_if_other(each->log, x),
                  .weights = broadcast_if_other(cast(each->weight, x.dtype()), x),
                  .axes = OverAxes::of(e.attrs()),
                  .log = each->log,
                  .grows = each->grows};
}

/// Adds the addends of sign * e to `found`; false if there are too many.
bool Reader::collect(const Expr& e, double sign, int depth, std::vector<Addend>& found) {
  if (depth == 0 || found.size() >= most_addends) return false;
  if (is(e, neg_op)) return collect(e.inputs()[0], -sign, depth - 1, found);
  const bool sum = is(e, add_op) || is(e, sub_op);
  const bool one_factor = !sum || positive(e, depth - 1).log.has_value() || unchosen(e) ||
                          spread_complement(e).has_value();
  if (!one_factor) {
    return collect(e.inputs()[0], sign, depth - 1, found) &&
           collect(e.inputs()[1], is(e, sub_op) ? -sign : sign, depth - 1, found);
  }
  std::optional<Addend> one = addend(e, depth - 1);
  if (!one) one = Addend{e, {}};
  one->weight = times(sign, one->weight);
  found.push_back(std::move(*one));
  return true;
}

/// a + b, where one overflows, or vanishes while the other may be 0.
std::optional<Weighted> Reader::sum_of_terms(const Expr& e, int depth) {
  // The share between two points of a logistic distribution cancels: log_of_difference() knows it.
  if (is(e, sub_op) && is(e.inputs()[0], sigmoid_op) && is(e.inputs()[1], sigmoid_op)) return {};
  std::vector<Addend> all;
  if (!collect(e, 1, depth, all)) return {};
  const auto grow = std::ranges::count_if(all, [](const Addend& x) { return x.grows; });
  const bool may_be_0 = std::ranges::all_of(
      all, [](const Addend& x) { return x.vanishes || !number(x.weight) || x.log.has_value(); });
  const bool vanish = std::ranges::any_of(all, [](const Addend& x) { return x.vanishes; });
  if (all.size() < 2 || (grow == 0 && !(vanish && may_be_0))) return {};
  const bool ordinary =
      grow == 0 && std::ranges::any_of(all, [](const Addend& x) { return !x.log.has_value(); });
  // Slopes by two tiny weights would be squares of their inverses: those are for the op of sums.
  const bool one_number = number(all[0].weight) || number(all[1].weight);
  if (all.size() == 2 && one_number)
    return Weighted{.sum = e, .pair = std::move(all), .grows = grow > 0, .ordinary = ordinary};
  std::vector<Expr> terms, weights;
  for (const Addend& x : all) {
    terms.push_back(broadcast_like(cast(x.log.has_value() ? x.log : literal(0), e.dtype()), e));
    weights.push_back(broadcast_like(cast(x.weight, e.dtype()), e));
  }
  return Weighted{.sum = e,
                  .terms = stack(terms, -1),
                  .weights = stack(weights, -1),
                  .axes = {e.rank()},
                  .grows = grow > 0,
                  .ordinary = ordinary};
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
  if (!powers && !sign_known(x, depth))
    return read_root(x, by * k, p, depth) ? void() : rest(e, k, p);
  const std::size_t before = p.exps.size() + p.sums.size() + p.known.size();
  read(x, k * by, p, depth - 1);
  if (!whole(by) && p.exps.size() + p.sums.size() + p.known.size() > before) p.rooted = true;
}

/// (u v)^k as u^k v^k for a positive u; false if there is none.
bool Reader::read_root(const Expr& x, double k, Product& p, int depth) {
  Product q;
  read(x, 1, q, depth - 1);
  if (q.plain() || !q.differences.empty() || q.constant == 0) return false;
  // Nothing is gained where other addends keep a sum from vanishing.
  if (std::ranges::any_of(q.weighted, &Weighted::ordinary)) return false;
  shift_weighted(q);
  Expr others = product_of(q.rest);
  if (!others.has_value()) {
    if (q.constant < 0) return false;
  } else if (q.constant < 0) {
    others = -others;
  }
  p.constant *= std::pow(std::abs(q.constant), k);
  for (const Power& f : q.exps) p.exps.push_back({f.x, f.k * k});
  for (const Pair& f : q.sums) p.sums.push_back({f.a, f.b, f.k * k});
  for (const Known& f : q.known)
    p.known.push_back({f.value, f.log, f.k * k, f.grows, f.vanishes, f.tail});
  if (others.has_value()) p.rest.push_back({others, k});
  p.growing += k > 0 ? q.growing : 0;
  p.divided |= k < 0;
  p.rooted = true;
  return true;
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
  if (graphs::is_leaf(e)) return {};
  const Op& op = e.op();
  if (is_tail(e, rules::normal_cdf_op)) return {log_of_tail(normal_cdf_tail(e.inputs()[0]))};
  if (is_tail(e, erfc_op)) return {log_of_tail(erfc_tail(e.inputs()[0]))};
  const auto first = [&] { return positive(e.inputs()[0], depth); };
  const auto again = [&](const Expr& x) { return apply(op, {x}, e.attrs()); };
  if (is(e, softmax_op)) return {apply(log_softmax_op, {e.inputs()[0]}, e.attrs())};
  if (is(e, softplus_op)) return {log(e)};
  if (const Expr q = complement_of(e); q.has_value() && is_share(q, depth)) {
    if (const Expr back = complement_of(q); back.has_value()) return positive(back, depth);
    const Positive taken = positive(q, depth);
    if (taken.log.has_value() && !is(taken.log, log_op)) return {log1mexp(taken.log)};
  }
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
  if (is(e, exp_op) || is(e, exp2_op) || is(e, sigmoid_op) || is(e, cosh_op) ||
      is(e, rules::sech_op) || is(e, rules::sigmoid_slope_op) || is(e, mul_op) || is(e, div_op) ||
      is(e, square_op) || is(e, sqrt_op) || is(e, rules::length_op) || is(e, pow_op)) {
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

Expr log_of_factors(const Product& p) {
  std::vector<Power> exps = p.exps;
  Expr total;
  for (const Known& x : p.known) {
    if (!x.tail) continue;
    // Where an exponent has the same square, they are one before either is rounded.
    const Tail& tail = *x.tail;
    Linear all = linear_of(exps);
    const double by = x.k * tail.coefficient;
    const auto same = std::ranges::find_if(all.terms, [&](const auto& term) {
      return is(term.first, square_op) && term.first.inputs()[0] == tail.x;
    });
    if (same == all.terms.end()) {
      exps.push_back({switch_(tail.far, tail.coefficient * square(tail.x), 0), x.k});
      continue;
    }
    const auto [term, k] = *same;
    const Expr far = k + by == 0 ? literal(0) : times(k + by, term);
    exps.clear();
    for (const auto& [other, c] : all.terms) {
      if (!(other == term)) exps.push_back({other, c});
    }
    if (all.constant != 0) exps.push_back({literal(all.constant), 1});
    exps.push_back({switch_(tail.far, far, times(k, term)), 1});
  }
  total = exponent_of(exps);
  for (const auto& [a, b, k] : p.sums) total = plus(total, times(k, log_of_sum(a, b)));
  for (const Known& x : p.known) total = plus(total, times(x.k, x.tail ? x.tail->rest : x.log));
  return total;
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
  for (const Weighted& w : p.weighted)
    p.rest.push_back({w.moves.empty() ? w.sum : w.moves.back(), w.k});
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

constexpr double inf = std::numeric_limits<double>::infinity();

/// The largest exponent whose exponential is a number.
double largest_exponent(DType dtype) { return dtype == DType::float32 ? 88 : 709; }

Expr log_of_size(const Expr& weight) {
  const std::optional<double> value = number(weight);
  return value ? literal(std::log(std::abs(*value))) : rules::final_log(abs(weight));
}

/// A exp(a) + B exp(b) as exp(shift) (1 of the two's weights + what the other is beside it).
struct Shifted {
  Expr second_is_larger, shift;
  Expr first_led, second_led;  ///< What is left where the first, or the second, is the larger one.
  Expr first_excess;           ///< first_led - 1 where the first weight is 1, else empty.
};

Shifted shifted(const Addend& a, const Addend& b) {
  const Expr x = difference(b.log, a.log, 1);
  // By weights, too: what has weight 0 may be as large as it likes.
  const Expr larger = x > log_of_size(a.weight) - log_of_size(b.weight);
  const Expr apart = switch_(larger, -x, x);
  const double most = largest_exponent(x.dtype());
  const Expr ratio = rules::final_exp(switch_(apart > most, most, apart));
  const Expr other = b.weight * ratio;
  return {larger,
          switch_(larger, b.log.has_value() ? b.log : literal(0),
                  a.log.has_value() ? a.log : literal(0)),
          a.weight + other, b.weight + a.weight * ratio, number(a.weight) == 1.0 ? other : Expr()};
}

/// log(A exp(a) + B exp(b)); NaN where the sum is negative.
Expr log_of_pair(Addend a, Addend b) {
  if (!b.log.has_value()) std::swap(a, b);
  const Shifted s = shifted(a, b);
  const Expr first = s.first_excess.has_value() ? rules::final_log1p(s.first_excess)
                                                : rules::final_log(s.first_led);
  return s.shift + switch_(s.second_is_larger, rules::final_log(s.second_led), first);
}

/// `x`, of which there is one for each element of the sum, moved as the sum is.
Expr moved(const Weighted& w, Expr x) {
  for (const Expr& node : w.moves) {
    std::vector<Expr> inputs(node.inputs().begin(), node.inputs().end());
    inputs[0] = broadcast_if_other(x, node.inputs()[0]);
    x = apply(node.op(), std::move(inputs), node.attrs());
  }
  return x;
}

/// The logarithm of the one weighted sum of `p`, and of the factors of unknown sign, which go into
/// its weights: only the whole need be positive. Takes them out of `p`.
Expr take_weighted(Product& p) {
  const Weighted w = std::move(p.weighted[0]);
  p.weighted.clear();
  if (!w.moves.empty()) {
    const Expr sum = w.pair.empty() ? apply(rules::weighted_logsumexp_op, {w.terms, w.weights},
                                            OverAxes{w.axes}.attrs())
                                    : log_of_pair(w.pair[0], w.pair[1]);
    return times(w.k, moved(w, sum));
  }
  std::vector<Power> factors;  // Upside down for 1 / sum, whose logarithm is -log(sum).
  for (const auto& [x, k, counts] : p.rest) {
    if (!counts) factors.push_back({x, w.k * k});
  }
  std::erase_if(p.rest, [](const Power& x) { return !x.counts; });
  const double sign = p.constant < 0 ? -1 : 1;
  p.constant = std::abs(p.constant);
  if (!w.pair.empty()) {
    Addend a = w.pair[0], b = w.pair[1];
    const Expr factor = product_of(factors);
    for (Addend* each : {&a, &b}) {
      each->weight = times(sign, each->weight);
      if (factor.has_value()) each->weight = each->weight * factor;
    }
    return times(w.k, log_of_pair(a, b));
  }
  Expr terms = w.terms, weights = times(sign, w.weights);
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
  return times(w.k, apply(rules::weighted_logsumexp_op, {terms, weights}, OverAxes{axes}.attrs()));
}

}  // namespace

void shift_weighted(Product& p) {
  for (const Weighted& w : p.weighted) {
    if (!w.pair.empty()) {
      const Shifted s = shifted(w.pair[0], w.pair[1]);
      p.exps.push_back({moved(w, s.shift), w.k});
      p.rest.push_back({moved(w, switch_(s.second_is_larger, s.second_led, s.first_led)), w.k});
      continue;
    }
    const Expr most = max(switch_(equal(w.weights, 0), -inf, w.terms), w.axes);
    const Expr shift = stop_gradient(switch_(abs(most) < inf, most, 0));
    const Expr apart = w.terms - reduction::kept(shift, w.axes, w.terms.rank());
    const double largest = largest_exponent(apart.dtype());
    const Expr ratio = rules::final_exp(switch_(apart > largest, largest, apart));
    p.exps.push_back({moved(w, shift), w.k});
    p.rest.push_back({moved(w, sum_axes(w.weights * ratio, w.axes)), w.k});
  }
  p.weighted.clear();
}

Expr log_of(Product p) {
  Expr total;
  const bool with_moves =
      std::ranges::any_of(p.weighted, [](const Weighted& w) { return !w.moves.empty(); });
  const bool only = p.rest.empty() && p.constant > 0;
  const bool powers =
      std::ranges::any_of(p.weighted, [](const Weighted& w) { return std::abs(w.k) != 1; });
  if (p.weighted.size() > 1 || powers || (with_moves && !only)) shift_weighted(p);
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
  for (const auto& [value, log, k, grows, vanishes, tail] : p.known)
    total = plus(total, times(k, log));
  if (!total.has_value()) return {};
  if (p.constant != 1) total = total + std::log(p.constant);
  const Expr rest = product_of(p.rest);
  return rest.has_value() ? log(rest) + total : total;
}

}  // namespace cinch::exponentials
