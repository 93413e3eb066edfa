#include "cinch/core/contract/reuse.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <optional>
#include <utility>

#include "cinch/core/contract/order.hpp"
#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/contract/symmetric.hpp"
#include "cinch/core/contract/write.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

/// The factors of `made` found in `net`, and which index of it each of theirs is.
class Match {
 public:
  Match(const Network& net, const Network& made)
      : net_(net), made_(made), index_(made.size.size(), -1) {
    for (std::size_t g = 0; g < net.groups.size(); ++g) {
      for (std::size_t k = 0; k < net.groups[g].factors.size(); ++k)
        places_.push_back({g, k, false});
    }
    for (const Group& group : made.groups) {
      for (const Factor& factor : group.factors) sought_.push_back(&factor);
    }
  }

  /// Whether all are found from number `from` on.
  bool find(std::size_t from = 0) {
    if (from == sought_.size()) return sums_stay_inside();
    if (from > 0 && ++tried_ > most_tried) return false;
    const Factor& factor = *sought_[from];
    for (Place& place : places_) {
      if (place.taken || !is_same_value(at(place).value, factor.value)) continue;
      for (const bool turned : {false, true}) {
        if (turned && !is_symmetric(factor.value)) break;
        const std::vector<int> before = index_;
        if (unite(factor, at(place), turned)) {
          place.taken = true;
          if (find(from + 1)) return true;
          place.taken = false;
        }
        index_ = before;
      }
    }
    return false;
  }

  Network replaced(const Expr& value) const {
    Network result = net_;
    result.scale /= made_.scale;
    for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
      if (!place->taken) continue;
      auto& factors = result.groups[place->group].factors;
      factors.erase(factors.begin() + static_cast<std::ptrdiff_t>(place->number));
    }
    std::erase_if(result.groups, [](const Group& group) { return group.factors.empty(); });
    Factor factor{value, {}};
    std::vector<Expr> sizes;
    for (const AxisIndices& axis : made_.axes) {
      if (axis.empty()) {
        factor.axes.emplace_back();
        sizes.push_back(constant(Tensor(1)));
      }
      for (const int i : axis) {
        const int own = index_[static_cast<std::size_t>(i)];
        factor.axes.push_back({own});
        sizes.push_back(constant(Tensor(net_.size[static_cast<std::size_t>(own)])));
      }
    }
    if (factor.axes.size() != made_.axes.size()) factor.value = reshape(value, sizes);
    result.add(std::move(factor));
    return result;
  }

 private:
  struct Place {
    std::size_t group, number;
    bool taken;
  };

  const Factor& at(const Place& place) const {
    return net_.groups[place.group].factors[place.number];
  }

  /// The indices of `sought` are those of `found`, its last two axes `turned`; different ones
  /// different.
  bool unite(const Factor& sought, const Factor& found, bool turned) {
    if (sought.axes.size() != found.axes.size()) return false;
    for (std::size_t k = 0; k < sought.axes.size(); ++k) {
      const std::size_t last = sought.axes.size() - 1;
      const AxisIndices& axis = found.axes[turned && k + 2 > last ? 2 * last - 1 - k : k];
      if (sought.axes[k].size() != axis.size()) return false;
      if (axis.empty()) continue;
      const int own = axis[0];
      int& index = index_[static_cast<std::size_t>(sought.axes[k][0])];
      if (index == own) continue;
      if (index >= 0 || std::ranges::find(index_, own) != index_.end()) return false;
      index = own;
    }
    return true;
  }

  /// What `made` sums over, nothing else has to be multiplied by.
  bool sums_stay_inside() const {
    Atoms outside = net_.result;
    for (const Place& place : places_) {
      if (place.taken) continue;
      for (const AxisIndices& axis : at(place).axes) {
        for (const int i : axis) outside |= Atoms(1) << i;
      }
    }
    for (std::size_t i = 0; i < index_.size(); ++i) {
      const bool shown = made_.result >> i & 1u;
      if (index_[i] < 0 ? shown : !shown && (outside >> index_[i] & 1u)) return false;
    }
    return true;
  }

  static constexpr int most_tried = 1000;  // Of equal factors there are many ways to choose.

  const Network& net_;
  const Network& made_;
  int tried_ = 0;
  std::vector<int> index_;  // Of `net_`, for each index of `made_`; -1: none yet.
  std::vector<Place> places_;
  std::vector<const Factor*> sought_;
};

