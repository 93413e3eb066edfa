// MNIST for the tests that can use it: never required.
#pragma once

#include <optional>
#include <string>

namespace cinch::testing {

/// The folder named by CINCH_MNIST, or shared/data/mnist beside the project; nothing where there is
/// none.
std::optional<std::string> mnist_folder();

/// The published log of the tutorial's contractive autoencoder: cost and norm of 20 epochs.
struct PublishedEpoch {
  double cost, norm;
};
extern const PublishedEpoch published_log[20];

}  // namespace cinch::testing
