// Jacobians for each example, and of Jacobians: of every op, against one example at a time; and
// that they are refused where examples mix and nowhere else.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t batch = 3;

/// A curvature and a weight of its own for every element of an example.
Expr curved(const Expr& y, const Shape& one) {
  std::mt19937 random(7);
  const Expr weights = constant(random_tensor(DType::float64, one, random, 0.5, 1.5));
  return weights * y + 0.3 * square(y);
}

/// `y`, (batch, ...), with this many axes.
Expr of_rank(std::int64_t rank, const Expr& y) {
  if (rank == 1) {
    std::vector<std::int64_t> others;
    for (std::int64_t axis = 1; axis < y.rank(); ++axis) others.push_back(axis);
    return others.empty() ? y : sum_axes(y, others);
  }
  if (rank == 2) return flatten(y, 1);
  return y.rank() == 3 ? y : expand_dims(flatten(y, 1), 1);
}

/// The value of an Error's text, or nothing.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const GradError& error) {
    return error.what();
  }
  return {};
}

/// A function of one example, and what it is of many.
struct Subject {
  std::string label;
  Expr one, y_of_one, many, y_of_many;
  Tensor values;                  ///< Of many.
  std::vector<Binding> bindings;  ///< Of everything else.
  int highest_order = 2;
};

void check_order(const Subject& s, const Expr& J, const Expr& J_of_one) {
  const Function each = function(
      {.inputs = {s.one}, .outputs = {J_of_one}, .givens = {}, .allow_unused_inputs = true});
  std::vector<Binding> bindings = s.bindings;
  bindings.emplace_back(s.many, s.values);
  const Tensor all = evaluate(J, bindings);
  const Expr stacked = variable("all", type_of(all)), many = variable("many", type_of(s.values));
  REQUIRE(all.shape()[0] == s.values.shape()[0]);
  for (std::int64_t n = 0; n < all.shape()[0]; ++n) {
    const Tensor x = evaluate(at(many, n), {{many, s.values}}),
                 found = evaluate(at(stacked, n), {{stacked, all}}), expected = each({x})[0];
    // The example alone is what it is with an axis of size 1.
    CHECK(distance(found, expected.reshaped(found.shape())) < 1e-10);
  }
}

/// Jacobians of y and of its Jacobians, one example at a time.
void check_jacobians(const Subject& s, const std::vector<std::int64_t>& ranks) {
  for (const std::int64_t rank : ranks) {
    CAPTURE(s.label);
    CAPTURE(rank);
    Expr J = of_rank(rank, s.y_of_many),
         J_of_one = at(of_rank(rank, expand_dims(s.y_of_one, 0)), 0);
    for (int order = 1; order <= s.highest_order; ++order) {
      CAPTURE(order);
      const Expr lower = J;
      const std::string refused = refusal([&] { J = jacobian(lower, s.many); });
      REQUIRE_MESSAGE(refused.empty(), refused);
      J_of_one = jacobian_full(J_of_one, s.one);
      check_order(s, J, J_of_one);
    }
  }
}

/// One input of an op's example stands for many.
void check_input(const Op& op, const Example& example, std::size_t k, bool symbolic,
                 std::mt19937& random, std::set<std::string_view>& covered) {
  const Sample s = sample(op, example, DType::float64, random);
  const Tensor value =
      cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0];
  const std::int64_t inputs = s.values[k].size(), outputs = value.size();
  const std::int64_t most = op.elementwise() ? 16 : covered.contains(op.name) ? 150 : 6000;
  if (inputs * outputs > most || inputs * outputs == 0) return;
  Shape shape = s.values[k].shape();
  shape.insert(shape.begin(), batch);
  Subject subject;
  // What is the same for all examples is a constant of both.
  Substitutions fixed;
  for (std::size_t i = 0; i < s.inputs.size(); ++i) {
    if (i != k) fixed.emplace_back(s.inputs[i], constant(s.values[i]));
  }
  const Expr y = substitute(std::span(&s.y, 1), fixed)[0];
  subject.label = s.label + (symbolic ? " symbolic" : " known");
  subject.one = s.inputs[k];
  subject.y_of_one = curved(y, value.shape());
  subject.many = variable("many", DType::float64, symbolic ? Shape(shape.size(), -1) : shape);
  subject.values = random_tensor(DType::float64, shape, random, op.probe.low, op.probe.high);
  Expr all;
  try {
    all = vectorize(y, s.inputs[k], subject.many);
    grad(sum(subject.y_of_one), s.inputs[k]);
  } catch (const Error&) {
    return;  // Sizes that are part of the example, or no gradient at all.
  }
  subject.y_of_many = curved(all, value.shape());
  const std::int64_t size = inputs * outputs;
  subject.highest_order = size <= 9 ? 3 : size <= 1000 ? 2 : 1;  // Of large ones the rows alone.
  using Ranks = std::vector<std::int64_t>;
  check_jacobians(subject, symbolic ? Ranks{2} : op.elementwise() ? Ranks{1} : Ranks{1, 3});
  covered.insert(op.name);
}

}  // namespace

