#include "cinch/core/columns.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace cinch {

namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

/// Where to break: the last space before `width` columns are full, else the next one after a word
/// that does not fit; npos where there is none.
std::size_t break_of(std::string_view line, int width) {
  std::size_t result = std::string_view::npos;
  int column = 0;
  for (std::size_t at = std::min(line.find_first_not_of(' '), line.size()); at < line.size();
       ++at) {
    if (line[at] != ' ') continue;
    column = columns_of(line.substr(0, at));
    if (column > width && result != std::string_view::npos) break;
    result = at;
    if (column > width) break;
  }
  return result;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result(1);
  for (const char c : text) {
    if (c == '\n') {
      result.emplace_back();
    } else {
      result.back() += c;
    }
  }
  return result;
}

std::string padded(const std::string& cell, int width, bool left) {
  const std::string space(static_cast<std::size_t>(std::max(0, width - columns_of(cell))), ' ');
  return left ? cell + space : space + cell;
}

}  // namespace

int columns_of(std::string_view text) {
  return static_cast<int>(std::ranges::count_if(text, begins_character));
}

int terminal_width(std::FILE* out) {
  constexpr int usual = 80;
  if (!out || !isatty(fileno(out))) return usual;
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* told = std::getenv("COLUMNS");
  const long columns = told ? std::strtol(told, nullptr, 10) : 0;
  return columns > 0 && columns < 10000 ? static_cast<int>(columns) : usual;
}

std::string folded(std::string_view text, int width, int indent) {
  const std::string space(static_cast<std::size_t>(std::max(0, indent)), ' ');
  std::string result;
  for (;;) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    while (columns_of(line) > width) {
      const std::size_t at = break_of(line, width);
      const std::size_t next = std::min(at, line.size());
      const std::size_t word = line.find_first_not_of(' ', next);
      if (word == std::string::npos) {  // One long word, or spaces at the end.
        line.erase(line.find_last_not_of(' ') + 1);
        break;
      }
      result += line.substr(0, line.find_last_not_of(' ', at) + 1) + '\n';
      line = space + line.substr(word);
    }
    result += line;
    if (end == text.size()) return result;
    result += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string table(const std::vector<std::vector<std::string>>& rows, int width) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t k = 0; k < row.size(); ++k)
      widths[k] = std::max(widths[k], columns_of(row[k]));
  }
  if (widths.empty()) return "";
  constexpr int gap = 2, indent = 4;
  int all = 0;
  for (const int each : widths) all += gap + each;
  std::vector<std::vector<std::string>> first;
  const int most = all > width ? std::min(widths[0], std::max(width * 2 / 5, 16)) : widths[0];
  widths[0] = 0;
  for (const auto& row : rows) {
    first.push_back(lines_of(folded(row.empty() ? "" : row[0], most, indent)));
    for (const std::string& line : first.back()) widths[0] = std::max(widths[0], columns_of(line));
  }

  std::string result;
  const auto append = [&](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + '\n';
  };
  std::size_t begin = 1;
  do {
    int used = gap + widths[0];
    std::size_t end = begin;
    while (end < widths.size() && (end == begin || used + gap + widths[end] <= width))
      used += gap + widths[end++];
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::string line = std::string(gap, ' ') + padded(first[r][0], widths[0], true);
      for (std::size_t k = begin; k < std::min(end, rows[r].size()); ++k)
        line += std::string(gap, ' ') + padded(rows[r][k], widths[k], k + 1 == widths.size());
      append(line);
      for (std::size_t l = 1; l < first[r].size(); ++l) append(std::string(gap, ' ') + first[r][l]);
    }
    begin = end;
  } while (begin < widths.size());
  return result;
}

}  // namespace cinch
