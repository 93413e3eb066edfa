#include "cinch/train/checks/not_finite.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cinch/core/compile/fault.hpp"
#include "cinch/core/compile/inspect.hpp"

namespace cinch::checks {

bool is_finite(const Tensor& value) {
  if (!is_float(value.dtype())) return true;
  return dispatch_float(value.dtype(), [&]<class T> {
    bool finite = true;
    for (const T x : value.data<T>()) finite &= std::abs(x) <= std::numeric_limits<T>::max();
    return finite;
  });
}

bool are_finite(std::span<const Tensor> values) { return std::ranges::all_of(values, is_finite); }

Snapshot::Snapshot(std::vector<Shared> variables) : variables_(std::move(variables)) {
  for (const Shared& variable : variables_)
    values_.emplace_back(variable.dtype(), variable.value().shape());
  finite_.resize(variables_.size());
  take();
}

void Snapshot::take() {
  for (std::size_t k = 0; k < variables_.size(); ++k) {
    std::memcpy(values_[k].raw(), variables_[k].value().raw(), values_[k].bytes());
    finite_[k] = is_finite(values_[k]);
  }
}

void Snapshot::put_back() const {
  for (std::size_t k = 0; k < variables_.size(); ++k) {
    Shared variable = variables_[k];
    variable.set(values_[k]);
  }
}

std::vector<Shared> Snapshot::spoiled() const {
  std::vector<Shared> result;
  for (std::size_t k = 0; k < variables_.size(); ++k) {
    if (finite_[k] && !is_finite(variables_[k].value())) result.push_back(variables_[k]);
  }
  return result;
}

namespace {

/// "loss is nan", of the first output or variable that is not finite.
std::string seen(std::span<const Tensor> outputs, const Snapshot& before) {
  const auto first = [](const Tensor& value) {
    std::int64_t i = 0;
    while (std::isfinite(value.at(i))) ++i;
    return value.at(i);
  };
  const auto shown = [](double x) { return std::isnan(x) ? std::string("nan") : text(x); };
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (!is_finite(outputs[k])) return text("output ", k, " is ", shown(first(outputs[k])));
  }
  const Shared variable = before.spoiled().front();
  return text(describe(variable), " has become ", shown(first(variable.value())));
}

}  // namespace

void explain_not_finite(
    const Function& f, std::int64_t first, std::int64_t last,
    const std::function<std::span<const Tensor* const>(std::int64_t)>& arguments,
    const Snapshot& before, const std::function<std::string(std::int64_t)>& what) {
  before.put_back();
  Snapshot earlier(before.variables());
  std::vector<Tensor> outputs;
  for (std::int64_t k = first; k < last; ++k) {
    earlier.take();
    const auto now = arguments(k);
    f.call(now, outputs);
    if (are_finite(outputs) && before.spoiled().empty()) continue;
    const std::string message = text(what(k), ": ", seen(outputs, before));
    earlier.put_back();
    const compiling::Program& program = Inspect::program(f);
    std::vector<Binding> bindings;
    for (std::size_t i = 0; i < now.size(); ++i) bindings.emplace_back(program.inputs[i], *now[i]);
    std::vector<bool> watched(program.output_count, true);
    for (const Shared& target : program.targets) watched.push_back(is_finite(target.value()));
    const compiling::Inquiry found =
        compiling::inquire(program.written, bindings, Watch::not_finite, watched);
    if (found.fault) throw ValueError(message + "\n" + found.fault->text);
    if (are_finite(found.values)) throw ValueError(text(message, "\n", compiling::only_compiled));
    throw ValueError(message + "\nAn infinity that was written as a number reaches it.");
  }
  throw ValueError(what(last - 1) +
                   ": a value was not finite, and all are when the steps are made again. A "
                   "variable was changed in between.");
}

}  // namespace cinch::checks
