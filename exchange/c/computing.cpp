// What takes loops of its own: sums, products, convolutions.
#include <algorithm>

#include "cinch/core/op.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch::exchange {

namespace {

Shape shape_of(const Expr& node) { return node.type().shape(); }

std::string row_major(const Shape& shape, const std::vector<std::string>& at) {
  std::string result = "0";
  for (std::size_t k = 0; k < shape.size(); ++k)
    result = "(" + result + ") * " + number(shape[k]) + " + " + at[k];
  return result;
}

}  // namespace

/// Elements come in row-major order; those of one result are combined in that order, in double
/// where they are floats.
void Emitter::reduce(const Expr& node) {
  const Expr& x = node.inputs()[0];
  const std::string_view op = node.op().name;
  const auto& over = OverAxes::of(node.attrs());
  const std::string name = pointer(node), type = c_type(node.dtype());
  const std::int64_t count = element_count(shape_of(node));
  const bool wide = is_float(node.dtype()) && (op == "sum" || op == "prod");
  const std::string held = wide ? "double" : type;
  const bool least = op == "min";
  std::string start = op == "prod" ? "1" : "0";
  if (op == "max" || op == "min")
    start = is_float(node.dtype()) ? (least ? "INFINITY" : "-INFINITY")
                                   : (least ? "INT64_MAX" : "INT64_MIN");
  const bool inside = !over.empty() && over.back() == x.rank() - 1;
  const auto combined = [&](const std::string& a, const std::string& b) {
    if (op == "sum" && is_float(node.dtype())) return a + " + " + b;
    if (op == "prod" && is_float(node.dtype())) return a + " * " + b;
    const std::string_view function = op == "sum"              ? "add_int"
                                      : op == "prod"           ? "mul_int"
                                      : is_float(node.dtype()) ? (least ? "minimum" : "maximum")
                                      : least                  ? "minimum_int"
                                                               : "maximum_int";
    return functions_.need(function, node.dtype()) + "(" + a + ", " + b + ")";
  };
  Indices at(static_cast<std::size_t>(x.rank()), "0"), kept;
  const auto loop = [&](std::size_t axis) {
    const std::int64_t n = shape_of(x)[axis];
    if (n == 1) return;
    at[axis] = "i" + number(static_cast<std::int64_t>(axis));
    open("for (int64_t " + at[axis] + " = 0; " + at[axis] + " < " + number(n) + "; ++" + at[axis] +
         ")");
  };
  const auto is_summed = [&](std::size_t axis) {
    return std::ranges::find(over, static_cast<std::int64_t>(axis)) != over.end();
  };
  const auto place = [&] {
    Indices result;
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      if (!is_summed(axis)) result.push_back(at[axis]);
    }
    return row_major(shape_of(node), result);
  };
  if (inside) {
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      if (!is_summed(axis)) loop(axis);
    }
    open("");
    line(held + " total = " + start + ";");
    const int before = depth_;
    for (std::size_t axis = 0; axis < at.size(); ++axis) {
      if (is_summed(axis)) loop(axis);
    }
    if (depth_ == before) open("");
    line("total = " + combined("total", element(x, at)) + ";");
    while (depth_ > before) close();
    line(name + "[" + place() + "] = (" + type + ")total;");
    return;
  }
  // Along rows as they lie, with a row of results.
  std::string totals = name;
  if (wide && node.dtype() == DType::float32) {
    totals = name + "_wide";
    reserve(totals, "double", count * 8);
  }
  line("for (int64_t k = 0; k < " + number(count) + "; ++k) " + totals + "[k] = " + start + ";");
  const int outside = depth_;
  for (std::size_t axis = 0; axis < at.size(); ++axis) loop(axis);
  if (depth_ == outside) open("");
  const std::string value = element(x, at), to = totals + "[" + place() + "]";
  line(to + " = " + combined(to, value) + ";");
  while (depth_ > outside) close();
  if (totals != name)
    line("for (int64_t k = 0; k < " + number(count) + "; ++k) " + name + "[k] = (" + type + ")" +
         totals + "[k];");
}

