#include "cinch/ops/with_gradient.hpp"

#include <algorithm>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch {

namespace {

/// What the user says of the derivative, in variables of its own.
struct Given {
  Expr cotangent, value;
  std::vector<Expr> stand_ins;  ///< For the operands but the value: the inputs, then what else.
  std::vector<Expr> gradients;  ///< By each of these; empty: none.

  static Given of(const Attrs& a) {
    const auto gradients = 1 + std::ssize(a.formula) / 2;  // As many as stand-ins.
    const auto begin = a.formula.begin();
    return {a.formula[0],
            a.formula[1],
            {begin + 2, begin + gradients},
            {begin + gradients, a.formula.end()}};
  }
  Attrs attrs() const {
    Attrs result{.formula = {cotangent, value}};
    result.formula.insert(result.formula.end(), stand_ins.begin(), stand_ins.end());
    result.formula.insert(result.formula.end(), gradients.begin(), gradients.end());
    return result;
  }
};

Grads given_gradients(Args in, const Expr& y, const Expr& gy) {
  const Given given = Given::of(y.attrs());
  Substitutions at{{given.cotangent, gy}, {given.value, y}};
  for (std::size_t k = 0; k < given.stand_ins.size(); ++k)
    at.emplace_back(given.stand_ins[k], in[1 + k]);
  Grads result = graphs::replaced(given.gradients, at);
  result.insert(result.begin(), Expr());
  return result;
}

Expr batched(Args in, const std::vector<bool>& has_axis, const Expr& y) {
  const auto first = std::ranges::find(has_axis, true) - has_axis.begin();
  std::vector<Expr> operands(in.begin(), in.end());
  if (!has_axis[0])
    operands[0] = deriving::repeated(in[0], size(in[static_cast<std::size_t>(first)], 0));
  const Given of_one = Given::of(y.attrs());
  Given given{variable("cotangent", operands[0].type()),
              variable("value", operands[0].type()),
              of_one.stand_ins,
              {}};
  Substitutions by{{of_one.cotangent, given.cotangent}, {of_one.value, given.value}};
  for (std::size_t k = 0; k < given.stand_ins.size(); ++k) {
    if (!has_axis[1 + k]) continue;
    given.stand_ins[k] = variable("operand", operands[1 + k].type());
    by.emplace_back(of_one.stand_ins[k], given.stand_ins[k]);
  }
  // That of an input without the axis has it all the same, and is summed over it by the engine.
  for (const Expr& gradient : of_one.gradients)
    given.gradients.push_back(gradient.has_value() ? deriving::vectorized(gradient, by) : Expr());
  return apply(y.op(), std::move(operands), given.attrs(), y->where);
}

/// Examples stay apart where they do in the value, and where the rule takes an example's cotangent
/// to that example of each input, whatever else it is made of.
deriving::Place place_of(const deriving::Flow& flow) {
  const Given given = Given::of(flow.y.attrs());
  const Args in = flow.inputs();
  std::vector<std::pair<Expr, Expr>> stand_ins{{given.cotangent, flow.y}, {given.value, flow.y}};
  for (std::size_t k = 0; k < given.stand_ins.size(); ++k)
    stand_ins.emplace_back(given.stand_ins[k], in[1 + k]);
  deriving::Place result = flow.place(0);
  for (std::size_t k = 0; k < given.gradients.size(); ++k) {
    const deriving::Place& of_input = flow.place(1 + k);
    if (!given.gradients[k].has_value() || !of_input.found()) continue;
    // Of a value that is no function of the examples, they stand where they do in the input.
    if (!result.found() && of_input.axis < flow.y.rank()) result = of_input;
    if (!result.found() || !(deriving::followed(given.gradients[k], given.cotangent, result, flow,
                                                stand_ins) == of_input))
      return {};
  }
  return result;
}

/// What the rule is made of besides the cotangent and the value: the largest parts without them.
std::vector<Expr> parts_from_outside(const std::vector<Expr>& gradients, const NodeSet& own) {
  NodeSet inside = own, found;
  std::vector<Expr> result;
  const auto take = [&](const Expr& e) {
    if (e.has_value() && !inside.contains(e.get()) && !constant_value(e) &&
        found.insert(e.get()).second)
      result.push_back(e);
  };
  for (const Expr& node : topological(gradients, own)) {
    if (own.contains(node.get())) continue;
    if (std::ranges::any_of(node.inputs(),
                            [&](const Expr& input) { return inside.contains(input.get()); })) {
      inside.insert(node.get());
      for (const Expr& input : node.inputs()) take(input);
    }
  }
  for (const Expr& gradient : gradients) take(gradient);
  return result;
}

/// What the rule gives for an input, of its type.
Expr fitting(Expr gradient, const Expr& input, const Arg& value) {
  if (gradient.type().weak) gradient = cast(gradient, input.dtype());
  bool fits = gradient.dtype() == input.dtype() && gradient.rank() == input.rank();
  for (std::size_t axis = 0; fits && axis < input.dims().size(); ++axis) {
    const Dim a = gradient.dims()[axis], b = input.dims()[axis];
    fits = !a.known() || !b.known() || a == b;
  }
  if (!fits) {
    refuse("with_gradient",
           text("the rule gives a gradient of ", text(gradient.type()), " for an input of ",
                text(input.type()), ": they must have the same shape and dtype"),
           value, {gradient, input});
  }
  return records::alike("with_gradient", gradient, input);
}

bool is_linear(const Expr& y) {
  const Given given = Given::of(y.attrs());
  return std::ranges::all_of(given.gradients, [&](const Expr& gradient) {
    if (!gradient.has_value()) return true;
    const Expr slope = Lop(gradient, given.cotangent, variable("v", gradient.type()),
                           {.disconnected = Disconnected::zero});
    const Expr simple = rewriting::rewrite(std::span(&slope, 1), {.fold_constants = false}).front();
    return !deriving::depends_on(simple, given.cotangent);
  });
}

}  // namespace

