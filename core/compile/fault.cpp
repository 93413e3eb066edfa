#include "cinch/core/compile/fault.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::compiling {

namespace {

template <class F>
bool any_element(const Tensor& value, F&& f) {
  if (!is_float(value.dtype())) return false;
  return dispatch_float(value.dtype(),
                        [&]<class T> { return std::ranges::any_of(value.data<T>(), f); });
}

bool has_nan(const Tensor& value) {
  return any_element(value, [](auto x) { return std::isnan(x); });
}
bool has_infinity(const Tensor& value) {
  return any_element(value, [](auto x) { return std::isinf(x); });
}

/// Whether an element is not finite, or, for Watch::nan, NaN, that is better in `healed`.
bool is_worse(const Tensor& value, const Tensor& healed, Watch watch) {
  if (!is_float(value.dtype()) || value.shape() != healed.shape()) return false;
  for (std::int64_t i = 0; i < value.size(); ++i) {
    const double x = value.at(i), y = healed.at(i);
    if (std::isnan(x) && !std::isnan(y)) return true;
    if (watch != Watch::nan && std::isinf(x) && std::isfinite(y)) return true;
  }
  return false;
}

/// `value` with numbers in place of NaN and, unless they are `meant`, infinities. They differ, lie
/// between 0 and 1 and are far from both, so that most functions take them.
Tensor healed(Tensor value, bool meant) {
  dispatch_float(value.dtype(), [&]<class T> {
    double fraction = 0;
    for (T& x : value.data<T>()) {
      fraction += 0.618034;
      if (fraction >= 1) fraction -= 1;
      if (std::isnan(x) || (!meant && std::isinf(x))) x = static_cast<T>(0.5 + fraction / 4);
    }
  });
  return value;
}

enum class Form { running, written };

/// The formulas as they run, or as they were written, all sizes known, and who makes what is not
/// finite. What is bound to a value need not be a variable.
class Investigation {
 public:
  Investigation(std::span<const Expr> roots, std::span<const Binding> bindings, Form form) {
    NodeMap<Expr> done;
    for (const auto& [x, value] : bindings) {
      const Expr& sized = alive_.emplace_back(variable(describe(x), type_of(value), x->where));
      done[x.get()] = sized;
      values_[sized.get()] = &value;
    }
    // What is computed again and again is shown to nobody.
    const std::vector<Expr> written = rebuild(
        roots, [](const Expr& e) { return e.op().observes ? Expr(e.inputs()[0]) : e; }, done);
    for (const Expr& node : topological(written)) {
      const Tensor* constant = constant_value(node);
      infinities_are_written_ = infinities_are_written_ || (constant && has_infinity(*constant));
    }
    for (const Expr& node : topological(roots)) {
      if (const auto sized = done.find(node.get()); sized != done.end())
        original_.emplace(sized->second.get(), node);
    }
    roots_ = form == Form::running ? rewriting::rewrite(written) : written;
    order_ = topological(roots_);
    for (const Expr& node : order_) {
      for (const Expr& input : node.inputs()) ++uses_[input.get()];
    }
    for (const Expr& root : roots_) ++uses_[root.get()];
  }

  /// The user's node that a node of the written form stands for.
  const Expr& original(const Expr& node) const { return original_.at(node.get()); }

  struct Run {
    std::vector<Tensor> results;
    std::vector<Expr> makers;  ///< Of what is not finite, in order.
    bool refused = false;      ///< An op does not take what is not finite.
  };

  /// Computes everything, with numbers in place of what makers make but for those in `kept`; null:
  /// all are kept. `seen` is shown each maker's value and operands.
  using Seen = std::function<void(const Expr&, const Tensor&, std::span<const Tensor* const>)>;
  Run run(const NodeSet* kept, const Seen& seen = {}) const {
    Run result;
    NodeMap<std::size_t> uses = uses_;
    NodeMap<Tensor> computed;
    NodeMap<const Tensor*> value = values_;
    NodeMap<State> state;
    for (const Expr& node : order_) {
      std::vector<const Tensor*> operands;
      bool spoiled = false, meant = false;
      for (const Expr& input : node.inputs()) {
        operands.push_back(value.at(input.get()));
        spoiled = spoiled || state[input.get()] == State::spoiled;
        meant = meant || state[input.get()] == State::meant;
      }
      const Tensor* constant = constant_value(node);
      if (constant) {
        value[node.get()] = constant;
        meant = infinities_are_written_;
      } else if (is_shared(node) && !value.contains(node.get())) {
        value[node.get()] = &as_shared(node).value();
      } else if (!value.contains(node.get())) {
        if (graphs::is_leaf(node)) throw TypeError("variable " + describe(node) + " has no value");
        value[node.get()] =
            &(computed[node.get()] = value_of(node, operands, spoiled || kept, result.refused));
      }
      const Tensor& here = *value.at(node.get());
      const bool is_nan = has_nan(here), infinite = has_infinity(here);
      if (is_nan || infinite) {
        State& mine = state[node.get()];
        mine = spoiled ? State::spoiled : State::meant;
        if (!spoiled && (is_nan || !meant)) {
          result.makers.push_back(node);
          if (seen) seen(node, here, operands);
          if (!kept || kept->contains(node.get())) {
            mine = State::spoiled;
          } else {
            value[node.get()] = &(computed[node.get()] = healed(here, meant));
            mine = meant && infinite ? State::meant : State::finite;
          }
        }
      }
      for (const Expr& input : node.inputs()) {
        if (--uses[input.get()] == 0) computed.erase(input.get());
      }
    }
    for (const Expr& root : roots_) result.results.push_back(*value.at(root.get()));
    return result;
  }

