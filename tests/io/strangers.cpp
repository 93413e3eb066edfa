// Files of strangers: what small ones unfold into, and what they would do to a terminal.
#include <doctest/doctest.h>
#include <png.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cinch/io/bytes.hpp"
#include "cinch/io/csv.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/idx.hpp"
#include "cinch/io/image.hpp"
#include "cinch/io/npy.hpp"
#include "png_chunks.hpp"
#include "support/settings.hpp"
#include "temporary_folder.hpp"

namespace cinch {
namespace {

using namespace testing;

/// The limit as it was, at the end.
struct Limit {
  FileLimit before = file_limit();
  ~Limit() { set_file_limit(before); }
};

std::string png(std::uint32_t width, std::uint32_t height, const std::string& extra) {
  const std::string lines(std::size_t{height} * (width + 1), '\0');
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR",
               big_endian(width, 4) + big_endian(height, 4) + std::string("\x08\0\0\0\0", 5)) +
         extra + chunk("IDAT", deflated(lines)) + chunk("IEND", "");
}

std::string npy(const std::string& type, const std::string& shape, const std::string& data,
                bool fortran = false) {
  std::string header = "{'descr': '" + type +
                       "', 'fortran_order': " + (fortran ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  header.append(127 - (10 + header.size()) % 64, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size() % 256) +
         static_cast<char>(header.size() / 256) + header + data;
}

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& data) {
  std::string result("\0\0\x08", 3);
  result += static_cast<char>(shape.size());
  for (const std::uint32_t size : shape) result += big_endian(size, 4);
  return result + data;
}

/// Compresses as well as can be, by members of one content, so that gigabytes are made in no time.
std::string repeated_gzip(const std::string& head, std::size_t zeros) {
  const std::string megabytes = gzip(std::string(std::size_t{16} << 20, '\0'));
  std::string result = gzip(head);
  for (; zeros >= std::size_t{16} << 20; zeros -= std::size_t{16} << 20) result += megabytes;
  return result + gzip(std::string(zeros, '\0'));
}

void write_zip(const std::string& path,
               const std::vector<std::pair<std::string, std::string>>& members,
               zip_int32_t method) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  REQUIRE(archive);
  for (const auto& [name, content] : members) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 9);
  }
  REQUIRE(zip_close(archive) == 0);
}

struct Reader {
  const char* name;
  std::function<void(const std::string&)> read;
};
const std::vector<Reader> readers = {
    {"read_idx", [](const std::string& p) { read_idx(p); }},
    {"read_images", [](const std::string& p) { read_images(p, DType::float64, 255); }},
    {"read_labels", [](const std::string& p) { read_labels(p); }},
    {"read_npy", [](const std::string& p) { read_npy(p); }},
    {"read_npz", [](const std::string& p) { read_npz(p); }},
    {"read_safetensors", [](const std::string& p) { read_safetensors(p); }},
    {"read_table", [](const std::string& p) { read_table(p); }},
    {"read_png", [](const std::string& p) { read_png(p); }},
    {"read_onnx", [](const std::string& p) { read_onnx(p); }},
};

/// Mebibytes of memory that a child needs to read the file with all readers, and what they say.
struct Cost {
  std::int64_t mebibytes;
  std::string said;
};
Cost cost_of(const std::string& path) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::string said;
    for (const Reader& reader : readers) {
      try {
        reader.read(path);
        said += text(reader.name, ": read\n");
      } catch (const FileError& error) {
        said += text(reader.name, ": ", error.what(), "\n");
      } catch (const std::exception& error) {
        said += text(reader.name, ": NOT OURS: ", error.what(), "\n");
      }
    }
    static_cast<void>(write(ends[1], said.data(), said.size()) > 0);
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  rusage usage{};
  REQUIRE(wait4(child, &status, 0, &usage) == child);
  CHECK(status == 0);
  return {usage.ru_maxrss / 1024, said};
}

