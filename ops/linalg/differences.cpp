// Sums over the differences of all pairs of two sets of points.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/linalg/blas.hpp"
#include "cinch/ops/linalg/fused_products.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

bool same(Dim a, Dim b) { return !a.known() || !b.known() || a == b; }

/// Throws TypeError unless these are float (sets, n, k) and (sets, m, k).
void require_points(const Expr& a, const Expr& b) {
  if (a.rank() != 3 || b.rank() != 3) throw TypeError("points must be (sets, points, coordinates)");
  if (!is_float(a.dtype())) throw TypeError("points must be floats");
  if (!same(a.dims()[0], b.dims()[0]) || !same(a.dims()[2], b.dims()[2]))
    throw TypeError("both must have as many sets and coordinates");
}

template <class F>
void for_floats(DType dtype, F&& f) {
  dtype == DType::float32 ? f.template operator()<float>() : f.template operator()<double>();
}

/// The sum of f(0), ..., f(n - 1), in lanes that a vector holds.
template <class T, class F>
T sum_of(std::int64_t n, F&& f) {
  constexpr std::int64_t lanes = 16;
  T partial[lanes] = {};
  std::int64_t k = 0;
  for (; k + lanes <= n; k += lanes) {
    for (std::int64_t l = 0; l < lanes; ++l) partial[l] += f(k + l);
  }
  for (; k < n; ++k) partial[0] += f(k);
  T result = 0;
  for (const T p : partial) result += p;
  return result;
}

/// Two sets of points, and both with the mean of all points subtracted: differences stay, and
/// coordinates become as small as they can be.
template <class T>
struct Pairs {
  std::int64_t n, m, k;
  const T *a, *b;
  T *centred_a, *centred_b;

  Pairs(const Operand& as, const Operand& bs, std::int64_t set)
      : n(as.shape[1]),
        m(bs.shape[1]),
        k(as.shape[2]),
        a(as.as<const T>() + set * n * k),
        b(bs.as<const T>() + set * m * k) {
    static thread_local constinit running::ThreadMemory memory;
    std::byte* const bytes =
        memory.get(static_cast<std::size_t>((n + m + 1) * k + n + m) * sizeof(T));
    centred_a = reinterpret_cast<T*>(bytes);
    centred_b = centred_a + n * k;
    rest = centred_b + m * k;
    T* const mean = rest;
    std::fill_n(mean, k, T(0));
    const auto add = [&](const T* points, std::int64_t count) {
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t c = 0; c < k; ++c) mean[c] += points[i * k + c];
      }
    };
    add(a, n);
    add(b, m);
    for (std::int64_t c = 0; c < k; ++c) mean[c] /= static_cast<T>(n + m);
    const auto centre = [&](const T* points, std::int64_t count, T* to) {
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t c = 0; c < k; ++c) to[i * k + c] = points[i * k + c] - mean[c];
      }
    };
    centre(a, n, centred_a);
    centre(b, m, centred_b);
  }

  T* rest;  ///< Memory for k + n + m more.
};

/// Estimated time on one thread of looking at so many numbers that a product has made.
double look_nanoseconds(std::int64_t count, std::size_t element) {
  return static_cast<double>(count) * running::cost::flop(element) * 16;
}

/// |a|^2 + |b|^2 - 2 a'b loses what the terms have more than their sum. Where that is more than
/// four bits, or nothing that a number holds, the differences are squared and added up.
template <class T>
void squared_differences_of(const Pairs<T>& p, T* out) {
  constexpr T least_share = T(1) / 16;
  T* const squares_a = p.rest + p.k;
  T* const squares_b = squares_a + p.n;
  const auto squares = [&](const T* points, std::int64_t count, T* to) {
    for (std::int64_t i = 0; i < count; ++i) {
      const T* x = points + i * p.k;
      to[i] = sum_of<T>(p.k, [&](std::int64_t c) { return x[c] * x[c]; });
    }
  };
  squares(p.centred_a, p.n, squares_a);
  squares(p.centred_b, p.m, squares_b);
  blas::product({p.centred_a, p.n, p.k, p.k, 1}, {p.centred_b, p.k, p.m, 1, p.k},
                {out, p.n, p.m, p.m, 1});
  const auto rows = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* const y = out + i * p.m;
      const T own = squares_a[i];
      std::int64_t lost = 0;
      for (std::int64_t j = 0; j < p.m; ++j) {
        const T terms = own + squares_b[j];
        y[j] = terms - 2 * y[j];
        lost += !(y[j] >= least_share * terms);
      }
      for (std::int64_t j = 0; lost > 0 && j < p.m; ++j) {
        if (y[j] >= least_share * (own + squares_b[j])) continue;
        const T *u = p.a + i * p.k, *v = p.b + j * p.k;
        y[j] = sum_of<T>(p.k, [&](std::int64_t c) { return (u[c] - v[c]) * (u[c] - v[c]); });
        --lost;
      }
    }
  };
  const std::int64_t parts = running::parts_for(look_nanoseconds(p.n * p.m, sizeof(T)), p.n);
  running::share_work(parts, [&](std::int64_t part) {
    const auto [begin, end] = running::part_of(p.n, 1, parts, part);
    rows(begin, end);
  });
}

