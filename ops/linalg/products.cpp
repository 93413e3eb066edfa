#include "cinch/ops/products.hpp"

#include <algorithm>

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/arrange.hpp"
#include "cinch/ops/diagonal.hpp"
#include "cinch/ops/linalg.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/records/sizes.hpp"
#include "cinch/ops/reduce.hpp"
#include "cinch/ops/shape.hpp"
#include "cinch/ops/solve.hpp"

namespace cinch {

namespace {

/// Sizes of `a` and `b`, of as many axes, repeated to each other.
std::vector<Expr> repeated_sizes(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  std::vector<Expr> result;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const Dim n = records::dim_of(a[k]), m = records::dim_of(b[k]);
    const bool take_a = m == Dim(1) || n == m || (n.known() && !(n == Dim(1)));
    const bool take_b = n == Dim(1) || (m.known() && !(m == Dim(1)));
    result.push_back(take_a ? a[k] : take_b ? b[k] : switch_(equal(a[k], 1), b[k], a[k]));
  }
  return result;
}

/// (..., i, k) repeated to these sizes in front, and those as one axis.
Expr one_after_the_other(const Expr& x, const std::vector<Expr>& front) {
  std::vector<Expr> all = front;
  const Expr rows = size(x, -2), columns = size(x, -1);
  all.push_back(rows);
  all.push_back(columns);
  return reshape(broadcast_to(x, all), std::vector<Expr>{product(front), rows, columns});
}

Expr stacks_product(const Expr& left, const Expr& right) {
  const Expr a = records::multiplied("matmul", left, right);
  if (right.rank() == 2) return dot(a, right);
  std::vector<Expr> in_front[2];
  const std::int64_t lead = std::max(a.rank(), right.rank()) - 2;
  for (const Expr* x : {&a, &right}) {
    std::vector<Expr>& sizes_of = in_front[x == &right];
    for (std::int64_t k = 0; k < lead; ++k) {
      const std::int64_t axis = k - lead + x->rank() - 2;
      sizes_of.push_back(axis < 0 ? constant(Tensor(std::int64_t{1})) : size(*x, axis));
    }
  }
  std::vector<Expr> all = repeated_sizes(in_front[0], in_front[1]);
  const Expr products = batched_dot(one_after_the_other(a, all), one_after_the_other(right, all));
  if (lead == 1) return products;
  all.push_back(size(products, 1));
  all.push_back(size(products, 2));
  return reshape(products, all);
}

/// What einsum() is asked for: a letter for each axis.
struct Subscripts {
  std::vector<std::string> operands;
  std::string result;
};

bool has(const std::string& letters, char letter) {
  return letters.find(letter) != std::string::npos;
}

/// Throws TypeError, without the operands, for what cannot be read.
Subscripts read_subscripts(const std::string& text_of_all) {
  Subscripts result;
  std::string all;  // Each letter as often as it comes.
  const std::size_t arrow = text_of_all.find("->");
  result.operands.emplace_back();
  for (const char c : text_of_all.substr(0, arrow)) {
    if (c == ' ') continue;
    if (c == ',') {
      result.operands.emplace_back();
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      result.operands.back() += c;
      all += c;
    } else {
      throw TypeError(text("\"", text_of_all, "\" has \"", c, "\" where a letter is needed"));
    }
  }
  if (arrow == std::string::npos) {
    for (const char c : all) {
      if (std::ranges::count(all, c) == 1) result.result += c;
    }
    std::ranges::sort(result.result);
    return result;
  }
  for (const char c : text_of_all.substr(arrow + 2)) {
    if (c == ' ') continue;
    if (!has(all, c) || has(result.result, c))
      throw TypeError(text("the result of \"", text_of_all, "\" has \"", c, "\", ",
                           has(all, c) ? "twice" : "which no operand has"));
    result.result += c;
  }
  return result;
}

/// `x` with a single axis for each letter; `letters` loses what comes again.
Expr with_diagonals(Expr x, std::string& letters) {
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const std::size_t again = letters.find(letters[i], i + 1);
    if (again == std::string::npos) continue;
    x = diagonal(x, 0, static_cast<std::int64_t>(i), static_cast<std::int64_t>(again));
    const char letter = letters[i];
    letters.erase(again, 1);
    letters.erase(i, 1);
    letters += letter;
    --i;
  }
  return x;
}

}  // namespace

