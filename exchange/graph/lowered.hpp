// A function as a graph that can be written down elsewhere: rewritten, contracted, without draws.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/exchange/graph/size.hpp"

namespace cinch::exchange {

struct Lowered {
  std::string name;
  std::vector<Named> inputs;      ///< Variables.
  std::vector<Draw> draws;        ///< In the order of their streams.
  std::vector<Named> parameters;  ///< Shared variables that the function changes.
  std::vector<Named> constants;   ///< Those that it only reads.
  std::vector<Named> outputs;     ///< Values.
  std::vector<Named> updates;     ///< New values of the parameters.
  std::vector<Expr> order;        ///< All nodes, operands first.
  std::vector<UnknownSize> unknown;
  /// Sizes of nodes in which an unknown one stands; all others are in the nodes' types.
  NodeMap<std::vector<Size>> sizes;

  std::vector<Size> sizes_of(const Expr& node) const;
  std::vector<Expr> roots() const;
};

/// What a size that is not known is taken to be where one product of sizes is weighed against
/// another.
struct Lowering {
  std::vector<Shape> sizes = {};  ///< Of each input; -1, and none at all: what its type says.
  std::vector<std::string> outputs = {};  ///< Names.
  std::int64_t batch = 20;                ///< Stands for what is not known.
  bool unknown_sizes = false;             ///< Whether there may be any.
};

/// The graph of `spec`. Throws what function() does, in the name of `function` what has no fixed
/// form: a size that depends on a value, sizes that are unknown where they may not be.
Lowered lowered(const char* function, const FunctionSpec& spec, const Lowering& options);

/// Throws TypeError, with the user's line, for the first of these nodes, or of what steps of loops
/// compute, that `known` does not accept.
void require_counterparts(const char* function, const std::vector<Expr>& order, const char* format,
                          bool (*known)(const Expr&));

}  // namespace cinch::exchange
