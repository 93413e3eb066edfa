#include "cinch/core/contract/apart.hpp"

#include <algorithm>
#include <cstdint>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

std::int64_t elements(const Expr& e) { return element_count(e.type().shape()); }

/// f(a b) = f(a) f(b).
bool is_multiplicative(const Op& op) { return &op == &abs_op || &op == &sign_op; }

/// f(x) as a product of functions of what x is a product of; empty where it is none, or of factors
/// as large as it is.
Expr of_factors(const Expr& x, const Expr& f, int depth = 0) {
  constexpr int deepest = 16;
  if (depth > deepest) return {};
  const auto of = [&](const Expr& part) {
    const Expr further = of_factors(part, f, depth + 1);
    return further.has_value() ? further : apply(f.op(), {part}, f.attrs(), f->where);
  };
  const std::span<const Expr> in = x.inputs();
  switch (x.op().algebra) {
    case Algebra::product:
    case Algebra::quotient: {
      const bool smaller = elements(in[0]) < elements(x) || elements(in[1]) < elements(x);
      return smaller ? apply(x.op(), {of(in[0]), of(in[1])}, x.attrs()) : Expr();
    }
    case Algebra::permute:
    case Algebra::regroup:
    case Algebra::repeat: {
      const Expr inside = of_factors(in[0], f, depth + 1);
      if (!inside.has_value()) return {};
      std::vector<Expr> inputs(in.begin(), in.end());
      inputs[0] = inside;
      return with_inputs(x, std::move(inputs));
    }
    default:
      return {};
  }
}

}  // namespace

std::vector<Expr> with_factors_apart(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (!is_multiplicative(e.op())) return e;
        const Attribution as(e->where, /*force=*/true);
        const Expr better = of_factors(e.inputs()[0], e);
        const bool fits =
            better.has_value() && better.dtype() == e.dtype() && better.dims() == e.dims();
        return fits ? better : e;
      },
      done);
}

}  // namespace cinch::contraction
