#include "cinch/core/contract/sum_of_products.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"

namespace cinch::contraction {

namespace {

constexpr std::size_t most_factors = 48;
constexpr int deepest_reading = 40;
constexpr std::int64_t largest_constant = 4096;  // Whose elements are looked at.

/// Along which axes the elements of a constant differ.
std::vector<bool> varying_axes(const Tensor& value) {
  std::vector<bool> varies(value.shape().size(), false);
  std::int64_t stride = 1;
  for (std::size_t axis = varies.size(); axis-- > 0;) {
    const std::int64_t n = value.shape()[axis];
    for (std::int64_t k = 0; k < value.size() && !varies[axis]; ++k)
      varies[axis] = value.at(k) != value.at(k - k / stride % n * stride);
    stride *= n;
  }
  return varies;
}

/// Its elements along those axes, the first along all others.
Tensor along(const Tensor& value, const std::vector<bool>& varies) {
  Shape shape;
  for (std::size_t axis = 0; axis < varies.size(); ++axis) {
    if (varies[axis]) shape.push_back(value.shape()[axis]);
  }
  Tensor result(value.dtype(), shape);
  dispatch_float(value.dtype(), [&]<class T> {
    for (std::int64_t k = 0; k < result.size(); ++k) {
      std::int64_t from = 0, left = k, stride = 1;
      for (std::size_t axis = varies.size(); axis-- > 0;) {
        const std::int64_t n = value.shape()[axis];
        if (varies[axis]) {
          from += left % n * stride;
          left /= n;
        }
        stride *= n;
      }
      result.data<T>()[static_cast<std::size_t>(k)] =
          value.data<T>()[static_cast<std::size_t>(from)];
    }
  });
  return result;
}

/// c where a matrix is c times an identity.
std::optional<double> scale_of_identity(const Tensor& matrix) {
  if (matrix.shape().size() != 2 || matrix.shape()[0] != matrix.shape()[1]) return std::nullopt;
  const std::int64_t n = matrix.shape()[0];
  const double c = matrix.at(0);
  for (std::int64_t k = 0; k < n * n; ++k) {
    if (matrix.at(k) != (k % (n + 1) == 0 ? c : 0)) return std::nullopt;
  }
  return c;
}

/// The same with the parts of indices that are split.
SumOfProducts in_parts(SumOfProducts sum, const IndexTable& table) {
  for (AxisIndices& axis : sum.axes) axis = table.in_parts(axis);
  for (Factor& factor : sum.factors) {
    for (AxisIndices& axis : factor.axes) axis = table.in_parts(axis);
  }
  sum.indices = table.in_parts(sum.indices);
  return sum;
}

/// `factor` with an axis for each of its indices.
void regroup(Factor& factor, const IndexTable& table) {
  if (std::ranges::all_of(factor.axes, [](const AxisIndices& a) { return a.size() < 2; })) return;
  std::vector<AxisIndices> axes;
  std::vector<Expr> shape;
  for (const AxisIndices& axis : factor.axes) {
    for (const int i : axis) {
      axes.push_back({i});
      shape.push_back(constant(Tensor(table.size[static_cast<std::size_t>(i)])));
    }
  }
  const Attribution as(factor.value->where, /*force=*/true);
  factor = {reshape(factor.value, shape), std::move(axes)};
}

class Reader {
 public:
  Reader(IndexTable& table, const NodeSet& heads, const NodeSet& dissolved)
      : table_(table), heads_(heads), dissolved_(dissolved) {}

  SumOfProducts read(const Expr& e, int depth = 0) {
    const bool stops = depth > 0 && heads_.contains(e.get()) && !dissolved_.contains(e.get());
    if (stops || depth > deepest_reading || read_operands(e).empty()) return opaque(e);
    SumOfProducts result = inside(e, depth);
    if (result.factors.size() > most_factors) throw NotReadable{};
    return result;
  }

