// NumPy's files: .npy, one array, and .npz, a zip archive of named arrays.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

// Element types: bool, int64, float32, float64, uint8 and float16 are written. Integers are read as
// int64, float16 as float32, in either byte order, unless elements are asked for as they are
// stored. Files of version 1 and 2 are read, in C or Fortran order; version 1 in C order is
// written. Whatever cannot be read or written throws FileError, which names the file and, in an
// archive, the array. A header that claims more data than there is costs no memory.

/// What the numbers of 8 and 16 bits in a file become that tensors can store.
enum class Elements {
  widened,    ///< uint8 int64, float16 and bfloat16 float32: what can be computed with.
  as_stored,  ///< The same, at a half to an eighth of the memory: widened() computes with them.
};

Tensor read_npy(const std::string& path, Elements elements = Elements::widened);
/// What np.load reads. The file is replaced as a whole.
void write_npy(const std::string& path, const Tensor& tensor);

/// The arrays of a file by name: a map, whose at() throws FileError for a name that is not there,
/// with the file and the names that are.
class Arrays : public std::map<std::string, Tensor> {
 public:
  explicit Arrays(std::string path) : path_(std::move(path)) {}
  const Tensor& at(const std::string& name) const;
  Tensor& at(const std::string& name);

 private:
  std::string path_;
};

/// The arrays of an archive by name, as written by write_npz, np.savez or np.savez_compressed.
Arrays read_npz(const std::string& path, Elements elements = Elements::widened);
/// An archive that np.load reads: not compressed, the arrays in the order given; equal arrays give
/// equal files. Replaced as a whole. Throws FileError for an empty name and for one that occurs
/// twice.
void write_npz(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& arrays);

}  // namespace cinch
