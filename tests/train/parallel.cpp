// Trained in parts, by any number of ranks, a training ends with the same bits.
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>

#include "cinch/train/parallel/parts.hpp"
#include "cinch/train/parallel/stages.hpp"
#include "cinch/train/parallel/sums.hpp"
#include "io/temporary_folder.hpp"
#include "ranks.hpp"
#include "small_training.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// The small training with minibatches of 16 of its rows, two parts each, or of more.
struct Distributed : SmallTraining {
  explicit Distributed(std::int64_t rows = 200) {
    x = numbers({rows, 3}, 0);
    y = numbers({rows}, 1);
    x_valid = numbers({50, 3}, 2);
    y_valid = numbers({50}, 3);
    options.batch = 64;
    options.epochs = 3;
    options.validation_batch = 20;
  }
};

struct Ended {
  std::vector<Tensor> values;
  std::string history;
  std::int64_t steps = 0;
};

Ended trained(std::shared_ptr<Distribution> distribution,
              const std::function<void(Distributed&)>& with = {}) {
  Distributed s;
  s.options.distribute = std::move(distribution);
  if (with) with(s);
  const TrainResult result = train(s.options);
  return {s.values(), history_text(result.state), result.state.step};
}

/// With minibatches of 70 rows, each in parts or as one.
void train_three_epochs(const Function& step, const Tensor& data, bool parts) {
  train(quiet_options(step, data, 70, 3, parts ? one_process() : nullptr));
}

std::string refusal_of(const Expr& x, const Expr& cost, const std::vector<Shared>& params,
                       const Tensor& data) {
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, params, 0.1)});
  return error_of<TypeError>([&] { parallel::staged("train", step, {&data}); });
}

}  // namespace

TEST_CASE("parts have all rows, and the number of parts depends on rows alone") {
  for (std::int64_t rows = 1; rows < 3000; rows += rows < 100 ? 1 : 37) {
    CAPTURE(rows);
    const std::int64_t parts = parallel::part_count(rows);
    REQUIRE(parts >= 1);
    std::int64_t next = 0;
    for (std::int64_t p = 0; p < parts; ++p) {
      const auto [first, count] = parallel::part_rows(rows, parts, p);
      CHECK(first == next);
      CHECK(count >= rows / parts);
      CHECK(count <= rows / parts + 1);
      next += count;
    }
    CHECK(next == rows);
  }
  CHECK(parallel::part_count(7) == 1);
  CHECK(parallel::part_count(20) == 2);
  CHECK(parallel::part_count(64) == 8);
  CHECK(parallel::part_count(512) == 8);
  CHECK(parallel::part_count(65536) == 1024);
  CHECK(parallel::part_count(512, 2) == 2);
  CHECK(parallel::part_count(20, 8) == 2);
  CHECK(parallel::part_count(4096, 3) == 3);
}

TEST_CASE("sums of parts are the same bits for any number of ranks") {
  for (const std::int64_t parts : {1, 2, 3, 5, 8, 16}) {
    CAPTURE(parts);
    const auto compute = [](std::int64_t part, std::vector<Tensor>& result) {
      result.resize(3);
      result[0] = numbers({7, 11}, static_cast<double>(part));
      result[1] = Tensor(std::sin(static_cast<double>(part)));
      result[2] = Tensor::from<std::int64_t>({2}, {part, 1});
    };
    std::vector<Tensor> expected;
    int flag = 0;
    parallel::Sums(one_process()).add(parts, {compute}, expected, flag);
    CHECK(expected[2] == Tensor::from<std::int64_t>({2}, {parts * (parts - 1) / 2, parts}));
    for (int ranks = 2; ranks <= 9; ++ranks) {
      CAPTURE(ranks);
      ThreadRanks all(ranks);
      std::mutex mutex;
      const auto errors = all.run([&](std::shared_ptr<Distribution> rank) {
        parallel::Sums sums(rank);
        std::vector<Tensor> result;
        for (int again = 0; again < 2; ++again) {
          int signal = rank->rank() == 1 ? 15 : 0;
          sums.add(parts, {compute}, result, signal);
          const std::scoped_lock lock(mutex);
          CHECK(result == expected);
          CHECK(signal == 15);
        }
      });
      for (const std::string& error : errors) CHECK(error.empty());
    }
  }
}

