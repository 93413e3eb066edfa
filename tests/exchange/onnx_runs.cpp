#include "exchange/onnx_runs.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>

namespace cinch::testing {

namespace {

const std::string scripts = CINCH_SOURCE_DIR "/tests/exchange/";

/// As JavaScript reads it.
void write_tensor(std::ostream& out, const std::string& name, const Tensor& value) {
  const char* dtype = value.dtype() == DType::float64   ? "float64"
                      : value.dtype() == DType::float32 ? "float32"
                      : value.dtype() == DType::int64   ? "int64"
                                                        : "bool";
  out << name << ": {dtype: '" << dtype << "', dims: [";
  for (const std::int64_t n : value.shape()) out << n << ',';
  out << "], data: [" << std::setprecision(17);
  for (std::int64_t k = 0; k < value.size(); ++k) {
    const double x = value.at(k);
    if (std::isfinite(x)) {
      out << x << ',';
    } else {
      out << (std::isnan(x) ? "NaN," : x < 0 ? "-Infinity," : "Infinity,");
    }
  }
  out << "]},\n";
}

}  // namespace

bool check_onnx(const std::vector<std::string>& files) {
  std::string list;
  for (const std::string& file : files) list += " " + file;
  // The system's Python has the system's packages, whichever comes first.
  int status = 77;
  for (const char* python : {"python3 ", "/usr/bin/python3 "}) {
    if (status == 77 || status == 127)
      status = WEXITSTATUS(std::system((python + scripts + "check_onnx.py" + list).c_str()));
  }
  if (status == 77 || status == 127) {
    MESSAGE("python3-onnx is not installed: the files are not checked by it");
    return false;
  }
  CHECK(status == 0);
  return true;
}

std::string node_modules(const TemporaryFolder& folder) {
  if (std::system("command -v node > /dev/null") != 0) {
    MESSAGE("node is not installed: the files are not run");
    return "";
  }
  std::vector<std::string> places;
  if (const char* named = std::getenv("CINCH_ORT")) {
    places.emplace_back(named);
  } else {
    const std::string said = folder / "npm_root";
    if (std::system(("npm root --global > " + said + " 2> /dev/null").c_str()) == 0) {
      std::string root;
      std::getline(std::ifstream(said) >> std::ws, root);
      places.push_back(std::filesystem::path(root).parent_path().string());
    }
  }
  for (const std::string& place : places) {
    if (std::filesystem::exists(place + "/node_modules/onnxruntime-web")) return place;
  }
  MESSAGE(
      "onnxruntime-web is not installed: the files are not run. npm install --ignore-scripts "
      "--prefix FOLDER onnxruntime-web, and CINCH_ORT=FOLDER");
  return "";
}

std::vector<OnnxResult> run_onnx(const TemporaryFolder& folder, const std::vector<OnnxRun>& runs) {
  const std::string place = node_modules(folder);
  if (place.empty()) return {};
  std::ofstream cases(folder / "cases.mjs");
  cases << "export default [\n";
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const OnnxRun& run = runs[r];
    const std::size_t steps = std::max<std::size_t>(run.draws.size(), 1);
    cases << "{name: '" << r << "', file: '" << run.file << "', steps: " << steps << ", feeds: {";
    for (std::size_t k = 0; k < run.inputs.size(); ++k)
      write_tensor(cases, run.model.inputs[k].name, run.inputs[k]);
    for (std::size_t k = 0; k < run.parameters.size(); ++k)
      write_tensor(cases, run.model.parameters[k].name, run.parameters[k]);
    cases << "}, draws: [";
    for (const std::vector<Tensor>& step : run.draws) {
      cases << "{";
      for (std::size_t k = 0; k < step.size(); ++k)
        write_tensor(cases, run.model.draws[k].name, step[k]);
      cases << "},";
    }
    cases << "], next: {";
    for (const OnnxValue& p : run.model.parameters) cases << p.name << ": '" << p.next << "',";
    cases << "}},\n";
  }
  cases << "];\n";
  cases.close();
  REQUIRE(std::system(("node " + scripts + "run_onnx.mjs " + place + " " + (folder / "cases.mjs") +
                       " " + (folder / "results"))
                          .c_str()) == 0);

  std::vector<OnnxResult> results(runs.size());
  std::ifstream in(folder / "results");
  OnnxResult* now = nullptr;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string word, output;
    words >> word;
    if (word == "case") {
      std::size_t number = 0;
      words >> number;
      now = &results.at(number);
    } else if (word == "error") {
      now->error = line.substr(6);
    } else {
      words >> word >> output;
      std::vector<double> values;
      for (std::string value; words >> value;)
        values.push_back(value == "true"    ? 1
                         : value == "false" ? 0
                                            : std::strtod(value.c_str(), nullptr));
      if (values.size() == 1) now->scalars[output].push_back(values[0]);
      now->last[output] = values;
    }
  }
  return results;
}

}  // namespace cinch::testing
