// What common.cpp and options.cpp share, and programs have no use for.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "cinch/train/distribution.hpp"

namespace cinch::examples {

struct Options;

bool is_flag(const CLI::Option& option);
/// Whether a flag is: one that a file has as false is not.
bool is_set(const CLI::Option& flag);

/// The processes that --distribute says; null without. Throws ValueError where several were started
/// together and it says nothing, or where the program was built without MPI.
std::shared_ptr<Distribution> ranks_of(const CLI::App& app, const Options& options);
/// Of a rank that is not the first: prints nothing from here on but errors, and writes no file.
void leave_to_others(Options& options);

}  // namespace cinch::examples
