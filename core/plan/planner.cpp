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
#include "cinch/core/plan/plan.hpp"
#include "cinch/core/plan/strides.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::planning {

namespace {

constexpr std::align_val_t alignment{64};
constexpr std::size_t largest_loop =
    200;  // Instructions; longer chains are cut, so that registers stay in cache.

std::string made_by(const Expr& node) {
  return text(node.type(), "  ", describe(node), "\n  written at ", node->where.text());
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

BlockFn copy_block(DType dtype) { return copy_op.block(dtype, dtype); }

}  // namespace

/// Builds a Plan. Nodes are grouped by level: a level is the longest way from the leaves counted in
/// passes over memory. Elementwise nodes of one level and shape only depend on each other element
/// by element, so they form one loop; a reduction belongs to the loop that computes what it
/// reduces.
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
          roots[k].op().view && (results[k].target || !shows_whole_rows(roots[k]));
      if (lies_elsewhere || shows_shared)
        roots[k] = apply(copy_op, {roots[k]}, {}, roots[k]->where);
    }
    order_ = topological(roots);
    plan_.alive_ = roots;
    for (const Expr& input : inputs) {
      place_[input.get()] = {new_buffer(describe(input)), {0, row_major(input.type().shape())}};
      plan_.inputs_.push_back(static_cast<std::size_t>(place_[input.get()].buffer));
      plan_.alive_.push_back(input);
    }
    group_nodes();
    sink_nodes(roots);
    find_materialised(roots);
    choose_final_groups(roots, results);
    emit_steps();
    finish(roots, results);
  }

 private:
  struct Place {
    int buffer = -1;
    Strided where;
  };
  struct Group {
    Shape shape;
    std::vector<Expr> nodes;  // Elementwise ones and reductions, in topological order.
    bool is_final = false;    // Runs at commit, writing parameters in place.
  };
  struct Chain {
    Expr base;
    SharedState* target;
    std::vector<Expr> nodes;  // Each adds to the one after it; the last one to the base.
  };
  struct Unit {  // What a step is made from.
    int level;
    int group;  // Index into groups_, or -1 for a node of its own.
    Expr node;
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
    while (views.back().op().view) views.emplace_back(views.back().inputs()[0]);
    Strided from{0, row_major(views.back().type().shape())};
    for (auto view = views.rbegin() + 1; view != views.rend(); ++view) {
      Strided where;
      if (!view->op().view(from, *view, where)) return false;
      from = where;
    }
    from.offset = 0;
    return is_row_major(from, root.type().shape());
  }

  static bool is_loop(const Expr& node) { return node.op().elementwise() || node.op().accumulator; }
  static const Shape loop_shape(const Expr& node) {
    return node.op().accumulator ? node.inputs()[0].type().shape() : node.type().shape();
  }

  /// The first level from `level` on whose group of this shape has room. Full ones are passed over
  /// at once the next time.
  int open_level(int level, const Shape& shape) {
    const int start = level;
    while (true) {
      const auto next = passed_.find({level, shape});
      if (next != passed_.end()) {
        level = next->second;
        continue;
      }
      const auto group = open_.find({level, shape});
      const bool full =
          group != open_.end() &&
          groups_[static_cast<std::size_t>(group->second)].nodes.size() >= largest_loop;
      if (!full) break;
      passed_[{level, shape}] = level + 1;
      ++level;
    }
    if (level > start + 1) passed_[{start, shape}] = level;
    return level;
  }

  void group_nodes() {
    std::map<std::pair<int, Shape>, int>
        open;  // The group that takes nodes of this level and shape.
    for (const Expr& node : order_) {
      int level = 0;
      for (const Expr& input : node.inputs()) level = std::max(level, level_.at(input.get()) + 1);
      if (graphs::is_leaf(node)) {
        level = 0;
      } else if (is_loop(node)) {
        const Shape shape = loop_shape(node);
        // Operands computed element by element at the same positions may share the loop.
        int lowest = 1;
        for (const Expr& input : node.inputs()) {
          const bool joins = input.op().elementwise() && input.type().shape() == shape;
          lowest = std::max(lowest, level_.at(input.get()) + (joins ? 0 : 1));
        }
        level = open_level(lowest, shape);
        const auto [entry, fresh] =
            open_.try_emplace({level, shape}, static_cast<int>(groups_.size()));
        if (fresh) {
          groups_.push_back({shape, {}, false});
          units_.push_back({level, entry->second, {}});
        }
        groups_[static_cast<std::size_t>(entry->second)].nodes.push_back(node);
        group_of_[node.get()] = entry->second;
      } else {
        units_.push_back({level, -1, node});
      }
      level_[node.get()] = level;
    }
    std::ranges::stable_sort(units_, {}, &Unit::level);
  }

  /// Moves what one loop computes for another one only into that one, where it stays in registers:
  /// levels place everything as early as it can be.
  void sink_nodes(std::span<const Expr> roots) {
    NodeMap<int> reader;  // The one group that reads a node; -1 where others do.
    for (const Expr& root : roots) reader[root.get()] = -1;
    std::vector<std::size_t> sizes;
    for (const Group& group : groups_) sizes.push_back(group.nodes.size());
    bool moved = false;
    for (auto node = order_.rbegin(); node != order_.rend(); ++node) {
      const auto own = group_of_.find(node->get());
      if (own != group_of_.end() && node->op().elementwise()) {
        const auto to = reader.find(node->get());
        const int target = to == reader.end() ? -1 : to->second;
        if (target >= 0 && target != own->second &&
            groups_[static_cast<std::size_t>(target)].shape == node->type().shape() &&
            sizes[static_cast<std::size_t>(target)] < largest_loop) {
          ++sizes[static_cast<std::size_t>(target)];
          own->second = target;
          moved = true;
        }
      }
      const int group = own == group_of_.end() ? -1 : own->second;
      for (const Expr& input : node->inputs()) {
        const auto [entry, fresh] = reader.try_emplace(input.get(), group);
        if (!fresh && entry->second != group) entry->second = -1;
      }
    }
    if (!moved) return;
    for (Group& group : groups_) group.nodes.clear();
    for (const Expr& node : order_) {
      const auto group = group_of_.find(node.get());
      if (group != group_of_.end())
        groups_[static_cast<std::size_t>(group->second)].nodes.push_back(node);
    }
    std::erase_if(units_, [&](const Unit& unit) {
      return unit.group >= 0 && groups_[static_cast<std::size_t>(unit.group)].nodes.empty();
    });
  }

  /// Loop values that must be stored: whatever something outside their loop reads.
  void find_materialised(std::span<const Expr> roots) {
    const auto outside = [&](const Expr& value, int reader) {
      const auto group = group_of_.find(value.get());
      if (group != group_of_.end() && group->second != reader) stored_.insert(value.get());
    };
    for (const Expr& root : roots) outside(root, -1);
    for (const Expr& node : order_) {
      const auto group = group_of_.find(node.get());
      for (const Expr& input : node.inputs())
        outside(input, group == group_of_.end() ? -1 : group->second);
      if (node.op().accumulator) stored_.insert(node.get());
    }
  }

  /// A loop that computes nothing but updates may write them in place, if it reads the old values
  /// only where it writes the new ones, and nothing else written at commit reads them.
  void choose_final_groups(std::span<const Expr> roots, std::span<const PlanResult> results) {
    NodeMap<SharedState*> target;
    std::unordered_map<const SharedState*, const Node*> updated;
    NodeSet output;
    find_chains(roots, results);
    std::unordered_map<const SharedState*, const Node*> base_of;
    NodeMap<const Node*> chain_reader;  // The node that adds to a chain's base.
    for (const Chain& chain : chains_) {
      base_of[chain.target] = chain.base.get();
      chain_reader[chain.base.get()] = chain.nodes.back().get();
    }
    for (std::size_t k = 0; k < roots.size(); ++k) {
      const auto base = base_of.find(results[k].target);
      const Node* value =
          results[k].target && base != base_of.end() ? base->second : roots[k].get();
      if (results[k].target && !target.contains(value)) {
        target[value] = results[k].target;
      } else {
        output.insert(value);  // Returned, or the update of two variables.
      }
      if (results[k].target) updated[results[k].target] = value;
    }
    NodeSet read_elsewhere;  // Group values with readers outside their group.
    for (const Expr& node : order_) {
      for (const Expr& input : node.inputs()) {
        const auto from = group_of_.find(input.get());
        const auto to = group_of_.find(node.get());
        const auto reader = chain_reader.find(input.get());
        const bool by_chain = reader != chain_reader.end() && reader->second == node.get();
        if (from != group_of_.end() && !by_chain &&
            (to == group_of_.end() || to->second != from->second)) {
          read_elsewhere.insert(input.get());
        }
      }
    }
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Group& group = groups_[g];
      group.is_final = std::ranges::all_of(group.nodes, [&](const Expr& node) {
        if (node.op().accumulator || read_elsewhere.contains(node.get())) return false;
        if (stored_.contains(node.get()) &&
            (!target.contains(node.get()) || output.contains(node.get())))
          return false;
        return std::ranges::all_of(node.inputs(), [&](const Expr& input) {
          const SharedState* state = shared_behind(input);
          const auto update = updated.find(state);
          if (!state || update == updated.end()) return true;
          const auto writer = group_of_.find(update->second);
          return is_shared(input) && input.type().shape() == group.shape &&
                 writer != group_of_.end() && writer->second == static_cast<int>(g) &&
                 target.contains(update->second);
        });
      });
    }
    for (const auto& [node, state] : target) final_target_[node] = state;
    for (const Chain& chain : chains_) {
      const auto base = group_of_.find(chain.base.get());
      const bool starts_in_place =
          base != group_of_.end()
              ? groups_[static_cast<std::size_t>(base->second)].is_final
              : is_shared(chain.base) && chain.base.attrs().state.get() == chain.target;
      if (!starts_in_place) continue;
      for (const Expr& node : chain.nodes) in_place_[node.get()] = chain.target;
    }
  }

  /// Updates that end in products added to what a loop writes, or to the old value, and that
  /// nothing else reads.
  void find_chains(std::span<const Expr> roots, std::span<const PlanResult> results) {
    NodeMap<int> uses;
    for (const Expr& node : order_) {
      for (const Expr& input : node.inputs()) ++uses[input.get()];
    }
    for (const Expr& root : roots) ++uses[root.get()];
    std::unordered_set<const SharedState*> changing;
    for (const PlanResult& r : results) {
      if (r.target) changing.insert(r.target);
    }
    for (std::size_t k = 0; k < roots.size(); ++k) {
      if (!results[k].target || !roots[k].op().accumulates) continue;
      Chain chain{roots[k], results[k].target, {}};
      bool alone = true;
      while (alone && chain.base.op().accumulates) {
        const Expr node = chain.base;
        alone = uses.at(node.get()) == 1;
        for (const Expr& factor : node.inputs().subspan(1))
          alone = alone && !changing.contains(shared_behind(factor));
        chain.nodes.push_back(node);
        chain.base = node.inputs()[0];
      }
      if (alone && (is_shared(chain.base) || uses.at(chain.base.get()) == 1))
        chains_.push_back(std::move(chain));
    }
  }

  /// The shared variable whose memory `node` shows, through views; null if none.
  static SharedState* shared_behind(Expr node) {
    while (node.op().view) node = Expr(node.inputs()[0]);
    return is_shared(node) ? node.attrs().state.get() : nullptr;
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
    for (const Unit& unit : units_) {
      if (unit.group >= 0) {
        const Group& group = groups_[static_cast<std::size_t>(unit.group)];
        if (group.is_final) {
          emit_loop(group, plan_.commits_);
        } else {
          emit_loop(group, plan_.steps_);
        }
      } else if (unit.node.op().view) {
        emit_view(unit.node);
      } else if (unit.node.op().kernel) {
        emit_kernel(unit.node);
      } else {
        throw Error(std::string(unit.node.op().name) + " cannot run in Mode::fast");
      }
    }
  }

  void emit_loop(const Group& group, std::vector<Plan::Step>& steps) {
    // What no memory holds would take for ever too, be it of one number repeated.
    for (const Expr& node : group.nodes) bytes_of(node.op().accumulator ? node.inputs()[0] : node);
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
      if (!node.op().accumulator) inside.insert(node.get());
    }
    for (const Expr& node : group.nodes) {
      for (const Expr& input : node.inputs()) {
        if (!inside.contains(input.get())) add_input(input);
      }
    }
    for (const Expr& node : group.nodes) {
      if (node.op().accumulator) continue;
      running::LoopSpec::Instruction i{
          node.op().block(node.inputs().back().dtype(), node.dtype()), node.dtype(), {}, 0};
      for (const Expr& input : node.inputs())
        i.args[static_cast<std::size_t>(i.arity++)] = value.at(input.get());
      value[node.get()] = static_cast<int>(spec.inputs.size() + spec.instructions.size());
      spec.instructions.push_back(i);
    }
    for (const Expr& node : group.nodes) {
      if (!stored_.contains(node.get())) continue;
      if (node.op().accumulator) {
        const Place& to = new_place(node);
        Strided where{0, std::vector<std::int64_t>(group.shape.size(), 0)};
        std::size_t kept = 0;
        for (std::size_t axis = 0; axis < group.shape.size(); ++axis) {
          const bool summed =
              std::ranges::find(node.attrs().ints, static_cast<std::int64_t>(axis)) !=
              node.attrs().ints.end();
          if (!summed) where.strides[axis] = to.where.strides[kept++];
        }
        spec.outputs.push_back({to.buffer, node.dtype(), where, value.at(node.inputs()[0].get()),
                                node.op().accumulator, element_count(node.type().shape()), false});
        continue;
      }
      Place to;
      if (group.is_final) {
        SharedState* state = final_target_.at(node.get());
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
    const Op& op = node.op();
    const Expr& input = node.inputs()[0];
    Place from = place(input);
    Strided where;
    if (!op.view(from.where, node, where)) {
      // Needs row-major order: through a copy.
      const Expr copy = apply(copy_op, {input}, {}, node->where);
      plan_.alive_.push_back(copy);
      stored_.insert(copy.get());
      emit_loop({input.type().shape(), {copy}, false}, plan_.steps_);
      from = place(copy);
      op.view(from.where, node, where);
    }
    if (op.starts_at < 0) {
      place_[node.get()] = {from.buffer, where};
      return;
    }
    const Expr& start = node.inputs()[static_cast<std::size_t>(op.starts_at)];
    const auto axis = static_cast<std::size_t>(node.attrs().ints[0]);
    const std::int64_t step = node.attrs().ints.size() > 1 ? node.attrs().ints[1] : 1;
    const std::int64_t length =
        node.type().rank() == input.type().rank() ? node.type().shape()[axis] : 1;
    const std::int64_t reach = length > 0 ? (length - 1) * step : 0;
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
    std::vector<int> reads;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      Expr input = node.inputs()[i];
      const Place& lies = place(input);
      const bool fits = is_row_major(lies.where, input.type().shape()) ||
                        (!(node.op().accumulates && i == 0) && node.op().accepts &&
                         node.op().accepts(lies.where, input.type().shape()));
      if (!fits) {
        const Expr copy = apply(copy_op, {input}, {}, node->where);
        plan_.alive_.push_back(copy);
        stored_.insert(copy.get());
        emit_loop({input.type().shape(), {copy}, false}, plan_.steps_);
        input = copy;
      }
      const Place& from = place(input);
      step.inputs.push_back({from.buffer, from.where, input.dtype(), input.type().shape()});
      reads.push_back(from.buffer);
    }
    const auto in_place = in_place_.find(node.get());
    const Place& to =
        in_place == in_place_.end() ? new_place(node) : parameter_place(node, in_place->second);
    step.output = {to.buffer, to.where, node.dtype(), node.type().shape()};
    step.operands.reserve(step.inputs.size());
    auto& steps = in_place == in_place_.end() ? plan_.steps_ : plan_.commits_;
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
        plan_.commits_.insert(plan_.commits_.begin(), Plan::CopyStep{buffer, results[k].target});
    }
    lay_out();
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
    for (const Expr& node : order_) {
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
  std::vector<Expr> order_;
  NodeMap<int> level_, group_of_;
  std::vector<Group> groups_;
  std::vector<Unit> units_;
  std::map<std::pair<int, Shape>, int> open_;    // The group of each level and shape.
  std::map<std::pair<int, Shape>, int> passed_;  // The level after one whose group is full.
  NodeSet stored_, written_;
  std::vector<Chain> chains_;
  NodeMap<SharedState*> final_target_, in_place_;
  NodeMap<Place> place_;
  std::vector<int> owner_;         // Whose memory a buffer shows.
  std::vector<std::size_t> size_;  // Bytes in the arena; 0 for what lies elsewhere.
  std::vector<Use> uses_;
  std::size_t partial_ = 0;  // Bytes for partial results of loops.
};

Plan::Plan(std::span<const Expr> inputs, std::span<const PlanResult> results) {
  Planner(*this, inputs, results);
}

}  // namespace cinch::planning
