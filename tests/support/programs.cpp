#include "support/programs.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace cinch::testing {

namespace fs = std::filesystem;

namespace {

void write_idx(const std::string& path, const std::vector<std::uint32_t>& sizes, unsigned seed) {
  std::ofstream out(path, std::ios::binary);
  out.put(0).put(0).put(8).put(static_cast<char>(sizes.size()));
  std::size_t count = 1;
  for (const std::uint32_t n : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) out.put(static_cast<char>(n >> shift & 255));
    count *= n;
  }
  for (std::size_t i = 0; i < count; ++i) out.put(static_cast<char>((i * 7919 + seed) % 10));
}

}  // namespace

Ran run_command(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  Ran result{-1, ""};
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe))
    result.output.append(buffer, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
  return result;
}

Scratch::Scratch() {
  static int made = 0;
  path = (fs::temp_directory_path() /
          ("cinch-" + std::to_string(getpid()) + "-" + std::to_string(made++)))
             .string();
  fs::create_directories(path);
}

Scratch::~Scratch() { fs::remove_all(path); }

std::string small_data(const Scratch& scratch, std::uint32_t images) {
  return made_up_data(scratch, images, 12, 8);
}

std::string made_up_data(const Scratch& scratch, std::uint32_t images, std::uint32_t tests,
                         std::uint32_t side) {
  std::string folder = scratch.path + "/data";
  fs::create_directories(folder);
  write_idx(folder + "/train-images-idx3-ubyte", {images, side, side}, 1);
  write_idx(folder + "/train-labels-idx1-ubyte", {images}, 2);
  write_idx(folder + "/t10k-images-idx3-ubyte", {tests, side, side}, 3);
  write_idx(folder + "/t10k-labels-idx1-ubyte", {tests}, 4);
  return folder;
}

Ran run_example(const std::string& program, const std::string& arguments) {
  return run_command(CINCH_EXAMPLES_DIR "/" + program + " " + arguments);
}

pid_t start_example(const std::string& program, const std::string& arguments,
                    const std::string& said, const std::function<void()>& before) {
  std::vector<std::string> words{CINCH_EXAMPLES_DIR "/" + program};
  std::istringstream in(arguments);
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t id = fork();
  REQUIRE(id >= 0);
  if (id > 0) return id;
  const int file = open(said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  dup2(file, STDOUT_FILENO);
  dup2(file, STDERR_FILENO);
  if (before) before();
  execv(pointers[0], pointers.data());
  _exit(126);
}

Ran interrupt_example(const std::string& program, const std::string& arguments) {
  // Not to the group as well: a second signal ends a program at once.
  return run_command("timeout --foreground --preserve-status -s INT 1 " CINCH_EXAMPLES_DIR "/" +
                     program + " " + arguments);
}

namespace {

void check_one_refused(const std::string& program, const std::string& arguments,
                       const std::string& says, const Scratch& scratch) {
  const std::string out = scratch.path + "/none";
  const Ran ran = run_example(program, arguments + " --output " + out);
  CAPTURE(program);
  CAPTURE(arguments);
  CAPTURE(ran.output);
  CHECK(ran.status > 0);
  CHECK(ran.status < 128);  // No signal ended it.
  CHECK(ran.output.find(says) != std::string::npos);
  const bool logged = fs::exists(out) && !fs::is_empty(out);
  CHECK_FALSE(logged);
}

}  // namespace

void check_refused_alone(const std::string& program, const std::vector<Refused>& rows) {
  const Scratch scratch;
  for (const Refused& row : rows) check_one_refused(program, row.arguments, row.says, scratch);
}

void check_refused(const std::string& program, const std::vector<Refused>& rows) {
  const Scratch scratch;
  const std::string data = small_data(scratch);
  for (const Refused& row : rows)
    check_one_refused(program, row.arguments + (" --data " + data), row.says, scratch);
  check_one_refused(program, "--data /no/such/folder", "/no/such/folder", scratch);
  fs::resize_file(data + "/train-images-idx3-ubyte", 1000);
  check_one_refused(program, "--data " + data, "train-images-idx3-ubyte", scratch);
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> cells;
    std::istringstream cut(line);
    for (std::string cell; std::getline(cut, cell, ',');) cells.push_back(cell);
    rows.push_back(cells);
  }
  return rows;
}

std::string result(const std::string& folder, const std::string& what) {
  std::ifstream in(folder + "/results.md");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("| " + what + " | ", 0) != 0) continue;
    const std::size_t begin = what.size() + 5;
    return line.substr(begin, line.find(" | ", begin) - begin);
  }
  FAIL(folder << "/results.md has no row " << what);
  return "";
}

std::string fault_of_figure(const std::string& path, const std::vector<std::string>& texts,
                            std::pair<int, int> pixels) {
  for (const char* extension : {".png", ".svg", ".pdf"}) {
    if (contents(path + extension).size() < 1000) return path + extension + " is no figure";
  }
  const std::string svg = contents(path + ".svg");
  for (const std::string& text : texts) {
    if (svg.find(text) == std::string::npos) return path + ".svg does not say " + text;
  }
  if (pixels.first == 0) return "";
  double x = 0, y = 0, width = 0, height = 0;
  const std::size_t at = std::min(svg.find("<image x='"), svg.size());
  std::sscanf(svg.c_str() + at, "<image x='%lf' y='%lf' width='%lf' height='%lf'", &x, &y, &width,
              &height);
  const double side = std::round(width / pixels.first);
  if (side >= 2 && std::abs(width - side * pixels.first) < 0.1 &&
      std::abs(height - side * pixels.second) < 0.1)
    return "";
  return path + ".svg has an image of " + std::to_string(width) + " x " + std::to_string(height);
}

}  // namespace cinch::testing
