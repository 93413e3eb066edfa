// Messages in the wire format of protocol buffers, as far as ONNX needs it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cinch::exchange {

/// Fields in the order in which they are added.
class Message {
 public:
  Message& number(int field, std::int64_t value);
  Message& text(int field, std::string_view value);
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  Message& numbers(int field, const std::vector<std::int64_t>& values);  ///< Packed.

  /// The fields of another one too.
  Message& append(const Message& other) { return bytes_ += other.bytes_, *this; }

  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value);

  std::string bytes_;
};

}  // namespace cinch::exchange
