// The example programs as a user runs them: a folder to write to, small data, the command.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cinch::testing {

/// A folder of its own, gone with it.
struct Scratch {
  std::string path;
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

/// A folder within it with a made-up data set of 8 x 8 pixels and ten classes in the four IDX
/// files: `images` to train on and 12 to test on.
std::string small_data(const Scratch& scratch, std::uint32_t images = 60);
/// The same of any size: `images` to train on, `tests` to test on, of `side` x `side` pixels.
std::string made_up_data(const Scratch& scratch, std::uint32_t images, std::uint32_t tests,
                         std::uint32_t side);

struct Ran {
  int status;          ///< -1 where it did not end by itself.
  std::string output;  ///< All that it printed, errors too.
};
/// Runs a line of a shell.
Ran run_command(const std::string& command);
/// Runs build/.../examples/`program`.
Ran run_example(const std::string& program, const std::string& arguments);
/// The same, and Ctrl-C after a second.
Ran interrupt_example(const std::string& program, const std::string& arguments);

/// The id of a new process that becomes an example, after it has done `before`, and prints to the
/// file `said`. Its status is 126 where the program cannot be run.
pid_t start_example(const std::string& program, const std::string& arguments,
                    const std::string& said, const std::function<void()>& before = {});

/// One call that must end in a message.
struct Refused {
  const char* arguments;
  const char* says;
};
/// Checks that each ends with a status other than 0, says what it should, and trains nothing:
/// there is no log. Also a folder of data that does not exist, and images that are cut short.
void check_refused(const std::string& program, const std::vector<Refused>& rows);
/// The same of a program that makes its own data.
void check_refused_alone(const std::string& program, const std::vector<Refused>& rows);

/// All bytes of a file; "" where there is none.
std::string contents(const std::string& path);
/// The cells of each line.
std::vector<std::vector<std::string>> read_csv(const std::string& path);
/// The second cell of the row of results.md, in this folder, that begins with `what`; fails where
/// there is none.
std::string result(const std::string& folder, const std::string& what);

/// What is wrong with a figure, "" where nothing is: path.png, path.svg and path.pdf are there, and
/// the SVG file has these texts and, if it is of tiles, these pixels, each a square of at least 2.
std::string fault_of_figure(const std::string& path, const std::vector<std::string>& texts,
                            std::pair<int, int> pixels = {0, 0});

}  // namespace cinch::testing