void squared_differences_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  for_floats(out.dtype, [&]<class T> {
    for (std::int64_t set = 0; set < out.shape[0]; ++set) {
      const Pairs<T> pairs(in[0], in[1], set);
      squared_differences_of(pairs, out.as<T>() + set * pairs.n * pairs.m);
    }
  });
}

/// (sum_j g_j) a - sum_j g_j b_j loses what the first term has more than the result. Where that is
/// more than six bits of the sum_j |g_j| |a| that it can be, differences are weighted one by one.
template <class T>
void weighted_differences_of(const Pairs<T>& p, const T* weights, T* out) {
  constexpr T least_share = T(1) / 64;
  blas::product({weights, p.n, p.m, p.m, 1}, {p.centred_b, p.m, p.k, p.k, 1},
                {out, p.n, p.k, p.k, 1});
  const auto row = [&](std::int64_t i) {
    const T *g = weights + i * p.m, *a = p.centred_a + i * p.k;
    T* const y = out + i * p.k;
    const T sum = sum_of<T>(p.m, [&](std::int64_t j) { return g[j]; }),
            most = sum_of<T>(p.m, [&](std::int64_t j) { return std::abs(g[j]); }),
            reach = sum_of<T>(p.k, [&](std::int64_t c) { return std::abs(a[c]); });
    for (std::int64_t c = 0; c < p.k; ++c) y[c] = sum * a[c] - y[c];
    const T left = sum_of<T>(p.k, [&](std::int64_t c) { return std::abs(y[c]); });
    if (left >= least_share * most * reach) return;
    std::fill_n(y, p.k, T(0));
    const T* const u = p.a + i * p.k;
    for (std::int64_t j = 0; j < p.m; ++j) {
      const T* const v = p.b + j * p.k;
      for (std::int64_t c = 0; c < p.k; ++c) y[c] += g[j] * (u[c] - v[c]);
    }
  };
  const std::int64_t parts =
      running::parts_for(look_nanoseconds(p.n * (p.m + p.k), sizeof(T)), p.n);
  running::share_work(parts, [&](std::int64_t part) {
    const auto [begin, end] = running::part_of(p.n, 1, parts, part);
    for (std::int64_t i = begin; i < end; ++i) row(i);
  });
}

void weighted_differences_kernel(std::span<const Operand> in, const Operand& out, const Attrs&) {
  for_floats(out.dtype, [&]<class T> {
    for (std::int64_t set = 0; set < out.shape[0]; ++set) {
      const Pairs<T> pairs(in[1], in[2], set);
      weighted_differences_of(pairs, in[0].as<const T>() + set * pairs.n * pairs.m,
                              out.as<T>() + set * pairs.n * pairs.k);
    }
  });
}

/// Calls f(set, i, j, k, a - b) for every coordinate of every pair.
template <class T, class F>
void for_differences(const Tensor& a, const Tensor& b, F&& f) {
  const std::int64_t n = a.shape()[1], m = b.shape()[1], coordinates = a.shape()[2];
  const T *u = a.data<T>().data(), *v = b.data<T>().data();
  for (std::int64_t set = 0; set < a.shape()[0]; ++set) {
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < m; ++j) {
        for (std::int64_t k = 0; k < coordinates; ++k) {
          f(set, i, j, k, u[(set * n + i) * coordinates + k] - v[(set * m + j) * coordinates + k]);
        }
      }
    }
  }
}

Tensor squared_differences_reference(Values in, const Attrs&) {
  const Tensor &a = *in[0], &b = *in[1];
  const std::int64_t n = a.shape()[1], m = b.shape()[1];
  Tensor result(a.dtype(), {a.shape()[0], n, m});
  for_floats(a.dtype(), [&]<class T> {
    T* const y = result.data<T>().data();
    for_differences<T>(
        a, b, [&](auto set, auto i, auto j, auto, T d) { y[(set * n + i) * m + j] += d * d; });
  });
  return result;
}

