#include "cinch/exchange/c/emitter.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <utility>

#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/graph/recurrence.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/index.hpp"
#include "cinch/ops/records/attributes.hpp"

namespace cinch::exchange {

namespace {

constexpr std::array<std::string_view, 15> moving{
    "dimshuffle",     "broadcast_to",    "reshape",     "narrow",        "diagonal",
    "embed_diagonal", "embed",           "concatenate", "arange",        "eye",
    "take",           "take_along_axis", "pick",        "checked_label", "checked_index"};

bool computes(const Expr& node) { return Emitter::loops_of(node.op()) != nullptr; }

std::string times(const std::string& index, std::int64_t n) {
  if (index == "0" || n == 0) return "0";
  return n == 1 ? index : index + " * " + std::to_string(n);
}
std::string plus(const std::string& a, const std::string& b) {
  if (a == "0") return b;
  return b == "0" ? a : a + " + " + b;
}
/// The element number in row-major order.
std::string flat(const Shape& shape, const std::vector<std::string>& at) {
  std::string result = "0";
  std::int64_t stride = 1;
  for (std::size_t k = shape.size(); k-- > 0; stride *= shape[k]) {
    if (shape[k] != 1) result = plus(times(at[k], stride), result);
  }
  return result;
}
Shape shape_of(const Expr& node) { return node.type().shape(); }
/// The user's line, in a comment that no name of a file ends.
std::string line_of(const Expr& node) {
  std::string result = node->where.text();
  for (char& c : result) {
    if (c == '*' || c == '\\' || static_cast<unsigned char>(c) < ' ') c = '?';
  }
  return result;
}
/// The indices of an operand that is repeated to where `at` counts.
std::vector<std::string> repeated(const Expr& operand, const std::vector<std::string>& at) {
  const Shape shape = shape_of(operand);
  std::vector<std::string> result(shape.size(), "0");
  const std::size_t lead = at.size() - shape.size();
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] != 1) result[k] = at[lead + k];
  }
  return result;
}

}  // namespace

bool is_value(const Expr& node) {
  const Tensor* number = constant_value(node);
  return number ? number->size() == 1 : is_variable(node) && node.rank() == 0;
}

std::string_view c_counterpart(const Op& op) {
  if (has_formula(op)) return "arithmetic";
  if (std::ranges::find(moving, op.name) != moving.end()) return "indices";
  return Emitter::loops_of(op) ? "loops" : "";
}
bool has_c_counterpart(const Expr& node) { return !c_counterpart(node.op()).empty(); }

Emitter::Loops Emitter::loops_of(const Op& op) {
  static const auto& all = *new std::map<std::string_view, Loops>{
      {"sum", &Emitter::reduce},
      {"max", &Emitter::reduce},
      {"min", &Emitter::reduce},
      {"prod", &Emitter::reduce},
      {"dot", &Emitter::product},
      {"batched_dot", &Emitter::product},
      {"convolution", &Emitter::convolve},
      {"convolution_data", &Emitter::convolve},
      {"convolution_filters", &Emitter::convolve},
      {"window_sum", &Emitter::pool},
      {"window_spread", &Emitter::pool},
      {"window_argmax", &Emitter::window_argmax},
      {"unpool", &Emitter::unpool},
      {"argmax", &Emitter::extreme_place},
      {"argmin", &Emitter::extreme_place},
      {"scatter_add", &Emitter::scatter},
      {"add_along_axis", &Emitter::add_along},
      {"last_writer", &Emitter::last_writer},
      {"cumsum", &Emitter::run_along},
      {"running_argmax", &Emitter::run_along},
      {"recurrence", &Emitter::run_along},
      {"argsort", &Emitter::argsort},
      {"loop", &Emitter::run_loop},
      {"converged", &Emitter::check_converged},
  };
  const auto found = all.find(op.name);
  return found == all.end() ? nullptr : found->second;
}

void Emitter::line(const std::string& text) {
  if (!text.empty()) statements_ += std::string(static_cast<std::size_t>(depth_) * 2, ' ') + text;
  statements_ += '\n';
}
void Emitter::open(const std::string& text) {
  line(text.empty() ? "{" : text + " {");
  ++depth_;
}
void Emitter::close() {
  --depth_;
  line("}");
}

