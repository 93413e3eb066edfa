// Learning rates as formulas of a step counter.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

/// A count of steps: an int64 scalar to save with the parameters. It advances once a call of the
/// functions that are told so:
///
///     const Shared t = step_counter();
///     Updates updates = sgd(cost, params, schedule::cosine(t, 0.1, 10000));
///     updates.push_back(advance(t));
///
/// The first call sees `start`. A function that only reads it, to show the rate, leaves it alone.
Shared step_counter(std::string label = "step", std::int64_t start = 0,
                    Source where = Source::here());
/// counter <- counter + 1. Throws TypeError unless it is an int64 scalar.
Update advance(const Shared& counter, Source where = Source::here());

/// Rates as float64 scalars. t, the `step`, is any integer or float scalar: a counter, an epoch, an
/// input; below 0 it counts as 0. They multiply and add as any expressions do. All throw ValueError
/// for a rate that is negative or not finite and for a period that is not positive, TypeError for a
/// step that is no scalar.
namespace schedule {

/// `rate`, always.
Expr constant(double rate, Source where = Source::here());

/// rates[k] where k of the `milestones`, which ascend, have been reached (t >= milestone): one rate
/// more than milestones.
Expr piecewise(const Arg& step, const std::vector<std::int64_t>& milestones,
               const std::vector<double>& rates);
/// rate factor^k, with k as in piecewise().
Expr milestones(const Arg& step, double rate, const std::vector<std::int64_t>& milestones,
                double factor);
/// rate factor^floor(t / every)
Expr stepwise(const Arg& step, double rate, double factor, std::int64_t every);
/// rate factor^(t / every)
Expr exponential(const Arg& step, double rate, double factor, std::int64_t every = 1);
/// rate / (1 + decay t / every)
Expr inverse_time(const Arg& step, double rate, double decay, std::int64_t every = 1);
/// last + (rate - last) (1 - t / steps)^power, and `last` from t = steps on. `power` is positive.
Expr polynomial(const Arg& step, double rate, double last, std::int64_t steps, double power = 1);
/// last + (rate - last) (1 + cos(pi t / steps)) / 2, and `last` from t = steps on.
Expr cosine(const Arg& step, double rate, std::int64_t steps, double last = 0);

struct Restarts {
  std::int64_t multiplier = 1;  ///< Of the period, from each to the next; at least 1.
  double peak = 1;              ///< Factor of the first rate of each period; not negative.
  double last = 0;              ///< The rate that each period falls to.
};
/// cosine() again and again, in periods of `period` steps, period * multiplier, ...: Loshchilov and
/// Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017. Period k, from 0,
/// goes from last + (rate - last) peak^k towards `last`.
Expr cosine_restarts(const Arg& step, double rate, std::int64_t period,
                     const Restarts& restarts = {});

/// `rate`, any other schedule of the same step, times start + (1 - start) t / steps before
/// t = steps. `start` lies in [0, 1].
Expr warm_up(const Arg& step, std::int64_t steps, const Arg& rate, double start = 0);
/// The same, where `rate` begins when the warm-up ends: from start to 1 times rate(0), then
/// rate(t - steps).
Expr warm_up(const Arg& step, std::int64_t steps, const std::function<Expr(const Expr&)>& rate,
             double start = 0);

}  // namespace schedule

}  // namespace cinch
