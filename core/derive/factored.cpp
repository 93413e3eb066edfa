#include "cinch/core/derive/factored.hpp"

#include <optional>
#include <span>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"

namespace cinch::deriving {

namespace {

/// `cotangent` * `factor`, element by element. The factor is empty for 1.
struct Multiple {
  Expr cotangent, factor;
  bool is_product = true;  ///< Whether it is written as products only.
};

class Factoring {
 public:
  explicit Factoring(const Expr& seed) : seed_(seed) { seen_[seed.get()] = {seed, {seed, {}}}; }

  void add(const Expr& node) {
    if (seen_.contains(node.get())) return;
    bool depends = false;
    std::vector<Expr> inputs;
    for (const Expr& input : node.inputs()) {
      const auto found = seen_.find(input.get());
      depends |= found != seen_.end();
      inputs.push_back(found == seen_.end() ? input : found->second.written);
    }
    if (!depends) return;
    const Attribution at(node->where, /*force=*/true);
    const std::optional<Multiple> multiple = node.op().elementwise() ? read(node) : std::nullopt;
    if (multiple && !multiple->is_product) {
      seen_[node.get()] = {multiple->cotangent * multiple->factor, *multiple};
    } else {
      const Expr same = with_inputs(node, std::move(inputs));
      seen_[node.get()] = {same, multiple.value_or(Multiple{same, {}})};
    }
  }

  Expr written(const Expr& node) const {
    const auto found = seen_.find(node.get());
    return found == seen_.end() ? node : found->second.written;
  }

 private:
  struct Seen {
    Expr written;
    Multiple as;
  };

  const Multiple* multiple(const Expr& e) const {
    const auto found = seen_.find(e.get());
    return found == seen_.end() ? nullptr : &found->second.as;
  }

  static Expr number(double value, const Expr& like) {
    return constant(Tensor(value).cast(like.dtype()));
  }
  static Expr factor_or_one(const Multiple& m) {
    return m.factor.has_value() ? m.factor : number(1, m.cotangent);
  }

  /// What a branch is a multiple of the cotangent by; empty where it is not.
  Expr factor_in(const Expr& branch, const Expr& cotangent) const {
    const Multiple* m = multiple(branch);
    if (!m) return graphs::is_constant(branch, 0) ? number(0, cotangent) : Expr();
    if (!(m->cotangent == cotangent)) return {};
    return factor_or_one(*m);
  }

  /// An elementwise node as a multiple, where it is one of the shape of its cotangent.
  std::optional<Multiple> read(const Expr& node) const {
    std::optional<Multiple> result = read_parts(node);
    if (result && result->cotangent.dims() == node.dims() &&
        result->cotangent.dtype() == node.dtype())
      return result;
    return std::nullopt;
  }

  std::optional<Multiple> read_parts(const Expr& node) const {
    const std::span<const Expr> x = node.inputs();
    const Op& op = node.op();
    if (op.algebra == Algebra::product || op.algebra == Algebra::quotient) {
      const Multiple *a = multiple(x[0]), *b = multiple(x[1]);
      const bool divides = op.algebra == Algebra::quotient;
      if ((a && b) || (divides && b)) return std::nullopt;
      Multiple result = a ? *a : *b;
      const Expr& by = a ? x[1] : x[0];
      if (divides) {
        result.factor = apply(op, {factor_or_one(result), by}, node.attrs());
        const Tensor* number = constant_value(by);
        result.is_product &= number && number->size() == 1;
      } else {
        result.factor = result.factor.has_value() ? result.factor * by : by;
      }
      return result;
    }
    if (op.algebra == Algebra::negative) {
      const Multiple* a = multiple(x[0]);
      if (!a) return std::nullopt;
      return Multiple{a->cotangent, -factor_or_one(*a), a->is_product};
    }
    const bool chooses = &op == &switch_op;
    if (!chooses && op.linear == LinearForm::none) return std::nullopt;
    const std::span<const Expr> branches = x.subspan(chooses ? 1 : 0);
    if (chooses && multiple(x[0])) return std::nullopt;
    const Multiple* first = multiple(branches[0]);
    if (!first) first = multiple(branches[1]);
    if (!first) return std::nullopt;
    // What is behind a product has been contracted by then, and is chosen from in the same loop.
    if (chooses && !(first->cotangent == seed_)) return std::nullopt;
    std::vector<Expr> factors;
    if (chooses) factors.push_back(x[0]);
    for (const Expr& branch : branches) {
      factors.push_back(factor_in(branch, first->cotangent));
      if (!factors.back().has_value()) return std::nullopt;
    }
    return Multiple{first->cotangent, apply(op, std::move(factors), node.attrs()), false};
  }

  Expr seed_;
  NodeMap<Seen> seen_;
};

void collect_factors(const Expr& e, std::size_t most, std::vector<Expr>& factors) {
  if (factors.size() > most) return;
  const Algebra algebra = e.op().algebra;
  if (algebra == Algebra::negative) factors.push_back(literal(-1));
  if (algebra == Algebra::square) collect_factors(e.inputs()[0], most, factors);
  if (algebra == Algebra::square || algebra == Algebra::negative || algebra == Algebra::product) {
    for (const Expr& operand : e.inputs()) collect_factors(operand, most, factors);
  } else {
    factors.push_back(e);
  }
}

}  // namespace

Expr factored(const Expr& pulled, const Expr& seed) {
  Factoring factoring(seed);
  for (const Expr& node : topological(std::span(&pulled, 1))) factoring.add(node);
  return factoring.written(pulled);
}

std::vector<Expr> factors_of(const Expr& product, std::size_t most) {
  std::vector<Expr> result;
  collect_factors(product, most, result);
  return result;
}

}  // namespace cinch::deriving
