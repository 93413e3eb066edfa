#include "works.hpp"

#include <array>
#include <cinch/cinch.hpp>
#include <cmath>
#include <utility>

#include "cinch/core/run/team.hpp"
#include "cinch/core/threads.hpp"
#include "cinch/optim/adam.hpp"

namespace cinch::bench {

namespace {

std::uint64_t splitmix(std::uint64_t m, std::uint64_t k) {
  std::uint64_t z = m * 0x9E3779B97F4A7C15u + k * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/// Random gray values and labels, to run without a data set.
Data synthetic_data(DType dtype) {
  constexpr std::int64_t count = 2000;
  Data data{Tensor(dtype, {count, visible}), Tensor(DType::int64, {count})};
  dispatch_float(dtype, [&]<class T> {
    std::uint64_t k = 0;
    for (T& pixel : data.images.data<T>()) pixel = static_cast<T>(splitmix(0, ++k) % 256) / 256;
  });
  std::uint64_t k = 0;
  for (std::int64_t& label : data.labels.data<std::int64_t>())
    label = static_cast<std::int64_t>(splitmix(99, ++k) % 10);
  return data;
}

/// What a work trains, in terms of its minibatch `x` and labels `y`.
struct Training {
  Expr loss;
  Updates updates;
};

Shared weights(std::uint64_t m, std::int64_t p, std::int64_t q, double g, DType dtype) {
  return Shared(initial_matrix(m, p, q, g, dtype), text("W", m));
}
Shared zeros(std::int64_t n, DType dtype, std::string label) {
  return Shared(Tensor(dtype, {n}), std::move(label));
}

ContractiveAutoencoder tied_autoencoder(DType dtype) {
  return {weights(1, visible, hidden, 4, dtype), zeros(hidden, dtype, "b"),
          zeros(visible, dtype, "c")};
}

/// Activations of a stack of layers, the input excluded.
std::vector<Expr> layers(const Expr& x, const std::vector<Shared>& W, const std::vector<Shared>& b,
                         const std::vector<Expr (*)(const Arg&)>& activations) {
  std::vector<Expr> result;
  Expr h = x;
  for (std::size_t k = 0; k < W.size(); ++k)
    result.push_back(h = activations[k](dot(h, W[k]) + b[k]));
  return result;
}

Expr identity(const Arg& x) { return x; }

Training contractive(const Expr& x, Penalty penalty) {
  const auto model = tied_autoencoder(x.dtype());
  const Expr loss = contractive_cost(model, x, contraction, penalty).total;
  return {loss, sgd(loss, model.params(), contractive_rate)};
}

Training denoising(const Expr& x) {
  const auto model = tied_autoencoder(x.dtype());
  RandomStreams random(corruption_seed);
  const Expr kept = x * random.binomial(sizes(x), 1, 1 - corruption, x.dtype());
  const Expr loss = mean(cross_entropy(x, model.reconstruct(kept)));
  return {loss, sgd(loss, model.params(), denoising_rate)};
}

Training small_contractive(const Expr& x) {
  const DType dtype = x.dtype();
  const Shared W = weights(1, visible, 64, 1, dtype), V = weights(2, 64, visible, 1, dtype);
  const Shared b = zeros(64, dtype, "b"), c = zeros(visible, dtype, "c");
  const Expr h = sigmoid(dot(x, W) + b), z = dot(h, V) + c;
  const Expr penalty = dot(square(h * (1 - h)), sum(square(W), 0));
  const Expr loss = mean(square(x - z)) + 1e-4 * mean(penalty);
  return {loss, adam(loss, {W, b, V, c}, 1e-3)};
}

/// Sum of squares of d code / d x of each example. The first two layers are relu, the third
/// sigmoid; d is the slope at each unit, G = W1' W1, and the Jacobian J' = W1 D1 W2 D2 W3 D3:
/// ||J||^2 = <A, G A> for A = D1 W2 D2 W3 D3, which is (64, 16) for each example.
Expr gram_norm2(const std::vector<Shared>& W, const std::vector<Expr>& h) {
  const DType dtype = W[0].dtype();
  const auto across = [](const Expr& d) { return dimshuffle(d, {0, -1, 1}); };  // (n, 1, units)
  const Expr d1 = cast(h[0] > 0, dtype), d2 = cast(h[1] > 0, dtype), d3 = h[2] * (1 - h[2]);
  const Expr inner = dimshuffle(d3, {0, 1, -1}) * transpose(W[2]) * across(d2);  // (n, 16, 32)
  const Expr A = dot(inner, transpose(W[1])) * across(d1);                       // (n, 16, 64)
  return sum(A * dot(A, dot(transpose(W[0]), W[0])), {1, 2});
}

Training deep_contractive(const Expr& x, bool gram) {
  constexpr std::array<std::int64_t, 7> units{visible, 64, 32, 16, 32, 64, visible};
  std::vector<Shared> W, b;
  for (std::size_t k = 0; k + 1 < units.size(); ++k) {
    W.push_back(weights(k + 1, units[k], units[k + 1], 1, x.dtype()));
    b.push_back(zeros(units[k + 1], x.dtype(), text("b", k + 1)));
  }
  const auto h = layers(x, W, b, {relu, relu, sigmoid, relu, relu, sigmoid});
  const Expr& code = h[2];
  const Expr norm2 = gram ? gram_norm2(W, h) : sum(square(jacobian(code, x)), {1, 2});
  const Expr loss = mean(square(x - h.back())) + 1e-2 * mean(norm2);
  std::vector<Shared> params = W;
  params.insert(params.end(), b.begin(), b.end());
  return {loss, adam(loss, params, 1e-3)};
}

Training classifier(const Expr& x, const Expr& y) {
  constexpr std::array<std::int64_t, 5> units{visible, 1000, 1000, 1000, 10};
  std::vector<Shared> W, b;
  for (std::size_t k = 0; k + 1 < units.size(); ++k) {
    W.push_back(weights(k + 1, units[k], units[k + 1], k < 3 ? 4 : 0, x.dtype()));
    b.push_back(zeros(units[k + 1], x.dtype(), text("b", k + 1)));
  }
  const Expr logits = layers(x, W, b, {sigmoid, sigmoid, sigmoid, identity}).back();
  const Expr loss = -mean(sum(one_hot(y, 10, x.dtype()) * log_softmax(logits), 1));
  std::vector<Shared> params = W;
  params.insert(params.end(), b.begin(), b.end());
  return {loss, sgd(loss, params, 0.1)};
}

Training training(const Config& config, const Expr& x, const Expr& y) {
  if (config.work == "W1") return contractive(x, Penalty::literal);
  if (config.work == "W2") return contractive(x, Penalty::closed);
  if (config.work == "W2j") return contractive(x, Penalty::jacobian);
  if (config.work == "W3") return denoising(x);
  if (config.work == "W4") return small_contractive(x);
  if (config.work == "W5") return deep_contractive(x, config.mode == "gram");
  return classifier(x, y);
}

}  // namespace

std::span<const Work> works() {
  static const std::vector<Work> list{
      {"W1", {10, 100}, {"fast", "checked", "blas", "hand"}},
      {"W2", {10, 20, 100, 500}, {"fast", "checked", "blas", "hand"}},
      {"W2j", {10, 20, 100, 500}, {"fast", "checked", "blas", "hand"}},
      {"W3", {20}, {"fast", "checked", "blas", "hand"}},
      {"W4", {100}, {"fast", "checked", "blas"}},
      {"W5", {128}, {"fast", "gram", "checked", "blas"}},
      {"W6", {1, 20, 100}, {"fast", "checked", "blas"}},
  };
  return list;
}

const Work* find_work(std::string_view name) {
  for (const Work& work : works())
    if (work.name == name) return &work;
  return nullptr;
}

Data load_data(const std::string& folder, DType dtype) {
  if (folder == "synthetic") return synthetic_data(dtype);
  ImageSet set = load_training(folder, dtype, /*divisor=*/256, {0, 50000, /*or_fewer=*/true});
  if (set.rows * set.columns != visible)
    throw ValueError(folder + ": the works need images of 28 x 28");
  return {std::move(set.images), std::move(set.labels)};
}

Tensor initial_matrix(std::uint64_t m, std::int64_t p, std::int64_t q, double g, DType dtype) {
  Tensor result(dtype, {p, q});
  const double bound = g * std::sqrt(6.0 / static_cast<double>(p + q));
  dispatch_float(dtype, [&]<class T> {
    std::uint64_t k = 0;
    for (T& w : result.data<T>()) {
      const double u = static_cast<double>(splitmix(m, ++k) >> 11) / 0x1p53;
      w = static_cast<T>(bound * (2 * u - 1));
    }
  });
  return result;
}

TimedStep cinch_step(const Config& config, Data data) {
  set_threads(config.threads);
  const Shared images(std::move(data.images), "images"), labels(std::move(data.labels), "labels");
  const Expr x = matrix("x", config.dtype), y = lvector("y"), index = lscalar("index");
  const auto [loss, updates] = training(config, x, y);
  const Expr begin = index * config.batch, end = (index + 1) * config.batch;
  const Function step = function({
      .inputs = {index},
      .outputs = {loss},
      .updates = updates,
      .givens = {{x, slice(images, begin, end)}, {y, slice(labels, begin, end)}},
      .mode = config.mode == "checked" ? Mode::checked : Mode::fast,
      .name = config.work,
      .profile = config.profile,
  });
  const auto outputs = std::make_shared<std::vector<Tensor>>();
  return {[=](std::int64_t number) {
            const Tensor argument(number);
            const Tensor* arguments[] = {&argument};
            step.call(arguments, *outputs);
            return outputs->front().item();
          },
          [=] { return profile(step).text() + "\n" + explain(step).text(); }};
}

TimedStep make_step(const Config& config, Data& data) {
  if (config.mode == "blas") return {blas_step(config), {}};
  if (config.mode == "hand") return {hand_step(config, data), {}};
  return cinch_step(config, std::move(data));
}

}  // namespace cinch::bench
