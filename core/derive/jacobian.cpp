#include <algorithm>

#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/derive/examples.hpp"
#include "cinch/core/derive/factored.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"

namespace cinch {

namespace {

/// Broadcasting aligns axes at the right, so the new leading axis has to stay left of all others.
Expr batch_elementwise(std::vector<Expr> args, const std::vector<bool>& batched, const Expr& y) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!batched[i]) continue;
    std::vector<std::int64_t> pattern{0};
    const std::int64_t rank = args[i].rank();
    pattern.insert(pattern.end(), static_cast<std::size_t>(y.rank() + 1 - rank), -1);
    for (std::int64_t axis = 1; axis < rank; ++axis) pattern.push_back(axis);
    args[i] = dimshuffle(args[i], pattern);
  }
  return apply(y.op(), std::move(args), y.attrs(), y->where);
}

[[noreturn]] void refuse_to_separate(const std::string& why, const Expr& y, const Expr& x) {
  throw GradError(refusal("jacobian", why, std::vector{y, x}, attributed(y->where)));
}

/// Throws GradError where an example of `y` depends on another example of `x`.
void require_separate_examples(const Expr& y, const Expr& x) {
  const deriving::Separation examples(y, x);
  if (const Expr node = examples.mixing(); node.has_value()) {
    const bool sizes_decide =
        node.op().trace && std::ranges::any_of(node.inputs(), [](const Expr& input) {
          return !input.type().is_static();
        });
    refuse_to_separate("examples mix in " + describe(node) + " (" + text(node.type()) + ") at " +
                           node->where.text() +
                           "\n  The Jacobian is per example: the first axis of " + describe(x) +
                           " must stay an axis of its own up to " + describe(y) +
                           ". For all outputs by all inputs there is jacobian_full()." +
                           (sizes_decide ? "\n  Not all sizes are known here: where known ones "
                                           "would keep examples apart, declare them."
                                         : ""),
                       y, x);
  }
  const deriving::Place place = examples.in_result();
  if (!place.found()) return;
  if (place.axis != 0) {
    refuse_to_separate(text("the examples must be the first axis of ", describe(y),
                            ", they are axis ", place.axis, ": put them first with moveaxis()"),
                       y, x);
  }
  const Dim of_y = y.dims()[0], of_x = x.dims()[0];
  if (!(place.outer == deriving::Count() && place.inner == deriving::Count()) ||
      (of_y.known() && of_x.known() && !(of_y == of_x))) {
    refuse_to_separate(
        text("the first axis of ", describe(y), " must be the examples of ", describe(x),
             " and nothing else: it has several positions for each example, or one for several"),
        y, x);
  }
}

/// `y` as a function of `x` alone: examples may mix in what is held constant.
Expr without_constants(const Expr& y, const Expr& x, std::span<const Expr> constants) {
  if (constants.empty()) return y;
  Substitutions held{{x, x}};
  for (const Expr& constant : constants) {
    if (!(constant == x)) held.emplace_back(constant, stop_gradient(constant));
  }
  return graphs::replaced(std::span(&y, 1), held).front();
}

}  // namespace

bool examples_are_separate(const Expr& y, const Expr& x) {
  if (y.rank() < 1 || x.rank() < 1) return false;
  try {
    require_separate_examples(graphs::showing(y, x), x);
    return true;
  } catch (const GradError&) {
    return false;
  }
}

