#include "io/file.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <string>

#include "core/tensor.hpp"
#include "io/image.hpp"
#include "io/npy.hpp"
#include "io/plot.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using testing::contains, testing::error_of, testing::read_file, testing::TemporaryFolder,
    testing::write_file;

struct Writer {
  std::string name;
  std::function<void(const std::string& path)> write;
};

/// Everything that replaces a file as a whole, each with more than 4,000 bytes to write.
std::vector<Writer> writers() {
  const Tensor tensor(DType::float64, {1000});
  GreyImage noise{100, 100, {}};
  for (unsigned i = 0, x = 1; i < 10000; ++i)
    noise.pixels.push_back(static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 24));
  return {{"npy", [=](const std::string& path) { write_npy(path, tensor); }},
          {"npz",
           [=](const std::string& path) {
             write_npz(path, {{"W", tensor}});
           }},
          {"png", [=](const std::string& path) { write_png(path, noise); }},
          {"plot", [](const std::string& path) {
             plot_curves(path, {"t", "x", {{"c", {1, 2}, {3, 4}}}});
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
    write_file(folder / "a", "old");
    std::string error;
    {
      const FileSizeLimit limit(4000);
      error = error_of([&] { writer.write(folder / "a"); });
    }
    CHECK(contains(error, (folder / "a") + ": cannot be "));
    CHECK(read_file(folder / "a") == "old");
    CHECK(folder.entries() == 1);
  }
}

TEST_CASE("a destination that is no file is refused and left alone") {
  for (const Writer& writer : writers()) {
    CAPTURE(writer.name);
    const TemporaryFolder folder;
    write_file(folder / "file", "old");
    struct Row {
      std::string path, complaint;
    };
    for (const Row& row :
         {Row{folder.path(), "is a folder, not a file"}, Row{"/dev/full", "is not a regular file"},
          Row{folder / "missing/a", "cannot be written: No such file or directory"},
          Row{folder / "file/a", "cannot be written: Not a directory"},
          Row{"", ": cannot be written: "}}) {
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
