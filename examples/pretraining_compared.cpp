// What regularised autoencoders learn that helps to classify: a layer of each kind is trained
// without labels, then fine-tuned as the hidden layer of a classifier. Table 1 of Rifai, Vincent,
// Muller, Glorot, Bengio, "Contractive Auto-Encoders", ICML 2011.
//
//     pretraining_compared                                   small, on Fashion-MNIST
//     pretraining_compared --data MNIST --preset paper       1000 units; takes a while, --resume
//                                                            goes on after what is finished
//
// Writes: *_filters.png for each kind; finished.tsv, what need not be done again.
//
// Expect: contractive and denoising features classify better than those of a plain autoencoder,
// and ||J|| is smallest for the contractive one. Settings are chosen by the validation error.
// Takes some minutes; the preset an hour and a half.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "common/figures.hpp"

using namespace cinch;
using namespace cinch::examples;

namespace {

struct Settings {
  std::int64_t hidden = 200, pretraining_epochs = 3;
  double pretraining_rate = 0.1;
  double scale = 0.2;              ///< Of first weights: from large ones, many units stay noisy.
  std::vector<double> rates{0.4};  ///< Of fine-tuning: the first of each step, then a cosine.
  std::vector<double> noise{0.3};  ///< Deviation of what is added to pixels in fine-tuning.
  std::int64_t runs = 1;           ///< Fine-tunings of each, by seeds of their own: means count.
  std::vector<std::string> kinds = {};
  std::vector<double> values = {};  ///< Instead of the kinds' own.
  bool grid = false, paper = false;
};

/// One row of the table: a cost of x with a setting of its own, and the values to try.
struct Kind {
  const char *name, *title, *setting;
  std::vector<double> values;
  const char* published;
  Expr (*cost)(const Autoencoder& model, const Expr& x, double setting, RandomStreams& noise);
};

const std::vector<Kind>& kinds() {
  using S = RandomStreams;
  static const std::vector<Kind> all{
      {"cae",
       "CAE",
       "lambda",
       {0.5, 0.35, 0.2},
       "1.14 %",
       [](const Autoencoder& m, const Expr& x, double lambda, S&) {
         return reconstruction_cost(m, x, cross_entropy) +
                lambda * mean(jacobian_norm2(m.encode(x), x));
       }},
      {"dae-gaussian",
       "DAE, Gaussian noise",
       "deviation",
       {0.5, 0.4, 0.3},
       "1.18 %",
       [](const Autoencoder& m, const Expr& x, double sd, S& noise) {
         return denoising_cost(m, x, gaussian(x, sd, noise).x, cross_entropy);
       }},
      {"dae-masking",
       "DAE, masking",
       "share",
       {0.25, 0.4},
       "1.57 %",
       [](const Autoencoder& m, const Expr& x, double level, S& noise) {
         return denoising_cost(m, x, masking(x, level, noise).x, cross_entropy);
       }},
      {"decay",
       "AE, weight decay",
       "weight",
       {1e-3, 1e-4},
       "1.68 %",
       [](const Autoencoder& m, const Expr& x, double decay, S&) {
         return reconstruction_cost(m, x, cross_entropy) + decay * weight_decay(m.params());
       }},
      {"ae",
       "AE",
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
  double validation = 1, test = 1, rate = 0, noise = 0, jacobian = 0, saturated = 0, minutes = 0;
};

/// What an earlier run found, by what it was asked: finished ones are not run again.
class Memory {
 public:
  /// `settings`: all that the runs have in common; `writes`: whether this process keeps the file.
  /// Throws ValueError where the file is of others.
  Memory(std::string path, const std::string& settings, bool resume, bool writes)
      : path_(std::move(path)), writes_(writes) {
    std::ifstream in(path_);
    std::string line;
    if (resume && std::getline(in, line)) {
      if (line != settings)
        throw ValueError(text("--resume: ", path_, " is of other settings: ", line, "; now ",
                              settings, ". Choose another --output, or leave --resume out"));
      // A last line that was cut short is one that did not finish.
      while (std::getline(in, line) && !in.eof()) {
        const std::size_t tab = line.find('\t');
        std::istringstream numbers(line.substr(std::min(tab, line.size())));
        Outcome o;
        if (!(numbers >> o.validation >> o.test >> o.rate >> o.noise >> o.jacobian >> o.saturated >>
              o.minutes))
          throw FileError(text(path_, ": cannot be read: ", line));
        known_[line.substr(0, tab)] = o;
      }
      return;
    }
    write(settings, std::ios::trunc);
  }
  const Outcome* find(const std::string& key) const {
    const auto at = known_.find(key);
    return at == known_.end() ? nullptr : &at->second;
  }
  const Outcome* add(const std::string& key, const Outcome& o) {
    write(text(key, '\t', o.validation, ' ', o.test, ' ', o.rate, ' ', o.noise, ' ', o.jacobian,
               ' ', o.saturated, ' ', o.minutes),
          std::ios::app);
    return &(known_[key] = o);
  }

 private:
  void write(const std::string& line, std::ios::openmode mode) const {
    if (!writes_) return;
    std::ofstream out(path_, mode);
    out << line << '\n';
    if (!out.flush()) throw FileError(path_ + ": cannot be written");
  }

  std::string path_;
  bool writes_;
  std::map<std::string, Outcome> known_;
};

/// Values to go back to.
std::vector<Tensor> values(const std::vector<Shared>& params) {
  std::vector<Tensor> result;
  for (const Shared& param : params) result.push_back(param.get());
  return result;
}

/// Pretrains one kind with one setting, then fine-tunes what it learned at each of the rates.
class Study {
 public:
  Study(const Options& o, const Settings& s, const DataSets& data, const Kind& kind, double setting)
      : o_(o),
        s_(s),
        data_(data),
        name_(*kind.setting ? text(kind.name, " ", setting) : std::string(kind.name)),
        part_(file_name(name_)),
        random_(o.seed),
        noise_(o.seed),
        model_(autoencoder({data.pixels(), s.hidden}, random_, {.dtype = o.type()})) {
    if (!o.quiet) std::printf("%s\n", name_.c_str());
    Shared W = as_shared(model_.encoder.layers[0].W);
    W.set(evaluate(s.scale * W));
    // With no features yet, a reconstruction is the mean image (Hinton, "A Practical Guide to
    // Training Restricted Boltzmann Machines", 2010, section 8.1): units need not spend themselves
    // on it. A pixel that is never on would ask for an infinite bias.
    const Expr on = clip(mean(x_, 0), 0.001, 0.999);
    as_shared(model_.decoder.layers[0].b)
        .set(evaluate(log(on / (1 - on)), {{x_, data.training.images}}));
    const Expr cost = kind.cost(model_, x_, setting, noise_);
    TrainOptions t = o.training(part_ + "_pretraining_");
    t.step = function({.inputs = {x_},
                       .outputs = {cost},
                       .updates = sgd(cost, model_.params(), s.pretraining_rate),
                       .name = "pretraining"});
    t.data = {&data.training.images};
    t.epochs = s.pretraining_epochs;
    t.shuffle = o.seed;
    pretrained_.minutes = train_to_end(t).state.seconds / 60;

    const Expr h = model_.encode(x_);
    const Expr near_a_limit = h < 0.05 || h > 0.95;
    const auto means = mean_over(
        function({{x_}, {mean(sqrt(jacobian_norm2(h, x_))), mean(cast(near_a_limit, o.type()))}}),
        {&data.validation.images});
    pretrained_.jacobian = means[0];
    pretrained_.saturated = means[1];
    Picture learned = filters(model_.encoder.layers[0].W, data.tiling());
    learned.title += ": " + name_;
    show(o, part_ + "_filters", learned, "After pretraining, before fine-tuning.");
    if (setting == kind.values.front())
      examine(o, name_, t.step, cost, model_.params(), {{x_, first(data.validation, 20).images}});
    first_ = values(model_.encoder.params());
  }

  /// Fine-tunes from what was pretrained, as often as asked for: means of the errors.
  Outcome tuned(double rate, double deviation) {
    Outcome result = pretrained_;
    pretrained_.minutes = 0;  // Counted once.
    result.rate = rate;
    result.noise = deviation;
    result.validation = result.test = 0;
    const auto runs = static_cast<double>(s_.runs);
    for (std::int64_t run = 0; run < s_.runs; ++run) {
      const Tuning tuning = tune(rate, deviation, run);
      result.validation += tuning.validation / runs;
      result.test += tuning.test / runs;
      result.minutes += tuning.minutes;
    }
    return result;
  }

 private:
  /// One fine-tuning: errors, and how long it took.
  struct Tuning {
    double validation, test, minutes;
  };

  /// The classifier on top begins at zero each time; the weights of the best validation error
  /// count.
  Tuning tune(double rate, double deviation, std::int64_t run) {
    const std::int64_t seed = o_.seed + 1 + run;
    std::vector<Shared> layer = model_.encoder.params();
    for (std::size_t k = 0; k < layer.size(); ++k) layer[k].set(first_[k]);
    const Network net =
        classifier(model_.encoder, logistic_regression(s_.hidden, data_.classes(), o_.type()));
    RandomStreams noise(seed);
    const Expr seen = deviation > 0 ? gaussian(x_, deviation, noise).x : x_;
    const Expr labels = lvector("labels"), error = error_rate(labels, net(x_)),
               loss = classification_cost(labels, net(seen));
    const Shared step = step_counter();
    Updates updates =
        sgd(loss, net.params(), falling_rate(step, rate, o_, data_.training.images.shape()[0]));
    updates.push_back(advance(step));

    // Named by what there are several of.
    std::string name = part_ + " tuning";
    if (s_.rates.size() > 1) name += text(" rate ", rate);
    if (s_.noise.size() > 1) name += text(" noise ", deviation);
    if (s_.runs > 1) name += text(" run ", run + 1);
    TrainOptions t = o_.training(file_name(name + " "));
    t.step = function(
        {.inputs = {x_, labels}, .outputs = {loss}, .updates = updates, .name = "fine-tuning"});
    t.validate = function({.inputs = {x_, labels}, .outputs = {error}, .name = "error"});
    t.data = {&data_.training.images, &data_.training.labels};
    t.validation_data = {&data_.validation.images, &data_.validation.labels};
    t.validation_batch = 1000;
    t.shuffle = seed;
    t.params = net.params();
    t.restore_best = true;
    const TrainState trained = train_to_end(t).state;
    return {trained.patience.best,
            mean_over(t.validate, {&data_.test.images, &data_.test.labels})[0],
            trained.seconds / 60};
  }

  const Options& o_;
  const Settings& s_;
  const DataSets& data_;
  std::string name_, part_;  ///< "cae 0.35", and what its files' names begin with.
  RandomState random_;
  RandomStreams noise_;
  Autoencoder model_;
  Expr x_ = matrix("x", o_.type());
  Outcome pretrained_;
  std::vector<Tensor> first_;
};

/// The best so far by the validation error, and the setting it was found with.
struct Best {
  Outcome outcome;
  double setting = NAN;
  void observe(const Outcome& found, double with) {
    if (!std::isnan(setting) && found.validation >= outcome.validation) return;
    outcome = found;
    setting = with;
  }
};

void compare(const Options& o, const Settings& s) {
  const DataSets data = load(o);
  expect(o,
         "contractive and denoising features classify better than plain ones, and ||J|| is "
         "smallest for the former");
  Memory memory(
      o.output + "/finished.tsv",
      text(data.training.images.shape()[0], " images, ", s.hidden, " units, ", s.pretraining_epochs,
           " + ", o.epochs, " epochs, batch ", o.batch, ", rate ", s.pretraining_rate, ", scale ",
           s.scale, ", ", s.runs, " runs, seed ", o.seed, ", ", o.dtype),
      o.resume, o.writes());
  Results results(o, text("Pretraining compared: ", s.hidden, " sigmoid units, then fine-tuned"),
                  data.mnist && s.paper);
  double minutes = 0;
  for (const Kind& kind : kinds()) {
    if (!s.kinds.empty() && std::ranges::find(s.kinds, kind.name) == s.kinds.end()) continue;
    std::vector<double> grid = s.values.empty() || !*kind.setting ? kind.values : s.values;
    if (!s.grid) grid.resize(1);
    Best best, best_plain;
    for (const double setting : grid) {
      const std::string key = text(kind.name, " ", kind.setting, " ", setting);
      std::optional<Study> study;
      for (const double rate : s.rates) {
        for (const double deviation : s.noise) {
          const std::string whole_key = text(key, " rate ", rate, " noise ", deviation);
          const Outcome* found = memory.find(whole_key);
          if (!found) {
            if (!study) study.emplace(o, s, data, kind, setting);
            found = memory.add(whole_key, study->tuned(rate, deviation));
          }
          minutes += found->minutes;
          best.observe(*found, setting);
          if (deviation == 0) best_plain.observe(*found, setting);
        }
      }
    }
    const auto title = [&](double setting) {
      return *kind.setting ? text(kind.title, " (", kind.setting, " ", setting, ")")
                           : std::string(kind.title);
    };
    const std::string name = title(best.setting);
    results.add(name + ": test error", percent(best.outcome.test), kind.published);
    results.add(name + ": validation error", percent(best.outcome.validation));
    results.add(name + ": fine-tuning rate, deviation of noise",
                number(best.outcome.rate) + ", " + number(best.outcome.noise));
    if (!std::isnan(best_plain.setting) && best.outcome.noise > 0)
      results.add(title(best_plain.setting) + ": fine-tuned without noise, validation and test",
                  percent(best_plain.outcome.validation) + ", " + percent(best_plain.outcome.test));
    results.add(name + ": mean norm of J before fine-tuning", number(best.outcome.jacobian));
    results.add(name + ": units within .05 of a limit", percent(best.outcome.saturated));
  }
  results.add("minutes", number(minutes, 3));
  results.write();
}

}  // namespace

int main(int argc, char** argv) {
  Options o{.output = "out/pretraining_compared", .images = 10000, .epochs = 10, .batch = 20};
  Settings s;
  std::string preset = "default";
  CLI::App app{"Regularised autoencoders as pretraining, side by side.\n"};
  add_options(app, o, {"--rate"});
  app.add_option("--preset", preset, "paper: 1000 units, all images, settings from small grids")
      ->check(CLI::IsMember({"paper", "default"}));
  app.add_option("--hidden", s.hidden, "Units")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}));
  app.add_option("--pretraining-epochs", s.pretraining_epochs, "Without labels")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1000000}));
  app.add_option("--pretraining-rate", s.pretraining_rate, "Learning rate without labels")
      ->check(above_zero());
  app.add_option("--scale", s.scale, "Of the first weights, in terms of autoencoder()'s")
      ->check(above_zero());
  app.add_option("--rates", s.rates, "Rates of fine-tuning to choose from")
      ->check(above_zero())
      ->delimiter(',');
  app.add_option("--noise", s.noise, "Deviations of noise on pixels in fine-tuning to choose from")
      ->check(not_negative())
      ->delimiter(',');
  app.add_option("--runs", s.runs, "Fine-tunings of each, the means of which count")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000}));
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.emplace_back(kind.name);
  app.add_option("--kinds", s.kinds, "These alone")->check(CLI::IsMember(names))->delimiter(',');
  app.add_option("--values", s.values, "Of each kind's setting, to choose from with --grid")
      ->check(not_negative())
      ->delimiter(',');
  app.add_flag("--grid", s.grid, "Try several settings of each kind");
  for (CLI::Option* option : app.get_options()) option->capture_default_str();
  app.parse_complete_callback([&] {
    if (preset != "paper") return;
    s.grid = s.paper = true;
    by_preset(app, "--hidden", s.hidden, 1000);
    by_preset(app, "--pretraining-epochs", s.pretraining_epochs, 60);
    by_preset(app, "--pretraining-rate", s.pretraining_rate, 0.05);
    by_preset(app, "--scale", s.scale, 0.05);
    by_preset(app, "--rates", s.rates, {1});
    by_preset(app, "--noise", s.noise, {0, 0.3});
    by_preset(app, "--runs", s.runs, 3);
    by_preset(app, "--images", o.images, 50000);
    by_preset(app, "--epochs", o.epochs, 50);
  });
  return run("pretraining_compared", app, argc, argv, o, [&] { compare(o, s); });
}
