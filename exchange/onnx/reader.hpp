// ONNX files as they stand: messages, checked against the bytes that are there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/core/type.hpp"

namespace cinch::exchange {

struct ReadAttribute {
  std::int64_t number = 0;
  float real = 0;
  std::string text;
  std::vector<std::int64_t> numbers;
  std::vector<Tensor> tensors;  ///< At most one.
};

struct ReadNode {
  std::string op, domain, name;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, ReadAttribute, std::less<>> attributes;
};

struct ReadInput {
  std::string name;
  DType dtype = DType::float32;
  Shape sizes;  ///< -1 where it is not known.
};

struct ReadModel {
  std::int64_t opset = 0;
  std::vector<ReadNode> nodes;
  std::vector<std::pair<std::string, Tensor>> initializers;
  std::vector<ReadInput> inputs;  ///< With initializers among them.
  std::vector<std::string> outputs;
};

/// Throws FileError, which names `path`, for what is no ONNX model.
ReadModel read_model(const std::string& path);

}  // namespace cinch::exchange
