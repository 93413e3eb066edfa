#include "cinch/core/labels.hpp"

#include <set>

#include "cinch/core/error.hpp"

namespace cinch {

std::vector<std::string> names_in_files(std::string_view function,
                                        const std::vector<Shared>& variables) {
  std::set<std::string> labels, given;
  for (const Shared& variable : variables) {
    if (variable.label().empty())
      throw ValueError(text(function, ": a variable (", text(variable.type()), ", made at ",
                            variable->where.text(), ") has no label: give it one"));
    labels.insert(variable.label());
  }
  std::vector<std::string> names;
  for (const Shared& variable : variables) {
    std::string name = variable.label();
    for (int k = 2; !given.insert(name).second; ++k) {
      // The counters of several calls of one optimizer, which no user could label.
      const bool counter = variable.rank() == 0 && variable.dtype() == DType::int64;
      name = text(variable.label(), counter ? '#' : '_', k);
      if (labels.contains(name)) name = variable.label();
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace cinch
