#include "cinch/core/graph/leaves.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "cinch/core/graph.hpp"
#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/core/shared.hpp"

namespace cinch {

namespace {

// Leaves get their types from their attributes: apply() hands those over through the functions
// below, which build the nodes themselves.
Type no_type(Args, const Attrs&) { throw TypeError("a leaf cannot be applied to operands"); }

Type constant_type(Args, const Attrs& attrs) { return type_of(*attrs.value); }
Type shared_type(Args, const Attrs& attrs) {
  Type type = type_of(attrs.state->value);
  if (attrs.state->free_rows) type.dims[0] = Dim::unknown();
  return type;
}

Tensor constant_reference(Values, const Attrs& attrs) { return *attrs.value; }

Expr leaf(const Op& op, Attrs attrs, Type type, Source where) {
  return Expr(std::make_shared<const Node>(op, std::vector<Expr>{},
                                           std::make_shared<const Attrs>(std::move(attrs)),
                                           std::move(type), attributed(where)));
}

}  // namespace

const Op graphs::variable_op{.name = "variable", .type = no_type};
const Op graphs::constant_op{
    .name = "constant", .type = constant_type, .reference = constant_reference};
const Op graphs::shared_op{.name = "shared", .type = shared_type};

Expr weak_constant(Tensor value, Source where) {
  Type type = type_of(value);
  type.weak = true;
  return leaf(graphs::constant_op, {.value = std::make_shared<const Tensor>(std::move(value))},
              std::move(type), where);
}

Arg::Arg(const Tensor& value, Source where) : expr_(constant(value, where)), where_(where) {}
Expr Arg::literal(bool value, Source where) { return weak_constant(Tensor(value), where); }
Expr Arg::literal(std::int64_t value, Source where) { return weak_constant(Tensor(value), where); }
Expr Arg::literal(double value, Source where) { return weak_constant(Tensor(value), where); }
Expr literal(double value, Source where) { return weak_constant(Tensor(value), where); }

Expr constant(Tensor value, Source where) {
  Type type = type_of(value);
  return leaf(graphs::constant_op, {.value = std::make_shared<const Tensor>(std::move(value))},
              std::move(type), where);
}

const Tensor* constant_value(const Expr& expr) {
  return &expr.op() == &graphs::constant_op ? expr.attrs().value.get() : nullptr;
}

bool graphs::is_constant(const Expr& expr, double value) {
  const Tensor* t = constant_value(expr);
  if (!t || t->size() == 0 || t->size() > 16) return false;
  for (std::int64_t i = 0; i < t->size(); ++i) {
    if (t->at(i) != value) return false;
  }
  return true;
}

Expr variable(std::string label, Type type, Source where) {
  // Only makes variables distinct; no result depends on the numbers.
  static std::atomic<std::uint64_t> next{1};
  return leaf(graphs::variable_op,
              {.id = next.fetch_add(1, std::memory_order_relaxed), .label = std::move(label)},
              std::move(type), where);
}

Expr variable(std::string label, DType dtype, const Shape& sizes, Source where) {
  Dims dims;
  for (const std::int64_t size : sizes) dims.push_back(size < 0 ? Dim::unknown() : Dim(size));
  return variable(std::move(label), Type{dtype, std::move(dims)}, where);
}

bool is_variable(const Expr& expr) { return &expr.op() == &graphs::variable_op; }

namespace {
std::atomic<std::uint64_t> shared_made{0};
}  // namespace

std::uint64_t graphs::shared_variables_made() { return shared_made.load(); }

namespace {

Expr shared_leaf(Tensor value, std::string label, bool free_rows, Source where) {
  auto state = std::make_shared<SharedState>();
  state->value = std::move(value);
  state->label = label;
  state->free_rows = free_rows;
  state->number = shared_made.fetch_add(1, std::memory_order_relaxed);
  Attrs attrs{.state = std::move(state), .label = std::move(label)};
  Type type = shared_type({}, attrs);
  return leaf(graphs::shared_op, std::move(attrs), std::move(type), where);
}

}  // namespace

Expr graphs::with_rows(const Expr& variable, std::int64_t rows) {
  Type type = variable.type();
  type.dims[0] = Dim(rows);
  return leaf(graphs::shared_op, variable.attrs(), std::move(type), variable->where);
}

Shared::Shared(Tensor value, std::string label, Source where)
    : Expr(shared_leaf(std::move(value), std::move(label), /*free_rows=*/false, where)) {}

Shared Shared::with_free_rows(Tensor value, std::string label, Source where) {
  if (value.rank() == 0) {
    refuse("Shared::with_free_rows",
           "a scalar has no rows\n  Give it an axis, as Tensor(dtype, {0, columns}) has.", where);
  }
  Shared result;
  static_cast<Expr&>(result) =
      shared_leaf(std::move(value), std::move(label), /*free_rows=*/true, where);
  return result;
}

const Tensor& Shared::value(Source where) const { return attrs(where).state->value; }
Tensor Shared::get(Source where) const {
  const SharedState& state = *attrs(where).state;
  const std::shared_lock lock(state.access);
  return state.value;
}
bool Shared::takes(const Tensor& value) const { return graphs::fits(value, type()); }
const std::string& Shared::label() const { return attrs().label; }

namespace {

bool same_number(const Tensor& a, const Tensor& b) {
  if (a.dtype() != DType::int64 && b.dtype() == DType::int64) return same_number(b, a);
  if (a.dtype() != DType::int64) return a.item() == b.item();
  const std::int64_t whole = a.data<std::int64_t>()[0];
  if (b.dtype() == DType::int64) return whole == b.data<std::int64_t>()[0];
  const double x = b.item();
  return x >= -0x1p63 && x < 0x1p63 && x == std::trunc(x) && static_cast<std::int64_t>(x) == whole;
}

}  // namespace

bool graphs::fits(const Tensor& value, const Type& type) {
  const auto same = [](std::int64_t size, Dim dim) { return !dim.known() || dim.size() == size; };
  return value.dtype() == type.dtype && std::ranges::equal(value.shape(), type.dims, same);
}

bool graphs::is_kept(const Tensor& scalar, const Tensor& converted) {
  const bool rounded = is_float(scalar.dtype()) && is_float(converted.dtype()) &&
                       std::isfinite(scalar.item()) == std::isfinite(converted.item());
  return rounded || same_number(scalar, converted);
}

void Shared::set(Tensor value, Source where) {
  SharedState& state = *attrs(where).state;
  const std::unique_lock lock(state.access);
  Tensor& mine = state.value;
  if (value.rank() == 0 && mine.rank() == 0) {
    Tensor converted = value.cast(mine.dtype());
    if (graphs::is_kept(value, converted)) value = std::move(converted);
  }
  if (!takes(value)) {
    refuse("set",
           "shared variable " + describe(*this) + " is " + text(type()) + ", the new value is " +
               text(type_of(value)) +
               "\n  Convert it with cast() or reshaped(), or make a new variable.",
           where);
  }
  std::swap(mine, value);  // The old one goes after the lock.
}

bool is_shared(const Expr& expr) { return &expr.op() == &graphs::shared_op; }

Shared as_shared(const Expr& expr) {
  if (!is_shared(expr)) throw TypeError(describe(expr) + " is not a shared variable");
  Shared result;
  static_cast<Expr&>(result) = expr;
  return result;
}

std::vector<Shared> shared_variables(std::span<const Expr> roots) {
  std::vector<Shared> result;
  for (const Expr& root : roots) root.type();  // An empty one would go unnoticed.
  for (const Expr& node : topological(roots)) {
    if (is_shared(node)) result.push_back(as_shared(node));
  }
  return result;
}

}  // namespace cinch