TEST_CASE("products are sent by blocks of rows, to the same bits for any number of ranks") {
  constexpr std::int64_t rows = 97, columns = 50;
  const std::function<float(std::int64_t, std::int64_t, std::int64_t)> sum =
      [&](std::int64_t element, std::int64_t begin, std::int64_t end) {
        if (end - begin == 1)
          return std::sin(static_cast<float>(element * 31 + begin * begin)) * 100;
        const std::int64_t middle = parallel::middle_of(begin, end);
        return sum(element, begin, middle) + sum(element, middle, end);
      };
  for (const std::int64_t parts : {2, 5, 8, 40}) {
    CAPTURE(parts);
    const parallel::Sums::Work work{
        .part =
            [](std::int64_t part, std::vector<Tensor>& result) {
              if (result.empty()) result.resize(1);
              result[0] = numbers({3}, static_cast<double>(part));
            },
        .others = 1,
        .products = 3,
        .product =
            [&](std::size_t k, parallel::PartRange range, parallel::PartRange of, Tensor& result) {
              // The last one is too small to be dealt out by rows.
              const Shape shape{k == 2 ? 20 : rows, columns};
              if (result.shape() != shape) result = Tensor(DType::float32, shape);
              for (std::int64_t i = of.begin * columns; i < of.end * columns; ++i)
                result.data<float>()[static_cast<std::size_t>(i)] =
                    sum(i + static_cast<std::int64_t>(k), range.begin, range.end);
            },
        .has_rows_apart = [](std::size_t k, parallel::PartRange) { return k != 1; }};
    std::vector<Tensor> expected;
    int flag = 0;
    parallel::Sums(one_process()).add(parts, work, expected, flag);
    REQUIRE(expected.size() == 4);
    for (std::int64_t i = 0; i < rows * columns; ++i)
      REQUIRE(static_cast<float>(expected[1].at(i)) == sum(i, 0, parts));
    for (const int ranks : {2, 3, 7, 11}) {
      CAPTURE(ranks);
      ThreadRanks all(ranks);
      std::mutex mutex;
      const auto errors = all.run([&](std::shared_ptr<Distribution> rank) {
        parallel::Sums sums(rank);
        std::vector<Tensor> result;
        for (int again = 0; again < 2; ++again) {
          int signal = 0;
          sums.add(parts, work, result, signal);
          const std::scoped_lock lock(mutex);
          CHECK(result == expected);
        }
      });
      for (const std::string& error : errors) CHECK(error.empty());
    }
  }
}

TEST_CASE(
    "a training ends with the same bits for any number of ranks, nearly those of one function") {
  const Ended one = trained(one_process()), whole = trained(nullptr);
  REQUIRE(one.values.size() == whole.values.size());
  for (std::size_t k = 0; k < one.values.size(); ++k) {
    CAPTURE(k);
    CHECK(distance(one.values[k], whole.values[k]) < 1e-4);
  }
  for (int ranks = 2; ranks <= 8; ++ranks) {
    CAPTURE(ranks);
    ThreadRanks all(ranks);
    std::mutex mutex;
    const auto errors = all.run([&](std::shared_ptr<Distribution> rank) {
      const Ended ended = trained(rank);
      const std::scoped_lock lock(mutex);
      CHECK(ended.values == one.values);
      CHECK(ended.history == one.history);
    });
    for (const std::string& error : errors) CHECK(error.empty());
  }
}

