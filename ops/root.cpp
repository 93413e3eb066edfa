#include "ops/root.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/leaves.hpp"
#include "core/rewrite.hpp"
#include "ops/arithmetic.hpp"
#include "ops/elementwise.hpp"
#include "ops/series.hpp"
#include "ops/shape.hpp"

namespace cinch {

namespace {

// A sum of products
// -------------------------------------------------------------------------------------------------

/// coefficient * factor, the coefficient a function of one node alone.
struct Term {
  Expr factor, coefficient;  ///< Empty for 1.
  Series series;             ///< Of the coefficient.
};
using Terms = std::vector<Term>;

/// A literal.
Expr number(double value) { return weak_constant(Tensor(value)); }

constexpr std::size_t most_terms = 16;
constexpr int deepest = 60;

Expr times(const Expr& a, const Expr& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  return a * b;
}

Expr whole(const Term& t, DType dtype) {
  const Expr product = times(t.factor, t.coefficient);
  return product.has_value() ? product : cast(Arg(1.0), dtype);
}

/// Reads a gradient as a sum of terms.
class Reader {
 public:
  explicit Reader(const Expr& y) : around_(y) {}

  Terms operator()(const Expr& e, int depth = 0) {
    if (const auto& series = around_.of(e)) return {{Expr(), e, *series}};
    Terms result;
    if (depth < deepest && budget_-- > 0) result = read(e, depth + 1);
    if (result.empty() || result.size() > most_terms) return {{e, Expr(), one()}};
    return result;
  }

 private:
  static Series one() {
    Series result;
    result.c[0] = 1;
    return result;
  }

  /// Terms of `e`, of the same factors once, or nothing where it is one factor.
  Terms read(const Expr& e, int depth) {
    const Op* op = &e.op();
    const auto input = [&](std::size_t k) { return e.inputs()[k]; };
    const auto scaled = [&](Terms terms, const Expr& by) {
      for (Term& t : terms) t.coefficient = times(t.coefficient, by);
      return retold(std::move(terms));
    };
    if (op == &add_op || op == &sub_op) {
      Terms all = (*this)(input(0), depth);
      for (Term t : op == &add_op ? (*this)(input(1), depth) : negative((*this)(input(1), depth)))
        add(all, std::move(t));
      return retold(std::move(all));
    }
    if (op == &neg_op) return retold(negative((*this)(input(0), depth)));
    if (op == &copy_op) return (*this)(input(0), depth);
    if (op == &mul_op) {
      for (const std::size_t k : {0u, 1u})
        if (around_.of(input(k))) return scaled((*this)(input(1 - k), depth), input(k));
    }
    if (op == &div_op && around_.of(input(1))) {
      Terms terms = (*this)(input(0), depth);
      for (Term& t : terms)
        t.coefficient = (t.coefficient.has_value() ? t.coefficient : number(1)) / input(1);
      return retold(std::move(terms));
    }
    if (op == &switch_op) return chosen(e, depth);
    if (op == &dimshuffle_op) return moved(e, depth);
    return {};
  }

  static Terms negative(Terms terms) {
    for (Term& t : terms) t.coefficient = t.coefficient.has_value() ? -t.coefficient : number(-1);
    return terms;
  }

  /// A choice of terms: by a condition on the node alone the coefficients', by another the
  /// factors'.
  Terms chosen(const Expr& e, int depth) {
    const Expr c = e.inputs()[0];
    const bool own = around_.truth(c).has_value();
    Terms all;
    for (const std::size_t k : {1u, 2u}) {
      for (Term t : (*this)(e.inputs()[k], depth)) {
        Expr& part = own ? t.coefficient : t.factor;
        const Expr value = part.has_value() ? part : cast(Arg(1.0), e.dtype());
        part = k == 1 ? switch_(c, value, 0) : switch_(c, 0, value);
        add(all, std::move(t));
      }
    }
    return retold(std::move(all));
  }

