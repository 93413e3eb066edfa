// function() compiles formulas once, to be called many times: values in, values out.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  const Expr x = dmatrix("x"), w = dvector("w");
  const Expr y = sigmoid(dot(x, w));
  const Function f = function({.inputs = {x, w}, .outputs = {y, grad(sum(y), w)}});
  const Tensor weights = Tensor::from<double>({2}, {1, 2});
  for (const double scale : {1.0, -1000.0}) {  // Nothing overflows where sigmoid saturates.
    const std::vector<Tensor> results = f({Tensor::full(DType::float64, {3, 2}, scale), weights});
    std::cout << results[0] << "  " << results[1] << '\n';
  }
  try {
    f({weights, weights});
  } catch (const Error& e) {
    std::cout << e.what() << '\n';
  }
}

// Prints:
// float64 (3,) [0.952574, 0.952574, 0.952574]  float64 (2,) [0.13553, 0.13553]
// float64 (3,) [0, 0, 0]  float64 (2,) [0, 0]
// function: argument x must be float64 (?, ?), got float64 (2,)
//   declared at 03_function.cpp:8
