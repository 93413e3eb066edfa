// The order of contractions, on sizes alone.
#include "cinch/core/contract/order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <string>

using namespace cinch;
using namespace cinch::contraction;

namespace {

/// The operands of "ab,bc->ac".
std::vector<std::string> operands_of(const std::string& formula) {
  std::istringstream in(formula.substr(0, formula.find("->")));
  std::vector<std::string> result;
  for (std::string one; std::getline(in, one, ',');) result.push_back(one);
  return result;
}

/// "ab,bc->ac" with a size for each letter. Factors of the same letters are one group.
contraction::Network network(const std::string& formula,
                             const std::map<char, std::int64_t>& sizes) {
  contraction::Network net;
  std::map<char, int> bit;
  for (const auto& [letter, n] : sizes) {
    bit[letter] = static_cast<int>(net.size.size());
    net.size.push_back(n);
  }
  const auto atoms = [&](const std::string& letters) {
    Atoms all = 0;
    for (const char c : letters) all |= Atoms(1) << bit.at(c);
    return all;
  };
  for (const std::string& one : operands_of(formula)) {
    contraction::Group group;
    group.atoms = atoms(one);
    group.factors.resize(1);
    net.groups.push_back(group);
  }
  net.result = atoms(formula.substr(formula.find("->") + 2));
  return net;
}

/// "((ab,bc),cd)"
std::string shown(const Order& order, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> parts;  // The first of its groups, and its name.
  for (const std::string& name : names) parts.emplace_back(parts.size(), name);
  for (const auto& [a, b] : order.pairs) {
    const auto& [first, second] = std::minmax(parts[a], parts[b]);
    parts.emplace_back(first.first, "(" + first.second + "," + second.second + ")");
  }
  return parts.back().second;
}

/// The least time of all ways to halve a set, one after the other, without a table.
double least(const contraction::Network& net, unsigned set) {
  const unsigned full = (1u << net.groups.size()) - 1;
  const auto result_of = [&](unsigned part) {
    Atoms inside = 0, outside = net.result;
    for (std::size_t g = 0; g < net.groups.size(); ++g)
      (part >> g & 1u ? inside : outside) |= net.groups[g].atoms;
    return std::pair(inside, inside & outside);
  };
  CHECK((set & ~full) == 0);
  if (std::has_single_bit(set)) {
    const auto [inside, kept] = result_of(set);
    return inside == kept ? 0 : (step() + pass(net.count(inside), net.element)).nanoseconds;
  }
  double best = std::numeric_limits<double>::infinity();
  for (unsigned a = 1; a < set; ++a) {
    if ((a & ~set) != 0) continue;
    const double both = least(net, a) + least(net, set ^ a);
    const double joined =
        pair_work(net, result_of(a).second, result_of(set ^ a).second, result_of(set).second)
            .nanoseconds;
    best = std::min(best, both + joined);
  }
  return best;
}

}  // namespace

TEST_CASE("products are taken in the order that makes the smallest results") {
  struct Row {
    std::string formula;
    std::map<char, std::int64_t> sizes;
    std::string order;
  };
  const std::vector<Row> rows{
      // A chain of matrices: from the side of the vector.
      {"ab,bc,c->a", {{'a', 300}, {'b', 400}, {'c', 500}}, "(ab,(bc,c))"},
      {"a,ab,bc->c", {{'a', 300}, {'b', 400}, {'c', 500}}, "((a,ab),bc)"},
      {"ab,bc,cd->ad", {{'a', 10}, {'b', 100}, {'c', 5}, {'d', 50}}, "((ab,bc),cd)"},
      {"ab,bc,cd->ad", {{'a', 50}, {'b', 5}, {'c', 100}, {'d', 10}}, "(ab,(bc,cd))"},
      // Squares of a Jacobian (n, h, v) summed: never formed.
      {"nh,hv->n", {{'n', 20}, {'h', 500}, {'v', 784}}, "(nh,hv)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.formula);
    const contraction::Network net = network(row.formula, row.sizes);
    const Order order = cheapest_order(net);
    const std::vector<std::string> names = operands_of(row.formula);
    CHECK(shown(order, names) == row.order);
  }
}

TEST_CASE("no order of a random network takes less than the one that is found") {
  std::mt19937 random(17);
  const auto draw = [&](int n) { return std::uniform_int_distribution<int>(0, n - 1)(random); };
  for (int trial = 0; trial < 200; ++trial) {
    const std::string letters = "abcdef";
    std::map<char, std::int64_t> sizes;
    for (const char c : letters) sizes[c] = std::int64_t{1} << draw(10);
    std::string formula;
    const int count = 2 + draw(4);
    for (int k = 0; k < count; ++k) {
      std::string one;
      for (const char c : letters) {
        if (draw(2)) one += c;
      }
      if (one.empty()) one = "a";
      formula += (k ? "," : "") + one;
    }
    formula += "->";
    for (const char c : letters) {
      if (draw(3) == 0 && formula.find(c) != std::string::npos) formula += c;
    }
    CAPTURE(formula);
    const contraction::Network net = network(formula, sizes);
    const Order order = cheapest_order(net);
    CHECK(order.work.nanoseconds ==
          doctest::Approx(least(net, (1u << net.groups.size()) - 1)).epsilon(1e-12));
  }
}
