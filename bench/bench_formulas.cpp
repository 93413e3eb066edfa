// bench_formulas: times a step of SGD on each formula of formulas.cpp, as printed and by hand, and
// prints a table in Markdown.
//
//     bench_formulas                                all, one thread
//     bench_formulas --only Laplacian --explain     those whose names contain it, and where the
//     time goes
//     bench_formulas --beside torch_formulas        and another program's steps on the same, each
//     right after ours: PROGRAM NAME SECONDS THREADS prints the median in ms
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cinch/cinch.hpp>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "formulas.hpp"
#include "works.hpp"

using namespace cinch;
using namespace cinch::bench;

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Timing {
  double build = 0, first = 0, median = 0;  // ms
  double cost = 0;
  std::size_t arena = 0;
  double flops = 0, bytes = 0;  // Of all kernels: what they compute, and read and write.
};

Timing time_step(const Formula& formula, const std::function<Objective(const Expr&)>& build,
                 double budget, bool explained) {
  Timing t;
  const Expr x = input_of(formula);
  const double begin = seconds();
  const Function step = step_of(build(x), x);
  t.build = (seconds() - begin) * 1e3;
  const Tensor data = RandomState(3).uniform(0, 1, formula.input, DType::float32);
  const double before = seconds();
  t.cost = step({data})[0].item();
  t.first = (seconds() - before) * 1e3;
  std::vector<double> times;
  for (const double start = seconds();
       times.size() < 5 || (seconds() - start < budget && times.size() < 100000);) {
    const double a = seconds();
    step({data});
    times.push_back((seconds() - a) * 1e3);
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  t.median = times[times.size() / 2];
  t.arena = step.arena_bytes();
  for (const StepInfo& kernel : explain(step).steps) {
    t.flops += kernel.flops;
    t.bytes += kernel.bytes;
  }
  if (explained) {
    std::cout << explain(step).text() << "\n";
    step.set_profiling(true);
    for (int k = 0; k < 5; ++k) step({data});
    std::cout << profile(step).text() << "\n";
  }
  return t;
}

/// What `program` prints for a formula; none for one that it does not know.
std::optional<double> other_median(const std::string& program, const Formula& formula,
                                   double budget, int threads) {
  if (formula.name.find('"') != std::string_view::npos) return std::nullopt;
  const std::string command = text(program, " \"", formula.name, "\" ", budget, " ", threads);
  std::FILE* const out = popen(command.c_str(), "r");
  double result = 0;
  const bool read = out && std::fscanf(out, "%lf", &result) == 1;
  if (!out || pclose(out) != 0) std::fprintf(stderr, "%s failed\n", command.c_str());
  return read ? std::optional(result) : std::nullopt;
}

struct Settings {
  double budget = 1;
  int threads = 1;
  bool explained = false;
  std::string beside;
};

void row(const Formula& formula, const Settings& settings) {
  const auto [budget, threads, explained, beside] = settings;
  const Timing a = time_step(formula, formula.as_printed, budget, explained);
  std::printf("| %s | %.4g | %.4g | %.4g | %.4g | ", std::string(formula.name).c_str(), a.median,
              a.flops / 1e6, a.bytes / 1e6, static_cast<double>(a.arena) / 1e6);
  if (formula.by_hand) {
    const Timing b = time_step(formula, formula.by_hand, budget, explained);
    std::printf("%.4g | %.2f | %.4g | ", b.median, a.median / b.median, b.flops / 1e6);
  } else {
    std::printf("| | | ");
  }
  std::printf("%.4g | %.4g | %.6g |", a.build, a.first, a.cost);
  if (!beside.empty()) {
    const std::optional<double> other = other_median(beside, formula, budget, threads);
    other ? std::printf(" %.4g | %.2f |", *other, *other / a.median) : std::printf(" | |");
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times a step of SGD on each formula, float32."};
  std::string only;
  Settings settings;
  app.add_option("--only", only, "Those whose names contain this");
  app.add_option("--threads", settings.threads, "Default: 1")->check(CLI::Range(1, 1024));
  app.add_option("--seconds", settings.budget, "For each form of each formula; default: 1");
  app.add_option("--beside", settings.beside, "A program that takes steps on the same formulas");
  app.add_flag("--explain", settings.explained, "Also print what runs, and where the time goes");
  CLI11_PARSE(app, argc, argv);
  set_threads(settings.threads);
  set_blas_threads(settings.threads);
  const bool is_beside = !settings.beside.empty();
  std::printf(
      "| formula | step, ms | Mflop | MB moved | MB of temporaries | by hand, ms | ratio | Mflop | "
      "to a function, ms | first call, ms | cost |%s\n",
      is_beside ? " the other, ms | times ours |" : "");
  std::printf("|---|---|---|---|---|---|---|---|---|---|---|%s\n", is_beside ? "---|---|" : "");
  for (const Formula& formula : formulas()) {
    if (formula.name.find(only) == std::string_view::npos) continue;
    // A process each: none begins with the memory of another.
    std::fflush(stdout);
    if (const pid_t child = fork(); child > 0) {
      int status = 0;
      waitpid(child, &status, 0);
      if (status != 0)
        std::printf("| %s | ended with status %d |\n", std::string(formula.name).c_str(), status);
      continue;
    }
    row(formula, settings);
    std::fflush(stdout);
    _exit(0);
  }
}
