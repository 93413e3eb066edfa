#include "cinch/core/check_grad.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <ostream>
#include <random>
#include <sstream>
#include <string>

#include "cinch/core/check/probe.hpp"
#include "cinch/core/check/slope.hpp"
#include "cinch/core/columns.hpp"
#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch {

namespace {

std::span<const double> elements(const Tensor& x) { return x.data<double>(); }

/// How far elements are moved, relative to a step of 1. A derivative does not depend on it, but
/// finite differences do: a step has to fit all elements that move together.
enum class Scale {
  parameter,  ///< Of a parameter, all alike: by its root mean square.
  element,    ///< Each by its own size.
};

double typical(std::span<const double> x) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  const double result =
      std::sqrt(squares / static_cast<double>(std::max<std::size_t>(x.size(), 1)));
  return result > 0 && std::isfinite(result) ? result : 1;
}

double scale_of(double element, double rms, Scale scale) {
  return scale == Scale::element && element != 0 ? std::abs(element) : rms;
}

/// A tensor for each parameter that moves.
using Direction = std::vector<std::optional<Tensor>>;

Tensor random_direction(const Tensor& x, Scale scale, std::mt19937& random) {
  Tensor result(DType::float64, x.shape());
  std::normal_distribution<double> normal;
  const double rms = typical(elements(x));
  const std::span<double> out = result.data<double>();
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = normal(random) * scale_of(elements(x)[i], rms, scale);
  }
  return result;
}

/// How long a check takes: signs of life, and an end.
class Effort {
 public:
  Effort(std::FILE* out, std::string title) : out_(out), title_(std::move(title)) {}

