// Trainings on data in files: orders, resuming, errors, memory.
#include "cinch/io/shards.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/train/parallel/parts.hpp"
#include "cinch/train/reading/shard_rows.hpp"
#include "io/temporary_folder.hpp"
#include "ranks.hpp"

using namespace cinch;
using namespace cinch::testing;
using training::Permutation;
using training::RowOrder;

namespace {

/// All rows in this order, from its windows as a reader puts them together.
std::vector<std::int64_t> places(const RowOrder& order) {
  std::vector<std::int64_t> result;
  for (std::int64_t w = 0; w < order.windows(); ++w) {
    std::vector<std::int64_t> rows;
    for (const RowOrder::Run& run : order.blocks(w)) {
      for (std::int64_t k = 0; k < run.count; ++k) rows.push_back(run.begin + k);
    }
    const auto within = order.within(w);
    REQUIRE(order.first(w) == static_cast<std::int64_t>(result.size()));
    REQUIRE(within.size() == rows.size());
    for (const std::uint32_t k : within) {
      REQUIRE(order.window_of(static_cast<std::int64_t>(result.size())) == w);
      result.push_back(rows.at(k));
    }
  }
  return result;
}

bool is_permutation(std::vector<std::int64_t> order, std::int64_t n) {
  std::ranges::sort(order);
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return order == all;
}

/// Largest deviation of counts from what is expected of each, in standard deviations.
double deviation(const std::vector<double>& counts) {
  const double mean =
      std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double result = 0;
  for (const double count : counts)
    result = std::max(result, std::abs(count - mean) / std::sqrt(mean));
  return result;
}

constexpr std::int64_t row_count = 600, width = 16384, batch = 64;

/// 39 MB in three files, which are three windows; a row's elements are small but for its number.
std::vector<std::string> write_data(const TemporaryFolder& folder) {
  std::vector<std::string> result;
  std::int64_t row = 0;
  for (const std::int64_t count : {250, 1, 349}) {
    Tensor part(DType::float32, {count, width});
    for (std::int64_t k = 0; k < count; ++k, ++row) {
      for (std::int64_t j = 0; j < width; ++j)
        part.data<float>()[static_cast<std::size_t>(k * width + j)] =
            static_cast<float>((row * 31 + j * 17) % 101) / 1000;
    }
    result.push_back(folder / ("part" + std::to_string(result.size()) + ".npy"));
    write_npy(result.back(), part);
  }
  return result;
}

/// An autoencoder of a few hidden units on such rows.
struct Training {
  Shards data;
  Shared W;
  TrainOptions options;

  explicit Training(const std::vector<std::string>& paths) : data(paths) {
    RandomState random(3);
    W = Shared(random.uniform(-0.01, 0.01, {width, 2}, DType::float32), "W");
    const Expr x = matrix("x");
    const Expr cost = mean(sum(square(x - dot(tanh(dot(x, W)), transpose(W))), 1));
    options.step =
        function({.inputs = {x}, .outputs = {cost}, .updates = momentum(cost, {W}, 1e-4)});
    options.shards = {&data};
    options.epochs = 2;
    options.batch = batch;
    options.shuffle = 4;
    options.out = nullptr;
  }
};

}  // namespace

TEST_CASE("a permutation without memory is one, for every number and key, and so is its inverse") {
  for (std::int64_t n = 1; n <= 200; ++n) {
    for (std::uint64_t key = 0; key < 20; ++key) {
      const Permutation p(n, key * 0x9E3779B97F4A7C15u);
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < n; ++i) {
        order.push_back(p(i));
        REQUIRE(p.inverse(order.back()) == i);
      }
      REQUIRE(is_permutation(order, n));
    }
  }
  // Every element comes to every place about as often.
  constexpr std::int64_t n = 300, keys = 30000;
  std::vector<double> first(n), last(n);
  for (std::uint64_t key = 0; key < keys; ++key) {
    const Permutation p(n, key);
    ++first[static_cast<std::size_t>(p(0))];
    ++last[static_cast<std::size_t>(p(n - 1))];
  }
  CHECK(deviation(first) < 4.5);
  CHECK(deviation(last) < 4.5);
}

