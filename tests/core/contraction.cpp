#include "cinch/core/contract/contraction.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "cinch/cinch.hpp"
#include "cinch/core/contract/factor.hpp"
#include "cinch/core/contract/reuse.hpp"
#include "cinch/core/rewrite/rewrite.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

struct Case {
  std::string name;
  std::vector<Shape> shapes;
  std::function<Expr(Args)> build;
  std::size_t arena_limit;  ///< Bytes of temporaries, its gradients included.
};

Expr activation_of(int layer, const Expr& a) {
  return layer == 0 ? tanh(a) : layer == 1 ? softplus(a) : sigmoid(a);
}

/// ||d h3 / d x||^2 summed, of an encoder of three layers.
Expr deep_penalty(Args x) {
  Expr h = x[0];
  for (int layer = 0; layer < 3; ++layer)
    h = activation_of(layer, dot(h, x[static_cast<std::size_t>(layer) + 1]));
  return sum(square(jacobian(h, x[0])));
}

Expr literal_penalty(Args x) {
  const Expr h = sigmoid(dot(x[0], x[1]));
  const Expr J = reshape(h * (1 - h), {size(h, 0), 1, size(h, 1)}) *
                 reshape(x[1], {1, size(x[1], 0), size(x[1], 1)});
  return sum(square(J)) / size(x[0], 0);
}

/// Gradients of each example's own loss by W, as a (batch, inputs, outputs) array, squared and
/// summed.
Expr per_example_gradients(Args x) {
  const Expr delta = x[2] - sigmoid(dot(x[0], x[1]));
  return sum(square(expand_dims(x[0], 2) * expand_dims(delta, 1)));
}

