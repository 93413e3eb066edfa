// What the expansions of stable ops are written with. A rule that turns log(sum(exp(x))) into a
// stable op would find the same shape in that op's own expansion, without end; the attribute keeps
// these nodes out of every pattern.
#pragma once

#include "cinch/core/op.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"

namespace cinch::rules {

/// Marks an elementwise node to which no rule applies.
struct Final {
  static bool of(const Attrs& a) { return !a.ints.empty(); }
  static Attrs attrs() { return {.ints = {0}}; }
};

/// log(x), log1p(x), exp(x) and a / b to which no rule applies.
inline Expr final_log(const Expr& x) { return apply(log_op, {x}, Final::attrs()); }
inline Expr final_log1p(const Expr& x) { return apply(log1p_op, {x}, Final::attrs()); }
inline Expr final_exp(const Expr& x) { return apply(exp_op, {x}, Final::attrs()); }
inline Expr final_div(const Expr& a, const Expr& b) {
  return apply(div_op, {a, b}, Final::attrs());
}
/// Whether no rule applies to it.
inline bool is_final(const Expr& e) { return Final::of(e.attrs()); }

}  // namespace cinch::rules