TEST_CASE("an epoch's order has every row once, whatever blocks and windows there are") {
  for (std::int64_t n = 1; n <= 200; ++n) {
    for (const std::int64_t block : {1, 3, 8, 200}) {
      for (const std::int64_t window : {1, 2, 5, 300}) {
        RowOrder order(n, std::min(block, n), window);
        std::vector<std::int64_t> kept(static_cast<std::size_t>(n));
        std::iota(kept.begin(), kept.end(), 0);
        REQUIRE(places(order) == kept);
        for (const std::uint64_t seed : {0UL, 1UL, 77UL}) {
          for (const std::uint64_t epoch : {0UL, 1UL}) {
            order.shuffle(seed, epoch);
            REQUIRE(is_permutation(places(order), n));
          }
        }
        order.keep();
        REQUIRE(places(order) == kept);
      }
    }
  }
}

TEST_CASE("orders differ by seed and epoch, and repeat") {
  RowOrder order(1000, 10, 20);
  std::set<std::vector<std::int64_t>> all;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
      order.shuffle(seed, epoch);
      const auto once = places(order);
      order.keep();
      order.shuffle(seed, epoch);
      CHECK(places(order) == once);
      all.insert(once);
    }
  }
  CHECK(all.size() == 100);
}

TEST_CASE("within one window every order is as likely as any other") {
  std::map<std::vector<std::int64_t>, double> count;
  constexpr int draws = 24000;
  RowOrder order(4, 1, 4);
  for (std::uint64_t seed = 0; seed < draws; ++seed) {
    order.shuffle(seed, 3);
    ++count[places(order)];
  }
  REQUIRE(count.size() == 24);
  std::vector<double> counts;
  for (const auto& [permutation, n] : count) counts.push_back(n);
  CHECK(deviation(counts) < 4.5);
}

TEST_CASE("minibatches of shards are those rows, in order and shuffled") {
  const TemporaryFolder folder;
  const Shards data(write_data(folder));
  const Tensor all = data.read(0, row_count);
  Minibatches minibatches("test", std::vector<const Shards*>{&data, &data}, batch);
  REQUIRE(minibatches.count() == 10);
  REQUIRE(minibatches.blocks() == std::pair<std::int64_t, std::int64_t>(1, 128));
  const auto first_element = [&](std::int64_t row) { return all.at({row, 0}); };
  for (std::int64_t k = 0; k < 10; ++k) {
    const auto part = minibatches.get(k);
    REQUIRE(part[0]->shape() == Shape{std::min(batch, row_count - k * batch), width});
    CHECK(*part[0] == data.read(k * batch, part[0]->shape()[0]));
    CHECK(*part[1] == *part[0]);
  }
  RowOrder order(row_count, 1, 128);
  order.shuffle(5, 2);
  const auto expected = places(order);
  minibatches.shuffle(5, 2);
  // Back and forth as well, as after a fault.
  for (const std::int64_t k : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 0, 9, 8}) {
    const Tensor& part = *minibatches.get(k)[0];
    for (std::int64_t j = 0; j < part.shape()[0]; ++j) {
      if (part.at({j, 0}) != first_element(expected[static_cast<std::size_t>(k * batch + j)]))
        FAIL_CHECK("minibatch ", k, ", row ", j);
    }
  }
}

TEST_CASE("where the system gives no thread, rows of shards are read when they are needed") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));  // For a child.
  const auto first_elements = [&] {
    const Shards data(paths);
    Minibatches minibatches("test", std::vector<const Shards*>{&data}, batch);
    minibatches.shuffle(1, 1);
    std::vector<double> result;
    for (std::int64_t k = 0; k < minibatches.count(); ++k) {
      const Tensor& part = *minibatches.get(k)[0];
      for (std::int64_t j = 0; j < part.shape()[0]; ++j) result.push_back(part.at({j, 0}));
    }
    return result;
  };
  const std::vector<double> expected = first_elements();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
      _exit(0);  // Root has no limit.
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) != 0) _exit(2);
    try {
      std::thread([] {}).join();
      _exit(0);  // This system knows no such limit.
    } catch (const std::system_error&) {
    }
    try {
      _exit(first_elements() == expected ? 0 : 3);
    } catch (const std::exception&) {
      _exit(4);
    }
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a training on shards interrupted after any step, and resumed, ends with the same bits") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  Training whole(paths);
  const TrainResult expected = train(whole.options);
  REQUIRE(expected.state.step == 20);
  CHECK(expected.state.history[1].training[0] < expected.state.history[0].training[0]);
  for (std::int64_t stop = 1; stop <= 20; ++stop) {
    CAPTURE(stop);
    std::filesystem::remove(folder / "run.npz");
    Training first(paths), second(paths);
    for (Training* t : {&first, &second}) {
      t->options.checkpoint = folder / "run.npz";
      t->options.resume = Resume::if_present;
    }
    first.options.after_step = [&](const StepReport& r) {
      if (r.step + 1 == stop) std::raise(SIGINT);
    };
    CHECK(train(first.options).state.step == stop);
    const TrainResult after = train(second.options);
    CHECK(second.W.value() == whole.W.value());
    CHECK(after.state.history.back().training == expected.state.history.back().training);
  }
}

