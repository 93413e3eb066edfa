// The variants of penalties on geometry, neighbourhoods and scores.
#include "variants.hpp"

namespace cinch::testing {

namespace {

/// A penalty of the decoder at the codes.
Variant penalised(const char* name, Expr (*penalty)(Setting& s, const Expr& z, const Expr& h)) {
  return {name, [penalty](Setting& s) {
            const auto m = s.smooth({6, 4, 2});
            const Expr h = m.encode(s.x);
            return s.with_penalty(m, penalty(s, m.decode(h), h));
          }};
}

}  // namespace

std::vector<Variant> geometry_variants() {
  return {
      {"scaled isometry at mixed codes",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         const Expr code = mixed_codes(m.encode(s.x), 0.2, s.random);
         return s.with_penalty(m, scaled_isometry_error(m.decode(code), code));
       }},
      {"scaled isometry by probes",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         const Expr code = mixed_codes(m.encode(s.x), 0.2, s.random);
         return s.with_penalty(m, scaled_isometry_estimate(m.decode(code), code, s.random));
       }},
      penalised("conformal",
                [](Setting&, const Expr& z, const Expr& h) { return mean(conformal_error(z, h)); }),
      penalised("geometric, variance of volumes",
                [](Setting&, const Expr& z, const Expr& h) { return volume_variance(z, h); }),
      penalised("minimum curvature",
                [](Setting&, const Expr& z, const Expr& h) { return 0.1 * mean(curvature(z, h)); }),
      penalised("minimum curvature by probes",
                [](Setting& s, const Expr& z, const Expr& h) {
                  return 0.1 * mean(curvature_estimate(z, h, s.random));
                }),
      penalised(
          "rectangular flow",
          [](Setting&, const Expr& z, const Expr& h) { return mean(rectangular_flow_cost(z, h)); }),
      {"free-form flow",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         const Expr h = m.encode(s.x);
         return Trained{mean(free_form_cost(m.decode(h), h, s.x, 10, s.random)), m.params()};
       }},
      penalised("topological",
                [](Setting& s, const Expr&, const Expr& h) { return topological_error(s.x, h); }),
      penalised("neighbourhoods, first order",
                [](Setting& s, const Expr& z, const Expr& h) {
                  return mean(neighbourhood_error(s.x, z, h, nearest_examples(s.x, 2)));
                }),
      penalised("neighbourhoods, second order",
                [](Setting& s, const Expr& z, const Expr& h) {
                  return mean(neighbourhood_error(s.x, z, h, nearest_examples(s.x, 2), 2));
                }),
      {"Lipschitz bound",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 2});
         return s.with_penalty(m, lipschitz_bound(m.decoder, s.initial).norm);
       }},
      {"VICReg",
       [](Setting& s) {
         const auto m = s.smooth({6, 4, 3});
         return Trained{vicreg(m.encode(s.x), m.encode(gaussian(s.x, 0.2, s.random).x)).total,
                        m.encoder.params()};
       }},
      {"denoising score matching at many levels",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         const auto score = [&](const Expr& x, const Expr& sigma) {
           return m.reconstruct(x) / sigma;
         };
         return Trained{mean(denoising_score_error(score, s.x, noise_levels(1, 0.1, 4), s.random)),
                        m.params()};
       }},
      {"sliced score matching",
       [](Setting& s) {
         const auto m = s.smooth({6, 4});
         return Trained{mean(sliced_score_error(m.reconstruct(s.x), s.x, s.random)), m.params()};
       }},
  };
}

}  // namespace cinch::testing
