// Mistakes of public code for sparse dictionaries, variational and geometric autoencoders: what
// audit() says of each, on which line, and that it says nothing of the right version.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cinch/audit/audit.hpp"
#include "cinch/cinch.hpp"

using namespace cinch;

namespace {

constexpr std::int64_t n = 6, latents = 12, batch = 16;
constexpr double inf = std::numeric_limits<double>::infinity();

/// What all of them are made of.
struct Setting {
  RandomState random{5};
  RandomStreams draws{6};
  Expr x = dmatrix("x");
  Dictionary d = dictionary(n, latents, random, {.dtype = DType::float64});
  std::vector<Binding> at{{x, random.normal(0, 1, {batch, n})}};
  Tensor asleep{DType::bool_, {latents}};

  Expr p = d.pre_activations(x), f = topk_code(p, 3), z = d.decode(f);
  Expr loss = mean(sum(square(x - z), 1));

  Setting() {
    for (const std::size_t k : {1, 4, 7, 10}) asleep.data<bool>()[k] = true;
    Shared(d.b_enc).set(random.normal(0, 0.1, {latents}));
    Shared(d.b_dec).set(random.normal(0, 0.1, {n}));
  }
  Expr dead_code() const {
    const Expr woken = switch_(constant(asleep), p, -inf);
    return relu(switch_(largest(woken, 2, 1), woken, 0));
  }
};

struct Version {
  Expr cost;
  std::vector<Shared> params;
  std::vector<Binding> at;
};

struct Mistake {
  std::string name;
  std::function<Version(bool wrong)> make;
  std::vector<Finding> kinds;  ///< Each of which says it.
  bool noted = false;          ///< What is right as often as not is a note.
};

const std::vector<Mistake>& mistakes() {
  static const std::vector<Mistake> all{
      {"8.1 b_dec twice in the auxiliary error",
       [](bool wrong) {
         Setting s;
         const Expr e = stop_gradient(s.x - s.z), code = s.dead_code();
         const Expr back = wrong ? s.d.decode(code) : dot(code, s.d.W_dec);
         const Expr aux = mean(sum(square(e - back), 1));
         return Version{s.loss + aux / 32, s.d.params(), s.at};
       },
       {Finding::counted_twice}},
      {"8.2 an own gradient that leaves out a parameter",
       [](bool wrong) {
         Setting s;
         const Shared W = s.d.W_enc, b = s.d.b_enc, c = s.d.b_dec;
         const std::vector<Expr> inputs =
             wrong ? std::vector<Expr>{W, b} : std::vector<Expr>{W, b, c};
         const Expr once = s.f;
         const auto rule = [=](const Expr& g) { return Lop({once}, inputs, {g}); };
         const Expr code = with_gradient(once, inputs, rule);  // Where wrong, b_dec is not there.
         return Version{
             mean(sum(square(s.x - dot(code, s.d.W_dec)), 1)), {W, b, c, s.d.W_dec}, s.at};
       },
       {Finding::no_gradient, Finding::partial_gradient, Finding::unreached}},
      {"8.3 a residual that is not held",
       [](bool wrong) {
         Setting s;
         const Expr e = wrong ? s.x - s.z : stop_gradient(s.x - s.z);
         const Expr aux = mean(sum(square(e - dot(s.dead_code(), s.d.W_dec)), 1));
         return Version{s.loss + aux / 32, s.d.params(), s.at};
       },
       {Finding::moving_target}},
      {"8.4 an auxiliary error that grows with the batch",
       [](bool wrong) {
         Setting s;
         const Expr e = stop_gradient(s.x - s.z) - dot(s.dead_code(), s.d.W_dec);
         const Expr aux = wrong ? sum(square(e)) : mean(sum(square(e), 1));
         return Version{s.loss + aux / 32, s.d.params(), s.at};
       },
       {Finding::batch_scale}},
      {"8.5 a threshold applied twice",
       [](bool wrong) {
         Setting s;
         const Shared t(Tensor::full(DType::float64, {latents}, 0.3), "t");
         const Expr once = switch_(s.p > t, s.p, 0);
         const Expr f = jumprelu(wrong ? once : s.p, t, 0.2);
         auto params = s.d.params();
         params.push_back(t);
         return Version{
             mean(sum(square(s.x - s.d.decode(f)), 1)) + 0.1 * mean(jumprelu_l0(s.p, t, 0.2)),
             params, s.at};
       },
       {Finding::selected_twice}},
      {"8.6 a dictionary of unit columns",
       [](bool wrong) {
         Setting s;
         const Expr W = s.d.W_dec / norm(s.d.W_dec, 2, wrong ? 0 : 1, /*keepdims=*/true);
         const Expr z = dot(relu(s.p), W) + s.d.b_dec;
         return Version{mean(sum(square(s.x - z), 1)) + 0.1 * mean(l1(relu(s.p))), s.d.params(),
                        s.at};
       },
       {Finding::foreign_axis}},
      {"8.7 a penalty that is constant",
       [](bool wrong) {
         Setting s;
         const Expr f = relu(s.p), sorted = sort(wrong ? abs(s.x) : f, 1);
         const Expr gini = mean(sum(sorted * cast(arange(wrong ? n : latents), DType::float64), 1));
         return Version{s.loss - 0.01 * gini, s.d.params(), s.at};
       },
       {Finding::constant_term}},
      {"8.7 an epsilon outside of the root",
       [](bool wrong) {
         Setting s;
         const Expr squares = sum(square(s.p), 1, /*keepdims=*/true);
         const Expr inverse = wrong ? 1 / sqrt(squares) + 1e-6 : 1 / sqrt(squares + 1e-6);
         return Version{mean(sum(square(s.x - s.d.decode(s.p * inverse)), 1)), s.d.params(), s.at};
       },
       {Finding::misplaced_epsilon}},
      {"8.8 a sum over probes",
       [](bool wrong) {
         Setting s;
         const Expr h = tanh(s.p), slope = 1 - square(h);
         const Expr v = s.draws.normal(
             {constant(Tensor(std::int64_t{5})), size(s.x, 0), size(h, 1)}, 0, 1, DType::float64);
         const Expr back = dot(v * slope, transpose(s.d.W_enc));
         const Expr each = sum(square(back), 2);
         const Expr penalty = mean(wrong ? sum(each, 0) : mean(each, 0));
         return Version{mean(sum(square(s.x - s.d.decode(h)), 1)) + penalty,
                        s.d.params(),
                        {{s.x, s.at[0].second}}};
       },
       {Finding::summed_draws},
       /*noted=*/true},
      {"8.9 a divergence as a mean beside an error as a sum",
       [](bool wrong) {
         Setting s;
         const Expr m = s.p, error = sum(square(s.x - s.d.decode(m)), 1);
         const Expr kl = wrong ? mean(square(m)) / 2 : mean(sum(square(m), 1)) / 2;
         return Version{mean(error) + kl, s.d.params(), s.at};
       },
       {Finding::mixed_means}},
      {"8.10 a weight that is never used",
       [](bool wrong) {
         Setting s;
         const Expr beta = dscalar("beta");  // Where wrong, it is not used.
         const Expr kl = mean(sum(square(s.p), 1));
         const Expr cost = wrong ? s.loss + kl : s.loss + beta * kl;
         s.at.emplace_back(beta, Tensor(0.5));
         return Version{cost, s.d.params(), s.at};
       },
       {Finding::unused_input}},
      {"8.11 a penalty on a derivative of what is held",
       [](bool wrong) {
         Setting s;
         const Expr h = tanh(s.p), J = jacobian(h, s.x);
         const Expr penalty = mean(sum(square(wrong ? stop_gradient(J) : J), {1, 2}));
         return Version{mean(sum(square(s.x - s.d.decode(h)), 1)) + penalty, s.d.params(), s.at};
       },
       {Finding::no_gradient}},
      {"8.12 a NaN that is made 0",
       [](bool wrong) {
         Setting s;
         const Expr volumes = log(sum(square(s.p), 1));
         const Expr kept = wrong ? switch_(is_nan(volumes), 0, volumes) : volumes;
         return Version{s.loss + mean(kept), s.d.params(), s.at};
       },
       {Finding::hidden_nan}},
      {"8.13 a threshold whose logarithm is learnt",
       [](bool wrong) {
         Setting s;
         const Shared t(Tensor::full(DType::float64, {latents}, wrong ? std::log(0.001) : 0.001),
                        "t");
         const Expr threshold = wrong ? exp(t) : t * 1.0, f = jumprelu(s.p, threshold);
         auto params = s.d.params();
         params.push_back(t);
         return Version{
             mean(sum(square(s.x - s.d.decode(f)), 1)) + 0.1 * mean(jumprelu_l0(s.p, threshold)),
             params, s.at};
       },
       {Finding::slow_threshold}},
      {"8.14 a parameter that is not trained",
       [](bool wrong) {
         Setting s;
         const Shared scale(Tensor(1.5), "scale");  // Where wrong, it is left out.
         std::vector<Shared> params = s.d.params();
         if (!wrong) params.push_back(scale);
         return Version{mean(sum(square(s.x - scale * s.z), 1)), params, s.at};
       },
       {Finding::not_trained},
       /*noted=*/true},
      {"8.15 a softmax over the examples",
       [](bool wrong) {
         Setting s;
         const Expr share = exp(s.p - max(s.p, 1, true)),
                    f = share / sum(share, wrong ? 0 : 1, true);
         return Version{mean(sum(square(s.x - s.d.decode(f)), 1)), s.d.params(), s.at};
       },
       {Finding::examples_mix}},
      {"8.16 (n, 1) against (n)",
       [](bool wrong) {
         Setting s;
         const Expr y = dvector("y"), w = s.d.b_enc, scores = dot(s.p, expand_dims(w, 1));
         const Expr cost = mean(square((wrong ? scores : squeeze(scores, 1)) - y));
         s.at.emplace_back(y, s.random.normal(0, 1, {batch}));
         return Version{cost, {s.d.W_enc, s.d.b_enc, s.d.b_dec}, s.at};
       },
       {Finding::examples_mix}},
      {"8.17 targets outside [0, 1]",
       [](bool wrong) {
         Setting s;
         const Expr target = wrong ? 3 * s.x : sigmoid(s.x), z = sigmoid(s.z);
         const Expr cost = mean(cross_entropy(target, z));  // Where wrong, of any numbers.
         return Version{cost, s.d.params(), s.at};
       },
       {Finding::out_of_range}},
      {"8.18 one row of targets for all examples",
       [](bool wrong) {
         Setting s;
         const Expr y = dmatrix("y");  // Where wrong, of one row.
         const Expr cost = mean(sum(square(s.z - y), 1));
         s.at.emplace_back(y, s.random.normal(0, 1, {wrong ? 1 : batch, n}));
         return Version{cost, s.d.params(), s.at};
       },
       {Finding::single_target}},
  };
  return all;
}

/// The lines of this file that are marked as those of a mistake.
std::vector<bool> marked_lines() {
  std::ifstream file(CINCH_SOURCE_DIR "/tests/audit/today.cpp");
  std::vector<bool> result{false};
  for (std::string line; std::getline(file, line);)
    result.push_back(line.find("wrong") != std::string::npos);
  return result;
}

}  // namespace

TEST_CASE("audit finds what public code of today gets wrong, and accuses no right version") {
  const std::vector<bool> marked = marked_lines();
  REQUIRE(marked.size() > 100);
  int found = 0;
  for (const Mistake& m : mistakes()) {
    CAPTURE(m.name);
    const Version wrong = m.make(true), right = m.make(false);
    const AuditReport bad = audit(wrong.cost, wrong.params, wrong.at),
                      good = audit(right.cost, right.params, right.at);
    CHECK_MESSAGE(good.findings.empty(), good.text());
    bool said = false;
    for (const auto* list : {&bad.findings, &bad.notes}) {
      if (list == &bad.notes && !m.noted) continue;
      for (const AuditFinding& f : *list) {
        const bool kind = std::ranges::find(m.kinds, f.kind) != m.kinds.end();
        said = said || (kind && marked.at(static_cast<std::size_t>(f.where.line)));
      }
    }
    CHECK_MESSAGE(said, bad.text());
    found += said;
  }
  CHECK(found == static_cast<int>(mistakes().size()));
}
