#include "cinch/audit/search/formula.hpp"

#include "cinch/core/derive/derivative_of.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::searching {

namespace {

bool is(const Expr& e, const Op& op) { return &e.op() == &op; }

/// How tightly an op binds: what binds less is put in parentheses.
enum Tightness { sums = 1, products = 2, calls = 3 };

struct Written {
  std::string text;
  int binds = calls;
};

/// Moves, converts, marks or checks elements; the formula reads the same without it.
bool silent(const Expr& e) {
  return is(e, cast_op) || is(e, copy_op) || is(e, deriving::derivative_op) ||
         is(e, broadcast_to_op) || is(e, reshape_op) || is(e, records::checked_shape_op) ||
         is(e, records::checked_label_op) ||
         (is(e, dimshuffle_op) && e.inputs()[0].rank() != e.rank());
}

/// Of how many sizes and numbers `e` is the product, and of nothing else; 0 if it is not.
std::size_t sizes_in(const Expr& e) {
  if (e.rank() != 0) return 0;
  if (is(e, size_op) || constant_value(e)) return 1;
  if (is(e, cast_op)) return sizes_in(e.inputs()[0]);
  if (!is(e, mul_op)) return 0;
  const std::size_t a = sizes_in(e.inputs()[0]), b = sizes_in(e.inputs()[1]);
  return a && b ? a + b : 0;
}

/// Whether `e` divides a sum by how many elements it is the sum of.
bool is_mean(const Expr& e) {
  const Expr& total = e.inputs()[0];
  if (!is(total, sum_op)) return false;
  double count = 1;
  for (const std::int64_t axis : OverAxes::of(total.attrs())) {
    const Dim dim = total.inputs()[0].dims()[static_cast<std::size_t>(axis)];
    count *= dim.known() ? static_cast<double>(dim.size()) : 0;
  }
  if (const Tensor* by = constant_value(e.inputs()[1])) return count > 0 && by->item() == count;
  return sizes_in(e.inputs()[1]) == OverAxes::of(total.attrs()).size();
}

Written write(const Expr& e, int depth);

std::string inside(const Expr& e, int depth, int least) {
  const Written w = write(e, depth);
  return w.binds < least ? "(" + w.text + ")" : w.text;
}

std::string arguments(const Expr& e, int depth) {
  const Op& op = e.op();
  std::string result;
  const std::size_t count =
      op.sizes_from >= 0 ? static_cast<std::size_t>(op.sizes_from) : e.inputs().size();
  for (std::size_t k = 0; k < count; ++k) {
    if (op.reads(k)) result += (result.empty() ? "" : ", ") + write(e.inputs()[k], depth).text;
  }
  return result;
}

/// The axes of a reduction where it leaves some.
std::string axes(const Expr& reduced) {
  if (reduced.rank() == 0) return "";
  const auto& axes = OverAxes::of(reduced.attrs());
  std::string result;
  for (const std::int64_t axis : axes)
    result += (result.empty() ? "" : ", ") + std::to_string(axis);
  return axes.size() == 1 ? ", " + result : ", {" + result + "}";
}

Written write(const Expr& given, int depth) {
  Expr e = given;
  while (silent(e)) e = e.inputs()[0];
  if (e.inputs().empty()) return {describe(e, 1)};
  if (depth == 0) return {"..."};
  const auto infix = [&](const char* sign, int binds, bool associative) -> Written {
    return {inside(e.inputs()[0], depth - 1, binds) + sign +
                inside(e.inputs()[1], depth - 1, associative ? binds : binds + 1),
            binds};
  };
  if (is(e, add_op)) return infix(" + ", sums, true);
  if (is(e, sub_op)) return infix(" - ", sums, false);
  if (is(e, mul_op)) return infix(" * ", products, true);
  if (is(e, neg_op)) return {"-" + inside(e.inputs()[0], depth - 1, products), sums};
  if (is(e, div_op)) {
    const Expr& total = e.inputs()[0];
    if (is_mean(e)) return {"mean(" + write(total.inputs()[0], depth - 1).text + axes(total) + ")"};
    return infix(" / ", products, false);
  }
  if (is(e, size_op)) {
    return {text("size(", write(e.inputs()[0], depth - 1).text, ", ", AlongAxis::of(e.attrs()).axis,
                 ")")};
  }
  if (is(e, dimshuffle_op)) return {"transpose(" + arguments(e, depth - 1) + ")"};
  if (is(e, sum_op)) return {"sum(" + arguments(e, depth - 1) + axes(e) + ")"};
  return {std::string(e.op().name) + "(" + arguments(e, depth - 1) + ")"};
}

}  // namespace

std::string formula_text(const Expr& e, std::size_t width) {
  std::string best = write(e, 1).text;
  for (int depth = 2; depth < 8; ++depth) {
    std::string deeper = write(e, depth).text;
    if (deeper.size() > width) break;
    best = std::move(deeper);
  }
  return best;
}

}  // namespace cinch::searching
