// Products over the rows of parts, and rows of parts computed together.
#include <doctest/doctest.h>

#include <cinch/cinch.hpp>
#include <cstring>
#include <vector>

#include "cinch/core/run/row_parts.hpp"
#include "cinch/ops/linalg/blas.hpp"
#include "cinch/ops/linalg/parts.hpp"
#include "cinch/train/parallel/parts.hpp"

using namespace cinch;

namespace {

const std::byte* bytes(const Tensor& t) { return static_cast<const std::byte*>(t.raw()); }

/// The sum of parts [begin, end) of a' b - c' d, each part's in float64.
std::vector<double> by_tree(const std::vector<Tensor>& of, const std::vector<std::int64_t>& ends,
                            std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = of[0].shape()[1], columns = of[1].shape()[1];
  std::vector<double> result(static_cast<std::size_t>(rows * columns), 0.0);
  if (end - begin > 1) {
    const std::int64_t middle = parallel::middle_of(begin, end);
    result = by_tree(of, ends, begin, middle);
    const std::vector<double> right = by_tree(of, ends, middle, end);
    for (std::size_t k = 0; k < result.size(); ++k) result[k] += right[k];
    return result;
  }
  const auto first = begin == 0 ? 0 : ends[static_cast<std::size_t>(begin - 1)];
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::size_t t = 0; t < of.size(); t += 2) {
        for (std::int64_t n = first; n < ends[static_cast<std::size_t>(begin)]; ++n) {
          const double x = of[t].at(n * rows + i) * of[t + 1].at(n * columns + j);
          result[static_cast<std::size_t>(i * columns + j)] += t == 0 ? x : -x;
        }
      }
    }
  }
  return result;
}

Tensor product(DType dtype, const std::vector<Tensor>& of, const std::vector<std::int64_t>& ends) {
  Tensor c(dtype, {of[0].shape()[1], of[1].shape()[1]});
  const blas::PartsTerm terms[] = {{bytes(of[0]), bytes(of[1]), false},
                                   {bytes(of[2]), bytes(of[3]), true}};
  blas::parts_product(dtype, c.shape()[0], c.shape()[1], terms, ends,
                      static_cast<std::byte*>(c.raw()));
  return c;
}

std::vector<std::int64_t> ends_of(std::int64_t rows, std::int64_t parts) {
  std::vector<std::int64_t> result;
  for (std::int64_t p = 0; p < parts; ++p) {
    const auto [first, count] = parallel::part_rows(rows, parts, p);
    result.push_back(first + count);
  }
  return result;
}

}  // namespace

TEST_CASE("sums of products over parts are right, of any shape, depth and number of parts") {
  if (!blas::has_parts_product(DType::float32, 40)) return;  // Without vector instructions.
  RandomState random(1);
  struct Case {
    std::int64_t depth, rows, columns, parts;
  };
  for (const Case& one :
       {Case{20, 3, 40, 2}, Case{70, 37, 45, 7}, Case{64, 11, 100, 8}, Case{9, 1, 64, 1},
        Case{1500, 13, 50, 3}, Case{1300, 10, 41, 1}, Case{40, 21, 33, 5}}) {
    const std::int64_t depth = one.depth, rows = one.rows, columns = one.columns, parts = one.parts;
    CAPTURE(depth);
    CAPTURE(parts);
    for (const DType dtype : {DType::float32, DType::float64}) {
      std::vector<Tensor> of;
      for (const std::int64_t n : {rows, columns, rows, columns})
        of.push_back(random.normal(0, 1, {depth, n}, dtype));
      const std::vector<std::int64_t> ends = ends_of(depth, parts);
      const Tensor c = product(dtype, of, ends);
      const std::vector<double> expected = by_tree(of, ends, 0, parts);
      const double allowed = dtype == DType::float32 ? 1e-3 : 1e-11;
      for (std::int64_t k = 0; k < c.size(); ++k)
        CHECK(std::abs(c.at(k) - expected[static_cast<std::size_t>(k)]) < allowed);
    }
  }
}

TEST_CASE("over parts together they have the bits of the parts' own, added along the tree") {
  if (!blas::has_parts_product(DType::float32, 300)) return;
  RandomState random(2);
  for (const auto& [depth, sparse] : {std::pair(100, 0), std::pair(1400, 0), std::pair(400, 1)}) {
    const std::int64_t rows = 83, columns = 300, parts = 6;
    std::vector<Tensor> of;
    for (const std::int64_t n : {rows, columns, rows, columns})
      of.push_back(random.normal(0, 1, {depth, n}, DType::float32));
    // Of a factor of some parts few elements are not 0.
    for (std::int64_t k = 0; sparse && k < of[2].size() * 2 / 3; ++k) {
      if (k % 101) of[2].data<float>()[static_cast<std::size_t>(k)] = 0;
    }
    const std::vector<std::int64_t> ends = ends_of(depth, parts);
    const Tensor all = product(DType::float32, of, ends);
    std::vector<Tensor> each;
    for (std::int64_t p = 0; p < parts; ++p) {
      const auto [first, count] = parallel::part_rows(depth, parts, p);
      std::vector<Tensor> own;
      for (const Tensor& t : of) {
        own.emplace_back(DType::float32, Shape{count, t.shape()[1]});
        std::memcpy(own.back().raw(), bytes(t) + first * t.shape()[1] * 4, own.back().bytes());
      }
      each.push_back(product(DType::float32, own, {count}));
    }
    for (std::int64_t k = 0; k < all.size(); ++k) {
      const auto part = [&](std::size_t p) { return static_cast<float>(each[p].at(k)); };
      const float left = (part(0) + part(1)) + (part(2) + part(3)), right = part(4) + part(5);
      CHECK(static_cast<float>(all.at(k)) == left + right);
    }
    if (sparse) {
      const std::vector<double> expected = by_tree(of, ends, 0, parts);
      for (std::int64_t k = 0; k < all.size(); ++k)
        REQUIRE(std::abs(all.at(k) - expected[static_cast<std::size_t>(k)]) < 1e-3);
    }
    const int before = threads();
    set_threads(2);
    CHECK(product(DType::float32, of, ends) == all);
    set_threads(before);
  }
}