TEST_CASE("every op: Jacobians of Jacobians are those of each example alone, for y of any rank") {
  std::mt19937 random(3);
  std::set<std::string_view> covered;
  for (const Op* op : all_ops()) {
    if (!op->grad || (!op->elementwise() && !op->batch)) continue;
    for (const Example& example : examples_of(*op)) {
      for (std::size_t k = 0; k < example.inputs.size(); ++k) {
        if (example.inputs[k].dtype != DType::float64 || !op->reads(k)) continue;
        for (const bool symbolic : {false, true})
          check_input(*op, example, k, symbolic, random, covered);
      }
    }
    CAPTURE(op->name);
    CHECK(covered.contains(op->name));
  }
  CHECK(covered.size() > 80);
}

namespace {

/// Whether another example's x changes what y says of an example.
bool mix(const Expr& y, const Expr& x, const Tensor& value, const Interval& probe,
         std::mt19937& random) {
  const Function f = function({.inputs = {x}, .outputs = {y}, .allow_unused_inputs = true});
  const Tensor before = f({value})[0];
  const std::int64_t examples = value.shape()[0], width = value.size() / examples,
                     row = before.size() / before.shape()[0];
  if (before.shape()[0] != examples) return true;
  for (std::int64_t j = 0; j < examples; ++j) {
    for (int draw = 0; draw < 6; ++draw) {
      Tensor other = value;
      const Tensor drawn = random_tensor(DType::float64, {width}, random, probe.low, probe.high);
      std::ranges::copy(drawn.data<double>(), other.data<double>().begin() + j * width);
      const Tensor after = f({other})[0];
      for (std::int64_t k = 0; k < before.size(); ++k) {
        const double a = before.at(k), b = after.at(k);
        if (k / row != j && std::abs(a - b) > 1e-9 * (1 + std::abs(a))) return true;
      }
    }
  }
  return false;
}

/// Of the matrix of all outputs by all inputs, what an example's outputs have of its own inputs.
Tensor own_blocks(const Tensor& full, std::int64_t outputs, std::int64_t inputs,
                  std::int64_t examples) {
  Tensor result(DType::float64, {examples, outputs, inputs});
  for (std::int64_t n = 0; n < examples; ++n) {
    for (std::int64_t i = 0; i < outputs; ++i) {
      for (std::int64_t j = 0; j < inputs; ++j) {
        result.data<double>()[static_cast<std::size_t>((n * outputs + i) * inputs + j)] =
            full.at(((n * outputs + i) * examples + n) * inputs + j);
      }
    }
  }
  return result;
}

/// Whether what an op's examples do with their own axes is all to be found. Not where known sizes
/// decide and there are none; not where an example's axis is divided into groups of filters, where
/// a window of one element slides, where Q R is the matrix again, and where an example is in a row
/// and in a column, nor where the examples together choose a side, which draws need not show. What
/// no formula holds has no rules.
bool decided(const Op& op, bool symbolic) {
  if (!op.elementwise() && !op.batch) return false;
  static const std::set<std::string_view> never{"convolution", "convolution_data", "qr",
                                                "diagonal",    "embed_diagonal",   "ifelse"};
  return !never.contains(op.name) && !(symbolic && op.name == "reshape");
}

/// The function with examples along one of its own axes, and the tensor that is drawn for it.
struct Own {
  Expr x, y;
  Tensor value;
};

/// `axis` of input k goes over the examples, and `to` of the result should.
Own along_own_axes(const Op& op, const Example& example, std::size_t k, std::int64_t axis,
                   std::int64_t to, bool symbolic, std::mt19937& random) {
  const Sample s = sample(op, example, DType::float64, random);
  std::vector<std::int64_t> front{axis};
  const Shape& shape = s.values[k].shape();
  for (std::int64_t other = 0; other < std::ssize(shape); ++other) {
    if (other != axis) front.push_back(other);
  }
  Shape moved;
  for (const std::int64_t from : front) moved.push_back(shape[static_cast<std::size_t>(from)]);
  Own own;
  own.x = variable("x", DType::float64, symbolic ? Shape(moved.size(), -1) : moved);
  own.value = random_tensor(DType::float64, moved, random, op.probe.low, op.probe.high);
  std::vector<Expr> inputs;
  for (std::size_t i = 0; i < s.inputs.size(); ++i)
    inputs.push_back(i == k ? moveaxis(own.x, 0, axis) : constant(s.values[i]));
  own.y = moveaxis(example.build(inputs), to, 0);
  return own;
}

}  // namespace