TEST_CASE("a training on shards is that on a tensor where neither is shuffled") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  Training files(paths), memory(paths);
  files.options.shuffle = {};
  const Tensor all = memory.data.read(0, row_count), some = memory.data.read(0, 100);
  memory.options.shuffle = {};
  memory.options.shards = {};
  memory.options.data = {&all};
  // Validation too.
  const Expr x = matrix("x");
  for (Training* t : {&files, &memory})
    t->options.validate = function({.inputs = {x}, .outputs = {mean(square(dot(x, t->W)))}});
  const Shards validation(paths[0]);
  const Tensor validation_tensor = validation.read(0, validation.rows());
  files.options.validation_shards = {&validation};
  memory.options.validation_data = {&validation_tensor};
  const TrainResult a = train(files.options), b = train(memory.options);
  CHECK(files.W.value() == memory.W.value());
  CHECK(a.state.history.back().validation == b.state.history.back().validation);
  CHECK(mean_over(files.options.validate, {&validation}, 30) ==
        mean_over(files.options.validate, {&validation_tensor}, 30));
  // Several of either in braces are told apart.
  const Expr y = matrix("y");
  const Function both = function({.inputs = {x, y}, .outputs = {mean(x * y)}});
  CHECK(mean_over(both, {&validation, &validation}) ==
        mean_over(both, {&validation_tensor, &validation_tensor}));
  CHECK(*Minibatches("test", {&validation, &validation}, 3).get(1)[1] ==
        *Minibatches("test", {&validation_tensor, &validation_tensor}, 3).get(1)[0]);
}

namespace {

/// kB of this process, by a name in /proc/self/status; 0 where that is not known.
std::int64_t kilobytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::int64_t result = 0;
    if (word == name + ":" && status >> result) return result;
  }
  return 0;
}

}  // namespace

TEST_CASE("a training on shards has two windows of them in memory, however many there are") {
  const TemporaryFolder folder;
  constexpr std::int64_t many = 131072, pixels = 784;
  std::string header =
      text("{'descr': '<f4', 'fortran_order': False, 'shape': (", many, ", ", pixels, "), }");
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  write_file(folder / "a.npy", "\x93NUMPY\x01" + std::string(1, '\0') +
                                   static_cast<char>(header.size()) + std::string(1, '\0') +
                                   header);
  // Zeros that take no disk.
  std::filesystem::resize_file(folder / "a.npy", 10 + header.size() + many * pixels * 4);
  const Shards data(folder / "a.npy");
  const Shared b(Tensor(DType::float32, {pixels}), "b");
  const Expr x = matrix("x");
  const Expr cost = mean(square(x - b - 1));
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, {b}, 0.1)});
  std::ofstream("/proc/self/clear_refs") << "5\n";  // The peak begins anew.
  const std::int64_t before = kilobytes("VmRSS");
  if (kilobytes("VmHWM") > before + 4096) return;  // It does not, on this system.
  train({.step = step, .shards = {&data}, .epochs = 1, .batch = 256, .shuffle = 1, .out = nullptr});
  CHECK(kilobytes("VmHWM") - before < 41000);  // A tenth of the data.
}

