#include "cinch/core/expr.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cinch/core/op.hpp"
#include "cinch/core/refusal.hpp"

namespace cinch {

namespace {

/// The line that expressions built on this thread are attributed to; none when the line is 0.
thread_local Source attributed_line{};
/// The function that errors on this thread are reported in; null for none.
thread_local const char* attributed_function = nullptr;

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
  if (const Tensor* value = constant_value(x); value && !may_be_asked_for) {
    Tensor converted = value->cast(dtype);
    if (x.type().weak && value->size() == 1 && std::isfinite(value->item()) &&
        !std::isfinite(converted.item())) {
      throw TypeError(text("the number ", value->item(), " is too large for ", name(dtype),
                           ": write infinity where that is meant, or cast() to float64"));
    }
    return constant(std::move(converted), x->where);
  }
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

/// Throws TypeError where an operand is stored narrow.
void require_widened(std::span<const Expr> x) {
  for (const Expr& e : x) {
    if (!is_storage(e.dtype())) continue;
    throw TypeError(text("an operand is stored as ", e.dtype(),
                         ", which can be sliced and taken from only: compute with widened(x), or "
                         "widened(x, 255) for bytes of images"));
  }
}

/// Whether a line is one of this library's own, which tells a user nothing.
bool is_ours(Source where) {
  const std::string_view here = __FILE__, root = here.substr(0, here.rfind("core/"));
  std::string_view file = where.file;
  constexpr std::string_view installed = "include/cinch/";
  if (const std::size_t at = file.rfind(installed); at != std::string_view::npos) {
    file.remove_prefix(at + installed.size());
  } else if (file.starts_with(root)) {
    file.remove_prefix(root.size());
  } else {
    return false;
  }
  constexpr std::string_view folders[] = {"core/", "ops/",   "models/", "optim/",
                                          "io/",   "train/", "audit/"};
  return std::ranges::any_of(folders,
                             [&](std::string_view folder) { return file.starts_with(folder); });
}

/// The function that was called by the user, if it is known and has a name of its own.
std::string function_text() {
  const std::string function = attributed_function ? attributed_function : "";
  return function.starts_with("operator") ? "" : function;
}

/// The text with lines of at most 100 characters, where there are blanks to break them at.
std::string wrapped(const std::string& text) {
  constexpr std::size_t width = 100;
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t margin = std::min(line.find_first_not_of(' '), width / 2) + 2;
    while (line.size() > width) {
      const std::size_t blank = line.rfind(' ', width);
      if (blank == std::string::npos || blank <= margin) break;
      result += line.substr(0, line.find_last_not_of(' ', blank) + 1) + "\n";
      line = std::string(margin, ' ') + line.substr(blank + 1);
    }
    result += line + "\n";
  }
  if (!result.empty()) result.pop_back();
  return result;
}

}  // namespace

std::string written_at(Source where) {
  return where.line && !is_ours(where) ? "\n  written at " + where.text() : "";
}

std::string refusal(std::string_view function, const std::string& what,
                    std::span<const Expr> operands, Source where) {
  std::string result = std::string(function) + ": " + what;
  for (const Expr& e : operands) {
    if (!e.has_value()) {
      result += "\n  an empty expression";
      continue;
    }
    result += "\n  " + text(e.type()) + "  " + describe(e);
    if (e->where.line && !is_ours(e->where)) result += "  (" + e->where.text() + ")";
  }
  const std::string called = function_text();
  if (!called.empty() && called != function) result += "\n  in " + called;
  return wrapped(result + written_at(where));
}

std::string refusal(std::string_view function, const std::string& what, const Arg& first,
                    const std::vector<Expr>& others) {
  std::vector<Expr> operands{first};
  operands.insert(operands.end(), others.begin(), others.end());
  return refusal(function, what, operands, first.where());
}

namespace {

/// Whether an error names function and line already, as that of an empty operand.
bool is_whole(const Error& error) {
  return std::string_view(error.what()).find("\n  written at ") != std::string_view::npos;
}

}  // namespace

