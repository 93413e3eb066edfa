#include "cinch/core/contract/contraction.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "cinch/core/contract/sum_of_products.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"

namespace cinch {

namespace contraction {

namespace {

constexpr double gain_wanted = 0.9;  // A change must save a tenth.

// Only the ratios of the times matter; measured on AVX-512 and AVX2 machines within a factor of
// two.
constexpr double step_overhead = 200;
Work step() { return {step_overhead, 0, 0}; }
/// One sweep over so many elements.
Work pass(double elements, std::size_t element) {
  const double bytes = elements * static_cast<double>(element);
  return {bytes * 0.012, elements, bytes};
}
/// Multiplications and additions of a matrix product; its operands are counted apart.
Work products(double flops, std::size_t element) {
  return {flops * (element == 4 ? 0.008 : 0.016), flops, 0};
}

/// Computing the result `c` from two operands, all sets of indices.
Work pair_work(const Network& net, Atoms a, Atoms b, Atoms c) {
  const Atoms summed = (a | b) & ~c, batch = a & b & c;
  const double m = net.count(a & ~b), n = net.count(b & ~a), all = net.count(a | b);
  const Work writing = step() + pass(net.count(c), net.element);
  if (summed && m > 1 && n > 1) {
    return writing + products(2 * all, net.element) +
           pass(net.count(a) + net.count(b), net.element) +
           Work{batch ? 150 * net.count(batch) : 0, 0, 0};
  }
  if (summed && !batch) {
    return writing + pass(net.count(a) + net.count(b), net.element);  // Matrix times vector.
  }
  return writing + pass(all, net.element);
}

/// The cheapest order: which halves each set of groups is computed from.
struct Order {
  Work work;
  std::vector<unsigned> half;  // By set of groups.
  std::vector<Atoms> atoms;    // Indices of each set's result.
};

Order cheapest_order(const Network& net) {
  const std::size_t count = net.groups.size();
  const unsigned full = (1u << count) - 1;
  Order order{{}, std::vector<unsigned>(full + 1, 0), std::vector<Atoms>(full + 1, 0)};
  std::vector<Work> work(full + 1, Work{std::numeric_limits<double>::infinity(), 0, 0});
  for (unsigned set = 1; set <= full; ++set) {
    Atoms inside = 0, outside = net.result;
    for (std::size_t g = 0; g < count; ++g)
      (set >> g & 1u ? inside : outside) |= net.groups[g].atoms;
    order.atoms[set] = inside & outside;
    if (std::has_single_bit(set)) {
      const bool reduces = order.atoms[set] != inside;
      const std::size_t factors =
          net.groups[static_cast<std::size_t>(std::countr_zero(set))].factors.size();
      work[set] = reduces || factors > 1 ? step() + pass(net.count(inside), net.element) : Work{};
      continue;
    }
    for (unsigned a = (set - 1) & set; a > 0; a = (a - 1) & set) {
      const unsigned b = set ^ a;
      if (a < b) break;
      const Work total =
          work[a] + work[b] + pair_work(net, order.atoms[a], order.atoms[b], order.atoms[set]);
      if (total.nanoseconds < work[set].nanoseconds) {
        work[set] = total;
        order.half[set] = a;
      }
    }
  }
  order.work = work[full];
  return order;
}

/// Writes an ordered network as ops.
class Writer {
 public:
  Writer(const Network& net, const Order& order) : net_(net), order_(order) {}

  Expr write(const Expr& head) {
    Part whole = part((1u << net_.groups.size()) - 1);
    // Repeated along indices that no factor has, then axes as the result wants them.
    std::vector<int> wanted;
    for (const AxisIndices& axis : net_.axes) wanted.insert(wanted.end(), axis.begin(), axis.end());
    Expr e = arranged(whole, wanted);
    std::vector<Expr> full;
    for (const int i : wanted) full.push_back(count_of(net_.size[static_cast<std::size_t>(i)]));
    if (net_.scale != 1) e = e * literal(net_.scale);
    e = broadcast_to(e, full);
    return reshape(e, sizes(head));
  }

 private:
  struct Part {
    Expr value;
    std::vector<int> order;  // The index of each axis.
  };

  static Expr count_of(std::int64_t n) { return constant(Tensor(n)); }

  Expr sum_over(const Expr& e, const std::vector<std::int64_t>& axes) {
    return axes.empty() ? e : sum_axes(e, axes);
  }

