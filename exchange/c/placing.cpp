// What takes loops of its own: elements put where indices say, and what runs along an axis.
#include <algorithm>

#include "cinch/core/op.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/ops/records/attributes.hpp"

namespace cinch::exchange {

namespace {

Shape shape_of(const Expr& node) { return node.type().shape(); }

/// A shape as (outer, n, inner), where n is the size of one axis.
struct Lanes {
  std::int64_t outer = 1, n = 1, inner = 1;

  Lanes(const Shape& shape, std::int64_t axis) : n(shape[static_cast<std::size_t>(axis)]) {
    for (std::int64_t k = 0; k < static_cast<std::int64_t>(shape.size()); ++k)
      (k < axis   ? outer
       : k > axis ? inner
                  : n) *= k == axis ? 1 : shape[static_cast<std::size_t>(k)];
  }
};

}  // namespace

void Emitter::loop(const std::string& index, std::int64_t count) {
  open("for (int64_t " + index + " = 0; " + index + " < " + number(count) + "; ++" + index + ")");
}

void Emitter::clear(const Expr& node, const std::string& value) {
  line("for (int64_t q = 0; q < " + number(element_count(shape_of(node))) + "; ++q) " +
       pointer(node) + "[q] = " + value + ";");
}

std::string Emitter::added(DType dtype, const std::string& a, const std::string& b) {
  return is_float(dtype) ? a + " + " + b
                         : functions_.need("add_int", dtype) + "(" + a + ", " + b + ")";
}

void Emitter::scatter(const Expr& node) {
  const Expr &x = node.inputs()[0], &indices = node.inputs()[1];
  const std::int64_t rows = shape_of(node)[0],
                     row = rows == 0 ? 0 : element_count(shape_of(node)) / rows;
  clear(node);
  loop("k", element_count(shape_of(indices)));
  const std::string r = row_of(node, pointer(indices) + "[k]", rows, true);
  if (row == 0) return;
  const std::string to = pointer(node) + "[" + r + " * " + number(row) + " + j]";
  line("for (int64_t j = 0; j < " + number(row) + "; ++j) " + to + " = " +
       added(node.dtype(), to, pointer(x) + "[k * " + number(row) + " + j]") + ";");
}

void Emitter::add_along(const Expr& node) {
  const std::int64_t axis = AlongAxis::of(node.attrs()).axis;
  const Expr &x = node.inputs()[0], &indices = node.inputs()[1];
  const Lanes here(shape_of(x), axis), there(shape_of(node), axis);
  clear(node);
  loop("o", here.outer);
  loop("k", here.n);
  loop("j", here.inner);
  const std::string at = "[(o * " + number(here.n) + " + k) * " + number(here.inner) + " + j]",
                    r = row_of(node, pointer(indices) + at, there.n, true),
                    to = pointer(node) + "[(o * " + number(there.n) + " + " + r + ") * " +
                         number(there.inner) + " + j]";
  line(to + " = " + added(node.dtype(), to, pointer(x) + at) + ";");
}

void Emitter::last_writer(const Expr& node) {
  const std::int64_t axis = AlongAxis::of(node.attrs()).axis;
  const Expr& x = node.inputs()[0];
  const Lanes here(shape_of(x), axis), there(shape_of(node), axis);
  clear(node, "-1");
  loop("o", here.outer);
  loop("k", here.n);
  loop("j", here.inner);
  const std::string r = row_of(
      node, pointer(x) + "[(o * " + number(here.n) + " + k) * " + number(here.inner) + " + j]",
      there.n, false);
  line(pointer(node) + "[(o * " + number(there.n) + " + " + r + ") * " + number(there.inner) +
       " + j] = k;");
}

/// Lane by lane: running sums, in double where they are floats, the place of the largest or
/// smallest so far, and y = a y + b.
void Emitter::run_along(const Expr& node) {
  const std::string_view op = node.op().name;
  const Expr& x = node.inputs()[0];
  const auto run = records::Running::of(node.attrs());  // All three begin with these two.
  const Lanes lanes(shape_of(node), run.axis);
  if (lanes.n == 0) return;
  const std::string type = c_type(node.dtype()), n = number(lanes.n);
  loop("o", lanes.outer);
  loop("j", lanes.inner);
  const std::string lane = " + o * " + number(lanes.n * lanes.inner) + " + j",
                    k = run.backward ? n + " - 1 - s" : "s",
                    first = run.backward ? n + " - 1" : "0",
                    at = "[k * " + number(lanes.inner) + "]";
  const auto at_lane = [&](const std::string& name, const Expr& operand) {
    line("const " + c_type(operand.dtype()) + " *const " + name + " = " + pointer(operand) + lane +
         ";");
  };
  at_lane("x", x);
  line(type + " *const y = " + pointer(node) + lane + ";");
  if (op == "cumsum") {
    line((is_float(node.dtype()) ? "double" : type) + " total = 0;");
    loop("s", lanes.n);
    line("const int64_t k = " + k + ";");
    line("total = " + added(node.dtype(), "total", "x" + at) + ";");
    line("y" + at + " = (" + type + ")total;");
  } else if (op == "running_argmax") {
    const bool least = records::RunningExtreme::of(node.attrs()).smallest;
    line("int64_t best = " + first + ";");
    loop("s", lanes.n);
    line("const int64_t k = " + k + ";");
    line("const " + c_type(x.dtype()) + " now = x" + at + ", most = x[best * " +
         number(lanes.inner) + "];");
    line("if (" + exceeds(x.dtype(), least) + ") best = k;");
    line("y" + at + " = best;");
  } else {
    at_lane("b", node.inputs()[1]);
    line(type + " last = " + number(records::LinearRecurrence::of(node.attrs()).start) + ";");
    loop("s", lanes.n);
    line("const int64_t k = " + k + ";");
    line("y" + at + " = last;");
    const bool whole = !is_float(node.dtype());
    const std::string product =
        whole ? functions_.need("mul_int", node.dtype()) + "(x" + at + ", last)"
              : "x" + at + " * last";
    line("last = " + added(node.dtype(), product, "b" + at) + ";");
  }
}

/// Whether `now` is more than `most`; NaN is as extreme as can be.
std::string Emitter::exceeds(DType dtype, bool least) {
  const std::string more = least ? "now < most" : "now > most";
  return is_float(dtype) ? more + " || (isnan(now) && !isnan(most))" : more;
}

/// The first of equal ones.
void Emitter::extreme_place(const Expr& node) {
  const Expr& x = node.inputs()[0];
  const Lanes lanes(shape_of(x), AlongAxis::of(node.attrs()).axis);
  const std::string inner = number(lanes.inner);
  loop("o", lanes.outer);
  loop("j", lanes.inner);
  line("const " + c_type(x.dtype()) + " *const x = " + pointer(x) + " + o * " +
       number(lanes.n * lanes.inner) + " + j;");
  line("int64_t best = 0;");
  open("for (int64_t k = 1; k < " + number(lanes.n) + "; ++k)");
  line("const " + c_type(x.dtype()) + " now = x[k * " + inner + "], most = x[best * " + inner +
       "];");
  line("if (" + exceeds(x.dtype(), node.op().name == "argmin") + ") best = k;");
  close();
  line(pointer(node) + "[o * " + inner + " + j] = best;");
}

void Emitter::argsort(const Expr& node) {
  const Expr& x = node.inputs()[0];
  const auto s = records::Sorting::of(node.attrs());
  const Lanes lanes(shape_of(x), s.axis), wanted(shape_of(node), s.axis);
  const std::string sort = functions_.need("sort", x.dtype()), order = pointer(node) + "_order",
                    inner = number(lanes.inner);
  reserve(order, "int64_t", lanes.n * 8);
  loop("o", lanes.outer);
  loop("j", lanes.inner);
  line(sort + "(" + pointer(x) + " + o * " + number(lanes.n * lanes.inner) + " + j, " + inner +
       ", " + number(lanes.n) + ", " + (s.descending ? "1" : "0") + ", " + order + ");");
  line("for (int64_t k = 0; k < " + number(wanted.n) + "; ++k) " + pointer(node) + "[(o * " +
       number(wanted.n) + " + k) * " + inner + " + j] = " + order + "[k];");
}

}  // namespace cinch::exchange