const std::vector<Case>& cases() {
  constexpr std::size_t kib = 1024;
  static const std::vector<Case> all{
      {"the tutorial's literal Jacobian", {{20, 300}, {300, 100}}, literal_penalty, 1000 * kib},
      {"jacobian(h, x) of one layer",
       {{20, 300}, {300, 100}},
       [](Args x) { return sum(square(jacobian(sigmoid(dot(x[0], x[1])), x[0]))); },
       1000 * kib},
      {"jacobian(h, x) of three layers",
       {{12, 200}, {200, 24}, {24, 16}, {16, 8}},
       deep_penalty,
       1200 * kib},
      {"per-example gradients", {{30, 200}, {200, 50}, {30, 50}}, per_example_gradients, 400 * kib},
      {"trace of a product",
       {{150, 200}, {200, 150}},
       [](Args x) { return sum(dot(x[0], x[1]) * eye(150, DType::float64)); },
       1000 * kib},
      {"squared distances between all pairs",
       {{150, 40}, {120, 40}},
       [](Args x) {
         const Expr d = sum(square(expand_dims(x[0], 1) - expand_dims(x[1], 0)), 2);
         return sum(exp(-d));
       },
       700 * kib},  // The differences are 5.8 MB, the distances 144 kB.
      {"powers are repeated factors",
       {{20, 300}, {300, 100}},
       [](Args x) { return sum(pow(expand_dims(x[0], 2), 3) * pow(expand_dims(x[1], 0), 2)); },
       1000 * kib},
      {"trace of a product of three",
       {{150, 200}, {200, 120}, {120, 150}},
       [](Args x) { return trace(dot(dot(x[0], x[1]), x[2])); },
       1200 * kib},
      {"Mahalanobis distances as a diagonal",
       {{300, 20}, {20, 20}},
       [](Args x) { return sum(square(diag(dot(dot(x[0], x[1]), transpose(x[0]))))); },
       400 * kib},
      {"traces of many products",
       {{10, 60, 70}, {10, 70, 60}},
       [](Args x) { return sum(square(trace(batched_dot(x[0], x[1]), 0, 1, 2))); },
       1000 * kib},
      {"a diagonal matrix in a product",
       {{300, 40}, {40}, {40, 300}},
       [](Args x) { return trace(dot(dot(x[0], diag(x[1])), x[2])); },
       400 * kib},
      {"a trace with an offset and of a square",
       {{20, 30}, {30, 20}},
       [](Args x) {
         const Expr p = dot(x[0], x[1]);
         return trace(p, 1) + square(trace(p)) + trace(dot(p, p));
       },
       100 * kib},
      {"a chain of products",
       {{60, 60}, {60, 60}, {60, 60}, {60, 1}},
       [](Args x) { return sum(square(dot(dot(dot(x[0], x[1]), x[2]), x[3]))); },
       200 * kib},
      {"a weighted norm of outer products",
       {{40, 50}, {40, 60}, {50, 60}},
       [](Args x) {
         return sum(expand_dims(x[0], 2) * expand_dims(x[1], 1) * expand_dims(x[2], 0));
       },
       200 * kib},
      {"the Gram matrix of a decoder's Jacobian, less 1",
       {{30, 8}, {8, 32}, {32, 400}},
       [](Args x) {
         const Expr J = jacobian(dot(tanh(dot(x[0], x[1])), x[2]), x[0]);
         return sum(square(batched_dot(transpose(J, {0, 2, 1}), J) - eye(8, DType::float64)));
       },
       700 * kib},  // J is 768 kB, and 3 MB with the hidden units.
      {"a scalar of a Gram matrix by another",
       {{30, 8}, {8, 32}, {32, 400}},
       [](Args x) {
         const Expr J = jacobian(dot(tanh(dot(x[0], x[1])), x[2]), x[0]);
         const Expr G = batched_dot(transpose(J, {0, 2, 1}), J);
         return sum(square(G)) / square(sum(trace(G, 0, 1, 2)));
       },
       700 * kib},
      {"how a layer's Jacobian changes",
       {{20, 300}, {300, 100}, {20, 300}},
       [](Args x) {
         const auto J = [&](const Expr& at) { return jacobian(sigmoid(dot(at, x[1])), at); };
         return sum(square(J(x[0]) - J(x[2])));
       },
       1200 * kib},  // One Jacobian is 4.8 MB.
      {"how the Jacobian of two layers changes",
       {{20, 300}, {300, 24}, {24, 16}, {20, 300}},
       [](Args x) {
         const auto J = [&](const Expr& at) {
           return jacobian(tanh(dot(sigmoid(dot(at, x[1])), x[2])), at);
         };
         return sum(square(J(x[0]) - J(x[3])));
       },
       700 * kib},  // 768 kB.
      {"Jacobians beside their mean",
       {{20, 300}, {300, 24}, {24, 16}},
       [](Args x) {
         const Expr J = jacobian(tanh(dot(sigmoid(dot(x[0], x[1])), x[2])), x[0]);
         return sum(square(J - mean(J, 0, /*keepdims=*/true)));
       },
       700 * kib},
      {"second derivatives of a layer",
       {{8, 24}, {24, 10}},
       [](Args x) { return sum(hessian_norm2(sigmoid(dot(x[0], x[1])), x[0])); },
       16 * kib},  // 360 kB.
      {"second derivatives of a decoder",
       {{10, 2}, {2, 24}, {24, 24}, {24, 60}},
       [](Args x) {
         const Expr z = dot(tanh(dot(tanh(dot(x[0], x[1])), x[2])), x[3]);
         return sum(hessian_norm2(z, x[0]));
       },
       2500 * kib},  // By pairs of outputs they would be 14 MB.
      {"norms of each example's gradients through three layers",
       {{30, 100}, {100, 40}, {40, 30}, {30, 100}},
       [](Args x) {
         const Expr z = tanh(dot(tanh(dot(tanh(dot(x[0], x[1])), x[2])), x[3]));
         const Expr loss = sum(square(z - x[0]), 1);
         return sum(per_example_grad_norms(loss, {x[1], x[2], x[3]}));
       },
       1200 * kib},  // The gradients themselves are 2 MB.
      {"a sum over an index that no factor has",
       {{5, 4}},
       [](Args x) {
         return sum(broadcast_to(expand_dims(x[0], 0), {constant(Tensor(std::int64_t{7})),
                                                        constant(Tensor(std::int64_t{5})),
                                                        constant(Tensor(std::int64_t{4}))}) *
                    2);
       },
       8 * kib},
  };
  return all;
}

}  // namespace

