// Loops as Scan.
#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/exchange/graph/loop.hpp"
#include "cinch/exchange/onnx/graph.hpp"
#include "cinch/ops/records/attributes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::exchange {

namespace {

using Names = OnnxGraph::Names;
using Values = OnnxGraph::Values;

/// A loop and those of its results that are asked for.
class Steps {
 public:
  Steps(OnnxGraph& graph, const Expr& node)
      : g_(graph), loop_(Loop::of(node, graph.order())), node_(node) {}

  /// Adds it, and names its results.
  void add() {
    const graphs::Recurrence& r = loop_.r;
    const std::span<const Expr> operands = node_.inputs();
    const auto rows = operands.first(r.sequences),
               initial = operands.subspan(r.sequences, r.states);
    // What is the same at each step is found by its name outside.
    for (std::size_t k = r.others_begin(); k < r.variables.size(); ++k)
      g_.name(r.variables[k], g_.name_of(operands[k]));
    take_out();

    Names inputs, outputs;
    Values states, slices;
    for (std::size_t k = 0; k < r.states; ++k) {
      inputs.push_back(g_.name_of(initial[k]));
      states.emplace_back(g_.fresh(), r.state(k));
      outputs.push_back(g_.fresh());
    }
    for (const std::size_t k : carried_rows()) {
      const Expr& row = loop_.rows[k];
      inputs.push_back(g_.zeros(row.dtype(), g_.sizes_of(row)));
      states.emplace_back(g_.fresh(), row);
      outputs.push_back(g_.fresh());
    }
    for (std::size_t k = 0; k < r.sequences; ++k) {
      inputs.push_back(g_.name_of(rows[k]));
      slices.emplace_back(g_.fresh(), r.variables[k]);
    }
    Names of_rows;
    for (const auto& [y, kind, index] : loop_.results) {
      if (kind == LoopResult::last) {
        g_.name(y, outputs[index]);
      } else {
        of_rows.push_back(g_.fresh());
        g_.name(y, of_rows.back());
      }
    }
    const auto directions = [&](std::size_t count) {
      return std::vector<std::int64_t>(count, r.backward ? 1 : 0);
    };
    outputs.insert(outputs.end(), of_rows.begin(), of_rows.end());
    Values given = states;
    given.insert(given.end(), slices.begin(), slices.end());
    const Message body = g_.body("steps", given, [&] { return step(states, slices); });
    std::vector<Attribute> attributes{{"body", body},
                                      {"num_scan_inputs", static_cast<std::int64_t>(r.sequences)},
                                      {"scan_input_directions", directions(r.sequences)}};
    if (!of_rows.empty())
      attributes.push_back({"scan_output_directions", directions(of_rows.size())});
    g_.add_as(outputs, "Scan", inputs, attributes);
  }

 private:
  /// What is the same at each step, and cannot fail, is computed once, and outside: onnxruntime's
  /// optimizer loses results next to a product by what is transposed in a step.
  void take_out() {
    NodeSet within;
    for (std::size_t k = 0; k < loop_.r.others_begin(); ++k)
      within.insert(loop_.r.variables[k].get());
    std::vector<Expr> order, ends;
    const std::vector<Expr> roots = loop_.roots();
    for (const Expr& e : topological(roots)) {
      const auto is_within = [&](const Expr& input) { return within.contains(input.get()); };
      const bool safe = e.op().elementwise() || &e.op() == &dimshuffle_op;
      if (graphs::is_leaf(e) || (safe && std::ranges::none_of(e.inputs(), is_within))) {
        order.push_back(e);
        continue;
      }
      within.insert(e.get());
      std::ranges::copy_if(e.inputs(), std::back_inserter(ends), [&](const Expr& input) {
        return !graphs::is_leaf(input) && !is_within(input);
      });
    }
    g_.add_nodes(order, ends);
  }

  /// Rows that stay what they were once the loop is over.
  std::vector<std::size_t> carried_rows() const {
    std::vector<std::size_t> result;
    for (std::size_t k = 0; loop_.r.until >= 0 && k < loop_.rows.size(); ++k) {
      if (!loop_.is_zero_after[k]) result.push_back(k);
    }
    return result;
  }

  /// A result of a graph has to be computed in it, and each by itself: onnxruntime's optimizer
  /// loses results that are made of others.
  std::pair<std::string, Expr> own(const std::string& name, const Expr& value) {
    return {g_.add("Identity", {name}), value};
  }

  /// The states' new values and the rows, computed.
  Values computed() {
    const std::vector<Expr> roots = loop_.roots();
    g_.add_nodes(topological(roots), roots);
    Values result;
    for (const Expr& root : roots) result.emplace_back(g_.name_of(root), root);
    return result;
  }

  /// One step: the new states, what is carried besides, and a row for each result.
  Values step(const Values& states, const Values& slices) {
    const graphs::Recurrence& r = loop_.r;
    for (std::size_t k = 0; k < r.states; ++k) g_.name(r.state(k), states[k].first);
    for (std::size_t k = 0; k < r.sequences; ++k) g_.name(r.variables[k], slices[k].first);
    const Values now = r.until < 0 ? computed() : computed_until(states);
    Values result;
    for (std::size_t k = 0; k < r.states; ++k) result.push_back(own(now[k].first, now[k].second));
    for (const std::size_t k : carried_rows()) {
      const auto& [name, value] = now[r.states + k];
      result.push_back(own(name, value));
    }
    for (const auto& [y, kind, index] : loop_.results) {
      if (kind == LoopResult::last) continue;
      const auto& [name, value] = kind == LoopResult::before ? states[index]
                                  : kind == LoopResult::row  ? now[r.states + index]
                                                             : now[index];
      result.push_back(own(name, value));
    }
    return result;
  }

