#include "cinch/ops/rules/even.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/quantile_functions.hpp"
#include "cinch/ops/records/elementwise.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/rules/root.hpp"
#include "cinch/ops/rules/series.hpp"
#include "cinch/ops/rules/signs.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/trigonometry.hpp"

namespace cinch::rules {

namespace {

// Derivatives of a function of a root
// -------------------------------------------------------------------------------------------------

/// What the derivative goes by.
enum class By : std::int64_t {
  square,  ///< s, of which the root is sqrt(s).
  side,    ///< x, of which the root is |x|.
  value,   ///< v itself, of either sign: of a formula that another value is chosen for at 0.
};

/// The derivative of order `order` by s or x of the scalar formula f(v, others), where v stands for
/// the root.
struct Even {
  Expr f, v;
  std::vector<Expr> others;
  std::int64_t order = 0;
  By by = By::square;

  /// The power of v that one derivative takes off.
  std::int64_t step() const { return by == By::square ? 2 : 1; }
  /// An odd derivative of an even function of x has x's sign, and is no function of |x|.
  bool has_sign() const { return by == By::side && order % 2 == 1; }

  static Even of(const Attrs& a) {
    return {a.formula[0], a.formula[1], std::vector(a.formula.begin() + 2, a.formula.end()),
            a.ints[0], By{a.ints[1]}};
  }
  Attrs attrs() const {
    Attrs result{.ints = {order, static_cast<std::int64_t>(by)}};
    result.formula = {f, v};
    result.formula.insert(result.formula.end(), others.begin(), others.end());
    result.label = "even";  // Messages show its value.
    return result;
  }
};

Expr slope(const Expr& f, const Expr& by) {
  return grad(f, by, {.disconnected = Disconnected::zero});
}

/// The derivative as a formula where v > 0.
Expr formula_above(const Even& e) {
  Expr result = e.f;
  for (std::int64_t k = 0; k < e.order; ++k) {
    result = slope(result, e.v);
    if (e.by == By::square) result = 0.5 * result / e.v;
  }
  return result;
}

/// c v^power, of which the derivative is made.
struct Power {
  Coefficient c;
  std::int64_t power;
};

/// The derivative's series, its first term not 0 for certain.
std::vector<Power> powers_of(const Series& series, const Even& e) {
  const std::int64_t step = e.step();
  std::vector<Power> result;
  for (std::size_t j = 0; j < series.terms; ++j) {
    double factor = 1;
    for (std::int64_t i = 0; i < e.order; ++i)
      factor *= static_cast<double>(j) / static_cast<double>(step) - static_cast<double>(i);
    const bool odd = j % 2 == 1;
    if (factor == 0 || series.c[j].zero() || (odd && identically_zero(series.c[j]))) continue;
    result.push_back(
        {series.c[j] * Coefficient(factor), static_cast<std::int64_t>(j) - step * e.order});
  }
  return result;
}

/// The first odd power of v that f has; none: `series.terms`.
std::size_t first_odd(const Series& series) {
  for (std::size_t j = 1; j < series.terms; j += 2) {
    if (!identically_zero(series.c[j])) return j;
  }
  return series.terms;
}

/// v up to which the terms that are known are all that counts, from how fast they grow or, where
/// there is one at most, how f's own do; 0 where that says nothing.
Coefficient reach_of(const Series& series, const std::vector<Power>& powers, DType dtype) {
  const double rounding = dtype == DType::float32 ? 0x1p-24 : 0x1p-53;
  const double share = std::pow(rounding, 1 / static_cast<double>(series.terms));
  std::vector<std::pair<Coefficient, std::int64_t>> growths;  // To be taken roots of.
  for (std::size_t k = 1; k < powers.size(); ++k)
    growths.emplace_back(powers[k].c / powers[0].c, powers[k].power - powers[0].power);
  const std::size_t first = order_of(series);
  for (std::size_t j = first + 1; powers.size() < 2 && j < series.terms; ++j) {
    if (!series.c[j].zero())
      growths.emplace_back(series.c[j] / series.c[first], static_cast<std::int64_t>(j - first));
  }
  if (growths.empty()) return 0;
  double largest = 0;
  Expr unknown;
  for (const auto& [growth, order] : growths) {
    const double root = 1 / static_cast<double>(order);
    if (growth.known()) {
      largest = std::max(largest, std::pow(std::abs(growth.value()), root));
      continue;
    }
    const Expr part = pow(abs(growth.expr()), root);
    unknown = unknown.has_value() ? maximum(unknown, part) : part;
  }
  if (!unknown.has_value()) return share / largest;
  return Coefficient(share / maximum(unknown, literal(largest)));
}

/// c[0] + c[1] v + ..., as far as there are terms, divided by the first one's power of v.
Expr polynomial(const std::vector<Power>& powers, const Expr& v) {
  Expr result;
  for (std::size_t k = powers.size(); k-- > 0;) {
    const Expr c = powers[k].c.known() ? powers[k].c.expr() : cast(powers[k].c.expr(), v.dtype());
    result = result.has_value() ? c + result : c;
    if (k == 0) break;
    const std::int64_t step = powers[k].power - powers[k - 1].power;
    result = result * (step == 1 ? v : step == 2 ? square(v) : pow(v, step));
  }
  return result;
}

/// The derivative as a formula for v >= 0. Where there is none at 0 it is NaN there.
Expr formula_of(const Even& e) {
  if (e.order == 0 && e.by != By::value) return e.f;
  const Expr& v = e.v;
  const Expr above = formula_above(e), zero = equal(v, 0);
  const auto without = [&](const Expr& here, const Expr& what) {
    return substitute(std::span(&what, 1), {{v, switch_(here, cast(Arg(1.0), v.dtype()), v)}})
        .front();
  };
  SeriesIn reader(v);
  const std::optional<Series>& series = reader.of(e.f);
  const auto wanted = static_cast<std::size_t>(e.step() * e.order);
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  if (!series || series->terms <= wanted) return switch_(zero, none, without(zero, above));
  const std::size_t odd = first_odd(*series);
  const bool exists = e.by == By::value || odd > static_cast<std::size_t>(e.order);
  if (e.by == By::side && !series->removable) return exists ? above : switch_(zero, none, above);

  const std::vector<Power> powers = powers_of(*series, e);
  const auto limit = std::ranges::find(powers, 0, &Power::power);
  const Expr at_zero = !exists                                 ? Expr(none)
                       : limit == powers.end() || e.has_sign() ? Expr(0.0)
                                                               : limit->c.expr();
  const Coefficient reach = reach_of(*series, powers, v.dtype());
  if (reach.known() && !(reach.value() > 0)) return switch_(zero, at_zero, without(zero, above));
  const Expr within = (e.by == By::value ? abs(v) : v) <= reach.expr(),
             unchanged = reader.unchanged();
  const Expr near =
      logical_or(zero, unchanged.has_value() ? logical_and(within, unchanged) : within);
  if (powers.empty()) return switch_(near, 0, without(near, above));
  Expr inner = polynomial(powers, v);
  const std::int64_t first = powers[0].power;
  if (first != 0) inner = inner * pow(switch_(zero, cast(Arg(1.0), v.dtype()), v), first);
  return switch_(zero, at_zero, switch_(near, inner, without(near, above)));
}

/// `formula`, of e's variables, at these values of them.
Expr at_values(const Expr& formula, const Even& e, const Expr& r, std::span<const Expr> others) {
  Substitutions values{{e.v, r}};
  for (std::size_t k = 0; k < others.size(); ++k) values.emplace_back(e.others[k], others[k]);
  return substitute(std::span(&formula, 1), values).front();
}

/// The derivative's value where the root of `base` is r, and its own derivatives.
Expr applied(const Even& e, const Expr& base, const Expr& r, std::span<const Expr> others) {
  const Expr formula = formula_of(e);
  Expr value = cast(at_values(formula, e, r, others), r.dtype());
  if (e.has_sign()) value = value * sign(base);
  const std::vector<Expr> nodes = topological(std::span(&formula, 1));
  if (std::ranges::find(nodes, e.v) == nodes.end()) return value;  // Its derivatives are plain.
  std::vector<Expr> inputs{value, base, r};
  inputs.insert(inputs.end(), others.begin(), others.end());
  return apply(even_op, std::move(inputs), e.attrs());
}

Grads even_grad(Args in, const Expr& y, const Expr& gy) {
  Even e = Even::of(y.attrs());
  const Args others = in.subspan(3);
  Grads result(in.size());
  ++e.order;
  result[1] = gy * applied(e, in[1], in[2], others);
  --e.order;
  for (std::size_t k = 0; k < others.size(); ++k) {
    if (!is_float(others[k].dtype())) continue;
    Even part = e;
    part.f = slope(e.f, e.others[k]);
    if (!graphs::is_constant(part.f, 0)) result[3 + k] = gy * applied(part, in[1], in[2], others);
  }
  return result;
}

// Finding them
// -------------------------------------------------------------------------------------------------

/// A length that may be 0: where it may not, the chain rule does.
bool is_root(const Expr& y) {
  if (y.op().smoothed != functions_of_squares || !is_float(y.dtype())) return false;
  const auto away = [&](const Expr& side) { return bounded_below(square(side)); };
  return &y.op() == &hypot_op ? std::ranges::none_of(y.inputs(), away)
                              : !bounded_below(y.inputs()[0]);
}

/// What the derivative past the root `y` goes by.
Expr base_of(const Expr& y) {
  if (&y.op() == &hypot_op) return square(y.inputs()[0]) + square(y.inputs()[1]);
  return y.inputs()[0];
}

struct Point {
  Expr y;
  double value;
  friend bool operator==(const Point&, const Point&) = default;
};

/// The same without what is added to x, or its sign: formulas are simplified apart from conditions.
Point plain(Point point) {
  for (;;) {
    const Op* op = &point.y.op();
    if (op == &neg_op) {
      point = {point.y.inputs()[0], -point.value};
      continue;
    }
    if (op != &add_op && op != &sub_op) return point;
    const Expr first = point.y.inputs()[0], second = point.y.inputs()[1];
    const Tensor *a = constant_value(first), *b = constant_value(second);
    if (b && b->size() == 1) {
      point = {first, op == &add_op ? point.value - b->at(0) : point.value + b->at(0)};
    } else if (a && a->size() == 1) {
      point = {second, op == &add_op ? point.value - a->at(0) : a->at(0) - point.value};
    } else {
      return point;
    }
  }
}

/// x == c, x != c, |x| > 0 and their like, for a number c: x and c. Nothing for another node.
std::optional<Point> compared_with_point(const Expr& node) {
  const Op* op = &node.op();
  const bool equality = op == &equal_op || op == &not_equal_op;
  if (!equality && op != &less_op && op != &less_equal_op) return {};
  for (const std::size_t k : {0u, 1u}) {
    const Expr& other = node.inputs()[1 - k];
    const Tensor* value = constant_value(node.inputs()[k]);
    if (!value || value->size() != 1 || !std::isfinite(value->at(0)) || !is_float(other.dtype()) ||
        constant_value(other))
      continue;
    const bool magnitude = &other.op() == &abs_op || &other.op() == &square_op;
    if (magnitude && value->at(0) == 0) return plain(Point{other.inputs()[0], 0});
    if (equality) return plain(Point{other, value->at(0)});
  }
  return {};
}

bool compares_with_point(const Expr& node) { return compared_with_point(node).has_value(); }

/// A node as a function of the root and of other nodes, element by element.
struct Section {
  Expr f;                          ///< Of scalars.
  std::vector<std::int64_t> axes;  ///< Which of the root's lies along each axis; -1: none.
  std::vector<Expr> others;        ///< As they are broadcast with the node.
  bool rooted = false;             ///< Whether the root itself is in it, which has no derivative.
};

class Reading {
 public:
  explicit Reading(const Expr& y)
      : y_(y), base_(base_of(y)), v_(variable("v", y.dtype(), {})), of_y_(v_), series_(v_) {}
  /// Of y as v + point.
  Reading(const Expr& y, double point)
      : y_(y),
        base_(point == 0 ? y : y - point),
        v_(variable("v", y.dtype(), {})),
        of_y_(point == 0 ? v_ : v_ + point),
        by_(By::value),
        series_(v_) {}

