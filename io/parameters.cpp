#include "cinch/io/parameters.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "cinch/core/labels.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/io/bytes.hpp"
#include "cinch/io/file.hpp"
#include "cinch/io/npy.hpp"
#include "cinch/io/safetensors.hpp"

namespace cinch {

namespace {

/// The variables, each once.
std::vector<Shared> variables_of(const Parameters& params) {
  std::vector<Shared> result;
  for (const Expr& param : params) {
    const Shared variable = as_shared(param);
    if (std::ranges::find(result, static_cast<const Expr&>(variable)) == result.end())
      result.push_back(variable);
  }
  return result;
}

Arrays read_arrays(const std::string& path) {
  using namespace std::string_view_literals;
  std::array<std::uint8_t, 9> start{};
  const auto bytes = open_bytes(path);
  if (bytes->remaining() == 0) bytes->fail("is empty");
  const auto count = std::min(static_cast<std::size_t>(bytes->remaining()), start.size());
  bytes->read(std::span(start).first(count), "the beginning");
  if (start[0] == 'P' && start[1] == 'K') return read_npz(path);
  if (start[8] == '{') return read_safetensors(path);
  bytes->fail("is neither a .npz nor a safetensors file: parameters are in one of those, by name");
}

/// What is wrong with a value for a variable; empty where it fits.
std::string fault_of(const Shared& variable, const Tensor& value) {
  if (!variable.takes(value))
    return text("is ", text(type_of(value)), " there, the variable is ", text(variable.type()));
  for (std::int64_t k = 0; is_float(value.dtype()) && k < value.size(); ++k)
    if (!std::isfinite(value.at(k))) return text("is ", value.at(k), " at element ", k, " there");
  return "";
}

}  // namespace

void save(const Parameters& params, const std::string& path) {
  const std::vector<Shared> variables = variables_of(params);
  const std::vector<std::string> names = names_in_files("save", variables);
  std::vector<std::pair<std::string, Tensor>> arrays;
  for (std::size_t k = 0; k < variables.size(); ++k)
    arrays.emplace_back(names[k], variables[k].get());
  if (path.ends_with(".npz")) {
    write_npz(path, arrays);
  } else if (path.ends_with(".safetensors")) {
    write_safetensors(path, arrays);
  } else {
    file_error(path, "cannot be written: save() writes files that end in .npz or .safetensors");
  }
}

void load(const Parameters& params, const std::string& path, const LoadOptions& options) {
  std::vector<Shared> variables = variables_of(params);
  const std::vector<std::string> names = names_in_files("load", variables);
  Arrays arrays = read_arrays(path);
  std::vector<std::string> faults;
  std::set<std::string_view> wanted(names.begin(), names.end());
  for (std::size_t k = 0; k < variables.size(); ++k) {
    const auto found = arrays.find(names[k]);
    const std::string fault = found == arrays.end()
                                  ? text("is missing: it is to be ", text(variables[k].type()))
                                  : fault_of(variables[k], found->second);
    if (!fault.empty()) faults.push_back(names[k] + " " + fault);
  }
  for (const auto& [name, array] : arrays) {
    if (!options.ignore_others && !wanted.contains(name))
      faults.push_back(text(name, " ", text(type_of(array)), " is no parameter of these"));
  }
  if (!faults.empty()) {
    std::string all;
    for (const std::string& fault : faults) all += "\n  " + fault;
    const bool others = std::ranges::any_of(
        faults, [](const std::string& f) { return f.ends_with("is no parameter of these"); });
    file_error(path, "does not fit the parameters, of which none was set:" + all +
                         (others ? "\n  load(params, path, {.ignore_others = true}) leaves out "
                                   "what the file has beyond them"
                                 : ""));
  }
  for (std::size_t k = 0; k < variables.size(); ++k)
    variables[k].set(std::move(arrays.at(names[k])));
}

}  // namespace cinch
