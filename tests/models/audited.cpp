// What audit() says of right costs: nothing.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cinch/audit/audit.hpp"
#include "cinch/cinch.hpp"
#include "support/settings.hpp"
#include "variants.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Costs as the programs in examples/ train them, in float32, small.
std::vector<Variant> as_in_examples() {
  const auto images = [](Setting& s) {
    const Expr x = matrix("images");
    s.more = {
        {x, RandomState(s.seed + 9).uniform(0, 1, {s.x_value.shape()[0], 20}, DType::float32)}};
    return x;
  };
  const auto model = [](Setting& s, AutoencoderOptions options = {}) {
    return autoencoder({20, 12}, s.initial, options);
  };
  return {
      {"contractive_autoencoder",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = contractive_autoencoder(20, 12, s.initial);
         return Trained{contractive_cost(m, x, 0.1).total, m.params()};
       }},
      {"contractive_keras",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s, {.tied = false, .output = linear});
         const Expr h = m.encode(x);
         return Trained{mean(sum(square(x - m.decode(h)), 1)) +
                            1e-2 * mean(sum(square(jacobian(h, x)), {1, 2})),
                        m.params()};
       }},
      {"deep_contractive_fashion",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = autoencoder({20, 12, 8, 4}, s.initial,
                                    {.tied = false, .hidden = tanh, .output = linear});
         const Expr h = m.encode(x);
         return Trained{mean(squared_error(x, m.decode(h))) + 0.1 * mean(jacobian_norm2(h, x)),
                        m.params()};
       }},
      {"denoising_autoencoder, emphasis",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s);
         const auto noisy = salt_and_pepper(x, 0.25, s.random);
         return Trained{
             mean(emphasized(binary_cross_entropy(x, m.reconstruct(noisy.x)), noisy, 1, 0.5)),
             m.params()};
       }},
      {"sparse",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s);
         return Trained{
             reconstruction_cost(m, x, cross_entropy) + 0.1 * sparse_kl(m.encode(x), 0.05),
             m.params()};
       }},
      {"k_sparse",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s, {.code = linear, .output = linear});
         return Trained{mean(squared_error(x, m.decode(k_sparse(m.encode(x), 3)))), m.params()};
       }},
      {"linear_autoencoder_is_pca",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s, {.tied = false, .code = linear, .output = linear});
         return Trained{reconstruction_cost(m, x, squared_error), m.params()};
       }},
      {"vae",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m =
             variational_autoencoder({20, 10, 2}, s.initial, {.hidden = tanh, .output = sigmoid});
         return Trained{variational_cost(m, x, s.random, cross_entropy, 2).total, m.params()};
       }},
      {"score_matching_2d",
       [=](Setting& s) {
         const Expr x = images(s);
         const auto m = model(s, {.hidden = tanh, .code = tanh, .output = linear});
         return Trained{mean(sum(square(m.reconstruct(gaussian(x, 0.1, s.random).x) - x), 1)),
                        m.params()};
       }},
  };
}

/// Whether all that is found is dead units, and rightly: only what is added last has a gradient.
bool is_dead(const AuditReport& report, const Trained& trained, const Setting& s) {
  for (const AuditFinding& finding : report.findings) {
    if (finding.kind != Finding::dead) return false;
  }
  int alive = 0;
  for (const Expr& g : grad(trained.cost, trained.params)) {
    const Tensor value = evaluate(g, s.values(trained.cost));
    bool zero = true;
    for (std::int64_t k = 0; k < value.size(); ++k) zero &= value.at(k) == 0;
    alive += !zero;
  }
  return alive <= 1;
}

}  // namespace

TEST_CASE("audit() accuses no right cost, whatever the draws and the number of examples") {
  const std::int64_t seeds = number_from("CINCH_AUDIT_SEEDS", 2);
  std::vector<std::int64_t> sizes{4, 20};
  if (seeds >= 10) sizes = {4, 5, 20, 100, 1000};
  std::vector<Variant> all = variants();
  for (Variant& v : as_in_examples()) all.push_back(std::move(v));
  int audits = 0, accused = 0, notes = 0, dead = 0;
  for (std::int64_t seed = 0; seed < seeds; ++seed) {
    for (const std::int64_t n : sizes) {
      for (const Variant& variant : all) {
        CAPTURE(variant.name);
        CAPTURE(seed);
        CAPTURE(n);
        Setting s(n, seed);
        const Trained trained = seed % 2 ? variant.make(s) : moved(variant, s);
        const AuditReport report = audit(trained.cost, trained.params, s.values(trained.cost));
        ++audits;
        // A draw may make a network that nothing can train, and to say so is right.
        if (!report.findings.empty() && is_dead(report, trained, s)) {
          ++dead;
          continue;
        }
        CHECK_MESSAGE(report.findings.empty(), report.text());
        accused += !report.findings.empty();
        notes += !report.notes.empty();
      }
    }
  }
  CHECK(dead * 1000 <= audits);
  MESSAGE(audits, " audits, ", dead, " of dead networks, ", accused, " with a finding, ", notes,
          " with a note");
}
