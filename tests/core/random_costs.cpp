// Random costs of smooth and kinked functions, choices between roots among them: gradients and
// curvatures are those of finite differences, at ordinary points and where elements are 0.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A function with a name, for reports.
template <class... Operands>
struct Named {
  const char* name;
  Expr (*f)(const Operands&...);
};

using One = Named<Expr>;
using Two = Named<Expr, Expr>;

/// Of the variable: roots, lengths and what else is put into products.
const std::vector<One> roots{
    {"sqrt(1 + x x)", [](const Expr& x) { return sqrt(1 + x * x); }},
    {"sqrt(x x + 1e-6)", [](const Expr& x) { return sqrt(x * x + 1e-6); }},
    {"sqrt(0.5 x x + 0.01)", [](const Expr& x) { return sqrt(0.5 * x * x + 0.01); }},
    {"hypot(x, 1)", [](const Expr& x) { return hypot(x, 1.0); }},
    {"norm(x)", [](const Expr& x) { return norm(x); }},
    {"norm(x - 1)", [](const Expr& x) { return norm(x - 1); }},
    {"norm(x, 1)", [](const Expr& x) { return norm(x, 1.0); }},
    {"norm(x, 3)", [](const Expr& x) { return norm(x, 3.0); }},
    {"norm(x, inf)", [](const Expr& x) { return norm(x, INFINITY); }},
    {"std(x)", [](const Expr& x) { return std_(x); }},
    {"sqrt(var(x) + 0.1)", [](const Expr& x) { return sqrt(var(x) + 0.1); }},
    {"sqrt(1 + sum x^2)", [](const Expr& x) { return sqrt(1 + sum(square(x))); }},
    {"sqrt(x^2 + flip(x)^2)", [](const Expr& x) { return hypot(x, flip(x, {0})); }},
    {"abs(x)", [](const Expr& x) { return abs(x); }},
    {"sqrt(abs(x) + 1)", [](const Expr& x) { return sqrt(abs(x) + 1); }},
    {"log_cosh(x)", [](const Expr& x) { return log_cosh(x); }},
    {"softplus(x)", [](const Expr& x) { return softplus(x); }},
    {"max(x)", [](const Expr& x) { return max(x); }},
    {"logsumexp(x)", [](const Expr& x) { return logsumexp(x); }},
    {"sum(x)", [](const Expr& x) { return sum(x); }},
};

/// Of the variable and one of those.
const std::vector<Two> products{
    {"x r", [](const Expr& x, const Expr& r) { return x * r; }},
    {"x / r", [](const Expr& x, const Expr& r) { return x / (r + 2); }},
    {"x / (1 + r^2)", [](const Expr& x, const Expr& r) { return x / (1 + square(r)); }},
    {"x + r", [](const Expr& x, const Expr& r) { return x + r; }},
    {"r (1 + x / 9)", [](const Expr& x, const Expr& r) { return r * (1 + x / 9); }},
    {"exp(x / 2) r", [](const Expr& x, const Expr& r) { return exp(x / 2) * r; }},
    {"(x - mean(x)) / r", [](const Expr& x, const Expr& r) { return (x - mean(x)) / (r + 3); }},
    {"tanh(x r)", [](const Expr& x, const Expr& r) { return tanh(x * r); }},
    {"x x r", [](const Expr& x, const Expr& r) { return x * x * r; }},
    {"x r^2", [](const Expr& x, const Expr& r) { return r * r * x; }},
    {"sin(r) + x", [](const Expr& x, const Expr& r) { return sin(r) + x; }},
    {"x cosh(r / 4)", [](const Expr& x, const Expr& r) { return x * cosh(r / 4); }},
    {"cumsum(x r)", [](const Expr& x, const Expr& r) { return cumsum(x * r, 0); }},
    {"softmax(x r)", [](const Expr& x, const Expr& r) { return softmax(x * r); }},
    {"abs(x - r)", [](const Expr& x, const Expr& r) { return abs(x - r); }},
    {"relu(x + r)", [](const Expr& x, const Expr& r) { return relu(x + r) + x; }},
    {"gelu(x) r", [](const Expr& x, const Expr& r) { return gelu(x) * r; }},
    {"x where r > x", [](const Expr& x, const Expr& r) { return where(r > 2 * x, x * r, r); }},
};

