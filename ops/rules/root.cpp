#include "cinch/ops/rules/root.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/rules/even.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::rules {

namespace {

Rules length_rules() {
  static const Expr x = rewriting::wildcard("x");
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

constinit const Op length_op = records::elementwise<formula::Sqrt>({
    .name = "length",
    .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
      return {gy * half_reciprocal(x[0], y)};
    },
    .smoothed = functions_of_squares,
    .rules = length_rules,
    .probe = {0.3, 3},
});

namespace {
constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// From which derivative on a flat is NaN where its operand is 0.
struct Flatness {
  std::int64_t order;

  static Flatness of(const Attrs& a) { return {a.ints[0]}; }
  Attrs attrs() const { return {.ints = {order}}; }
};
}  // namespace

constinit const Op flat_op = [] {
  Op op = records::elementwise<formula::Identity>({
      .name = "flat",
      .grad = [](Args x, const Expr& y, const Expr& gy) -> Grads {
        return {gy * flat(x[0], Flatness::of(y.attrs()).order - 1)};
      },
      .expand =
          [](const Expr& y) {
            const Expr& s = y.inputs()[0];
            return Flatness::of(y.attrs()).order > 0
                       ? zeros_like(s)
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
    if (Flatness::of(attrs).order > 0) return result;
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
    return inner.has_value() ? dimshuffle(inner, AxisPattern::of(root.attrs())) : Expr();
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

Expr flat(const Expr& s, std::int64_t order) {
  return apply(flat_op, {s}, Flatness{order}.attrs());
}

}  // namespace cinch::rules
