#include "cinch/exchange/onnx/reader.hpp"

#include <algorithm>
#include <cstring>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"

namespace cinch::exchange {

namespace {

/// A message that is being read, field by field.
class Fields {
 public:
  Fields(const std::string& path, std::string_view bytes) : path_(&path), left_(bytes) {}

  /// The next field, if there is one.
  bool next() {
    if (left_.empty()) return false;
    const std::uint64_t key = varint();
    field_ = key >> 3;
    wire_ = static_cast<int>(key & 7);
    value_ = {};
    number_ = 0;
    if (field_ == 0) fail("a field without a number");
    if (wire_ == 0) {
      number_ = varint();
    } else {
      const std::uint64_t size = wire_ == 2 ? varint() : wire_ == 1 ? 8 : wire_ == 5 ? 4 : 0;
      if (wire_ != 1 && wire_ != 2 && wire_ != 5) fail("a field of a kind that there is not");
      if (size > left_.size()) fail("it ends within a field");
      value_ = left_.substr(0, static_cast<std::size_t>(size));
      left_.remove_prefix(static_cast<std::size_t>(size));
    }
    return true;
  }
  std::uint64_t field() const { return field_; }
  std::int64_t number() const {
    if (wire_ != 0) fail("a field of another kind than it has to be");
    return static_cast<std::int64_t>(number_);
  }
  std::string_view bytes() const {
    if (wire_ != 2) fail("a field of another kind than it has to be");
    return value_;
  }
  float real() const {
    float result = 0;
    if (wire_ != 5) fail("a field of another kind than it has to be");
    std::memcpy(&result, value_.data(), sizeof result);
    return result;
  }
  Fields message() const { return {*path_, bytes()}; }
  /// A number, or several that are packed.
  void numbers(std::vector<std::int64_t>& all) const {
    if (wire_ == 0) {
      all.push_back(number());
      return;
    }
    Fields packed = message();
    while (!packed.left_.empty()) all.push_back(static_cast<std::int64_t>(packed.varint()));
  }
  /// Elements as they lie, one or several that are packed.
  void raw(std::string& all) const {
    if (wire_ == 0) fail("a field of another kind than it has to be");
    all += value_;
  }
  [[noreturn]] void fail(const std::string& what) const {
    file_error(*path_, "no ONNX model: " + what);
  }

 private:
  std::uint64_t varint() {
    std::uint64_t result = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) fail("it ends within a number");
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      result |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return result;
    }
    fail("a number of more than 64 bits");
  }

  const std::string* path_;
  std::string_view left_, value_;
  std::uint64_t field_ = 0, number_ = 0;
  int wire_ = 0;
};

DType dtype_of(const Fields& f, std::int64_t code) {
  switch (code) {
    case 1:
      return DType::float32;
    case 6:  // int32
    case 7:
      return DType::int64;
    case 9:
      return DType::bool_;
    case 11:
      return DType::float64;
    default:
      f.fail(text("elements of the type ", code,
                  "; float32 (1), int32 (6), int64 (7), bool (9) and float64 (11) are read"));
  }
}

std::string text_of(const Fields& f) { return std::string(f.bytes()); }

template <class From, class To>
void convert(const std::string& from, std::span<To> to) {
  for (std::size_t k = 0; k < to.size(); ++k) {
    From one;
    std::memcpy(&one, from.data() + k * sizeof one, sizeof one);
    if constexpr (std::is_same_v<To, bool>) {
      to[k] = one != 0;
    } else {
      to[k] = static_cast<To>(one);
    }
  }
}

std::pair<std::string, Tensor> tensor_of(Fields f) {
  std::string name, raw, reals;
  std::vector<std::int64_t> sizes, numbers;
  std::int64_t code = 0;
  bool is_raw = false;
  while (f.next()) {
    switch (f.field()) {
      case 1:
        f.numbers(sizes);
        break;
      case 2:
        code = f.number();
        break;
      case 4:   // float
      case 10:  // double
        f.raw(reals);
        break;
      case 5:  // int32, bool
      case 7:  // int64
        f.numbers(numbers);
        break;
      case 8:
        name = text_of(f);
        break;
      case 9:
        raw = text_of(f);
        is_raw = true;
        break;
      case 14:
        if (f.number() != 0) f.fail("values in another file, which is not read");
        break;
      default:
        break;
    }
  }
  const DType dtype = dtype_of(f, code);
  const std::size_t width = code == 6 ? 4 : cinch::size_of(dtype);
  std::string& bytes = is_raw ? raw : reals;
  if (!is_raw && !is_float(dtype)) {
    bytes.resize(numbers.size() * width);
    for (std::size_t k = 0; k < numbers.size(); ++k)
      std::memcpy(bytes.data() + k * width, &numbers[k], width);  // The low bytes come first.
  }
  // Compared with what is there before anything of that size is made.
  std::uint64_t count = 1;
  for (const std::int64_t n : sizes) {
    if (n < 0 || (n > 0 && count > bytes.size() / static_cast<std::uint64_t>(n)))
      f.fail(text("the tensor ", printable(name), " has fewer elements than its sizes say"));
    count *= static_cast<std::uint64_t>(n);
  }
  if (count * width != bytes.size() || sizes.size() > 64)
    f.fail(
        text("the tensor ", printable(name), " has another number of elements than its sizes say"));
  Tensor result(dtype, sizes);
  dispatch(dtype, [&]<class T> {
    if (code == 6) {
      convert<std::int32_t>(bytes, result.data<T>());
    } else if constexpr (std::is_same_v<T, bool>) {
      convert<unsigned char>(bytes, result.data<T>());
    } else {
      convert<T>(bytes, result.data<T>());
    }
  });
  return {name, std::move(result)};
}

