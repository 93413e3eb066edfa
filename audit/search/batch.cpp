#include "cinch/audit/search/batch.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/ops/random.hpp"

namespace cinch::searching {

namespace {

/// What belongs to the examples [from, to) of `n`, counted on from the first again after the last,
/// where the size of `axis` is a multiple of n.
Tensor part_of(const Tensor& x, std::size_t axis, std::int64_t n, std::int64_t from,
               std::int64_t to) {
  Shape shape = x.shape();
  const std::int64_t count = shape[axis], block = count / n;
  shape[axis] = (to - from) * block;
  std::int64_t outer = 1;
  std::size_t inner = size_of(x.dtype());
  for (std::size_t k = 0; k < axis; ++k) outer *= shape[k];
  for (std::size_t k = axis + 1; k < shape.size(); ++k) inner *= static_cast<std::size_t>(shape[k]);
  Tensor result(x.dtype(), shape);
  auto* out = static_cast<std::byte*>(result.raw());
  const auto* in = static_cast<const std::byte*>(x.raw());
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = from * block; i < to * block; ++i) {
      std::memcpy(out, in + static_cast<std::size_t>(o * count + i % count) * inner, inner);
      out += inner;
    }
  }
  return result;
}

/// The terms with their random draws as inputs of their own: an example that comes again, or comes
/// without others, comes with the numbers that it drew before.
class Resampled {
 public:
  Resampled(std::span<const Expr> terms, const checking::Probe& at, const Batch& batch)
      : at_(at), batch_(batch) {
    std::vector<Expr> draws, inputs = at.inputs;
    Substitutions by_input;
    for (const Expr& node : topological(terms)) {
      if (&node.op() != &random_uniform_op && &node.op() != &random_normal_op) continue;
      draws.push_back(node);
      inputs.push_back(variable("draw", node.type(), node->where));
      by_input.emplace_back(node, inputs.back());
    }
    draw_ = function({.inputs = at.inputs, .outputs = draws, .allow_unused_inputs = true});
    run_ = function({.inputs = std::move(inputs),
                     .outputs = substitute(terms, by_input),
                     .allow_unused_inputs = true});
    drawn_ = draw_(at.values);
  }

  std::vector<Tensor> operator()(std::int64_t from, std::int64_t to) const {
    std::vector<Tensor> arguments = with_examples(at_, batch_, from, to);
    for (const Tensor& fresh : draw_(arguments)) {
      const Tensor& before = drawn_[arguments.size() - at_.inputs.size()];
      arguments.push_back(along(before, fresh, from, to));
    }
    return run_(arguments);
  }

 private:
  /// The draws of these examples, where axes that have another size than before hold examples.
  Tensor along(const Tensor& before, const Tensor& fresh, std::int64_t from,
               std::int64_t to) const {
    const std::int64_t n = batch_.examples;
    Tensor result = before;
    for (std::size_t axis = 0; axis < fresh.shape().size(); ++axis) {
      const std::int64_t had = before.shape()[axis], has = fresh.shape()[axis];
      if (had == has) continue;
      if (had % n != 0 || has != had / n * (to - from)) return fresh;
      result = part_of(result, axis, n, from, to);
    }
    return result;
  }

  const checking::Probe& at_;
  const Batch& batch_;
  Function draw_, run_;
  std::vector<Tensor> drawn_;
};

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

std::vector<Tensor> with_examples(const checking::Probe& at, const Batch& batch, std::int64_t from,
                                  std::int64_t to) {
  std::vector<Tensor> result = at.values;
  for (const std::size_t k : batch.inputs)
    result[k] = part_of(at.values[k], 0, batch.examples, from, to);
  return result;
}

Growth growth(std::span<const Expr> terms, const checking::Probe& at, const Batch& batch) {
  Growth result;
  result.exponents.resize(terms.size());
  result.mixes.resize(terms.size());
  const std::int64_t n = batch.examples;
  if (n == 0) return result;
  const Resampled values(terms, at, batch);
  const std::vector<Tensor> once = values(0, n);
  std::vector<Tensor> twice, first, second, rest;
  try {
    twice = values(0, 2 * n);
    if (n > 1) {
      first = values(0, n / 2);
      second = values(n - n / 2, n);
      rest = n % 2 ? values(n / 2, n) : second;
    }
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
    const double a = first[t].item(), b = second[t].item(), c = rest[t].item();
    const std::optional<double> down =
        exponent(value, (a + b) / 2, static_cast<double>(n) / static_cast<double>(n / 2));
    // The same examples twice are exact for any term that is a sum over them; halves hold other
    // examples, so that a term which mixes them need not be proportional.
    if (down && std::abs(*down - *up) < 0.4) result.exponents[t] = up;

    const double share = static_cast<double>(n / 2) / static_cast<double>(n);
    const double scale = std::max({std::abs(value), std::abs(a), std::abs(c)});
    const double noise = terms[t].dtype() == DType::float64 ? 1e-8 : 1e-3;
    const auto is = [&](double expected) { return std::abs(value - expected) <= noise * scale; };
    result.mixes[t] = !is(a + c) && !is(share * a + (1 - share) * c);
  }
  return result;
}

}  // namespace cinch::searching
