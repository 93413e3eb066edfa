#include "cinch/ops/records/elementwise.hpp"

#include <xtensor/xmath.hpp>

#include "cinch/ops/reference/xtensor_view.hpp"

namespace cinch::records {

namespace {

template <class R, class T>
Tensor map_elements(void (*f)(void*, const void* const*), Values in) {
  if (in.size() == 1) {
    const auto one = [f](T a) {
      R result;
      const void* const operands[] = {&a};
      f(&result, operands);
      return result;
    };
    return references::to_tensor<R>(xt::make_lambda_xfunction(one, references::view<T>(*in[0])));
  }
  const auto two = [f](T a, T b) {
    R result;
    const void* const operands[] = {&a, &b};
    f(&result, operands);
    return result;
  };
  return references::to_tensor<R>(
      xt::make_lambda_xfunction(two, references::view<T>(*in[0]), references::view<T>(*in[1])));
}

}  // namespace

Tensor elementwise_reference(const ScalarFunctions& f, Values in) {
  return dispatch(in[0]->dtype(), [&]<class T> {
    const auto run = f.run[static_cast<std::size_t>(dtype_of<T>())];
    return f.to_bool ? map_elements<bool, T>(run, in) : map_elements<T, T>(run, in);
  });
}

Type broadcast_type(Args x, const Attrs&) {
  Dims dims = x[0].dims();
  for (const Expr& operand : x.subspan(1)) dims = broadcast(dims, operand.dims());
  return {x.back().dtype(), std::move(dims)};
}

Type broadcast_bool_type(Args x, const Attrs& attrs) {
  Type type = broadcast_type(x, attrs);
  type.dtype = DType::bool_;
  return type;
}

}  // namespace cinch::records
