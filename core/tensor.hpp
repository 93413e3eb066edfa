// A dense array of numbers: what goes into and comes out of a function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cinch/core/dtype.hpp"
#include "cinch/core/error.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Sizes of the axes, outermost first. A scalar has none.
using Shape = std::vector<std::int64_t>;

/// Product of the sizes; 1 for a scalar. Throws TypeError on a negative size or where the product
/// overflows int64.
std::int64_t element_count(const Shape& shape);
/// "(20, 784)".
std::string text(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// A dense row-major array, its memory 64-byte aligned where it is a tensor's own. Value semantics:
/// a copy is a deep copy, a move is cheap. One that was moved from has no elements until it is
/// assigned to; asking for them, copying it included, throws TypeError.
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
  /// Row-major `values`, as many as `shape` asks for; throws TypeError otherwise. A span's elements
  /// keep their type, bytes and numbers of 16 bits too; a std::vector's integers become int64.
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
  template <class T>
  static Tensor from(Shape shape, const std::vector<T>& values) {
    return from_elements<T>(std::move(shape), values);
  }
  /// One axis: from({1.5, 2.5}), or from(values) for a std::vector. Here, and for the rows below,
  /// integers of any width become int64.
  template <class T>
  static Tensor from(std::initializer_list<T> values) {
    return from_elements<T>({static_cast<std::int64_t>(values.size())}, values);
  }
  template <class T>
  static Tensor from(const std::vector<T>& values) {
    return from_elements<T>({static_cast<std::int64_t>(values.size())}, values);
  }
  /// Two axes: from({{1.0, 2.0}, {3.0, 4.0}}), or from(rows) for a std::vector of std::vectors.
  /// Throws TypeError where rows differ in length.
  template <class T>
  static Tensor from(std::initializer_list<std::initializer_list<T>> rows) {
    return from_rows<T>(rows);
  }
  template <class T>
  static Tensor from(const std::vector<std::vector<T>>& rows) {
    return from_rows<T>(rows);
  }
  static Tensor full(DType dtype, Shape shape, double value);
  /// Elements that something else has allocated, in row-major order from `first` on, without a
  /// copy. The tensor keeps `first` until it is assigned to or gone, reads and writes there, and
  /// frees it as the pointer's own deleter does. A copy of the tensor is one of its own memory.
  /// Throws TypeError for a null pointer where there are elements, and for one that is not aligned
  /// for T.
  template <class T>
  static Tensor adopt(Shape shape, std::shared_ptr<T> first) {
    return {dtype_of<T>(), std::move(shape), std::shared_ptr<void>(std::move(first))};
  }

  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept
      : dtype_(other.dtype_),
        shape_(std::exchange(other.shape_, {})),
        size_(std::exchange(other.size_, 0)),
        storage_(std::move(other.storage_)) {}
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept {
    dtype_ = other.dtype_;
    shape_ = std::exchange(other.shape_, {});
    size_ = std::exchange(other.size_, 0);
    storage_ = std::move(other.storage_);
    return *this;
  }
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
  void* raw() {
    require_value();
    return storage_.get();
  }
  const void* raw() const {
    require_value();
    return storage_.get();
  }

  /// The only element, as double. Throws TypeError when there is not exactly one.
  double item() const;
  /// Element number `index` in row-major order, as double. Throws TypeError outside [0, size()).
  double at(std::int64_t index) const;
  /// The element at these indices, one for each axis, as double; negative ones count from the end:
  /// t.at({i, j}), t(i, j). Throws TypeError for another number of indices or one outside.
  double at(std::initializer_list<std::int64_t> indices) const;
  template <class... Indices>
  requires(std::is_integral_v<Indices>&&...) double operator()(Indices... indices) const {
    return at({static_cast<std::int64_t>(indices)...});
  }
  /// The same elements converted to `dtype`; a float becomes an integer by truncation, NaN and what
  /// int64 does not hold -2^63, a bool by "is not zero". float16 and bfloat16 are rounded to the
  /// nearest, ties to even, and beyond their range infinite. Throws ValueError where the whole part
  /// is none that uint8 holds, 0 to 255.
  Tensor cast(DType dtype) const;
  /// The same elements in another shape. Throws TypeError when the sizes differ.
  Tensor reshaped(Shape shape) const;

 private:
  Tensor(DType dtype, Shape shape, std::shared_ptr<void> storage);
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
  template <class T>
  using Element =
      std::conditional_t<std::is_integral_v<T> && !std::is_same_v<T, bool>, std::int64_t, T>;
  template <class T, class Values>
  static Tensor from_elements(Shape shape, const Values& values) {
    Tensor result(dtype_of<Element<T>>(), std::move(shape));
    result.require_size(values.size());
    auto to = result.data<Element<T>>().begin();
    for (const T value : values) *to++ = static_cast<Element<T>>(value);
    return result;
  }
  template <class T, class Rows>
  static Tensor from_rows(const Rows& rows) {
    const std::size_t columns = rows.size() ? rows.begin()->size() : 0;
    std::vector<T> all;
    for (const auto& row : rows) {
      require_length(row.size(), columns);
      all.insert(all.end(), row.begin(), row.end());
    }
    return from_elements<T>(
        {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns)}, all);
  }
  void allocate();
  void require_countable() const;
  static void require_length(std::size_t length, std::size_t wanted);
  void require_value() const {
    if (!storage_) [[unlikely]]
      throw_moved();
  }
  [[noreturn]] static void throw_moved();
  void require_dtype(DType wanted) const;
  void require_size(std::size_t count) const;

  DType dtype_;
  Shape shape_;
  std::int64_t size_;
  std::shared_ptr<void> storage_;  // Never shared by two tensors.
};

/// Same dtype, shape and elements. NaN differs from everything, as in the language.
bool operator==(const Tensor& a, const Tensor& b);

/// How text() prints a tensor.
struct TextOptions {
  int precision = 6;      ///< Digits that count, of a float.
  std::int64_t most = 6;  ///< So many elements at most.
};

/// dtype, shape and the first elements in row-major order, on one line, as messages have it:
/// "float64 (2, 3) [1, 2, 3, 4, 5, 6]". All of them: text(t, {.most = t.size()}), or print it.
std::string text(const Tensor& tensor, const TextOptions& options = {});
/// Prints dtype and shape and, as NumPy does, the elements, a line for each row, with the stream's
/// precision. Above 1000 elements, the first and last three along each axis.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace cinch
