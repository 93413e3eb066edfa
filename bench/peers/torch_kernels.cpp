// torch_kernels NUMBER SECONDS THREADS: the least and the middle time, in ms, of a call of a case
// of ../kernel_cases.hpp in libtorch. For `bench_kernels --beside torch_kernels`.
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "../kernel_cases.hpp"

namespace {

using namespace kernel_cases;
using torch::Tensor;
using Operands = std::vector<Tensor>;
using Builder = std::function<Tensor(const Operands& x, const Sizes& n)>;

Tensor positions(std::int64_t count, std::int64_t n) {
  return (torch::arange(count) * 2654435761).remainder(n);
}

Tensor classifier(const Operands& x, std::int64_t padding) {
  Tensor h = x[0];
  for (std::size_t k = 1; k + 1 < x.size(); ++k)
    h = torch::max_pool2d(torch::relu(torch::conv2d(h, x[k], {}, 1, padding)), 2);
  const Tensor a = torch::mm(h.flatten(1), x.back());
  return -torch::log_softmax(a, 1).select(1, 0).mean();
}

Tensor autoencoder_error(const Operands& x) {
  Tensor h = x[0];
  const std::size_t depth = x.size() / 2;
  for (std::size_t k = 1; k <= depth; ++k) h = torch::relu(torch::conv2d(h, x[k], {}, 2, 1));
  for (std::size_t k = depth + 1; k < x.size(); ++k) {
    h = torch::conv_transpose2d(h, x[k], {}, 2, 1);
    h = k + 1 == x.size() ? torch::sigmoid(h) : torch::relu(h);
  }
  return torch::mse_loss(h, x[0]);
}

const std::map<std::string, Builder>& builders() {
  static const std::map<std::string, Builder> all{
      {"conv1d",
       [](auto& x, auto& n) { return torch::conv1d(x[0], x[1], {}, n[0], n[1], n[2], n[3]); }},
      {"conv2d",
       [](auto& x, auto& n) { return torch::conv2d(x[0], x[1], {}, n[0], n[1], n[2], n[3]); }},
      {"conv3d",
       [](auto& x, auto& n) { return torch::conv3d(x[0], x[1], {}, n[0], n[1], n[2], n[3]); }},
      {"conv_transpose1d",
       [](auto& x, auto& n) {
         return torch::conv_transpose1d(x[0], x[1], {}, n[0], n[1], n[2], n[3]);
       }},
      {"conv_transpose2d",
       [](auto& x, auto& n) {
         return torch::conv_transpose2d(x[0], x[1], {}, n[0], n[1], n[2], n[3]);
       }},
      {"convolutional_classifier", [](auto& x, auto& n) { return classifier(x, n[0]); }},
      {"convolutional_autoencoder", [](auto& x, auto&) { return autoencoder_error(x); }},
      {"max_pool2d", [](auto& x, auto& n) { return torch::max_pool2d(x[0], n[0], n[1], n[2]); }},
      {"average_pool2d",
       [](auto& x, auto& n) { return torch::avg_pool2d(x[0], n[0], n[1], n[2]); }},
      {"softmax", [](auto& x, auto& n) { return torch::softmax(x[0], n.empty() ? -1 : n[0]); }},
      {"log_softmax", [](auto& x, auto&) { return torch::log_softmax(x[0], -1); }},
      {"logsumexp", [](auto& x, auto&) { return torch::logsumexp(x[0], -1); }},
      {"layer_norm",
       [](auto& x, auto&) { return torch::layer_norm(x[0], x[1].sizes(), x[1], x[2]); }},
      {"rms_norm",
       [](auto& x, auto&) {
         return x[0] * torch::rsqrt(x[0].square().mean(-1, true) + 1e-5) * x[1];
       }},
      {"batch_norm",
       [](auto& x, auto&) {
         return torch::batch_norm(x[0], x[1], x[2], {}, {}, true, .1, 1e-5, false);
       }},
      {"group_norm", [](auto& x, auto& n) { return torch::group_norm(x[0], n[0], x[1], x[2]); }},
      {"gelu", [](auto& x, auto&) { return torch::gelu(x[0]); }},
      {"sigmoid", [](auto& x, auto&) { return torch::sigmoid(x[0]); }},
      {"exp", [](auto& x, auto&) { return torch::exp(x[0]); }},
      {"sum", [](auto& x, auto& n) { return x[0].sum(n[0]); }},
      {"sum_all", [](auto& x, auto&) { return x[0].sum(); }},
      {"mean", [](auto& x, auto& n) { return x[0].mean(n[0]); }},
      {"max", [](auto& x, auto& n) { return x[0].amax(n[0]); }},
      {"argmax", [](auto& x, auto& n) { return x[0].argmax(n[0]); }},
      {"var", [](auto& x, auto& n) { return x[0].var(n[0], /*unbiased=*/false); }},
      {"cumsum", [](auto& x, auto& n) { return x[0].cumsum(n[0]); }},
      {"sort", [](auto& x, auto& n) { return std::get<0>(x[0].sort(n[0])); }},
      {"topk", [](auto& x, auto& n) { return std::get<0>(x[0].topk(n[0])); }},
      {"embedding",
       [](auto& x, auto& n) {
         static const Tensor at = positions(n[0], x[0].size(0));
         return torch::embedding(x[0], at);
       }},
      {"gather_along",
       [](auto& x, auto& n) {
         static const Tensor at =
             positions(x[0].size(0) * n[0], x[0].size(1)).reshape({x[0].size(0), n[0]});
         return x[0].gather(1, at);
       }},
      {"transpose", [](auto& x, auto&) { return x[0].t().contiguous(); }},
      {"to_last",
       [](auto& x, auto&) {
         return x[0].permute({0, 2, 3, 1}).contiguous();
       }},
      {"concatenate",
       [](auto& x, auto& n) {
         return torch::cat({x[0], x[1]}, n[0]);
       }},
      {"add", [](auto& x, auto&) { return x[0] + x[1]; }},
      {"mul", [](auto& x, auto&) { return x[0] * x[1]; }},
      {"dot", [](auto& x, auto&) { return torch::matmul(x[0], x[1]); }},
      {"dot_nt", [](auto& x, auto&) { return torch::mm(x[0], x[1].t()); }},
      {"dot_tn", [](auto& x, auto&) { return torch::mm(x[0].t(), x[1]); }},
      {"vector_dot", [](auto& x, auto&) { return torch::matmul(x[0], x[1]); }},
      {"batched_dot", [](auto& x, auto&) { return torch::bmm(x[0], x[1]); }},
      {"batched_dot_nt", [](auto& x, auto&) { return torch::bmm(x[0], x[1].transpose(1, 2)); }},
  };
  return all;
}

/// What is called, and called again.
std::function<void()> work_of(const Case& c) {
  const Builder build = builders().at(c.op);
  const auto options = torch::dtype(c.wide ? torch::kFloat64 : torch::kFloat32);
  Operands x;
  for (const Sizes& sizes : c.operands) x.push_back(torch::rand(sizes, options) * 2 - 1);
  if (c.pass == Pass::value) {
    return [=] {
      const torch::NoGradGuard no_grad;
      build(x, c.numbers);
    };
  }
  const bool is_convolution = c.pass == Pass::input || c.pass == Pass::weights;
  if (!is_convolution) {
    Operands by;
    for (std::size_t k = c.pass == Pass::training ? 1 : 0; k < x.size(); ++k)
      by.push_back(x[k].set_requires_grad(true));
    const Tensor gy =
        c.pass == Pass::training ? Tensor() : torch::rand_like(build(x, c.numbers).detach());
    return [=] {
      torch::autograd::grad(
          {build(x, c.numbers)}, by,
          c.pass == Pass::training ? std::vector<Tensor>{} : std::vector<Tensor>{gy});
    };
  }
  const Tensor gy = torch::rand_like(build(x, c.numbers));
  const bool transposed = c.op.find("transpose") != std::string::npos;
  const std::size_t axes = c.operands[0].size() - 2;
  const Sizes &n = c.numbers, stride(axes, n[0]), padding(axes, n[1]),
              dilation(axes, transposed ? 1 : n[2]), more(axes, transposed ? n[2] : 0);
  const std::array<bool, 3> wanted{c.pass == Pass::input, c.pass == Pass::weights, false};
  return [=] {
    at::convolution_backward(gy, x[0], x[1], c10::nullopt, stride, padding, dilation, transposed,
                             more, n[3], wanted);
  };
}

double now(int threads) {
  timespec t{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: torch_kernels NUMBER SECONDS THREADS\n");
    return 2;
  }
  const int threads = std::atoi(argv[3]);
  at::set_num_threads(threads);
  const std::vector<Case> cases = all();
  const auto number = static_cast<std::size_t>(std::atol(argv[1]));
  if (number >= cases.size()) return 2;
  torch::manual_seed(1);
  const std::function<void()> work = work_of(cases[number]);
  for (int k = 0; k < 3; ++k) work();
  std::vector<double> times;
  const double start = now(threads), budget = std::atof(argv[2]) * 1e3;
  while (times.size() < 5 || now(threads) - start < budget) {
    const double before = now(threads);
    work();
    times.push_back(now(threads) - before);
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  std::printf("%.6g %.6g\n", *std::min_element(times.begin(), times.end()), *middle);
}
