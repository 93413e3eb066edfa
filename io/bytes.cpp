#include "io/bytes.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "io/file.hpp"

namespace cinch {

namespace {

constexpr std::size_t chunk_size = 1 << 16;
constexpr std::array<std::uint8_t, 2> gzip_magic = {0x1f, 0x8b};

class PlainFile final : public ByteStream {
 public:
  explicit PlainFile(const std::string& path)
      : ByteStream(path), path_(path), file_(open_file(path, "rb")) {}

 protected:
  std::size_t next(std::span<std::uint8_t> out) override {
    return read_some(file_.get(), path_, out);
  }
  void rewind() override { std::rewind(file_.get()); }
  std::int64_t measure() override {
    std::error_code error;
    const auto size = std::filesystem::file_size(path_, error);
    if (error) fail("cannot be read: " + error.message());
    return static_cast<std::int64_t>(size);
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
  std::array<std::uint8_t, chunk_size> buffer;
  for (std::int64_t left = count; left > 0;) {
    const auto step = std::min(static_cast<std::size_t>(left), buffer.size());
    read(std::span(buffer).first(step), part);
    left -= static_cast<std::int64_t>(step);
  }
}

void ByteStream::fail(const std::string& what) const { file_error(name_, what); }

std::int64_t ByteStream::measure() {
  std::array<std::uint8_t, chunk_size> buffer;
  std::int64_t total = 0;
  while (const std::size_t count = next(buffer)) total += static_cast<std::int64_t>(count);
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
