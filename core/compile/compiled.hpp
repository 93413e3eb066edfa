// What stands behind a Function: its program, its plans and what a call holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "cinch/core/compile/compile.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/plan/host.hpp"

namespace cinch {

struct Function::Compiled {
  FunctionSpec spec;  // As it was given, for copies.
  compiling::Program program;
  std::vector<std::optional<Tensor>> defaults;  // Of each input.
  Mode mode;
  Watch watch;
  planning::HostProgram host;
  struct Entry {
    // Sizes of the arguments, one after the other, free numbers of rows, the host's.
    std::vector<std::int64_t> key;
    std::unique_ptr<planning::Plan> plan;
    bool recurs = false;  // Its plan was given up before, and made again.
    std::int64_t calls = 0;
    double nanoseconds = 0;  // Of the calls that were measured.
  };
  std::list<Entry> plans;  // Most recently used first.
  std::map<std::vector<std::int64_t>, std::list<Entry>::iterator> plan_at;
  std::set<std::vector<std::int64_t>> known;  // Sizes that a plan was made for.
  std::size_t plans_made = 0, plan_bytes = 0;
  /// The variables that a call reads or changes, in the order of their addresses, so that calls
  /// that wait for each other do not do so in a circle.
  struct Use {
    SharedState* state;
    bool changes;
  };
  std::vector<Use> uses;
  bool profiling = false;
  mutable std::mutex mutex;
  // Reused at each call, so that it allocates nothing.
  std::vector<std::int64_t> key;
  std::vector<const void*> addresses;
  std::vector<const Tensor*> given;
  std::vector<Tensor> converted;

  /// Holds them for the time of a call.
  class Holding {
   public:
    explicit Holding(const std::vector<Use>& uses) : uses_(uses) {
      for (const Use& use : uses_)
        use.changes ? use.state->access.lock() : use.state->access.lock_shared();
    }
    ~Holding() {
      for (const Use& use : uses_)
        use.changes ? use.state->access.unlock() : use.state->access.unlock_shared();
    }
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;

   private:
    const std::vector<Use>& uses_;
  };
  void note_variables();
  void note_defaults();
  std::size_t fewest_arguments() const;
  void give_plans_up();

  void run(std::span<const Tensor* const> arguments, std::vector<Tensor>& outputs);
  void run_checked(std::vector<Tensor>& outputs);
  std::vector<Binding> bindings() const;
  std::vector<bool> watched() const;
  void commit_watched(planning::Plan& plan, std::span<const Tensor> outputs);
  Entry& entry_for(std::span<const Tensor* const> arguments);
  std::unique_ptr<planning::Plan> plan_of(const std::vector<std::int64_t>& key,
                                          compiling::CompileLog* log) const;
};

}  // namespace cinch
