// Contractive penalties as they were published, wrong, each beside the right one, and what audit()
// says of both.
//
//     bug_museum               all exhibits
//     bug_museum --only NAME   one of them; --list names them
//
// Writes: nothing.
//
// Expect: under each wrong version the findings that give it away, at the line that is wrong, and
// under each right version none. The program fails if that is not so. Takes a second.
#include <algorithm>
#include <cinch/cinch.hpp>
#include <cstdio>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "common/common.hpp"

using namespace cinch;

namespace {

constexpr std::int64_t pixels = 64, batch = 32;

struct Version {
  Expr cost;
  std::vector<Shared> params;
};

struct Exhibit {
  const char *name, *story;
  std::function<Version(const Expr&x)> wrong, right;
  std::vector<Finding> faults;  ///< What audit() is to find in the wrong one.
};

Shared weights(const char* name, std::int64_t rows, std::int64_t columns) {
  RandomState random(rows * 1000 + columns);
  const double limit = std::sqrt(6.0 / static_cast<double>(rows + columns));
  return Shared(random.uniform(-limit, limit, {rows, columns}, DType::float64), name);
}
Shared zeros(const char* name, std::int64_t n) { return Shared(Tensor(DType::float64, {n}), name); }

/// 64 - 16 sigmoid - 64 linear, untied, mean over the examples of squared error + lambda ||J||^2.
Version shallow(const Expr& x, const std::function<Expr(const Shared& W, const Expr& h)>& penalty) {
  const Shared W = weights("W", pixels, 16), b = zeros("b", 16), V = weights("V", 16, pixels),
               c = zeros("c", pixels);
  const Expr h = sigmoid(dot(x, W) + b), z = dot(h, V) + c;
  const Expr error = mean(sum(square(z - x), 1));
  return {error + 0.1 * penalty(W, h), {W, b, V, c}};
}

Version copied_weights(const Expr& x) {
  return shallow(x, [](const Shared& W, const Expr& h) {
    const Expr taken = constant(W.get());  // Before training, and never again.
    return mean(sum(square(h * (1 - h)) * sum(square(taken), 0), 1));
  });
}
Version live_weights(const Expr& x) {
  return shallow(x, [](const Shared& W, const Expr& h) {
    return mean(sum(square(h * (1 - h)) * sum(square(W), 0), 1));
  });
}

Version divided_as_integers(const Expr& x) {
  return shallow(x, [&x](const Shared& W, const Expr& h) {
    const Expr J = reshape(h * (1 - h), {-1, 1, 16}) * reshape(W, {1, pixels, 16});
    return floor_div(sum(square(J)), size(x, 0));  // Python 2's / of today.
  });
}
Version divided(const Expr& x) {
  return shallow(x, [&x](const Shared& W, const Expr& h) {
    const Expr J = reshape(h * (1 - h), {-1, 1, 16}) * reshape(W, {1, pixels, 16});
    return sum(square(J)) / size(x, 0);
  });
}

/// 64 - 32 - 16 - 8 - 64, relu, linear at the end.
struct Deep {
  Shared W1 = weights("W1", pixels, 32), W2 = weights("W2", 32, 16), W3 = weights("W3", 16, 8),
         V = weights("V", 8, pixels);
  Shared b1 = zeros("b1", 32), b2 = zeros("b2", 16), b3 = zeros("b3", 8), c = zeros("c", pixels);
  Expr x, h1, h2, h3, z;
  explicit Deep(const Expr& input)
      : x(input),
        h1(relu(dot(x - 0.5, W1) + b1)),
        h2(relu(dot(h1, W2) + b2)),
        h3(relu(dot(h2, W3) + b3)),
        z(dot(h3, V) + c) {}
  Expr error() const { return sum(square(z - x), 1); }
  std::vector<Shared> params() const { return {W1, b1, W2, b2, W3, b3, V, c}; }
};

Version last_layer_only(const Expr& x) {
  const Deep m(x);
  const Expr taken = constant(m.W3.get());
  const Expr slope = m.h3 * (1 - m.h3);  // Of a sigmoid, and these are relu units.
  return {mean(m.error() + 0.1 * sum(square(slope) * sum(square(taken), 0), 1)), m.params()};
}
Version summed_over_examples(const Expr& x) {
  const Deep m(x);
  const Expr penalty = mean(sum(square(jacobian(m.h3, x)), {1, 2}));
  const Expr loss = m.error() + 0.1 * penalty;  // A vector: its gradient is that of its sum.
  return {sum(loss), m.params()};
}
Version whole_jacobian(const Expr& x) {
  const Deep m(x);
  return {mean(m.error() + 0.1 * sum(square(jacobian(m.h3, x)), {1, 2})), m.params()};
}

Version mean_for_a_sum(const Expr& x) {
  const Deep m(x);
  const Expr error = mean(square(m.z - x));
  return {error + 0.1 * mean(sum(square(jacobian(m.h3, x)), {1, 2})), m.params()};
}

const std::vector<Exhibit>& exhibits() {
  static const std::vector<Exhibit> all{
      {"copied_weights",
       "A Keras post builds the penalty from a copy of W, taken once. Training then pulls the "
       "code\n"
       "towards the slopes of the first W, whatever W has become.",
       copied_weights,
       live_weights,
       {Finding::copied_parameter}},
      {"integer_division",
       "An edit of the Theano tutorial divides ||J||^2 by the batch size as integers are divided.\n"
       "The result is rounded down, its gradient is 0, and the autoencoder is a plain one.",
       divided_as_integers,
       divided,
       {Finding::no_gradient}},
      {"last_layer_only",
       "An article's deep encoder of relu units: the penalty takes the last layer alone, its\n"
       "weights by copy, and the slope of sigmoid units.",
       last_layer_only,
       whole_jacobian,
       {Finding::copied_parameter, Finding::foreign_slope}},
      {"vector_loss",
       "The same article hands a vector of 128 losses to the optimizer, each with the whole "
       "penalty\n"
       "in it. Its gradient is that of the sum: steps grow with the batch.",
       summed_over_examples,
       whole_jacobian,
       {Finding::batch_scale}},
      {"mean_for_a_sum",
       "The error as a mean over pixels beside a penalty that is a sum: lambda means 64 times "
       "more\n"
       "than it says.",
       mean_for_a_sum,
       whole_jacobian,
       {Finding::mixed_means}},
  };
  return all;
}

std::string indented(const std::string& text) {
  std::string result = "    ";
  for (const char c : text) {
    result += c;
    if (c == '\n') result += "    ";
  }
  return result.substr(0, result.find_last_not_of(" \n") + 1);
}

/// Prints one exhibit; false if audit() did not tell the two versions apart.
bool show(const Exhibit& exhibit, const Expr& x, const std::vector<Binding>& at) {
  std::cout << "== " << exhibit.name << "\n" << folded(exhibit.story, 80) << "\n";
  const auto audit_of = [&](const char* which, const std::function<Version(const Expr&)>& build) {
    const Version version = build(x);
    const AuditReport result = audit(version.cost, version.params, at);
    std::cout << "\n  " << which << ":\n" << indented(result.text(76)) << "\n";
    return result;
  };
  const AuditReport wrong = audit_of("wrong", exhibit.wrong),
                    right = audit_of("right", exhibit.right);
  const bool told = right.findings.empty() &&
                    std::ranges::all_of(exhibit.faults, [&](Finding f) { return wrong.has(f); });
  std::cout << "\n  audit() " << (told ? "tells" : "DOES NOT TELL") << " them apart\n\n";
  return told;
}

}  // namespace

int main(int argc, char** argv) {
  std::string only;
  bool list = false;
  CLI::App app{"Published mistakes in contractive penalties, and what audit() says of them.\n"};
  std::vector<std::string> names;
  for (const Exhibit& e : exhibits()) names.emplace_back(e.name);
  app.add_option("--only", only, "One exhibit")->check(CLI::IsMember(names));
  app.add_flag("--list", list, "Names of the exhibits");
  if (const std::optional<int> status = examples::parse("bug_museum", app, argc, argv))
    return *status;
  if (list) {
    for (const std::string& name : names) std::cout << name << "\n";
    return 0;
  }
  try {
    const Expr x = dmatrix("x");
    const std::vector<Binding> at{
        {x, RandomState(1).uniform(0, 1, {batch, pixels}, DType::float64)}};
    int told = 0, shown = 0;
    for (const Exhibit& e : exhibits()) {
      if (!only.empty() && only != e.name) continue;
      ++shown;
      told += show(e, x, at);
    }
    std::cout << "audit() caught " << told << " of " << shown << " published mistakes\n";
    return told == shown ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bug_museum: %s\n", error.what());
    return 1;
  }
}