TEST_CASE("rows of a product over parts have the same bits whichever are computed with them") {
  if (!blas::has_parts_product(DType::float32, 300)) return;
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const std::int64_t parts : {1, 6, 9}) {
      CAPTURE(parts);
      const std::int64_t depth = 700, rows = 101, columns = 300;
      std::vector<Tensor> of;
      for (int k = 0; k < 4; ++k)
        of.push_back(RandomState(static_cast<unsigned>(20 + k))
                         .normal(0, 1, {depth, k % 2 ? columns : rows}, dtype));
      const std::vector<std::int64_t> ends = ends_of(depth, parts);
      const Tensor all = product(dtype, of, ends);
      const blas::PartsTerm terms[] = {{bytes(of[0]), bytes(of[1]), false},
                                       {bytes(of[2]), bytes(of[3]), true}};
      CHECK(blas::is_dense(dtype, rows, columns, terms, ends));
      Tensor some = Tensor::full(dtype, {rows, columns}, 7.0);
      for (const auto& [first, count] :
           {std::pair<std::int64_t, std::int64_t>{50, 51}, {0, 13}, {13, 0}, {13, 36}})
        blas::parts_product_rows(dtype, rows, columns, terms, ends, first, count,
                                 static_cast<std::byte*>(some.raw()));
      const std::size_t row = all.bytes() / rows;
      CHECK(std::memcmp(bytes(some), bytes(all), 49 * row) == 0);
      CHECK(some.at(49 * columns) == 7);
      CHECK(some.at(50 * columns - 1) == 7);
      CHECK(std::memcmp(bytes(some) + 50 * row, bytes(all) + 50 * row, 51 * row) == 0);
    }
  }
  Tensor sparse(DType::float32, {64, 200});
  sparse.data<float>()[777] = 1;
  const Tensor other = RandomState(1).normal(0, 1, {64, 300}, DType::float32);
  const blas::PartsTerm term[] = {{bytes(sparse), bytes(other), false}};
  const std::int64_t ends[] = {32, 64};
  CHECK_FALSE(blas::is_dense(DType::float32, 200, 300, term, ends));
}

TEST_CASE("whether rows of parts are sparse each part decides, whoever is beside it") {
  // The second part of three has few that are not 0.
  const std::int64_t rows = 150, depth = 400, columns = 300;
  Tensor a = RandomState(3).normal(0, 1, {rows, depth}, DType::float32);
  for (std::int64_t k = 50 * depth; k < 100 * depth; ++k) {
    if (k % 97) a.data<float>()[static_cast<std::size_t>(k)] = 0;
  }
  const Tensor b = RandomState(4).normal(0, 1, {depth, columns}, DType::float32);
  const auto multiplied = [&](std::int64_t first, std::int64_t count,
                              const std::vector<std::int64_t>& ends) {
    Tensor c(DType::float32, {count, columns});
    const running::RowParts parts(rows, ends);
    blas::product(
        blas::Matrix<const float>{a.data<float>().data() + first * depth, count, depth, depth, 1},
        blas::Matrix<const float>{b.data<float>().data(), depth, columns, columns, 1},
        blas::Matrix<float>{c.data<float>().data(), count, columns, columns, 1});
    return c;
  };
  const Tensor all = multiplied(0, rows, {50, 100, 150});
  const Tensor sparse = multiplied(50, 50, {50});
  CHECK(std::memcmp(bytes(all) + 50 * columns * 4, bytes(sparse), sparse.bytes()) == 0);
}

TEST_CASE("parts of many rows are multiplied as the minibatch would be, however deep") {
  const std::int64_t rows = 512, part = 64, columns = 784, most = 2000;
  const Tensor a = RandomState(5).normal(0, 1, {rows, most}, DType::float32);
  const Tensor b = RandomState(6).normal(0, 1, {columns, most}, DType::float32);
  const auto multiplied = [&](std::int64_t depth, std::int64_t first,
                              const std::vector<std::int64_t>& ends) {
    Tensor c(DType::float32, {ends.back(), columns});
    const running::RowParts parts(rows, ends);
    blas::product(blas::Matrix<const float>{a.data<float>().data() + first * most, ends.back(),
                                            depth, most, 1},
                  blas::Matrix<const float>{b.data<float>().data(), depth, columns, 1, most},
                  blas::Matrix<float>{c.data<float>().data(), ends.back(), columns, columns, 1});
    return c;
  };
  const auto same = [&](std::int64_t depth) {
    const Tensor all = multiplied(depth, 0, {64, 128, 192, 256, 320, 384, 448, 512});
    for (std::int64_t first = 0; first < rows; first += part) {
      const Tensor alone = multiplied(depth, first, {part});
      if (std::memcmp(bytes(all) + first * columns * 4, bytes(alone), alone.bytes()) != 0)
        return false;
    }
    return true;
  };
  if (!same(992)) {
    MESSAGE("skipped: OpenBLAS's kernels, " << blas::core_name() << ", round rows otherwise");
    return;
  }
  // A product of one part alone would be small enough to be added up along its depth.
  CHECK(same(most));
}