TEST_CASE("every op: Jacobians are refused where examples mix along its own axes, and only there") {
  std::mt19937 random(5);
  std::set<std::string> apart, mixing;
  for (const Op* op : all_ops()) {
    for (const Example& example : examples_of(*op)) {
      for (std::size_t k = 0; k < example.inputs.size(); ++k) {
        const Type& type = example.inputs[k];
        if (type.dtype != DType::float64 || !op->reads(k)) continue;
        const std::int64_t count = element_count(type.shape());
        if (count == 0 || count > 60) continue;
        const Sample s = sample(*op, example, DType::float64, random);
        const Shape result =
            cinch::running::interpret(std::span(&s.y, 1), s.bindings, /*watch=*/false)[0].shape();
        const bool empty = std::ranges::any_of(
            s.values, [](const Tensor& input) { return input.size() == 0; });  // All is left alone.
        if (empty || element_count(result) == 0 || element_count(result) > 60) continue;
        for (std::int64_t axis = 0; axis < type.rank(); ++axis) {
          for (std::int64_t to = 0; to < std::ssize(result); ++to) {
            const std::int64_t n = type.shape()[static_cast<std::size_t>(axis)];
            if (n < 2 || result[static_cast<std::size_t>(to)] != n) continue;
            for (const bool symbolic : {false, true}) {
              const Own own = along_own_axes(*op, example, k, axis, to, symbolic, random);
              CAPTURE(s.label);
              CAPTURE(axis);
              CAPTURE(to);
              CAPTURE(symbolic);
              const bool accepted = examples_are_separate(own.y, own.x),
                         do_mix = mix(own.y, own.x, own.value, op->probe, random);
              CHECK_FALSE((accepted && do_mix));
              CHECK((accepted || do_mix || !decided(*op, symbolic)));
              (accepted ? apart : mixing).insert(std::string(op->name));
              if (!accepted || !is_float(own.y.dtype())) continue;
              const Expr y = flatten(own.y, 1) + 0.3 * square(flatten(own.y, 1));
              Expr J, full;
              try {
                full = jacobian_full(y, own.x);
              } catch (const GradError&) {
                continue;  // Nothing flows.
              }
              const std::string refused = refusal([&] { J = jacobian(y, own.x); });
              REQUIRE_MESSAGE(refused.empty(), refused);
              const std::vector<Binding> at{{own.x, own.value}};
              const Tensor found = evaluate(J, at);
              const std::int64_t inputs = count / n, outputs = found.size() / count;
              const Tensor blocks = own_blocks(evaluate(full, at), outputs, inputs, n);
              CHECK(distance(found.reshaped(blocks.shape()), blocks) < 1e-10);
              if (n * outputs * inputs * inputs > 150) continue;
              Expr H;
              const std::string again = refusal([&] { H = jacobian(J, own.x); });
              if (!again.empty() && !decided(*op, symbolic)) continue;
              REQUIRE_MESSAGE(again.empty(), again);
              const Tensor second = evaluate(jacobian_full(flatten(J, 1), own.x), at),
                           own_second = own_blocks(second, outputs * inputs, inputs, n);
              CHECK(distance(evaluate(H, at).reshaped(own_second.shape()), own_second) < 1e-10);
            }
          }
        }
      }
    }
  }
  CHECK(apart.size() > 60);
  CHECK(mixing.size() > 20);
}