  /// What is being done, for the lines.
  void begin(std::string what) { what_ = std::move(what); }
  /// From now on there are so many seconds.
  void limit(double seconds) { end_ = elapsed() + seconds; }
  bool is_over() const { return elapsed() > end_; }
  void count() {
    ++evaluations_;
    const double now = elapsed();
    if (!out_ || now < next_line_) return;
    next_line_ = now + interval;
    std::fprintf(out_, "%s: %s, %.0f s, %lld values so far\n", title_.c_str(), what_.c_str(), now,
                 static_cast<long long>(evaluations_));
    std::fflush(out_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double interval = 3;

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  std::FILE* out_;
  std::string title_, what_;
  Clock::time_point start_ = Clock::now();
  double next_line_ = interval, end_ = std::numeric_limits<double>::infinity();
  std::int64_t evaluations_ = 0;
};

/// One order of derivative: a function of the parameters and its gradient.
class Comparison {
 public:
  /// `cost_size` is |cost|, of which `f` is a derivative; `scale` the largest derivative of lower
  /// order, or that if it is larger. `higher`: f is not the cost itself.
  Comparison(const Expr& f, const std::vector<Expr>& gradient, const checking::Probe& at,
             double tolerance, double cost_size, double scale, bool higher, Effort& effort)
      : at_(at),
        tolerance_(tolerance),
        cost_size_(cost_size),
        scale_(scale),
        higher_(higher),
        effort_(effort) {
    value_ = function({.inputs = at.inputs, .outputs = {f}, .allow_unused_inputs = true});
    const Function slopes =
        function({.inputs = at.inputs, .outputs = gradient, .allow_unused_inputs = true});
    gradient_ = slopes(at.values);
  }

  std::span<const double> gradient(std::size_t parameter) const {
    return elements(gradient_[parameter]);
  }

  Derivative along(const Direction& direction) const {
    double analytic = 0, squares = 0;
    for (std::size_t k = 0; k < direction.size(); ++k) {
      if (!direction[k]) continue;
      const std::span<const double> d = elements(*direction[k]);
      for (std::size_t i = 0; i < d.size(); ++i) {
        if (d[i] == 0) continue;  // Keeps an element still, whatever its derivative is.
        const double part = gradient(k)[i] * d[i];
        analytic += part;
        squares += part * part;
      }
    }
    return judged(analytic, std::sqrt(squares), moving(direction));
  }

  /// Whether the function does not change by a bit where the parameters change by their last
  /// digits.
  bool is_flat(const Direction& direction) const {
    const auto f = moving(direction);
    const double here = f(0);
    return f(0x1p-20) == here && f(-0x1p-20) == here;
  }

  /// By element `i` of one parameter.
  Derivative by_entry(std::size_t parameter, std::size_t i) const {
    std::vector<const Tensor*> arguments;
    for (const Tensor& value : at_.values) arguments.push_back(&value);
    Tensor there = at_.values[parameter];
    arguments[parameter] = &there;
    const std::span<const double> x = elements(at_.values[parameter]);
    const double step = scale_of(x[i], typical(x), Scale::element);
    const double analytic = gradient(parameter)[i] * step;
    Derivative result = judged(analytic, std::abs(analytic), [&](double by) {
      there.data<double>()[i] = x[i] + by * step;
      return value(arguments);
    });
    result.analytic /= step;
    result.numeric /= step;
    result.error /= step;
    return result;
  }

 private:
  /// The function along a line through the point.
  std::function<double(double)> moving(const Direction& direction) const {
    return [this, &direction, there = Direction(direction.size())](double by) mutable {
      std::vector<const Tensor*> arguments;
      for (const Tensor& value : at_.values) arguments.push_back(&value);
      for (std::size_t k = 0; k < direction.size(); ++k) {
        if (!direction[k]) continue;
        if (!there[k]) there[k] = at_.values[k];
        arguments[k] = &*there[k];
        const std::span<const double> x = elements(at_.values[k]), d = elements(*direction[k]);
        const std::span<double> moved = there[k]->data<double>();
        for (std::size_t i = 0; i < moved.size(); ++i) moved[i] = x[i] + by * d[i];
      }
      return value(arguments);
    };
  }

  double value(std::span<const Tensor* const> arguments) const {
    effort_.count();
    try {
      value_.call(arguments, outputs_);
    } catch (const Error&) {
      // The step leaves the domain of an op that refuses where others give NaN, as logdet() does.
      return std::numeric_limits<double>::quiet_NaN();
    }
    return outputs_[0].item();
  }

  template <class F>
  Derivative judged(double analytic, double size, const F& f) const {
    const checking::Slope slope =
        checking::slope_at_zero(f, tolerance_ * size / 10, [this] { return effort_.is_over(); });
    Derivative result{analytic, slope.value, slope.error};
    // A cost that changes by less than its eighth digit where parameters change by their own size
    // is flat, and any small derivative will do. Otherwise some digits have to be seen.
    constexpr double smallest = 1e-290;  // Digits are lost near the end of the range.
    const double whole = std::max(slope.size, cost_size_);
    const double seen =
        std::max({1e-5 * size, 1e-5 * std::abs(slope.value), 1e-8 * whole, smallest});
    // Where only the smallest steps can be used, as at a kink, what is seen to be flat need not be.
    // A derivative may be a staircase, flat between steps that are no rounding: it does not change
    // by a bit where the smallest slope that counts would.
    const bool on_a_step = higher_ && slope.still >= 0x1p-20 && slope.jump >= 1e-6 * slope.size;
    const bool seen_flat =
        slope.flat && (on_a_step || slope.error <= std::max(1e-6 * whole, smallest));
    // What is 0 throughout says nothing of the size of the terms that cancel.
    const bool both_flat = seen_flat && std::abs(analytic) <= 1e-12 * (whole > 0 ? whole : 1);
    result.decided =
        std::isfinite(analytic) && std::isfinite(slope.error) && (slope.error <= seen || both_flat);
    if (!result.decided && stands_still(f) && std::abs(analytic) <= left_ * scale_) {
      result.decided = true;
      result.numeric = 0;
      result.error = left_ * scale_;
    }
    const double difference = std::abs(analytic - result.numeric);
    if (difference > 0 || !result.decided) {
      // Where both are flat, the numeric slope is nothing but noise.
      const double noise =
          both_flat ? std::max(std::abs(slope.value), whole > 0 ? 0 : difference) : 0;
      const double error = result.error + noise + rounding_ * scale_;
      result.excess = difference / (size + error / tolerance_);
      if (result.decided && result.excess > tolerance_) {
        result.excess = difference / (size + (error + left_by_terms_ * nearby(f)) / tolerance_);
      }
      if (result.decided && result.excess > tolerance_ && agrees_closer(analytic, difference, f))
        result.decided = false;
    }
    return result;
  }

  /// Whether smaller steps show the analytic slope after all: a staircase whose steps are as wide
  /// as those of the differences looks straight to them.
  template <class F>
  bool agrees_closer(double analytic, double difference, const F& f) const {
    constexpr double closer = 1. / 37;
    const checking::Slope slope =
        checking::slope_at_zero([&](double by) { return f(by * closer); },
                                closer * difference / 100, [this] { return effort_.is_over(); });
    const auto close = [&](double found) { return std::abs(found - analytic) < difference / 10; };
    // Between two of its steps it does not move by a bit where it would by thousands.
    const double seen = 1e4 * std::numeric_limits<double>::epsilon() * slope.size;
    if (difference * closer * slope.still > seen) return close(0);
    return slope.error / closer < difference / 10 && close(slope.value / closer);
  }

  /// Whether all that `f`, a derivative itself, moves by is what rounding has left of derivatives
  /// of lower order, as the second derivative of a determinant of two rows, which is constant.
  template <class F>
  bool stands_still(const F& f) const {
    const double here = f(0);
    const auto moves = [&](double by) { return std::abs(f(by) - here); };
    return higher_ && std::max({moves(0x1p-6), moves(-0x1p-6), moves(0x1p-3)}) <= left_ * scale_;
  }

  /// How far `f` moves within an eighth of the step. Where its derivative is 0, as that of a
  /// determinant at a matrix of much lower rank, the gradient is what is left of terms that cancel,
  /// and these are of the size that the cost has nearby.
  template <class F>
  static double nearby(const F& f) {
    const double here = f(0), up = std::abs(f(0x1p-3) - here), down = std::abs(f(-0x1p-3) - here);
    return std::isfinite(up + down) ? std::max(up, down) : 0;
  }

  /// What rounding leaves of derivatives, relative to those of lower order: in a formula, and in
  /// what it moves by; and relative to the terms that cancel.
  static constexpr double rounding_ = 1e-14, left_ = 1e-11, left_by_terms_ = 1e-13;

  const checking::Probe& at_;
  double tolerance_, cost_size_, scale_;
  bool higher_;
  Effort& effort_;
  Function value_;
  std::vector<Tensor> gradient_;
  mutable std::vector<Tensor> outputs_;
};

/// A gradient that is not finite is wrong whatever the differences are.
bool counts(const Derivative& d) { return d.decided || !std::isfinite(d.analytic); }

/// For putting the worst first; a NaN is worse than anything.
double badness(const Derivative& d) {
  return std::isnan(d.excess) ? std::numeric_limits<double>::infinity() : d.excess;
}

Shape index_of(std::int64_t element, const Shape& shape) {
  Shape result(shape.size());
  for (std::size_t k = shape.size(); k-- > 0;) {
    result[k] = element % shape[k];
    element /= shape[k];
  }
  return result;
}

/// An element whose derivative is wrong, by moving halves, then halves of the worse half.
std::size_t search_entry(const Comparison& compare, const checking::Probe& at,
                         std::size_t parameter, std::mt19937& random) {
  std::size_t low = 0, high = elements(at.values[parameter]).size();
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    const Tensor whole = random_direction(at.values[parameter], Scale::element, random);
    const auto half = [&](std::size_t from, std::size_t to) {
      Direction direction(at.parameters.size());
      direction[parameter] = whole;
      const std::span<double> d = direction[parameter]->data<double>();
      for (std::size_t i = 0; i < d.size(); ++i) d[i] = i < from || i >= to ? 0 : d[i];
      return badness(compare.along(direction));
    };
    (half(low, middle) >= half(middle, high) ? high : low) = middle;
  }
  return low;
}

/// Moves each parameter alone, and the worst one entry by entry, where it is wrong.
void locate(OrderCheck& check, const Comparison& compare, const checking::Probe& at,
            const GradCheckOptions& options, std::mt19937& random, Effort& effort) {
  effort.limit(options.seconds);
  std::size_t worst = 0;
  for (std::size_t k = 0; k < at.parameters.size(); ++k) {
    Direction direction(at.parameters.size());
    direction[k] = random_direction(at.values[k], Scale::element, random);
    check.parameters.emplace_back(describe(at.parameters[k]), compare.along(direction));
    if (badness(check.parameters[k].second) > badness(check.parameters[worst].second)) worst = k;
  }
  const Derivative& by_worst = check.parameters[worst].second;
  if (!counts(by_worst) || effort.is_over()) return;
  std::vector<std::size_t> tried(elements(at.values[worst]).size());
  std::iota(tried.begin(), tried.end(), std::size_t{0});
  if (tried.size() > static_cast<std::size_t>(std::max(options.entries, 1))) {
    const std::size_t found = search_entry(compare, at, worst, random);
    std::ranges::shuffle(tried, random);
    tried.resize(static_cast<std::size_t>(std::max(options.entries, 1)));
    const auto there = std::ranges::find(tried, found);
    if (there == tried.end()) tried.back() = found;
    std::swap(there == tried.end() ? tried.back() : *there, tried.front());
  }
  for (const std::size_t i : tried) {
    if (!check.entries.empty() && effort.is_over()) break;
    check.entries.push_back({check.parameters[worst].first,
                             index_of(static_cast<std::int64_t>(i), at.values[worst].shape()),
                             compare.by_entry(worst, i)});
  }
  std::ranges::stable_sort(check.entries, std::greater<>(),
                           [](const GradEntry& e) { return badness(e.by); });
}

std::string digits(double x, int precision = 10) {
  if (std::isnan(x)) return "nan";  // Whatever its sign.
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.precision(precision);
  out << x;
  return out.str();
}

std::string line(const Derivative& d) {
  return text("analytic ", digits(d.analytic), ", numeric ", digits(d.numeric), " +- ",
              digits(d.error, 1), ", difference ", digits(d.analytic - d.numeric, 3));
}

std::string index_text(const GradEntry& entry) {
  std::string result = entry.parameter;
  for (std::size_t k = 0; k < entry.index.size(); ++k) {
    result += (k ? ", " : "[") + std::to_string(entry.index[k]);
  }
  return result + (entry.index.empty() ? "" : "]");
}

bool undecided(const OrderCheck& check) {
  return !check.along.empty() && std::ranges::none_of(check.along, counts);
}

Verdict verdict_of(const OrderCheck& check, double tolerance) {
  const auto wrong = [&](const Derivative& d) { return counts(d) && !(d.excess <= tolerance); };
  const auto alone = [&](const auto& parameter) { return wrong(parameter.second); };
  if (std::ranges::any_of(check.along, wrong) || std::ranges::any_of(check.parameters, alone))
    return Verdict::wrong;
  return undecided(check) ? Verdict::undecided : Verdict::agrees;
}

constexpr std::string_view where_nothing_is_told =
    "finite differences tell nothing here, where the cost has a kink or a jump, or is nothing but "
    "rounding";

std::string report_of(const OrderCheck& check, Verdict verdict, const GradCheckOptions& options) {
  const auto worst = std::ranges::max_element(check.along, {}, badness);
  std::string result = text("order ", check.order,
                            verdict == Verdict::agrees      ? ": agrees"
                            : verdict == Verdict::undecided ? ": undecided"
                                                            : ": FAILS");
  result += "\n  " + line(*worst) + "\n";
  if (verdict == Verdict::agrees) {
    const auto skipped = std::ranges::count(check.along, false, &Derivative::decided);
    if (skipped > 0) {
      result += text("  Skipped ", skipped, " of ", check.along.size(),
                     " directions: ", where_nothing_is_told, ".\n");
    }
    return result;
  }
  if (!std::isfinite(worst->analytic)) {
    result += "  The gradient is not finite here.\n";
  } else if (verdict == Verdict::undecided) {
    result += text("  Skipped: ", where_nothing_is_told, ".\n  Check at other values.\n");
  }
  for (const auto& [name, d] : check.parameters) {
    result += text("  ", name, " alone: ", counts(d) ? line(d) : "skipped, undecided", "\n");
  }
  if (check.entries.empty()) return result;
  const auto shown = std::min<std::size_t>(check.entries.size(),
                                           static_cast<std::size_t>(std::max(options.shown, 1)));
  result += text("  The worst entries of ", check.entries[0].parameter, ", of ",
                 check.entries.size(), " tried:\n");
  for (const GradEntry& entry : std::span(check.entries).first(shown)) {
    result += text("    ", index_text(entry), ": ", line(entry.by), "\n");
  }
  return result;
}

/// Nodes of the cost that keep their value, and those of them whose gradient the user gives.
struct Held {
  std::vector<Expr> nodes, given;
};

Held held_in(const checking::Probe& at, const std::vector<Expr>& constants,
             const GradCheckOptions& options) {
  const Expr& cost = at.roots[0];
  Held result;
  for (const Expr& node : topological(std::span(&cost, 1))) {
    const bool is_parameter = std::ranges::find(at.parameters, node) != at.parameters.end();
    const bool is_constant = std::ranges::find(constants, node) != constants.end();
    if (is_parameter || !is_float(node.dtype())) continue;
    const bool given = options.hold_given && node.op().given && !is_constant;
    if (given) result.given.push_back(node);
    if (given || is_constant || (options.hold_stopped && &node.op() == &stop_gradient_op))
      result.nodes.push_back(node);
  }
  return result;
}

/// The cost with inputs, added to the probe with the values of this point, in place of nodes.
Expr hold(checking::Probe& at, const std::vector<Expr>& held) {
  const Expr& cost = at.roots[0];
  if (held.empty()) return cost;
  const std::vector<Tensor> values =
      function({.inputs = at.inputs, .outputs = held, .allow_unused_inputs = true})(at.values);
  Substitutions by_value;
  for (std::size_t k = 0; k < held.size(); ++k) {
    const Expr input = variable(describe(held[k]), held[k].type(), held[k]->where);
    by_value.emplace_back(held[k], input);
    at.inputs.push_back(input);
    at.originals.push_back(held[k]);
    at.values.push_back(values[k]);
  }
  return substitute(std::span(&cost, 1), by_value)[0];
}

std::string with_line(const Expr& node) { return describe(node) + "  at " + node->where.text(); }

/// The gradient that `node` has by a rule, and the slope of its value where the inputs move and all
/// else stays.
GivenGradient beside_own_slope(const Expr& node, const checking::Probe& at, double tolerance,
                               std::mt19937& random, Effort& effort) {
  std::vector<Expr> inputs;
  for (std::size_t k = 0; k < node.inputs().size(); ++k)
    if (node.op().given(node, k)) inputs.push_back(node.inputs()[k]);
  std::vector<Expr> known = inputs;
  known.push_back(node);
  const std::vector<Tensor> values =
      function({.inputs = at.inputs, .outputs = known, .allow_unused_inputs = true})(at.values);
  const Expr cotangent = constant(random_direction(values.back(), Scale::parameter, random));
  checking::Probe here;
  Substitutions moving;
  Direction direction;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    here.inputs.push_back(variable(describe(inputs[k]), inputs[k].type()));
    here.values.push_back(values[k]);
    moving.emplace_back(inputs[k], here.inputs.back());
    direction.emplace_back(random_direction(values[k], Scale::parameter, random));
  }
  here.parameters = here.inputs;
  here.inputs.insert(here.inputs.end(), at.inputs.begin(), at.inputs.end());
  here.values.insert(here.values.end(), at.values.begin(), at.values.end());
  const Expr value = substitute(std::span(&node.inputs()[0], 1), moving)[0];
  const Expr f = sum_like(value * cotangent, cast(Arg(0.0), DType::float64));
  std::vector<Expr> gradient;
  const Grads by_rule = node.op().grad(node.inputs(), node, cotangent);
  for (std::size_t k = 0; k < by_rule.size(); ++k)
    if (by_rule[k].has_value()) gradient.push_back(cast(by_rule[k], DType::float64));
  const double size = std::abs(
      function({.inputs = here.inputs, .outputs = {f}, .allow_unused_inputs = true})(here.values)[0]
          .item());
  effort.begin(text("the rule of ", describe(node)));
  GivenGradient result{with_line(node), {}};
  const Comparison compare(f, gradient, here, tolerance, size, size, /*higher=*/false, effort);
  result.by = compare.along(direction);
  // Values are often staircases, which are flat between steps that differences may meet.
  if (!counts(result.by) && compare.is_flat(direction)) {
    result.by.decided = true;
    result.by.numeric = 0;
    result.by.excess = std::abs(result.by.analytic) > 0 ? 1 : 0;
  }
  result.same = counts(result.by) && result.by.excess <= tolerance;
  return result;
}

