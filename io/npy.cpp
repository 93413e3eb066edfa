#include "cinch/io/npy.hpp"

#include <zip.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/npy_format.hpp"

namespace cinch {

namespace {

constexpr std::string_view extension = ".npy";

struct DiscardZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
/// An open archive; what was added to it is dropped unless it is closed by zip_close.
using ZipHandle = std::unique_ptr<zip_t, DiscardZip>;

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

ZipHandle open_zip(const std::string& path, const std::string& shown_path, int flags) {
  int code = 0;
  ZipHandle archive(zip_open(path.c_str(), flags, &code));
  if (!archive) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    file_error(shown_path, "bad zip archive: " + reason);
  }
  return archive;
}

/// The decompressed bytes of one member of an archive.
class ZipMember final : public ByteStream {
 public:
  /// `limit` bytes for the whole archive, of which others have `claimed` some.
  ZipMember(zip_t* archive, zip_uint64_t index, const std::string& name, std::int64_t limit,
            std::int64_t claimed)
      : ByteStream(name), archive_(archive), index_(index) {
    limit_to(limit, claimed);
    open();
  }

 protected:
  std::size_t next(std::span<std::uint8_t> out) override {
    const zip_int64_t count = zip_fread(member_.get(), out.data(), out.size());
    if (count < 0) fail(text("damaged zip archive: ", zip_file_strerror(member_.get())));
    return static_cast<std::size_t>(count);
  }
  void rewind() override { open(); }

 private:
  void open() {
    member_.reset(zip_fopen_index(archive_, index_, 0));
    if (!member_) fail(text("damaged zip archive: ", zip_strerror(archive_)));
  }

  zip_t* archive_;
  zip_uint64_t index_;
  std::unique_ptr<zip_file_t, CloseMember> member_;
};

/// Adds `tensor`, which has to live until the archive is closed, after `header`, which has to as
/// well.
void add(zip_t* archive, const std::string& path, const std::string& name, const Tensor& tensor,
         std::vector<std::uint8_t>& header) {
  const auto fail = [&] { file_error(path, text("cannot be written: ", zip_strerror(archive))); };
  // libzip takes pointers to mutable data and only reads.
  auto* elements = static_cast<zip_uint8_t*>(const_cast<void*>(tensor.raw()));
  const std::array<zip_buffer_fragment_t, 2> parts = {
      {{header.data(), header.size()}, {elements, tensor.bytes()}}};
  zip_source_t* source = zip_source_buffer_fragment(archive, parts.data(), parts.size(), 0);
  if (!source) fail();
  const zip_int64_t index =
      zip_file_add(archive, (name + std::string(extension)).c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    fail();
  }
  const auto member = static_cast<zip_uint64_t>(index);
  constexpr zip_uint16_t first_of_january_1980 = (1 << 5) | 1;  // no clock in the file
  if (zip_set_file_compression(archive, member, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, member, 0, first_of_january_1980, 0) != 0) {
    fail();
  }
}

struct Part {
  const void* data;
  std::size_t size;
};
/// Writes the temporary file of `path`.
void write_bytes(const std::string& path, const std::string& temporary,
                 std::initializer_list<Part> parts) {
  FileHandle out = open_file(temporary, "wb");
  bool good = true;
  for (const Part& part : parts)
    good = good && std::fwrite(part.data, 1, part.size, out.get()) == part.size;
  good = good && std::fflush(out.get()) == 0;
  if (!good) file_error(path, "cannot be written: " + system_reason());
}

}  // namespace

Tensor read_npy(const std::string& path, Elements elements) {
  return format::parse_npy(*open_bytes(path), elements == Elements::as_stored);
}

void write_npy(const std::string& path, const Tensor& tensor) {
  AtomicFile file(path);
  const std::vector<std::uint8_t> header = format::npy_header(tensor);
  write_bytes(path, file.temporary(),
              {{header.data(), header.size()}, {tensor.raw(), tensor.bytes()}});
  file.commit();
}

const Tensor& Arrays::at(const std::string& name) const {
  const auto found = find(name);
  if (found != end()) return found->second;
  constexpr std::size_t most = 20;
  std::string names;
  std::size_t k = 0;
  for (auto array = begin(); array != end() && k < most; ++array, ++k)
    names += (k ? ", " : "") + array->first;
  if (size() > most) names += text(" and ", size() - most, " more");
  file_error(path_,
             "has no array '" + name + "'" + (empty() ? "; it holds none" : "; it holds " + names));
}

Tensor& Arrays::at(const std::string& name) {
  return const_cast<Tensor&>(std::as_const(*this).at(name));
}

Arrays read_npz(const std::string& path, Elements elements) {
  require_regular_file(path);
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path));
  if (size == 0) file_error(path, "is empty");  // a valid archive to libzip
  const std::int64_t limit = limit_for(size);
  std::int64_t claimed = 0;
  const bool narrow = elements == Elements::as_stored;
  const ZipHandle archive = open_zip(path, path, ZIP_RDONLY | ZIP_CHECKCONS);
  Arrays arrays(path);
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(count); ++i) {
    const char* stored = zip_get_name(archive.get(), i, 0);
    std::string name = stored ? stored : "";
    if (!name.ends_with(extension))
      file_error(path, "its member '" + name + "' is not an npy file");
    name.resize(name.size() - extension.size());
    ZipMember member(archive.get(), i, path + ": " + name, limit, claimed);
    if (!arrays.try_emplace(name, format::parse_npy(member, narrow)).second) {
      file_error(path, "the array '" + name + "' occurs twice");
    }
    claimed = member.claimed();
  }
  return arrays;
}

void write_npz(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& arrays) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : arrays) {
    if (name.empty() || name.find('\0') != std::string::npos) {
      file_error(path, "cannot be written: an array has no valid name");
    }
    // A zip file has 16 bits for the length of a member's name; libzip writes its remainder.
    if (name.size() + extension.size() > std::numeric_limits<std::uint16_t>::max()) {
      file_error(path, text("cannot be written: the name of an array has ", name.size(),
                            " bytes, more than 65531"));
    }
    if (!names.insert(name).second) {
      file_error(path, "cannot be written: two arrays are named '" + name + "'");
    }
  }
  AtomicFile file(path);
  if (arrays.empty()) {  // libzip would remove the file
    constexpr std::array<char, 22> end_of_central_directory = {'P', 'K', 5, 6};
    write_bytes(path, file.temporary(),
                {{end_of_central_directory.data(), end_of_central_directory.size()}});
  } else {
    std::vector<std::vector<std::uint8_t>> headers(arrays.size());
    ZipHandle archive = open_zip(file.temporary(), path, ZIP_CREATE | ZIP_TRUNCATE);
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      headers[i] = format::npy_header(arrays[i].second);
      add(archive.get(), path, arrays[i].first, arrays[i].second, headers[i]);
    }
    if (zip_close(archive.get()) != 0) {
      file_error(path, text("cannot be written: ", zip_strerror(archive.get())));
    }
    static_cast<void>(archive.release());  // zip_close has freed it
  }
  file.commit();
}

}  // namespace cinch
