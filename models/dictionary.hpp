// Sparse dictionaries: activations x are written as few rows of a matrix with many more rows than
// columns. A code f comes from pre-activations p by keeping the largest (TopK, BatchTopK), by a
// threshold of each latent (jumprelu.hpp), or by relu and a penalty; what they are trained with
// besides is in dictionary_rules.hpp.
//
//     const Dictionary d = dictionary(512, 4096, random);
//     const Expr p = d.pre_activations(x), f = topk_code(p, 32), z = d.decode(f);
//     const Expr cost = normalized_error(x, z) + auxiliary_error(d, p, x - z, dead, 256) / 32;
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/ops/random_state.hpp"

namespace CINCH_PUBLIC cinch {

/// z = f W_dec + b_dec for a code f of p = (x - b_dec) W_enc + b_enc; of `targets`, other
/// activations than the inputs, it is a transcoder.
struct Dictionary {
  Shared W_enc;  ///< (inputs, latents)
  Shared b_enc;  ///< (latents)
  Shared W_dec;  ///< (latents, targets): each row is what a latent stands for.
  Shared b_dec;  ///< (targets)
  /// Whether b_dec is taken from x before encoding, as where inputs and targets are the same.
  bool centred = true;

  /// p: (batch, inputs) -> (batch, latents).
  Expr pre_activations(const Arg& x) const;
  /// (batch, latents) -> (batch, targets)
  Expr decode(const Arg& f) const;
  std::vector<Shared> params() const { return {W_enc, b_enc, W_dec, b_dec}; }
};

struct DictionaryOptions {
  /// Sizes of what is reconstructed; 0: the inputs. Others make a transcoder: Dunefsky, Chlenski,
  /// Nanda, "Transcoders Find Interpretable LLM Feature Circuits", 2024.
  std::int64_t targets = 0;
  DType dtype = DType::float32;
  std::string label = {};  ///< In front of the labels W_enc, b_enc, W_dec, b_dec.
};

/// Rows of W_dec drawn from `random`, uniform on the unit sphere; W_enc its transpose, or, of a
/// transcoder, columns of unit norm drawn after it; biases 0. Throws ValueError unless sizes are
/// positive, TypeError for a dtype that is no float.
Dictionary dictionary(std::int64_t inputs, std::int64_t latents, RandomState& random,
                      const DictionaryOptions& options = {}, Source where = Source::here());

/// relu of the k largest pre-activations of each example; the others become 0: (batch, latents).
/// Gao et al., "Scaling and evaluating sparse autoencoders", 2024. Throws ValueError unless 1 <= k
/// <= latents.
Expr topk_code(const Arg& p, std::int64_t k);
/// relu of the k * batch largest pre-activations of all examples together, so that the number of
/// active latents may differ from one to another: Bussmann, Leask, Nanda, "BatchTopK Sparse
/// Autoencoders", 2024. Of examples one by one: thresholded(), with an average_threshold()
/// (dictionary_rules.hpp). Throws as topk_code().
Expr batch_topk_code(const Arg& p, std::int64_t k);
/// p where it is above the threshold, a scalar or one for each latent, which is 0 at least; else 0.
/// No gradient flows to the threshold; see jumprelu() for one that is learnt.
Expr thresholded(const Arg& p, const Arg& threshold);

/// sum |x - mean of x|^2 over a batch, divided by its size: the squared error of the best constant.
/// (batch, n) -> ().
Expr total_variance(const Arg& x);
/// mean |x - z|^2 / total_variance(x), for which 1 is what a constant reaches: (batch, n), (batch,
/// n) -> (). Infinite or NaN for examples that are all alike, as one example is.
Expr normalized_error(const Arg& x, const Arg& z);

/// AuxK of Gao et al.: what `residual`, x - z, leaves over is reconstructed from the k largest
/// pre-activations of dead latents alone, without b_dec, which the residual contains no more:
/// |residual - f_dead W_dec|^2 / total_variance(residual), a mean over examples, times
/// min(number of dead / k, 1). The residual is constant to it. `dead` is (latents), bool; 0 where
/// none is. Throws ValueError unless 1 <= k <= latents.
Expr auxiliary_error(const Dictionary& d, const Arg& p, const Arg& residual, const Arg& dead,
                     std::int64_t k);

/// normalized_error() with k latents + weight times that with `more`, usually 4 k: codes that go
/// on where more latents are used. Gao et al., section 5. Throws as topk_code().
Expr multi_topk_error(const Dictionary& d, const Arg& x, std::int64_t k, std::int64_t more,
                      double weight = 0.125);

/// sum over prefixes of |x - f_1..m W_dec,1..m - b_dec|^2, where each prefix m is a number of
/// latents, so that the first ones learn what is most general: (batch). Bussmann, Nabeshima,
/// Karvonen, Nanda, "Learning Multi-Level Features with Matryoshka Sparse Autoencoders", 2025.
/// Throws ValueError unless prefixes ascend from 1 at least to all latents at most.
Expr matryoshka_error(const Dictionary& d, const Arg& x, const Arg& f,
                      const std::vector<std::int64_t>& prefixes);

/// sum_i |f_i| |W_dec,i|, which scaling a latent does not change: (batch). W_dec is (latents, n),
/// f (batch, latents). Anthropic, "April Update", transformer-circuits.pub, 2024.
Expr weighted_l1(const Arg& f, const Arg& W_dec);

/// Throws ValueError, in the name of `function`, unless 1 <= k <= the columns of p, (batch,
/// latents).
void require_count(const char* function, const Arg& p, std::int64_t k);

}  // namespace cinch
