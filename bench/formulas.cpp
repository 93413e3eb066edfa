#include "formulas.hpp"

#include <cinch/cinch.hpp>

namespace cinch::bench {

namespace {

/// A network of these sizes, the same at each call. Its variables go to `o.params`.
Network net(Objective& o, const std::vector<std::int64_t>& sizes, Activation hidden = tanh,
            Activation output = nullptr) {
  RandomState random(static_cast<std::int64_t>(o.params.size()) + 1);
  const Network made =
      network(sizes, random, {.hidden = hidden, .output = output ? output : hidden});
  for (const Shared& p : made.params()) o.params.push_back(p);
  return made;
}

using Build = std::function<Objective(const Expr&)>;
/// An objective from what writes the cost into it.
Build objective(std::function<Expr(const Expr& x, Objective& o)> cost) {
  return [cost = std::move(cost)](const Expr& x) {
    Objective o;
    o.cost = cost(x, o);
    return o;
  };
}

/// J'J for each example.
Expr gram(const Expr& J) { return batched_dot(transpose(J, {0, 2, 1}), J); }
Expr times_rows(const Expr& A, const Expr& s) {
  return A * expand_dims(s, 1);
}  // (r, h), (n, h) -> (n, r, h)
Expr tanh_slope(const Expr& h) { return 1 - square(h); }
Expr sigmoid_slope(const Expr& h) { return h * (1 - h); }

/// G = J'J of tanh layers with a linear one on top, from inputs, by the weights' own Gram matrix.
Expr gram_by_hand(const Network& d, const Expr& h) {
  const Expr V1 = d.layers[0].W, V2 = d.layers[1].W;
  const Expr A = times_rows(V1, tanh_slope(d.layers[0](h)));  // (n, codes, hidden)
  return batched_dot(dot(A, dot(V2, transpose(V2))), transpose(A, {0, 2, 1}));
}

/// sum over i of the second derivative of u by x_i, u a tanh network with one output: value, first
/// derivatives by all inputs and their Laplacian go through the layers together. Li et al., "A
/// computational framework for neural network-based variational Monte Carlo with Forward
/// Laplacian", 2024.
Expr laplacian_by_hand(const Network& u, const Expr& x) {
  Expr z = x, J = broadcast_to(eye(size(x, 1)), {size(x, 0), size(x, 1), size(x, 1)}),
       L = zeros_like(x);
  for (const Layer& layer : u.layers) {
    const Expr f = layer(z), slope = tanh_slope(f);
    J = dot(J, layer.W);
    L = slope * dot(L, layer.W) - 2 * f * slope * sum(square(J), 1);
    J = J * expand_dims(slope, 1);
    z = f;
  }
  return sum(L, 1);
}

/// ||dh/dx||^2_F of three tanh layers, from the inputs' side: W1'W1 once a batch.
Expr jacobian_norm2_by_hand(const Network& e, const Expr& x) {
  const Expr W1 = e.layers[0].W, W2 = e.layers[1].W, W3 = e.layers[2].W;
  const Expr h1 = e.layers[0](x), h2 = e.layers[1](h1), h3 = e.layers[2](h2);
  const Expr B = transpose(W3) * expand_dims(tanh_slope(h2), 1);          // (n, codes, h2)
  const Expr A = dot(B, transpose(W2)) * expand_dims(tanh_slope(h1), 1);  // (n, codes, h1)
  return sum(square(tanh_slope(h3)) * sum(A * dot(A, dot(transpose(W1), W1)), 2), 1);
}

Expr layer_norm(const Expr& a) { return (a - mean(a, 1, true)) / sqrt(var(a, 1, true) + 1e-5); }

/// Weights of a recurrent network of `gates` times so many units, its inputs as many.
struct Recurrent {
  std::int64_t units;
  Shared W, U, b;

  Recurrent(Objective& o, std::int64_t n, std::int64_t gates)
      : units(n),
        W(weights(1, n, n * gates), "W"),
        U(weights(2, n, n * gates), "U"),
        b(Tensor(DType::float32, {n * gates}), "b") {
    o.params = {W, U, b};
  }
  Expr gate(const Expr& a, std::int64_t k) const { return slice(a, k * units, (k + 1) * units, 1); }
  Expr initial(const Expr& x) const { return zeros_like(x[0]); }

