#include "cinch/io/shards.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <span>
#include <utility>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/elements.hpp"
#include "cinch/io/format/npy_format.hpp"
#include "cinch/io/format/safetensors_format.hpp"

namespace cinch {

namespace {

using format::Stored;

/// What tells a file from another that has come to its place.
struct Stamp {
  dev_t device;
  ino_t number;
  off_t size;
  std::int64_t seconds, nanoseconds;  ///< When it was changed.

  friend bool operator==(const Stamp&, const Stamp&) = default;
};

Stamp stamp_of(int file, const std::string& path) {
  struct stat about {};
  if (fstat(file, &about) != 0) file_error(path, system_reason());
  return {about.st_dev, about.st_ino, about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
}

struct Shard {
  std::string path;
  Stored type;
  Shape row;
  std::int64_t first, rows;  ///< Its first row among all, and how many it has.
  std::int64_t offset;       ///< Of its elements in the file.
  Stamp stamp;
};

using Convert = void (*)(const std::byte* from, void* to, std::int64_t count, double divisor);

/// "float32", "uint16": as NumPy calls it.
std::string_view name_of(Stored type) {
  static constexpr std::array<std::string_view, 13> names = {
      "bool",   "uint8", "int8",    "uint16",   "int16",   "uint32", "int32",
      "uint64", "int64", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<std::size_t>(type)];
}

bool is_narrow(DType dtype, Stored type) {
  return (dtype == DType::uint8 && type == Stored::uint8) ||
         (dtype == DType::float16 && type == Stored::float16) ||
         (dtype == DType::bfloat16 && type == Stored::bfloat16);
}

/// What the elements are held as where nothing else is asked for.
DType usual_dtype(Stored type) {
  switch (type) {
    case Stored::bool_:
      return DType::bool_;
    case Stored::float16:
    case Stored::bfloat16:
    case Stored::float32:
      return DType::float32;
    case Stored::float64:
      return DType::float64;
    default:
      return DType::int64;
  }
}

template <class From, class To>
void convert_elements(const std::byte* from, void* to, std::int64_t count, double divisor) {
  To* out = static_cast<To*>(to);
  const auto wide = [](From value) {
    if constexpr (std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>) {
      return static_cast<float>(value);
    } else {
      return value;
    }
  };
  // Rows lie at any address.
  const auto element = [&](std::int64_t k) {
    if constexpr (std::is_same_v<From, bool>) {
      return from[k] != std::byte{};
    } else {
      From value;
      std::memcpy(&value, from + static_cast<std::size_t>(k) * sizeof(From), sizeof(From));
      return wide(value);
    }
  };
  if (divisor == 1) {
    for (std::int64_t k = 0; k < count; ++k) out[k] = static_cast<To>(element(k));
  } else if constexpr (std::is_floating_point_v<To>) {
    // A byte's quotient in float32 is the rounded one of float64.
    const auto narrow = static_cast<float>(divisor);
    if (std::is_same_v<From, std::uint8_t> && std::is_same_v<To, float> && divisor == narrow &&
        divisor > 0x1p-60 && divisor < 0x1p60) {
      for (std::int64_t k = 0; k < count; ++k)
        out[k] = static_cast<To>(static_cast<float>(element(k)) / narrow);
      return;
    }
    for (std::int64_t k = 0; k < count; ++k)
      out[k] = static_cast<To>(static_cast<double>(element(k)) / divisor);
  }
}

template <std::size_t width>
void copy_elements(const std::byte* from, void* to, std::int64_t count, double) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * width);
}

template <class From>
Convert converter_from(DType to) {
  switch (to) {
    case DType::float32:
      return convert_elements<From, float>;
    case DType::float64:
      return convert_elements<From, double>;
    default:
      return convert_elements<From, std::int64_t>;
  }
}

Convert converter(Stored from, DType to) {
  if (is_narrow(to, from)) return format::size_of(from) == 1 ? copy_elements<1> : copy_elements<2>;
  switch (from) {
    case Stored::bool_:
      return to == DType::bool_ ? convert_elements<bool, bool> : converter_from<bool>(to);
    case Stored::uint8:
      return converter_from<std::uint8_t>(to);
    case Stored::int8:
      return converter_from<std::int8_t>(to);
    case Stored::uint16:
      return converter_from<std::uint16_t>(to);
    case Stored::int16:
      return converter_from<std::int16_t>(to);
    case Stored::uint32:
      return converter_from<std::uint32_t>(to);
    case Stored::int32:
      return converter_from<std::int32_t>(to);
    case Stored::uint64:
      return converter_from<std::uint64_t>(to);
    case Stored::int64:
      return converter_from<std::int64_t>(to);
    case Stored::float16:
      return converter_from<Float16>(to);
    case Stored::bfloat16:
      return converter_from<BFloat16>(to);
    case Stored::float32:
      return converter_from<float>(to);
    case Stored::float64:
      break;
  }
  return converter_from<double>(to);
}

/// The first element in which all of these bits are set, or -1.
template <class Bits>
std::int64_t first_with(std::span<const std::byte> bytes, Bits mask) {
  Bits found = 0;
  const auto bits_of = [&](std::size_t at) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    return bits;
  };
  // All of them first, without a branch in the loop.
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Bits))
    found |= static_cast<Bits>((bits_of(at) & mask) == mask);
  if (!found) return -1;
  std::size_t at = 0;
  while ((bits_of(at) & mask) != mask) at += sizeof(Bits);
  return static_cast<std::int64_t>(at / sizeof(Bits));
}