  /// Inputs before their users.
  void read(const Expr& node) {
    auto section = find(node);
    if (section && section->others.size() <= most_others)
      sections_.emplace(node.get(), std::move(*section));
  }

  /// Whether `node` is a smooth function of the base, of scalars at most besides, or of anything.
  enum class Besides { nothing, scalars, anything };
  bool smooth(const Expr& node, Besides besides) {
    const auto found = sections_.find(node.get());
    if (found == sections_.end() || node == y_ || !is_float(node.dtype())) return false;
    const Section& section = found->second;
    const bool fits = std::ranges::all_of(section.others, [&](const Expr& e) {
      return besides == Besides::anything || (besides == Besides::scalars && e.rank() == 0);
    });
    if (!section.rooted || !fits) return false;
    const auto& series = series_.of(section.f);
    return series && series->varies && !series->jumps && series->terms > 2 &&
           identically_zero(series->c[1]);
  }

  /// Whether `node` chooses for v = 0 what its formula beside it goes to, from both sides: it is
  /// then a smooth function of v.
  bool removable(const Expr& node) {
    const auto found = sections_.find(node.get());
    if (found == sections_.end() || !is_float(node.dtype())) return false;
    const Expr beside = unguarded(found->second.f);
    const auto &series = series_.of(found->second.f), &above = series_.of(beside);
    if (!series || !above || !series->removable || series->jumps || above->terms < 3) return false;
    const Expr mirrored = substitute(std::span(&beside, 1), {{v_, -v_}}).front();
    const std::optional<Series> below = SeriesIn(v_).of(mirrored);
    if (!below) return false;
    for (std::size_t k = 0; k < std::min(above->terms, below->terms); ++k) {
      const Coefficient sign = k % 2 == 1 ? -1 : 1;
      if (!identically_zero(above->c[k] - sign * below->c[k])) return false;
    }
    return true;
  }

