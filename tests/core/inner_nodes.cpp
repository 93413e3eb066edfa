// Derivatives by expressions, and by parts of formulas that were differentiated before: what the
// user holds is found, whatever became of it inside. The measure is always the same formula with a
// variable in the place of the expression.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/derivation.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "support/random_program.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Makes expressions, or says which error kept it from that.
struct Attempt {
  std::vector<Expr> made;
  std::string error;

  template <class F>
  explicit Attempt(const F& make) {
    try {
      made = make();
    } catch (const GradError&) {
      error = "GradError";  // The texts name different nodes.
    } catch (const TypeError& e) {
      error = std::string("TypeError: ") + e.what();
    }
  }
};

std::vector<Tensor> values_of(const std::vector<Expr>& made, const std::vector<Binding>& at,
                              const Substitutions& givens = {}) {
  FunctionSpec spec{.outputs = made, .givens = givens, .allow_unused_inputs = true};
  std::vector<const Tensor*> arguments;
  for (const auto& [x, value] : at) {
    spec.inputs.push_back(x);
    arguments.push_back(&value);
  }
  try {
    return function(std::move(spec)).call(arguments);
  } catch (const ValueError&) {
    return {};  // A matrix is singular.
  }
}

/// "" where the two sets of values agree up to rounding.
std::string difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return "one of them throws a ValueError";
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k].shape() != b[k].shape()) return text("value ", k, " has another shape");
    double scale = 1e-8;  // Terms of the size of 1 may cancel, and leave their rounding.
    for (std::int64_t i = 0; i < a[k].size(); ++i) {
      if (std::isfinite(b[k].at(i))) scale = std::max(scale, std::abs(b[k].at(i)));
    }
    for (std::int64_t i = 0; i < a[k].size(); ++i) {
      const double p = a[k].at(i), q = b[k].at(i);
      if (std::isfinite(p) || std::isfinite(q) ? !(std::abs(p - q) <= 1e-7 * scale)
                                               : std::isnan(p) != std::isnan(q)) {
        return text("value ", k, ", element ", i, ": ", p, ", with a variable ", q);
      }
    }
  }
  return "";
}

/// One comparison: what is made of a formula and an inner node, and the same of the formula in
/// which a variable stands for the node.
class Comparison {
 public:
  Comparison(std::vector<Binding> at, Substitutions variables)
      : at_(std::move(at)), variables_(std::move(variables)) {
    for (const auto& [node, variable] : variables_) {
      at_.emplace_back(variable, values_of({node}, at_)[0]);
    }
  }

  /// `make` is called with `roots` and the nodes, then with the formula in the variables and these.
  template <class F>
  std::string operator()(const std::vector<Expr>& roots, const F& make) const {
    std::vector<Expr> nodes, stand_ins;
    for (const auto& [node, variable] : variables_) {
      nodes.push_back(node);
      stand_ins.push_back(variable);
    }
    const Attempt by_nodes([&] { return make(roots, nodes); });
    const Attempt by_variables([&] { return make(substitute(roots, variables_), stand_ins); });
    if (by_nodes.error != by_variables.error)
      return text("\"", by_nodes.error, "\", with a variable \"", by_variables.error, "\"");
    if (!by_nodes.error.empty()) return "";
    return difference(values_of(by_nodes.made, at_), values_of(by_variables.made, at_));
  }

  const std::vector<Binding>& at() const { return at_; }

 private:
  std::vector<Binding> at_;
  Substitutions variables_;
};

bool depends(const Expr& root, const Expr& on) {
  const std::vector<Expr> nodes = topological(std::span(&root, 1));
  return std::ranges::find(nodes, on) != nodes.end();
}

/// A number for each element, the same for the same type.
Expr weights_like(const Expr& x) {
  return 0.3 + 0.1 * cast(reshape(arange(product(sizes(x))), sizes(x)), x.dtype()) -
         0.02 * square(cast(reshape(arange(product(sizes(x))), sizes(x)), x.dtype()));
}

/// A scalar that every element of every root matters to.
Expr scalar_of(const std::vector<Expr>& roots) {
  Expr total = cast(Arg(0.0), DType::float64);
  for (const Expr& root : roots) {
    if (is_float(root.dtype()))
      total = total + sum(weights_like(root) * tanh(root) + 0.1 * square(root));
  }
  return cast(total, DType::float64);
}

const GradOptions or_zero{.disconnected = Disconnected::zero};

