// Functions of two operands whose shapes differ: for every pair of ranks up to 3 and of sizes,
// known when the formula is written or only when it runs, the result is that of a loop over the
// definition, or an error names the function.
#include "cinch/ops/records/operands.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "cinch/cinch.hpp"
#include "cinch/core/run/interpret.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// What is done with the elements after they have met.
enum class Sums { none, last_axis, all_but_first };

using Numbers = std::vector<double>;

struct Function2 {
  std::string name;
  std::function<Expr(const Expr&, const Expr&)> build;
  Sums sums = Sums::none;
  /// The value of elements that met, in their order along what is summed.
  std::function<double(const Numbers& a, const Numbers& b)> of = {};
};

double sum_over(const Numbers& a, const Numbers& b, double (*f)(double, double)) {
  double total = 0;
  for (std::size_t k = 0; k < a.size(); ++k) total += f(a[k], b[k]);
  return total;
}
double kl(double p, double q) { return p * std::log(p / q); }
double entropy(double t, double p) { return -t * std::log(p) - (1 - t) * std::log(1 - p); }
double softplus_of(double a) { return std::log1p(std::exp(a)); }
double length(const Numbers& a) {
  double total = 0;
  for (const double e : a) total += e * e;
  return std::sqrt(total);
}
template <class F>
Function2 summed(const std::string& name, Sums sums, Expr (*build)(const Arg&, const Arg&), F f) {
  return {name, [build](const Expr& a, const Expr& b) { return build(a, b); }, sums,
          [f](const Numbers& a, const Numbers& b) { return sum_over(a, b, f); }};
}

std::vector<Function2> functions() {
  constexpr double log_two_pi = 1.8378770664093454836;
  const auto each = Sums::none, last = Sums::last_axis, examples = Sums::all_but_first;
  return {
      {"huber", [](const Expr& a, const Expr& b) { return huber(a, b); }, each,
       [](const Numbers& a, const Numbers& b) {
         return a[0] <= b[0] ? a[0] * a[0] / 2 : b[0] * (a[0] - b[0] / 2);
       }},
      {"smooth_l1", [](const Expr& a, const Expr& b) { return smooth_l1(a, b); }, each,
       [](const Numbers& a, const Numbers& b) {
         return a[0] <= b[0] ? a[0] * a[0] / 2 / b[0] : a[0] - b[0] / 2;
       }},
      summed("hinge", each, hinge, [](double t, double y) { return std::max(0.0, 1 - t * y); }),
      summed("binary_cross_entropy", each, binary_cross_entropy, entropy),
      summed("binary_cross_entropy_from_logits", each, binary_cross_entropy_from_logits,
             [](double t, double a) { return t * softplus_of(-a) + (1 - t) * softplus_of(a); }),
      summed("bernoulli_kl", each, bernoulli_kl,
             [](double p, double q) { return kl(p, q) + kl(1 - p, 1 - q); }),
      summed("gaussian_kl", each, gaussian_kl,
             [](double m, double v) { return (m * m + std::exp(v) - 1 - v) / 2; }),
      summed("poisson_nll", each, poisson_nll,
             [](double t, double a) { return std::exp(a) - t * a; }),
      {"gaussian_nll", [](const Expr& a, const Expr& b) { return gaussian_nll(a, b, 0.5); }, each,
       [](const Numbers& a, const Numbers& b) {
         return ((a[0] - b[0]) * (a[0] - b[0]) * std::exp(-0.5) + 0.5 + log_two_pi) / 2;
       }},
      {"contrastive_loss",
       [](const Expr& a, const Expr& b) { return contrastive_loss(a > 0.5, b); }, each,
       [](const Numbers& a, const Numbers& b) {
         return a[0] > 0.5 ? b[0] * b[0] : (1 - b[0]) * (1 - b[0]);
       }},
      {"contrastive_loss",
       [](const Expr& a, const Expr& b) { return contrastive_loss(a > 0.5, 0.25, b); }, each,
       [](const Numbers& a, const Numbers& b) {
         const double gap = std::max(0.0, b[0] - 0.25);
         return a[0] > 0.5 ? 0.0625 : gap * gap;
       }},
      {"categorical_kl", [](const Expr& a, const Expr& b) { return categorical_kl(a, b); }, last,
       [](const Numbers& a, const Numbers& b) { return sum_over(a, b, kl); }},
      {"cosine_similarity", [](const Expr& a, const Expr& b) { return cosine_similarity(a, b); },
       last,
       [](const Numbers& a, const Numbers& b) {
         return sum_over(a, b, [](double x, double y) { return x * y; }) / length(a) / length(b);
       }},
      {"triplet_loss",
       [](const Expr& a, const Expr& b) { return triplet_loss(a, b, zeros_like(b)); }, last,
       [](const Numbers& a, const Numbers& b) {
         Numbers difference;
         for (std::size_t k = 0; k < a.size(); ++k) difference.push_back(a[k] - b[k]);
         return std::max(0.0, length(difference) - length(a) + 1);
       }},
      summed("cross_entropy", examples, cross_entropy, entropy),
      summed("squared_error", examples, squared_error,
             [](double x, double z) { return (x - z) * (x - z); }),
      summed("absolute_error", examples, absolute_error,
             [](double x, double z) { return std::abs(x - z); }),
  };
}

