#include "cinch/train/parallel/stages.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "cinch/core/algebra.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/variables.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/kinds.hpp"
#include "cinch/train/parallel/regroup.hpp"
#include "cinch/train/parallel/repeated.hpp"
#include "cinch/train/parallel/sizes.hpp"
#include "cinch/train/parallel/split.hpp"

namespace cinch::parallel {

namespace {

using deriving::Count;
using deriving::Place;
using deriving::Separation;

bool is_draw(const Expr& node) {
  return &node.op() == &random_uniform_op || &node.op() == &random_normal_op;
}

/// Of few elements, or of sizes that are not known yet.
bool is_small(const Expr& sum) {
  constexpr std::int64_t few = 1024;
  std::int64_t n = 1;
  for (const Dim dim : sum.dims()) {
    if (!dim.known()) return true;
    n *= dim.size();
  }
  return n < few;
}

class Cutter {
 public:
  /// Of the formula as it is written or as rules have made it.
  Cutter(const char* what, const Function& step, const std::vector<const Tensor*>& data,
         bool as_written);
  StagedStep cut(Rank rank);

 private:
  struct Draw {
    Expr stands_for, draw;
    std::int64_t axis;
  };

  void take_rows_of(const std::vector<const Tensor*>& data);
  void take_slices();
  void take_draws();
  void mark_repeated();
  void regroup();
  Expr ones(DType dtype);
  std::vector<Separation::Given> given() const;

  NodeMap<Expr> inputs_of_part(const Expr* at);
  std::vector<Expr> arguments() const;
  void keep_rows(const std::vector<Expr>& rows, Stage::Functions& f, NodeMap<Stage::Rows>& where);
  Stage part_of(std::vector<Expr>& sums);
  /// Whether no more is asked for than results.
  bool is_plain() const { return as_given_.mode == Mode::fast && !as_given_.watch; }
  Expr part_of_draw(const Draw& draw, NodeMap<Expr>& done);
  std::vector<Expr> built(std::span<const Expr> roots, NodeMap<Expr>& done);
  Expr whole(const Expr& size, NodeMap<Expr>& done);
  FunctionSpec spec(std::vector<Expr> inputs, std::string name) const;