std::string fault(const RandomProgram& program, const Expr& h, const Expr& k) {
  const Substitutions one{{h, variable("h", h.type())}};
  const Expr cost = scalar_of(program.roots);
  const Comparison with_h(program.bindings, one);
  std::string wrong = with_h({cost}, [&](const std::vector<Expr>& roots,
                                         const std::vector<Expr>& by) {
    const Expr g = grad(roots[0], by[0]);
    return std::vector<Expr>{g, grad(sum(weights_like(g) * tanh(g)) + sum(square(by[0])), by[0]),
                             hessian_vector(roots[0], by[0], weights_like(by[0])),
                             Rop(g, by[0], weights_like(by[0]), or_zero)};
  });
  if (!wrong.empty()) return "derivatives by one node: " + wrong;

  std::vector<Expr> leaves;  // That matter and that the node is not made of.
  for (const Binding& b : program.bindings) {
    if (is_float(b.first.dtype()) && !depends(h, b.first)) leaves.push_back(b.first);
  }
  wrong = with_h({cost}, [&](const std::vector<Expr>& roots, const std::vector<Expr>& by) {
    std::vector<Expr> made;
    for (const Expr& x : leaves) {
      const Expr g = grad(roots[0], x, or_zero);
      made.push_back(grad(sum(weights_like(g) * g), by[0], or_zero));
    }
    return made;
  });
  if (!wrong.empty()) return "by a leaf, then by a node: " + wrong;

  // With the node constant, a leaf under it moves what does not go through it.
  std::vector<Expr> all;
  for (const Binding& b : program.bindings) {
    if (is_float(b.first.dtype())) all.push_back(b.first);
  }
  wrong = with_h({cost}, [&](const std::vector<Expr>& roots, const std::vector<Expr>& by) {
    GradOptions constant = or_zero;
    constant.consider_constant = by;
    std::vector<Expr> made = grad(roots[0], all, constant);
    Expr squares = cast(Arg(0.0), DType::float64);
    for (const Expr& g : made) squares = squares + sum(square(g));
    for (const Expr& g : grad(squares, all, constant)) made.push_back(g);
    return made;
  });
  if (!wrong.empty()) return "a node held constant: " + wrong;

  // A given takes the place of the node in gradients as well.
  if (!leaves.empty()) {
    const Attempt made([&] { return grad(cost, leaves, or_zero); });
    std::vector<Binding> at = with_h.at();
    Tensor& moved = at.back().second;
    for (std::int64_t i = 0; i < moved.size(); ++i)
      moved.data<double>()[static_cast<std::size_t>(i)] += 0.25;
    const Expr in_variable = substitute(std::span(&cost, 1), one).front();
    wrong = difference(values_of(made.made, at, one),
                       values_of(grad(in_variable, leaves, or_zero), at));
    if (!wrong.empty()) return "a node that is given: " + wrong;
  }

  wrong = with_h({cost}, [&](const std::vector<Expr>& roots, const std::vector<Expr>& by) {
    std::vector<Expr> sizes_of_many = sizes(by[0]);
    sizes_of_many.insert(sizes_of_many.begin(), constant(Tensor(std::int64_t{2})));
    const Expr many = broadcast_to(by[0], sizes_of_many);
    const Expr g = grad(roots[0], by[0]);
    return std::vector<Expr>{vectorize(roots[0], by[0], many * 0.5),
                             vectorize(g, by[0], many * 0.5)};
  });
  if (!wrong.empty() && wrong.find("cannot take one more axis") == std::string::npos)
    return "many at once: " + wrong;

  if (k == h || depends(h, k) || depends(k, h)) return "";
  const Comparison with_both(program.bindings,
                             {{h, variable("h", h.type())}, {k, variable("k", k.type())}});
  wrong = with_both({cost}, [&](const std::vector<Expr>& roots, const std::vector<Expr>& by) {
    const std::vector<Expr> g = grad(roots[0], by, or_zero);
    const Expr first = grad(roots[0], by[0], or_zero);
    std::vector<Expr> made = grad(sum(weights_like(g[0]) * g[0]) + sum(square(g[1])), by, or_zero);
    made.push_back(grad(sum(weights_like(first) * first), by[1], or_zero));
    return made;
  });
  return wrong.empty() ? "" : "two nodes: " + wrong;
}

}  // namespace

TEST_CASE("derivatives by inner nodes of random graphs are those by a variable in their place") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 300);
  const std::int64_t seed = number_from("CINCH_RANDOM_SEED", 1);
  int tried = 0, faults = 0;
  for (std::int64_t n = 0; n < programs && faults < 5; ++n) {
    std::mt19937 random(static_cast<unsigned>(seed * 1000003 + n));
    const RandomProgram program = random_program(
        random, {.steps = 2 + static_cast<int>(random() % 8), .symbolic = n % 2 == 1});
    std::vector<Expr> inner;
    for (const Expr& node : topological(program.roots)) {
      if (!cinch::graphs::is_leaf(node) && node.dtype() == DType::float64 && !node.type().weak)
        inner.push_back(node);
    }
    if (inner.empty()) continue;
    const Expr h = inner[random() % inner.size()], k = inner[random() % inner.size()];
    ++tried;
    std::string wrong;
    try {
      wrong = fault(program, h, k);
    } catch (const Error& error) {
      wrong = text("throws: ", error.what());
    }
    if (wrong.empty()) continue;
    ++faults;
    FAIL_CHECK("program ", n, " of seed ", seed, ", by ", describe(h), ": ", wrong, "\n",
               as_cpp(program));
  }
  MESSAGE(tried, " programs");
  CHECK(tried > programs / 2);
}