/// The first element that is NaN or infinite, the exponent of which has all bits set, or, of
/// uint64, that no int64 holds.
std::int64_t first_bad(std::span<const std::byte> bytes, Stored type, bool finite) {
  if (type == Stored::uint64) return first_with(bytes, std::uint64_t{1} << 63);
  if (!finite) return -1;
  switch (type) {
    case Stored::float16:
      return first_with<std::uint16_t>(bytes, 0x7c00);
    case Stored::bfloat16:
      return first_with<std::uint16_t>(bytes, 0x7f80);
    case Stored::float32:
      return first_with<std::uint32_t>(bytes, 0x7f800000);
    case Stored::float64:
      return first_with<std::uint64_t>(bytes, 0x7ff0000000000000);
    default:
      return -1;
  }
}

/// Its header, and that its size is what this says. `array` as ShardOptions has it.
Shard open_shard(const std::string& path, const std::string& array) {
  require_regular_file(path);
  Shard result{path, {}, {}, 0, 0, 0, {}};
  {
    const FileHandle file = open_file(path, "rb");
    result.stamp = stamp_of(fileno(file.get()), path);
    std::array<std::uint8_t, 2> start{};
    if (read_some(file.get(), path, start) == start.size()) {
      if (start[0] == 0x1f && start[1] == 0x8b)
        file_error(path,
                   "is compressed, and its rows cannot be read one by one: unpack it, by "
                   "gunzip, say");
      if (start[0] == 'P' && start[1] == 'K')
        file_error(path,
                   "is an archive: write the array alone, np.save(path, np.load(archive)"
                   "[name])");
    }
  }
  const std::unique_ptr<ByteStream> bytes = open_bytes(path);
  Shape shape;
  std::int64_t begin = 0, behind = 0;
  if (path.ends_with(".safetensors")) {
    if (bytes->remaining() == 0) bytes->fail("is empty");
    const auto parts = format::read_safetensors_header(*bytes);
    std::string names;
    const format::SafetensorsPart* found = nullptr;
    for (const auto& part : parts) {
      if (part.name == array || (array.empty() && parts.size() == 1)) found = &part;
      names += (names.empty() ? "" : ", ") + part.name;
    }
    if (!found)
      bytes->fail((array.empty() ? "holds several arrays, or none: say which, .array = its name"
                                 : "has no array '" + array + "'") +
                  "; it holds " + (names.empty() ? "none" : names));
    result.type = found->type;
    shape = found->shape;
    begin = found->begin;
    behind = bytes->remaining();
  } else {
    const format::NpyHeader header = format::read_npy_header(*bytes);
    if (header.fortran_order && header.shape.size() > 1)
      bytes->fail(
          "is in Fortran order, rows are not together in it: write it again, "
          "np.save(path, np.ascontiguousarray(x))");
    if (header.big_endian)
      bytes->fail(
          "has its bytes in the other order: write it again, np.save(path, "
          "x.astype(x.dtype.newbyteorder('<')))");
    result.type = header.type;
    shape = header.shape;
    behind = bytes->remaining();
  }
  result.offset = result.stamp.size - behind + begin;
  if (shape.empty()) bytes->fail("holds a single number, not rows");
  result.rows = shape[0];
  result.row.assign(shape.begin() + 1, shape.end());
  if (element_count(result.row) == 0)
    bytes->fail(text("holds rows without elements, its shape is ", text(shape)));
  return result;
}

