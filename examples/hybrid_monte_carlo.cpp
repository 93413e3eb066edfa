// Samples of a density that is known up to a constant: hybrid Monte Carlo, whose moves follow the
// gradient of an energy, a formula (Duane, Kennedy, Pendleton, Roweth, 1987), with the step size
// that adapts itself as in the Theano tutorial.
//
//     hybrid_monte_carlo                                  a Gaussian whose moments are known, a
//     ring hybrid_monte_carlo --kinds ring --moves 5000
//
// Writes: samples_*.png.
//
// Expect: nine moves of ten are accepted, as asked for; means and covariances within a few
// hundredths of the true ones. Takes a few seconds.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::string> kinds{"gaussian", "ring"};
  std::int64_t chains = 100, moves = 1000, leapfrog_steps = 20;
  double acceptance = 0.9;
};

const Tensor mean_there = Tensor::from<double>({2}, {1, -0.5}),
             covariance_there = Tensor::from<double>({2, 2}, {1, 0.8, 0.8, 2});

/// E(x) of each row of (chains, 2).
Expr energy(const std::string& kind, const Expr& x) {
  if (kind == "gaussian") {
    const Expr d = x - constant(mean_there);
    return 0.5 * sum(dot(d, inverse(constant(covariance_there))) * d, 1);
  }
  return square(sqrt(sum(square(x), 1) + 1e-12) - 2) / (2 * 0.1 * 0.1);
}

void sample(const Options& o, const Settings& s, const std::string& kind, Results& results) {
  RandomStreams streams(o.seed);
  const Tensor start = RandomState(o.seed).uniform(-2, 2, {s.chains, 2});
  const Shared position(start, "position"), step(Tensor(0.01), "step"),
      acceptance(Tensor(s.acceptance), "acceptance");
  const HmcSamples made = hmc_samples(
      {position, step, acceptance}, [&](const Expr& x) { return energy(kind, x); }, s.moves,
      streams,
      {.leapfrog_steps = s.leapfrog_steps, .target_acceptance = s.acceptance, .largest_step = 2});
  const Expr x = reshape(made.positions, {-1, 2}), centred = x - mean(x, 0);
  const Expr covariance = dot(transpose(centred), centred) / cast(size(x, 0), DType::float64);
  const Function run = function({.outputs = {made.positions, mean(x, 0), covariance,
                                             sqrt(sum(square(x), 1)), made.last.acceptance},
                                 .updates = {{position, made.last.position},
                                             {step, made.last.step},
                                             {acceptance, made.last.acceptance}},
                                 .name = "moves"});
  run();  // The way from where the chains began is forgotten.
  const std::vector<Tensor> found = run();
  if (!o.quiet) std::printf("%s\n", kind.c_str());
  results.add(kind + ", share of moves accepted", number(found[4].item()), text(s.acceptance));
  results.add(kind + ", step size", number(step.get().item()));
  const auto apart = [](const Tensor& a, const Tensor& b) {
    return evaluate(max(abs(constant(a) - constant(b)))).item();
  };
  if (kind == "gaussian") {
    results.add("gaussian, largest error of the mean", number(apart(found[1], mean_there)));
    results.add("gaussian, largest error of the covariance",
                number(apart(found[2], covariance_there)));
  } else {
    // p(r) ~ r exp(-(r - 2)^2 / (2 0.1^2)): the mean is 2 + 0.1^2 / 2 but for what is beyond 0.
    results.add("ring, mean radius (2.005)", number(evaluate(mean(constant(found[3]))).item(), 4));
  }
  Curve last{.name = "", .mark = Mark::points};
  const std::int64_t all = found[0].size() / 2, shown = std::min<std::int64_t>(all, 2000);
  for (std::int64_t k = 0; k < shown; ++k) {
    const std::int64_t at = k * (all / shown);
    last.xs.push_back(found[0].at(2 * at));
    last.ys.push_back(found[0].at(2 * at + 1));
  }
  Plot plot{"Samples, " + kind, "x_1", {last}, {"x_2"}};
  plot.equal_axes = true;
  show(o, "samples_" + kind, plot, "Some of the samples of all chains.");
  examine(o, kind, run, mean(energy(kind, position)), {position}, {});
}

void sample_all(const Options& o, const Settings& s) {
  expect(o, "the acceptance that was asked for, and the moments of the Gaussian");
  if (o.record) o.record->keep();
  Results results(o, "Hybrid Monte Carlo");
  for (const std::string& kind : s.kinds) sample(o, s, kind, results);
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/hybrid_monte_carlo"};
  Settings s;
  CLI::App app{"Samples of densities by hybrid Monte Carlo.\n"};
  add_options(app, o,
              {"--data", "--images", "--epochs", "--batch", "--rate", "--dtype", "--log-format",
               "--distribute"});
  app.add_option("--kinds", s.kinds, "Which densities: gaussian, ring")
      ->delimiter(',')
      ->check(CLI::IsMember({"gaussian", "ring"}))
      ->capture_default_str();
  const auto count = [&](const std::string& name, std::int64_t& value, const std::string& what) {
    app.add_option(name, value, what)
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
        ->capture_default_str();
  };
  count("--chains", s.chains, "Chains side by side");
  count("--moves", s.moves, "Moves of each chain, after as many that are forgotten");
  count("--leapfrog-steps", s.leapfrog_steps, "Steps of a move");
  app.add_option("--acceptance", s.acceptance, "Share of moves to be accepted")
      ->check(CLI::Range(0.05, 0.99))
      ->capture_default_str();
  return run("hybrid_monte_carlo", app, argc, argv, o, [&] { sample_all(o, s); });
}
