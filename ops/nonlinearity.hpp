// More nonlinearities of neural networks (sigmoid, tanh, softplus and relu: ops/activation.hpp).
// Elementwise; values and gradients of any order are finite for |x| up to 1000 and more.
#pragma once

#include <optional>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op softsign_op;

/// x P(X <= x) for a standard normal X: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
Expr gelu(const Arg& x);
/// Its approximation by tanh from the same paper, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
/// / 2.
Expr gelu_tanh(const Arg& x);
/// x above 0, alpha (exp(x) - 1) elsewhere: Clevert, Unterthiner, Hochreiter, "Fast and Accurate
/// Deep Network Learning by Exponential Linear Units", ICLR 2016.
Expr elu(const Arg& x, const Arg& alpha);
Expr elu(const Arg& x);  ///< alpha 1
/// 1.0507 elu(x, 1.6733), whose outputs keep mean 0 and variance 1: Klambauer et al.,
/// "Self-Normalizing Neural Networks", NIPS 2017.
Expr selu(const Arg& x);
/// x above 0, slope x elsewhere.
Expr leaky_relu(const Arg& x, const Arg& slope);
Expr leaky_relu(const Arg& x);  ///< slope 0.01
/// min(max(x, 0), 6); gradient 0 at 0 as relu's, 1/2 at 6.
Expr relu6(const Arg& x);
/// x sigmoid(x)
Expr silu(const Arg& x);
/// x sigmoid(beta x): Ramachandran, Zoph, Le, "Searching for Activation Functions", 2017.
Expr swish(const Arg& x, const Arg& beta);
Expr swish(const Arg& x);  ///< beta 1
/// x tanh(softplus(x)): Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.
Expr mish(const Arg& x);
/// x / (1 + |x|)
Expr softsign(const Arg& x);
/// x above 0, alpha (exp(x / alpha) - 1) elsewhere: Barron, "Continuously Differentiable
/// Exponential Linear Units", 2017.
Expr celu(const Arg& x, const Arg& alpha = 1.0);
/// leaky_relu with slopes that are learned, one for all or (channels) for the positions along
/// `axis`: He et al., "Delving Deep into Rectifiers", ICCV 2015.
Expr prelu(const Arg& x, const Arg& slope, std::int64_t axis = 1);
/// x moved by `width` towards 0, and 0 where it would pass it: the shrinkage of sparse coding.
Expr softshrink(const Arg& x, const Arg& width = 0.5);
/// x, and 0 for |x| <= width.
Expr hardshrink(const Arg& x, const Arg& width = 0.5);
/// clip() with one bound or two: clip(x, {.low = 0}).
struct Bounds {
  std::optional<Arg> low = {}, high = {};
};
Expr clip(const Arg& x, const Bounds& bounds);
/// x limited to [low, high].
Expr hardtanh(const Arg& x, const Arg& low = -1.0, const Arg& high = 1.0);
/// x relu6(x + 3) / 6: Howard et al., "Searching for MobileNetV3", ICCV 2019.
Expr hard_swish(const Arg& x);
/// log(sigmoid(x)), exact and finite far below 0.
Expr log_sigmoid(const Arg& x);
/// a sigmoid(b) for the halves a, b of x along `axis`: Dauphin et al., "Language Modeling with
/// Gated Convolutional Networks", ICML 2017. Throws TypeError for an odd size.
Expr glu(const Arg& x, std::int64_t axis = -1);
/// 0.2 x + 0.5 limited to [0, 1], as Theano's; gradient 0.1 at the corners.
Expr hard_sigmoid(const Arg& x);

}  // namespace cinch
