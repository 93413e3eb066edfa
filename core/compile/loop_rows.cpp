#include "cinch/core/compile/loop_rows.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "cinch/core/compile/pipeline.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/error.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/team.hpp"

namespace cinch::compiling {

std::atomic<std::int64_t> forced_parts = 0;

namespace {

using deriving::Place;
using deriving::Separation;
using graphs::Recurrence;
using planning::LoopProgram;

bool begins_with(const Expr& e, std::int64_t rows) {
  return e.rank() > 0 && e.dims()[0] == Dim(rows);
}

/// Where the rows of a step's formulas stand, as far as its variables are cut.
Separation followed(const Recurrence& r, std::span<const Expr> roots, const LoopProgram::Cut& cut) {
  std::vector<Separation::Given> given;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    Separation::Given one{r.variables[k], {}, {}};
    if (cut.variables[k]) one.place.axis = 0;
    for (const Dim dim : r.variables[k].dims()) one.sizes.emplace_back(dim.size());
    given.push_back(std::move(one));
  }
  return {roots, given, deriving::Count(cut.rows)};
}

/// Formulas for fewer rows. What stands nowhere stays what it is.
class Cutting {
 public:
  Cutting(const Separation& places, std::int64_t from, std::int64_t to)
      : places_(places), from_(from), to_(to) {}

  void stands_for(const Expr& old, const Expr& now) { done_[old.get()] = now; }
  /// Of a root that is cut. Empty where that is not known.
  Expr operator()(const Expr& root) {
    const Place place = places_.place(root);
    if (!place.found()) return repeated(root, 0);
    return place == Place{.axis = 0} ? done_.at(root.get()) : Expr();
  }
  /// False where it does not say how it reads for fewer rows.
  bool add(const Expr& node);

 private:
  /// What is the same in all rows of an axis, for fewer of them.
  Expr repeated(const Expr& e, std::int64_t axis) const;

  const Separation& places_;
  std::int64_t from_, to_;
  NodeMap<Expr> done_;
};

Expr Cutting::repeated(const Expr& e, std::int64_t axis) const {
  if (const Tensor* value = constant_value(e); value && axis == 0) {
    const auto* data = static_cast<const std::byte*>(value->raw());
    const std::size_t row = value->bytes() / static_cast<std::size_t>(from_);
    if (!std::equal(data, data + value->bytes() - row, data + row)) return {};
    Shape shape = value->shape();
    shape[0] = to_;
    Tensor rows(value->dtype(), shape);
    std::memcpy(rows.raw(), data, rows.bytes());
    return constant(std::move(rows), e->where);
  }
  if (e.op().algebra != Algebra::repeat) return {};
  const Expr& one = e.inputs()[0];
  const std::int64_t inner = axis - (e.rank() - one.rank());
  if (inner >= 0 && !(one.dims()[static_cast<std::size_t>(inner)] == Dim(1))) return {};
  std::vector<Expr> inputs(e.inputs().begin(), e.inputs().end());
  inputs[static_cast<std::size_t>(e.op().sizes_from + axis)] = constant(Tensor(to_));
  return with_inputs(e, std::move(inputs));
}

bool Cutting::add(const Expr& node) {
  if (done_.contains(node.get())) return true;
  const Place place = places_.place(node);
  Dims expected = node.dims();
  if (place.found()) {
    Dim& dim = expected[static_cast<std::size_t>(place.axis)];
    dim = Dim(dim.size() / from_ * to_);
  }
  const auto sizes_from = static_cast<std::size_t>(std::max(node.op().sizes_from, 0));
  const bool sized = node.op().sizes_from >= 0 &&
                     node.inputs().size() - sizes_from == static_cast<std::size_t>(node.rank());
  std::vector<Expr> inputs;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    const Expr& old = node.inputs()[i];
    const Expr& now = done_.at(old.get());
    // A size would not be that of all rows any more.
    if (!place.found() && !(now == old)) return false;
    inputs.push_back(now);
    if (!place.found()) continue;
    const std::int64_t axis = place.axis - (node.rank() - old.rank());
    if (sized && i == sizes_from + static_cast<std::size_t>(place.axis)) {
      inputs[i] = constant(Tensor(expected[static_cast<std::size_t>(place.axis)].size()));
    } else if (node.op().elementwise() && now == old && axis >= 0 &&
               !(old.dims()[static_cast<std::size_t>(axis)] == Dim(1))) {
      if (!(place.outer == deriving::Count()) || !(place.inner == deriving::Count())) return false;
      inputs[i] = repeated(old, axis);
      if (!inputs[i].has_value()) return false;
    }
  }
  const Expr now = with_inputs(node, std::move(inputs));
  if (!(now.dims() == expected)) return false;
  done_[node.get()] = now;
  return true;
}

