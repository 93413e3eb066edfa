#include "cinch/io/jsonl.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

namespace cinch {

namespace {

/// JSON holds neither bytes that are no UTF-8 nor control characters: printable() writes them out.
std::string quoted(const std::string& name) {
  std::string result = "\"";
  for (const char c : printable(name)) {
    if (c == '\n') {
      result += "\\n";
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 32> digits{};  // The fewest that read back the same; the same in every locale.
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), end.ptr};
}

std::vector<std::string> quoted(const std::vector<std::string>& names) {
  std::vector<std::string> result;
  for (const std::string& name : names) {
    result.push_back(quoted(name));
    if (std::ranges::count(result, result.back()) > 1)
      throw TypeError("JsonlWriter: two columns have the name " + result.back());
  }
  return result;
}

}  // namespace

JsonlWriter::JsonlWriter(const std::string& path, const std::vector<std::string>& columns)
    : names_(quoted(columns)), file_(path) {}

void JsonlWriter::row(std::span<const double> values) {
  if (values.size() != names_.size()) {
    throw TypeError(
        text("JsonlWriter: ", names_.size(), " columns, got ", values.size(), " values"));
  }
  std::string line = "{";
  for (std::size_t k = 0; k < values.size(); ++k)
    line += (k > 0 ? "," : "") + names_[k] + ':' + number(values[k]);
  file_.append(line + "}\n");
}

}  // namespace cinch