TEST_CASE("contractions and their gradients have the values of the formulas as written") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    std::mt19937 random(1);
    std::vector<Expr> x, outputs;
    std::vector<Binding> bindings;
    std::vector<Tensor> values;
    for (std::size_t k = 0; k < c.shapes.size(); ++k) {
      x.push_back(variable("x" + std::to_string(k), DType::float64, Shape(c.shapes[k].size(), -1)));
      values.push_back(random_tensor(DType::float64, c.shapes[k], random, -0.3, 0.3));
      bindings.emplace_back(x.back(), values.back());
    }
    const Expr cost = c.build(x);
    outputs = grad(cost, x);
    outputs.push_back(cost);
    const Function f = function({.inputs = x, .outputs = outputs});
    const std::vector<Tensor> fast = f(values),
                              plain = cinch::running::interpret(outputs, bindings, /*watch=*/false);
    for (std::size_t k = 0; k < outputs.size(); ++k) CHECK(distance(fast[k], plain[k]) < 1e-11);
    CHECK(f.arena_bytes() < c.arena_limit);
  }
}

namespace {

/// Programs that add products with factors in common: each factor is a small tensor whose axes are
/// named by letters, those that the result does not have are summed over.
class RandomSums {
 public:
  explicit RandomSums(unsigned seed) : random_(seed) {
    for (std::size_t k = 0; k < 4; ++k) {
      std::string letters;
      Shape shape;
      for (int axis = 1 + pick(3); axis > 0; --axis) {
        letters += letter();
        shape.push_back(size_of_letter(letters.back()));
      }
      pool.push_back(variable("x" + std::to_string(k), DType::float64, Shape(shape.size(), -1)));
      values.push_back(random_tensor(DType::float64, shape, random_, -1, 1));
      letters_.push_back(letters);
    }
  }

  Expr cost() {
    result_ = std::string("ace").substr(0, static_cast<std::size_t>(1 + pick(3)));
    Expr total = term();
    for (int k = 1 + pick(2); k > 0; --k) total = pick(2) ? total + term() : total - term();
    switch (pick(3)) {
      case 0:
        return sum(square(total));
      case 1:
        return sum(sin(total));
      default:
        return sum(total * term());
    }
  }

  std::vector<Expr> pool;
  std::vector<Tensor> values;

 private:
  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  char letter() { return static_cast<char>('a' + pick(6)); }
  /// Of a and b the same, so that a factor may stand for either.
  static std::int64_t size_of_letter(char c) { return c < 'c' ? 9 : 2 + c - 'a'; }

  /// A product of two to four factors, summed to the letters of the result.
  Expr term() {
    std::string all = result_;
    std::vector<std::pair<std::size_t, std::string>> factors;
    for (int k = 2 + pick(3); k > 0; --k) {
      const auto at = static_cast<std::size_t>(pick(static_cast<int>(pool.size())));
      std::string letters = letters_[at];
      for (char& c : letters) {
        if (c < 'c' && pick(2)) c = static_cast<char>('a' + 'b' - c);
      }
      for (const char c : letters) {
        if (all.find(c) == std::string::npos) all += c;
      }
      factors.emplace_back(at, letters);
    }
    Expr product;
    std::vector<Expr> full;
    for (const char c : all) full.push_back(Expr(size_of_letter(c)));
    for (const auto& [at, letters] : factors) {
      Expr value = pool[at];
      if (const auto n = letters.size();
          n > 1 && letters[n - 1] < 'c' && letters[n - 2] < 'c' && pick(2) == 0)
        value = value + swapaxes(value, -1, -2);
      std::string own = letters;  // Where a letter comes twice, the diagonal is meant.
      for (std::size_t k = own.size(); k-- > 0;) {
        const std::size_t first = own.find(own[k]);
        if (first == k) continue;
        value = diagonal(value, 0, static_cast<std::int64_t>(first), static_cast<std::int64_t>(k));
        const char c = own[k];
        own.erase(k, 1);
        own.erase(first, 1);
        own += c;
        k = own.size();
      }
      std::vector<std::int64_t> pattern;
      for (const char c : all) {
        const std::size_t found = own.find(c);
        pattern.push_back(found == std::string::npos ? -1 : static_cast<std::int64_t>(found));
      }
      const Expr aligned = dimshuffle(value, pattern);
      product = product.has_value() ? product * aligned : aligned;
    }
    std::vector<std::int64_t> summed;
    for (std::size_t k = result_.size(); k < all.size(); ++k)
      summed.push_back(static_cast<std::int64_t>(k));
    product = broadcast_to(product, full);
    return summed.empty() ? product : sum(product, Axes(summed));
  }

