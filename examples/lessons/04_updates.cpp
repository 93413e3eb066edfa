// A Shared keeps its value between calls. Updates say what it becomes: here, gradient descent.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  const Shared w(Tensor::from<double>({2}, {0, 0}), "w");
  const Expr x = dmatrix("x"), t = dvector("t");
  const Expr cost = mean(square(dot(x, w) - t));
  const Function step =
      function({.inputs = {x, t}, .outputs = {cost}, .updates = {{w, w - 0.1 * grad(cost, w)}}});
  const Tensor examples = Tensor::from<double>({3, 2}, {1, 0, 0, 1, 1, 1});
  const Tensor targets = Tensor::from<double>({3}, {2, -1, 1});  // 2 x1 - x2
  for (int k = 0; k < 300; ++k) step({examples, targets});
  std::cout << w.value() << '\n';
}

// Prints:
// float64 (2,) [2, -1]
