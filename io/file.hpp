// What every format shares: opening files, saying what is wrong with them, replacing them safely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cinch/core/error.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
/// An open C stream, closed with its owner.
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

/// Throws FileError "path: what", both as printable() has them.
[[noreturn]] void file_error(const std::string& path, const std::string& what);

/// A text that may come from a stranger's file, for a terminal: control characters, which could
/// move its cursor or rename its window, characters that turn the direction of writing, and bytes
/// that are no UTF-8 are written as \x1b is. Line breaks stay.
std::string printable(const std::string& text);

/// What errno says, for a FileError: "No space left on device".
std::string system_reason();

/// fopen, never as one of the three standard streams, should one of those be closed; the file is
/// not handed on to other programs. Throws FileError with the system's reason.
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
///
/// The new file has the permissions of the old one, less what the umask takes. What programs that
/// were killed left behind, files named "x.partial-PID-0", goes when the next file is written to
/// the folder.
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
  /// Waits until the temporary file is on the disk, renames it to `path`, and waits until that is
  /// on the disk. Throws FileError.
  void commit();

 private:
  std::string folder() const;

  std::string path_;
  std::string target_;  // path_, or what it links to
  std::string temporary_;
  bool committed_ = false;
  class Folder {  // An open folder, with a shared lock that says that files are being written.
   public:
    Folder() = default;
    explicit Folder(const std::string& path);
    ~Folder();
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    int descriptor = -1;
  };
  std::unique_ptr<Folder> held_;
};

/// Writes a whole file, as an AtomicFile. Throws FileError.
void replace_file(const std::string& path, std::string_view bytes);

/// A file that grows in place, as the log of a training does, and that one writer at a time has:
/// what is appended is in it when append() returns, so that a run can be watched and an interrupted
/// one has its log.
class GrowingFile {
 public:
  /// Begins an empty file. Throws FileError, also where another GrowingFile, of this program or
  /// another one, has it, which then stays as it is.
  explicit GrowingFile(const std::string& path);
  /// Throws FileError where the disk is full.
  void append(std::string_view bytes);

 private:
  std::string path_;
  FileHandle file_;
};

/// Says that this program writes a file, from now until it is destroyed or the program ends in
/// whatever way, so that a second one does not: an empty file "path.lock" beside it, locked. Its
/// being there alone means nothing.
class FileLock {
 public:
  /// Throws FileError where another program, or another part of this one, holds it. Where the
  /// system knows no locks, nothing is held.
  explicit FileLock(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::string lock_;
  int descriptor_ = -1;
};

}  // namespace cinch