/// `net` with `value` in place of factors that multiply and sum to it, as `made` says; nothing
/// where it has no such factors.
std::optional<Network> with_product(const Network& net, const Expr& value, const Network& made) {
  Match match(net, made);
  if (!match.find()) return std::nullopt;
  return match.replaced(value);
}

bool has_diagonals(const Network& net) {
  std::size_t shown = 0;
  for (const AxisIndices& axis : net.axes) shown += axis.size();
  return static_cast<int>(shown) != std::popcount(net.result);
}

class Products {
 public:
  explicit Products(double least) : least_(least) {}

  /// A node, all of whose inputs were given here before, in place of `e`.
  Expr replaced(const Expr& e) {
    Expr result = has_order(e) ? from_others(e) : e;
    add_heads(result);
    return result;
  }

 private:
  struct Known {
    Expr value;
    Network net;
  };
  static constexpr std::size_t most_alike = 16;

  /// `e` itself where that takes no more: then others may be made of it.
  Expr from_others(const Expr& e) {
    const Work work = written_work(e);
    if (work.nanoseconds < least_) return e;
    try {
      Network net = network_of(e, heads_, {});
      Best best;
      best.order.work = work;
      look(net, best);
      // A sum that is a factor may keep apart what another one multiplies: read through it too.
      for (const Node* inner : factors_that_sum(net)) {
        try {
          look(network_of(e, heads_, {inner}), best);
        } catch (const NotReadable&) {
          // It stays a factor.
        }
      }
      if (best.net) {
        const Attribution as(e->where, /*force=*/true);
        return written(*best.net, best.order, sizes(e));
      }
      if (net.scale != 0 && !has_diagonals(net)) {
        auto& same = known_[ungrouped(net.groups[0].factors[0].value).get()];
        if (same.size() < most_alike) same.push_back({e, std::move(net)});
      }
    } catch (const NotReadable&) {
      // It stands for itself.
    }
    return e;
  }

  struct Best {
    std::optional<Network> net;
    Order order;
  };

  NodeSet factors_that_sum(const Network& net) const {
    NodeSet result;
    for (const Group& group : net.groups) {
      for (const Factor& factor : group.factors) {
        const Expr value = ungrouped(factor.value);
        if (heads_.contains(value.get())) result.insert(value.get());
      }
    }
    return result;
  }

  /// For ways to compute `net` from known products that take less than `best` does.
  void look(const Network& net, Best& best) const {
    for (const Group& group : net.groups) {
      for (const Factor& factor : group.factors) {
        const auto known = known_.find(ungrouped(factor.value).get());
        if (known == known_.end()) continue;
        for (const Known& product : known->second) {
          std::optional<Network> with = with_product(net, product.value, product.net);
          if (!with) continue;
          Order order = cheapest_order(*with);
          if (order.work.nanoseconds >= gain_wanted * best.order.work.nanoseconds) continue;
          best = {std::move(with), std::move(order)};
        }
      }
    }
  }

  /// Of what is new, down to nodes that were here before.
  void add_heads(const Expr& e) {
    if (!seen_.insert(e.get()).second) return;
    for (const Expr& input : e.inputs()) add_heads(input);
    if (is_head(e)) heads_.insert(e.get());
  }

  double least_;
  NodeSet heads_, seen_;               // seen_: all nodes so far.
  NodeMap<std::vector<Known>> known_;  // By their first factor.
};

}  // namespace

std::vector<Expr> with_known_products(std::span<const Expr> roots, double least) {
  Products products(least);
  NodeMap<Expr> done;
  return rebuild(
      roots, [&](const Expr& e) { return products.replaced(e); }, done);
}

}  // namespace cinch::contraction
