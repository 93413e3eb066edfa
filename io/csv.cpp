#include "cinch/io/csv.hpp"

#include <array>
#include <charconv>
#include <cstddef>

namespace cinch {

namespace {

std::string field(const std::string& name) {
  if (name.find_first_of(",\"\r\n") == std::string::npos) return name;
  std::string result = "\"";
  for (const char c : name) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + '"';
}

std::string field(double value) {
  std::array<char, 32> digits{};  // 17 digits, sign, point, exponent; the same in every locale
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                 std::chars_format::general, 17);
  return {digits.data(), end.ptr};
}

template <class Values>
std::string line(const Values& values) {
  std::string result;
  const char* separator = "";
  for (const auto& value : values) {
    result += separator;
    result += field(value);
    separator = ",";
  }
  result += '\n';
  return result;
}

}  // namespace

CsvWriter::CsvWriter(const std::string& path, const std::vector<std::string>& columns)
    : columns_(columns.size()), file_(path) {
  file_.append(line(columns));
}

void CsvWriter::row(std::span<const double> values) {
  if (values.size() != columns_) {
    throw TypeError(text("CsvWriter: ", columns_, " columns, got ", values.size(), " values"));
  }
  file_.append(line(values));
}

}  // namespace cinch
