#include "cinch/train/train.hpp"

#include <doctest/doctest.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <set>

#include "cinch/core/columns.hpp"
#include "io/temporary_folder.hpp"
#include "small_training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor counting(std::int64_t rows) {
  Tensor result(DType::float64, {rows});
  std::iota(result.data<double>().begin(), result.data<double>().end(), 0.0);
  return result;
}

/// Its step gives the sum of a minibatch of 0, 1, 2, ... and counts in `steps`.
struct Counting {
  Tensor data;
  Expr x = vector("x", DType::float64);
  Shared steps = step_counter("steps");
  TrainOptions options;

  explicit Counting(std::int64_t rows) : data(counting(rows)) {
    options.step =
        function({.inputs = {x}, .outputs = {mean(x), sum(x)}, .updates = {advance(steps)}});
    options.data = {&data};
    options.out = nullptr;
  }
};

struct Seen {
  std::int64_t epoch, batch, step, rows;
  double sum;
  bool operator==(const Seen&) const = default;
};

std::vector<Seen> steps_of(TrainOptions options) {
  std::vector<Seen> seen;
  options.after_step = [&](const StepReport& r) {
    seen.push_back({r.epoch, r.batch, r.step, r.rows, r.outputs[1].item()});
  };
  train(options);
  return seen;
}

}  // namespace

TEST_CASE("outputs of the validation have names of their own where some are given") {
  const TemporaryFolder folder;
  SmallTraining s;
  s.options.epochs = 1;
  s.options.log = folder / "log.csv";
  s.options.validation_names = {"error"};
  train(s.options);
  CHECK(contains(read_file(folder / "log.csv"), ",size of W,error,best,"));
  s.options.validation_names = {"a", "b"};
  CHECK(contains(error_of<ValueError>([&] { train(s.options); }),
                 "train: 2 names for 1 outputs of the validation"));
}

TEST_CASE("minibatches follow the data's order and the last one is smaller") {
  Counting c(7);
  c.options.epochs = 2;
  c.options.batch = 3;
  CHECK(steps_of(c.options) == std::vector<Seen>{{0, 0, 0, 3, 3},
                                                 {0, 1, 1, 3, 12},
                                                 {0, 2, 2, 1, 6},
                                                 {1, 0, 3, 3, 3},
                                                 {1, 1, 4, 3, 12},
                                                 {1, 2, 5, 1, 6}});
  CHECK(c.steps.value() == Tensor(std::int64_t{6}));
  // The mean over all rows, not over minibatches: (0 + ... + 6) / 7.
  c.options.epochs = 1;
  CHECK(train(c.options).state.history[0].training[0] == doctest::Approx(3).epsilon(1e-14));
  c.options.drop_last = true;
  CHECK(steps_of(c.options) == std::vector<Seen>{{0, 0, 0, 3, 3}, {0, 1, 1, 3, 12}});
  c.options.drop_last = false;
  c.options.batch = 100;
  CHECK(steps_of(c.options) == std::vector<Seen>{{0, 0, 0, 7, 21}});
}

TEST_CASE("a step that slices its own data gets the number of the minibatch") {
  const Shared rows(counting(7), "rows");
  const Expr k = lscalar("k"), x = vector("x", DType::float64);
  Counting c(7);
  TrainOptions numbered = c.options;
  numbered.step = function({.inputs = {k},
                            .outputs = {mean(x), sum(x)},
                            .updates = {advance(c.steps)},
                            .givens = {{x, slice(rows, k * 3, (k + 1) * 3)}}});
  numbered.data.clear();
  numbered.rows = 7;
  numbered.batch = c.options.batch = 3;
  numbered.epochs = c.options.epochs = 2;
  for (const bool drop_last : {false, true}) {
    numbered.drop_last = c.options.drop_last = drop_last;
    CHECK(steps_of(numbered) == steps_of(c.options));
    CHECK(train(numbered).state.history[1].training == train(c.options).state.history[1].training);
  }
}