namespace {

/// A function of (batch, ...), of tensors of the shape given.
struct Formula {
  std::string name;
  Shape shape;
  std::function<Expr(const Expr&)> of;
  int highest_order = 2;
};

/// One whole number below `n` for each example.
Expr labels(const Expr& x, std::int64_t n) { return mod(arange(size(x, 0)) * 7 + 1, n); }

Expr fixed(const Shape& shape) {
  std::mt19937 random(11);
  return constant(random_tensor(DType::float64, shape, random, -1, 1));
}

std::vector<Formula> formulas(const Expr& t) {
  const Expr W = fixed({4, 2}), V = fixed({2, 3}), F = fixed({2, 1, 2, 2}), G = fixed({2, 1, 2});
  const Expr places = constant(Tensor::from<std::int64_t>({3}, {0, 2, 2}));
  const auto at_labels = [](const Expr& x) {
    return gather(x, {arange(size(x, 0)), labels(x, 4)});
  };
  const Shape vectors{3, 4}, images{3, 1, 3, 3}, series{3, 1, 4}, matrices{3, 2, 2}, sets{3, 2, 3};
  const auto well = [](const Expr& A) { return A + 4 * eye(2, DType::float64); };
  const auto symmetric = [](const Expr& A) {
    return A + transpose(A, {0, 2, 1}) + constant(Tensor::from<double>({2, 2}, {2, 0, 0, 5}));
  };
  return {
      {"energy", vectors, [=](const Expr& x) { return sum(log(1 + exp(dot(x, W))), 1); }, 3},
      {"layer", vectors, [=](const Expr& x) { return tanh(dot(x, W)); }, 3},
      {"two layers", vectors, [=](const Expr& x) { return sigmoid(dot(tanh(dot(x, W)), V)); }},
      {"statistics of the batch that are held constant", vectors,
       [=](const Expr& x) {
         const Expr a = dot(x, W);
         return tanh((a - stop_gradient(mean(a, 0))) / stop_gradient(1 + std_(a, 0)));
       }},
      {"outer", vectors, [](const Expr& x) { return expand_dims(exp(x), 1) * expand_dims(x, 2); }},
      {"linear", vectors, [=](const Expr& x) { return dot(x, W); }, 3},
      {"relu", vectors, [=](const Expr& x) { return relu(dot(x, W)); }, 3},
      {"x[arange, labels]", vectors, [=](const Expr& x) { return at_labels(exp(x)); }, 3},
      {"x[arange, argmax]", vectors,
       [](const Expr& x) {
         return gather(exp(x), {arange(size(x, 0)), argmax(x, 1)}) * sum(x, 1);
       }},
      {"x[:, i][arange, labels]", vectors,
       [=](const Expr& x) {
         return exp(gather(take(x, places, 1), {arange(size(x, 0)), labels(x, 3)}));
       }},
      {"x[arange, labels, labels]", matrices,
       [](const Expr& x) {
         return exp(gather(x, {arange(size(x, 0)), labels(x, 2), labels(x, 2)}));
       }},
      {"x[arange, labels] of rows", sets,
       [](const Expr& x) {
         return exp(gather(x, {arange(size(x, 0)), labels(x, 2)}));
       }},
      {"many of each example", vectors,
       [=](const Expr& x) {
         const Expr n = expand_dims(arange(size(x, 0)), 1);
         return exp(gather(x, {n, mod(n + expand_dims(arange(3), 0), 4)}));
       }},
      {"examples last", vectors,
       [](const Expr& x) {
         return exp(gather(transpose(x), {labels(x, 4), arange(size(x, 0))}));
       }},
      {"inc_subtensor of elements", vectors,
       [=](const Expr& x) { return exp(inc_subtensor(x, at_labels(x), sum(square(x), 1))); }},
      {"set_subtensor of elements", vectors,
       [=](const Expr& x) { return exp(set_subtensor(x, at_labels(x), sum(square(x), 1))); }},
      {"set_subtensor of the largest", vectors,
       [](const Expr& x) {
         const Expr part = gather(x, {arange(size(x, 0)), argmax(x, 1)});
         return exp(set_subtensor(x, part, sum(square(x), 1)));
       }},
      {"set_subtensor of columns", vectors,
       [=](const Expr& x) {
         return exp(set_subtensor(x, take(x, places, 1), expand_dims(sum(square(x), 1), 1)));
       }},
      {"set_subtensor of a slice", vectors,
       [](const Expr& x) {
         return square(set_subtensor(x, slice(x, 0, 2, 1), exp(slice(x, 1, 3, 1))));
       }},
      {"put_along_axis", vectors,
       [](const Expr& x) { return exp(put_along_axis(x, argsort(x, 1), square(x), 1)); }},
      {"pad edge", vectors,
       [](const Expr& x) {
         return exp(pad(x, {{0, 0}, {1, 2}}, PadMode::edge));
       }},
      {"pad wrap", vectors,
       [](const Expr& x) {
         return exp(pad(x, {{0, 0}, {1, 2}}, PadMode::wrap));
       }},
      {"pad reflect", vectors,
       [](const Expr& x) {
         return exp(pad(x, {{0, 0}, {1, 2}}, PadMode::reflect));
       }},
      {"pad constant", vectors,
       [](const Expr& x) {
         return exp(pad(x, {{0, 0}, {1, 2}}));
       }},
      {"roll", vectors, [](const Expr& x) { return exp(roll(x, 1, 1)) * x; }},
      {"flip", vectors, [](const Expr& x) { return exp(flip(x, 1)) * x; }},
      {"repeat", vectors, [](const Expr& x) { return exp(repeat(x, 2, 1)); }},
      {"tile", vectors,
       [](const Expr& x) {
         return exp(tile(x, {1, 2}));
       }},
      {"split", vectors, [](const Expr& x) { return split(x, 2, 1)[0] * exp(split(x, 2, 1)[1]); }},
      {"sort", vectors, [](const Expr& x) { return exp(sort(x, 1)); }},
      {"topk", vectors, [](const Expr& x) { return exp(topk(x, 2, 1).values); }},
      {"cumsum", vectors, [](const Expr& x) { return exp(cumsum(x, 1)); }},
      {"cumprod", vectors, [](const Expr& x) { return cumprod(x + 2, 1); }},
      {"prod", vectors, [](const Expr& x) { return prod(x + 2, 1); }},
      {"softmax", vectors, [](const Expr& x) { return softmax(x); }},
      {"logsumexp", vectors, [](const Expr& x) { return logsumexp(x, 1); }, 3},
      {"layer norm", vectors,
       [](const Expr& x) {
         return (x - mean(x, 1, true)) / norm(x - mean(x, 1, true), 2, 1, true);
       }},
      {"cross_entropy", vectors, [=](const Expr& x) { return cross_entropy(t, sigmoid(x)); }},
      {"squared_error", vectors, [=](const Expr& x) { return squared_error(t, sigmoid(x)); }},
      {"categorical", vectors,
       [=](const Expr& x) { return categorical_cross_entropy(softmax(t), softmax(x)); }},
      {"conv1d", series, [=](const Expr& x) { return exp(conv1d(x, G, {.padding = 1})); }},
      {"conv1d energy", series,
       [=](const Expr& x) {
         return sum(exp(conv1d(x, G)), {1, 2});
       }},
      {"conv2d", images,
       [=](const Expr& x) { return flatten(exp(conv2d(x, F, {.stride = 2, .padding = 1})), 1); }},
      {"conv2d energy", images,
       [=](const Expr& x) {
         return sum(tanh(conv2d(x, F)), {1, 2, 3});
       }},
      {"grouped", {3, 2, 2, 2}, [=](const Expr& x) { return tanh(conv2d(x, F, {.groups = 2})); }},
      {"transposed", {3, 2, 2, 2}, [=](const Expr& x) { return tanh(conv_transpose2d(x, F)); }},
      {"transposed 1d",
       {3, 2, 3},
       [=](const Expr& x) { return tanh(conv_transpose1d(x, G, {.stride = 2})); }},
      {"max pooling", images, [](const Expr& x) { return exp(max_pool2d(x, 2, {.stride = 1})); }},
      {"mean pooling", series, [](const Expr& x) { return exp(average_pool1d(x, 2)); }},
      {"upsampling", series, [](const Expr& x) { return exp(upsample1d(x, 2)); }},
      {"convolutional encoder", images,
       [=](const Expr& x) {
         const Expr h = max_pool2d(tanh(conv2d(x, F)), 2);
         return sigmoid(dot(flatten(h, 1), V));
       }},
      {"attention", sets,
       [](const Expr& x) {
         const Expr scores = batched_dot(x, transpose(x, {0, 2, 1}));
         return batched_dot(softmax(scores), x);
       }},
      {"a layer for each of a set", sets,
       [=](const Expr& x) {
         const Expr rows =
             reshape(x, std::vector<Expr>{product({size(x, 0), size(x, 1)}), size(x, 2)});
         const Expr h = tanh(dot(rows, transpose(V)));
         return reshape(h, std::vector<Expr>{size(x, 0), size(x, 1), constant(Tensor(2))});
       }},
      {"flattened with -1", sets,
       [](const Expr& x) {
         return exp(reshape(x, {-1, size(x, 1) * size(x, 2)}));
       }},
      {"flattened to -1", sets,
       [](const Expr& x) {
         return exp(reshape(x, {size(x, 0), -1}));
       }},
      {"batched_dot", matrices, [](const Expr& x) { return batched_dot(x, exp(x)); }},
      {"inverse", matrices, [=](const Expr& x) { return inverse(well(x)); }},
      {"solve", matrices, [=](const Expr& x) { return solve(well(x), at(x, 0, 1)); }},
      {"solve of one matrix", vectors,
       [=](const Expr& x) {
         return transpose(solve(well(fixed({2, 2})), transpose(exp(dot(x, W)))));
       }},
      {"cholesky", matrices,
       [=](const Expr& x) {
         return cholesky(batched_dot(well(x), transpose(well(x), {0, 2, 1})));
       }},
      {"det", matrices, [=](const Expr& x) { return det(well(x)); }, 3},
      {"logdet", matrices,
       [=](const Expr& x) {
         return logdet(batched_dot(well(x), transpose(well(x), {0, 2, 1})));
       }},
      {"eigh values", matrices, [=](const Expr& x) { return eigh(symmetric(x)).values; }},
      {"eigh vectors", matrices, [=](const Expr& x) { return eigh(symmetric(x)).vectors; }},
      {"singular values", matrices, [=](const Expr& x) { return singular_values(symmetric(x)); }},
      {"qr", matrices, [=](const Expr& x) { return qr(well(x)).Q; }},
      {"pinv", matrices, [=](const Expr& x) { return pinv(well(x)); }},
      {"expm", matrices, [](const Expr& x) { return expm(x); }},
      {"trace", matrices, [](const Expr& x) { return trace(batched_dot(x, exp(x)), 0, 1, 2); }},
      {"score", vectors, [=](const Expr& x) { return grad(sum(tanh(dot(x, W))), x); }},
      {"score of a mean", vectors,
       [=](const Expr& x) { return size(x, 0) * grad(mean(sum(tanh(dot(x, W)), 1)), x); }},
      {"divergence of a score", vectors,
       [=](const Expr& x) { return divergence(grad(sum(tanh(dot(x, W))), x), x); }},
      {"gradient of a contractive penalty", vectors,
       [=](const Expr& x) { return grad(sum(square(jacobian(tanh(dot(x, W)), x))), x); }},
      {"slope of a cross entropy by its target", vectors,
       [](const Expr& x) {
         const Expr target = sigmoid(2 * x), z = softmax(x);
         return grad(sum(cross_entropy(target, z)), target) * x;
       }},
      {"a Jacobian by a code", vectors,
       [=](const Expr& x) {
         const Expr h = tanh(dot(x, W));
         return jacobian(sigmoid(dot(h, V)), h);
       }},
  };
}

}  // namespace

