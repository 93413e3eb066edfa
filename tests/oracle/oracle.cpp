// Cinch against independent arithmetic: oracle.npz, made by make.py with NumPy.
#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

using Inputs = std::map<std::string, Expr>;
using Build = std::function<Expr(const Inputs&)>;

Expr unit(const Expr& u) { return sigmoid(2 * u); }

Expr cross_entropy_of(const Expr& x, const Expr& z) {
  return -sum(x * log(z) + (1 - x) * log(1 - z), 1);
}

Expr classes(std::int64_t n, std::int64_t count) {
  return one_hot(mod(arange(n), count), count, DType::float64);
}

/// Sum of squares of each example's Jacobian.
Expr norm2(const Expr& y, const Expr& x) { return sum(square(jacobian(y, x)), {1, 2}); }

Expr mean_square(const Expr& a) { return mean(sum(square(a), 1)); }

Expr gemm(const Expr& a, const Expr& b) { return dot(a, b); }

/// The same formulas as in make.py, written as a user of Cinch would; where there is a choice, in
/// another way.
const std::map<std::string, Build>& formulas() {
  static const std::map<std::string, Build> all{
      {"arithmetic",
       [](const Inputs& i) {
         const Expr a = i.at("a"), b = i.at("b");
         return a * b - a / (2 + square(b)) + square(a - b);
       }},
      {"transcendental",
       [](const Inputs& i) {
         const Expr a = i.at("a");
         return exp(a) * sin(a) + cos(a) * tanh(a) - log(3 + a) + sqrt(2 + a);
       }},
      {"log_sigmoid",
       [](const Inputs& i) {
         const Expr a = i.at("a");
         return log(sigmoid(3 * a)) - log(1 - sigmoid(2 * a));
       }},
      {"softplus_of", [](const Inputs& i) { return log(1 + exp(4 * i.at("a"))); }},
      {"powers",
       [](const Inputs& i) {
         const Expr a = 2 + i.at("a");
         return pow(a, 1.5 + i.at("b")) + pow(a, 3) - pow(a, -0.5);
       }},
      {"log_sum_exp", [](const Inputs& i) { return log(sum(exp(i.at("a")), 1)); }},
      {"softmax_rows", [](const Inputs& i) { return softmax(i.at("a")); }},
      {"variance",
       [](const Inputs& i) {
         const Expr a = i.at("a");
         return mean(square(a - mean(a, 0)), 0);
       }},
      {"sums_over_axes",
       [](const Inputs& i) {
         const Expr a = i.at("a");
         return sum(a, {0, 2}) * sum(square(a), {0, 2}) + mean(exp(a), {0, 2});
       }},
      {"products_of_rows", [](const Inputs& i) { return exp(sum(log(1.5 + i.at("a")), 1)); }},
      {"correlation",
       [](const Inputs& i) {
         const Expr a = i.at("a") - mean(i.at("a")), b = i.at("b") - mean(i.at("b"));
         return dot(a, b) / sqrt(dot(a, a) * dot(b, b));
       }},
      {"slices_and_transposes",
       [](const Inputs& i) {
         const Expr a = i.at("a");
         return gemm(slice(transpose(a), 1, 3), reverse(a, 1)) + at(a, 2);
       }},
      {"concatenation",
       [](const Inputs& i) {
         const Expr a = i.at("a"), t = concatenate({a, sin(i.at("b")), a * 2}, 0);
         return square(take(t, constant(Tensor::from<std::int64_t>({4}, {0, 3, 3, 7}))));
       }},
      {"picked_log_probabilities",
       [](const Inputs& i) { return -sum(log(softmax(i.at("a"))) * classes(4, 3), 1); }},
      {"chain_of_products",
       [](const Inputs& i) { return tanh(dot(dot(i.at("a"), i.at("b")), i.at("c"))); }},
      {"trace_of_product",
       [](const Inputs& i) { return sum(dot(i.at("a"), i.at("b")) * eye(4, DType::float64)); }},
      {"gaussian_kernel",
       [](const Inputs& i) {
         const Expr d = expand_dims(i.at("a"), 1) - expand_dims(i.at("b"), 0);
         return exp(-0.5 * sum(square(d), 2));
       }},
      {"batched_products",
       [](const Inputs& i) { return square(batched_dot(i.at("a"), i.at("b"))); }},
      {"rayleigh_quotient",
       [](const Inputs& i) {
         const Expr x = i.at("x");
         return dot(x, dot(i.at("A"), x)) / dot(x, x);
       }},
      {"three_way_contraction",
       [](const Inputs& i) {
         return sum(
             expand_dims(i.at("a"), 1) * expand_dims(i.at("b"), 0) * expand_dims(i.at("c"), 2),
             {0, 1});
       }},
      {"encoder", [](const Inputs& i) { return sigmoid(dot(i.at("x"), i.at("W")) + i.at("b")); }},
      {"tied_reconstruction",
       [](const Inputs& i) {
         const Expr h = sigmoid(dot(i.at("x"), i.at("W")) + i.at("b"));
         return sigmoid(dot(h, transpose(i.at("W"))) + i.at("c"));
       }},
      {"tied_cross_entropy",
       [](const Inputs& i) {
         const Expr x = unit(i.at("x")), h = sigmoid(dot(x, i.at("W")) + i.at("b"));
         return cross_entropy_of(x, sigmoid(dot(h, transpose(i.at("W"))) + i.at("c")));
       }},
      {"contractive_closed",
       [](const Inputs& i) {
         const Expr x = unit(i.at("x")), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         const Expr loss = mean(cross_entropy_of(x, sigmoid(dot(h, transpose(W)) + i.at("c"))));
         return loss + 0.1 * mean(dot(square(h * (1 - h)), sum(square(W), 0)));
       }},
      {"contractive_literal",
       [](const Inputs& i) {
         const Expr x = unit(i.at("x")), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         const Expr loss = mean(cross_entropy_of(x, sigmoid(dot(h, transpose(W)) + i.at("c"))));
         return loss + 0.1 * mean(norm2(h, x));
       }},
      {"contractive_tanh",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), h = tanh(dot(x, W) + i.at("b"));
         return mean_square(x - (dot(h, transpose(W)) + i.at("c"))) + 0.3 * mean(norm2(h, x));
       }},
      {"plain_untied_relu",
       [](const Inputs& i) {
         const Expr h = relu(dot(i.at("x"), i.at("W")) + i.at("b"));
         return mean(square(dot(h, i.at("V")) + i.at("c") - i.at("x")));
       }},
      {"linear_autoencoder",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W");
         return mean_square(dot(dot(x, W), transpose(W)) - x);
       }},
      {"logistic_regression",
       [](const Inputs& i) {
         const Expr p = log_softmax(dot(i.at("x"), i.at("W")) + i.at("b"));
         return -mean(sum(classes(6, 3) * p, 1));
       }},
      {"mlp",
       [](const Inputs& i) {
         const Expr W = i.at("W"), V = i.at("V"), h = tanh(dot(i.at("x"), W) + i.at("b"));
         const Expr nll = -mean(sum(classes(6, 3) * log_softmax(dot(h, V) + i.at("c")), 1));
         return nll + 1e-2 * (sum(square(W)) + sum(square(V)));
       }},
      {"stacked_classifier",
       [](const Inputs& i) {
         const Expr h = sigmoid(dot(sigmoid(dot(i.at("x"), i.at("W1"))), i.at("W2")));
         return -mean(sum(classes(4, 3) * log(softmax(dot(h, i.at("W3")))), 1));
       }},
      {"contractive_keras",
       [](const Inputs& i) {
         const Expr x = i.at("x"), h = sigmoid(dot(x, i.at("W")) + i.at("b"));
         return mean(square(x - (dot(h, i.at("V")) + i.at("c")))) + 1e-1 * mean(norm2(h, x));
       }},
      {"denoising",
       [](const Inputs& i) {
         const Expr x = unit(i.at("x")), W = i.at("W");
         const Expr h = sigmoid(dot(switch_(i.at("mask") > 0, x, 0), W) + i.at("b"));
         return mean(cross_entropy_of(x, sigmoid(dot(h, transpose(W)) + i.at("c"))));
       }},
      {"denoising_emphasised",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), kept = i.at("mask") > 0.5;
         const Expr z = dot(sigmoid(dot(x * kept, W) + i.at("b")), transpose(W)) + i.at("c");
         return mean(sum(switch_(kept, 0.5, 1.5) * square(z - x), 1));
       }},
      {"deep_encoder",
       [](const Inputs& i) {
         const Expr h = tanh(dot(softplus(dot(i.at("x"), i.at("W1"))), i.at("W2")));
         return sigmoid(dot(h, i.at("W3")));
       }},
      {"deep_contractive",
       [](const Inputs& i) {
         const Expr x = i.at("x"), h = tanh(dot(softplus(dot(x, i.at("W1"))), i.at("W2")));
         return mean(norm2(sigmoid(dot(h, i.at("W3"))), x));
       }},
      {"deep_contractive_relu",
       [](const Inputs& i) {
         const Expr x = i.at("x");
         return mean(norm2(relu(dot(relu(dot(x, i.at("W1"))), i.at("W2"))), x));
       }},
      {"sparse_kl",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         const double rho = 0.05;
         const Expr q = mean(h, 0);
         const Expr kl = rho * log(rho / q) + (1 - rho) * log((1 - rho) / (1 - q));
         return mean_square(dot(h, transpose(W)) + i.at("c") - x) + 0.2 * sum(kl);
       }},
      {"sparse_l1",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), h = tanh(dot(x, W) + i.at("b"));
         return mean_square(dot(h, transpose(W)) + i.at("c") - x) + 0.1 * mean(sum(abs(h), 1));
       }},
      {"weight_decay",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         return mean_square(dot(h, transpose(W)) + i.at("c") - x) + 0.05 * sum(square(W));
       }},
      {"cae_h_stochastic",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), b = i.at("b");
         const auto J = [&](const Expr& at) { return jacobian(sigmoid(dot(at, W) + b), at); };
         return mean(sum(square(J(x) - J(x + 0.1 * i.at("eps"))), {1, 2}));
       }},
      {"cae_h_exact",
       [](const Inputs& i) {
         // || d J / d x ||^2: the Jacobian of each unit's gradient, all units together.
         const Expr x = i.at("x"), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         return mean(sum(square(jacobian(jacobian(h, x), x)), {1, 2, 3}));
       }},
      {"contracted_reconstruction",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W"), h = sigmoid(dot(x, W) + i.at("b"));
         return mean(norm2(sigmoid(dot(h, transpose(W)) + i.at("c")), x));
       }},
      {"variational",
       [](const Inputs& i) {
         const Expr x = unit(i.at("x")), m = slice(tanh(dot(x, i.at("W"))), 0, 2, 1),
                    v = dot(x, i.at("U"));
         const Expr z = sigmoid(dot(m + exp(v / 2) * i.at("eps"), i.at("V")));
         return mean(cross_entropy_of(x, z) - sum(1 + v - square(m) - exp(v), 1));
       }},
      {"nuclear_norm_bound",
       [](const Inputs& i) {
         const Expr x = i.at("x"), h = sigmoid(dot(x, i.at("W")) + i.at("b"));
         return (sum(square(i.at("V"))) + mean(norm2(h, x))) / 2;
       }},
      {"isometric",
       [](const Inputs& i) {
         const Expr code = slice(i.at("x"), 0, 3, 1);
         const Expr J = jacobian(tanh(dot(code, i.at("W")) + i.at("b")), code);  // (n, 5, 3)
         const Expr G = batched_dot(dimshuffle(J, {0, 2, 1}), J);
         return mean(sum(square(G - eye(3, DType::float64)), {1, 2}));
       }},
      {"manifold_tangent",
       [](const Inputs& i) {
         const Expr x = i.at("x"), scores = dot(tanh(dot(x, i.at("W"))), i.at("V"));
         const Expr nll = -sum(classes(4, 3) * log_softmax(scores), 1);
         return mean(nll + 0.7 * sum(square(Rop(scores, x, i.at("tangent"))), 1));
       }},
      {"k_sparse_code",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W");
         const Expr z = dot(k_sparse(dot(x, W) + i.at("b"), 3), transpose(W)) + i.at("c");
         return mean(sum(square(z - x), 1));
       }},
      {"winner_take_all_code",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W");
         const Expr h = winner_take_all(relu(dot(x, W) + i.at("b") + 1), 0.4);
         return mean(sum(square(dot(h, transpose(W)) + i.at("c") - x), 1));
       }},
      {"convolutional",
       [](const Inputs& i) {
         const Expr x = i.at("x"), F = i.at("F");
         const Expr h = tanh(conv2d(x, F) + dimshuffle(i.at("b"), {0, -1, -1}));
         const Expr z = conv_transpose2d(h, F) + dimshuffle(i.at("c"), {0, -1, -1});
         return mean(sum(square(z - x), {1, 2, 3}));
       }},
      {"log_likelihood",
       [](const Inputs& i) {
         const Expr A = i.at("A"), v = i.at("v");
         const Expr S = dot(A, transpose(A)) + 2 * eye(4, DType::float64);
         return dot(v, solve(S, v)) + logdet(S);
       }},
      {"sorted_and_summed",
       [](const Inputs& i) { return cumsum(sort(i.at("a"), 1), 1) * i.at("a"); }},
      {"padded_and_rolled",
       [](const Inputs& i) {
         const Expr wide = pad(i.at("a"), {{1, 2}, {0, 1}});
         return square(roll(tile(wide, {1, 2}), 3, 1));
       }},
      {"score_of_denoiser",
       [](const Inputs& i) {
         const Expr x = i.at("x"), W = i.at("W");
         return (dot(tanh(dot(x, W) + i.at("b")), transpose(W)) - x) / 0.25;
       }},
  };
  return all;
}

