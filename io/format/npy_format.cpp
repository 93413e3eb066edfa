#include "cinch/io/format/npy_format.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cinch/core/error.hpp"
#include "cinch/io/format/elements.hpp"

namespace cinch::format {

namespace {

static_assert(std::endian::native == std::endian::little, "npy data is copied as it is in memory");

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::int64_t longest_header = 1 << 16;

struct Header {
  std::string type;
  bool fortran_order = false;
  Shape shape;
};

/// Reads the Python dictionary of a header: {'descr': '<f8', 'fortran_order': False, 'shape': (3,
/// 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view header, const ByteStream& bytes) : rest_(header), bytes_(bytes) {}

  Header parse() {
    std::optional<std::string> type;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        if (peek() == '[') bytes_.fail("its elements have fields, only plain numbers can be read");
        type = quoted();
      } else if (key == "fortran_order") {
        fortran_order = boolean();
      } else if (key == "shape") {
        shape = tuple();
      } else {
        fail("unknown key '" + key + "'");
      }
      if (!accept(',') && peek() != '}') fail("expected , or }");
    }
    if (peek() != '\0' || !rest_.empty()) fail("text after the closing brace");
    if (!type || !fortran_order || !shape) fail("descr, fortran_order or shape is missing");
    return {std::move(*type), *fortran_order, std::move(*shape)};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { bytes_.fail("bad npy header: " + what); }

  /// The next character that is not white space; 0 at the end.
  char peek() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool accept(char wanted) {
    if (peek() != wanted || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) fail(std::string("expected ") + wanted);
  }
  bool accept_word(std::string_view word) {
    peek();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected a quoted text");
    const auto end = rest_.find(quote, 1);
    if (end == std::string_view::npos) fail("a quoted text does not end");
    std::string result(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return result;
  }
  bool boolean() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) fail("fortran_order is neither True nor False");
    return false;
  }
  std::int64_t size() {
    peek();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error == std::errc::result_out_of_range) fail("a size in the shape is too large");
    if (error != std::errc()) fail("expected a number in the shape");
    if (value < 0) fail("a size in the shape is negative");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    accept_word("L");  // as Python 2 wrote them
    return value;
  }
  Shape tuple() {
    Shape result;
    expect('(');
    while (!accept(')')) {
      result.push_back(size());
      if (!accept(',') && peek() != ')') fail("expected , or ) in the shape");
    }
    return result;
  }

  std::string_view rest_;
  const ByteStream& bytes_;
};

Header read_header(ByteStream& bytes) {
  if (bytes.remaining() == 0) bytes.fail("is empty");
  std::array<std::uint8_t, 8> start{};
  bytes.read(start, "the npy header");
  if (std::memcmp(start.data(), magic.data(), magic.size()) != 0) {
    bytes.fail("is not an npy file: it does not start with \\x93NUMPY");
  }
  const int version = start[6];
  if ((version != 1 && version != 2) || start[7] != 0) {
    bytes.fail(
        text("npy version ", version, ".", int{start[7]}, " cannot be read, only 1.0 and 2.0"));
  }
  std::array<std::uint8_t, 4> length_bytes{};
  bytes.read(std::span(length_bytes).first(version == 1 ? 2 : 4), "the length of the npy header");
  std::int64_t length = 0;
  for (std::size_t i = length_bytes.size(); i-- > 0;) length = length * 256 + length_bytes[i];
  if (length > longest_header)
    bytes.fail(text("bad npy header: it claims to be ", length, " bytes long"));
  std::vector<std::uint8_t> header(static_cast<std::size_t>(length));
  bytes.read(header, "the npy header");
  return HeaderParser({reinterpret_cast<const char*>(header.data()), header.size()}, bytes).parse();
}

/// Throws FileError unless exactly `shape` elements of `size` bytes remain.
void require_size(ByteStream& bytes, const Shape& shape, std::int64_t size) {
  std::int64_t count = 0;
  try {
    count = element_count(shape);
  } catch (const TypeError& error) {
    bytes.fail(error.what());
  }
  const std::int64_t remaining = bytes.remaining();
  if (count > remaining / size) {
    bytes.fail(text("ends early: shape ", text(shape), " needs ", count, " elements of ", size,
                    " bytes, there are ", remaining, " bytes"));
  }
  if (count * size < remaining) {
    bytes.fail(text("has ", remaining - count * size, " bytes after its end"));
  }
}