Expr einsum(const std::string& subscripts, const std::vector<Expr>& operands, Source where) {
  const Attribution as(where);
  const auto refuse_with = [&](const std::string& what) {
    throw TypeError(refusal("einsum", what, operands, attributed(where)));
  };
  Subscripts read;
  try {
    read = read_subscripts(subscripts);
  } catch (const TypeError& e) {
    refuse_with(e.what());
  }
  if (read.operands.size() != operands.size())
    refuse_with(text("\"", subscripts, "\" is for ", read.operands.size(), " operands, not for ",
                     operands.size()));
  std::string letters = read.result;  // Those of the result first.
  std::vector<Dim> known;             // Their sizes.
  for (const std::string& own : read.operands) {
    for (const char c : own) {
      if (!has(letters, c)) letters += c;
    }
  }
  known.resize(letters.size(), Dim::unknown());
  Expr total;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    std::string& own = read.operands[k];
    const Expr& x = operands[k];
    if (x.rank() != static_cast<std::int64_t>(own.size()))
      refuse_with(
          text("operand ", k, " has ", x.rank(), " axes, and \"", own, "\" names ", own.size()));
    for (std::size_t axis = 0; axis < own.size(); ++axis) {
      Dim& size = known[letters.find(own[axis])];
      const Dim here = x.dims()[axis];
      if (size.known() && here.known() && !(size == here))
        refuse_with(text("\"", own[axis], "\" is ", here.size(), " in operand ", k, " and ",
                         size.size(), " before"));
      if (here.known()) size = here;
    }
    const Expr each = with_diagonals(x, own);
    std::vector<std::int64_t> pattern;
    for (const char c : letters) {
      const std::size_t axis = own.find(c);
      pattern.push_back(axis == std::string::npos ? -1 : static_cast<std::int64_t>(axis));
    }
    const Expr spread = dimshuffle(each, pattern);
    total = total.has_value() ? total * spread : spread;
  }
  std::vector<std::int64_t> summed;
  for (std::size_t k = read.result.size(); k < letters.size(); ++k)
    summed.push_back(static_cast<std::int64_t>(k));
  return summed.empty() ? total : sum(total, summed);
}

Expr matmul(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  if (a->rank() == 0 || b->rank() == 0) refuse("matmul", "a scalar is no matrix: use *", a, {b});
  const Expr left = a->rank() == 1 ? expand_dims(a, 0) : a.expr(),
             right = b->rank() == 1 ? expand_dims(b, 1) : b.expr();
  Expr y = stacks_product(left, right);
  if (b->rank() == 1) y = squeeze(y, -1);
  return a->rank() == 1 ? squeeze(y, b->rank() == 1 ? -1 : -2) : y;
}

Expr tensordot(const Arg& a, const Arg& b, const std::vector<std::int64_t>& axes_a,
               const std::vector<std::int64_t>& axes_b) {
  const Attribution as(a.where());
  if (axes_a.size() != axes_b.size())
    refuse("tensordot", "as many axes of each are needed", a, {b});
  std::vector<std::int64_t> own[2], summed[2];
  for (const bool second : {false, true}) {
    const Arg& x = second ? b : a;
    for (const std::int64_t given : second ? axes_b : axes_a) {
      const std::int64_t axis = axis_of("tensordot", x, given);
      if (std::ranges::find(summed[second], axis) != summed[second].end())
        refuse("tensordot", text("axis ", axis, " comes twice"), a, {b});
      summed[second].push_back(axis);
    }
    for (std::int64_t axis = 0; axis < x->rank(); ++axis) {
      if (std::ranges::find(summed[second], axis) == summed[second].end())
        own[second].push_back(axis);
    }
  }
  std::vector<std::int64_t> order = own[0];
  order.insert(order.end(), summed[0].begin(), summed[0].end());
  std::vector<std::int64_t> other_order = summed[1];
  other_order.insert(other_order.end(), own[1].begin(), own[1].end());
  const Expr right = dimshuffle(b, other_order);
  const Expr left = records::contracted("tensordot", dimshuffle(a, order), right,
                                        static_cast<std::int64_t>(axes_a.size()));
  const auto sizes_of = [](const Expr& x, std::int64_t from, std::int64_t to) {
    std::vector<Expr> result;
    for (; from < to; ++from) result.push_back(size(x, from));
    return result;
  };
  const std::int64_t kept = std::ssize(own[0]), gone = std::ssize(axes_a);
  std::vector<Expr> rows = sizes_of(left, 0, kept);
  const std::vector<Expr> inner = sizes_of(right, 0, gone),
                          columns = sizes_of(right, gone, right.rank());
  const Expr flat = dot(reshape(left, std::vector<Expr>{product(rows), product(inner)}),
                        reshape(right, std::vector<Expr>{product(inner), product(columns)}));
  rows.insert(rows.end(), columns.begin(), columns.end());
  return reshape(flat, rows);
}

