#include "cinch/optim/averages.hpp"

#include <algorithm>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

Substitutions Averages::givens() const {
  Substitutions result;
  for (std::size_t k = 0; k < params.size(); ++k) result.emplace_back(params[k], values[k]);
  return result;
}

Averages moving_averages(const Updates& updates, const std::vector<Shared>& params, double decay,
                         Source where) {
  const Attribution as(where);
  const optimizer::Caller caller("moving_averages", where);
  caller.require_parameters(params);
  caller.require(decay >= 0 && decay < 1, "decay", decay, "in [0, 1)");
  Averages result{params, {}, updates};
  for (std::size_t k = 0; k < params.size(); ++k) {
    const Shared& p = params[k];
    const auto update =
        std::ranges::find_if(updates, [&](const Update& u) { return bool(u.target == p); });
    if (update == updates.end())
      caller.refuse_value(text("no update changes ", describe(p), ": its average would be itself"));
    const auto same = std::ranges::count(params, p.label(), &Shared::label);
    const Shared average(
        p.get(), text("average/", p.label(), p.label().empty() || same > 1 ? text("#", k) : ""));
    result.updates.push_back({average, decay * average + (1 - decay) * update->value});
    result.values.push_back(average);
  }
  return result;
}

}  // namespace cinch
