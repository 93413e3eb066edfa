// Random graphs: the rewritten and planned function gives what the graph as written means.
#include <doctest/doctest.h>

#include <cmath>

#include "cinch/cinch.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Grows expressions whose values stay of moderate size, so that rounding stays near the last
/// digits.
class Garden {
 public:
  Garden(unsigned seed, DType dtype, bool symbolic) : random_(seed) {
    for (const Shape& shape :
         {Shape{3, 4}, Shape{4}, Shape{4, 3}, Shape{}, Shape{3, 1}, Shape{2, 3, 4}}) {
      const Shape sizes = symbolic ? Shape(shape.size(), -1) : shape;
      add(variable(text("x", inputs.size()), dtype, sizes), shape);
      inputs.push_back(pool_.back().expr);
      bindings.emplace_back(inputs.back(), random_tensor(dtype, shape, random_, -1.5, 1.5));
    }
  }

  Expr cost(int steps) {
    for (int k = 0; k < steps; ++k) grow();
    Expr total = mean(pool_.back().expr);
    for (int k = 0; k < 3; ++k) total = total + mean(tanh(pick().expr));
    return total;
  }

  std::vector<Expr> inputs;
  std::vector<Binding> bindings;

 private:
  struct Plant {
    Expr expr;
    Shape shape;
  };

  int below(std::size_t n) { return static_cast<int>(random_() % n); }
  const Plant& pick() {
    // Mostly the newest ones, so that graphs grow deep.
    const std::size_t n = pool_.size();
    return below(3) ? pool_[n - 1 - static_cast<std::size_t>(below(std::min<std::size_t>(n, 5)))]
                    : pool_[static_cast<std::size_t>(below(n))];
  }
  void add(const Expr& e, Shape shape) {
    if (element_count(shape) <= 200) pool_.push_back({e, std::move(shape)});
  }
  static bool broadcasts(const Shape& a, const Shape& b) {
    for (std::size_t k = 1; k <= std::min(a.size(), b.size()); ++k) {
      const std::int64_t m = a[a.size() - k], n = b[b.size() - k];
      if (m != n && m != 1 && n != 1) return false;
    }
    return true;
  }
  static Shape broadcast_shape(const Shape& a, const Shape& b) {
    return Type{DType::bool_, broadcast(to_dims(a), to_dims(b))}.shape();
  }

  void grow() {
    const Plant a = pick(), b = pick();
    const auto rank = static_cast<std::int64_t>(a.shape.size());
    const auto axis = rank ? static_cast<std::int64_t>(below(a.shape.size())) : 0;
    switch (below(4)) {
      case 0:
        return unary(a);
      case 1:
        return broadcasts(a.shape, b.shape) ? binary(a, b) : unary(b);
      case 2:
        return rank ? reduce(a, axis) : unary(a);
      default:
        return rank ? move(a, b, axis) : binary(a, a);
    }
  }

