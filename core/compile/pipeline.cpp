#include "cinch/core/compile/pipeline.hpp"

#include "cinch/core/compile/accumulate.hpp"
#include "cinch/core/compile/chosen.hpp"
#include "cinch/core/compile/layout.hpp"
#include "cinch/core/compile/loops.hpp"
#include "cinch/core/contract/contraction.hpp"
#include "cinch/core/contract/reuse.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch::compiling {

Goals goals_of(std::span<const Expr> values) {
  Goals result;
  for (const Expr& value : values) result.push_back({value});
  return result;
}

std::vector<Expr> values_of(const Goals& goals) {
  std::vector<Expr> result;
  for (const planning::PlanResult& goal : goals) result.push_back(goal.value);
  return result;
}

namespace {

void set_values(Goals& goals, const std::vector<Expr>& values) {
  for (std::size_t k = 0; k < goals.size(); ++k) goals[k].value = values[k];
}

/// Rules until none fits, equal nodes joined, constants folded.
void simplify(Goals& goals, Notes& notes) {
  set_values(goals,
             rewriting::rewrite(values_of(goals), {.log = notes.log ? &notes.log->rules : nullptr,
                                                   .settled = &notes.settled}));
}

/// Loops that users wrote, as steps.
void loops(Goals& goals, Notes&) { set_values(goals, without_scans(values_of(goals))); }

/// Ops that stand for a formula, as softmax, by simpler ones.
void expand(Goals& goals, Notes&) {
  NodeMap<Expr> done;
  set_values(goals, rebuild(
                        values_of(goals),
                        [](const Expr& e) {
                          if (!e.op().expand) return e;
                          const Attribution as(e->where, /*force=*/true);
                          return e.op().expand(e);
                        },
                        done));
}

/// Sums of products in the order that costs least. What is read may be the diagonal of a sum, of
/// which only diagonals have to be computed, so that products in it are read anew.
void contract(Goals& goals, Notes& notes) {
  constexpr int most_rounds = 4;
  for (int round = 0; round < most_rounds; ++round) {
    set_values(goals, contraction::contract(values_of(goals),
                                            notes.log ? &notes.log->contractions : nullptr));
    if (!contraction::has_diagonals_of_arithmetic(values_of(goals))) return;
    simplify(goals, notes);
  }
}

/// Sums of products made of those that others compute. Which these are is seen once equal nodes are
/// one.
void reuse(Goals& goals, Notes&) {
  set_values(goals, contraction::with_known_products(values_of(goals)));
}

/// Elements in the order in which they are read, so that no loop only moves them.
void lay_out(Goals& goals, Notes&) { set_values(goals, laid_out_as_read(values_of(goals))); }

/// Products that are added to a parameter where it stands.
void add_in_place(Goals& goals, Notes&) { accumulate_products(goals); }

/// Products of which few elements are used.
void chosen_products(Goals& goals, Notes&) {
  set_values(goals, with_chosen_products(values_of(goals)));
}

void column_norms(Goals& goals, Notes&) { set_values(goals, join_column_norms(values_of(goals))); }

constexpr Pass without_sizes[] = {{"simplify", simplify}};

constexpr Pass with_sizes[] = {
    {"simplify", simplify},
    {"loops", loops},
    {"expand", expand},
    {"simplify", simplify},
    {"contract", contract},
    {"simplify", simplify},
    {"reuse", reuse},
    {"simplify", simplify},
    {"lay out", lay_out},
    {"simplify", simplify},
    {"add in place", add_in_place},
    {"chosen products", chosen_products},
    {"column norms", column_norms},
    {"simplify", simplify},
    {"expand the rest", expand},  // What rules have found in expansions of others.
};

}  // namespace

std::span<const Pass> passes_without_sizes() { return without_sizes; }
std::span<const Pass> passes_with_sizes() { return with_sizes; }

void run_passes(std::span<const Pass> passes, Goals& goals, CompileLog* log,
                std::string_view whose) {
  CompileLog own;  // Rules are put into words only where somebody reads them.
  if (!log && rewriting::is_traced()) log = &own;
  Notes notes{log};
  for (const Pass& pass : passes) {
    if (!log) {
      pass.run(goals, notes);
      continue;
    }
    std::vector<Expr> roots = values_of(goals);
    log->stages.push_back(rewriting::staged(whose, pass.name, roots, log->rules, [&] {
      pass.run(goals, notes);
      roots = values_of(goals);
    }));
  }
}

}  // namespace cinch::compiling