std::vector<Shape> shapes_up_to(std::size_t rank) {
  std::vector<Shape> result{{}};
  for (std::size_t first = 0, k = 0; k < rank; ++k) {
    const std::size_t end = result.size();
    for (; first < end; ++first) {
      for (const std::int64_t n : {1, 2, 3}) {
        Shape longer = result[first];
        longer.push_back(n);
        result.push_back(longer);
      }
    }
  }
  return result;
}

std::int64_t from_end(const Shape& shape, std::size_t k) {
  return k < shape.size() ? shape[shape.size() - 1 - k] : -1;
}

/// The shape of the result before sums, empty where the two may not meet.
std::optional<Shape> meeting(const Shape& a, const Shape& b, Sums sums) {
  Shape both;
  for (std::size_t k = std::max(a.size(), b.size()); k-- > 0;) {
    const std::int64_t n = from_end(a, k), m = from_end(b, k);
    if (n > 1 && m > 1 && n != m) return {};
    both.push_back(std::max(n, m));
  }
  if (both != a && both != b) return {};
  if (sums == Sums::last_axis && (a.empty() || b.empty() || a.back() != b.back())) return {};
  if (sums == Sums::all_but_first && both.size() < 2) return {};
  return both;
}

/// The element of `x` that meets the one at `index` of a tensor of shape `both`.
double met(const Tensor& x, const Shape& both, std::int64_t index) {
  std::int64_t place = 0, stride = 1;
  for (std::size_t k = 0; k < both.size(); ++k) {
    const std::int64_t i = index % from_end(both, k), n = from_end(x.shape(), k);
    index /= from_end(both, k);
    if (n > 1) place += i * stride;
    if (n > 0) stride *= n;
  }
  return x.at(place);
}

Tensor by_definition(const Function2& f, const Tensor& a, const Tensor& b, const Shape& both) {
  const std::int64_t all = element_count(both);
  const std::int64_t run = f.sums == Sums::none        ? 1
                           : f.sums == Sums::last_axis ? both.back()
                                                       : all / both.front();
  Shape shape = both;
  if (f.sums == Sums::last_axis) shape.pop_back();
  if (f.sums == Sums::all_but_first) shape = {both.front()};
  Tensor result(DType::float64, shape);
  for (std::int64_t i = 0; i < result.size(); ++i) {
    Numbers x, z;
    for (std::int64_t k = i * run; k < (i + 1) * run; ++k) {
      x.push_back(met(a, both, k));
      z.push_back(met(b, both, k));
    }
    result.data<double>()[static_cast<std::size_t>(i)] = f.of(x, z);
  }
  return result;
}

/// Each size is known or not, as the bits of `hidden` say.
Expr operand(const char* label, const Shape& shape, unsigned hidden, DType dtype = DType::float64) {
  Shape sizes = shape;
  for (std::int64_t& n : sizes) {
    if (hidden & 1u) n = -1;
    hidden >>= 1;
  }
  return variable(label, dtype, sizes);
}

/// The values in both modes, or the text of the error, which must be the same kind in both.
struct Outcome {
  std::vector<Tensor> values;
  std::string error = {};
};

