// Loops over the first axis, in the terms of Theano's scan.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

extern const Op scan_op;

/// A tensor whose rows a loop goes through, one a step. Step t sees row t + tap for each of `taps`,
/// rows counted so that all of them exist: with taps {-1, 0, 1} there are two steps fewer than
/// rows.
struct ScanSequence {
  ScanSequence(const Expr& rows) : values(rows) {}
  ScanSequence(const Expr& rows, std::vector<std::int64_t> which)
      : values(rows), taps(std::move(which)) {}

  Expr values;
  std::vector<std::int64_t> taps = {0};
};

/// What an output of a loop is before the first step. Step t sees the output of step t + tap for
/// each of `taps`, all below 0. With taps {-1} the value has the output's shape; with others it has
/// one more axis in front, for the steps from the earliest tap on to -1. Empty: the output has no
/// initial value, and no step sees it.
struct ScanInitial {
  ScanInitial() = default;
  ScanInitial(const Expr& before) : value(before) {}
  template <class T>
  requires std::is_arithmetic_v<T> ScanInitial(T before) : value(before) {}
  ScanInitial(const Expr& before, std::vector<std::int64_t> which)
      : value(before), taps(std::move(which)) {}

  Expr value;
  std::vector<std::int64_t> taps = {-1};
};

/// What the body of a loop makes of one step: outputs, new values of shared variables, and a bool
/// scalar that ends the loop after the step in which it is true.
struct ScanStep {
  ScanStep(const Expr& output) : outputs{output} {}
  ScanStep(std::vector<Expr> all, Updates of_variables = {}, const Expr& stop = {})
      : outputs(std::move(all)), updates(std::move(of_variables)), until(stop) {}

  std::vector<Expr> outputs;
  Updates updates;
  Expr until;
};

/// The body of a loop: a callable of one Expr for each row, each output as it was before, and each
/// of the non-sequences, in this order, as Theano passes them; or of one vector of them all. It
/// returns a ScanStep, one Expr, or several in a std::vector. It is called once.
class ScanBody {
 public:
  static constexpr std::size_t most_arguments = 16;

  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, ScanBody>) ScanBody(F body) {
    if constexpr (std::is_invocable_v<F&, const std::vector<Expr>&>) {
      call_ = [body](const std::vector<Expr>& x) mutable { return ScanStep(body(x)); };
    } else {
      constexpr std::size_t count = arity<F>();
      static_assert(count <= most_arguments, "a body takes at most 16 Expr, or a vector of them");
      arity_ = count;
      call_ = [body](const std::vector<Expr>& x) mutable {
        return with_each(body, x, std::make_index_sequence<arity<F>()>());
      };
    }
  }

  ScanStep operator()(const std::vector<Expr>& arguments) const { return call_(arguments); }
  /// How many it takes; none: any number.
  const std::optional<std::size_t>& arity() const { return arity_; }

 private:
  template <std::size_t>
  using One = const Expr&;
  template <class F, std::size_t... I>
  static constexpr bool takes(std::index_sequence<I...>) {
    return std::is_invocable_v<F&, One<I>...>;
  }
  template <class F, std::size_t N = 0>
  static constexpr std::size_t arity() {
    if constexpr (N > most_arguments || takes<F>(std::make_index_sequence<N>())) {
      return N;
    } else {
      return arity<F, N + 1>();
    }
  }
  template <class F, std::size_t... I>
  static ScanStep with_each(F& body, const std::vector<Expr>& x, std::index_sequence<I...>) {
    return ScanStep(body(x[I]...));
  }

  std::function<ScanStep(const std::vector<Expr>&)> call_;
  std::optional<std::size_t> arity_;
};

struct ScanOptions {
  std::vector<ScanSequence> sequences = {};
  std::vector<ScanInitial> initial = {};  ///< Of the first outputs; the others have none.
  std::vector<Expr> non_sequences = {};   ///< The same at each step. A body may use others too.
  Expr steps = {};            ///< An int64 scalar or number; empty: as many as the sequences have.
  bool go_backwards = false;  ///< Sequences are gone through from their last row on.
  /// For a gradient, states are kept of every sqrt(steps)-th step only, and what is in between is
  /// computed again: O(sqrt(steps)) memory for one more pass (Griewank, 1992).
  bool checkpoint = false;
};

/// A loop's results.
struct Scan {
  /// What each step returned, one row a step: (steps, ...).
  std::vector<Expr> outputs;
  /// New values of the shared variables that the body updates, to be given to function().
  Updates updates;
  /// How many steps were made, an int64 scalar: all, or up to the one where `until` held. Rows from
  /// there on hold the last value of an output with an initial value, 0 of others.
  Expr steps;

  const Expr& operator[](std::size_t k) const { return outputs.at(k); }
  /// What output k is after the last step; its initial value where there was no step. No other row
  /// is kept for it.
  const Expr& last(std::size_t k = 0, Source where = Source::here()) const;

  std::vector<Expr> finals;  ///< Of outputs with an initial value; empty for others.
};

/// A loop as an expression, compiled once for any number of steps: `body` describes one step, of a
/// row of each sequence and of the outputs of earlier steps, and may use any other expression,
/// which is computed once. It can be differentiated in every way and to any order; its gradient is
/// a loop backward over the rows that this one made.
///
///     const Scan h = scan([&](Expr x, Expr h) { return tanh(dot(x, W) + dot(h, U) + b); },
///                         {.sequences = {X}, .initial = {h0}});
///
/// Random draws that the body makes are new in each step; those made before are one value for all.
/// What it shows by observed() is shown at each step, once for each dtype among what is asked of
/// the loop; again where checkpoints have steps made twice, and for each result in Mode::checked.
/// Throws TypeError where the body takes another number of arguments, where sequences have
/// different numbers of rows, known then or at a call, where an output has not the dtype and shape
/// of its initial value, and for `until` that is no bool scalar.
Scan scan(const ScanBody& body, const ScanOptions& options, Source where = Source::here());

}  // namespace cinch
