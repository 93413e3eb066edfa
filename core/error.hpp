// Exceptions for the user's mistakes, and how their texts are put together.
#pragma once

#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// Base of everything Cinch throws on purpose. what() says what is wrong, with what, where, and
/// what to do.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Operands, shapes or dtypes that do not fit.
class TypeError : public Error {
  using Error::Error;
};
/// A derivative that does not exist or would silently be zero.
class GradError : public Error {
  using Error::Error;
};
/// A NaN or infinity met in Mode::checked, or a value outside the range an op accepts.
class ValueError : public Error {
  using Error::Error;
};
/// A file that cannot be read, written or understood.
class FileError : public Error {
  using Error::Error;
};

/// A part of a text as it is streamed: a NaN is "nan", whatever its sign.
template <class T>
const T& printed(const T& part) {
  return part;
}
inline std::string printed(double part) {
  if (part != part) return "nan";
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << part;
  return out.str();
}
inline std::string printed(float part) { return printed(static_cast<double>(part)); }

/// The arguments streamed one after the other; the same text in every locale.
template <class... Ts>
std::string text(const Ts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << printed(parts));
  return out.str();
}

}  // namespace cinch
