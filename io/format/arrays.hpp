// Arrays as pictures: what their axes are, which number is white, which of several is the labels.
#pragma once

#include <string>

#include "cinch/core/tensor.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/pictures.hpp"

namespace cinch::format {

/// The pictures of one array. `path` is for messages. Throws FileError.
Pictures pictures_of(const std::string& path, const Tensor& array, const PictureOptions& options);

/// The pictures of a file of named arrays, and their labels.
Pictures pictures_among(const std::string& path, const Arrays& arrays,
                        const PictureOptions& options);

}  // namespace cinch::format
