// A training of everything that has state: momentum of every kind, a schedule, random draws,
// shuffling, validation, patience.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/compile/inspect.hpp"

namespace cinch::testing {

inline Tensor numbers(const Shape& shape, double start) {
  Tensor result(DType::float32, shape);
  float* data = result.data<float>().data();
  for (std::int64_t i = 0; i < result.size(); ++i)
    data[i] = static_cast<float>(std::sin(start + 1.7 * static_cast<double>(i)));
  return result;
}

/// A training that prints nothing.
inline TrainOptions quiet_options(Function step, const Tensor& data, std::int64_t batch,
                                  std::int64_t epochs, std::shared_ptr<Distribution> ranks) {
  TrainOptions o;
  o.step = std::move(step);
  o.data = {&data};
  o.batch = batch;
  o.epochs = epochs;
  o.out = nullptr;
  o.distribute = std::move(ranks);
  return o;
}

/// Regression by a small network whose inputs are noisy, on 23 examples in minibatches of 4.
struct SmallTraining {
  Tensor x = numbers({23, 3}, 0), y = numbers({23}, 1), x_valid = numbers({7, 3}, 2),
         y_valid = numbers({7}, 3);
  Shared W, b, v, t = step_counter("t");
  RandomStreams streams{5};
  TrainOptions options;

  explicit SmallTraining(std::int64_t hidden = 6)
      : W(numbers({3, hidden}, 4), "W"),
        b(Tensor(DType::float32, {hidden}), "b"),
        v(numbers({hidden}, 5), "v") {
    const Expr in = matrix("in", DType::float32), out = vector("out", DType::float32);
    const auto cost = [&](const Expr& at) {
      return mean(square(dot(tanh(dot(at, W) + b), v) - out));
    };
    const Expr noisy = in + 0.1 * streams.normal(sizes(in));
    const Expr noisy_valid = in + 0.01 * streams.normal(sizes(in));
    const Expr rate = schedule::cosine(t, 0.02, 60);
    const Expr loss = cost(noisy);
    Updates updates = adam(loss, {W, b, v}, rate);
    updates.push_back(advance(t));
    options.step =
        function({.inputs = {in, out}, .outputs = {loss, mean(abs(W))}, .updates = updates});
    options.data = {&x, &y};
    options.names = {"loss", "size of W"};
    options.epochs = 5;
    options.batch = 4;
    options.shuffle = 3;
    options.validate = function({.inputs = {in, out}, .outputs = {cost(noisy_valid)}});
    options.validation_data = {&x_valid, &y_valid};
    options.validation_frequency = 4;
    options.early_stopping = {.patience = 1000};
    options.rate = rate;
    options.params = {W, b, v};
    options.out = nullptr;
  }

  std::vector<Tensor> values() const {
    std::vector<Tensor> result;
    for (const auto& variables :
         {Inspect::program(options.step).targets, Inspect::program(options.validate).targets})
      for (const Shared& variable : variables) result.push_back(variable.get());
    return result;
  }
};

/// Everything in it but seconds, as text.
inline std::string history_text(const TrainState& state) {
  std::ostringstream out;
  out.precision(17);
  for (const EpochReport& e : state.history) {
    out << e.epoch << ' ' << e.step << ' ' << e.best << ' ' << e.rate;
    for (const double number : e.training) out << ' ' << number;
    for (const double number : e.validation) out << ' ' << number;
    out << '\n';
  }
  out << state.patience.steps << ' ' << state.patience.best << ' ' << state.patience.best_step;
  return out.str();
}

}  // namespace cinch::testing
