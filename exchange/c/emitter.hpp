// The statements that compute a graph, in C99.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/exchange/c/formulas.hpp"
#include "cinch/exchange/graph/lowered.hpp"

namespace cinch::windows {
struct Window;
}  // namespace cinch::windows

namespace cinch::exchange {

/// How the emitter writes nodes of `op`: as "arithmetic", as other "indices" of their operands, or
/// in "loops" of their own; "" where it cannot.
std::string_view c_counterpart(const Op& op);
bool has_c_counterpart(const Expr& node);

/// Whether this is a number or a scalar that the caller gives by value: it lies nowhere.
bool is_value(const Expr& node);

/// Writes each node once: what is elementwise and used once becomes part of the loop that uses it,
/// what only moves elements becomes other indices.
class Emitter {
 public:
  using Loops = void (Emitter::*)(const Expr&);
  explicit Emitter(const Lowered& graph) : graph_(graph) {}

  /// Statements of all nodes, in which a parameter x is called u_x: in inner blocks other things
  /// may be called x. Afterwards pointer() holds for roots.
  void emit();

  const std::string& statements() const { return statements_; }
  const std::string& tables() const { return tables_; }
  std::string functions() const { return functions_.text(); }
  std::int64_t bytes() const { return bytes_; }
  std::string pointer(const Expr& node) const { return pointer_.at(node.get()); }
  /// Of an is_value().
  std::string value(const Expr& node) const;

  /// How an op that takes loops of its own is written; null for others.
  static Loops loops_of(const Op& op);

 private:
  using Indices = std::vector<std::string>;

  void decide(const std::vector<Expr>& order, const std::vector<Expr>& roots);
  void compute(const std::vector<Expr>& order);
  void check_slice(const Expr& narrow);
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
  void pool(const Expr& node);
  void window_argmax(const Expr& node);
  void in_map(const std::string& axis, const windows::Window& w, std::int64_t size);
  void unpool(const Expr& node);
  void add_along(const Expr& node);
  void last_writer(const Expr& node);
  void run_along(const Expr& node);
  void argsort(const Expr& node);
  void run_loop(const Expr& node);
  void check_converged(const Expr& node);
  void take_row(const Expr& variable, const Expr& operand, const std::string& place);
  void put(const std::string& to, const Expr& value);
  void copy(const std::string& to, const std::string& from, const Type& type);
  std::string reserve(const std::string& name, const std::string& type, std::int64_t bytes);
  void place();
  void clear(const Expr& node, const std::string& value = "0");
  void loop(const std::string& index, std::int64_t count);
  std::string row_of(const Expr& node, const std::string& index, std::int64_t n, bool negatives);
  static std::string exceeds(DType dtype, bool least);
  std::string added(DType dtype, const std::string& a, const std::string& b);

  const Lowered& graph_;
  CFunctions functions_;
  /// Part of the memory, and the stretches of statements that it is used in.
  struct Place {
    std::string name;
    std::int64_t bytes, offset = 0;
    std::size_t first, last;
  };

  std::string statements_, tables_;
  std::vector<Place> places_;
  std::vector<std::size_t> stretches_{0};  // Where in the statements they begin.
  std::vector<std::pair<std::size_t, std::size_t>> repeated_;  // Stretches of loops, inner first.
  std::int64_t bytes_ = 0;
  int depth_ = 1, next_ = 0;
  NodeSet needed_, stored_, made_;  ///< Made: by the statements of another node.
  std::vector<Expr> order_;         ///< Of the graph, or the loop, that is being written.
  NodeMap<std::string> pointer_, value_;
  std::vector<std::pair<std::string, std::string>> known_;  // In the loop that is open.
};

}  // namespace cinch::exchange
