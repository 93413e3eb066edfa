#include "cinch/io/file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/io/image.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/plot.hpp"
#include "cinch/report/report.hpp"
#include "temporary_folder.hpp"

namespace {

/// What was asked of the system, in order: "fsync file", "fsync folder", "rename". The library is
/// linked into this program, and so asks here.
std::vector<std::string> asked;

}  // namespace

extern "C" int fsync(int file) {
  struct stat what {};
  asked.emplace_back(fstat(file, &what) == 0 && S_ISDIR(what.st_mode) ? "fsync folder"
                                                                      : "fsync file");
  return static_cast<int>(syscall(SYS_fsync, file));
}

extern "C" int rename(const char* from, const char* to) noexcept {
  asked.emplace_back("rename");
  return static_cast<int>(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_file, testing::TemporaryFolder,
    testing::write_file;

struct Writer {
  std::string name;  ///< How its files end.
  std::function<void(const std::string& path)> write;
};

/// Everything that replaces a file as a whole, each with more than 4,000 bytes to write.
std::vector<Writer> writers() {
  const Tensor tensor(DType::float64, {1000});
  GreyImage noise{100, 100, {}};
  for (unsigned i = 0, x = 1; i < 10000; ++i)
    noise.pixels.push_back(static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24));
  const auto draw = [](const std::string& path) {
    plot_curves(path, {"t", "x", {{"c", {1, 2}, {3, 4}}}});
  };
  return {{"npy", [=](const std::string& path) { write_npy(path, tensor); }},
          {"npz",
           [=](const std::string& path) {
             write_npz(path, {{"W", tensor}});
           }},
          {"safetensors",
           [=](const std::string& path) {
             write_safetensors(path, {{"W", tensor}});
           }},
          {"png", [=](const std::string& path) { write_png(path, noise); }},
          {"plot.png", draw},
          {"plot.svg", draw},
          {"plot.pdf", draw},
          {"html", [=](const std::string& path) {
             write_report(path, {.title = "t", .parts = {{"noise", Picture{"", noise}}}});
           }}};
}

/// Files cannot grow beyond `bytes` while this lives: as good as a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int);
};

TEST_CASE("a file that cannot be written whole stays as it was") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.name);
    const TemporaryFolder folder;
    write_file(folder / ("a." + writer.name), "old");
    std::string error;
    {
      const FileSizeLimit limit(4000);
      error = error_of([&] { writer.write(folder / ("a." + writer.name)); });
    }
    CHECK(contains(error, (folder / ("a." + writer.name)) + ": cannot be "));
    CHECK(read_file(folder / ("a." + writer.name)) == "old");
    CHECK(folder.entries() == 1);
  }
}

TEST_CASE("a file is on the disk before it takes the place of the old one, and its folder after") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.name);
    const TemporaryFolder folder;
    for (const bool replaced : {false, true}) {
      CAPTURE(replaced);
      asked.clear();
      writer.write(folder / ("a." + writer.name));
      // What libzip does to its own temporary file comes before.
      std::string last;
      for (std::size_t k = asked.size() < 3 ? 0 : asked.size() - 3; k < asked.size(); ++k)
        last += asked[k] + ", ";
      CHECK(last == "fsync file, rename, fsync folder, ");
    }
  }
}

TEST_CASE("a destination that is no file is refused and left alone") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.name);
    const TemporaryFolder folder, other;
    write_file(folder / "file", "old");
    // What is drawn has its kind by its name.
    const bool any_name = !writer.name.starts_with("plot");
    const std::string name = "a." + writer.name;
    std::filesystem::create_directory(other / name);
    struct Row {
      std::string path, complaint;
    };
    for (const Row& row :
         {Row{other / name, "is a folder, not a file"}, Row{"/dev/full", "is not a regular file"},
          Row{folder / ("missing/" + name), "cannot be written: No such file or directory"},
          Row{folder / ("file/" + name), "cannot be written: Not a directory"},
          Row{"", ": cannot be written: "}}) {
      if (!any_name && !row.path.ends_with(name)) continue;
      CAPTURE(row.path);
      const std::string error = error_of([&] { writer.write(row.path); });
      CAPTURE(error);
      CHECK(contains(error, row.path + ": "));
      CHECK(contains(error, row.complaint));
    }
    CHECK(folder.entries() == 1);
    CHECK(std::filesystem::is_character_file("/dev/full"));
  }
}

