// Steps scaled, element by element, by the sizes of past gradients: Adagrad, RMSprop, Adadelta.
#pragma once

#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

// Each for a cost or for given gradients; rates and errors as in sgd.hpp.

struct AdagradOptions {
  double start = 0;        ///< Of the accumulator a; at least 0. Keras has 0.1.
  double epsilon = 1e-10;  ///< Positive.
};

/// Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
/// Optimization", JMLR 12, 2011, in the diagonal form:
///
///     a <- a + g^2
///     p <- p - rate g / (sqrt(a) + epsilon)
///
/// epsilon stands outside the root, as in PyTorch. State: "adagrad.a/p".
Updates adagrad(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 0.01,
                const AdagradOptions& options = {});
Updates adagrad(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                const Arg& rate = 0.01, const AdagradOptions& options = {});

struct RmspropOptions {
  double decay = 0.9;     ///< Of the moments; in [0, 1). PyTorch has 0.99.
  double momentum = 0;    ///< In [0, 1).
  bool centered = false;  ///< Scale by the gradient's variance instead of its mean square.
  double epsilon = 1e-8;  ///< Positive.
};

/// Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning", Coursera, 2012;
/// centered: Graves, "Generating Sequences With Recurrent Neural Networks", arXiv:1308.0850, 2013:
///
///     a <- decay a + (1 - decay) g^2
///     m <- decay m + (1 - decay) g                     where centered, else m = 0
///     s  = g / (sqrt(a - m^2) + epsilon)
///     v <- momentum v + rate s                         where momentum > 0, else v = rate s
///     p <- p - v
///
/// a - m^2, which cannot be negative but for rounding, counts as 0 where it is. epsilon stands
/// outside the root, as in PyTorch; Graves and TensorFlow have it inside. PyTorch's v is without
/// the rate. State: "rmsprop.a/p", "rmsprop.m/p" and "rmsprop.v/p", as far as they are used.
Updates rmsprop(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 0.001,
                const RmspropOptions& options = {});
Updates rmsprop(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                const Arg& rate = 0.001, const RmspropOptions& options = {});

struct AdadeltaOptions {
  double decay = 0.95;    ///< In [0, 1).
  double epsilon = 1e-6;  ///< Positive.
};

/// Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701, 2012:
///
///     a <- decay a + (1 - decay) g^2
///     s  = sqrt(u + epsilon) / sqrt(a + epsilon) g
///     u <- decay u + (1 - decay) s^2
///     p <- p - rate s
///
/// with the old u in the second line. The paper's rate is 1. State: "adadelta.a/p", "adadelta.u/p".
Updates adadelta(const Arg& cost, const std::vector<Shared>& params, const Arg& rate = 1.0,
                 const AdadeltaOptions& options = {});
Updates adadelta(const std::vector<Shared>& params, const std::vector<Expr>& gradients,
                 const Arg& rate = 1.0, const AdadeltaOptions& options = {});

}  // namespace cinch