  Expr as_even(const Expr& node) const {
    const Section& section = sections_.at(node.get());
    Even e{section.f, v_, {}, 0, by_};
    const Expr& root = by_ == By::value ? base_ : y_;
    if (by_ == By::value) e.f = unguarded(e.f);
    std::vector<Expr> inputs{node, dimshuffle(base_, section.axes), dimshuffle(root, section.axes)};
    for (const Expr& other : section.others) {
      e.others.push_back(stand_ins_.at(other.get()));
      inputs.push_back(other);
    }
    return apply(even_op, std::move(inputs), e.attrs(), node->where);
  }

 private:
  static constexpr std::size_t most_others = 8;
  static constexpr int deepest = 6;

  std::vector<std::int64_t> all_axes() const {
    std::vector<std::int64_t> axes(static_cast<std::size_t>(y_.rank()));
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }

  /// The formula as it is beside v = 0: without comparisons that hold there alone, or all but
  /// there.
  Expr unguarded(const Expr& f) const {
    Substitutions known;
    for (const Expr& node : topological(std::span(&f, 1))) {
      if (node.dtype() != DType::bool_ || graphs::is_leaf(node) || !compares_with_point(node))
        continue;
      const auto holds = SeriesIn(v_).of(cast(node, DType::float64));
      if (holds && holds->removable && holds->c[0].known())
        known.emplace_back(node, constant(Tensor(holds->c[0].value() != 0)));
    }
    return known.empty() ? f : substitute(std::span(&f, 1), known).front();
  }

