#include "cinch/core/version.hpp"

#include <cstddef>
#include <initializer_list>

namespace cinch {

namespace {

struct Spelled {
  char characters[8] = {};  // "99.99.99"
  std::size_t size = 0;
};

constexpr Spelled spelled(int number) {
  Spelled result;
  for (const int part : {number / 10000, number / 100 % 100, number % 100}) {
    if (result.size > 0) result.characters[result.size++] = '.';
    if (part >= 10) result.characters[result.size++] = static_cast<char>('0' + part / 10);
    result.characters[result.size++] = static_cast<char>('0' + part % 10);
  }
  return result;
}

}  // namespace

std::string_view version() {
  static constexpr Spelled text = spelled(CINCH_VERSION);
  return {text.characters, text.size};
}

}  // namespace cinch
