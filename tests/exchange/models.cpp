#include "exchange/models.hpp"

#include "cinch/core/graph/engine_ops.hpp"

namespace cinch::testing {

namespace {

constexpr DType f64 = DType::float64;

Expr batch_of(const char* name, std::int64_t visible) { return variable(name, f64, {-1, visible}); }

}  // namespace

std::vector<Shape> TrainingStep::sizes() const {
  std::vector<Shape> result;
  for (const Tensor& value : values) result.push_back(value.shape());
  return result;
}

std::vector<TrainingStep> training_steps() {
  static RandomStreams random(4);
  RandomState initial(3);
  const Tensor examples = RandomState(1).uniform(0.1, 0.9, {5, 6});
  std::vector<TrainingStep> result;
  const auto network = [&](std::vector<std::int64_t> sizes = {6, 4}) {
    return autoencoder(sizes, initial, {.dtype = f64});
  };
  const auto add = [&](const char* name, const Expr& x, const Expr& cost, const Updates& updates) {
    result.push_back({name, {x}, {examples}, cost, updates});
  };
  {
    const auto m = network();
    const Expr x = batch_of("x", 6), h = m.encode(x);
    const Expr cost =
        reconstruction_cost(m, x, cross_entropy) + 0.1 * mean(sum(square(jacobian(h, x)), {1, 2}));
    add("contractive", x, cost, sgd(cost, m.params(), 0.05));
  }
  {
    const auto m = network({6, 5, 3});
    const Expr x = batch_of("x", 6);
    const Expr cost =
        reconstruction_cost(m, x, squared_error) + 0.1 * mean(jacobian_norm2(m.encode(x), x));
    add("deep_contractive", x, cost, sgd(cost, m.params(), 0.05));
  }
  {
    const auto m = network();
    const Expr x = batch_of("x", 6);
    const Expr cost = denoising_cost(m, x, masking(x, 0.3, random).x, cross_entropy);
    add("denoising", x, cost, sgd(cost, m.params(), 0.05));
  }
  {
    const auto m = variational_autoencoder({6, 5, 2}, initial,
                                           {.hidden = tanh, .output = sigmoid, .dtype = f64});
    const Expr x = batch_of("x", 6);
    const Expr cost = variational_cost(m, x, random, cross_entropy).total;
    add("variational", x, cost, adam(cost, m.params(), 0.01));
  }
  {
    const auto m = network();
    const Expr x = batch_of("x", 6);
    const Expr cost = reconstruction_cost(m, x, cross_entropy) + 0.1 * sparse_kl(m.encode(x), 0.05);
    add("sparse", x, cost, sgd(cost, m.params(), 0.05));
  }
  {
    // onnxruntime convolves in float32 alone.
    const auto m = convolutional_autoencoder({1, 3}, initial, {.dtype = DType::float32});
    const Expr x = variable("image", DType::float32, {-1, 1, 4, 4});
    const Expr cost = mean(cross_entropy(x, m.reconstruct(x)));
    result.push_back({"convolutional",
                      {x},
                      {RandomState(2).uniform(0.1, 0.9, {2, 1, 4, 4}, DType::float32)},
                      cost,
                      sgd(cost, m.params(), 0.05)});
  }
  {
    const auto stack = autoencoder_stack({6, 5, 3}, initial, {.dtype = f64});
    const Autoencoder m = unrolled(stack);
    const Expr x = batch_of("x", 6), cost = reconstruction_cost(m, x, cross_entropy);
    add("stacked", x, cost, sgd(cost, m.params(), 0.1));
  }
  {
    const Network m = classifier(network().encoder, logistic_regression(4, 3, f64));
    const Expr x = batch_of("x", 6), labels = lvector("labels");
    const Expr cost = classification_cost(labels, m(x));
    result.push_back({"classifier",
                      {x, labels},
                      {examples, Tensor::from<std::int64_t>({5}, {0, 2, 1, 1, 2})},
                      cost,
                      adam(cost, m.params(), 0.01)});
  }
  {
    const auto m = network();
    const Expr x = batch_of("x", 6), cost = reconstruction_cost(m, x, squared_error);
    add("momentum_step", x, cost, momentum(cost, m.params(), 0.05, 0.9));
  }
  {
    const auto m = network();
    const Expr x = batch_of("x", 6);
    const Expr cost =
        reconstruction_cost(m, x, squared_error) + 0.1 * mean(hessian_norm2(m.encode(x), x));
    add("second_order", x, cost, sgd(cost, m.params(), 0.05));
  }
  {
    // Minibatches of images that stay where they are, as in README.md.
    const auto m = network();
    const Shared images(initial.uniform(0, 1, {15, 6}), "images");
    const Expr x = batch_of("x", 6), k = lscalar("k");
    const Expr cost = reconstruction_cost(m, x, cross_entropy);
    result.push_back({"minibatches",
                      {k},
                      {Tensor(std::int64_t{2})},
                      cost,
                      sgd(cost, m.params(), 0.1),
                      {{x, slice(images, k * 5, (k + 1) * 5)}}});
  }
  {
    // Predicts each row of a sequence from those before it.
    const Shared W(initial.uniform(-0.5, 0.5, {3, 4}), "W"),
        U(initial.uniform(-0.5, 0.5, {4, 4}), "U"), V(initial.uniform(-0.5, 0.5, {4, 3}), "V");
    const Expr x = variable("sequences", f64, {5, -1, 3});
    const Expr before = slice(x, 0, 4), after = slice_from(x, 1);
    const Expr start = zeros_like(dot(at(x, 0), W));
    const auto body = [&](const Expr& row, const Expr& state) {
      return tanh(dot(row, W) + dot(state, U));
    };
    const Expr states = scan(body, {.sequences = {before}, .initial = {start}})[0];
    const Expr cost = mean(square(dot(states, V) - after));
    result.push_back({"recurrent",
                      {x},
                      {RandomState(5).uniform(-1, 1, {5, 2, 3})},
                      cost,
                      sgd(cost, {W, U, V}, 0.1)});
  }
  return result;
}

Tensor next_draw(const Expr& draw, std::int64_t rows) {
  Shared state = as_shared(draw.inputs()[0]);
  const Tensor before = state.get();
  // Element i is the same whatever the number of rows.
  const Tensor result = evaluate(narrow(draw, 0, 0, rows, 1));
  state.set(before);
  return result;
}

}  // namespace cinch::testing
