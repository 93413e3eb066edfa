#include "cinch/core/contract/order.hpp"

#include <bit>
#include <limits>

#include "cinch/core/run/cost.hpp"

namespace cinch::contraction {

namespace {

namespace cost = running::cost;

}  // namespace

Work step() { return {cost::step, 0, 0}; }
Work pass(double elements, std::size_t element) {
  const double bytes = elements * static_cast<double>(element);
  return {bytes * cost::byte, elements, bytes};
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

}  // namespace cinch::contraction
