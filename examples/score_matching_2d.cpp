// What a regularised autoencoder learns is the score of the density of its data: on two densities
// in the plane, where the score is known.
//
//     denoising     E |r(x + sigma e) - x|^2,                    e ~ N(0, I)
//     contractive   E |r(x) - x|^2 + sigma^2 ||dr/dx||^2_F
//
// At the minimum of either, for a small sigma, (r(x) - x) / sigma^2 is grad log p(x): Alain and
// Bengio, "What Regularized Auto-Encoders Learn from the Data-Generating Distribution", JMLR 2014,
// theorem 1. For the denoising cost it is exactly, for any sigma, the score of p blurred by the
// noise (Vincent, "A Connection Between Score Matching and Denoising Autoencoders", 2011).
//
//     score_matching_2d                  sigma 0.2, a quarter of a minute
//     score_matching_2d --sigma 0.1      less blur, and harder to learn
//     score_matching_2d --sigma 0.4      the other way round
//
// Writes: *_denoising.png and *_contractive.png, for each density.
//
// Expect: cosines near 1. Against the true score errors of 0.2 to 0.4, most of them the blur:
// against the blurred score they are 0.05 to 0.2. The pictures show learned and true arrows
// together. Takes a quarter of a minute.
#include <cmath>
#include <numbers>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t samples = 50000, hidden = 64;
  double sigma = 0.2;
};

/// Equal shares of normal distributions N(centre, sd^2 I).
struct Density {
  std::string name;
  Tensor centres;  ///< (count, 2)
  double sd;

  Tensor samples(std::int64_t count, RandomState& random) const {
    const Tensor which = random.randint(0, centres.shape()[0], {count});
    return evaluate(take(constant(centres), constant(which)) +
                    constant(random.normal(0, sd, {count, 2})));
  }
  /// log p(x) up to a constant, blurred by noise of standard deviation `blur`: (batch).
  Expr log_p(const Expr& x, double blur = 0) const {
    const Expr away = expand_dims(x, 1) - expand_dims(constant(centres.cast(x.dtype())), 0);
    return logsumexp(sum(square(away), 2) / (-2 * (sd * sd + blur * blur)));
  }
  Expr score(const Expr& x, double blur = 0) const { return grad(sum(log_p(x, blur)), x); }
};

std::vector<Density> densities() {
  constexpr std::int64_t around = 200;  // So close together that they make one ring.
  Tensor ring(DType::float64, {around, 2});
  for (std::int64_t k = 0; k < around; ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / around;
    ring.data<double>()[static_cast<std::size_t>(2 * k)] = 1.5 * std::cos(angle);
    ring.data<double>()[static_cast<std::size_t>(2 * k + 1)] = 1.5 * std::sin(angle);
  }
  return {{"mixture", Tensor::from<double>({3, 2}, {-1.2, -0.8, 1.2, -0.8, 0, 1.2}), 0.4},
          {"ring", ring, 0.3}};
}

/// r(x) = x + g(x) for two layers of tanh units and a linear one: what is learned is the step back
/// towards the data.
struct Reconstruction {
  Network g;
  Expr operator()(const Expr& x) const { return x + g(x); }
};

Reconstruction learn(const Options& o, const Settings& s, const Tensor& data, bool denoising,
                     const std::string& part) {
  RandomState random(o.seed);
  RandomStreams noise(o.seed);
  const Reconstruction r{
      network({2, s.hidden, s.hidden, 2}, random, {.hidden = tanh, .dtype = o.type()})};
  const Expr x = matrix("x", o.type());
  const Expr cost =
      denoising ? mean(squared_error(x, r(gaussian(x, s.sigma, noise).x)))
                : mean(squared_error(x, r(x)) + s.sigma * s.sigma * jacobian_norm2(r(x), x));
  // Noise keeps steps from settling, so they become smaller until the end.
  const Shared step = step_counter();
  TrainOptions t = o.training(part + "_");
  t.out = nullptr;
  Updates updates = adam(cost, r.g.params(), falling_rate(step, o.rate, o, s.samples));
  updates.push_back(advance(step));
  t.step = function({.inputs = {x}, .outputs = {cost}, .updates = updates, .name = part});
  t.data = {&data};
  t.names = {"cost"};
  train_to_end(t);
  examine(o, part, t.step, cost, r.g.params(), {{x, evaluate(slice(x, 0, 20), {{x, data}})}});
  return r;
}

