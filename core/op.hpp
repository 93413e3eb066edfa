// Everything the library knows about one operation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "cinch/core/algebra.hpp"
#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace cinch::deriving {
struct Place;
struct Digit;
class Flow;
}  // namespace cinch::deriving

namespace CINCH_PUBLIC cinch {

using Args = std::span<const Expr>;
using Grads = std::vector<Expr>;
using Values = std::span<const Tensor* const>;

/// Elements first, then: out[i] = f(in[0][i], in[1][i], ...) for i < n. Bit k of `splat` says that
/// operand k is one element, the same for all i. `out` may be the same memory as an operand that is
/// not splat.
using BlockFn = void (*)(void* out, const void* const* in, unsigned splat, std::size_t n);

/// How a reduction combines elements. All combine in an order that depends on shapes only.
struct Accumulator {
  void (*start)(DType, void* out, std::size_t n);  ///< out[i] = the neutral element
  void (*fold)(DType, void* out, const void* in,
               std::size_t n);  ///< *out = *out o in[0] o in[1] ...
  void (*zip)(DType, void* out, const void* in, std::size_t n);  ///< out[i] = out[i] o in[i]
};

/// Part of a buffer: element (i, j, ...) lies at data + i * strides[0] + j * strides[1] ... ,
/// counted in elements.
struct Strided {
  std::int64_t offset = 0;
  std::vector<std::int64_t> strides = {};
};

/// Operands of a kernel, at run time.
struct Operand {
  void* data;
  DType dtype;
  std::span<const std::int64_t> shape;
  std::span<const std::int64_t> strides;  ///< In elements; row-major unless the op accepts others.

