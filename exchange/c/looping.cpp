// Loops: steps that find states as the step before left them.
#include <algorithm>
#include <iterator>

#include "cinch/core/op.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/exchange/graph/loop.hpp"

namespace cinch::exchange {

namespace {

std::int64_t elements(const Type& type) { return element_count(type.shape()); }

}  // namespace

void Emitter::copy(const std::string& to, const std::string& from, const Type& type) {
  line("memcpy(" + to + ", " + from + ", " + number(bytes_of(type)) + ");");
}

/// Writes a value that has been computed.
void Emitter::put(const std::string& to, const Expr& value) {
  is_value(value) ? line("*(" + to + ") = " + this->value(value) + ";")
                  : copy(to, pointer(value), value.type());
}

/// What a variable of a step stands for lies at `place`.
void Emitter::take_row(const Expr& variable, const Expr& operand, const std::string& place) {
  if (!needed_.contains(variable.get())) {
    line("(void)" + pointer(operand) + ";");
    return;
  }
  const std::string name = "v" + number(next_++), type = c_type(operand.dtype());
  if (variable.rank() == 0) {
    line("const " + type + " " + name + " = *(" + place + ");");
    value_[variable.get()] = name;
  } else {
    line("const " + type + " *const " + name + " = " + place + ";");
    pointer_[variable.get()] = name;
  }
  line("(void)" + name + ";");
}

/// Makes all results of the loop that this is one of.
void Emitter::run_loop(const Expr& node) {
  std::vector<Expr> needed;
  std::ranges::copy_if(order_, std::back_inserter(needed),
                       [&](const Expr& e) { return needed_.contains(e.get()); });
  const Loop loop = Loop::of(node, needed);
  const graphs::Recurrence& r = loop.r;
  const std::span<const Expr> operands = node.inputs();
  for (const auto& [other, kind, index] : loop.results) {
    if (other == node) continue;
    made_.insert(other.get());
    pointer_[other.get()] =
        reserve("v" + number(next_++), c_type(other.dtype()), bytes_of(other.type()));
  }
  std::vector<std::string> now;
  for (std::size_t k = 0; k < r.states; ++k) {
    const Expr &state = r.state(k), &initial = operands[r.sequences + k];
    now.push_back(reserve("v" + number(next_++), c_type(state.dtype()), bytes_of(state.type())));
    copy(now.back(), pointer(initial), state.type());
  }
  // Where the row of step t is, and what is put into the rows of results.
  const std::string id = number(next_++), s = "s" + id, t = "k" + id;
  const std::int64_t steps = operands[0].dims()[0].size();
  const auto row = [&](const std::string& rows, std::int64_t of_each, const std::string& step) {
    return rows + " + (" + step + ") * " + number(of_each);
  };
  const auto put_states = [&](LoopResult::Kind kind) {
    for (const Loop::Result& y : loop.results) {
      if (y.kind != kind) continue;
      const Type& type = r.state(y.index).type();
      copy(row(pointer(y.node), elements(type), t), now[y.index], type);
    }
  };
  const auto open_steps = [&] { open("for (; " + s + " < " + number(steps) + "; ++" + s + ")"); };
  const auto set_row = [&] {
    line("const int64_t " + t + " = " + (r.backward ? number(steps - 1) + " - " : "") + s + ";");
    line("(void)" + t + ";");
  };

  line("int64_t " + s + " = 0;");
  const std::size_t begin = stretches_.size();
  stretches_.push_back(statements_.size());
  open_steps();
  known_.clear();
  if (r.until >= 0) line("if (*" + now[static_cast<std::size_t>(r.until)] + ") break;");
  set_row();
  const std::vector<Expr> roots = loop.roots(), order = topological(roots);
  decide(order, roots);
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Expr& v = r.variables[k];
    const bool is_state = k >= r.sequences && k < r.others_begin();
    const std::string place = is_state ? now[k - r.sequences] : pointer(operands[k]);
    take_row(v, operands[k], k < r.sequences ? row(place, elements(v.type()), t) : place);
  }
  put_states(LoopResult::before);
  compute(order);
  for (const Loop::Result& y : loop.results) {
    if (y.kind != LoopResult::row) continue;
    const Expr& value = loop.rows[y.index];
    put(row(pointer(y.node), elements(value.type()), t), value);
  }
  // A new value that is another state is that one's old value.
  std::vector<std::string> next(r.states);
  for (std::size_t k = 0; k < r.states; ++k) {
    const Expr& value = r.updates[k];
    const auto states = std::span(r.variables).subspan(r.sequences, r.states);
    if (is_value(value) || value == r.state(k) || std::ranges::find(states, value) == states.end())
      continue;
    next[k] = reserve("v" + number(next_++), c_type(value.dtype()), bytes_of(value.type()));
    put(next[k], value);
  }
  for (std::size_t k = 0; k < r.states; ++k) {
    const Expr& value = r.updates[k];
    if (value == r.state(k)) continue;
    next[k].empty() ? put(now[k], value) : copy(now[k], next[k], value.type());
  }
  put_states(LoopResult::after);
  close();
  if (r.until >= 0) {
    open_steps();
    set_row();
    for (const Loop::Result& y : loop.results) {
      if (y.kind != LoopResult::row) continue;
      const Type& type = loop.rows[y.index].type();
      const std::string rows = pointer(y.node), to = row(rows, elements(type), t),
                        zeros = "memset(" + to + ", 0, " + number(bytes_of(type)) + ");";
      if (loop.is_zero_after[y.index]) {
        line(zeros);
        continue;
      }
      line("if (" + s + " == 0) " + zeros);
      line("else memcpy(" + to + ", " +
           row(rows, elements(type), t + (r.backward ? " + 1" : " - 1")) + ", " +
           number(bytes_of(type)) + ");");
    }
    put_states(LoopResult::before);
    put_states(LoopResult::after);
    close();
  }
  for (const Loop::Result& y : loop.results) {
    if (y.kind == LoopResult::last) copy(pointer(y.node), now[y.index], y.node.type());
  }
  repeated_.emplace_back(begin, stretches_.size() - 1);
  stretches_.push_back(statements_.size());
}

/// The function ends where the residual of a fixed point is too large.
void Emitter::check_converged(const Expr& node) {
  const std::span<const Expr> in = node.inputs();
  line("if (!(*" + pointer(in[1]) + " <= " + c_number(*node.attrs().value, 0) + ")) return 1;");
  copy(pointer(node), pointer(in[0]), node.type());
}

}  // namespace cinch::exchange
