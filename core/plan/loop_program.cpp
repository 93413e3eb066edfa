#include "cinch/core/plan/loop_program.hpp"

#include <array>
#include <cstring>

#include "cinch/core/plan/plan.hpp"

namespace cinch::planning {

namespace {

std::size_t bytes_of(const Type& type) {
  return static_cast<std::size_t>(element_count(type.shape())) * size_of(type.dtype);
}

/// Where the value of a state is: along its course, if that is asked for, else in two places by
/// turns. A step reads one value and writes the next.
class StateMemory {
 public:
  StateMemory(const Type& type, const void* initial, std::byte* first, bool backward)
      : bytes_(bytes_of(type)), now_(first), backward_(backward) {
    if (!now_) {
      for (Tensor& place : places_) place = Tensor(type.dtype, type.shape());
      now_ = static_cast<std::byte*>(places_[0].raw());
      in_turns_ = true;
    }
    std::memcpy(now_, initial, bytes_);
  }
  const std::byte* now() const { return now_; }
  std::size_t bytes() const { return bytes_; }
  void set(const void* next) {
    const auto bytes = static_cast<std::ptrdiff_t>(bytes_);
    if (in_turns_) {
      turn_ = 1 - turn_;
      now_ = static_cast<std::byte*>(places_[turn_].raw());
    } else {
      now_ += backward_ ? -bytes : bytes;
    }
    std::memcpy(now_, next, bytes_);
  }

 private:
  std::size_t bytes_;
  std::byte* now_;
  bool backward_, in_turns_ = false;
  std::array<Tensor, 2> places_;
  std::size_t turn_ = 0;
};

}  // namespace

void LoopProgram::run(std::span<const Operand> in, const Operand& out) const {
  const std::int64_t steps = in[0].shape[0];
  const auto at = [&](std::int64_t offset, std::size_t bytes, std::int64_t row) {
    return out.as<std::byte>() + static_cast<std::size_t>(offset) * size_of(dtype) +
           bytes * static_cast<std::size_t>(row);
  };
  std::vector<std::size_t> row_bytes;
  for (std::size_t k = 0; k < r.sequences; ++k)
    row_bytes.push_back(bytes_of(r.variables[k].type()));
  std::vector<StateMemory> now;
  now.reserve(r.states);
  for (std::size_t k = 0; k < r.states; ++k) {
    const Type& type = r.state(k).type();
    std::byte* first = states[k].course == nowhere
                           ? nullptr
                           : at(states[k].course, bytes_of(type), r.backward ? steps : 0);
    now.emplace_back(type, in[r.sequences + k].data, first, r.backward);
  }
  std::vector<const void*> addresses(r.variables.size());
  for (std::size_t k = r.others_begin(); k < addresses.size(); ++k) addresses[k] = in[k].data;
  const auto is_over = [&] {
    return r.until >= 0 &&
           *reinterpret_cast<const bool*>(now[static_cast<std::size_t>(r.until)].now());
  };
  bool over = is_over(), has_run = false;
  for (std::int64_t n = 0; n < steps; ++n) {
    const std::int64_t t = r.backward ? steps - 1 - n : n;
    if (!over) {
      for (std::size_t k = 0; k < r.sequences; ++k) {
        addresses[k] =
            static_cast<const std::byte*>(in[k].data) + static_cast<std::size_t>(t) * row_bytes[k];
      }
      for (std::size_t k = 0; k < r.states; ++k) addresses[r.sequences + k] = now[k].now();
      try {
        plan->run(addresses);
      } catch (const ValueError& error) {
        throw ValueError(text(error.what(), "\n  at step ", t, " of ", steps));
      } catch (const TypeError& error) {
        throw TypeError(text(error.what(), "\n  at step ", t, " of ", steps));
      } catch (const Error& error) {
        throw Error(text(error.what(), "\n  at step ", t, " of ", steps));
      }
    }
    has_run = has_run || !over;
    for (const Rows& row : rows) {
      const std::size_t bytes = bytes_of(roots[row.root].type());
      if (over && (row.is_zero_after || !has_run)) {
        std::memset(at(row.offset, bytes, t), 0, bytes);
      } else {
        std::memcpy(at(row.offset, bytes, t), plan->result(row.root), bytes);
      }
    }
    for (std::size_t k = 0; k < r.states; ++k) now[k].set(over ? now[k].now() : plan->result(k));
    over = is_over();
  }
  for (std::size_t k = 0; k < r.states; ++k) {
    if (states[k].last != nowhere)
      std::memcpy(at(states[k].last, 0, 0), now[k].now(), now[k].bytes());
  }
}

std::size_t LoopProgram::bytes() const {
  std::size_t result = plan->arena_bytes();
  for (std::size_t k = 0; k < r.states; ++k) {
    if (states[k].course == nowhere) result += 2 * bytes_of(r.state(k).type());
  }
  return result;
}

}  // namespace cinch::planning
