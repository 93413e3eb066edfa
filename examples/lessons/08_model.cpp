// A variant of one's own: a model from models/, and a cost with a penalty that nobody has named.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  RandomState random(3);
  const Autoencoder model = autoencoder({8, 4}, random, {.dtype = DType::float64});
  const Expr x = dmatrix("x"), h = model.encode(x);
  const Expr energy = sum(square(grad(sum(h), x)), 1);  // How all of the code moves together.
  const Expr cost = mean(cross_entropy(x, model.decode(h)) + 0.1 * energy);
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = adam(cost, model.params(), 0.02)});
  const Tensor examples = random.uniform(0, 1, {50, 8});
  for (int k = 0; k <= 200; ++k) {
    const double value = step({examples})[0].item();
    if (k % 100 == 0) std::cout << "step " << k << ": " << value << '\n';
  }
}

// Prints:
// step 0: 7.06716
// step 100: 5.02207
// step 200: 4.92173
