// Field numbers are those of TensorFlow's event.proto and summary.proto, of which a few are enough.
#include "cinch/io/tensorboard.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <filesystem>

namespace cinch {

namespace {

/// x^32 + x^28 + ... + 1 of Castagnoli, bit-reversed; zlib's checksum is of another polynomial.
constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> result{};
  for (std::uint32_t byte = 0; byte < result.size(); ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    result[byte] = crc;
  }
  return result;
}();

/// As records hold it: turned and shifted, so that the checksum of data that contain checksums is a
/// good one.
std::uint32_t masked_crc(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes)
    crc = crc >> 8 ^ crc_table[(crc ^ static_cast<unsigned char>(c)) & 255];
  return std::rotr(~crc, 15) + 0xA282EAD8u;
}

/// Little endian, on every machine.
template <std::unsigned_integral T>
std::string fixed(T value) {
  std::string result;
  for (std::size_t k = 0; k < sizeof value; ++k) result += static_cast<char>(value >> 8 * k & 255);
  return result;
}

std::string varint(std::uint64_t value) {
  std::string result;
  for (; value > 127; value >>= 7) result += static_cast<char>((value & 127) | 128);
  return result + static_cast<char>(value);
}

enum Wire : std::uint8_t { as_varint = 0, as_fixed64 = 1, as_bytes = 2, as_fixed32 = 5 };

std::string key(int field, Wire wire) {
  return varint(static_cast<std::uint64_t>(field) << 3 | wire);
}
std::string integer(int field, std::int64_t value) {
  return key(field, as_varint) + varint(static_cast<std::uint64_t>(value));
}
std::string bytes(int field, std::string_view value) {
  return key(field, as_bytes) + varint(value.size()) + std::string(value);
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string event(std::int64_t step, double seconds, const std::string& what) {
  return key(1, as_fixed64) + fixed(std::bit_cast<std::uint64_t>(seconds)) +
         (step == 0 ? "" : integer(2, step)) + what;
}

/// Makes the folder.
std::string file_in(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) file_error(folder, "cannot be made: " + failed.message());
  return folder + "/events.out.tfevents.0.cinch";
}

/// Four bytes of a PNG file's header, big endian.
std::int64_t number_at(std::string_view png, std::size_t at) {
  std::int64_t result = 0;
  for (std::size_t k = 0; k < 4; ++k)
    result = result << 8 | static_cast<unsigned char>(png[at + k]);
  return result;
}

}  // namespace

EventWriter::EventWriter(const std::string& folder) : path_(file_in(folder)), file_(path_) {
  write(event(0, now(), bytes(3, "brain.Event:2")));
}

void EventWriter::scalars(std::int64_t step,
                          const std::vector<std::pair<std::string, double>>& values,
                          std::optional<double> seconds) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    summary += bytes(1, bytes(1, printable(tag)) + key(2, as_fixed32) + fixed(bits));
  }
  write(event(step, seconds.value_or(now()), bytes(5, summary)));
}

void EventWriter::image(std::int64_t step, const std::string& tag, std::string_view png) {
  constexpr std::string_view signature = "\x89PNG\r\n\x1a\n";
  if (!png.starts_with(signature) || png.size() < 33)
    file_error(path_, "what " + tag + " is given as is no PNG file");
  // Grey, colours; with transparency one more. A palette is of colours.
  constexpr std::array<int, 7> channels{1, 1, 3, 3, 2, 2, 4};
  const auto kind = static_cast<unsigned char>(png[25]);
  const std::string image = integer(1, number_at(png, 20)) + integer(2, number_at(png, 16)) +
                            integer(3, channels[kind < channels.size() ? kind : 0]) + bytes(4, png);
  write(event(step, now(), bytes(5, bytes(1, bytes(1, printable(tag)) + bytes(4, image)))));
}

void EventWriter::write(const std::string& event) {
  const std::string length = fixed(static_cast<std::uint64_t>(event.size()));
  file_.append(length + fixed(masked_crc(length)) + event + fixed(masked_crc(event)));
}

}  // namespace cinch
