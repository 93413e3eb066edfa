// A gradient is a formula, too: it can be printed, used in another one, and differentiated again.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  const Expr x = dvector("x");
  const Expr cost = sum(sin(x));
  const Expr g = grad(cost, x);            // cos(x)
  const Expr h = grad(sum(square(g)), x);  // -2 cos(x) sin(x)
  const std::vector<Binding> at{{x, Tensor::from<double>({2}, {0.5, 1})}};
  std::cout << g << '\n' << evaluate(g, at) << '\n' << evaluate(h, at) << '\n';
}

// Prints:
// mul(broadcast_to(dimshuffle(1, -1), size(..., 0)), cos(x))
// float64 (2,) [0.877583, 0.540302]
// float64 (2,) [-0.841471, -0.909297]