TEST_CASE("Jacobians of composed functions, to second order and more, with sizes known and not") {
  std::mt19937 random(9);
  const Tensor targets = random_tensor(DType::float64, {3, 4}, random, 0.1, 0.9);
  for (const bool symbolic : {false, true}) {
    const Expr t = variable("t", DType::float64, symbolic ? Shape{-1, -1} : Shape{3, 4});
    for (const Formula& f : formulas(t)) {
      CAPTURE(f.name);
      CAPTURE(symbolic);
      const Expr x = variable("x", DType::float64, symbolic ? Shape(f.shape.size(), -1) : f.shape);
      const std::vector<Binding> at{{x, random_tensor(DType::float64, f.shape, random, -1, 1)},
                                    {t, targets}};
      Expr lower = f.of(x);
      const std::int64_t inputs = element_count(f.shape) / batch;
      for (int order = 1; order <= f.highest_order; ++order) {
        CAPTURE(order);
        Expr J;
        const std::string refused = refusal([&] { J = jacobian(lower, x); });
        CHECK_MESSAGE(refused.empty(), refused);
        if (!refused.empty()) break;
        const Tensor found = evaluate(J, at), full = evaluate(jacobian_full(lower, x), at);
        const std::int64_t outputs = found.size() / (batch * inputs);
        const Tensor own = own_blocks(full, outputs, inputs, batch);
        CHECK(distance(found.reshaped(own.shape()), own) < 1e-9);
        // Nothing is left besides.
        double all = 0, blocks = 0;
        for (std::int64_t k = 0; k < full.size(); ++k) all += std::abs(full.at(k));
        for (std::int64_t k = 0; k < own.size(); ++k) blocks += std::abs(own.at(k));
        CHECK(all == doctest::Approx(blocks).epsilon(1e-9));
        lower = J;
      }
    }
  }
}