std::vector<std::string> files_at(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code reason;
  if (!fs::is_directory(path, reason)) return {path};
  std::vector<std::string> result;
  for (const auto& entry : fs::directory_iterator(path, reason)) {
    const std::string extension = entry.path().extension();
    if (extension == ".npy" || extension == ".safetensors") result.push_back(entry.path());
  }
  if (reason) file_error(path, "cannot be read: " + reason.message());
  if (result.empty())
    file_error(path, "holds no .npy or .safetensors files: name the folder that does");
  std::ranges::sort(result);
  return result;
}

}  // namespace

struct Shards::State {
  std::vector<Shard> shards;  ///< By their first rows.
  std::vector<std::string> paths;
  Shape row;
  Stored type = Stored::float32;
  DType dtype = DType::float32;
  std::int64_t rows = 0, row_elements = 0, row_bytes = 0;
  double divisor = 1;
  bool finite = true;
  Convert convert = nullptr;

  State(std::vector<std::string> files, const ShardOptions& options);
  void choose_dtype(const ShardOptions& options);
  /// Bytes of a shard, counted from its first element.
  void read_bytes(const Shard& shard, std::int64_t offset, std::span<std::byte> to) const;
};

Shards::State::State(std::vector<std::string> files, const ShardOptions& options)
    : paths(std::move(files)), divisor(options.divisor), finite(options.finite) {
  if (!(divisor > 0) || !std::isfinite(divisor))
    throw ValueError(text("Shards: the divisor must be positive, got ", divisor));
  if (paths.empty()) throw ValueError("Shards: there are no files");
  std::set<std::string> known;
  for (const std::string& path : paths) {
    if (!known.insert(path).second) file_error(path, "is named twice: its rows would count twice");
    Shard shard = open_shard(path, options.array);
    if (!shards.empty()) {
      const Shard& first = shards.front();
      if (shard.type != first.type)
        file_error(path, text("its elements are ", name_of(shard.type), ", those of ", first.path,
                              " are ", name_of(first.type),
                              ": shards of one data set have one type, write it again"));
      if (shard.row != first.row)
        file_error(path, text("its rows are ", text(shard.row), ", those of ", first.path, " are ",
                              text(first.row), ": shards of one data set have rows of one shape"));
    }
    shard.first = rows;
    rows += shard.rows;
    shards.push_back(std::move(shard));
  }
  if (rows == 0) file_error(paths.front(), "holds no rows, nor does any other shard");
  row = shards.front().row;
  type = shards.front().type;
  row_elements = element_count(row);
  row_bytes = row_elements * format::size_of(type);
  choose_dtype(options);
}

void Shards::State::choose_dtype(const ShardOptions& options) {
  const DType usual = usual_dtype(type);
  dtype = options.dtype.value_or(divisor != 1 && !is_float(usual) ? DType::float32 : usual);
  const bool whole = dtype == DType::int64 && !is_float(usual);
  if (!is_float(dtype) && !whole && dtype != usual && !is_narrow(dtype, type))
    throw TypeError(text("Shards: elements stored as ", name_of(type), " are not given as ", dtype,
                         ", but as float32, float64, or ", usual));
  if (divisor != 1 && !is_float(dtype))
    throw ValueError(text("Shards: ", dtype, " is not divided, got the divisor ", divisor,
                          ": widened(x, divisor) in the step does that"));
  convert = converter(type, dtype);
  const bool as_it_is = (type == Stored::float32 && dtype == DType::float32) ||
                        (type == Stored::float64 && dtype == DType::float64) ||
                        (type == Stored::int64 && dtype == DType::int64);
  if (as_it_is && divisor == 1)
    convert = format::size_of(type) == 4 ? copy_elements<4> : copy_elements<8>;
}

