#include "cinch/ops/rules/shares.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/rules/expansion.hpp"
#include "cinch/ops/rules/exponents.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::rules {

namespace {

using exponentials::number, exponentials::power;

/// How d is made of the sum.
enum class Of : std::int64_t {
  sum,      ///< d = k u + rest.
  root,     ///< d^2 = k u^2 + rest.
  lengths,  ///< d^2 = u^2 + rest^2.
};

struct Divisor {
  Of made;

  static Divisor of(const Attrs& a) { return {Of{a.ints[0]}}; }
  Attrs attrs() const { return {.ints = {static_cast<std::int64_t>(made)}}; }
};

Grads share_grad(Args in, const Expr& y, const Expr& gy) {
  const Expr &u = in[1], &k = in[2], &rest = in[3], &d = in[4];
  const Expr share = u / d;
  Grads result(in.size());
  switch (Divisor::of(y.attrs()).made) {
    case Of::sum:
      result[1] = gy * (rest / d / d);
      if (!constant_value(k)) result[2] = -gy * square(share);
      result[3] = -gy * (share / d);
      break;
    case Of::root:
      result[1] = gy * (rest / d / d / d);
      if (!constant_value(k)) result[2] = -0.5 * gy * (share * square(share));
      result[3] = -0.5 * gy * (share / d / d);
      break;
    case Of::lengths:
      result[1] = gy * (square(rest / d) / d);
      result[3] = -gy * (share * (rest / d) / d);
      break;
  }
  return result;
}

bool same_type(const Expr& a, const Expr& b) {
  return a.dtype() == b.dtype() && a.dims() == b.dims();
}

/// base^exponent.
struct Factor {
  Expr base;
  int exponent;
};

struct Product {
  double constant = 1;
  std::vector<Factor> factors;

  void times(const Expr& base, int exponent) {
    const auto known = std::ranges::find(factors, base, &Factor::base);
    if (known == factors.end()) {
      factors.push_back({base, exponent});
    } else if ((known->exponent += exponent) == 0) {
      factors.erase(known);
    }
  }

