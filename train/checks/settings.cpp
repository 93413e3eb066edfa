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
  if (o.rows != 0 && !o.shards.empty()) throw ValueError("train: give shards or rows, not both");
  if (!o.data.empty() && !o.shards.empty())
    throw ValueError("train: give data or shards, not both");
  if (!o.validation_data.empty() && !o.validation_shards.empty())
    throw ValueError("train: give validation_data or validation_shards, not both");
  if (o.rows != 0) {
    require_number(o);
  } else {
    require_fitting("the step", o.step, o.data.size() + o.shards.size());
  }
  require_updates(o.step);
  const std::size_t validation = o.validation_data.size() + o.validation_shards.size();
  if (!o.validate != (validation == 0))
    throw ValueError("train: validate and validation_data belong together: one of them is missing");
  if (o.validate) {
    require_fitting("the validation", o.validate, validation);
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
  if (!o.checkpoint.empty()) {
    for (const Shared& variable : all_variables(o)) {
      if (variable.dtype() == DType::bfloat16)
        throw TypeError("train: a checkpoint holds no bfloat16, of which " + describe(variable) +
                        " is: store it as float16 or float32");
    }
  }
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

}  // namespace cinch::checks
