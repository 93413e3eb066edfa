#include "cinch/io/table.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "cinch/core/error.hpp"
#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"

namespace cinch {

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view cell) {
  cell.remove_prefix(std::min(cell.find_first_not_of(blanks), cell.size()));
  const auto last = cell.find_last_not_of(blanks);
  return cell.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

/// What stands in the quotes, where there are some around all of it.
std::string_view unquoted(std::string_view cell) {
  cell = trimmed(cell);
  const bool quoted = cell.size() >= 2 && cell.front() == '"' && cell.back() == '"';
  return quoted ? cell.substr(1, cell.size() - 2) : cell;
}

std::optional<double> number(std::string_view cell) {
  cell = unquoted(cell);
  if (cell.starts_with('+')) cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size()) return {};
  return value;
}

bool is_number(std::string_view cell) { return number(cell).has_value(); }

/// Cells of a line; separators in quotes do not count, and any number of blanks are one.
std::vector<std::string_view> cells(std::string_view line, char separator) {
  std::vector<std::string_view> result;
  line = separator == '\t' ? line.substr(0, line.find_last_not_of('\r') + 1) : trimmed(line);
  bool in_quotes = false;
  std::size_t begin = 0;
  for (std::size_t k = 0; k <= line.size(); ++k) {
    if (k < line.size() && line[k] == '"') in_quotes = !in_quotes;
    if (k < line.size() && (in_quotes || line[k] != separator)) continue;
    const std::string_view cell = line.substr(begin, k - begin);
    if (separator != ' ' || !trimmed(cell).empty()) result.push_back(cell);
    begin = k + 1;
  }
  return result;
}

char separator_of(std::string_view line) {
  for (const char separator : {'\t', ';', ','}) {
    if (trimmed(line).find(separator) != std::string_view::npos) return separator;
  }
  return ' ';
}

class TextTable {
 public:
  TextTable(ByteStream& bytes, std::string_view text) : bytes_(bytes), rest_(text) {}

  NumberTable read(DType dtype) {
    std::vector<double> values;
    std::vector<std::string> columns;
    std::size_t width = 0;
    char separator = 0;
    bool begun = false;
    for (std::string_view line; next(line);) {
      if (!separator) separator = separator_of(line);
      const auto row = cells(line, separator);
      if (!begun && columns.empty() && !std::ranges::all_of(row, is_number)) {
        for (const std::string_view cell : row) columns.emplace_back(unquoted(cell));
        if (std::ranges::any_of(row, is_number)) fail_at(row, columns);
        continue;
      }
      begun = true;
      if (width == 0) width = columns.empty() ? row.size() : columns.size();
      if (row.size() != width) {
        bytes_.fail(text("line ", line_, " has ", row.size(), row.size() == 1 ? " cell" : " cells",
                         ", ", columns.empty() ? "those before it have " : "there are names for ",
                         width));
      }
      for (const std::string_view cell : row) {
        const std::optional<double> value = number(cell);
        if (!value || !std::isfinite(*value)) fail_at(row, columns);
        values.push_back(*value);
      }
    }
    if (values.empty()) bytes_.fail("holds no row of numbers");
    const auto wide = static_cast<std::int64_t>(width);
    const auto rows = static_cast<std::int64_t>(values.size()) / wide;
    bytes_.claim(rows * wide, size_of(dtype));
    const Tensor all = Tensor::from<double>({rows, wide}, values);
    return {all.cast(dtype), std::move(columns)};
  }

 private:
  /// The next line that holds something.
  bool next(std::string_view& line) {
    while (!rest_.empty()) {
      const auto end = std::min(rest_.find('\n'), rest_.size());
      line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++line_;
      if (!trimmed(line).empty() && !trimmed(line).starts_with('#')) return true;
    }
    return false;
  }

