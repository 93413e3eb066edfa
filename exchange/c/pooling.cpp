// What takes loops of its own: windows over maps, and places in maps.
#include "cinch/core/op.hpp"
#include "cinch/exchange/c/emitter.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch::exchange {

namespace {

/// Maps of one height and width, one behind the other.
struct Maps {
  std::int64_t count = 1, rows = 0, columns = 0;

  explicit Maps(const Expr& node) {
    const Shape shape = node.type().shape();
    rows = shape[shape.size() - 2];
    columns = shape.back();
    for (std::size_t k = 0; k + 2 < shape.size(); ++k) count *= shape[k];
  }
  std::string at(const std::string& map, const char* row, const char* column) const {
    return "[(" + map + " * " + number(rows) + " + " + row + ") * " + number(columns) + " + " +
           column + "]";
  }
};

}  // namespace

/// Where along an axis, i, the element k of the window o lies: nothing is done outside of the map.
void Emitter::in_map(const std::string& axis, const windows::Window& w, std::int64_t size) {
  line("const int64_t i" + axis + " = o" + axis + " * " + number(w.stride) + " - " +
       number(w.before) + " + k" + axis + " * " + number(w.dilation) + ";");
  line("if (i" + axis + " < 0 || i" + axis + " >= " + number(size) + ") continue;");
}

/// Sums over windows, in double where they are floats, and the other way round.
void Emitter::pool(const Expr& node) {
  const Expr& x = node.inputs()[0];
  const bool spreads = node.op().name == "window_spread";
  const Maps large(spreads ? node : x), small(spreads ? x : node);
  const windows::Windows w = windows::windows_of(node.attrs());
  const std::string held = is_float(node.dtype()) ? "double" : c_type(node.dtype());
  if (spreads) clear(node);
  loop("m", large.count);
  loop("o0", small.rows);
  loop("o1", small.columns);
  if (!spreads) line(held + " total = 0;");
  const int before = depth_;
  loop("k0", w[0].width);
  in_map("0", w[0], large.rows);
  loop("k1", w[1].width);
  in_map("1", w[1], large.columns);
  const std::string i = large.at("m", "i0", "i1"), o = small.at("m", "o0", "o1"),
                    to = spreads ? pointer(node) + i : "total";
  line(to + " = " + added(node.dtype(), to, pointer(x) + (spreads ? o : i)) + ";");
  while (depth_ > before) close();
  if (!spreads) line(pointer(node) + o + " = (" + c_type(node.dtype()) + ")total;");
}

/// Where in its map the largest element of each window lies: the first of equal ones.
void Emitter::window_argmax(const Expr& node) {
  const Expr& x = node.inputs()[0];
  const Maps large(x), small(node);
  const windows::Windows w = windows::windows_of(node.attrs());
  loop("m", large.count);
  loop("o0", small.rows);
  loop("o1", small.columns);
  line("const " + c_type(x.dtype()) + " *const x = " + pointer(x) + " + m * " +
       number(large.rows * large.columns) + ";");
  line("int64_t best = -1;");
  const int before = depth_;
  loop("k0", w[0].width);
  in_map("0", w[0], large.rows);
  loop("k1", w[1].width);
  in_map("1", w[1], large.columns);
  line("const int64_t k = i0 * " + number(large.columns) + " + i1;");
  line("const " + c_type(x.dtype()) + " now = x[k], most = x[best < 0 ? k : best];");
  line("if (best < 0 || " + exceeds(x.dtype(), false) + ") best = k;");
  while (depth_ > before) close();
  line(pointer(node) + small.at("m", "o0", "o1") + " = best;");
}

void Emitter::unpool(const Expr& node) {
  const Expr &x = node.inputs()[0], &places = node.inputs()[1];
  const Maps large(node), small(places);
  clear(node);
  loop("m", small.count);
  loop("k", small.rows * small.columns);
  const std::string at = "[m * " + number(small.rows * small.columns) + " + k]",
                    area = number(large.rows * large.columns),
                    place = row_of(node, pointer(places) + at, large.rows * large.columns, false),
                    to = pointer(node) + "[m * " + area + " + " + place + "]";
  line(to + " = " + added(node.dtype(), to, pointer(x) + at) + ";");
}

}  // namespace cinch::exchange
