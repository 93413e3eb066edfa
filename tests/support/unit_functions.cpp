#include "support/unit_functions.hpp"

#include "cinch/cinch.hpp"
#include "cinch/ops/catalog.hpp"

namespace cinch::testing {

std::vector<UnitFunction> unit_functions() {
  std::vector<UnitFunction> result{
      {"silu", [](const Expr& a) { return silu(a); }},
      {"mish", [](const Expr& a) { return mish(a); }},
      {"gelu", [](const Expr& a) { return gelu(a); }},
      {"gelu_tanh", [](const Expr& a) { return gelu_tanh(a); }},
      {"elu", [](const Expr& a) { return elu(a); }},
      {"selu", [](const Expr& a) { return selu(a); }},
      {"celu", [](const Expr& a) { return celu(a); }},
      {"leaky_relu", [](const Expr& a) { return leaky_relu(a); }},
      {"relu6", [](const Expr& a) { return relu6(a); }},
      {"hard_sigmoid", [](const Expr& a) { return hard_sigmoid(a); }},
      {"hard_swish", [](const Expr& a) { return hard_swish(a); }},
      {"softshrink", [](const Expr& a) { return softshrink(a); }},
      {"softsign", [](const Expr& a) { return softsign(a); }},
      {"maximum", [](const Expr& a) { return maximum(a, 0.1); }},
      {"clip", [](const Expr& a) { return clip(a, -1.0, 1.0); }},
      {"where", [](const Expr& a) { return where(a > 0, a, 0.1 * a); }},
      {"where of three",
       [](const Expr& a) { return where(a < -1, exp(a), where(a > 1, sqrt(a), a * a)); }},
      {"x / (1 + |x|)", [](const Expr& a) { return a / (1 + abs(a)); }},
      {"x sigmoid(1.7 x)", [](const Expr& a) { return a * sigmoid(1.7 * a); }},
      {"tanh(x) - x / 2", [](const Expr& a) { return tanh(a) - a / 2; }},
      {"exp(-x^2)", [](const Expr& a) { return exp(-square(a)); }},
      {"x / sqrt(1 + x^2)", [](const Expr& a) { return a / sqrt(1 + square(a)); }},
      {"log(1 + exp(sin(x)))", [](const Expr& a) { return log(1 + exp(sin(a))); }},
      // With kernels of their own.
      {"gammaln", [](const Expr& a) { return gammaln(a); }, {0.3, 2}},
      {"digamma", [](const Expr& a) { return digamma(a); }, {0.3, 2}},
      {"gammainc(2, x)", [](const Expr& a) { return gammainc(2.0, a); }, {0.3, 2}},
      {"gammainc(x, 2)", [](const Expr& a) { return gammainc(a, 2.0); }, {0.3, 2}},
      {"betaln(x, 2)", [](const Expr& a) { return betaln(a, 2.0); }, {0.3, 2}},
      {"erfinv", [](const Expr& a) { return erfinv(a); }, {-0.8, 0.8}},
      {"ndtri", [](const Expr& a) { return ndtri(a); }, {0.1, 0.9}},
      {"logit", [](const Expr& a) { return logit(a); }, {0.1, 0.9}},
  };
  for (const Op* op : all_ops()) {
    if (!op->elementwise() || op->arity != 1 || op->operands == Operands::boolean) continue;
    result.push_back(
        {std::string(op->name), [op](const Expr& a) { return apply(*op, {a}); }, op->probe});
  }
  return result;
}

}  // namespace cinch::testing