Outcome outcome(const std::function<Expr()>& build, const std::vector<Binding>& bindings) {
  Outcome result;
  try {
    const Expr y = build();
    for (const bool fast : {true, false}) {
      try {
        result.values.push_back(
            fast ? evaluate(y, bindings)
                 : cinch::running::interpret(std::span(&y, 1), bindings, false)[0]);
      } catch (const Error& error) {
        result.error += error.what();
      }
    }
  } catch (const Error& error) {
    result.error = error.what();
  }
  if (!result.error.empty()) CHECK(result.values.empty());
  return result;
}

constexpr unsigned none = 0, all_sizes = ~0u;

}  // namespace

TEST_CASE("losses of operands of all ranks and sizes are right, or refused by name and line") {
  std::mt19937 random(71);
  const std::vector<Shape> shapes = shapes_up_to(3);
  std::size_t right = 0, refused = 0;
  for (const Function2& f : functions()) {
    CAPTURE(f.name);
    for (const Shape& sa : shapes) {
      for (const Shape& sb : shapes) {
        const auto both = meeting(sa, sb, f.sums);
        // All pairs with known sizes; of those that show when the formula runs, a sample of the
        // largest.
        std::vector<std::pair<unsigned, unsigned>> hidden{{none, none}};
        if (sa.size() + sb.size() < 5 || random() % 16 == 0)
          hidden.insert(hidden.end(), {{all_sizes, all_sizes}, {random(), random()}});
        if (sa.size() + sb.size() > 4 && random() % 4) continue;
        const Tensor va = random_tensor(DType::float64, sa, random, 0.1, 0.9),
                     vb = random_tensor(DType::float64, sb, random, 0.1, 0.9);
        for (const auto& masks : hidden) {
          const Expr a = operand("a", sa, masks.first), b = operand("b", sb, masks.second);
          const Outcome got = outcome([&] { return f.build(a, b); }, {{a, va}, {b, vb}});
          CAPTURE(text(a.type()));
          CAPTURE(text(b.type()));
          CAPTURE(text(to_dims(sa)));
          CAPTURE(text(to_dims(sb)));
          CAPTURE(got.error);
          if (both) {
            REQUIRE(got.values.size() == 2);
            const Tensor expected = by_definition(f, va, vb, *both);
            for (const Tensor& value : got.values) CHECK(distance(value, expected) < 1e-13);
            ++right;
          } else {
            CHECK(got.values.empty());
            CHECK(got.error.find(f.name + ":") != std::string::npos);
            CHECK(got.error.find("operands.cpp") != std::string::npos);
            ++refused;
          }
        }
      }
    }
  }
  CHECK(right > 1000);
  CHECK(refused > 1000);
}

TEST_CASE(
    "labels have the sizes of the predictions without their axis, in every function of them") {
  struct Row {
    std::string name;
    std::function<Expr(const Expr&, const Expr&)> build;
  };
  const Row rows[] = {
      {"categorical_cross_entropy",
       [](const Expr& t, const Expr& p) { return categorical_cross_entropy(t, p); }},
      {"categorical_cross_entropy_from_logits",
       [](const Expr& t, const Expr& a) { return categorical_cross_entropy_from_logits(t, a); }},
      {"negative_log_likelihood",
       [](const Expr& t, const Expr& a) { return negative_log_likelihood(t, a); }},
      {"classification_cost",
       [](const Expr& t, const Expr& a) { return classification_cost(t, a); }},
      {"error_rate", [](const Expr& t, const Expr& a) { return error_rate(t, a); }},
  };
  std::mt19937 random(72);
  for (const Row& f : rows) {
    CAPTURE(f.name);
    for (const Shape& st : shapes_up_to(2)) {
      for (const Shape& sp : shapes_up_to(3)) {
        if (sp.empty()) continue;
        Shape rest = sp;
        rest.pop_back();
        const bool one_label_each = f.name == "error_rate" ? st.size() == 1 : true;
        const bool fits = st == rest && one_label_each;
        // What is no label of these predictions by its rank is refused in other words.
        if (st.size() != rest.size() && f.name == "classification_cost") continue;
        const Tensor labels(DType::int64, st);
        const Tensor p = random_tensor(DType::float64, sp, random, 0.1, 0.9);
        for (const unsigned hidden : {none, all_sizes, static_cast<unsigned>(random())}) {
          const Expr t = operand("t", st, hidden, DType::int64), q = operand("q", sp, hidden);
          const Outcome got = outcome([&] { return f.build(t, q); }, {{t, labels}, {q, p}});
          CAPTURE(text(to_dims(st)));
          CAPTURE(text(to_dims(sp)));
          CAPTURE(got.error);
          CHECK(got.values.size() == (fits ? 2 : 0));
          if (!fits) CHECK(got.error.find(f.name + ":") != std::string::npos);
        }
      }
    }
    // A label that is no class, in both modes.
    const Expr t = lvector("t"), p = dmatrix("p");
    for (const std::int64_t wrong : {std::int64_t{77}, std::int64_t{50}, std::int64_t{-1}}) {
      const Tensor labels = Tensor::from<std::int64_t>({3}, {0, wrong, 49});
      const Outcome got =
          outcome([&] { return f.build(t, p); },
                  {{t, labels}, {p, random_tensor(DType::float64, {3, 50}, random, 0.1, 0.9)}});
      CAPTURE(got.error);
      const std::string expected =
          f.name + ": label " + std::to_string(wrong) + " is not one of the 50 classes, 0 to 49";
      CHECK(got.error.find(expected) != std::string::npos);
      CHECK(got.error.find("operands.cpp") != std::string::npos);
    }
  }
}

