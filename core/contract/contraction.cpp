#include "cinch/core/contract/contraction.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <memory>
#include <optional>

#include "cinch/core/contract/apart.hpp"
#include "cinch/core/contract/differences.hpp"
#include "cinch/core/contract/factor.hpp"
#include "cinch/core/contract/order.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/contract/symmetric.hpp"
#include "cinch/core/contract/terms.hpp"
#include "cinch/core/contract/write.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

class Contractor {
 public:
  Contractor(std::span<const Expr> roots, std::vector<ContractionReport>* reports)
      : roots_(roots.begin(), roots.end()), reports_(reports), order_(topological(roots_)) {}

  /// Decides; returns the estimated time of all sums and products, in nanoseconds.
  double choose() {
    find_heads();
    choose_dissolved();
    double result = 0;
    for (const Expr& head : head_list_) {
      if (!dissolved_.contains(head.get())) result += plans_.at(head.get())->work.nanoseconds;
    }
    return result;
  }

  std::vector<Expr> write() {
    NodeMap<Expr> done;
    for (const Expr& head : head_list_) write(head, done);
    return rebuild(roots_, done);
  }

 private:
  struct Plan {
    Work work;
    std::optional<Network> network;  // None: as written.
    std::optional<Order> order;
    std::vector<const Node*> uses;  // Heads among its factors.
  };

  void find_heads() {
    for (const Expr& node : order_) {
      if (has_order(node)) {
        heads_.insert(node.get());
        head_list_.push_back(node);
      }
    }
    // A head can be dissolved where everything that uses it reads it as part of a product.
    for (const Expr& root : roots_) fixed_.insert(root.get());
    for (auto node = order_.rbegin(); node != order_.rend(); ++node) {
      const bool stands = fixed_.contains(node->get()) && !heads_.contains(node->get());
      const std::span<const Expr> read = read_operands(*node);
      for (const Expr& input : node->inputs()) {
        const bool reads = std::ranges::any_of(read, [&](const Expr& e) { return e == input; });
        if (stands || !reads) fixed_.insert(input.get());
      }
    }
  }

  /// Made once for each set of dissolved heads that it reads through.
  std::shared_ptr<const Plan> plan(const Expr& head, const NodeSet& dissolved) {
    std::vector<const Node*> uses = used_heads(head, dissolved);
    std::vector<const Node*> through;
    for (const Node* used : uses) {
      if (dissolved.contains(used)) through.push_back(used);
    }
    std::ranges::sort(through);
    auto& known = known_[head.get()][through];
    if (!known)
      known = std::make_shared<const Plan>(
          made(head, dissolved, std::move(uses), /*reads_dissolved=*/!through.empty()));
    return known;
  }

  Plan made(const Expr& head, const NodeSet& dissolved, std::vector<const Node*> uses,
            bool reads_dissolved) const {
    Plan as_written{written_work(head), std::nullopt, std::nullopt, std::move(uses)};
    try {
      Network net = network_of(head, heads_, dissolved);
      // A product of two matrices, that are not diagonal ones, has only one order.
      int own = 0, axes = 0;
      for (const Group& group : net.groups) own += std::popcount(group.atoms);
      for (const Expr& operand : head.inputs())
        axes += static_cast<int>(
            std::ranges::count_if(operand.dims(), [](Dim dim) { return dim.size() != 1; }));
      const bool product = head.op().algebra == Algebra::matrix_product && net.groups.size() == 2 &&
                           net.scale == 1 && own == axes;
      const bool single =
          std::ranges::all_of(net.groups, [](const Group& g) { return g.factors.size() == 1; });
      if (product && single && !reads_dissolved) return as_written;
      Order order = cheapest_order(net);
      if (!reads_dissolved && order.work.nanoseconds >= gain_wanted * as_written.work.nanoseconds)
        return as_written;
      const Work work = order.work;
      return {work, std::move(net), std::move(order), std::move(as_written.uses)};
    } catch (const NotReadable&) {
      // What it needs cannot be dissolved.
      if (reads_dissolved) as_written.work.nanoseconds = std::numeric_limits<double>::infinity();
      return as_written;
    }
  }