  void unary(const Plant& p) {
    const Expr& x = p.expr;
    const Expr s = sigmoid(x);
    const Expr choices[] = {tanh(x),
                            s,
                            -x,
                            -(-x),
                            1 - x,
                            x * 1,
                            x + 0,
                            0 - x,
                            x / 1,
                            square(tanh(x)),
                            sin(x),
                            cos(x),
                            exp(tanh(x)),
                            log(s),
                            log(1 - s),
                            log(1. + exp(tanh(x))),
                            log1p(exp(-square(x))),
                            softplus(x),
                            sqrt(1 + square(x)),
                            pow(s, 2),
                            pow(s, 0.5),
                            pow(s, 1.5),
                            pow(1 + s, -1),
                            exp(-softplus(x)),
                            expm1(sin(x)),
                            exp(sin(x)) - 1,
                            log(exp(sin(x))),
                            relu(x),
                            abs(x),
                            clip(x, -1, 1),
                            stop_gradient(x) * 0.5,
                            sqrt(square(x)),
                            x * x / (1 + square(x)),
                            log(1 + square(x)),
                            switch_(x > 0.1, s, x * 0.5),
                            cast(floor(x * 3), x.dtype()) * 0.25,
                            2 * (1 / (3 + cos(x))),
                            mod(s, 2.0),
                            gelu(x),
                            mish(x),
                            elu(x),
                            erfc(x),
                            1 + erf(x),
                            arctan(x),
                            log_cosh(x),
                            hypot(x, 1),
                            s * log(s),
                            (1 - s) * log(1 - s),
                            log(exp(tanh(x)) + exp(s)),
                            1 - exp(tanh(x))};
    add(choices[below(std::size(choices))], p.shape);
  }
  void binary(const Plant& p, const Plant& q) {
    const Expr &x = p.expr, &y = q.expr;
    const Expr choices[] = {x + y,
                            x - y,
                            tanh(x) * y,
                            maximum(x, y),
                            minimum(x, y),
                            x / (1 + square(y)),
                            x + -y,
                            x - -y,
                            -(x - y),
                            -sin(x) * -y,
                            switch_(y > 0.3, tanh(x), sin(y)),
                            sigmoid(x) * log(sigmoid(y)),
                            0.5 * x + y * 0.25,
                            0.3 * x * y,
                            square(x) * 0.1 * y,
                            x * 0.5 + x * 0.5 - y};
    add(choices[below(std::size(choices))], broadcast_shape(p.shape, q.shape));
  }
  void reduce(const Plant& p, std::int64_t axis) {
    const Expr& x = p.expr;
    const bool keep = below(2);
    Shape shape = p.shape;
    if (keep)
      shape[static_cast<std::size_t>(axis)] = 1;
    else
      shape.erase(shape.begin() + axis);
    switch (below(15)) {
      case 9:
        return add(prod(1 + 0.3 * tanh(x), axis, keep), shape);
      case 10:
        return add(min(x, axis, keep), shape);
      case 11:
        return add(norm(x, 2, axis, keep), shape);
      case 12:
        return add(std_(x, axis, keep), shape);
      case 13:
        return add(log(mean(exp(tanh(x)), axis, keep)), shape);
      case 14:
        return add(exp(tanh(x)) / sum(exp(tanh(x)), axis, true), p.shape);
      case 0:
        return add(sum(sin(x), axis, keep), shape);
      case 1:
        return add(mean(x, axis, keep), shape);
      case 2:
        return add(max(x, axis, keep), shape);
      case 3:
        return add(softmax(x, axis), p.shape);
      case 4:
        return add(log_softmax(x, axis), p.shape);
      case 5:
        return add(logsumexp(x, axis, keep), shape);
      case 6:
        return add(sum(square(x) * 0.1, axis, keep), shape);
      case 7:
        return add(sum(x * tanh(x) * 0.1) * 0.2, {});
      default:
        return add(mean(tanh(x)), {});
    }
  }
  void move(const Plant& p, const Plant& q, std::int64_t axis) {
    const Expr& x = p.expr;
    const auto a = static_cast<std::size_t>(axis);
    Shape shape = p.shape;
    switch (below(11)) {
      case 0:
        std::reverse(shape.begin(), shape.end());
        return add(transpose(x), shape);
      case 1:
        shape.insert(shape.begin() + axis, 1);
        return add(expand_dims(x, axis), shape);
      case 2:
        shape.erase(shape.begin() + axis);
        return add(at(x, -1, axis), shape);
      case 3:
        shape[a] = (shape[a] + 1) / 2;
        return add(slice(x, 0, shape[a], axis), shape);
      case 4:
        return add(reverse(x, axis), shape);
      case 5:
        shape[a] *= 2;
        return add(concatenate({x, sin(x)}, axis), shape);
      case 6:
        return add(flatten(x), {element_count(shape)});
      case 7: {
        shape[a] = 3;
        const Tensor index = Tensor::from<std::int64_t>({3}, {0, p.shape[a] - 1, -1});
        return add(take(x, constant(index), axis), shape);
      }
      case 8:
        if (p.shape.size() != 2) return unary(p);
        return add(0.2 * dot(x, transpose(x)), {shape[0], shape[0]});
      case 9:
        if (p.shape.size() != 3) return unary(p);
        return add(0.2 * batched_dot(x, transpose(x, {0, 2, 1})), {shape[0], shape[1], shape[1]});

      default:
        if (p.shape.size() >= 2 && q.shape.size() == 2 && p.shape.back() == q.shape[0]) {
          shape.back() = q.shape[1];
          return add(tanh(dot(x, q.expr)), shape);
        }
        if (p.shape.size() == 2) return add(tanh(dot(x, transpose(x))), {shape[0], shape[0]});
        if (p.shape.size() == 1) return add(tanh(outer(x, x)), {shape[0], shape[0]});
        return unary(p);
    }
  }

