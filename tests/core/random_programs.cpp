// Random programs over the whole catalog: fast and checked agree, in values, gradients and updates.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "cinch/cinch.hpp"
#include "cinch/core/graph/leaves.hpp"
#include "cinch/core/run/interpret.hpp"
#include "cinch/ops/catalog.hpp"
#include "support/random_program.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// All that is compared: the roots, the gradients of their sum by the float variables, where there
/// are any.
std::vector<Expr> compared(const RandomProgram& program, bool gradients) {
  std::vector<Expr> all = program.roots;
  if (!gradients) return all;
  Expr cost;
  for (const Expr& root : program.roots) {
    if (!is_float(root.dtype())) continue;
    // The second derivative is not constant, and elements do not cancel.
    const Expr part = cast(sum(sin(root) * root), DType::float64);
    cost = cost.has_value() ? cost + part : part;
  }
  std::vector<Expr> wrt;
  for (const auto& [x, value] : program.bindings) {
    if (is_float(x.dtype())) wrt.push_back(x);
  }
  if (!cost.has_value() || wrt.empty()) return all;
  try {
    for (const Expr& g : grad(cost, wrt, {.disconnected = Disconnected::zero})) all.push_back(g);
  } catch (const GradError&) {
    // Some op on the way has no derivative.
  }
  return all;
}

double largest_of(const Tensor& t) {
  double most = 0;
  for (std::int64_t k = 0; k < t.size(); ++k) most = std::max(most, std::abs(t.at(k)));
  return most;
}

double difference(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape())
    return std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::int64_t k = 0; k < a.size(); ++k) {
    const double x = a.at(k), y = b.at(k);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double d = std::abs(x - y);
    most = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(most, d);
  }
  return most;
}

bool whole(const Tensor& t) {
  for (std::int64_t k = 0; k < t.size(); ++k) {
    if (std::trunc(t.at(k)) != t.at(k)) return false;
  }
  return true;
}

/// A change in the last digits of each element, up or down at random. Whole numbers stay if
/// `exact`; else all move by digits of the largest.
Tensor noise(Tensor value, bool exact, double digit, std::mt19937& random) {
  const double largest = largest_of(value);
  dispatch(value.dtype(), [&]<class T> {
    for (T& v : value.data<T>()) {
      const double x = static_cast<double>(v);
      const double size = exact && std::trunc(x) == x ? 0 : exact ? x : largest;
      const double change = std::isfinite(size) ? digit * size : 0;
      v = static_cast<T>(random() & 1 ? change : -change);
    }
  });
  return value;
}

/// `roots` with every float result on the way, and every input, changed in its last digits.
std::vector<Expr> with_noise(const std::vector<Expr>& roots, const std::vector<Expr>& nodes,
                             const std::vector<Tensor>& values, double digit,
                             std::mt19937& random) {
  NodeMap<const Tensor*> value;
  for (std::size_t k = 0; k < nodes.size(); ++k) value[nodes[k].get()] = &values[k];
  NodeMap<Expr> noisy;
  for (const Expr& node : topological(roots)) {
    std::vector<Expr> inputs;
    // Whole numbers are exact in sums of products of whole ones, and where each element comes from
    // its own; in other kernels, as decompositions, not even these.
    const Op& op = node.op();
    bool exact = op.reduction() || op.algebra != Algebra::none;
    for (const Expr& input : node.inputs()) {
      const auto at = value.find(input.get());
      exact = exact && (at == value.end() || whole(*at->second));
      inputs.push_back(noisy.at(input.get()));
      // A decomposition of whole numbers may be of a matrix with equal or no singular values.
      if (op.kernel() && op.algebra == Algebra::none && at != value.end() && graphs::is_leaf(input))
        inputs.back() = inputs.back() + constant(noise(*at->second, false, digit, random));
    }
    exact = exact || op.elementwise() || op.view() || inputs.empty();
    Expr result = inputs.empty() ? node : with_inputs(node, std::move(inputs));
    if (const auto at = value.find(node.get()); at != value.end())
      result = result + constant(noise(*at->second, exact, digit, random));
    noisy.emplace(node.get(), result);
  }
  std::vector<Expr> all;
  for (const Expr& root : roots) all.push_back(noisy.at(root.get()));
  return all;
}