 private:
  /// What of a value is not finite: nothing, infinities that come from numbers that were written,
  /// or something that a maker has made.
  enum class State { finite, meant, spoiled };

  std::vector<Expr> roots_, order_, alive_;
  /// NaN where an op refuses what is spoiled, as decompositions do: whose fault that is comes out
  /// all the same. So it is where numbers were put in place, which an op need not take: NaN then is
  /// replaced like any other.
  static Tensor value_of(const Expr& node, std::span<const Tensor* const> operands, bool may_refuse,
                         bool& refused) {
    try {
      return running::interpret_node(node, operands);
    } catch (const ValueError&) {
      if (!may_refuse || !is_float(node.dtype()) || !node.type().is_static()) throw;
      refused = true;
      return Tensor::full(node.dtype(), node.type().shape(),
                          std::numeric_limits<double>::quiet_NaN());
    }
  }

  NodeMap<const Tensor*> values_;
  NodeMap<std::size_t> uses_;
  NodeMap<Expr> original_;
  bool infinities_are_written_ = false;
};

std::string number(double x) { return std::isnan(x) ? "nan" : text(x); }

/// "from -1 to 2, 3 nan"
std::string range(const Tensor& value) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  std::int64_t nans = 0;
  for (std::int64_t i = 0; i < value.size(); ++i) {
    const double x = value.at(i);
    nans += std::isnan(x);
    if (x < low) low = x;
    if (x > high) high = x;
  }
  const std::string between = low == high  ? number(low)
                              : low < high ? text("from ", number(low), " to ", number(high))
                                           : "";
  return between + (nans ? text(between.empty() ? "" : ", ", nans, " nan") : "");
}

std::int64_t first_fault(const Tensor& value) {
  const bool nan = has_nan(value);
  std::int64_t i = 0;
  while (nan ? !std::isnan(value.at(i)) : std::isfinite(value.at(i))) ++i;
  return i;
}

/// What to do about it; empty where the values say enough.
std::string remedy(const Expr& node, double made) {
  const std::string_view op = node.op().name;
  if (op == "log" || op == "sqrt" || op == "log1p" || op == "arcsin" || op == "arccos" ||
      op == "arccosh" || op == "arctanh" || op == "erfinv") {
    return text("Keep its argument inside the range of ", op,
                ", with maximum() or clip() say.\n  where() has to choose the argument, not the "
                "result.");
  }
  if (op == "div") {
    return "Keep the divisor away from 0; where() has to choose the divisor, not the result.";
  }
  if (op == "exp" || op == "expm1" || op == "cosh" || op == "sinh") {
    return std::isinf(made) ? "It overflows: subtract the largest element first, or use softmax(), "
                              "logsumexp() or softplus()."
                            : "";
  }
  if (is_variable(node) || is_shared(node)) return "It was so before anything was computed.";
  return "";
}

bool same_line(Source a, Source b) {
  return a.line == b.line && std::string_view(a.file) == b.file;
}

bool alike(const Expr& a, const Expr& b) {
  return &a.op() == &b.op() && same_line(a->where, b->where);
}

/// The user's node on that line, with that op, whose formula reads as it was written. What was
/// computed from numbers when the formula was rewritten is the last one there. `node` itself where
/// there are none or several.
Expr as_written(const Expr& node, std::span<const Expr> roots) {
  const bool computed = constant_value(node) != nullptr;
  Expr result;
  for (const Expr& e : topological(roots)) {
    if (!(computed ? !graphs::is_leaf(e) && same_line(e->where, node->where) : alike(e, node)))
      continue;
    if (result.has_value() && !computed) return node;
    result = e;
  }
  return result.has_value() ? result : node;
}

Fault describe_fault(const Expr& node, const Tensor& value, std::span<const Tensor* const> operands,
                     std::span<const Expr> roots) {
  const std::int64_t element = first_fault(value);
  const Expr shown = as_written(node, roots);
  const double made = value.at(element);
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < value.size(); ++i) count += !std::isfinite(value.at(i));
  std::string what = text("element ", element, " of ", describe(shown), " is ", number(made),
                          "\n  ", text(type_of(value)), "  ", shown.op().name);
  if (value.size() > 1) what += text(", ", count, " of ", value.size(), " elements not finite");
  for (std::size_t k = 0; k < operands.size(); ++k) {
    const Tensor& operand = *operands[k];
    if (node.op().is_size(k)) break;
    if (operand.size() == 0 || !node.op().reads(k)) continue;
    what += text("\n  of ", describe(node.inputs()[k]), ": ");
    const bool there = node.op().elementwise() && operand.shape() == value.shape();
    if (there && operand.size() > 1) what += text(number(operand.at(element)), " there, ");
    what += range(operand);
  }
  what += written_at(node->where);
  const std::string advice = remedy(node, made);
  if (!advice.empty()) what += "\n  " + advice;
  return {node, element, std::move(what)};
}

