#include "cinch/core/plan/loop_program.hpp"

#include <array>
#include <cstring>

#include "cinch/core/plan/plan.hpp"
#include "cinch/core/run/team.hpp"
#include "cinch/core/threads.hpp"

namespace cinch::planning {

namespace {

std::size_t bytes_of(const Type& type) {
  return static_cast<std::size_t>(element_count(type.shape())) * size_of(type.dtype);
}

/// What a part has of a value: these bytes of all.
struct Extent {
  std::size_t all, begin, bytes;
};
Extent extent(const Type& type, bool is_cut, std::int64_t rows, const LoopProgram::Part& part) {
  const std::size_t all = bytes_of(type);
  if (!is_cut) return {all, 0, all};
  const std::size_t row = all / static_cast<std::size_t>(rows);
  return {all, row * static_cast<std::size_t>(part.begin),
          row * static_cast<std::size_t>(part.end - part.begin)};
}

/// Where the value of a state is: along its course, if that is asked for, else in two places by
/// turns. A step reads one value and writes the next.
class StateMemory {
 public:
  /// `first` is where its course begins, or null.
  StateMemory(const Extent& extent, const void* initial, std::byte* first, bool backward)
      : extent_(extent), now_(first), backward_(backward) {
    if (now_) {
      now_ += extent.begin;
    } else {
      // In elements that are as aligned as any.
      for (Tensor& place : places_)
        place = Tensor(DType::float64, {static_cast<std::int64_t>((extent.bytes + 7) / 8)});
      now_ = static_cast<std::byte*>(places_[0].raw());
      in_turns_ = true;
    }
    std::memcpy(now_, static_cast<const std::byte*>(initial) + extent.begin, extent.bytes);
  }
  const std::byte* now() const { return now_; }
  const Extent& extent() const { return extent_; }
  /// Where the next value goes.
  std::byte* next() {
    if (in_turns_) return static_cast<std::byte*>(places_[1 - turn_].raw());
    const auto all = static_cast<std::ptrdiff_t>(extent_.all);
    return now_ + (backward_ ? -all : all);
  }
  /// Goes on to it. It is at `made`, there already or not.
  void go_on(const void* made) {
    now_ = next();
    turn_ = 1 - turn_;
    if (made != now_) std::memcpy(now_, made, extent_.bytes);
  }

 private:
  Extent extent_;
  std::byte* now_;
  bool backward_, in_turns_ = false;
  std::array<Tensor, 2> places_;
  std::size_t turn_ = 0;
};

}  // namespace

/// One part while it runs.
class LoopProgram::Run {
 public:
  Run(const LoopProgram& program, std::size_t part, std::span<const Operand> in, const Operand& out)
      : p_(program),
        r_(program.r),
        part_(program.parts[part]),
        is_first_(part == 0),
        in_(in),
        out_(out),
        steps_(in[0].shape[0]),
        addresses_(r_.variables.size()) {
    for (std::size_t k = 0; k < r_.sequences; ++k) sequences_.push_back(of_variable(k));
    for (const Rows& row : p_.rows)
      rows_.push_back(
          extent(p_.roots[row.root].type(), p_.cut.roots[row.root], p_.cut.rows, part_));
    now_.reserve(r_.states);
    for (std::size_t k = 0; k < r_.states; ++k) {
      const std::size_t v = r_.sequences + k;
      const Extent extent = of_variable(v);
      const std::int64_t course = p_.states[k].course;
      std::byte* first = nullptr;
      if (course != nowhere && writes(p_.cut.variables[v]))
        first = at(course, extent.all, r_.backward ? steps_ : 0);
      now_.emplace_back(extent, in[v].data, first, r_.backward);
    }
    for (std::size_t k = r_.others_begin(); k < addresses_.size(); ++k)
      addresses_[k] = static_cast<const std::byte*>(in[k].data) + of_variable(k).begin;
    over_ = is_over();
  }

  void step(std::int64_t n) {
    const std::int64_t t = r_.backward ? steps_ - 1 - n : n;
    if (!over_) {
      // Results go straight to where they are asked for, if their plan can do that.
      for (std::size_t k = 0; k < rows_.size(); ++k) {
        const Rows& row = p_.rows[k];
        if (writes(p_.cut.roots[row.root])) part_.plan->send_result(row.root, place(k, t));
      }
      for (std::size_t k = 0; k < r_.states; ++k) part_.plan->send_result(k, now_[k].next());
      compute(t);
      has_run_ = true;
    }
    for (std::size_t k = 0; k < rows_.size(); ++k) {
      const Rows& row = p_.rows[k];
      if (!writes(p_.cut.roots[row.root])) continue;
      std::byte* to = place(k, t);
      if (over_ && (row.is_zero_after || !has_run_)) {
        std::memset(to, 0, rows_[k].bytes);
      } else if (const void* made = part_.plan->result(row.root); made != to) {
        std::memcpy(to, made, rows_[k].bytes);
      }
    }
    for (std::size_t k = 0; k < r_.states; ++k)
      now_[k].go_on(over_ ? now_[k].now() : part_.plan->result(k));
    over_ = is_over();
  }

