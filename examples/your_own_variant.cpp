// A template for a variant of your own: copy this file, and change what is marked 1 and 2.
//
// The variant here wants codes that do not mind how bright a picture is. A picture x grows brighter
// along x itself, so the code's derivative in that direction, J x for J = dh/dx, is to be small:
//
//     cost = reconstruction + lambda ||J x||^2
//
// (one direction of Simard, Victorri, LeCun, Denker, "Tangent Prop", NIPS 1991).
//
//     your_own_variant                Fashion-MNIST from Debian's package
//     your_own_variant --lambda 0     the same without the penalty, to compare with
//
// Writes: filters.png; reconstructions.png, test images and their reconstructions.
//
// Expect: gradients that agree with finite differences, no finding of audit(), and codes that a
// picture of 0.7 times the brightness moves a fraction as far as with --lambda 0. Takes a quarter
// of a minute on two processors.
#include <iostream>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

void fit(const Options& o, std::int64_t hidden, double lambda) {
  const DataSets data = load(o);
  expect(o,
         "gradients that agree with finite differences, no finding of audit(), and codes that "
         "brightness moves less than with --lambda 0");
  RandomState random(o.seed);

  // 1. The model: what is computed from an example x, a row of a minibatch.
  const Autoencoder model = autoencoder({data.pixels(), hidden}, random, {.dtype = o.type()});
  const Expr x = matrix("x", o.type());
  const Expr h = model.encode(x), z = model.decode(h);

  // 2. The cost, each term a mean over examples. Rop() is J x without J; grad(), jacobian(),
  // hessian_vector() and all of models/penalties.hpp can stand here as well.
  const Expr reconstruction = mean(cross_entropy(x, z));
  const Expr penalty = mean(sum(square(Rop(h, x, x)), 1));
  const Expr cost = reconstruction + lambda * penalty;

  // 3. Before any training: are its gradients right, and does each term do something?
  const Tensor few = evaluate(slice(x, 0, 20), {{x, data.validation.images}});
  const GradCheck check = check_grad(cost, model.params(), {{x, few}}, {.order = 2});
  if (!check) throw ValueError(text(check));
  if (!o.quiet) std::cout << check << audit(cost, model.params(), {{x, few}}) << std::flush;

  // 4. Training. adam(), momentum() or clipped gradients are another line; see optim/.
  TrainOptions t = o.training();
  t.step = function({.inputs = {x},
                     .outputs = {cost, reconstruction, penalty},
                     .updates = sgd(cost, model.params(), o.rate)});
  t.data = {&data.training.images};
  t.names = {"cost", "reconstruction", "penalty"};
  train_to_end(t);

  // 5. What came of it, on images that it has not seen.
  const auto on_test = [&](const Expr& e) { return number(mean_of(e, x, data.test.images)); };
  const Expr darker = model.encode(0.7 * x);
  Results results(o, "A variant of your own");
  results.add("test reconstruction", on_test(reconstruction));
  results.add("test penalty", on_test(penalty));
  results.add("code moved by 0.7 brightness", on_test(mean(norm(darker - h, 2, 1))));
  show(o, "filters", filters(model.encoder.layers[0].W, data.tiling()),
       "Weights from the pixels to each of the first hundred units of the code.");
  const Tensor shown = first(data.test, 10).images;
  show(o, "reconstructions",
       image_rows({{"original", shown}, {"reconstruction", evaluate(z, {{x, shown}})}},
                  data.tiling()),
       "Test images.");
  examine(o, "", t.step, cost, model.params(), {{x, few}});  // For --report.
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/your_own_variant", .epochs = 5, .rate = 0.05};
  std::int64_t hidden = 200;
  double lambda = 1;
  CLI::App app{"A template: an autoencoder whose codes do not mind brightness.\n"};
  add_options(app, o);
  app.add_option("--hidden", hidden, "Units of the code")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--lambda", lambda, "Weight of the penalty")
      ->check(not_negative())
      ->capture_default_str();
  return run("your_own_variant", app, argc, argv, o, [&] { fit(o, hidden, lambda); });
}
