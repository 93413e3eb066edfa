#include "cinch/io/format/arrays.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "cinch/io/file.hpp"

namespace cinch::format {

namespace {

/// Where the axes of a picture are; channels < 0: there are none.
struct Axes {
  std::size_t height, width;
  int channels;
};

bool is_colour(std::int64_t size) { return size == 3 || size == 4; }
bool is_channels(std::int64_t size) { return size == 1 || is_colour(size); }

constexpr const char* say_axes =
    ": say which, read_images(path, {.axes = PictureAxes::height_width_channels}) or another";

Axes axes_of(const std::string& path, const Shape& shape, const PictureOptions& options) {
  const auto refuse = [&](const std::string& what) {
    file_error(path, text("an array of shape ", text(shape), what));
  };
  const std::size_t wanted = options.axes == PictureAxes::height_width ? 3 : 4;
  if (options.axes != PictureAxes::told_by_sizes && shape.size() != wanted)
    refuse(text(" has not the ", wanted, " axes that it was said to have"));
  switch (options.axes) {
    case PictureAxes::height_width:
      return {1, 2, -1};
    case PictureAxes::height_width_channels:
      return {1, 2, 3};
    case PictureAxes::channels_height_width:
      return {2, 3, 1};
    case PictureAxes::told_by_sizes:
      break;
  }
  if (shape.size() == 3) {
    // Three pictures, or the three colours of one?
    if (is_colour(shape[0]) || is_colour(shape[2]))
      refuse(
          text(" may be grey pictures or a coloured one: say .axes = PictureAxes::height_width, "
               "or give it a first axis, of pictures"));
    return {1, 2, -1};
  }
  if (shape.size() == 4) {
    const bool first = is_channels(shape[1]), last = is_channels(shape[3]);
    if (first && last) refuse(text(" may have its channels before or behind the pixels", say_axes));
    if (!first && !last)
      refuse(" has no axis of 1, 3 or 4 channels, neither the second nor the last");
    return first ? Axes{2, 3, 1} : Axes{1, 2, 3};
  }
  if (shape.size() == 2)
    refuse(" is a table: read_table() reads it; for pictures give it three axes, (" +
           text(shape[0]) + ", height, width)");
  refuse(" is not of pictures: these have 3 or 4 axes, (count, height, width)");
  std::abort();
}

/// The number that stands for white. Throws FileError where that cannot be told.
double white_of(const std::string& path, const Tensor& array, const PictureOptions& options) {
  if (options.white) return *options.white;
  if (array.dtype() == DType::bool_ || is_float(array.dtype())) return 1;
  if (array.dtype() == DType::uint8) return 255;  // Which other whole numbers need not be.
  const auto values = array.data<std::int64_t>();
  if (values.empty()) return 255;
  const auto [least, most] = std::ranges::minmax_element(values);
  if (*least < 0 || *most > 255 || *most < 128)
    file_error(path, text("holds whole numbers from ", *least, " to ", *most,
                          ", of which none need be white: say which number is, "
                          "read_images(path, {.white = ",
                          *most > 255 ? 65535 : 255, "})"));
  return 255;
}

/// Throws for the first number that is no pixel. All are divided by `white`.
[[noreturn]] void refuse_pixel(const std::string& path, const Tensor& array, std::int64_t at,
                               double white, bool said) {
  const std::int64_t pixels = array.size() / array.shape()[0];
  const double value = array.at(at);
  const std::string where = text("picture ", at / pixels, ", element ", at % pixels, ": ", value);
  if (!std::isfinite(value)) file_error(path, where + " is not finite");
  double least = value, most = value;
  for (std::int64_t k = 0; k < array.size(); ++k) {
    least = std::min(least, array.at(k));
    most = std::max(most, array.at(k));
  }
  file_error(path, text(where, " is not from 0 to ", white, "; the numbers go from ", least, " to ",
                        most, ": ",
                        least < 0 ? "scale them to 0 ... 1 before they are written"
                        : said    ? "say a larger .white"
                                  : "say which is white, read_images(path, {.white = 255})"));
}

bool contains(const std::string& name, std::string_view part) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.find(part) != std::string::npos;
}

std::string listed(const Arrays& arrays) {
  std::string result;
  for (const auto& [name, array] : arrays)
    result += (result.empty() ? "" : ", ") + name + " " + text(array.shape());
  return result.empty() ? "nothing" : result;
}

/// Whole numbers, one a picture: (count) or (count, 1).
bool is_labels(const Tensor& array, std::int64_t count) {
  const bool one = array.rank() == 1 || (array.rank() == 2 && array.shape()[1] == 1);
  const bool whole = array.dtype() == DType::int64 || array.dtype() == DType::uint8;
  return one && whole && array.shape()[0] == count;
}

/// "labels", "y_train", "train_targets", and what np.savez(path, images, labels) calls them.
bool means_labels(const std::string& name) {
  return contains(name, "label") || contains(name, "target") || contains(name, "class") ||
         name == "y" || name.starts_with("y_") || name.ends_with("_y") || name == "arr_1";
}

}  // namespace