/// Files below 2 MB that unfold into much.
std::vector<std::pair<std::string, std::function<void(const std::string&)>>> bombs() {
  const auto file = [](std::function<std::string()> content) {
    return [content](const std::string& path) { write_file(path, content()); };
  };
  const std::size_t much = std::size_t{512} << 20, some = std::size_t{160} << 20;
  const auto much_text = std::to_string(much), some_text = std::to_string(some);
  std::vector<std::pair<std::string, std::function<void(const std::string&)>>> result = {
      {"labels",
       file([=] { return repeated_gzip(idx({static_cast<std::uint32_t>(much)}, ""), much); })},
      {"images", file([=] {
         return repeated_gzip(idx({static_cast<std::uint32_t>(much >> 10), 32, 32}, ""), much);
       })},
      {"few images", file([=] {  // Bytes that fit and doubles that do not.
         return repeated_gzip(idx({static_cast<std::uint32_t>(some >> 12), 32, 32}, ""), some / 4);
       })},
      {"npy of bytes",
       file([=] { return repeated_gzip(npy("|u1", "(" + some_text + ",)", ""), some); })},
      {"npy, column-major", file([] {
         return repeated_gzip(npy("<f8", "(4096, 4095)", "", /*fortran=*/true),
                              std::size_t{4096} * 4095 * 8);
       })},
      {"npy that is no npy", file([=] { return repeated_gzip("", much); })},
      {"plain labels", file([] { return idx({1900000}, std::string(1900000, '\0')); })},
      {"png of many pixels", file([] { return png(12000, 12000, ""); })},
      {"png in gzip", file([] { return repeated_gzip(png(11000, 11000, ""), 0); })},
      {"npz of many arrays", [](const std::string& path) {
         const std::string one = npy("<f4", "(4000000,)", std::string(16000000, '\0'));
         std::vector<std::pair<std::string, std::string>> members;
         for (int k = 0; k < 12; ++k) members.emplace_back(text("a", k, ".npy"), one);
         write_zip(path, members, ZIP_CM_DEFLATE);
       }}};
  for (const zip_int32_t method : {ZIP_CM_DEFLATE, ZIP_CM_BZIP2, ZIP_CM_XZ}) {
    if (!zip_compression_method_supported(method, 1)) continue;
    result.emplace_back(text("npz, method ", method), [=](const std::string& path) {
      write_zip(path, {{"a.npy", npy("|u1", "(" + some_text + ",)", std::string(some, '\0'))}},
                method);
    });
  }
  // Each chunk that libpng knows and that has a length of its own, or unfolds.
  const std::string zeros = deflated(std::string(some, '\0'));
  for (const std::string& name :
       std::vector<std::string>{"tEXt", "zTXt", "iTXt", "iCCP", "eXIf", "sPLT", "hIST", "pCAL",
                                "sCAL", "bKGD", "pHYs", "tIME", "mkBF", "zzZz"}) {
    result.emplace_back("png, claim of " + name,
                        file([=] { return png(1, 1, big_endian(0x7fffffff, 4) + name); }));
    result.emplace_back("png, unfolding " + name, file([=] {
                          const std::string before = name == "iTXt" ? std::string("a\0\1\0\0\0", 6)
                                                                    : std::string("a\0\0", 3);
                          return png(1, 1, chunk(name, before + zeros));
                        }));
  }
  return result;
}

}  // namespace

TEST_CASE("no file of less than 2 MB takes more than 300 MB, whoever reads it") {
  const TemporaryFolder folder;
  const std::int64_t own = [&] {
    write_file(folder / "empty", "");
    return cost_of(folder / "empty").mebibytes;
  }();
  for (const auto& bomb : bombs()) {
    CAPTURE(bomb.first);
    bomb.second(folder / "bomb");
    REQUIRE(std::filesystem::file_size(folder / "bomb") < 2'000'000);
    const Cost cost = cost_of(folder / "bomb");
    CAPTURE(cost.said);
    CHECK(cost.mebibytes - own < 286);
    CHECK_FALSE(contains(cost.said, "NOT OURS"));
    for (std::size_t at = 0; at < cost.said.size(); at = cost.said.find('\n', at) + 1) {
      const std::string line = cost.said.substr(at, cost.said.find('\n', at) - at);
      CAPTURE(line);
      CHECK((contains(line, folder / "bomb: ") || line.ends_with(": read")));
    }
  }
}

