#include <algorithm>
#include <cstring>
#include <map>
#include <new>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/naming.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/plan/arena.hpp"
#include "cinch/core/plan/chains.hpp"
#include "cinch/core/plan/plan.hpp"
#include "cinch/core/plan/schedule.hpp"
#include "cinch/core/plan/strides.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::planning {

namespace {

constexpr std::align_val_t alignment{64};
std::string made_by(const Expr& node) {
  return text(node.type(), "  ", describe(node), written_at(node->where));
}

/// Bytes of a node's value. Throws where there are so many that sums of them could not be counted.
std::size_t bytes_of(const Expr& node) {
  constexpr std::size_t most = std::size_t{1} << 50;
  const auto count = static_cast<std::size_t>(element_count(node.type().shape()));
  const std::size_t each = size_of(node.dtype());
  if (count > most / each) {
    throw TypeError(text(graphs::op_name_of(node), ": the result is too large for any memory\n  ",
                         made_by(node)));
  }
  return count * each;
}

BlockFn copy_block(DType dtype) { return copy_op.elementwise()->block(dtype, dtype); }

}  // namespace

/// Builds a Plan: gives each value of a schedule its place, makes the steps, and lays out memory.
class Planner {
 public:
  Planner(Plan& plan, std::span<const Expr> inputs, std::span<const PlanResult> results)
      : plan_(plan) {
    std::vector<Expr> roots;
    for (const PlanResult& r : results) roots.push_back(r.value);
    // Outputs must lie in row-major order of their own.
    for (std::size_t k = 0; k < roots.size(); ++k) {
      // So must the new value of a variable that is another one's old value, before that one
      // changes.
      const bool shows_shared = results[k].target && is_shared(roots[k]);
      const bool lies_elsewhere =
          roots[k].op().view() && (results[k].target || !shows_whole_rows(roots[k]));
      if (lies_elsewhere || shows_shared)
        roots[k] = apply(copy_op, {roots[k]}, {}, roots[k]->where);
    }
    s_ = schedule(roots);
    choose_in_place(s_, roots, results);
    plan_.alive_ = roots;
    for (const Expr& input : inputs) {
      place_[input.get()] = {new_buffer(describe(input)), {0, row_major(input.type().shape())}};
      plan_.inputs_.push_back(static_cast<std::size_t>(place_[input.get()].buffer));
      plan_.alive_.push_back(input);
    }
    emit_steps();
    finish(roots, results);
  }

 private:
  struct Place {
    int buffer = -1;
    Strided where;
  };
  int new_buffer(std::string name = {}) {
    plan_.buffers_.push_back(nullptr);
    plan_.names_.push_back(std::move(name));
    owner_.push_back(static_cast<int>(owner_.size()));
    size_.push_back(0);
    return static_cast<int>(owner_.size()) - 1;
  }

  /// Whether a view, or a view of views, lies in row-major order in what it shows, as some rows of
  /// an input do: then an output needs no copy.
  static bool shows_whole_rows(const Expr& root) {
    std::vector<Expr> views{root};
    while (views.back().op().view()) views.emplace_back(views.back().inputs()[0]);
    Strided from{0, row_major(views.back().type().shape())};
    for (auto view = views.rbegin() + 1; view != views.rend(); ++view) {
      Strided where;
      if (!view->op().view()->show(from, *view, where)) return false;
      from = where;
    }
    from.offset = 0;
    return is_row_major(from, root.type().shape());
  }

  const Place& place(const Expr& node) {
    Place& result = place_[node.get()];
    if (result.buffer >= 0) return result;
    if (const Tensor* value = constant_value(node)) {
      result = {new_buffer("constant"), {0, row_major(node.type().shape())}};
      plan_.buffers_[static_cast<std::size_t>(result.buffer)] =
          const_cast<std::byte*>(static_cast<const std::byte*>(value->raw()));
    } else if (is_shared(node)) {
      result = {new_buffer(describe(node)), {0, row_major(node.type().shape())}};
      plan_.shared_.emplace_back(result.buffer, node.attrs().state.get());
    } else if (is_variable(node)) {
      throw TypeError("variable " + describe(node) + " is not among the inputs");
    }
    return result;
  }

  Place& new_place(const Expr& node) {
    Place& result = place_[node.get()];
    result = {new_buffer(), {0, row_major(node.type().shape())}};
    size_[static_cast<std::size_t>(result.buffer)] = std::max<std::size_t>(bytes_of(node), 1);
    return result;
  }

