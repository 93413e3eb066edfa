// A function compiled for one set of sizes, without what only plans can run.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/exchange/graph/size.hpp"

namespace cinch::exchange {

/// What is compiled for one set of sizes.
struct Sized {
  std::vector<Expr> inputs;
  std::vector<Draw> draws;
  std::vector<Expr> roots;
  std::vector<Expr> order;
};

/// Which axes of the inputs have no size yet, each symbol once.
struct Symbols {
  std::vector<UnknownSize> all;
  std::map<std::int64_t, int> of_dim;  // By the symbol of the type.
};

/// `roots`, of `program`, for inputs of these shapes. Sizes that are not known are given by primes,
/// `unknown`; where they are used as numbers their variables stand. Throws TypeError, in the name
/// of `function`, for sizes that depend on values.
Sized sized(const char* function, const compiling::Program& program, const Symbols& symbols,
            std::span<const std::int64_t> unknown, std::span<const Expr> roots,
            std::span<const Shape> shapes);

}  // namespace cinch::exchange
