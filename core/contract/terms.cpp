#include "cinch/core/contract/terms.hpp"

#include <cstddef>
#include <cstdint>

#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

constexpr std::int64_t large = 1 << 14;  // Elements; of smaller sums both terms cost as much.
constexpr std::int64_t least_smaller = 4;
constexpr std::size_t most_terms = 4;

class Terms {
 public:
  explicit Terms(std::span<const Expr> roots)
      : roots_(roots.begin(), roots.end()), order_(topological(roots)) {}

  std::vector<Expr> apart() {
    for (const Expr& node : order_) add(node);
    if (!any_) return {};
    std::vector<Expr> result;
    for (const Expr& root : roots_) result.push_back(whole_.at(root.get()));
    return result;
  }

 private:
  static std::int64_t elements(const Expr& e) { return element_count(e.type().shape()); }

  /// Of which operand `e` is linear, as far as only one of them has terms; none: -1.
  int read_in_terms(const Expr& e) const {
    int result = -1;
    for (std::size_t k = 0; k < e.inputs().size(); ++k) {
      if (!terms_.contains(e.inputs()[k].get())) continue;
      if (result >= 0) return -1;
      result = static_cast<int>(k);
    }
    switch (e.op().algebra) {
      case Algebra::product:
      case Algebra::matrix_product:
        return result;
      case Algebra::negative:
      case Algebra::quotient:
      case Algebra::sum:
      case Algebra::permute:
      case Algebra::repeat:
      case Algebra::regroup:
      case Algebra::diagonal:
      case Algebra::embed_diagonal:
        return result == 0 ? 0 : -1;
      default:
        return result > 0 && chosen_or_zero(e) == static_cast<std::size_t>(result) ? result : -1;
    }
  }

  void add(const Expr& e) {
    std::vector<Expr> inputs;
    for (const Expr& input : e.inputs()) inputs.push_back(whole_.at(input.get()));
    Expr& whole = whole_[e.get()] = with_inputs(e, inputs);
    const bool is_large = is_float(e.dtype()) && e.type().is_static() && elements(e) >= large;
    if (e.op().linear == LinearForm::sum) {
      if (is_large) add_sum(e, inputs);
      return;
    }
    const int k = read_in_terms(e);
    if (k < 0) return;
    const Expr& operand = e.inputs()[static_cast<std::size_t>(k)];
    std::vector<Expr> terms;
    for (const Expr& term : terms_.at(operand.get())) {
      inputs[static_cast<std::size_t>(k)] = term;
      terms.push_back(with_inputs(e, inputs));
    }
    if (is_head(e) && elements(e) * least_smaller <= elements(operand)) {
      const Attribution as(e->where, /*force=*/true);
      any_ = true;
      whole = terms[0];
      for (std::size_t t = 1; t < terms.size(); ++t)
        whole = apply(sum_.at(operand.get()).op(), {whole, terms[t]}, {}, e->where);
    }
    if (!is_large) return;
    sum_.emplace(e.get(), sum_.at(operand.get()));
    terms_.emplace(e.get(), std::move(terms));
  }

  void add_sum(const Expr& e, const std::vector<Expr>& inputs) {
    std::vector<Expr> terms;
    for (std::size_t k = 0; k < 2; ++k) {
      const auto own = terms_.find(e.inputs()[k].get());
      if (e.inputs()[k].dims() != e.dims() || e.inputs()[k].dtype() != e.dtype()) return;
      if (own == terms_.end()) {
        terms.push_back(inputs[k]);
      } else {
        terms.insert(terms.end(), own->second.begin(), own->second.end());
      }
    }
    if (terms.size() > most_terms) return;
    sum_.emplace(e.get(), e);
    terms_.emplace(e.get(), std::move(terms));
  }

  std::vector<Expr> roots_, order_;
  NodeMap<Expr> whole_;
  NodeMap<std::vector<Expr>> terms_;
  NodeMap<Expr> sum_;  // That the terms come from.
  bool any_ = false;
};

}  // namespace

std::vector<Expr> with_terms_apart(std::span<const Expr> roots) { return Terms(roots).apart(); }

}  // namespace cinch::contraction