TEST_CASE("trainings on shards refuse what does not fit") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  const Tensor tensor(DType::float32, {row_count, width});
  const Shards fewer(paths[0]);
  struct Row {
    std::function<void(Training&)> wrong;
    const char* words;
  };
  const std::vector<Row> table{
      {[&](Training& t) { t.options.data = {&tensor}; }, "give data or shards, not both"},
      {[&](Training& t) { t.options.rows = 5; }, "give shards or rows, not both"},
      {[&](Training& t) { t.options.shards = {nullptr}; }, "null pointer"},
      {[&](Training& t) { t.options.shards = {}; }, "its data are 0 tensors"},
      {[&](Training& t) {
         t.options.shards = {&t.data, &t.data};
       },
       "its data are 2 tensors"},
      {[&](Training& t) {
         const Expr x = matrix("x"), y = matrix("y");
         const Expr cost = mean(square(dot(x, t.W))) + mean(y);
         t.options.step =
             function({.inputs = {x, y}, .outputs = {cost}, .updates = sgd(cost, {t.W}, 0.1)});
         t.options.shards = {&t.data, &fewer};
       },
       "the data must have the same number of rows, got 600 in"},
      {[&](Training& t) { t.options.validation_shards = {&t.data}; }, "belong together"},
      {[&](Training& t) { t.options.batch = 601, t.options.drop_last = true; }, "too few"},
  };
  for (const Row& row : table) {
    Training t(paths);
    row.wrong(t);
    const std::string said = error_of<Error>([&] { train(t.options); });
    CAPTURE(said);
    CHECK(contains(said, row.words));
  }
}

TEST_CASE("a file that goes, or a NaN in one, ends a training and leaves its checkpoint") {
  const TemporaryFolder folder;
  for (const bool goes : {true, false}) {
    const auto paths = write_data(folder);
    if (!goes) {
      Tensor last = read_npy(paths[2]);
      last.data<float>()[17 * width + 5] = std::nanf("");
      write_npy(paths[2], last);
    }
    std::filesystem::remove(folder / "run.npz");
    Training t(paths);
    t.options.checkpoint = folder / "run.npz";
    t.options.epochs = 5;
    if (goes) {
      t.options.after_step = [&](const StepReport& r) {
        if (r.epoch == 1 && r.batch == 0) std::filesystem::remove(paths[2]);
      };
    }
    const std::string said = error_of<FileError>([&] { train(t.options); });
    CAPTURE(said);
    CHECK(contains(said, paths[2]));
    CHECK(contains(said, goes ? "No such file" : "row 17, element 5 of it, is nan"));
    CHECK(std::filesystem::exists(folder / "run.npz") == goes);
  }
  // Put back as it was, it goes on from the checkpoint; with other data it does not.
  Training again(write_data(folder)), whole(again.data.paths());
  again.options.epochs = whole.options.epochs = 2;
  whole.options.checkpoint = folder / "run.npz";
  whole.options.resume = Resume::never;
  train(whole.options);
  again.options.checkpoint = folder / "run.npz";
  again.options.resume = Resume::always;
  again.options.epochs = 3;
  CHECK(train(again.options).state.epoch == 3);
  Tensor last = read_npy(again.data.paths()[2]);
  last.data<float>()[0] += 1;
  write_npy(again.data.paths()[2], last);
  Training other(again.data.paths());
  other.options.checkpoint = folder / "run.npz";
  other.options.resume = Resume::always;
  CHECK(contains(error_of<FileError>([&] { train(other.options); }), "hash of shards 0"));
}

namespace {

/// Bytes that this process has read so far; -1 where that is not known.
std::int64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::int64_t result = -1;
  for (std::string word; io >> word;) {
    if (word == "rchar:" && io >> result) return result;
  }
  return result;
}

}  // namespace

TEST_CASE(
    "parts that are kept apart have each row once, whoever reads, in a new order each epoch") {
  const TemporaryFolder folder;
  // Rows that all differ, of 4 bytes: blocks and windows have all of them.
  constexpr std::int64_t rows = 1003;
  Tensor numbered(DType::float32, {rows});
  for (std::int64_t k = 0; k < rows; ++k)
    numbered.data<float>()[static_cast<std::size_t>(k)] = static_cast<float>(k);
  write_npy(folder / "a.npy", numbered);
  const Shards data(folder / "a.npy");
  for (const std::int64_t size : {64, 100, 70, 1003, 9}) {
    for (const std::int64_t parts : {0, 3}) {
      CAPTURE(size);
      CAPTURE(parts);
      Minibatches whole("test", {&data}, size), some("test", {&data}, size);
      whole.keep_parts_apart(parts), some.keep_parts_apart(parts);
      std::vector<std::vector<std::int64_t>> orders;
      for (const std::int64_t epoch : {0, 1, 0}) {
        whole.shuffle(5, epoch), some.shuffle(5, epoch);
        orders.emplace_back();
        for (std::int64_t k = 0; k < whole.count(); ++k) {
          const Tensor all = *whole.get(k)[0];
          const std::int64_t count = parallel::part_count(size, parts);
          for (std::int64_t i = 0; i < all.size(); ++i)
            orders.back().push_back(static_cast<std::int64_t>(all.at(i)));
          if (whole.rows_of(k) != size) continue;
          const auto own = parallel::part_rows(size, count, count - 1);
          const Tensor& part = *some.part(k, own.first, own.count)[0];
          for (std::int64_t i = 0; i < own.count; ++i) CHECK(part.at(i) == all.at(own.first + i));
        }
        CHECK(is_permutation(orders.back(), rows));
      }
      CHECK(orders[0] == orders[2]);
      CHECK(orders[0] != orders[1]);
      CHECK(!std::ranges::is_sorted(orders[0]));
    }
  }
}

