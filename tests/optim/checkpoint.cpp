#include "cinch/optim/checkpoint.hpp"

#include <doctest/doctest.h>

#include <functional>

#include "cinch/cinch.hpp"
#include "error_of.hpp"

using namespace cinch;
using namespace cinch::testing;

TEST_CASE("a checkpoint that does not fit is refused as a whole") {
  const Shared W(Tensor::from<double>({2}, {1, 2}), "W"), b(Tensor(3.0), "b");
  const Updates updates = momentum(sum(square(W)) + square(b), {W, b}, 0.1);
  const auto saved = checkpoint(updates);
  std::map<std::string, Tensor> values(saved.begin(), saved.end());
  CHECK(values.size() == 4);
  values.at("W") = Tensor::from<double>({2}, {7, 8});

  auto missing = values;
  missing.erase("momentum.v/b");
  CHECK(contains(error_of<ValueError>([&] { restore(updates, missing); }),
                 "restore: there is no value for momentum.v/b"));
  auto wrong = values;
  wrong.at("b") = Tensor(DType::float64, {3});
  CHECK(contains(error_of<TypeError>([&] { restore(updates, wrong); }),
                 "restore: b is " + text(b.type()) + ", the value is float64 (3,)"));
  wrong.at("b") = Tensor(1.0f);
  CHECK(contains(error_of<TypeError>([&] { restore(updates, wrong); }), "the value is float32"));
  CHECK(W.value().at(0) == 1);
  restore(updates, values);
  CHECK(W.value().at(0) == 7);
}

TEST_CASE("variables of one label are told apart by their order, those without one are refused") {
  Shared a(Tensor(1.0)), W(Tensor(2.0), "W"), other(Tensor(3.0), "W"), taken(Tensor(4.0), "W_2"),
      third(Tensor(5.0), "W");
  CHECK(contains(error_of<ValueError>([&] { checkpoint({{a, a + 1}}); }), "has no label"));
  CHECK(names_in_files("test", {W, other, taken, third}) ==
        std::vector<std::string>{"W", "W_3", "W_2", "W_4"});
  const Updates updates = momentum(W * other, {W, other}, 0.1);
  const auto saved = checkpoint(updates);
  const std::map<std::string, Tensor> values(saved.begin(), saved.end());
  CHECK(values.size() == 4);
  CHECK(values.at("W").item() == 2);
  CHECK(values.at("W_2").item() == 3);
  W.set(Tensor(0.0));
  other.set(Tensor(0.0));
  restore(updates, values);
  CHECK(W.value().item() == 2);
  CHECK(other.value().item() == 3);
}

TEST_CASE("groups of parameters with optimizers of their own make one checkpoint") {
  const Shared a(Tensor(1.0), "a"), b(Tensor(2.0), "b");
  Updates updates = adam(square(a * b), {a}, 0.1);
  for (Update& update : adam(square(a * b), {b}, 0.01)) updates.push_back(std::move(update));
  const Function step = function({.updates = updates});
  step({});
  std::map<std::string, Tensor> saved;
  for (auto& [name, value] : checkpoint(updates)) saved.emplace(name, value);
  CHECK(saved.size() == updates.size());
  step({});
  const double after = a.value().item(), b_after = b.value().item();
  restore(updates, saved);
  step({});
  CHECK(a.value().item() == after);
  CHECK(b.value().item() == b_after);
}

TEST_CASE("parameters of one name, or none, have states of different names") {
  const Shared a(Tensor(1.0)), b(Tensor(2.0), "b"), c(Tensor(3.0), "b");
  std::vector<std::string> labels;
  for (const Shared& target : targets(momentum(a * b * c, {a, b, c}, 0.1)))
    if (target.label().starts_with("momentum")) labels.push_back(target.label());
  CHECK(labels == std::vector<std::string>{"momentum.v/#0", "momentum.v/b#1", "momentum.v/b#2"});
}

TEST_CASE("optimizers refuse settings, parameters and gradients that make no sense") {
  const Shared p(Tensor(1.0), "p"), n(Tensor(std::int64_t{1}), "n");
  const Expr cost = square(p);
  const auto g = grad(cost, {p});
  struct Row {
    std::function<void()> make;
    const char* says;
  };
  const std::vector<Row> rows{
      {[&] { sgd(cost, {p}, -1); }, "sgd: rate must be finite and not negative, got -1"},
      {[&] { sgd(cost, {}, 1); }, "sgd: the list of parameters is empty"},
      {[&] {
         sgd(cost, {p, p}, 1);
       },
       "sgd: parameter p is listed twice"},
      {[&] { sgd(cost, {n}, 1); }, "sgd: parameter n is int64"},
      {[&] {
         sgd({p}, {g[0], g[0]}, 1);
       },
       "sgd: 1 parameters have 2 gradients"},
      {[&] { sgd({p}, {vector("v", DType::float64)}, 1); }, "its gradient is float64"},
      {[&] { sgd(cost, {p}, vector("v")); }, "sgd: rate must be a number or a scalar"},
      {[&] { momentum(cost, {p}, 1, 1); }, "momentum: mu must be in [0, 1), got 1"},
      {[&] { nesterov(cost, {p}, 1, -0.5); }, "nesterov: mu must be in [0, 1), got -0.5"},
      {[&] { adagrad(cost, {p}, 1, {.start = -1}); }, "adagrad: start must be finite"},
      {[&] { adagrad(cost, {p}, 1, {.epsilon = 0}); }, "adagrad: epsilon must be positive"},
      {[&] { rmsprop(cost, {p}, 1, {.decay = 1}); }, "rmsprop: decay must be in [0, 1), got 1"},
      {[&] { rmsprop(cost, {p}, 1, {.momentum = 2}); }, "rmsprop: momentum must be in [0, 1)"},
      {[&] { adadelta(cost, {p}, 1, {.decay = -1}); }, "adadelta: decay must be in [0, 1)"},
      {[&] { adam(cost, {p}, 1, {.beta1 = 1}); }, "adam: beta1 must be in [0, 1), got 1"},
      {[&] { adam(cost, {p}, 1, {.beta2 = -1}); }, "adam: beta2 must be in [0, 1), got -1"},
      {[&] { adam(cost, {p}, 1, {.epsilon = 0}); }, "adam: epsilon must be positive, got 0"},
      {[&] { adamw(cost, {p}, 1, -1); }, "adamw: weight_decay must be finite and not negative"},
  };
  for (const Row& row : rows) {
    const std::string error = error_of<Error>(row.make);
    CAPTURE(error);
    CAPTURE(row.says);
    CHECK(contains(error, row.says));
    CHECK(contains(error, "checkpoint.cpp:"));
  }
}
