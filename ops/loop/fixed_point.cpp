#include "cinch/ops/fixed_point.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/derive/rows.hpp"
#include "cinch/core/grad.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/activation.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/scan.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"

namespace cinch {

namespace {

/// z = f(z, others), in variables of its own; operands are the initial z and the others.
struct Equation {
  Expr z;
  std::vector<Expr> others;
  Expr f;
  std::int64_t most_steps, memory;
  bool linear;  ///< f is linear in z and a given vector, to whose size errors are compared.
  double tolerance;

  static Equation of(const Attrs& a) {
    return {a.formula.front(), {a.formula.begin() + 1, a.formula.end() - 1},
            a.formula.back(),  a.ints[0],
            a.ints[1],         a.ints[2] != 0,
            a.value->item()};
  }
  Attrs attrs() const {
    Attrs result{.ints = {most_steps, memory, linear},
                 .value = std::make_shared<Tensor>(tolerance)};
    result.formula = {z};
    result.formula.insert(result.formula.end(), others.begin(), others.end());
    result.formula.push_back(f);
    return result;
  }
  /// f of these.
  Expr at(const Expr& formula, const Expr& point, Args operands) const {
    Substitutions values{{z, point}};
    for (std::size_t k = 0; k < others.size(); ++k) values.emplace_back(others[k], operands[k + 1]);
    return graphs::replaced(std::span(&formula, 1), values).front();
  }
};

Type fixed_point_type(Args x, const Attrs& attrs) {
  const Equation e = Equation::of(attrs);
  if (!is_float(x[0].dtype())) throw TypeError("a fixed point is of floats");
  const Expr f = e.at(e.f, x[0], x);
  bool same = f.dtype() == x[0].dtype() && f.rank() == x[0].rank();
  Type result{x[0].dtype(), x[0].dims()};
  for (std::size_t axis = 0; same && axis < result.dims.size(); ++axis) {
    Dim& own = result.dims[axis];
    const Dim other = f.dims()[axis];
    same = own == other || !own.known() || !other.known();
    if (!own.known()) own = other;
  }
  if (!same) {
    throw TypeError(text("the body must make what the initial value is, ", x[0].type(),
                         ": it makes ", f.type(), "  ", describe(f), written_at(f->where)));
  }
  return result;
}

Expr largest(const Expr& x) { return max(abs(flatten(x))); }

/// The loop that finds it. With a memory each step is the combination of the last ones whose
/// differences from f are smallest together.
Expr iterated(const Expr& y) {
  const Equation e = Equation::of(y.attrs());
  const Args operands = y.inputs();
  const Expr initial = operands[0];
  const DType dtype = y.dtype();
  const double reachable = dtype == DType::float32 ? 1e-5 : 1e-13;
  const double wanted = std::max(e.tolerance, reachable);
  const Expr tolerance = cast(literal(wanted), dtype);
  const Expr unknown = cast(literal(std::numeric_limits<double>::infinity()), dtype);
  const auto residual_of = [&](const Expr& f, const Expr& g) {
    // What is linear has no scale of its own: a cotangent may be as small as it likes.
    const double floor = e.linear ? std::numeric_limits<float>::min() : 1.0;
    return largest(g) / (floor + largest(f));
  };
  const auto checked = [&](const Scan& loop, std::size_t residual) {
    return apply(converged_op, {loop.last(0), loop.last(residual), loop.steps},
                 {.value = std::make_shared<Tensor>(wanted)}, y->where);
  };
  if (e.memory == 0) {
    const Scan loop = scan(
        [&](Expr z, Expr) -> ScanStep {
          const Expr f = e.at(e.f, z, operands), residual = residual_of(f, f - z);
          return {{f, residual}, {}, residual <= tolerance};
        },
        {.initial = {initial, unknown}, .steps = e.most_steps});
    return checked(loop, 1);
  }
  const Expr count = product(sizes(initial)), memory = constant(Tensor(e.memory));
  const Expr none = zeros({memory, count}, dtype), flat = zeros({count}, dtype);
  const double damping = dtype == DType::float32 ? 1e-6 : 1e-12;
  const auto shifted = [&](const Expr& rows, const Expr& next) {
    return concatenate({narrow(rows, 0, 1, e.memory - 1, /*step=*/1), dimshuffle(next, {-1, 0})},
                       0);
  };
  const Scan loop = scan(
      [&](Expr z, Expr, Expr dF, Expr dG, Expr f_before, Expr g_before, Expr begun) -> ScanStep {
        const Expr f = e.at(e.f, z, operands), residual = residual_of(f, f - z);
        const Expr flat_f = flatten(f), flat_g = flatten(f - z);
        const Expr next_dF = shifted(dF, begun * (flat_f - f_before));
        const Expr next_dG = shifted(dG, begun * (flat_g - g_before));
        const Expr gram = dot(next_dG, transpose(next_dG));
        const Expr scale = sum(gram * eye(memory, dtype)) + std::numeric_limits<float>::min();
        const Expr weights =
            solve(gram + damping * scale * eye(memory, dtype), dot(next_dG, flat_g));
        const Expr next = f - reshape(dot(weights, next_dF), sizes(z));
        const Expr found = residual <= tolerance;
        return {
            {where(found, f, next), residual, next_dF, next_dG, flat_f, flat_g, ones_like(begun)},
            {},
            found};
      },
      {.initial = {initial, unknown, none, none, flat, flat, cast(Arg(0.0), dtype)},
       .steps = e.most_steps});
  return checked(loop, 1);
}

Tensor fixed_point_reference(Values in, const Attrs& attrs) {
  std::vector<Expr> inputs;
  std::vector<Binding> bindings;
  for (const Tensor* value : in) {
    inputs.push_back(variable("", type_of(*value)));
    bindings.emplace_back(inputs.back(), *value);
  }
  const Expr y = iterated(apply(fixed_point_op, inputs, attrs));
  return running::interpret(std::span(&y, 1), bindings, /*watch=*/false).front();
}

Grads fixed_point_grad(Args x, const Expr& y, const Expr& gy) {
  const Equation e = Equation::of(y.attrs());
  const GradOptions any{.disconnected = Disconnected::zero};
  // u = g + J'u, J at the solution.
  const Expr u = variable("cotangent", Type{y.dtype(), y.dims()});
  const Expr g = variable("given", Type{y.dtype(), y.dims()});
  Equation linear = e;
  linear.z = u;
  linear.linear = true;
  linear.f = g + Lop(e.f, e.z, u, any);
  linear.others.insert(linear.others.begin(), {g, e.z});
  std::vector<Expr> operands{gy, gy, y};
  operands.insert(operands.end(), x.begin() + 1, x.end());
  const Expr solution = apply(fixed_point_op, operands, linear.attrs(), y->where);

  Grads result(x.size());
  for (std::size_t k = 0; k < e.others.size(); ++k) {
    if (!is_float(e.others[k].dtype())) continue;
    const Expr pulled = e.at(Lop(e.f, e.others[k], u, any), y, x);
    result[k + 1] = graphs::replaced(std::span(&pulled, 1), {{u, solution}}).front();
  }
  return result;
}

Expr batch_fixed_point(Args x, const std::vector<bool>& batched, const Expr& y) {
  const Equation e = Equation::of(y.attrs());
  const auto first = static_cast<std::size_t>(std::ranges::find(batched, true) - batched.begin());
  std::vector<Expr> operands(x.begin(), x.end());
  if (!batched[0]) operands[0] = deriving::repeated(x[0], size(x[first], 0));
  Equation all = e;
  all.z = variable("z", Type{operands[0].dtype(), operands[0].dims()});
  Substitutions many{{e.z, all.z}};
  for (std::size_t k = 0; k < e.others.size(); ++k) {
    if (!batched[k + 1]) continue;
    all.others[k] = variable("many", Type{x[k + 1].dtype(), x[k + 1].dims()});
    many.emplace_back(e.others[k], all.others[k]);
  }
  all.f = deriving::vectorized(e.f, many);
  return apply(fixed_point_op, operands, all.attrs(), y->where);
}

deriving::Place trace_fixed_point(const deriving::Flow& flow) {
  const Equation e = Equation::of(flow.y.attrs());
  const auto given_of = [&](const Expr& v, std::size_t k) {
    deriving::Separation::Given one{v, flow.place(k), {}};
    const Expr& operand = flow.inputs()[k];
    for (std::int64_t axis = 0; axis < operand.rank(); ++axis)
      one.sizes.push_back(flow.size(operand, axis));
    return one;
  };
  std::vector<deriving::Separation::Given> given{given_of(e.z, 0)};
  given[0].place = {};  // The solution does not depend on where the search begins.
  for (std::size_t k = 0; k < e.others.size(); ++k) given.push_back(given_of(e.others[k], k + 1));
  while (true) {
    const deriving::Separation step(std::span(&e.f, 1), given, flow.examples);
    if (step.mixing(e.f).has_value()) return {};
    const deriving::Place after = step.place(e.f);
    if (after == given[0].place) return after;
    if (given[0].place.found()) return {};
    given[0].place = after;
  }
}

std::vector<Example> fixed_point_examples() {
  const Type matrix{DType::float64, {2, 3}}, weights{DType::float64, {3, 3}};
  return {{{matrix, weights},
           [](Args x) {
             return fixed_point(
                 [&](const Expr& z) { return tanh(0.1 * dot(z, tanh(x[1])) + x[0]); },
                 zeros_like(x[0]), {.tolerance = 1e-13});
           }},
          {{Type{DType::float64, {}}}, [](Args x) {
             return fixed_point([&](const Expr& z) { return 0.5 * z / (1 + square(z)) + x[0]; },
                                Arg(0.0), {.tolerance = 1e-13, .memory = 0});
           }}};
}

void require_converged(double residual, std::int64_t steps, const Attrs& attrs) {
  const double tolerance = attrs.value->item();
  if (residual <= tolerance) return;
  throw ValueError(text("the fixed point was not found: after ", steps, " steps the residual is ",
                        residual, ", more than ", tolerance));
}

Tensor converged_reference(Values in, const Attrs& attrs) {
  require_converged(in[1]->item(), static_cast<std::int64_t>(in[2]->item()), attrs);
  return *in[0];
}

}  // namespace

constinit const Op fixed_point_op{
    .name = "fixed_point",
    .type = fixed_point_type,
    .reference = fixed_point_reference,
    .grad = fixed_point_grad,
    .batch = batch_fixed_point,
    .trace = trace_fixed_point,
    .size_of = [](const Expr& y, std::int64_t axis) { return size(y.inputs()[0], axis); },
    .expand = iterated,
    .examples = fixed_point_examples,
};

constinit const Op converged_op{
    .name = "converged",
    .type =
        [](Args x, const Attrs&) {
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = converged_reference,
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs& attrs) {
                         const double residual = in[1].dtype == DType::float32
                                                     ? *in[1].as<const float>()
                                                     : *in[1].as<const double>();
                         require_converged(residual, *in[2].as<const std::int64_t>(), attrs);
                         std::memcpy(out.data, in[0].data,
                                     static_cast<std::size_t>(out.size()) * size_of(out.dtype));
                       }},
};

