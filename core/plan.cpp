#include "core/plan.hpp"

#include <cstring>
#include <new>

#include "core/graph.hpp"
#include "core/shared.hpp"

namespace cinch {

void Plan::Free::operator()(std::byte* memory) const {
  ::operator delete[](memory, std::align_val_t{64});
}

void Plan::run_step(const Step& step) {
  if (const auto* loop = std::get_if<LoopStep>(&step)) {
    loop->loop.run(buffers_.data(), arena_.get() + partial_offset_);
  } else if (const auto* kernel = std::get_if<KernelStep>(&step)) {
    const auto operand = [&](const KernelStep::Argument& a) {
      std::byte* data = buffers_[static_cast<std::size_t>(a.buffer)] +
                        a.where.offset * static_cast<std::int64_t>(size_of(a.dtype));
      return Operand{data, a.dtype, a.shape, a.where.strides};
    };
    kernel->operands.clear();
    for (const auto& input : kernel->inputs) kernel->operands.push_back(operand(input));
    try {
      kernel->node.op().kernel(kernel->operands, operand(kernel->output), kernel->node.attrs());
    } catch (const ValueError& error) {
      throw ValueError(cinch::text(kernel->node.op().name, ": ", error.what(), "\n  in ",
                                   describe(kernel->node), "  at ", kernel->node->where.text()));
    }
  } else if (const auto* move = std::get_if<MoveStep>(&step)) {
    const std::int64_t start =
        reinterpret_cast<const std::int64_t*>(buffers_[static_cast<std::size_t>(move->start)])[move->start_offset];
    if (!move->empty && (start < move->least || start > move->most)) {
      throw ValueError(cinch::text("index ", start, " is out of range for axis ",
                                   move->node.attrs().ints[0], " of ",
                                   cinch::text(move->node.inputs()[0].type()), "\n  in ",
                                   describe(move->node), "  at ", move->node->where.text()));
    }
    buffers_[static_cast<std::size_t>(move->to)] =
        buffers_[static_cast<std::size_t>(move->from)] + move->base_bytes +
        (move->empty ? 0 : start * move->stride_bytes);
  } else if (const auto* copy = std::get_if<CopyStep>(&step)) {
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
  for (const Step& step : steps_) run_step(step);
}

const void* Plan::result(std::size_t k) const {
  return buffers_[static_cast<std::size_t>(results_[k])];
}

void Plan::commit() {
  for (const Step& step : commits_) run_step(step);
}

std::string Plan::text() const {
  std::string result;
  const auto line = [&](const Step& step) {
    if (const auto* loop = std::get_if<LoopStep>(&step)) {
      result += "loop " + cinch::text(loop->loop.spec().shape) + ":";
      for (const Expr& node : loop->nodes)
        result += " " + std::string(node.op().name) + "@" + node->where.text();
    } else if (const auto* kernel = std::get_if<KernelStep>(&step)) {
      result += std::string(kernel->node.op().name) + " " + cinch::text(kernel->node.type());
      for (const auto& input : kernel->inputs) result += " " + cinch::text(input.shape);
      result += " @" + kernel->node->where.text();
    } else if (const auto* move = std::get_if<MoveStep>(&step)) {
      result += "move " + cinch::text(move->node.type()) + " @" + move->node->where.text();
    } else if (const auto* copy = std::get_if<CopyStep>(&step)) {
      result += "copy to " + copy->target->label;
    }
    result += "\n";
  };
  for (const Step& step : steps_) line(step);
  result += "commit\n";
  for (const Step& step : commits_) line(step);
  return result;
}

}  // namespace cinch
