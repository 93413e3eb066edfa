#include "cinch/ops/records/operands.hpp"

#include <algorithm>

#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/shape.hpp"

namespace cinch::records {

namespace {

enum Fit : std::int64_t {
  repeated,        ///< One of the two is repeated to the other.
  repeated_along,  ///< The same, and both have the same size along an axis counted from the end.
  same,            ///< Both have the same sizes.
  without_axis,    ///< `x` has the sizes of the other but for one axis.
  matrices,        ///< The columns of `x` are the other's rows, and the axes in front broadcast.
  last_and_first,  ///< The last axes of `x` are the first ones of the other, as many as `axis`
                   ///< says.
  not_empty,       ///< `x` has elements along its last axis.
};

/// What a checked shape is asked.
struct ShapeCheck {
  Fit fit;
  std::int64_t axis = 0;  ///< Along which it has to fit.
  std::int64_t lead = 0;  ///< How many axes in front of `x` are of vectorization.

  static ShapeCheck of(const Attrs& a) { return {Fit{a.ints[0]}, a.ints[1], a.ints[2]}; }
  /// `function` is the public one.
  Attrs attrs(const std::string& function) const {
    return {.ints = {fit, axis, lead}, .label = function};
  }
};

/// Whether the two sizes surely are the same. Throws TypeError where they surely are not.
bool same_size(Dim a, Dim b, const std::string& where) {
  if (a == b) return true;
  if (a.known() && b.known()) throw TypeError(text("sizes ", a.size(), " and ", b.size(), where));
  return false;
}

bool same_sizes(const Dims& x, const Dims& other) {
  if (x.size() != other.size())
    throw TypeError("shapes " + text(x) + " and " + text(other) + " must be the same");
  bool sure = true;
  for (std::size_t k = 0; k < x.size(); ++k)
    sure &= same_size(x[k], other[k], text(" differ along axis ", k));
  return sure;
}

/// Whether one of the two surely is repeated to the other.
bool one_repeated(const Dims& x, const Dims& other) {
  const Dims met = broadcast(x, other);  // Throws where they do not meet at all.
  bool x_is = x.size() < other.size(), other_is = other.size() < x.size();
  bool x_may = x_is, other_may = other_is, sure = true;
  for (std::size_t k = 1; k <= std::min(x.size(), other.size()); ++k) {
    const Dim a = x[x.size() - k], b = other[other.size() - k];
    if (a == b) continue;
    x_is |= a == Dim(1) && b.known();
    other_is |= b == Dim(1) && a.known();
    x_may |= (!a.known() || a == Dim(1)) && !(b == Dim(1));
    other_may |= (!b.known() || b == Dim(1)) && !(a == Dim(1));
    sure &= a == Dim(1) || b == Dim(1);  // Others may turn out to be different.
  }
  if (x_is && other_is) {
    throw TypeError("shapes " + text(x) + " and " + text(other) + " would both be repeated, to " +
                    text(met) +
                    "\n  One must have the shape of the result: give both the same axes, with "
                    "squeeze() or expand_dims().");
  }
  return sure && !(x_may && other_may);
}

bool same_along(const Dims& x, const Dims& other, std::int64_t from_end) {
  const auto back = static_cast<std::size_t>(-from_end);
  if (x.size() < back || other.size() < back) {
    throw TypeError(text("both must have axis ", from_end, ", shapes ", text(x), " and ",
                         text(other), " do not"));
  }
  return same_size(x[x.size() - back], other[other.size() - back],
                   text(" differ along axis ", from_end, ", which is summed over"));
}

bool surely_fits(const Dims& x, const Dims& other, const ShapeCheck& check) {
  const std::int64_t axis = check.axis;
  switch (check.fit) {
    case same:
      return same_sizes(x, other);
    case without_axis: {
      Dims rest = other;
      rest.erase(rest.begin() + axis);
      try {
        return same_sizes(x, rest);
      } catch (const TypeError&) {
        throw TypeError(text("labels must have the sizes of the predictions without axis ", axis,
                             ", ", text(rest), ", they have ", text(x)));
      }
    }
    case matrices: {
      const bool sure = same_size(x.back(), other[other.size() - 2],
                                  ": columns on the left must be rows on the right");
      const Dims a(x.begin(), x.end() - 2), b(other.begin(), other.end() - 2);
      broadcast(a, b);  // Throws where they do not.
      const auto known = [](Dim n) { return n.known(); };
      return sure && (a == b || (std::ranges::all_of(a, known) && std::ranges::all_of(b, known)));
    }
    case last_and_first: {
      bool sure = true;
      const auto count = static_cast<std::size_t>(axis);
      for (std::size_t k = 0; k < count; ++k)
        sure &= same_size(x[x.size() - count + k], other[k], " are summed over together");
      return sure;
    }
    case not_empty:
      if (x.back() == Dim(0)) throw TypeError("there are no elements to take it of");
      return x.back().known();
    case repeated_along: {
      const bool along = same_along(x, other, axis);
      return one_repeated(x, other) && along;
    }
    default:
      return one_repeated(x, other);
  }
}

bool surely_fits(const Expr& x, const Expr& other, const Attrs& attrs) {
  const ShapeCheck check = ShapeCheck::of(attrs);
  return surely_fits({x.dims().begin() + check.lead, x.dims().end()}, other.dims(), check);
}

Expr checked_shape(const char* function, const Arg& x, const Arg& other, Fit fit,
                   std::int64_t axis = 0) {
  const ShapeCheck check{fit, axis};
  const Expr y = apply(checked_shape_op, {x, other}, check.attrs(function), x.where());
  return surely_fits(x->dims(), other->dims(), check) ? x.expr() : y;
}

void require_class(std::int64_t label, std::int64_t classes) {
  if (label >= 0 && label < classes) return;
  throw ValueError(
      text("label ", label, " is not one of the ", classes, " classes, 0 to ", classes - 1));
}

}  // namespace

constinit const Op checked_shape_op{
    .name = "checked_shape",
    .type =
        [](Args x, const Attrs& attrs) {
          surely_fits(x[0], x[1], attrs);
          return Type{x[0].dtype(), x[0].dims()};
        },
    .reference = [](Values in, const Attrs&) { return *in[0]; },
    .shape_only = 2,
    .grad = [](Args, const Expr&, const Expr& gy) -> Grads {
      return {gy, Expr()};
    },
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          ShapeCheck check = ShapeCheck::of(y.attrs());
          ++check.lead;
          return apply(checked_shape_op, {x[0], x[1]}, check.attrs(y.attrs().label));
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .simplify = [](const Expr& y) -> Expr {
      const Expr& x = y.inputs()[0];
      return surely_fits(x, y.inputs()[1], y.attrs()) ? x : Expr();
    },
    .size_of = [](const Expr& y, std::int64_t axis) { return size(y.inputs()[0], axis); },
    .expand = [](const Expr& y) { return Expr(y.inputs()[0]); },
    .examples = []() -> std::vector<Example> {
      const Type m{DType::float64, {3, 4}}, v{DType::float64, {4}}, s{DType::float64, {}},
          row{DType::float64, {1, 4}};
      // The node itself: where all sizes are known the functions have none left.
      const auto node = [](Fit fit, std::int64_t axis = 0) {
        return [=](Args x) {
          return apply(checked_shape_op, {x[0], x[1]}, ShapeCheck{fit, axis}.attrs("f")) * x[1];
        };
      };
      return {{{m, v}, node(repeated)},           {{v, m}, node(repeated)},
              {{m, row}, node(repeated)},         {{s, m}, node(repeated)},
              {{m, v}, node(repeated_along, -1)}, {{m, m}, node(same)},
              {{m, m}, node(not_empty)}};
    },
};

constinit const Op checked_label_op{
    .name = "checked_label",
    .type =
        [](Args x, const Attrs&) {
          if (x[0].dtype() != DType::int64) throw TypeError("labels must be int64");
          dim_of(x[1]);  // Throws for anything but a size.
          return Type{DType::int64, x[0].dims()};
        },
    .reference =
        [](Values in, const Attrs&) {
          for (const std::int64_t label : in[0]->data<std::int64_t>())
            require_class(label, in[1]->data<std::int64_t>()[0]);
          return *in[0];
        },
    .sizes_from = 1,
    .batch =
        [](Args x, const std::vector<bool>&, const Expr& y) {
          return apply(checked_label_op, {x[0], x[1]}, y.attrs());
        },
    .follow = [](Args, std::span<const std::int64_t> axes, const Expr&) { return axes[0]; },
    .runs = Kernel{.run =
                       [](std::span<const Operand> in, const Operand& out, const Attrs&) {
                         const std::int64_t classes = *in[1].as<std::int64_t>();
                         const std::int64_t* labels = in[0].as<std::int64_t>();
                         for (std::int64_t k = 0; k < out.size(); ++k)
                           require_class(labels[k], classes);
                         std::copy_n(labels, out.size(), out.as<std::int64_t>());
                       }},
    .examples = []() -> std::vector<Example> {
      const auto f = [](Args x) { return class_labels("f", x[0], x[1], -1); };
      return {{{Type{DType::int64, {5}}, Type{DType::float64, {5, 8}}}, f, {8}},
              {{Type{DType::int64, {2, 3}}, Type{DType::float64, {2, 3, 6}}}, f, {6}}};
    },
};

Expr beside(const char* function, const Arg& x, const Arg& other) {
  const Attribution as(x.where());
  return checked_shape(function, x, other, repeated);
}

Expr beside_along(const char* function, const Arg& x, const Arg& other, std::int64_t axis) {
  const Attribution as(x.where());
  const Arg& longer = x->rank() < other->rank() ? other : x;
  const std::int64_t from_end = axis_of(function, longer, axis) - longer->rank();
  return checked_shape(function, x, other, repeated_along, from_end);
}

Expr multiplied(const char* function, const Arg& x, const Arg& other) {
  const Attribution as(x.where());
  return checked_shape(function, x, other, matrices);
}

Expr contracted(const char* function, const Arg& x, const Arg& other, std::int64_t count) {
  const Attribution as(x.where());
  return checked_shape(function, x, other, last_and_first, count);
}

Expr alike(const char* function, const Arg& x, const Arg& other) {
  const Attribution as(x.where());
  return checked_shape(function, x, other, same);
}

Expr with_elements(const char* function, const Arg& x) {
  const Attribution as(x.where());
  return checked_shape(function, x, x, not_empty);
}

Expr class_labels(const char* function, const Arg& labels, const Arg& like, std::int64_t axis) {
  const Attribution as(labels.where());
  if (&labels->op() == &checked_label_op) return labels;  // In the name of who called us.
  const std::int64_t along = axis_of(function, like, axis);
  return apply(checked_label_op,
               {checked_shape(function, labels, like, without_axis, along), size(like, along)},
               {.label = function}, labels.where());
}

}  // namespace cinch::records
