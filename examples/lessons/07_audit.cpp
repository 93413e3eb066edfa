// A right gradient of a wrong cost is still wrong. audit() says what looks like a mistake.
#include <cinch/cinch.hpp>
#include <iostream>

using namespace cinch;

int main() {
  RandomState random(2);
  const Expr x = dmatrix("x");
  const Shared W(random.uniform(-1, 1, {6, 3}), "W"), b(Tensor(DType::float64, {3}), "b");
  const Expr h = sigmoid(dot(x, W) + b);
  const Expr loss = mean(sum(square(dot(h, transpose(W)) - x), 1));
  const Expr penalty = sum(square(jacobian(h, x)));  // Over all examples: grows with the batch.
  const AuditReport report =
      audit(loss + 0.1 * penalty, {W, b}, {{x, random.uniform(0, 1, {20, 6})}});
  for (const AuditTerm& term : report.terms)
    std::cout << "line " << term.where.line << " grows as n^" << *term.growth << '\n';
  const std::string& text = report.findings.at(0).text;
  std::cout << text.substr(0, text.find('.')) << '\n';
}

// Prints:
// line 12 grows as n^0
// line 13 grows as n^1
// Term 2 is a sum over the examples: it doubles with their number, and so do its steps