TEST_CASE("a step that slices a shared variable by its number is cut as well") {
  const Tensor images = numbers({200, 5}, 0);
  const auto train_with = [&](bool draws, std::shared_ptr<Distribution> distribution) {
    const Shared X(images, "X"), W(numbers({5, 4}, 1), "W");
    RandomStreams random(3);
    const Expr k = lscalar("k"), x = slice(X, k * 64, (k + 1) * 64);
    const Expr in = draws ? masking(x, 0.3, random).x : x, h = tanh(dot(in, W));
    const Expr z = dot(draws ? dropout(h, 0.4, random) : h, transpose(W));
    TrainOptions o;
    o.step = function({.inputs = {k},
                       .outputs = {mean(square(x - z))},
                       .updates = sgd(mean(square(x - z)), {W}, 0.1)});
    o.rows = 200;
    o.batch = 64;
    o.epochs = 2;
    o.out = nullptr;
    o.distribute = std::move(distribution);
    train(o);
    return W.get();
  };
  for (const bool draws : {false, true}) {
    CAPTURE(draws);
    const Tensor one = train_with(draws, one_process());
    CHECK(distance(one, train_with(draws, nullptr)) < 1e-5);
    ThreadRanks all(3);
    const auto errors = all.run([&](std::shared_ptr<Distribution> rank) {
      if (!(train_with(draws, rank) == one)) throw Error("other bits");
    });
    for (const std::string& error : errors) CHECK(error.empty());
  }
}

TEST_CASE("a step that slices other numbers of rows than its minibatches have is refused") {
  const Shared X(numbers({200, 5}, 0), "X"), W(numbers({5, 4}, 1), "W");
  const Expr x = matrix("x"), k = lscalar("k");
  const Expr cost = mean(square(dot(x, W)));
  TrainOptions o;
  o.step = function({.inputs = {k},
                     .outputs = {cost},
                     .updates = sgd(cost, {W}, 0.1),
                     .givens = {{x, slice(X, k * 20, (k + 1) * 20)}}});
  o.rows = 200;
  o.batch = 10;
  o.out = nullptr;
  o.distribute = one_process();
  CHECK(contains(error_of<ValueError>([&] { train(o); }),
                 "minibatch 0 has 10 rows, and the step slices 20 of a shared variable"));
}

TEST_CASE("numbers of rows in values are those of the minibatch, in sizes those of the part") {
  const Tensor data = numbers({70, 5}, 0);
  const auto trained_with = [&](bool parts) {
    const Shared W(numbers({5, 4}, 1), "W");
    const Expr x = matrix("x"), h = dot(x, W), n = size(x, 0);
    const Expr count = cast(n, DType::float32);
    const Expr labels = cast(sum(x, 1) > 0, DType::int64);
    // log p of the labels, by index; an unbiased variance; ones for each row; n in a formula.
    const Expr picked = gather(h, {arange(n), labels});
    const Expr unbiased = sum(square(h - mean(h, 0)), 0) / cast(n - 1, DType::float32);
    const Expr ones = zeros({n}, DType::float32) + 1;
    const Expr cost = mean(picked) + mean(unbiased) + sum(dot(ones, square(h))) / square(count) +
                      sum(ones * 2) / count * mean(square(W)) + log(count) * mean(abs(h));
    train_three_epochs(
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W}, 0.05)}), data, parts);
    return W.get();
  };
  CHECK(distance(trained_with(true), trained_with(false)) < 1e-5);
}

TEST_CASE("means of the minibatch that its rows are compared with are summed first") {
  const Tensor data = numbers({70, 5}, 0);
  const auto step_with = [&](bool parts) {
    const Shared W(numbers({5, 4}, 1), "W");
    const Expr x = matrix("x"), h = dot(x, W), centred = h - mean(h, 0);
    const Expr normal = centred / sqrt(mean(square(centred), 0) + 1e-3);
    const Expr cost = mean(square(normal - 0.1)) + mean(abs(tanh(normal) - mean(tanh(normal))));
    const Function step =
        function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W}, 0.1)});
    if (parts) CHECK(parallel::staged("train", step, {&data}).stages.size() >= 3);
    train_three_epochs(step, data, parts);
    return W.get();
  };
  CHECK(distance(step_with(true), step_with(false)) < 1e-4);
}

