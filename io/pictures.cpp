#include "cinch/io/pictures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/format/arrays.hpp"
#include "cinch/io/format/png.hpp"
#include "cinch/io/idx.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"

namespace cinch {

namespace {

namespace fs = std::filesystem;

/// What lies in a folder, sorted; hidden files, which systems leave there, do not count.
struct Folder {
  std::string path;
  std::vector<std::string> folders, files;
};

Folder list_folder(const std::string& path) {
  Folder result{path, {}, {}};
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code unreadable;
    (at->is_directory(unreadable) ? result.folders : result.files).push_back(name);
  }
  if (error) file_error(path, "cannot be read: " + error.message());
  std::ranges::sort(result.folders);
  std::ranges::sort(result.files);
  return result;
}

std::string joined(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

std::string ending_of(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return ending;
}

bool is_png(const std::string& name) { return ending_of(name) == ".png"; }

/// "a folder of 12 .jpg files and 1 .txt file (notes.txt)".
std::string description(const Folder& folder) {
  std::map<std::string, std::vector<std::string>> kinds;
  for (const std::string& name : folder.files) kinds[ending_of(name)].push_back(name);
  std::vector<std::string> parts;
  for (const auto& [ending, names] : kinds) {
    const bool one = names.size() == 1;
    parts.push_back(text(names.size(), ending.empty() ? "" : " " + ending,
                         one ? " file (" + names[0] + ")" : " files",
                         ending.empty() ? " without an ending" : ""));
  }
  if (!folder.folders.empty())
    parts.push_back(text(folder.folders.size(),
                         folder.folders.size() == 1 ? " folder (" : " folders (", folder.folders[0],
                         folder.folders.size() == 1 ? ")" : ", ...)"));
  std::string result;
  for (std::size_t k = 0; k < parts.size(); ++k)
    result += (k == 0 ? "" : k + 1 == parts.size() ? " and " : ", ") + parts[k];
  return result.empty() ? "an empty folder" : "a folder of " + result;
}

/// What would make pictures of files with such an ending.
std::string remedy_for(const Folder& folder) {
  for (const std::string& name : folder.files) {
    const std::string ending = ending_of(name);
    for (const char* other :
         {".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}) {
      if (ending == other)
        return ": only PNG files are read; convert them, as ImageMagick's mogrify -format png *" +
               ending + " does";
    }
  }
  return ": pictures are .png files, in folders that are their classes where they have some, and "
         "nothing else";
}

/// A picture of a folder, and the number of its class; -1 without classes.
struct Entry {
  std::string path;
  std::int64_t label;
};

std::vector<std::uint8_t> all_bytes(ByteStream& bytes) {
  bytes.claim(bytes.remaining(), 1);
  std::vector<std::uint8_t> result(static_cast<std::size_t>(bytes.remaining()));
  bytes.read(result, "the file");
  return result;
}

/// Writes a picture as planes of `channels` colours.
void write_planes(const std::string& path, const format::PngPixels& png, std::int64_t channels,
                  const PictureOptions& options, std::span<float> out) {
  const auto stored = static_cast<std::size_t>(png.channels);
  const bool has_alpha = png.channels % 2 == 0;
  const std::size_t pixels = png.samples.size() / stored;
  for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
    const auto sample = [&](std::size_t channel) {
      return png.samples[pixel * stored + channel] / png.white;
    };
    const double alpha = has_alpha ? sample(stored - 1) : 1;
    if (alpha < 1 && !options.background)
      file_error(
          path,
          text("is not opaque: its pixel in row ", pixel / static_cast<std::size_t>(png.width),
               ", column ", pixel % static_cast<std::size_t>(png.width), " has alpha ", alpha,
               "; say what shines through, read_images(path, {.background = 1}) for white"));
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const bool grey = png.channels <= 2;
      double value = sample(grey ? 0 : static_cast<std::size_t>(channel));
      if (alpha < 1) value = alpha * value + (1 - alpha) * *options.background;
      out[static_cast<std::size_t>(channel) * pixels + pixel] = static_cast<float>(value);
    }
  }
}

/// The pictures of these files, which must be of one size. `of` is what holds them, for messages.
Pictures read_files(const std::string& of, const std::vector<Entry>& entries,
                    const PictureOptions& options) {
  Pictures result{.images = {}};
  std::int64_t bytes_of_files = 0;
  for (const Entry& entry : entries) {
    const auto bytes = open_bytes(entry.path);
    const std::int64_t size = bytes->remaining();
    std::array<std::uint8_t, format::PngHeader::size> start{};
    const auto there =
        std::span(start).first(static_cast<std::size_t>(std::min(size, format::PngHeader::size)));
    bytes->read(there, "the header");
    const format::PngHeader header = format::parse_png_header(*bytes, there, size);
    if (result.height == 0) {
      result.height = header.height;
      result.width = header.width;
    }
    if (header.height != result.height || header.width != result.width)
      bytes->fail(text("is of ", header.height, " x ", header.width, " pixels, but ",
                       entries[0].path, " of ", result.height, " x ", result.width,
                       ": pictures must be of one size; scale or crop them"));
    result.channels = std::max(result.channels, header.channels());
    bytes_of_files += size;
  }
  const auto count = static_cast<std::int64_t>(entries.size());
  const std::int64_t values = result.channels * result.height * result.width;
  const std::int64_t limit = limit_for(bytes_of_files);
  if (values > limit / static_cast<std::int64_t>(sizeof(float)) / count)
    file_error(of, text("its ", count, " pictures of ", result.height, " x ", result.width,
                        " pixels would take more memory than the limit of ", limit,
                        " bytes: raise it with set_file_limit(), or CINCH_FILE_LIMIT (MiB), if you "
                        "trust the files"));
  result.images = Tensor(DType::float32, {count, values});
  const std::span<float> out = result.images.data<float>();
  for (std::size_t k = 0; k < entries.size(); ++k) {
    const auto bytes = open_bytes(entries[k].path);
    std::vector<std::uint8_t> file = all_bytes(*bytes);
    const format::PngPixels png = format::decode_png(*bytes, file);
    if (png.height != result.height || png.width != result.width)
      bytes->fail("changed while it was read");
    const auto per_image = static_cast<std::size_t>(values);
    write_planes(entries[k].path, png, result.channels, options,
                 out.subspan(k * per_image, per_image));
  }
  return result;
}

/// The pictures directly in a folder, in which there is nothing else.
void add_files(const Folder& folder, std::int64_t label, std::vector<Entry>& entries) {
  if (folder.files.empty() || !folder.folders.empty() || !std::ranges::all_of(folder.files, is_png))
    file_error(folder.path, "is " + description(folder) + remedy_for(folder));
  for (const std::string& name : folder.files)
    entries.push_back({joined(folder.path, name), label});
}

/// Folders that are classes; `names` are those that there may be, empty for any.
Pictures read_classes(const Folder& folder, std::vector<std::string> names,
                      const PictureOptions& options) {
  if (names.empty()) names = folder.folders;
  std::vector<Entry> entries;
  for (const std::string& name : folder.folders) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end())
      file_error(joined(folder.path, name),
                 "is a class that there are no pictures to train on of: move it away, or add some");
    add_files(list_folder(joined(folder.path, name)), found - names.begin(), entries);
  }
  Pictures result = read_files(folder.path, entries, options);
  std::vector<std::int64_t> labels;
  for (const Entry& entry : entries) labels.push_back(entry.label);
  result.labels = Tensor::from(labels);
  result.names = std::move(names);
  return result;
}

