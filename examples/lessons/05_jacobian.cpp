// The contractive penalty, |dh/dx|^2 for each example: as it is defined, and in closed form.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  RandomState random(1);
  const Expr x = dmatrix("x");
  const Shared W(random.uniform(-1, 1, {4, 3}), "W");
  const Expr h = sigmoid(dot(x, W));
  const Expr J = jacobian(h, x);  // (examples, 3, 4): each example's own
  const Expr defined = sum(square(J), {1, 2});
  const Expr closed = dot(square(h * (1 - h)), sum(square(W), 0));
  const Function f = function({.inputs = {x}, .outputs = {defined, closed}});
  const std::vector<Tensor> values = f({random.uniform(0, 1, {2, 4})});
  std::cout << values[0] << '\n' << values[1] << '\n';
  const Expr g = grad(mean(defined), W);  // Second derivatives of h, without a word about them.
  std::cout << evaluate(sum(g), {{x, Tensor::full(DType::float64, {2, 4}, 0.5)}}) << '\n';
}

// Prints:
// float64 (2,) [0.167821, 0.165611]
// float64 (2,) [0.167821, 0.165611]
// float64 () -0.155517
