#include "cinch/ops/records/sizes.hpp"

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::records {

Dim dim_of(const Expr& size) {
  if (size.rank() != 0 || size.dtype() != DType::int64) {
    throw TypeError("sizes must be int64 scalars, got " + text(size.type()) + "  " +
                    describe(size));
  }
  if (const Tensor* value = constant_value(size)) {
    const std::int64_t n = value->data<std::int64_t>()[0];
    if (n < 0) throw TypeError(text("a size cannot be ", n));
    return n;
  }
  if (&size.op() == &size_op) return size.inputs()[0].dims()[AlongAxis::of(size.attrs()).axis];
  return Dim::unknown();
}

std::optional<std::int64_t> constant_size(const Expr& e) {
  const Tensor* value = constant_value(e);
  if (!value || value->rank() != 0 || value->dtype() != DType::int64) return std::nullopt;
  return value->data<std::int64_t>()[0];
}

Dims dims_of(Args sizes) {
  Dims result;
  for (const Expr& size : sizes) result.push_back(dim_of(size));
  return result;
}

Shape shape_of(Values sizes) {
  Shape result;
  for (const Tensor* size : sizes) result.push_back(size->data<std::int64_t>()[0]);
  return result;
}

std::vector<Expr> with_first(const Expr& first, Args rest) {
  std::vector<Expr> result{first};
  result.insert(result.end(), rest.begin(), rest.end());
  return result;
}

std::vector<Expr> with_leading_size(const Expr& count, const Expr& x) {
  return with_first(count, sizes(x));
}

Expr whole_number(const Arg& x) {
  return x->type().weak && x->dtype() == DType::int64 ? cast(x, DType::int64) : x.expr();
}

Expr computed(const Expr& e) {
  for (const Expr& node : topological(std::span(&e, 1))) {
    if ((node.inputs().empty() && !constant_value(node)) || node.op().observes) return e;
  }
  return constant(running::interpret(std::span(&e, 1), {}, /*watch=*/false)[0], e->where);
}

}  // namespace cinch::records