TEST_CASE("who asks for some parts of minibatches reads their rows, not those of others") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  const Shards data(paths);
  if (bytes_read() < 0) return;  // Not on this system.
  for (const bool shuffled : {false, true}) {
    CAPTURE(shuffled);
    for (const int ranks : {2, 4}) {
      CAPTURE(ranks);
      for (int rank = 0; rank < ranks; ++rank) {
        const std::int64_t before = bytes_read();
        Minibatches m("test", {&data}, batch);
        m.keep_parts_apart();
        if (shuffled) m.shuffle(1, 0);
        for (std::int64_t k = 0; k < m.count(); ++k) {
          const std::int64_t parts = parallel::part_count(m.rows_of(k));
          const auto own = parallel::parts_of_rank(parts, rank, ranks);
          for (std::int64_t p = own.begin; p < own.end; ++p) {
            const auto [first, count] = parallel::part_rows(m.rows_of(k), parts, p);
            CHECK(m.part(k, first, count)[0]->shape()[0] == count);
          }
        }
        const std::int64_t share = row_count * data.row_bytes() / ranks;
        CHECK(bytes_read() - before < share + share / 8);
      }
    }
  }
}

TEST_CASE(
    "a training on shards is shared out, interrupted, and goes on with others to the same bits") {
  const TemporaryFolder folder;
  const auto paths = write_data(folder);
  for (const bool shuffled : {true, false}) {
    CAPTURE(shuffled);
    const auto run = [&](std::shared_ptr<Distribution> rank,
                         const std::function<void(TrainOptions&)>& with) {
      Training t(paths);
      const Shards validation(paths[0]);
      const Expr x = matrix("x");
      t.options.validate = function({.inputs = {x}, .outputs = {mean(square(dot(x, t.W)))}});
      t.options.validation_shards = {&validation};
      t.options.validation_batch = 60;
      t.options.distribute = std::move(rank);
      if (!shuffled) t.options.shuffle = {};
      with(t.options);
      const TrainResult result = train(t.options);
      return std::pair(t.W.get(), result.state.history.empty()
                                      ? std::vector<double>()
                                      : result.state.history.back().validation);
    };
    const auto one = run(one_process(), [](TrainOptions&) {});
    std::mutex mutex;
    for (const int ranks : {2, 4}) {
      CAPTURE(ranks);
      for (const std::int64_t stop : {3, 13}) {
        CAPTURE(stop);
        std::filesystem::remove(folder / "run.npz");
        const auto saved = [&](TrainOptions& o) {
          o.checkpoint = folder / "run.npz";
          o.resume = Resume::if_present;
        };
        for (const std::string& error :
             ThreadRanks(ranks).run([&](std::shared_ptr<Distribution> rank) {
               const bool interrupts = rank->rank() == ranks - 1;
               run(rank, [&](TrainOptions& o) {
                 saved(o);
                 o.after_step = [=](const StepReport& r) {
                   if (interrupts && r.step + 1 == stop) std::raise(SIGTERM);
                 };
               });
             }))
          CHECK(error == "");
        for (const std::string& error :
             ThreadRanks(6 - ranks).run([&](std::shared_ptr<Distribution> rank) {
               const auto ended = run(rank, saved);
               const std::scoped_lock lock(mutex);
               CHECK(ended.first == one.first);
               CHECK(ended.second == one.second);
             }))
          CHECK(error == "");
      }
    }
  }
}
