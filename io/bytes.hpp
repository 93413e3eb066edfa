// Bytes to be parsed, from a plain or a gzip file or from inside an archive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Bytes that the content of a file of `size` bytes may take, by file_limit().
std::int64_t limit_for(std::int64_t size);

/// How much memory the content of one file may take, so that a small file, which costs whoever made
/// it nothing, cannot take all of it: `bytes`, or `times` the file's own size where that is more.
/// Content counts as it is held: labels, bytes in the file, are int64.
struct FileLimit {
  std::int64_t bytes = std::int64_t{128} << 20;
  double times = 64;
};
/// The limit for all files that are read from now on, in every thread. Until it is set, the
/// environment variable CINCH_FILE_LIMIT, a number of MiB, says `bytes`; without it the defaults
/// hold. Throws ValueError for numbers that are not positive, and for a variable that is none.
void set_file_limit(const FileLimit& limit);
FileLimit file_limit();

/// Bytes read one after the other, their number known before the first is read: a parser can
/// compare the sizes that a header claims with what is really there, and only then allocate.
class ByteStream {
 public:
  explicit ByteStream(std::string name) : name_(std::move(name)) {}
  virtual ~ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// Number of bytes not yet read. Throws FileError where the content is damaged.
  std::int64_t remaining();
  /// Fills `out`. Throws FileError where fewer bytes remain; `part` says what they were to be ("the
  /// header").
  void read(std::span<std::uint8_t> out, const char* part);
  /// Passes over `count` bytes: a plain file is not read there.
  void skip(std::int64_t count, const char* part);
  /// Says that `count` more elements of `size` bytes are to be held in memory. Throws FileError,
  /// which says how to raise it, where all that was said comes to more than the limit.
  void claim(std::int64_t count, std::size_t size);
  std::int64_t claimed() const { return claimed_; }
  /// Throws FileError "name: what".
  [[noreturn]] void fail(const std::string& what) const;

 protected:
  /// Fills a part of `out`, at least one byte, and returns its length; 0 at the end only.
  virtual std::size_t next(std::span<std::uint8_t> out) = 0;
  /// Goes back to the first byte.
  virtual void rewind() = 0;
  /// Number of all bytes; called before the first read. By default reads through everything and
  /// rewinds, which checks compressed content (length, checksum) on the way. Ends with FileError
  /// where there is more than limit().
  virtual std::int64_t measure();
  /// Passes over bytes that are there; by default reads them.
  virtual void pass(std::int64_t count);
  /// Bytes that the content may take.
  std::int64_t limit() const { return limit_; }
  /// Sets it, by default for a file of no size, and what other parts of the file have claimed.
  void limit_to(std::int64_t limit, std::int64_t claimed = 0) {
    limit_ = limit;
    claimed_ = claimed;
  }
  [[noreturn]] void refuse(std::int64_t bytes) const;

 private:
  std::string name_;
  std::int64_t remaining_ = -1;  // -1: not measured yet
  std::int64_t limit_ = limit_for(0);
  std::int64_t claimed_ = 0;
};

/// The content of a file; gzip, told by its first two bytes, is decompressed. Throws FileError.
std::unique_ptr<ByteStream> open_bytes(const std::string& path);

}  // namespace cinch
