#include "core/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "core/source.hpp"

namespace cinch {

namespace {
constexpr std::align_val_t alignment{64};
}  // namespace

std::string Source::text() const {
  const std::string path = file;
  const auto slash = path.find_last_of('/');
  return (slash == std::string::npos ? path : path.substr(slash + 1)) + ":" + std::to_string(line);
}

std::string_view name(DType dtype) {
  switch (dtype) {
    case DType::bool_:
      return "bool";
    case DType::int64:
      return "int64";
    case DType::float32:
      return "float32";
    case DType::float64:
      break;
  }
  return "float64";
}

std::size_t size_of(DType dtype) {
  return dispatch(dtype, []<class T> { return sizeof(T); });
}

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw TypeError(text("a shape cannot hold the negative size ", size));
    if (__builtin_mul_overflow(count, size, &count)) {
      throw TypeError("shape " + text(shape) + " has more elements than an int64 can count");
    }
  }
  return count;
}

std::string text(const Shape& shape) {
  std::string result = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    result += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return result + (shape.size() == 1 ? ",)" : ")");
}

void Tensor::Free::operator()(std::byte* storage) const { ::operator delete[](storage, alignment); }

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), size_(element_count(shape_)) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (static_cast<std::uint64_t>(size_) > most / size_of(dtype)) {
    throw TypeError("shape " + text(shape_) + " is too large for memory");
  }
  // Never empty, so that kernels may form pointers into it.
  storage_.reset(new (alignment) std::byte[std::max<std::size_t>(bytes(), 64)]);
  std::memset(storage_.get(), 0, bytes());
}

Tensor Tensor::full(DType dtype, Shape shape, double value) {
  Tensor result(dtype, std::move(shape));
  dispatch(dtype, [&]<class T> { std::ranges::fill(result.data<T>(), static_cast<T>(value)); });
  return result;
}

Tensor::Tensor(const Tensor& other)
    : dtype_(other.dtype_),
      shape_(other.shape_),
      size_(other.size_),
      storage_(new (alignment) std::byte[std::max<std::size_t>(other.bytes(), 64)]) {
  std::memcpy(storage_.get(), other.raw(), bytes());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

double Tensor::item() const {
  if (size_ != 1) throw TypeError("item() needs exactly one element, the shape is " + text(shape_));
  return at(0);
}

double Tensor::at(std::int64_t index) const {
  if (index < 0 || index >= size_) {
    throw TypeError(text("element ", index, " of a tensor with ", size_, " elements"));
  }
  return dispatch(dtype_, [&]<class T> {
    return static_cast<double>(data<T>()[static_cast<std::size_t>(index)]);
  });
}

Tensor Tensor::cast(DType dtype) const {
  Tensor result(dtype, shape_);
  dispatch(dtype_, [&]<class From> {
    dispatch(dtype, [&]<class To> {
      std::ranges::transform(data<From>(), result.data<To>().begin(),
                             [](From value) { return static_cast<To>(value); });
    });
  });
  return result;
}

Tensor Tensor::reshaped(Shape shape) const {
  Tensor result(dtype_, std::move(shape));
  if (result.size() != size_) {
    throw TypeError("cannot reshape " + text(shape_) + " to " + text(result.shape()) +
                    ": the numbers of elements differ");
  }
  std::memcpy(result.raw(), raw(), bytes());
  return result;
}

void Tensor::require_dtype(DType wanted) const {
  if (wanted != dtype_) {
    throw TypeError(text("the tensor holds ", name(dtype_), ", not ", name(wanted),
                         ": ask for its own type or convert it with cast()"));
  }
}

void Tensor::require_size(std::size_t count) const {
  if (count != static_cast<std::size_t>(size_)) {
    throw TypeError(text("shape ", text(shape_), " needs ", size_, " values, got ", count));
  }
}

bool operator==(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         dispatch(a.dtype(), [&]<class T> { return std::ranges::equal(a.data<T>(), b.data<T>()); });
}

std::string text(const Tensor& tensor) {
  std::ostringstream out;
  out << name(tensor.dtype()) << ' ' << text(tensor.shape()) << " [";
  const std::int64_t shown = std::min<std::int64_t>(tensor.size(), 6);
  for (std::int64_t i = 0; i < shown; ++i) out << (i ? ", " : "") << tensor.at(i);
  out << (shown < tensor.size() ? ", ...]" : "]");
  return out.str();
}

}  // namespace cinch