TEST_CASE("the limit can be set, is named in its error, and grows with the file") {
  const Limit as_before;
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  write_file(path, gzip(idx({100000}, std::string(100000, '\0'))));
  set_file_limit({.bytes = 100000, .times = 1});
  const std::string error = error_of([&] { read_labels(path); });
  CHECK(contains(error, path + ": its content would take more than 100000 bytes of memory, the "
                               "limit is 100000: raise it with set_file_limit(), or "
                               "CINCH_FILE_LIMIT="));
  set_file_limit({.bytes = 200000, .times = 1});  // Its bytes, and not the integers.
  CHECK(contains(error_of([&] { read_labels(path); }), "would take 900000 bytes of memory"));
  CHECK(read_idx(path).bytes.size() == 100000);
  set_file_limit({.bytes = 900000, .times = 1});
  CHECK(read_labels(path).size() == 100000);
  set_file_limit({.bytes = 1, .times = 100});
  write_file(path, idx({100000}, std::string(100000, '\0')));  // Not compressed: in proportion.
  CHECK(read_labels(path).size() == 100000);
  for (const FileLimit& limit :
       {FileLimit{0, 1}, FileLimit{-1, 1}, FileLimit{1, 0}, FileLimit{1, -1}})
    CHECK(contains(error_of<ValueError>([&] { set_file_limit(limit); }), "must be positive"));
}

TEST_CASE("what stands in a file does nothing to a terminal") {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  std::vector<std::string> evils = {"\xe2\x80\xae",
                                    "\xe2\x81\xa6",
                                    "\xc2\x9b"
                                    "31m",
                                    "\xff\xfe",
                                    "\xe2\x80",
                                    "\xc0\x80",
                                    "\xed\xa0\x80",
                                    "\xf5\x80\x80\x80"};
  for (int c = 1; c < 32; ++c) {
    if (c != '\n') evils.push_back(std::string("\x1b]0;renamed") + static_cast<char>(c));
  }
  evils.push_back("\x7f");
  for (const std::string& evil : evils) {
    const std::vector<std::function<void()>> files = {
        [&] { write_file(path, npy("<f4" + evil, "(1,)", "1234")); },
        [&] { write_file(path, npy("<f4", "(1," + evil, "1234")); },
        [&] { write_file(path, npy("<f4', '" + evil + "': '", "(1,)", "1234")); },
        [&] { write_file(path, evil); },
        [&] {
          write_zip(path, {{evil + ".npy", "x"}}, ZIP_CM_STORE);
        },
        [&] {
          write_zip(path, {{evil, "x"}}, ZIP_CM_STORE);
        },
        [&] {
          write_zip(path, {{evil + ".npy", npy("<f4", "(1,)", "1234")}}, ZIP_CM_STORE);
        },
    };
    for (const auto& make : files) {
      try {
        make();
      } catch (...) {
        continue;  // libzip takes no such name.
      }
      for (const Reader& reader : readers) {
        const std::string error = error_of([&] { reader.read(path); });
        CAPTURE(error);
        CHECK(printable(error) == error);
      }
      const std::string error = error_of([&] { read_npz(path).at("none" + evil); });
      CAPTURE(error);
      CHECK(printable(error) == error);
    }
    const std::string named = error_of([&] { read_npy(folder / ("no" + evil)); });
    CHECK(printable(named) == named);
    CHECK(printable(evil) != evil);
  }
  const std::string good = "Häuser, 数, 🙂, tab-less\nlines \\x1b";
  CHECK(printable(good) == good);
  CHECK(printable("a\x1b[0m\xff") == "a\\x1b[0m\\xff");
}

TEST_CASE("a range of a plain file is found without reading what is before it") {
  const Limit as_before;
  const TemporaryFolder folder;
  const std::string path = folder / "images";
  write_file(path, idx({60000000, 10, 10}, ""));
  std::filesystem::resize_file(path, 16 + std::uintmax_t{6000000000});  // Of zeros, no disk space.
  const auto start = std::clock();
  const Tensor last = read_images(path, DType::float32, 1, {60000000 - 20, 20});
  CHECK(last.shape() == Shape{20, 100});
  CHECK(std::clock() - start < CLOCKS_PER_SEC / 2);
  CHECK(contains(error_of([&] {
                   read_images(path, DType::float32, 1, {60000000 - 20, 21});
                 }),
                 "holds 60000000 examples"));
}

TEST_CASE("files opened while a standard stream is closed are none of the three") {
  const TemporaryFolder folder;
  for (const int closed : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    CAPTURE(closed);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      close(closed);
      CsvWriter log(folder / "log.csv", {"a"});
      const std::string noise = "printed\n";
      const bool written = write(closed, noise.data(), noise.size()) >= 0;
      log.row({1});
      write_npy(folder / "a.npy", Tensor(1.5));
      write_npz(folder / "a.npz", {{"a", Tensor(1.5)}});
      const bool read = read_npy(folder / "a.npy") == Tensor(1.5);
      _exit(written ? 1 : read ? 0 : 2);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(read_file(folder / "log.csv") == "a\n1\n");
  }
}

}  // namespace cinch