void refuse(std::string_view function, const Error& found, const Arg& first,
            const std::vector<Expr>& others) {
  if (dynamic_cast<const ValueError*>(&found))
    refuse<ValueError>(function, found.what(), first, others);
  if (is_whole(found)) throw TypeError(found.what());
  refuse(function, found.what(), first, others);
}

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
  return a.ints == b.ints && a.dtype == b.dtype && a.state == b.state && a.id == b.id &&
         same_value && a.formula == b.formula && a.loop == b.loop && a.observer == b.observer;
}

const Attrs& Expr::attrs(Source where) const {
  static const Attrs& none = *new Attrs;  // Never destroyed: programs compute while they end.
  const Node& mine = node(where);
  return mine.attrs ? *mine.attrs : none;
}

void Expr::throw_empty(Source where) {
  const std::string function = function_text();
  throw TypeError((function.empty() ? "" : function + ": ") +
                  "an empty expression was used: assign one first" + written_at(attributed(where)));
}

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

Attribution::Attribution(Source where, bool force, const char* function)
    : previous_(attributed_line), previous_function_(attributed_function) {
  if (where.line && (force || !attributed_line.line)) attributed_line = where;
  if (!force && !attributed_function) attributed_function = function;
}
Attribution::~Attribution() {
  attributed_line = previous_;
  attributed_function = previous_function_;
}

Source attributed(Source where) { return attributed_line.line ? attributed_line : where; }

Sizes::Sizes(std::initializer_list<Arg> sizes) {
  for (const Arg& size : sizes) {
    const bool number = size.expr().has_value() && size->type().weak;
    all_.push_back(number && size->dtype() == DType::int64 ? cast(size, DType::int64)
                                                           : size.expr());
  }
}

Sizes::Sizes(const Shape& sizes, Source where) {
  for (const std::int64_t n : sizes) all_.push_back(constant(Tensor(n), where));
}

namespace {

/// The public function that made the node, where its label says so.
std::string_view name_in_messages(const Op& op, const Attrs& attrs) {
  return attrs.label.empty() ? op.name : std::string_view(attrs.label);
}

}  // namespace

Expr apply(const Op& op, std::vector<Expr> inputs, Attrs attrs, Source where) {
  where = attributed(where);
  try {
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k].has_value()) continue;
      throw TypeError(text("an operand is an empty expression",
                           inputs.size() > 1 ? text(" (number ", k + 1, ")") : "",
                           ": assign one before, Expr() is none"));
    }
    if (!op.moves) require_widened(inputs);
    const bool weak = prepare(op, inputs);
    Type type = op.type(inputs, attrs);
    type.weak = weak;
    std::shared_ptr<const Attrs> stored;
    if (attrs.value || attrs.state || attrs.id || attrs.loop || attrs.observer ||
        !attrs.ints.empty() || !attrs.formula.empty() || !attrs.label.empty() ||
        attrs.dtype != DType::float64) {
      stored = std::make_shared<const Attrs>(std::move(attrs));
    }
    return Expr(std::make_shared<const Node>(op, std::move(inputs), std::move(stored),
                                             std::move(type), where));
  } catch (const TypeError& error) {
    if (is_whole(error)) throw;
    throw TypeError(refusal(name_in_messages(op, attrs), error.what(), inputs, where));
  } catch (const ValueError& error) {
    throw ValueError(refusal(name_in_messages(op, attrs), error.what(), inputs, where));
  }
}

std::int64_t axis_of(std::string_view op, const Arg& x, std::int64_t axis) {
  const std::int64_t rank = x->rank();  // Of an empty expression the error is another one.
  try {
    if (rank == 0) throw TypeError("needs at least one axis");
    return normalize_axis(axis, rank);
  } catch (const TypeError& error) {
    refuse(op, error, x);
  }
}

Expr with_inputs(const Expr& expr, std::vector<Expr> inputs) {
  if (std::ranges::equal(expr.inputs(), inputs)) return expr;
  const Attribution as(expr->where, /*force=*/true);
  return apply(expr.op(), std::move(inputs), expr.attrs(), expr->where);
}

}  // namespace cinch