  /// The memory of the parameter that `node` is, or becomes part of, the new value of.
  Place& parameter_place(const Expr& node, SharedState* state) {
    Place& result = place_[node.get()];
    result = {new_buffer(state->label), {0, row_major(node.type().shape())}};
    plan_.shared_.emplace_back(result.buffer, state);
    written_.insert(node.get());
    return result;
  }

  void emit_steps() {
    for (const Unit& unit : s_.units) {
      const Expr& first = unit.group >= 0 ? s_.group(unit.group).nodes.front() : unit.node;
      const std::size_t begin = plan_.steps_.size();
      emit_unit(unit);
      if (!s_.guards.empty()) guard_steps(begin, s_.guards_of(first));
    }
  }

  /// Steps from `begin` on are made in these cases only.
  void guard_steps(std::size_t begin, const Guards& guards) {
    std::vector<Plan::GuardAt> places;
    for (const Guard& guard : guards) {
      const Place& condition = place(guard.condition);
      places.push_back({condition.buffer, condition.where.offset, guard.holds});
      for (std::size_t k = begin; k < plan_.steps_.size(); ++k)
        uses_.push_back({owner(condition.buffer), false, k});
    }
    plan_.guards_.resize(plan_.steps_.size(), places);
  }

  void emit_unit(const Unit& unit) {
    if (unit.group >= 0) {
      const Group& group = s_.group(unit.group);
      emit_loop(group, group.is_final ? plan_.commits_ : plan_.steps_);
    } else if (unit.node.op().view()) {
      emit_view(unit.node);
    } else if (unit.node.op().kernel()) {
      emit_kernel(unit.node);
    } else {
      throw Error(std::string(unit.node.op().name) + " cannot run in Mode::fast");
    }
  }

  void emit_loop(const Group& group, std::vector<Plan::Step>& steps) {
    // What no memory holds would take for ever too, be it of one number repeated.
    for (const Expr& node : group.nodes) bytes_of(node.op().reduction() ? node.inputs()[0] : node);
    running::LoopSpec spec{.shape = group.shape};
    NodeMap<int> value;
    const auto add_input = [&](const Expr& input) {
      if (value.contains(input.get())) return;
      const Place& from = place(input);
      value[input.get()] = static_cast<int>(spec.inputs.size());
      spec.inputs.push_back({from.buffer, input.dtype(),
                             broadcast_strides(from.where, input.type().shape(), group.shape)});
    };
    NodeSet inside;
    for (const Expr& node : group.nodes) {
      if (!node.op().reduction()) inside.insert(node.get());
    }
    for (const Expr& node : group.nodes) {
      for (const Expr& input : node.inputs()) {
        if (!inside.contains(input.get())) add_input(input);
      }
    }
    for (const Expr& node : group.nodes) {
      if (node.op().reduction()) continue;
      running::LoopSpec::Instruction i{
          node.op().elementwise()->block(node.inputs().back().dtype(), node.dtype()),
          node.dtype(),
          {},
          0};
      for (const Expr& input : node.inputs())
        i.args[static_cast<std::size_t>(i.arity++)] = value.at(input.get());
      value[node.get()] = static_cast<int>(spec.inputs.size() + spec.instructions.size());
      spec.instructions.push_back(i);
    }
    for (const Expr& node : group.nodes) {
      if (!s_.stored.contains(node.get())) continue;
      if (node.op().reduction()) {
        const Place& to = new_place(node);
        Strided where{0, std::vector<std::int64_t>(group.shape.size(), 0)};
        std::size_t kept = 0;
        const auto& over = OverAxes::of(node.attrs());
        for (std::size_t axis = 0; axis < group.shape.size(); ++axis) {
          const bool summed =
              std::ranges::find(over, static_cast<std::int64_t>(axis)) != over.end();
          if (!summed) where.strides[axis] = to.where.strides[kept++];
        }
        spec.outputs.push_back({to.buffer, node.dtype(), where, value.at(node.inputs()[0].get()),
                                node.op().reduction()->accumulator,
                                element_count(node.type().shape()), false});
        continue;
      }
      Place to;
      if (group.is_final) {
        SharedState* state = s_.final_target.at(node.get());
        to = parameter_place(node, state);
      } else {
        to = new_place(node);
      }
      spec.outputs.push_back({to.buffer, node.dtype(), to.where, value.at(node.get()), nullptr,
                              element_count(group.shape), group.is_final});
    }
    std::vector<int> reads, writes;
    for (const auto& in : spec.inputs) reads.push_back(in.buffer);
    for (const auto& out : spec.outputs) writes.push_back(out.buffer);
    if (&steps == &plan_.steps_) specs_[steps.size()] = spec;
    running::Loop loop(std::move(spec), copy_block);
    partial_ = std::max(partial_, loop.partial_bytes());
    note(steps, reads, writes);
    steps.push_back(Plan::LoopStep{std::move(loop), group.nodes});
  }

