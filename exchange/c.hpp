// A function, updates included, as one C99 file that needs nothing but the C library.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct COptions {
  /// Of each input, where its type does not say them: {{20, 784}}; -1: as the type says.
  std::vector<Shape> sizes = {};
  std::vector<std::string> outputs = {};  ///< Names of the outputs; output_0 and so on without.
};

/// A parameter of the function in a written file.
struct CParameter {
  std::string name;
  Type type;
  Expr value;  ///< The input, the draw as the user wrote it, the shared variable, or the output.
};

/// What a written function takes, in this order.
struct CInterface {
  std::string name;
  std::vector<CParameter> inputs;      ///< `const float *x`; scalars by value.
  std::vector<CParameter> draws;       ///< Random numbers, named after their stream's state.
  std::vector<CParameter> parameters;  ///< Shared variables that the call changes.
  std::vector<CParameter> constants;   ///< Those that it only reads.
  std::vector<CParameter> outputs;     ///< Written by the call.
  std::int64_t memory = 0;             ///< Bytes that the call computes in: NAME_MEMORY.
};

/// Writes a function, updates included, as a C99 file and the header beside it. `path` must end in
/// ".c"; the function is named spec.name:
///
///     int NAME(inputs..., draws..., parameters..., constants..., outputs..., void *memory);
///
/// It computes the outputs and the new values of the parameters as the compiled function does, with
/// products in the order that the compiler chose. It returns 0, and 1 where an index or a label is
/// out of range, or a fixed point is not found: then nothing has changed. A scan() is a loop of C,
/// which ends where its `until` does. `memory` is NAME_MEMORY bytes, aligned as malloc()
/// aligns. A minibatch slice(x, k * n, (k + 1) * n) has n rows, and is out of range where there are
/// fewer. Draws are arguments: checks of their parameters are left out. Of an ifelse() both sides
/// are computed. Throws TypeError, before anything is written, for sizes that are not known and for
/// an op that has no counterpart, FileError where a file cannot be written.
CInterface write_c(const std::string& path, const FunctionSpec& spec, const COptions& options = {});

}  // namespace cinch
