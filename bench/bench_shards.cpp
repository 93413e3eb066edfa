// How fast an autoencoder trains on shards, beside the same data in memory, and what memory it
// takes. Usage: bench_shards FOLDER [MB] [memory|shards|write] [float32|uint8]
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cinch/cinch.hpp>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

using namespace cinch;

namespace {

constexpr std::int64_t columns = 784, hidden = 500, batch = 100;

/// So many MB of random rows in files of 64 MB.
void write(const std::string& folder, std::int64_t megabytes, DType dtype) {
  std::filesystem::create_directories(folder);
  RandomState random(1);
  const auto width = static_cast<std::int64_t>(size_of(dtype));
  for (std::int64_t part = 0; part * 64 < megabytes; ++part) {
    const std::int64_t rows =
        std::min<std::int64_t>(64, megabytes - part * 64) * 1000000 / (columns * width);
    const double high = dtype == DType::uint8 ? 255.5 : 1;
    write_npy(folder + "/part" + std::to_string(1000 + part) + ".npy",
              random.uniform(0, high, {rows, columns}, DType::float32).cast(dtype));
  }
}

double peak_megabytes() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_maxrss) * 1024 / 1e6;
}

/// Of all threads of this process.
double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2)
    throw Error("Usage: bench_shards FOLDER [MB] [memory|shards|write] [float32|uint8]");
  const std::string folder = argv[1], how = argc > 3 ? argv[3] : "shards";
  const std::int64_t megabytes = argc > 2 ? std::stoll(argv[2]) : 1000;
  const DType dtype = argc > 4 && std::string(argv[4]) == "uint8" ? DType::uint8 : DType::float32;
  if (how == "write") {
    write(folder, megabytes, dtype);
    return 0;
  }
  const Shards shards(folder, {.dtype = dtype});
  const bool in_memory = how == "memory";
  const Tensor all = in_memory ? shards.read(0, shards.rows()) : Tensor();

  RandomState random(2);
  const Autoencoder model = autoencoder({columns, hidden}, random);
  const Expr rows = matrix("rows", dtype);
  const Expr x = dtype == DType::uint8 ? widened(rows, 255) : rows;
  const Expr cost = reconstruction_cost(model, x, cross_entropy);
  TrainOptions options{
      .step = function(
          {.inputs = {rows}, .outputs = {cost}, .updates = sgd(cost, model.params(), 0.01)}),
      .epochs = 2,
      .batch = batch,
      .shuffle = 1,
      .out = nullptr};
  if (in_memory) {
    options.data = {&all};
  } else {
    options.shards = {&shards};
  }
  // The second epoch counts: the first one plans, and reads what the disk has. A stretch of steps
  // is two windows of shards and more, so that each has its share of reading.
  constexpr std::int64_t stretch = 250;
  using Clock = std::chrono::steady_clock;
  std::vector<double> stretches;
  Clock::time_point begun;
  double cpu_begun = 0;
  options.after_step = [&](const StepReport& r) {
    if (r.epoch == 0 || r.batch % stretch != 0) return;
    const Clock::time_point now = Clock::now();
    if (r.batch > 0)
      stretches.push_back(std::chrono::duration<double, std::micro>(now - begun).count() / stretch);
    if (r.batch == 0) cpu_begun = cpu_seconds();
    begun = now;
  };
  const TrainResult result = train(options);
  const double steps = static_cast<double>(result.state.step) / 2;
  const double cpu = (cpu_seconds() - cpu_begun) / (steps - 1) * 1e6;
  std::ranges::sort(stretches);
  if (stretches.empty()) throw Error("too few data: 500 minibatches of 100 rows are needed");
  std::cout << "{\"how\":\"" << how << "\",\"dtype\":\"" << dtype << "\",\"rows\":" << shards.rows()
            << ",\"data_mb\":" << shards.rows() * shards.row_bytes() / 1000000
            << ",\"min_us\":" << stretches.front()
            << ",\"median_us\":" << stretches[stretches.size() / 2] << ",\"cpu_us\":" << cpu
            << ",\"rss_peak_mb\":" << peak_megabytes() << "}\n";
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