  /// Factors that have e's axes before they move, or none, move with it.
  Terms moved(const Expr& e, int depth) {
    const Expr& inner = e.inputs()[0];
    Terms all = (*this)(inner, depth);
    for (Term& t : all) {
      for (Expr* part : {&t.factor, &t.coefficient}) {
        if (!part->has_value() || part->rank() == 0) continue;
        if (!(part->dims() == inner.dims())) return {};
        *part = dimshuffle(*part, e.attrs().ints);
      }
    }
    return retold(std::move(all));
  }

  static void add(Terms& all, Term t) {
    const auto same = std::ranges::find_if(all, [&](const Term& other) {
      return other.factor.has_value() == t.factor.has_value() &&
             (!t.factor.has_value() || other.factor == t.factor);
    });
    if (same == all.end()) {
      all.push_back(std::move(t));
      return;
    }
    const Expr a = same->coefficient.has_value() ? same->coefficient : number(1),
               b = t.coefficient.has_value() ? t.coefficient : number(1);
    same->coefficient = a + b;
  }

  /// The series of coefficients that have changed; nothing if one has none any more.
  Terms retold(Terms terms) {
    for (Term& t : terms) {
      if (!t.coefficient.has_value()) continue;
      const auto& series = around_.of(t.coefficient);
      if (!series) return {};
      t.series = *series;
    }
    return terms;
  }

  SeriesAround around_;
  int budget_ = 200;  // Nodes to read; what is shared is read as often as it is used.
};

// Dividing a coefficient
// -------------------------------------------------------------------------------------------------

/// s where `where` holds, else 1: so that flat() of it means something there only.
Expr only(const Expr& where, const Expr& s) { return switch_(where, s, 1); }

/// c(y) / (2 y) where y is 0, as a polynomial of s = y^2. Its derivatives are right as far as they
/// exist: an even coefficient of c ends them, as does the last one that is known. Then they are
/// NaN.
Expr limit_of(const Series& series, const Expr& s) {
  constexpr std::size_t count = Series::terms / 2;
  Expr result = flat(s, 2 * count);
  for (std::size_t k = count; k-- > 0;) {
    const Coefficient odd = series.c[2 * k + 1] * Coefficient(0.5), &even = series.c[2 * k];
    if (!odd.zero()) {
      const Expr factor = odd.known() ? odd.expr() : cast(odd.expr(), s.dtype());
      const Expr power = k == 0 ? Expr() : k == 1 ? s : k == 2 ? square(s) : s * square(s);
      result = times(factor, power) + result;
    }
    const auto order = static_cast<std::int64_t>(std::max<std::size_t>(2 * k, 1));
    if (even.known()) {
      if (!even.zero()) result = flat(s, order);
    } else {
      const Expr gone = equal(even.expr(), 0);
      result = switch_(gone, result, flat(only(logical_not(gone), s), order));
    }
  }
  return result;
}

}  // namespace

Expr sum_of_parts(const Expr& a, const Expr& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  return a + b;
}

HalvedByRoot halved_by_root(const Expr& gy, const Expr& s, const Expr& y) {
  const Terms terms = Reader(y)(gy);
  // A coefficient that is not 0 where y is 0 has no limit; one that is no function of y is 0 there
  // by chance only.
  const auto has_limit = [](const Term& t) {
    const Coefficient& first = t.series.c[0];
    return t.series.varies && (first.zero() || !first.known());
  };
  if (std::ranges::none_of(terms, has_limit)) return {Expr(), gy};
  HalvedByRoot result;
  const Expr zero = equal(y, 0), divisor = switch_(zero, 1, y);
  for (const Term& t : terms) {
    if (!has_limit(t)) {
      result.rest = sum_of_parts(result.rest, whole(t, gy.dtype()));
      continue;
    }
    const Expr away = 0.5 * t.coefficient / divisor;
    const Expr ratio = switch_(zero, limit_of(t.series, s), away);
    result.smooth = sum_of_parts(result.smooth, times(t.factor, cast(ratio, y.dtype())));
  }
  return result;
}

namespace {

Rules length_rules() {
  static const Expr x = wildcard("x");
  static const Rule rules[] = {
      {"length of one", apply(length_op, {square(x)}), abs(x)},
  };
  return rules;
}

/// 1 / (2 y), and 0 where y is 0.
Expr half_reciprocal(const Expr& s, const Expr& y) {
  const Expr zero = equal(y, 0);
  return switch_(zero, flat(s, 1), 0.5 / switch_(zero, 1, y));
}

}  // namespace

constinit const Op length_op = elementwise<formula::Sqrt>({
    .name = "length",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      auto [smooth, rest] = halved_by_root(gy, x[0], y);
      if (rest.has_value()) rest = rest * half_reciprocal(x[0], y);
      return {sum_of_parts(smooth, rest)};
    },
    .rules = length_rules,
    .probe = {0.3, 3},
});

