// Learned iterations: a loop of a few steps whose weights are trained comes as near to a sparse
// code as many steps of the algorithm that it was made from. LISTA (Gregor, LeCun, "Learning Fast
// Approximations of Sparse Coding", ICML 2010) beside ISTA and FISTA (Beck, Teboulle, 2009).
//
//     lista                                              loops of 1 to 7 steps
//     lista --steps 3 --inputs 64 --atoms 256 --epochs 50
//
// Signals are sparse combinations of random atoms; the code of a signal x is the z that makes
// |x - z D|^2 / 2 + penalty |z|_1 smallest, found by 2,000 steps of FISTA.
//
// Writes: errors.png.
//
// Expect: three learned steps are as near to the code as twenty of FISTA. Takes a few seconds.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::int64_t> steps{1, 3, 5, 7};
  std::int64_t inputs = 32, atoms = 64, active = 4, samples = 10000, shown = 20;
  double penalty = 0.05;
};

/// Signals and the dictionary that they are made of, its rows of length 1.
struct Problem {
  Tensor D;         ///< (atoms, inputs)
  double largest;   ///< Eigenvalue of D D': 1 / the length of a gradient step.
  Tensor x, codes;  ///< To train on: (samples, inputs), (samples, atoms).
  Tensor test_x, test_codes;
};

/// Towards 0 by `width`, or 0: what a step does after it has followed the gradient.
Expr soft(const Expr& z, const Expr& width) { return softshrink(z, width); }

/// ISTA from z = 0 for `steps` steps, an int64 scalar; with momentum it is FISTA.
Expr iterated(const Problem& p, const Expr& x, const Expr& steps, double penalty, bool momentum) {
  const Expr D = constant(p.D), start = zeros_like(dot(x, transpose(D)));
  const Expr width = constant(Tensor(penalty / p.largest).cast(p.D.dtype()));
  const auto step = [&](const Expr& z) {
    return soft(z + dot(x - dot(z, D), transpose(D)) / p.largest, width);
  };
  if (!momentum)
    return scan([&](const Expr& z) { return step(z); }, {.initial = {start}, .steps = steps})
        .last();
  const Scan loop = scan(
      [&](const Expr& z, const Expr& y, const Expr& t) {
        const Expr next = step(y), longer = (1 + sqrt(1 + 4 * square(t))) / 2;
        return std::vector<Expr>{next, next + (t - 1) / longer * (next - z), longer};
      },
      {.initial = {start, start, ones_like(mean(x))}, .steps = steps});
  return loop.last(0);
}

Problem make(const Options& o, const Settings& s) {
  Problem p;
  RandomState random(o.seed);
  const Expr drawn = constant(random.uniform(-1, 1, {s.atoms, s.inputs}).cast(DType::float64));
  const Expr unit = drawn / sqrt(sum(square(drawn), 1, /*keepdims=*/true));
  p.largest = std::pow(evaluate(max(svd(unit).s)).item(), 2);
  p.D = evaluate(unit).cast(o.type());
  RandomStreams streams(o.seed + 1);
  const auto signals = [&](std::int64_t count) {
    const Expr size = constant(Tensor(count));
    const Expr lots = streams.uniform({size, s.atoms}, 0.0, 1.0, o.type());
    const Expr amounts = streams.normal({size, s.atoms}, 0.0, 1.0, o.type());
    return evaluate(dot(where(largest(lots, s.active), amounts, 0), constant(p.D)));
  };
  const Expr x = matrix("x", o.type());
  const Function code = function({x}, {iterated(p, x, constant(Tensor(2000)), s.penalty, true)});
  p.x = signals(s.samples);
  p.test_x = signals(1000);
  p.codes = code({p.x})[0];
  p.test_codes = code({p.test_x})[0];
  return p;
}

/// A loop of so many steps: z <- soft(x W + z S, width), from z = soft(x W, width). It begins as
/// ISTA.
struct Lista {
  Shared W, S, width;

  Lista(const Problem& p, const Settings& s) {
    const Expr D = constant(p.D);
    W = Shared(evaluate(transpose(D) / p.largest), "W");
    S = Shared(evaluate(eye(s.atoms, p.D.dtype()) - dot(D, transpose(D)) / p.largest), "S");
    width = Shared(Tensor::full(p.D.dtype(), {s.atoms}, s.penalty / p.largest), "width");
  }
  Expr code(const Expr& x, std::int64_t steps) const {
    const Expr seen = dot(x, W);
    return scan([&](const Expr& z) { return soft(seen + dot(z, S), width); },
                {.initial = {zeros_like(seen)}, .steps = steps})
        .last();
  }
  std::vector<Shared> params() const { return {W, S, width}; }
};

