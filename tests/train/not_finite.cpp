// What makes a NaN or an infinity is named by the line that wrote it.
#include "cinch/train/checks/not_finite.hpp"

#include <doctest/doctest.h>

#include <csignal>

#include "io/temporary_folder.hpp"
#include "small_training.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// 100 minibatches of one row; p falls by 1 from `start` at each step.
struct Falling {
  Tensor data = Tensor::full(DType::float64, {100}, 1);
  Expr x = vector("x", DType::float64);
  Shared p, q{Tensor(0.0), "q"};
  TrainOptions options;

  explicit Falling(double start) : p(Tensor(start), "p") {
    options.data = {&data};
    options.batch = 1;
    options.epochs = 2;
    options.out = nullptr;
  }
  void step(const Expr& loss, const Expr& new_q) {
    options.step =
        function({.inputs = {x}, .outputs = {loss * mean(x)}, .updates = {{p, p - 1}, {q, new_q}}});
  }
  std::string error() {
    return error_of<ValueError>([&] { train(options); });
  }
};

std::string line_of(int line) { return text("not_finite.cpp:", line); }

}  // namespace

TEST_CASE("a loss that becomes NaN stops training and names the line") {
  for (const double steps : {0.0, 1.0, 63.0, 64.0, 65.0, 99.0, 130.0}) {
    CAPTURE(steps);
    Falling f(steps - 0.5);
    const int line = __LINE__ + 1;
    const Expr loss = log(f.p);
    f.step(loss + 1, f.q);
    const std::string error = f.error();
    CAPTURE(error);
    const auto step = static_cast<std::int64_t>(steps);
    CHECK(contains(error, text("train: stopped in epoch ", step / 100, ", minibatch ", step % 100,
                               " (of 100), step ", step, ": output 0 is ")));
    CHECK(contains(error, "nan"));
    CHECK(contains(error, "log"));
    CHECK(contains(error, line_of(line)));
    CHECK(f.p.value().item() == -0.5);  // As it was before that step.
  }
}

TEST_CASE("a variable that becomes infinite stops training too where the loss does not see it") {
  for (const double steps : {0.0, 10.0, 64.0, 99.0, 150.0}) {
    CAPTURE(steps);
    Falling f(steps);
    const int line = __LINE__ + 1;
    const Expr inverse = 1 / f.p;
    f.step(f.p, inverse + f.q);
    const std::string error = f.error();
    CAPTURE(error);
    const auto step = static_cast<std::int64_t>(steps);
    CHECK(contains(error, text("epoch ", step / 100, ", minibatch ", step % 100)));
    CHECK(contains(error, "q has become inf"));
    CHECK(contains(error, line_of(line)));
    CHECK(f.p.value().item() == 0);
  }
}

TEST_CASE("a validation that is not finite names the line") {
  Falling f(10);
  f.step(f.p, f.q);
  const int line = __LINE__ + 1;
  const Expr root = sqrt(f.p + 89.5);
  f.options.validate = function({.inputs = {f.x}, .outputs = {root * mean(f.x)}});
  f.options.validation_data = {&f.data};
  f.options.validation_frequency = 25;
  const std::string error = f.error();
  CAPTURE(error);
  CHECK(
      contains(error, "train: stopped in epoch 0, validation after step 99, minibatch 0 (of 100)"));
  CHECK(contains(error, line_of(line)));
}

TEST_CASE("an initial value that is not finite is named") {
  const int line = __LINE__ + 1;
  const Shared w(Tensor(NAN), "w");
  Falling f(1000);
  f.step(f.p * w, f.q);
  const std::string error = f.error();
  CAPTURE(error);
  CHECK(contains(error, "minibatch 0 (of 100), step 0: output 0 is"));
  CHECK(contains(error, "of w is"));
  CHECK(contains(error, line_of(line)));
}

TEST_CASE("the checkpoint of a training that went wrong is the last good one") {
  const TemporaryFolder folder;
  Falling f(150.5);
  f.options.checkpoint = folder / "run.npz";
  f.step(log(f.p), f.q);
  CHECK(contains(f.error(), "epoch 1, minibatch 51"));
  f.options.resume = Resume::always;
  CHECK(contains(f.error(), "epoch 1, minibatch 51"));
  const auto saved = read_npz(folder / "run.npz");
  CHECK(saved.at("variable/p") == Tensor(50.5));
}

TEST_CASE("a training resumed within an epoch finds what goes wrong later in it") {
  const TemporaryFolder folder;
  Falling f(50.5);
  f.step(log(f.p), f.q);
  f.options.checkpoint = folder / "run.npz";
  f.options.after_step = [](const StepReport& r) {
    if (r.step == 20) std::raise(SIGINT);
  };
  train(f.options);
  f.options.resume = Resume::always;
  CHECK(contains(f.error(), "epoch 0, minibatch 51 (of 100), step 51: output 0 is"));
  CHECK(f.p.value().item() == -0.5);
}

TEST_CASE("an interrupted training does not save what is not finite") {
  const TemporaryFolder folder;
  Falling f(5);
  f.step(f.p, 1 / f.p + f.q);
  f.options.checkpoint = folder / "run.npz";
  f.options.after_step = [](const StepReport& r) {
    if (r.step == 20) std::raise(SIGINT);
  };
  CHECK(contains(f.error(), "minibatch 5 (of 100), step 5: q has become inf"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("random draws are repeated to find what went wrong") {
  // Some draw in [0, 1) is below 0.01 sooner or later; then the logarithm is of a negative number.
  Falling f(1e6);
  RandomStreams streams(3);
  const Expr u = streams.uniform(Shape{}, 0.0, 1.0, DType::float64);
  const int line = __LINE__ + 1;
  const Expr bad = log(u - 0.01);
  f.step(bad, f.q);
  f.options.epochs = 100;
  const std::string error = f.error();
  CAPTURE(error);
  CHECK(contains(error, "train: stopped in epoch "));
  CHECK(contains(error, line_of(line)));
}

TEST_CASE("whether all elements are finite") {
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const double bad : {NAN, INFINITY, -INFINITY}) {
      Tensor value = Tensor::from<double>({5}, {1, 2, 1e30, -1e30, 0}).cast(dtype);
      CHECK(checks::is_finite(value));
      value = Tensor::from<double>({5}, {1, 2, 3, bad, 0}).cast(dtype);
      CHECK_FALSE(checks::is_finite(value));
    }
  }
  CHECK(checks::is_finite(Tensor(DType::int64, {3})));
  CHECK(checks::is_finite(Tensor(DType::float32, {0})));
}
