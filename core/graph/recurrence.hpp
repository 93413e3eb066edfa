// What a scan computes: a recurrence in variables of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "cinch/core/op.hpp"

namespace cinch::graphs {

/// Of a scan node. Its operands are the sequences, the states' initial values and what is the same
/// at each step, and `variables` stands for them at one step: a row of each sequence, the states as
/// the step before left them, the others themselves.
struct Recurrence {
  std::size_t sequences = 0;  ///< At least one, which says how many steps there are.
  std::size_t states = 0;
  bool backward = false;    ///< From the last row to the first.
  std::int64_t last = -1;   ///< The state whose last value this is; -1: `value` of each step.
  std::int64_t until = -1;  ///< The state that, once true, says that nothing changes any more.
  bool checkpoint = false;  ///< Nothing but states is kept of a step.
  std::vector<Expr> variables;
  std::vector<Expr> updates;  ///< What a step makes of each state.
  Expr value;                 ///< Row t of the result, where `last` is -1.

  static Recurrence of(const Attrs& a) {
    Recurrence result;
    result.sequences = static_cast<std::size_t>(a.ints[0]);
    result.states = static_cast<std::size_t>(a.ints[1]);
    result.backward = a.ints[2] != 0;
    result.last = a.ints[3];
    result.until = a.ints[4];
    result.checkpoint = a.ints[5] != 0;
    const auto updates = a.formula.end() - 1 - a.ints[1];
    result.variables.assign(a.formula.begin(), updates);
    result.updates.assign(updates, a.formula.end() - 1);
    result.value = a.formula.back();
    return result;
  }
  Attrs attrs() const {
    Attrs result{.ints = {static_cast<std::int64_t>(sequences), static_cast<std::int64_t>(states),
                          backward, last, until, checkpoint}};
    result.formula = variables;
    result.formula.insert(result.formula.end(), updates.begin(), updates.end());
    result.formula.push_back(last < 0 ? value : updates[static_cast<std::size_t>(last)]);
    return result;
  }

  /// Whether steps after `until` are not made. In a loop over parts each part sees to it itself.
  bool ends_early() const { return until >= 0 && !checkpoint; }
  /// Whether both make the same steps, of which each asks for a result of its own.
  bool has_steps_of(const Recurrence& other) const;
  std::size_t others_begin() const { return sequences + states; }
  const Expr& state(std::size_t k) const { return variables[sequences + k]; }
  /// Which states the result depends on, `until` included.
  std::vector<bool> states_behind_result() const;
  /// What `variables[k]` may be, where operand k is this.
  Type variable_type(std::size_t k, const Expr& operand) const;
  /// The same in variables of these operands' types, and with numbers where those are numbers.
  Recurrence fitted(Args operands) const;
};

/// Whether `e` is an int64 scalar whose value is known.
bool is_number(const Expr& e);
/// Of rows, the type of each.
Type row_type(const Type& rows);

/// Whether operand k only says a size, or is an int64 scalar that sizes inside a scan or a fixed
/// point depend on.
bool says_size(const Expr& node, std::size_t k);

}  // namespace cinch::graphs
