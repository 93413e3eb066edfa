#include "cinch/core/contract/distribute.hpp"

#include <algorithm>
#include <cstdint>

#include "cinch/core/derive/factored.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

/// One sum; an empty expression where it does not apply.
Expr distributed(const Expr& head) {
  constexpr std::int64_t least_summed = 8, least_smaller = 4;
  if (head.op().algebra != Algebra::sum || !is_float(head.dtype())) return {};
  const auto elements = [](const Expr& e) { return element_count(e.type().shape()); };
  const Expr& body = head.inputs()[0];
  const std::int64_t all = elements(body);
  if (all < least_summed * elements(head) || all == 0) return {};
  constexpr std::size_t most_factors = 6;
  const std::vector<Expr> factors = deriving::factors_of(body, most_factors);
  if (factors.size() > most_factors) return {};
  for (std::size_t k = 0; k < factors.size(); ++k) {
    const Expr f = factors[k];
    const LinearForm form = f.op().linear;
    if (form == LinearForm::none || elements(f) != all) continue;
    const bool outer = std::ranges::all_of(
        f.inputs(), [&](const Expr& x) { return elements(x) * least_smaller <= all; });
    if (!outer) continue;
    const Attribution as(head->where, /*force=*/true);
    const auto term = [&](const Expr& part) {
      Expr value;
      for (std::size_t l = 0; l < factors.size(); ++l) {
        const Expr& factor = l == k ? part : factors[l];
        value = value.has_value() ? value * factor : factor;
      }
      const Expr sum = sum_axes(broadcast_to(value, sizes(body)), OverAxes::of(head.attrs()));
      const Expr further = distributed(sum);
      return further.has_value() ? further : sum;
    };
    const Expr left = term(f.inputs()[0]), right = term(f.inputs()[1]);
    return form == LinearForm::sum ? left + right : left + literal(-1) * right;
  }
  return {};
}

}  // namespace

std::vector<Expr> with_distributed_sums(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        const Expr better = distributed(e);
        return better.has_value() ? better : e;
      },
      done);
}

}  // namespace cinch::contraction