/// How far rounding may take each result. Two sound ways of computing differ as if results on the
/// way had been changed in their last digits: what such changes do, times a factor, plus the
/// rounding of the largest value on the way, for each op. Infinite where the program is so
/// ill-conditioned, or so near a jump, that nothing can be said.
std::vector<double> bounds(const std::vector<Expr>& roots, const RandomProgram& program,
                           const std::vector<Tensor>& plain, int trials) {
  bool narrow = false;
  for (const Expr& node : topological(roots)) narrow = narrow || node.dtype() == DType::float32;
  const double digit = narrow ? 0x1p-24 : 0x1p-53;
  std::vector<Expr> nodes;
  for (const Expr& node : topological(roots)) {
    if (is_float(node.dtype())) nodes.push_back(node);
  }
  const std::vector<Tensor> values =
      cinch::running::interpret(nodes, program.bindings, /*watch=*/false);
  double most = 1;
  for (const Tensor& value : values) {
    const double size = largest_of(value);
    if (std::isfinite(size)) most = std::max(most, size);
  }
  std::vector<double> result(roots.size(),
                             200 * digit * most * std::sqrt(static_cast<double>(nodes.size())));
  std::mt19937 random(11);
  for (int trial = 0; trial < trials; ++trial) {
    const std::vector<Expr> noisy = with_noise(roots, nodes, values, 16 * digit, random);
    try {
      const std::vector<Tensor> moved =
          cinch::running::interpret(noisy, program.bindings, /*watch=*/false);
      for (std::size_t k = 0; k < roots.size(); ++k)
        result[k] += 20 * difference(moved[k], plain[k]);
    } catch (const ValueError&) {  // At the edge of what an op accepts.
      return std::vector<double>(roots.size(), std::numeric_limits<double>::infinity());
    }
  }
  for (double& bound : result) {
    if (!(bound < (narrow ? 3e-2 : 1e-7) * most)) bound = std::numeric_limits<double>::infinity();
  }
  return result;
}

struct Counts {
  int programs = 0, gradients = 0, unclear = 0, updates = 0;
};

/// What is wrong with the fast function for this program; empty where nothing is. `trials` of noise
/// say what may be the work of rounding.
std::string fault_beyond(const RandomProgram& program, int trials, Counts* counts) {
  const std::vector<Expr> roots = compared(program, true);
  std::vector<Tensor> plain;
  try {
    plain = cinch::running::interpret(roots, program.bindings, /*watch=*/false);
  } catch (const ValueError&) {
    return "";
  }
  std::vector<Expr> inputs;
  std::vector<Tensor> values;
  for (const auto& [x, value] : program.bindings) {
    inputs.push_back(x);
    values.push_back(value);
  }
  const std::vector<double> allowed = bounds(roots, program, plain, trials);
  const auto compare = [&](const std::vector<Tensor>& fast, const char* what) -> std::string {
    for (std::size_t k = 0; k < fast.size(); ++k) {
      const double d = difference(fast[k], plain[k]);
      if (d > allowed[k]) {
        return text(what, " ", k, k < program.roots.size() ? "" : " (a gradient)", " differs by ",
                    d, ", allowed are ", allowed[k], ": fast ", text(fast[k]), ", checked ",
                    text(plain[k]));
      }
    }
    return "";
  };
  try {
    const Function f = function({.inputs = inputs, .outputs = roots, .allow_unused_inputs = true});
    if (std::string wrong = compare(f(values), "output"); !wrong.empty()) return wrong;
    // The same as updates of shared variables that the program itself reads, in place.
    Substitutions stored;
    Updates updates;
    std::vector<std::size_t> numbers;
    for (std::size_t k = 0; k < roots.size(); ++k) {
      for (const auto& [bound, value] : program.bindings) {
        const Expr& x = bound;
        const bool taken = std::ranges::any_of(stored, [&](const auto& s) { return s.first == x; });
        if (taken || plain[k].dtype() != value.dtype() || plain[k].shape() != value.shape())
          continue;
        stored.emplace_back(x, Shared(value, x.attrs().label));
        numbers.push_back(k);
        break;
      }
    }
    if (!stored.empty()) {
      const std::vector<Expr> now = substitute(roots, stored);
      for (std::size_t k = 0; k < numbers.size(); ++k) {
        const Shared target = as_shared(stored[k].second);
        updates.push_back({target, now[numbers[k]]});
      }
      std::vector<Expr> left;
      std::vector<Tensor> left_values;
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        if (std::ranges::any_of(stored, [&](const auto& s) { return s.first == inputs[k]; }))
          continue;
        left.push_back(inputs[k]);
        left_values.push_back(values[k]);
      }
      const Function step = function({.inputs = left,
                                      .outputs = {now.back()},
                                      .updates = updates,
                                      .allow_unused_inputs = true});
      const Tensor last = step(left_values)[0];
      std::vector<Tensor> after = plain;
      after.back() = last;
      if (std::string wrong = compare(after, "output beside updates"); !wrong.empty()) return wrong;
      for (std::size_t k = 0; k < numbers.size(); ++k)
        after[numbers[k]] = updates[k].target.value();
      if (std::string wrong = compare(after, "update"); !wrong.empty()) return wrong;
      if (counts) ++counts->updates;
    }
  } catch (const Error& error) {
    return text("the fast function throws: ", error.what());
  }
  if (counts) {
    ++counts->programs;
    counts->gradients += roots.size() > program.roots.size();
    counts->unclear += std::ranges::any_of(allowed, [](double b) { return std::isinf(b); });
  }
  return "";
}