TEST_CASE("mean_over weighs a smaller last minibatch by its rows") {
  const Tensor data = counting(7);
  const Expr x = vector("x", DType::float64);
  const Function f = function({.inputs = {x}, .outputs = {mean(x), mean(square(x))}});
  for (const std::int64_t batch : {1, 3, 7, 100}) {
    CAPTURE(batch);
    const std::vector<double> means = mean_over(f, {&data}, batch);
    REQUIRE(means.size() == 2);
    CHECK(means[0] == doctest::Approx(3).epsilon(1e-14));
    CHECK(means[1] == doctest::Approx(13).epsilon(1e-14));
  }
  CHECK(contains(error_of<ValueError>([&] { mean_over(f, {&data}, 0); }), "got size 0"));
  CHECK(contains(error_of<TypeError>([&] { mean_over(f, {}); }), "there are no data"));
  const Function each = function({.inputs = {x}, .outputs = {x * 2}, .name = "each"});
  CHECK(contains(error_of<TypeError>([&] { mean_over(each, {&data}); }),
                 "output 0 of each must be a scalar, got shape (7,)"));
}

TEST_CASE("shuffling gives each epoch every row once, in an order of its own, from the seed") {
  Counting c(50);
  c.options.epochs = 3;
  c.options.batch = 1;
  c.options.shuffle = 11;
  const auto seen = steps_of(c.options);
  REQUIRE(seen.size() == 150);
  std::set<std::vector<double>> orders;
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<double> order;
    for (std::size_t k = 0; k < 50; ++k) order.push_back(seen[epoch * 50 + k].sum);
    orders.insert(order);
    std::ranges::sort(order);
    for (std::size_t k = 0; k < 50; ++k) CHECK(order[k] == static_cast<double>(k));
  }
  CHECK(orders.size() == 3);
  CHECK(steps_of(c.options) == seen);
  c.options.shuffle = 12;
  CHECK(steps_of(c.options) != seen);
}

TEST_CASE("training lowers the loss, and the log has a row an epoch") {
  const TemporaryFolder folder;
  SmallTraining s;
  s.options.epochs = 30;
  s.options.log = folder / "log.csv";
  const TrainResult result = train(s.options);
  CHECK(result.stopped == TrainResult::Stopped::at_end);
  REQUIRE(result.state.history.size() == 30);
  const EpochReport &first = result.state.history.front(), &last = result.state.history.back();
  CHECK(last.training[0] < 0.7 * first.training[0]);
  CHECK(last.step == 180);
  CHECK(first.rate == 0.02);
  CHECK(first.best == first.validation[0]);

  std::istringstream log(read_file(folder / "log.csv"));
  std::string line;
  std::getline(log, line);
  CHECK(line == "epoch,step,loss,size of W,validation loss,best,rate,seconds");
  std::getline(log, line);
  std::istringstream row(line);
  std::vector<double> values;
  for (std::string field; std::getline(row, field, ',');) values.push_back(std::stod(field));
  CHECK(values == std::vector<double>{0, 6, first.training[0], first.training[1],
                                      first.validation[0], first.best, first.rate, first.seconds});
  int rows = 1;
  while (std::getline(log, line)) ++rows;
  CHECK(rows == 30);
}

