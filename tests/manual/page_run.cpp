#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cinch/core/error.hpp"
#include "manual/page.hpp"
#include "support/programs.hpp"

namespace cinch::testing {

/// What is written to std::cout while it lives; files go to a folder that goes with it.
struct PageRun::Capture {
  Scratch scratch;
  std::filesystem::path folder = std::filesystem::current_path();
  std::ostringstream text;
  std::streambuf* before = std::cout.rdbuf(text.rdbuf());
  Capture() { std::filesystem::current_path(scratch.path); }
  ~Capture() {
    std::cout.rdbuf(before);
    std::filesystem::current_path(folder);
  }
};

namespace {

std::string read_all(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

PageRun::PageRun(std::string page)
    : page_(std::move(page)),
      blocks_(read_page(CINCH_SOURCE_DIR "/" + page_)),
      printed_(blocks_.size()),
      capture_(new Capture) {}

PageRun::~PageRun() { delete capture_; }

std::string PageRun::where() const {
  return page_ + ":" + std::to_string(current_ ? blocks_[*current_].line : 1);
}

void PageRun::begin(std::size_t k) {
  finish_block();
  current_ = k;
}

void PageRun::finish_block() {
  if (!current_) return;
  printed_[*current_] = capture_->text.str();
  capture_->text.str("");
  const auto& said = blocks_[*current_].printed;
  if (said && !matches(printed_[*current_], said->text))
    fail(text(page_, ":", said->line, ": the block before prints\n", printed_[*current_],
              "and not\n", said->text, "(scripts/tables writes it)"));
  current_.reset();
}

void PageRun::fail(const std::string& what) {
  std::streambuf* const capture =
      std::cout.rdbuf(capture_->before);  // doctest writes there as well.
  FAIL_CHECK(what);
  std::cout.rdbuf(capture);
}

void PageRun::fail(const std::exception& error) { fail(where() + ": " + error.what()); }

void PageRun::end() {
  finish_block();
  const char* folder = std::getenv("CINCH_TABLES");
  if (!folder) return;
  std::istringstream in(read_all(CINCH_SOURCE_DIR "/" + page_));
  std::ostringstream out;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    for (std::size_t k = 0; k < blocks_.size(); ++k) {
      const auto& said = blocks_[k].printed;
      if (!said || said->line != number || matches(printed_[k], said->text)) continue;
      out << printed_[k];
      while (line != "```" && std::getline(in, line)) ++number;
    }
    out << line << '\n';
  }
  if (out.str() != read_all(CINCH_SOURCE_DIR "/" + page_))  // Else nothing has to be built anew.
    std::ofstream(folder + page_.substr(page_.find('/'))) << out.str();
}

}  // namespace cinch::testing

using namespace cinch::testing;

namespace {

/// The blocks of the page that these lines make.
std::vector<Block> blocks_of(const std::string& text) {
  const Scratch scratch;
  const std::string path = scratch.path + "/page.md";
  std::ofstream(path) << text;
  return read_page(path);
}

}  // namespace

TEST_CASE("a page's blocks are found with their lines, sections and outputs") {
  const auto blocks = blocks_of(
      "# A\n\n```cpp\na();\n```\nprose\n```text\n1\n2\n```\n## B\n"
      "```sh\nls\n```\n```cpp title=\"outside of functions\"\n"
      "struct T {};\n```\n```cpp\nint main() {}\n```\n");
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].line == 4);
  CHECK(blocks[0].code == "a();\n");
  REQUIRE(blocks[0].printed);
  CHECK(blocks[0].printed->line == 8);
  CHECK(blocks[0].printed->text == "1\n2\n");
  CHECK(blocks[0].section == 0);
  CHECK(blocks[1].kind == Block::Kind::outside);
  CHECK(blocks[1].section == 1);
  CHECK(blocks[2].kind == Block::Kind::program);
  CHECK_FALSE(blocks[2].printed);
}

TEST_CASE("pages that cannot be tests are refused with the line") {
  struct Row {
    const char *page, *says;
  };
  for (const Row& row : {Row{"```cpp\na();\n", ":2: the block is not closed"},
                         Row{"\n```text\n1\n```\n", ":3: no code stands before"},
                         Row{"```cpp\na();\n```\n## B\n```text\n1\n```\n", ":6: no code"},
                         Row{"```cpp hidden\na();\n```\n", ":2: neither cpp nor"}}) {
    CAPTURE(row.page);
    CHECK_THROWS_WITH(blocks_of(row.page), doctest::Contains(row.says));
  }
}

TEST_CASE("a block prints what its page says, or it does not") {
  struct Row {
    const char *printed, *said;
    bool same;
  };
  for (const Row& row :
       {Row{"a\nb\n", "a\nb\n", true}, Row{"a\nb\n", "a\n", false}, Row{"a\n", "a\nb\n", false},
        Row{"took 3 ms\n", "took ... ms\n", true}, Row{"took 3 s\n", "took ... ms\n", false},
        Row{"took 3 ms, 5 nodes\n", "took ... ms, ... nodes\n", true}, Row{"", "", true},
        Row{"a\n", "b\n", false}, Row{"ab\n", "a\n", false}}) {
    CAPTURE(row.printed);
    CAPTURE(row.said);
    CHECK(matches(row.printed, row.said) == row.same);
  }
}