Expr tensordot(const Arg& a, const Arg& b, std::int64_t count) {
  const Attribution as(a.where());
  if (count < 0 || count > a->rank() || count > b->rank())
    refuse("tensordot", text("both must have ", count, " axes to sum over"), a, {b});
  std::vector<std::int64_t> last, first;
  for (std::int64_t k = 0; k < count; ++k) {
    last.push_back(a->rank() - count + k);
    first.push_back(k);
  }
  return tensordot(a, b, last, first);
}

Expr kron(const Arg& a, const Arg& b) {
  const Attribution as(a.where());
  if (a->rank() != 2 || b->rank() != 2) refuse("kron", "takes matrices", a, {b});
  const Expr blocks = dimshuffle(a, {0, -1, 1, -1}) * dimshuffle(b, {-1, 0, -1, 1});
  return reshape(blocks, std::vector<Expr>{product({size(a, 0), size(b, 0)}),
                                           product({size(a, 1), size(b, 1)})});
}

Expr cross(const Arg& first, const Arg& second, std::int64_t axis) {
  const Attribution as(first.where());
  const std::int64_t rank = std::max(first->rank(), second->rank());
  const Expr together = records::beside_along("cross", first, second, axis);
  const std::int64_t from_end = axis < 0 ? axis : axis - rank;
  const auto of_three = [&](const Expr& x) {
    const Dim n = x.dims()[static_cast<std::size_t>(from_end + x.rank())];
    if (n == Dim(3)) return x;
    if (n.known())
      refuse("cross", "vectors must have three elements along the axis", first, {second});
    std::vector<Expr> all = sizes(x);  // reshape refuses another size when it runs.
    all[static_cast<std::size_t>(from_end + x.rank())] = constant(Tensor(std::int64_t{3}));
    return reshape(x, all);
  };
  const Expr a = of_three(together), b = of_three(second);
  // (a x b)_i = a_j b_k - a_k b_j for i, j, k in a circle.
  const auto turned = [&](const Expr& x, std::int64_t by) { return roll(x, by, from_end); };
  return turned(a, -1) * turned(b, -2) - turned(a, -2) * turned(b, -1);
}

Expr matrix_power(const Arg& A, std::int64_t n) {
  const Attribution as(A.where());
  const bool square_ones =
      A->rank() >= 2 && (A->dims().back() == A->dims()[A->dims().size() - 2] ||
                         !A->dims().back().known() || !A->dims()[A->dims().size() - 2].known());
  if (!square_ones) {
    refuse("matrix_power", "takes square matrices (..., n, n)", A);
  }
  const Expr real = n < 0                        ? inverse(A)
                    : A->dtype() == DType::bool_ ? cast(A, DType::int64)
                                                 : A.expr();
  if (n == 0) return broadcast_like(eye(size(real, -1), real.dtype()), real);
  // By squares: the powers of 2 that make up n.
  Expr power = real, result;
  const auto bits = static_cast<std::uint64_t>(n);
  for (std::uint64_t left = n < 0 ? 0 - bits : bits; left > 0; left /= 2) {
    if (left % 2) result = result.has_value() ? matmul(result, power) : power;
    if (left > 1) power = matmul(power, power);
  }
  return result;
}

}  // namespace cinch
