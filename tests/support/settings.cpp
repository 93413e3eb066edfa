#include "support/settings.hpp"

#include <cstdlib>

namespace cinch::testing {

std::int64_t number_from(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::atoll(text) : otherwise;
}

}  // namespace cinch::testing
