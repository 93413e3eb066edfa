// The works: training steps to be timed, each in several implementations (modes).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cinch/core/tensor.hpp"

namespace cinch::bench {

/// One row of the list of works; README.md says what they compute.
struct Work {
  std::string_view name;
  std::vector<std::int64_t> batches;    ///< Those of the table of figures; any other works too.
  std::vector<std::string_view> modes;  ///< fast, checked, blas, hand, gram.
};
std::span<const Work> works();
const Work* find_work(std::string_view name);

/// One of the things a call of the program measures.
struct Config {
  std::string work, mode;
  DType dtype = DType::float32;
  std::int64_t batch = 0;
  int threads = 1;
  bool profile = false;  ///< Ask Cinch where the time goes.
};

/// Images (count, 784) as byte / 256, and labels (count).
struct Data {
  Tensor images, labels;
  std::int64_t count() const { return images.shape()[0]; }
};
/// The first 50,000 examples of the folder, or all if it has fewer; "synthetic" is 2,000 examples
/// made up.
Data load_data(const std::string& folder, DType dtype);

/// Entry k = 1, 2, ... in row order of initial weight matrix number m: g sqrt(6 / (p + q)) (2u - 1)
/// with u from splitmix64 over m and k. The same numbers on any machine and in any language.
Tensor initial_matrix(std::uint64_t m, std::int64_t p, std::int64_t q, double g, DType dtype);

// Settings that implementations share.
constexpr std::int64_t visible = 784, hidden = 500;  // W1 to W3
constexpr double contraction = 0.1, contractive_rate = 0.01;
constexpr double corruption = 0.3, denoising_rate = 0.1;
constexpr std::int64_t corruption_seed = 1;

constexpr double no_loss = std::numeric_limits<double>::quiet_NaN();

/// Makes the step on minibatch number `index`: examples [index * batch, (index + 1) * batch).
/// Returns the loss before it, or no_loss from an implementation without one.
using Step = std::function<double(std::int64_t index)>;

/// A step, and for Cinch in its fast mode, with Config::profile, a text that says where the time
/// went.
struct TimedStep {
  Step step;
  std::function<std::string()> report;
};

/// The step as a Cinch function in the mode's way: fast, checked, or gram (fast, with W5's penalty
/// by the Gram matrix). Throws ValueError for a number of threads that Cinch cannot be given.
TimedStep cinch_step(const Config& config, Data data);
/// Only the matrix products that the step cannot do without, by OpenBLAS, on buffers of the same
/// sizes.
Step blas_step(const Config& config);
/// W1, W2, W2j (which are one step) and W3 written out by hand, for this processor. `data` has to
/// outlive the step. Throws ValueError for more than one thread.
Step hand_step(const Config& config, const Data& data);
/// Empty if this processor can run hand_step(), else the instruction set it lacks.
std::string hand_lacks();

/// The step of config.mode. `data` moves into it or has to outlive it.
TimedStep make_step(const Config& config, Data& data);

/// For OpenBLAS, whoever calls it.
void set_blas_threads(int threads);

}  // namespace cinch::bench