void fit(const Options& o, const Settings& s) {
  if (s.active > s.atoms)
    throw ValueError(text("--active ", s.active, ": there are only ", s.atoms, " atoms"));
  if (o.batch > s.samples)
    throw ValueError(text("--batch ", o.batch, ": there are only ", s.samples, " samples"));
  expect(o, "three learned steps as near to the code as twenty of FISTA");
  const Problem p = make(o, s);
  note_data(o, p.x);
  Results results(o, "Learned iterations");
  const Expr x = matrix("x", o.type()), z = matrix("z", o.type()), n = lscalar("n");
  const auto error = [&](const Expr& found) { return sum(square(found - z)) / sum(square(z)); };
  Plot plot{"Distance from the sparse code", "steps", {}, {"squared error / squared length"}};
  plot.log_y = true;
  for (const bool momentum : {false, true}) {
    Curve curve{momentum ? "FISTA" : "ISTA"};
    const Function f = function({x, z, n}, {error(iterated(p, x, n, s.penalty, momentum))});
    for (std::int64_t k = 1; k <= s.shown; ++k) {
      curve.xs.push_back(static_cast<double>(k));
      curve.ys.push_back(f({p.test_x, p.test_codes, k})[0].item());
      if (k == 10 || k == s.shown)
        results.add(text(curve.name, ", ", k, " steps"), number(curve.ys.back()));
    }
    plot.curves.push_back(std::move(curve));
  }
  Curve learned{"LISTA"};
  for (const std::int64_t steps : s.steps) {
    const Lista lista(p, s);
    const Expr cost = mean(sum(square(lista.code(x, steps) - z), 1));
    Shared step(Tensor(std::int64_t{0}), "step");
    Updates updates = adam(cost, lista.params(), falling_rate(step, o.rate, o, s.samples));
    updates.push_back({step, step + std::int64_t{1}});
    const std::string name = text("lista", steps);
    TrainOptions t = o.training(name + "_");
    t.step = function({.inputs = {x, z}, .outputs = {cost}, .updates = updates, .name = "step"});
    t.data = {&p.x, &p.codes};
    t.names = {"cost"};
    t.shuffle = o.seed;
    t.params = lista.params();
    if (!o.quiet) std::printf("%s\n", name.c_str());
    const TrainResult trained = train_to_end(t);
    learned.xs.push_back(static_cast<double>(steps));
    learned.ys.push_back(
        evaluate(error(lista.code(x, steps)), {{x, p.test_x}, {z, p.test_codes}}).item());
    results.add(text("LISTA, ", steps, steps == 1 ? " step" : " steps"), number(learned.ys.back()));
    results.add(text(name, ", seconds"), number(trained.state.seconds, 3));
    if (steps == s.steps.back()) {
      const Tensor few = evaluate(slice(x, 0, 20), {{x, p.test_x}}),
                   theirs = evaluate(slice(z, 0, 20), {{z, p.test_codes}});
      examine(o, name, t.step, cost, lista.params(), {{x, few}, {z, theirs}});
    }
  }
  plot.curves.push_back(std::move(learned));
  show(o, "errors", plot, "Each point of LISTA is a loop that was trained for so many steps.");
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/lista", .epochs = 15, .batch = 100, .rate = 0.003};
  Settings s;
  CLI::App app{"Learned iterations for sparse codes, beside ISTA and FISTA.\n"};
  add_options(app, o, {"--data", "--images"});
  const auto count = [&](const std::string& name, std::int64_t& value, const std::string& what) {
    app.add_option(name, value, what)
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{100000000}))
        ->capture_default_str();
  };
  app.add_option("--steps", s.steps, "Of the loops that are trained, one after the other")
      ->delimiter(',')
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000}))
      ->capture_default_str();
  count("--inputs", s.inputs, "Numbers of a signal");
  count("--atoms", s.atoms, "Of the dictionary");
  count("--active", s.active, "Atoms of a signal");
  count("--samples", s.samples, "Signals to train on");
  count("--shown", s.shown, "Steps of ISTA and FISTA that are drawn");
  app.add_option("--penalty", s.penalty, "What the code's absolute values weigh")
      ->check(above_zero())
      ->capture_default_str();
  return run("lista", app, argc, argv, o, [&] { fit(o, s); });
}
