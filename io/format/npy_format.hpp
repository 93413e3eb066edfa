// The npy format on any stream of bytes: what .npy files and the members of .npz archives have in
// common.
#pragma once

#include <cstdint>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/io/bytes.hpp"

namespace cinch::format {

/// Reads one array that takes up the whole stream. Throws FileError.
Tensor parse_npy(ByteStream& bytes);

/// What stands before the elements in row-major order: a multiple of 64 bytes.
std::vector<std::uint8_t> npy_header(const Tensor& tensor);

}  // namespace cinch::format
