// A graph of ONNX operators that is being put together.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/exchange/graph/lowered.hpp"
#include "cinch/exchange/graph/names.hpp"
#include "cinch/exchange/onnx/protobuf.hpp"

namespace cinch::exchange {

/// 1: float32, 7: int64, 9: bool, 11: float64.
int onnx_type(DType dtype);

struct Attribute {
  std::string_view name;
  std::variant<std::int64_t, std::vector<std::int64_t>, std::string_view, Message> value;
};

/// Values have names. Each function that adds an operator returns the name of what it computes.
class OnnxGraph {
 public:
  using Names = std::vector<std::string>;
  using Sizes = std::vector<Size>;

  OnnxGraph(const Lowered& graph, bool lines);

  /// Nodes from here on are of this line.
  void at(const Expr& node);
  std::string add(std::string_view op, const Names& inputs,
                  const std::vector<Attribute>& attributes = {});
  /// The same with its results under given names.
  void add_as(const Names& results, std::string_view op, const Names& inputs,
              const std::vector<Attribute>& attributes = {});
  std::string fresh() { return text("v", next_++); }  ///< No user's name is like it.

  /// Writes what `roots` need of these nodes.
  void add_nodes(const std::vector<Expr>& order, const std::vector<Expr>& roots);
  /// The nodes that are being written, as far as they are needed.
  const std::vector<Expr>& order() const { return order_; }

  /// A value of a graph, and what has its type.
  using Values = std::vector<std::pair<std::string, Expr>>;
  /// A graph within this one, where whatever has a name here has it too. `add` writes its nodes and
  /// returns what it results in. Without an expression a value's type is left to the runtime.
  Message body(const std::string& called, const Values& inputs, const std::function<Values()>& add);
  /// How a graph declares an input or a result of this type.
  Message declared(const std::string& name, const Expr& value, const std::string& doc = {}) const;

  /// Of operators with two results the second: positions.
  std::string sorted(const std::string& x, const std::string& count, std::int64_t axis,
                     bool descending);
  std::string largest_places(const std::string& x, const std::vector<Attribute>& windows);

  std::string constant(const Tensor& value);
  std::string number(DType dtype, double value);              ///< A scalar.
  std::string numbers(const std::vector<std::int64_t>& all);  ///< int64, of one axis.
  void initializer(const std::string& name, const Tensor& value);

  std::string cast(const std::string& x, DType dtype);
  std::string transposed(const std::string& x, const std::vector<std::int64_t>& axes);
  std::string reshaped(const std::string& x, const Sizes& sizes);
  std::string expanded(const std::string& x, const Sizes& sizes);
  /// Zeros of this shape.
  std::string zeros(DType dtype, const Sizes& sizes);
  /// int64, of one axis, as numbers() is.
  std::string shape(const Sizes& sizes);
  std::string size(const Size& size) { return shape({size}); }
  std::string scalar_size(const Size& size);
  /// 0, 1, ... as int64.
  std::string counted(const Size& size);

  /// Of a node that has been computed; a constant, or a size used as a number, is added where it is
  /// asked for.
  const std::string& name_of(const Expr& node);
  void name(const Expr& node, const std::string& name) { name_[node.get()] = name; }
  Sizes sizes_of(const Expr& node) const { return lowered_.sizes_of(node); }
  /// The size of an axis that has to be a number. Throws TypeError.
  std::int64_t known(const Expr& node, std::size_t axis) const;
  std::vector<std::int64_t> known(const Expr& node) const;
  /// Throws TypeError: this node cannot be written, because of `why`.
  [[noreturn]] void refuse_node(const std::string& why) const;

  const Lowered& lowered() const { return lowered_; }
  /// All that has been added, initializers included.
  Message message() const { return Message(message_).append(initializers_); }

 private:
  std::string leaf(const Expr& node);

  const Lowered& lowered_;
  Message message_;       // Of the nodes of the graph that is being written.
  Message initializers_;  // Of all, in the outermost graph: those within find them there.
  exchange::Names names_;
  NodeMap<std::string> name_;
  std::map<std::pair<int, std::string>, std::string> constants_;
  std::map<int, std::string> unknown_;
  std::vector<Expr> order_;
  Expr node_;
  const bool lines_;
  std::string line_;  // Of that node, for who reads the file.
  int next_ = 0;
};

/// Whether there is a counterpart for nodes like this one; what depends on sizes may be refused
/// still.
bool has_onnx_counterpart(const Expr& node);
/// The operators that stand for an op, "Exp" or "Sub, Mul", as the tables list them.
std::string onnx_counterpart(const Op& op);

/// Writes one node; its operands have names already.
void add_node(OnnxGraph& graph, const Expr& node);

/// Parts of that.
bool has_onnx_formula(const Expr& node);
std::string onnx_formula(const Op& op);
std::string add_formula(OnnxGraph& graph, const Expr& node);
std::string add_loop(OnnxGraph& graph, const Expr& node);
std::string add_recurrence(OnnxGraph& graph, const Expr& node);
std::string add_running_extreme(OnnxGraph& graph, const Expr& node);
std::string onnx_windows(const Op& op);
std::string add_windows(OnnxGraph& graph, const Expr& node);

}  // namespace cinch::exchange
