// A function as a graph that can be written down elsewhere: rewritten, contracted, without draws.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/tensor.hpp"

namespace cinch::exchange {

/// A size as it is written: a number, or a number times sizes that are known when the graph runs.
struct Size {
  std::int64_t factor = 1;
  std::vector<int> unknown =
      {};  ///< Numbers of unknown sizes, ascending, one as often as it comes.

  bool is_number() const { return unknown.empty(); }
  friend bool operator==(const Size&, const Size&) = default;
};

/// A size that is not known when the graph is written: of an axis of an input.
struct UnknownSize {
  std::string name;
  std::size_t input;
  std::int64_t axis;
  Expr value;  ///< An int64 variable that stands for it where it is used as a number.
};

struct Named {
  std::string name;
  Expr value;
};

/// A draw, which comes from outside.
struct Draw {
  std::string name;
  Expr variable;  ///< In its place.
  Expr drawn;     ///< As the user wrote it, but for the sizes, which are known.
};

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

/// `x` with the first of its elements along these axes; none where others differ from them.
std::optional<Tensor> unrepeated(const Tensor& x, const std::vector<bool>& axes);

/// Throws TypeError, with the user's line, for the first node that `known` does not accept.
void require_counterparts(const char* function, const Lowered& graph, const char* format,
                          bool (*known)(const Expr&));

}  // namespace cinch::exchange