namespace {
constexpr double none = std::numeric_limits<double>::quiet_NaN();
}  // namespace

constinit const Op flat_op = [] {
  Op op = elementwise<formula::Identity>({
      .name = "flat",
      .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
        return {gy * flat(x[0], y.attrs().ints[0] - 1)};
      },
      .expand =
          [](const Expr& y) {
            const Expr& s = y.inputs()[0];
            return y.attrs().ints[0] > 0 ? zeros_like(s)
                                         : cast(switch_(equal(s, 0), none, 0.0), s.dtype());
          },
      .examples = []() -> std::vector<Example> {
        // Of a higher order than tests differentiate.
        return {
            {{Type{DType::float64, {3, 4}}}, [](Args x) { return flat(x[0], 9) + square(x[0]); }},
            {{Type{DType::float64, {0, 3}}}, [](Args x) { return flat(x[0], 9) * x[0]; }}};
      },
  });
  op.reference = [](Values in, const Attrs& attrs) {
    Tensor result(in[0]->dtype(), in[0]->shape());
    if (attrs.ints[0] > 0) return result;
    dispatch_float(result.dtype(), [&]<class T> {
      std::ranges::transform(in[0]->data<T>(), result.data<T>().begin(),
                             [](T s) { return s == 0 ? static_cast<T>(none) : T(0); });
    });
    return result;
  };
  return op;
}();

Expr length_of(const Expr& s) { return apply(length_op, {s}); }

Expr root_of_powers(const Expr& s, double p) {
  const Expr zero = equal(s, 0);
  return switch_(zero, flat(s, 2), pow(switch_(zero, 1, s), p));
}

Expr power_of_root(const Expr& root, double q) {
  if (q < 2 || q != std::floor(q)) return {};
  const Op* op = &root.op();
  const auto inside = [&](std::size_t k) { return root.inputs()[k]; };
  const auto whole_power = [](const Expr& s, double p) {
    if (p != std::round(p)) return Expr();
    return p == 1 ? s : pow(s, p);
  };
  if (op == &length_op) return whole_power(inside(0), q / 2);
  if (op == &abs_op) return whole_power(inside(0), std::fmod(q, 2) == 0 ? q : 0.5);
  if (op == &dimshuffle_op) {
    const Expr inner = power_of_root(inside(0), q);
    return inner.has_value() ? dimshuffle(inner, root.attrs().ints) : Expr();
  }
  if (op == &switch_op && &inside(1).op() == &flat_op && &inside(2).op() == &pow_op) {
    const Tensor* p = constant_value(inside(2).inputs()[1]);
    const Expr s = inside(1).inputs()[0];
    const bool whole =
        p && p->rank() == 0 && std::abs(p->item() * q - std::round(p->item() * q)) < 1e-9;
    return whole ? whole_power(s, std::round(p->item() * q)) : Expr();
  }
  if (op == &mul_op || op == &div_op) {
    for (const std::size_t k : {0u, 1u}) {
      const Expr power = power_of_root(inside(k), q);
      if (!power.has_value() || (op == &div_op && k == 1)) continue;
      const Expr other = q == 2 ? square(inside(1 - k)) : pow(inside(1 - k), q);
      return op == &mul_op ? power * other : power / other;
    }
  }
  return {};
}

Expr flat(const Expr& s, std::int64_t order) { return apply(flat_op, {s}, {.ints = {order}}); }

}  // namespace cinch