TEST_CASE("patience is that of the Theano tutorials: a case by hand") {
  // Validation losses after steps 0, 1, 2, ... of which every second is looked at.
  Counting c(3);
  const Tensor losses = Tensor::from<double>({10}, {9, 9, 1.0, 9, 0.8, 9, 0.75, 9, 0.7, 9});
  const Tensor one = Tensor::from<double>({1}, {1.0});
  c.options.batch = 1;
  c.options.epochs = 100;
  c.options.validate =
      function({.inputs = {c.x}, .outputs = {at(constant(losses), c.steps) * mean(c.x)}});
  c.options.validation_data = {&one};
  c.options.validation_frequency = 2;
  c.options.early_stopping = {.patience = 4, .patience_increase = 2, .improvement_threshold = 0.9};
  // Step 1: 1, patience max(4, 2). Step 3: 0.8 < 0.9, patience 6. Step 5: 0.75 is the best, but not
  // below 0.72. Step 6: 6 <= 6.
  const TrainResult result = train(c.options);
  CHECK(result.stopped == TrainResult::Stopped::early);
  CHECK(result.state.step == 7);
  CHECK(result.state.patience.steps == 6);
  CHECK(result.state.patience.best == 0.75);
  CHECK(result.state.patience.best_step == 5);
  CHECK(result.state.history.size() == 3);
}

TEST_CASE("improvement is measured by the size of the loss, whatever its sign") {
  const EarlyStopping settings{.patience = 0, .patience_increase = 2, .improvement_threshold = 0.5};
  Patience patience;
  CHECK(observe(patience, &settings, 10, -100));
  CHECK(patience.steps == 20);
  CHECK(observe(patience, &settings, 20, -149));
  CHECK(patience.steps == 20);
  CHECK(observe(patience, &settings, 30, -230));
  CHECK(patience.steps == 60);
  CHECK_FALSE(observe(patience, &settings, 40, -229));
  CHECK(patience.best_step == 30);
}

TEST_CASE("validation happens once an epoch, or within half the patience") {
  struct Row {
    double patience;
    std::int64_t first;  ///< Steps up to the first validation.
  };
  for (const Row& row : {Row{1000, 6}, Row{6, 3}, Row{1, 1}}) {
    CAPTURE(row.patience);
    SmallTraining s;
    s.options.epochs = 1;
    s.options.validation_frequency = 0;
    s.options.early_stopping = {.patience = row.patience, .improvement_threshold = 1e-9};
    s.options.shuffle = {};
    std::int64_t calls = 0;
    const Shared count = step_counter("validations");
    const Expr a = matrix("a"), b = vector("b", DType::float32);
    s.options.validate =
        function({.inputs = {a, b}, .outputs = {mean(a) + mean(b)}, .updates = {advance(count)}});
    s.options.after_step = [&](const StepReport& r) {
      if (calls == 0 && count.value().item() > 0) calls = r.step + 1;
    };
    train(s.options);
    CHECK(calls == row.first);
  }
}

TEST_CASE("the parameters of the best validation can be had in the end") {
  Counting c(4);
  const Tensor losses = Tensor::from<double>({6}, {9, 5, 3, 1, 2, 4});
  const Tensor one = Tensor::from<double>({1}, {1.0});
  const Shared p(Tensor(0.0), "p");
  c.options.step = function(
      {.inputs = {c.x}, .outputs = {mean(c.x)}, .updates = {advance(c.steps), {p, p + 10}}});
  c.options.batch = 1;
  c.options.epochs = 1;
  c.options.validate =
      function({.inputs = {c.x}, .outputs = {at(constant(losses), c.steps) * mean(c.x)}});
  c.options.validation_data = {&one};
  c.options.validation_frequency = 1;
  c.options.params = {p};
  train(c.options);
  CHECK(p.value().item() == 40);
  c.steps.set(std::int64_t{0});
  Shared(p).set(0.0);
  c.options.restore_best = true;
  const TrainResult result = train(c.options);
  CHECK(p.value().item() == 30);
  CHECK(result.state.best[0] == Tensor(30.0));
}