  std::mt19937 random_;
  std::vector<std::string> letters_;
  std::string result_;
};

}  // namespace

TEST_CASE("random sums of products with factors in common have the values as written") {
  const std::int64_t programs = number_from("CINCH_RANDOM_PROGRAMS", 200),
                     first = number_from("CINCH_RANDOM_SEED", 1);
  std::int64_t shared = 0, reused = 0;
  for (std::int64_t k = 0; k < programs; ++k) {
    CAPTURE(first + k);
    RandomSums sums(static_cast<unsigned>(first + k));
    std::vector<Expr> outputs{sums.cost()};
    for (const Expr& g : grad(outputs[0], sums.pool, {.disconnected = Disconnected::zero}))
      outputs.push_back(g);
    const Function f = function({.inputs = sums.pool, .outputs = outputs});
    std::vector<Binding> bindings;
    for (std::size_t i = 0; i < sums.pool.size(); ++i)
      bindings.emplace_back(sums.pool[i], sums.values[i]);
    const std::vector<Tensor> fast = f(sums.values),
                              plain = cinch::running::interpret(outputs, bindings, /*watch=*/false);
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(distance(fast[i], plain[i]) < 1e-9);
    // The same with sizes that are known, as the pass sees it.
    Substitutions known;
    for (std::size_t i = 0; i < sums.pool.size(); ++i)
      known.emplace_back(sums.pool[i],
                         variable("k" + std::to_string(i), DType::float64, sums.values[i].shape()));
    const Expr whole = substitute(std::span(outputs.data(), 1), known)[0];
    shared += cinch::contraction::with_common_factors(std::span(&whole, 1))[0] == whole ? 0 : 1;
    // Products that the cost computes, its derivatives take from there.
    std::vector<Binding> known_bindings;
    for (std::size_t i = 0; i < known.size(); ++i)
      known_bindings.emplace_back(known[i].second, sums.values[i]);
    const std::vector<Expr> written =
        cinch::contraction::contract(substitute(outputs, known), nullptr);
    const std::vector<Expr> taken = cinch::contraction::with_known_products(written, /*least=*/0);
    for (std::size_t i = 0; i < outputs.size(); ++i) reused += taken[i] == written[i] ? 0 : 1;
    const std::vector<Tensor> again =
        cinch::running::interpret(taken, known_bindings, /*watch=*/false);
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(distance(again[i], plain[i]) < 1e-9);
  }
  CHECK(shared > programs / 20);
  CHECK(reused > programs / 20);
}