constinit const Op with_gradient_op{
    .name = "with_gradient",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = [](Values in, const Attrs&) { return *in[0]; },
    .grad = given_gradients,
    .given =
        [](const Expr& y, std::size_t k) {
          return k > 0 && Given::of(y.attrs()).gradients[k - 1].has_value();
        },
    .linear_rule = is_linear,
    .batch = batched,
    .trace = place_of,
    .expand = [](const Expr& y) { return Expr(y.inputs()[0]); },
    .examples = []() -> std::vector<Example> {
      const Type matrix{DType::float64, {3, 4}}, vector{DType::float64, {4}};
      return {{{matrix},
               [](Args x) {
                 const Expr y = tanh(x[0]);
                 return with_gradient(y, x[0], [&](const Expr& g) { return g * (1 - square(y)); });
               }},
              {{matrix, vector},
               [](Args x) {
                 return with_gradient(x[0] * exp(x[1]), {x[0], x[1]}, [&](const Expr& g) {
                   return std::vector{g * exp(x[1]), sum_like(g * x[0] * exp(x[1]), x[1])};
                 });
               }},
              {{Type{DType::float64, {0, 3}}}, [](Args x) { return grad_scale(x[0], 1); }}};
    },
};

Expr with_gradient(const Arg& value, const Parameters& inputs, const GradientRule& rule) {
  const auto refused = [&](const std::string& what, const std::vector<Expr>& others = {}) {
    refuse("with_gradient", what, value, others);
  };
  if (!is_float(value->dtype())) refused("the value must be a float: cast() it");
  if (inputs.size() == 0) refused("no inputs are given: stop_gradient() has none");
  for (const Expr& input : inputs) {
    if (!input.has_value()) refused("an input is an empty expression");
    if (!is_float(input.dtype())) refused("only a float has a gradient", {input});
    if (std::ranges::count(inputs, input) > 1) refused("an input is given twice", {input});
  }
  if (!rule) refused("the rule is empty");
  Given given{variable("cotangent", {value->dtype(), value->dims()}, value.where()),
              variable("value", {value->dtype(), value->dims()}, value.where()),
              {},
              {}};
  std::vector<Expr> gradients = rule(given.cotangent);  // Its expressions have lines of their own.
  const Attribution as(value.where());
  if (gradients.size() > inputs.size())
    refused(text("the rule gives ", gradients.size(), " gradients for ", inputs.size(), " inputs"));
  gradients.resize(inputs.size());
  for (std::size_t k = 0; k < gradients.size(); ++k)
    if (gradients[k].has_value()) gradients[k] = fitting(gradients[k], inputs[k], value);

  std::vector<Expr> operands{value};
  operands.insert(operands.end(), inputs.begin(), inputs.end());
  // Of an input that is the value the derivative is known without the rule.
  NodeSet own{given.cotangent.get()};
  if (std::ranges::find(inputs, value.expr()) == inputs.end()) own.insert(value->get());
  for (const Expr& part : parts_from_outside(gradients, own))
    if (std::ranges::find(inputs, part) == inputs.end()) operands.push_back(part);
  Substitutions by;
  if (own.size() > 1) by.emplace_back(value, given.value);
  for (std::size_t k = 1; k < operands.size(); ++k) {
    given.stand_ins.push_back(variable("operand", operands[k].type()));
    by.emplace_back(operands[k], given.stand_ins.back());
  }
  given.gradients = graphs::replaced(gradients, by);
  given.gradients.resize(given.stand_ins.size());
  return apply(with_gradient_op, std::move(operands), given.attrs(), value.where());
}

Expr with_gradient(const Arg& value, const Expr& input,
                   const std::function<Expr(const Expr& cotangent)>& rule) {
  const GradientRule of_one = [&](const Expr& g) { return std::vector{rule(g)}; };
  return with_gradient(value, Parameters(input), rule ? of_one : GradientRule());
}

Expr straight_through(const Arg& value, const Expr& x) {
  const Attribution as(value.where());
  return with_gradient(cast(value, x.dtype()), x, [](const Expr& g) { return g; });
}

Expr grad_clip(const Arg& x, double low, double high) {
  const Attribution as(x.where());
  if (!(low <= high))
    refuse<ValueError>("grad_clip", text("low must not exceed high: ", low, ", ", high), x);
  return with_gradient(x, x.expr(), [&](const Expr& g) { return clip(g, low, high); });
}

Expr grad_scale(const Arg& x, const Arg& c) {
  const Attribution as(x.where());
  return with_gradient(x, x.expr(), [&](const Expr& g) { return cast(g * c, g.dtype()); });
}

Expr grad_reverse(const Arg& x, const Arg& c) {
  const Attribution as(x.where());
  return grad_scale(x, -c);
}

}  // namespace cinch