  bool is_square(const Expr& node) const {
    if (by_ == By::value) return false;
    if (&y_.op() != &abs_op) return node == base_;
    return &node.op() == &square_op && node.inputs()[0] == base_;
  }

  std::optional<Section> find(const Expr& node) {
    if (node == y_) return Section{of_y_, all_axes(), {}, true};
    if (is_square(node)) return Section{square(v_), all_axes(), {}, false};
    const auto known = [&](const Expr& e) { return sections_.contains(e.get()); };
    if (std::ranges::none_of(node.inputs(), known)) return {};
    const Op* op = &node.op();
    if (op == &copy_op || op == &broadcast_to_op || op == &dimshuffle_op) {
      if (!known(node.inputs()[0])) return {};
      Section result = sections_.at(node.inputs()[0].get());
      if (op == &dimshuffle_op) return shuffled(std::move(result), AxisPattern::of(node.attrs()));
      widen(result.axes, node.rank());
      return result;
    }
    if (op == &even_op) return of_even(node);
    // A choice by something else stays outside, where it keeps what is not chosen from being asked.
    if (op == &switch_op && !is_rooted(node.inputs()[0])) return {};
    const bool by_element = op->elementwise() || op == &logit_op || op == &erfinv_op;
    auto result = by_element ? of_elements(node) : std::nullopt;
    // Where the root meets another value a choice changes, and no series says where that is.
    return result && (result->others.empty() || !chooses(node)) ? result : std::nullopt;
  }

  /// Whether `node` decides something by its operands' values, and is not smooth where that
  /// changes.
  static bool chooses(const Expr& node) {
    const Op* op = &node.op();
    return !is_float(node.dtype()) || op == &maximum_op || op == &minimum_op || op == &relu_op ||
           op == &abs_op || op == &sign_op;
  }

  bool is_rooted(const Expr& e) const {
    const auto found = sections_.find(e.get());
    return found != sections_.end() && found->second.rooted;
  }

