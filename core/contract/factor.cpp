#include "cinch/core/contract/factor.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "cinch/core/contract/order.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/contract/write.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

// Where nothing is summed over, what is added has to have so many times fewer elements.
constexpr double much_smaller = 4;
constexpr double loss_borne = 2;  // What is added mostly joins a loop, which is not counted.
constexpr std::int64_t worth_reading = 64;
constexpr int most_rounds = 8;  // Of sums of sums.
constexpr std::size_t most_pairs = 16;

/// A set of indices in the order in which they came.
using Indices = std::vector<int>;

bool contains(const Indices& indices, int i) {
  return std::ranges::find(indices, i) != indices.end();
}
void insert(Indices& indices, int i) {
  if (!contains(indices, i)) indices.push_back(i);
}

/// A sum or difference of two sums of products, over common indices where their factors agree.
class CommonFactors {
 public:
  /// Throws NotReadable.
  CommonFactors(const Expr& sum, const NodeSet& heads, const NodeSet& dissolved)
      : sum_(sum), axes_(static_cast<std::size_t>(sum.rank())) {
    for (std::size_t k = 0; k < 2; ++k) {
      terms_[k] = read(table_, sum.inputs()[k], heads, dissolved);
      before_ += cheapest_order(network_of(table_, terms_[k], sum.dtype())).work;
    }
    for (const SumOfProducts& term : terms_) align(term);
    for (const AxisIndices& axis : axes_) {
      for (const int i : axis) {
        if (contains(shared_, table_.find(i))) throw NotReadable{};  // A diagonal.
        shared_.push_back(table_.find(i));
      }
    }
    sums_ = std::ranges::all_of(terms_, [&](const SumOfProducts& term) {
      return std::ranges::any_of(term.indices,
                                 [&](int i) { return !contains(shared_, table_.find(i)); });
    });
    // First what indices in common tell apart.
    while (match(/*anchored=*/true) || match(/*anchored=*/false)) {
    }
  }

  /// The product; an empty expression where there is none, or nothing gained.
  Expr product() {
    if (common_.empty()) return {};
    std::array<Rest, 2> rest{rest_of(terms_[0]), rest_of(terms_[1])};
    Indices indices;
    for (const Rest& r : rest) {
      for (const int i : r.indices) insert(indices, i);
    }
    SumOfProducts whole{1, common_, axes_, {}};
    Work after = rest[0].work + rest[1].work;
    // Written once it is known to gain: what does not may be larger than any memory.
    Dims dims;
    for (const int i : indices) dims.push_back(size(i));
    const Expr stands_for_it = variable("added", Type{sum_.dtype(), dims});
    Factor factor{stands_for_it, {}};
    for (const int i : indices) factor.axes.push_back({i});
    const double smaller = count(factor.axes);
    after += step() + pass(smaller, size_of(sum_.dtype()));
    whole.factors.push_back(std::move(factor));
    whole.indices = indices_of(whole.factors);
    const Network net = network_of(table_, std::move(whole), sum_.dtype());
    const Order order = cheapest_order(net);
    after += order.work;
    const bool gains = (smaller * much_smaller <= count(axes_) &&
                        after.nanoseconds < loss_borne * before_.nanoseconds) ||
                       (sums_ && after.nanoseconds < gain_wanted * before_.nanoseconds);
    if (!gains) return {};
    const auto arranged = [&](const Rest& r) {
      std::vector<std::int64_t> pattern;
      for (const int i : indices) {
        const auto at = std::ranges::find(r.indices, i);
        pattern.push_back(at == r.indices.end() ? -1 : at - r.indices.begin());
      }
      return dimshuffle(value_of(r), pattern);
    };
    const Expr added = apply(sum_.op(), {arranged(rest[0]), arranged(rest[1])}, {}, sum_->where);
    const Expr product = written(net, order, sizes(sum_));
    return graphs::replaced(std::span(&product, 1), {{stands_for_it, added}}).front();
  }

 private:
  /// What a term has besides the common factors, as a value with one axis for each index.
  struct Rest {
    double scale = 1;
    std::optional<Network> network;  // None: the scale alone.
    std::optional<Order> order;
    Indices indices;
    Work work;
  };
  Expr value_of(const Rest& rest) const {
    return rest.network ? written(*rest.network, *rest.order)
                        : cast(literal(rest.scale), sum_.dtype());
  }

  double count(const std::vector<AxisIndices>& axes) const {
    double n = 1;
    for (const AxisIndices& axis : axes) {
      for (const int i : axis) n *= static_cast<double>(size(i));
    }
    return n;
  }