TEST_CASE("settings and functions that do not fit are refused") {
  const auto refused = [](const std::function<void(SmallTraining&)>& change) {
    SmallTraining s;
    change(s);
    return error_of<Error>([&] { train(s.options); });
  };
  using S = SmallTraining;
  struct Row {
    std::function<void(S&)> change;
    const char* says;
  };
  const Tensor scalar_data(1.0), empty(DType::float32, {0, 3});
  const std::vector<Row> rows{
      {[](S& s) { s.options.batch = 0; }, "a minibatch must have rows, got size 0"},
      {[](S& s) { s.options.epochs = -1; }, "epochs must be at least 0, got -1"},
      {[](S& s) { s.options.checkpoint_every = 0; }, "checkpoint_every must be at least 1, got 0"},
      {[](S& s) { s.options.validation_frequency = -1; },
       "validation_frequency must be at least 0"},
      {[](S& s) { s.options.data.pop_back(); },
       "the step takes 2 inputs (in, out), its data are 1 tensors"},
      {[](S& s) { s.options.validation_data.pop_back(); }, "the validation takes 2 inputs"},
      {[](S& s) { s.options.validation_data.clear(); },
       "validate and validation_data belong together"},
      {[](S& s) { s.options.validate = {}; }, "validate and validation_data belong together"},
      {[](S& s) { s.options.data[1] = &s.y_valid; },
       "the same number of rows, got (23, 3) and (7,)"},
      {[](S& s) { s.options.data[1] = nullptr; }, "a tensor of the data is a null pointer"},
      {[&](S& s) { s.options.data[0] = &scalar_data; }, "the data must have rows, got a scalar"},
      {[&](S& s) {
         s.options.data = {&empty, &empty};
       },
       "there are 0 rows, too few for a minibatch"},
      {[](S& s) { s.options.validate = s.options.step; },
       "so that it would train on what it validates with"},
      {[](S& s) { s.options.log = s.options.checkpoint = "./nowhere"; },
       "log and checkpoint are one file, ./nowhere"},
      {[](S& s) { s.options.batch = 24, s.options.drop_last = true; },
       "there are 23 rows, too few"},
      {[](S& s) {
         s.options.names = {"a", "b", "c"};
       },
       "3 names for 2 outputs"},
      {[](S& s) { s.options.names = {"a"}; }, "1 names for 2 outputs"},
      {[](S& s) {
         const Expr in = matrix("in", DType::float32), out = vector("out", DType::float32);
         s.options.step = function({.inputs = {in, out}, .outputs = {mean(in) + mean(out)}});
       },
       "has no updates, so that nothing would be trained"},
      {[](S& s) { s.options.resume = Resume::always; }, "resume needs the path of a checkpoint"},
      {[](S& s) { s.options.restore_best = true, s.options.params.clear(); },
       "restore_best needs params and validation"},
      {[](S& s) { s.options.validate = {}, s.options.validation_data.clear(); },
       "early stopping needs validation"},
      {[](S& s) { s.options.early_stopping = {.patience = -1}; }, "patience must be not negative"},
      {[](S& s) { s.options.early_stopping = {.patience_increase = 0}; },
       "must be at least 1, got 0"},
      {[](S& s) { s.options.early_stopping = {.improvement_threshold = 2}; }, "must be in (0, 1]"},
      {[](S& s) { s.options.rate = s.b; }, "rate must be a scalar"},
      {[](S& s) { s.options.step = function({.updates = {advance(s.t)}}), s.options.data.clear(); },
       "the step has no outputs"},
      {[](S& s) {
         const Expr a = matrix("a");
         s.options.step = function({.inputs = {a}, .outputs = {sum(a, 0)}});
         s.options.data.pop_back();
       },
       "output 0 of the step must be a scalar"},
      {[](S& s) { s.options.step = {}; }, "an empty function was used"},
      {[](S& s) { s.options.rows = 23; }, "give data or rows, not both"},
      {[](S& s) { s.options.rows = 23, s.options.data.clear(); },
       "the step, which has no data but `rows`, takes 2 inputs"},
      {[](S& s) {
         const Expr a = scalar("a", DType::float32);
         s.options.step = function({.inputs = {a}, .outputs = {a}});
         s.options.rows = 23, s.options.data.clear();
       },
       "the number of the minibatch, an int64 scalar, got float32"},
      {[](S& s) {
         const Expr k = lscalar("k");
         s.options.step = function({.inputs = {k}, .outputs = {k + 0.5}});
         s.options.rows = 23, s.options.data.clear();
       },
       "shuffle needs data"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.says);
    const std::string error = refused(row.change);
    CAPTURE(error);
    CHECK(contains(error, row.says));
  }
}

