#include "cinch/core/contract/sum_of_products.hpp"

#include <algorithm>
#include <unordered_map>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

constexpr std::size_t most_factors = 12;  // The search is exponential in the groups they form.
constexpr std::size_t most_groups = 9;
constexpr int deepest_reading = 40;

/// An index of a sum of products: where it has no other name, it is known by its number.
struct IndexTable {
  std::vector<std::int64_t> size;
  std::vector<int> same_as;  // Union-find.

  int fresh(std::int64_t n) {
    if (n == 0) throw NotReadable{};  // A sum of nothing has no order to choose.
    size.push_back(n);
    same_as.push_back(static_cast<int>(same_as.size()));
    return same_as.back();
  }
  int find(int i) const {
    while (same_as[static_cast<std::size_t>(i)] != i) i = same_as[static_cast<std::size_t>(i)];
    return i;
  }
  void unite(int a, int b) { same_as[static_cast<std::size_t>(find(a))] = find(b); }
};

/// scale * sum over the indices that are not in `axes` of the product of the factors. An index that
/// stands in two axes makes the value 0 off their diagonal.
struct SumOfProducts {
  double scale = 1;
  std::vector<Factor> factors;
  std::vector<AxisIndices> axes;
  std::vector<int> indices;  // All there are.
};

class Reader {
 public:
  Reader(IndexTable& table, const NodeSet& heads, const NodeSet& dissolved)
      : table_(table), heads_(heads), dissolved_(dissolved) {}

  SumOfProducts read(const Expr& e, int depth = 0) {
    const bool stops = depth > 0 && heads_.contains(e.get()) && !dissolved_.contains(e.get());
    if (stops || depth > deepest_reading || e.op().algebra == Algebra::none) return opaque(e);
    SumOfProducts result = inside(e, depth);
    if (result.factors.size() > most_factors) throw NotReadable{};
    return result;
  }

 private:
  SumOfProducts opaque(const Expr& e) {
    SumOfProducts result;
    if (const Tensor* value = constant_value(e); value && value->size() == 1) {
      result.scale = value->at(0);
      result.axes.resize(static_cast<std::size_t>(e.rank()));
      return result;
    }
    for (const Dim dim : e.dims()) {
      AxisIndices axis;
      if (dim.size() != 1) {
        axis.push_back(table_.fresh(dim.size()));
        result.indices.push_back(axis[0]);
      }
      result.axes.push_back(axis);
    }
    result.factors.push_back({e, result.axes});
    return result;
  }

