#include "cinch/core/derive/examples.hpp"

#include <algorithm>

#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/plan/host.hpp"

namespace cinch::deriving {

namespace {

bool lends_shape(const Expr& node, std::size_t input) { return !node.op().reads(input); }

/// The first of the places found, where all agree on what surrounds the examples. As the axes meet
/// position by position they are equally long: what agrees on one side does on the other.
const Place* common(std::span<const Place> places) {
  const Place* first = nullptr;
  for (const Place& place : places) {
    if (!place.found()) continue;
    if (!first) first = &place;
    if (!(place.outer == first->outer) && !(place.inner == first->inner)) return nullptr;
  }
  return first;
}

std::int64_t follow_elementwise(Args x, std::span<const std::int64_t> axes, const Expr& y) {
  std::int64_t result = -1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (axes[i] < 0) continue;
    const std::int64_t aligned = y.rank() - x[i].rank() + axes[i];
    if (result >= 0 && result != aligned) return -1;
    result = aligned;
  }
  return result;
}

/// Whether an op has the values of its first input, at other positions.
bool only_moves(const Op& op) {
  return op.algebra == Algebra::permute || op.algebra == Algebra::repeat ||
         op.algebra == Algebra::regroup;
}

// Kinds of keys that symbols stand for.
enum : std::int64_t { key_of_node, key_of_scalar, key_of_joined_sizes, key_of_rule };

std::int64_t as_key(const void* address) {
  return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(address));
}

}  // namespace

// Count
// -------------------------------------------------------------------------------------------------

Count Count::symbol(std::int64_t number) {
  Count result;
  result.symbols_.push_back(number);
  return result;
}

Count operator*(const Count& a, const Count& b) {
  Count result;
  // More than a tensor can hold is no number that others could be divided by.
  if (__builtin_mul_overflow(a.factor_, b.factor_, &result.factor_))
    return Count::symbol(Dim::unknown().symbol());
  std::ranges::merge(a.symbols_, b.symbols_, std::back_inserter(result.symbols_));
  return result;
}

std::optional<Count> Count::over(const Count& other) const {
  if (other.factor_ == 0 || factor_ % other.factor_ != 0) return {};
  if (!std::ranges::includes(symbols_, other.symbols_)) return {};
  Count result(factor_ / other.factor_);
  std::ranges::set_difference(symbols_, other.symbols_, std::back_inserter(result.symbols_));
  return result;
}

bool Count::is_several(const Count& examples) const {
  return factor_ > 1 || (!(examples == Count()) && over(examples).has_value());
}

void Count::append_to(std::vector<std::int64_t>& key) const {
  key.push_back(factor_);
  key.push_back(std::ssize(symbols_));
  key.insert(key.end(), symbols_.begin(), symbols_.end());
}

// Flow
// -------------------------------------------------------------------------------------------------

const std::vector<Digit>& Flow::digits(std::size_t i) const {
  static const auto& none = *new std::vector<Digit>;
  const auto found = all_->digits_.find(inputs()[i].get());
  return found == all_->digits_.end() ? none : found->second;
}

Count Flow::size(const Expr& x, std::int64_t axis) const {
  return all_->sizes_.at(x.get())[static_cast<std::size_t>(axis)];
}

Count Flow::value(const Expr& scalar) const {
  if (const Tensor* value = constant_value(scalar)) return value->data<std::int64_t>()[0];
  return all_->values_.at(scalar.get());
}

const Digit* counting_digit(const std::vector<Digit>& digits, const Count& weight,
                            const Count& range) {
  const Digit* found = nullptr;
  std::vector<const Digit*> below;
  for (const Digit& digit : digits) {
    if (digit.place.found() && digit.weight == weight && digit.range == range && !found) {
      found = &digit;
    } else if (!digit.weight.over(weight * range)) {
      below.push_back(&digit);
    }
  }
  // Each of those below, from the smallest on, is a multiple of what all before it stay under.
  Count bound;
  while (found && !below.empty()) {
    const auto next = std::ranges::find_if(below, [&](const Digit* d) {
      return d->weight.over(bound) && std::ranges::all_of(below, [&](const Digit* other) {
               return other == d || other->weight.over(d->weight * d->range);
             });
    });
    if (next == below.end()) return nullptr;
    bound = (*next)->weight * (*next)->range;
    below.erase(next);
  }
  return found && weight.over(bound) ? found : nullptr;
}

