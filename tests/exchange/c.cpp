// Written C files, compiled and run beside Cinch.
#include "cinch/exchange/c.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "exchange/compiled.hpp"
#include "io/temporary_folder.hpp"
#include "support/samples.hpp"

using namespace cinch;

namespace {

struct Model {
  std::string name;
  Expr x, cost;
  Tensor value;
  Updates updates;
  std::vector<Shared> params;
};

std::vector<Model> models() {
  std::vector<Model> result;
  const Tensor value = RandomState(1).uniform(0.1, 0.9, {5, 6});
  const auto add = [&](const char* name, const Expr& x, const Expr& cost,
                       const std::vector<Shared>& params, const Updates& updates) {
    result.push_back({name, x, cost, value, updates, params});
  };
  static RandomState initial(3);
  static RandomStreams random(4);
  const auto network = [&] { return autoencoder({6, 4}, initial, {.dtype = DType::float64}); };
  const auto plain = [&](const char* name, const auto& make) {
    const auto m = network();
    const Expr x = dmatrix("x");
    const Expr cost = make(m, x);
    add(name, x, cost, m.params(), sgd(cost, m.params(), 0.05));
  };
  plain("contractive", [](const auto& m, const Expr& x) {
    const Expr h = m.encode(x);
    return reconstruction_cost(m, x, cross_entropy) +
           0.1 * mean(sum(square(jacobian(h, x)), {1, 2}));
  });
  plain("denoising", [](const auto& m, const Expr& x) {
    return denoising_cost(m, x, masking(x, 0.3, random).x, cross_entropy);
  });
  plain("sparse", [](const auto& m, const Expr& x) {
    return reconstruction_cost(m, x, cross_entropy) + 0.1 * sparse_kl(m.encode(x), 0.05);
  });
  plain("curvature", [](const auto& m, const Expr& x) {
    return reconstruction_cost(m, x, squared_error) + 0.1 * mean(hessian_norm2(m.encode(x), x));
  });
  const auto m = network();
  const Expr x = dmatrix("x"), cost = reconstruction_cost(m, x, squared_error);
  add("momentum_step", x, cost, m.params(), momentum(cost, m.params(), 0.05, 0.9));
  const auto n = network();
  const Expr y = dmatrix("y"), other = reconstruction_cost(n, y, squared_error);
  add("adam_step", y, other, n.params(), adam(other, n.params(), 0.01));
  const auto layers = network();
  const Expr u = dmatrix("u"), w = dot(tanh(dot(u, layers.encoder.layers[0].W)),
                                       transpose(layers.encoder.layers[0].W));
  const auto tied = autoencoder({6, 5, 3}, initial, {.dtype = DType::float64});
  const Expr deep = mean(squared_error(u, tied.reconstruct(u))) + 0.01 * mean(square(w)) +
                    0.1 * mean(jacobian_norm2(tied.encode(u), u));
  add("deep_contractive", u, deep, tied.params(), sgd(deep, tied.params(), 0.05));
  const auto base = network();
  const Expr v = dmatrix("v");
  const Expr scores = base.encode(v);
  const Expr labels = constant(Tensor::from<std::int64_t>({5}, {0, 2, 1, 1, 3}));
  const Expr error = classification_cost(labels, scores);
  const std::vector<Shared> own = base.encoder.params();
  add("classifier_adam", v, error, own, adam(error, own, 0.01));
  const auto maps = convolutional_autoencoder({1, 3}, initial, {.dtype = DType::float64});
  const Expr image = tensor4("image", DType::float64);
  const Expr missed = mean(cross_entropy(image, maps.reconstruct(image)));
  result.push_back({"convolutional_step", image, missed,
                    RandomState(2).uniform(0.1, 0.9, {2, 1, 4, 4}),
                    sgd(missed, maps.params(), 0.05), maps.params()});
  return result;
}

}  // namespace

TEST_CASE("training steps written as C do what Cinch does, 100 of them") {
  const testing::TemporaryFolder folder;
  std::vector<Model> all = models();
  std::vector<CInterface> written;
  for (const Model& model : all) {
    CAPTURE(model.name);
    const std::string path = folder / (model.name + ".c");
    written.push_back(write_c(path,
                              {.inputs = {model.x},
                               .outputs = {model.cost},
                               .updates = model.updates,
                               .name = model.name},
                              {.sizes = {model.value.shape()}, .outputs = {"cost"}}));
  }
  const testing::Compiled compiled(folder, written, "-O3");
  for (std::size_t k = 0; k < all.size(); ++k) {
    const Model& model = all[k];
    CAPTURE(model.name);
    const CInterface& f = written[k];
    const Function step =
        function({.inputs = {model.x}, .outputs = {model.cost}, .updates = model.updates});
    std::vector<Tensor> parameters, constants;
    for (const CParameter& p : f.parameters) parameters.push_back(as_shared(p.value).get());
    for (const CParameter& p : f.constants) constants.push_back(as_shared(p.value).get());
    std::vector<Tensor> inputs{model.value}, outputs{Tensor(DType::float64, {})};
    double first = 0, last = 0;
    for (int t = 0; t < 100; ++t) {
      std::vector<Tensor> draws;
      for (const CParameter& draw : f.draws) {
        Shared state = as_shared(draw.value.inputs()[0]);
        const Tensor before = state.get();
        draws.push_back(evaluate(draw.value));
        state.set(before);
      }
      REQUIRE(compiled.run(f, inputs, draws, parameters, constants, outputs) == 0);
      const Tensor& cost = outputs[0];
      const Tensor expected = step({model.value})[0];
      CHECK(std::abs(cost.item() - expected.item()) <= 1e-5 * std::abs(expected.item()));
      (t == 0 ? first : last) = cost.item();
    }
    CHECK(first != last);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      CHECK(testing::distance(parameters[i], as_shared(f.parameters[i].value).get()) < 1e-5);
  }
}

TEST_CASE("what has no counterpart in C is refused before anything is written") {
  const testing::TemporaryFolder folder;
  const Expr a = dmatrix("a");
  const std::string path = folder / "f.c";
  CHECK_THROWS_WITH_AS(write_c(path, {.inputs = {a}, .outputs = {inverse(a)}}, {.sizes = {{3, 3}}}),
                       doctest::Contains("the op inverse has no counterpart in C: inverse(a)"),
                       TypeError);
  CHECK_THROWS_WITH_AS(write_c(path, {.inputs = {a}, .outputs = {exp(a)}}),
                       doctest::Contains("must be known"), TypeError);
  CHECK_FALSE(std::ifstream(path).good());
}
