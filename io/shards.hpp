// A data set in several files, larger than memory: its rows are read when they are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// How the rows of shards are given.
struct ShardOptions {
  /// Of safetensors files, the array's name in each; "": the only one that there is.
  std::string array = {};
  /// Of the rows. Without: whole numbers as int64, float16 and bfloat16 as float32, and float32
  /// where there is a divisor. uint8, float16 and bfloat16 where files store such: then they stay
  /// narrow, and the step computes with widened().
  std::optional<DType> dtype = {};
  /// Each element is divided by it in float64, then rounded: 255 for bytes of images.
  double divisor = 1;
  /// Whether a NaN or an infinity in a file is an error.
  bool finite = true;
};

/// The rows of several files, one file's after the other's: what one tensor would hold that they
/// were all concatenated to. Only what is asked for is in memory. Nothing is mapped: a file that is
/// cut short meanwhile is an error, and no signal.
class Shards {
 public:
  /// .npy and .safetensors files: those of a folder, in the order of their names, or a single one.
  /// Each is looked at now, its header and its size. Throws FileError, which names the file and
  /// says what would do, for one that is missing, empty, cut short, compressed, an archive or in
  /// Fortran order, and where elements or sizes of rows differ; TypeError for a dtype that files of
  /// this type are not given in, ValueError unless the divisor is positive and finite.
  explicit Shards(const std::string& path, const ShardOptions& options = {});
  /// The same for these files, in this order.
  explicit Shards(const std::vector<std::string>& paths, const ShardOptions& options = {});
  // Two names in braces would be a string, a range, as well as a vector.
  explicit Shards(std::initializer_list<std::string> paths, const ShardOptions& options = {})
      : Shards(std::vector<std::string>(paths), options) {}

  std::int64_t rows() const;       ///< Of all files.
  const Shape& row_shape() const;  ///< Sizes of a row: {784}; {} for labels.
  DType dtype() const;             ///< Of the rows as they are given.
  std::int64_t row_bytes() const;  ///< That a row takes in a file.
  const std::vector<std::string>& paths() const;

  /// Rows [begin, begin + count). Throws ValueError where there are none such; FileError where a
  /// file is missing, has been replaced, changed or cut short since it was looked at, cannot be
  /// read, or, unless that is allowed, holds a NaN or an infinity: with its name and the row's
  /// number in it.
  Tensor read(std::int64_t begin, std::int64_t count) const;

  /// The same rows as their file has them, `count` times row_bytes().
  void read_stored(std::int64_t begin, std::int64_t count, std::byte* to) const;
  /// What is read of a row, as it is given, to the memory of a row of dtype().
  void convert(const std::byte* row, void* to) const;
  /// A number that other data have another of: by sizes, types, and samples of the bytes of each
  /// file, its first and last ones among them. Names of files do not count.
  std::uint64_t fingerprint() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace cinch