Place counted_rows(const Flow& flow, std::size_t i, const Place& place, const Count& n) {
  for (const Digit& digit : flow.digits(i)) {
    if (!(digit.place == place) ||
        counting_digit(flow.digits(i), digit.weight, flow.examples) != &digit)
      continue;
    const auto outer = n.over(flow.examples * digit.weight);
    return outer ? Place{0, *outer, digit.weight} : Place{};
  }
  return {};
}

// Examples
// -------------------------------------------------------------------------------------------------

Separation::Separation(const Expr& y, const Expr& x) : y_(y), x_(x.get()) {
  for (const Expr& node : topological(std::span(&y, 1))) visit(node);
}

Separation::Separation(std::span<const Expr> roots, std::span<const Given> given,
                       const Count& examples)
    : examples_(examples) {
  for (const Given& one : given) {
    known_.insert(one.x.get());
    sizes_[one.x.get()] = one.sizes;
    if (one.place.found()) places_[one.x.get()] = one.place;
    for (const Count& size : one.sizes)
      size_symbols_.insert(size.symbols().begin(), size.symbols().end());
    if (one.x.rank() == 0 && one.x.dtype() == DType::int64) values_[one.x.get()] = value_of(one.x);
  }
  for (const Expr& node : topological(roots)) visit(node);
}

Place followed(const Expr& y, const Expr& x, const Place& place, const Flow& flow,
               std::span<const std::pair<Expr, Expr>> stand_ins) {
  std::vector<Separation::Given> given;
  for (const auto& [variable, node] : stand_ins) {
    given.push_back({variable, variable == x ? place : Place{}, flow.all_->sizes_.at(node.get())});
  }
  const Separation inside(std::span(&y, 1), given, flow.examples);
  return inside.mixing(y).has_value() ? Place{} : inside.place(y);
}

Expr Separation::mixing(const Expr& root) const {
  const auto found = mixed_.find(root.get());
  return found == mixed_.end() ? Expr() : found->second;
}

Place Separation::place(const Expr& root) const {
  const auto found = places_.find(root.get());
  return found == places_.end() ? Place() : found->second;
}

void Separation::visit(const Expr& node) {
  if (!known_.insert(node.get()).second) return;
  // Not in place: finding them may visit other nodes.
  std::vector<Count> found = sizes_of(node);
  std::vector<Count>& sizes = sizes_[node.get()] = std::move(found);
  if (node.get() == x_) {
    examples_ = sizes[0];
    places_[x_] = Place{.axis = 0};
  } else if (const Place place = place_of(node); place.found()) {
    sizes[static_cast<std::size_t>(place.axis)] = place.outer * examples_ * place.inner;
    places_[node.get()] = place;
  }
  for (const Count& size : sizes)
    size_symbols_.insert(size.symbols().begin(), size.symbols().end());
  const bool integers = node.dtype() == DType::int64;
  if (node.rank() == 0 && (integers || node.dtype() == DType::bool_))
    values_[node.get()] = value_of(node);
  if (node.rank() > 0 && integers) {
    if (std::vector<Digit> digits = digits_of(node); !digits.empty())
      digits_[node.get()] = std::move(digits);
  }
}

std::vector<Count> Separation::sizes_of(const Expr& node) {
  std::vector<Count> result;
  for (std::int64_t axis = 0; axis < node.rank(); ++axis)
    result.push_back(size_of_result(node, axis));
  return result;
}

