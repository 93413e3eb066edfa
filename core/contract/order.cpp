#include "cinch/core/contract/order.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "cinch/core/op.hpp"
#include "cinch/core/run/cost.hpp"

namespace cinch::contraction {

namespace {

namespace cost = running::cost;

}  // namespace

Work step() { return {cost::step, 0, 0}; }
Work pass(double elements, std::size_t element) {
  const double bytes = elements * static_cast<double>(element);
  return {bytes * cost::byte + std::max(0.0, bytes - cost::near) * cost::far_byte, elements, bytes};
}
Work products(double flops, std::size_t element) {
  return {flops * cost::ordered_flop(element), flops, 0};
}

Work pair_work(const Network& net, Atoms a, Atoms b, Atoms c) {
  const Atoms summed = (a | b) & ~c, batch = a & b & c;
  const double m = net.count(a & ~b), n = net.count(b & ~a), all = net.count(a | b);
  const Work writing = step() + pass(net.count(c), net.element);
  if (summed && m > 1 && n > 1) {
    return writing + products(2 * all, net.element) +
           pass(net.count(a) + net.count(b), net.element) +
           Work{batch ? cost::batched_product * net.count(batch) : 0, 0, 0};
  }
  if (summed && !batch) {
    return writing + pass(net.count(a) + net.count(b), net.element);  // Matrix times vector.
  }
  return writing + pass(all, net.element);
}

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

namespace {

constexpr std::size_t most_searched = 9;  // Groups; the search is exponential in them.

/// What a group takes by itself: its product, summed to `atoms`.
Work group_work(const Network& net, std::size_t g, Atoms atoms) {
  const Group& group = net.groups[g];
  const bool computes = atoms != group.atoms || group.factors.size() > 1;
  return computes ? step() + pass(net.count(group.atoms), net.element) : Work{};
}

Order searched(const Network& net) {
  const std::size_t count = net.groups.size();
  const unsigned full = (1u << count) - 1;
  std::vector<unsigned> half(full + 1, 0);
  std::vector<Atoms> atoms(full + 1, 0);
  std::vector<Work> work(full + 1, Work{std::numeric_limits<double>::infinity(), 0, 0});
  for (unsigned set = 1; set <= full; ++set) {
    Atoms inside = 0, outside = net.result;
    for (std::size_t g = 0; g < count; ++g)
      (set >> g & 1u ? inside : outside) |= net.groups[g].atoms;
    atoms[set] = inside & outside;
    if (std::has_single_bit(set)) {
      work[set] = group_work(net, static_cast<std::size_t>(std::countr_zero(set)), atoms[set]);
      continue;
    }
    for (unsigned a = (set - 1) & set; a > 0; a = (a - 1) & set) {
      const unsigned b = set ^ a;
      if (a < b) break;
      const Work total = work[a] + work[b] + pair_work(net, atoms[a], atoms[b], atoms[set]);
      if (total.nanoseconds < work[set].nanoseconds) {
        work[set] = total;
        half[set] = a;
      }
    }
  }
  Order order{work[full], {}, {}};
  for (std::size_t g = 0; g < count; ++g) order.atoms.push_back(atoms[1u << g]);
  const auto part = [&](const auto& self, unsigned set) -> std::size_t {
    if (std::has_single_bit(set)) return static_cast<std::size_t>(std::countr_zero(set));
    const std::size_t left = self(self, half[set]), right = self(self, set ^ half[set]);
    order.pairs.emplace_back(left, right);
    order.atoms.push_back(atoms[set]);
    return order.atoms.size() - 1;
  };
  part(part, full);
  return order;
}

Order greedy(const Network& net) {
  Order order{{}, {}, {}, /*is_cheapest=*/false};
  std::vector<std::size_t> left;  // Parts to be multiplied.
  // The indices that `left` but for two of them, or the result, still have a use for.
  const auto used_beside = [&](std::size_t a, std::size_t b) {
    Atoms used = net.result;
    for (const std::size_t part : left) {
      if (part != a && part != b) used |= order.atoms[part];
    }
    return used;
  };
  for (std::size_t g = 0; g < net.groups.size(); ++g) {
    order.atoms.push_back(net.groups[g].atoms);
    left.push_back(g);
  }
  for (std::size_t g = 0; g < net.groups.size(); ++g) {
    order.atoms[g] &= used_beside(g, g);
    order.work += group_work(net, g, order.atoms[g]);
  }
  while (left.size() > 1) {
    Work least{std::numeric_limits<double>::infinity(), 0, 0};
    std::pair<std::size_t, std::size_t> best;
    Atoms of_best = 0;
    for (std::size_t k = 0; k < left.size(); ++k) {
      for (std::size_t l = k + 1; l < left.size(); ++l) {
        const Atoms a = order.atoms[left[k]], b = order.atoms[left[l]];
        const Atoms atoms = (a | b) & used_beside(left[k], left[l]);
        const Work work = pair_work(net, a, b, atoms);
        if (work.nanoseconds >= least.nanoseconds) continue;
        least = work;
        best = {left[k], left[l]};
        of_best = atoms;
      }
    }
    order.work += least;
    order.pairs.push_back(best);
    std::erase(left, best.first);
    std::erase(left, best.second);
    left.push_back(order.atoms.size());
    order.atoms.push_back(of_best);
  }
  return order;
}

}  // namespace

Order cheapest_order(const Network& net) {
  Order order = net.groups.size() <= most_searched ? searched(net) : greedy(net);
  // Each index that the result has again puts what was computed on a diagonal.
  Atoms placed = 0;
  double elements = net.count(net.result);
  for (const AxisIndices& axis : net.axes) {
    for (const int i : axis) {
      const Atoms atom = Atoms(1) << i;
      if (placed & atom) {
        elements *= net.count(atom);
        order.work += step() + pass(elements, net.element);
      }
      placed |= atom;
    }
  }
  return order;
}

}  // namespace cinch::contraction
