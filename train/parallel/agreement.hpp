// Whether the processes of a training are of one mind, and whether there are some that nobody told
// of each other.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/train/distribution.hpp"

namespace cinch::parallel {

/// What must be the same on all ranks, by name, as text.
using Description = std::vector<std::pair<std::string, std::string>>;

/// The version, a hash of the program's file, which instructions and which OpenBLAS kernels it
/// computes with, and hashes of the step as it is written and of the variables' values.
Description description_of(const Function& step, const std::vector<Shared>& variables);

/// Throws Error on every rank where one differs from the first, with what differs and how.
void require_agreement(Distribution& ranks, const Description& mine);

/// Throws ValueError where a launcher, as the environment says, has started several processes: each
/// would train alone.
void require_alone();

}  // namespace cinch::parallel