TEST_CASE("the largest and the smallest of the rows, and softmax over them, are put together") {
  const Tensor data = numbers({70, 5}, 0);
  const auto trained_with = [&](bool parts) {
    const Shared W(numbers({5, 4}, 1), "W");
    const Expr x = matrix("x"), h = dot(x, W);
    const Expr ranged = (h - min(h, 0)) / (max(h, 0) - min(h, 0));
    const Expr attention = sum(softmax(h, 0) * ranged, 0);
    const Expr cost =
        mean(square(ranged - 0.3)) + mean(square(attention)) + mean(logsumexp(h, 0)) + 0.1 * max(h);
    train_three_epochs(function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {W}, 0.1)}),
                       data, parts);
    return W.get();
  };
  CHECK(distance(trained_with(true), trained_with(false)) < 1e-4);

  const double nan = std::nan("");
  for (const auto& [how, expected] :
       {std::pair(parallel::Combine::max, 3.0), std::pair(parallel::Combine::min, 2.0)}) {
    double a[] = {2, 3, nan, 1}, b[] = {3, 2, 1, nan};
    parallel::combine_elements(how, DType::float64, reinterpret_cast<std::byte*>(a),
                               reinterpret_cast<const std::byte*>(b), 4);
    CHECK(a[0] == expected);
    CHECK(a[1] == expected);
    CHECK(std::isnan(a[2]));
    CHECK(std::isnan(a[3]));
  }
}

TEST_CASE("what mixes rows otherwise is refused with its line") {
  const Tensor data = numbers({70, 5}, 0);
  const Shared W(numbers({5, 4}, 1), "W");
  const Expr x = matrix("x"), h = dot(x, W);
  const auto refused = [&](const Expr& cost, const std::string& op, int line) {
    const std::string said = refusal_of(x, cost, {W}, data);
    CAPTURE(said);
    CHECK(contains(said, "train: .distribute cuts a minibatch into parts of its rows, and " + op +
                             " needs them all"));
    CHECK(contains(said, text("parallel.cpp:", line)));
  };
  refused(mean(sort(h, 0)), "argsort", __LINE__);
  refused(mean(square(h - reverse(h, 0))), "narrow", __LINE__);
  refused(sum(square(dot(h, transpose(h)))), "dot", __LINE__);
  refused(mean(cumsum(h, 0)), "cumsum", __LINE__);
  const Expr n = size(x, 0), rows_of_x = arange(n);
  const Shared table(numbers({70}, 2), "table");
  const Expr labels = cast(sum(x, 1) > 0, DType::int64);
  for (const Expr& numbered :
       {mean(h * expand_dims(cast(rows_of_x, DType::float32), 1)),  // Rows by their numbers,
        mean(h * expand_dims(take(table, rows_of_x), 1)),           // each by a weight of its own,
        mean(h * expand_dims(take(table, labels + rows_of_x), 1)),
        mean(h) * cast(sum(rows_of_x), DType::float32),
        mean(where(expand_dims(rows_of_x < 3, 1), h, 0))}) {
    const std::string said = refusal_of(x, numbered, {W}, data);
    CAPTURE(said);
    CHECK(contains(said, "the number of its row"));
  }
  // The number of rows, squared in a value and as two axes.
  refused(mean(h) * sum(square(cast(n * arange(5), DType::float32))), "mul", __LINE__);
  refused(mean(expand_dims(h, 1) + zeros({n, n, 4}, DType::float32)), "broadcast_to", __LINE__);
  const Expr shown = observed(mean(h), [](const Tensor&) {});
  CHECK(contains(refusal_of(x, shown, {W}, data), "take observed() out"));

  const Expr fixed = variable("fixed", DType::float32, {64, 5});
  CHECK(contains(refusal_of(fixed, mean(dot(fixed, W)), {W}, data),
                 "fixed has 64 rows, whatever a part has of them"));
  const Function rows =
      function({.inputs = {x}, .outputs = {mean(h)}, .updates = {{W, W - 0.1 * mean(h) * W}}});
  CHECK(parallel::staged("train", rows, {&data}).stages.size() == 1);
}

TEST_CASE("ranks that differ are told what differs, on each of them") {
  const auto differing = [](const std::function<void(Distributed&)>& with) {
    ThreadRanks all(3);
    return all.run([&](std::shared_ptr<Distribution> rank) {
      const int number = rank->rank();
      trained(rank, [&](Distributed& s) {
        if (number == 1) with(s);
      });
    });
  };
  const auto check = [&](const std::function<void(Distributed&)>& with, const std::string& what) {
    for (const std::string& error : differing(with)) {
      CAPTURE(error);
      CHECK(contains(error, "do not train the same:\n  rank 1: "));
      CHECK(contains(error, what));
    }
  };
  check([](Distributed& s) { s.options.epochs = 9; }, "epochs is 9, on rank 0 3");
  check([](Distributed& s) { s.options.shuffle = 4; }, "seed is 4, on rank 0 3");
  check([](Distributed& s) { s.x.data<float>()[5] = 2; }, "hash of the data is ");
  check([](Distributed& s) { s.W.set(numbers({3, 6}, 9)); }, "hash of the variables is ");
}