namespace {

/// Adds to `batched`, which has variables and many values of each, what follows from them up to the
/// roots.
void batch(std::span<const Expr> roots, NodeMap<Expr>& batched) {
  NodeSet cut;
  for (const auto& [node, many] : batched) cut.insert(node);
  for (const Expr& node : topological(roots, cut)) {
    if (cut.contains(node.get())) continue;
    std::vector<Expr> args;
    std::vector<bool> has_axis;
    for (std::size_t i = 0; i < node.inputs().size(); ++i) {
      const auto found = batched.find(node.inputs()[i].get());
      // What only lends its shape keeps it.
      const bool has = found != batched.end() && node.op().reads(i);
      args.push_back(has ? found->second : node.inputs()[i]);
      has_axis.push_back(has);
    }
    if (std::ranges::none_of(has_axis, [](bool b) { return b; })) continue;
    const Attribution at(node->where, /*force=*/true);
    if (node.op().batch) {
      batched[node.get()] = node.op().batch(args, has_axis, node);
    } else if (node.op().elementwise()) {
      batched[node.get()] = batch_elementwise(std::move(args), has_axis, node);
    } else {
      throw GradError("vectorize: " + std::string(node.op().name) +
                      " cannot take one more axis, at " + node->where.text());
    }
  }
}

}  // namespace

Expr deriving::repeated(const Expr& x, const Expr& count) {
  std::vector<Expr> shape = sizes(x);
  shape.insert(shape.begin(), count);
  return broadcast_to(x, shape);
}

Expr deriving::one_of(const Expr& many) {
  std::vector<std::int64_t> without_first;
  for (std::int64_t axis = 1; axis < many.rank(); ++axis) without_first.push_back(axis);
  return dimshuffle(narrow(many, 0, 0, 1, /*step=*/1), without_first);
}

std::vector<Expr> deriving::over_many(std::span<const Expr> roots, const Substitutions& many) {
  NodeMap<Expr> batched;
  Substitutions shapes;
  for (const auto& [x, values] : many) {
    batched[x.get()] = values;
    shapes.emplace_back(x, one_of(values));
  }
  batch(roots, batched);
  std::vector<Expr> result;
  for (const Expr& root : roots) {
    const auto found = batched.find(root.get());
    result.push_back(found == batched.end() ? Expr() : found->second);
  }
  return graphs::replaced(result, shapes);
}

Expr deriving::vectorized(const Expr& y, const Substitutions& by) {
  // The values come in at the end: they may be made of what they stand for themselves.
  Substitutions many, values;
  for (const auto& [x, many_x] : by) {
    many.emplace_back(x, variable("many", many_x.type()));
    values.emplace_back(many.back().second, many_x);
  }
  Expr result = over_many(std::span(&y, 1), many).front();
  if (!result.has_value()) {
    Substitutions ones;
    for (const auto& [x, many_x] : many) ones.emplace_back(x, one_of(many_x));
    const Expr same = repeated(y, size(many[0].second, 0));
    result = graphs::replaced(std::span(&same, 1), ones).front();
  }
  return graphs::replaced(std::span(&result, 1), values).front();
}

Expr vectorize(const Arg& y, const Expr& x, const Expr& many) {
  const Attribution as(y.where());
  if (many.rank() != x.rank() + 1) {
    refuse("vectorize", describe(many) + " must have one axis more than " + describe(x), y,
           {x, many});
  }
  const auto with = [y = y.expr(), x, many](std::vector<Expr> whole) {
    whole.push_back(x);
    return deriving::vectorized(graphs::showing(std::span(&y, 1), whole).front(), {{x, many}});
  };
  const Expr result = with({});
  return result == many ? result : graphs::derived(result, {{y}, {x}, with});
}

namespace {

/// One vector-Jacobian product for each output, all at once. Seed (k, l, ...) is 1 at output (k, l,
/// ...) of every example: a product of one vector along each axis, which are put in one after the
/// other, so that the axes stay apart in what is contracted.
Expr pulled_rows(const Expr& pulled, const Expr& seed, const Expr& y, std::size_t first) {
  const std::vector<Expr> shape = sizes(y);
  std::vector<Expr> ones;
  Expr seeds = constant(Tensor(1.0).cast(y.dtype()));
  for (std::size_t axis = first; axis < shape.size(); ++axis) {
    ones.push_back(variable("one", Type{y.dtype(), {y.dims()[axis]}}));
    std::vector<std::int64_t> pattern(shape.size(), -1);
    pattern[axis] = 0;
    const Expr along = dimshuffle(ones.back(), pattern);
    seeds = ones.size() > 1 ? seeds * along : along;
  }
  const Expr product = deriving::factored(pulled, seed);
  Expr result =
      graphs::replaced(std::span(&product, 1), {{seed, broadcast_to(seeds, shape)}}).front();
  for (std::size_t k = ones.size(); k-- > 0;)
    result = deriving::vectorized(result, {{ones[k], eye(shape[first + k], y.dtype())}});
  return result;
}

}  // namespace

