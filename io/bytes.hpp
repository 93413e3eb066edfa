// Bytes to be parsed, from a plain or a gzip file or from inside an archive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cinch {

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
  /// Reads `count` bytes and forgets them.
  void skip(std::int64_t count, const char* part);
  /// Throws FileError "name: what".
  [[noreturn]] void fail(const std::string& what) const;

 protected:
  /// Fills a part of `out`, at least one byte, and returns its length; 0 at the end only.
  virtual std::size_t next(std::span<std::uint8_t> out) = 0;
  /// Goes back to the first byte.
  virtual void rewind() = 0;
  /// Number of all bytes; called before the first read. By default reads through everything and
  /// rewinds, which checks compressed content (length, checksum) on the way.
  virtual std::int64_t measure();

 private:
  std::string name_;
  std::int64_t remaining_ = -1;  // -1: not measured yet
};

/// The content of a file; gzip, told by its first two bytes, is decompressed. Throws FileError.
std::unique_ptr<ByteStream> open_bytes(const std::string& path);

}  // namespace cinch
