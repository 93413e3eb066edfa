// Other people's feed-forward networks, from ONNX files, as expressions.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A network as a function of its inputs, with its weights as shared variables:
///
///     const OnnxNetwork encoder = read_onnx("encoder.onnx");
///     const Expr x = matrix("x"), h = encoder(x);
///     const Expr penalty = mean(jacobian_norm2(h, x));
struct OnnxNetwork {
  std::vector<Expr> inputs;       ///< Variables that are called as the file calls them.
  std::vector<Expr> outputs;      ///< Of these.
  std::vector<Shared> params;     ///< What may be trained: weights and biases, in their order.
  std::vector<Shared> constants;  ///< What is kept: statistics of normalization.

  /// The first output for an x in place of the only input. Throws TypeError where there are several
  /// inputs or x has another type.
  Expr operator()(const Arg& x) const;
};

/// Reads a network that is made of products (Gemm, MatMul), convolutions and pooling in one and two
/// dimensions, normalization by known statistics and of layers, activations, arithmetic, sums,
/// means and changes of shape, of operator sets 9 to 22. `values` names what shall be the outputs
/// in place of the file's, as the code that an autoencoder computes within. Throws FileError, which
/// names the file, for what is no such model, is damaged, or has an operator that is not known; the
/// file may be a stranger's, what it computes may take any time and memory.
OnnxNetwork read_onnx(const std::string& path, const std::vector<std::string>& values = {});

}  // namespace cinch