  const char* what_;
  const compiling::Program& program_;
  const FunctionSpec& as_given_;
  std::vector<Expr> roots_;
  std::vector<Expr> rows_;          // Variables of a part's rows.
  std::vector<bool> is_held_;       // Whether these are the data as they are.
  std::vector<Expr> slices_;        // What they are rows of, where the step holds its data.
  std::vector<Draw> draws_;         // Draws for each row.
  std::vector<Expr> ones_;          // Variables of a 1 for each row, of each dtype that is met.
  std::vector<Shared> states_;      // Of all draws.
  std::vector<Expr> state_values_;  // Variables in their places.
  std::vector<Expr> read_;          // What functions of parts compute.
  std::vector<Expr> sums_;          // Variables for the sums of the stages so far.
  Expr count_of_all_ = lscalar("rows"), first_ = lscalar("first"), count_ = lscalar("count");
  Count examples_ = Count::symbol(Dim::unknown().symbol());
  std::optional<Kinds> kinds_;
};

Cutter::Cutter(const char* what, const Function& step, const std::vector<const Tensor*>& data,
               bool as_written)
    : what_(what),
      program_(Inspect::program(step)),
      as_given_(Inspect::spec(step)),
      roots_(as_written ? program_.written : program_.roots) {
  for (const Shared& variable : shared_variables(roots_)) {
    if (!variable.attrs().state->advance) continue;
    states_.push_back(variable);
    state_values_.push_back(cinch::variable(variable.label(), variable.type()));
  }
  data.empty() ? take_slices() : take_rows_of(data);
  NodeMap<Expr> done;
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    done[(data.empty() ? slices_[k] : program_.inputs[k]).get()] = rows_[k];
    if (!data.empty()) continue;
    // What a slice says of its length others may know its rows by, as draws for gradients do.
    const Expr& length = slices_[k].inputs()[2];
    if (!constant_value(length)) done[length.get()] = size(rows_[k], 0);
  }
  roots_ = rebuild(roots_, with_known_sizes, done);
  take_draws();
}

/// Inputs whose first axis is of unknown size and the others those of the data.
void Cutter::take_rows_of(const std::vector<const Tensor*>& data) {
  for (std::size_t k = 0; k < data.size(); ++k) {
    const Expr& input = program_.inputs[k];
    if (input.dims()[0].known()) {
      refuse(what_,
             text(describe(input), " has ", input.dims()[0].size(),
                  " rows, whatever a part has of them: declare it with a first axis of unknown "
                  "size, -1"),
             input->where);
    }
    Dims dims = to_dims(data[k]->shape());
    dims[0] = Dim::unknown();
    rows_.push_back(variable(describe(input), {input.dtype(), dims}, input->where));
    is_held_.push_back(data[k]->dtype() == input.dtype());
  }
}

/// Rows of shared variables from a place that the number of the minibatch says.
void Cutter::take_slices() {
  const Expr& number = program_.inputs[0];
  NodeSet depends{number.get()};
  for (const Expr& node : topological(roots_)) {
    const bool any = std::ranges::any_of(
        node.inputs(), [&](const Expr& input) { return depends.contains(input.get()); });
    if (!any) continue;
    depends.insert(node.get());
    if (&node.op() != &narrow_op || !is_shared(node.inputs()[0])) continue;
    const auto [axis, step] = Narrowing::of(node.attrs());
    if (axis != 0 || step != 1) continue;
    if (node.dims()[0].known()) {
      refuse(what_,
             text("the slice ", describe(node), " has ", node.dims()[0].size(),
                  " rows, whatever a part has of them: write slice(x, k * batch, (k + 1) * batch)"),
             node->where);
    }
    Dims dims = node.dims();
    dims[0] = Dim::unknown();
    slices_.push_back(node);
    rows_.push_back(
        variable("rows of " + describe(node.inputs()[0]), {node.dtype(), dims}, node->where));
  }
  if (rows_.empty()) {
    refuse(what_,
           text("the step takes no rows of a shared variable by its number ", describe(number),
                ": give x slice(images, k * batch, (k + 1) * batch)"),
           number->where);
  }
}

/// Draws of which each row has its own: a part draws those of its rows.
void Cutter::take_draws() {
  const Separation all(roots_, given(), examples_);
  NodeMap<Expr> done;
  for (const Expr& node : topological(roots_)) {
    if (!is_draw(node)) continue;
    std::int64_t axis = -1;
    for (std::int64_t a = 0; a < node.rank(); ++a) {
      const Count& n = all.size(node, a);
      if (n == examples_ && axis < 0) {
        axis = a;
      } else if (n.over(examples_)) {
        refuse(what_,
               "a draw has the minibatch's rows along two axes or folded with others: draw for "
               "each row along an axis of its own",
               node->where);
      }
    }
    if (axis < 0) continue;
    draws_.push_back({variable("draw", node.type(), node->where), node, axis});
    done[node.get()] = draws_.back().stands_for;
  }
  roots_ = rebuild(roots_, with_known_sizes, done);
}

std::vector<Separation::Given> Cutter::given() const {
  std::vector<Separation::Given> result;
  const auto add = [&](const Expr& x, std::int64_t axis) {
    std::vector<Count> sizes;
    for (const Dim dim : x.dims())
      sizes.push_back(dim.known() ? Count(dim.size()) : Count::symbol(dim.symbol()));
    sizes[static_cast<std::size_t>(axis)] = examples_;
    result.push_back({x, Place{.axis = axis}, sizes});
  };
  for (const Expr& x : rows_) add(x, 0);
  for (const Draw& draw : draws_) add(draw.stands_for, draw.axis);
  for (const Expr& one : ones_) add(one, 0);
  return result;
}

Expr Cutter::ones(DType dtype) {
  for (const Expr& one : ones_) {
    if (one.dtype() == dtype) return one;
  }
  ones_.push_back(variable("1 for each row", {dtype, {Dim::unknown()}}));
  return ones_.back();
}

void Cutter::mark_repeated() {
  roots_ =
      with_marked_repeats(roots_, given(), examples_, [this](DType dtype) { return ones(dtype); });
}

// Functions of parts
// -------------------------------------------------------------------------------------------------

/// `size` with the whole minibatch's rows in place of the part's.
Expr Cutter::whole(const Expr& size, NodeMap<Expr>& done) {
  if (kinds_->of(size) != Kind::size) return built(std::span(&size, 1), done).front();
  if (&size.op() == &size_op) {
    const Count* each = kinds_->of_each_example(size);
    if (!each || !each->symbols().empty()) {
      refuse(what_,
             text("a value depends on a size that is not known before the rows are: ",
                  describe(size), ": declare the sizes of all other axes"),
             size->where);
    }
    return *each == Count() ? count_of_all_ : count_of_all_ * constant(Tensor(each->factor()));
  }
  std::vector<Expr> inputs;
  for (const Expr& input : size.inputs()) inputs.push_back(whole(input, done));
  return with_inputs(size, std::move(inputs));
}

/// `roots` of a part's rows, whose variables, as `done` has them, stand for themselves.
std::vector<Expr> Cutter::built(std::span<const Expr> roots, NodeMap<Expr>& done) {
  NodeSet cut;
  for (const auto& [node, result] : done) cut.insert(node);
  for (const Expr& node : topological(roots, cut)) {
    if (done.contains(node.get())) continue;
    if (const Expr* number = kinds_->number(node)) {
      done[node.get()] = *number;
      continue;
    }
    std::vector<Expr> inputs;
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      const Expr& input = node.inputs()[k];
      const bool of_all = kinds_->of(input) == Kind::size && kinds_->of(node) != Kind::size &&
                          !kinds_->is_local_operand(node, k);
      inputs.push_back(of_all ? whole(input, done) : done.at(input.get()));
    }
    done[node.get()] = with_inputs(node, std::move(inputs));
  }
  std::vector<Expr> result;
  for (const Expr& root : roots)
    result.push_back(kinds_->of(root) == Kind::size ? whole(root, done) : done.at(root.get()));
  return result;
}