TEST_CASE("a new file has the usual permissions, and a symbolic link stays one") {
  const TemporaryFolder folder;
  write_file(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  const mode_t mask = umask(0027);
  write_npz(folder / "link", {{"W", Tensor(1.5)}});
  write_npy(folder / "new", Tensor(1.5));
  umask(mask);
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_npz(folder / "target").at("W") == Tensor(1.5));
  for (const std::string name : {"target", "new"}) {
    CHECK(std::filesystem::status(folder / name).permissions() == std::filesystem::perms{0640});
  }
}

TEST_CASE("a file that others may not read is still so when it has been replaced") {
  for (const Writer& writer : writers()) {
    for (const unsigned mode : {0600u, 0640u, 0400u, 0644u}) {
      const TemporaryFolder folder;
      write_file(folder / ("a." + writer.name), "old");
      std::filesystem::permissions(folder / ("a." + writer.name), std::filesystem::perms{mode});
      writer.write(folder / ("a." + writer.name));
      CHECK(std::filesystem::status(folder / ("a." + writer.name)).permissions() ==
            std::filesystem::perms{mode});
    }
  }
}

TEST_CASE("what killed programs left behind goes when the next one writes, and nothing else") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.name);
    const TemporaryFolder folder;
    std::int64_t stale = 0;
    for (int round = 0; round < 20; ++round) {
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        for (int k = 0;; ++k) writer.write(folder / text("a", k % 3, ".", writer.name));
      }
      usleep(static_cast<useconds_t>(500 + 331 * round));
      kill(child, SIGKILL);
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
        stale += contains(entry.path().filename().string(), ".partial-");
      const auto left = [&] {
        std::int64_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
          count += contains(entry.path().filename().string(), ".partial-");
        return count;
      };
      {
        const AtomicFile next(folder / "b");
        if (!writer.name.starts_with("plot")) CHECK(left() == 1);
      }
      // Until a gnuplot that has not quite begun is no longer that program.
      for (int k = 0; k < 500 && left() > 0; ++k) {
        usleep(10000);
        const AtomicFile next(folder / "b");
      }
      CHECK(left() == 0);
      write_file(folder / "a.partial-notes", "the user's");
      const AtomicFile alive(folder / "other");  // Not to be taken away.
      const std::string mine = std::filesystem::path(alive.temporary()).filename().string();
      { const AtomicFile next(folder / "b"); }
      CHECK(left() == 2);
      CHECK(std::filesystem::exists(folder / mine));
      CHECK(read_file(folder / "a.partial-notes") == "the user's");
      std::filesystem::remove(folder / "a.partial-notes");
    }
    if (!writer.name.starts_with("plot")) CHECK(stale > 0);
  }
}

TEST_CASE("one program at a time writes a file that is locked, and a dead one holds nothing") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.npz";
  const auto refusal = [&] { return error_of([&] { const FileLock lock(path); }); };
  CHECK(refusal() == "no error");
  {
    const FileLock mine(path);
    CHECK(contains(refusal(), path + ": is being written by another run (process " +
                                  std::to_string(getpid()) + ")"));
  }
  CHECK(folder.entries() == 0);
  for (int round = 0; round < 5; ++round) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const FileLock lock(path);
      static_cast<void>(write(ends[1], "x", 1) == 1);
      pause();
    }
    char byte = 0;
    REQUIRE(read(ends[0], &byte, 1) == 1);
    CHECK(contains(refusal(), "(process " + std::to_string(child) + ")"));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    close(ends[0]);
    close(ends[1]);
    CHECK(std::filesystem::exists(path + ".lock"));
    CHECK(refusal() == "no error");
    CHECK(folder.entries() == 0);
  }
  CHECK(contains(error_of([&] { const FileLock lock(folder / "no/a"); }), "cannot be locked: "));
}

TEST_CASE("a temporary file that a crashed program left behind does no harm") {
  const TemporaryFolder folder;
  std::string left_behind;
  {
    const AtomicFile abandoned(folder / "a");
    left_behind = abandoned.temporary();
  }
  CHECK(folder.entries() == 0);
  write_file(left_behind, "part");
  write_npy(folder / "a", Tensor(2.0));
  CHECK(read_npy(folder / "a") == Tensor(2.0));
  CHECK(read_file(left_behind) == "part");
}

}  // namespace
}  // namespace cinch
