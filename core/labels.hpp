// What variables are called in files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A name of its own for each variable: its label, and of several of one label, as two
/// autoencoders' W, "W_2", "W_3" for the second and the third in this order; a name that is
/// another's label is passed over. checkpoint(), restore(), save() and load() use these. Throws
/// ValueError in the name of `function` for a variable without a label.
std::vector<std::string> names_in_files(std::string_view function,
                                        const std::vector<Shared>& variables);

}  // namespace cinch
