#include "cinch/core/compile/layout.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "cinch/core/contract/symmetric.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Random arithmetic on elements between random permutations of axes, of sizes that tell axes
/// apart.
class RandomLayouts {
 public:
  explicit RandomLayouts(unsigned seed) : random_(seed) {
    for (const Shape& shape : {Shape{2, 3, 4}, {3, 4}, {4, 1}, {4, 3, 2}, {3}, {}, {1, 3, 1}}) {
      pool.push_back(variable("v" + std::to_string(pool.size()), DType::float64, shape));
      values.push_back(random_tensor(DType::float64, shape, random_));
    }
    leaves_ = pool;
  }

  std::vector<Expr> outputs() {
    for (int k = 0; k < 14; ++k) grow();
    std::vector<Expr> result;
    for (int k = 0; k < 3; ++k) result.push_back(pool[pool.size() - 1 - pick(6)]);
    return result;
  }

  std::vector<Binding> bindings() const {
    std::vector<Binding> result;
    for (std::size_t k = 0; k < leaves_.size(); ++k) result.emplace_back(leaves_[k], values[k]);
    return result;
  }

  std::vector<Expr> pool;
  std::vector<Tensor> values;

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }

  Expr any() { return pool[pick(pool.size())]; }

  Expr permuted(const Expr& e) {
    std::vector<std::int64_t> pattern;
    for (std::int64_t axis = 0; axis < e.rank(); ++axis) {
      if (e.dims()[static_cast<std::size_t>(axis)].size() != 1 || pick(2) == 0)
        pattern.push_back(axis);
    }
    std::ranges::shuffle(pattern, random_);
    if (pattern.size() < 4 && pick(3) == 0)
      pattern.insert(pattern.begin() + static_cast<std::ptrdiff_t>(pick(pattern.size() + 1)), -1);
    return dimshuffle(e, pattern);
  }

  bool fit(const Expr& a, const Expr& b) {
    const Shape s = a.type().shape(), t = b.type().shape();
    for (std::size_t k = 1; k <= std::min(s.size(), t.size()); ++k) {
      const std::int64_t m = s[s.size() - k], n = t[t.size() - k];
      if (m != n && m != 1 && n != 1) return false;
    }
    return true;
  }

  void grow() {
    const Expr a = any();
    switch (pick(6)) {
      case 0:
        pool.push_back(tanh(a));
        return;
      case 1:
        pool.push_back(sum(a, Axes{}, true) + a);
        return;
      case 2:
      case 3:
        pool.push_back(permuted(a));
        return;
      default:
        for (int tries = 0; tries < 40; ++tries) {
          const Expr b = pick(2) ? any() : permuted(any());
          if (!fit(a, b)) continue;
          pool.push_back(pick(2) ? a * b : where(a > b, a, b - 1));
          return;
        }
    }
  }

  std::vector<Expr> leaves_;
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("arithmetic in another order of axes has the same bits") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 2000),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t changed = 0;
  for (std::int64_t k = 0; k < programs; ++k) {
    CAPTURE(first + k);
    RandomLayouts layouts(static_cast<unsigned>(first + k));
    const std::vector<Expr> plain = layouts.outputs();
    const std::vector<Expr> turned = compiling::laid_out_as_read(plain);
    const std::vector<Binding> at = layouts.bindings();
    const std::vector<Tensor> wanted = running::interpret(plain, at, /*watch=*/false),
                              got = running::interpret(turned, at, /*watch=*/false);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      changed += turned[i] == plain[i] ? 0 : 1;
      CHECK(turned[i].dims() == plain[i].dims());
      CHECK(same_bits(wanted[i], got[i]));
    }
  }
  CHECK(changed > programs / 10);
}

TEST_CASE("what is read with its axes permuted is computed so, where it costs no reads") {
  const Expr A = variable("A", DType::float32, {40, 30}),
             s = variable("s", DType::float32, {1, 40}), r = variable("r", DType::float32, {40, 1});
  struct Row {
    const char* what;
    Expr written, as_read;
  };
  const Expr shown = A * r;
  for (const Row& row :
       {Row{"transposed back", transpose(transpose(A) * s) + A, (A * transpose(s)) + A},
        Row{"two of them", transpose(tanh(transpose(A) * s)) * A, tanh(A * transpose(s)) * A},
        // A product of matrices reads its operand as it lies.
        Row{"for a product", dot(transpose(A * r), A), dot(transpose(A * r), A)},
        // Another one reads it as it is.
        Row{"shown as well", sum(transpose(shown), 0) + sum(shown, 1),
            sum(transpose(shown), 0) + sum(shown, 1)}}) {
    CAPTURE(row.what);
    const Expr now = compiling::laid_out_as_read(std::span(&row.written, 1))[0];
    std::vector<Expr> both =
        rewriting::rewrite(std::vector{now, row.as_read}, rewriting::RewriteOptions{});
    CHECK(both[0] == both[1]);
  }
}

TEST_CASE("matrices that are taken for symmetric are") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 2000),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t symmetric = 0, turned = 0;
  for (std::int64_t k = 0; k < programs; ++k) {
    CAPTURE(first + k);
    std::mt19937 random(static_cast<unsigned>(first + k));
    const auto pick = [&](std::size_t n) { return random() % n; };
    const std::vector<Shape> shapes{{2, 3, 3}, {3, 3}, {2, 3, 4}, {3}, {2, 1, 1}, {3, 1}, {}};
    std::vector<Expr> pool;
    std::vector<Binding> at;
    for (const Shape& shape : shapes) {
      pool.push_back(variable("v" + std::to_string(pool.size()), DType::float64, shape));
      at.emplace_back(pool.back(), random_tensor(DType::float64, shape, random));
    }
    const Expr rows = pool[2], diagonals = tanh(pool[0][0]),
               zeros = broadcast_to(0.0, Shape{3, 3, 3});
    pool.push_back(batched_dot(rows, swapaxes(rows, 1, 2)));
    pool.push_back(dot(pool[1], transpose(pool[1])));
    pool.push_back(eye(3, DType::float64));
    pool.push_back(embed_diagonal(diagonals, zeros, 0, 1, 2)[0]);
    pool.push_back(embed_diagonal(diagonals, zeros, 0, 0, 2)[0]);
    for (int grown = 0; grown < 10; ++grown) {
      const Expr a = pool[pick(pool.size())], b = pool[pick(pool.size())];
      const bool is_square = a.rank() >= 2 && a.dims()[a.rank() - 1] == a.dims()[a.rank() - 2];
      const Expr other = is_square && pick(2) ? swapaxes(a, -1, -2) : b;
      try {
        pool.push_back(pick(2) ? a + other : pick(2) ? a * other : exp(-square(a)));
      } catch (const TypeError&) {
        // They do not broadcast.
      }
    }
    for (const Expr& e : pool) {
      if (e.rank() < 2 || !contraction::is_symmetric(e)) continue;
      ++symmetric;
      const Tensor value = evaluate(e, at), other = evaluate(swapaxes(e, -1, -2), at);
      CHECK(distance(value, other) < 1e-12);
    }
    const Expr last = pool.back();
    if (last.rank() < 2) continue;
    const Expr other = swapaxes(last, -1, -2),
               now = contraction::without_symmetric_turned(std::span(&other, 1))[0];
    turned += now == other ? 0 : 1;
    CHECK(distance(evaluate(now, at), evaluate(other, at)) < 1e-12);
  }
  CHECK(symmetric > programs);
  CHECK(turned > programs / 20);
}