  void finish() {
    for (std::size_t k = 0; k < r_.states; ++k) {
      if (p_.states[k].last == nowhere || !writes(p_.cut.variables[r_.sequences + k])) continue;
      const auto [all, begin, bytes] = now_[k].extent();
      std::memcpy(at(p_.states[k].last, 0, 0) + begin, now_[k].now(), bytes);
    }
  }

 private:
  std::byte* at(std::int64_t offset, std::size_t bytes, std::int64_t row) const {
    return out_.as<std::byte>() + static_cast<std::size_t>(offset) * size_of(p_.dtype) +
           bytes * static_cast<std::size_t>(row);
  }
  /// Of the k-th of what is asked for at each step.
  std::byte* place(std::size_t k, std::int64_t t) const {
    return at(p_.rows[k].offset, rows_[k].all, t) + rows_[k].begin;
  }
  Extent of_variable(std::size_t k) const {
    return extent(r_.variables[k].type(), p_.cut.variables[k], p_.cut.rows, part_);
  }
  /// What is the same for all parts is written by one.
  bool writes(bool is_cut) const { return is_cut || is_first_; }
  bool is_over() const {
    return r_.until >= 0 &&
           *reinterpret_cast<const bool*>(now_[static_cast<std::size_t>(r_.until)].now());
  }
  void compute(std::int64_t t) {
    for (std::size_t k = 0; k < r_.sequences; ++k) {
      addresses_[k] = static_cast<const std::byte*>(in_[k].data) +
                      static_cast<std::size_t>(t) * sequences_[k].all + sequences_[k].begin;
    }
    for (std::size_t k = 0; k < r_.states; ++k) addresses_[r_.sequences + k] = now_[k].now();
    try {
      part_.plan->run(addresses_);
    } catch (const ValueError& error) {
      throw ValueError(text(error.what(), "\n  at step ", t, " of ", steps_));
    } catch (const TypeError& error) {
      throw TypeError(text(error.what(), "\n  at step ", t, " of ", steps_));
    } catch (const Error& error) {
      throw Error(text(error.what(), "\n  at step ", t, " of ", steps_));
    }
  }

  const LoopProgram& p_;
  const graphs::Recurrence& r_;
  const Part& part_;
  bool is_first_;
  std::span<const Operand> in_;
  const Operand& out_;
  std::int64_t steps_;
  std::vector<const void*> addresses_;
  std::vector<Extent> sequences_, rows_;
  std::vector<StateMemory> now_;
  bool over_ = false, has_run_ = false;
};

void LoopProgram::run(std::span<const Operand> in, const Operand& out) const {
  const std::int64_t steps = in[0].shape[0];
  if (parts.size() > 1 && threads() > 1) {
    running::share_work(static_cast<std::int64_t>(parts.size()), [&](std::int64_t part) {
      Run run(*this, static_cast<std::size_t>(part), in, out);
      for (std::int64_t n = 0; n < steps; ++n) run.step(n);
      run.finish();
    });
    return;
  }
  // Step by step, so that memory is gone through once.
  std::vector<Run> all;
  all.reserve(parts.size());
  for (std::size_t part = 0; part < parts.size(); ++part) all.emplace_back(*this, part, in, out);
  for (std::int64_t n = 0; n < steps; ++n) {
    for (Run& run : all) run.step(n);
  }
  for (Run& run : all) run.finish();
}

std::size_t LoopProgram::bytes() const {
  std::size_t result = 0;
  for (const Part& part : parts) result += part.plan->arena_bytes();
  for (std::size_t k = 0; k < r.states; ++k) {
    if (states[k].course == nowhere) result += 2 * bytes_of(r.state(k).type());
  }
  return result;
}

double LoopProgram::flops_of_a_step() const {
  double result = 0;
  for (const Part& part : parts) {
    for (const StepInfo& step : part.plan->steps()) result += step.flops;
  }
  return result;
}

}  // namespace cinch::planning
