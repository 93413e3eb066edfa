#include "support/loop_bodies.hpp"

#include "cinch/cinch.hpp"

namespace cinch::testing {

const std::vector<LoopBody>& loop_bodies() {
  static const std::vector<LoopBody> all{
      {"tanh(x + h U)", [](Expr x, Expr h, Expr U) { return tanh(x + dot(h, U)); }},
      {"sigmoid(x U + h U)", [](Expr x, Expr h, Expr U) { return sigmoid(dot(x, U) + dot(h, U)); }},
      {"x h", [](Expr x, Expr h, Expr) { return x * h; }},
      {"h", [](Expr, Expr h, Expr) { return h; }},
      {"x", [](Expr x, Expr, Expr) { return x; }},
      {"U of the first row, at each step",
       [](Expr x, Expr h, Expr U) { return 0.1 * broadcast_like(U[0], h) + 0.0 * x; }},
      {"gated",
       [](Expr x, Expr h, Expr U) {
         const Expr z = sigmoid(dot(h, U) + x);
         return z * h + (1 - z) * tanh(dot(z * h, U));
       }},
      {"softmax(h U) x", [](Expr x, Expr h, Expr U) { return softmax(dot(h, U)) * x + 0.5 * h; }},
      {"exp(-square(h)) + mean of x over the rest",
       [](Expr x, Expr h, Expr) { return exp(-square(h)) + mean(x, 1, /*keepdims=*/true); }},
      {"where(h > 0, h x, sin(h))",
       [](Expr x, Expr h, Expr) { return where(h > 0, h * x, sin(h)); }},
      {"h exp(U - U')", [](Expr, Expr h, Expr U) { return dot(h, expm1(U - transpose(U))); }},
      {"a gradient: d/dh of sum(sin(h x))",
       [](Expr x, Expr h, Expr) { return grad(sum(sin(h * x)), h); }},
      {"cumsum and reversal",
       [](Expr x, Expr h, Expr) { return 0.3 * cumsum(reverse(h, 1), 1) + x; }},
      {"a loop inside",
       [](Expr x, Expr h, Expr U) {
         return scan([&](Expr v) { return 0.7 * v + sin(dot(v, U)) * x; },
                     {.initial = {h}, .steps = 2})
             .last();
       }},
  };
  return all;
}

}  // namespace cinch::testing
