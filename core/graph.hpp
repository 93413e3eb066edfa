// Walks over expression graphs. All are iterative: neither depth nor size meets the stack limit.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

template <class T>
using NodeMap = std::unordered_map<const Node*, T>;
using NodeSet = std::unordered_set<const Node*>;
using Substitutions = std::vector<std::pair<Expr, Expr>>;
/// A variable and the value it has.
using Binding = std::pair<Expr, Tensor>;

/// All nodes that `roots` depend on, themselves included, inputs before their users. Nodes in `cut`
/// are listed but not entered.
std::vector<Expr> topological(std::span<const Expr> roots, const NodeSet& cut = {});

/// Rebuilds `roots` bottom-up: each node, its inputs already rebuilt, becomes what `f` makes of it.
/// `done` holds the result for every node met; entries present beforehand are taken as they are.
std::vector<Expr> rebuild(std::span<const Expr> roots, const std::function<Expr(const Expr&)>& f,
                          NodeMap<Expr>& done);
/// The same where nodes only get new inputs: `roots` with what `done` has in the places of theirs.
std::vector<Expr> rebuild(std::span<const Expr> roots, NodeMap<Expr>& done);

/// `roots` with each first of a pair replaced by the second, everywhere at once, in derivatives
/// that were taken before as well. Types may change: nodes are checked again, and errors name their
/// own lines.
std::vector<Expr> substitute(std::span<const Expr> roots, const Substitutions& replacements);

/// Indented text of the graph: one line a node with its type, name and source line; shared nodes
/// are printed once.
std::string graph_text(std::span<const Expr> roots);
/// The graph in Graphviz' language, for `dot -Tsvg`.
std::string graph_dot(std::span<const Expr> roots);

}  // namespace cinch
