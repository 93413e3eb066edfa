#include "cinch/ops/window.hpp"

#include <algorithm>

#include "cinch/core/op.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/window/windows.hpp"

namespace cinch {

namespace {

/// Of a window, in elements: products of two such numbers are numbers still.
constexpr std::int64_t longest = std::int64_t{1} << 30;

}  // namespace

std::vector<std::int64_t> PerAxis::of(std::size_t axes, std::int64_t least,
                                      const char* what) const {
  std::vector<std::int64_t> result = each_;
  if (result.size() == 1) result.assign(axes, each_[0]);
  if (result.size() != axes) {
    throw TypeError(
        text("the ", what, " has ", result.size(), " numbers for ", axes, " spatial axes"));
  }
  for (const std::int64_t n : result) {
    if (n < least) throw ValueError(text("the ", what, " is ", n, ", it must be at least ", least));
    if (n > longest)
      throw ValueError(text("the ", what, " is ", n, ", it must be at most ", longest));
  }
  return result;
}

std::vector<Sides> Padding::of(const std::vector<std::int64_t>& spans) const {
  std::vector<Sides> result = each_;
  if (each_.empty() && kind_ == Pad::same) {
    for (const std::int64_t span : spans) {
      if (span < 0) {
        throw TypeError(
            "Pad::same needs filters of known size: give the numbers, or declare the filters' "
            "sizes");
      }
      result.emplace_back((span - 1) / 2, span - 1 - (span - 1) / 2);
    }
    return result;
  }
  if (each_.empty()) return std::vector<Sides>(spans.size(), Sides(0));
  if (each_.size() == 1) result.assign(spans.size(), each_[0]);
  if (result.size() != spans.size()) {
    throw TypeError(text("the padding is given for ", result.size(), " axes, there are ",
                         spans.size(), " spatial ones"));
  }
  for (const Sides& sides : result) {
    if (sides.before < 0 || sides.after < 0) {
      throw ValueError(text("the padding is ", std::min(sides.before, sides.after),
                            ", it must be at least 0: cut with slice() instead"));
    }
    if (sides.before > longest || sides.after > longest) {
      throw ValueError(text("the padding is ", std::max(sides.before, sides.after),
                            ", it must be at most ", longest));
    }
  }
  return result;
}

std::int64_t windows::Window::count(std::int64_t n) const {
  const std::int64_t room = n + before + after;
  if (width < 1) throw TypeError("a window needs at least one element");
  if (room < span()) {
    throw TypeError(text("a window spans ", span(), " elements, more than the ", room,
                         " there are, padding included"));
  }
  return (room - span()) / stride + 1;
}

windows::Windows windows::windows_of(const Attrs& attrs) {
  const auto& i = attrs.ints;
  return {Window{i[0], i[1], i[2], i[3], i[4]}, Window{i[5], i[6], i[7], i[8], i[9]}};
}

Attrs windows::attrs_of(const Windows& windows) {
  const auto& [h, w] = windows;
  return {.ints = {h.width, h.stride, h.before, h.after, h.dilation,  //
                   w.width, w.stride, w.before, w.after, w.dilation}};
}

windows::Windows windows::along_two(const std::vector<Window>& windows) {
  return windows.size() == 1 ? Windows{Window{}, windows[0]} : Windows{windows[0], windows[1]};
}

Expr windows::with_height(const Expr& x) { return expand_dims(x, x.rank() - 1); }
Expr windows::without_height(const Expr& x) { return squeeze(x, -2); }

Dim windows::window_count(Dim n, Dim width, const Window& window) {
  if (!width.known()) return Dim::unknown();
  Window own = window;
  own.width = width.size();
  if (n.known()) return own.count(n.size());
  if (own.width < 1) throw TypeError("a window needs at least one element");
  const bool made_up = own.stride == 1 && own.before + own.after == own.span() - 1;
  return made_up ? n : Dim::unknown();
}

Expr windows::window_count(const Expr& n, const Expr& width, const Window& window) {
  const auto size = records::constant_size(n), own_width = records::constant_size(width);
  if (size && own_width) {
    Window own = window;
    own.width = *own_width;
    return constant(Tensor(own.count(*size)));
  }
  // (n + before + after - (width - 1) dilation - 1) / stride + 1
  const std::int64_t pads = window.before + window.after - 1;
  const Expr room = own_width ? n + (pads - (*own_width - 1) * window.dilation)
                              : n + pads - (width - 1) * window.dilation;
  return (window.stride == 1 ? room : floor_div(room, window.stride)) + 1;
}

Expr windows::covered_size(const Expr& count, const Expr& width, const Window& window) {
  // (count - 1) stride + (width - 1) dilation + 1 - before - after
  const std::int64_t rest = 1 - window.before - window.after;
  const auto o = records::constant_size(count), k = records::constant_size(width);
  if (o && k) return constant(Tensor((*o - 1) * window.stride + (*k - 1) * window.dilation + rest));
  return (count - 1) * window.stride + (width - 1) * window.dilation + rest;
}

Dim windows::shared_size(Dim a, Dim b, const char* one, const char* other) {
  if (a.known() && b.known() && !(a == b))
    throw TypeError(text(one, " ", a.size(), ", ", other, " ", b.size()));
  return a.known() ? a : b;
}

std::vector<Expr> windows::spatial_sizes(const Expr& x) { return {size(x, -2), size(x, -1)}; }

void windows::require_count(Dim count, Dim n, Dim width, const Window& window, std::size_t axis) {
  if (!count.known() || !n.known() || !width.known()) return;
  const Dim there = window_count(n, width, window);
  if (!(there == count)) {
    throw TypeError(text(there.size(), " windows of ", width.size(), " stand along size ", n.size(),
                         " of spatial axis ", axis, ", not ", count.size()));
  }
}

bool windows::dense_inside(const Strided& where, const Shape& shape, std::size_t axes) {
  std::int64_t step = 1;
  for (std::size_t k = shape.size(); k-- > shape.size() - axes; step *= shape[k]) {
    if (shape[k] != 1 && where.strides[k] != step) return false;
  }
  return true;
}

}  // namespace cinch
