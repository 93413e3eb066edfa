// Lists of variables as a parameter of functions: {W, b}, model.params(), one variable alone.
#pragma once

#include <concepts>
#include <initializer_list>
#include <ranges>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Expressions to differentiate by, from whatever holds them: a list in braces, one expression, or
/// a range of Expr or Shared. Also for vectors that belong to them.
class Parameters {
 public:
  Parameters(const Expr& only) : all_{only} {}
  Parameters(std::initializer_list<Expr> all) : all_(all) {}
  template <std::ranges::input_range Range>
  requires std::convertible_to<std::ranges::range_reference_t<const Range&>, Expr> Parameters(
      const Range& all) {
    for (const Expr& e : all) all_.push_back(e);
  }

  const std::vector<Expr>& all() const { return all_; }
  std::size_t size() const { return all_.size(); }
  const Expr& operator[](std::size_t k) const { return all_[k]; }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  std::vector<Expr> all_;
};

}  // namespace cinch