  Part part(unsigned set) {
    if (std::has_single_bit(set))
      return group(static_cast<std::size_t>(std::countr_zero(set)), order_.atoms[set]);
    const unsigned a = order_.half[set];
    Part left = part(a), right = part(set ^ a);
    if (leads(right) < leads(left)) std::swap(left, right);
    return pair(left, right, order_.atoms[set]);
  }

  /// The product of a group's factors, summed to the indices `keep`.
  Part group(std::size_t g, Atoms keep) {
    std::vector<Part> parts;
    for (const Factor& factor : net_.groups[g].factors) {
      Part p{factor.value, {}};
      std::vector<std::int64_t> pattern;
      for (std::size_t axis = 0; axis < factor.axes.size(); ++axis) {
        if (factor.axes[axis].empty()) continue;
        pattern.push_back(static_cast<std::int64_t>(axis));
        p.order.push_back(factor.axes[axis][0]);
      }
      p.value = dimshuffle(p.value, pattern);
      parts.push_back(std::move(p));
    }
    // Equal factors next to each other become squares.
    Part result = parts[0];
    std::vector<bool> used(parts.size(), false);
    Expr product;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (used[k]) continue;
      Expr value = arranged(parts[k], result.order);
      for (std::size_t l = k + 1; l < parts.size(); ++l) {
        if (used[l] || !(parts[l].value == parts[k].value) || parts[l].order != parts[k].order)
          continue;
        value = square(value);
        used[l] = true;
        break;
      }
      product = product.has_value() ? product * value : value;
    }
    result.value = product;
    return reduced(std::move(result), keep);
  }

  Part reduced(Part p, Atoms keep) {
    std::vector<std::int64_t> over;
    std::vector<int> left;
    for (std::size_t axis = 0; axis < p.order.size(); ++axis) {
      if (keep >> p.order[axis] & 1u) {
        left.push_back(p.order[axis]);
      } else {
        over.push_back(static_cast<std::int64_t>(axis));
      }
    }
    return {sum_over(p.value, over), std::move(left)};
  }

  /// Axes in the order of `wanted`; size 1 for an index that `p` does not have.
  static Expr arranged(const Part& p, const std::vector<int>& wanted) {
    std::vector<std::int64_t> pattern;
    for (const int i : wanted) {
      const auto at = std::ranges::find(p.order, i);
      pattern.push_back(at == p.order.end() ? -1 : at - p.order.begin());
    }
    return dimshuffle(p.value, pattern);
  }

  std::vector<int> list(const std::vector<int>& order, Atoms atoms) const {
    std::vector<int> result;
    for (const int i : order) {
      if (atoms >> i & 1u) result.push_back(i);
    }
    return result;
  }

  /// Where the first of the part's indices stands in the result: the part that comes first there
  /// goes left, so that fewer results have to be transposed.
  std::size_t leads(const Part& p) const {
    std::size_t place = 0;
    for (const AxisIndices& axis : net_.axes) {
      for (const int i : axis) {
        if (std::ranges::find(p.order, i) != p.order.end()) return place;
        ++place;
      }
    }
    return place;
  }

  Part pair(const Part& a, const Part& b, Atoms keep) {
    Atoms in_a = 0, in_b = 0;
    for (const int i : a.order) in_a |= Atoms(1) << i;
    for (const int i : b.order) in_b |= Atoms(1) << i;
    const Atoms summed = (in_a | in_b) & ~keep, batch = in_a & in_b & keep;
    const bool matrices =
        summed && (!batch || (net_.count(in_a & ~in_b) > 1 && net_.count(in_b & ~in_a) > 1));
    if (!matrices) {
      std::vector<int> order = a.order;
      for (const int i : b.order) {
        if (!(in_a >> i & 1u)) order.push_back(i);
      }
      return reduced({arranged(a, order) * arranged(b, order), order}, keep);
    }
    const std::vector<int> pairs = list(a.order, batch), rows = list(a.order, in_a & ~in_b),
                           inner = list(a.order, summed), columns = list(b.order, in_b & ~in_a);
    const auto total = [&](const std::vector<int>& order) {
      std::int64_t n = 1;
      for (const int i : order) n *= net_.size[static_cast<std::size_t>(i)];
      return count_of(n);
    };
    const auto matrix = [&](const Part& p, const std::vector<int>& first,
                            const std::vector<int>& second) {
      std::vector<int> order = pairs;
      order.insert(order.end(), first.begin(), first.end());
      order.insert(order.end(), second.begin(), second.end());
      std::vector<Expr> shape{total(first), total(second)};
      if (!pairs.empty()) shape.insert(shape.begin(), total(pairs));
      return reshape(arranged(p, order), shape);
    };
    const Expr left = matrix(a, rows, inner), right = matrix(b, inner, columns);
    const Expr product = pairs.empty() ? dot(left, right) : batched_dot(left, right);
    std::vector<int> order = pairs;
    order.insert(order.end(), rows.begin(), rows.end());
    order.insert(order.end(), columns.begin(), columns.end());
    std::vector<Expr> shape;
    for (const int i : order) shape.push_back(count_of(net_.size[static_cast<std::size_t>(i)]));
    return {reshape(product, shape), order};
  }

