#include "cinch/audit/search/terms.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::searching {

namespace {

bool is(const Expr& e, const Op& op) { return &e.op() == &op; }

/// The input of `e` that it is linear in, where the others are constant factors or sizes; -1: none.
int linear_input(const Expr& e, const NodeSet& depends) {
  const auto factor = [&](std::size_t k) {
    const Expr& x = e.inputs()[k];
    return x.rank() == 0 && !depends.contains(x.get());
  };
  if (is(e, mul_op)) return factor(0) ? 1 : factor(1) ? 0 : -1;
  if (is(e, div_op)) return factor(1) ? 0 : -1;
  if (is(e, cast_op)) return is_float(e.inputs()[0].dtype()) && is_float(e.dtype()) ? 0 : -1;
  for (const Op* op : {&neg_op, &copy_op, &sum_op, &dimshuffle_op, &reshape_op, &broadcast_to_op}) {
    if (is(e, *op)) return 0;
  }
  return -1;
}

/// Factors and signs, which are no part of what the user calls the term.
bool only_scales(const Expr& e) {
  return is(e, mul_op) || is(e, neg_op) || is(e, copy_op) || is(e, cast_op) ||
         (is(e, div_op) && constant_value(e.inputs()[1]));
}

bool same_line(const Expr& a, const Expr& b) {
  return a->where.line == b->where.line && std::string_view(a->where.file) == b->where.file;
}

/// A way down from the cost: `nodes` in order, each with the input that was taken.
struct Path {
  Expr shown, at;
  std::vector<std::pair<Expr, std::size_t>> nodes;
  bool split_below = false;

  Expr whole() const {
    Expr result = at;
    for (auto step = nodes.rbegin(); step != nodes.rend(); ++step) {
      const auto& [node, input] = *step;
      const Attribution as(node->where, /*force=*/true);
      if (is(node, add_op) || is(node, sub_op)) {
        if (!(result.dims() == node.dims())) result = broadcast_like(result, node);
        if (is(node, sub_op) && input == 1) result = -result;
      } else {
        std::vector<Expr> inputs(node.inputs().begin(), node.inputs().end());
        inputs[input] = result;
        result = with_inputs(node, std::move(inputs));
      }
    }
    return result;
  }
};

/// Whether a sum is one of terms, and not the formula of one.
bool sums_terms(const Expr& e, const NodeSet& depends) {
  if (!is(e, add_op) && !is(e, sub_op)) return false;
  if (e.rank() == 0) return true;
  if (e.rank() > 1) return false;
  for (Expr part : e.inputs()) {
    for (int k; only_scales(part) && (k = linear_input(part, depends)) >= 0;) {
      part = part.inputs()[static_cast<std::size_t>(k)];
    }
    if (!same_line(part, e) && part.rank() == 1) return true;
  }
  return false;
}

}  // namespace

std::vector<Term> split(const Expr& cost, const NodeSet& depends, const NodeSet& named) {
  std::vector<Term> result;
  std::vector<Path> pending{{cost, cost, {}}};
  while (!pending.empty()) {
    Path path = std::move(pending.back());
    pending.pop_back();
    // Down through what is linear, as far as there is another sum of terms.
    Path deeper = path;
    bool found = false;
    bool scales = true;  // Nothing but factors since the last sum.
    while (!found) {
      if (scales) path.shown = deeper.at;
      if (named.contains(deeper.at.get())) break;
      found = sums_terms(deeper.at, depends);
      if (found) break;
      const int k = linear_input(deeper.at, depends);
      if (k < 0) break;
      scales = scales && only_scales(deeper.at);
      const Expr next = deeper.at.inputs()[static_cast<std::size_t>(k)];
      deeper.nodes.emplace_back(deeper.at, static_cast<std::size_t>(k));
      deeper.at = next;
    }
    if (!found) {
      const Expr shown = named.contains(deeper.at.get()) ? deeper.at : path.shown;
      result.push_back({shown, path.whole()});
      continue;
    }
    for (std::size_t k = 2; k-- > 0;) {  // The first one is taken from the stack first.
      Path part = deeper;
      part.nodes.emplace_back(deeper.at, k);
      part.at = part.shown = deeper.at.inputs()[k];
      pending.push_back(std::move(part));
    }
  }
  return result;
}

std::int64_t mean_over(const Expr& whole, const NodeSet& depends, std::int64_t examples,
                       const std::function<double(const Expr&)>& value) {
  std::vector<double> divisors;
  double factor = 1, summed = 1, result = 1;
  Expr at = whole;
  for (int k; (k = linear_input(at, depends)) >= 0;) {
    const Expr& next = at.inputs()[static_cast<std::size_t>(k)];
    if (is(at, mul_op)) factor *= value(at.inputs()[static_cast<std::size_t>(1 - k)]);
    if (is(at, div_op)) divisors.push_back(value(at.inputs()[1]));
    if (is(at, sum_op)) {
      for (const std::int64_t axis : OverAxes::of(at.attrs())) summed *= value(size(next, axis));
      const auto by = std::ranges::find(divisors, summed);
      if (by != divisors.end()) {
        result *= summed;
        summed = 1;
        divisors.erase(by);
      }
    }
    at = next;
  }
  const auto n = static_cast<double>(examples);
  if (n > 1 && std::fmod(result, n) == 0) result /= n;
  return factor == result ? 1 : static_cast<std::int64_t>(result);
}

std::vector<double> summed_over(const Expr& whole, const NodeSet& depends,
                                const std::function<double(const Expr&)>& value) {
  std::vector<double> sizes, divisors;
  Expr at = whole;
  for (int k; (k = linear_input(at, depends)) >= 0;) {
    const Expr& next = at.inputs()[static_cast<std::size_t>(k)];
    if (is(at, mul_op)) divisors.push_back(1 / value(at.inputs()[static_cast<std::size_t>(1 - k)]));
    if (is(at, div_op)) divisors.push_back(value(at.inputs()[1]));
    if (is(at, sum_op)) {
      for (const std::int64_t axis : OverAxes::of(at.attrs()))
        sizes.push_back(value(size(next, axis)));
    }
    at = next;
  }
  // A divisor may be the size of several axes together.
  std::erase_if(sizes, [&](double length) {
    return std::ranges::any_of(divisors, [&](double d) {
      return length > 1 && std::abs(std::remainder(d, length)) < 1e-9;
    });
  });
  return sizes;
}

}  // namespace cinch::searching
