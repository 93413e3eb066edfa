// Elements as files store them, on any stream of bytes: what npy and safetensors have in common.
#pragma once

#include <cstdint>
#include <string_view>

#include "cinch/core/tensor.hpp"
#include "cinch/io/bytes.hpp"

namespace cinch::format {

/// How an element lies in a file.
enum class Stored : std::uint8_t {
  bool_,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  uint64,
  int64,
  float16,
  bfloat16,
  float32,
  float64,
};

/// Bytes of one of them.
std::int64_t size_of(Stored type);

/// Reads that many of them as the dtype that holds them all: bools as bool, whole numbers as int64,
/// float16, bfloat16 and float32 as float32; or, `narrow`, bytes as uint8, float16 and bfloat16 as
/// such. Any byte but 0 is true. Throws FileError where there are fewer, for a uint64 that no int64
/// holds, and where they are more than file_limit() lets be held.
Tensor read_elements(ByteStream& bytes, Stored type, const Shape& shape, bool big_endian = false,
                     bool narrow = false);

}  // namespace cinch::format