 private:
  SumOfProducts opaque(const Expr& e) {
    SumOfProducts result;
    const Tensor* value = constant_value(e);
    if (value && is_float(e.dtype()) && value->size() > 0 && value->size() <= largest_constant)
      return of_constant(e, *value);
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

  /// What is the same along an axis repeats; what is an identity, as seeds of derivatives are, has
  /// one index in both axes.
  SumOfProducts of_constant(const Expr& e, const Tensor& value) {
    SumOfProducts result;
    const std::vector<bool> varies = varying_axes(value);
    for (const Dim dim : e.dims()) {
      AxisIndices axis;
      if (dim.size() != 1) axis.push_back(table_.fresh(dim.size()));
      result.indices.insert(result.indices.end(), axis.begin(), axis.end());
      result.axes.push_back(std::move(axis));
    }
    std::vector<AxisIndices> along_them;
    for (std::size_t axis = 0; axis < varies.size(); ++axis) {
      if (varies[axis]) along_them.push_back(result.axes[axis]);
    }
    const Tensor part = along(value, varies);
    if (along_them.empty()) {
      result.scale = part.at(0);
    } else if (const std::optional<double> c = scale_of_identity(part)) {
      result.scale = *c;
      table_.unite(along_them[0][0], along_them[1][0]);
    } else {
      const bool whole = along_them.size() == varies.size();
      result.factors.push_back(
          {whole ? e : constant(part, e->where), std::move(along_them), false});
    }
    return result;
  }

  SumOfProducts inside(const Expr& e, int depth) {
    const auto operand = [&](std::size_t i) { return read(e.inputs()[i], depth + 1); };
    switch (e.op().algebra) {
      case Algebra::none:
        return chosen(e, depth);
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
        flat = table_.in_parts(flat);
        std::ranges::reverse(flat);  // The next is the last.
        std::vector<AxisIndices> axes;
        for (const Dim dim : e.dims()) {
          AxisIndices axis;
          for (std::int64_t left = dim.size(); left > 1;) {
            if (flat.empty() || !fit(flat, left)) return opaque(e);
            left /= size(flat.back());
            axis.push_back(flat.back());
            flat.pop_back();
          }
          axes.push_back(std::move(axis));
        }
        if (!flat.empty()) return opaque(e);
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

  /// Where a choice between a sum of products and 0 depends on indices that factors have, these
  /// factors are 0 elsewhere. All that have any of them must have all: then what is not finite
  /// there is cut off as before. Parameters need not: one that is not finite spoils all examples.
  SumOfProducts chosen(const Expr& e, int depth) {
    const std::size_t side = chosen_or_zero(e);
    SumOfProducts a = in_parts(read(e.inputs()[side], depth + 1), table_);
    Expr condition = e.inputs()[0];
    while (condition.op().algebra == Algebra::repeat) condition = condition.inputs()[0];
    if (a.axes.size() != static_cast<std::size_t>(e.rank())) return opaque(e);
    // The indices of those axes of the condition along which it varies.
    std::vector<std::pair<std::int64_t, AxisIndices>> along;
    const std::int64_t lead = e.rank() - condition.rank();
    for (std::int64_t axis = 0; axis < condition.rank(); ++axis) {
      if (condition.dims()[static_cast<std::size_t>(axis)].size() == 1) continue;
      along.emplace_back(axis, a.axes[static_cast<std::size_t>(lead + axis)]);
    }
    const Attribution as(e->where, /*force=*/true);
    bool any = false;
    for (Factor& factor : a.factors) {
      std::vector<std::int64_t> pattern(factor.axes.size(), -1);
      std::size_t found = 0;
      bool apart = true;
      for (const auto& [axis, indices] : along) {
        for (std::size_t own = 0; own < factor.axes.size(); ++own) {
          if (apart && shares(factor.axes[own], indices)) apart = false;
          if (pattern[own] >= 0 || !is_same(factor.axes[own], indices)) continue;
          pattern[own] = axis;
          ++found;
          break;
        }
      }
      if (apart || (found != along.size() && is_parameter(factor.value))) continue;
      if (found != along.size()) return opaque(e);
      const Expr here = dimshuffle(condition, pattern);
      const Expr zero = literal(0);
      factor.value =
          side == 1 ? switch_(here, factor.value, zero) : switch_(here, zero, factor.value);
      any = true;
    }
    return any ? a : opaque(e);
  }

  static bool is_parameter(Expr e) {
    while (e.op().algebra == Algebra::permute || e.op().algebra == Algebra::regroup)
      e = e.inputs()[0];
    return &e.op() == &graphs::shared_op;
  }
  bool is_same(const AxisIndices& a, const AxisIndices& b) const {
    return !a.empty() &&
           std::ranges::equal(a, b, [&](int i, int j) { return table_.find(i) == table_.find(j); });
  }
  bool shares(const AxisIndices& a, const AxisIndices& b) const {
    return std::ranges::any_of(a, [&](int i) {
      return std::ranges::any_of(b, [&](int j) { return table_.find(i) == table_.find(j); });
    });
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

  std::int64_t size(int i) const { return table_.size[static_cast<std::size_t>(i)]; }

  /// Makes the last of `indices` one without parts of `n` values at most. Whether n is a multiple
  /// of its size.
  bool fit(AxisIndices& indices, std::int64_t n) {
    for (;;) {
      const int i = indices.back();
      if (!table_.parts.contains(table_.find(i))) {
        if (size(i) <= n) return n % size(i) == 0;
        if (size(i) % n != 0) return false;
        table_.split(i, n);
      }
      indices.pop_back();
      const auto [outer, inner] = table_.parts.at(table_.find(i));
      indices.push_back(inner);
      indices.push_back(outer);
    }
  }

  void unite(const AxisIndices& a, const AxisIndices& b) {
    AxisIndices left = table_.in_parts(a), right = table_.in_parts(b);
    std::ranges::reverse(left);
    std::ranges::reverse(right);
    while (!left.empty() && !right.empty()) {
      if (!fit(left, size(right.back())) || !fit(right, size(left.back()))) throw NotReadable{};
      if (size(left.back()) != size(right.back())) throw NotReadable{};
      table_.unite(left.back(), right.back());
      left.pop_back();
      right.pop_back();
    }
    if (left.size() != right.size()) throw NotReadable{};
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
  SumOfProducts renamed(const SumOfProducts& whole) {
    const SumOfProducts a = in_parts(whole, table_);
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

/// Makes two indices one, in place of the first, where they stand next to each other wherever one
/// of them is. Returns whether they do.
bool join(int outer, int inner, Network& net, SumOfProducts& sum) {
  const auto is_joint = [&](const AxisIndices& order) {
    const auto first = std::ranges::find(order, outer);
    if (first == order.end()) return std::ranges::find(order, inner) == order.end();
    const bool next = first + 1 != order.end() && first[1] == inner;
    return next && std::ranges::count(order, outer) + std::ranges::count(order, inner) == 2;
  };
  const auto order_of = [](const Factor& factor) {
    AxisIndices result;
    for (const AxisIndices& axis : factor.axes)
      result.insert(result.end(), axis.begin(), axis.end());
    return result;
  };
  if (!std::ranges::all_of(sum.axes, is_joint)) return false;
  if (!std::ranges::all_of(sum.factors,
                           [&](const Factor& factor) { return is_joint(order_of(factor)); }))
    return false;
  const auto size = [&](int i) -> std::int64_t& { return net.size[static_cast<std::size_t>(i)]; };
  size(outer) *= size(inner);
  for (AxisIndices& axis : sum.axes) std::erase(axis, inner);
  for (Factor& factor : sum.factors) {
    AxisIndices order = order_of(factor);
    if (std::erase(order, inner) == 0) continue;
    std::vector<Expr> shape;
    Dims dims;
    factor.axes.clear();
    for (const int i : order) {
      factor.axes.push_back({i});
      shape.push_back(constant(Tensor(size(i))));
      dims.push_back(size(i));
    }
    const Attribution as(factor.value->where, /*force=*/true);
    const Expr whole = ungrouped(factor.value);
    factor.value = whole.dims() == dims ? whole : reshape(whole, shape);
  }
  return true;
}

/// Where the same index stands in two axes of a factor, only the diagonal of these is read.
/// Returns whether there was one.
bool to_diagonal(Factor& factor) {
  for (std::size_t column = 1; column < factor.axes.size(); ++column) {
    if (factor.axes[column].empty()) continue;
    const auto row = static_cast<std::size_t>(std::ranges::find(factor.axes, factor.axes[column]) -
                                              factor.axes.begin());
    if (row == column) continue;
    const Attribution as(factor.value->where, /*force=*/true);
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

std::size_t chosen_or_zero(const Expr& e) {
  if (&e.op() != &switch_op || !is_float(e.dtype())) return 0;
  const auto is_zero = [](Expr x) {
    while (x.op().algebra == Algebra::repeat || x.op().algebra == Algebra::permute ||
           x.op().algebra == Algebra::regroup)
      x = x.inputs()[0];
    return graphs::is_constant(x, 0);
  };
  for (const std::size_t side : {std::size_t{1}, std::size_t{2}}) {
    if (is_zero(e.inputs()[3 - side]) && e.inputs()[side].dims() == e.dims()) return side;
  }
  return 0;
}

std::span<const Expr> read_operands(const Expr& e) {
  if (e.op().algebra != Algebra::none) return e.inputs();
  const std::size_t side = chosen_or_zero(e);
  return side == 0 ? std::span<const Expr>{} : e.inputs().subspan(side, 1);
}

bool has_order(const Expr& head) {
  return is_head(head) && is_float(head.dtype()) && element_count(head.type().shape()) > 0;
}

Expr ungrouped(Expr value) {
  while (value.op().algebra == Algebra::regroup) value = value.inputs()[0];
  return value;
}

bool is_same_value(const Expr& a, const Expr& b) {
  return a == b || (a.dims() == b.dims() && ungrouped(a) == ungrouped(b));
}

void Network::add(Factor factor) {
  Atoms atoms = 0;
  for (const AxisIndices& axis : factor.axes) {
    for (const int i : axis) atoms |= Atoms(1) << i;
  }
  const auto same = std::ranges::find(groups, atoms, &Group::atoms);
  if (same == groups.end()) {
    groups.push_back({{std::move(factor)}, atoms});
  } else {
    same->factors.push_back(std::move(factor));
  }
}

SumOfProducts read(IndexTable& table, const Expr& head, const NodeSet& heads,
                   const NodeSet& dissolved) {
  SumOfProducts sum = in_parts(Reader(table, heads, dissolved).read(head), table);
  for (Factor& factor : sum.factors) regroup(factor, table);
  return sum;
}

Network network_of(const Expr& head, const NodeSet& heads, const NodeSet& dissolved) {
  IndexTable table;
  SumOfProducts sum = read(table, head, heads, dissolved);
  return network_of(table, std::move(sum), head.dtype());
}

Network network_of(const IndexTable& table, SumOfProducts sum, DType dtype) {
  Network net;
  net.element = size_of(dtype);
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
      net.result |= Atoms(1) << i;
    }
  }
  Atoms held = 0;
  for (Factor& factor : sum.factors) {
    for (AxisIndices& axis : factor.axes) {
      for (int& i : axis) {
        i = bit_of(i);
        held |= Atoms(1) << i;
      }
    }
    while (to_diagonal(factor)) {
    }
  }
  if (net.size.size() > 60 || sum.factors.empty()) throw NotReadable{};
  // Summed over, but in no factor: every term counts as often as the index has values.
  Atoms counted = 0;
  for (const int i : sum.indices) {
    const int b = bit_of(i);
    const Atoms atom = Atoms(1) << b;
    if ((held | net.result | counted) & atom) continue;
    counted |= atom;
    net.scale *= static_cast<double>(net.size[static_cast<std::size_t>(b)]);
  }
  // What a reshape has split for nothing; parts of parts come later.
  for (int whole = static_cast<int>(table.size.size()); whole-- > 0;) {
    const auto parts = table.parts.find(whole);
    if (parts == table.parts.end()) continue;
    const auto outer = bit.find(table.find(parts->second.first)),
               inner = bit.find(table.find(parts->second.second));
    if (outer == bit.end() || inner == bit.end()) continue;
    if (const int joined = outer->second; join(joined, inner->second, net, sum))
      bit[whole] = joined;
  }
  net.axes = sum.axes;
  net.result = 0;
  for (const AxisIndices& axis : net.axes) {
    for (const int i : axis) net.result |= Atoms(1) << i;
  }
  for (Factor& factor : sum.factors) net.add(std::move(factor));
  return net;
}

}  // namespace cinch::contraction
