#include "cinch/optim/checkpoint.hpp"

#include <algorithm>
#include <set>

namespace cinch {

namespace {

/// The variables' labels, which must differ. The counters of several calls of one optimizer are
/// numbered in the order of the updates: no user could label them.
std::vector<std::string> names_of(std::string_view caller, const std::vector<Shared>& variables) {
  std::set<std::string> seen;
  std::vector<std::string> names;
  for (const Shared& variable : variables) {
    names.push_back(variable.label());
    if (variable.rank() == 0 && variable.dtype() == DType::int64 && !variable.label().empty()) {
      for (int k = 2; !seen.insert(names.back()).second; ++k)
        names.back() = text(variable.label(), '#', k);
      continue;
    }
    if (variable.label().empty())
      throw ValueError(text(caller, ": a variable (", text(variable.type()), ", made at ",
                            variable->where.text(), ") has no label: give it one"));
    if (seen.insert(variable.label()).second) continue;
    const auto first = std::ranges::find_if(
        variables, [&](const Shared& other) { return other.label() == variable.label(); });
    throw ValueError(text(caller, ": two variables are labelled ", variable.label(), "\n  made at ",
                          (*first)->where.text(), "\n  made at ", variable->where.text(),
                          "\n  Give them different labels: Shared(value, \"W2\"), or for a layer ",
                          "dense(..., {.W = \"W2\", .b = \"b2\"})."));
  }
  return names;
}

}  // namespace

std::vector<Shared> targets(const Updates& updates) {
  std::vector<Shared> result;
  for (const Update& update : updates) result.push_back(update.target);
  return result;
}

std::vector<std::pair<std::string, Tensor>> checkpoint(const Updates& updates) {
  const std::vector<Shared> variables = targets(updates);
  const std::vector<std::string> names = names_of("checkpoint", variables);
  std::vector<std::pair<std::string, Tensor>> result;
  for (std::size_t k = 0; k < variables.size(); ++k)
    result.emplace_back(names[k], variables[k].get());
  return result;
}

void restore(const Updates& updates, const std::map<std::string, Tensor>& values) {
  std::vector<Shared> variables = targets(updates);
  const std::vector<std::string> names = names_of("restore", variables);
  std::vector<Tensor> found;  // Copied before any is set: what may throw comes first.
  for (std::size_t k = 0; k < variables.size(); ++k) {
    const Shared& variable = variables[k];
    const auto entry = values.find(names[k]);
    if (entry == values.end())
      throw ValueError(
          text("restore: there is no value for ", names[k], " (", text(variable.type()), ")"));
    const Tensor& value = entry->second;
    if (!variable.takes(value))
      throw TypeError(text("restore: ", variable.label(), " is ", text(variable.type()),
                           ", the value is ", text(type_of(value))));
    found.push_back(value);
  }
  for (std::size_t k = 0; k < variables.size(); ++k) variables[k].set(std::move(found[k]));
}

}  // namespace cinch
