// Is a gradient right? check_grad compares it with differences, to any order, and says where not.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  const Expr x = dvector("x");
  const std::vector<Binding> at{{x, Tensor::from<double>({3}, {0.3, -1, 2})}};
  const GradCheck right = check_grad(sum(x * tanh(x)), {x}, at, {.order = 2});
  std::cout << "first and second derivatives are " << (right.ok ? "right" : "wrong") << '\n';

  // A factor that no gradient flows through, by mistake: differences move it all the same.
  const Expr cost = sum(x * stop_gradient(tanh(x)));
  const GradCheck half = check_grad(cost, {x}, at, {.hold_stopped = false});
  const Derivative& worst = half.orders[0].entries[0].by;
  std::cout << "half of it is " << (half.ok ? "right" : "wrong") << ": gradient " << worst.analytic
            << ", difference " << worst.numeric << '\n';
}

// Prints:
// first and second derivatives are right
// half of it is wrong: gradient 0.291313, difference 0.565854