  /// The axes of a term, at the right, are those of the sum.
  void align(const SumOfProducts& term) {
    const std::size_t lead = axes_.size() - term.axes.size();
    for (std::size_t k = 0; k < term.axes.size(); ++k) {
      AxisIndices& axis = axes_[lead + k];
      const AxisIndices& own = term.axes[k];
      if (axis.empty()) axis = own;
      if (own.empty()) continue;
      if (own.size() != axis.size()) throw NotReadable{};
      for (std::size_t i = 0; i < own.size(); ++i) {
        if (size(own[i]) != size(axis[i])) throw NotReadable{};
        table_.unite(own[i], axis[i]);
      }
    }
  }

  std::int64_t size(int i) const { return table_.size[static_cast<std::size_t>(i)]; }

  Indices indices_of(std::span<const Factor> factors) const {
    Indices result;
    for (const Factor& f : factors) {
      for (const AxisIndices& axis : f.axes) {
        for (const int i : axis) insert(result, table_.find(i));
      }
    }
    return result;
  }

  /// Takes one factor that both terms have out of them.
  bool match(bool anchored) {
    auto& [a, b] = terms_;
    for (auto f = a.factors.begin(); f != a.factors.end(); ++f) {
      for (auto g = b.factors.begin(); g != b.factors.end(); ++g) {
        if (!is_same_value(f->value, g->value) || !unite(*f, *g, anchored)) continue;
        common_.push_back(std::move(*f));
        a.factors.erase(f);
        b.factors.erase(g);
        return true;
      }
    }
    return false;
  }

  /// Makes the indices of two factors the same, where that can be.
  bool unite(const Factor& f, const Factor& g, bool anchored) {
    std::vector<std::pair<int, int>> new_pairs;
    bool anchor = false;
    for (std::size_t k = 0; k < f.axes.size(); ++k) {
      if (f.axes[k].size() != g.axes[k].size()) return false;
      for (std::size_t l = 0; l < f.axes[k].size(); ++l) {
        const int i = table_.find(f.axes[k][l]), j = table_.find(g.axes[k][l]);
        if (i == j) {
          anchor = true;
          continue;
        }
        if (contains(shared_, i) || contains(shared_, j) || size(i) != size(j)) return false;
        for (const auto& [x, y] : new_pairs) {
          if ((x == i) != (y == j)) return false;
        }
        new_pairs.emplace_back(i, j);
      }
    }
    if (anchored && !anchor && !f.axes.empty()) return false;
    for (const auto& [i, j] : new_pairs) {
      table_.unite(i, j);
      insert(shared_, table_.find(i));
    }
    return true;
  }

  Rest rest_of(const SumOfProducts& term) {
    SumOfProducts rest{term.scale, term.factors, {}, {}};
    const Indices own = indices_of(term.factors);
    // Summed over, in no factor of either kind.
    Indices counted;
    for (const int i : term.indices) {
      const int same = table_.find(i);
      if (contains(own, same) || contains(shared_, same) || contains(counted, same)) continue;
      counted.push_back(same);
      rest.scale *= static_cast<double>(size(same));
    }
    Rest result{rest.scale, {}, {}, {}, {}};
    if (rest.factors.empty()) return result;
    for (const int i : own) {
      if (contains(shared_, i)) {
        result.indices.push_back(i);
        rest.axes.push_back({i});
      }
    }
    rest.indices = own;
    result.network = network_of(table_, std::move(rest), sum_.dtype());
    result.order = cheapest_order(*result.network);
    result.work = result.order->work;
    return result;
  }

  Expr sum_;
  IndexTable table_;
  std::array<SumOfProducts, 2> terms_;
  std::vector<AxisIndices> axes_;  // Of the sum.
  Indices shared_;                 // In the sum's axes or in common factors.
  std::vector<Factor> common_;
  bool sums_ = false;  // Both terms have indices that are summed over.
  Work before_;        // Of both terms; adding them mostly joins a loop.
};

/// One round of with_common_factors().
class Round {
 public:
  explicit Round(std::span<const Expr> roots) : roots_(roots), order_(topological(roots)) {
    for (const Expr& root : roots) ++uses_[root.get()];
    for (const Expr& node : order_) {
      if (is_head(node)) heads_.insert(node.get());
      for (const Expr& input : node.inputs()) ++uses_[input.get()];
    }
  }

  /// Nothing where nothing has changed.
  std::vector<Expr> run() const {
    NodeMap<Expr> done;
    for (const Expr& node : order_) {
      if (const Expr better = factored(node); better.has_value()) done.emplace(node.get(), better);
    }
    if (done.empty()) return {};
    return rebuild(roots_, done);
  }

