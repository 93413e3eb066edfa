// What a stage of compiling made of a graph, and showing it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/report.hpp"

namespace cinch::rewriting {

/// Whether CINCH_TRACE or CINCH_VERIFY is set in the environment, or this is a build without
/// NDEBUG: whether stages have to go through staged() though nobody else asks.
bool is_traced();

/// Runs `work`, which makes the next `roots` and appends to `rules` what fired, and says what it
/// did. With CINCH_TRACE=passes in the environment a line about it goes to stderr, in the name of
/// `whose`; with CINCH_TRACE=graphs the graph as well.
Stage staged(std::string_view whose, std::string_view name, std::vector<Expr>& roots,
             std::vector<Applied>& rules, const std::function<void()>& work);

/// "simplify      14 ->    9 nodes    0.2 ms  log of sigmoid, 2 x - -x": what CINCH_TRACE shows.
std::string line_of(const Stage& stage);

/// Throws Error, naming node and line, where a graph is not as the records of its ops say: a type
/// that the type rule does not give, a missing operand, a node without a line. staged() does it
/// where CINCH_VERIFY is set, and in builds without NDEBUG.
void verify(std::span<const Expr> roots, std::string_view after);

}  // namespace cinch::rewriting
