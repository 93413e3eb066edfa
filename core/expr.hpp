// Expressions: immutable graph nodes behind cheap handles.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/source.hpp"
#include "core/type.hpp"

namespace cinch {

struct Derivation;
struct Node;
struct Op;
struct SharedState;

/// What an op needs to know besides its inputs; compared by value. Most nodes have none.
struct Attrs {
  std::vector<std::int64_t> ints = {};  ///< Axes, a permutation, a step: the op says which.
  DType dtype = DType::float64;         ///< Target of a cast or a draw.
  std::shared_ptr<const Tensor> value = nullptr;  ///< Of a constant.
  std::shared_ptr<SharedState> state = nullptr;   ///< Of a shared variable.
  std::uint64_t id = 0;                           ///< Makes an input different from all others.
  std::string label = {};                         ///< The user's name for it; not compared.
};
bool operator==(const Attrs& a, const Attrs& b);

/// A symbolic tensor: a handle to one immutable node of the expression graph.
/// Copying shares the node, and `a == b` asks "same node?", never "same values?" (that is equal(a,
/// b)).
class Expr {
 public:
  Expr() = default;  ///< No expression; only assignment and has_value() make sense.
  explicit Expr(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

  /// False for Expr(). There is no conversion to bool, so that `if (a < b)` does not compile: a
  /// formula is neither true nor false. where(), &&, || and ! make formulas of comparisons.
  bool has_value() const { return node_ != nullptr; }
  const Node& operator*() const { return *node_; }
  const Node* operator->() const { return node_.get(); }
  const Node* get() const { return node_.get(); }
  const std::shared_ptr<const Node>& pointer() const { return node_; }

  const Type& type() const;
  DType dtype() const { return type().dtype; }
  const Dims& dims() const { return type().dims; }
  std::int64_t rank() const { return type().rank(); }
  const Op& op() const;
  const Attrs& attrs() const;
  std::span<const Expr> inputs() const;

  friend bool operator==(const Expr&, const Expr&) = default;

 private:
  std::shared_ptr<const Node> node_;
};

/// One application of an op. Nodes are made by apply() and never change.
struct Node {
  const Op* op;
  std::vector<Expr> inputs;
  std::shared_ptr<const Attrs> attrs;  ///< Null where there is nothing to say.
  Type type;
  Source where;  ///< The user's line that wrote it; gradients and rewrites inherit it.
  std::shared_ptr<const Derivation> derivation = nullptr;  ///< Of a derivative: derivation.hpp.

  Node(const Op& op, std::vector<Expr> inputs, std::shared_ptr<const Attrs> attrs, Type type,
       Source where);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  ///< Iterative: no chain is too long.
};

/// A parameter of a function that builds expressions: takes an expression or a literal and notes
/// the caller's line.
class Arg {
 public:
  Arg(const Expr& expr, Source where = Source::here()) : expr_(expr), where_(where) {}
  /// A literal: takes the dtype of what it meets; alone it is int64 or float64.
  template <class T>
  requires std::is_arithmetic_v<T> Arg(T value, Source where = Source::here())
      : Arg(literal(static_cast<std::conditional_t<
                        std::is_same_v<T, bool>, bool,
                        std::conditional_t<std::is_integral_v<T>, std::int64_t, double>>>(value),
                    where),
            where) {}
  Arg(const Tensor& value, Source where = Source::here());

  const Expr& expr() const { return expr_; }
  operator const Expr&() const { return expr_; }
  const Expr* operator->() const { return &expr_; }
  Source where() const { return where_; }

 private:
  static Expr literal(bool value, Source where);
  static Expr literal(std::int64_t value, Source where);
  static Expr literal(double value, Source where);

  Expr expr_;
  Source where_;
};

/// While it lives, expressions built on this thread are attributed to `where` instead of to the
/// line that builds them. The outermost one wins, so a library function may open one with its
/// caller's line; `force` overrides.
class Attribution {
 public:
  explicit Attribution(Source where, bool force = false);
  ~Attribution();
  Attribution(const Attribution&) = delete;
  Attribution& operator=(const Attribution&) = delete;

 private:
  Source previous_;
};

/// The expression `op(inputs)`: brings the operands to one dtype as the op asks, and lets its type
/// rule check them. Throws TypeError with the op, the operands' types, shapes and names, and the
/// user's line.
Expr apply(const Op& op, std::vector<Expr> inputs, Attrs attrs = {}, Source where = Source::here());

/// The same op and attributes on other inputs, attributed to the same line. Returns `expr` itself
/// if nothing changed.
Expr with_inputs(const Expr& expr, std::vector<Expr> inputs);

/// A constant tensor.
Expr constant(Tensor value, Source where = Source::here());
/// A constant that takes the dtype of what it meets, as literals do.
Expr weak_constant(Tensor value, Source where = Source::here());
/// A constant scalar that takes the dtype of what it meets.
Expr literal(double value, Source where = Source::here());
/// The value of a constant; nullptr for anything else.
const Tensor* constant_value(const Expr& expr);

/// A symbolic input named `label`, with these sizes; -1 stands for a size not known yet.
Expr variable(std::string label, DType dtype, const Shape& sizes, Source where = Source::here());
/// As above, with sizes as symbols.
Expr variable(std::string label, Type type, Source where = Source::here());
bool is_variable(const Expr& expr);

/// Size of one axis as an int64 scalar: a constant where it is known.
Expr size(const Arg& x, std::int64_t axis);
/// All sizes, outermost first.
std::vector<Expr> sizes(const Arg& x);

/// Product of int64 scalars, computed at once where all are known.
Expr product(const std::vector<Expr>& factors);

/// `axis` of `x` counted from the front. Throws TypeError, in the name of `op`, unless -rank <=
/// axis < rank.
std::int64_t axis_of(std::string_view op, const Arg& x, std::int64_t axis);

/// Short text of an expression for messages: its name, or its formula to a small depth.
std::string describe(const Expr& expr, int depth = 3);

// The ops that the engine itself applies.

/// `x` as another dtype; itself if it is one already. Comparisons and integers have no gradient;
/// floats do.
Expr cast(const Arg& x, DType dtype);
/// a + b, broadcast.
Expr operator+(const Arg& a, const Arg& b);
/// `x` repeated along new leading axes and axes of size 1 to the given sizes (int64 scalars).
Expr broadcast_to(const Arg& x, const std::vector<Expr>& sizes);
/// `x` repeated to the shape of `like`.
Expr broadcast_like(const Arg& x, const Arg& like);
/// The transpose of broadcast_like: `x` summed over the axes along which `like` would be repeated
/// to reach x's shape.
Expr sum_like(const Arg& x, const Arg& like);
/// Axes permuted, dropped and added: axis k of the result is axis pattern[k] of `x`, or a new one
/// of size 1 where pattern[k] is -1. An axis that is left out must have size 1.
Expr dimshuffle(const Arg& x, const std::vector<std::int64_t>& pattern);
/// The same elements in row-major order under other sizes (int64 scalars).
Expr reshape(const Arg& x, const std::vector<Expr>& sizes);
/// The (n, n) identity matrix; `n` is an int64 scalar.
Expr eye(const Arg& n, DType dtype = DType::float32);
/// The value of `x`, through which no gradient flows.
Expr stop_gradient(const Arg& x);

}  // namespace cinch
