// A formula is a value: built from variables, printed, and computed where they have values.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  const Expr x = dvector("x"), a = dscalar("a");
  const Expr y = a * square(x) + 1;  // Nothing is computed here.
  std::cout << describe(y) << '\n';
  std::cout << evaluate(y, {{x, Tensor::from<double>({3}, {1, 2, 3})}, {a, 0.5}}) << '\n';
}

// Prints:
// add(mul(a, square(x)), 1)
// float64 (3,) [1.5, 3, 5.5]
