// Contractive penalties and costs of sparse dictionaries as they were published, wrong, each beside
// the right one, and what audit() says of both.
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
  std::vector<Binding> more = {};  ///< Inputs other than x.
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

/// A dictionary of 96 latents for 64 pixels, of which 8 make an image, and some that are asleep.
struct Sparse {
  RandomState random{11};
  Dictionary d = dictionary(pixels, 96, random, {.dtype = DType::float64});
  Shared t{Tensor::full(DType::float64, {96}, 0.2), "t"};
  Expr x, p, f, z;
  explicit Sparse(const Expr& input)
      : x(input), p(d.pre_activations(x)), f(topk_code(p, 8)), z(d.decode(f)) {}
  Expr error(const Expr& of) const { return mean(sum(square(of), 1)); }
  Expr asleep() const { return switch_(mean(f, 0) < 0.01, relu(p), 0); }
  std::vector<Shared> params() const { return d.params(); }
  std::vector<Shared> with(const Shared& more) const {
    std::vector<Shared> result = params();
    result.push_back(more);
    return result;
  }
};

Version bias_counted_twice(const Expr& x) {
  const Sparse s(x);
  const Expr rest = stop_gradient(x - s.z);
  return {s.error(x - s.z) + s.error(rest - s.d.decode(s.asleep())) / 32, s.params()};
}
Version bias_counted_once(const Expr& x) {
  const Sparse s(x);
  const Expr rest = stop_gradient(x - s.z);
  return {s.error(x - s.z) + s.error(rest - dot(s.asleep(), s.d.W_dec)) / 32, s.params()};
}
Version residual_that_moves(const Expr& x) {
  const Sparse s(x);
  const Expr rest = x - s.z;
  return {s.error(rest) + s.error(rest - dot(s.asleep(), s.d.W_dec)) / 32, s.params()};
}
Version summed_residual(const Expr& x) {
  const Sparse s(x);
  const Expr rest = stop_gradient(x - s.z);
  return {s.error(x - s.z) + sum(square(rest - dot(s.asleep(), s.d.W_dec))) / 32, s.params()};
}

Version threshold_twice(const Expr& x) {
  const Sparse s(x);
  const Expr above = switch_(s.p > s.t, s.p, 0);
  return {s.error(x - s.d.decode(jumprelu(above, s.t, 0.1))), s.with(s.t)};
}
Version threshold_once(const Expr& x) {
  const Sparse s(x);
  return {s.error(x - s.d.decode(jumprelu(s.p, s.t, 0.1))), s.with(s.t)};
}
Version threshold_by_logarithm(const Expr& x) {
  const Sparse s(x);
  const Shared log_t(Tensor::full(DType::float64, {96}, std::log(0.001)), "log_t");
  return {s.error(x - s.d.decode(jumprelu(s.p, exp(log_t)))), s.with(log_t)};
}

Version unit_columns(const Expr& x) {
  const Sparse s(x);
  const Expr W = s.d.W_dec / norm(s.d.W_dec, 2, 0, /*keepdims=*/true);
  return {s.error(x - (dot(s.f, W) + s.d.b_dec)), s.params()};
}
Version unit_rows(const Expr& x) {
  const Sparse s(x);
  const Expr W = s.d.W_dec / norm(s.d.W_dec, 2, 1, /*keepdims=*/true);
  return {s.error(x - (dot(s.f, W) + s.d.b_dec)), s.params()};
}

Version epsilon_outside(const Expr& x) {
  const Sparse s(x);
  const Expr scale = 1 / sqrt(sum(square(s.p), 1, true)) + 1e-6;
  return {s.error(x - s.d.decode(relu(s.p) * scale)), s.params()};
}
Version epsilon_inside(const Expr& x) {
  const Sparse s(x);
  const Expr scale = 1 / sqrt(sum(square(s.p), 1, true) + 1e-6);
  return {s.error(x - s.d.decode(relu(s.p) * scale)), s.params()};
}

Version volume_without_nan(const Expr& x) {
  const Deep m(x);
  const Expr volume = log(sum(square(m.z), 1));
  return {mean(m.error()) + mean(switch_(is_nan(volume), 0, volume)), m.params()};
}
Version volume(const Expr& x) {
  const Deep m(x);
  return {mean(m.error()) + mean(log(sum(square(m.z), 1))), m.params()};
}

Version derivative_held(const Expr& x) {
  const Deep m(x);
  const Expr J = stop_gradient(jacobian(m.h3, x));
  return {mean(m.error()) + 0.1 * mean(sum(square(J), {1, 2})), m.params()};
}

