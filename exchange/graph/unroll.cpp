#include "cinch/exchange/graph/unroll.hpp"

#include <algorithm>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"

namespace cinch::exchange {

namespace {

constexpr std::int64_t most_steps = 1024;

Expr at_row(const Expr& x, std::int64_t row) {
  const Expr part = narrow(x, 0, constant(Tensor(row)), constant(Tensor(std::int64_t{1})), 1);
  std::vector<std::int64_t> pattern;
  for (std::int64_t axis = 1; axis < x.rank(); ++axis) pattern.push_back(axis);
  return dimshuffle(part, pattern);
}

Expr as_row(const Expr& x) {
  std::vector<std::int64_t> pattern{-1};
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) pattern.push_back(axis);
  return dimshuffle(x, pattern);
}

Expr steps_of(const Expr& node) {
  const graphs::Recurrence r = graphs::Recurrence::of(node.attrs()).fitted(node.inputs());
  const std::span<const Expr> operands = node.inputs();
  const Dim count = operands[0].dims()[0];
  if (r.until >= 0 || !count.known() || count.size() > most_steps || count.size() == 0) return node;
  const Attribution as(node->where, /*force=*/true);
  std::vector<Expr> states;
  for (std::size_t k = 0; k < r.states; ++k) states.push_back(operands[r.sequences + k]);
  std::vector<Expr> rows(static_cast<std::size_t>(count.size()));
  std::vector<Expr> wanted = r.updates;
  if (r.last < 0) wanted.push_back(r.value);
  for (std::int64_t step = 0; step < count.size(); ++step) {
    const std::int64_t row = r.backward ? count.size() - 1 - step : step;
    NodeMap<Expr> done;
    for (std::size_t k = 0; k < r.sequences; ++k)
      done[r.variables[k].get()] = at_row(operands[k], row);
    for (std::size_t k = 0; k < r.states; ++k) done[r.state(k).get()] = states[k];
    for (std::size_t k = r.others_begin(); k < r.variables.size(); ++k)
      done[r.variables[k].get()] = operands[k];
    std::vector<Expr> next = rebuild(
        wanted, [](const Expr& e) { return e; }, done);
    for (std::size_t k = 0; k < r.states; ++k) states[k] = next[k];
    if (r.last < 0) rows[static_cast<std::size_t>(row)] = as_row(next.back());
  }
  if (r.last >= 0) return states[static_cast<std::size_t>(r.last)];
  return rows.size() == 1 ? rows.front() : concatenate(rows, 0, node->where);
}

}  // namespace

std::vector<Expr> unrolled(std::vector<Expr> roots) {
  // A loop may stand within another one's formula.
  for (int depth = 0; depth < 4; ++depth) {
    const std::vector<Expr> order = topological(roots);
    if (std::ranges::none_of(order, [](const Expr& e) { return &e.op() == &scan_op; })) break;
    NodeMap<Expr> done;
    roots = rebuild(
        roots, [](const Expr& e) { return &e.op() == &scan_op ? steps_of(e) : e; }, done);
  }
  return roots;
}

}  // namespace cinch::exchange
