#include "cinch/exchange/graph/loop.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>

#include "cinch/core/compile/loops.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/plan/loop_program.hpp"
#include "cinch/core/plan/plan.hpp"
#include "cinch/ops/index.hpp"

namespace cinch::exchange {

namespace {

using graphs::Recurrence;
using planning::LoopProgram;

constexpr std::size_t numbers = 6;  // Before those of is_zero_after.

LoopResult result_of(std::size_t variables, const Attrs& a) {
  LoopResult result;
  result.kind = static_cast<LoopResult::Kind>(a.ints[0]);
  result.index = static_cast<std::size_t>(a.ints[1]);
  Recurrence& r = result.r;
  r.sequences = static_cast<std::size_t>(a.ints[2]);
  r.states = static_cast<std::size_t>(a.ints[3]);
  r.backward = a.ints[4] != 0;
  r.until = a.ints[5];
  const auto updates = a.formula.begin() + static_cast<std::ptrdiff_t>(variables),
             rows = updates + static_cast<std::ptrdiff_t>(r.states);
  r.variables.assign(a.formula.begin(), updates);
  r.updates.assign(updates, rows);
  result.rows.assign(rows, a.formula.end());
  for (std::size_t k = numbers; k < a.ints.size(); ++k)
    result.is_zero_after.push_back(a.ints[k] != 0);
  return result;
}

Attrs attrs_of(const LoopResult& result) {
  const Recurrence& r = result.r;
  Attrs attrs{.ints = {result.kind, static_cast<std::int64_t>(result.index),
                       static_cast<std::int64_t>(r.sequences), static_cast<std::int64_t>(r.states),
                       r.backward, r.until}};
  attrs.ints.insert(attrs.ints.end(), result.is_zero_after.begin(), result.is_zero_after.end());
  attrs.formula = r.variables;
  attrs.formula.insert(attrs.formula.end(), r.updates.begin(), r.updates.end());
  attrs.formula.insert(attrs.formula.end(), result.rows.begin(), result.rows.end());
  return attrs;
}

Type loop_type(Args x, const Attrs& attrs) {
  const LoopResult result = result_of(x.size(), attrs);
  const Expr& row =
      result.kind == LoopResult::row ? result.rows[result.index] : result.r.state(result.index);
  Type type{row.dtype(), row.dims()};
  if (result.kind != LoopResult::last) type.dims.insert(type.dims.begin(), x[0].dims()[0]);
  return type;
}

/// Whether both are results of the same steps.
bool same_steps(const Expr& a, const Expr& b) {
  if (&a.op() != &loop_op || &b.op() != &loop_op) return false;
  const Attrs &x = a.attrs(), &y = b.attrs();
  return std::ranges::equal(a.inputs(), b.inputs()) && std::ranges::equal(x.formula, y.formula) &&
         std::ranges::equal(x.ints.begin() + 2, x.ints.end(), y.ints.begin() + 2, y.ints.end());
}

/// A result within the block that a loop program writes.
struct Part {
  LoopResult::Kind kind;
  std::size_t index;
  std::int64_t begin, length;
};

std::vector<Part> parts_of(const LoopProgram& program, std::int64_t steps) {
  std::vector<Part> result;
  const Recurrence& r = program.r;
  for (std::size_t k = 0; k < r.states; ++k) {
    const LoopProgram::State& place = program.states[k];
    const std::int64_t n = element_count(r.state(k).type().shape());
    if (place.course != LoopProgram::nowhere) {
      result.push_back(
          {r.backward ? LoopResult::after : LoopResult::before, k, place.course, steps * n});
      result.push_back(
          {r.backward ? LoopResult::before : LoopResult::after, k, place.course + n, steps * n});
    }
    if (place.last != LoopProgram::nowhere) result.push_back({LoopResult::last, k, place.last, n});
  }
  for (std::size_t k = 0; k < program.rows.size(); ++k) {
    const LoopProgram::Rows& rows = program.rows[k];
    const std::int64_t n = element_count(program.roots[rows.root].type().shape());
    result.push_back({LoopResult::row, k, rows.offset, steps * n});
  }
  return result;
}

/// The part that holds `length` elements from `begin` on, the very part where there is one.
std::optional<Part> part_with(const std::vector<Part>& parts, std::int64_t begin,
                              std::int64_t length) {
  std::optional<Part> result;
  for (const Part& part : parts) {
    if (begin < part.begin || begin + length > part.begin + part.length) continue;
    if (!result || (part.begin == begin && part.length == length)) result = part;
  }
  return result;
}

}  // namespace

constinit const Op loop_op{.name = "loop", .type = loop_type};

LoopResult LoopResult::of(const Expr& node) {
  return result_of(node.inputs().size(), node.attrs());
}

Loop Loop::of(const Expr& node, const std::vector<Expr>& nodes) {
  const LoopResult all = LoopResult::of(node);
  Loop loop;
  loop.r = all.r;
  std::vector<std::size_t> places(all.rows.size(), all.rows.size());
  for (const Expr& other : nodes) {
    if (!same_steps(node, other)) continue;
    const LoopResult one = LoopResult::of(other);
    loop.results.push_back({other, one.kind, one.index});
    if (one.kind != LoopResult::row) continue;
    std::size_t& place = places[one.index];
    if (place == all.rows.size()) {
      place = loop.rows.size();
      loop.rows.push_back(all.rows[one.index]);
      loop.is_zero_after.push_back(all.is_zero_after[one.index]);
    }
    loop.results.back().index = place;
  }
  return loop;
}

std::vector<Expr> Loop::roots() const {
  std::vector<Expr> result = r.updates;
  result.insert(result.end(), rows.begin(), rows.end());
  return result;
}

std::vector<Expr> with_loops(
    std::vector<Expr> roots,
    const std::function<std::vector<Expr>(const std::vector<Expr>&)>& compile) {
  roots = compiling::without_scans(std::move(roots));
  std::map<const LoopProgram*, LoopResult> steps;
  const auto steps_of = [&](const LoopProgram& program) -> LoopResult& {
    const auto [found, fresh] = steps.try_emplace(&program);
    LoopResult& result = found->second;
    if (!fresh) return result;
    const std::vector<Expr> computed = compile(program.roots);
    const auto rows = computed.begin() + static_cast<std::ptrdiff_t>(program.r.states);
    result.r = program.r;
    result.r.updates.assign(computed.begin(), rows);
    for (const LoopProgram::Rows& row : program.rows) {
      result.rows.push_back(computed[row.root]);
      result.is_zero_after.push_back(row.is_zero_after);
    }
    return result;
  };
  // A part of a block, as elements one after the other.
  const auto elements_of = [&](const Expr& block, const Part& part) {
    LoopResult& result = steps_of(*block.attrs().loop);
    result.kind = part.kind;
    result.index = part.index;
    const std::vector<Expr> operands(block.inputs().begin(), block.inputs().end());
    return reshape(apply(loop_op, operands, attrs_of(result)), {constant(Tensor(part.length))});
  };
  const auto parts = [](const Expr& block) {
    return parts_of(*block.attrs().loop, block.inputs()[0].dims()[0].size());
  };
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [&](const Expr& e) -> Expr {
        const Attribution as(e->where, /*force=*/true);
        if (e.attrs().loop) {
          const std::optional<Part> whole = part_with(parts(e), 0, e.attrs().loop->size);
          return whole ? elements_of(e, *whole) : e;
        }
        if (&e.op() != &narrow_op || !e.inputs()[0].attrs().loop) return e;
        const Expr &block = e.inputs()[0], &start = e.inputs()[1];
        const std::int64_t length = e.dims()[0].size(), step = Narrowing::of(e.attrs()).step,
                           first = constant_value(start)->data<std::int64_t>()[0],
                           reach = std::max<std::int64_t>(length - 1, 0) * step;
        const Part part = part_with(parts(block), std::min(first, first + reach),
                                    length == 0 ? 0 : std::abs(reach) + 1)
                              .value();
        const Expr elements = elements_of(block, part);
        if (part.length == length && step == 1) return elements;
        return narrow(elements, 0, constant(Tensor(first - part.begin)), e.inputs()[2], step);
      },
      done);
}

}  // namespace cinch::exchange
