// What common.cpp and options.cpp share, and programs have no use for.
#pragma once

#include <CLI/CLI.hpp>

namespace cinch::examples {

bool is_flag(const CLI::Option& option);
/// Whether a flag is: one that a file has as false is not.
bool is_set(const CLI::Option& flag);

}  // namespace cinch::examples
