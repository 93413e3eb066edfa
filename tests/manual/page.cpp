#include "manual/page.hpp"

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace cinch::testing {

namespace {

constexpr std::string_view fence = "```";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) result.push_back(line);
  return result;
}

/// Whether `said`, in which "..." stands for anything, is `line`.
bool line_matches(std::string_view line, std::string_view said) {
  const auto gap = said.find("...");
  if (gap == std::string_view::npos) return line == said;
  if (line.substr(0, gap) != said.substr(0, gap)) return false;
  const std::string_view rest = said.substr(gap + 3);
  for (std::size_t at = gap; at <= line.size(); ++at) {
    if (line_matches(line.substr(at), rest)) return true;
  }
  return false;
}

}  // namespace

std::vector<Block> read_page(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + " cannot be read");
  std::vector<Block> result;
  std::string line, info, body;
  int number = 0, first = 0, section = 0;
  bool open = false;
  const auto fail = [&](int at, const std::string& what) {
    throw std::runtime_error(path + ":" + std::to_string(at) + ": " + what);
  };
  while (std::getline(in, line)) {
    ++number;
    if (!open && line.starts_with("## ")) ++section;
    if (!line.starts_with(fence)) {
      if (open) body += line + '\n';
      continue;
    }
    open = !open;
    if (open) {
      info = line.substr(fence.size());
      body.clear();
      first = number + 1;
    } else if (info == "text") {
      if (result.empty() || result.back().printed || result.back().section != section)
        fail(first, "no code stands before what it prints");
      result.back().printed = {.line = first, .text = body};
    } else if (info.starts_with("cpp")) {
      Block block{.line = first, .section = section, .code = body};
      if (info == "cpp title=\"outside of functions\"") {
        block.kind = Block::Kind::outside;
      } else if (info != "cpp") {
        fail(first, "neither cpp nor cpp title=\"outside of functions\"");
      } else if (body.find("int main()") != std::string::npos) {
        block.kind = Block::Kind::program;
      }
      result.push_back(std::move(block));
    }
  }
  if (open) fail(first, "the block is not closed");
  return result;
}

bool matches(const std::string& printed, const std::string& said) {
  const std::vector<std::string> a = lines_of(printed), b = lines_of(said);
  if (a.size() != b.size()) return false;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (!line_matches(a[k], b[k])) return false;
  }
  return true;
}

}  // namespace cinch::testing