  /// The same where nothing changes, and nothing is computed, once the loop is over.
  Values computed_until(const Values& states) {
    const graphs::Recurrence& r = loop_.r;
    const auto stay = [&] {
      Values result;
      for (std::size_t k = 0; k < r.states; ++k)
        result.push_back(own(states[k].first, states[k].second));
      std::size_t next = r.states;
      for (std::size_t k = 0; k < loop_.rows.size(); ++k) {
        const Expr& row = loop_.rows[k];
        result.push_back(loop_.is_zero_after[k] ? own(g_.zeros(row.dtype(), g_.sizes_of(row)), row)
                                                : own(states[next++].first, row));
      }
      return result;
    };
    const Message over = g_.body("over", {}, stay), go_on = g_.body("go_on", {}, [&] {
      Values result;
      for (const auto& [name, value] : computed()) result.push_back(own(name, value));
      return result;
    });
    Names names;
    Values result;
    for (const Expr& root : loop_.roots()) {
      names.push_back(g_.fresh());
      result.emplace_back(names.back(), root);
    }
    g_.add_as(names, "If", {states[static_cast<std::size_t>(r.until)].first},
              {{"then_branch", over}, {"else_branch", go_on}});
    return result;
  }

  OnnxGraph& g_;
  Loop loop_;
  Expr node_;
};

}  // namespace

std::string add_loop(OnnxGraph& graph, const Expr& node) {
  Steps(graph, node).add();
  return graph.name_of(node);
}

namespace {

/// Along an axis of `rows`, from `initial` states without it: `step` is given names of the states
/// and of a row each, and returns the states' new values and one row.
std::string along(OnnxGraph& g, const records::Running& run, const Names& initial,
                  const Names& rows, const std::vector<std::int64_t>& axes,
                  const std::function<Names(const Names&)>& step) {
  Names inputs = initial, given, outputs;
  inputs.insert(inputs.end(), rows.begin(), rows.end());
  Values values;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    given.push_back(g.fresh());
    values.emplace_back(given.back(), Expr());
  }
  const Message body = g.body("step", values, [&] {
    Values results;
    for (const std::string& name : step(given))
      results.emplace_back(g.add("Identity", {name}), Expr());
    return results;
  });
  for (std::size_t k = 0; k <= initial.size(); ++k) outputs.push_back(g.fresh());
  const std::int64_t direction = run.backward ? 1 : 0;
  g.add_as(outputs, "Scan", inputs,
           {{"body", body},
            {"num_scan_inputs", static_cast<std::int64_t>(rows.size())},
            {"scan_input_axes", axes},
            {"scan_input_directions", std::vector<std::int64_t>(rows.size(), direction)},
            {"scan_output_axes", std::vector<std::int64_t>{run.axis}},
            {"scan_output_directions", std::vector<std::int64_t>{direction}}});
  return outputs.back();
}

OnnxGraph::Sizes lane_sizes(const OnnxGraph& g, const Expr& y, std::int64_t axis) {
  OnnxGraph::Sizes result = g.sizes_of(y);
  result.erase(result.begin() + axis);
  return result;
}

}  // namespace

std::string add_recurrence(OnnxGraph& g, const Expr& y) {
  const auto run = records::Running::of(y.attrs());
  const auto start = static_cast<double>(records::LinearRecurrence::of(y.attrs()).start);
  const std::string initial = g.expanded(g.number(y.dtype(), start), lane_sizes(g, y, run.axis));
  return along(g, run, {initial}, {g.name_of(y.inputs()[0]), g.name_of(y.inputs()[1])},
               {run.axis, run.axis}, [&](const OnnxGraph::Names& now) -> OnnxGraph::Names {
                 return {g.add("Add", {g.add("Mul", {now[0], now[1]}), now[2]}), now[0]};
               });
}

std::string add_running_extreme(OnnxGraph& g, const Expr& y) {
  const auto run = records::RunningExtreme::of(y.attrs());
  const Expr& x = y.inputs()[0];
  const DType dtype = x.dtype() == DType::bool_ ? DType::int64 : x.dtype();
  const std::string rows = dtype == x.dtype() ? g.name_of(x) : g.cast(g.name_of(x), dtype);
  const OnnxGraph::Sizes lane = lane_sizes(g, y, run.axis);
  const Size count = g.sizes_of(y)[static_cast<std::size_t>(run.axis)];
  // The first one is the most extreme so far, whatever it is.
  const std::string places = g.counted(count),
                    first = run.backward ? g.add("Sub", {g.size(count), g.numbers({1})})
                                         : g.numbers({0});
  const std::string best = g.add(
      "Squeeze", {g.add("Gather", {rows, first}, {{"axis", run.axis}}), g.numbers({run.axis})});
  const std::string at = g.expanded(first, lane.empty() ? OnnxGraph::Sizes{{1, {}}} : lane);
  const std::string place = lane.empty() ? g.add("Squeeze", {at, g.numbers({0})}) : at;
  return along(g, records::Running{run.axis, run.backward}, {best, place}, {rows, places},
               {run.axis, 0}, [&](const OnnxGraph::Names& now) -> OnnxGraph::Names {
                 std::string more = g.add(run.smallest ? "Less" : "Greater", {now[2], now[0]});
                 if (is_float(dtype))
                   more = g.add("Or",
                                {more, g.add("And", {g.add("IsNaN", {now[2]}),
                                                     g.add("Not", {g.add("IsNaN", {now[0]})})})});
                 const std::string next = g.add("Where", {more, now[3], now[1]});
                 return {g.add("Where", {more, now[2], now[0]}), next, next};
               });
}

}  // namespace cinch::exchange