/// A form that rewriting makes may join nodes of several lines, as a quotient takes an exponential
/// of another line in, and stands on the line of the last. The user's own node that it has its NaN
/// or infinity from: the one without which there is one fault less like `blamed`. None where such a
/// node stands on that line as written, or nothing else explains it.
std::optional<Fault> fault_as_written(const Expr& blamed, std::span<const Expr> roots,
                                      std::span<const Binding> bindings) {
  constexpr std::size_t most = 64;  // Each costs a rewriting.
  struct Suspect {
    Expr node;
    Tensor value;
    Fault fault;
  };
  std::vector<Suspect> suspects;
  std::vector<Expr> on_line;
  for (const Expr& e : topological(roots)) {
    if (alike(e, blamed)) return {};
    if (same_line(e->where, blamed->where)) on_line.push_back(e);
  }
  NodeSet behind;
  for (const Expr& e : topological(on_line)) behind.insert(e.get());
  const Investigation written(roots, bindings, Form::written);
  written.run(nullptr, [&](const Expr& node, const Tensor& value, auto operands) {
    const Expr& mine = written.original(node);
    if (suspects.size() < most && behind.contains(mine.get()))
      suspects.push_back({mine, value, describe_fault(mine, value, operands, roots)});
  });
  if (suspects.empty()) return {};
  if (suspects.size() == 1) return suspects[0].fault;
  const auto faults_without = [&](const auto& is_healed) {
    std::vector<Binding> at(bindings.begin(), bindings.end());
    for (const Suspect& s : suspects) {
      if (is_healed(s)) at.emplace_back(s.node, healed(s.value, /*meant=*/false));
    }
    const Investigation changed(roots, at, Form::running);
    return std::ranges::count_if(changed.run(nullptr).makers,
                                 [&](const Expr& maker) { return alike(maker, blamed); });
  };
  const auto before = faults_without([](const Suspect&) { return false; });
  for (const Suspect& one : suspects) {
    if (faults_without([&](const Suspect& s) { return &s == &one; }) < before) return one.fault;
  }
  for (const Suspect& one : suspects) {
    if (faults_without([&](const Suspect& s) { return &s != &one; }) > 0) return one.fault;
  }
  return {};
}

}  // namespace

bool is_faulty(const Tensor& value, Watch watch) {
  if (watch == Watch::nothing) return false;
  return has_nan(value) || (watch != Watch::nan && has_infinity(value));
}

Inquiry inquire(std::span<const Expr> roots, std::span<const Binding> bindings, Watch watch,
                const std::vector<bool>& watched) {
  const Investigation it(roots, bindings, Form::running);
  NodeMap<Fault> described;
  const auto plain = it.run(nullptr, [&](const Expr& node, const Tensor& value, auto operands) {
    described.emplace(node.get(), describe_fault(node, value, operands, roots));
  });
  Inquiry result{plain.results, {}, plain.refused};
  const auto spoils = [&](std::size_t kept, const std::vector<Tensor>& healed) {
    NodeSet nodes;
    for (const Expr& maker : std::span(plain.makers).first(kept)) nodes.insert(maker.get());
    const auto trial = it.run(&nodes);
    for (std::size_t k = 0; k < trial.results.size(); ++k) {
      const bool counts = watched.empty() || watched[k];
      if (counts && is_worse(trial.results[k], healed[k], watch)) return true;
    }
    return false;
  };
  bool faulty = false;
  for (std::size_t k = 0; k < plain.results.size(); ++k) {
    faulty = faulty || ((watched.empty() || watched[k]) && is_faulty(plain.results[k], watch));
  }
  if (!faulty || plain.makers.empty()) return result;
  std::size_t fine = 0, bad = plain.makers.size();
  try {
    const NodeSet none;
    const std::vector<Tensor> healed = it.run(&none).results;
    if (!spoils(bad, healed)) return result;  // Infinities that were written as numbers.
    while (bad - fine > 1) {
      const std::size_t middle = fine + (bad - fine) / 2;
      (spoils(middle, healed) ? bad : fine) = middle;
    }
  } catch (const Error&) {
    // An op does not take the numbers put in place: then the first one it may be.
    const auto nan = std::ranges::find_if(plain.makers, [&](const Expr& maker) {
      return described.at(maker.get()).text.find(" is nan\n") != std::string::npos;
    });
    bad = nan == plain.makers.end() ? 1 : static_cast<std::size_t>(nan - plain.makers.begin()) + 1;
  }
  const Expr& blamed = plain.makers[bad - 1];
  try {
    result.fault = fault_as_written(blamed, roots, bindings);
  } catch (const Error&) {
    // An op does not take what it is given as written: then what runs is all that is known.
  }
  if (!result.fault) result.fault = described.at(blamed.get());
  return result;
}

}  // namespace cinch::compiling
