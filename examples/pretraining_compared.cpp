// What regularised autoencoders learn that helps to classify: a layer of each kind is trained
// without labels, then fine-tuned as the hidden layer of a classifier. Table 1 of Rifai, Vincent,
// Muller, Glorot, Bengio, "Contractive Auto-Encoders", ICML 2011.
//
//     pretraining_compared                                   small, on Fashion-MNIST
//     pretraining_compared --data MNIST --preset paper       1000 units; takes a while, --resume
//                                                            goes on after what is finished
//
// Expect: contractive and denoising features classify better than those of a plain autoencoder,
// and ||J|| is smallest for the contractive one. Settings are chosen by the validation error.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <train/minibatches.hpp>

#include "common/common.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 200, pretraining_epochs = 3, tuning_patience = 5;
  double pretraining_rate = 0.05;
  bool grid = false;
};

/// One row of the table: a cost of x with a setting of its own, and the values to try.
struct Kind {
  const char *name, *setting;
  std::vector<double> values;
  const char* published;
  Expr (*cost)(const Autoencoder& model, const Expr& x, double setting, RandomStreams& noise);
};

const std::vector<Kind>& kinds() {
  using S = RandomStreams;
  static const std::vector<Kind> all{
      {"CAE",
       "lambda",
       {0.1, 0.03, 0.3},
       "1.14 %",
       [](const Autoencoder& m, const Expr& x, double lambda, S&) {
         return reconstruction_cost(m, x, cross_entropy) +
                lambda * mean(jacobian_norm2(m.encode(x), x));
       }},
      {"DAE, Gaussian noise",
       "deviation",
       {0.3, 0.1, 0.5},
       "1.18 %",
       [](const Autoencoder& m, const Expr& x, double sd, S& noise) {
         return denoising_cost(m, x, gaussian(x, sd, noise).x, cross_entropy);
       }},
      {"DAE, masking",
       "share",
       {0.25, 0.1, 0.4},
       "1.57 %",
       [](const Autoencoder& m, const Expr& x, double level, S& noise) {
         return denoising_cost(m, x, masking(x, level, noise).x, cross_entropy);
       }},
      {"AE, weight decay",
       "weight",
       {1e-3, 1e-4, 1e-2},
       "1.68 %",
       [](const Autoencoder& m, const Expr& x, double decay, S&) {
         return reconstruction_cost(m, x, cross_entropy) + decay * weight_decay(m.params());
       }},
      {"AE",
       "",
       {0},
       "1.78 %",
       [](const Autoencoder& m, const Expr& x, double, S&) {
         return reconstruction_cost(m, x, cross_entropy);
       }},
  };
  return all;
}

struct Outcome {
  double validation = 1, test = 1, jacobian = 0, saturated = 0, minutes = 0;
};

/// What an earlier run found, by what it was asked: finished ones are not run again.
class Memory {
 public:
  Memory(std::string path, bool resume) : path_(std::move(path)) {
    if (!resume) std::filesystem::remove(path_);
    std::ifstream in(path_);
    std::string key;
    for (Outcome o; std::getline(in, key, '\t') &&
                    in >> o.validation >> o.test >> o.jacobian >> o.saturated >> o.minutes &&
                    in.ignore();)
      known_[key] = o;
  }
  const Outcome* find(const std::string& key) const {
    const auto at = known_.find(key);
    return at == known_.end() ? nullptr : &at->second;
  }
  void add(const std::string& key, const Outcome& o) {
    known_[key] = o;
    std::ofstream out(path_, std::ios::app);
    out << key << '\t' << o.validation << ' ' << o.test << ' ' << o.jacobian << ' ' << o.saturated
        << ' ' << o.minutes << '\n';
    if (!out.flush()) throw FileError(path_ + ": cannot be written");
  }

 private:
  std::string path_;
  std::map<std::string, Outcome> known_;
};

/// Mean of a scalar formula of (x, labels), a thousand examples at a time.
double mean_of(const Expr& e, const Expr& x, const Expr& labels, const Examples& set) {
  const Function f = function({.inputs = {x, labels}, .outputs = {e}, .allow_unused_inputs = true});
  const std::int64_t count = set.images.shape()[0];
  Minibatches batches("mean_of", {&set.images, &set.labels}, std::min<std::int64_t>(count, 1000));
  double sum = 0;
  std::vector<Tensor> outputs;
  for (std::int64_t k = 0; k < batches.count(); ++k) {
    f.call(batches.get(k), outputs);
    sum += outputs[0].item() * static_cast<double>(batches.rows_of(k));
  }
  return sum / static_cast<double>(count);
}

