// The texts that write_c() writes.
#pragma once

#include <string>

#include "cinch/exchange/c.hpp"

namespace cinch::exchange {

struct CSource {
  CInterface interface;
  std::string header, body;
};

/// Of `file`.c and the header beside it, for write_c(), whose errors it throws.
CSource c_source(const std::string& file, const FunctionSpec& spec, const COptions& options);

}  // namespace cinch::exchange