  static void widen(std::vector<std::int64_t>& axes, std::int64_t rank) {
    axes.insert(axes.begin(), static_cast<std::size_t>(rank) - axes.size(), -1);
  }

  static std::optional<Section> shuffled(Section section, const std::vector<std::int64_t>& order) {
    if (std::ranges::any_of(section.others, [](const Expr& e) { return e.rank() > 0; })) return {};
    std::vector<std::int64_t> axes;
    for (const std::int64_t axis : order)
      axes.push_back(axis < 0 ? -1 : section.axes[static_cast<std::size_t>(axis)]);
    section.axes = std::move(axes);
    return section;
  }

  /// Makes `input` of `node` a scalar of `section`; nothing where elements of the root that are not
  /// the same meet.
  std::optional<Expr> part(const Expr& node, const Expr& input, Section& section, bool& first) {
    if (const auto found = sections_.find(input.get()); found != sections_.end()) {
      std::vector<std::int64_t> axes = found->second.axes;
      widen(axes, node.rank());
      if (!first && axes != section.axes) return {};
      first = false;
      section.axes = std::move(axes);
      section.rooted = section.rooted || found->second.rooted;
      for (const Expr& other : found->second.others) add(section.others, other);
      return found->second.f;
    }
    return other(input, section.others, deepest);
  }

  /// A value without the root in it. Arithmetic is looked into: (1 + a r) exp(-a r) is about one a.
  Expr other(const Expr& e, std::vector<Expr>& others, int depth) {
    const Op* op = &e.op();
    const bool arithmetic = op == &neg_op || op == &add_op || op == &sub_op || op == &mul_op ||
                            op == &div_op || op == &square_op || op == &cast_op;
    if (const Expr number = one_number(e); number.has_value()) return number;
    if (arithmetic && depth > 0) {
      std::vector<Expr> inputs;
      for (const Expr& input : e.inputs()) inputs.push_back(other(input, others, depth - 1));
      return apply(*op, std::move(inputs), e.attrs(), e->where);
    }
    add(others, e);
    Expr& stand_in = stand_ins_[e.get()];
    if (!stand_in.has_value()) stand_in = variable("a", e.dtype(), {});
    return stand_in;
  }

  /// A constant of equal elements, as a scalar.
  static Expr one_number(const Expr& e) {
    const Tensor* value = constant_value(e);
    if (!value || value->size() == 0 || !graphs::is_constant(e, value->at(0))) return {};
    Tensor one(value->dtype(), {});
    dispatch(value->dtype(), [&]<class T> { one.data<T>()[0] = value->data<T>()[0]; });
    return e.type().weak ? weak_constant(std::move(one)) : constant(std::move(one));
  }

  static void add(std::vector<Expr>& others, const Expr& other) {
    if (std::ranges::find(others, other) == others.end()) others.push_back(other);
  }

  std::optional<Section> of_elements(const Expr& node) {
    Section result;
    bool first = true;
    std::vector<Expr> inputs;
    for (const Expr& input : node.inputs()) {
      const auto scalar = part(node, input, result, first);
      if (!scalar) return {};
      inputs.push_back(*scalar);
    }
    result.f = apply(node.op(), std::move(inputs), node.attrs(), node->where);
    return result;
  }

  /// One that was found before, of this root.
  std::optional<Section> of_even(const Expr& node) {
    const Even e = Even::of(node.attrs());
    const auto root = sections_.find(node.inputs()[2].get());
    const bool its_own = root != sections_.end() && root->second.f == v_;
    if (!its_own || e.has_sign()) return {};
    Section result;
    bool first = true;
    part(node, node.inputs()[2], result, first);
    std::vector<Expr> others;
    for (const Expr& input : node.inputs().subspan(3)) {
      const auto scalar = part(node, input, result, first);
      if (!scalar) return {};
      others.push_back(*scalar);
    }
    result.f = applied(e, e.by == By::side ? v_ : square(v_), v_, others);
    result.rooted = false;
    return result;
  }