/// Pictures directly in a folder, or in folders that are classes.
Pictures read_tree(const Folder& folder, const std::vector<std::string>& names,
                   const PictureOptions& options) {
  if (!folder.folders.empty() && folder.files.empty()) return read_classes(folder, names, options);
  std::vector<Entry> entries;
  add_files(folder, -1, entries);
  return read_files(folder.path, entries, options);
}

/// One of the four files of MNIST.
bool is_of_mnist(const std::string& name) {
  return name.find("-images-idx3-ubyte") != std::string::npos ||
         name.find("-labels-idx1-ubyte") != std::string::npos;
}

Pictures of_mnist(const std::string& folder, bool test) {
  ImageSet set = (test ? load_test : load_training)(folder, DType::float32, 255, {});
  return {.images = std::move(set.images),
          .channels = 1,
          .height = set.rows,
          .width = set.columns,
          .labels = std::move(set.labels)};
}

Pictures read_folder(const std::string& path, const PictureOptions& options) {
  const Folder folder = list_folder(path);
  if (std::ranges::any_of(folder.files, is_of_mnist)) return of_mnist(path, options.test);
  const auto is_part = [](const std::string& name) {
    return name == "train" || name == "test" || name == "val" || name == "validation";
  };
  const bool divided = std::ranges::find(folder.folders, "train") != folder.folders.end() &&
                       folder.files.empty() && std::ranges::all_of(folder.folders, is_part);
  if (!divided) {
    if (options.test)
      file_error(path, "is " + description(folder) +
                           ": pictures to test on are in a folder test beside one named train");
    return read_tree(folder, {}, options);
  }
  const Folder training = list_folder(joined(path, "train"));
  if (!options.test) return read_tree(training, {}, options);
  if (std::ranges::find(folder.folders, "test") == folder.folders.end())
    file_error(path, "is " + description(folder) + ": there is none named test");
  return read_tree(list_folder(joined(path, "test")), training.folders, options);
}