std::string fault(const RandomProgram& program, Counts* counts = nullptr) {
  // Few trials can miss that a single element is at a jump.
  const std::string suspected = fault_beyond(program, 3, counts);
  return suspected.empty() ? suspected : fault_beyond(program, 30, counts);
}

bool uses(const RandomProgram& program, const Op& op) {
  return std::ranges::any_of(topological(program.roots),
                             [&](const Expr& node) { return &node.op() == &op; });
}

}  // namespace

TEST_CASE("random programs over all ops: fast agrees with checked, in values, gradients, updates") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 3000);
  const std::int64_t seed = number_from("CINCH_RANDOM_SEED", 1);
  Counts counts;
  std::map<std::string_view, int> drawn;
  int faults = 0;
  for (std::int64_t k = 0; k < programs && faults < 5; ++k) {
    std::mt19937 random(static_cast<unsigned>(seed * 1000003 + k));
    const RandomProgram program =
        random_program(random, {.real = k % 3 == 0 ? DType::float32 : DType::float64,
                                .steps = 2 + static_cast<int>(random() % 8),
                                .symbolic = k % 2 == 1});
    for (const Expr& node : topological(compared(program, true))) ++drawn[node.op().name];
    const std::string wrong = fault(program, &counts);
    if (wrong.empty()) continue;
    ++faults;
    const RandomProgram small =
        shrink(program, [](const RandomProgram& p) { return !fault(p).empty(); });
    FAIL_CHECK("program ", k, " of seed ", seed, ": ", fault(small), "\n", as_cpp(small));
  }
  MESSAGE(counts.programs, " programs, ", counts.gradients, " with gradients, ", counts.updates,
          " with updates, ", counts.unclear, " with a result too ill-conditioned to compare");
  if (programs < 1000) return;
  CHECK(counts.gradients > programs / 3);
  CHECK(counts.updates > programs / 3);
  CHECK(counts.unclear < programs / 5);
  for (const Op* op : all_ops()) {
    CAPTURE(op->name);
    // Sizes are numbers already when a program grows.
    if (op != &size_op && !op->observes) CHECK(drawn[op->name] > 0);
  }
}

TEST_CASE("a failing program shrinks to what fails, and prints as C++") {
  // Stands for a fault: a product somewhere above an exponential.
  const auto fails = [](const RandomProgram& p) {
    return std::ranges::any_of(topological(p.roots), [](const Expr& node) {
      return &node.op() == &mul_op && std::ranges::any_of(node.inputs(), [](const Expr& input) {
        return &input.op() == &exp_op;
      });
    });
  };
  std::mt19937 random(4);
  int found = 0;
  for (int k = 0; k < 50000 && found < 5; ++k) {
    const RandomProgram program = random_program(random, {.steps = 12});
    if (!fails(program) || op_count(program) < 12) continue;
    ++found;
    const RandomProgram small = shrink(program, fails);
    CHECK(fails(small));
    CHECK(op_count(small) == 2);
    CHECK(small.roots.size() == 1);
    CHECK(small.bindings.size() <= 2);
    const std::string code = as_cpp(small);
    CAPTURE(code);
    CHECK(code.find("apply(find_op(\"exp\"), {") != std::string::npos);
    // The product is what is left; a constant may stand beside the exponential.
    const std::size_t product = code.find(" = apply(find_op(\"mul\"), {");
    REQUIRE(product != std::string::npos);
    const std::size_t name = code.rfind("const Expr ", product) + std::string("const Expr ").size();
    CHECK(code.find("const std::vector<Expr> roots{" + code.substr(name, product - name) + "};") !=
          std::string::npos);
    CHECK(uses(small, exp_op));
  }
  CHECK(found == 5);
}

TEST_CASE("what as_cpp prints builds the program again") {
  // As printed for a program of this kind; kept in step with as_cpp by the comparison below.
  const Tensor x0_value =
      Tensor::from<double>({2, 2}, {double(0.5), double(-1), double(2), double(1)});
  const Expr x0 = variable("x0", DType::float64, Shape{-1, 2});
  const Expr v0 = apply(find_op("exp"), {x0});
  const Expr v1 = apply(find_op("sum"), {v0}, {.ints = {1}, .dtype = DType::float64});
  const RandomProgram program{{v1}, {{x0, x0_value}}};
  CHECK(as_cpp(program) ==
        "using namespace cinch;\n"
        "const Tensor x0_value = Tensor::from<double>({2, 2}, {double(0.5), double(-1), double(2), "
        "double(1)});\n"
        "const Expr x0 = variable(\"x0\", DType::float64, Shape{-1, 2});\n"
        "const Expr v0 = apply(find_op(\"exp\"), {x0});\n"
        "const Expr v1 = apply(find_op(\"sum\"), {v0}, {.ints = {1}, .dtype = DType::float64});\n"
        "const std::vector<Expr> roots{v1};\n");
  CHECK(fault(program).empty());
  CHECK_THROWS_WITH_AS(find_op("nothing"), doctest::Contains("there is no op named nothing"),
                       TypeError);
}
