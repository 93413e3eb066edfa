#include "cinch/optim/checkpoint.hpp"

#include "cinch/core/error.hpp"
#include "cinch/core/labels.hpp"

namespace cinch {

std::vector<Shared> targets(const Updates& updates) {
  std::vector<Shared> result;
  for (const Update& update : updates) result.push_back(update.target);
  return result;
}

std::vector<std::pair<std::string, Tensor>> checkpoint(const Updates& updates) {
  const std::vector<Shared> variables = targets(updates);
  const std::vector<std::string> names = names_in_files("checkpoint", variables);
  std::vector<std::pair<std::string, Tensor>> result;
  for (std::size_t k = 0; k < variables.size(); ++k)
    result.emplace_back(names[k], variables[k].get());
  return result;
}

void restore(const Updates& updates, const std::map<std::string, Tensor>& values) {
  std::vector<Shared> variables = targets(updates);
  const std::vector<std::string> names = names_in_files("restore", variables);
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
