// safetensors files: named arrays behind a JSON header, as language models and their sparse
// autoencoders are published.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/io/npy.hpp"

namespace CINCH_PUBLIC cinch {

/// The arrays of a file by name. Element types BOOL, integers (as int64), F16, BF16 and F32 (as
/// float32) and F64; U8, F16 and BF16 may be kept as they are stored. Throws FileError for what is
/// no such file or is damaged: parts that overlap, leave a hole or are cut short, names that occur
/// twice, sizes that do not fit. A header that claims more data than there is costs no memory.
Arrays read_safetensors(const std::string& path, Elements elements = Elements::widened);

/// A file that other programs read: the largest elements first, so that each lies aligned, else in
/// the order given; equal arrays give equal files. `metadata` is text by name. Replaced as a whole.
/// Throws FileError for an empty name, one that occurs twice, "__metadata__", and text that is no
/// UTF-8.
void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, Tensor>>& arrays,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cinch
