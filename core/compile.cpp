#include "core/compile.hpp"

#include "core/accumulate.hpp"
#include "core/leaves.hpp"

namespace cinch {

namespace {

std::vector<Expr> expanded(std::span<const Expr> roots) {
  NodeMap<Expr> done;
  return rebuild(
      roots,
      [](const Expr& e) {
        if (!e.op().expand) return e;
        const Attribution as(e->where, /*force=*/true);
        return e.op().expand(e);
      },
      done);
}

}  // namespace

std::unique_ptr<Plan> make_plan(const Program& program, std::span<const Shape> shapes,
                                std::span<const std::int64_t> sizes, CompileLog* log) {
  // All sizes are known now: the graph is typed again with them, which checks them too.
  NodeMap<Expr> done;
  std::vector<Expr> inputs_now;
  for (std::size_t k = 0; k < program.inputs.size(); ++k) {
    const Expr& input = program.inputs[k];
    inputs_now.push_back(
        variable(input.attrs().label, Type{input.dtype(), to_dims(shapes[k])}, input->where));
    done[input.get()] = inputs_now.back();
  }
  for (std::size_t k = 0; k < program.sizes.size(); ++k) {
    const Expr& size = program.sizes[k];
    done[size.get()] = constant(Tensor(sizes[k]), size->where);
  }
  for (const Expr& position : program.positions) {
    inputs_now.push_back(variable(describe(position), Type{DType::int64, {}}, position->where));
    done[position.get()] = inputs_now.back();
  }
  const auto simplest = [&](const std::vector<Expr>& roots) {
    return rewrite(roots, {.log = log ? &log->rules : nullptr});
  };
  std::vector<Expr> now = rebuild(
      program.roots, [](const Expr& e) { return e; }, done);
  now = simplest(now);
  now = simplest(expanded(now));
  now = simplest(contract(now, log ? &log->contractions : nullptr));
  std::vector<PlanResult> results;
  for (std::size_t k = 0; k < now.size(); ++k) {
    if (k < program.output_count) {
      results.push_back({now[k], nullptr});
      continue;
    }
    const Shared& target = program.targets[k - program.output_count];
    SharedState* state = target.attrs().state.get();
    if (now[k].type().shape() != state->value.shape()) {
      throw TypeError(program.name + ": the update of " + describe(target) + " " +
                      text(target.type()) + " has type " + text(now[k].type()) + "\n  written at " +
                      now[k]->where.text());
    }
    results.push_back({now[k], state});
  }
  accumulate_products(results);
  for (std::size_t k = 0; k < now.size(); ++k) now[k] = results[k].value;
  now = join_column_norms(now);
  now = simplest(now);
  for (std::size_t k = 0; k < now.size(); ++k) results[k].value = now[k];
  return std::make_unique<Plan>(inputs_now, results);
}

}  // namespace cinch