Emitter::Indices Emitter::loops(const Shape& shape, const std::string& prefix) {
  Indices result;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (shape[k] == 1) {
      result.emplace_back("0");
      continue;
    }
    result.push_back(prefix + std::to_string(k));
    const std::string& i = result.back();
    open("for (int64_t " + i + " = 0; " + i + " < " + std::to_string(shape[k]) + "; ++" + i + ")");
  }
  return result;
}

/// `node` has to lie in memory.
void Emitter::force(const Expr& node) {
  if (!graphs::is_leaf(node) || is_value(node)) stored_.insert(node.get());
}

void Emitter::decide(const std::vector<Expr>& order, const std::vector<Expr>& roots) {
  NodeMap<int> uses;
  for (const Expr& root : roots) {
    if (!graphs::is_leaf(root)) stored_.insert(root.get());
    needed_.insert(root.get());
  }
  for (auto node = order.rbegin(); node != order.rend(); ++node) {
    if (!needed_.contains(node->get())) continue;
    if (computes(*node)) stored_.insert(node->get());
    for (std::size_t k = 0; k < node->inputs().size(); ++k) {
      const Expr& input = node->inputs()[k];
      if (!node->op().reads(k) || graphs::says_size(*node, k)) continue;
      needed_.insert(input.get());
      const std::string_view op = node->op().name;
      const bool reduces = loops_of(node->op()) == &Emitter::reduce;
      if ((computes(*node) && !reduces) || op == "embed" || op == "concatenate" ||
          op == "embed_diagonal" || op.starts_with("take") || op == "pick")
        force(input);
      if (op == "narrow" && k == 1 && !constant_value(input)) force(input);
      if (!has_formula(input.op()) || graphs::is_leaf(input)) continue;
      const bool repeats = input.type().is_static() && node->type().is_static() &&
                           element_count(shape_of(input)) < element_count(shape_of(*node));
      if ((++uses[input.get()] > 1 || repeats) && !is_trivial(input.op())) force(input);
    }
  }
}

std::string Emitter::table(const Expr& node) {
  const Tensor& value = *constant_value(node);
  const std::string name = "table_" + std::to_string(next_++);
  tables_ += "static const " + c_type(value.dtype()) + " " + name + "[" +
             std::to_string(std::max<std::int64_t>(value.size(), 1)) + "] = {";
  for (std::int64_t k = 0; k < value.size(); ++k)
    tables_ += (k == 0 ? "" : (k % 12 == 0 ? ",\n  " : ", ")) + c_number(value, k);
  tables_ += value.size() == 0 ? "0};\n" : "};\n";
  return name;
}

void Emitter::emit() {
  const auto named = [&](const std::vector<Named>& all) {
    for (const Named& one : all) pointer_[one.value.get()] = "u_" + one.name;
  };
  named(graph_.inputs);
  named(graph_.parameters);
  named(graph_.constants);
  for (const Draw& draw : graph_.draws) pointer_[draw.variable.get()] = "u_" + draw.name;
  value_ = pointer_;  // Of those that is_value() holds for.
  decide(graph_.order, graph_.roots());
  compute(graph_.order);
  place();
}

/// Statements for what is needed of these nodes.
void Emitter::compute(const std::vector<Expr>& order) {
  std::vector<Expr> around = std::exchange(order_, order);
  for (const Expr& node : order) {
    if (!needed_.contains(node.get())) continue;
    if (const Tensor* value = constant_value(node); value && value->size() != 1)
      pointer_[node.get()] = table(node);
  }
  for (const Expr& node : order) {
    if (!needed_.contains(node.get())) continue;
    if (&node.op() == &narrow_op) check_slice(node);
    if (stored_.contains(node.get()) && !made_.contains(node.get())) store(node);
  }
  order_ = std::move(around);
}