TEST_CASE("what is built on a transpose depends on the transpose") {
  const Tensor at = Tensor::from<double>({2, 3}, {.1, -.4, .7, .3, .9, -.2});
  const Expr X = dmatrix("X"), h = transpose(X);
  const auto value = [&](const Expr& e) { return evaluate(e, {{X, at}}); };
  const Expr H = dmatrix("H");
  const auto by_variable = [&](const Expr& e) {
    return evaluate(e, {{H, evaluate(h, {{X, at}})}});
  };
  const auto gram = [](const Expr& a) { return sum(square(dot(transpose(a), a))); };
  CHECK(difference({value(grad(gram(h), h))}, {by_variable(grad(gram(H), H))}) == "");
  const Expr both = grad(sum(square(transpose(h)) * X), X, {.consider_constant = {h}});
  CHECK(difference({value(both)}, {value(square(X))}) == "");
  CHECK(difference({value(vectorize(2.0 * transpose(h), h,
                                    broadcast_to(h * 3, {constant(Tensor(std::int64_t{1})),
                                                         size(h, 0), size(h, 1)})))},
                   {value(6.0 * expand_dims(X, 0))}) == "");
}

TEST_CASE(
    "a vector that a Hessian is multiplied by is constant, even where it is the point itself") {
  const Expr x = dvector("x"), h = elu(x);
  const Tensor at = Tensor::from<double>({2}, {.5, 2});
  const Expr cost = sum(h * h * h);
  CHECK(difference({evaluate(hessian_vector(cost, h, h), {{x, at}})},
                   {evaluate(6.0 * h * h, {{x, at}})}) == "");
  const Expr v = 2.0 * h;
  CHECK(difference({evaluate(hessian_vector(cost + sum(square(v)), h, v), {{x, at}})},
                   {evaluate((6.0 * h + 8.0) * v, {{x, at}})}) == "");
  CHECK(difference({evaluate(Rop(cost, h, h), {{x, at}})},
                   {evaluate(sum(3.0 * h * h * h), {{x, at}})}) == "");
}

TEST_CASE("nodes that an earlier derivative no longer shows are found in it") {
  const Expr a = dvector("a"), y = dvector("y"), e = exp(y), s = sigmoid(y);
  const std::vector<Binding> at{{a, Tensor::from<double>({2}, {.5, 2})},
                                {y, Tensor::from<double>({2}, {.3, -1})}};
  const auto value = [&](const Expr& x) { return evaluate(x, at); };
  // log(a + exp(y)) and log(sigmoid(y)) have other forms, in which neither exp nor sigmoid is left.
  const Expr g = grad(sum(log(a + e)), a);
  CHECK(difference({value(grad(sum(g), e))}, {value(-1.0 / square(a + e))}) == "");
  const Expr k = grad(sum(a * log(s)), a);
  CHECK(difference({value(grad(sum(k), s))}, {value(1.0 / s)}) == "");
  // By x first, with a node on the way: then the node is constant, or given.
  const Expr total = grad(sum(square(log(1 + e))), y);
  CHECK(difference({value(grad(sum(total), y,
                               {.consider_constant = {e}, .disconnected = Disconnected::zero}))},
                   {value(zeros_like(y))}) == "");
}

TEST_CASE("derivatives in the formulas of others, 100,000 deep, are let go of without recursion") {
  Expr e = dscalar("x") * 2;
  for (int k = 0; k < 100000; ++k) e = cinch::graphs::derived(square(e), {{e}, {e}, {}});
  CHECK(e.op().name == "square");
}

TEST_CASE("steps of descent written out, each in the formula of the next") {
  const Expr x = dscalar("x"), first = 1.0 * x;
  Expr e = first;
  for (int k = 0; k < 30; ++k) e = e - 0.1 * grad(square(e), e);
  const std::vector<Binding> at{{x, Tensor(3.0)}};
  CHECK(evaluate(e, at).item() == doctest::Approx(3 * std::pow(0.8, 30)));
  CHECK(evaluate(grad(square(e), first), at).item() == doctest::Approx(6 * std::pow(0.64, 30)));
}