TEST_CASE("distributions as targets have as many classes as the predictions") {
  std::mt19937 random(73);
  const Expr t = dmatrix("t"), p = dmatrix("p");
  for (const std::int64_t n : {1, 4}) {
    for (const std::int64_t classes : {1, 3, 4}) {
      const std::vector<Binding> at{
          {t, random_tensor(DType::float64, {n, 4}, random, 0.1, 0.9)},
          {p, random_tensor(DType::float64, {4, classes}, random, 0.1, 0.9)}};
      for (const auto& build :
           {+[](const Expr&a, const Expr&b) { return categorical_cross_entropy(a, b); },
            +[](const Expr&a, const Expr&b) {
              return categorical_cross_entropy_from_logits(a, b);
            }}) {
        const Outcome got = outcome([&] { return build(t, p); }, at);
        CAPTURE(got.error);
        CHECK(got.values.size() == (classes == 4 ? 2 : 0));
        if (classes != 4) CHECK(got.error.find("categorical_cross_entropy") != std::string::npos);
      }
    }
  }
}

TEST_CASE("what an operand is checked for changes neither gradients nor stable forms nor plans") {
  std::mt19937 random(74);
  const Expr x = dmatrix("x"), a = dmatrix("a");
  const Expr checked = sum(binary_cross_entropy(x, sigmoid(a))),
             plain = -sum(xlogy(x, sigmoid(a)) + xlog1py(1 - x, -sigmoid(a)));
  const std::vector<Binding> at{{x, random_tensor(DType::float64, {3, 4}, random, 0, 1)},
                                {a, random_tensor(DType::float64, {3, 4}, random, -900, 900)}};
  for (const Expr& wrt : {x, a}) {
    CHECK(distance(evaluate(grad(checked, wrt), at), evaluate(grad(plain, wrt), at)) == 0);
  }
  // The same plan as where the sizes are known when the formula is written, which leaves no check.
  const auto plan_of = [&](const Shape& sizes) {
    const Expr t = variable("t", DType::float64, sizes), b = variable("b", DType::float64, sizes);
    const Expr cost = sum(binary_cross_entropy(t, sigmoid(b)));
    const Function f = function({t, b}, {cost, grad(cost, b)});
    f({at[0].second, at[1].second});
    return f.plan_text();
  };
  CHECK(plan_of({-1, -1}) == plan_of({3, 4}));
  // Of many at once, where one operand only has one more axis.
  const Expr many = tensor3("many", DType::float64);
  const Tensor values = random_tensor(DType::float64, {5, 3, 4}, random, 0, 1);
  const Tensor all = evaluate(vectorize(squared_error(x, a), x, many), {{many, values}, at[1]});
  CHECK(all.shape() == Shape{5, 3});
}