  /// The heads that `head` reads as parts of products, through dissolved ones.
  std::vector<const Node*> used_heads(const Expr& head, const NodeSet& dissolved) const {
    std::vector<const Node*> result;
    std::vector<Expr> pending(head.inputs().begin(), head.inputs().end());
    NodeSet seen;
    while (!pending.empty()) {
      const Expr e = std::move(pending.back());
      pending.pop_back();
      if (!seen.insert(e.get()).second) continue;
      if (heads_.contains(e.get())) {
        result.push_back(e.get());
        if (!dissolved.contains(e.get())) continue;
      }
      const std::span<const Expr> read = read_operands(e);
      pending.insert(pending.end(), read.begin(), read.end());
    }
    return result;
  }

  void keep(const Expr& head, std::shared_ptr<const Plan> chosen) {
    for (const Node* used : chosen->uses) {
      auto& users = users_[used];
      if (std::ranges::find(users, head) == users.end()) users.push_back(head);
    }
    plans_.insert_or_assign(head.get(), std::move(chosen));
  }

  void choose_dissolved() {
    for (const Expr& head : head_list_) keep(head, plan(head, dissolved_));
    // The largest first: what is worth dissolving is what is worth not writing down.
    std::vector<Expr> candidates;
    for (const Expr& head : head_list_) {
      if (!fixed_.contains(head.get())) candidates.push_back(head);
    }
    std::ranges::stable_sort(candidates, std::greater{},
                             [](const Expr& e) { return element_count(e.type().shape()); });
    // What does not pay may do so once what it is made of is dissolved.
    constexpr int most_rounds = 3;
    for (int round = 0; round < most_rounds; ++round) {
      const std::size_t before = dissolved_.size();
      for (const Expr& candidate : candidates) {
        if (!dissolved_.contains(candidate.get())) dissolve(candidate);
      }
      if (dissolved_.size() == before) break;
    }
  }

  /// Dissolves `candidate` where that gains; else together with those that use it, and with those
  /// that use these: a Jacobian that is needed only inside products stands in several at once.
  void dissolve(const Expr& candidate) {
    constexpr int most_levels = 4;
    constexpr double loss_borne =
        1.25;  // On the way to a gain; or planning long chains takes long.
    std::vector<Expr> added{candidate};
    NodeSet trial = dissolved_;
    trial.insert(candidate.get());
    for (int level = 0; level < most_levels; ++level) {
      std::vector<Expr> next = users_of(added);
      double before = 0, after = 0;
      std::vector<std::shared_ptr<const Plan>> changed;
      for (const Expr& head : added) before += plans_.at(head.get())->work.nanoseconds;
      std::erase_if(next, [&](const Expr& head) { return trial.contains(head.get()); });
      for (const Expr& head : next) {
        changed.push_back(plan(head, trial));
        before += plans_.at(head.get())->work.nanoseconds;
        after += changed.back()->work.nanoseconds;
      }
      if (changed.empty()) return;
      if (after < gain_wanted * before) {
        dissolved_ = std::move(trial);
        for (std::size_t k = 0; k < next.size(); ++k) keep(next[k], changed[k]);
        return;
      }
      if (after > loss_borne * before) return;
      std::erase_if(next, [&](const Expr& head) { return fixed_.contains(head.get()); });
      if (next.empty()) return;
      for (const Expr& head : next) {
        trial.insert(head.get());
        added.push_back(head);
      }
    }
  }

  /// The heads that read one of these and are written.
  std::vector<Expr> users_of(std::span<const Expr> heads) const {
    std::vector<Expr> result;
    for (const Expr& head : heads) {
      const auto users = users_.find(head.get());
      if (users == users_.end()) continue;
      for (const Expr& user : users->second) {
        if (!dissolved_.contains(user.get()) && std::ranges::find(result, user) == result.end())
          result.push_back(user);
      }
    }
    return result;
  }

