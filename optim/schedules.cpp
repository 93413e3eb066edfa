#include "cinch/optim/schedules.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/optim/optimizer/caller.hpp"

namespace cinch {

Shared step_counter(std::string label, std::int64_t start, Source where) {
  return Shared(Tensor(start), std::move(label), where);
}

Update advance(const Shared& counter, Source where) {
  const optimizer::Caller caller("advance", where);
  if (!counter.has_value()) caller.refuse_type("the counter is an empty expression");
  if (counter.dtype() != DType::int64 || counter.rank() != 0)
    caller.refuse_type(text("the counter must be an int64 scalar, got ", text(counter.type()), "  ",
                            describe(counter)));
  const Attribution as(where);
  return {counter, counter + 1};
}

namespace schedule {

namespace {

using optimizer::Caller;

/// One call of a schedule: checks, and the step as a float64 that is not negative.
class Call : public Caller {
 public:
  Call(std::string_view name_of, const Arg& step)
      : Caller(name_of, step.where()), as_(step.where()) {
    if (!step.expr().has_value()) refuse_type("step is an empty expression");
    if (step->rank() != 0 || step->dtype() == DType::bool_)
      refuse_type(
          text("step must be a scalar, got ", text(step->type()), "  ", describe(step.expr())));
    t = maximum(cast(step, DType::float64), 0);
  }

  void require_rate(double rate, std::string_view what = "rate") const {
    require(rate >= 0 && std::isfinite(rate), what, rate, "finite and not negative");
  }
  void require_period(std::int64_t period, std::string_view what) const {
    require(period > 0, what, static_cast<double>(period), "positive");
  }

  Expr t;

