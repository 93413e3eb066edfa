#include "cinch/exchange/graph/names.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace cinch::exchange {

namespace {

constexpr std::array<std::string_view, 51> words_of_c{
    "auto",     "break",  "case",   "char",   "const",    "continue", "default",  "do",
    "double",   "else",   "enum",   "extern", "float",    "for",      "goto",     "if",
    "inline",   "int",    "long",   "main",   "register", "restrict", "return",   "short",
    "signed",   "sizeof", "static", "struct", "switch",   "typedef",  "union",    "unsigned",
    "void",     "while",  "bool",   "true",   "false",    "int64_t",  "uint64_t", "class",
    "template", "new",    "delete", "this",   "private",  "public",   "operator", "namespace",
    "memory",   "memcpy", "memset"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

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
  if (std::ranges::find(words_of_c, name) != words_of_c.end()) name += '_';
  std::string result = name;
  for (int k = 1; !taken_.insert(result).second; ++k) result = name + '_' + std::to_string(k);
  return result;
}

}  // namespace cinch::exchange
