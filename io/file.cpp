#include "io/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace cinch {

namespace fs = std::filesystem;

void file_error(const std::string& path, const std::string& what) {
  throw FileError(path + ": " + what);
}

std::string system_reason() { return std::generic_category().message(errno); }

FileHandle open_file(const std::string& path, const char* mode) {
  FileHandle file(std::fopen(path.c_str(), mode));
  if (!file) file_error(path, "cannot be opened: " + system_reason());
  return file;
}

std::size_t read_some(std::FILE* file, const std::string& path, std::span<std::uint8_t> out) {
  const std::size_t count = std::fread(out.data(), 1, out.size(), file);
  if (count == 0 && std::ferror(file)) file_error(path, "cannot be read: " + system_reason());
  return count;
}

void require_regular_file(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    file_error(path, error && status.type() == fs::file_type::none
                         ? "cannot be opened: " + error.message()
                         : "there is no such file");
  }
  if (fs::is_directory(status)) file_error(path, "is a folder, not a file");
  if (!fs::is_regular_file(status)) file_error(path, "is not a regular file");
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(path) {
  if (path.empty()) file_error(path, "cannot be written: the path is empty");
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) {
    // Renaming over a device or a folder would destroy it or fail late.
    require_regular_file(path);
    if (fs::is_symlink(fs::symlink_status(path, error)))
      target_ = fs::canonical(path, error).string();
  }
  int file = -1;
  for (int attempt = 0; file < 0; ++attempt) {
    temporary_ = text(target_, ".partial-", getpid(), '-', attempt);
    file = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0 && errno != EEXIST) file_error(path, "cannot be written: " + system_reason());
  }
  close(file);
}

AtomicFile::~AtomicFile() {
  if (!committed_) unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  const int file = open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) file_error(path_, "cannot be written: " + system_reason());
  const bool on_disk = fsync(file) == 0;
  const std::string reason = system_reason();
  close(file);
  if (!on_disk) file_error(path_, "cannot be written: " + reason);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    file_error(path_, "cannot be replaced: " + system_reason());
  }
  committed_ = true;
}

}  // namespace cinch