TEST_CASE("where one rank fails all end, with its reason") {
  ThreadRanks all(3);
  const auto errors = all.run([&](std::shared_ptr<Distribution> rank) {
    const bool fails = rank->rank() == 2;
    trained(rank, [&](Distributed& s) {
      s.options.after_step = [fails](const StepReport& r) {
        if (fails && r.step == 5) throw ValueError("the disk is full");
      };
    });
  });
  CHECK(errors[2] == "the disk is full");
  CHECK(errors[0] == "a rank has stopped: the disk is full");
  CHECK(errors[1] == errors[0]);
}

TEST_CASE("more ranks than parts are refused") {
  ThreadRanks all(3);
  for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
         trained(rank, [](Distributed& s) { s.options.batch = 20; });
       })) {
    CAPTURE(error);
    CHECK(contains(error, "train: there are 3 ranks, and a minibatch of 20 rows has 2 parts"));
  }
}

TEST_CASE("a checkpoint of other parts, or of none, is that of another training") {
  const TemporaryFolder folder;
  const auto resume = [&](std::shared_ptr<Distribution> distribution, std::int64_t parts) {
    trained(std::move(distribution), [&](Distributed& s) {
      s.options.checkpoint = folder / "run.npz";
      s.options.resume = Resume::if_present;
      s.options.parts = parts;
    });
  };
  resume(one_process(), 0);
  CHECK(contains(error_of<FileError>([&] { resume(one_process(), 2); }),
                 "parts is 2 here, 8 in the file"));
  CHECK(
      contains(error_of<FileError>([&] { resume(nullptr, 0); }), "parts (8) is in the file only"));
  CHECK(contains(error_of<ValueError>([&] { resume(nullptr, 2); }),
                 "parts are those of .distribute"));
}

TEST_CASE("an interrupted training goes on with another number of ranks to the same bits") {
  const Ended expected = trained(one_process());
  for (const std::int64_t stop : {1, 5, 8}) {
    for (const int ranks : {2, 5}) {
      CAPTURE(stop);
      CAPTURE(ranks);
      const TemporaryFolder folder;
      const auto saved = [&](Distributed& s) {
        s.options.checkpoint = folder / "run.npz";
        s.options.resume = Resume::if_present;
        s.options.after_interrupt = AfterInterrupt::give_back;
      };
      ThreadRanks all(3);
      std::mutex mutex;
      for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
             const bool interrupts = rank->rank() == 1;
             const Ended ended = trained(rank, [&](Distributed& s) {
               saved(s);
               s.options.after_step = [&, interrupts](const StepReport& r) {
                 if (interrupts && r.step + 1 == stop) std::raise(SIGTERM);
               };
             });
             const std::scoped_lock lock(mutex);
             CHECK(ended.steps == stop + 1);  // The others hear of it at the next step.
           }))
        CHECK(error.empty());
      ThreadRanks others(ranks);
      for (const std::string& error : others.run([&](std::shared_ptr<Distribution> rank) {
             const Ended ended = trained(rank, saved);
             const std::scoped_lock lock(mutex);
             CHECK(ended.values == expected.values);
             CHECK(ended.history == expected.history);
           }))
        CHECK(error.empty());
    }
  }
}

TEST_CASE("started together by a launcher that nobody asked, train() refuses") {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    setenv(name, "4", 1);
    const std::string error = error_of<ValueError>([] { trained(nullptr); });
    CAPTURE(error);
    CHECK(contains(error, text("one of 4 processes that were started together (", name, "=4)")));
    CHECK(contains(error, ".distribute = mpi()"));
    CHECK(trained(one_process()).steps > 0);
    setenv(name, "1", 1);
    CHECK(trained(nullptr).steps > 0);
    unsetenv(name);
  }
}
