// Recurrent networks that read an image row by row and say what it shows: an Elman network (1990),
// gated recurrent units (Cho et al., EMNLP 2014) and long short-term memory (Hochreiter,
// Schmidhuber, 1997, with forget gates as Gers et al., 2000), each a loop whose body is its
// formula.
//
//     recurrent_classifier                              all three
//     recurrent_classifier --kinds lstm --hidden 128
//
// Writes: training_curve.png.
//
// Expect: after five epochs on 20,000 images of Fashion-MNIST gates make half the errors, 16 % of
// the test images instead of 32. Takes half a minute.
#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::vector<std::string> kinds{"elman", "gru", "lstm"};
  std::int64_t hidden = 64;
};

/// Weights of so many gates side by side: x W + h U + b, (batch, gates * units).
struct Gates {
  Shared W, U, b;

  Gates(std::int64_t inputs, std::int64_t units, std::int64_t gates, RandomState& random,
        DType dtype) {
    const double bound = 1 / std::sqrt(static_cast<double>(units));
    const auto weights = [&](std::int64_t from, const char* name) {
      return Shared(random.uniform(-bound, bound, {from, gates * units}).cast(dtype), name);
    };
    W = weights(inputs, "W");
    U = weights(units, "U");
    b = Shared(Tensor(dtype, {gates * units}), "b");
  }
  std::vector<Shared> params() const { return {W, U, b}; }
};

/// The last state after rows of (steps, batch, inputs): (batch, units).
Expr last_state(const std::string& kind, const Gates& g, const Expr& rows, std::int64_t units) {
  const Expr none = zeros({size(rows, 1), units}, rows.dtype());
  const auto gate = [&](const Expr& all, std::int64_t k) {
    return narrow(all, 1, k * units, units, 1);
  };
  if (kind == "elman") {
    return scan([&](const Expr& x, const Expr& h) { return tanh(dot(x, g.W) + dot(h, g.U) + g.b); },
                {.sequences = {rows}, .initial = {none}})
        .last();
  }
  if (kind == "gru") {
    return scan(
               [&](const Expr& x, const Expr& h) {
                 const Expr in = dot(x, g.W) + g.b, back = dot(h, g.U);
                 const Expr reset = sigmoid(gate(in, 0) + gate(back, 0)),
                            keep = sigmoid(gate(in, 1) + gate(back, 1));
                 return keep * h + (1 - keep) * tanh(gate(in, 2) + reset * gate(back, 2));
               },
               {.sequences = {rows}, .initial = {none}})
        .last();
  }
  return scan(
             [&](const Expr& x, const Expr& h, const Expr& cell) {
               const Expr all = dot(x, g.W) + dot(h, g.U) + g.b;
               // A forget gate begins open: 1 is added (Gers et al.).
               const Expr next =
                   sigmoid(gate(all, 0) + 1) * cell + sigmoid(gate(all, 1)) * tanh(gate(all, 2));
               return std::vector<Expr>{sigmoid(gate(all, 3)) * tanh(next), next};
             },
             {.sequences = {rows}, .initial = {none, none}})
      .last(0);
}

Curve fit(const Options& o, const Settings& settings, const DataSets& data, const std::string& kind,
          Results& results) {
  RandomState random(o.seed);
  const std::int64_t gates = kind == "elman" ? 1 : kind == "gru" ? 3 : 4;
  const Gates weights(data.columns, settings.hidden, gates, random, o.type());
  const Layer top = logistic_regression(settings.hidden, data.classes(), o.type());
  const Expr x = matrix("x", o.type()), labels = lvector("labels");
  const Expr images = reshape(x, {size(x, 0), data.rows, data.columns});
  const Expr logits = top(last_state(kind, weights, swapaxes(images, 0, 1), settings.hidden));
  const Expr cost = classification_cost(labels, logits), error = error_rate(labels, logits);
  std::vector<Shared> params = weights.params();
  for (const Shared& p : top.params()) params.push_back(p);

  if (!o.quiet) std::printf("%s\n", kind.c_str());
  TrainOptions t = training_of({x, labels, cost, error},
                               adam(params, clip_by_global_norm(grad(cost, params), 5), o.rate),
                               "step", data, o, kind + "_");
  t.shuffle = o.seed;
  t.params = params;
  const TrainResult trained = train_to_end(t);
  results.add(kind + ", test error",
              percent(mean_over(t.validate, {&data.test.images, &data.test.labels})[0]));
  results.add(kind + ", seconds", number(trained.state.seconds, 3));
  const Examples few = first(data.validation, 20);
  examine(o, kind, t.step, cost, params, {{x, few.images}, {labels, few.labels}});
  return curve(trained, 0, kind);
}

void fit_all(const Options& o, const Settings& settings) {
  const DataSets data = load(o);
  expect(o, "networks with gates make half the errors of the one without");
  Results results(o, "Recurrent classifiers");
  std::vector<Curve> curves;
  for (const std::string& kind : settings.kinds)
    curves.push_back(fit(o, settings, data, kind, results));
  results.write();
  show(o, "training_curve",
       {.title = "Recurrent classifiers",
        .x_label = "epoch",
        .curves = curves,
        .y_labels = {"cross-entropy, nats an image"}},
       "Training cost.");
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/recurrent_classifier", .epochs = 5, .batch = 50, .rate = 0.002};
  o.images = 20000;
  Settings settings;
  CLI::App app{"Recurrent networks that classify images from their rows.\n"};
  add_options(app, o);
  app.add_option("--kinds", settings.kinds, "Which, one after the other: elman, gru, lstm")
      ->delimiter(',')
      ->check(CLI::IsMember({"elman", "gru", "lstm"}))
      ->capture_default_str();
  app.add_option("--hidden", settings.hidden, "Units of the state")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  return run("recurrent_classifier", app, argc, argv, o, [&] { fit_all(o, settings); });
}