Tensor weighted_differences_reference(Values in, const Attrs&) {
  const Tensor &g = *in[0], &a = *in[1], &b = *in[2];
  const std::int64_t n = a.shape()[1], m = b.shape()[1], coordinates = a.shape()[2];
  Tensor result(a.dtype(), a.shape());
  for_floats(a.dtype(), [&]<class T> {
    T* const y = result.data<T>().data();
    const T* const weights = g.data<T>().data();
    for_differences<T>(a, b, [&](auto set, auto i, auto j, auto k, T d) {
      y[(set * n + i) * coordinates + k] += weights[(set * n + i) * m + j] * d;
    });
  });
  return result;
}

double pair_flops(const Expr& y) {
  const Expr &a = y.inputs()[y.inputs().size() - 2], &b = y.inputs().back();
  return 2.0 * static_cast<double>(element_count(a.type().shape())) *
         static_cast<double>(b.dims()[1].size());
}

Expr turned(const Expr& x) { return dimshuffle(x, {0, 2, 1}); }

Type real(const Shape& shape) { return {DType::float64, to_dims(shape)}; }

}  // namespace

constinit const Op squared_differences_op{
    .name = "squared_differences",
    .type =
        [](Args x, const Attrs&) {
          require_points(x[0], x[1]);
          return Type{x[0].dtype(), {x[0].dims()[0], x[0].dims()[1], x[1].dims()[1]}};
        },
    .reference = squared_differences_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      return {2 * weighted_differences(gy, x[0], x[1]),
              2 * weighted_differences(turned(gy), x[1], x[0])};
    },
    .runs = Kernel{.run = squared_differences_kernel, .flops = pair_flops},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return squared_differences(x[0], x[1]); };
      const auto far = [](Args x) { return squared_differences(x[0] + 300, x[1] + 300); };
      const auto own = [](Args x) { return squared_differences(x[0], x[0]); };
      return {{{real({1, 3, 4}), real({1, 5, 4})}, f},   {{real({2, 30, 20}), real({2, 9, 20})}, f},
              {{real({1, 7, 3}), real({1, 4, 3})}, far}, {{real({1, 6, 17})}, own},
              {{real({1, 0, 4}), real({1, 5, 4})}, f},   {{real({1, 3, 0}), real({1, 2, 0})}, f}};
    },
};

constinit const Op weighted_differences_op{
    .name = "weighted_differences",
    .type =
        [](Args x, const Attrs&) {
          require_points(x[1], x[2]);
          if (x[0].rank() != 3 || !same(x[0].dims()[0], x[1].dims()[0]) ||
              !same(x[0].dims()[1], x[1].dims()[1]) || !same(x[0].dims()[2], x[2].dims()[1]))
            throw TypeError("there must be a weight for each pair of points");
          return x[1].type();
        },
    .reference = weighted_differences_reference,
    .operands = Operands::real,
    .grad = [](Args x, const Expr&, const Expr& gy) -> Grads {
      const Expr pairs = expand_dims(x[1], 2) - expand_dims(x[2], 1);
      return {sum(expand_dims(gy, 2) * pairs, 3), sum(x[0], 2, /*keepdims=*/true) * gy,
              -batched_dot(turned(x[0]), gy)};
    },
    .runs = Kernel{.run = weighted_differences_kernel, .flops = pair_flops},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return weighted_differences(x[0], x[1], x[2]); };
      const auto far = [](Args x) {
        return weighted_differences(square(x[0]), x[1] + 300, x[2] + 300);
      };
      return {{{real({1, 3, 5}), real({1, 3, 4}), real({1, 5, 4})}, f},
              {{real({2, 30, 9}), real({2, 30, 20}), real({2, 9, 20})}, f},
              {{real({1, 7, 4}), real({1, 7, 3}), real({1, 4, 3})}, far},
              {{real({1, 3, 0}), real({1, 3, 4}), real({1, 0, 4})}, f}};
    },
};

Expr squared_differences(const Arg& a, const Arg& b) {
  return apply(squared_differences_op, {a, b}, {}, a.where());
}

Expr weighted_differences(const Arg& weights, const Arg& a, const Arg& b) {
  return apply(weighted_differences_op, {weights, a, b}, {}, weights.where());
}

}  // namespace cinch