  /// Steps are numbered over both lists; remembers when each buffer is first written and last read.
  void note(const std::vector<Plan::Step>& steps, std::span<const int> reads,
            std::span<const int> writes) {
    const bool at_commit = &steps == &plan_.commits_;
    for (const int b : writes) uses_.push_back({owner(b), at_commit, steps.size()});
    for (const int b : reads) uses_.push_back({owner(b), at_commit, steps.size()});
  }

  std::size_t owner(int buffer) {
    auto b = static_cast<std::size_t>(buffer);
    while (owner_[b] != static_cast<int>(b)) b = static_cast<std::size_t>(owner_[b]);
    return b;
  }

  void emit_view(const Expr& node) {
    const View& view = *node.op().view();
    const Expr& input = node.inputs()[0];
    Place from = place(input);
    Strided where;
    if (!view.show(from.where, node, where)) {
      // Needs row-major order: through a copy.
      const Expr copy = apply(copy_op, {input}, {}, node->where);
      plan_.alive_.push_back(copy);
      s_.stored.insert(copy.get());
      emit_loop({input.type().shape(), {copy}, false}, plan_.steps_);
      from = place(copy);
      view.show(from.where, node, where);
    }
    if (view.starts_at < 0) {
      place_[node.get()] = {from.buffer, where};
      return;
    }
    const Expr& start = node.inputs()[static_cast<std::size_t>(view.starts_at)];
    const auto [axis, step] = Narrowing::of(node.attrs());
    const std::int64_t length =
        node.type().rank() == input.type().rank() ? node.type().shape()[axis] : 1;
    std::int64_t reach = 0;
    constexpr std::int64_t beyond = std::int64_t{1} << 62;  // Of any axis.
    if (length > 0 && __builtin_mul_overflow(length - 1, step, &reach))
      reach = step < 0 ? -beyond : beyond;
    reach = std::clamp(reach, -beyond, beyond);
    const std::int64_t most = input.type().shape()[axis] - 1 - std::max<std::int64_t>(reach, 0);
    const auto width = static_cast<std::int64_t>(size_of(node.dtype()));
    const int moved = new_buffer();
    owner_[static_cast<std::size_t>(moved)] = from.buffer;
    // The address of the view's first element; a backward view reaches down from there.
    const Place start_place = place(start);
    const int start_buffer = start_place.buffer;
    const std::int64_t least = std::max<std::int64_t>(-reach, 0);
    Plan::MoveStep move{node,
                        from.buffer,
                        moved,
                        start_buffer,
                        from.where.strides[axis] * width,
                        from.where.offset * width,
                        most,
                        least,
                        length == 0,
                        start_place.where.offset};
    where.offset = 0;
    note(plan_.steps_, std::vector{from.buffer, start_buffer}, {});
    plan_.steps_.push_back(move);
    place_[node.get()] = {moved, where};
  }

