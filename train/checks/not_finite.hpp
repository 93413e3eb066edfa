// Which call, and which of the user's lines, first made a NaN or an infinity.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"

namespace cinch::checks {

/// Whether all elements are finite; true for integers.
bool is_finite(const Tensor& value);
bool are_finite(std::span<const Tensor> values);

/// Values of variables at one moment.
class Snapshot {
 public:
  explicit Snapshot(std::vector<Shared> variables);

  void take();
  void put_back() const;
  /// The variables that were finite then and are not now.
  std::vector<Shared> spoiled() const;
  const std::vector<Shared>& variables() const { return variables_; }

 private:
  std::vector<Shared> variables_;
  std::vector<Tensor> values_;
  std::vector<bool> finite_;
};

/// Calls first, ..., last - 1 of `f`, made with the values of `before`, led to something that is
/// not finite. Makes them again, one by one, finds the first whose outputs, or the variables after
/// it, are not finite, leaves the variables as they were before that call, and computes it op by
/// op: throws ValueError with `what(k)` and whose fault it is, by inquire().
[[noreturn]] void explain_not_finite(
    const Function& f, std::int64_t first, std::int64_t last,
    const std::function<std::span<const Tensor* const>(std::int64_t)>& arguments,
    const Snapshot& before, const std::function<std::string(std::int64_t)>& what);

}  // namespace cinch::checks
