#include "cinch/core/plan/plan.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/naming.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/plan/loop_program.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::planning {

void Plan::Free::operator()(std::byte* memory) const {
  ::operator delete[](memory, std::align_val_t{64});
}

void Plan::run_step(Step& step) {
  if (const auto* loop = std::get_if<LoopStep>(&step)) {
    loop->loop.run(buffers_.data(), arena_.get() + partial_offset_);
  } else if (const auto* chain = std::get_if<ChainStep>(&step)) {
    chain->chain.run(buffers_.data(), arena_.get() + partial_offset_);
  } else if (const auto* kernel = std::get_if<KernelStep>(&step)) {
    const auto operand = [&](const KernelStep::Argument& a) {
      std::byte* data = buffers_[static_cast<std::size_t>(a.buffer)] +
                        a.where.offset * static_cast<std::int64_t>(size_of(a.dtype));
      return Operand{data, a.dtype, a.shape, a.where.strides};
    };
    kernel->operands.clear();
    for (const auto& input : kernel->inputs) kernel->operands.push_back(operand(input));
    try {
      kernel->node.op().kernel()->run(kernel->operands, operand(kernel->output),
                                      kernel->node.attrs());
    } catch (const ValueError& error) {
      throw ValueError(cinch::text(graphs::op_name_of(kernel->node), ": ", error.what(), "\n  in ",
                                   describe(kernel->node), "  at ", kernel->node->where.text()));
    } catch (const Error& error) {
      throw Error(cinch::text(graphs::op_name_of(kernel->node), ": ", error.what(), "\n  in ",
                              describe(kernel->node), "  at ", kernel->node->where.text()));
    } catch (const std::bad_alloc&) {
      throw Error(cinch::text(graphs::op_name_of(kernel->node), ": not enough memory\n  in ",
                              describe(kernel->node), "  at ", kernel->node->where.text()));
    }
  } else if (const auto* move = std::get_if<MoveStep>(&step)) {
    const std::int64_t start = reinterpret_cast<const std::int64_t*>(
        buffers_[static_cast<std::size_t>(move->start)])[move->start_offset];
    if (!move->empty && (start < move->least || start > move->most)) {
      throw ValueError(cinch::text("index ", start, " is out of range for axis ",
                                   Narrowing::of(move->node.attrs()).axis, " of ",
                                   cinch::text(move->node.inputs()[0].type()), "\n  in ",
                                   describe(move->node), "  at ", move->node->where.text()));
    }
    buffers_[static_cast<std::size_t>(move->to)] = buffers_[static_cast<std::size_t>(move->from)] +
                                                   move->base_bytes +
                                                   (move->empty ? 0 : start * move->stride_bytes);
  } else if (auto* copy = std::get_if<CopyStep>(&step)) {
    if (copy->resizes) copy->target->value = std::exchange(copy->fresh, Tensor());
    std::memmove(copy->target->value.raw(), buffers_[static_cast<std::size_t>(copy->from)],
                 copy->target->value.bytes());
  }
}

void Plan::run(std::span<const void* const> inputs) {
  for (std::size_t k = 0; k < inputs_.size(); ++k) {
    buffers_[inputs_[k]] = const_cast<std::byte*>(static_cast<const std::byte*>(inputs[k]));
  }
  for (const auto& [buffer, state] : shared_)
    buffers_[buffer] = static_cast<std::byte*>(state->value.raw());
  run_all(steps_, 0);
}

bool Plan::is_needed(std::size_t step) const {
  return std::ranges::all_of(guards_[step], [&](const GuardAt& guard) {
    const auto* conditions =
        reinterpret_cast<const bool*>(buffers_[static_cast<std::size_t>(guard.buffer)]);
    return conditions[guard.offset] == guard.holds;
  });
}

