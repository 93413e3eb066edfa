// A dense array of numbers: what goes into and comes out of a function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/dtype.hpp"
#include "core/error.hpp"

namespace cinch {

/// Sizes of the axes, outermost first. A scalar has none.
using Shape = std::vector<std::int64_t>;

/// Product of the sizes; 1 for a scalar. Throws TypeError on a negative size or where the product
/// overflows int64.
std::int64_t element_count(const Shape& shape);
/// "(20, 784)".
std::string text(const Shape& shape);

/// A dense row-major array with 64-byte aligned storage. Value semantics: a copy is a deep copy, a
/// move is cheap.
class Tensor {
 public:
  /// A float64 scalar, 0.
  Tensor() : Tensor(DType::float64, {}) {}
  /// All zeros.
  Tensor(DType dtype, Shape shape);
  /// A scalar of the value's own kind: bool, int64 (any integer type), float32 or float64.
  template <class T>
  requires std::is_arithmetic_v<T> Tensor(T value) : Tensor(scalar_dtype<T>(), {}) {
    dispatch(dtype_, [&]<class U> { *static_cast<U*>(raw()) = static_cast<U>(value); });
  }
  /// Row-major `values`, as many as `shape` asks for; throws TypeError otherwise.
  template <class T>
  static Tensor from(Shape shape, std::span<const T> values) {
    Tensor result(dtype_of<T>(), std::move(shape));
    result.require_size(values.size());
    std::copy(values.begin(), values.end(), result.data<T>().begin());
    return result;
  }
  template <class T>
  static Tensor from(Shape shape, std::initializer_list<T> values) {
    return from<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  static Tensor full(DType dtype, Shape shape, double value);

  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept = default;
  ~Tensor() = default;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t rank() const { return static_cast<std::int64_t>(shape_.size()); }
  std::int64_t size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * size_of(dtype_); }

  /// The elements in row-major order. Throws TypeError unless T is the tensor's own type.
  template <class T>
  std::span<T> data() {
    require_dtype(dtype_of<T>());
    return {static_cast<T*>(raw()), static_cast<std::size_t>(size_)};
  }
  template <class T>
  std::span<const T> data() const {
    require_dtype(dtype_of<T>());
    return {static_cast<const T*>(raw()), static_cast<std::size_t>(size_)};
  }
  void* raw() { return storage_.get(); }
  const void* raw() const { return storage_.get(); }

  /// The only element, as double. Throws TypeError when there is not exactly one.
  double item() const;
  /// Element number `index` in row-major order, as double. Throws TypeError outside [0, size()).
  double at(std::int64_t index) const;
  /// The same elements converted to `dtype`; a float becomes an integer by truncation, a bool by
  /// "is not zero".
  Tensor cast(DType dtype) const;
  /// The same elements in another shape. Throws TypeError when the sizes differ.
  Tensor reshaped(Shape shape) const;

 private:
  struct Free {
    void operator()(std::byte* storage) const;
  };
  template <class T>
  static constexpr DType scalar_dtype() {
    if constexpr (std::is_same_v<T, bool> || std::is_floating_point_v<T>) {
      return std::is_same_v<T, bool> ? DType::bool_
             : sizeof(T) == 4        ? DType::float32
                                     : DType::float64;
    } else {
      return DType::int64;
    }
  }
  void require_dtype(DType wanted) const;
  void require_size(std::size_t count) const;

  DType dtype_;
  Shape shape_;
  std::int64_t size_;
  std::unique_ptr<std::byte, Free> storage_;
};

/// Same dtype, shape and elements. NaN differs from everything, as in the language.
bool operator==(const Tensor& a, const Tensor& b);

/// dtype, shape and the first few elements: "float64 (2, 3) [1, 2, 3, 4, 5, 6]".
std::string text(const Tensor& tensor);

}  // namespace cinch
