// The text of an exception.
#pragma once

#include <string>

namespace cinch::testing {

/// The text of the E that `call` throws; "no error" where it throws none.
template <class E, class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

}  // namespace cinch::testing