Pictures pictures_of(const std::string& path, const Tensor& array, const PictureOptions& options) {
  if (array.dtype() == DType::float16 || array.dtype() == DType::bfloat16)
    return pictures_of(path, array.cast(DType::float32), options);
  if (options.white && (!(*options.white > 0) || !std::isfinite(*options.white)))
    throw ValueError(text("read_images: .white must be positive, got ", *options.white));
  const Axes axes = axes_of(path, array.shape(), options);
  const auto size = [&](std::size_t axis) { return array.shape()[axis]; };
  const std::int64_t stored = axes.channels < 0 ? 1 : size(static_cast<std::size_t>(axes.channels));
  if (array.size() == 0) file_error(path, "holds no pixel: its shape is " + text(array.shape()));
  if (!is_channels(stored))
    file_error(path, text("an array of shape ", text(array.shape()), " would have ", stored,
                          " channels: pictures have 1, 3 or 4"));
  Pictures result{.images = {},
                  .channels = stored == 4 ? 3 : stored,
                  .height = size(axes.height),
                  .width = size(axes.width)};
  const std::int64_t count = size(0), pixels = result.height * result.width;
  const double white = white_of(path, array, options);
  result.images = Tensor(DType::float32, {count, result.channels * pixels});
  const std::span<float> out = result.images.data<float>();
  const auto divide = [&]<class T>() {
    const std::span<const T> in = array.data<T>();
    const auto good = [&](T value) {
      const auto x = static_cast<double>(value);
      return x >= 0 && x <= white;
    };
    const auto bad = std::ranges::find_if_not(in, good);
    if (bad != in.end())
      refuse_pixel(path, array, bad - in.begin(), white, options.white.has_value());
    const bool behind = axes.channels == 3;
    const auto value = [&](std::int64_t n, std::int64_t channel, std::int64_t pixel) {
      const std::int64_t at = behind ? (n * pixels + pixel) * stored + channel
                                     : (n * stored + channel) * pixels + pixel;
      return static_cast<double>(in[static_cast<std::size_t>(at)]) / white;
    };
    std::size_t at = 0;
    for (std::int64_t n = 0; n < count; ++n) {
      for (std::int64_t channel = 0; channel < result.channels; ++channel) {
        for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
          double shown = value(n, channel, pixel);
          if (stored == 4) {
            const double alpha = value(n, 3, pixel);
            if (alpha < 1 && !options.background)
              file_error(path, text("picture ", n,
                                    " is not opaque: say what shines through, "
                                    "read_images(path, {.background = 1}) for white"));
            if (alpha < 1) shown = alpha * shown + (1 - alpha) * *options.background;
          }
          out[at++] = static_cast<float>(shown);
        }
      }
    }
  };
  if (array.dtype() == DType::uint8) {
    divide.template operator()<std::uint8_t>();
  } else {
    dispatch(array.dtype(), divide);
  }
  return result;
}

Pictures pictures_among(const std::string& path, const Arrays& arrays,
                        const PictureOptions& options) {
  // Arrays to train on, to validate on and to test on have that in their names.
  const bool divided =
      std::ranges::any_of(arrays, [](const auto& entry) { return contains(entry.first, "train"); });
  const auto wanted = [&](const std::string& name) {
    return !divided || contains(name, options.test ? "test" : "train");
  };
  if (!divided && options.test)
    file_error(path, "is not divided into pictures to train on and to test on: it holds " +
                         listed(arrays));
  std::vector<std::string> images;
  for (const auto& [name, array] : arrays)
    if (wanted(name) && (array.rank() == 3 || array.rank() == 4)) images.push_back(name);
  if (images.size() != 1) {
    file_error(path, text("holds ", images.empty() ? "no" : "more than one",
                          " array of pictures, which have three or four axes: ", listed(arrays),
                          "; leave one, or read it with read_npz() and write_npy()"));
  }
  const Tensor& array = arrays.at(images[0]);
  Pictures result = pictures_of(path + ": " + images[0], array, options);
  const std::int64_t count = array.shape()[0];
  std::vector<std::string> labels;
  for (const auto& [name, array_of] : arrays)
    if (wanted(name) && name != images[0] && means_labels(name)) labels.push_back(name);
  if (labels.size() > 1)
    file_error(path, text("holds two arrays that may be labels: ", listed(arrays)));
  if (!labels.empty() && !is_labels(arrays.at(labels[0]), count)) {
    const Tensor& other = arrays.at(labels[0]);
    file_error(path, text("'", labels[0], "', ", name(other.dtype()), " ", text(other.shape()),
                          ", are no labels of the ", count, " pictures of '", images[0],
                          "': these are whole numbers of shape (", count, ",)"));
  }
  if (!labels.empty()) {
    result.labels = arrays.at(labels[0]).cast(DType::int64).reshaped({count});
    const auto numbers = result.labels->data<std::int64_t>();
    const auto below = std::ranges::find_if(numbers, [](std::int64_t k) { return k < 0; });
    if (below != numbers.end())
      file_error(path, text("'", labels[0], "': label ", below - numbers.begin(), " is ", *below,
                            ": labels are 0, 1, ..."));
  }
  return result;
}

}  // namespace cinch::format