/// What the product h is compared with; w is a scalar variable.
struct Comparand {
  const char* name;
  Expr (*f)(const Expr& x, const Expr& r, const Expr& h, const Expr& w);
};

using E = const Expr&;
const std::vector<Comparand> comparands{
    {"mean(h)", [](E, E, E h, E) { return mean(h); }},
    {"max(h)", [](E, E, E h, E) { return max(h); }},
    {"min(h)", [](E, E, E h, E) { return min(h); }},
    {"median(h)", [](E, E, E h, E) { return median(h) + 0.1; }},
    {"sum(h)", [](E, E, E h, E) { return sum(h); }},
    {"-h", [](E, E, E h, E) { return -h; }},
    {"h / 2", [](E, E, E h, E) { return 0.5 * h; }},
    {"flip(h)", [](E, E, E h, E) { return flip(h, {0}); }},
    {"cumsum(h)", [](E, E, E h, E) { return cumsum(h, 0); }},
    {"h[0]", [](E, E, E h, E) { return at(h, 0); }},
    {"logsumexp(h)", [](E, E, E h, E) { return logsumexp(h) - 1; }},
    {"x", [](E x, E, E, E) { return x; }},
    {"x x", [](E x, E, E, E) { return x * x; }},
    {"mean(x)", [](E x, E, E, E) { return mean(x); }},
    {"r", [](E, E r, E, E) { return r; }},
    {"r w", [](E, E r, E, E w) { return r * w; }},
    {"w", [](E, E, E, E w) { return w; }},
    {"norm(x - w)", [](E x, E, E, E w) { return norm(x - w); }},
    {"sqrt(2)", [](E, E, E, E) { return sqrt(Expr(2.0)); }},
    {"ones_like(x)", [](E x, E, E, E) { return ones_like(x); }},
    {"arange", [](E x, E, E, E) { return cast(arange(size(x, 0)), x.dtype()); }},
    {"0.3", [](E, E, E, E) { return Expr(0.3); }},
};

const std::vector<Two> costs{
    {"sum(maximum(h, b))", [](E h, E b) { return sum(maximum(h, b)); }},
    {"sum(maximum(b, h))", [](E h, E b) { return sum(maximum(b, h)); }},
    {"sum(minimum(h, b))", [](E h, E b) { return sum(minimum(h, b)); }},
    {"sum(maximum(h, b)^2)", [](E h, E b) { return sum(square(maximum(h, b))); }},
    {"sum(h / maximum(abs(h) + 1, b))", [](E h, E b) { return sum(h / maximum(abs(h) + 1, b)); }},
    {"sum(relu(h - b))", [](E h, E b) { return sum(relu(h - b)); }},
    {"sum(where(h > b, h, b))", [](E h, E b) { return sum(where(h > b, h, b)); }},
    {"sum(where(h > b, h^2, h b))", [](E h, E b) { return sum(where(h > b, square(h), h * b)); }},
    {"sum(where(h b > 0, h, 1))", [](E h, E b) { return sum(where(h * b > 0, h, 1)); }},
    {"sum(clip(h, -0.2, b))", [](E h, E b) { return sum(clip(h, -0.2, b)); }},
    {"sum(abs(h - b))", [](E h, E b) { return sum(abs(h - b)); }},
    {"sum(h b)", [](E h, E b) { return sum(h * b); }},
    {"max(h b)", [](E h, E b) { return max(h * b); }},
    {"max(h) + sum(b^2)", [](E h, E b) { return max(h) + sum(square(b)); }},
    {"max(maximum(h, b))", [](E h, E b) { return max(maximum(h, b)); }},
    {"ptp(h) sum(b)", [](E h, E b) { return ptp(h) * sum(b); }},
    {"max(h)^2 + min(b h)", [](E h, E b) { return square(max(h)) + min(b * h); }},
    {"logsumexp(h) + sum(b)", [](E h, E b) { return logsumexp(h) + sum(b); }},
    {"sum(h / (1 + b^2))", [](E h, E b) { return sum(h / (1 + square(b))); }},
    {"sum(sigmoid(h) b)", [](E h, E b) { return sum(sigmoid(h) * b); }},
    {"sum(huber(h - b))", [](E h, E b) { return sum(huber(h - b)); }},
    {"mean(softplus(h - b))", [](E h, E b) { return mean(log(1 + exp(h - b))); }},
    {"cosine_similarity", [](E h, E b) { return cosine_similarity(h, h * h + b); }},
    {"prod(h + b)", [](E h, E b) { return prod(h + b); }},
    {"sum(logaddexp(h, b))", [](E h, E b) { return sum(logaddexp(h, b)); }},
    {"sum(sign(h) h b)", [](E h, E b) { return sum(sign(h) * h * b); }},
    {"sum(floor(h) b + h)", [](E h, E b) { return sum(floor(h) * b + h); }},
    {"sum(topk(h + b, 2))", [](E h, E b) { return sum(topk(h + b * ones_like(h), 2).values); }},
    {"sum(sort(h) b)", [](E h, E b) { return sum(sort(h) * b); }},
    {"sum(cummax(h) b)", [](E h, E b) { return sum(cummax(h, 0) * b); }},
    {"norm(h - b)", [](E h, E b) { return norm(h - b - 5); }},
    {"norm(h - b, inf)", [](E h, E b) { return norm(h - b, INFINITY); }},
    {"std(h) max(b)", [](E h, E b) { return std_(h) * max(b); }},
    {"median(h) + sum(elu(b - h))", [](E h, E b) { return median(h) + sum(elu(b - h)); }},
    {"sum(leaky_relu(h) + b)", [](E h, E b) { return sum(leaky_relu(h) + b); }},
    {"sum(h - b) / maximum(norm(h), norm(b))",
     [](E h, E b) { return sum(h - b) / maximum(norm(h), norm(b)); }},
};