void Shards::State::read_bytes(const Shard& shard, std::int64_t offset,
                               std::span<std::byte> to) const {
  // Opened each time: there may be more files than may be open at once, and one that was replaced
  // would go unnoticed.
  const FileHandle file = open_file(shard.path, "rb");
  if (!(stamp_of(fileno(file.get()), shard.path) == shard.stamp))
    file_error(shard.path,
               "has been changed or replaced since it was opened: leave the files of a "
               "data set alone while they are read, or begin again");
  while (!to.empty()) {
    const ssize_t count =
        pread(fileno(file.get()), to.data(), to.size(), static_cast<off_t>(shard.offset + offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) file_error(shard.path, "cannot be read: " + system_reason());
    if (count == 0) file_error(shard.path, "has been cut short since it was opened");
    to = to.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

Shards::Shards(const std::string& path, const ShardOptions& options)
    : state_(std::make_shared<const State>(files_at(path), options)) {}
Shards::Shards(const std::vector<std::string>& paths, const ShardOptions& options)
    : state_(std::make_shared<const State>(paths, options)) {}

std::int64_t Shards::rows() const { return state_->rows; }
const Shape& Shards::row_shape() const { return state_->row; }
DType Shards::dtype() const { return state_->dtype; }
std::int64_t Shards::row_bytes() const { return state_->row_bytes; }
const std::vector<std::string>& Shards::paths() const { return state_->paths; }

Tensor Shards::read(std::int64_t begin, std::int64_t count) const {
  const State& s = *state_;
  if (begin < 0 || count < 0 || begin > s.rows || count > s.rows - begin)
    throw ValueError(
        text("Shards: there are ", s.rows, " rows, asked for ", count, " from number ", begin));
  Shape shape = s.row;
  shape.insert(shape.begin(), count);
  Tensor result(s.dtype, std::move(shape));
  std::vector<std::byte> row(static_cast<std::size_t>(s.row_bytes));
  auto* to = static_cast<std::byte*>(result.raw());
  const std::size_t width = static_cast<std::size_t>(s.row_elements) * size_of(s.dtype);
  constexpr std::int64_t most = 1 << 20;
  const std::int64_t at_once = std::max<std::int64_t>(most / s.row_bytes, 1);
  row.resize(static_cast<std::size_t>(at_once * s.row_bytes));
  for (std::int64_t k = 0; k < count; k += at_once) {
    const std::int64_t part = std::min(at_once, count - k);
    read_stored(begin + k, part, row.data());
    for (std::int64_t j = 0; j < part; ++j, to += width) convert(row.data() + j * s.row_bytes, to);
  }
  return result;
}

void Shards::read_stored(std::int64_t begin, std::int64_t count, std::byte* to) const {
  const State& s = *state_;
  auto shard = std::ranges::upper_bound(s.shards, begin, {}, &Shard::first);
  if (shard != s.shards.begin()) --shard;
  for (; count > 0; ++shard) {
    const std::int64_t row = begin - shard->first, part = std::min(count, shard->rows - row);
    if (part <= 0) continue;
    const std::span<std::byte> bytes(to, static_cast<std::size_t>(part * s.row_bytes));
    s.read_bytes(*shard, row * s.row_bytes, bytes);
    const std::int64_t bad = first_bad(bytes, s.type, s.finite);
    if (bad >= 0) {
      double value = 0;
      converter(s.type, DType::float64)(bytes.data() + bad * format::size_of(s.type), &value, 1, 1);
      const std::string place =
          text("row ", row + bad / s.row_elements,
               s.row.empty() ? "" : text(", element ", bad % s.row_elements, " of it,"));
      if (s.type == Stored::uint64)
        file_error(shard->path, text(place, " is ", value, ", larger than any int64"));
      file_error(shard->path,
                 text(place, " is ", std::isnan(value) ? "nan" : "infinite",
                      ": leave the row out, or put a number there; .finite = false lets it be"));
    }
    begin += part;
    count -= part;
    to += bytes.size();
  }
}

void Shards::convert(const std::byte* row, void* to) const {
  state_->convert(row, to, state_->row_elements, state_->divisor);
}

std::uint64_t Shards::fingerprint() const {
  const State& s = *state_;
  std::uint64_t sum = 1;
  const auto mix = [&](std::uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
    sum ^= sum >> 29;
  };
  mix(static_cast<std::uint64_t>(s.type));
  mix(static_cast<std::uint64_t>(s.dtype));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &s.divisor, sizeof bits);
  mix(bits);
  for (const std::int64_t size : s.row) mix(static_cast<std::uint64_t>(size));
  constexpr std::int64_t pieces = 64, length = 4096;
  std::array<std::byte, length> buffer{};
  for (const Shard& shard : s.shards) {
    mix(static_cast<std::uint64_t>(shard.rows));
    const std::int64_t size = shard.rows * s.row_bytes;
    const std::int64_t last = std::max<std::int64_t>(size - length, 0);
    const std::int64_t count = std::min(pieces, size / length + 1);
    for (std::int64_t k = 0; k < count && size > 0; ++k) {
      const std::int64_t at =
          count > 1 ? last / (count - 1) * k + (k == count - 1) * (last % (count - 1)) : 0;
      const auto part = std::span(buffer).first(static_cast<std::size_t>(std::min(length, size)));
      std::ranges::fill(buffer, std::byte{});
      s.read_bytes(shard, at, part);
      for (std::size_t j = 0; j < part.size(); j += sizeof bits) {
        std::memcpy(&bits, buffer.data() + j, sizeof bits);
        mix(bits);
      }
    }
  }
  return sum;
}

}  // namespace cinch
