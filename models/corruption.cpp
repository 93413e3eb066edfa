#include "cinch/models/corruption.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/models/losses.hpp"
#include "cinch/models/sparse.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/records/operands.hpp"

namespace cinch {

namespace {

void require_probability(const char* function, double level, Source where) {
  if (level >= 0 && level <= 1) return;
  refuse<ValueError>(function, text("the level is a probability in [0, 1], got ", level), where);
}

Expr coins(const Arg& x, double p, RandomStreams& random) {
  return random.binomial(sizes(x), 1, p, DType::bool_);
}

}  // namespace

Corrupted masking(const Arg& x, double level, RandomStreams& random) {
  const Attribution as(x.where());
  require_probability("masking", level, x.where());
  const Expr changed = coins(x, level, random);
  return {switch_(changed, 0, x), changed};
}

Corrupted masking_count(const Arg& x, std::int64_t count, RandomStreams& random) {
  const Attribution as(x.where());
  if (x->rank() != 2 || count < 0) {
    refuse("masking_count",
           text("a count >= 0 of elements of each row, got ", count, " of ", text(x->type())), x);
  }
  const Expr lots = random.uniform(sizes(x), 0, 1, x->dtype());
  const Expr changed = count > 0 ? largest(lots, count) : lots < 0;
  return {switch_(changed, 0, x), changed};
}

Corrupted salt_and_pepper(const Arg& x, double level, RandomStreams& random, double low,
                          double high) {
  const Attribution as(x.where());
  require_probability("salt_and_pepper", level, x.where());
  const Expr changed = coins(x, level, random), salt = coins(x, 0.5, random);
  return {switch_(changed, cast(switch_(salt, high, low), x->dtype()), x), changed};
}

Corrupted gaussian(const Arg& x, double sd, RandomStreams& random) {
  const Attribution as(x.where());
  if (!(sd >= 0)) {
    refuse<ValueError>("gaussian", text("the standard deviation must be at least 0, got ", sd),
                       x.where());
  }
  return {x + random.normal(sizes(x), 0.0, sd, x->dtype()),
          broadcast_like(constant(Tensor(true)), x)};
}

Expr emphasized(const Arg& losses, const Corrupted& corrupted, const Arg& alpha, const Arg& beta) {
  const Attribution as(losses.where());
  const char* name = "emphasized";
  const Expr changed = records::alike(name, corrupted.changed, losses);
  return example_sum(switch_(changed, records::beside(name, alpha, losses) * losses,
                             records::beside(name, beta, losses) * losses));
}

}  // namespace cinch