 private:
  Attribution as_;
};

/// The rate `x` of the way, in [0, 1], from `from` to `last`.
Expr half_cosine(const Expr& x, const Arg& from, double last) {
  return last + (from - last) * (1 + cos(std::numbers::pi * x)) / 2;
}

Expr list(const std::vector<double>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return cinch::constant(Tensor::from<double>({count}, std::span(values)));
}

/// How many of the numbers, which ascend, are at most t.
Expr reached(const std::vector<double>& numbers, const Expr& t) { return sum(list(numbers) <= t); }

Expr by_milestones(const Call& call, const std::vector<std::int64_t>& milestones,
                   const std::vector<double>& rates) {
  for (std::size_t k = 1; k < milestones.size(); ++k) {
    if (milestones[k - 1] >= milestones[k])
      call.refuse_value(
          text("milestones must ascend, got ", milestones[k - 1], " before ", milestones[k]));
  }
  if (rates.size() != milestones.size() + 1)
    call.refuse_value(text(milestones.size(), " milestones need ", milestones.size() + 1,
                           " rates, got ", rates.size()));
  for (const double rate : rates) call.require_rate(rate);
  if (milestones.empty()) return cinch::constant(Tensor(rates[0]));
  return at(list(rates), reached({milestones.begin(), milestones.end()}, call.t));
}

Expr ramp(const Call& call, std::int64_t steps, double start) {
  call.require_period(steps, "steps");
  call.require(start >= 0 && start <= 1, "start", start, "in [0, 1]");
  const auto end = static_cast<double>(steps);
  return where(call.t < end, start + (1 - start) / end * call.t, 1);
}

}  // namespace

Expr constant(double rate, Source where) {
  Caller("schedule::constant", where)
      .require(rate >= 0 && std::isfinite(rate), "rate", rate, "finite and not negative");
  return cinch::constant(Tensor(rate), where);
}

Expr piecewise(const Arg& step, const std::vector<std::int64_t>& milestones,
               const std::vector<double>& rates) {
  return by_milestones(Call("schedule::piecewise", step), milestones, rates);
}

Expr milestones(const Arg& step, double rate, const std::vector<std::int64_t>& milestones,
                double factor) {
  const Call call("schedule::milestones", step);
  call.require_rate(factor, "factor");
  std::vector<double> rates;
  for (std::size_t k = 0; k <= milestones.size(); ++k)
    rates.push_back(rate * std::pow(factor, static_cast<double>(k)));
  return by_milestones(call, milestones, rates);
}

Expr stepwise(const Arg& step, double rate, double factor, std::int64_t every) {
  const Call call("schedule::stepwise", step);
  call.require_rate(rate);
  call.require_rate(factor, "factor");
  call.require_period(every, "every");
  return rate * pow(factor, floor(call.t / static_cast<double>(every)));
}

Expr exponential(const Arg& step, double rate, double factor, std::int64_t every) {
  const Call call("schedule::exponential", step);
  call.require_rate(rate);
  call.require_rate(factor, "factor");
  call.require_period(every, "every");
  return rate * pow(factor, call.t / static_cast<double>(every));
}

Expr inverse_time(const Arg& step, double rate, double decay, std::int64_t every) {
  const Call call("schedule::inverse_time", step);
  call.require_rate(rate);
  call.require_rate(decay, "decay");
  call.require_period(every, "every");
  return rate / (1 + decay * (call.t / static_cast<double>(every)));
}

Expr polynomial(const Arg& step, double rate, double last, std::int64_t steps, double power) {
  const Call call("schedule::polynomial", step);
  call.require_rate(rate);
  call.require_rate(last, "last");
  call.require_period(steps, "steps");
  call.require(power > 0 && std::isfinite(power), "power", power, "finite and positive");
  const Expr left = 1 - minimum(call.t / static_cast<double>(steps), 1);
  return last + (rate - last) * pow(left, power);
}

Expr cosine(const Arg& step, double rate, std::int64_t steps, double last) {
  const Call call("schedule::cosine", step);
  call.require_rate(rate);
  call.require_rate(last, "last");
  call.require_period(steps, "steps");
  return half_cosine(minimum(call.t / static_cast<double>(steps), 1), rate, last);
}

Expr cosine_restarts(const Arg& step, double rate, std::int64_t period, const Restarts& restarts) {
  const Call call("schedule::cosine_restarts", step);
  const auto& [multiplier, peak, last] = restarts;
  call.require_rate(rate);
  call.require_rate(last, "last");
  call.require_rate(peak, "peak");
  call.require_period(period, "period");
  call.require_period(multiplier, "multiplier");
  const auto length = static_cast<double>(period);
  Expr k, x;
  if (multiplier == 1) {
    k = floor(call.t / length);
    x = call.t / length - k;
  } else {
    // Periods grow so fast that all that start within 2^53 steps can be listed. A logarithm of t
    // would be off by one near the restarts, and the rate by everything.
    std::vector<double> starts, lengths;
    double start = 0, now = length;
    do {
      starts.push_back(start);
      lengths.push_back(now);
      start += now;
      now *= static_cast<double>(multiplier);
    } while (start < 0x1p53);
    const Expr index = reached(starts, call.t) - 1;
    k = cast(index, DType::float64);
    x = (call.t - at(list(starts), index)) / at(list(lengths), index);
  }
  return half_cosine(x, last + (rate - last) * pow(peak, k), last);
}

Expr warm_up(const Arg& step, std::int64_t steps, const Arg& rate, double start) {
  const Call call("schedule::warm_up", step);
  call.require_scalar(rate, "rate");
  return cast(rate, DType::float64) * ramp(call, steps, start);
}

Expr warm_up(const Arg& step, std::int64_t steps, const std::function<Expr(const Expr&)>& rate,
             double start) {
  const Call call("schedule::warm_up", step);
  const Expr factor = ramp(call, steps, start);
  const Expr later = rate(maximum(call.t - static_cast<double>(steps), 0));
  call.require_scalar(later, "rate");
  return cast(later, DType::float64) * factor;
}

}  // namespace schedule

}  // namespace cinch