  /// Names the first cell that is no finite number.
  [[noreturn]] void fail_at(const std::vector<std::string_view>& row,
                            const std::vector<std::string>& columns) const {
    std::size_t k = 0;
    while (number(row[k]) && std::isfinite(*number(row[k]))) ++k;
    constexpr std::size_t longest = 40;
    const std::string cell(trimmed(row[k]).substr(0, longest));
    const bool named = k < columns.size() && columns[k] != cell;
    bytes_.fail(text("line ", line_, ", column ", k + 1, named ? " (" + columns[k] + ")" : "", ": ",
                     cell.empty() ? "there is nothing" : "'" + cell + "'",
                     number(row[k]) ? " is not finite"
                     : cell.empty() ? ""
                                    : " is no number"));
  }

  ByteStream& bytes_;
  std::string_view rest_;
  std::int64_t line_ = 0;
};

/// What a file that is no text seems to be, by its first bytes; empty for text.
std::string kind_of(std::string_view start) {
  using namespace std::string_view_literals;
  if (start.starts_with("\x89PNG"sv)) return "a PNG picture: read_images() reads it";
  if (start.starts_with("\0\0\x08"sv)) return "an IDX file: read_images() or read_labels()";
  if (start.find('\0') != std::string_view::npos) return "no text";
  return "";
}

/// An array as a table: a vector is a column. `of` names it.
NumberTable table_of(const std::string& of, const Tensor& array, DType dtype) {
  if (array.rank() < 1 || array.rank() > 2 || array.size() == 0)
    file_error(
        of, text("holds an array of shape ", text(array.shape()), ", a table has rows and columns",
                 array.rank() > 2 ? "; read_images() reads pictures" : ""));
  const std::int64_t rows = array.shape()[0];
  const Tensor values = array.reshaped({rows, array.size() / rows}).cast(dtype);
  for (std::int64_t k = 0; k < values.size(); ++k) {
    if (std::isfinite(values.at(k))) continue;
    const std::int64_t width = values.shape()[1];
    file_error(of, text("row ", k / width, ", column ", k % width, ": ", values.at(k),
                        " is not finite", array.dtype() == dtype ? "" : text(" as ", name(dtype))));
  }
  return {values, {}};
}

/// The only array of a file of named ones.
NumberTable only_table(const std::string& path, const Arrays& arrays, DType dtype) {
  if (arrays.size() == 1)
    return table_of(path + ": " + arrays.begin()->first, arrays.begin()->second, dtype);
  std::string names;
  for (const auto& [name, array] : arrays)
    names += (names.empty() ? "" : ", ") + name + " " + text(array.shape());
  file_error(path, text("holds ", arrays.size(), " arrays", names.empty() ? "" : ": ", names,
                        ", a table is one; read_npz() and read_safetensors() read all"));
}

}  // namespace

NumberTable read_table(const std::string& path, DType dtype) {
  if (!is_float(dtype)) {
    throw TypeError(text("read_table: the numbers must be of a float type, not ", name(dtype)));
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    file_error(path,
               "is a folder: name the file of it that is the table; folders of pictures are "
               "read by read_images()");
  const auto bytes = open_bytes(path);
  if (bytes->remaining() == 0) bytes->fail("is empty");
  bytes->claim(bytes->remaining(), 1 + sizeof(double));
  std::string content(static_cast<std::size_t>(bytes->remaining()), '\0');
  bytes->read({reinterpret_cast<std::uint8_t*>(content.data()), content.size()}, "the table");
  if (content.starts_with("\x93NUMPY")) return table_of(path, read_npy(path), dtype);
  if (content.starts_with("PK\x03\x04") || content.starts_with("PK\x05\x06"))
    return only_table(path, read_npz(path), dtype);
  // The length of a header, which is below 4 GiB.
  if (content.size() > 9 && content[8] == '{' && content.compare(4, 4, std::string(4, '\0')) == 0)
    return only_table(path, read_safetensors(path), dtype);
  const std::string kind = kind_of(std::string_view(content).substr(0, 256));
  if (!kind.empty()) bytes->fail("is no table of numbers, but " + kind);
  if (content.starts_with("\xef\xbb\xbf")) content.erase(0, 3);  // A byte order mark.
  return TextTable(*bytes, content).read(dtype);
}

}  // namespace cinch