struct Cost {
  std::string text;
  Expr value;
};

template <class Table>
const auto& any_of(const Table& table, std::mt19937& random) {
  return table[random() % table.size()];
}

Cost random_cost(const Expr& x, const Expr& w, std::mt19937& random) {
  const auto& root = any_of(roots, random);
  const auto& product = any_of(products, random);
  const auto& comparand = any_of(comparands, random);
  const auto& cost = any_of(costs, random);
  const Expr r = root.f(x), h = product.f(x, r);
  return {
      text("r = ", root.name, ", h = ", product.name, ", b = ", comparand.name, ": ", cost.name),
      cost.f(h, comparand.f(x, r, h, w)) + sum(sin(x)) * exp(-w)};
}

bool finite(const Tensor& t) {
  for (std::int64_t k = 0; k < t.size(); ++k) {
    if (!std::isfinite(t.at(k))) return false;
  }
  return true;
}

/// The largest difference between H and its transpose, beside the largest of H.
double asymmetry(const Tensor& h) {
  const std::int64_t n = h.shape()[0];
  double most = 0, apart = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      most = std::max(most, std::abs(h.at(i * n + j)));
      apart = std::max(apart, std::abs(h.at(i * n + j) - h.at(j * n + i)));
    }
  }
  return apart / (most + 1e-6);  // Of a cost that is constant, rounding is all there is.
}

}  // namespace

TEST_CASE("random costs with kinks and choices have the gradients and curvatures that they show") {
  const std::int64_t programs = number_from("CINCH_RANDOM_COSTS", 200);
  std::mt19937 random(static_cast<unsigned>(number_from("CINCH_RANDOM_SEED", 1)));
  const Expr x = dvector("x"), w = dscalar("w");
  std::int64_t told = 0;
  for (std::int64_t k = 0; k < programs; ++k) {
    const Cost cost = random_cost(x, w, random);
    const std::vector<Binding> at{{x, random_tensor(DType::float64, {4}, random, -2, 2)},
                                  {w, random_tensor(DType::float64, {}, random, 0.3, 2)}};
    const GradCheck found = check_grad(cost.value, {x, w}, at, {.order = 2, .progress = nullptr});
    CAPTURE(cost.text);
    CAPTURE(text(at[0].second));
    CAPTURE(text(at[1].second));
    CHECK_MESSAGE(found.verdict != Verdict::wrong, found.report);
    told += found.verdict == Verdict::agrees;
    // Directions see the symmetric part only.
    const Tensor h = evaluate(hessian(cost.value, x), at);
    if (finite(h)) CHECK(asymmetry(h) < 1e-9);
  }
  CHECK(told > programs * 8 / 10);
}