void Plan::run_all(std::vector<Step>& steps, std::size_t first_number) {
  const bool chooses = &steps == &steps_ && !guards_.empty();
  if (!profiling_) {
    for (std::size_t k = 0; k < steps.size(); ++k) {
      if (!chooses || is_needed(k)) run_step(steps[k]);
    }
    return;
  }
  using Clock = std::chrono::steady_clock;
  Clock::time_point before = Clock::now();
  for (std::size_t k = 0; k < steps.size(); ++k) {
    if (chooses && !is_needed(k)) continue;
    run_step(steps[k]);
    const Clock::time_point after = Clock::now();
    StepTime& time = times_[first_number + k];
    time.nanoseconds += std::chrono::duration<double, std::nano>(after - before).count();
    ++time.runs;
    before = after;
  }
}

void Plan::set_profiling(bool on) {
  profiling_ = on;
  if (on && times_.empty()) times_.resize(step_count());
}

std::size_t Plan::arena_bytes() const {
  std::size_t result = arena_bytes_;
  for (const Step& step : steps_) {
    const auto* kernel = std::get_if<KernelStep>(&step);
    if (kernel && kernel->node.attrs().loop) result += kernel->node.attrs().loop->bytes();
    if (const auto* chain = std::get_if<ChainStep>(&step)) result += chain->chain.local_bytes();
  }
  return result;
}

const void* Plan::result(std::size_t k) const {
  return buffers_[static_cast<std::size_t>(results_[k])] + result_offsets_[k];
}

void Plan::send_result(std::size_t k, void* to) {
  if (result_moves_[k])
    buffers_[static_cast<std::size_t>(results_[k])] = static_cast<std::byte*>(to);
}

void Plan::commit() {
  for (Step& step : commits_) {
    auto* copy = std::get_if<CopyStep>(&step);
    if (copy && copy->resizes) copy->fresh = Tensor(copy->target->value.dtype(), copy->shape);
  }
  run_all(commits_, steps_.size());
}

std::string Plan::name_of(int buffer) const {
  while (owner_[static_cast<std::size_t>(buffer)] != buffer)
    buffer = owner_[static_cast<std::size_t>(buffer)];
  const std::string& name = names_[static_cast<std::size_t>(buffer)];
  return name.empty() ? "t" + std::to_string(buffer) : name;
}

namespace {

/// "3 mul, 2 exp": how often each op occurs.
std::string tally(std::span<const Expr> nodes) {
  std::vector<std::pair<std::string_view, int>> counts;
  for (const Expr& node : nodes) {
    const auto entry =
        std::ranges::find(counts, node.op().name, [](const auto& count) { return count.first; });
    if (entry == counts.end()) {
      counts.emplace_back(node.op().name, 1);
    } else {
      ++entry->second;
    }
  }
  std::string result;
  for (const auto& [name, count] : counts) {
    if (!result.empty()) result += ", ";
    if (count > 1) result += std::to_string(count) + " ";
    result += name;
  }
  return result;
}

/// "200 steps backward of: dot (32, 100) (100, 100), loop tanh over (1, 3200)".
std::string described(const LoopProgram& program, std::int64_t count) {
  std::string result =
      text(count, count == 1 ? " step" : " steps", program.r.backward ? " backward" : "");
  if (program.parts.size() > 1)
    result += text(", in ", program.parts.size(), " parts of the rows,");
  result += " of: ";
  bool first = true;
  for (const StepInfo& step : program.parts.front().plan->steps()) {
    if (step.kernel == "view") continue;
    result += (first ? "" : "; ") + (step.kernel == "loop" ? "loop " + step.what : step.what);
    first = false;
  }
  return first ? result + "nothing" : result;
}

double bytes_of(DType dtype, const Shape& shape, const Strided& where) {
  double bytes = static_cast<double>(size_of(dtype));
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    bytes *= where.strides[axis] == 0 ? 1.0 : static_cast<double>(shape[axis]);
  return bytes;
}

}  // namespace

