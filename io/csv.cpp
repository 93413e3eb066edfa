#include "cinch/io/csv.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
    : path_(path), columns_(columns.size()), file_(open_file(path, "a")) {
  // Nothing is lost before it is known that nobody else writes there.
  const int descriptor = fileno(file_.get());
  struct stat status {};
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      file_error(path,
                 "is being written by another run: wait for its end, or choose another folder");
    if (ftruncate(descriptor, 0) != 0) file_error(path, "cannot be written: " + system_reason());
  }
  write(line(columns));
}

void CsvWriter::row(std::span<const double> values) {
  if (values.size() != columns_) {
    throw TypeError(text("CsvWriter: ", columns_, " columns, got ", values.size(), " values"));
  }
  write(line(values));
}

void CsvWriter::write(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
      std::fflush(file_.get()) != 0) {
    file_error(path_, "cannot be written: " + system_reason());
  }
}

}  // namespace cinch
