// From a rewritten graph and the sizes at hand to a plan.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/contract/contraction.hpp"
#include "cinch/core/plan/plan.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/rewrite/trace.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::compiling {

/// What compiling did, for explain().
struct CompileLog {
  std::vector<Stage> stages;
  std::vector<Applied> rules;
  std::vector<ContractionReport> contractions;
};

/// A graph ready to be planned.
struct Program {
  std::string name;  ///< In messages.
  std::vector<Expr> inputs;
  std::vector<Expr> written;  ///< Outputs, then the updates' values, as the user wrote them.
  std::vector<Expr> roots;    ///< The same, rewritten.
  std::size_t output_count = 0;
  std::vector<Shared> targets;  ///< Of the updates.
  std::vector<Expr> free_rows;  ///< Variables used or updated whose number of rows may change.
  std::vector<Expr> sizes;      ///< int64 scalars used as sizes: see HostProgram.
  std::vector<Expr> positions;  ///< int64 scalars given at each run, after the inputs.
};

/// What a plan is made for.
struct PlanSizes {
  std::vector<Shape> inputs;          ///< Of Program::inputs.
  std::vector<std::int64_t> rows;     ///< Of Program::free_rows.
  std::vector<std::int64_t> scalars;  ///< Values of Program::sizes.
};

/// The plan for these sizes. Everything that depends on
/// sizes happens here: they are checked, formulas are rewritten again, contractions are ordered,
/// products are added to parameters in place. Throws TypeError where sizes do not fit, ValueError
/// where an update would divide by the number of rows of an empty minibatch.
std::unique_ptr<planning::Plan> make_plan(const Program& program, const PlanSizes& sizes,
                                          CompileLog* log = nullptr);

}  // namespace cinch::compiling
