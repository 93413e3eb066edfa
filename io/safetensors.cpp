#include "cinch/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "cinch/core/error.hpp"
#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/elements.hpp"
#include "cinch/io/format/safetensors_format.hpp"

namespace cinch {

namespace {

using Json = nlohmann::json;
using format::metadata_key;

}  // namespace

Arrays read_safetensors(const std::string& path, Elements elements) {
  const std::unique_ptr<ByteStream> bytes = open_bytes(path);
  const auto parts = format::read_safetensors_header(*bytes);
  Arrays arrays(path);
  for (const format::SafetensorsPart& part : parts)
    arrays.emplace(part.name,
                   format::read_elements(*bytes, part.type, part.shape, /*big_endian=*/false,
                                         elements == Elements::as_stored));
  return arrays;
}

void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, Tensor>>& arrays,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const std::pair<std::string, Tensor>*> order;
  std::set<std::string_view> names;
  for (const auto& array : arrays) {
    if (array.first.empty() || array.first == metadata_key)
      file_error(path, "cannot be written: '" + array.first + "' cannot be an array's name");
    if (!names.insert(array.first).second)
      file_error(path, "cannot be written: two arrays are named '" + array.first + "'");
    order.push_back(&array);
  }
  std::ranges::stable_sort(order, std::greater<>(),
                           [](const auto* array) { return size_of(array->second.dtype()); });
  static constexpr std::array<const char*, 7> type_names = {"BOOL", "I64", "F32", "F64",
                                                            "U8",   "F16", "BF16"};
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  std::size_t at = 0;
  for (const auto* array : order) {
    const Tensor& tensor = array->second;
    header[array->first] = {{"dtype", type_names[static_cast<std::size_t>(tensor.dtype())]},
                            {"shape", tensor.shape()},
                            {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string head;
  try {
    head = header.dump();
  } catch (const Json::type_error&) {
    file_error(path, "cannot be written: a name or a text is no UTF-8");
  }
  head.append((8 - head.size() % 8) % 8, ' ');
  AtomicFile file(path);
  FileHandle out = open_file(file.temporary(), "wb");
  const auto put = [&](const void* data, std::size_t size) {
    if (std::fwrite(data, 1, size, out.get()) != size)
      file_error(path, "cannot be written: " + system_reason());
  };
  std::array<std::uint8_t, 8> length{};
  for (std::size_t k = 0; k < length.size(); ++k)
    length[k] = static_cast<std::uint8_t>(head.size() >> (8 * k));
  put(length.data(), length.size());
  put(head.data(), head.size());
  for (const auto* array : order) put(array->second.raw(), array->second.bytes());
  if (std::fflush(out.get()) != 0) file_error(path, "cannot be written: " + system_reason());
  out.reset();
  file.commit();
}

}  // namespace cinch