std::string line(const GivenGradient& given) {
  return text("given: ", given.what, ", by the rule ", digits(given.by.analytic, 6),
              given.same          ? ", as is the value's own slope"
              : !counts(given.by) ? ", the value's own slope is not told here"
                                  : text(", the value's own slope ", digits(given.by.numeric, 6)),
              "\n");
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradCheck& check) {
  constexpr int width = 80;
  std::istringstream lines(check.title +
                           (check.verdict == Verdict::agrees ? ": gradients agree"
                            : check.verdict == Verdict::undecided
                                ? ": undecided here, neither right nor wrong"
                                : ": gradients are wrong") +
                           "\n" + check.report);
  for (std::string line; std::getline(lines, line);) {
    // What is folded stands below its line, further in than the lines that it may be followed by.
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    out << folded(line, width, static_cast<int>(indent) + 4) << "\n";
  }
  return out;
}

GradCheck check_grad(const Arg& cost, const Parameters& wrt, const std::vector<Binding>& at,
                     const GradCheckOptions& options) {
  const Attribution as(cost.where());
  if (!is_float(cost->dtype()) || cost->rank() != 0) {
    refuse("check_grad", "the cost must be a float scalar\n  Take sum() or mean() of it.", cost);
  }
  if (options.order < 1 || options.directions < 1 || !(options.tolerance > 0)) {
    throw ValueError(
        text("check_grad: order and directions must be at least 1 and tolerance "
             "positive; they are ",
             options.order, ", ", options.directions, " and ", options.tolerance));
  }
  if (wrt.all().empty()) refuse("check_grad", "no parameters are given", cost);
  std::vector<Expr> roots = graphs::showing(std::span(&cost.expr(), 1), options.consider_constant);
  const std::vector<Expr> order_of_nodes = topological(roots);
  for (const Expr& e : options.consider_constant) {
    if (std::ranges::find(order_of_nodes, e) != order_of_nodes.end()) roots.push_back(e);
  }
  checking::Probe at_point = checking::probe(roots, wrt, at, /*in_float64=*/true, "check_grad");
  const std::vector<Expr>& parameters = at_point.parameters;
  const std::vector<Expr> constants(at_point.roots.begin() + 1, at_point.roots.end());
  const Expr written = at_point.roots[0];

  std::mt19937 random(options.seed);
  GradCheck result;
  result.title = options.title;
  const Held kept = held_in(at_point, constants, options);
  const checking::Probe as_given = at_point;
  const Expr held = hold(at_point, kept.nodes);
  for (const Expr& node : kept.nodes) {
    if (std::ranges::find(kept.given, node) != kept.given.end()) continue;
    result.held.push_back(with_line(node));
    result.report += "held: " + result.held.back() + "\n";
  }
  Expr f = held;
  const double cost_size =
      std::abs(function({.inputs = at_point.inputs, .outputs = {f}, .allow_unused_inputs = true})(
                   at_point.values)[0]
                   .item());
  double scale = cost_size;
  Effort effort(options.progress, options.title);
  std::vector<Expr> stopped = constants;
  Disconnected disconnected = options.disconnected;
  if (!kept.given.empty()) {
    // What depends on a parameter by a rule alone does depend on it.
    grad(written, parameters, {.consider_constant = constants, .disconnected = disconnected});
    disconnected = Disconnected::zero;
    stopped.insert(stopped.end(), kept.given.begin(), kept.given.end());
    std::mt19937 apart(options.seed);  // The directions of the rest are as they are without.
    for (const Expr& node : kept.given) {
      result.given.push_back(beside_own_slope(node, as_given, options.tolerance, apart, effort));
      result.report += line(result.given.back());
    }
  }
  for (int order = 1; order <= options.order; ++order) {
    const std::vector<Expr> gradient =
        order == 1 ? grad(written, parameters,
                          {.consider_constant = stopped, .disconnected = disconnected})
                   : grad(f, parameters, {.disconnected = Disconnected::zero});
    // What is held has to stay so in what is differentiated next.
    const std::vector<Expr> on = order == 1 && order < options.order && !kept.nodes.empty()
                                     ? grad(held, parameters, {.disconnected = Disconnected::zero})
                                     : gradient;
    const Comparison compare(f, gradient, at_point, options.tolerance, cost_size, scale, order > 1,
                             effort);
    OrderCheck check{order, {}};
    Expr next = cast(Arg(0.0), DType::float64);
    for (int n = 0; n < options.directions; ++n) {
      effort.begin(text("order ", order, ", direction ", n + 1, " of ", options.directions));
      Direction direction;
      for (std::size_t k = 0; k < parameters.size(); ++k) {
        direction.emplace_back(random_direction(at_point.values[k],
                                                n % 2 ? Scale::element : Scale::parameter, random));
        if (n == 0) next = next + sum_like(on[k] * constant(*direction[k]), next);
      }
      check.along.push_back(compare.along(direction));
    }
    for (const Derivative& d : check.along) {
      if (!counts(d)) continue;
      result.worst = std::isnan(d.excess) ? d.excess : std::max(result.worst, d.excess);
    }
    if (verdict_of(check, options.tolerance) != Verdict::agrees) {
      effort.begin(text("order ", order, ", parameter by parameter"));
      locate(check, compare, at_point, options, random, effort);
      effort.limit(std::numeric_limits<double>::infinity());
    }
    const Verdict verdict = verdict_of(check, options.tolerance);
    result.report += report_of(check, verdict, options);
    result.verdict = std::max(result.verdict, verdict);
    result.ok = result.verdict == Verdict::agrees;
    for (const Derivative& d : check.along) {
      if (std::isfinite(d.analytic)) scale = std::max(scale, std::abs(d.analytic));
    }
    result.orders.push_back(std::move(check));
    f = next;
  }
  return result;
}

}  // namespace cinch