TEST_CASE("derivatives take the products that their cost has computed") {
  // The products of matrices that the cost itself takes, and those of its gradients, by hand.
  struct Row {
    const char* name;
    std::function<Expr(const Expr& x, const std::vector<Expr>& p)> cost;
    std::size_t products;
  };
  const auto tanh_layers = [](const Expr& x, const std::vector<Expr>& p) {
    return tanh(dot(tanh(dot(x, p[0])), p[1]));
  };
  for (const Row& row : {// A = s2 W2' s1, W1'W1; A W1'W1, and by A; A'A for W1: no second A W1'W1.
                         Row{"jacobian_norm2",
                             [&](const Expr&x, const std::vector<Expr>&p) {
                               return mean(jacobian_norm2(tanh_layers(x, p), x));
                             },
                             2},
                         Row{"the same of relu",
                             [&](const Expr&x, const std::vector<Expr>&p) {
                               return mean(jacobian_norm2(relu(dot(relu(dot(x, p[0])), p[1])), x));
                             },
                             2}}) {
    CAPTURE(row.name);
    const Expr x = variable("x", DType::float32, {64, 200});
    std::mt19937 random(1);
    const Tensor data = random_tensor(DType::float32, {64, 200}, random, 0, 1);
    const Shared W1(random_tensor(DType::float32, {200, 128}, random, -.1, .1), "W1"),
        W2(random_tensor(DType::float32, {128, 32}, random, -.1, .1), "W2");
    const Expr cost = row.cost(x, {W1, W2});
    const auto grads = grad(cost, {W1, W2});
    const Function f = function({.inputs = {x}, .outputs = {cost, grads[0], grads[1]}});
    f({data});
    // The largest, of 64 x 32 rows.
    std::size_t large = 0;
    for (const StepInfo& step : explain(f).steps) {
      if (step.flops > 6e7) ++large;
    }
    CHECK(large == row.products);
  }
}

TEST_CASE("a symmetric matrix of each example is multiplied once, from whichever side") {
  std::mt19937 random(1);
  const auto weights = [&](std::int64_t rows, std::int64_t columns, const char* name) {
    return Shared(random_tensor(DType::float32, {rows, columns}, random, -.3, .3), name);
  };
  const Shared W1 = weights(16, 64, "W1"), W2 = weights(64, 256, "W2");
  const Expr h = variable("h", DType::float32, {32, 16});
  const Expr J = jacobian(dot(tanh(dot(h, W1)), W2), h), G = batched_dot(swapaxes(J, 1, 2), J);
  const Expr cost = sum(square(G)) / square(sum(trace(G, 0, 1, 2)));
  const Function f = function({.inputs = {h}, .outputs = {cost, grad(cost, W1), grad(cost, W2)}});
  f({random_tensor(DType::float32, {32, 16}, random)});
  // A = s W1; A W2 W2' of the cost, of which the gradient by A is made; A' D A for that by W2.
  std::size_t large = 0;
  for (const StepInfo& step : explain(f).steps) large += step.flops > 4e6;
  CHECK(large == 2);
}

TEST_CASE("sums of a vector and itself as a column or row are no matrices the other way round") {
  std::mt19937 random(2);
  const Expr v = variable("v", DType::float64, {30}), A = variable("A", DType::float64, {30, 30});
  const std::vector<Tensor> values{random_tensor(DType::float64, {30}, random),
                                   random_tensor(DType::float64, {30, 30}, random)};
  for (const Expr& sums : {expand_dims(v, 0) + v, v + expand_dims(v, 0), expand_dims(v, 1) + v}) {
    CAPTURE(describe(sums));
    const Expr S = broadcast_to(sums, Shape{30, 30});
    std::vector<Expr> outputs{dot(S, A), dot(transpose(A), S), dot(transpose(S), A)};
    const std::vector<Expr> taken = cinch::contraction::with_known_products(outputs, /*least=*/0);
    const std::vector<Binding> at{{v, values[0]}, {A, values[1]}};
    const std::vector<Tensor> now = cinch::running::interpret(taken, at, /*watch=*/false),
                              plain = cinch::running::interpret(outputs, at, /*watch=*/false);
    for (std::size_t k = 0; k < outputs.size(); ++k) CHECK(distance(now[k], plain[k]) < 1e-12);
  }
}

TEST_CASE("what gains nothing stays as it is written") {
  const Expr a = variable("a", DType::float64, {30, 40}),
             b = variable("b", DType::float64, {40, 50}), v = variable("v", DType::float64, {40});
  for (const Expr& e :
       {dot(a, b), sum(a), sum(a * v, 1), dot(a, transpose(a)), sum(square(a), 0)}) {
    CAPTURE(describe(e));
    std::vector<ContractionReport> reports;
    const auto same = cinch::contraction::contract(std::span(&e, 1), &reports);
    CHECK(same[0] == e);
    CHECK(reports.empty());
  }
}