  std::int64_t size() const {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    return count;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// An op that computes each element from those at its place, in a loop with its neighbours.
struct Elementwise {
  BlockFn (*block)(DType in, DType out);
};
/// One that reduces its operand over the axes that OverAxes says, at the end of such a loop.
struct Reduction {
  const Accumulator* accumulator;
};
/// One that moves no data.
struct View {
  /// Where the result lies in the operand's memory. False: the operand has to be row-major.
  bool (*show)(const Strided& in, const Expr& y, Strided& out);
  int starts_at = -1;  ///< The input (int64 scalar) that says where its Narrowing starts; -1: none.
};
/// One with a kernel of its own.
struct Kernel {
  void (*run)(std::span<const Operand> in, const Operand& out, const Attrs&);
  /// Whether it can read an operand that lies like this; null: row-major ones only.
  bool (*accepts)(const Strided&, const Shape&) = nullptr;
  bool accumulates = false;  ///< It adds to its first operand and may write the result over it.
  /// Arithmetic operations that it does, for explain(); null: one for each element of y.
  double (*flops)(const Expr& y) = nullptr;
};
/// How an op runs in Mode::fast; none where it is always written as others.
using Runs = std::variant<std::monostate, Elementwise, Reduction, View, Kernel>;

/// How apply() prepares operands before the type rule sees them.
enum class Operands : std::uint8_t {
  as_given,
  any,      ///< All brought to their promoted dtype.
  numeric,  ///< The same, and bools to int64.
  real,     ///< The same, and integers and bools to float64.
  boolean,  ///< Must all be bool.
  choice,   ///< The first must be bool; the others are brought to their promoted dtype.
};

/// An identity `left` = `right` over wildcards, applied from left to right. Its two sides are never
/// let go of: rules are kept from their first use on, and what a program's own static objects and
/// detached threads compute while it ends needs them still.
struct Rule {
  std::string_view name;
  const Expr &left, &right;

  Rule(std::string_view name_of_it, Expr from, Expr to)
      : name(name_of_it), left(*new Expr(std::move(from))), right(*new Expr(std::move(to))) {}
};
using Rules = std::span<const Rule>;

/// Where tests sample an elementwise op's operands.
struct Interval {
  double low, high;
};

/// Input types and an expression over such inputs, from which tests are generated.
struct Example {
  std::vector<Type> inputs;
  std::function<Expr(Args)> build;
  std::vector<double> limits = {};  ///< Integer input k is drawn from [0, limits[k]).
};

/// One operation. Constant data: nothing runs before main.
struct Op {
  std::string_view name;

  // Meaning.
  Type (*type)(Args x, const Attrs&) = nullptr;  ///< Result type, or throws TypeError.
  Tensor (*reference)(Values in,
                      const Attrs&) = nullptr;  ///< The value, by xtensor: what Mode::checked runs.
  Operands operands = Operands::as_given;
  bool commutative = false;
  Algebra algebra = Algebra::none;  ///< How it reads as a sum of products.
  LinearForm linear = LinearForm::none;
  int sizes_from = -1;      ///< Inputs from here on are int64 scalars that only say sizes.
  unsigned shape_only = 0;  ///< Bit k: only the shape of input k matters.
  bool observes = false;    ///< It shows its operand to the user: once a call, and never ahead.
  bool moves = false;       ///< It only moves elements, of any type: those for storage alone too.

  // Derivatives.
  Grads (*grad)(Args x, const Expr& y,
                const Expr& gy) = nullptr;  ///< One per input, empty where there is none.
  /// Of an op whose results are parts of one computation, as those of a loop: whether two are of
  /// the same one, and the gradients of several together.
  bool (*siblings)(const Expr& a, const Expr& b) = nullptr;
  Grads (*grads)(std::span<const Expr> ys, std::span<const Expr> gys) = nullptr;
  /// Of an op whose gradient the user gives: whether it has one for input k. Null: for each.
  bool (*given)(const Expr& y, std::size_t k) = nullptr;
  /// Whether what the user gives is linear in the cotangent, as gradients are.
  bool (*linear_rule)(const Expr& y) = nullptr;
  /// Of an op that has no derivative somewhere, where functions of it have one: the same graphs
  /// with these in terms that have. Done before a derivative is taken.
  std::vector<Expr> (*smoothed)(std::span<const Expr> roots) = nullptr;
  /// Result with one more axis in front, where the inputs marked in `batched` have it too. Null:
  /// elementwise alignment.
  Expr (*batch)(Args x, const std::vector<bool>& batched, const Expr& y) = nullptr;
  /// Where the example axis of the inputs (-1: does not depend on examples) stands in the result,
  /// whose positions along it depend on the same ones of the inputs only; -1: examples mix. Null:
  /// elementwise alignment, or they mix.
  std::int64_t (*follow)(Args x, std::span<const std::int64_t> axes, const Expr& y) = nullptr;
  /// The same where an axis alone does not say it, as where axes are regrouped, or chosen from by
  /// indices (see derive/examples.hpp); no place: examples mix.
  deriving::Place (*trace)(const deriving::Flow&) = nullptr;
  /// Of an op that makes integers which count: see derive/examples.hpp.
  std::vector<deriving::Digit> (*digits)(const deriving::Flow&) = nullptr;

  // Rewriting.
  Rules (*rules)() = nullptr;               ///< Identities whose left side starts with this op.
  Expr (*simplify)(const Expr&) = nullptr;  ///< An equal, simpler expression, or an empty one.
  /// Size of one axis of the result in terms of other scalars, where it is not simply an input's.
  Expr (*size_of)(const Expr& y, std::int64_t axis) = nullptr;
  Expr (*expand)(const Expr&) = nullptr;  ///< The same in terms of simpler ops, for Mode::fast.

  Runs runs = {};

  // Tests.
  int arity = 0;  ///< Of an elementwise op.
  Interval probe = {-2, 2};
  std::vector<Example> (*examples)() = nullptr;

  const Elementwise* elementwise() const { return std::get_if<Elementwise>(&runs); }
  const Reduction* reduction() const { return std::get_if<Reduction>(&runs); }
  const View* view() const { return std::get_if<View>(&runs); }
  const Kernel* kernel() const { return std::get_if<Kernel>(&runs); }
  bool accumulates() const { return kernel() && kernel()->accumulates; }

  /// Whether the result depends on the elements of input k, and not on its shape alone.
  bool reads(std::size_t k) const { return !(shape_only >> k & 1u); }
  /// Whether a gradient of y, a result, goes on to input k.
  bool passes(const Expr& y, std::size_t k) const { return reads(k) && (!given || given(y, k)); }
  /// Whether input k is one of the scalars that only say sizes.
  bool is_size(std::size_t k) const {
    return sizes_from >= 0 && k >= static_cast<std::size_t>(sizes_from);
  }
};

}  // namespace cinch