/// The function ends where a slice that begins where a value says is beyond the axis.
void Emitter::check_slice(const Expr& node) {
  if (constant_value(node.inputs()[1])) return;
  const auto [axis, step] = Narrowing::of(node.attrs());
  const std::int64_t length = shape_of(node)[static_cast<std::size_t>(axis)],
                     n = shape_of(node.inputs()[0])[static_cast<std::size_t>(axis)],
                     reach = (std::max<std::int64_t>(length, 1) - 1) * step,
                     least = std::max<std::int64_t>(-reach, 0),
                     most = n - 1 - std::max<std::int64_t>(reach, 0);
  if (length == 0) return;
  const std::string start = stored_element(node.inputs()[1], {});
  line("if (" + start + " < " + std::to_string(least) + " || " + start + " > " +
       std::to_string(most) + ") return 1;  /* " + line_of(node) + " */");
}

/// Declares `name`, a part of the memory, which is found a place later.
std::string Emitter::reserve(const std::string& name, const std::string& type, std::int64_t bytes) {
  line(type + " *const " + name + " = (" + type + " *)(bytes + \1" +
       std::to_string(places_.size()) + "\1);");
  const std::size_t now = stretches_.size() - 1;
  places_.push_back({name, (std::max<std::int64_t>(bytes, 1) + 63) / 64 * 64, 0, now, now});
  return name;
}

/// Finds a place for each part: those that are in use at the same time do not overlap.
void Emitter::place() {
  std::map<std::string_view, Place*> by_name;
  for (Place& one : places_) by_name[one.name] = &one;
  std::size_t now = 0;
  const auto is_letter = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (std::size_t k = 0; k < statements_.size();) {
    while (now + 1 < stretches_.size() && stretches_[now + 1] <= k) ++now;
    std::size_t end = k;
    while (end < statements_.size() && is_letter(statements_[end])) ++end;
    const auto found = by_name.find(std::string_view(statements_).substr(k, end - k));
    if (found != by_name.end()) found->second->last = now;
    k = std::max(end, k + 1);
  }
  for (const Expr& root : graph_.roots()) {
    if (const auto found = by_name.find(pointer_[root.get()]); found != by_name.end())
      found->second->last = stretches_.size();
  }
  // What a loop finds when it begins has to be there at each step.
  for (const auto& [begin, end] : repeated_) {
    for (Place& one : places_) {
      if (one.first < begin && one.last >= begin && one.last < end) one.last = end;
    }
  }
  std::vector<const Place*> used;  // In the order of their offsets.
  for (Place& one : places_) {
    std::erase_if(used, [&](const Place* other) { return other->last < one.first; });
    auto next = used.begin();
    for (; next != used.end() && (*next)->offset < one.offset + one.bytes; ++next)
      one.offset = std::max(one.offset, (*next)->offset + (*next)->bytes);
    used.insert(next, &one);
    bytes_ = std::max(bytes_, one.offset + one.bytes);
  }
  std::string placed;
  for (std::size_t k = 0; k < statements_.size();) {
    const std::size_t mark = std::min(statements_.find('\1', k), statements_.size());
    placed += statements_.substr(k, mark - k);
    if (mark == statements_.size()) break;
    const std::size_t end = statements_.find('\1', mark + 1);
    const auto number = std::stoul(statements_.substr(mark + 1, end - mark - 1));
    placed += std::to_string(places_[number].offset);
    k = end + 1;
  }
  statements_ = std::move(placed);
}

void Emitter::store(const Expr& node) {
  const std::string name = "v" + std::to_string(next_++);
  stretches_.push_back(statements_.size());
  line("");
  line("/* " + std::string(node.op().name) + " " + text(node.dims()) +
       (node->where.line ? ", " + line_of(node) : "") + " */");
  reserve(name, c_type(node.dtype()), bytes_of(node.type()));
  known_.clear();
  const int outside = depth_;
  if (computes(node)) {
    pointer_[node.get()] = name;
    (this->*loops_of(node.op()))(node);
  } else if (element_count(shape_of(node)) == 0) {
    pointer_[node.get()] = name;
    line("(void)" + name + ";");
  } else {
    const Indices at = loops(shape_of(node), "i");
    if (depth_ == outside) open("");
    const std::string computed_value = is_value(node) ? value(node) : computed(node, at);
    line(name + "[" + flat(shape_of(node), at) + "] = " + computed_value + ";");
    pointer_[node.get()] = name;
  }
  while (depth_ > outside) close();
  known_.clear();
}