/// An IDX file, and the labels beside it.
Pictures read_idx_pictures(const std::string& path) {
  const IdxBytes file = read_idx(path);
  if (file.shape.size() != 3)
    file_error(path, text("is an IDX file of shape ", text(file.shape),
                          file.shape.size() == 1 ? ", of labels, which read_labels() reads" : "",
                          ": pictures have 3 axes, (count, height, width)"));
  Pictures result{.images = read_images(path, DType::float32, 255),
                  .channels = 1,
                  .height = file.shape[1],
                  .width = file.shape[2]};
  if (result.images.size() == 0) file_error(path, "holds no pixel");
  std::string beside = path;
  const std::string_view images = "images-idx3", labels = "labels-idx1";
  const std::size_t at = beside.rfind(images);
  if (at == std::string::npos) return result;
  beside.replace(at, images.size(), labels);
  const std::string other =
      beside.ends_with(".gz") ? beside.substr(0, beside.size() - 3) : beside + ".gz";
  for (const std::string& candidate : {beside, other}) {
    std::error_code ignored;
    if (!fs::exists(candidate, ignored)) continue;
    result.labels = read_labels(candidate);
    if (result.labels->size() != file.shape[0])
      file_error(candidate, text("holds ", result.labels->size(), " labels, but ", path, " holds ",
                                 file.shape[0], " images"));
    break;
  }
  return result;
}

/// What a file that holds no pictures is, by its first bytes.
std::string kind_of(std::string_view start) {
  using namespace std::literals;
  const char* png = ": only PNG is read; convert it";
  if (start.starts_with("\xff\xd8\xff"sv)) return "a JPEG picture"s + png;
  if (start.starts_with("GIF8"sv)) return "a GIF picture"s + png;
  if (start.starts_with("BM"sv)) return "a BMP picture"s + png;
  if (start.starts_with("II*\0"sv) || start.starts_with("MM\0*"sv)) return "a TIFF picture"s + png;
  if (start.starts_with("RIFF"sv) && start.substr(8).starts_with("WEBP"sv))
    return "a WebP picture"s + png;
  const bool text = std::ranges::all_of(
      start, [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; });
  return text ? "text, perhaps a table of numbers: read_table() reads it"
              : "of a kind that is not known: PNG, IDX, .npy, .npz and safetensors files are read, "
                "and folders of PNG files";
}

}  // namespace

Pictures read_images(const std::string& path, const PictureOptions& options) {
  using namespace std::string_view_literals;
  if (options.background && !(*options.background >= 0 && *options.background <= 1))
    throw ValueError(
        text("read_images: .background must be from 0 to 1, got ", *options.background));
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return read_folder(path, options);
  std::array<char, 12> first{};
  {
    const auto bytes = open_bytes(path);
    if (bytes->remaining() == 0) bytes->fail("is empty");
    const auto count = std::min(static_cast<std::size_t>(bytes->remaining()), first.size());
    bytes->read(std::span(reinterpret_cast<std::uint8_t*>(first.data()), count), "the beginning");
  }
  const std::string_view start(first.data(), first.size());
  const auto only_training = [&] {
    if (options.test) file_error(path, "is not divided into pictures to train on and to test on");
  };
  if (start.starts_with("PK\x03\x04"sv) || start.starts_with("PK\x05\x06"sv))
    return format::pictures_among(path, read_npz(path, Elements::as_stored), options);
  if (start[8] == '{')
    return format::pictures_among(path, read_safetensors(path, Elements::as_stored), options);
  only_training();
  if (start.starts_with("\x89PNG"sv)) return read_files(path, {{path, -1}}, options);
  if (start.starts_with("\x93NUMPY"sv))
    return format::pictures_of(path, read_npy(path, Elements::as_stored), options);
  if (start.starts_with("\0\0"sv)) return read_idx_pictures(path);
  file_error(path, "is " + kind_of(start.substr(0, start.find_last_not_of('\0') + 1)));
}

}  // namespace cinch
