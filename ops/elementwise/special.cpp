#include "cinch/ops/special.hpp"

#include <limits>

#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/rules/complement.hpp"
#include "cinch/ops/rules/positive.hpp"
#include "cinch/ops/rules/slopes.hpp"

namespace cinch {

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(), ln2 = 0.69314718055994530942,
                 ln10 = 2.3025850929940456840, two_over_root_pi = 1.1283791670955125739;

Rules xlogy_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"x log exp", xlogy(x, exp(y)), x * y},
      {"x log sigmoid", xlogy(x, sigmoid(y)), -(x * softplus(-y))},
      {"x log (1 - y)", xlogy(x, 1 - y), xlog1py(x, -y)},
      {"x log (1 + y)", xlogy(x, 1 + y), xlog1py(x, y)},
  };
  return rules;
}

Rules xlog1py_rules() {
  static const Expr x = rewriting::wildcard("x"), y = rewriting::wildcard("y");
  static const Rule rules[] = {
      {"x log1p exp", xlog1py(x, exp(y)), x * softplus(y)},
      {"x log1p (-exp)", xlog1py(x, -exp(y)), x * log1mexp(y)},
      {"x log1p (-sigmoid)", xlog1py(x, -sigmoid(y)), -(x * softplus(y))},
  };
  return rules;
}

/// x log(y) as log(y) is written.
Expr simplify_xlogy(const Expr& e) {
  const Expr& p = e.inputs()[1];
  if (&p.op() == &exp_op || &p.op() == &sigmoid_op) return {};  // The rules say it.
  const Expr log_p = rules::log_of_positive(p);
  return log_p.has_value() ? times_log(e.inputs()[0], log_p) : Expr();
}

/// x log(1 + y) as log(1 + y) is written.
Expr simplify_xlog1py(const Expr& e) {
  const Expr& p = e.inputs()[1];
  const Op& of = &p.op() == &neg_op ? p.inputs()[0].op() : p.op();
  if (&of == &exp_op || &of == &sigmoid_op) return {};  // The rules say it.
  const Expr log_p = rules::log_of_positive(1 + p);
  return log_p.has_value() && &log_p.op() != &log_op ? times_log(e.inputs()[0], log_p) : Expr();
}

/// log(y) to base exp(ln_base) as log(y) is written.
Expr simplify_other_log(const Expr& e, double ln_base) {
  const Expr log_p = rules::log_of_positive(e.inputs()[0]);
  return log_p.has_value() ? log_p / ln_base : Expr();
}

/// x / y, and 0 where both are 0.
Expr ratio(const Expr& x, const Expr& y) {
  return x / switch_(logical_and(equal(x, 0), equal(y, 0)), 1, y);
}

}  // namespace

constinit const Op exp2_op = records::elementwise<formula::Exp2>({
    .name = "exp2",
    .grad = [](Args, const Expr& y, const Expr& gy) -> Grads { return {ln2 * gy * y}; },
});
constinit const Op log2_op = records::elementwise<formula::Log2>({
    .name = "log2",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (ln2 * x[0])}; },
    .simplify = [](const Expr& e) { return simplify_other_log(e, ln2); },
    .probe = {0.2, 3},
});
constinit const Op log10_op = records::elementwise<formula::Log10>({
    .name = "log10",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy / (ln10 * x[0])}; },
    .simplify = [](const Expr& e) { return simplify_other_log(e, ln10); },
    .probe = {0.2, 3},
});
constinit const Op log1mexp_op = records::elementwise<formula::Log1mexp>({
    .name = "log1mexp",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * (exp(x[0]) / expm1(x[0]))};
    },
    .simplify = exponentials::simplify_log1mexp,
    .probe = {-3, -0.2},
});
constinit const Op logaddexp_op = records::elementwise<formula::LogAddExp>({
    .name = "logaddexp",
    .commutative = true,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      // Two operands that are the same infinity share as equal numbers do.
      const Expr same = logical_and(equal(x[0], x[1]), equal(abs(x[0]), inf));
      const Expr apart = switch_(same, 0, x[0] - x[1]);
      return {gy * sigmoid(apart), gy * sigmoid(-apart)};
    },
});
constinit const Op xlogy_op = records::elementwise<formula::Xlogy>({
    .name = "xlogy",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * log(x[1]), gy * ratio(x[0], x[1])};
    },
    .rules = xlogy_rules,
    .simplify = simplify_xlogy,
    .probe = {0.2, 3},
});
constinit const Op xlog1py_op = records::elementwise<formula::Xlog1py>({
    .name = "xlog1py",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {gy * log1p(x[1]), gy * ratio(x[0], 1 + x[1])};
    },
    .rules = xlog1py_rules,
    .simplify = simplify_xlog1py,
    .probe = {-0.7, 3},
});
constinit const Op log_cosh_op = records::elementwise<formula::LogCosh>({
    .name = "log_cosh",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads { return {gy * tanh(x[0])}; },
});
constinit const Op erf_op = records::elementwise<formula::Erf>({
    .name = "erf",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {two_over_root_pi * gy * rules::exp_of_product(-x[0], x[0])};
    },
});
constinit const Op erfc_op = records::elementwise<formula::Erfc>({
    .name = "erfc",
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {-two_over_root_pi * gy * rules::exp_of_product(-x[0], x[0])};
    },
});

namespace {
Expr unary(const Op& op, const Arg& x) { return apply(op, {x}, {}, x.where()); }
Expr binary(const Op& op, const Arg& a, const Arg& b) { return apply(op, {a, b}, {}, a.where()); }
}  // namespace

Expr exp2(const Arg& x) { return unary(exp2_op, x); }
Expr log2(const Arg& x) { return unary(log2_op, x); }
Expr log10(const Arg& x) { return unary(log10_op, x); }
Expr log1mexp(const Arg& x) { return unary(log1mexp_op, x); }
Expr logaddexp(const Arg& a, const Arg& b) { return binary(logaddexp_op, a, b); }
Expr xlogy(const Arg& x, const Arg& y) { return binary(xlogy_op, x, y); }
Expr xlog1py(const Arg& x, const Arg& y) { return binary(xlog1py_op, x, y); }
Expr times_log(const Arg& x, const Arg& log_y) {
  const Attribution as(x.where());
  const Expr never = logical_and(equal(x, 0), equal(log_y, -inf));
  return switch_(never, 0, x * log_y);
}
Expr log_cosh(const Arg& x) { return unary(log_cosh_op, x); }
Expr erf(const Arg& x) { return unary(erf_op, x); }
Expr erfc(const Arg& x) { return unary(erfc_op, x); }

}  // namespace cinch