  int exponent_of(const Expr& base) const {
    const auto known = std::ranges::find(factors, base, &Factor::base);
    return known == factors.end() ? 0 : known->exponent;
  }
};

/// Multiplies by e^k.
void read(const Expr& e, int k, Product& p, int depth = 8) {
  if (const auto value = number(e); value && *value != 0) {
    p.constant *= std::pow(*value, k);
    return;
  }
  const Op* op = &e.op();
  const auto in = [&](std::size_t i) -> const Expr& { return e.inputs()[i]; };
  if (depth == 0 || p.factors.size() >= 12) return p.times(e, k);
  if (op == &mul_op || (op == &div_op && !is_final(e))) {
    read(in(0), k, p, depth - 1);
    return read(in(1), op == &mul_op ? k : -k, p, depth - 1);
  }
  if (op == &neg_op) {
    if (k % 2 != 0) p.constant = -p.constant;
    return read(in(0), k, p, depth - 1);
  }
  if (op == &square_op) return read(in(0), 2 * k, p, depth - 1);
  if (op == &pow_op) {
    const auto by = number(in(1));
    if (by && *by == std::round(*by) && std::abs(*by) <= 8 && *by != 0)
      return read(in(0), k * static_cast<int>(*by), p, depth - 1);
  }
  p.times(e, k);
}

/// Empty for 1.
Expr product_of(const Product& p) {
  Expr above, below;
  for (const auto& [base, exponent] : p.factors) {
    Expr& side = exponent > 0 ? above : below;
    const Expr factor = power(base, std::abs(exponent));
    side = side.has_value() ? side * factor : factor;
  }
  if (p.constant != 1 || (!above.has_value() && below.has_value()))
    above = above.has_value() ? p.constant * above : literal(p.constant);
  return below.has_value() ? above / below : above;
}

/// The terms of a sum, each with its sign in it; false if there are too many.
bool collect(const Expr& e, bool negative, std::vector<Expr>& terms, int depth = 6) {
  const Op* op = &e.op();
  if (depth > 0 && (op == &add_op || op == &sub_op)) {
    return collect(e.inputs()[0], negative, terms, depth - 1) &&
           collect(e.inputs()[1], negative != (op == &sub_op), terms, depth - 1);
  }
  if (depth > 0 && op == &neg_op) return collect(e.inputs()[0], !negative, terms, depth - 1);
  terms.push_back(negative ? -e : e);
  return terms.size() <= 6;
}

/// d as it is where it is not 0: gradients of roots say something else there.
Expr guarded(const Expr& d) {
  const bool guard = &d.op() == &switch_op && number(d.inputs()[1]) == 1.0;
  return guard ? d.inputs()[2] : d;
}

struct Share {
  Expr value;
  std::vector<Factor> taken;  ///< From the product, with exponents there.
};

/// u / d for a divisor d, where a power of factors of `p` is a term of d; the largest such u.
std::optional<Share> share_in(const Product& p, const Expr& divisor, const Expr& whole) {
  const Expr d = guarded(divisor);
  const Op* op = &d.op();
  const bool root = op == &sqrt_op || op == &length_op;
  if (op == &hypot_op) {
    for (const std::size_t k : {0u, 1u}) {
      const Expr &u = d.inputs()[k], &other = d.inputs()[1 - k];
      if (p.exponent_of(u) < 1 || u == other) continue;
      const std::vector<Expr> inputs{u / divisor, u, literal(1), other, divisor};
      return Share{apply(share_op, inputs, Divisor{Of::lengths}.attrs()), {{u, 1}, {divisor, -1}}};
    }
    return {};
  }
  const Expr sum = root ? d.inputs()[0] : d;
  if (&sum.op() != &add_op && &sum.op() != &sub_op) return {};
  std::vector<Expr> terms;
  if (!collect(sum, false, terms)) return {};
  std::optional<std::size_t> best;
  Product of_best;
  int most = 0;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    Product term, u;
    read(terms[t], 1, term);
    int degree = 0;
    for (const auto& [base, exponent] : term.factors) {
      const int in_u = root ? exponent / 2 : exponent;
      const bool fits = in_u > 0 && (!root || exponent % 2 == 0) && p.exponent_of(base) >= in_u;
      if (!fits) continue;
      u.times(base, in_u);
      degree += in_u;
    }
    if (degree <= most) continue;
    most = degree;
    best = t;
    of_best = u;
  }
  if (!best || terms.size() < 2) return {};
  Product k;
  read(terms[*best], 1, k);
  for (const auto& [base, exponent] : of_best.factors)
    k.times(base, root ? -2 * exponent : -exponent);
  Expr rest;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    if (t != *best) rest = rest.has_value() ? rest + terms[t] : terms[t];
  }
  const Expr u = product_of(of_best), scale = product_of(k);
  std::vector<Expr> inputs{u / divisor, u, scale.has_value() ? scale : literal(1), rest, divisor};
  Share result{
      apply(share_op, std::move(inputs), Divisor{root ? Of::root : Of::sum}.attrs(), whole->where),
      of_best.factors};
  result.taken.push_back({divisor, -1});
  return result;
}

/// A product with quotients that saturate in it, written with them; any other node itself.
Expr with_shares(const Expr& e) {
  const Op* op = &e.op();
  if ((op != &mul_op && op != &div_op) || !is_float(e.dtype()) || is_final(e)) return e;
  Product p;
  read(e, 1, p);
  Product found;
  for (std::size_t k = 0; k < p.factors.size(); ++k) {
    const Factor f = p.factors[k];
    const std::optional<Share> share =
        f.exponent < 0 ? share_in(p, f.base, e) : std::optional<Share>();
    if (!share) continue;
    for (const auto& [base, exponent] : share->taken) p.times(base, -exponent);
    found.times(share->value, 1);
    k = static_cast<std::size_t>(-1);  // Factors may be gone.
  }
  if (found.factors.empty()) return e;
  const Expr shares = product_of(found), others = product_of(p);
  const Expr result = others.has_value() ? others * shares : shares;
  return same_type(result, e) ? result : e;
}

}  // namespace

Expr root_of_product(const Expr& e) {
  Product p;
  read(e, 1, p);
  const bool squares = std::ranges::all_of(p.factors, [](const Factor& f) {
    return f.exponent % 2 == 0 && f.base.dtype() != DType::bool_;
  });
  const bool one_square = p.factors.size() == 1 && p.factors[0].exponent == 2 && p.constant == 1;
  if (p.factors.empty() || !squares || one_square || !(p.constant > 0) || !is_float(e.dtype()))
    return {};
  Product root{std::sqrt(p.constant), {}};
  for (const Factor& f : p.factors) {
    const int half = f.exponent / 2;
    root.factors.push_back({half % 2 == 0 ? f.base : abs(f.base), half});
  }
  const Expr result = product_of(root);
  return same_type(result, e) ? result : Expr();
}

std::vector<Expr> shares_of_sums(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(roots, with_shares, done);
}

constinit const Op share_op = records::first_operand({.name = "share", .grad = share_grad});

}  // namespace cinch::rules
