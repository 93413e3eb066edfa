// Random expressions over all ops of the catalog, for comparing one way to compute them with
// another; and the smallest part of one that still shows a difference, as C++.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"

namespace cinch::testing {

/// Expressions and values for their variables.
struct RandomProgram {
  std::vector<Expr> roots;
  std::vector<Binding> bindings;
};

struct ProgramOptions {
  DType real = DType::float64;  ///< Of what the ops' examples call float64.
  int steps = 8;
  bool symbolic = false;  ///< Variables with unknown sizes.
  bool composed = true;  ///< Ops that hold formulas or sides too: with_gradient(), loops, ifelse().
};

/// Grows a program: each step applies an op of the catalog, as one of its examples does or with
/// broadcasting, to values that exist, brought to the shapes, dtypes and intervals that it wants.
/// An op is drawn as soon as it is in the catalog. All values are finite and at most 1e3.
RandomProgram random_program(std::mt19937& random, const ProgramOptions& options);

/// A smaller program for which `fails` still holds: roots are dropped or replaced by their inputs,
/// nodes by an operand of the same type, by a variable with the value they have, or by ones.
/// `fails` must hold for `program`.
RandomProgram shrink(RandomProgram program, const std::function<bool(const RandomProgram&)>& fails);

/// How many applications of ops it has.
std::size_t op_count(const RandomProgram& program);

/// A C++ program fragment that builds it: variables with their values, one line an op, the roots.
std::string as_cpp(const RandomProgram& program);

}  // namespace cinch::testing