  Expr y_, base_, v_, of_y_;  // The last: y as a formula of v.
  By by_ = &y_.op() == &abs_op ? By::side : By::square;
  SeriesIn series_;
  NodeMap<Section> sections_;
  NodeMap<Expr> stand_ins_;
};

/// The outermost smooth functions that `roots` are made of, and whether the root is used elsewhere.
std::pair<std::vector<Expr>, bool> outermost(std::span<const Expr> roots, const Expr& y,
                                             Reading& reading, Reading::Besides besides) {
  std::vector<Expr> found, left(roots.begin(), roots.end());
  NodeSet seen;
  bool elsewhere = false;
  while (!left.empty()) {
    const Expr node = left.back();
    left.pop_back();
    if (!seen.insert(node.get()).second) continue;
    if (node == y) elsewhere = true;
    if (reading.smooth(node, besides)) {
      found.push_back(node);
      continue;
    }
    // The value of an even_op is not differentiated.
    const std::size_t from = &node.op() == &even_op ? 1 : 0;
    for (const Expr& input : node.inputs().subspan(from)) left.push_back(input);
  }
  return {found, elsewhere};
}

}  // namespace

namespace {

/// Products of vectors as sums over elements, through which roots are followed.
std::vector<Expr> with_sums_for_dots(const std::vector<Expr>& roots) {
  NodeMap<Expr> done;
  for (const Expr& node : topological(roots)) {
    if (&node.op() != &dot_op || node.dims() != Dims{1, 1}) continue;
    const auto& in = node.inputs();
    done[node.get()] = sum(in[0] * dimshuffle(in[1], {1, 0}), 1, /*keepdims=*/true);
  }
  return done.empty() ? roots : rebuild(roots, done);
}

}  // namespace

std::vector<Expr> functions_of_squares(std::span<const Expr> roots) {
  // What is removable is a function of x, also where |x| says so.
  std::vector<Expr> result = with_sums_for_dots(removable_choices(roots)),
                    order = topological(result);
  NodeSet seen;
  const auto next = [&] {
    return std::ranges::find_if(
        order, [&](const Expr& node) { return is_root(node) && !seen.contains(node.get()); });
  };
  std::vector<Expr> alive;  // Addresses are keys: none may be used again.
  for (auto root = next(); root != order.end(); root = next()) {
    const Expr y = *root;
    seen.insert(y.get());
    alive.push_back(y);
    std::optional<Reading> reading;  // Of the graph as it is now.
    for (const auto besides :
         {Reading::Besides::nothing, Reading::Besides::scalars, Reading::Besides::anything}) {
      if (!reading) {
        reading.emplace(y);
        for (const Expr& node : order) reading->read(node);
      }
      const auto [found, elsewhere] = outermost(result, y, *reading, besides);
      if (!found.empty()) {
        NodeMap<Expr> done;
        for (const Expr& node : found) done[node.get()] = reading->as_even(node);
        alive.insert(alive.end(), result.begin(), result.end());
        result = rebuild(result, done);
        order = topological(result);
        reading.reset();
      }
      if (!elsewhere) break;
    }
  }
  return result;
}

std::vector<Expr> removable_choices(std::span<const Expr> roots) {
  std::vector<Expr> result(roots.begin(), roots.end()), alive;
  std::vector<Point> points;
  for (const Expr& node : topological(result)) {
    if (node.dtype() != DType::bool_ || graphs::is_leaf(node)) continue;
    const auto point = compared_with_point(node);
    if (!point || std::ranges::find(points, *point) != points.end()) continue;
    // A function of a length is one of its square, not of its value.
    if (std::ranges::none_of(topological(std::span(&point->y, 1)), is_root))
      points.push_back(*point);
  }
  for (const Point& point : points) {
    Reading reading(point.y, point.value);
    for (const Expr& node : topological(result)) reading.read(node);
    std::vector<Expr> left(result);
    NodeSet seen;
    NodeMap<Expr> done;
    while (!left.empty()) {
      const Expr node = left.back();
      left.pop_back();
      if (!seen.insert(node.get()).second) continue;
      if (&node.op() == &switch_op && reading.removable(node)) {
        done[node.get()] = reading.as_even(node);
        continue;
      }
      const std::size_t from = &node.op() == &even_op ? 1 : 0;
      for (const Expr& input : node.inputs().subspan(from)) left.push_back(input);
    }
    if (done.empty()) continue;
    alive.insert(alive.end(), result.begin(), result.end());
    result = rebuild(result, done);
  }
  return result;
}

Expr formula_of_even(const Expr& node, const Expr& v) {
  if (node.inputs()[2] != v) return {};
  const Even e = Even::of(node.attrs());
  return e.has_sign() ? Expr() : at_values(formula_above(e), e, v, node.inputs().subspan(3));
}

constinit const Op even_op = records::first_operand({.name = "even", .grad = even_grad});

}  // namespace cinch::rules
