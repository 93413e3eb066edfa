// Tensors as xtensor expressions. Costs about two seconds to include: for .cpp files of references
// only.
#pragma once

#include <vector>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include "cinch/core/tensor.hpp"

namespace cinch::references {

/// The tensor's memory as an xtensor container of dynamic rank; nothing is copied.
template <class T>
auto view(const Tensor& tensor) {
  const auto data = tensor.data<T>();
  const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  return xt::adapt(data.data(), data.size(), xt::no_ownership(), shape);
}
template <class T>
auto view(Tensor& tensor) {
  const auto data = tensor.data<T>();
  const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  return xt::adapt(data.data(), data.size(), xt::no_ownership(), shape);
}

/// The value of an xtensor expression.
template <class T, class X>
Tensor to_tensor(const X& expression) {
  Tensor result(dtype_of<T>(), Shape(expression.shape().begin(), expression.shape().end()));
  if (result.size() > 0) view<T>(result) = expression;
  return result;
}

}  // namespace cinch::references
