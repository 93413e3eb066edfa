// The arithmetic of elementwise ops in C.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/expr.hpp"

namespace cinch::exchange {

/// "float", "double", "int64_t", "unsigned char".
std::string c_type(DType dtype);
/// "f32", "f64", "i64", "b8": ends of names.
std::string c_suffix(DType dtype);
/// What a value of this type takes; its sizes are known.
std::int64_t bytes_of(const Type& type);
inline std::string number(std::int64_t n) { return std::to_string(n); }
/// A number as C reads it, to the last digit. In C99: hexadecimal where decimals would round.
std::string c_number(DType dtype, double value);
std::string c_number(const Tensor& value, std::int64_t index);

/// Functions that the written file needs, and their text.
class CFunctions {
 public:
  /// The name of the function for this dtype, which is then needed.
  std::string need(std::string_view function, DType dtype);
  /// Definitions of all that are needed, each behind those that it calls.
  std::string text() const { return text_; }

 private:
  std::set<std::string> known_;
  std::string text_;
};

/// Whether `op` has a formula here.
bool has_formula(const Op& op);
/// Whether the formula costs next to nothing, so that doing it again is cheaper than memory.
bool is_trivial(const Op& op);
/// The value of the elementwise node y from those of its operands, each a name or a number.
std::string c_formula(const Expr& y, const std::vector<std::string>& operands,
                      CFunctions& functions);

}  // namespace cinch::exchange
