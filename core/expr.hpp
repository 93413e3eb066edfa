// Expressions: immutable graph nodes behind cheap handles.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "cinch/core/source.hpp"
#include "cinch/core/type.hpp"
#include "cinch/core/visibility.hpp"

namespace cinch::planning {
struct LoopProgram;
}  // namespace cinch::planning

namespace CINCH_PUBLIC cinch {

struct Attrs;
struct Derivation;
struct Node;
struct Observer;
struct Op;
struct SharedState;
class Arg;
class Expr;

/// What `a == b` says of two expressions: whether they are the same node. Good for `if` and for
/// algorithms, but no operand, so that where(labels == 3, ...), which means equal(labels, 3), does
/// not compile.
class SameNode {
 public:
  constexpr explicit SameNode(bool same) : same_(same) {}
  constexpr operator bool() const { return same_; }

 private:
  bool same_;
};

/// A symbolic tensor: a handle to one immutable node of the expression graph.
/// Copying shares the node, and `a == b` asks "same node?", never "same values?" (that is equal(a,
/// b)).
class Expr {
 public:
  /// No expression, until one is assigned. Until then only assignment, has_value(), get() and
  /// printing make sense; whatever else uses it throws TypeError. A sum starts from `Expr total =
  /// 0.0`.
  Expr() = default;
  /// A number, which takes the dtype of what it meets, as in 2 * x.
  template <class T>
  requires std::is_arithmetic_v<T> Expr(T value, Source where = Source::here());
  explicit Expr(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

  /// False for Expr(). There is no conversion to bool, so that `if (a < b)` does not compile: a
  /// formula is neither true nor false. where(), &&, || and ! make formulas of comparisons.
  bool has_value() const { return node_ != nullptr; }
  const Node& operator*() const { return node({}); }
  const Node* operator->() const { return &node({}); }
  const Node* get() const { return node_.get(); }
  const std::shared_ptr<const Node>& pointer() const { return node_; }

  // `where` is the caller's line, for the error where there is no expression.
  const Type& type(Source where = Source::here()) const;
  DType dtype(Source where = Source::here()) const { return type(where).dtype; }
  const Dims& dims(Source where = Source::here()) const { return type(where).dims; }
  std::int64_t rank(Source where = Source::here()) const { return type(where).rank(); }
  const Op& op(Source where = Source::here()) const;
  const Attrs& attrs(Source where = Source::here()) const;
  std::span<const Expr> inputs(Source where = Source::here()) const;

  /// One element along the first axis, which goes: at(x, index). More at once: subscript().
  Expr operator[](const Arg& index) const;

  friend SameNode operator==(const Expr& a, const Expr& b) { return SameNode(a.node_ == b.node_); }
  friend SameNode operator!=(const Expr& a, const Expr& b) { return SameNode(a.node_ != b.node_); }
  // A comparison of elements is equal(x, 2).
  template <class T>
  requires std::is_arithmetic_v<T>
  friend SameNode operator==(const Expr&, T) = delete;
  template <class T>
  requires std::is_arithmetic_v<T>
  friend SameNode operator!=(const Expr&, T) = delete;

 private:
  const Node& node(Source where) const {
    if (!node_) [[unlikely]]
      throw_empty(where);
    return *node_;
  }
  [[noreturn]] static void throw_empty(Source where);

  std::shared_ptr<const Node> node_;
};

/// What an op needs to know besides its inputs; compared by value. Most nodes have none.
struct Attrs {
  std::vector<std::int64_t> ints = {};  ///< Axes, a step: a struct says which, as in algebra.hpp.
  DType dtype = DType::float64;         ///< Target of a cast or a draw.
  std::shared_ptr<const Tensor> value = nullptr;  ///< Of a constant.
  std::shared_ptr<SharedState> state = nullptr;   ///< Of a shared variable.
  std::uint64_t id = 0;                           ///< Makes an input different from all others.
  std::vector<Expr> formula = {};  ///< Of what an op computes, in variables of its own.
  std::shared_ptr<const planning::LoopProgram> loop = nullptr;  ///< Of a loop, compiled.
  std::shared_ptr<const Observer> observer = nullptr;           ///< What is shown a value.
  std::string label = {};  ///< The user's name for it; not compared.
};
bool operator==(const Attrs& a, const Attrs& b);

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

inline const Type& Expr::type(Source where) const { return node(where).type; }
inline const Op& Expr::op(Source where) const { return *node(where).op; }
inline std::span<const Expr> Expr::inputs(Source where) const { return node(where).inputs; }

/// The line that what is built now, at `where`, belongs to: that of the attribution, if there is
/// one.
Source attributed(Source where);

/// A parameter of a function that builds expressions: takes an expression or a literal and notes
/// the caller's line. Using an empty expression throws TypeError with that line.
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
  const Expr* operator->() const {
    if (!expr_.has_value()) [[unlikely]]
      expr_.type(where_);  // Throws.
    return &expr_;
  }
  /// The caller's line, or that of the attribution that is open.
  Source where() const { return attributed(where_); }

 private:
  static Expr literal(bool value, Source where);
  static Expr literal(std::int64_t value, Source where);
  static Expr literal(double value, Source where);

  Expr expr_;
  Source where_;
};

template <class T>
requires std::is_arithmetic_v<T> Expr::Expr(T value, Source where)
    : Expr(Arg(value, where).expr()) {}

/// Sizes as a parameter: numbers, int64 scalars or both in braces, {size(x, 0), 5}; a Shape; or
/// what sizes(x) returns. A literal that is no whole number is for type rules to refuse.
class Sizes {
 public:
  Sizes() = default;  ///< Of a scalar.
  Sizes(std::initializer_list<Arg> sizes);
  Sizes(std::vector<Expr> sizes) : all_(std::move(sizes)) {}
  Sizes(const Shape& sizes, Source where = Source::here());

  const std::vector<Expr>& all() const { return all_; }

 private:
  std::vector<Expr> all_;
};

/// While it lives, expressions built on this thread are attributed to `where` instead of to the
/// line that builds them, and errors name `function`, by default the one that opens it. The
/// outermost one wins, so a library function may open one with its caller's line; `force` overrides
/// the line.
class Attribution {
 public:
  explicit Attribution(Source where, bool force = false,
                       const char* function = __builtin_FUNCTION());
  ~Attribution();
  Attribution(const Attribution&) = delete;
  Attribution& operator=(const Attribution&) = delete;

 private:
  Source previous_;
  const char* previous_function_;
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
/// At most some 60 characters: a longer formula is cut to a smaller depth.
std::string describe(const Expr& expr, int depth = 3);
/// Prints describe(expr).
std::ostream& operator<<(std::ostream& out, const Expr& expr);

// The ops that the engine itself applies.

/// `x` as another dtype; itself if it is one already. Comparisons and integers have no gradient;
/// floats do.
Expr cast(const Arg& x, DType dtype);
/// a + b, broadcast.
Expr operator+(const Arg& a, const Arg& b);
/// `x` repeated along new leading axes and axes of size 1 to the given sizes (int64 scalars).
Expr broadcast_to(const Arg& x, const Sizes& sizes);
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
