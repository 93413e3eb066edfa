// xtensor's arrays in and out. cinch.hpp does not include it: it needs xtensor's headers, and two
// seconds to compile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xoperation.hpp>
#include <xtensor/xtensor.hpp>

#include "cinch/core/error.hpp"
#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// What a tensor holds of xtensor's elements T: float, double and bool as they are, integers of any
/// width as int64.
template <class T>
struct ElementOf {
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, long double>,
                "to_tensor: elements must be bool, integers, float or double");
  using type =
      std::conditional_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, std::int64_t, T>;
};

/// The value of any xtensor expression: xt::xarray, xt::xtensor, a view with strides, an array in
/// column-major order, a formula that is computed now. float, double and bool stay what they are,
/// integers of any width become int64. It is a copy in row-major order, the tensor's own.
template <class E>
Tensor to_tensor(const xt::xexpression<E>& expression) {
  using Value = std::decay_t<typename E::value_type>;
  using Element = typename ElementOf<Value>::type;
  const E& value = expression.derived_cast();
  const std::vector<std::size_t> shape(value.shape().begin(), value.shape().end());
  Tensor result(dtype_of<Element>(), Shape(shape.begin(), shape.end()));
  if (result.size() == 0) return result;
  auto to = xt::adapt<xt::layout_type::row_major>(result.data<Element>().data(),
                                                  static_cast<std::size_t>(result.size()),
                                                  xt::no_ownership(), shape);
  if constexpr (std::is_same_v<Value, Element>) {
    xt::noalias(to) = value;
  } else {
    xt::noalias(to) = xt::cast<Element>(value);
  }
  return result;
}

/// The array itself where it is given away and owns elements of a tensor's type in row-major order:
/// nothing is copied, and the tensor frees the memory.
template <class Array>
Tensor adopt_array(Array&& array) {
  using Value = typename Array::value_type;
  if constexpr (std::is_same_v<Value, typename ElementOf<Value>::type>) {
    const auto owner = std::make_shared<Array>(std::forward<Array>(array));
    return Tensor::adopt<Value>(Shape(owner->shape().begin(), owner->shape().end()),
                                std::shared_ptr<Value>(owner, owner->data()));
  } else {
    return to_tensor(static_cast<const xt::xexpression<Array>&>(array));
  }
}
/// The same elements without a copy: of an array that is given away, as to_tensor(std::move(array))
/// or the result of a call is.
template <class Memory, class Sizes, class Tag>
Tensor to_tensor(xt::xarray_container<Memory, xt::layout_type::row_major, Sizes, Tag>&& array) {
  return adopt_array(std::move(array));
}
template <class Memory, std::size_t N, class Tag>
Tensor to_tensor(xt::xtensor_container<Memory, N, xt::layout_type::row_major, Tag>&& array) {
  return adopt_array(std::move(array));
}

/// A tensor as an xtensor array of any rank, of its own memory: nothing is copied, what is written
/// to one is in the other, and it holds until the tensor is assigned to, moved from or gone.
/// `xt::xarray<float> a = as_xarray<float>(t)` is a copy. Throws TypeError unless T is the tensor's
/// own type: bool, std::int64_t, float or double.
template <class T>
auto as_xarray(Tensor& tensor) {
  const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  return xt::adapt<xt::layout_type::row_major>(
      tensor.data<T>().data(), static_cast<std::size_t>(tensor.size()), xt::no_ownership(), shape);
}
/// The same, only to be read.
template <class T>
auto as_xarray(const Tensor& tensor) {
  const std::vector<std::size_t> shape(tensor.shape().begin(), tensor.shape().end());
  return xt::adapt<xt::layout_type::row_major>(
      tensor.data<T>().data(), static_cast<std::size_t>(tensor.size()), xt::no_ownership(), shape);
}
/// The same of a tensor that is given away, as the result of a call is: the array owns its memory,
/// and copies of the array share it.
template <class T>
auto as_xarray(Tensor&& tensor) {
  const auto owner = std::make_shared<Tensor>(std::move(tensor));
  const std::vector<std::size_t> shape(owner->shape().begin(), owner->shape().end());
  return xt::adapt_smart_ptr<xt::layout_type::row_major>(owner->data<T>().data(), shape, owner);
}

/// The sizes of a tensor with N axes. Throws TypeError for another number of axes.
template <std::size_t N>
std::array<std::size_t, N> sizes_of(const Tensor& tensor) {
  if (tensor.rank() != static_cast<std::int64_t>(N))
    throw TypeError(text("as_xtensor: an array of ", N, " axes of a tensor of shape ",
                         text(tensor.shape()), ": as_xarray() takes any"));
  std::array<std::size_t, N> result{};
  for (std::size_t k = 0; k < N; ++k) result[k] = static_cast<std::size_t>(tensor.shape()[k]);
  return result;
}

/// As as_xarray(), an array of N axes, as xt::xtensor<T, N> is, which xtensor computes with faster.
/// Throws TypeError also where the tensor has another number of axes.
template <class T, std::size_t N>
auto as_xtensor(Tensor& tensor) {
  return xt::adapt<xt::layout_type::row_major>(tensor.data<T>().data(),
                                               static_cast<std::size_t>(tensor.size()),
                                               xt::no_ownership(), sizes_of<N>(tensor));
}
template <class T, std::size_t N>
auto as_xtensor(const Tensor& tensor) {
  return xt::adapt<xt::layout_type::row_major>(tensor.data<T>().data(),
                                               static_cast<std::size_t>(tensor.size()),
                                               xt::no_ownership(), sizes_of<N>(tensor));
}
template <class T, std::size_t N>
auto as_xtensor(Tensor&& tensor) {
  const std::array<std::size_t, N> shape = sizes_of<N>(tensor);
  const auto owner = std::make_shared<Tensor>(std::move(tensor));
  using Memory = xt::xbuffer_adaptor<T*, xt::smart_ownership, std::shared_ptr<Tensor>>;
  return xt::xtensor_adaptor<Memory, N, xt::layout_type::row_major>(
      Memory(owner->data<T>().data(), static_cast<std::size_t>(owner->size()), owner), shape);
}

}  // namespace cinch