Count Separation::size_of_result(const Expr& node, std::int64_t axis) {
  const Dim dim = node.dims()[static_cast<std::size_t>(axis)];
  if (dim.known()) return dim.size();
  // Equal symbols are the same size, which an input may know more of.
  for (const Expr& input : node.inputs()) {
    const auto at = std::ranges::find(input.dims(), dim);
    if (at != input.dims().end())
      return sizes_.at(input.get())[static_cast<std::size_t>(at - input.dims().begin())];
  }
  if (node.op().size_of) {
    const Expr size = node.op().size_of(node, axis);
    if (size.has_value()) {
      for (const Expr& part : topological(std::span(&size, 1), known_)) visit(part);
      alive_.push_back(size);
      const auto value = values_.find(size.get());
      if (value != values_.end()) return value->second;
    }
  }
  if (node.op().elementwise()) return joined(node, axis);
  return graphs::is_leaf(node) ? Count::symbol(dim.symbol()) : ruled(node, dim);
}

/// What the op's type rule makes of its inputs' sizes: the same of the same, wherever it is built
/// again.
Count Separation::ruled(const Expr& node, Dim dim) {
  const auto axis = std::ranges::find(node.dims(), dim) - node.dims().begin();
  std::vector<std::int64_t> key{key_of_rule, as_key(&node.op()), axis};
  const auto& ints = node.attrs().ints;
  key.insert(key.end(), ints.begin(), ints.end());
  for (const Expr& input : node.inputs()) {
    for (const Count& size : sizes_.at(input.get())) size.append_to(key);
    if (const auto value = values_.find(input.get()); value != values_.end())
      value->second.append_to(key);
  }
  return symbol_for(std::move(key));
}

/// The size of what is broadcast.
Count Separation::joined(const Expr& node, std::int64_t axis) {
  std::vector<Count> sizes;
  for (const Expr& input : node.inputs()) {
    const std::int64_t a = input.rank() - node.rank() + axis;
    if (a >= 0) sizes.push_back(sizes_.at(input.get())[static_cast<std::size_t>(a)]);
  }
  return one_of(sizes);
}

/// Several sizes, each this one or 1.
Count Separation::one_of(std::span<const Count> sizes) {
  std::vector<std::vector<std::int64_t>> different;
  Count any;
  for (const Count& size : sizes) {
    if (size == Count()) continue;
    any = size;
    std::vector<std::int64_t> key;
    size.append_to(key);
    if (std::ranges::find(different, key) == different.end()) different.push_back(std::move(key));
  }
  if (different.size() < 2) return any;
  std::ranges::sort(different);
  std::vector<std::int64_t> all{key_of_joined_sizes};
  for (const auto& key : different) all.insert(all.end(), key.begin(), key.end());
  return symbol_for(std::move(all));
}

/// switch_(equal(a, 1), b, a), as the size of what is broadcast is written; the values are those of
/// its inputs.
bool Separation::is_joined(const Expr& node, std::span<const Count> values) const {
  const Expr& condition = node.inputs()[0];
  if (&condition.op() != &equal_op || !graphs::is_constant(condition.inputs()[1], 1)) return false;
  const auto a = values_.find(condition.inputs()[0].get());
  return a != values_.end() && a->second == values[2];
}

/// The same scalar of the same sizes is the same symbol, wherever it is built again.
Count Separation::value_of(const Expr& node) {
  if (const Tensor* value = constant_value(node)) return static_cast<std::int64_t>(value->at(0));
  if (&node.op() == &size_op) {
    const auto sizes = sizes_.find(node.inputs()[0].get());
    if (sizes != sizes_.end()) return sizes->second[AlongAxis::of(node.attrs()).axis];
  }
  std::vector<Count> values;
  for (const Expr& input : node.inputs()) {
    const auto found = values_.find(input.get());
    if (found != values_.end()) values.push_back(found->second);
  }
  const bool of_scalars = node.op().elementwise() && values.size() == node.inputs().size();
  if (!of_scalars || values.empty()) return symbol_for({key_of_node, as_key(node.get())});
  if (node.op().algebra == Algebra::product) return values[0] * values[1];
  if (&node.op() == &switch_op && (values[1] == values[2] || is_joined(node, values)))
    return one_of(std::span(values).subspan(1));
  std::vector<std::int64_t> key{key_of_scalar, as_key(&node.op()),
                                static_cast<std::int64_t>(node.dtype())};
  for (const Count& value : values) value.append_to(key);
  return symbol_for(std::move(key));
}