TEST_CASE("a bar shows how much is done, and the time left") {
  CHECK(progress_line(3, 9, 0, 6, "epoch 1") ==
        "[##########....................] epoch 1, 12 s left");
  CHECK(progress_line(6, 9, 3, 6, "x") == "[####################..........] x, 6 s left");
  CHECK(progress_line(0, 9, 0, 0, "x") == "[..............................] x, 0 s left");
  CHECK(progress_line(9, 9, 0, 5, "x") == "[##############################] x, 0 s left");
  CHECK(progress_line(0, 0, 0, 0, "x") == "[..............................] x, 0 s left");
}

TEST_CASE("what has no place in a progress line is left out, the bar first") {
  const auto line = [](int width) { return progress_line(3, 9, 0, 6, "epoch 1, \u03b1 2", width); };
  CHECK(line(79) == "[##########....................] epoch 1, \u03b1 2, 12 s left");
  CHECK(line(40) == "[####..........] epoch 1, \u03b1 2, 12 s left");
  CHECK(line(30) == "epoch 1, \u03b1 2, 12 s left");
  CHECK(line(10) == "epoch 1, \u03b1");
  CHECK(line(9) == "epoch 1, ");
  CHECK(line(0).empty());
  CHECK(line(-1).empty());
}

TEST_CASE("progress stays on one line of a terminal, whatever its width") {
  struct Row {
    unsigned short columns;  // 0: the terminal does not say.
    const char* told;        // COLUMNS
    int width;
  };
  const std::string before = std::getenv("COLUMNS") ? std::getenv("COLUMNS") : "";
  for (const Row& row :
       {Row{1, "", 1}, Row{20, "", 20}, Row{40, "200", 40}, Row{60, "", 60}, Row{75, "", 75},
        Row{80, "", 80}, Row{300, "", 300}, Row{0, "33", 33}, Row{0, "", 80}, Row{0, "wide", 80}}) {
    CAPTURE(row.width);
    setenv("COLUMNS", row.told, 1);
    int master = -1, slave = -1;
    winsize size{};
    size.ws_row = 24;
    size.ws_col = row.columns;
    REQUIRE(openpty(&master, &slave, nullptr, nullptr, &size) == 0);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(fdopen(slave, "w"), std::fclose);
    CHECK(terminal_width(out.get()) == row.width);
    Progress progress(out.get(), 1000);
    std::string seen;
    for (const std::int64_t done : {1, 500, 1000}) {
      progress.show(done, "epoch 12, a rather long name of a loss 0.123456789");
      char buffer[1024];
      const ssize_t count = read(master, buffer, sizeof buffer);
      REQUIRE(count > 0);
      const std::string shown(buffer, static_cast<std::size_t>(count));
      CHECK(shown.front() == '\r');
      CHECK(shown.ends_with("\033[K"));
      CHECK_FALSE(contains(shown, "\n"));
      CHECK(shown.size() - 4 < static_cast<std::size_t>(row.width));
      if (row.width > 70) CHECK(contains(shown, " s left"));
    }
    close(master);
  }
  if (before.empty()) {
    unsetenv("COLUMNS");
  } else {
    setenv("COLUMNS", before.c_str(), 1);
  }
  const TemporaryFolder folder;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen((folder / "out").c_str(), "w"), std::fclose);
  CHECK(terminal_width(file.get()) == 80);
  CHECK(terminal_width(nullptr) == 80);
}

