// Parts of tensors: what the catalog's tests do not cover.
#include "cinch/ops/index.hpp"

#include <doctest/doctest.h>

#include "cinch/cinch.hpp"

using namespace cinch;

TEST_CASE("indices outside are refused in both modes, even where rows are empty") {
  const Expr x = variable("x", DType::float64, {2, 0}), i = lvector("i");
  const Expr results[] = {take(x, i), scatter_add(take(x, i * 0), i, x)};
  for (const Expr& y : results) {
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const Function f = function({x, i}, {y}, {}, {}, mode);
      const Tensor rows(DType::float64, {2, 0});
      CHECK(f({rows, Tensor::from<std::int64_t>({1}, {1})})[0].size() == 0);
      CHECK_THROWS_WITH_AS(f({rows, Tensor::from<std::int64_t>({1}, {2})}),
                           doctest::Contains("index 2 is out of range for an axis of size 2"),
                           ValueError);
    }
  }
}
