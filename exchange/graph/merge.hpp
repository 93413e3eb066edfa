// Two compilations, for two sets of sizes, as one graph in which these sizes are unknown.
#pragma once

#include <optional>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/tensor.hpp"
#include "cinch/exchange/graph/sized.hpp"

namespace cinch::exchange {

/// Of each node of `a` in whose sizes unknown ones stand, its sizes. `in_a` and `in_b` are the
/// primes that stand for the unknown ones in both. Throws TypeError, in the name of `function`, for
/// the first node that is computed in another way for other sizes.
NodeMap<std::vector<Size>> merged_sizes(const char* function, const Sized& a, const Sized& b,
                                        const std::vector<std::int64_t>& in_a,
                                        const std::vector<std::int64_t>& in_b);

/// `x` with the first of its elements along these axes; none where others differ from them.
std::optional<Tensor> unrepeated(const Tensor& x, const std::vector<bool>& axes);

/// Whether `x` is 0, 1, 2, ... along the one of these axes, and has no other axis.
bool counts_along(const Tensor& x, const std::vector<bool>& axes);

}  // namespace cinch::exchange
