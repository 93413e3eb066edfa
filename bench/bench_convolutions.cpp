// bench_convolutions: times the three forms of a convolution, and pooling, on one thread unless
// CINCH_THREADS says otherwise.
// Usage: bench_convolutions      Prints a line for each: the best of 40 calls, and the rate beside
// that of a product of matrices of the sizes that one example leads to.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>

#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

Tensor random_tensor(DType dtype, const Shape& shape) {
  static std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Tensor result(DType::float64, shape);
  for (double& x : result.data<double>()) x = uniform(random);
  return result.cast(dtype);
}

/// Seconds of the fastest of 40 calls after three to warm up.
double best_time(const std::vector<Expr>& inputs, const Expr& output) {
  const Function f = function({.inputs = inputs, .outputs = {output}, .allow_unused_inputs = true});
  std::vector<Tensor> values, outputs;
  std::vector<const Tensor*> arguments;
  for (const Expr& x : inputs) values.push_back(random_tensor(x.dtype(), x.type().shape()));
  for (const Tensor& value : values) arguments.push_back(&value);
  double best = std::numeric_limits<double>::infinity();
  for (int call = -3; call < 40; ++call) {
    const auto start = std::chrono::steady_clock::now();
    f.call(arguments, outputs);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (call >= 0) best = std::min(best, seconds.count());
  }
  return best;
}

void report(const char* what, DType dtype, double seconds, double flops, double product_rate) {
  std::printf("%-24s %-8s %8.3f ms", what, name(dtype).data(), 1e3 * seconds);
  if (flops > 0) {
    std::printf("  %6.1f GFLOP/s, %3.0f %% of a product", flops / seconds / 1e9,
                100 * flops / seconds / product_rate);
  }
  std::printf("\n");
}

/// The layer x * w, and the same layer's gradients.
void time_layer(const Shape& x_shape, const Shape& w_shape, DType dtype) {
  std::printf("convolution of %s with %s\n", text(x_shape).c_str(), text(w_shape).c_str());
  const Expr x = variable("x", dtype, x_shape), w = variable("w", dtype, w_shape);
  const Expr y = conv2d(x, w), gy = variable("gy", y.type());
  const Shape out = y.type().shape();
  const std::int64_t windows = out[2] * out[3], depth = w_shape[1] * w_shape[2] * w_shape[3];
  const double flops = 2.0 * static_cast<double>(out[0] * out[1] * windows * depth);
  const Expr a = variable("a", dtype, {w_shape[0], depth}),
             b = variable("b", dtype, {depth, windows});
  const double product_rate = flops / static_cast<double>(out[0]) / best_time({a, b}, dot(a, b));
  report("value", dtype, best_time({x, w}, y), flops, product_rate);
  report("gradient in the input", dtype, best_time({gy, w}, Lop(y, x, gy)), flops, product_rate);
  report("gradient in the filters", dtype, best_time({x, gy}, Lop(y, w, gy)), flops, product_rate);
}

void time_pooling(const Shape& shape, DType dtype) {
  std::printf("pooling of %s by 2\n", text(shape).c_str());
  const Expr x = variable("x", dtype, shape);
  report("maxima", dtype, best_time({x}, max_pool2d(x, 2)), 0, 0);
  report("gradient of maxima", dtype, best_time({x}, grad(sum(max_pool2d(x, 2)), x)), 0, 0);
  report("means", dtype, best_time({x}, average_pool2d(x, 2)), 0, 0);
  report("upsampling", dtype, best_time({x}, upsample2d(x, 2)), 0, 0);
}

}  // namespace

int main() {
  if (!std::getenv("CINCH_THREADS")) set_threads(1);
  for (const DType dtype : {DType::float64, DType::float32}) {
    time_layer({100, 1, 28, 28}, {16, 1, 5, 5}, dtype);
    time_layer({100, 16, 12, 12}, {32, 16, 5, 5}, dtype);
    time_pooling({100, 16, 24, 24}, dtype);
  }
}
