// What PNG files put together by hand are made of.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace cinch::testing {

inline std::string big_endian(std::uint64_t value, int bytes) {
  std::string result;
  for (int k = bytes; k-- > 0;) result += static_cast<char>(value >> 8 * k);
  return result;
}

inline std::string chunk(const std::string& name, const std::string& data) {
  const std::string body = name + data;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(data.size(), 4) + body + big_endian(sum, 4);
}

inline std::string deflated(const std::string& content) {
  uLongf size = compressBound(static_cast<uLong>(content.size()));
  std::string result(size, '\0');
  compress2(reinterpret_cast<Bytef*>(result.data()), &size,
            reinterpret_cast<const Bytef*>(content.data()), static_cast<uLong>(content.size()), 9);
  result.resize(size);
  return result;
}

}  // namespace cinch::testing