Count Separation::symbol_for(std::vector<std::int64_t> key) {
  const auto [found, fresh] = symbols_.try_emplace(std::move(key));
  if (fresh) found->second = Count::symbol(Dim::unknown().symbol());
  return found->second;
}

Place Separation::place_of(const Expr& node) {
  if (const Expr y = each_example_of(node); y.has_value() && !mixed_.contains(y.get())) {
    const auto found = places_.find(y.get());
    if (found != places_.end() && found->second == Place{.axis = 0}) return found->second;
  }
  std::vector<Place> places(node.inputs().size());
  bool any = false;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Node* input = node.inputs()[i].get();
    if (lends_shape(node, i)) continue;
    if (const auto mixed = mixed_.find(input); mixed != mixed_.end()) {
      // No derivative flows: statistics of a batch that are held constant mix nothing.
      if (&node.op() == &stop_gradient_op) return {};
      mixed_[node.get()] = Expr(mixed->second);
      return {};
    }
    if (const auto found = places_.find(input); found != places_.end()) {
      places[i] = found->second;
      any = true;
    }
  }
  if (!any) return {};
  const Place result = moved(node, std::move(places), examples_);
  if (!result.found()) mixed_[node.get()] = node;
  return result;
}

/// Where the n examples of the inputs stand in the result; nowhere where they mix.
Place Separation::moved(const Expr& node, std::vector<Place> places, const Count& n) const {
  const Op& op = node.op();
  if (op.trace) return op.trace(Flow(node, n, std::move(places), *this));
  const auto follow = op.elementwise() ? follow_elementwise : op.follow;
  const Place* around = common(places);
  if (!around || !follow) return {};
  std::vector<std::int64_t> axes;
  for (const Place& place : places) axes.push_back(place.axis);
  return {follow(node.inputs(), axes, node), around->outer, around->inner};
}

std::vector<Digit> Separation::digits_of(const Expr& node) {
  const Op& op = node.op();
  const std::size_t count = node.inputs().size();
  const Flow flow(node, examples_, std::vector<Place>(count), *this);
  if (op.digits) return op.digits(flow);
  if (only_moves(op)) {
    std::vector<Digit> result = flow.digits(0);
    for (Digit& digit : result) {
      if (!digit.place.found()) continue;
      std::vector<Place> places(count);
      places[0] = digit.place;
      digit.place = moved(node, std::move(places), digit.range);
    }
    return result;
  }
  if (!op.elementwise() || count != 2) return {};
  if (op.linear == LinearForm::sum) return sum_of_digits(node);
  if (op.algebra != Algebra::product) return {};
  const std::size_t factor = node.inputs()[0].rank() == 0 ? 0 : 1;
  if (node.inputs()[factor].rank() > 0) return {};
  const Count& scale = values_.at(node.inputs()[factor].get());
  const bool counts = scale.factor() > 0 && std::ranges::all_of(scale.symbols(), [&](auto s) {
                        return size_symbols_.contains(s);
                      });
  if (!counts) return {};
  std::vector<Digit> result = flow.digits(1 - factor);
  for (Digit& digit : result) digit.weight = digit.weight * scale;
  return result;
}

std::vector<Digit> Separation::sum_of_digits(const Expr& node) const {
  std::vector<Digit> result;
  for (const Expr& input : node.inputs()) {
    const auto found = digits_.find(input.get());
    if (found == digits_.end()) return {};
    for (Digit digit : found->second) {
      if (digit.place.found()) digit.place.axis += node.rank() - input.rank();
      result.push_back(std::move(digit));
    }
  }
  return result;
}

}  // namespace cinch::deriving