/// An element type as NumPy writes it, '<f4' or '|u1': a byte order, a kind and a size.
Stored stored_type(const ByteStream& bytes, const std::string& type) {
  static constexpr std::pair<std::string_view, Stored> types[] = {
      {"b1", Stored::bool_},   {"u1", Stored::uint8},   {"i1", Stored::int8},
      {"u2", Stored::uint16},  {"i2", Stored::int16},   {"u4", Stored::uint32},
      {"i4", Stored::int32},   {"u8", Stored::uint64},  {"i8", Stored::int64},
      {"f2", Stored::float16}, {"f4", Stored::float32}, {"f8", Stored::float64}};
  for (const auto& [name, stored] : types) {
    const bool ordered = type.starts_with('<') || type.starts_with('>');
    if (type.size() == 3 && type.ends_with(name) && (ordered || (type[0] == '|' && type[2] == '1')))
      return stored;
  }
  bytes.fail("elements of type '" + type +
             "' cannot be read: convert them to bool, an integer, float16, float32 or float64");
}

/// From column-major to row-major: `columns` holds the elements of `shape` with the first axis
/// running fastest.
Tensor to_row_major(const Tensor& columns, const Shape& shape) {
  Tensor result(columns.dtype(), shape);
  const std::size_t rank = shape.size();
  std::vector<std::size_t> sizes(shape.begin(), shape.end());
  std::vector<std::size_t> strides(rank, 1);
  for (std::size_t axis = 1; axis < rank; ++axis)
    strides[axis] = strides[axis - 1] * sizes[axis - 1];
  dispatch_all(columns.dtype(), [&]<class T> {
    const std::span<const T> from = columns.data<T>();
    std::vector<std::size_t> index(rank, 0);
    std::size_t offset = 0;
    for (T& value : result.data<T>()) {
      value = from[offset];
      for (std::size_t axis = rank; axis-- > 0;) {  // count up, the last axis fastest
        offset += strides[axis];
        if (++index[axis] < sizes[axis]) break;
        offset -= strides[axis] * sizes[axis];
        index[axis] = 0;
      }
    }
  });
  return result;
}

}  // namespace

NpyHeader read_npy_header(ByteStream& bytes) {
  Header header = read_header(bytes);
  const Stored stored = stored_type(bytes, header.type);
  require_size(bytes, header.shape, size_of(stored));
  return {stored, header.type[0] == '>', header.fortran_order, std::move(header.shape)};
}

Tensor parse_npy(ByteStream& bytes, bool narrow) {
  const NpyHeader header = read_npy_header(bytes);
  Tensor elements = read_elements(bytes, header.type, header.shape, header.big_endian, narrow);
  if (!header.fortran_order || header.shape.size() < 2) return elements;
  return to_row_major(elements, header.shape);
}

std::vector<std::uint8_t> npy_header(const Tensor& tensor) {
  static constexpr std::array<const char*, 6> types = {"|b1", "<i8", "<f4", "<f8", "|u1", "<f2"};
  if (tensor.dtype() == DType::bfloat16)
    throw FileError(
        "npy: NumPy has no bfloat16: write_safetensors() does, or write t.cast(DType::float32)");
  constexpr std::size_t length_end = 10;  // magic, version, length
  std::string header = text("{'descr': '", types[static_cast<std::size_t>(tensor.dtype())],
                            "', 'fortran_order': False, 'shape': ", text(tensor.shape()), ", }");
  header.append(63 - (length_end + header.size()) % 64, ' ');
  header += '\n';
  if (header.size() >= longest_header) throw FileError("npy: too many dimensions to be written");

  std::string start(magic);
  for (const std::size_t byte :
       {std::size_t{1}, std::size_t{0}, header.size() % 256, header.size() / 256}) {
    start += static_cast<char>(byte);
  }
  start += header;
  return {start.begin(), start.end()};
}

}  // namespace cinch::format