TEST_CASE("where examples mix in a composed function, the op that does it is named") {
  std::mt19937 random(4);
  struct Mixing {
    std::string op;
    std::function<Expr(const Expr&)> of;
  };
  const Expr W = fixed({4, 4}), order = constant(Tensor::from<std::int64_t>({4}, {2, 0, 3, 1}));
  const auto flat = [](const Expr& x) { return product(sizes(x)); };
  const std::vector<Mixing> rows{
      {"sum(", [](const Expr& x) { return (x - mean(x, 0)) / std_(x, 0); }},
      {"softmax(", [](const Expr& x) { return softmax(x, 0); }},
      {"max(", [](const Expr& x) { return x - max(x, 0); }},
      {"logsumexp(", [](const Expr& x) { return x - logsumexp(x, 0); }},
      {"dot(", [](const Expr& x) { return dot(x, transpose(x)); }},
      {"dot(", [=](const Expr& x) { return dot(W, x); }},
      {"add(", [](const Expr& x) { return tanh(x) + transpose(x); }},
      {"narrow(", [](const Expr& x) { return exp(flip(x, 0)); }},
      {"narrow(", [](const Expr& x) { return exp(roll(x, 1, 0)); }},
      {"argsort(", [](const Expr& x) { return sort(x, 0); }},
      {"cumsum(", [](const Expr& x) { return exp(cumsum(x, 0)); }},
      {"take(", [=](const Expr& x) { return take(x, order); }},
      {"take(",
       [=](const Expr& x) {
         return gather(x, {order, arange(size(x, 0))});
       }},
      {"take(",
       [](const Expr& x) {
         return gather(x, {size(x, 0) - 1 - arange(size(x, 0)), arange(size(x, 0))});
       }},
      {"take(", [=](const Expr& x) { return take(reshape(x, std::vector<Expr>{flat(x)}), order); }},
      // The columns of an example are taken for examples.
      {"take(",
       [=](const Expr& x) {
         return take(reshape(x, std::vector<Expr>{flat(x)}), arange(size(x, 0)));
       }},
      {"scatter_add(",
       [=](const Expr& x) { return exp(inc_subtensor(x, take(x, order), square(x))); }},
      {"reshape(",
       [](const Expr& x) {
         return reshape(softmax(reshape(x, Shape{2, 8})), sizes(x));
       }},
      {"concatenate(",
       [](const Expr& x) {
         return concatenate({x, exp(x)}, 0);
       }},
      {"softmax(",
       [](const Expr& x) {
         const Expr merged = reshape(x, std::vector<Expr>{product({size(x, 0), size(x, 1)})});
         return reshape(softmax(merged), sizes(x));
       }},
  };
  for (const bool symbolic : {false, true}) {
    const Expr x = variable("x", DType::float64, symbolic ? Shape{-1, -1} : Shape{4, 4});
    const Tensor value = random_tensor(DType::float64, {4, 4}, random, -1, 1);
    for (const Mixing& row : rows) {
      CAPTURE(row.op);
      CAPTURE(symbolic);
      const Expr y = row.of(x);
      CAPTURE(describe(y));
      CHECK(mix(y, x, value, {-1, 1}, random));
      const std::string what = refusal([&] { jacobian(y, x); });
      CHECK_MESSAGE(what.find("examples mix in " + row.op) != std::string::npos, what);
      CHECK(what.find("separate.cpp:") != std::string::npos);
    }
    // As many elements for each example as there are examples: folded, they are still told apart.
    const Expr twice = repeat(x, 2, 0);
    CHECK(refusal([&] { jacobian(twice, x); }).find("several positions for each example") !=
          std::string::npos);
    CHECK(refusal([&] { jacobian(tile(x, {2, 1}), x); }).find("nothing else") != std::string::npos);
    // A slice of all of them is no mixing, one of some is.
    for (const Expr& all :
         {slice(x, 0, size(x, 0)), slice_from(x, 0), cinch::rows(x, 0, size(x, 0))}) {
      CAPTURE(describe(all));
      CHECK(evaluate(jacobian(exp(all), x), {{x, value}}) ==
            evaluate(jacobian(exp(x), x), {{x, value}}));
    }
    CHECK_THROWS_AS(jacobian(slice(x, 0, 3), x), GradError);
    CHECK_THROWS_AS(jacobian(slice(x, 0, size(x, 0), 0, 2), x), GradError);
    // What only lends its shape may mix what it likes.
    CHECK(examples_are_separate(exp(x) * size(softmax(dot(x, transpose(x)), 0), 1), x));
  }
}

