// All that a training's updates change, by name: what to save, and how to go on from it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The variables that the updates change: parameters, moments, velocities, step counters.
std::vector<Shared> targets(const Updates& updates);

/// Copies of their values by names_in_files(), which are their labels, in the order of the updates:
/// what write_npz() takes. Throws ValueError where one has no label. (States of random streams are
/// not among an optimizer's updates.)
std::vector<std::pair<std::string, Tensor>> checkpoint(const Updates& updates);

/// Sets each target to the value under its name: what read_npz() returns. Training then goes on as
/// if it had not been interrupted, to the last bit. Other entries of `values` are not looked at.
/// Throws ValueError where a value is missing, TypeError where one has another dtype or shape than
/// its variable; then none has been set.
void restore(const Updates& updates, const std::map<std::string, Tensor>& values);

}  // namespace cinch