Expr fixed_point(const std::function<Expr(const Expr& z)>& body, const Arg& initial,
                 const FixedPointOptions& options) {
  const Attribution as(initial.where());
  const auto refuse_it = [&](const std::string& what) {
    refuse<ValueError>("fixed_point", what, initial);
  };
  if (!(options.tolerance > 0)) refuse_it("the tolerance must be above 0");
  if (options.most_steps < 1) refuse_it("there must be a step at least");
  if (options.memory < 0) refuse_it("memory counts earlier steps, it is not below 0");
  const Expr start = initial->type().weak ? cast(initial, DType::float64) : initial.expr();
  Equation e{variable("z", Type{start.dtype(), start.dims()}),
             {},
             {},
             options.most_steps,
             options.memory,
             /*linear=*/false,
             options.tolerance};
  e.f = body(e.z);
  e.f.type(initial.where());
  // What the body uses, where it does not depend on z, becomes an operand.
  NodeSet inside{e.z.get()};
  std::vector<Expr> operands{start};
  Substitutions closed;
  const std::vector<Expr> nodes = topological(std::span(&e.f, 1));
  NodeSet known;
  const auto capture = [&](const Expr& node, const Expr& operand) {
    if (constant_value(node) || node.type().weak || !known.insert(node.get()).second) return;
    e.others.push_back(variable(describe(node), Type{node.dtype(), node.dims()}, node->where));
    operands.push_back(operand);
    closed.emplace_back(node, e.others.back());
  };
  for (const Expr& node : nodes) {
    const bool within = std::ranges::any_of(
        node.inputs(), [&](const Expr& input) { return inside.contains(input.get()); });
    if (!within) continue;
    if (&node.op() == &size_op) {
      capture(node, graphs::replaced(std::span(&node, 1), {{e.z, start}}).front());
    } else {
      inside.insert(node.get());
    }
  }
  for (const Expr& node : nodes) {
    if (!inside.contains(node.get())) continue;
    for (const Expr& input : node.inputs()) {
      if (!inside.contains(input.get())) capture(input, input);
    }
  }
  if (!inside.contains(e.f.get())) capture(e.f, e.f);
  e.f = graphs::replaced(std::span(&e.f, 1), closed).front();
  return apply(fixed_point_op, std::move(operands), e.attrs(), initial.where());
}

}  // namespace cinch
