// The statements that compute a graph, in C99.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/exchange/c/formulas.hpp"
#include "cinch/exchange/graph/lowered.hpp"

namespace cinch::exchange {

/// Whether the emitter can write this node.
bool has_c_counterpart(const Expr& node);

/// Writes each node once: what is elementwise and used once becomes part of the loop that uses it,
/// what only moves elements becomes other indices.
class Emitter {
 public:
  explicit Emitter(const Lowered& graph) : graph_(graph) {}

  /// Statements of all nodes. Afterwards pointer() holds for roots.
  void emit();

  const std::string& statements() const { return statements_; }
  const std::string& tables() const { return tables_; }
  std::string functions() const { return functions_.text(); }
  std::int64_t bytes() const { return bytes_; }
  std::string pointer(const Expr& node) const { return pointer_.at(node.get()); }

 private:
  using Indices = std::vector<std::string>;

  void decide();
  void force(const Expr& node);
  void store(const Expr& node);
  void line(const std::string& text);
  void open(const std::string& text);
  void close();
  Indices loops(const Shape& shape, const std::string& prefix);
  std::string element(const Expr& node, const Indices& at);
  std::string computed(const Expr& node, const Indices& at);
  std::string stored_element(const Expr& node, const Indices& at) const;
  std::string table(const Expr& node);
  std::string local(DType dtype, const std::string& value);
  void reduce(const Expr& node);
  void product(const Expr& node);
  void convolve(const Expr& node);
  void scatter(const Expr& node);
  void extreme_place(const Expr& node);

  const Lowered& graph_;
  CFunctions functions_;
  std::string statements_, tables_;
  std::int64_t bytes_ = 0;
  int depth_ = 1, next_ = 0;
  NodeSet needed_, stored_;
  NodeMap<std::string> pointer_;
  std::vector<std::pair<std::string, std::string>> known_;  // In the loop that is open.
};

}  // namespace cinch::exchange
