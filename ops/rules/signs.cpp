#include "cinch/ops/rules/signs.hpp"

#include <algorithm>
#include <cmath>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/logsumexp.hpp"
#include "cinch/ops/prod.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/even.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/shares.hpp"
#include "cinch/ops/rules/slopes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/special.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::rules {

namespace {

constexpr std::int64_t largest_constant = 4096;  // Elements that are looked at.

/// Which signs elements may have.
struct Signs {
  bool below = true, above = true;
};

class SignReader {
 public:
  Signs of(const Expr& e, int depth = 8) {
    if (const Tensor* value = constant_value(e)) return of_constant(*value);
    if (graphs::is_leaf(e) || depth == 0 || --budget_ < 0) return {e.dtype() != DType::bool_, true};
    const Op* op = &e.op();
    const auto in = [&](std::size_t k) { return of(e.inputs()[k], depth - 1); };
    const auto any = [&](std::initializer_list<const Op*> ops) {
      return std::ranges::find(ops, op) != ops.end();
    };
    if (any({&square_op, &abs_op, &exp_op, &exp2_op, &sqrt_op, &length_op, &hypot_op, &sigmoid_op,
             &softplus_op, &relu_op, &cosh_op, &log_cosh_op, &softmax_op, &sigmoid_slope_op,
             &sech_op, &erfc_op, &normal_cdf_op, &size_op, &exp_of_product_op}))
      return {false, true};
    if (op == &neg_op) return {in(0).above, in(0).below};
    if (any({&sum_op, &max_op, &min_op, &sum_like_op, &broadcast_to_op, &dimshuffle_op, &reshape_op,
             &copy_op, &even_op, &share_op}) ||
        op->view() || (op == &cast_op && e.inputs()[0].dtype() != DType::bool_))
      return in(0);
    if (op == &cast_op) return {false, true};
    if (op == &add_op) return either(in(0), in(1));
    if (op == &sub_op) return either(in(0), {in(1).above, in(1).below});
    if (op == &switch_op) return either(in(1), in(2));
    if (op == &maximum_op) return {in(0).below && in(1).below, in(0).above || in(1).above};
    if (op == &minimum_op) return {in(0).below || in(1).below, in(0).above && in(1).above};
    if (op == &mul_op || op == &div_op) {
      if (e.inputs()[0] == e.inputs()[1]) return {false, true};
      return product(in(0), in(1));
    }
    if (op == &pow_op) {
      const Tensor* p = constant_value(e.inputs()[1]);
      const bool is_even = p && p->rank() == 0 && std::fmod(p->item(), 2) == 0;
      return {!is_even && in(0).below, true};
    }
    return {};
  }

 private:
  static Signs of_constant(const Tensor& value) {
    if (value.size() > largest_constant) return {};
    Signs result{false, false};
    for (std::int64_t k = 0; k < value.size(); ++k) {
      result.below = result.below || !(value.at(k) >= 0);
      result.above = result.above || !(value.at(k) <= 0);
    }
    return result;
  }

  static Signs either(Signs a, Signs b) { return {a.below || b.below, a.above || b.above}; }
  static Signs product(Signs a, Signs b) {
    return {(a.below && b.above) || (a.above && b.below),
            (a.above && b.above) || (a.below && b.below)};
  }

  int budget_ = 100;
};

bool is_above_0(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || value->size() == 0 || value->size() > largest_constant) return false;
  for (std::int64_t k = 0; k < value->size(); ++k) {
    if (!(value->at(k) > 0)) return false;
  }
  return true;
}

bool bounded_below(const Expr& e, int depth) {
  if (is_above_0(e)) return true;
  if (depth == 0 || graphs::is_leaf(e)) return false;
  const Op* op = &e.op();
  const auto bounded = [&](std::size_t k) { return bounded_below(e.inputs()[k], depth - 1); };
  const auto not_below_0 = [&](std::size_t k) { return never_negative(e.inputs()[k]); };
  if (op == &add_op) return (bounded(0) && not_below_0(1)) || (bounded(1) && not_below_0(0));
  if (op == &mul_op || op == &div_op) return bounded(0) && is_above_0(e.inputs()[1]);
  if (op == &maximum_op) return bounded(0) || bounded(1);
  return (op == &sqrt_op || op == &length_op || op == &square_op || op == &dimshuffle_op ||
          op == &broadcast_to_op || op == &cast_op) &&
         e.inputs()[0].dtype() != DType::bool_ && bounded(0);
}

}  // namespace

bool never_negative(const Expr& e) { return !SignReader().of(e).below; }
bool never_positive(const Expr& e) { return !SignReader().of(e).above; }
bool bounded_below(const Expr& e) { return bounded_below(e, 6); }

}  // namespace cinch::rules