/// Nanoseconds of one step on one thread, about.
double time_of(std::span<const Expr> roots) {
  namespace cost = running::cost;
  double result = 0;
  for (const Expr& node : topological(roots)) {
    if (graphs::is_leaf(node) || node.op().view()) continue;
    const auto elements = [](const Expr& e) {
      return static_cast<double>(element_count(e.type().shape()));
    };
    if (node.op().algebra == Algebra::matrix_product && node.op().kernel()) {
      result += node.op().kernel()->flops(node) * cost::flop(size_of(node.dtype()));
    } else {
      result += cost::element * elements(node.op().reduction() ? node.inputs()[0] : node);
    }
  }
  return result;
}

/// Bytes that each part of the rows reads at each step.
double bytes_of_all(const Recurrence& r, const LoopProgram::Cut& cut) {
  double result = 0;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Type& type = r.variables[k].type();
    if (!cut.variables[k])
      result += static_cast<double>(element_count(type.shape())) *
                static_cast<double>(size_of(type.dtype));
  }
  return result;
}

/// Into how many parts it pays to divide them.
std::int64_t parts_that_pay(const Recurrence& r, std::span<const Expr> roots,
                            const LoopProgram::Cut& cut, std::int64_t steps) {
  // Products of fewer rows are slower by more than a few percent; a part's step has to outweigh
  // what its kernels cost apart from their work, and all its steps being handed over; what all
  // parts read has to stay in the second-level cache of each.
  constexpr std::int64_t least_rows = 16, most_parts = 16;
  constexpr double least_nanoseconds = 3000, most_bytes = 1 << 19;
  const double step = time_of(roots);
  if (bytes_of_all(r, cut) > most_bytes) return 1;
  const double most =
      std::min({static_cast<double>(cut.rows / least_rows), step / least_nanoseconds,
                step * static_cast<double>(steps) / (50 * running::cost::handing_over),
                static_cast<double>(most_parts)});
  return most < 2 ? 1 : static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(most)));
}

/// Whether a step may be run for some rows without the others being asked.
bool is_plain(std::span<const Expr> roots) {
  return std::ranges::none_of(topological(roots), [](const Expr& node) {
    const Op& op = node.op();
    if (op.observes || node.attrs().observer) return true;
    // What may refuse values says so for all rows at once.
    if (op.view()) return op.view()->starts_at >= 0 && !graphs::is_number(node.inputs()[1]);
    const bool known = &op == &scan_op || &op == &fixed_point_op || &op == &concatenate_op;
    return !graphs::is_leaf(node) && !op.elementwise() && !op.reduction() && !op.moves && !known &&
           op.algebra == Algebra::none && !op.expand;
  });
}

