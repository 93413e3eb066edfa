#include "cinch/io/format/pdf.hpp"

#include <zlib.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cinch/core/error.hpp"

namespace cinch::format {

namespace {

constexpr std::string_view before_time = "/CreationDate (D:", time_of_all = "19700101000000";
constexpr std::size_t npos = std::string::npos;

/// Whether there was a time.
bool replace_time(std::string& content) {
  const std::size_t at = content.find(before_time);
  if (at == npos || at + before_time.size() + time_of_all.size() > content.size()) return false;
  content.replace(at + before_time.size(), time_of_all.size(), time_of_all);
  return true;
}

struct Inflated {
  std::string content;
  std::size_t taken = 0;  ///< Bytes that it was compressed in.
};

std::optional<Inflated> inflated(std::string_view data) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return {};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  Inflated result;
  int status = Z_OK;
  while (status == Z_OK) {
    const std::size_t have = result.content.size();
    result.content.resize(have + 4096);
    stream.next_out = reinterpret_cast<Bytef*>(result.content.data() + have);
    stream.avail_out = 4096;
    status = inflate(&stream, Z_NO_FLUSH);
    result.content.resize(have + 4096 - stream.avail_out);
  }
  result.taken = data.size() - stream.avail_in;
  inflateEnd(&stream);
  return status == Z_STREAM_END ? std::optional(std::move(result)) : std::nullopt;
}

std::string deflated(const std::string& content) {
  uLongf size = compressBound(content.size());
  std::string result(size, '\0');
  compress2(reinterpret_cast<Bytef*>(result.data()), &size,
            reinterpret_cast<const Bytef*>(content.data()), content.size(), Z_BEST_COMPRESSION);
  result.resize(size);
  return result;
}

/// The whole number after `name` in `dictionary`.
std::optional<std::size_t> number_after(std::string_view dictionary, std::string_view name) {
  const std::size_t at = dictionary.find(name);
  if (at == npos) return {};
  std::size_t result = 0;
  const char* begin = dictionary.data() + at + name.size();
  const auto [end, error] = std::from_chars(begin, dictionary.data() + dictionary.size(), result);
  return error == std::errc() && end != begin ? std::optional(result) : std::nullopt;
}

/// A part of the file that becomes another one.
struct Edit {
  std::size_t at, size;
  std::string with;
};

/// A stream's dictionary and where its data begin.
struct Stream {
  std::size_t dictionary, data;
};
std::optional<Stream> stream_of(const std::string& pdf, std::size_t type) {
  constexpr std::string_view begin = "stream\n";
  const std::size_t dictionary = pdf.rfind("<<", type), data = pdf.find(begin, type);
  if (dictionary == npos || data == npos) return {};
  return Stream{dictionary, data + begin.size()};
}

/// Places in the table of objects, moved by what comes before them. Nothing where it has another
/// form.
std::optional<std::string> moved(std::string table, const std::string& dictionary,
                                 const auto& place) {
  const auto first = number_after(dictionary, "/W ["), wide = number_after(dictionary, "/W [1 "),
             last = wide ? number_after(dictionary, text("/W [1 ", *wide, ' ')) : std::nullopt;
  if (first != 1 || !wide || !last || *wide > 7 || *last > 8) return {};
  const std::size_t row = 1 + *wide + *last;
  if (table.size() % row != 0) return {};
  for (std::size_t at = 0; at < table.size(); at += row) {
    if (table[at] != 1) continue;  // Free, or in a stream.
    std::size_t offset = 0;
    for (std::size_t k = 1; k <= *wide; ++k)
      offset = offset << 8U | static_cast<std::uint8_t>(table[at + k]);
    offset = place(offset);
    for (std::size_t k = *wide; k > 0; --k, offset >>= 8U)
      table[at + k] = static_cast<char>(offset & 0xffU);
    if (offset != 0) return {};
  }
  return table;
}

}  // namespace

void remove_time(std::string& pdf) {
  if (replace_time(pdf)) return;
  std::vector<Edit> edits;
  for (std::size_t type = 0; edits.empty(); ++type) {
    type = pdf.find("/Type /ObjStm", type);
    if (type == npos) return;
    const auto stream = stream_of(pdf, type);
    if (!stream) return;
    auto objects = inflated(std::string_view(pdf).substr(stream->data));
    if (!objects || !replace_time(objects->content)) continue;
    edits.push_back({stream->data, objects->taken, deflated(objects->content)});
    const std::string_view head =
        std::string_view(pdf).substr(stream->dictionary, stream->data - stream->dictionary);
    // Its length is an object of its own, which comes after it.
    const auto length = number_after(head, "/Length ");
    if (!length || head.find(text("/Length ", *length, " 0 R")) == npos) return;
    const std::string begin = text("\n", *length, " 0 obj\n   "), old = text(objects->taken);
    const std::size_t at = pdf.find(begin + old + "\n", stream->data + objects->taken);
    if (at == npos) return;
    edits.push_back({at + begin.size(), old.size(), text(edits[0].with.size())});
  }
  const auto place = [&](std::size_t offset) {
    std::size_t result = offset;
    for (const Edit& e : edits)
      if (e.at < offset) result += e.with.size() - e.size;
    return result;
  };
  // The table of objects is the last of them, and where it begins the last number.
  const std::size_t type = pdf.rfind("/Type /XRef"), start = pdf.rfind("startxref\n");
  if (type == npos || start == npos || type < edits.back().at) return;
  const auto stream = stream_of(pdf, type);
  const auto table = stream ? inflated(std::string_view(pdf).substr(stream->data)) : std::nullopt;
  const auto begins = number_after(std::string_view(pdf).substr(start), "startxref\n");
  if (!table || !begins) return;
  const std::string head = pdf.substr(stream->dictionary, stream->data - stream->dictionary);
  const auto length = number_after(head, "/Length ");
  const auto changed = moved(table->content, head, place);
  if (!length || !changed) return;
  const std::string packed = deflated(*changed), old = text(*length), old_start = text(*begins);
  constexpr std::string_view name = "/Length ";
  edits.push_back(
      {stream->dictionary + head.find(name) + name.size(), old.size(), text(packed.size())});
  edits.push_back({stream->data, table->taken, packed});
  edits.push_back(
      {start + std::string_view("startxref\n").size(), old_start.size(), text(place(*begins))});
  for (std::size_t k = edits.size(); k-- > 0;)
    pdf.replace(edits[k].at, edits[k].size, edits[k].with);
}

}  // namespace cinch::format
