// ONNX files, checked by python3-onnx and run by onnxruntime-web.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cinch/exchange/onnx.hpp"
#include "io/temporary_folder.hpp"

namespace cinch::testing {

/// A model to be run, some steps of it.
struct OnnxRun {
  std::string file;
  OnnxInterface model;
  std::vector<Tensor> inputs, parameters;
  std::vector<std::vector<Tensor>> draws = {};  ///< Of each step; none: one step without draws.
};

struct OnnxResult {
  std::string error;
  std::map<std::string, std::vector<double>> last;     ///< By output.
  std::map<std::string, std::vector<double>> scalars;  ///< Of each step, by output.
};

/// Whether python3-onnx is installed; then all files have to be accepted.
bool check_onnx(const std::vector<std::string>& files);

/// The folder whose node_modules has onnxruntime-web: the environment variable CINCH_ORT names it;
/// without, npm says. "", with a message, where that or node is missing.
std::string node_modules(const TemporaryFolder& folder);

/// One process of node for all. Empty where node_modules() is.
std::vector<OnnxResult> run_onnx(const TemporaryFolder& folder, const std::vector<OnnxRun>& runs);

}  // namespace cinch::testing
