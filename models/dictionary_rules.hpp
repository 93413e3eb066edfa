// What sparse dictionaries are trained with besides a cost: where they start, counters of idle
// latents, thresholds for inference, resampling. Each rule is a list of updates, to be added to an
// optimizer's. Norms of rows: optim/constraint.hpp; averages of parameters: optim/averages.hpp.
#pragma once

#include <cstdint>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/core/visibility.hpp"
#include "cinch/models/dictionary.hpp"
#include "cinch/ops/random.hpp"

namespace CINCH_PUBLIC cinch {

/// For how many examples each latent has not been active: (latents), int64, 0 at first.
Shared idle_counter(const Dictionary& d, Source where = Source::here());
/// idle <- 0 where the latent is active in an example of f, (batch, latents), else idle + batch.
/// Throws TypeError for a counter of another size.
Updates count_idle(const Shared& idle, const Arg& f);
/// Which latents have been idle for `examples` or more: (latents), bool.
Expr dead_latents(const Shared& idle, std::int64_t examples, Source where = Source::here());

/// A threshold for batch_topk_code()'s latents, to be used with thresholded(): a scalar, -1 until
/// there has been a batch.
Shared inference_threshold(DType dtype = DType::float32, Source where = Source::here());
/// t <- decay t + (1 - decay) a for the smallest activation a of f that is not 0; t <- a at first,
/// and t as it is where none is active. Throws ValueError unless 0 <= decay < 1.
Updates average_threshold(const Shared& threshold, const Arg& f, double decay = 0.999);

/// The point from which the sum of the distances to the rows of x, (examples, n), is least, by
/// Weiszfeld's iteration from their mean until a step is shorter than `tolerance` times the mean
/// distance: (n), of x's dtype. Rows at the point itself are left out of a step. Throws ValueError
/// for a row that is not finite, naming it, and where there is none.
Tensor geometric_median(const Tensor& x, double tolerance = 1e-7, std::int64_t most_steps = 1000,
                        Source where = Source::here());
/// Sets b_dec to the geometric median of what is reconstructed, which outliers do not move. Throws
/// as geometric_median(), and TypeError for another number of columns.
void centre(const Dictionary& d, const Tensor& targets, Source where = Source::here());

/// Makes what dead latents stand for out of examples that are reconstructed badly (Bricken et al.,
/// "Towards Monosemanticity", transformer-circuits.pub, 2023): row i of W_dec becomes the
/// direction of x - b_dec of an example drawn with probability proportional to its squared loss
/// |x - z|^2 squared, column i of W_enc the same times 0.2 of the mean norm of living columns,
/// b_enc 0, and the moments that `optimizer` keeps of these become 0. All other latents stay as
/// they are. A function with these updates is called now and then. `dead` is (latents), bool, z the
/// reconstruction of x, (batch, n); not for transcoders, which have no such direction (TypeError).
Updates resample(const Dictionary& d, const Arg& dead, const Arg& x, const Arg& z,
                 RandomStreams& random, const Updates& optimizer = {});

}  // namespace cinch
