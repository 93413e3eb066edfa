// Pages of the manual: their blocks of code, and what these print.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace cinch::testing {

/// A block between ```cpp and ```. Those of one section, from a heading "## ..." to the next, are
/// one function: a block goes on with the variables of those before it.
struct Block {
  enum class Kind {
    statements,
    outside,  ///< ```cpp title="outside of functions": functions, types, ops.
    program,  ///< With an int main() of its own.
  } kind = Kind::statements;
  int line = 0;  ///< Of its first line, from 1.
  int section = 0;
  std::string code;
  /// The ```text block that follows: where it begins, what it says. In it, ... stands for anything
  /// within a line.
  struct Printed {
    int line = 0;
    std::string text;
  };
  std::optional<Printed> printed = {};
};

/// The blocks of a page. Throws std::runtime_error, with the line, for a fence that is not closed,
/// and for a ```text with no code before it.
std::vector<Block> read_page(const std::string& path);

/// Whether a block printed what its page says.
bool matches(const std::string& printed, const std::string& said);

/// Runs a page's blocks one after the other and compares what they write to std::cout.
class PageRun {
 public:
  /// `page`: "docs/manual/concepts.md".
  explicit PageRun(std::string page);
  ~PageRun();
  PageRun(const PageRun&) = delete;
  PageRun& operator=(const PageRun&) = delete;

  /// From here on, block k runs.
  void begin(std::size_t k);
  /// Ends the last block. Where the environment variable CINCH_TABLES names a folder, the page's
  /// copy there is written anew with what was printed.
  void end();
  /// For what a block throws.
  void fail(const std::exception& error);

 private:
  struct Capture;

  /// "docs/manual/concepts.md:12", where the block that runs begins.
  std::string where() const;
  void finish_block();
  void fail(const std::string& what);

  std::string page_;
  std::vector<Block> blocks_;
  std::vector<std::string> printed_;
  std::optional<std::size_t> current_;
  Capture* capture_;
};

}  // namespace cinch::testing
