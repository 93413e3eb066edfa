#include "cinch/models/classifier.hpp"

#include "cinch/core/refusal.hpp"
#include "cinch/ops/arithmetic.hpp"
#include "cinch/ops/loss.hpp"
#include "cinch/ops/records/operands.hpp"
#include "cinch/ops/reduce.hpp"

namespace cinch {

Layer logistic_regression(std::int64_t inputs, std::int64_t classes, DType dtype,
                          const std::string& label, Source where) {
  if (!is_float(dtype))
    refuse("logistic_regression", text("needs a float dtype, got ", name(dtype)), where);
  if (inputs < 1 || classes < 2) {
    refuse<ValueError>(
        "logistic_regression",
        text("needs inputs and at least two classes, got ", inputs, " and ", classes), where);
  }
  return {Shared(Tensor(dtype, {inputs, classes}), label + "W", where),
          Shared(Tensor(dtype, {classes}), label + "b", where), linear};
}

Network classifier(const Network& features, const Layer& top) {
  return chain(features, Network{{top}});
}

Network mlp(const std::vector<std::int64_t>& sizes, RandomState& random,
            const NetworkOptions& options, Source where) {
  require_sizes("mlp", sizes, where);
  Network hidden;
  if (sizes.size() > 2) {
    NetworkOptions own = options;
    own.output = options.hidden;
    hidden = network({sizes.begin(), sizes.end() - 1}, random, own, where);
  }
  return classifier(hidden, logistic_regression(sizes[sizes.size() - 2], sizes.back(),
                                                options.dtype, options.label + "top.", where));
}

Expr classification_cost(const Arg& labels, const Arg& logits) {
  const Attribution as(labels.where());
  const bool classes = labels->dtype() == DType::int64 && logits->rank() == labels->rank() + 1;
  return mean(categorical_cross_entropy_from_logits(
      classes ? records::class_labels("classification_cost", labels, logits, -1) : labels.expr(),
      logits));
}

Expr predict(const Arg& logits) {
  const Attribution as(logits.where());
  return argmax(logits, -1);
}

Expr error_rate(const Arg& labels, const Arg& logits) {
  const Attribution as(labels.where());
  if (labels->dtype() != DType::int64 || labels->rank() != 1) {
    refuse("error_rate", "labels must be int64 (batch)", labels, {logits});
  }
  return mean(not_equal(predict(logits), records::class_labels("error_rate", labels, logits, -1)));
}

}  // namespace cinch
