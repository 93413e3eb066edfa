#include "cinch/io/file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace cinch {

namespace fs = std::filesystem;

namespace {

/// How many bytes the UTF-8 character at the front takes, and which one it is; 0 where there is
/// none.
std::size_t decode(std::string_view text, std::uint32_t& character) {
  const auto byte = [&](std::size_t k) { return static_cast<std::uint8_t>(text[k]); };
  const std::uint8_t first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  character = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(k) & 0x3fu);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return character < least[length] || character > 0x10ffff || surrogate ? 0 : length;
}

/// Whether a terminal shows it as a character and does nothing else.
bool is_plain(std::uint32_t c) {
  const bool control = (c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0);
  const bool turns = (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                     (c >= 0x2066 && c <= 0x2069) || c == 0x061c || c == 0xfeff;
  return !control && !turns;
}

}  // namespace

std::string printable(const std::string& text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result;
  for (std::string_view rest = text; !rest.empty();) {
    std::uint32_t character = 0;
    const std::size_t length = decode(rest, character);
    const bool plain = length > 0 && is_plain(character);
    const std::size_t taken = std::max<std::size_t>(length, 1);
    for (const char c : rest.substr(0, taken)) {
      const auto byte = static_cast<std::uint8_t>(c);
      if (plain) {
        result += c;
      } else {
        (result += "\\x") += {digits[byte >> 4], digits[byte & 15u]};
      }
    }
    rest.remove_prefix(taken);
  }
  return result;
}

void file_error(const std::string& path, const std::string& what) {
  throw FileError(printable(path + ": " + what));
}

namespace {

/// The same open file under a number beyond those of the standard streams; -1 stays -1.
int above_standard_streams(int descriptor) {
  if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  close(descriptor);
  errno = error;
  return moved;
}

constexpr std::string_view partial = ".partial-";

/// Whether a file is the temporary one of a program that is no more. What follows the name may be
/// that of a library's own temporary file.
bool is_left_behind(std::string_view name) {
  const auto at = name.rfind(partial);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = name.substr(at + partial.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), process);
  if (error != std::errc() || process <= 0) return false;
  std::string_view number(end, rest.size() - static_cast<std::size_t>(end - rest.data()));
  if (number.size() < 2 || number[0] != '-' || number[1] < '0' || number[1] > '9') return false;
  return kill(process, 0) != 0 && errno == ESRCH;
}

void sweep(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_left_behind(entry->path().filename().native())) unlink(entry->path().c_str());
  }
}

}  // namespace

std::string system_reason() { return std::generic_category().message(errno); }

FileHandle open_file(const std::string& path, const char* mode) {
  FileHandle file(std::fopen(path.c_str(), (std::string(mode) + "e").c_str()));
  if (!file) file_error(path, "cannot be opened: " + system_reason());
  if (fileno(file.get()) > STDERR_FILENO) return file;
  // A standard stream was closed: what is printed there would go into the file.
  const int moved = fcntl(fileno(file.get()), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  FileHandle result(moved < 0 ? nullptr : fdopen(moved, mode));
  if (!result) file_error(path, "cannot be opened: " + system_reason());
  return result;
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
  held_ = std::make_unique<Folder>(folder());
  int file = -1;
  for (int attempt = 0; file < 0; ++attempt) {
    temporary_ = text(target_, partial, getpid(), '-', attempt);
    file = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0 && errno != EEXIST) file_error(path, "cannot be written: " + system_reason());
  }
  close(file);
}

AtomicFile::~AtomicFile() {
  if (!committed_) unlink(temporary_.c_str());
}

std::string AtomicFile::folder() const {
  const std::string parent = fs::path(target_).parent_path().string();
  return parent.empty() ? "." : parent;
}

void AtomicFile::commit() {
  const int file = above_standard_streams(open(temporary_.c_str(), O_RDONLY | O_CLOEXEC));
  if (file < 0) file_error(path_, "cannot be written: " + system_reason());
  struct stat old {
  }, fresh{};
  // What the old file or the process keeps from others stays so. A file system that knows no
  // permissions may refuse.
  if (stat(target_.c_str(), &old) == 0 && fstat(file, &fresh) == 0)
    static_cast<void>(fchmod(file, old.st_mode & fresh.st_mode & 07777) == 0);
  const bool on_disk = fsync(file) == 0;
  const std::string reason = system_reason();
  close(file);
  if (!on_disk) file_error(path_, "cannot be written: " + reason);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    file_error(path_, "cannot be replaced: " + system_reason());
  }
  committed_ = true;
  // Without this a power failure could bring the old file back. Some file systems know no such
  // thing for folders.
  if (held_->descriptor >= 0 && fsync(held_->descriptor) != 0 && errno == EIO)
    file_error(path_, "may be lost at a power failure: " + system_reason());
}

/// Who alone holds the folder's lock knows that nobody is writing there, and sweeps. A process that
/// cannot be seen from here, in another container or on another machine, is so safe as well.
AtomicFile::Folder::Folder(const std::string& path)
    : descriptor(above_standard_streams(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {
  if (descriptor < 0) return;  // A folder that can be written and not read.
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) sweep(path);
  flock(descriptor, LOCK_SH);
}

AtomicFile::Folder::~Folder() {
  if (descriptor >= 0) close(descriptor);
}

namespace {

void write_to(const FileHandle& file, const std::string& path, std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
      std::fflush(file.get()) != 0)
    file_error(path, "cannot be written: " + system_reason());
}

}  // namespace

void replace_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  write_to(open_file(file.temporary(), "wb"), path, bytes);
  file.commit();
}

GrowingFile::GrowingFile(const std::string& path) : path_(path), file_(open_file(path, "a")) {
  // Nothing is lost before it is known that nobody else writes there.
  const int descriptor = fileno(file_.get());
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    file_error(path, "is being written by another run: wait for its end, or choose another folder");
  if (ftruncate(descriptor, 0) != 0) file_error(path, "cannot be written: " + system_reason());
}

void GrowingFile::append(std::string_view bytes) { write_to(file_, path_, bytes); }

FileLock::FileLock(const std::string& path) : lock_(path + ".lock") {
  while (true) {
    descriptor_ = above_standard_streams(
        open(lock_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (descriptor_ < 0) file_error(path, "cannot be locked: " + lock_ + ": " + system_reason());
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const bool held = errno == EWOULDBLOCK;
      std::array<char, 24> process{};
      const ssize_t count = pread(descriptor_, process.data(), process.size() - 1, 0);
      close(descriptor_);
      descriptor_ = -1;
      if (!held) return;
      const std::string by = count > 0 ? text(" (process ", process.data(), ')') : "";
      file_error(path, "is being written by another run" + by +
                           ": wait for its end, or choose another folder");
    }
    // Another holder may have removed the file before it was locked here.
    struct stat mine {
    }, there{};
    const bool same = fstat(descriptor_, &mine) == 0 && stat(lock_.c_str(), &there) == 0 &&
                      mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
    if (same) break;
    close(descriptor_);
  }
  const std::string process = std::to_string(getpid());
  static_cast<void>(ftruncate(descriptor_, 0) == 0 &&
                    pwrite(descriptor_, process.data(), process.size(), 0) >= 0);
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  unlink(lock_.c_str());
  close(descriptor_);
}

}  // namespace cinch