Outcome learn(const Options& o, const Settings& s, const DataSets& data, const Kind& kind,
              double setting, const std::string& part) {
  RandomState random(o.seed);
  const Autoencoder model = autoencoder({data.pixels(), s.hidden}, random, {.dtype = o.type()});
  RandomStreams noise(o.seed);
  const Expr x = matrix("x", o.type()), labels = lvector("labels"), h = model.encode(x);
  const Expr cost = kind.cost(model, x, setting, noise);

  TrainOptions t = o.training(part + "pretraining_");
  t.step = function(
      {.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, model.params(), s.pretraining_rate)});
  t.data = {&data.training.images};
  t.epochs = s.pretraining_epochs;
  t.shuffle = o.seed;
  const double pretraining = train(t).state.seconds;
  Outcome result;
  result.jacobian = mean_of(mean(sqrt(jacobian_norm2(h, x))), x, labels, data.validation);
  const Expr near = cast((h < 0.05) || (h > 0.95), o.type());
  result.saturated = mean_of(mean(near), x, labels, data.validation);
  write_png(o.output + "/" + part + "filters.png",
            tile_images(evaluate(transpose(model.encoder.layers[0].W)), data.tiling()));

  const Network net =
      classifier(model.encoder, logistic_regression(s.hidden, data.classes, o.type()));
  const Expr error = error_rate(labels, net(x)), loss = classification_cost(labels, net(x));
  TrainOptions u = o.training(part + "tuning_");
  u.step = function(
      {.inputs = {x, labels}, .outputs = {loss}, .updates = sgd(loss, net.params(), o.rate)});
  u.validate = function({.inputs = {x, labels}, .outputs = {error}});
  u.data = {&data.training.images, &data.training.labels};
  u.validation_data = {&data.validation.images, &data.validation.labels};
  u.validation_batch = 1000;
  u.shuffle = o.seed;
  u.early_stopping =
      EarlyStopping{.patience = static_cast<double>(s.tuning_patience *
                                                    data.training.images.shape()[0] / o.batch)};
  u.params = net.params();
  u.restore_best = true;
  const TrainResult tuned = train(u);
  result.validation = tuned.state.patience.best;
  result.test = mean_of(error, x, labels, data.test);
  result.minutes = (pretraining + tuned.state.seconds) / 60;
  return result;
}

void compare(const Options& o, const Settings& s) {
  const DataSets data = load(o);
  Memory memory(o.output + "/finished.tsv", o.resume);
  Results results(o, text("Pretraining compared: ", s.hidden, " sigmoid units, then fine-tuned"));
  double minutes = 0;
  for (const Kind& kind : kinds()) {
    Outcome best;
    double chosen = 0;
    const std::size_t tried = s.grid ? kind.values.size() : 1;
    for (std::size_t k = 0; k < tried; ++k) {
      const double setting = kind.values[k];
      const std::string key = text(kind.name, " ", kind.setting, " ", setting);
      std::string part;
      for (const char c : key) part += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      const Outcome* known = memory.find(key);
      if (!known) {
        if (!o.quiet) std::printf("%s\n", key.c_str());
        memory.add(key, learn(o, s, data, kind, setting, part + "_"));
        known = memory.find(key);
      }
      minutes += known->minutes;
      if (known->validation < best.validation || k == 0) {
        best = *known;
        chosen = setting;
      }
    }
    const std::string name = *kind.setting ? text(kind.name, " (", kind.setting, " ", chosen, ")")
                                           : std::string(kind.name);
    results.add(name + ": test error", percent(best.test), kind.published);
    results.add(name + ": validation error", percent(best.validation));
    results.add(name + ": mean ||J||", number(best.jacobian));
    results.add(name + ": units within .05 of a limit", percent(best.saturated));
  }
  results.add("minutes", number(minutes, 3));
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/pretraining_compared",
            .images = 10000,
            .epochs = 10,
            .batch = 20,
            .rate = 0.1};
  Settings s;
  std::string preset = "default";
  CLI::App app{"Regularised autoencoders as pretraining, side by side.\n"};
  add_options(app, o);
  app.add_option("--preset", preset, "paper: 1000 units, all images, settings from small grids")
      ->check(CLI::IsMember({"paper", "default"}));
  auto* hidden = app.add_option("--hidden", s.hidden, "Units")
                     ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}));
  auto* epochs = app.add_option("--pretraining-epochs", s.pretraining_epochs, "Without labels")
                     ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000}));
  app.add_option("--pretraining-rate", s.pretraining_rate, "Learning rate without labels")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* patience = app.add_option("--patience", s.tuning_patience, "Epochs of fine-tuning at least")
                       ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}));
  app.add_flag("--grid", s.grid, "Try several settings of each kind");
  app.parse_complete_callback([&] {
    if (preset != "paper") return;
    s.grid = true;
    if (!*hidden) s.hidden = 1000;
    if (!*epochs) s.pretraining_epochs = 30;
    if (!*patience) s.tuning_patience = 20;
    if (!app.count("--images")) o.images = 50000;
    if (!app.count("--epochs")) o.epochs = 60;
  });
  return run("pretraining_compared", app, argc, argv, o, [&] { compare(o, s); });
}
