// Rows of numbers from whatever file holds them.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Numbers, one example a row.
struct NumberTable {
  Tensor values;                     ///< (rows, columns), a float type.
  std::vector<std::string> columns;  ///< Their names, where the file has them; else empty.
};

/// Reads a table, plain or gzip, told by its content: numbers as text, separated by commas,
/// semicolons, tabs or spaces, with a line of names above them or without, lines that begin with #
/// left out, as np.savetxt, pandas and R write them; or an array of one or two axes
/// in a .npy file, or the only one of a .npz or safetensors file. Throws
/// FileError, which names line and column, for what is no number or not finite, a cell that is
/// empty, rows of different lengths, and a file without numbers; for another kind of file it says
/// what it saw and who reads it. Throws TypeError unless `dtype` is a float type.
NumberTable read_table(const std::string& path, DType dtype = DType::float32);

}  // namespace cinch