  /// Heads come in topological order, so the factors of each are written before it.
  void write(const Expr& head, NodeMap<Expr>& done) {
    const auto found = plans_.find(head.get());
    if (dissolved_.contains(head.get()) || !found->second->network) return;
    Network net = *found->second->network;
    for (Group& group : net.groups) {
      for (Factor& factor : group.factors) {
        factor.is_symmetric = is_symmetric(factor.value);  // As written it shows.
        factor.value = rebuild(std::span(&factor.value, 1), done).front();
      }
    }
    const Attribution as(head->where, /*force=*/true);
    done[head.get()] = written(net, *found->second->order, sizes(head));
    if (!reports_) return;
    Work before = written_work(head);
    for (const Node* used : found->second->uses) {
      if (dissolved_.contains(used))
        before += written_work(*std::ranges::find(head_list_, used, &Expr::get));
    }
    reports_->push_back({head->where, describe(head, 6), describe(done[head.get()], 8), before,
                         found->second->work, found->second->order->is_cheapest});
  }

  std::vector<Expr> roots_;
  std::vector<ContractionReport>* reports_;
  std::vector<Expr> order_, head_list_;
  NodeSet heads_, fixed_, dissolved_;
  NodeMap<std::shared_ptr<const Plan>> plans_;
  NodeMap<std::map<std::vector<const Node*>, std::shared_ptr<const Plan>>> known_;
  NodeMap<std::vector<Expr>> users_;  // The heads that read a head.
};

/// Sums in the given roots where there is nothing to sum over, as with seeds of derivatives, become
/// the products that they are. A column times a row stays what it is, which is added in place.
class Unsummed {
 public:
  explicit Unsummed(bool reports) : is_reported_(reports) {}

  std::vector<Expr> operator()(std::span<const Expr> roots) {
    NodeMap<Expr> done;
    return rebuild(
        roots, [this](const Expr& e) { return replaced(e); }, done);
  }

  /// Those that `roots` have no more were read through, as parts of others.
  void report(std::span<const Expr> roots, std::vector<ContractionReport>& reports) {
    NodeSet left;
    for (const Expr& node : topological(roots)) left.insert(node.get());
    for (auto& [product, report] : reports_) {
      if (!left.contains(product.get())) {
        report.after = "part of other sums";
        report.chosen = {};
      }
      reports.push_back(std::move(report));
    }
  }

 private:
  Expr replaced(const Expr& e) {
    if (!has_order(e)) return e;
    Expr product = product_of(e);
    if (product.has_value()) return product;
    sums_.insert(e.get());
    return e;
  }

  Expr product_of(const Expr& e) {
    const bool outer =
        e.op().algebra == Algebra::matrix_product && e.inputs()[0].dims().back().size() == 1;
    if (outer || e.op().algebra == Algebra::diagonal) return {};  // Moves nothing.
    try {
      const Network net = network_of(e, sums_, {});
      for (const Group& group : net.groups) {
        if (group.atoms & ~net.result) return {};
      }
      const Order order = cheapest_order(net);
      const Attribution as(e->where, /*force=*/true);
      Expr product = written(net, order, sizes(e));
      if (is_reported_)
        reports_.emplace_back(product,
                              ContractionReport{e->where, describe(e, 6), describe(product, 8),
                                                written_work(e), order.work, order.is_cheapest});
      return product;
    } catch (const NotReadable&) {
      return {};
    }
  }

  bool is_reported_;
  NodeSet sums_;  // That are left.
  std::vector<std::pair<Expr, ContractionReport>> reports_;
};

}  // namespace

std::vector<Expr> contract(std::span<const Expr> roots, std::vector<ContractionReport>* reports) {
  constexpr double much_less = 0.7;  // Arithmetic besides sums and products is not estimated.
  Unsummed unsummed(reports != nullptr);
  const std::vector<Expr> read = unsummed(roots);
  const std::vector<Expr> whole =
      with_pairs_of_points(without_symmetric_turned(with_common_factors(with_factors_apart(read))));
  Contractor contractor(whole, reports);
  const double nanoseconds = contractor.choose();
  std::vector<Expr> result;
  if (const std::vector<Expr> apart = with_terms_apart(whole); !apart.empty()) {
    Contractor other(apart, reports);
    if (other.choose() < much_less * nanoseconds) result = other.write();
  }
  if (result.empty()) result = contractor.write();
  if (reports) unsummed.report(result, *reports);
  return result;
}

bool has_diagonals_of_arithmetic(std::span<const Expr> roots) {
  return std::ranges::any_of(topological(roots), [](const Expr& e) {
    return e.op().algebra == Algebra::diagonal && e.inputs()[0].op().elementwise();
  });
}

}  // namespace cinch::contraction
