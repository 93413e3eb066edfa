#include "cinch/core/tensor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <limits>
#include <locale>
#include <new>

#include "cinch/core/source.hpp"

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
    case DType::uint8:
      return "uint8";
    case DType::float16:
      return "float16";
    case DType::bfloat16:
      return "bfloat16";
    case DType::float64:
      break;
  }
  return "float64";
}

void refuse_storage(DType dtype) {
  throw TypeError(text(name(dtype),
                       " is for storage alone: compute with widened(x) of an expression, or "
                       "x.cast(DType::float32) of a tensor"));
}

std::size_t size_of(DType dtype) {
  return dispatch_all(dtype, []<class T> { return sizeof(T); });
}

std::int64_t element_count(const Shape& shape) {
  // The axes that are not empty must be countable too, in bytes: strides are products of them.
  constexpr std::int64_t most_extent = std::numeric_limits<std::int64_t>::max() / 8;
  std::int64_t count = 1, extent = 1;
  for (const std::int64_t size : shape) {
    if (size < 0) throw TypeError(text("a shape cannot hold the negative size ", size));
    const bool too_many = __builtin_mul_overflow(extent, std::max<std::int64_t>(size, 1), &extent);
    count *= too_many ? 0 : size;
    if (too_many || (count == 0 && extent > most_extent)) {
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

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), size_(element_count(shape_)) {
  require_countable();
  allocate();
  std::memset(storage_.get(), 0, bytes());
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<void> storage)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(element_count(shape_)),
      storage_(std::move(storage)) {
  require_countable();
  if (size_ == 0) {
    allocate();
    return;
  }
  if (!storage_) throw TypeError("Tensor::adopt: no elements for shape " + text(shape_));
  if (reinterpret_cast<std::uintptr_t>(storage_.get()) % size_of(dtype)) {
    throw TypeError(cinch::text("Tensor::adopt: elements of ", name(dtype),
                                " have to lie at a multiple of ", size_of(dtype), " bytes"));
  }
}

void Tensor::require_countable() const {
  constexpr std::uint64_t most = std::uint64_t{1} << 50;  // More than any memory.
  if (static_cast<std::uint64_t>(size_) > most / size_of(dtype_)) {
    throw TypeError("shape " + text(shape_) + " is too large for memory");
  }
}

void Tensor::allocate() {
  // Never empty, so that kernels may form pointers into it.
  try {
    storage_.reset(new (alignment) std::byte[std::max<std::size_t>(bytes(), 64)],
                   [](std::byte* first) { ::operator delete[](first, alignment); });
  } catch (const std::bad_alloc&) {
    throw Error(cinch::text("not enough memory for ", name(dtype_), " ", cinch::text(shape_), ", ",
                            bytes(), " bytes"));
  }
}

Tensor Tensor::full(DType dtype, Shape shape, double value) {
  if (is_storage(dtype)) return full(DType::float64, std::move(shape), value).cast(dtype);
  Tensor result(dtype, std::move(shape));
  dispatch(dtype, [&]<class T> { std::ranges::fill(result.data<T>(), static_cast<T>(value)); });
  return result;
}

Tensor::Tensor(const Tensor& other)
    : dtype_(other.dtype_), shape_(other.shape_), size_(other.size_) {
  const void* from = other.raw();  // Throws where there is nothing to copy.
  allocate();
  std::memcpy(storage_.get(), from, bytes());
}

Tensor& Tensor::operator=(const Tensor& other) {
  if (this != &other) *this = Tensor(other);
  return *this;
}

void Tensor::throw_moved() {
  throw TypeError(
      "a tensor was used after std::move() had taken its elements: copy it before, or assign it "
      "another");
}

namespace {

/// What arithmetic is done with.
template <class T>
auto widest(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return static_cast<float>(value);
  } else {
    return value;
  }
}

template <class To, class From>
To converted(From value, std::size_t at) {
  if constexpr (std::is_same_v<To, std::uint8_t>) {
    const auto whole = static_cast<double>(value);
    if (!(whole > -1 && whole < 256))
      throw ValueError(text("element ", at, " is ", whole,
                            ", uint8 holds whole numbers from 0 to 255: scale them before"));
    return static_cast<To>(whole);
  } else if constexpr (std::is_same_v<To, Float16> || std::is_same_v<To, BFloat16>) {
    if constexpr (std::is_floating_point_v<From>) {
      return To(static_cast<double>(value));
    } else {
      return To(static_cast<std::int64_t>(value));
    }
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, std::int64_t>) {
    const bool fits = value >= static_cast<From>(-0x1p63) && value < static_cast<From>(0x1p63);
    return fits ? static_cast<To>(value) : std::numeric_limits<To>::min();
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

double Tensor::item() const {
  require_value();
  if (size_ != 1) throw TypeError("item() needs exactly one element, the shape is " + text(shape_));
  return at(0);
}

double Tensor::at(std::int64_t index) const {
  require_value();
  if (index < 0 || index >= size_) {
    throw TypeError(text("element ", index, " of a tensor with ", size_, " elements"));
  }
  return dispatch_all(dtype_, [&]<class T> {
    const T value = data<T>()[static_cast<std::size_t>(index)];
    return static_cast<double>(widest(value));
  });
}

double Tensor::at(std::initializer_list<std::int64_t> indices) const {
  require_value();
  const Shape given(indices);
  const auto refuse = [&](const std::string& what) {
    throw TypeError(text("element ", text(given), " of a tensor ", text(shape_), ": ", what));
  };
  if (given.size() != shape_.size())
    refuse(text("there must be ", rank(), rank() == 1 ? " index" : " indices"));
  std::int64_t position = 0;
  for (std::size_t axis = 0; axis < given.size(); ++axis) {
    const std::int64_t n = shape_[axis], i = given[axis];
    if (i < -n || i >= n) refuse(text("index ", i, " is outside axis ", axis));
    position = position * n + (i < 0 ? i + n : i);
  }
  return at(position);
}

Tensor Tensor::cast(DType dtype) const {
  Tensor result(dtype, shape_);
  if (dtype == dtype_) {
    std::memcpy(result.raw(), raw(), bytes());
    return result;
  }
  dispatch_all(dtype_, [&]<class From> {
    dispatch_all(dtype, [&]<class To> {
      const std::span<const From> from = data<From>();
      const std::span<To> to = result.data<To>();
      for (std::size_t i = 0; i < from.size(); ++i) to[i] = converted<To>(widest(from[i]), i);
    });
  });
  return result;
}

Tensor Tensor::reshaped(Shape shape) const {
  require_value();
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

void Tensor::require_length(std::size_t length, std::size_t wanted) {
  if (length == wanted) return;
  throw TypeError(text("rows of a matrix must have one length: the first has ", wanted,
                       " elements, another ", length));
}

void Tensor::require_size(std::size_t count) const {
  if (count != static_cast<std::size_t>(size_)) {
    throw TypeError(text("shape ", text(shape_), " needs ", size_, " values, got ", count));
  }
}

bool operator==(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && dispatch_all(a.dtype(), [&]<class T> {
           // By ==, which the spans' own elements have: NaN differs from everything.
           return std::equal(a.data<T>().begin(), a.data<T>().end(), b.data<T>().begin());
         });
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << text(shape); }

namespace {

void print_element(std::ostream& out, const Tensor& tensor, std::int64_t position) {
  if (tensor.dtype() == DType::int64) {
    out << tensor.data<std::int64_t>()[static_cast<std::size_t>(position)];
    return;
  }
  const double value = tensor.at(position);
  std::isnan(value) ? out << "nan" : out << value;  // Whatever its sign.
}

/// The elements from one axis on, in brackets; `first` is the position of the first of them.
void print_axis(std::ostream& out, const Tensor& tensor, bool summary, std::size_t axis,
                std::int64_t first) {
  constexpr std::int64_t edge = 3;
  const Shape& shape = tensor.shape();
  if (axis == shape.size()) return print_element(out, tensor, first);
  const std::size_t below = shape.size() - axis - 1;
  const std::int64_t n = shape[axis],
                     inner = element_count(
                         {shape.end() - static_cast<std::ptrdiff_t>(below), shape.end()});
  const std::string between =
      below ? "," + std::string(below, '\n') + std::string(axis + 1, ' ') : ", ";
  out << '[';
  for (std::int64_t i = 0; i < n; ++i) {
    if (i > 0) out << between;
    if (summary && n > 2 * edge && i == edge) {
      out << "..." << between;
      i = n - edge;
    }
    print_axis(out, tensor, summary, axis + 1, first + i * inner);
  }
  out << ']';
}

}  // namespace

std::string text(const Tensor& tensor, const TextOptions& options) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(options.precision) << tensor.dtype() << ' ' << tensor.shape() << " [";
  tensor.raw();  // Throws where the elements were moved away.
  const std::int64_t shown = std::min(tensor.size(), options.most);
  for (std::int64_t i = 0; i < shown; ++i) {
    if (i > 0) out << ", ";
    print_element(out, tensor, i);
  }
  out << (shown < tensor.size() ? ", ...]" : "]");
  return out.str();
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  constexpr std::int64_t most = 1000;
  tensor.raw();
  out << tensor.dtype() << ' ' << tensor.shape() << (tensor.rank() > 1 ? '\n' : ' ');
  print_axis(out, tensor, tensor.size() > most, 0, 0);
  return out;
}

}  // namespace cinch