  static Tensor weights(std::int64_t seed, std::int64_t rows, std::int64_t columns) {
    return RandomState(seed).uniform(-.1, .1, {rows, columns}, DType::float32);
  }
};

Expr elman(const Recurrent& r, const Expr& x, const Expr& h) {
  return tanh(dot(x, r.W) + dot(h, r.U) + r.b);
}
/// Cho et al., 2014, with the reset gate behind the product.
Expr gru(const Recurrent& r, const Expr& x, const Expr& h) {
  const Expr a = dot(x, r.W) + r.b, c = dot(h, r.U);
  const Expr z = sigmoid(r.gate(a, 0) + r.gate(c, 0)), reset = sigmoid(r.gate(a, 1) + r.gate(c, 1));
  return z * h + (1 - z) * tanh(r.gate(a, 2) + reset * r.gate(c, 2));
}
std::vector<Expr> lstm(const Recurrent& r, const Expr& x, const Expr& h, const Expr& c) {
  const Expr a = dot(x, r.W) + dot(h, r.U) + r.b;
  const Expr next = sigmoid(r.gate(a, 1)) * c + sigmoid(r.gate(a, 0)) * tanh(r.gate(a, 3));
  return {sigmoid(r.gate(a, 2)) * tanh(next), next};
}

/// A cost of one network, written in one way.
using Form = std::function<Expr(const Network& n, const Expr& x)>;
struct Layers {
  std::vector<std::int64_t> sizes;
  Activation hidden = tanh, output = nullptr;  ///< Null: as `hidden`.
};
/// Of so many examples: as printed, and by hand.
Formula of(std::string_view name, std::int64_t batch, const Layers& layers, Form printed,
           Form by_hand, std::int64_t most_bytes) {
  const auto built = [&](Form form) {
    return objective([layers, form = std::move(form)](const Expr& x, Objective& o) {
      return form(net(o, layers.sizes, layers.hidden, layers.output), x);
    });
  };
  return {name,
          {batch, layers.sizes[0]},
          built(std::move(printed)),
          built(std::move(by_hand)),
          most_bytes};
}

/// A cost of G = J'J of a decoder.
Formula of_gram(std::string_view name, std::int64_t batch, const std::vector<std::int64_t>& sizes,
                const std::function<Expr(const Expr& G)>& cost, std::int64_t most_bytes) {
  return of(
      name, batch, {sizes, tanh, linear},
      [cost](const Network& d, const Expr& h) { return cost(gram(jacobian(d(h), h))); },
      [cost](const Network& d, const Expr& h) { return cost(gram_by_hand(d, h)); }, most_bytes);
}

Formula laplacian(std::string_view name, std::int64_t batch, const std::vector<std::int64_t>& sizes,
                  std::int64_t most_bytes) {
  return of(
      name, batch, {sizes},
      [](const Network& u, const Expr& x) {
        return mean(square(divergence(grad(sum(u(x)), x), x)));
      },
      [](const Network& u, const Expr& x) { return mean(square(laplacian_by_hand(u, x))); },
      most_bytes);
}

Expr distance_from_identity(const Expr& G) { return mean(sum(square(G - eye(16)), {1, 2})); }

std::vector<Formula> make() {
  return {
      // Geometry of decoders.
      of_gram("isometry, linear out", 64, {16, 128, 784}, distance_from_identity, 3'500'000),
      {"isometry, sigmoid out",
       {64, 16},
       objective([](const Expr& h, Objective& o) {
         const Network d = net(o, {16, 128, 784}, tanh, sigmoid);
         return distance_from_identity(gram(jacobian(d(h), h)));
       }),
       {},
       14'000'000},
      of_gram(
          "flatness (IRVAE)", 32, {16, 64, 256},
          [](const Expr& G) {
            return mean(sum(square(G), {1, 2})) / square(mean(trace(G, 0, 1, 2)));
          },
          1'100'000),
      of_gram(
          "volume, var(logdet)", 32, {16, 64, 256}, [](const Expr& G) { return var(logdet(G)); },
          600'000),
      // Second derivatives.
      of(
          "hessian_norm2, one layer", 32, {{784, 32}, sigmoid},
          [](const Network& e, const Expr& x) { return mean(hessian_norm2(e(x), x)); },
          [](const Network& e, const Expr& x) { return mean(hessian_norm2(e.layers[0], x)); },
          32'000),
      {"hessian_norm2, two layers",
       {16, 64},
       objective([](const Expr& x, Objective& o) {
         return mean(hessian_norm2(net(o, {64, 32, 8}, sigmoid)(x), x));
       }),
       {},
       9'800'000},
      laplacian("Laplacian", 8, {50, 768, 768, 512, 512, 1}, 13'500'000),
      laplacian("Laplacian, small", 32, {64, 64, 64, 1}, 2'900'000),
      of(
          "score matching", 64, {{64, 256, 64}, softplus, linear},
          [](const Network& n, const Expr& x) {
            const Expr s = n(x);
            return mean(sum(square(s), 1) / 2 + divergence(s, x));
          },
          [](const Network& n, const Expr& x) {
            const Expr W1 = n.layers[0].W, W2 = n.layers[1].W;
            const Expr slope = sigmoid(dot(x, W1) + n.layers[0].b);
            return mean(sum(square(n(x)), 1) / 2 + dot(slope, sum(W1 * transpose(W2), 0)));
          },
          730'000),
      {"gradient of a gradient",
       {32, 64},
       objective([](const Expr& x, Objective& o) {
         const Expr g = grad(sum(net(o, {64, 32, 1})(x)), x);
         return mean(square(grad(sum(square(g)), x)));
       }),
       {},
       190'000},
      // Jacobians of encoders.
      of(
          "jacobian_norm2, three layers", 64, {{784, 256, 128, 64}},
          [](const Network& e, const Expr& x) { return mean(jacobian_norm2(e(x), x)); },
          [](const Network& e, const Expr& x) { return mean(jacobian_norm2_by_hand(e, x)); },
          29'000'000),
      {"jacobian_norm2, five layers",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         return mean(jacobian_norm2(net(o, {256, 128, 128, 64, 64, 16})(x), x));
       }),
       {},
       3'300'000},
      {"jacobian_norm2, relu over relu",
       {64, 784},
       objective([](const Expr& x, Objective& o) {
         return mean(jacobian_norm2(net(o, {784, 256, 64}, relu)(x), x));
       }),
       {},
       16'000'000},
      {"jacobian_norm2, softmax",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         return mean(jacobian_norm2(softmax(net(o, {256, 64, 10}, sigmoid, linear)(x)), x));
       }),
       {},
       650'000},
      {"jacobian_norm2, layer norm",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr a = net(o, {256, 64})(x);
         return mean(jacobian_norm2(net(o, {64, 16})(layer_norm(a)), x));
       }),
       {},
       1'200'000},
      {"jacobian_norm2, residual",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr a = net(o, {256, 64})(x);
         return mean(jacobian_norm2(a + net(o, {64, 64})(a), x));
       }),
       {},
       3'000'000},
      {"jacobian_norm2, decode of encode",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         return mean(jacobian_norm2(net(o, {256, 32, 256}, sigmoid)(x), x));
       }),
       {},
       5'800'000},
      {"jacobian_change",
       {64, 784},
       objective([](const Expr& x, Objective& o) {
         RandomStreams noise(7);
         return mean(jacobian_change(net(o, {784, 256, 64}, sigmoid)(x), x, .1, noise));
       }),
       {},
       32'000'000},
      {"jacobian_change, known noise",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {256, 64, 16}, sigmoid);
         const Expr shifted = x + .1F;
         return mean(sum(square(jacobian(e(x), x) - jacobian(e(shifted), shifted)), {1, 2}));
       }),
       {},
       1'200'000},
      {"Jacobian minus its mean",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr J = jacobian(net(o, {256, 64, 16})(x), x);
         return mean(sum(square(J - mean(J, 0, true)), {1, 2}));
       }),
       {},
       930'000},
      {"Jacobian's singular values",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         return mean(square(singular_values(jacobian(net(o, {256, 64, 16})(x), x))));
       }),
       {},
       2'500'000},
      {"Jacobian's absolute values",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         return mean(sum(abs(jacobian(net(o, {256, 64, 16})(x), x)), {1, 2}));
       }),
       {},
       2'500'000},
      {"rows of the Jacobian, orthogonal",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr J = jacobian(net(o, {256, 64, 16})(x), x),
                    G = batched_dot(J, transpose(J, {0, 2, 1}));
         return mean(sum(square(G * (1 - eye(16))), {1, 2}));
       }),
       {},
       1'200'000},
      of(
          "jacobian_norm2, of images", 64, {{784, 256}},
          [](const Network& e, const Expr& x) {
            const Expr image = reshape(x, {size(x, 0), 1, 28, 28});
            return mean(sum(square(jacobian(e(flatten(image, 1)), image)), {1, 2, 3, 4}));
          },
          [](const Network& e, const Expr& x) { return mean(jacobian_norm2(e.layers[0], x)); },
          400'000),
      of(
          "Jacobian's norm, above a margin", 64, {{784, 256}},
          [](const Network& e, const Expr& x) {
            return mean(relu(sum(square(jacobian(e(x), x)), {1, 2}) - 50));
          },
          [](const Network& e, const Expr& x) {
            return mean(relu(jacobian_norm2(e.layers[0], x) - 50));
          },
          500'000),
      of(
          "Jacobian's norm and trace", 64, {{256, 64, 256}, tanh, linear},
          [](const Network& e, const Expr& x) {
            const Expr J = jacobian(e(x), x);
            return mean(sum(square(J), {1, 2}) + square(trace(J, 0, 1, 2)));
          },
          [](const Network& e, const Expr& x) {
            const Expr W1 = e.layers[0].W, W2 = e.layers[1].W, s = tanh_slope(e.layers[0](x));
            const Expr M = dot(transpose(W1), W1) * dot(W2, transpose(W2));
            return mean(sum(s * dot(s, M), 1) + square(dot(s, sum(W1 * transpose(W2), 0))));
          },
          500'000),
      of(
          "Hessian, by the list of derivatives", 64, {{16, 32, 64}, tanh, linear},
          [](const Network& d, const Expr& h) {
            const Expr first = reshape(jacobian(d(h), h), {size(h, 0), 64 * 16});
            return mean(sum(square(jacobian(first, h)), {1, 2}));
          },
          [](const Network& d, const Expr& h) {
            const Expr W1 = d.layers[0].W, W2 = d.layers[1].W, f = d.layers[0](h);
            const Expr t = -2 * f * tanh_slope(f);
            const Expr M = square(dot(transpose(W1), W1)) * dot(W2, transpose(W2));
            return mean(sum(t * dot(t, M), 1));
          },
          120'000),
      of(
          "distances of all pairs", 256, {{256, 64}},
          [](const Network& e, const Expr& x) {
            const Expr h = e(x);
            return mean(exp(-sum(square(expand_dims(h, 1) - expand_dims(h, 0)), 2) / 64.F));
          },
          [](const Network& e, const Expr& x) {
            const Expr h = e(x), r = sum(square(h), 1);
            const Expr D = expand_dims(r, 1) + r - 2 * dot(h, transpose(h));
            return mean(exp(-D / 64.F));
          },
          1'300'000),
      {"per-example gradient norms",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {256, 128, 64, 256});
         return mean(per_example_grad_norms(sum(square(e(x) - x), 1), o.params));
       }),
       {},
       620'000},
      // Codes that are joined, cut or given something more.
      {"Jacobian of joined codes",
       {64, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr a = net(o, {256, 64})(x), b = net(o, {256, 64}, sigmoid)(x);
         return mean(sum(square(jacobian(concatenate({a, b}, 1), x)), {1, 2}));
       }),
       objective([](const Expr& x, Objective& o) {
         const Network left = net(o, {256, 64}), right = net(o, {256, 64}, sigmoid);
         return mean(dot(square(tanh_slope(left(x))), sum(square(left.layers[0].W), 0)) +
                     dot(square(sigmoid_slope(right(x))), sum(square(right.layers[0].W), 0)));
       }),
       168'000},
      {"Jacobian of codes of parts of the input",
       {64, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr a = net(o, {128, 64})(slice(x, 0, 128, 1)),
                    b = net(o, {128, 64}, sigmoid)(slice(x, 128, 256, 1));
         return mean(sum(square(jacobian(concatenate({a, b}, 1), x)), {1, 2}));
       }),
       objective([](const Expr& x, Objective& o) {
         const Network left = net(o, {128, 64}), right = net(o, {128, 64}, sigmoid);
         const Expr a = left(slice(x, 0, 128, 1)), b = right(slice(x, 128, 256, 1));
         return mean(dot(square(tanh_slope(a)), sum(square(left.layers[0].W), 0)) +
                     dot(square(sigmoid_slope(b)), sum(square(right.layers[0].W), 0)));
       }),
       168'000},
      {"Jacobian of a mean, half of a code",
       {64, 784},
       objective([](const Expr& x, Objective& o) {
         const Expr mu = slice(net(o, {784, 128})(x), 0, 64, 1);
         return mean(sum(square(jacobian(mu, x)), {1, 2}));
       }),
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {784, 128});
         const Expr mu = slice(e(x), 0, 64, 1);
         return mean(dot(square(tanh_slope(mu)), sum(square(slice(e.layers[0].W, 0, 64, 1)), 0)));
       }),
       940'000},
      {"Jacobian of a conditional encoder",
       {64, 784},
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {794, 256});
         const Expr labels = cast(narrow(x, 1, 0, 10) > .5F, DType::float32);
         return mean(sum(square(jacobian(e(concatenate({x, labels}, 1)), x)), {1, 2}));
       }),
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {794, 256});
         const Expr labels = cast(narrow(x, 1, 0, 10) > .5F, DType::float32);
         const Expr h = e(concatenate({x, labels}, 1));
         return mean(dot(square(tanh_slope(h)), sum(square(slice(e.layers[0].W, 0, 784)), 0)));
       }),
       2'300'000},
      // Codes and rows.
      {"decorrelated codes",
       {32, 256},
       objective([](const Expr& x, Objective& o) {
         const Expr h = net(o, {256, 64, 32})(x), c = h - mean(h, 0, true),
                    C = dot(transpose(c), c) / 31.F;
         return sum(square(C - diag(diagonal(C))));
       }),
       {},
       70'000},
      {"four layer norms and gelus",
       {256, 1024},
       objective([](const Expr& x, Objective& o) {
         Expr h = x;
         for (int k = 0; k < 4; ++k) {
           o.params.emplace_back(Tensor::full(DType::float32, {1024}, 1), text("g", k));
           o.params.emplace_back(Tensor(DType::float32, {1024}), text("b", k));
           h = gelu(layer_norm(h) * o.params[2 * k] + o.params[2 * k + 1]);
         }
         return mean(square(h));
       }),
       {},
       3'200'000},
      // Loops: 100 units, of which the last state counts.
      {"Elman network, 200 steps",
       {200, 32, 100},
       objective([](const Expr& x, Objective& o) {
         const Recurrent r(o, 100, 1);
         const auto step = [&](Expr row, Expr h) { return elman(r, row, h); };
         return mean(square(scan(step, {.sequences = {x}, .initial = {r.initial(x)}}).last()));
       }),
       objective([](const Expr& x, Objective& o) {
         const Recurrent r(o, 100, 1);
         Expr h = r.initial(x);
         for (std::int64_t t = 0; t < 200; ++t) h = elman(r, x[t], h);
         return mean(square(h));
       }),
       16'000'000},
      {"GRU, 200 steps",
       {200, 32, 100},
       objective([](const Expr& x, Objective& o) {
         const Recurrent r(o, 100, 3);
         const auto step = [&](Expr row, Expr h) { return gru(r, row, h); };
         return mean(square(scan(step, {.sequences = {x}, .initial = {r.initial(x)}}).last()));
       }),
       {},
       72'000'000},
      {"LSTM, 200 steps",
       {200, 32, 100},
       objective([](const Expr& x, Objective& o) {
         const Recurrent r(o, 100, 4);
         const auto step = [&](Expr row, Expr h, Expr c) { return lstm(r, row, h, c); };
         const Expr none = r.initial(x);
         return mean(square(scan(step, {.sequences = {x}, .initial = {none, none}}).last()));
       }),
       {},
       60'000'000},
      {"32 of 4096 latents",
       {64, 256},
       objective([](const Expr& x, Objective& o) {
         const Network e = net(o, {256, 4096}, relu), d = net(o, {4096, 256}, linear);
         return mean(sum(square(d(k_sparse(e(x), 32)) - x), 1));
       }),
       {},
       6'400'000},
      {"convolutional",
       {64, 1, 32, 32},
       objective([](const Expr& x, Objective& o) {
         RandomState random(1);
         const auto model = convolutional_autoencoder({1, 16, 32, 64}, random);
         o.params = model.params();
         return mean(square(model.reconstruct(x) - x));
       }),
       {},
       11'000'000},
  };
}

}  // namespace

std::span<const Formula> formulas() {
  static const std::vector<Formula> all = make();
  return all;
}

Expr input_of(const Formula& formula) {
  Shape sizes = formula.input;
  sizes[0] = -1;
  return variable("x", DType::float32, sizes);
}

Function step_of(const Objective& objective, const Expr& x) {
  // Penalties on derivatives leave some biases out.
  const Expr cost = objective.cost;
  const auto gradients = grad(cost, objective.params, {.disconnected = Disconnected::zero});
  return function(
      {.inputs = {x}, .outputs = {cost}, .updates = sgd(objective.params, gradients, 1e-4)});
}

}  // namespace cinch::bench
