// Trainings on data that are stored narrow are those on the same data as float32.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>

#include "cinch/cinch.hpp"
#include "io/temporary_folder.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor bytes(const Shape& shape, std::uint32_t seed) {
  Tensor result(DType::uint8, shape);
  for (std::uint8_t& byte : result.data<std::uint8_t>())
    byte = static_cast<std::uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return result;
}

/// An autoencoder of 23 images of 12 pixels, whose step takes them as bytes or as float32.
struct Training {
  Tensor images, validation;
  Shared W;
  TrainOptions options;

  explicit Training(bool narrow)
      : images(bytes({23, 12}, 1)),
        validation(bytes({7, 12}, 2)),
        W(bytes({12, 5}, 3).cast(DType::float32), "W") {
    W.set(evaluate(W / 1000));
    const Expr pixels = matrix("pixels", narrow ? DType::uint8 : DType::float32);
    const Expr x = narrow ? widened(pixels, 255) : pixels;
    if (!narrow) {
      images = evaluate(widened(constant(images), 255));
      validation = evaluate(widened(constant(validation), 255));
    }
    const Expr cost = mean(sum(square(sigmoid(dot(sigmoid(dot(x, W)), transpose(W))) - x), 1));
    options.step =
        function({.inputs = {pixels}, .outputs = {cost}, .updates = sgd(cost, {W}, 0.1)});
    options.validate = function({.inputs = {pixels}, .outputs = {cost}});
    options.data = {&images};
    options.validation_data = {&validation};
    options.epochs = 3;
    options.batch = 4;
    options.shuffle = 5;
    options.out = nullptr;
  }
};

}  // namespace

TEST_CASE("a training on bytes ends with the bits of the same training on float32") {
  Training narrow(true), wide(false);
  const TrainResult a = train(narrow.options), b = train(wide.options);
  CHECK(narrow.W.value() == wide.W.value());
  CHECK(a.state.history.back().training == b.state.history.back().training);
  CHECK(a.state.history.back().validation == b.state.history.back().validation);
  CHECK(mean_over(narrow.options.validate, {&narrow.images}, 5) ==
        mean_over(wide.options.validate, {&wide.images}, 5));
}

TEST_CASE("a training on bytes is resumed, and refuses to be with one byte changed") {
  const TemporaryFolder folder;
  Training whole(true), first(true), second(true), other(true);
  train(whole.options);
  first.options.checkpoint = folder / "run.npz";
  first.options.after_step = [](const StepReport& r) {
    if (r.step == 7) std::raise(SIGINT);
  };
  train(first.options);
  other.images.data<std::uint8_t>()[100] ^= 1;
  for (Training* t : {&second, &other}) {
    t->options.checkpoint = folder / "run.npz";
    t->options.resume = Resume::always;
  }
  CHECK(contains(error_of<FileError>([&] { train(other.options); }), "hash of the data"));
  train(second.options);
  CHECK(second.W.value() == whole.W.value());
}

TEST_CASE("a checkpoint holds variables that are stored narrow") {
  const TemporaryFolder folder;
  const auto with = [&](DType dtype, Shared& held, std::uint32_t seed) {
    Training result(true);
    held = Shared(bytes({6, 2}, seed).cast(dtype), "held");
    result.options.also = {held};
    result.options.checkpoint = folder / "run.npz";
    result.options.resume = Resume::if_present;
    return result;
  };
  for (const DType dtype : {DType::uint8, DType::float16}) {
    Shared before, after;
    std::filesystem::remove(folder / "run.npz");
    Training one = with(dtype, before, 4);
    train(TrainOptions(one.options));
    Training two = with(dtype, after, 5);
    CHECK_FALSE(after.value() == before.value());
    two.options.data = {&two.images};
    two.options.validation_data = {&two.validation};
    train(two.options);
    CHECK(after.value() == before.value());
  }
  Shared held;
  Training none = with(DType::bfloat16, held, 4);
  none.options.data = {&none.images};
  CHECK(contains(error_of<TypeError>([&] { train(none.options); }),
                 "a checkpoint holds no bfloat16, of which held is"));
}

TEST_CASE("what was forgotten about bytes is said before the first step") {
  Training t(true);
  const Expr pixels = matrix("pixels");
  const Expr cost = mean(square(dot(pixels, t.W)));
  t.options.step =
      function({.inputs = {pixels}, .outputs = {cost}, .updates = sgd(cost, {t.W}, 0.1)});
  const std::string said = error_of<TypeError>([&] { train(t.options); });
  CAPTURE(said);
  CHECK(contains(said, "argument pixels must be float32 (?, ?), got uint8 (4, 12)"));
  CHECK(contains(said, "declare it as DType::uint8 and compute with widened(pixels)"));
}