  const Network& net_;
  const Order& order_;
};

/// What computing a head takes as it is written: sums fuse with all that is elementwise below them;
/// a matrix product wants its operands in memory.
Work written_work(const Expr& head) {
  const std::size_t element = size_of(head.dtype());
  const auto elements = [](const Expr& e) {
    return static_cast<double>(element_count(e.type().shape()));
  };
  if (head.op().algebra == Algebra::diagonal) return {};  // Moves nothing.
  if (head.op().algebra == Algebra::sum) return step() + pass(elements(head.inputs()[0]), element);
  Work work = step() + pass(elements(head), element);
  for (const Expr& operand : head.inputs()) {
    work += pass(elements(operand), element);
    if (operand.op().elementwise()) work += step() + pass(elements(operand), element);
  }
  const double inner = static_cast<double>(head.inputs()[0].dims().back().size());
  return work + products(2 * elements(head) * inner, element);
}

class Contractor {
 public:
  Contractor(std::span<const Expr> roots, std::vector<ContractionReport>* reports)
      : roots_(roots.begin(), roots.end()), reports_(reports), order_(topological(roots_)) {}

  std::vector<Expr> run() {
    find_heads();
    if (heads_.empty()) return roots_;
    choose_dissolved();
    return write();
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
      const Algebra kind = node.op().algebra;
      const bool sums = kind == Algebra::sum || kind == Algebra::matrix_product ||
                        kind == Algebra::diagonal;  // Of products, maybe.
      if (sums && is_float(node.dtype()) && element_count(node.type().shape()) > 0) {
        heads_.insert(node.get());
        head_list_.push_back(node);
      }
    }
    // A head can be dissolved where everything that uses it reads it as part of a product.
    for (const Expr& root : roots_) fixed_.insert(root.get());
    for (auto node = order_.rbegin(); node != order_.rend(); ++node) {
      const bool reads = node->op().algebra != Algebra::none &&
                         !(fixed_.contains(node->get()) && !heads_.contains(node->get()));
      for (const Expr& input : node->inputs()) {
        if (!reads) fixed_.insert(input.get());
      }
    }
  }

  Plan plan(const Expr& head, const NodeSet& dissolved) const {
    bool reads_dissolved = false;
    Plan as_written{written_work(head), std::nullopt, std::nullopt,
                    used_heads(head, dissolved, reads_dissolved)};
    try {
      Network net = network_of(head, heads_, dissolved);
      const bool trivial =
          net.groups.size() == 1 && net.groups[0].factors.size() == 1 && !net.diagonals;
      if (trivial && !reads_dissolved) return as_written;
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

  /// The heads that `head` reads as parts of products, and whether it reads through dissolved ones.
  std::vector<const Node*> used_heads(const Expr& head, const NodeSet& dissolved,
                                      bool& reads_dissolved) const {
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
        reads_dissolved = true;
      }
      if (e.op().algebra == Algebra::none) continue;
      pending.insert(pending.end(), e.inputs().begin(), e.inputs().end());
    }
    return result;
  }