  SumOfProducts inside(const Expr& e, int depth) {
    const auto operand = [&](std::size_t i) { return read(e.inputs()[i], depth + 1); };
    switch (e.op().algebra) {
      case Algebra::none:
        break;
      case Algebra::product: {
        SumOfProducts a = operand(0), b = operand(1);
        std::vector<AxisIndices> axes(static_cast<std::size_t>(e.rank()));
        align(a.axes, axes);
        align(b.axes, axes);
        return joined(std::move(a), std::move(b), std::move(axes));
      }
      case Algebra::square:
        return power(operand(0), 2);
      case Algebra::power: {
        const Tensor* exponent = constant_value(e.inputs()[1]);
        if (!exponent || exponent->size() != 1 || e.inputs()[1].rank() > e.inputs()[0].rank())
          return opaque(e);
        const double n = exponent->at(0);
        if (n != 2 && n != 3 && n != 4) return opaque(e);
        return power(operand(0), static_cast<int>(n));
      }
      case Algebra::negative: {
        SumOfProducts a = operand(0);
        a.scale = -a.scale;
        return a;
      }
      case Algebra::quotient: {
        const Tensor* divisor = constant_value(e.inputs()[1]);
        if (!divisor || divisor->size() != 1 || e.inputs()[1].rank() > e.inputs()[0].rank())
          return opaque(e);
        SumOfProducts a = operand(0);
        a.scale /= divisor->at(0);
        return a;
      }
      case Algebra::sum: {
        SumOfProducts a = operand(0);
        std::vector<AxisIndices> kept;
        const auto& over = OverAxes::of(e.attrs());
        for (std::size_t axis = 0; axis < a.axes.size(); ++axis) {
          if (std::ranges::find(over, static_cast<std::int64_t>(axis)) == over.end())
            kept.push_back(a.axes[axis]);
        }
        a.axes = std::move(kept);
        return a;
      }
      case Algebra::matrix_product: {
        SumOfProducts a = operand(0), b = operand(1);
        const std::size_t rank = b.axes.size();
        unite(a.axes.back(), b.axes[rank - 2]);
        std::vector<AxisIndices> axes = a.axes;
        for (std::size_t k = 0; k + 2 < rank; ++k) axes[k] = united(a.axes[k], b.axes[k]);
        axes.back() = b.axes.back();
        return joined(std::move(a), std::move(b), std::move(axes));
      }
      case Algebra::permute: {
        SumOfProducts a = operand(0);
        std::vector<AxisIndices> axes;
        for (const std::int64_t axis : AxisPattern::of(e.attrs()))
          axes.push_back(axis < 0 ? AxisIndices{} : a.axes[axis]);
        a.axes = std::move(axes);
        return a;
      }
      case Algebra::repeat: {
        SumOfProducts a = operand(0);
        std::vector<AxisIndices> axes(static_cast<std::size_t>(e.rank()));
        align(a.axes, axes);
        for (std::size_t axis = 0; axis < axes.size(); ++axis) {
          const std::int64_t n = e.dims()[axis].size();
          if (!axes[axis].empty() || n == 1) continue;
          axes[axis].push_back(table_.fresh(n));
          a.indices.push_back(axes[axis][0]);
        }
        a.axes = std::move(axes);
        return a;
      }
      case Algebra::regroup: {
        SumOfProducts a = operand(0);
        AxisIndices flat;
        for (const AxisIndices& axis : a.axes) flat.insert(flat.end(), axis.begin(), axis.end());
        std::vector<AxisIndices> axes;
        auto next = flat.begin();
        for (const Dim dim : e.dims()) {
          AxisIndices axis;
          std::int64_t left = dim.size();
          while (left > 1) {
            if (next == flat.end()) return opaque(e);
            const std::int64_t n = table_.size[static_cast<std::size_t>(*next)];
            if (n > left || left % n != 0) return opaque(e);  // An index would be split.
            left /= n;
            axis.push_back(*next++);
          }
          axes.push_back(std::move(axis));
        }
        if (next != flat.end()) return opaque(e);
        a.axes = std::move(axes);
        return a;
      }
      case Algebra::identity: {
        const std::int64_t n = e.dims()[0].size();
        SumOfProducts result;
        if (n == 1) {
          result.axes.resize(2);
          return result;
        }
        const int i = table_.fresh(n);
        result.axes = {{i}, {i}};
        result.indices = {i};
        return result;
      }
      case Algebra::diagonal: {
        if (!is_main_diagonal(e, e.inputs()[0].dims())) return opaque(e);
        SumOfProducts a = operand(0);
        const DiagonalAxes d = DiagonalAxes::of(e.attrs());
        std::vector<AxisIndices> axes;
        for (std::int64_t axis = 0; axis < e.inputs()[0].rank(); ++axis) {
          if (axis != d.row && axis != d.column) axes.push_back(a.axes[axis]);
        }
        axes.push_back(united(a.axes[d.row], a.axes[d.column]));
        a.axes = std::move(axes);
        return a;
      }
      case Algebra::embed_diagonal: {
        if (!is_main_diagonal(e, e.dims())) return opaque(e);
        SumOfProducts a = operand(0);
        const AxisIndices last = std::move(a.axes.back());
        auto next = a.axes.begin();
        const DiagonalAxes d = DiagonalAxes::of(e.attrs());
        std::vector<AxisIndices> axes;
        for (std::int64_t axis = 0; axis < e.rank(); ++axis) {
          const bool on = axis == d.row || axis == d.column;
          axes.push_back(on ? last : *next++);
        }
        a.axes = std::move(axes);
        return a;
      }
    }
    return opaque(e);
  }

  /// Of square matrices, without an offset: both indices are the same.
  static bool is_main_diagonal(const Expr& e, const Dims& matrices) {
    const DiagonalAxes d = DiagonalAxes::of(e.attrs());
    return d.offset == 0 && matrices[d.row] == matrices[d.column];
  }

  /// Puts the indices of an operand's axes, aligned at the right, where the result has none yet;
  /// elsewhere they are the same as those it has.
  void align(const std::vector<AxisIndices>& from, std::vector<AxisIndices>& to) {
    const std::size_t lead = to.size() - from.size();
    for (std::size_t axis = 0; axis < from.size(); ++axis)
      to[lead + axis] = united(to[lead + axis], from[axis]);
  }

  AxisIndices united(const AxisIndices& a, const AxisIndices& b) {
    if (a.empty()) return b;
    if (!b.empty()) unite(a, b);
    return a;
  }

  void unite(const AxisIndices& a, const AxisIndices& b) {
    if (a.size() != b.size()) throw NotReadable{};
    for (std::size_t k = 0; k < a.size(); ++k) {
      if (table_.size[static_cast<std::size_t>(a[k])] !=
          table_.size[static_cast<std::size_t>(b[k])])
        throw NotReadable{};
      table_.unite(a[k], b[k]);
    }
  }

