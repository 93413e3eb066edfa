#include "cinch/exchange/graph/names.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace cinch::exchange {

namespace {

constexpr std::string_view words[] = {
    // Of C and C++.
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
    "extern", "float", "for", "goto", "if", "inline", "int", "long", "main", "register", "restrict",
    "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union",
    "unsigned", "void", "volatile", "while", "bool", "true", "false", "class", "template", "new",
    "delete", "this", "private", "public", "protected", "operator", "namespace", "using", "try",
    "catch", "throw", "and", "or", "not", "xor",
    // Macros and types that headers or compilers define.
    "linux", "unix", "i386", "NAN", "INFINITY", "INT64_MIN", "INT64_MAX", "INT64_C", "NULL",
    "int64_t", "uint64_t", "size_t",
    // Functions that are called.
    "memcpy", "memset", "isnan", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
    "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh",
    "atanh", "sqrt", "fabs", "floor", "ceil", "rint", "trunc", "pow", "fmod", "fma", "erf", "erfc",
    "hypot",
    // What written files call things of their own.
    "memory", "bytes"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word(std::string_view name) {
  const auto is = [](std::string_view one) {
    return std::ranges::find(words, one) != std::end(words);
  };
  // In float32 functions end in f.
  return is(name) || (name.ends_with('f') && is(name.substr(0, name.size() - 1)));
}

/// Values, tables, functions and parameters of written files: v12, table_3, cinch_sigmoid_f32, u_x.
bool is_ours(std::string_view name) {
  if (name.starts_with("u_") || name.starts_with("cinch_") || name.starts_with("table_") ||
      name.starts_with("M_"))
    return true;
  return name.size() > 1 && name[0] == 'v' && is_digit(name[1]);
}

}  // namespace

std::string Names::fresh(const std::string& wanted, const std::string& otherwise) {
  std::string name;
  for (const char c : wanted) {
    if (is_letter(c) || is_digit(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  if (name.empty()) name = otherwise;
  if (is_digit(name.front())) name.insert(0, "_");
  if (is_word(name)) name += '_';
  if (is_ours(name)) name.insert(0, "the_");
  std::string result = name;
  for (int k = 1; !taken_.insert(result).second; ++k) result = name + '_' + std::to_string(k);
  return result;
}

}  // namespace cinch::exchange