 private:
  struct Term {
    Expr value;
    bool negative;
  };

  /// What `sum` is where two of its terms are put together, written by the nodes of this round.
  Expr factored(const Expr& sum) const {
    if (sum.op().linear == LinearForm::none || !is_float(sum.dtype())) return {};
    if (element_count(sum.type().shape()) < worth_reading) return {};
    const Attribution as(sum->where, /*force=*/true);
    std::vector<Term> left, right;
    add_terms(left, sum.inputs()[0], false);
    add_terms(right, sum.inputs()[1], sum.op().linear == LinearForm::difference);
    if (left.size() * right.size() > most_pairs) return {};
    for (const Term& a : left) {
      for (const Term& b : right) {
        Expr together = product(a.negative == b.negative ? a.value + b.value : a.value - b.value);
        if (!together.has_value()) continue;
        // The others as they come.
        if (a.negative) together = -together;
        for (const auto* side : {&left, &right}) {
          for (const Term& term : *side) {
            if (&term != &a && &term != &b)
              together = term.negative ? together - term.value : together + term.value;
          }
        }
        return together;
      }
    }
    return {};
  }

  /// The terms of a sum, as far as the sums that it consists of, turned or not, are used by nothing
  /// else.
  void add_terms(std::vector<Term>& terms, const Expr& e, bool negative) const {
    const auto used_once = [&](const Expr& node) {
      const auto found = uses_.find(node.get());
      return found == uses_.end() || found->second == 1;
    };
    const bool turned = e.op().algebra == Algebra::permute;
    const Expr& inner = turned ? e.inputs()[0] : e;
    const LinearForm form = inner.op().linear;
    const bool goes_on = form != LinearForm::none && used_once(e) && used_once(inner) &&
                         std::ranges::all_of(inner.inputs(), [&](const Expr& input) {
                           return input.dims() == inner.dims() && input.dtype() == inner.dtype();
                         });
    if (!goes_on) {
      terms.push_back({e, negative});
      return;
    }
    for (std::size_t k = 0; k < 2; ++k) {
      const Expr& input = inner.inputs()[k];
      add_terms(terms, turned ? dimshuffle(input, AxisPattern::of(e.attrs())) : input,
                negative != (k == 1 && form == LinearForm::difference));
    }
  }

  /// Of a sum of two terms; an empty expression where they are not better one.
  Expr product(const Expr& sum) const {
    for (const Expr& operand : sum.inputs()) {
      if (operand.op().algebra == Algebra::none || operand.dtype() != sum.dtype()) return {};
    }
    // Down to the next sums, then through all.
    NodeSet next;
    if (!reached(sum, next, /*all=*/false)) return {};
    Expr result = product(sum, next);
    NodeSet all;
    if (!result.has_value() && reached(sum, all, /*all=*/true) && all.size() > next.size())
      result = product(sum, all);
    return result;
  }

  Expr product(const Expr& sum, const NodeSet& dissolved) const {
    try {
      return CommonFactors(sum, heads_, dissolved).product();
    } catch (const NotReadable&) {
      return {};
    }
  }

  /// The heads that the operands of `sum` are products of: the next, or all below. False where one
  /// is used by others too, which would have it computed twice.
  bool reached(const Expr& sum, NodeSet& result, bool all) const {
    NodeMap<int> seen;
    std::vector<Expr> pending(sum.inputs().begin(), sum.inputs().end());
    while (!pending.empty()) {
      const Expr e = std::move(pending.back());
      pending.pop_back();
      if (++seen[e.get()] > 1 || e.op().algebra == Algebra::none) continue;
      if (is_head(e)) {
        result.insert(e.get());
        if (!all) continue;
      }
      pending.insert(pending.end(), e.inputs().begin(), e.inputs().end());
    }
    return std::ranges::all_of(result,
                               [&](const Node* head) { return seen.at(head) == uses_.at(head); });
  }

  std::span<const Expr> roots_;
  std::vector<Expr> order_;
  NodeSet heads_;
  NodeMap<int> uses_;
};

}  // namespace

std::vector<Expr> with_common_factors(std::span<const Expr> roots) {
  std::vector<Expr> result(roots.begin(), roots.end());
  for (int round = 0; round < most_rounds; ++round) {
    std::vector<Expr> better = Round(result).run();
    if (better.empty()) break;
    result = std::move(better);
  }
  return result;
}

}  // namespace cinch::contraction