  void emit_kernel(const Expr& node) {
    Plan::KernelStep step;
    step.node = node;
    const Kernel& kernel = *node.op().kernel();
    std::vector<int> reads;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      Expr input = node.inputs()[i];
      const Place& lies = place(input);
      const bool fits = !node.op().reads(i) || is_row_major(lies.where, input.type().shape()) ||
                        (!(kernel.accumulates && i == 0) && kernel.accepts &&
                         kernel.accepts(lies.where, input.type().shape()));
      if (!fits) {
        const Expr copy = apply(copy_op, {input}, {}, node->where);
        plan_.alive_.push_back(copy);
        s_.stored.insert(copy.get());
        emit_loop({input.type().shape(), {copy}, false}, plan_.steps_);
        input = copy;
      }
      const Place& from = place(input);
      step.inputs.push_back({from.buffer, from.where, input.dtype(), input.type().shape()});
      reads.push_back(from.buffer);
    }
    const auto in_place = s_.in_place.find(node.get());
    const Place& to =
        in_place == s_.in_place.end() ? new_place(node) : parameter_place(node, in_place->second);
    step.output = {to.buffer, to.where, node.dtype(), node.type().shape()};
    step.operands.reserve(step.inputs.size());
    auto& steps = in_place == s_.in_place.end() ? plan_.steps_ : plan_.commits_;
    note(steps, reads, std::vector{to.buffer});
    steps.push_back(std::move(step));
  }

  void finish(std::span<const Expr> roots, std::span<const PlanResult> results) {
    for (std::size_t k = 0; k < roots.size(); ++k) {
      plan_.results_.push_back(-1);
      plan_.result_offsets_.push_back(0);
      plan_.shapes_.push_back(roots[k].type().shape());
      if (written_.contains(roots[k].get())) continue;
      const Place& lies = place(roots[k]);
      const int buffer = lies.buffer;
      plan_.result_offsets_.back() =
          lies.where.offset * static_cast<std::int64_t>(size_of(roots[k].dtype()));
      uses_.push_back({owner(buffer), true, 0});
      plan_.results_.back() = buffer;
      if (results[k].target)
        plan_.commits_.insert(
            plan_.commits_.begin(),
            Plan::CopyStep{buffer, results[k].target, roots[k].type().shape(), results[k].resizes});
    }
    form_chains();
    lay_out();
    for (std::size_t k = 0; k < roots.size(); ++k) {
      const int b = plan_.results_[k];
      plan_.result_moves_.push_back(b >= 0 && plan_.commits_.empty() &&
                                    plan_.result_offsets_[k] == 0 &&
                                    size_[static_cast<std::size_t>(b)] == bytes_of(roots[k]));
    }
  }

  StepSketch sketch(std::size_t number) {
    StepSketch result{nullptr, {}, {}};
    const auto add = [&](std::vector<int>& to, int buffer) {
      to.push_back(static_cast<int>(owner(buffer)));
      if (to.back() != buffer) to.push_back(buffer);
    };
    const Plan::Step& step = plan_.steps_[number];
    if (const auto spec = specs_.find(number); spec != specs_.end()) {
      result.loop = &spec->second;
      for (const auto& in : spec->second.inputs) add(result.reads, in.buffer);
      for (const auto& out : spec->second.outputs) add(result.writes, out.buffer);
    } else if (const auto* kernel = std::get_if<Plan::KernelStep>(&step)) {
      for (const auto& in : kernel->inputs) add(result.reads, in.buffer);
      add(result.writes, kernel->output.buffer);
    } else if (const auto* move = std::get_if<Plan::MoveStep>(&step)) {
      for (const int from : {move->from, move->start}) add(result.reads, from);
      result.writes.push_back(move->to);
    }
    return result;
  }

  /// Joins loops over the same rows.
  void form_chains() {
    if (!plan_.guards_.empty()) return;
    std::vector<StepSketch> sketches;
    for (std::size_t k = 0; k < plan_.steps_.size(); ++k) sketches.push_back(sketch(k));
    const std::vector<std::vector<std::size_t>> chains = row_chains(sketches);
    if (chains.empty()) return;
    std::vector<std::size_t> chain_of(plan_.steps_.size(), chains.size()),
        now_at(plan_.steps_.size());
    for (std::size_t c = 0; c < chains.size(); ++c) {
      for (const std::size_t k : chains[c]) chain_of[k] = c;
    }
    std::vector<Plan::Step> steps;
    for (std::size_t k = 0; k < plan_.steps_.size(); ++k) {
      const std::size_t c = chain_of[k];
      now_at[k] = steps.size();
      if (c == chains.size()) {
        steps.push_back(std::move(plan_.steps_[k]));
      } else if (k == chains[c].front()) {
        steps.push_back(chained(chains[c], chain_of, c));
      } else {
        now_at[k] = now_at[chains[c].front()];
      }
    }
    plan_.steps_ = std::move(steps);
    for (Use& use : uses_) {
      if (!use.at_commit) use.step = now_at[use.step];
    }
  }

  Plan::ChainStep chained(const std::vector<std::size_t>& members,
                          const std::vector<std::size_t>& chain_of, std::size_t number) {
    std::vector<running::LoopSpec> specs;
    std::vector<Plan::LoopStep> loops;
    std::vector<running::RowChain::Local> locals;
    std::vector<int> local;
    for (const std::size_t k : members) {
      specs.push_back(specs_.at(k));
      loops.push_back(std::get<Plan::LoopStep>(std::move(plan_.steps_[k])));
      for (const auto& out : specs.back().outputs) {
        const std::int64_t stride = out.where.strides.front();
        const bool is_seen = std::ranges::any_of(uses_, [&](const Use& use) {
          return use.buffer == static_cast<std::size_t>(out.buffer) &&
                 (use.at_commit || chain_of[use.step] != number);
        });
        if (stride == 0 || is_seen) continue;
        locals.push_back({out.buffer, stride * static_cast<std::int64_t>(size_of(out.dtype))});
        local.push_back(out.buffer);
        plan_.temporary_bytes_ += size_[static_cast<std::size_t>(out.buffer)];
        size_[static_cast<std::size_t>(out.buffer)] = 0;
      }
    }
    running::RowChain chain(specs, locals, copy_block);
    partial_ = std::max(partial_, chain.partial_bytes());
    return {std::move(chain), std::move(loops), std::move(local)};
  }

  void lay_out() {
    // What a commit reads lives to the end.
    const std::size_t end = plan_.steps_.size();
    std::vector<std::size_t> born(size_.size(), end + 1), last(size_.size(), 0);
    for (const Use& use : uses_) {
      const std::size_t at = use.at_commit ? end : use.step;
      born[use.buffer] = std::min(born[use.buffer], at);
      last[use.buffer] = std::max(last[use.buffer], at);
    }
    std::vector<std::vector<std::size_t>> starts(end + 1), stops(end + 1);
    for (std::size_t b = 0; b < size_.size(); ++b) {
      if (size_[b] == 0 || born[b] > end) continue;
      plan_.temporary_bytes_ += size_[b];
      starts[born[b]].push_back(b);
      stops[last[b]].push_back(b);
    }
    ArenaLayout layout;
    std::vector<std::size_t> offset(size_.size());
    for (std::size_t at = 0; at <= end; ++at) {
      for (const std::size_t b : starts[at]) offset[b] = layout.take(size_[b]);
      for (const std::size_t b : stops[at]) layout.give_back(offset[b], size_[b]);
    }
    plan_.owner_ = owner_;
    plan_.partial_offset_ = layout.bytes();
    plan_.arena_bytes_ = layout.bytes() + partial_;
    try {
      plan_.arena_.reset(new (alignment) std::byte[std::max<std::size_t>(plan_.arena_bytes_, 64)]);
    } catch (const std::bad_alloc&) {
      throw_no_memory();
    }
    for (std::size_t b = 0; b < size_.size(); ++b) {
      if (size_[b] > 0 && born[b] <= end) plan_.buffers_[b] = plan_.arena_.get() + offset[b];
    }
  }

  [[noreturn]] void throw_no_memory() const {
    Expr largest;
    std::size_t most = 0;
    for (const Expr& node : s_.order) {
      if (!place_.contains(node.get()) || node.inputs().empty()) continue;
      const std::size_t bytes = bytes_of(node);
      if (bytes > most) most = bytes, largest = node;
    }
    throw Error(text("not enough memory for the ", plan_.arena_bytes_,
                     " bytes of what is computed on the way",
                     largest.has_value() ? ", of which the largest value is\n  " : "",
                     largest.has_value() ? made_by(largest) : ""));
  }

  struct Use {
    std::size_t buffer;
    bool at_commit;
    std::size_t step;
  };

  Plan& plan_;
  Schedule s_;
  NodeSet written_;
  NodeMap<Place> place_;
  std::vector<int> owner_;         // Whose memory a buffer shows.
  std::vector<std::size_t> size_;  // Bytes in the arena; 0 for what lies elsewhere.
  std::vector<Use> uses_;
  std::map<std::size_t, running::LoopSpec> specs_;  // Of steps that are loops.
  std::size_t partial_ = 0;                         // Bytes for partial results of loops.
};

Plan::Plan(std::span<const Expr> inputs, std::span<const PlanResult> results) {
  Planner(*this, inputs, results);
}

}  // namespace cinch::planning
