// What stands before the elements of a safetensors file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/io/bytes.hpp"
#include "cinch/io/format/elements.hpp"

namespace cinch::format {

/// The key of the header that is no array's name, but of texts.
inline constexpr std::string_view metadata_key = "__metadata__";

/// One array; its elements are the bytes [begin, end) behind the header.
struct SafetensorsPart {
  std::string name;
  Stored type;
  Shape shape;
  std::int64_t begin, end;
};

/// The arrays of a file as they lie in it, one behind the other to its end. Reads the header.
/// Throws FileError where that is damaged or does not fit what remains.
std::vector<SafetensorsPart> read_safetensors_header(ByteStream& bytes);

}  // namespace cinch::format