TEST_CASE("a sum over an index without values is 0") {
  const Expr a = variable("a", DType::float64, {1, 1}), b = variable("b", DType::float64, {-1, 3});
  const Expr none = broadcast_to(a, {size(b, 0), constant(Tensor(std::int64_t{3}))});
  const Expr turned = reshape(none * sum(b), {size(b, 1), size(b, 0)});
  const Function f = function({.inputs = {a, b}, .outputs = {sum(turned, 1)}});
  const Tensor empty(DType::float64, {0, 3});
  CHECK(f({Tensor::full(DType::float64, {1, 1}, 2), empty})[0] == Tensor(DType::float64, {3}));
}

TEST_CASE("traces and diagonals of products are computed without the products") {
  constexpr std::int64_t n = 400;
  const Expr a = variable("a", DType::float64, {n, n}), b = variable("b", DType::float64, {n, n}),
             v = variable("v", DType::float64, {n});
  for (const Expr& e :
       {trace(dot(a, b)), sum(diagonal(dot(a, transpose(b)))), sum(dot(a, b) * eye(n, a.dtype())),
        diag(dot(a, b)), dot(a, diag(v)), trace(dot(dot(a, diag(v)), b)), trace(dot(a, a) * b),
        grad(trace(dot(a, b)), a), grad(sum(square(diag(dot(a, b)))), b)}) {
    CAPTURE(describe(e, 8));
    std::vector<ContractionReport> reports;
    const auto better =
        cinch::contraction::contract(cinch::rewriting::rewrite(std::span(&e, 1)), &reports);
    REQUIRE(!reports.empty());
    // As written each is a product of two matrices, but sum(p * eye); of vectors there may be one.
    for (const Expr& node : topological(better))
      CHECK((&node.op() != &dot_op || element_count(node.type().shape()) == 1));
    Work work;
    for (const ContractionReport& r : reports) work += r.chosen;
    CHECK(work.flops <= 6 * n * n);
  }
}

TEST_CASE("a diagonal that is summed with the rest of its matrix is read alone") {
  const Expr a = variable("a", DType::float64, {300, 300});
  const Expr e = sum(a * eye(300, DType::float64));
  const auto better = cinch::contraction::contract(std::span(&e, 1));
  for (const Expr& node : topological(better)) CHECK((node == a || node.rank() < 2));
  // What would not gain: a diagonal is a view already.
  for (const Expr& plain : {trace(a), diag(a), sum(diag(a, 1)), sum(square(diag(a)))}) {
    std::vector<ContractionReport> reports;
    CHECK(cinch::contraction::contract(std::span(&plain, 1), &reports)[0] == plain);
    CHECK(reports.empty());
  }
}

TEST_CASE("the order of a chain follows its sizes") {
  const Expr a = variable("a", DType::float64, {200, 200}),
             b = variable("b", DType::float64, {200, 200}),
             v = variable("v", DType::float64, {200, 1});
  const Expr e = dot(dot(a, b), v);
  std::vector<ContractionReport> reports;
  const auto better = cinch::contraction::contract(std::span(&e, 1), &reports);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].chosen.nanoseconds < reports[0].written.nanoseconds / 5);
  for (const Expr& node : topological(better)) {
    if (&node.op() == &dot_op) CHECK(node.dims() != a.dims());  // Each product is with a vector.
  }
}