Version rule_without_bias(const Expr& x) {
  const Sparse s(x);
  const std::vector<Expr> inputs{s.d.W_enc, s.d.b_enc};
  const Expr f = with_gradient(s.f, inputs,
                               [f = s.f, inputs](const Expr& g) { return Lop({f}, inputs, {g}); });
  return {s.error(x - dot(f, s.d.W_dec)), s.params()};
}
Version rule_with_bias(const Expr& x) {
  const Sparse s(x);
  const std::vector<Expr> inputs{s.d.W_enc, s.d.b_enc, s.d.b_dec};
  const Expr f = with_gradient(s.f, inputs,
                               [f = s.f, inputs](const Expr& g) { return Lop({f}, inputs, {g}); });
  return {s.error(x - dot(f, s.d.W_dec)), s.params()};
}

Version weight_never_used(const Expr& x) {
  const Sparse s(x);
  const Expr beta = dscalar("beta");
  return {s.error(x - s.z) + mean(l1(relu(s.p))), s.params(), {{beta, Tensor(0.1)}}};
}
Version weight_used(const Expr& x) {
  const Sparse s(x);
  const Expr beta = dscalar("beta");
  return {s.error(x - s.z) + beta * mean(l1(relu(s.p))), s.params(), {{beta, Tensor(0.1)}}};
}

/// A number for each image, by one of the units: (batch, 1).
Version pairs(const Expr& x, bool squeezed) {
  const Deep m(x);
  const Expr y = dvector("y"), guess = slice(m.h2, 0, 1, 1);
  const Expr error = mean(square((squeezed ? squeeze(guess, 1) : guess) - y));
  return {mean(m.error()) + error, m.params(), {{y, RandomState(2).normal(0, 1, {batch})}}};
}
Version column_against_row(const Expr& x) { return pairs(x, false); }
Version column_against_column(const Expr& x) { return pairs(x, true); }

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
      {"bias_counted_twice",
       "What a sparse dictionary leaves over is explained by its sleeping latents, with b_dec, "
       "which "
       "the rest has as a summand already.",
       bias_counted_twice,
       bias_counted_once,
       {Finding::counted_twice}},
      {"residual_that_moves",
       "The same rest, not held: the auxiliary error pulls on the dictionary that left it over.",
       residual_that_moves,
       bias_counted_once,
       {Finding::moving_target}},
      {"summed_residual",
       "The auxiliary error as a sum over the batch beside an error that is a mean.",
       summed_residual,
       bias_counted_once,
       {Finding::batch_scale}},
      {"threshold_twice",
       "JumpReLU of what the threshold has selected already: half of the window in which it learns "
       "is empty.",
       threshold_twice,
       threshold_once,
       {Finding::selected_twice}},
      {"threshold_by_logarithm",
       "The threshold's logarithm as a parameter, from log 0.001: at a rate that suits weights it "
       "does not come near the activations.",
       threshold_by_logarithm,
       threshold_once,
       {Finding::slow_threshold}},
      {"unit_columns",
       "Features of length 1 are the dictionary's rows; its columns were divided by their length.",
       unit_columns,
       unit_rows,
       {Finding::foreign_axis}},
      {"epsilon_outside",
       "1 / sqrt(x) + epsilon: what is 0 is divided by all the same.",
       epsilon_outside,
       epsilon_inside,
       {Finding::misplaced_epsilon}},
      {"nan_made_0",
       "A logarithm of a volume that is NaN counts as 0, and nobody learns of it.",
       volume_without_nan,
       volume,
       {Finding::hidden_nan}},
      {"derivative_held",
       "A penalty of a detached Jacobian: the curve of it is drawn, and nothing is trained by it.",
       derivative_held,
       whole_jacobian,
       {Finding::no_gradient}},
      {"rule_without_bias",
       "A code with a backward pass written by hand, which forgets b_dec.",
       rule_without_bias,
       rule_with_bias,
       {Finding::unreached, Finding::no_gradient}},
      {"weight_never_used",
       "A weight that is asked for, and multiplies nothing.",
       weight_never_used,
       weight_used,
       {Finding::unused_input}},
      {"column_against_row",
       "A column of predictions minus a vector of targets: all pairs are compared.",
       column_against_row,
       column_against_column,
       {Finding::examples_mix}},
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
    std::vector<Binding> all = at;
    all.insert(all.end(), version.more.begin(), version.more.end());
    const AuditReport result = audit(version.cost, version.params, all);
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
  CLI::App app{"Published mistakes in costs of autoencoders, and what audit() says of them.\n"};
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
