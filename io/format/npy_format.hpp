// The npy format on any stream of bytes: what .npy files and the members of .npz archives have in
// common.
#pragma once

#include <cstdint>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/io/bytes.hpp"
#include "cinch/io/format/elements.hpp"

namespace cinch::format {

/// What stands before the elements.
struct NpyHeader {
  Stored type;
  bool big_endian, fortran_order;
  Shape shape;
};

/// Reads it. Throws FileError where what remains is not as many elements as it says.
NpyHeader read_npy_header(ByteStream& bytes);

/// Reads one array that takes up the whole stream, its elements as read_elements() does. Throws
/// FileError.
Tensor parse_npy(ByteStream& bytes, bool narrow = false);

/// What stands before the elements in row-major order: a multiple of 64 bytes. Throws FileError for
/// bfloat16, which the format does not know.
std::vector<std::uint8_t> npy_header(const Tensor& tensor);

}  // namespace cinch::format