TEST_CASE("products of any number of factors have an order, and explain() says which") {
  for (const int factors : {8, 9, 10, 11, 13}) {
    CAPTURE(factors);
    // A path through `factors` matrices: as written 3^14 terms of the last.
    std::mt19937 random(3);
    std::vector<Expr> x;
    std::vector<Tensor> values;
    Expr product;
    std::vector<std::int64_t> pattern(static_cast<std::size_t>(factors) + 1, -1);
    double expected = 0;
    std::vector<double> paths(3, 1);
    for (int k = 0; k < factors; ++k) {
      x.push_back(variable("x" + std::to_string(k), DType::float64, {-1, -1}));
      values.push_back(random_tensor(DType::float64, {3, 3}, random, 0.2, 1));
      std::vector<std::int64_t> own = pattern;
      own[static_cast<std::size_t>(k)] = 0;
      own[static_cast<std::size_t>(k) + 1] = 1;
      const Expr factor = dimshuffle(x.back(), own);
      product = k ? product * factor : factor;
      std::vector<double> next(3, 0);
      for (std::int64_t i = 0; i < 3; ++i) {
        for (std::int64_t j = 0; j < 3; ++j)
          next[static_cast<std::size_t>(j)] +=
              paths[static_cast<std::size_t>(i)] * values.back().at({i, j});
      }
      paths = next;
    }
    for (const double p : paths) expected += p;
    const Function f = function({.inputs = x, .outputs = {sum(product)}});
    CHECK(f(values)[0].item() == doctest::Approx(expected).epsilon(1e-12));
    CHECK(f.arena_bytes() < 4096);
    const Explanation e = explain(f);
    REQUIRE(e.contractions.size() == 1);
    CHECK(e.contractions[0].is_cheapest == (factors <= 9));
    CHECK((e.text().find("found step by step") == std::string::npos) == (factors <= 9));
  }
}

TEST_CASE(
    "a deep contractive penalty costs what its Gram form costs, and much less than the Jacobian") {
  // (batch, 784) - 64 - 32 - 16 and batch 128: the Jacobian alone is 12.8 MB.
  std::vector<Expr> x{
      variable("x", DType::float64, {128, 784}), variable("W1", DType::float64, {784, 64}),
      variable("W2", DType::float64, {64, 32}), variable("W3", DType::float64, {32, 16})};
  const Expr cost = deep_penalty(x);
  const Function f =
      function({.inputs = x, .outputs = grad(cost, std::vector<Expr>(x.begin() + 1, x.end()))});
  std::mt19937 random(2);
  std::vector<Tensor> values;
  for (const Expr& e : x)
    values.push_back(random_tensor(DType::float64, e.type().shape(), random, -0.2, 0.2));
  f(values);
  CHECK(f.arena_bytes() < 12'000'000);
}

TEST_CASE("gradients of recurrences written out take memory for their steps, however many") {
  // Elman's, gated, and one with a weight for the state before the last: chains of products that
  // share factors over any distance, which no order may put together before it is known to gain.
  const std::vector<std::function<Expr(Expr, Expr, Expr, Expr)>> kinds{
      [](Expr x, Expr h, Expr, Expr U) { return tanh(x + dot(h, U)); },
      [](Expr x, Expr h, Expr, Expr U) {
        const Expr z = sigmoid(dot(h, U));
        return z * h + (1 - z) * tanh(x + dot(h, transpose(U)));
      },
      [](Expr x, Expr h, Expr before, Expr U) { return x * dot(h, U) - sin(dot(before, U)); },
  };
  constexpr std::int64_t batch = 32, width = 100;
  for (const auto& kind : kinds) {
    const auto bytes_with = [&](std::int64_t steps) {
      const Expr X = tensor3("X"), h0 = matrix("h0"), U = matrix("U");
      Expr h = h0, before = h0;
      for (std::int64_t t = 0; t < steps; ++t) {
        const Expr next = kind(X[t], h, before, U);
        before = std::exchange(h, next);
      }
      const Function f = function({X, h0, U}, {grad(mean(square(h)), U)});
      f({Tensor(DType::float32, {steps, batch, width}), Tensor(DType::float32, {batch, width}),
         Tensor(DType::float32, {width, width})});
      return f.arena_bytes();
    };
    for (const std::int64_t steps : {4, 12, 13, 30})
      CHECK(bytes_with(steps) < static_cast<std::size_t>(steps) * 10 * batch * width * 4);
  }
}