const std::string folder = std::string(CINCH_SOURCE_DIR) + "/tests/oracle/";

}  // namespace

TEST_CASE("values, gradients, Hessian-vector products and Jacobians are those of NumPy") {
  const auto stored = read_npz(folder + "oracle.npz");
  std::set<std::string> met;
  for (const auto& [key, value] : stored) met.insert(key.substr(0, key.find(':')));
  CHECK(met.size() >= 40);
  CHECK(met.size() == formulas().size());
  for (const auto& [formula_name, build] : formulas()) {
    const std::string& name = formula_name;
    CAPTURE(name);
    REQUIRE(met.contains(name));
    Inputs inputs;
    std::vector<Expr> x, v, all;
    std::vector<Tensor> values;
    const auto parts_of = [&](const std::string& kind) {
      const std::string prefix = name + ":" + kind + ":";
      std::map<std::string, Tensor> parts;
      for (auto at = stored.lower_bound(prefix);
           at != stored.end() && at->first.starts_with(prefix); ++at)
        parts.emplace(at->first.substr(prefix.size()), at->second);
      return parts;
    };
    for (const auto& [label, value] : parts_of("in")) {
      x.push_back(variable(label, DType::float64, Shape(value.shape().size(), -1)));
      inputs[label] = x.back();
      values.push_back(value);
    }
    for (const auto& [label, value] : parts_of("v")) {
      v.push_back(variable("v_" + label, value.dtype(), value.shape()));
      values.push_back(value);
    }
    const Expr y = build(inputs);
    const Expr cost = sum(y * constant(stored.at(name + ":weight")));
    std::vector<Expr> outputs{y};
    std::vector<Tensor> expected{stored.at(name + ":value")};
    std::vector<double> limit{1e-12};
    const GradOptions zero{.disconnected = Disconnected::zero};
    for (const Expr& g : grad(cost, x, zero)) outputs.push_back(g);
    for (const auto& part : parts_of("grad")) {
      expected.push_back(part.second);
      limit.push_back(1e-11);
    }
    for (const Expr& h : hessian_vector(cost, x, v, zero)) outputs.push_back(h);
    for (const auto& part : parts_of("hvp")) {
      expected.push_back(part.second);
      limit.push_back(1e-8);  // NumPy's are differences.
    }
    if (const auto J = stored.find(name + ":jacobian"); J != stored.end()) {
      outputs.push_back(jacobian(y, inputs.contains("x") ? inputs.at("x") : inputs.at("a")));
      expected.push_back(J->second);
      limit.push_back(1e-11);
    }
    all = x;
    all.insert(all.end(), v.begin(), v.end());
    for (const Mode mode : {Mode::fast, Mode::checked}) {
      const Function f =
          function({.inputs = all, .outputs = outputs, .mode = mode, .allow_unused_inputs = true});
      const auto results = f(values);
      REQUIRE(results.size() == expected.size());
      for (std::size_t k = 0; k < results.size(); ++k) {
        CAPTURE(k);
        CHECK(distance(results[k], expected[k]) < limit[k]);
      }
    }
  }
}

TEST_CASE("make.py computes what is stored" * doctest::description("runs where Python has NumPy")) {
  const char* interpreters[] = {"/usr/bin/python3", "python3"};
  for (const std::string python : interpreters) {
    if (std::system((python + " -c 'import numpy' 2> /dev/null").c_str()) != 0) continue;
    const std::string command =
        python + " '" + folder + "make.py' --check '" + folder + "oracle.npz'";
    CHECK(std::system(command.c_str()) == 0);
    return;
  }
  MESSAGE("skipped: no Python with NumPy");
}