/// Arrows from `points` along `field`, (count, 2) both, where `shown`.
Curve arrows(const std::string& name, const Tensor& points, const Tensor& field,
             const Tensor& shown, double length) {
  Curve result{.name = name, .mark = Mark::arrows};
  for (std::int64_t k = 0; k < shown.size(); ++k) {
    if (shown.at(k) == 0) continue;
    const double x = points.at(2 * k), y = points.at(2 * k + 1);
    for (const double along : {0.0, length}) {
      result.xs.push_back(x + along * field.at(2 * k));
      result.ys.push_back(y + along * field.at(2 * k + 1));
    }
  }
  return result;
}

Tensor grid(DType dtype) {
  constexpr std::int64_t side = 31;
  const Expr k = (cast(arange(side), DType::float64) / (side - 1) - 0.5) * 5.0;
  const std::vector<Expr> both{constant(Tensor(side)), constant(Tensor(side))};
  const Expr points =
      stack({broadcast_to(expand_dims(k, 0), both), broadcast_to(expand_dims(k, 1), both)}, 2);
  return evaluate(cast(reshape(points, {-1, 2}), dtype));
}

void compare(const Options& o, const Settings& s) {
  expect(o, "cosines near 1; the smaller errors against the blurred score");
  Results results(o, "Scores of known densities");
  for (const Density& p : densities()) {
    RandomState random(o.seed + 1);
    const Tensor data = p.samples(s.samples, random).cast(o.type());
    const Tensor fresh = p.samples(5000, random).cast(o.type());
    for (const bool denoising : {true, false}) {
      const std::string part = p.name + (denoising ? "_denoising" : "_contractive");
      const Reconstruction r = learn(o, s, data, denoising, part);
      const Expr x = matrix("x", o.type());
      const Expr learned = (r(x) - x) / (s.sigma * s.sigma);
      // Over new samples, so each region counts by its mass.
      for (const double blur : {0.0, s.sigma}) {
        const Expr score = p.score(x, blur);
        const Expr error = sqrt(mean(square(learned - score)) / mean(square(score)));
        const Expr cosine =
            mean(learned * score) / sqrt(mean(square(learned)) * mean(square(score)));
        const auto found = function({x}, {error, cosine})({fresh});
        results.add(
            part + (blur > 0 ? ", blurred score" : ", true score") + ": relative error, cosine",
            number(found[0].item(), 3) + ", " + number(found[1].item(), 4));
      }
      const Expr log_p = p.log_p(x);
      const Tensor points = grid(o.type());
      const auto at = function({x}, {learned, p.score(x), log_p > max(log_p) - 4.0})({points});
      constexpr double length = 0.03;
      Plot plot{"Scores of the " + p.name + ": " + (denoising ? "denoising" : "contractive"),
                "x₁",
                {arrows("∇ log p", points, at[1], at[2], length),
                 arrows("(r(x) − x) / σ²", points, at[0], at[2], length)},
                {"x₂"}};
      plot.equal_axes = true;
      show(o, part, plot,
           text("Learned and true, where there is mass (log p less than 4 below its maximum on the "
                "grid). Arrows are ",
                length, " times as long as what they stand for."));
    }
  }
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/score_matching_2d", .epochs = 50, .batch = 100, .rate = 0.005};
  Settings s;
  CLI::App app{"Autoencoders as estimates of the gradient of a log density.\n"};
  add_options(app, o, {"--data", "--images"});
  app.add_option("--samples", s.samples, "To train on")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000000}))
      ->capture_default_str();
  app.add_option("--hidden", s.hidden, "Units of each of the two hidden layers")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000}))
      ->capture_default_str();
  app.add_option("--sigma", s.sigma, "Standard deviation of the noise")
      ->check(above_zero())
      ->capture_default_str();
  return run("score_matching_2d", app, argc, argv, o, [&] { compare(o, s); });
}
