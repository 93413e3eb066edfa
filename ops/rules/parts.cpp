#include "cinch/ops/rules/parts.hpp"

#include <optional>
#include <utility>
#include <vector>

#include "cinch/core/algebra.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::rules {

namespace {

constexpr std::size_t most_terms = 16;
constexpr int deepest = 8;

struct Part {
  Expr x, like;
  std::int64_t axis, start, length;
};

std::optional<Part> part_of(const Expr& e) {
  if (&e.op() != &embed_op) return {};
  const auto [axis, step] = Narrowing::of(e.attrs());
  const auto start = records::constant_size(e.inputs()[2]);
  const Expr& x = e.inputs()[0];
  const Dim length = x.dims()[static_cast<std::size_t>(axis)];
  if (step != 1 || !start || *start < 0 || !length.known()) return {};
  return Part{x, e.inputs()[1], axis, *start, length.size()};
}

void add_terms(std::vector<Expr>& terms, const Expr& e, const Expr& sum, int depth = 0) {
  const bool goes_on = &e.op() == &add_op && e.dims() == sum.dims() && e.dtype() == sum.dtype() &&
                       terms.size() < most_terms && depth < deepest;
  if (!goes_on) {
    terms.push_back(e);
    return;
  }
  for (const Expr& input : e.inputs()) add_terms(terms, input, sum, depth + 1);
}

/// Whether two parts have the same sizes but along their axis.
bool fit(const Part& a, const Part& b) {
  for (std::int64_t axis = 0; axis < a.x.rank(); ++axis) {
    if (axis != a.axis && !(a.x.dims()[axis] == b.x.dims()[axis])) return false;
  }
  return true;
}

/// Zeros of a shape, as a part is where what is embedded lies elsewhere.
bool is_nothing(const Expr& e) {
  return e.op().algebra == Algebra::repeat && graphs::is_constant(e.inputs()[0], 0);
}

/// Both as one; empty where they lie apart.
Expr joined(const Part& a, const Part& b) {
  if (a.axis != b.axis || a.x.dtype() != b.x.dtype() || !fit(a, b)) return {};
  if (a.start == b.start && a.length == b.length) return embed(a.x + b.x, a.like, a.axis, a.start);
  if (b.start + b.length == a.start) return joined(b, a);
  if (a.start + a.length != b.start) return {};
  std::vector<Expr> pieces;
  for (const Expr& x : {a.x, b.x}) {
    const bool is_joined = &x.op() == &concatenate_op && AlongAxis::of(x.attrs()).axis == a.axis;
    if (is_joined) {
      pieces.insert(pieces.end(), x.inputs().begin(), x.inputs().end());
    } else {
      pieces.push_back(x);
    }
  }
  const Expr both = concatenate(pieces, a.axis);
  const bool whole = both.dims() == a.like.dims();
  return whole ? both : embed(both, a.like, a.axis, a.start);
}

}  // namespace

Expr with_joined_parts(const Expr& sum) {
  for (const std::size_t k : {0u, 1u}) {
    const Expr& other = sum.inputs()[1 - k];
    if (is_nothing(sum.inputs()[k]) && other.dims() == sum.dims() && other.dtype() == sum.dtype())
      return other;
  }
  std::vector<Expr> terms;
  for (const Expr& input : sum.inputs()) add_terms(terms, input, sum);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    const auto a = part_of(terms[k]);
    if (!a || terms[k].dims() != sum.dims()) continue;
    for (std::size_t l = k + 1; l < terms.size(); ++l) {
      const auto b = part_of(terms[l]);
      if (!b || terms[l].dims() != sum.dims()) continue;
      Expr result = joined(*a, *b);
      if (!result.has_value()) continue;
      for (std::size_t i = 0; i < terms.size(); ++i) {
        if (i != k && i != l) result = result + terms[i];
      }
      return result;
    }
  }
  return {};
}

}  // namespace cinch::rules
