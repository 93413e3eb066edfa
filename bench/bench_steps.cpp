// bench_steps: times training steps and prints one JSON object a line. README.md says more.
//
//     bench_steps                                   Cinch, float32, all works and batch sizes
//     bench_steps --work W2 --mode fast,blas,hand --batch 10 --dtype float64
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cinch/io/idx.hpp"
#include "cinch/ops/kernels/kernels.hpp"
#include "cinch/ops/linalg.hpp"
#include "works.hpp"

namespace cinch::bench {

namespace {

struct Options {
  std::vector<std::string> works, modes{"fast"}, dtypes{"float32"};
  std::vector<std::int64_t> batches;
  std::string data;
  int threads = 1;
  double seconds = -1;
  std::int64_t steps = -1;
  bool profile = false;
};

Options parse(int argc, char** argv) {
  Options o;
  CLI::App app{"Times training steps; prints one JSON object a line.\n"};
  std::vector<std::string> names;
  for (const Work& work : works()) names.emplace_back(work.name);
  app.add_option("--work", o.works, "Default: all")->delimiter(',')->check(CLI::IsMember(names));
  app.add_option("--mode", o.modes, "hand: W1 to W3 only; gram: W5 only; default: fast")
      ->delimiter(',')
      ->check(CLI::IsMember({"fast", "checked", "blas", "hand", "gram"}));
  app.add_option("--dtype", o.dtypes, "Default: float32")
      ->delimiter(',')
      ->check(CLI::IsMember({"float32", "float64"}));
  app.add_option("--batch", o.batches, "Default: those of the work's figures")
      ->delimiter(',')
      ->check(CLI::Range(1, 2000));
  app.add_option("--threads", o.threads, "Default: 1")->check(CLI::Range(1, 1024));
  app.add_flag("--profile", o.profile,
               "Also print, for mode fast, where the time went and what the compiler did");
  auto* seconds =
      app.add_option("--seconds", o.seconds,
                     "Time for the timed steps of one line, of which there are at least 20; "
                     "default: at least 300 steps and one second")
          ->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "Number of timed steps instead, without warm-up")
      ->check(CLI::Range(0, 1000000000))
      ->excludes(seconds);
  app.add_option("--data", o.data,
                 "Folder of IDX files, or \"synthetic\"; default: $CINCH_MNIST, else MNIST beside "
                 "the sources, else $CINCH_DATA, else Debian's Fashion-MNIST");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (o.works.empty()) o.works = names;
  return o;
}

std::string folder_of(const std::string& option) {
  if (!option.empty()) return option;
  const char* named = std::getenv("CINCH_MNIST");
  const std::string beside = CINCH_SOURCE_DIR "/../shared/data/mnist";
  if (named && *named) return named;
  return std::filesystem::is_directory(beside) ? beside : data_folder();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// `x` as JSON, printed by `format`; null for NaN.
nlohmann::json number(const char* format, double x) {
  if (std::isnan(x)) return nullptr;
  char digits[400];
  std::snprintf(digits, sizeof digits, format, x);
  return std::strtod(digits, nullptr);
}

struct Timing {
  std::vector<double> seconds;  ///< Of each timed step.
  double first = 0, loss5 = no_loss, last = no_loss;
};

Timing run(const Step& step, std::int64_t batches, const Options& o) {
  Timing timing;
  std::int64_t number = 0;
  const auto once = [&] {
    const auto start = std::chrono::steady_clock::now();
    const double loss = step(number++ % batches);
    const double seconds = seconds_since(start);
    if (number == 1) timing.first = seconds;
    if (number == 5) timing.loss5 = loss;
    timing.last = loss;
    return seconds;
  };
  double slowest = 0;
  for (int k = 0; k < 5; ++k) slowest = once();
  if (o.steps >= 0) {
    for (std::int64_t k = 0; k < o.steps; ++k) timing.seconds.push_back(once());
    return timing;
  }
  // Warm: the fifth step's time is a guess of what 0.2 seconds hold.
  const auto warm = static_cast<int>(std::min(0.2 / std::max(slowest, 1e-6), 200.0));
  for (int k = 0; k < warm; ++k) once();
  const double limit = o.seconds > 0 ? o.seconds : 1;
  const std::size_t least = o.seconds > 0 ? 20 : 300;
  const auto start = std::chrono::steady_clock::now();
  while (timing.seconds.size() < least || seconds_since(start) < limit)
    timing.seconds.push_back(once());
  return timing;
}

void measure(const Config& config, const Options& o) {
  const std::string folder = folder_of(o.data);
  Data data = load_data(folder, config.dtype);
  const std::int64_t batches = data.count() / config.batch;
  if (batches == 0)
    throw ValueError(text("--batch ", config.batch, ": there are only ", data.count(), " images"));
  set_blas_threads(config.threads);
  const auto start = std::chrono::steady_clock::now();
  const auto [step, report] = make_step(config, data);
  const double build = seconds_since(start);
  Timing timing = run(step, batches, o);

  nlohmann::ordered_json line{{"work", config.work},
                              {"mode", config.mode},
                              {"dtype", name(config.dtype)},
                              {"batch", config.batch},
                              {"threads", config.threads}};
  auto& times = timing.seconds;
  line["median_us"] = nullptr;
  line["min_us"] = nullptr;
  if (!times.empty()) {
    std::sort(times.begin(), times.end());
    const std::size_t n = times.size();
    const double median = (times[(n - 1) / 2] + times[n / 2]) / 2;
    line["median_us"] = number("%.2f", median * 1e6);
    line["min_us"] = number("%.2f", times.front() * 1e6);
  }
  line["steps"] = times.size();
  line["loss5"] = number("%.9g", timing.loss5);
  line["loss_end"] = number("%.9g", timing.last);
  line["first_s"] = number("%.6f", timing.first);
  line["build_ms"] = number("%.3f", build * 1e3);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  line["rss_peak_mb"] = number("%.1f", static_cast<double>(usage.ru_maxrss) * 1024 / 1e6);
  line["simd"] = simd::kernels().name;
  line["blas_core"] = blas_core();
  const char* coretype = std::getenv("OPENBLAS_CORETYPE");
  line["openblas_coretype"] = coretype ? nlohmann::json(coretype) : nlohmann::json(nullptr);
  line["data"] =
      folder == "synthetic" ? folder : std::filesystem::weakly_canonical(folder).string();
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
  if (config.profile && report) std::fprintf(stderr, "%s", report().c_str());
}

std::vector<Config> configs(const Options& o) {
  std::vector<Config> result;
  for (const std::string& name : o.works) {
    const Work& work = *find_work(name);
    for (const std::string& mode : o.modes) {
      if (std::find(work.modes.begin(), work.modes.end(), mode) == work.modes.end()) continue;
      if (const std::string lacking = mode == "hand" ? hand_lacks() : ""; !lacking.empty()) {
        std::fprintf(stderr,
                     "bench_steps: %s by hand is left out: it was compiled for %s, which this "
                     "processor lacks\n",
                     name.c_str(), lacking.c_str());
        continue;
      }
      for (const std::string& dtype : o.dtypes)
        for (const std::int64_t batch : o.batches.empty() ? work.batches : o.batches)
          result.push_back({name, mode, dtype == "float64" ? DType::float64 : DType::float32, batch,
                            o.threads, o.profile && (mode == "fast" || mode == "gram")});
    }
  }
  return result;
}

/// 0 if it was measured.
int try_measure(const Config& config, const Options& o) {
  try {
    measure(config, o);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_steps: %s %s %s, batch %lld: %s\n", config.work.c_str(),
                 config.mode.c_str(), std::string(name(config.dtype)).c_str(),
                 static_cast<long long>(config.batch), error.what());
    return 1;
  }
}

int measure_all(const Options& o) {
  const std::vector<Config> all = configs(o);
  if (all.size() == 1) return try_measure(all[0], o);
  int status = all.empty() ? 1 : 0;
  if (all.empty()) std::fprintf(stderr, "bench_steps: nothing to do: no such work in that mode\n");
  // Each in a process of its own: its peak memory is its own, and so is any failure.
  for (const Config& config : all) {
    const pid_t child = fork();
    if (child < 0) {
      std::perror("bench_steps: fork");
      return 1;
    }
    if (child == 0) std::_Exit(try_measure(config, o));
    int outcome = 1;
    waitpid(child, &outcome, 0);
    if (outcome != 0) status = 1;
  }
  return status;
}

}  // namespace

}  // namespace cinch::bench

int main(int argc, char** argv) {
  return cinch::bench::measure_all(cinch::bench::parse(argc, argv));
}