/// Row by row of the result, added up in blocks of the inner axis.
void Emitter::product(const Expr& node) {
  const Expr &a = node.inputs()[0], &b = node.inputs()[1];
  const std::int64_t inner = shape_of(a).back(), columns = shape_of(b).back();
  const bool pairs = node.op().name == "batched_dot";
  const std::int64_t all = element_count(shape_of(node));
  const std::int64_t batch = pairs ? shape_of(node)[0] : 1;
  const std::int64_t rows = all == 0 ? 0 : all / columns / batch;
  const std::string type = c_type(node.dtype()), left = pointer(a), right = pointer(b);
  if (all == 0) return;
  if (inner == 0) {
    line("for (int64_t k = 0; k < " + number(all) + "; ++k) " + pointer(node) + "[k] = 0;");
    return;
  }
  if (pairs)
    open("for (int64_t p = 0; p < " + number(batch) + "; ++p)");
  else
    open("");
  const auto offset = [&](std::int64_t n) { return pairs ? " + p * " + number(n) : std::string(); };
  line("const " + type + " *const a = " + left + offset(rows * inner) + ", *const b = " + right +
       offset(inner * columns) + ";");
  line(type + " *const c = " + pointer(node) + offset(rows * columns) + ";");
  line("for (int64_t k = 0; k < " + number(rows * columns) + "; ++k) c[k] = 0;");
  open("for (int64_t k0 = 0; k0 < " + number(inner) + "; k0 += 32)");
  line("const int64_t k1 = k0 + 32 < " + number(inner) + " ? k0 + 32 : " + number(inner) + ";");
  open("for (int64_t i = 0; i < " + number(rows) + "; ++i)");
  line("const " + type + " *const x = a + i * " + number(inner) + ";");
  line(type + " *const y = c + i * " + number(columns) + ";");
  line("int64_t k = k0;");
  if (is_float(node.dtype()) && inner >= 4) {
    // Four rows of b at a time: y is read and written a quarter as often.
    open("for (; k + 4 <= k1; k += 4)");
    std::string sum = "y[j]";
    for (int r = 0; r < 4; ++r) {
      const std::string n = number(r);
      line("const " + type + " x" + n + " = x[k + " + n + "], *const b" + n + " = b + (k + " + n +
           ") * " + number(columns) + ";");
      sum += " + x" + n + " * b" + n + "[j]";
    }
    line("for (int64_t j = 0; j < " + number(columns) + "; ++j) y[j] = " + sum + ";");
    close();
  }
  if (is_float(node.dtype()) && inner % 4 == 0) return;  // Blocks are of 32.
  open("for (; k < k1; ++k)");
  const std::string to = "y[j]", from = "x[k] * b[k * " + number(columns) + " + j]";
  line("for (int64_t j = 0; j < " + number(columns) + "; ++j) " +
       (is_float(node.dtype()) ? to + " += " + from
                               : to + " = " + functions_.need("add_int", DType::int64) + "(" + to +
                                     ", " + functions_.need("mul_int", DType::int64) +
                                     "(x[k], b[k * " + number(columns) + " + j]))") +
       ";");
}

/// All three forms: element (g, e, c, i) of x, (g, f, c, k) of w, (g, e, f, o) of y.
void Emitter::convolve(const Expr& node) {
  const std::string_view op = node.op().name;
  const bool data = op == "convolution_data", filters = op == "convolution_filters";
  const Expr &first = node.inputs()[0], &second = node.inputs()[1];
  const Expr &x = data ? node : first, &w = filters ? node : second;
  const Expr& y = data ? first : filters ? second : node;
  const Shape in = shape_of(x), filter = shape_of(w), out = shape_of(y);
  const std::size_t lead = in.size() - 4;
  const windows::Windows windows = windows::windows_of(node.attrs());
  const std::int64_t groups = lead ? in[0] : 1;
  const std::string name = pointer(node), type = c_type(node.dtype());
  line("for (int64_t q = 0; q < " + number(element_count(shape_of(node))) + "; ++q) " + name +
       "[q] = 0;");
  loop("g", groups);
  loop("e", in[lead]);
  loop("f", filter[lead]);
  loop("c", in[lead + 1]);
  loop("k0", filter[lead + 2]);
  loop("k1", filter[lead + 3]);
  // A sum of its own for each example: float32 loses less in two short sums than in a long one.
  if (filters) line(type + " total = 0;");
  const int before = depth_;
  loop("o0", out[lead + 2]);
  in_map("0", windows[0], in[lead + 2]);
  loop("o1", out[lead + 3]);
  in_map("1", windows[1], in[lead + 3]);
  const auto inner = [](Shape shape, std::size_t from) {
    shape.erase(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(from));
    shape.insert(shape.begin(), 1);
    return shape;
  };
  const std::string xs = pointer(x) + "[" +
                         row_major(inner(in, lead), {"g", "e", "c", "i0", "i1"}) + "]",
                    ws = pointer(w) + "[" +
                         row_major(inner(filter, lead), {"g", "f", "c", "k0", "k1"}) + "]",
                    ys = pointer(y) + "[" +
                         row_major(inner(out, lead), {"g", "e", "f", "o0", "o1"}) + "]";
  const std::string to = data ? xs : filters ? "total" : ys;
  const std::string& a = data ? ys : xs;
  const std::string& b = filters ? ys : ws;
  const bool whole = !is_float(node.dtype());
  const std::string one =
      whole ? functions_.need("mul_int", DType::int64) + "(" + a + ", " + b + ")" : a + " * " + b;
  line(to + " = " + added(node.dtype(), to, one) + ";");
  if (!filters) return;
  while (depth_ > before) close();
  line(ws + " = " + added(node.dtype(), ws, "total") + ";");
}

}  // namespace cinch::exchange