  static SumOfProducts joined(SumOfProducts a, SumOfProducts b, std::vector<AxisIndices> axes) {
    a.scale *= b.scale;
    std::ranges::move(b.factors, std::back_inserter(a.factors));
    a.indices.insert(a.indices.end(), b.indices.begin(), b.indices.end());
    a.axes = std::move(axes);
    return a;
  }

  SumOfProducts power(const SumOfProducts& a, int n) {
    SumOfProducts result = a;
    for (int k = 1; k < n; ++k) {
      std::vector<AxisIndices> axes = result.axes;
      result = joined(std::move(result), renamed(a), std::move(axes));
    }
    return result;
  }

  /// A copy with other names for the indices that are summed over.
  SumOfProducts renamed(const SumOfProducts& a) {
    SumOfProducts b = a;
    std::unordered_map<int, int> name;
    for (const AxisIndices& axis : a.axes) {
      for (const int i : axis) name[table_.find(i)] = i;
    }
    const auto rename = [&](int& i) {
      const auto [entry, fresh] = name.try_emplace(table_.find(i), 0);
      if (fresh) entry->second = table_.fresh(table_.size[static_cast<std::size_t>(i)]);
      i = entry->second;
    };
    for (Factor& factor : b.factors) {
      for (AxisIndices& axis : factor.axes) std::ranges::for_each(axis, rename);
    }
    std::ranges::for_each(b.indices, rename);
    return b;
  }

  IndexTable& table_;
  const NodeSet &heads_, &dissolved_;
};

}  // namespace

namespace {

/// Where the same index stands in two axes of a factor, only the diagonal of these is read.
/// Returns whether there was one.
bool to_diagonal(Factor& factor) {
  for (std::size_t column = 1; column < factor.axes.size(); ++column) {
    if (factor.axes[column].empty()) continue;
    const auto row = static_cast<std::size_t>(std::ranges::find(factor.axes, factor.axes[column]) -
                                              factor.axes.begin());
    if (row == column) continue;
    factor.value = diagonal(factor.value, 0, static_cast<std::int64_t>(row),
                            static_cast<std::int64_t>(column));
    factor.axes.push_back(factor.axes[column]);
    factor.axes.erase(factor.axes.begin() + static_cast<std::ptrdiff_t>(column));
    factor.axes.erase(factor.axes.begin() + static_cast<std::ptrdiff_t>(row));
    return true;
  }
  return false;
}

}  // namespace

Network network_of(const Expr& head, const NodeSet& heads, const NodeSet& dissolved) {
  IndexTable table;
  SumOfProducts sum = Reader(table, heads, dissolved).read(head);
  Network net;
  net.element = size_of(head.dtype());
  net.scale = sum.scale;
  std::unordered_map<int, int> bit;
  const auto bit_of = [&](int i) {
    const auto [entry, fresh] = bit.try_emplace(table.find(i), static_cast<int>(net.size.size()));
    if (fresh) net.size.push_back(table.size[static_cast<std::size_t>(i)]);
    return entry->second;
  };
  for (AxisIndices& axis : sum.axes) {
    for (int& i : axis) {
      i = bit_of(i);
      const Atoms atom = Atoms(1) << i;
      if (net.result & atom) throw NotReadable{};  // A diagonal in the result.
      net.result |= atom;
    }
  }
  net.axes = sum.axes;
  Atoms held = 0;
  for (Factor& factor : sum.factors) {
    for (AxisIndices& axis : factor.axes) {
      for (int& i : axis) i = bit_of(i);
    }
    while (to_diagonal(factor)) net.diagonals = true;
    Atoms atoms = 0;
    for (const AxisIndices& axis : factor.axes) {
      for (const int i : axis) atoms |= Atoms(1) << i;
    }
    held |= atoms;
    const auto same = std::ranges::find(net.groups, atoms, &Group::atoms);
    if (same == net.groups.end()) {
      net.groups.push_back({{factor}, atoms});
    } else {
      same->factors.push_back(factor);
    }
  }
  if (net.size.size() > 60 || net.groups.size() > most_groups || net.groups.empty())
    throw NotReadable{};
  // Summed over, but in no factor: every term counts as often as the index has values.
  Atoms counted = 0;
  for (const int i : sum.indices) {
    const int b = bit_of(i);
    const Atoms atom = Atoms(1) << b;
    if ((held | net.result | counted) & atom) continue;
    counted |= atom;
    net.scale *= static_cast<double>(net.size[static_cast<std::size_t>(b)]);
  }
  return net;
}

}  // namespace cinch::contraction