TEST_CASE("a line an epoch is printed, and no bar into a file") {
  const TemporaryFolder folder;
  SmallTraining s;
  s.options.epochs = 2;
  s.options.out = std::fopen((folder / "out").c_str(), "w");
  const TrainResult result = train(s.options);
  std::fclose(s.options.out);
  const std::string out = read_file(folder / "out");
  CHECK(std::ranges::count(out, '\n') == 2);
  CHECK(std::ranges::count(out, '\r') == 0);
  CHECK(contains(out, text("epoch 1  loss ", result.state.history[1].training[0], "  size of W ")));
}

TEST_CASE("a checkpoint that cannot be written is found out before the first step") {
  const TemporaryFolder folder;
  for (const std::string path : {"missing/run.npz", ""}) {
    SmallTraining s;
    const auto before = s.values();
    s.options.checkpoint = path.empty() ? folder / "." : folder / path;
    CHECK_THROWS_AS(train(s.options), FileError);
    CHECK(s.values() == before);
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("targets of a cross-entropy outside [0, 1] are refused, with their line") {
  const Expr x = dmatrix("x");
  const Shared W(Tensor::full(DType::float64, {3, 3}, 0.1), "W");
  const Expr a = dot(x, W), z = sigmoid(a);
  const Tensor pixels = Tensor::from<double>({2, 3}, {0, 255, 3, 4, 128, 6}),
               scaled = Tensor::from<double>({2, 3}, {0, 1, .3, .4, .5, .6}),
               centred = Tensor::from<double>({2, 3}, {-1, 1, .3, .4, .5, .6});
  const Expr losses[] = {
      mean(-sum(x * log(z) + (1 - x) * log(1 - z), 1)),
      -mean(x * log(z) + (1 - x) * log1p(-z)),
      mean(cross_entropy(x, z)),
      mean(binary_cross_entropy(x, z)),
      mean(binary_cross_entropy_from_logits(x, a)),
  };
  for (const Expr& loss : losses) {
    const auto error_for = [&](const Tensor& data) -> std::string {
      try {
        train(
            {.step = function({.inputs = {x}, .outputs = {loss}, .updates = sgd(loss, {W}, 1e-9)}),
             .data = {&data},
             .epochs = 1,
             .out = nullptr});
      } catch (const ValueError& error) {
        return error.what();
      }
      return "";
    };
    CHECK(error_for(scaled).empty());
    CHECK(contains(error_for(pixels), "x is from 0 to 255"));
    CHECK(contains(error_for(pixels), "Divide pixels by 255"));
    CHECK(contains(error_for(pixels), "train.cpp:"));
    CHECK(contains(error_for(centred), "Scale them into [0, 1]"));
  }
}

TEST_CASE("a bias or weights left out of the updates are said, whole layers and data are not") {
  const Tensor data = Tensor::full(DType::float64, {4, 3}, 0.5);
  const auto weights = [](const Shape& shape, const char* name) {
    return Shared(RandomState(1).uniform(-1, 1, shape), name);
  };
  const Shared W = weights({3, 2}, "W"), b = weights({2}, "b"), V = weights({2, 3}, "V"),
               c = weights({3}, "c"), scale = weights({3}, "scale");
  const Expr x = dmatrix("x"), h = tanh(dot(x, W) + b);
  const Expr cost = mean(square(dot(h, V) + c - x * scale));
  const auto said = [&](const std::vector<Shared>& trained) {
    std::FILE* file = std::tmpfile();
    train({.step = function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, trained, 0.1)}),
           .data = {&data},
           .epochs = 1,
           .out = file});
    std::rewind(file);
    std::string text(1 << 14, ' ');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    return text;
  };
  CHECK(contains(said({W, V, c}), "no update changes b (train.cpp:"));
  CHECK(contains(said({W, b, c}), "no update changes V ("));
  for (const auto& trained : {std::vector<Shared>{W, b, V, c}, {W, b}, {V, c}})
    CHECK_FALSE(contains(said(trained), "no update changes"));
}
