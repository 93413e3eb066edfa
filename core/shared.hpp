// Variables with a value that outlives a call: parameters, data sets, the states of random streams.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// An expression whose value is stored, read by any number of functions and changed by their
/// updates or by set(). Copies share the value. Its type, shape included, never changes, but for
/// the number of rows where with_free_rows() made it. Functions, get() and set() may be called from
/// several threads at once: each finds the value as it was before another one or after it, and
/// set() waits for the calls that compute with the value.
class Shared : public Expr {
 public:
  Shared() = default;
  /// A variable with this first value; `label` is its name in messages and files.
  explicit Shared(Tensor value, std::string label = "", Source where = Source::here());

  /// A variable whose first axis may change, as a data set of which parts are loaded in turn or a
  /// buffer that grows: set() takes any number of rows, and so does an update. Functions that use
  /// it are planned for each number of rows they meet, as for sizes of arguments. Throws TypeError
  /// for a scalar.
  static Shared with_free_rows(Tensor value, std::string label = "", Source where = Source::here());

  // Each throws TypeError, with `where`, the caller's line, for Shared().

  /// A copy of the value.
  Tensor get(Source where = Source::here()) const;
  /// The value itself, valid until the next set() or call of a function that updates it, in
  /// whatever thread.
  const Tensor& value(Source where = Source::here()) const;
  /// Throws TypeError unless `value` has the variable's dtype and shape, its number of rows apart
  /// where that is free; a scalar literal is converted.
  void set(Tensor value, Source where = Source::here());
  /// Whether set() takes such a value as it is.
  bool takes(const Tensor& value) const;
  const std::string& label() const;

 private:
  friend Shared as_shared(const Expr& expr);
};

// A formula cannot be assigned to a variable: set() a value, or give a function an update.
template <class T>
Expr& operator+=(Shared&, const T&) = delete;
template <class T>
Expr& operator-=(Shared&, const T&) = delete;
template <class T>
Expr& operator*=(Shared&, const T&) = delete;
template <class T>
Expr& operator/=(Shared&, const T&) = delete;

/// The Theano spelling of Shared{value, label}.
inline Shared shared(Tensor value, std::string label = "", Source where = Source::here()) {
  return Shared(std::move(value), std::move(label), where);
}

bool is_shared(const Expr& expr);
/// The shared variable that `expr` is. Throws TypeError for another expression.
Shared as_shared(const Expr& expr);
/// The shared variables that `roots` depend on, each once.
std::vector<Shared> shared_variables(std::span<const Expr> roots);

}  // namespace cinch
