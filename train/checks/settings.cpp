#include "cinch/train/checks/settings.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "cinch/core/compile/inspect.hpp"
#include "cinch/core/refusal.hpp"
#include "cinch/io/file.hpp"
#include "cinch/train/checks/suspects.hpp"

namespace cinch::checks {

namespace {

void require_positive(const char* what, std::int64_t value, std::int64_t least = 1) {
  if (value < least)
    throw ValueError(text("train: ", what, " must be at least ", least, ", got ", value));
}

/// Throws TypeError where the inputs are not as many as the tensors, or there is no output.
void require_fitting(const char* which, const Function& f, std::size_t tensors) {
  const compiling::Program& program = Inspect::program(f);
  if (program.inputs.size() != tensors) {
    std::string names;
    for (const Expr& input : program.inputs) names += (names.empty() ? "" : ", ") + describe(input);
    throw TypeError(text("train: ", which, " takes ", program.inputs.size(), " inputs (", names,
                         "), its data are ", tensors, " tensors"));
  }
  if (program.output_count == 0)
    throw TypeError(text("train: ", which, " has no outputs; the first must be the loss"));
  for (std::size_t k = 0; k < program.output_count; ++k) {
    const Expr& output = program.written[k];
    if (output.rank() != 0)
      refuse("train",
             text("output ", k, " of ", which, " must be a scalar, got ", output.type(), "  ",
                  describe(output), "\n  Take its mean() over the examples."),
             output->where);
  }
}

/// The step of data that it holds itself takes a number.
void require_number(const TrainOptions& o) {
  require_fitting("the step, which has no data but `rows`,", o.step, 1);
  const Expr& number = Inspect::program(o.step).inputs[0];
  if (number.dtype() != DType::int64 || number.rank() != 0)
    throw TypeError(
        text("train: without data, the step's input is the number of the minibatch, an "
             "int64 scalar, got ",
             text(number.type()), "  ", describe(number)));
  if (o.shuffle) throw ValueError("train: shuffle needs data: the step's own are in its hands");
}

}  // namespace

std::vector<Shared> all_variables(const TrainOptions& o) {
  std::vector<Shared> result;
  const auto add = [&](const std::vector<Shared>& more) {
    for (const Shared& variable : more) {
      if (std::ranges::find(result, variable) == result.end()) result.push_back(variable);
    }
  };
  add(Inspect::program(o.step).targets);
  if (o.validate) add(Inspect::program(o.validate).targets);
  add(o.params);
  add(o.also);
  return result;
}

std::vector<std::string> output_names(const TrainOptions& o) {
  const std::size_t count = Inspect::program(o.step).output_count;
  if (!o.names.empty() && o.names.size() != count)
    throw ValueError(text("train: ", o.names.size(), " names for ", count, " outputs"));
  if (!o.names.empty()) return o.names;
  std::vector<std::string> result;
  for (std::size_t k = 0; k < count; ++k) result.push_back(k == 0 ? "loss" : text("output ", k));
  return result;
}

void require_settings(const TrainOptions& o) {
  require_positive("epochs", o.epochs, 0);
  require_positive("checkpoint_every", o.checkpoint_every);
  require_positive("validation_frequency", o.validation_frequency, 0);
  require_positive("validation_batch", o.validation_batch, 0);
  require_positive("parts", o.parts, 0);
  if (o.parts > 0 && !o.distribute)
    throw ValueError("train: parts are those of .distribute: set one_process() or mpi()");
  if (o.rows != 0 && !o.data.empty()) throw ValueError("train: give data or rows, not both");
  if (o.rows != 0) {
    require_number(o);
  } else {
    require_fitting("the step", o.step, o.data.size());
  }
  require_updates(o.step);
  if (!o.validate != o.validation_data.empty())
    throw ValueError("train: validate and validation_data belong together: one of them is missing");
  if (o.validate) {
    require_fitting("the validation", o.validate, o.validation_data.size());
    require_no_training(o.validate, o.step, o.params);
  }
  const std::size_t validated = o.validate ? Inspect::program(o.validate).output_count : 0;
  if (!o.validation_names.empty() && o.validation_names.size() != validated)
    throw ValueError(text("train: ", o.validation_names.size(), " names for ", validated,
                          " outputs of the validation"));
  if (o.early_stopping) {
    if (!o.validate)
      throw ValueError("train: early stopping needs validation: give validate and validation_data");
    require_valid(*o.early_stopping);
  }
  if (o.restore_best && (o.params.empty() || !o.validate))
    throw ValueError("train: restore_best needs params and validation");
  if (o.resume != Resume::never && o.checkpoint.empty())
    throw ValueError("train: resume needs the path of a checkpoint");
  if (!o.log.empty() && !o.checkpoint.empty() &&
      std::filesystem::weakly_canonical(o.log) == std::filesystem::weakly_canonical(o.checkpoint))
    throw ValueError("train: log and checkpoint are one file, " + o.log + ": give each its own");
  const bool writes = !o.distribute || o.distribute->rank() == 0;
  if (!o.checkpoint.empty() && writes) AtomicFile(o.checkpoint);  // That it can be; it is not.
  if (o.rate.has_value() && o.rate.rank() != 0)
    throw TypeError("train: rate must be a scalar, got " + text(o.rate.type()));
}

std::int64_t fingerprint(std::span<const Tensor* const> data) {
  std::array<std::uint64_t, 4> sums = {1, 2, 3, 4};
  const auto mix = [](std::uint64_t& sum, std::uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
    sum ^= sum >> 29;
  };
  for (const Tensor* tensor : data) {
    mix(sums[0], static_cast<std::uint64_t>(tensor->dtype()));
    for (const std::int64_t size : tensor->shape()) mix(sums[0], static_cast<std::uint64_t>(size));
    const auto* bytes = static_cast<const std::byte*>(tensor->raw());
    const std::size_t size = tensor->bytes();
    constexpr std::size_t block = sizeof sums;  // A word for each sum, so that they do not wait.
    std::array<std::uint64_t, 4> words{};
    std::size_t at = 0;
    for (; at + block <= size; at += block) {
      std::memcpy(words.data(), bytes + at, block);
      for (std::size_t k = 0; k < sums.size(); ++k) mix(sums[k], words[k]);
    }
    words = {};
    std::memcpy(words.data(), bytes + at, size - at);
    for (std::size_t k = 0; k < sums.size(); ++k) mix(sums[k], words[k]);
  }
  for (std::size_t k = 1; k < sums.size(); ++k) mix(sums[0], sums[k]);
  return static_cast<std::int64_t>(sums[0] >> 1);
}

}  // namespace cinch::checks
