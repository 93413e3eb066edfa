// Sizes given as int64 scalars: what a type rule and a reference make of them.
#pragma once

#include <cstdint>
#include <optional>

#include "cinch/core/op.hpp"

namespace cinch::records {

/// The size that an int64 scalar says: its number where it is constant, the symbol of the size it
/// was asked of where it is one, else a new symbol. Throws TypeError for anything but an int64
/// scalar >= 0.
Dim dim_of(const Expr& size);
Dims dims_of(Args sizes);
/// The value of a constant int64 scalar, to the last digit; nothing for anything else.
std::optional<std::int64_t> constant_size(const Expr& e);
/// Their values.
Shape shape_of(Values sizes);
/// The sizes of `x` with one more in front.
std::vector<Expr> with_leading_size(const Expr& count, const Expr& x);
/// One expression and then others, as inputs of an op.
std::vector<Expr> with_first(const Expr& first, Args rest);

/// An int64 scalar from an argument that may be a literal; others stay as they are, for the type
/// rules to refuse.
Expr whole_number(const Arg& x);

/// `e`, an expression of sizes, as a constant where it depends on constants only, so that what is
/// shaped by it has a known size.
Expr computed(const Expr& e);

}  // namespace cinch::records
