// What graphs that are to be written are made of: sizes, named values, draws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"

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

}  // namespace cinch::exchange
