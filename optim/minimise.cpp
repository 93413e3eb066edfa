#include "cinch/optim/minimise.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>
#include <string>

#include "cinch/core/compile/fault.hpp"
#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/optim/optimizer/caller.hpp"
#include "cinch/optim/optimizer/line_search.hpp"

namespace cinch {

namespace {

using Vector = std::vector<double>;

double dot_of(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double largest(const Vector& a) {
  double result = 0;
  for (const double x : a) result = std::max(result, std::abs(x));
  return result;
}
/// a <- a + factor b
void add(Vector& a, double factor, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += factor * b[i];
}
Vector minus(const Vector& a, const Vector& b) {
  Vector result = a;
  add(result, -1, b);
  return result;
}
bool all_finite(const Vector& a) {
  return std::ranges::all_of(a, [](double x) { return std::isfinite(x); });
}

void append(Vector& all, const Tensor& tensor) {
  dispatch_float(tensor.dtype(), [&]<class T> {
    const auto data = tensor.data<T>();
    all.insert(all.end(), data.begin(), data.end());
  });
}

struct Point {
  Vector x, gradient;
  double value = 0;
};

/// The function of the parameters, as one of a vector.
class Objective {
 public:
  Objective(std::string name, Function f, std::vector<Shared> params, std::vector<Tensor> arguments,
            const Evaluator& evaluator)
      : name_(std::move(name)),
        f_(std::move(f)),
        params_(std::move(params)),
        arguments_(std::move(arguments)) {
    require_valid();
    for (const Tensor& argument : arguments_) pointers_.push_back(&argument);
    if (evaluator) evaluation_ = evaluator(f_, params_, arguments_);
  }

  /// Of several processes; null where this one is alone.
  Evaluation* evaluation() const { return evaluation_.get(); }
  /// Whether Ctrl-C has come, to any process before the last evaluation if there are several.
  bool asked(const Interruption& own) const { return evaluation_ ? signal_ != 0 : own.asked(); }
  int signal(const Interruption& own) const { return evaluation_ ? signal_ : own.signal(); }
  void listen_to(const Interruption& interruption) { interruption_ = &interruption; }

  /// Where the parameters are.
  Point here() {
    Point p;
    for (const Shared& param : params_) append(p.x, param.value());
    ++evaluations_;
    if (evaluation_) {
      signal_ = interruption_->signal();
      evaluation_->evaluate(outputs_, signal_);
    } else {
      f_.call(pointers_, outputs_);
    }
    p.value = outputs_[0].item();
    for (std::size_t k = 1; k < outputs_.size(); ++k) append(p.gradient, outputs_[k]);
    return p;
  }
  /// The same after a step, which may have left the domain of an op that refuses where others give
  /// NaN, as logdet() does: NaN then.
  Point tried() {
    if (evaluation_) return here();  // Others may not have met what this process did.
    try {
      return here();
    } catch (const Error&) {
      constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
      Point p;
      p.value = unknown;
      for (const Shared& param : params_) append(p.x, param.value());
      p.gradient.assign(p.x.size(), unknown);
      return p;
    }
  }
  /// Moves the parameters to x, rounded to their dtypes.
  void move(const Vector& x) {
    std::size_t at = 0;
    for (Shared& param : params_) {
      const auto size = static_cast<std::size_t>(param.value().size());
      param.set(Tensor::from<double>(param.value().shape(), std::span(x).subspan(at, size))
                    .cast(param.dtype()));
      at += size;
    }
  }

  void require_finite(const Point& p) const {
    if (std::isfinite(p.value) && all_finite(p.gradient)) return;
    const compiling::Program& program = Inspect::program(f_);
    std::vector<Binding> bindings;
    for (std::size_t k = 0; k < arguments_.size(); ++k)
      bindings.emplace_back(program.inputs[k], arguments_[k]);
    const std::string what = text(name_, ": at the start the value is ", p.value,
                                  all_finite(p.gradient) ? "" : ", and the gradient is not finite");
    if (bindings.size() < program.inputs.size()) throw ValueError(what);  // Rows are in files.
    const compiling::Inquiry found = compiling::inquire(program.written, bindings);
    throw ValueError(text(what, "\n", found.fault ? found.fault->text : compiling::only_compiled));
  }

  double rounding() const {
    return 4 * (outputs_[0].dtype() == DType::float32 ? std::numeric_limits<float>::epsilon()
                                                      : std::numeric_limits<double>::epsilon());
  }
  std::int64_t evaluations() const { return evaluations_; }
  const std::string& name() const { return name_; }

 private:
  void require_valid() const {
    const compiling::Program& program = Inspect::program(f_);
    if (params_.empty()) throw ValueError(name_ + ": the list of parameters is empty");
    if (program.output_count != params_.size() + 1)
      throw TypeError(text(name_, ": the function must give the cost and ", params_.size(),
                           " gradients, it has ", program.output_count, " outputs"));
    if (!program.targets.empty())
      throw ValueError(text(name_, ": the function must change nothing, it updates ",
                            describe(program.targets[0]),
                            ": the value at a point must be one value"));
    const std::vector<Shared> read = shared_variables(program.written);
    for (std::size_t k = 0; k < params_.size(); ++k) {
      const Expr& g = program.written[k + 1];
      if (std::ranges::find(read, params_[k]) == read.end())
        throw TypeError(
            text(name_, ": the function does not read parameter ", describe(params_[k])));
      if (!is_float(params_[k].dtype()) || g.dtype() != params_[k].dtype() ||
          g.rank() != params_[k].rank())
        throw TypeError(text(name_, ": parameter ", describe(params_[k]), " is ",
                             text(params_[k].type()), ", its gradient is ", text(g.type())));
    }
    if (program.written[0].rank() != 0 || !is_float(program.written[0].dtype()))
      throw TypeError(
          text(name_, ": the cost must be a float scalar, got ", text(program.written[0].type())));
  }

  std::string name_;
  Function f_;
  std::vector<Shared> params_;
  std::vector<Tensor> arguments_;
  std::vector<const Tensor*> pointers_;
  std::vector<Tensor> outputs_;
  std::int64_t evaluations_ = 0;
  std::unique_ptr<Evaluation> evaluation_;
  const Interruption* interruption_ = nullptr;
  int signal_ = 0;  // That any process has got.
};

/// What Ctrl-C ends a search with.
struct Asked {};

/// How a method goes on from a step: a direction, and what it has learned.
struct Method {
  std::function<Vector(const Point&)> direction;
  std::function<void(const Point& before, const Point& after)> learn;
  std::function<void()> forget;  ///< From then on, for a while, steepest descent.
  bool unit_steps;               ///< Whether 1 is a good first guess of the step.
  optimizer::WolfeOptions wolfe;
};

struct Step {
  Point to;
  double length, slope;
};

/// The next point, by a line search along `d`; nothing where there is none lower.
std::optional<Step> step_along(Objective& f, const Point& from, const Vector& d, double slope,
                               double first, const optimizer::WolfeOptions& wolfe,
                               const Interruption& interruption) {
  Point trial;
  const auto along = [&](double length) {
    if (f.asked(interruption)) throw Asked();
    Vector x = from.x;
    add(x, length, d);
    f.move(x);
    trial = f.tried();
    return optimizer::LinePoint{length, trial.value, dot_of(trial.gradient, d)};
  };
  const auto found = line_search(along, from.value, slope, first, wolfe);
  if (!found || !all_finite(trial.gradient) || trial.x == from.x) return std::nullopt;
  return Step{std::move(trial), found->step, slope};
}

/// How far it has come, for who catches an exception.
struct Reached {
  Point now;
  std::int64_t iteration = 0;
};

MinimiseResult result_of(const Objective& f, const Reached& at, MinimiseResult::Stopped why) {
  return {why, at.now.value, largest(at.now.gradient), at.iteration, f.evaluations()};
}

MinimiseResult descend(Objective& f, Method& method, const MinimiseOptions& options,
                       const Interruption& interruption, Reached& at) {
  using Stopped = MinimiseResult::Stopped;
  auto& [now, iteration] = at;
  now = f.here();
  f.require_finite(now);
  method.wolfe.rounding = f.rounding();
  const auto result = [&](Stopped why) { return result_of(f, at, why); };
  double last_length = 0, last_slope = 0;  // 0: none, or forgotten.
  while (iteration < options.iterations) {
    if (largest(now.gradient) <= options.gradient_tolerance) return result(Stopped::gradient);
    std::optional<Step> step;
    for (int attempt = 0; attempt < 2 && !step; ++attempt) {
      Vector d = method.direction(now);
      double slope = dot_of(d, now.gradient);
      if (!(slope < 0) || !all_finite(d)) {
        method.forget();
        last_length = 0;
        d = method.direction(now);
        slope = dot_of(d, now.gradient);
      }
      double first = 1;
      if (last_length == 0) {
        double sum = 0;
        for (const double g : now.gradient) sum += std::abs(g);
        first = std::min(1.0, 1 / sum);
      } else if (!method.unit_steps) {
        first = last_length * last_slope / slope;  // As large a change as the last, to first order.
      }
      step = step_along(f, now, d, slope, first, method.wolfe, interruption);
      if (step) continue;
      f.move(now.x);
      if (last_length == 0) break;  // That was steepest descent.
      method.forget();
      last_length = 0;
    }
    if (!step) return result(Stopped::precision);
    ++iteration;
    last_length = step->length;
    last_slope = step->slope;
    method.learn(now, step->to);
    const double gained = now.value - step->to.value;
    const double scale = std::max(std::abs(now.value), std::abs(step->to.value));
    now = std::move(step->to);
    if (options.after_iteration)
      options.after_iteration({iteration, f.evaluations(), now.value, largest(now.gradient)});
    if (largest(now.gradient) <= options.gradient_tolerance) return result(Stopped::gradient);
    if (options.value_tolerance > 0 && gained <= options.value_tolerance * scale)
      return result(Stopped::value);
  }
  return result(Stopped::iterations);
}

MinimiseResult minimise(Objective f, Method method, const MinimiseOptions& options) {
  if (options.iterations < 0 || options.memory < 1)
    throw ValueError(text("minimise: iterations must not be negative and memory at least 1, got ",
                          options.iterations, " and ", options.memory));
  Reached at;
  auto interruption = std::make_optional<Interruption>();
  f.listen_to(*interruption);
  Evaluation* const others = f.evaluation();
  try {
    const MinimiseResult result = descend(f, method, options, *interruption, at);
    if (others) others->wait();  // Nobody ends before all have what they need of it.
    return result;
  } catch (const Asked&) {
    f.move(at.now.x);
  } catch (const std::exception& error) {
    if (others) others->fail(error.what());
    if (!at.now.x.empty()) f.move(at.now.x);
    throw;
  } catch (...) {
    if (others) others->fail("of an exception that is no std::exception");
    if (!at.now.x.empty()) f.move(at.now.x);
    throw;
  }
  const MinimiseResult result = result_of(f, at, MinimiseResult::Stopped::interrupted);
  const bool shows = !others || others->is_first();
  if (options.save && shows)
    options.save({result.iterations, result.evaluations, result.value, result.gradient});
  if (others) others->wait();
  const int signal = f.signal(*interruption);
  interruption.reset();
  AfterInterrupt after = options.after_interrupt;
  if (after == AfterInterrupt::as_shown)
    after = options.out ? AfterInterrupt::end_program : AfterInterrupt::give_back;
  end_interrupted(signal, after, shows ? options.out : nullptr,
                  text(f.name(), ": interrupted after iteration ", result.iterations, " (value ",
                       result.value, ", gradient ", result.gradient, ")",
                       options.save ? "; the parameters are saved"
                                    : "; the parameters are not saved: .save = ... writes them"));
  return result;
}

struct Pair {
  Vector s, y;
  double curvature;  // s y
};

Method lbfgs_method(std::size_t memory) {
  auto pairs = std::make_shared<std::deque<Pair>>();
  const auto direction = [pairs](const Point& p) {
    Vector q = p.gradient;
    Vector alpha(pairs->size());
    for (std::size_t k = pairs->size(); k-- > 0;) {
      const Pair& pair = (*pairs)[k];
      alpha[k] = dot_of(pair.s, q) / pair.curvature;
      add(q, -alpha[k], pair.y);
    }
    double scale = -1;
    if (!pairs->empty())
      scale = -pairs->back().curvature / dot_of(pairs->back().y, pairs->back().y);
    for (double& x : q) x *= scale;
    for (std::size_t k = 0; k < pairs->size(); ++k) {
      const Pair& pair = (*pairs)[k];
      add(q, -alpha[k] - dot_of(pair.y, q) / pair.curvature, pair.s);
    }
    return q;
  };
  const auto learn = [pairs, memory](const Point& before, const Point& after) {
    Pair pair{minus(after.x, before.x), minus(after.gradient, before.gradient), 0};
    pair.curvature = dot_of(pair.s, pair.y);
    // Rounding may hide curvature; without it the matrix would not stay positive.
    if (!(pair.curvature > std::numeric_limits<double>::epsilon() * dot_of(pair.y, pair.y))) return;
    pairs->push_back(std::move(pair));
    if (pairs->size() > memory) pairs->pop_front();
  };
  return {direction, learn, [pairs] { pairs->clear(); }, true, {}};
}

Method conjugate_gradient_method() {
  struct Memory {
    Vector direction;
    double beta = 0;
  };
  auto memory = std::make_shared<Memory>();
  const auto direction = [memory](const Point& p) {
    Vector d(p.gradient.size(), 0.0);
    add(d, -1, p.gradient);
    if (memory->beta > 0) add(d, memory->beta, memory->direction);
    return memory->direction = d;
  };
  const auto learn = [memory](const Point& before, const Point& after) {
    const double change =
        dot_of(after.gradient, after.gradient) - dot_of(after.gradient, before.gradient);
    memory->beta = std::max(0.0, change / dot_of(before.gradient, before.gradient));
  };
  // Directions stay conjugate as far as minima along them are exact. With 0.01 a quadratic function
  // takes as many steps as it has dimensions, with the usual 0.1 several times as many.
  return {direction, learn, [memory] { memory->beta = 0; }, false, {.curvature = 0.01}};
}

std::size_t memory_of(const MinimiseOptions& options) {
  return static_cast<std::size_t>(std::max<std::int64_t>(options.memory, 1));
}

}  // namespace

Function value_and_gradient(const Arg& cost, const std::vector<Shared>& params,
                            const std::vector<Expr>& inputs) {
  const Attribution as(cost.where());
  std::vector<Expr> outputs{cost};
  for (const Expr& g :
       optimizer::Caller("value_and_gradient", cost.where()).gradients(cost, params))
    outputs.push_back(g);
  return function({.inputs = inputs, .outputs = outputs, .name = "value and gradient"});
}

MinimiseResult lbfgs(const Function& f, const std::vector<Shared>& params,
                     const std::vector<Tensor>& arguments, const MinimiseOptions& options) {
  return minimise({"lbfgs", f, params, arguments, options.distribute},
                  lbfgs_method(memory_of(options)), options);
}

MinimiseResult lbfgs(const Arg& cost, const std::vector<Shared>& params,
                     const MinimiseOptions& options) {
  return lbfgs(value_and_gradient(cost, params), params, {}, options);
}

MinimiseResult conjugate_gradient(const Function& f, const std::vector<Shared>& params,
                                  const std::vector<Tensor>& arguments,
                                  const MinimiseOptions& options) {
  return minimise({"conjugate_gradient", f, params, arguments, options.distribute},
                  conjugate_gradient_method(), options);
}

MinimiseResult conjugate_gradient(const Arg& cost, const std::vector<Shared>& params,
                                  const MinimiseOptions& options) {
  return conjugate_gradient(value_and_gradient(cost, params), params, {}, options);
}

}  // namespace cinch