  void keep(const Expr& head, Plan chosen) {
    for (const Node* used : chosen.uses) {
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
    for (const Expr& candidate : candidates) {
      NodeSet trial = dissolved_;
      trial.insert(candidate.get());
      double before = plans_.at(candidate.get()).work.nanoseconds, after = 0;
      NodeMap<Plan> changed;
      const auto users = users_.find(candidate.get());
      if (users == users_.end()) continue;
      for (const Expr& head : users->second) {
        if (dissolved_.contains(head.get()) || head == candidate || changed.contains(head.get()))
          continue;
        Plan other = plan(head, trial);
        before += plans_.at(head.get()).work.nanoseconds;
        after += other.work.nanoseconds;
        changed.insert_or_assign(head.get(), std::move(other));
      }
      if (!changed.empty() && after < gain_wanted * before) {
        dissolved_ = std::move(trial);
        for (const Expr& head : std::vector<Expr>(users->second)) {
          const auto better = changed.find(head.get());
          if (better != changed.end()) keep(head, Plan(better->second));
        }
      }
    }
  }

  std::vector<Expr> write() {
    NodeMap<Expr> done;
    for (const Expr& head : head_list_) {
      // Heads come in topological order, so the factors of each are written before it.
      const auto found = plans_.find(head.get());
      if (dissolved_.contains(head.get()) || !found->second.network) continue;
      Network net = *found->second.network;
      for (Group& group : net.groups) {
        for (Factor& factor : group.factors) {
          factor.value = rebuild(
                             std::span(&factor.value, 1), [](const Expr& e) { return e; }, done)
                             .front();
        }
      }
      const Attribution as(head->where, /*force=*/true);
      done[head.get()] = Writer(net, *found->second.order).write(head);
      if (!reports_) continue;
      Work written = written_work(head);
      for (const Node* used : found->second.uses) {
        if (dissolved_.contains(used))
          written += written_work(*std::ranges::find(head_list_, used, &Expr::get));
      }
      reports_->push_back({head->where, describe(head, 6), describe(done[head.get()], 8), written,
                           found->second.work});
    }
    return rebuild(
        roots_, [](const Expr& e) { return e; }, done);
  }

  std::vector<Expr> roots_;
  std::vector<ContractionReport>* reports_;
  std::vector<Expr> order_, head_list_;
  NodeSet heads_, fixed_, dissolved_;
  NodeMap<Plan> plans_;
  NodeMap<std::vector<Expr>> users_;  // The heads that read a head.
};

/// The factors of a product, with their powers written out, as far as they are elementwise.
void collect_factors(const Expr& e, std::vector<Expr>& factors) {
  if (factors.size() > 6) return;
  if (e.op().algebra == Algebra::square) {
    collect_factors(e.inputs()[0], factors);
    collect_factors(e.inputs()[0], factors);
  } else if (e.op().algebra == Algebra::negative) {
    factors.push_back(literal(-1));
    collect_factors(e.inputs()[0], factors);
  } else if (e.op().algebra == Algebra::product) {
    for (const Expr& operand : e.inputs()) collect_factors(operand, factors);
  } else {
    factors.push_back(e);
  }
}

/// sum(p (u - v)) as sum(p u) - sum(p v), where u and v are both much smaller than their
/// difference: between all pairs of two sets of points, say, whose squared distances become one
/// matrix product. The difference itself is then never formed. As always with this identity,
/// distances that are small against the coordinates lose digits. An empty expression where it does
/// not apply.
Expr distributed(const Expr& head) {
  constexpr std::int64_t least_summed = 8, least_smaller = 4;
  if (head.op().algebra != Algebra::sum || !is_float(head.dtype())) return {};
  const auto elements = [](const Expr& e) { return element_count(e.type().shape()); };
  const Expr& body = head.inputs()[0];
  const std::int64_t all = elements(body);
  if (all < least_summed * elements(head) || all == 0) return {};
  std::vector<Expr> factors;
  collect_factors(body, factors);
  if (factors.size() > 6) return {};
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
      const Expr sum = sum_axes(broadcast_to(value, sizes(body)), head.attrs().ints);
      const Expr further = distributed(sum);
      return further.has_value() ? further : sum;
    };
    const Expr left = term(f.inputs()[0]), right = term(f.inputs()[1]);
    return form == LinearForm::sum ? left + right : left + literal(-1) * right;
  }
  return {};
}

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

}  // namespace

}  // namespace contraction

std::vector<Expr> contract(std::span<const Expr> roots, std::vector<ContractionReport>* reports) {
  using namespace contraction;
  return Contractor(with_distributed_sums(roots), reports).run();
}

}  // namespace cinch
