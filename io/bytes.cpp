#include "cinch/io/bytes.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <optional>
#include <system_error>

#include "cinch/io/file.hpp"

namespace cinch {

namespace {

constexpr std::size_t chunk_size = 1 << 16;
constexpr std::array<std::uint8_t, 2> gzip_magic = {0x1f, 0x8b};

std::int64_t size_of_file(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) file_error(path, "cannot be read: " + error.message());
  return static_cast<std::int64_t>(size);
}

FileLimit limit_wanted() {
  FileLimit result;
  const char* text = std::getenv("CINCH_FILE_LIMIT");
  if (!text || !*text) return result;
  std::int64_t mebibytes = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, mebibytes);
  constexpr std::int64_t most = std::int64_t{1} << 40;
  if (error != std::errc() || stop != end || mebibytes < 1 || mebibytes > most)
    throw ValueError(
        cinch::text("CINCH_FILE_LIMIT=", text, " must be a number of MiB, from 1 to ", most));
  result.bytes = mebibytes << 20;
  return result;
}

std::mutex limit_mutex;
std::optional<FileLimit> limit_now;

class PlainFile final : public ByteStream {
 public:
  explicit PlainFile(const std::string& path)
      : ByteStream(path), path_(path), file_(open_file(path, "rb")) {
    limit_to(limit_for(size_of_file(path)));
  }

 protected:
  std::size_t next(std::span<std::uint8_t> out) override {
    return read_some(file_.get(), path_, out);
  }
  void rewind() override { std::rewind(file_.get()); }
  std::int64_t measure() override { return size_of_file(path_); }
  void pass(std::int64_t count) override {
    if (fseeko(file_.get(), static_cast<off_t>(count), SEEK_CUR) != 0)
      fail("cannot be read: " + system_reason());
  }

 private:
  std::string path_;
  FileHandle file_;
};

/// One or more gzip members; anything else behind the last is an error.
class GzipFile final : public ByteStream {
 public:
  explicit GzipFile(const std::string& path)
      : ByteStream(path), path_(path), file_(open_file(path, "rb")) {
    limit_to(limit_for(size_of_file(path)));
    constexpr int gzip_only = 16;
    if (inflateInit2(&inflate_, MAX_WBITS + gzip_only) != Z_OK) fail("zlib cannot be started");
  }
  ~GzipFile() override { inflateEnd(&inflate_); }

 protected:
  std::size_t next(std::span<std::uint8_t> out) override {
    const auto wanted = static_cast<uInt>(std::min(out.size(), chunk_size));
    inflate_.next_out = out.data();
    inflate_.avail_out = wanted;
    while (inflate_.avail_out == wanted) {  // until there is a byte, or the end
      if (inflate_.avail_in == 0 && !refill()) {
        if (!between_members_) fail("the gzip data ends early");
        return 0;
      }
      if (between_members_) begin_member();
      const int status = inflate(&inflate_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        between_members_ = true;
      } else if (status != Z_OK) {
        fail(text("damaged gzip data: ", inflate_.msg ? inflate_.msg : zError(status)));
      }
    }
    return wanted - inflate_.avail_out;
  }
  void rewind() override {
    std::rewind(file_.get());
    inflateReset(&inflate_);
    inflate_.avail_in = 0;
    between_members_ = false;
  }

 private:
  bool refill() {
    inflate_.next_in = input_.data();
    inflate_.avail_in = static_cast<uInt>(read_some(file_.get(), path_, input_));
    return inflate_.avail_in != 0;
  }
  void begin_member() {
    if (*inflate_.next_in != gzip_magic[0]) fail("there are bytes after the end of the gzip data");
    inflateReset(&inflate_);
    between_members_ = false;
  }

  std::string path_;
  FileHandle file_;
  std::array<std::uint8_t, chunk_size> input_{};
  z_stream inflate_{};
  bool between_members_ = false;
};

}  // namespace

void set_file_limit(const FileLimit& limit) {
  if (limit.bytes < 1 || !(limit.times > 0))
    throw ValueError(text("set_file_limit: ", limit.bytes, " bytes and ", limit.times,
                          " times must be positive"));
  const std::scoped_lock lock(limit_mutex);
  limit_now = limit;
}

FileLimit file_limit() {
  const std::scoped_lock lock(limit_mutex);
  if (!limit_now) limit_now = limit_wanted();
  return *limit_now;
}

std::int64_t limit_for(std::int64_t size) {
  const FileLimit limit = file_limit();
  const double by_size = limit.times * static_cast<double>(size);
  return std::max(limit.bytes, static_cast<std::int64_t>(std::min(by_size, 0x1p62)));
}

std::int64_t ByteStream::remaining() {
  if (remaining_ < 0) remaining_ = measure();
  return remaining_;
}

void ByteStream::read(std::span<std::uint8_t> out, const char* part) {
  if (out.size() > static_cast<std::size_t>(remaining())) {
    fail(text("ends early: ", part, " should be ", out.size(), " bytes, ", remaining(), " remain"));
  }
  while (!out.empty()) {
    const std::size_t count = next(out);
    if (count == 0) fail("became shorter while it was read");
    out = out.subspan(count);
    remaining_ -= static_cast<std::int64_t>(count);
  }
}

void ByteStream::skip(std::int64_t count, const char* part) {
  if (count > remaining())
    fail(text("ends early: ", part, " begin after ", count, " bytes, ", remaining(), " remain"));
  pass(count);
  remaining_ -= count;
}

void ByteStream::pass(std::int64_t count) {
  std::array<std::uint8_t, chunk_size> buffer;
  while (count > 0) {
    const auto step = std::min(static_cast<std::size_t>(count), buffer.size());
    const std::size_t got = next(std::span(buffer).first(step));
    if (got == 0) fail("became shorter while it was read");
    count -= static_cast<std::int64_t>(got);
  }
}

void ByteStream::claim(std::int64_t count, std::size_t size) {
  std::int64_t more = 0;
  if (__builtin_mul_overflow(count, static_cast<std::int64_t>(size), &more) ||
      __builtin_add_overflow(claimed_, more, &claimed_))
    claimed_ = std::numeric_limits<std::int64_t>::max();
  if (claimed_ > limit_) refuse(claimed_);
}

void ByteStream::refuse(std::int64_t bytes) const {
  fail(text("its content would take ", bytes == limit_ + 1 ? "more than " : "",
            bytes == limit_ + 1 ? limit_ : bytes, " bytes of memory, the limit is ", limit_,
            ": raise it with set_file_limit(), or CINCH_FILE_LIMIT=", (bytes >> 20) + 1,
            " (MiB), if you trust the file"));
}

void ByteStream::fail(const std::string& what) const { file_error(name_, what); }

std::int64_t ByteStream::measure() {
  std::array<std::uint8_t, chunk_size> buffer;
  std::int64_t total = 0;
  while (const std::size_t count = next(buffer)) {
    total += static_cast<std::int64_t>(count);
    if (total > limit_) refuse(limit_ + 1);
  }
  rewind();
  return total;
}

std::unique_ptr<ByteStream> open_bytes(const std::string& path) {
  require_regular_file(path);
  std::array<std::uint8_t, 2> start{};
  const FileHandle file = open_file(path, "rb");
  if (read_some(file.get(), path, start) == start.size() && start == gzip_magic) {
    return std::make_unique<GzipFile>(path);
  }
  return std::make_unique<PlainFile>(path);
}

}  // namespace cinch
