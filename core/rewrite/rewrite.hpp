// Algebra on graphs: equal expressions that are cheaper or numerically safer.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/report.hpp"

namespace cinch::rewriting {

/// A placeholder in a rule's two sides; stands for any expression, the same one wherever it
/// appears.
Expr wildcard(std::string label);

/// Nodes for which no rule is left; between two rewrites of what is mostly the same they are not
/// tried again. Holds them, so that none of their addresses is used by another.
class Settled {
 public:
  bool contains(const Expr& node) const { return nodes_.contains(node.get()); }
  void insert(const Expr& node) { nodes_.emplace(node.get(), node); }

 private:
  NodeMap<Expr> nodes_;
};

struct RewriteOptions {
  bool fold_constants = true;  ///< Compute what depends on constants only.
  std::vector<Applied>* log = nullptr;
  Settled* settled = nullptr;  ///< With the same fold_constants each time.
};

/// `roots` in simplest form: equal subexpressions become one node, each op's rules and
/// simplifications are applied bottom-up until none fits, and what depends on constants only is
/// computed. Types are kept.
std::vector<Expr> rewrite(std::span<const Expr> roots, const RewriteOptions& options = {});

/// `right` of `rule` for `expr` if `left` matches it, else an empty expression.
Expr apply_rule(const Rule& rule, const Expr& expr);

}  // namespace cinch::rewriting
