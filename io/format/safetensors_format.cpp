#include "cinch/io/format/safetensors_format.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cinch/core/error.hpp"

namespace cinch::format {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t longest_header = 100'000'000;  // As the format's own library has it.

constexpr std::pair<std::string_view, Stored> types[] = {
    {"BOOL", Stored::bool_},  {"U8", Stored::uint8},      {"I8", Stored::int8},
    {"U16", Stored::uint16},  {"I16", Stored::int16},     {"U32", Stored::uint32},
    {"I32", Stored::int32},   {"U64", Stored::uint64},    {"I64", Stored::int64},
    {"F16", Stored::float16}, {"BF16", Stored::bfloat16}, {"F32", Stored::float32},
    {"F64", Stored::float64}};

/// The header's JSON, in which no name occurs twice in one object.
Json parse_header(const ByteStream& bytes, const std::vector<std::uint8_t>& header) {
  std::vector<std::set<std::string>> names;  // Of the objects that are open.
  std::optional<std::string> twice;
  const auto note = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key && !names.back().insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  Json result = Json::parse(header.begin(), header.end(), note, /*allow_exceptions=*/false);
  if (result.is_discarded() || !result.is_object())
    bytes.fail("bad safetensors header: it is no JSON object");
  if (twice) bytes.fail("bad safetensors header: '" + *twice + "' occurs twice");
  return result;
}

std::vector<std::int64_t> whole_numbers(const ByteStream& bytes, const std::string& name,
                                        const Json& from) {
  const auto is_size = [](const Json& n) {
    return n.is_number_unsigned() && n.get<std::uint64_t>() <= std::uint64_t{1} << 62;
  };
  if (!from.is_array() || !std::ranges::all_of(from, is_size))
    bytes.fail("bad safetensors header: a size or offset of '" + name + "' is no whole number");
  return from.get<std::vector<std::int64_t>>();
}

SafetensorsPart parse_part(const ByteStream& bytes, const std::string& name, const Json& entry) {
  const auto member = [&](const char* key) {
    const auto found = entry.is_object() ? entry.find(key) : entry.end();
    if (found == entry.end()) bytes.fail("bad safetensors header: '" + name + "' has no " + key);
    return *found;
  };
  const Json type = member("dtype");
  const auto stored =
      std::ranges::find(types, type.is_string() ? type.get<std::string>() : std::string(),
                        &std::pair<std::string_view, Stored>::first);
  if (stored == std::end(types))
    bytes.fail("'" + name + "' has elements of type " + type.dump() +
               ", which cannot be read: convert them to BOOL, an integer, F16, BF16, F32 or F64");
  SafetensorsPart part{name, stored->second, whole_numbers(bytes, name, member("shape")), 0, 0};
  const auto offsets = whole_numbers(bytes, name, member("data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    bytes.fail("bad safetensors header: '" + name + "' has no two offsets in order");
  part.begin = offsets[0];
  part.end = offsets[1];
  std::int64_t count = 0;
  try {
    count = element_count(part.shape);
  } catch (const TypeError& error) {
    bytes.fail(error.what());
  }
  const std::int64_t size = size_of(part.type);
  if (count > (std::int64_t{1} << 62) / size || count * size != part.end - part.begin) {
    bytes.fail(text("bad safetensors header: '", name, "' of shape ", text(part.shape), " takes ",
                    count, " elements of ", size, " bytes, its offsets hold ",
                    part.end - part.begin, " bytes"));
  }
  return part;
}

}  // namespace

std::vector<SafetensorsPart> read_safetensors_header(ByteStream& bytes) {
  if (bytes.remaining() == 0) bytes.fail("is empty");
  std::array<std::uint8_t, 8> length_bytes{};
  bytes.read(length_bytes, "the length of the safetensors header");
  std::uint64_t length = 0;
  for (std::size_t k = length_bytes.size(); k-- > 0;) length = length << 8 | length_bytes[k];
  if (length > longest_header || static_cast<std::int64_t>(length) > bytes.remaining()) {
    bytes.fail(text("is no safetensors file, or cut short: its first 8 bytes say that ", length,
                    " bytes of header follow, there are ", bytes.remaining()));
  }
  bytes.claim(static_cast<std::int64_t>(length), 1);
  std::vector<std::uint8_t> header(static_cast<std::size_t>(length));
  bytes.read(header, "the safetensors header");

  std::vector<SafetensorsPart> parts;
  const Json entries = parse_header(bytes, header);
  for (const auto& [name, entry] : entries.items()) {
    if (name != metadata_key) parts.push_back(parse_part(bytes, name, entry));
  }
  // As they lie in the file: one after the other, to its end.
  std::ranges::sort(parts, [](const SafetensorsPart& a, const SafetensorsPart& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::int64_t at = 0;
  for (const SafetensorsPart& part : parts) {
    if (part.begin != at) {
      bytes.fail(text("bad safetensors header: '", part.name, "' begins at ", part.begin, ", ",
                      part.begin < at ? "within what stands before it" : "behind a hole", ", at ",
                      at));
    }
    at = part.end;
  }
  const std::int64_t there = bytes.remaining();
  if (at != there) {
    bytes.fail(at > there ? text("ends early: its header needs ", at, " bytes, there are ", there)
                          : text("has ", there - at, " bytes after its end"));
  }
  return parts;
}

}  // namespace cinch::format
