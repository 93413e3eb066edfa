// What users call, as a table, for tests of what holds of every such call.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::testing {

/// A public function of expressions, and inputs that it takes.
struct PublicFunction {
  std::string name;                               ///< As an error has it.
  std::vector<Type> inputs;                       ///< Of which x[k] is a variable.
  std::function<std::vector<Expr>(Args x)> call;  ///< All that it returns.
};

const std::vector<PublicFunction>& public_functions();

/// Whether a line is the file's that the calls stand in.
bool is_callers_line(Source where);

}  // namespace cinch::testing
