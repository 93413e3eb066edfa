// A function, updates included, as an ONNX model that any runtime executes.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct OnnxOptions {
  /// Of each input, where its type does not say them: {{20, 784}}. -1, and none at all: as the type
  /// says. A size that it does not say is that of a variable, if the formula fits no other, or the
  /// runtime's: one name for axes whose sizes have to be the same. Where it is used it is taken not
  /// to be 1, so that nothing is repeated along it.
  std::vector<Shape> sizes = {};
  std::vector<std::string> outputs = {};  ///< Names of the outputs; output_0 and so on without.
  bool lines = true;                      ///< Whether nodes and inputs carry the user's lines.
  std::int64_t batch = 20;  ///< What sizes that are not known are about, for the order of products.
};

/// An input or output of a written model.
struct OnnxValue {
  std::string name;
  Type type;
  Expr value;        ///< The input, the draw as the user wrote it, the shared variable, the output.
  std::string next;  ///< Of a parameter: the output that is its new value.
};

struct OnnxInterface {
  std::string name;
  std::vector<OnnxValue> inputs;
  std::vector<OnnxValue> draws;       ///< Random numbers: inputs too, named after their stream.
  std::vector<OnnxValue> parameters;  ///< Shared variables that the function changes: inputs too.
  std::vector<OnnxValue> constants;   ///< Those that it only reads, in the file with their values.
  std::vector<OnnxValue> outputs;
};

/// Writes a function, updates included, as an ONNX model of operator set 17. Parameters that change
/// are inputs and, as NAME_next, outputs, so that whoever runs the model feeds what came out into
/// the next call: the model's properties say "next of W": "W_next", and of each draw its
/// distribution, "draw of x": "uniform in [0, 1)" or "standard normal". The file holds the values
/// of shared variables that are only read. Products stand in the order that the compiler chose, and
/// nodes carry the user's lines. A minibatch slice(x, k * n, (k + 1) * n) has n rows. A scan()
/// is a Scan, of as many steps as its sequences have rows; past its `until` nothing is computed. A
/// fixed point that is not found is NaN. Labels and indices out of range are whatever the runtime
/// makes of them. Throws TypeError, before anything
/// is written, for an op that has no counterpart and for what depends on sizes that are not known,
/// FileError where the file cannot be written or would be larger than 2 GB, which no reader takes.
OnnxInterface write_onnx(const std::string& path, const FunctionSpec& spec,
                         const OnnxOptions& options = {});

}  // namespace cinch