  std::mt19937 random_;
  std::vector<Plant> pool_;
};

/// Largest difference between the two ways to run, over the largest value of each result.
double worst_difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double worst = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k].shape() != b[k].shape() || a[k].dtype() != b[k].dtype())
      return std::numeric_limits<double>::infinity();
    double scale = 1;
    for (std::int64_t i = 0; i < b[k].size(); ++i) scale = std::max(scale, std::abs(b[k].at(i)));
    for (std::int64_t i = 0; i < b[k].size(); ++i) {
      const double d = std::abs(a[k].at(i) - b[k].at(i)) / scale;
      worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("random graphs: values and gradients are the same in both modes") {
  // About twenty operations of moderate condition each: a few thousand roundings at the very worst.
  struct Row {
    DType dtype;
    bool symbolic;
    unsigned first, count;
    double bound;
  };
  for (const Row& row :
       {Row{DType::float64, true, 1, 1500, 1e-10}, Row{DType::float64, false, 10001, 1500, 1e-10},
        Row{DType::float32, true, 20001, 1000, 1e-2}}) {
    for (unsigned seed = row.first; seed < row.first + row.count; ++seed) {
      CAPTURE(seed);
      Garden garden(seed, row.dtype, row.symbolic);
      const Expr cost = garden.cost(12);
      std::vector<Expr> roots{cost};
      for (const Expr& g : grad(cost, garden.inputs, {.disconnected = Disconnected::zero}))
        roots.push_back(g);
      std::vector<Tensor> values;
      for (const auto& [x, value] : garden.bindings) values.push_back(value);
      const std::vector<Tensor> exact = cinch::running::interpret(roots, garden.bindings, false);
      const std::vector<Tensor> fast = function(
          {.inputs = garden.inputs, .outputs = roots, .allow_unused_inputs = true})(values);
      CHECK(fast[0].dtype() == row.dtype);
      const double difference = worst_difference(fast, exact);
      CHECK_MESSAGE(difference <= row.bound, graph_text(std::span(&cost, 1)));
    }
  }
}

TEST_CASE("random graphs: gradients agree with finite differences") {
  int checked = 0;
  for (unsigned seed = 30001; seed < 30201; ++seed) {
    CAPTURE(seed);
    Garden garden(seed, DType::float64, seed % 2);
    const Expr cost = garden.cost(8);
    // Kinks (maximum, relu) and held parts (stop_gradient, floor) have no place here.
    bool smooth = true;
    for (const Expr& node : topological(std::span(&cost, 1))) {
      for (const char* op : {"maximum", "minimum", "relu", "abs", "max", "stop_gradient", "floor",
                             "switch", "sqrt", "mod"})
        smooth = smooth && node.op().name != op;
    }
    if (!smooth) continue;
    std::vector<Expr> wrt;
    for (const Expr& x : garden.inputs) {
      try {
        grad(cost, x);
        wrt.push_back(x);
      } catch (const GradError&) {
      }
    }
    const GradCheck check = check_grad(cost, wrt, garden.bindings, {.tolerance = 1e-6});
    CHECK_MESSAGE(check.ok, check.report << graph_text(std::span(&cost, 1)));
    ++checked;
  }
  CHECK(checked > 20);
}
