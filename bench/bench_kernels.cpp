// bench_kernels: times the kernels and small networks of kernel_cases.hpp one by one and prints a
// table in Markdown.
//
//     bench_kernels --only conv2d --threads 2              those whose family or name contain it
//     bench_kernels --beside torch_kernels --below 1.2     and another program's times of the same
//
// The other program is called as PROGRAM NUMBER SECONDS THREADS and prints its least and middle
// time in ms. The two take turns, --rounds of them. Times are of the processor on one thread, of
// the clock on several.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cinch/cinch.hpp>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "kernel_cases.hpp"

using namespace cinch;
using kernel_cases::Case;
using kernel_cases::Pass;
using kernel_cases::Times;

namespace {

using Operands = std::vector<Expr>;
using Numbers = kernel_cases::Sizes;

ConvOptions conv_options(const Numbers& n) {
  return {.stride = n[0], .padding = n[1], .dilation = n[2], .groups = n[3]};
}
ConvTransposeOptions transpose_options(const Numbers& n) {
  return {.stride = n[0], .padding = n[1], .output_padding = n[2], .groups = n[3]};
}
PoolOptions pool_options(const Numbers& n) { return {.stride = n[1], .padding = n[2]}; }

/// Positions that repeat now and then: k * 2654435761 modulo n.
Expr positions(std::int64_t count, std::int64_t n) {
  Tensor result(DType::int64, {count});
  for (std::int64_t k = 0; k < count; ++k)
    result.data<std::int64_t>()[static_cast<std::size_t>(k)] = k * 2654435761 % n;
  return constant(result);
}

Expr batch_norm_of(const Expr& x, const Expr& gain, const Expr& bias) {
  std::vector<std::int64_t> others{0}, along(static_cast<std::size_t>(x.rank()), -1);
  for (std::int64_t axis = 2; axis < x.rank(); ++axis) others.push_back(axis);
  along[1] = 0;
  const Expr centred = x - mean(x, others, true);
  return centred / sqrt(mean(square(centred), others, true) + 1e-5) * dimshuffle(gain, along) +
         dimshuffle(bias, along);
}

Expr group_norm_of(const Expr& x, const Expr& gain, const Expr& bias, std::int64_t groups) {
  const Shape s = x.type().shape();
  const Expr g = reshape(x, Shape{s[0], groups, s[1] / groups * s[2] * s[3]});
  const Expr y = reshape(layer_norm(g), s);
  return y * dimshuffle(gain, {0, -1, -1}) + dimshuffle(bias, {0, -1, -1});
}

/// Convolutions with padding, relu and pooling by 2, then a layer of classes, all of them of
/// class 0.
Expr classifier(const Operands& x, std::int64_t padding) {
  Expr h = x[0];
  for (std::size_t k = 1; k + 1 < x.size(); ++k)
    h = max_pool2d(relu(conv2d(h, x[k], {.padding = padding})), 2);
  return -mean(at(log_softmax(dot(flatten(h, 1), x.back())), std::int64_t{0}, 1));
}

Expr autoencoder_error(const Operands& x) {
  Expr h = x[0];
  const std::size_t depth = x.size() / 2;
  for (std::size_t k = 1; k <= depth; ++k) h = relu(conv2d(h, x[k], {.stride = 2, .padding = 1}));
  for (std::size_t k = depth + 1; k < x.size(); ++k) {
    h = conv_transpose2d(h, x[k], {.stride = 2, .padding = 1});
    h = k + 1 == x.size() ? sigmoid(h) : relu(h);
  }
  return mean(square(h - x[0]));
}

using Builder = std::function<Expr(const Operands& x, const Numbers& n)>;

const std::map<std::string, Builder>& builders() {
  static const std::map<std::string, Builder> all{
      {"conv1d", [](auto& x, auto& n) { return conv1d(x[0], x[1], conv_options(n)); }},
      {"conv2d", [](auto& x, auto& n) { return conv2d(x[0], x[1], conv_options(n)); }},
      {"conv3d", [](auto& x, auto& n) { return conv3d(x[0], x[1], conv_options(n)); }},
      {"conv_transpose1d",
       [](auto& x, auto& n) { return conv_transpose1d(x[0], x[1], transpose_options(n)); }},
      {"conv_transpose2d",
       [](auto& x, auto& n) { return conv_transpose2d(x[0], x[1], transpose_options(n)); }},
      {"convolutional_classifier", [](auto& x, auto& n) { return classifier(x, n[0]); }},
      {"convolutional_autoencoder", [](auto& x, auto&) { return autoencoder_error(x); }},
      {"max_pool2d", [](auto& x, auto& n) { return max_pool2d(x[0], n[0], pool_options(n)); }},
      {"average_pool2d",
       [](auto& x, auto& n) { return average_pool2d(x[0], n[0], pool_options(n)); }},
      {"softmax", [](auto& x, auto& n) { return softmax(x[0], n.empty() ? -1 : n[0]); }},
      {"log_softmax", [](auto& x, auto&) { return log_softmax(x[0]); }},
      {"logsumexp", [](auto& x, auto&) { return logsumexp(x[0]); }},
      {"layer_norm", [](auto& x, auto&) { return layer_norm(x[0], x[1], x[2]); }},
      {"rms_norm", [](auto& x, auto&) { return rms_norm(x[0], x[1]); }},
      {"batch_norm", [](auto& x, auto&) { return batch_norm_of(x[0], x[1], x[2]); }},
      {"group_norm", [](auto& x, auto& n) { return group_norm_of(x[0], x[1], x[2], n[0]); }},
      {"gelu", [](auto& x, auto&) { return gelu(x[0]); }},
      {"sigmoid", [](auto& x, auto&) { return sigmoid(x[0]); }},
      {"exp", [](auto& x, auto&) { return exp(x[0]); }},
      {"sum", [](auto& x, auto& n) { return sum(x[0], n[0]); }},
      {"sum_all", [](auto& x, auto&) { return sum(x[0]); }},
      {"mean", [](auto& x, auto& n) { return mean(x[0], n[0]); }},
      {"max", [](auto& x, auto& n) { return max(x[0], n[0]); }},
      {"argmax", [](auto& x, auto& n) { return argmax(x[0], n[0]); }},
      {"var", [](auto& x, auto& n) { return var(x[0], n[0]); }},
      {"cumsum", [](auto& x, auto& n) { return cumsum(x[0], n[0]); }},
      {"sort", [](auto& x, auto& n) { return sort(x[0], n[0]); }},
      {"topk", [](auto& x, auto& n) { return topk(x[0], n[0]).values; }},
      {"embedding",
       [](auto& x, auto& n) { return take(x[0], positions(n[0], x[0].type().shape()[0])); }},
      {"gather_along",
       [](auto& x, auto& n) {
         const Shape s = x[0].type().shape();
         return take_along_axis(x[0], reshape(positions(s[0] * n[0], s[1]), Shape{s[0], n[0]}), 1);
       }},
      {"transpose", [](auto& x, auto&) { return transpose(x[0]); }},
      {"to_last",
       [](auto& x, auto&) {
         return transpose(x[0], {0, 2, 3, 1});
       }},
      {"concatenate",
       [](auto& x, auto& n) {
         return concatenate({x[0], x[1]}, n[0]);
       }},
      {"add", [](auto& x, auto&) { return x[0] + x[1]; }},
      {"mul", [](auto& x, auto&) { return x[0] * x[1]; }},
      {"dot", [](auto& x, auto&) { return dot(x[0], x[1]); }},
      {"dot_nt", [](auto& x, auto&) { return dot(x[0], transpose(x[1])); }},
      {"dot_tn", [](auto& x, auto&) { return dot(transpose(x[0]), x[1]); }},
      {"vector_dot", [](auto& x, auto&) { return dot(x[0], x[1]); }},
      {"batched_dot", [](auto& x, auto&) { return batched_dot(x[0], x[1]); }},
      {"batched_dot_nt",
       [](auto& x, auto&) {
         return batched_dot(x[0], transpose(x[1], {0, 2, 1}));
       }},
  };
  return all;
}

/// What a call of a case computes, and its inputs, of which the last may be a direction.
Function function_of(const Case& c, std::vector<Tensor>& arguments) {
  RandomState random(1);
  const DType dtype = c.wide ? DType::float64 : DType::float32;
  Operands x;
  for (const Numbers& sizes : c.operands) {
    x.push_back(variable("x" + std::to_string(x.size()), dtype, sizes));
    arguments.push_back(random.uniform(-1, 1, sizes, dtype));
  }
  const Expr y = builders().at(c.op)(x, c.numbers);
  Operands inputs = x, outputs;
  const auto direction = [&] {
    inputs.push_back(variable("gy", y.type()));
    arguments.push_back(random.uniform(-1, 1, y.type().shape(), dtype));
    return inputs.back();
  };
  switch (c.pass) {
    case Pass::value:
      outputs = {y};
      break;
    case Pass::gradients: {
      const Expr gy = direction();
      outputs = {y};
      for (const Expr& operand : x) outputs.push_back(Lop(y, operand, gy));
      break;
    }
    case Pass::input:
      outputs = {Lop(y, x[0], direction())};
      break;
    case Pass::weights:
      outputs = {Lop(y, x[1], direction())};
      break;
    case Pass::training:
      outputs = {y};
      for (std::size_t k = 1; k < x.size(); ++k) outputs.push_back(grad(y, x[k]));
      break;
  }
  return function({.inputs = inputs, .outputs = outputs, .allow_unused_inputs = true});
}

double now(int threads) {
  timespec t{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

struct Settings {
  double budget = .3;
  int threads = 1, rounds = 1;
  double below = 0;
  bool explained = false;
  std::string only, beside;
};

void add_times(const Function& f, const std::vector<Tensor>& values, const Settings& settings,
               std::vector<double>& times) {
  std::vector<const Tensor*> arguments;
  for (const Tensor& value : values) arguments.push_back(&value);
  std::vector<Tensor> outputs;
  for (int k = 0; k < 3; ++k) f.call(arguments, outputs);
  const double start = now(settings.threads);
  for (int calls = 0; calls < 5 || now(settings.threads) - start < settings.budget * 1e3; ++calls) {
    const double before = now(settings.threads);
    f.call(arguments, outputs);
    times.push_back(now(settings.threads) - before);
  }
}

/// The other program's times of a case; 0, 0 for one that it does not know.
Times other_times(const Settings& settings, std::size_t number) {
  const std::string command =
      text(settings.beside, " ", number, " ", settings.budget, " ", settings.threads);
  std::FILE* const out = popen(command.c_str(), "r");
  Times result{0, 0};
  const bool read = out && std::fscanf(out, "%lf %lf", &result.least, &result.middle) == 2;
  if (!out || pclose(out) != 0) std::fprintf(stderr, "%s failed\n", command.c_str());
  return read ? result : Times{0, 0};
}

void row(const Case& c, std::size_t number, const Settings& settings) {
  std::vector<Tensor> arguments;
  const Function f = function_of(c, arguments);
  std::vector<double> times;
  Times other{0, 0};
  for (int round = 0; round < settings.rounds; ++round) {
    add_times(f, arguments, settings, times);
    if (settings.beside.empty()) continue;
    const Times again = other_times(settings, number);
    other = round == 0
                ? again
                : Times{std::min(other.least, again.least), std::min(other.middle, again.middle)};
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  const Times own{*std::min_element(times.begin(), times.end()), *middle};
  if (settings.below > 0 && other.least / own.least >= settings.below) return;
  std::printf("| %s | %.4g | %.4g |", c.name().c_str(), own.least, own.middle);
  if (!settings.beside.empty())
    std::printf(" %.4g | %.4g | %.2f |", other.least, other.middle, other.least / own.least);
  std::printf("\n");
  if (settings.explained) {
    std::cout << explain(f).text() << "\n";
    f.set_profiling(true);
    for (int k = 0; k < 50; ++k) f(arguments);
    std::cout << profile(f).text() << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times kernels and small networks, float32 unless a row says otherwise."};
  Settings settings;
  app.add_option("--only", settings.only, "Those whose family or name contain this");
  app.add_option("--threads", settings.threads, "Default: 1")->check(CLI::Range(1, 1024));
  app.add_option("--seconds", settings.budget, "For each round of each; default: 0.3");
  app.add_option("--rounds", settings.rounds, "Default: 1")->check(CLI::Range(1, 1000));
  app.add_option("--beside", settings.beside, "A program that times the same cases");
  app.add_option("--below", settings.below,
                 "Only where the other takes less than so many times ours");
  app.add_flag("--explain", settings.explained, "Also print what runs, and where the time goes");
  CLI11_PARSE(app, argc, argv);
  set_threads(settings.threads);
  const bool is_beside = !settings.beside.empty();
  std::printf("| kernel | least, ms | middle, ms |%s\n",
              is_beside ? " the other's least | middle | times ours |" : "");
  std::printf("|---|---|---|%s\n", is_beside ? "---|---|---|" : "");
  const std::vector<Case> cases = kernel_cases::all();
  for (std::size_t number = 0; number < cases.size(); ++number) {
    const Case& c = cases[number];
    if ((c.family + " " + c.name()).find(settings.only) == std::string::npos) continue;
    // A process each: none begins with the memory of another.
    std::fflush(stdout);
    if (const pid_t child = fork(); child > 0) {
      int status = 0;
      waitpid(child, &status, 0);
      if (status != 0) std::printf("| %s | ended with status %d |\n", c.name().c_str(), status);
      continue;
    }
    try {
      row(c, number, settings);
    } catch (const Error& e) {
      std::printf("| %s | %s |\n", c.name().c_str(), e.what());
    }
    std::fflush(stdout);
    _exit(0);
  }
}
