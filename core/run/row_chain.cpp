#include "cinch/core/run/row_chain.hpp"

#include <algorithm>

#include "cinch/core/run/team.hpp"

namespace cinch::running {

std::atomic<std::int64_t> forced_block_rows = 0;

namespace {

bool sums_rows(const LoopSpec::Output& out) {
  return out.accumulator && out.where.strides.front() == 0;
}

/// The same loop over so many rows, with operands numbered one after the other.
LoopSpec of_rows(const LoopSpec& spec, std::int64_t rows) {
  LoopSpec result = spec;
  int number = 0;
  for (auto& in : result.inputs) in.buffer = number++;
  for (auto& out : result.outputs) {
    out.buffer = number++;
    if (sums_rows(out)) {
      out.where.offset = 0;
    } else {
      out.size = out.size / spec.shape.front() * rows;
    }
  }
  result.shape.front() = rows;
  return result;
}

/// Bytes of one row of all that loops read and write, what they share once.
double row_bytes(std::span<const LoopSpec> loops) {
  std::vector<int> met;
  double result = 0;
  const auto add = [&](int buffer, DType dtype, const Strided& where) {
    if (where.strides.front() == 0 || std::ranges::find(met, buffer) != met.end()) return;
    met.push_back(buffer);
    result += static_cast<double>(where.strides.front()) * static_cast<double>(size_of(dtype));
  };
  for (const LoopSpec& loop : loops) {
    for (const auto& in : loop.inputs) add(in.buffer, in.dtype, in.where);
    for (const auto& out : loop.outputs) add(out.buffer, out.dtype, out.where);
  }
  return result;
}

}  // namespace

std::int64_t RowChain::take(std::size_t bytes) {
  const auto offset = static_cast<std::int64_t>(local_bytes_);
  local_bytes_ += aligned(bytes);
  return offset;
}

RowChain::RowChain(std::span<const LoopSpec> loops, std::span<const Local> locals,
                   BlockFn (*copy)(DType))
    : rows_(loops.front().shape.front()) {
  // What is alive at a time of a block, about half, stays in the second-level cache, with enough of
  // it in each loop for what a loop costs apart from its elements.
  constexpr double most_bytes = 1 << 21;
  constexpr std::int64_t most_rows = 64;
  const std::int64_t forced = forced_block_rows;
  block_rows_ =
      std::clamp(forced > 0 ? forced : static_cast<std::int64_t>(most_bytes / row_bytes(loops)),
                 std::int64_t{1}, std::min(most_rows, rows_));
  double nanoseconds = 0;
  for (const LoopSpec& loop : loops) nanoseconds += nanoseconds_of(loop);
  const std::int64_t blocks = (rows_ + block_rows_ - 1) / block_rows_;
  parts_ = forced > 0 ? std::min<std::int64_t>(blocks, 2) : parts_for(nanoseconds, blocks);
  std::vector<std::int64_t> local_at;
  for (const Local& local : locals)
    local_at.push_back(take(static_cast<std::size_t>(local.row_bytes * block_rows_)));
  for (const LoopSpec& loop : loops) add(loop, locals, local_at, copy);
}

void RowChain::add(const LoopSpec& spec, std::span<const Local> locals,
                   std::span<const std::int64_t> local_at, BlockFn (*copy)(DType)) {
  Member member;
  const auto where = [&](int buffer, DType dtype, const Strided& at) {
    const auto local = std::ranges::find(locals, buffer, &Local::buffer);
    const std::int64_t bytes = at.strides.front() * static_cast<std::int64_t>(size_of(dtype));
    return Where{
        buffer, bytes,
        local == locals.end() ? -1 : local_at[static_cast<std::size_t>(local - locals.begin())]};
  };
  for (const auto& in : spec.inputs)
    member.operands.push_back(where(in.buffer, in.dtype, in.where));
  for (const auto& out : spec.outputs) {
    if (!sums_rows(out)) {
      member.operands.push_back(where(out.buffer, out.dtype, out.where));
      continue;
    }
    const bool is_wide = out.accumulator == wide_sum.narrow_one && out.dtype == DType::float32;
    const auto count = static_cast<std::size_t>(out.size);
    const std::size_t width = size_of(out.dtype);
    const std::int64_t local = take(count * width);
    sums_.push_back({out.buffer, local, static_cast<std::int64_t>(sums_bytes_),
                     out.where.offset * static_cast<std::int64_t>(width), out.size, out.dtype,
                     out.accumulator, is_wide});
    sums_bytes_ += aligned(count * (is_wide ? sizeof(double) : width));
    member.operands.push_back({out.buffer, 0, local});
  }
  member.whole = std::make_unique<Loop>(of_rows(spec, block_rows_), copy);
  if (const std::int64_t left = rows_ % block_rows_; left > 0)
    member.rest = std::make_unique<Loop>(of_rows(spec, left), copy);
  for (const Loop* loop : {member.whole.get(), member.rest.get()}) {
    if (loop) loop_bytes_ = std::max(loop_bytes_, aligned(loop->partial_bytes()));
  }
  operands_ = std::max(operands_, member.operands.size());
  members_.push_back(std::move(member));
}

void RowChain::run_part(std::byte* const* buffers, std::byte* sums, std::int64_t part) const {
  thread_local constinit ThreadMemory memory;
  std::byte* const own = memory.get(local_bytes_ + loop_bytes_ + operands_ * sizeof(std::byte*));
  std::byte* const partial = own + local_bytes_;
  auto** const places = reinterpret_cast<std::byte**>(partial + loop_bytes_);
  for (const Sum& sum : sums_)
    sum.accumulator->start(sum.is_wide ? DType::float64 : sum.dtype, sums + sum.own,
                           static_cast<std::size_t>(sum.size));
  const Span blocks = part_of((rows_ + block_rows_ - 1) / block_rows_, 1, parts_, part);
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    const std::int64_t row = block * block_rows_;
    const bool is_whole = row + block_rows_ <= rows_;
    for (const Member& member : members_) {
      for (std::size_t k = 0; k < member.operands.size(); ++k) {
        const auto& [buffer, row_bytes, local] = member.operands[k];
        places[k] = local >= 0 ? own + local : buffers[buffer] + row * row_bytes;
      }
      (is_whole ? member.whole : member.rest)->run(places, partial);
    }
    for (const Sum& sum : sums_) {
      const auto count = static_cast<std::size_t>(sum.size);
      if (sum.is_wide) {
        wide_sum.zip(sums + sum.own, own + sum.local, count);
      } else {
        sum.accumulator->zip(sum.dtype, sums + sum.own, own + sum.local, count);
      }
    }
  }
}

void RowChain::run(std::byte* const* buffers, std::byte* partial) const {
  share_work(parts_, [&](std::int64_t part) {
    run_part(buffers, partial + static_cast<std::size_t>(part) * sums_bytes_, part);
  });
  for (const Sum& sum : sums_) {
    const auto count = static_cast<std::size_t>(sum.size);
    std::byte* const total = partial + sum.own;
    for (std::int64_t part = 1; part < parts_; ++part)
      sum.accumulator->zip(sum.is_wide ? DType::float64 : sum.dtype, total,
                           partial + static_cast<std::size_t>(part) * sums_bytes_ + sum.own, count);
    std::byte* const result = buffers[sum.buffer] + sum.result;
    if (sum.is_wide) {
      wide_sum.narrow(result, total, count);
    } else {
      std::copy_n(total, count * size_of(sum.dtype), result);
    }
  }
}

}  // namespace cinch::running