std::string Emitter::value(const Expr& node) const {
  const Tensor* number = constant_value(node);
  if (number) return c_number(*number, 0);
  return value_.at(node.get());
}

std::string Emitter::stored_element(const Expr& node, const Indices& at) const {
  return pointer_.at(node.get()) + "[" + flat(shape_of(node), at) + "]";
}

std::string Emitter::local(DType dtype, const std::string& value) {
  for (const auto& [known, name] : known_) {
    if (known == value) return name;
  }
  const std::string name = "t" + std::to_string(next_++);
  line("const " + c_type(dtype) + " " + name + " = " + value + ";");
  known_.emplace_back(value, name);
  return name;
}

std::string Emitter::element(const Expr& node, const Indices& at) {
  if (is_value(node)) return value(node);
  if (graphs::is_leaf(node) || stored_.contains(node.get()))
    return local(node.dtype(), stored_element(node, at));
  return computed(node, at);
}

/// Of a node that does not lie in memory, or is on the way there.
std::string Emitter::computed(const Expr& node, const Indices& at) {
  const std::string_view op = node.op().name;
  const std::span<const Expr> in = node.inputs();
  const auto axis_of = [](std::int64_t axis) { return static_cast<std::size_t>(axis); };
  if (has_formula(node.op())) {
    std::vector<std::string> operands;
    for (const Expr& operand : in) operands.push_back(element(operand, repeated(operand, at)));
    if (op == "checked_parameter") operands.resize(1);
    return local(node.dtype(), c_formula(node, operands, functions_));
  }
  if (op == "dimshuffle") {
    Indices from(axis_of(in[0].rank()), "0");
    const auto& pattern = AxisPattern::of(node.attrs());
    for (std::size_t k = 0; k < pattern.size(); ++k) {
      if (pattern[k] >= 0) from[axis_of(pattern[k])] = at[k];
    }
    return element(in[0], from);
  }
  if (op == "broadcast_to") return element(in[0], repeated(in[0], at));
  if (op == "reshape") {
    const Shape to = shape_of(node), from = shape_of(in[0]);
    std::vector<std::int64_t> wide_to, wide_from;
    std::ranges::copy_if(to, std::back_inserter(wide_to), [](auto n) { return n != 1; });
    std::ranges::copy_if(from, std::back_inserter(wide_from), [](auto n) { return n != 1; });
    Indices inner(from.size(), "0");
    if (wide_to == wide_from) {
      std::size_t next = 0;
      for (std::size_t k = 0; k < from.size(); ++k) {
        if (from[k] == 1) continue;
        while (to[next] == 1) ++next;
        inner[k] = at[next++];
      }
      return element(in[0], inner);
    }
    const std::string number = local(DType::int64, flat(to, at));
    if (pointer_.contains(in[0].get()) && in[0].rank() > 0)
      return local(node.dtype(), pointer_.at(in[0].get()) + "[" + number + "]");
    std::int64_t stride = 1;
    for (std::size_t k = from.size(); k-- > 0; stride *= std::max<std::int64_t>(from[k], 1)) {
      if (from[k] == 1) continue;
      // No variable: what repeats its operand has no use for it.
      inner[k] = "(" + number + " / " + std::to_string(stride) + " % " +
                 std::to_string(std::max<std::int64_t>(from[k], 1)) + ")";
    }
    return element(in[0], inner);
  }
  if (op == "narrow") {
    const auto [axis, step] = Narrowing::of(node.attrs());
    Indices from = at;
    const std::string start = element(in[1], {});
    from[axis_of(axis)] = local(
        DType::int64, start + " + " + at[axis_of(axis)] + " * (" + std::to_string(step) + ")");
    return element(in[0], from);
  }
  if (op == "diagonal" || op == "embed_diagonal") {
    const DiagonalAxes d = DiagonalAxes::of(node.attrs());
    const std::int64_t above = std::max<std::int64_t>(d.offset, 0), below = above - d.offset;
    const bool embeds = op == "embed_diagonal";
    const std::int64_t rank = embeds ? node.rank() : in[0].rank();
    Indices other;
    std::size_t next = 0;
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      const bool on = axis == d.row || axis == d.column;
      if (embeds && !on) other.push_back(at[axis_of(axis)]);
      if (embeds) continue;
      const std::int64_t shift = axis == d.row ? below : above;
      other.push_back(!on ? at[next++] : "(" + at.back() + " + " + std::to_string(shift) + ")");
    }
    if (!embeds) return element(in[0], other);
    const std::string &row = at[axis_of(d.row)], &column = at[axis_of(d.column)];
    other.push_back("(" + row + " - " + std::to_string(below) + ")");
    return local(node.dtype(), column + " - " + row + " == " + std::to_string(d.offset) + " ? " +
                                   stored_element(in[0], other) + " : 0");
  }
  if (op == "embed") {
    const auto [axis, step] = Narrowing::of(node.attrs());
    const std::string n = std::to_string(shape_of(in[0])[axis_of(axis)]),
                      by = "(" + std::to_string(step) + ")";
    const std::string from = local(DType::int64, at[axis_of(axis)] + " - " + element(in[2], {}));
    Indices inner = at;
    inner[axis_of(axis)] = "(" + from + " / " + by + ")";
    return local(node.dtype(), from + " % " + by + " == 0 && " + from + " / " + by + " >= 0 && " +
                                   from + " / " + by + " < " + n + " ? " +
                                   stored_element(in[0], inner) + " : 0");
  }
  if (op == "concatenate") {
    const std::size_t axis = axis_of(AlongAxis::of(node.attrs()).axis);
    std::int64_t begin = 0;
    std::string value = "";
    for (const Expr& part : in) {
      Indices inner = at;
      const std::int64_t n = shape_of(part)[axis];
      inner[axis] = "(" + at[axis] + " - " + std::to_string(begin) + ")";
      begin += n;
      const bool last = part.get() == in.back().get() && begin == shape_of(node)[axis];
      value += last ? stored_element(part, inner)
                    : at[axis] + " < " + std::to_string(begin) + " ? " +
                          stored_element(part, inner) + " : ";
      if (last) break;
    }
    return local(node.dtype(), value);
  }
  if (op == "arange") return local(DType::int64, at[0]);
  if (op == "eye") return local(node.dtype(), at[0] + " == " + at[1]);
  if (op.starts_with("checked"))
    return row_of(node, element(in[0], at), constant_value(in[1])->data<std::int64_t>()[0],
                  op == "checked_index" && records::IndexCheck::of(node.attrs()).negatives);
  if (op == "pick") {
    const Shape maps = shape_of(in[0]);
    Indices from(at.begin(), at.end() - 2);
    const std::int64_t columns = maps.back(), area = columns * maps[maps.size() - 2];
    const std::string place = row_of(node, stored_element(in[1], at), area, false);
    from.push_back("(" + place + " / " + std::to_string(columns) + ")");
    from.push_back("(" + place + " % " + std::to_string(columns) + ")");
    return local(node.dtype(), stored_element(in[0], from));
  }
  if (op == "take_along_axis") {
    const std::size_t axis = axis_of(AlongAxis::of(node.attrs()).axis);
    Indices from = repeated(in[0], at), index = at;
    from[axis] =
        row_of(node, stored_element(in[1], repeated(in[1], at)), shape_of(in[0])[axis], true);
    return local(node.dtype(), stored_element(in[0], from));
  }
  // take
  const std::int64_t axes = in[1].rank();
  Indices from{row_of(node, stored_element(in[1], Indices(at.begin(), at.begin() + axes)),
                      shape_of(in[0])[0], true)};
  from.insert(from.end(), at.begin() + axes, at.end());
  return local(node.dtype(), stored_element(in[0], from));
}

/// `index` counted from the front, in a local variable; the function ends where there is no such.
std::string Emitter::row_of(const Expr& node, const std::string& index, std::int64_t n,
                            bool negatives) {
  const std::string given = local(DType::int64, index), size = std::to_string(n);
  line("if (" + given + " < " + (negatives ? "-" + size : "0") + " || " + given + " >= " + size +
       ") return 1;  /* " + line_of(node) + " */");
  return negatives ? local(DType::int64, given + " < 0 ? " + given + " + " + size + " : " + given)
                   : given;
}

}  // namespace cinch::exchange
