// Functions of one number, element by element: those of the catalog and those that people write.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::testing {

/// A function of one float, element by element.
struct UnitFunction {
  std::string name;
  std::function<Expr(const Expr&)> f;
  Interval domain = {-2, 2};  ///< Where it is asked for.
};

/// The catalog's ops of one float, and what people write instead of one.
std::vector<UnitFunction> unit_functions();

}  // namespace cinch::testing