TEST_CASE("a batch of one against several others is an error when it is met, not a sum") {
  const Expr x = dmatrix("x"), t = dmatrix("t");
  const Expr J = jacobian(exp(x * t), x);
  const Tensor one = Tensor::full(DType::float64, {1, 2}, 0.5),
               three = Tensor::full(DType::float64, {3, 2}, 0.5);
  CHECK(evaluate(J, {{x, three}, {t, one}}).shape() == Shape{3, 2, 2});
  CHECK(evaluate(J, {{x, one}, {t, one}}).shape() == Shape{1, 2, 2});
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    const Function f = function({.inputs = {x, t}, .outputs = {J}, .mode = mode});
    CHECK_THROWS_AS(f({one, three}), Error);
  }
}

TEST_CASE("examples may mix in what is held constant, and in nothing else") {
  std::mt19937 random(5);
  const Shape shape{4, 3};
  const Expr x = dmatrix("x");
  const Shared W(random_tensor(DType::float64, {3, 3}, random), "W"),
      V(random_tensor(DType::float64, {3, 3}, random), "V");
  const Tensor at = random_tensor(DType::float64, shape, random);
  const Expr a = tanh(dot(x, W));
  const std::vector<std::function<Expr(const Expr&)>> mixing{
      [](const Expr& e) { return mean(e, 0, true); },
      [](const Expr& e) { return sqrt(var(e, 0, true) + 0.1); },
      [](const Expr& e) { return cumsum(e, 0); },
      [](const Expr& e) { return reverse(e, 0); },
      [](const Expr& e) { return softmax(e, 0); },
      [](const Expr& e) { return dot(dot(e, transpose(e)), e); },
      [](const Expr& e) { return broadcast_like(sum(square(e)), e); },
  };
  const std::vector<std::function<Expr(const Expr&, const Expr&)>> uses{
      [](const Expr& e, const Expr& m) { return tanh(e - m); },
      [](const Expr& e, const Expr& m) { return e / (1 + square(m)); },
      [&](const Expr& e, const Expr& m) { return sigmoid(dot(e * m, V)) + m; },
  };
  for (const auto& mix : mixing) {
    for (const auto& use : uses) {
      const Expr m = mix(a), y = use(a, m), fixed = variable("m", m.type());
      CAPTURE(describe(m));
      CAPTURE(describe(y));
      CHECK_FALSE(refusal([&] { return jacobian(y, x); }).empty());
      CHECK_FALSE(refusal([&] { return jacobian(y, x, {.consider_constant = {a}}); }).empty());
      const Expr J = jacobian(y, x, {.consider_constant = {m}}), freed = use(a, fixed),
                 expected = substitute(std::vector{jacobian(freed, x)}, {{fixed, m}})[0];
      const Expr diagonal_of_J = jacobian_diagonal(y, x, {.consider_constant = {m}}),
                 trace_of_J = divergence(y, x, {.consider_constant = {m}});
      const std::vector<Expr> results{J,
                                      expected,
                                      diagonal_of_J,
                                      diagonal(expected, 0, 1, 2),
                                      trace_of_J,
                                      trace(expected, 0, 1, 2),
                                      grad(sum(square(J)), W),
                                      grad(sum(square(expected)), W)};
      for (const Mode mode : {Mode::fast, Mode::checked}) {
        const std::vector<Tensor> values =
            function({.inputs = {x}, .outputs = results, .mode = mode})({at});
        for (std::size_t k = 0; k < values.size(); k += 2)
          CHECK(distance(values[k], values[k + 1]) < 1e-12);
      }
    }
  }
}
