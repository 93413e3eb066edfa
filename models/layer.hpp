// Layers, of which models are put together, and chains of layers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/expr_function.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/random_state.hpp"

namespace CINCH_PUBLIC cinch {

/// A nonlinearity of each element: sigmoid, tanh, relu, linear, leaky_relu, or any function or
/// lambda like them.
using Activation = ExprFunction<const Arg&>;
/// x itself.
Expr linear(const Arg& x);

/// activation(x W + b). A layer shares weights with another by holding the same expressions.
struct Layer {
  Expr W;  ///< (inputs, outputs): a Shared, or made of one, as the transpose of a tied layer is.
  Expr b;  ///< (outputs)
  Activation activation = linear;

  /// (batch, inputs) -> (batch, outputs)
  Expr operator()(const Arg& x) const;
  /// The shared variables that W and b are made of.
  std::vector<Shared> params() const;
};

/// Layers one after the other.
struct Network {
  std::vector<Layer> layers;

  /// (batch, inputs of the first) -> (batch, outputs of the last); x itself where there is none.
  Expr operator()(const Arg& x) const;
  /// The shared variables of all layers, each once, in the order of the layers.
  std::vector<Shared> params() const;
};

struct LayerOptions {
  Activation activation = linear;
  /// Times the bound of the initial weights; if not given 4 for sigmoid, 1 for all others.
  std::optional<double> gain = {};
  DType dtype = DType::float32;
  std::string W = "W", b = "b";  ///< Labels.
};

/// A layer with W uniform on +-gain sqrt(6 / (inputs + outputs)), drawn from `random` in row-major
/// order, and b zero: Glorot and Bengio, "Understanding the difficulty of training deep feedforward
/// neural networks", AISTATS 2010. Throws TypeError unless both sizes are positive and dtype is a
/// float.
Layer dense(std::int64_t inputs, std::int64_t outputs, RandomState& random,
            const LayerOptions& options = {}, Source where = Source::here());

struct NetworkOptions {
  Activation hidden = tanh, output = linear;
  std::optional<double> gain = {};  ///< As of a layer.
  DType dtype = DType::float32;
  std::string label = {};  ///< In front of the labels W1, b1, W2, ...
};

/// Dense layers from sizes[0] inputs to sizes.back() outputs, drawn one after the other. Throws
/// TypeError for fewer than two sizes or one that is not positive.
Network network(const std::vector<std::int64_t>& sizes, RandomState& random,
                const NetworkOptions& options = {}, Source where = Source::here());

/// The two in a row.
Network chain(const Network& first, const Network& second);

/// Throws TypeError, in the name of `function`, for fewer than two sizes or one that is not
/// positive.
void require_sizes(const char* function, const std::vector<std::int64_t>& sizes, Source where);

}  // namespace cinch
