#include "cinch/train/parallel/stages.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "cinch/core/algebra.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/variables.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/random.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/train/parallel/additive.hpp"

namespace cinch::parallel {

namespace {

using deriving::Count;
using deriving::Place;
using deriving::Separation;

/// What a node is, seen from a part of the rows.
enum class Kind : std::uint8_t {
  same,     ///< For all parts, and for the whole.
  size,     ///< An integer made of the number of rows: the part's where it is a size, else that of
            ///< the whole minibatch, as in a mean.
  local,    ///< Has an axis of the part's rows.
  sum,      ///< A sum over the rows, of which each part knows its own.
  extreme,  ///< The largest or smallest of the rows, likewise.
  blocked,  ///< Needs such a sum, whole.
};

bool is_draw(const Expr& node) {
  return &node.op() == &random_uniform_op || &node.op() == &random_normal_op;
}

bool is_whole_scalar(const Expr& node) {
  return node.rank() == 0 && (node.dtype() == DType::int64 || node.dtype() == DType::bool_);
}

/// Sizes that are known are numbers, so that what is made of them may be.
Expr with_known_sizes(const Expr& node) {
  const bool of_numbers =
      !node.inputs().empty() && std::ranges::all_of(node.inputs(), [](const Expr& e) {
        return constant_value(e) != nullptr;
      });
  if (is_whole_scalar(node) && node.op().elementwise() && of_numbers)
    return records::computed(node);
  if (&node.op() != &size_op) return node;
  const Dim dim = node.inputs()[0].dims()[AlongAxis::of(node.attrs()).axis];
  return dim.known() ? constant(Tensor(dim.size()), node->where) : node;
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
  Cutter(const char* what, const Function& step, const std::vector<const Tensor*>& data);
  StagedStep cut();

 private:
  struct Draw {
    Expr stands_for, draw;
    std::int64_t axis;
  };

  void take_rows_of(const std::vector<const Tensor*>& data);
  void take_slices();
  void take_draws();
  std::vector<Separation::Given> given() const;
  bool classify(const Separation& all);
  Kind kind_of(const Expr& node, const Separation& all);
  Kind kind_of_local(const Expr& node, const Separation& all, const std::vector<bool>& local,
                     bool counts);
  std::int64_t row_axes(const Expr& node, const Separation& all) const;
  Kind kind_of_size(const Expr& node, const Separation& all);
  Kind kind_with_sums(const Expr& node, bool any_local);
  bool is_local_operand(const Expr& node, std::size_t k) const;
  Kind kind(const Expr& node) const { return kinds_.at(node.get()); }
  [[noreturn]] void refuse_mixing(const Expr& node) const;

  Stage part_of(const std::vector<Expr>& sums);
  Expr part_of_draw(const Draw& draw, NodeMap<Expr>& done);
  std::vector<Expr> built(std::span<const Expr> roots, NodeMap<Expr>& done);
  Expr whole(const Expr& size, NodeMap<Expr>& done);
  FunctionSpec spec(std::vector<Expr> inputs, std::string name) const;

  const char* what_;
  const compiling::Program& program_;
  const FunctionSpec& as_given_;
  std::vector<Expr> roots_;
  std::vector<Expr> rows_;          // Variables of a part's rows.
  std::vector<Expr> slices_;        // What they are rows of, where the step holds its data.
  std::vector<Draw> draws_;         // Draws for each row.
  std::vector<Shared> states_;      // Of all draws.
  std::vector<Expr> state_values_;  // Variables in their places.
  std::vector<Expr> sums_;          // Variables for the sums of the stages so far.
  Expr count_of_all_ = lscalar("rows"), first_ = lscalar("first"), count_ = lscalar("count");
  Count examples_ = Count::symbol(Dim::unknown().symbol());
  NodeMap<Kind> kinds_;
  NodeMap<Count> counts_;                           // Of sizes: how many there are of each example.
  NodeMap<Expr> numbers_;                           // Of sizes that turn out to be known.
  NodeSet counting_;                                // Integers that number rows.
  std::unordered_set<std::int64_t> known_symbols_;  // Sizes of what is the same for all parts.
  NodeMap<Combine> extremes_;
  Expr replaced_, expanded_;  // What mixes rows, and the same of simpler ops.
  std::vector<Expr> needed_;
};

Cutter::Cutter(const char* what, const Function& step, const std::vector<const Tensor*>& data)
    : what_(what),
      program_(Inspect::program(step)),
      as_given_(Inspect::spec(step)),
      roots_(program_.written) {
  for (const Shared& variable : shared_variables(roots_)) {
    if (!variable.attrs().state->advance) continue;
    states_.push_back(variable);
    state_values_.push_back(cinch::variable(variable.label(), variable.type()));
  }
  data.empty() ? take_slices() : take_rows_of(data);
  NodeMap<Expr> done;
  for (std::size_t k = 0; k < rows_.size(); ++k)
    done[(data.empty() ? slices_[k] : program_.inputs[k]).get()] = rows_[k];
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
  return result;
}

// What nodes are
// -------------------------------------------------------------------------------------------------

/// False where no sum is needed any more: all is the same for all parts.
bool Cutter::classify(const Separation& all) {
  kinds_.clear(), counts_.clear(), numbers_.clear(), counting_.clear(), extremes_.clear(),
      needed_.clear();
  known_symbols_.clear();
  expanded_ = {};
  for (const Expr& x : rows_) kinds_[x.get()] = Kind::local;
  for (const Draw& draw : draws_) kinds_[draw.stands_for.get()] = Kind::local;
  for (const Expr& node : topological(roots_)) {
    if (kinds_.contains(node.get())) continue;
    const Kind is = kinds_[node.get()] = kind_of(node, all);
    for (std::int64_t axis = 0; is == Kind::same && axis < node.rank(); ++axis) {
      const auto& symbols = all.size(node, axis).symbols();
      known_symbols_.insert(symbols.begin(), symbols.end());
    }
    if (expanded_.has_value()) return true;
  }
  for (const Expr& root : roots_) {
    if (kind(root) == Kind::sum || kind(root) == Kind::extreme) needed_.push_back(root);
    if (kind(root) != Kind::local) continue;
    refuse(what_,
           text("a result has a row for each of the minibatch's, ", root.type(), "  ",
                describe(root), ": parts of the rows can only add up their sums"),
           root->where);
  }
  std::ranges::sort(needed_, std::less<>(), [](const Expr& e) { return e.get(); });
  const auto again =
      std::ranges::unique(needed_, [](const Expr& a, const Expr& b) -> bool { return a == b; });
  needed_.erase(again.begin(), again.end());
  // In the order in which they are computed, which addresses are not.
  std::vector<Expr> ordered;
  for (const Expr& node : topological(roots_)) {
    if (std::ranges::find(needed_, node) != needed_.end()) ordered.push_back(node);
  }
  needed_ = std::move(ordered);
  return !needed_.empty();
}

/// Whether the part's own rows get into `node` by input k: as rows, or as a size.
bool Cutter::is_local_operand(const Expr& node, std::size_t k) const {
  const Op& op = node.op();
  if (&op == &deriving::derivative_op && k > 0) return false;  // Says of what it is one.
  const Kind of_input = kind(node.inputs()[k]);
  if (of_input == Kind::local) return true;
  if (of_input != Kind::size) return false;
  const bool is_position = node.dtype() == DType::int64 && node.rank() > 0;
  return op.is_size(k) || &op == &arange_op || &op == &eye_op || is_position;
}

Kind Cutter::kind_of(const Expr& node, const Separation& all) {
  if (node.op().observes) {
    refuse(what_, "a value is shown, which each part would do: take observed() out", node->where);
  }
  if (graphs::is_leaf(node)) return Kind::same;
  const std::size_t count = node.inputs().size();
  std::vector<bool> local(count);
  bool any_local = false, any_size = false, any_sum = false, counts = &node.op() == &arange_op;
  for (std::size_t k = 0; k < count; ++k) {
    const Expr& input = node.inputs()[k];
    any_size = any_size || kind(input) == Kind::size;
    any_sum = any_sum || kind(input) == Kind::sum || kind(input) == Kind::extreme ||
              kind(input) == Kind::blocked;
    local[k] = is_local_operand(node, k);
    any_local = any_local || local[k];
    counts = counts || (counting_.contains(input.get()) && node.op().reads(k));
  }
  if (any_sum) return kind_with_sums(node, any_local);
  if (&node.op() == &size_op) return any_local ? kind_of_size(node, all) : Kind::same;
  if (is_whole_scalar(node) && node.op().elementwise() && any_size) return Kind::size;
  if (!any_local) return Kind::same;
  return kind_of_local(node, all, local, counts);
}

Kind Cutter::kind_of_size(const Expr& node, const Separation& all) {
  const Count& n = all.size(node.inputs()[0], AlongAxis::of(node.attrs()).axis);
  if (n.symbols().empty()) {
    numbers_[node.get()] = constant(Tensor(n.factor()), node->where);
    return Kind::same;
  }
  if (const auto each = n.over(examples_)) counts_.emplace(node.get(), *each);
  return Kind::size;
}

/// What is linear in sums of parts is one itself; all else needs them whole.
Kind Cutter::kind_with_sums(const Expr& node, bool any_local) {
  std::vector<bool> partial;
  bool linear = !any_local;
  for (const Expr& input : node.inputs()) {
    partial.push_back(kind(input) == Kind::sum);
    linear = linear &&
             (kind(input) == Kind::sum || kind(input) == Kind::same || kind(input) == Kind::size);
  }
  if (linear && is_linear(node, partial)) return Kind::sum;
  for (std::size_t k = 0; k < partial.size(); ++k) {
    if (partial[k] || kind(node.inputs()[k]) == Kind::extreme) needed_.push_back(node.inputs()[k]);
  }
  return Kind::blocked;
}

Kind Cutter::kind_of_local(const Expr& node, const Separation& all, const std::vector<bool>& local,
                           bool counts) {
  if (&node.op() == &eye_op) refuse_mixing(node);
  std::vector<Place> places;
  for (const Expr& input : node.inputs()) places.push_back(all.place(input));
  const Expr mixing = all.mixing(node);
  if (mixing.has_value() && mixing != node) refuse_mixing(mixing);
  const bool apart = !mixing.has_value() && all.place(node).found();
  const std::int64_t rows = row_axes(node, all);
  if (rows > 1) refuse_mixing(node);  // A part has fewer of both.
  // The number of a row within its part is not that in the minibatch: it may say where among the
  // part's rows something stands, but is no value, and finds nothing elsewhere.
  const bool finds_own_rows =
      &node.op() == &scatter_add_op ? local[2] : places[0].found() && &node.op() != &cast_op;
  if (counts && node.dtype() == DType::int64 && rows == 1) {
    counting_.insert(node.get());
  } else if (counts && !(apart && finds_own_rows)) {
    refuse(what_,
           text("a value depends on the number of its row within the minibatch, which a part does "
                "not know\n  ",
                node.type(), "  ", describe(node)),
           node->where);
  }
  if (apart) return Kind::local;
  // The same for each row: still so, or put together.
  if (!mixing.has_value() && rows == 1) return Kind::local;
  const std::optional<Combine> how = combination(node, places, local);
  if (!how) {
    // Softmax over rows, say, is made of sums and a maximum.
    if (node.op().expand) expanded_ = node.op().expand(node);
    if (!expanded_.has_value()) refuse_mixing(node);
    replaced_ = node;
    return Kind::blocked;
  }
  if (*how == Combine::add) return Kind::sum;
  extremes_[node.get()] = *how;
  return Kind::extreme;
}

/// Along how many of its axes, or how many times along one, `node` has the part's rows. Refuses it
/// where its sizes cannot be followed.
std::int64_t Cutter::row_axes(const Expr& node, const Separation& all) const {
  std::int64_t result = 0;
  for (std::int64_t axis = 0; axis < node.rank(); ++axis) {
    Count n = all.size(node, axis);
    while (const auto rest = n.over(examples_)) n = *rest, ++result;
    const bool known = std::ranges::all_of(
        n.symbols(), [&](std::int64_t symbol) { return known_symbols_.contains(symbol); });
    if (!known) refuse_mixing(node);
  }
  return result;
}

void Cutter::refuse_mixing(const Expr& node) const {
  refuse(what_,
         text(".distribute cuts a minibatch into parts of its rows, and ", node.op().name,
              " needs them all\n  ", node.type(), "  ", describe(node),
              "\n  Sums and means over the rows may be taken of anything; what sorts, compares or "
              "otherwise mixes rows can be trained without .distribute."),
         node->where);
}

// Functions of parts
// -------------------------------------------------------------------------------------------------

/// `size` with the whole minibatch's rows in place of the part's.
Expr Cutter::whole(const Expr& size, NodeMap<Expr>& done) {
  if (kind(size) != Kind::size) return built(std::span(&size, 1), done).front();
  if (&size.op() == &size_op) {
    const auto each = counts_.find(size.get());
    if (each == counts_.end() || !each->second.symbols().empty()) {
      refuse(what_,
             text("a value depends on a size that is not known before the rows are: ",
                  describe(size), ": declare the sizes of all other axes"),
             size->where);
    }
    return each->second == Count() ? count_of_all_
                                   : count_of_all_ * constant(Tensor(each->second.factor()));
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
    if (const auto number = numbers_.find(node.get()); number != numbers_.end()) {
      done[node.get()] = number->second;
      continue;
    }
    std::vector<Expr> inputs;
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      const Expr& input = node.inputs()[k];
      const bool of_all =
          kind(input) == Kind::size && kind(node) != Kind::size && !is_local_operand(node, k);
      inputs.push_back(of_all ? whole(input, done) : done.at(input.get()));
    }
    done[node.get()] = with_inputs(node, std::move(inputs));
  }
  std::vector<Expr> result;
  for (const Expr& root : roots)
    result.push_back(kind(root) == Kind::size ? whole(root, done) : done.at(root.get()));
  return result;
}

/// The draw's numbers of the part's rows.
Expr Cutter::part_of_draw(const Draw& draw, NodeMap<Expr>& done) {
  const auto axis = static_cast<std::size_t>(draw.axis);
  std::vector<Expr> of_draw(draw.draw.inputs().begin(), draw.draw.inputs().end());
  of_draw[axis + 1] = count_;
  for (const Expr& node : topological(of_draw)) kinds_.try_emplace(node.get(), Kind::same);
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

/// `needed_` of a part's rows, those of unknown or few elements first.
Stage Cutter::part_of(const std::vector<Expr>& sums) {
  const Attribution as(Source{});
  NodeMap<Expr> done;
  for (std::size_t k = 0; k < states_.size(); ++k)
    done[states_[k].pointer().get()] = state_values_[k];
  std::vector<Expr> inputs = rows_;
  if (!slices_.empty()) {
    inputs = program_.inputs;
    for (std::size_t k = 0; k < rows_.size(); ++k)
      done[rows_[k].get()] = narrow(slices_[k], 0, first_, count_);
  } else {
    for (const Expr& x : rows_) done[x.get()] = x;
  }
  for (const Draw& draw : draws_) done[draw.stands_for.get()] = part_of_draw(draw, done);
  inputs.insert(inputs.end(), {count_of_all_, first_, count_});
  inputs.insert(inputs.end(), state_values_.begin(), state_values_.end());
  inputs.insert(inputs.end(), sums_.begin(), sums_.end());
  FunctionSpec result = spec(std::move(inputs), program_.name + ", a part");
  std::vector<Shared> slots;
  for (const Expr& sum : built(sums, done)) {
    if (is_small(sum)) {
      result.outputs.push_back(sum);
    } else {
      slots.emplace_back(Tensor(sum.dtype(), sum.type().shape()), "sum");
      result.updates.push_back({slots.back(), sum});
    }
  }
  const std::size_t outputs = result.outputs.size();
  std::vector<Combine> how;
  for (const Expr& sum : sums) {
    const auto extreme = extremes_.find(sum.get());
    how.push_back(extreme == extremes_.end() ? Combine::add : extreme->second);
  }
  return {function(std::move(result)), std::move(slots), outputs, std::move(how)};
}

StagedStep Cutter::cut() {
  StagedStep result;
  result.draws = states_;
  if (!slices_.empty()) {
    FunctionSpec sizes = spec(program_.inputs, program_.name + ", its rows");
    for (const Expr& rows : slices_) sizes.outputs.push_back(size(rows, 0));
    result.rows = function(std::move(sizes));
  }
  while (classify(Separation(roots_, given(), examples_))) {
    if (expanded_.has_value()) {
      NodeMap<Expr> done{{replaced_.get(), expanded_}};
      roots_ = rebuild(roots_, with_known_sizes, done);
      continue;
    }
    std::ranges::stable_partition(needed_, is_small);
    result.stages.push_back(part_of(needed_));
    NodeMap<Expr> done;
    for (const Expr& sum : needed_) {
      sums_.push_back(variable("sum", sum.type(), sum->where));
      done[sum.get()] = sums_.back();
    }
    roots_ = rebuild(
        roots_, [](const Expr& node) { return node; }, done);
  }
  NodeMap<Expr> done;
  const std::vector<Expr> roots = built(roots_, done);
  std::vector<Expr> inputs;
  if (!slices_.empty()) inputs = program_.inputs;
  inputs.push_back(count_of_all_);
  inputs.insert(inputs.end(), sums_.begin(), sums_.end());
  FunctionSpec update = spec(std::move(inputs), program_.name + ", its update");
  const auto outputs = roots.begin() + static_cast<std::ptrdiff_t>(program_.output_count);
  update.outputs.assign(roots.begin(), outputs);
  for (std::size_t k = 0; k < program_.targets.size(); ++k)
    update.updates.push_back({program_.targets[k], outputs[static_cast<std::ptrdiff_t>(k)]});
  result.update = function(std::move(update));
  return result;
}

}  // namespace

Stage::Stage(Function part, std::vector<Shared> slots, std::size_t outputs,
             std::vector<Combine> how)
    : part_(std::move(part)), slots_(std::move(slots)), outputs_(outputs), how_(std::move(how)) {}

void Stage::compute(std::span<const Tensor* const> arguments, std::vector<Tensor>& result) {
  const std::size_t outputs = outputs_.size();
  result.resize(outputs + slots_.size());
  const auto value = [](const Shared& slot) -> Tensor& { return slot.attrs().state->value; };
  for (std::size_t k = 0; k < outputs; ++k) std::swap(outputs_[k], result[k]);
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    Tensor& place = result[outputs + k];
    if (place.shape() != value(slots_[k]).shape()) place = value(slots_[k]);
    std::swap(place, value(slots_[k]));
  }
  part_.call(arguments, outputs_);
  for (std::size_t k = 0; k < outputs; ++k) std::swap(outputs_[k], result[k]);
  for (std::size_t k = 0; k < slots_.size(); ++k) std::swap(result[outputs + k], value(slots_[k]));
}

StagedStep staged(const char* what, const Function& step, const std::vector<const Tensor*>& data) {
  return Cutter(what, step, data).cut();
}

}  // namespace cinch::parallel
