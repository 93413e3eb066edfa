// Compiled functions: from expressions to something that can be called.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/core/watch.hpp"

namespace CINCH_PUBLIC cinch {

/// How a function runs.
enum class Mode {
  fast,  ///< Rewritten and planned once for each set of input sizes; later calls with the same
         ///< sizes only compute. Plans are kept for the last 16 sets of sizes, and, of those that
         ///< come back later, for up to 256 that together take less than 256 MiB.
  checked,  ///< As written, op by op. Where that makes a NaN or an infinity of a result, as log(z)
            ///< of a sigmoid that is 0, the result is that of the form that Mode::fast computes.
};

/// The new value of a shared variable after a call.
struct Update {
  Shared target;
  Expr value;
};
using Updates = std::vector<Update>;

/// What a function is made of; name the fields: function({.inputs = {x}, .outputs = {cost},
/// .updates = ...}).
struct FunctionSpec {
  std::vector<Expr> inputs = {};  ///< Variables, in the order of the arguments.
  std::vector<Expr> outputs = {};
  Updates updates = {};       ///< All computed from the values before the call.
  Substitutions givens = {};  ///< {x, expression}: the expression is used in place of x.
  Mode mode = Mode::fast;
  /// Values for arguments that a call leaves out, {{rate, 0.1}}: the last ones in order, or any by
  /// name. Copied here, and converted as arguments are.
  std::vector<Binding> defaults = {};
  /// What is an error, a ValueError that names the node whose value is wrong, its values and its
  /// line; after it no variable has changed. By default Watch::not_finite in Mode::checked and
  /// nothing in Mode::fast, where watching costs a copy of the variables that change. Results are
  /// watched, not what they are computed from, so that infinities and NaNs on the way may be meant;
  /// Watch::everywhere is for Mode::checked only and lets none pass.
  std::optional<Watch> watch = {};
  bool allow_unused_inputs = false;
  std::string name = "function";  ///< In messages.
  bool profile = false;           ///< Measure each step, for profile(): see explain.hpp.
};

/// How a copy of a function differs from it.
struct CopySpec {
  /// {{W, V}}: V in place of W, read and updated. They have one dtype and shape; where W's rows are
  /// free, V may have any number of them.
  std::vector<std::pair<Shared, Shared>> swap = {};
  bool delete_updates = false;  ///< Leave all variables as they are, but draws stay new.
  std::string name = "";        ///< In messages; empty: the function's.
};

/// What stands between the braces of a call, f({images, 0.1}): a tensor, which is not copied, or a
/// number.
class Argument {
 public:
  Argument(const Tensor& tensor) : tensor_(&tensor) {}
  template <class T>
  requires std::is_arithmetic_v<T> Argument(T number) : number_(number) {}

  const Tensor& tensor() const { return number_ ? *number_ : *tensor_; }

 private:
  const Tensor* tensor_ = nullptr;
  std::optional<Tensor> number_;
};

/// A compiled function. Copies share the compiled code. It may be called from several threads:
/// calls of one function take turns, and so do calls of functions one of which changes a variable
/// that the other one uses, so that each finds all variables as they were before the other or after
/// it; all others are independent.
class Function {
 public:
  Function() = default;
  explicit operator bool() const { return compiled_ != nullptr; }

  /// Outputs for these arguments, after which the updates hold. The last ones may be left out where
  /// the function has defaults for them. Scalars convert to the input's
  /// dtype where no value is lost; anything else must have it. On an exception no shared variable
  /// has changed.
  std::vector<Tensor> operator()(std::initializer_list<Argument> arguments,
                                 Source where = Source::here()) const;
  std::vector<Tensor> operator()(const std::vector<Tensor>& arguments = {},
                                 Source where = Source::here()) const;
  /// The same with arguments by the inputs' names. Throws TypeError where one without a default is
  /// missing or one is unknown, or where two inputs have one name.
  std::vector<Tensor> call(const std::map<std::string, Tensor>& arguments,
                           Source where = Source::here()) const;
  /// The same with arguments that are not copied.
  std::vector<Tensor> call(std::span<const Tensor* const> arguments) const;
  /// The same with outputs that are written over: where they have the right dtypes and shapes
  /// already, as from the call before, and the sizes have been met before, nothing is allocated.
  void call(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs) const;

  /// A function of its own made of the same formulas, with other shared variables or without the
  /// updates, as in Theano. Throws TypeError for a variable to be swapped that the function does
  /// not use, that is named twice, or that has another dtype or shape than what replaces it.
  Function copy(const CopySpec& spec = {}, Source where = Source::here()) const;

  /// The graph that runs, rewritten: for looking at.
  const std::vector<Expr>& graph() const;
  /// The steps of the plan used last: one line each, with the user's lines. Empty before the first
  /// call.
  std::string plan_text() const;
  /// Bytes of temporaries in the plan used last; number of plans made so far.
  std::size_t arena_bytes() const;
  std::size_t plans_made() const;
  /// Whether calls from now on measure each step, for profile(). Costs some 50 ns a step.
  void set_profiling(bool on) const;

 private:
  friend Function function(FunctionSpec spec);
  friend struct Inspect;  // For who explains, trains and minimises: compile/inspect.hpp.
  struct Compiled;
  Compiled& compiled(Source where = {}) const;
  std::shared_ptr<Compiled> compiled_;
};

/// Compiles. Throws TypeError for a variable that is not an input, an input that is not used, an
/// update whose type is not its variable's, two updates of one variable, a given whose type does
/// not fit, or for a variable that is given already, or a default that does not fit or is of no
/// input; ValueError for Watch::everywhere in
/// Mode::fast.
Function function(FunctionSpec spec);
/// As in Theano: function({x}, {cost}, updates, givens).
Function function(std::vector<Expr> inputs, std::vector<Expr> outputs, Updates updates = {},
                  Substitutions givens = {}, Mode mode = Mode::fast);

/// A variable and its value during one call, which is not copied.
struct BoundNow {
  BoundNow(const Expr& x, const Tensor& value_of_x) : variable(x), value(value_of_x) {}
  BoundNow(const Binding& binding) : BoundNow(binding.first, binding.second) {}

  const Expr& variable;
  const Tensor& value;
};

/// The value of one expression, for once. Its variables get their values from `bindings`; those in
/// braces, evaluate(sum(x), {{x, images}}), are not copied.
Tensor evaluate(const Arg& expr, const std::vector<Binding>& bindings = {});
Tensor evaluate(const Arg& expr, std::initializer_list<BoundNow> bindings);

}  // namespace cinch