/// The step for so many rows only: in variables of its own, in the order of r's.
struct StepOfRows {
  std::vector<Expr> variables, roots;
};
/// No roots where a formula does not say how it reads for fewer rows.
StepOfRows step_of_rows(const Recurrence& r, std::span<const Expr> roots,
                        const LoopProgram::Cut& cut, std::int64_t rows) {
  const Separation places = followed(r, roots, cut);
  Cutting cutting(places, cut.rows, rows);
  StepOfRows result;
  for (std::size_t k = 0; k < r.variables.size(); ++k) {
    const Expr& old = r.variables[k];
    Expr now = old;
    if (cut.variables[k]) {
      Type type{old.dtype(), old.dims()};
      type.dims[0] = Dim(rows);
      now = variable(old.attrs().label, std::move(type), old->where);
    }
    cutting.stands_for(old, now);
    result.variables.push_back(now);
  }
  try {
    for (const Expr& node : topological(roots)) {
      if (!cutting.add(node)) return {};
    }
    for (std::size_t k = 0; k < roots.size(); ++k) {
      result.roots.push_back(cut.roots[k] ? cutting(roots[k]) : roots[k]);
      if (!result.roots.back().has_value()) return {};
    }
  } catch (const TypeError&) {
    return {};
  }
  return result;
}

/// A division into parts that need nothing of each other.
struct RowParts {
  LoopProgram::Cut cut;
  std::int64_t parts = 1;
};
/// The one that pays. `roots` are what a step computes of r's variables, the updates first.
RowParts row_parts(const Recurrence& r, std::span<const Expr> roots, std::int64_t steps) {
  const RowParts whole{{1, std::vector<bool>(r.variables.size()), std::vector<bool>(roots.size())},
                       1};
  const auto states = std::span(r.variables).subspan(r.sequences, r.states);
  const auto state = std::ranges::find_if(states, [](const Expr& each) { return each.rank() > 0; });
  if (r.until >= 0 || state == states.end() || !is_plain(roots)) return whole;
  RowParts result = whole;
  LoopProgram::Cut& cut = result.cut;
  cut.rows = state->dims()[0].size();
  if (cut.rows < 2) return whole;
  // What is the same at each step is read whole, or row by row as a mask is.
  for (const std::size_t end : {r.others_begin(), r.variables.size()}) {
    for (std::size_t k = 0; k < end; ++k) cut.variables[k] = begins_with(r.variables[k], cut.rows);
    const Separation places = followed(r, roots, cut);
    bool apart = true;
    for (std::size_t k = 0; k < roots.size(); ++k) {
      const Place place = places.place(roots[k]);
      cut.roots[k] = k < r.states ? cut.variables[r.sequences + k] : place.found();
      apart = apart && !places.mixing(roots[k]).has_value() &&
              (!place.found() || (cut.roots[k] && place == Place{.axis = 0}));
    }
    if (!apart) continue;
    const std::int64_t forced = forced_parts;
    result.parts = forced > 0 ? std::min(forced, cut.rows) : parts_that_pay(r, roots, cut, steps);
    if (result.parts < 2) return whole;
    if (!step_of_rows(r, roots, cut, cut.rows / result.parts).roots.empty()) return result;
  }
  return whole;
}

}  // namespace

void compile_step(LoopProgram& program, std::int64_t steps) {
  const auto compiled = [](std::span<const Expr> roots) {
    Goals goals = goals_of(roots);
    run_passes(passes_with_sizes(), goals, nullptr, "loop");
    return goals;
  };
  RowParts division = row_parts(program.r, program.roots, steps);
  program.cut = std::move(division.cut);
  if (division.parts == 1) {
    program.parts.push_back(
        {0, program.cut.rows,
         std::make_unique<planning::Plan>(program.r.variables, compiled(program.roots))});
    return;
  }
  // Loops within a step have memory, so that each part needs its own.
  const bool nested = std::ranges::any_of(topological(program.roots), [](const Expr& node) {
    return &node.op() == &scan_op || &node.op() == &fixed_point_op;
  });
  StepOfRows step;
  Goals goals;
  std::int64_t compiled_rows = 0;
  for (std::int64_t part = 0; part < division.parts; ++part) {
    const auto [begin, end] = running::part_of(program.cut.rows, 1, division.parts, part);
    if (nested || end - begin != compiled_rows) {
      compiled_rows = end - begin;
      step = step_of_rows(program.r, program.roots, program.cut, compiled_rows);
      goals = compiled(step.roots);
    }
    program.parts.push_back({begin, end, std::make_unique<planning::Plan>(step.variables, goals)});
  }
}

}  // namespace cinch::compiling
