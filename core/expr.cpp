#include "core/expr.hpp"

#include <algorithm>
#include <cstring>

#include "core/op.hpp"

namespace cinch {

namespace {

/// The line that expressions built on this thread are attributed to; none when the line is 0.
thread_local Source attributed{};

const Attrs no_attrs;

DType promoted(std::span<const Expr> x, bool& weak) {
  bool any_strong = false;
  DType strong = DType::bool_, literals = DType::bool_;
  for (const Expr& e : x) {
    if (e.type().weak) {
      literals = promote(literals, e.dtype());
    } else {
      any_strong = true;
      strong = promote(strong, e.dtype());
    }
  }
  weak = !any_strong;
  if (weak) return literals;
  // A literal takes the dtype of what it meets, except where that would lose its kind: int64 x +
  // 0.5 is float64.
  if (is_float(literals) && !is_float(strong)) return DType::float64;
  if (literals == DType::int64 && strong == DType::bool_) return DType::int64;
  return strong;
}

Expr convert(const Expr& x, DType dtype) {
  if (x.dtype() == dtype && !x.type().weak) return x;
  // Literals, and numbers that are none of what can be differentiated by, are converted at once.
  const bool may_be_asked_for = !x.type().weak && is_float(x.dtype());
  if (const Tensor* value = constant_value(x); value && !may_be_asked_for)
    return constant(value->cast(dtype), x->where);
  return x.dtype() == dtype ? x : cast(Arg(x, x->where), dtype);
}

/// Brings the operands to the dtypes the op asks for; says whether the result is made of literals
/// only.
bool prepare(const Op& op, std::vector<Expr>& x) {
  std::span<Expr> numbers = x;
  bool weak = false;
  switch (op.operands) {
    case Operands::as_given:
      return false;
    case Operands::boolean:
      for (const Expr& e : x) {
        if (e.dtype() != DType::bool_)
          throw TypeError("operands must be bool: compare first, as in x > 0");
      }
      return false;
    case Operands::choice:
      if (x[0].dtype() != DType::bool_)
        throw TypeError("the condition must be bool: compare first, as in x > 0");
      numbers = numbers.subspan(1);
      [[fallthrough]];
    case Operands::any:
    case Operands::numeric:
    case Operands::real: {
      DType dtype = promoted(numbers, weak);
      if (op.operands == Operands::real && !is_float(dtype)) dtype = DType::float64;
      if (op.operands == Operands::numeric && dtype == DType::bool_) dtype = DType::int64;
      if (weak) {
        // Stays weak: operands are converted among themselves only.
        for (Expr& e : numbers) {
          if (e.dtype() != dtype) e = convert(e, dtype);
        }
        return true;
      }
      for (Expr& e : numbers) e = convert(e, dtype);
      return false;
    }
  }
  return false;
}

std::string operands_text(const Op& op, std::span<const Expr> x, Source where,
                          const std::string& what) {
  std::string result = std::string(op.name) + ": " + what;
  for (const Expr& e : x) {
    result += "\n  " + text(e.type()) + "  " + describe(e);
    if (e->where.line) result += "  (" + e->where.text() + ")";
  }
  if (where.line) result += "\n  written at " + where.text();
  return result;
}

}  // namespace

namespace {
/// The same bits: 0 and -0 are two constants, and one NaN is another.
bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}
}  // namespace

bool operator==(const Attrs& a, const Attrs& b) {
  const bool same_value =
      a.value == b.value || (a.value && b.value && same_bits(*a.value, *b.value));
  return a.ints == b.ints && a.dtype == b.dtype && a.state == b.state && a.id == b.id && same_value;
}

const Type& Expr::type() const { return node_->type; }
const Op& Expr::op() const { return *node_->op; }
const Attrs& Expr::attrs() const { return node_->attrs ? *node_->attrs : no_attrs; }
std::span<const Expr> Expr::inputs() const { return node_->inputs; }

Node::Node(const Op& o, std::vector<Expr> in, std::shared_ptr<const Attrs> a, Type t, Source w)
    : op(&o), inputs(std::move(in)), attrs(std::move(a)), type(std::move(t)), where(w) {}

namespace {
/// What nodes that are going held; the outermost destructor lets go of it, one after the other,
/// instead of nested ones.
struct Remains {
  std::vector<Expr> inputs;
  std::vector<std::shared_ptr<const Derivation>> derivations;
};
thread_local Remains* remains = nullptr;
}  // namespace

Node::~Node() {
  Remains own;
  const bool outermost = !remains;
  if (outermost) remains = &own;
  std::ranges::move(inputs, std::back_inserter(remains->inputs));
  if (derivation) remains->derivations.push_back(std::move(derivation));
  if (!outermost) return;
  const auto let_go_of_last = [](auto& of) {
    const auto last = std::move(of.back());
    of.pop_back();
  };
  while (!own.inputs.empty() || !own.derivations.empty()) {
    if (!own.inputs.empty()) {
      let_go_of_last(own.inputs);
    } else {
      let_go_of_last(own.derivations);
    }
  }
  remains = nullptr;
}

Attribution::Attribution(Source where, bool force) : previous_(attributed) {
  if (where.line && (force || !attributed.line)) attributed = where;
}
Attribution::~Attribution() { attributed = previous_; }

Expr apply(const Op& op, std::vector<Expr> inputs, Attrs attrs, Source where) {
  if (attributed.line) where = attributed;
  try {
    for (const Expr& x : inputs) {
      if (!x.has_value()) throw TypeError("an operand is an empty expression");
    }
    const bool weak = prepare(op, inputs);
    Type type = op.type(inputs, attrs);
    type.weak = weak;
    std::shared_ptr<const Attrs> stored;
    if (attrs.value || attrs.state || attrs.id || !attrs.ints.empty() || !attrs.label.empty() ||
        attrs.dtype != DType::float64) {
      stored = std::make_shared<const Attrs>(std::move(attrs));
    }
    return Expr(std::make_shared<const Node>(op, std::move(inputs), std::move(stored),
                                             std::move(type), where));
  } catch (const TypeError& error) {
    const bool complete = std::ranges::all_of(inputs, [](const Expr& x) { return x.has_value(); });
    throw TypeError(
        operands_text(op, complete ? inputs : std::vector<Expr>{}, where, error.what()));
  }
}

std::int64_t axis_of(std::string_view op, const Arg& x, std::int64_t axis) {
  try {
    if (x->rank() == 0) throw TypeError("needs at least one axis");
    return normalize_axis(axis, x->rank());
  } catch (const TypeError& error) {
    throw TypeError(text(op, ": ", error.what(), "\n  ", text(x->type()), "  ", describe(x),
                         "\n  written at ", x.where().text()));
  }
}

Expr with_inputs(const Expr& expr, std::vector<Expr> inputs) {
  if (std::ranges::equal(expr.inputs(), inputs)) return expr;
  const Attribution as(expr->where, /*force=*/true);
  return apply(expr.op(), std::move(inputs), expr.attrs(), expr->where);
}

}  // namespace cinch
