// A model's parameters in one file, by name.
#pragma once

#include <string>

#include "cinch/core/parameters.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Writes shared variables by their labels to `path`, which ends in .npz or .safetensors; it is
/// replaced as a whole. Of several of one label the second is "W_2": names_in_files(); a variable
/// that occurs twice is written once. Throws ValueError for one without a label, TypeError for an
/// expression that is no variable, FileError.
void save(const Parameters& params, const std::string& path);

/// How load() takes what a file holds.
struct LoadOptions {
  bool ignore_others = false;  ///< The file may hold more, as a checkpoint or a larger model does.
};

/// Sets each variable to the array of its name in a .npz or safetensors file, told by its content:
/// what save() and the example programs write. Throws FileError, which names all of them at once,
/// for names that are missing or too many, other shapes and other dtypes, and for values that are
/// not finite; then no variable has been set.
void load(const Parameters& params, const std::string& path, const LoadOptions& options = {});

}  // namespace cinch