/// The draw's numbers of the part's rows.
Expr Cutter::part_of_draw(const Draw& draw, NodeMap<Expr>& done) {
  const auto axis = static_cast<std::size_t>(draw.axis);
  std::vector<Expr> of_draw(draw.draw.inputs().begin(), draw.draw.inputs().end());
  of_draw[axis + 1] = count_;
  kinds_->note_same(of_draw);
  std::vector<Expr> sizes = built(of_draw, done);
  const Expr state = sizes.front();
  sizes.erase(sizes.begin());
  if (axis == 0) {
    Expr first = first_;
    for (std::size_t k = 1; k < sizes.size(); ++k) first = first * sizes[k];
    const Expr one = constant(Tensor(std::int64_t{1}));
    std::vector<Expr> inputs{concatenate({state, reshape(first, {one})}, 0)};
    inputs.insert(inputs.end(), sizes.begin(), sizes.end());
    return with_inputs(draw.draw, std::move(inputs));
  }
  // Its rows do not lie together: all are drawn.
  sizes[axis] = count_of_all_;
  std::vector<Expr> inputs{state};
  inputs.insert(inputs.end(), sizes.begin(), sizes.end());
  return narrow(with_inputs(draw.draw, std::move(inputs)), draw.axis, first_, count_);
}

FunctionSpec Cutter::spec(std::vector<Expr> inputs, std::string name) const {
  FunctionSpec result;
  result.inputs = std::move(inputs);
  result.mode = as_given_.mode;
  result.watch = as_given_.watch;
  result.profile = as_given_.profile;
  result.allow_unused_inputs = true;
  result.name = std::move(name);
  return result;
}

/// Variables of what all is made of, for a part's rows: those of the data themselves, or `count`
/// rows from `at` on of those held.
NodeMap<Expr> Cutter::inputs_of_part(const Expr* at) {
  NodeMap<Expr> done;
  for (std::size_t k = 0; k < states_.size(); ++k)
    done[states_[k].pointer().get()] = state_values_[k];
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    done[rows_[k].get()] = !slices_.empty() ? narrow(slices_[k], 0, first_, count_)
                           : at             ? narrow(rows_[k], 0, *at, count_)
                                            : rows_[k];
  }
  for (const Draw& draw : draws_) done[draw.stands_for.get()] = part_of_draw(draw, done);
  for (const Expr& one : ones_)
    done[one.get()] = broadcast_to(cast(Arg(1.0), one.dtype()), {count_});
  return done;
}

std::vector<Expr> Cutter::arguments() const {
  std::vector<Expr> result = slices_.empty() ? rows_ : program_.inputs;
  result.insert(result.end(), {count_of_all_, first_, count_});
  result.insert(result.end(), state_values_.begin(), state_values_.end());
  result.insert(result.end(), sums_.begin(), sums_.end());
  return result;
}

/// What is computed of `rows`, as new values of variables; how else they are to be had, by node.
void Cutter::keep_rows(const std::vector<Expr>& rows, Stage::Functions& f,
                       NodeMap<Stage::Rows>& where) {
  NodeMap<Expr> done = inputs_of_part(nullptr);
  std::vector<Expr> kept;
  for (const Expr& node : rows) {
    const auto given = std::ranges::find(rows_, node.get(), &Expr::get);
    if (slices_.empty() && given != rows_.end() && is_held_[given - rows_.begin()]) {
      where[node.get()] = {true, static_cast<std::size_t>(given - rows_.begin())};
    } else {
      where[node.get()] = {false, kept.size()};
      kept.push_back(node);
    }
  }
  FunctionSpec all = spec(arguments(), program_.name + ", rows");
  for (const Expr& value : built(kept, done)) {
    Shape shape{0};
    if (value.rank() == 2) shape.push_back(value.dims()[1].size());
    f.kept.push_back(Shared::with_free_rows(Tensor(value.dtype(), shape), "rows"));
    all.updates.push_back({f.kept.back(), value});
    read_.push_back(value);
  }
  f.rows = function(std::move(all));
}