namespace {

/// Whether `holds` of a node that has a gradient of the user's own, also inside loops.
template <class F>
bool any_given(std::span<const Expr> roots, F holds) {
  return std::ranges::any_of(topological(roots), [&](const Expr& node) {
    return (node.op().given && holds(node)) || any_given(node.attrs().formula, holds);
  });
}

}  // namespace

void deriving::require_linear(std::string_view function, const Expr& pulled, const Expr& seed,
                              const Expr& y) {
  const auto is_not_linear = [](const Expr& node) { return !node.op().linear_rule(node); };
  if (!any_given(std::span(&y, 1), is_not_linear)) return;
  // It may have nothing to do with what is pulled back.
  const Expr slope = rewriting::rewrite(std::vector{Lop(pulled, seed, variable("v", pulled.type()),
                                                        {.disconnected = Disconnected::zero})},
                                        {.fold_constants = false})[0];
  if (!depends_on(slope, seed)) return;
  throw GradError(refusal(function,
                          "a rule of with_gradient() is not linear in the cotangent, as one that "
                          "clips it is not: it belongs to no Jacobian",
                          std::vector{y}, attributed(y->where)));
}

bool deriving::depends_on(const Expr& y, const Expr& x) {
  NodeSet depends{x.get()};
  for (const Expr& node : topological(std::span(&y, 1), depends)) {
    for (std::size_t k = 0; k < node.inputs().size(); ++k) {
      if (node.op().reads(k) && depends.contains(node.inputs()[k].get()))
        depends.insert(node.get());
    }
  }
  return depends.contains(y.get());
}

Expr deriving::rows(const Expr& pulled, const Expr& seed, const Expr& y, std::int64_t first_axis) {
  require_linear("jacobian", pulled, seed, y);
  const auto with = [=](std::vector<Expr> whole) {
    whole.push_back(seed);
    return pulled_rows(graphs::showing(std::span(&pulled, 1), whole).front(), seed, y,
                       static_cast<std::size_t>(first_axis));
  };
  return graphs::derived(with({}), {{pulled}, {seed}, with});
}

Expr jacobian(const Arg& y, const Expr& x, const GradOptions& options) {
  const Attribution as(y.where());
  if (y->rank() < 1 || x.rank() < 1) {
    refuse("jacobian", "both need a first axis of examples", y, {x});
  }
  std::vector<Expr> named = options.consider_constant;
  named.push_back(x);
  const Expr shown = graphs::showing(std::span(&y.expr(), 1), named).front();
  require_separate_examples(without_constants(shown, x, options.consider_constant), x);
  const Expr seed = variable("seed", y->type());
  Expr rows = deriving::rows(Lop(shown, x, seed, options), seed, y, /*first_axis=*/1);
  if (!(y->dims()[0] == x.dims()[0])) {  // There must be as many examples of both when it runs.
    const std::vector<Expr> of_y = sizes(y), of_x = sizes(x);
    std::vector<Expr> shape(of_y.begin() + 1, of_y.end());
    shape.push_back(of_y[0]);
    shape.insert(shape.end(), of_x.begin() + 1, of_x.end());
    rows = reshape(rows, shape);
  }
  // The examples stand behind y's other axes: in front of all.
  const std::int64_t own = y->rank() - 1;
  std::vector<std::int64_t> order{own};
  for (std::int64_t axis = 0; axis < own; ++axis) order.push_back(axis);
  for (std::int64_t axis = 1; axis < x.rank(); ++axis) order.push_back(own + axis);
  return deriving::as_derivative(deriving::of_each_example(dimshuffle(rows, order), y), x);
}

}  // namespace cinch