std::vector<StepInfo> Plan::steps() const {
  std::vector<StepInfo> result;
  const auto add = [&](const Step& step, bool at_commit) {
    StepInfo info{"", "", {}, 0, 0, {}, {}, at_commit};
    const auto add_loop = [&](const LoopStep& loop, std::span<const int> local) {
      const running::LoopSpec& spec = loop.loop.spec();
      info.flops +=
          static_cast<double>(element_count(spec.shape)) * static_cast<double>(loop.nodes.size());
      const auto note = [&](int buffer, DType dtype, const Strided& where,
                            std::vector<std::string>& names) {
        if (std::ranges::find(local, buffer) != local.end()) return;
        info.bytes += bytes_of(dtype, spec.shape, where);
        names.push_back(name_of(buffer));
      };
      for (const auto& in : spec.inputs) note(in.buffer, in.dtype, in.where, info.reads);
      for (const auto& out : spec.outputs) note(out.buffer, out.dtype, out.where, info.writes);
      info.nodes.insert(info.nodes.end(), loop.nodes.begin(), loop.nodes.end());
    };
    if (const auto* loop = std::get_if<LoopStep>(&step)) {
      info.kernel = "loop";
      info.what = tally(loop->nodes) + " over " + cinch::text(loop->loop.spec().shape);
      add_loop(*loop, {});
    } else if (const auto* chain = std::get_if<ChainStep>(&step)) {
      info.kernel = "loop";
      for (const LoopStep& each : chain->loops) add_loop(each, chain->local);
      const Shape& shape = chain->loops.front().loop.spec().shape;
      info.what = cinch::text(tally(info.nodes), ", ", chain->loops.size(), " loops by ",
                              chain->chain.block_rows(), " rows, over ", cinch::text(shape));
    } else if (const auto* kernel = std::get_if<KernelStep>(&step)) {
      const Op& op = kernel->node.op();
      info.kernel = op.name;
      info.what = op.name;
      info.nodes = {kernel->node};
      const auto flops = op.kernel()->flops;
      info.flops =
          flops ? flops(kernel->node) : static_cast<double>(element_count(kernel->output.shape));
      for (const auto& in : kernel->inputs) {
        info.what += " " + cinch::text(in.shape);
        info.bytes += bytes_of(in.dtype, in.shape, in.where);
        info.reads.push_back(name_of(in.buffer));
      }
      const auto& out = kernel->output;
      info.what += " -> " + cinch::text(out.shape);
      if (const LoopProgram* program = kernel->node.attrs().loop.get())
        info.what = described(*program, kernel->inputs.front().shape.front());
      info.bytes += bytes_of(out.dtype, out.shape, out.where);
      info.writes.push_back(name_of(out.buffer));
    } else if (const auto* move = std::get_if<MoveStep>(&step)) {
      info.kernel = "view";
      info.what = "part " + cinch::text(move->node.type()) + ", not copied";
      info.nodes = {move->node};
      info.reads = {name_of(move->from)};
      info.writes = {name_of(move->to)};
    } else if (const auto* copy = std::get_if<CopyStep>(&step)) {
      info.kernel = "copy";
      info.what = "to " + copy->target->label;
      info.bytes = 2 * static_cast<double>(copy->target->value.bytes());
      info.reads = {name_of(copy->from)};
      info.writes = {copy->target->label};
    }
    result.push_back(std::move(info));
  };
  for (std::size_t k = 0; k < steps_.size(); ++k) {
    add(steps_[k], false);
    if (!guards_.empty() && !guards_[k].empty()) {
      std::string cases;
      for (const GuardAt& guard : guards_[k])
        cases += (cases.empty() ? "if " : " and ") + std::string(guard.holds ? "" : "not ") +
                 name_of(guard.buffer);
      result.back().what = cases + ": " + result.back().what;
    }
  }
  for (const Step& step : commits_) add(step, true);
  return result;
}

std::string Plan::text() const {
  std::string result;
  bool committing = false;
  for (const StepInfo& step : steps()) {
    if (step.at_commit && !committing) result += "commit\n";
    committing = step.at_commit;
    result += step.kernel == "loop" ? "loop " + step.what : step.what;
    std::vector<std::string> lines;
    for (const Expr& node : step.nodes) {
      std::string line = node->where.text();
      if (std::ranges::find(lines, line) == lines.end()) lines.push_back(std::move(line));
    }
    for (const std::string& line : lines) result += " @" + line;
    result += "\n";
  }
  return result;
}

}  // namespace cinch::planning
