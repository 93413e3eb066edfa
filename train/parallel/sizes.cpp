#include "cinch/train/parallel/sizes.hpp"

#include <algorithm>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::parallel {

bool is_whole_scalar(const Expr& node) {
  return node.rank() == 0 && (node.dtype() == DType::int64 || node.dtype() == DType::bool_);
}

Expr with_known_sizes(const Expr& node) {
  const bool of_numbers =
      !node.inputs().empty() && std::ranges::all_of(node.inputs(), [](const Expr& e) {
        return constant_value(e) != nullptr;
      });
  if (is_whole_scalar(node) && node.op().elementwise() && of_numbers)
    return records::computed(node);
  if (&node.op() != &size_op) return node;
  const Dim dim = node.inputs()[0].dims()[AlongAxis::of(node.attrs()).axis];
  return dim.known() ? constant(Tensor(dim.size()), node->where) : node;
}

}  // namespace cinch::parallel
