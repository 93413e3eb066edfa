// What is known of a symbolic tensor before it has a value: dtype and sizes.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "cinch/core/dtype.hpp"
#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// The size of one axis: a number, or a symbol that stands for one number not known yet.
/// Two equal symbols are the same size; two different ones may or may not be.
class Dim {
 public:
  /// A known size >= 0.
  Dim(std::int64_t size) : value_(size) {}
  /// A symbol different from all others.
  static Dim unknown();

  bool known() const { return value_ >= 0; }
  /// The size. Only for a known one.
  std::int64_t size() const { return value_; }
  /// A number below 0 that tells symbols apart. Only for a symbol.
  std::int64_t symbol() const { return value_; }
  /// Surely the same size.
  friend bool operator==(Dim a, Dim b) = default;

 private:
  std::int64_t value_;
};

using Dims = std::vector<Dim>;

/// dtype and sizes of a symbolic tensor.
struct Type {
  DType dtype = DType::float64;
  Dims dims = {};
  bool weak = false;  ///< Made of literals only: takes the dtype of what it meets.

  std::int64_t rank() const { return static_cast<std::int64_t>(dims.size()); }
  bool is_static() const;
  /// The sizes as numbers. Only where all are known.
  Shape shape() const;
};

Type type_of(const Tensor& tensor);
Dims to_dims(const Shape& shape);

/// "float64 (20, ?)": a question mark for a size not known yet.
std::string text(const Type& type);
std::string text(const Dims& dims);
std::ostream& operator<<(std::ostream& out, const Type& type);
std::ostream& operator<<(std::ostream& out, const Dims& dims);

/// Sizes of the result of broadcasting `a` against `b`, aligned at the right, as in NumPy.
/// Throws TypeError where two known sizes differ and neither is 1.
Dims broadcast(const Dims& a, const Dims& b);

/// `axis` counted from the front. Throws TypeError unless -rank <= axis < rank.
std::int64_t normalize_axis(std::int64_t axis, std::int64_t rank);

}  // namespace cinch
