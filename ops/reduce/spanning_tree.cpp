#include "cinch/ops/spanning_tree.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

Type tree_type(Args x, const Attrs&) {
  const Dims& from = x[0].dims();
  if (from.size() < 2) throw TypeError("lengths between points must be (..., n, n)");
  const Dim rows = from[from.size() - 2], columns = from[from.size() - 1];
  if (rows.known() && columns.known() && rows != columns)
    throw TypeError("there must be as many rows as columns");
  const Dim n = rows.known() ? rows : columns;
  Dims dims = from;
  dims[dims.size() - 2] = n.known() ? Dim(std::max<std::int64_t>(n.size() - 1, 0)) : Dim::unknown();
  dims[dims.size() - 1] = 2;
  return {DType::int64, std::move(dims)};
}

template <class T>
struct Edge {
  T length;
  std::int64_t i, j;

  bool missing() const {
    if constexpr (std::is_floating_point_v<T>) return std::isnan(length);
    return false;
  }
  /// No two edges are alike, so there is one shortest tree.
  bool before(const Edge& other) const {
    if (missing() != other.missing()) return other.missing();
    if (!missing() && length != other.length) return length < other.length;
    return i != other.i ? i < other.i : j < other.j;
  }
};

template <class T>
Edge<T> edge(const T* lengths, std::int64_t n, std::int64_t a, std::int64_t b) {
  const std::int64_t i = std::min(a, b), j = std::max(a, b);
  return {lengths[i * n + j], i, j};
}

template <class T>
void write(std::vector<Edge<T>>& edges, std::int64_t* out) {
  std::ranges::sort(edges, [](const Edge<T>& a, const Edge<T>& b) { return a.before(b); });
  for (const Edge<T>& e : edges) {
    *out++ = e.i;
    *out++ = e.j;
  }
}

/// The tree grows from the first point by the shortest edge that leaves it: Prim.
template <class T>
void grow(const T* lengths, std::int64_t n, std::int64_t* out) {
  std::vector<Edge<T>> edges, nearest;  // `nearest`: to the tree, of each point outside.
  std::vector<std::int64_t> outside;
  for (std::int64_t k = 1; k < n; ++k) {
    outside.push_back(k);
    nearest.push_back(edge(lengths, n, 0, k));
  }
  while (!outside.empty()) {
    const auto next = static_cast<std::size_t>(
        std::ranges::min_element(nearest,
                                 [](const auto& a, const auto& b) { return a.before(b); }) -
        nearest.begin());
    const std::int64_t joined = outside[next];
    edges.push_back(nearest[next]);
    outside[next] = outside.back();
    nearest[next] = nearest.back();
    outside.pop_back();
    nearest.pop_back();
    for (std::size_t k = 0; k < outside.size(); ++k) {
      const Edge<T> other = edge(lengths, n, joined, outside[k]);
      if (other.before(nearest[k])) nearest[k] = other;
    }
  }
  write(edges, out);
}

void require_square(const Shape& shape) {
  if (shape[shape.size() - 2] != shape[shape.size() - 1])
    throw ValueError("there must be as many rows as columns");
}

void tree_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  const Shape shape(in[0].shape.begin(), in[0].shape.end());
  require_square(shape);
  const std::int64_t n = shape.back();
  if (out.size() == 0) return;
  const std::int64_t graphs = out.size() / (2 * (n - 1));
  dispatch(in[0].dtype, [&]<class T> {
    const std::int64_t parts =
        running::parts_for(running::cost::compared * 4 * static_cast<double>(in[0].size()), graphs);
    running::share_work(parts, [&](std::int64_t part) {
      const running::Span own = running::part_of(graphs, 1, parts, part);
      for (std::int64_t g = own.begin; g < own.end; ++g)
        grow(in[0].as<T>() + g * n * n, n, out.as<std::int64_t>() + g * 2 * (n - 1));
    });
  });
}

/// All edges, the shortest first, of which those are taken that join two parts: Kruskal.
Tensor tree_reference(Values in, const Attrs&) {
  Shape shape = in[0]->shape();
  require_square(shape);
  const std::int64_t n = shape.back();
  shape[shape.size() - 2] = std::max<std::int64_t>(n - 1, 0);
  shape[shape.size() - 1] = 2;
  Tensor result(DType::int64, shape);
  if (result.size() == 0) return result;
  const std::int64_t graphs = result.size() / (2 * (n - 1));
  dispatch(in[0]->dtype(), [&]<class T> {
    for (std::int64_t g = 0; g < graphs; ++g) {
      const auto lengths = in[0]->data<T>().subspan(static_cast<std::size_t>(g * n * n));
      std::vector<Edge<T>> all, taken;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = i + 1; j < n; ++j)
          all.push_back({lengths[static_cast<std::size_t>(i * n + j)], i, j});
      std::ranges::sort(all, [](const auto& a, const auto& b) { return a.before(b); });
      std::vector<std::int64_t> part(static_cast<std::size_t>(n));
      std::iota(part.begin(), part.end(), 0);
      for (const Edge<T>& e : all) {
        const std::int64_t from = part[static_cast<std::size_t>(e.i)],
                           to = part[static_cast<std::size_t>(e.j)];
        if (from == to) continue;
        taken.push_back(e);
        std::ranges::replace(part, from, to);
      }
      write(taken, result.data<std::int64_t>().data() + g * 2 * (n - 1));
    }
  });
  return result;
}

}  // namespace

constinit const Op minimum_spanning_tree_op{
    .name = "minimum_spanning_tree",
    .type = tree_type,
    .reference = tree_reference,
    .batch = [](Args x, const std::vector<bool>&,
                const Expr&) { return apply(minimum_spanning_tree_op, {x[0]}); },
    .follow = [](Args x, std::span<const std::int64_t> axes, const Expr&) -> std::int64_t {
      return axes[0] < x[0].rank() - 2 ? axes[0] : -1;
    },
    .size_of = [](const Expr& y, std::int64_t axis) -> Expr {
      const Expr& x = y.inputs()[0];
      if (axis == y.rank() - 1) return constant(Tensor(std::int64_t{2}));
      if (axis == y.rank() - 2) return maximum(size(x, axis) - 1, std::int64_t{0});
      return size(x, axis);
    },
    .runs = Kernel{.run = tree_kernel},
    .examples = []() -> std::vector<Example> {
      const auto tree = [](Args x) { return minimum_spanning_tree(x[0]); };
      return {{{Type{DType::float64, {7, 7}}}, tree},
              {{Type{DType::int64, {6, 6}}}, tree, {3}},
              {{Type{DType::float64, {2, 3, 5, 5}}}, tree},
              {{Type{DType::float64, {1, 1}}}, tree},
              {{Type{DType::float64, {0, 0}}}, tree}};
    },
};

Expr minimum_spanning_tree(const Arg& lengths) {
  return apply(minimum_spanning_tree_op, {lengths}, {}, lengths.where());
}

}  // namespace cinch
