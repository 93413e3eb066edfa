// Classifiers: logistic regression, alone or on top of learned features.
//
//     const Network net = classifier(stacked_encoder(stack), logistic_regression(500, 10));
//     const Expr cost = classification_cost(labels, net(x));
//     sgd(cost, net.layers.back().params(), rate)   // Fine-tunes the top alone,
//     sgd(cost, net.params(), rate)                 // or the whole network.
#pragma once

#include "cinch/core/visibility.hpp"
#include "cinch/models/layer.hpp"

namespace CINCH_PUBLIC cinch {

/// A linear layer from features to one logit for each class, with W and b zero. Throws TypeError
/// unless there are inputs and at least two classes.
Layer logistic_regression(std::int64_t inputs, std::int64_t classes, DType dtype = DType::float32,
                          const std::string& label = {}, Source where = Source::here());

/// Features and a layer on top; both keep their weights, so what trains one trains the other.
Network classifier(const Network& features, const Layer& top);

/// Hidden layers with weights as by dense() and logistic regression on top: sizes[0] inputs,
/// sizes.back() classes. `output` of the options is not used. Throws TypeError as those do.
Network mlp(const std::vector<std::int64_t>& sizes, RandomState& random,
            const NetworkOptions& options = {}, Source where = Source::here());

/// The mean over examples of -log p[label], for labels (batch) of int64 or distributions (batch,
/// classes), and logits (batch, classes). Stable at any logits. A label that is no class is a
/// ValueError at run time, here and for error_rate.
Expr classification_cost(const Arg& labels, const Arg& logits);
/// The most probable class of each example: (batch), int64.
Expr predict(const Arg& logits);
/// The share of examples whose label (int64) is not the most probable class. Throws TypeError for
/// other labels.
Expr error_rate(const Arg& labels, const Arg& logits);

}  // namespace cinch