std::pair<std::string, ReadAttribute> attribute_of(Fields f) {
  std::string name;
  ReadAttribute result;
  while (f.next()) {
    switch (f.field()) {
      case 1:
        name = text_of(f);
        break;
      case 2:
        result.real = f.real();
        break;
      case 3:
        result.number = f.number();
        break;
      case 4:
        result.text = text_of(f);
        break;
      case 5:
        result.tensors = {tensor_of(f.message()).second};
        break;
      case 8:
        f.numbers(result.numbers);
        break;
      default:
        break;
    }
  }
  return {name, std::move(result)};
}

ReadNode node_of(Fields f) {
  ReadNode result;
  while (f.next()) {
    switch (f.field()) {
      case 1:
        result.inputs.push_back(text_of(f));
        break;
      case 2:
        result.outputs.push_back(text_of(f));
        break;
      case 3:
        result.name = text_of(f);
        break;
      case 4:
        result.op = text_of(f);
        break;
      case 5:
        result.attributes.insert(attribute_of(f.message()));
        break;
      case 7:
        result.domain = text_of(f);
        break;
      default:
        break;
    }
  }
  return result;
}

/// The message in the last of these fields; empty where there is none.
Fields inner(Fields f, std::uint64_t field, const std::string& path) {
  Fields result(path, {});
  while (f.next()) {
    if (f.field() == field) result = f.message();
  }
  return result;
}

ReadInput input_of(Fields f, const std::string& path) {
  ReadInput result;
  Fields type(path, {});
  while (f.next()) {
    if (f.field() == 1) result.name = text_of(f);
    if (f.field() == 2) type = f.message();
  }
  Fields tensor = inner(type, 1, path);
  std::int64_t code = 0;
  Fields shape(path, {});
  while (tensor.next()) {
    if (tensor.field() == 1) code = tensor.number();
    if (tensor.field() == 2) shape = tensor.message();
  }
  result.dtype = dtype_of(f, code);
  while (shape.next()) {
    if (shape.field() != 1) continue;
    std::int64_t size = -1;
    Fields dim = shape.message();
    while (dim.next()) {
      if (dim.field() == 1) size = dim.number();
      if (dim.field() == 2) size = -1;
    }
    if (size < -1 || result.sizes.size() >= 64)
      f.fail(text("the input ", printable(result.name), " has a shape that there is not"));
    result.sizes.push_back(size);
  }
  return result;
}

}  // namespace

ReadModel read_model(const std::string& path) {
  const std::unique_ptr<ByteStream> stream = open_bytes(path);
  const std::int64_t size = stream->remaining();
  stream->claim(size, 3);  // The bytes, what is read from them, and the tensors.
  std::string bytes(static_cast<std::size_t>(size), '\0');
  stream->read({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}, "the model");

  ReadModel result;
  Fields model(path, bytes), graph(path, {});
  bool has_graph = false;
  while (model.next()) {
    if (model.field() == 7) {
      graph = model.message();
      has_graph = true;
    }
    if (model.field() != 8) continue;
    std::string domain;
    std::int64_t version = 0;
    Fields opset = model.message();
    while (opset.next()) {
      if (opset.field() == 1) domain = text_of(opset);
      if (opset.field() == 2) version = opset.number();
    }
    if (domain.empty() || domain == "ai.onnx") result.opset = version;
  }
  if (!has_graph) model.fail("it has no graph");
  while (graph.next()) {
    switch (graph.field()) {
      case 1:
        result.nodes.push_back(node_of(graph.message()));
        break;
      case 5:
        result.initializers.push_back(tensor_of(graph.message()));
        break;
      case 11:
        result.inputs.push_back(input_of(graph.message(), path));
        break;
      case 12: {
        Fields value = graph.message();
        while (value.next()) {
          if (value.field() == 1) result.outputs.push_back(text_of(value));
        }
        break;
      }
      default:
        break;
    }
  }
  return result;
}

}  // namespace cinch::exchange
