// Draws are part of a formula: other numbers at each call, the same in each run of the program.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  RandomStreams random(5);
  const Expr x = dvector("x");
  const Expr noisy = x + random.normal(sizes(x), 0, 0.1);
  const Expr kept = x * random.binomial(sizes(x), 1, 0.7);
  const Function f = function({.inputs = {x}, .outputs = {noisy, kept}});
  const Tensor ones = Tensor::full(DType::float64, {4}, 1);
  for (int k = 0; k < 2; ++k) {
    const std::vector<Tensor> drawn = f({ones});
    std::cout << drawn[0] << "  " << drawn[1] << '\n';
  }
  // The gradient is that of the numbers drawn: each kept element passes it on, the others do not.
  const Expr g = grad(sum(square(kept)), x);
  std::cout << evaluate(g - 2 * kept, {{x, ones}}) << '\n';
}

// Prints:
// float64 (4,) [1.22072, 1.13533, 0.971036, 1.01001]  float64 (4,) [1, 0, 1, 1]
// float64 (4,) [1.13245, 0.830686, 0.933244, 1.08984]  float64 (4,) [0, 0, 0, 1]
// float64 (4,) [0, 0, 0, 0]
