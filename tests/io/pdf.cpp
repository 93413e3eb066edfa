// PDF files put together by hand as cairo does: their times go, and all places stay right.
#include "cinch/io/format/pdf.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cinch/core/error.hpp"

using cinch::text;
using cinch::format::remove_time;

namespace {

std::string packed(const std::string& content) {
  uLongf size = compressBound(content.size());
  std::string result(size, '\0');
  compress(reinterpret_cast<Bytef*>(result.data()), &size,
           reinterpret_cast<const Bytef*>(content.data()), content.size());
  result.resize(size);
  return result;
}
std::string unpacked(const std::string& data) {
  std::string result(100000, '\0');
  uLongf size = result.size();
  REQUIRE(uncompress(reinterpret_cast<Bytef*>(result.data()), &size,
                     reinterpret_cast<const Bytef*>(data.data()), data.size()) == Z_OK);
  result.resize(size);
  return result;
}

/// Objects 1 to 6 and what holds the time, as cairo 1.18 writes them; `noise` comes before it.
std::string in_a_stream(const std::string& time, const std::string& noise) {
  std::string pdf = "%PDF-1.5\n%\xb5\xed\xae\xfb\n";
  std::map<int, std::size_t> offsets;
  const auto object = [&](int number, const std::string& content) {
    offsets[number] = pdf.size();
    pdf += text(number, " 0 obj\n", content, "\nendobj\n");
  };
  const std::string page = packed("0 0 m 1 1 l S"), first = packed("1 0 << /Page 1 >>"),
                    info = packed("3 0 4 40 << /Producer (cairo) " + noise + "\n/CreationDate (D:" +
                                  time + "+01'00)\n>>\n<< /Type /Catalog >>");
  object(1, text("<< /Length ", page.size(), "\n>>\nstream\n", page, "\nendstream"));
  object(5, text("<< /Type /ObjStm\n   /Length 6 0 R\n>>\nstream\n", first, "\nendstream"));
  object(6, text("   ", first.size()));
  object(2, text("<< /Type /ObjStm\n   /Length 7 0 R\n   /N 2\n>>\nstream\n", info, "\nendstream"));
  object(7, text("   ", info.size()));
  const std::size_t start = pdf.size();
  offsets[8] = start;
  std::string table;
  for (int k = 0; k <= 8; ++k) {
    const bool free = k == 0, inside = k == 3 || k == 4;
    const std::size_t value = free ? 0 : inside ? 2 : offsets[k];
    table += {static_cast<char>(free     ? 0
                                : inside ? 2
                                         : 1),
              static_cast<char>(value >> 8U), static_cast<char>(value & 255U), '\0',
              static_cast<char>(k == 4)};
  }
  const std::string rows = packed(table);
  pdf += text("8 0 obj\n<< /Type /XRef\n   /Length ", rows.size(),
              "\n   /W [1 2 2]\n   /Root 4 0 R\n>>\nstream\n", rows,
              "\nendstream\nendobj\nstartxref\n", start, "\n%%EOF\n");
  return pdf;
}

/// Whether each object is where the table says, and lengths are right.
void check_places(const std::string& pdf) {
  const std::size_t start =
      std::stoul(pdf.substr(pdf.rfind("startxref\n") + std::string("startxref\n").size()));
  REQUIRE(pdf.substr(start, 8) == "8 0 obj\n");
  const auto length_at = [&](std::size_t from) {
    return std::stoul(pdf.substr(pdf.find("/Length ", from) + 8));
  };
  const std::size_t data = pdf.find("stream\n", start) + 7;
  CHECK(pdf.substr(data + length_at(start), 10) == "\nendstream");
  const std::string table = unpacked(pdf.substr(data, length_at(start)));
  REQUIRE(table.size() == 45);
  std::map<int, std::size_t> offsets;
  for (int k = 1; k <= 8; ++k) {
    const auto byte = [&](std::size_t j) {
      return static_cast<std::uint8_t>(table[static_cast<std::size_t>(5 * k) + j]);
    };
    if (byte(0) != 1) continue;
    offsets[k] = byte(1) * 256UL + byte(2);
    CAPTURE(k);
    const std::string begin = text(k, " 0 obj\n");
    CHECK(pdf.substr(offsets[k], begin.size()) == begin);
  }
  const std::size_t stream = pdf.find("stream\n", offsets[2]) + 7,
                    length = std::stoul(pdf.substr(offsets[7] + 8));
  CHECK(pdf.substr(stream + length, 10) == "\nendstream");
  CHECK(unpacked(pdf.substr(stream, length)).find("(D:19700101000000+01'00)") != std::string::npos);
}

}  // namespace

TEST_CASE("the time of a PDF file goes, as text and in a compressed stream of objects") {
  std::string plain = "%PDF-1.5\n<< /CreationDate (D:20261127235612+00'00) >>\n%%EOF\n";
  remove_time(plain);
  CHECK(plain == "%PDF-1.5\n<< /CreationDate (D:19700101000000+00'00) >>\n%%EOF\n");
  // Long enough for lengths of two digits, and of three.
  for (const std::string& noise :
       {std::string(), std::string("one two three four five six seven")}) {
    std::string first;
    for (const char* time :
         {"20261127235612", "20261127235613", "11111111111111", "19991231235959"}) {
      CAPTURE(time);
      std::string pdf = in_a_stream(time, noise);
      CHECK(pdf.find("CreationDate") == std::string::npos);
      remove_time(pdf);
      check_places(pdf);
      if (first.empty()) first = pdf;
      CHECK(pdf == first);
      const std::string again = pdf;
      remove_time(pdf);
      CHECK(pdf == again);
    }
  }
}

TEST_CASE("a PDF file of another form is left as it is") {
  const std::string whole = in_a_stream("20261127235612", "");
  const auto without = [&](const std::string& what, const std::string& with) {
    std::string pdf = whole;
    pdf.replace(pdf.rfind(what), what.size(), with);
    return pdf;
  };
  std::vector<std::string> others{"",
                                  "%PDF-1.5\n",
                                  without("/W [1 2 2]", "/W [2 2 2]"),
                                  without("/Type /XRef", "/Type /Xref"),
                                  without("7 0 R", "9 0 R"),
                                  without("startxref", "startxxxx")};
  // Cut off anywhere.
  for (std::size_t n = 0; n < whole.size() - 8; n += 7) others.push_back(whole.substr(0, n));
  for (const std::string& other : others) {
    std::string pdf = other;
    CHECK_NOTHROW(remove_time(pdf));
    CHECK(pdf == other);
  }
}
