// The bytes that write_onnx() writes.
#pragma once

#include <string>

#include "cinch/exchange/onnx.hpp"

namespace cinch::exchange {

struct OnnxModel {
  OnnxInterface interface;
  std::string bytes;
};

/// For write_onnx(), whose errors it throws.
OnnxModel onnx_model(const FunctionSpec& spec, const OnnxOptions& options);

}  // namespace cinch::exchange
