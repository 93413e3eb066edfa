// Loops alone: axis merging, tiles, gathers, in-place stores and reductions, against plain code.
#include "cinch/core/run/loop.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/plan/plan.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

BlockFn copy_of(DType dtype) { return copy_op.elementwise()->block(dtype, dtype); }

std::vector<std::int64_t> row_major(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t k = shape.size(); k-- > 0; step *= shape[k]) strides[k] = step;
  return strides;
}

std::int64_t offset(std::int64_t i, const Shape& shape, const Strided& where) {
  std::int64_t result = where.offset;
  for (std::size_t k = shape.size(); k-- > 0; i /= shape[k])
    result += i % shape[k] * where.strides[k];
  return result;
}

/// A random way to lie in memory for an operand of this shape: axes permuted, repeated or reversed.
Strided random_layout(const Shape& shape, std::mt19937& random, std::int64_t& size) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  if (random() % 2) std::shuffle(order.begin(), order.end(), random);
  Strided where{0, std::vector<std::int64_t>(shape.size(), 0)};
  std::int64_t step = 1;
  for (std::size_t k = order.size(); k-- > 0;) {
    const std::size_t axis = order[k];
    if (random() % 4 == 0) continue;  // Repeated.
    where.strides[axis] = step;
    if (random() % 6 == 0) {  // Backwards.
      where.strides[axis] = -step;
      where.offset += step * std::max<std::int64_t>(shape[axis] - 1, 0);
    }
    step *= std::max<std::int64_t>(shape[axis], 1);
  }
  size = step;
  return where;
}

}  // namespace

TEST_CASE(
    "random loops: any layout of the operands, a store, an in-place store, sums over any axes") {
  std::mt19937 random(1);
  const std::int64_t sizes[] = {0, 1, 1, 2, 3, 5, 17, 64, 513, 1100};
  int run = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    Shape shape;
    for (std::size_t rank = random() % 5; rank-- > 0;)
      shape.push_back(sizes[random() % (rank ? 8 : 10)]);
    const std::int64_t count = element_count(shape);
    if (count > 20000) continue;
    ++run;
    // y = a * b (stored), c = c + a (in place), total = sum over some axes of a * b, most = max of
    // a.
    std::int64_t size_a = 0, size_b = 0;
    const Strided where_a = random_layout(shape, random, size_a),
                  where_b = random_layout(shape, random, size_b);
    const Strided plain{0, row_major(shape)};
    Strided reduced{0, std::vector<std::int64_t>(shape.size(), 0)};
    std::int64_t kept = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (random() % 2) continue;
      reduced.strides[axis] = kept;
      kept *= shape[axis];
    }
    const auto numbers = [&](std::int64_t n) {
      return random_tensor(DType::float64, {std::max<std::int64_t>(n, 1)}, random);
    };
    Tensor a = numbers(size_a), b = numbers(size_b), c = numbers(count), y = numbers(count),
           total = numbers(kept), most = numbers(kept);
    const Tensor c_before = c;
    const DType d = DType::float64;
    const cinch::running::LoopSpec spec{
        .shape = shape,
        .inputs = {{0, d, where_a}, {1, d, where_b}, {2, d, plain}},
        .instructions = {{mul_op.elementwise()->block(d, d), d, {0, 1, 0}, 2},
                         {add_op.elementwise()->block(d, d), d, {2, 0, 0}, 2}},
        .outputs = {{3, d, plain, 3, nullptr, count, false},
                    {2, d, plain, 4, nullptr, count, true},
                    {4, d, reduced, 3, sum_op.reduction()->accumulator, kept, false},
                    {5, d, reduced, 0, max_op.reduction()->accumulator, kept, false}},
    };
    const running::Loop loop(spec, copy_of);
    std::vector<std::byte> memory(loop.partial_bytes() + 64);
    auto* scratch = reinterpret_cast<std::byte*>(
        (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64);
    const auto raw = [](Tensor& t) { return static_cast<std::byte*>(t.raw()); };
    std::byte* const buffers[] = {raw(a), raw(b), raw(c), raw(y), raw(total), raw(most)};
    loop.run(buffers, scratch);
    std::vector<double> sums(static_cast<std::size_t>(kept)),
        largest(sums.size(), -std::numeric_limits<double>::infinity());
    double worst = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double left = a.at(offset(i, shape, where_a)), right = b.at(offset(i, shape, where_b));
      worst = std::max(
          {worst, std::abs(y.at(i) - left * right), std::abs(c.at(i) - (c_before.at(i) + left))});
      const auto p = static_cast<std::size_t>(offset(i, shape, reduced));
      sums[p] += left * right;
      largest[p] = std::max(largest[p], left);
    }
    CAPTURE(trial);
    CAPTURE(text(shape));
    CHECK(worst == 0);
    for (std::int64_t p = 0; p < kept; ++p) {
      CHECK(std::abs(total.at(p) - sums[static_cast<std::size_t>(p)]) < 1e-9);
      CHECK(most.at(p) == largest[static_cast<std::size_t>(p)]);
    }
  }
  CHECK(run > 500);
}

TEST_CASE("axes that all operands walk as one are merged, and rows are those of the others") {
  const DType d = DType::float64;
  const auto merged = [&](const Shape& shape, const Strided& in) {
    cinch::running::LoopSpec spec{.shape = shape};
    spec.inputs.push_back({0, d, in});
    spec.instructions.push_back({copy_of(d), d, {0, 0, 0}, 1});
    const Strided plain{0, row_major(shape)};
    spec.outputs.push_back({1, d, plain, 1, nullptr, element_count(shape), false});
    return running::Loop(spec, copy_of).spec().shape;
  };
  CHECK(merged({2, 3, 4}, {0, {12, 4, 1}}) == Shape{1, 24});
  CHECK(merged({2, 1, 4}, {0, {4, 99, 1}}) == Shape{1, 8});
  CHECK(merged({2, 3, 4}, {0, {0, 4, 1}}) == Shape{2, 12});
  CHECK(merged({2, 3, 4}, {0, {4, 1, 8}}) == Shape{2, 3, 4});
  CHECK(merged({2, 3, 4}, {0, {1, 2, 6}}) == Shape{3, 2, 4});
  CHECK(merged({}, {0, {}}) == Shape{1, 1});
  CHECK(merged({5, 3}, {0, {0, 0}}) == Shape{1, 15});
}
