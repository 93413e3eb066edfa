// What every format shares: opening files, saying what is wrong with them, replacing them safely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "core/error.hpp"

namespace cinch {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
/// An open C stream, closed with its owner.
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

/// Throws FileError "path: what".
[[noreturn]] void file_error(const std::string& path, const std::string& what);

/// What errno says, for a FileError: "No space left on device".
std::string system_reason();

/// fopen. Throws FileError with the system's reason.
FileHandle open_file(const std::string& path, const char* mode);

/// fread: the number of bytes read, 0 at the end only. Throws FileError "path: ..." where the
/// device fails.
std::size_t read_some(std::FILE* file, const std::string& path, std::span<std::uint8_t> out);

/// Throws FileError unless `path` is an existing regular file; a directory or a missing file is
/// named as such.
void require_regular_file(const std::string& path);

/// A file being replaced as a whole: whoever opens `path` meanwhile, or after a crash, finds the
/// old content or all of the new one, never a part.
///
///     AtomicFile file(path);
///     ... write to file.temporary() by any means ...
///     file.commit();
class AtomicFile {
 public:
  /// Creates an empty temporary file in the folder of `path`; a symbolic link is followed. Throws
  /// FileError where that folder is missing or cannot be written, and where `path` is something
  /// else than a file (a folder, a device).
  explicit AtomicFile(const std::string& path);
  /// Removes the temporary file unless commit() has put it in place.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& temporary() const { return temporary_; }
  /// Waits until the temporary file is on the disk and renames it to `path`. Throws FileError.
  void commit();

 private:
  std::string path_;
  std::string target_;  // path_, or what it links to
  std::string temporary_;
  bool committed_ = false;
};

}  // namespace cinch
