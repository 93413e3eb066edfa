// train() goes through minibatches, validates, keeps the best parameters, and resumes to the bit.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  RandomState random(4);
  const Expr x = dmatrix("x"), labels = lvector("labels");
  const Shared W(Tensor(DType::float64, {5, 3}), "W");
  const Expr scores = dot(x, W);
  const Expr cost = mean(categorical_cross_entropy_from_logits(labels, scores));
  const Tensor inputs = random.uniform(-1, 1, {300, 5});
  const Tensor answers = evaluate(argmax(slice(inputs, 0, 3, 1), 1));
  const TrainResult result = train({
      .step = function({.inputs = {x, labels}, .outputs = {cost}, .updates = sgd(cost, {W}, 1.0)}),
      .data = {&inputs, &answers},
      .epochs = 30,
      .batch = 20,
      .out = nullptr,
  });
  const Expr wrong = mean(not_equal(argmax(scores, 1), labels));
  std::cout << "epochs " << result.state.epoch << ", wrong "
            << evaluate(wrong, {{x, inputs}, {labels, answers}}).item() << '\n';
}

// Prints:
// epochs 30, wrong 0.0166667
