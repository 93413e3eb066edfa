#include "audit/batch.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "core/function.hpp"

namespace cinch {

namespace {

/// Rows [from, to) of `x`, counted on from the first again after the last.
Tensor rows_of(const Tensor& x, std::int64_t from, std::int64_t to) {
  Shape shape = x.shape();
  const std::int64_t count = shape[0];
  shape[0] = to - from;
  Tensor result(x.dtype(), shape);
  const std::size_t row = x.bytes() / static_cast<std::size_t>(count);
  for (std::int64_t i = from; i < to; ++i) {
    std::memcpy(static_cast<std::byte*>(result.raw()) + static_cast<std::size_t>(i - from) * row,
                static_cast<const std::byte*>(x.raw()) + static_cast<std::size_t>(i % count) * row,
                row);
  }
  return result;
}

/// log of the ratio of the values over that of the numbers of examples.
std::optional<double> exponent(double more, double less, double factor) {
  const double ratio = more / less;
  if (!(ratio > 0) || !std::isfinite(ratio)) return {};
  return std::log(ratio) / std::log(factor);
}

}  // namespace

Batch find_batch(const checking::Probe& at, std::span<const Expr> chosen) {
  Batch result;
  std::map<std::int64_t, std::vector<std::size_t>> by_size;
  for (std::size_t k = at.parameters.size(); k < at.inputs.size(); ++k) {
    const Expr& e = at.originals[k];
    const bool candidate = chosen.empty() ? is_variable(e) && e.rank() > 0 && !e.dims()[0].known()
                                          : std::ranges::find(chosen, e) != chosen.end();
    if (candidate && at.values[k].rank() > 0) by_size[at.values[k].shape()[0]].push_back(k);
  }
  for (const Expr& e : chosen) {
    if (std::ranges::find(at.originals, e) == at.originals.end()) {
      throw TypeError("audit: the cost has no variable " + describe(e) + ", given as batch");
    }
  }
  if (!chosen.empty() && by_size.size() > 1) {
    throw TypeError("audit: variables given as batch hold different numbers of examples");
  }
  for (const auto& [size, inputs] : by_size) {
    if (size > 0 && inputs.size() >= result.inputs.size()) result = {size, inputs};
  }
  return result;
}

Growth growth(std::span<const Expr> terms, const checking::Probe& at, const Batch& batch) {
  Growth result;
  result.exponents.resize(terms.size());
  const std::int64_t n = batch.examples;
  if (n == 0) return result;
  const Function run = function(
      {.inputs = at.inputs, .outputs = {terms.begin(), terms.end()}, .allow_unused_inputs = true});
  const auto values = [&](std::int64_t from, std::int64_t to) {
    std::vector<Tensor> arguments = at.values;
    for (const std::size_t k : batch.inputs) arguments[k] = rows_of(at.values[k], from, to);
    return run(arguments);
  };
  const std::vector<Tensor> once = run(at.values);
  std::vector<Tensor> twice, first, second;
  try {
    twice = values(0, 2 * n);
    if (n > 1) first = values(0, n / 2);
    if (n > 1) second = values(n - n / 2, n);
  } catch (const Error& error) {
    result.error = error.what();
    return result;
  }
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const double value = once[t].item();
    const std::optional<double> up = exponent(twice[t].item(), value, 2);
    if (!up || n == 1) {
      result.exponents[t] = up;
      continue;
    }
    const double half = (first[t].item() + second[t].item()) / 2;
    const std::optional<double> down =
        exponent(value, half, static_cast<double>(n) / static_cast<double>(n / 2));
    // The same examples twice are exact for any term that is a sum over them; halves hold other
    // examples, so that a term which mixes them need not be proportional.
    if (down && std::abs(*down - *up) < 0.4) result.exponents[t] = up;
  }
  return result;
}

}  // namespace cinch