/// What a part computes: `sums` of its rows, those of unknown or few elements first. They are put
/// into the order in which it does.
Stage Cutter::part_of(std::vector<Expr>& sums) {
  const Attribution as(Source{});
  Stage::Functions f;
  std::vector<Expr> inputs = arguments();
  NodeMap<Expr> done;
  if (const auto apart = is_plain() ? split(sums, *kinds_) : std::nullopt) {
    NodeMap<Stage::Rows> where;
    keep_rows(apart->rows, f, where);
    const Expr at = lscalar("at");
    done = inputs_of_part(&at);
    inputs.push_back(at);
    f.reads_kept = true;
    for (const Expr& node : apart->rows) {
      if (where.at(node.get()).of_data) continue;
      inputs.push_back(variable("rows", node.type(), node->where));
      done[node.get()] = narrow(inputs.back(), 0, at, count_);
    }
    sums = apart->others;
    for (const RowProducts& p : apart->products) {
      f.products.push_back({p.sum.dtype(), p.sum.type().shape(), {}});
      for (const RowProducts::Term& t : p.terms) {
        f.products.back().terms.push_back(
            {where.at(apart->rows[t.a].get()), where.at(apart->rows[t.b].get()), t.negative});
      }
    }
    std::stable_partition(sums.begin(), sums.end(), is_small);
    for (const RowProducts& p : apart->products) sums.push_back(p.sum);
  } else {
    done = inputs_of_part(nullptr);
    std::stable_partition(sums.begin(), sums.end(), is_small);
  }
  FunctionSpec result = spec(std::move(inputs), program_.name + ", a part");
  for (const Expr& sum : built(std::span(sums).first(sums.size() - f.products.size()), done)) {
    if (is_small(sum)) {
      result.outputs.push_back(sum);
    } else {
      f.slots.emplace_back(Tensor(sum.dtype(), sum.type().shape()), "sum");
      result.updates.push_back({f.slots.back(), sum});
    }
  }
  f.outputs = result.outputs.size();
  f.part = function(std::move(result));
  std::vector<Combine> how;
  for (const Expr& sum : sums) how.push_back(kinds_->how(sum));
  return {std::move(f), std::move(how)};
}

void Cutter::regroup() {
  roots_ = with_factors_outside(roots_, *kinds_, given());
  kinds_.emplace(what_, roots_, given(), examples_);
  roots_ = with_sums_together(roots_, *kinds_);
  kinds_.emplace(what_, roots_, given(), examples_);
}

StagedStep Cutter::cut(Rank rank) {
  StagedStep result;
  result.draws = states_;
  if (!slices_.empty()) {
    FunctionSpec sizes = spec(program_.inputs, program_.name + ", its rows");
    for (const Expr& rows : slices_) sizes.outputs.push_back(size(rows, 0));
    result.rows = function(std::move(sizes));
  }
  while (true) {
    mark_repeated();
    kinds_.emplace(what_, roots_, given(), examples_);
    NodeMap<Expr> done;
    if (const auto& simpler = kinds_->replacement()) {
      done[simpler->node.get()] = simpler->by;
    } else {
      regroup();
      std::vector<Expr> sums = plain_sums(kinds_->needed(), *kinds_);
      if (sums.empty()) break;
      result.stages.push_back(part_of(sums));
      for (const Expr& sum : sums) {
        sums_.push_back(variable("sum", sum.type(), sum->where));
        done[sum.get()] = sums_.back();
      }
    }
    roots_ = rebuild(roots_, with_known_sizes, done);
  }
  NodeMap<Expr> done;
  const std::vector<Expr> roots = built(roots_, done);
  std::vector<Expr> inputs;
  if (!slices_.empty()) inputs = program_.inputs;
  inputs.push_back(count_of_all_);
  inputs.insert(inputs.end(), sums_.begin(), sums_.end());
  result.update = sliced({inputs, sums_, roots, program_.output_count, program_.targets, read_,
                          program_.name + ", its update",
                          [this](std::vector<Expr> all, std::string name) {
                            return spec(std::move(all), std::move(name));
                          }},
                         rank, is_plain());
  return result;
}

}  // namespace

StagedStep staged(const char* what, const Function& step, const std::vector<const Tensor*>& data,
                  Rank rank) {
  // Of slices by the minibatch's number rules know how many rows they have: they stay as written.
  if (Inspect::spec(step).mode == Mode::fast && !data.empty()) {
    try {
      return Cutter(what, step, data, /*as_written=*/false).cut(rank);
    } catch (const TypeError&) {
      // What derivatives say of themselves, that they keep rows apart, rules do not keep.
    }
  }
  return Cutter(what, step, data, /*as_written=*/true).cut(rank);
}

}  // namespace cinch::parallel
