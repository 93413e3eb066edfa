// torch_formulas NAME SECONDS THREADS: the median time, in ms, of a step of SGD on a formula of
// ../formulas.cpp in libtorch, derived by hand where a hand makes it faster. Nothing is printed for
// a formula that is not here. For `bench_formulas --beside torch_formulas`.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

using torch::Tensor;
using Params = std::vector<Tensor>;

struct Layer {
  Tensor W, b;
  Tensor operator()(const Tensor& x) const { return torch::addmm(b, x, W); }
};

std::vector<Layer> layers(Params& params, const std::vector<std::int64_t>& sizes) {
  std::vector<Layer> result;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) {
    const double bound = std::sqrt(6.0 / static_cast<double>(sizes[k] + sizes[k + 1]));
    Tensor W = (torch::rand({sizes[k], sizes[k + 1]}) * 2 - 1) * bound;
    Tensor b = torch::zeros({sizes[k + 1]});
    W.set_requires_grad(true);
    b.set_requires_grad(true);
    params.push_back(W);
    params.push_back(b);
    result.push_back({W, b});
  }
  return result;
}

Tensor tanh_slope(const Tensor& h) { return 1 - h * h; }

struct Formula {
  std::vector<std::int64_t> input;
  /// Makes the parameters, and the cost as a function of x.
  std::function<std::function<Tensor(const Tensor&)>(Params&)> cost;
};

/// Of G = J'J of a tanh layer and a linear one, by the weights' own Gram matrix.
Formula of_gram(std::int64_t batch, const std::vector<std::int64_t>& sizes,
                std::function<Tensor(const Tensor&)> cost) {
  return {{batch, sizes[0]}, [=](Params& p) {
            const auto d = layers(p, sizes);
            return [=](const Tensor& h) {
              const Tensor A = d[0].W * tanh_slope(torch::tanh(d[0](h))).unsqueeze(1);
              const Tensor M = torch::mm(d[1].W, d[1].W.t());
              return cost(torch::bmm(torch::matmul(A, M), A.transpose(1, 2)));
            };
          }};
}

Formula laplacian(std::int64_t batch, const std::vector<std::int64_t>& sizes) {
  return {{batch, sizes[0]}, [=](Params& p) {
            const auto u = layers(p, sizes);
            return [=](const Tensor& x) {
              Tensor z = x, J = torch::eye(x.size(1)).expand({x.size(0), x.size(1), x.size(1)}),
                     L = torch::zeros_like(x);
              for (const Layer& layer : u) {
                const Tensor f = torch::tanh(layer(z)), slope = tanh_slope(f);
                J = torch::matmul(J, layer.W);
                L = slope * torch::mm(L, layer.W) - 2 * f * slope * J.square().sum(1);
                J = J * slope.unsqueeze(1);
                z = f;
              }
              return L.sum(1).square().mean();
            };
          }};
}

/// The state after all steps of 32 rows of 100 numbers: x W + b of all steps is one product.
/// `step_of` is called for each run: a step may remember.
using Step = std::function<Tensor(const Tensor& xW, const Tensor& U, const Tensor& h)>;
Formula recurrent(std::int64_t gates, std::function<Step()> step_of) {
  return {{200, 32, 100}, [=](Params& p) {
            const auto weights = [&](std::int64_t rows, std::int64_t columns) {
              p.push_back(((torch::rand({rows, columns}) * 2 - 1) * .1).set_requires_grad(true));
              return p.back();
            };
            const Tensor W = weights(100, 100 * gates), U = weights(100, 100 * gates);
            const Tensor b = torch::zeros({100 * gates}).set_requires_grad(true);
            p.push_back(b);
            return [=](const Tensor& x) {
              Tensor h = torch::zeros({32, 100});
              const Step step = step_of();
              for (const Tensor& row : (torch::matmul(x, W) + b).unbind(0)) h = step(row, U, h);
              return h.square().mean();
            };
          }};
}

const std::map<std::string, Formula>& formulas() {
  static const std::map<std::string, Formula> all{
      {"isometry, linear out", of_gram(64, {16, 128, 784},
                                       [](const Tensor& G) {
                                         return (G - torch::eye(16)).square().sum({1, 2}).mean();
                                       })},
      {"flatness (IRVAE)", of_gram(32, {16, 64, 256},
                                   [](const Tensor& G) {
                                     const Tensor trace = G.diagonal(0, 1, 2).sum(1);
                                     return G.square().sum({1, 2}).mean() / trace.mean().square();
                                   })},
      {"volume, var(logdet)",
       of_gram(32, {16, 64, 256},
               [](const Tensor& G) { return torch::logdet(G).var(/*unbiased=*/false); })},
      {"hessian_norm2, one layer",
       {{32, 784},
        [](Params& p) {
          const auto e = layers(p, {784, 32});
          return [=](const Tensor& x) {
            const Tensor h = torch::sigmoid(e[0](x)), second = h * (1 - h) * (1 - 2 * h);
            return (second.square() * e[0].W.square().sum(0).square()).sum(1).mean();
          };
        }}},
      {"Laplacian", laplacian(8, {50, 768, 768, 512, 512, 1})},
      {"Laplacian, small", laplacian(32, {64, 64, 64, 1})},
      {"score matching",
       {{64, 64},
        [](Params& p) {
          const auto n = layers(p, {64, 256, 64});
          return [=](const Tensor& x) {
            const Tensor a = n[0](x), s = n[1](torch::softplus(a));
            const Tensor weights = (n[0].W * n[1].W.t()).sum(0);
            return (s.square().sum(1) / 2 + torch::mv(torch::sigmoid(a), weights)).mean();
          };
        }}},
      {"jacobian_norm2, three layers",
       {{64, 784},
        [](Params& p) {
          const auto e = layers(p, {784, 256, 128, 64});
          return [=](const Tensor& x) {
            const Tensor h1 = torch::tanh(e[0](x)), h2 = torch::tanh(e[1](h1)),
                         h3 = torch::tanh(e[2](h2));
            const Tensor B = e[2].W.t() * tanh_slope(h2).unsqueeze(1);
            const Tensor A = torch::matmul(B, e[1].W.t()) * tanh_slope(h1).unsqueeze(1);
            const Tensor M = torch::mm(e[0].W.t(), e[0].W);
            return (tanh_slope(h3).square() * (A * torch::matmul(A, M)).sum(2)).sum(1).mean();
          };
        }}},
      {"decorrelated codes",
       {{32, 256},
        [](Params& p) {
          const auto e = layers(p, {256, 64, 32});
          return [=](const Tensor& x) {
            const Tensor h = torch::tanh(e[1](torch::tanh(e[0](x)))), c = h - h.mean(0, true);
            const Tensor C = torch::mm(c.t(), c) / 31;
            return (C - torch::diag(C.diagonal())).square().sum();
          };
        }}},
      {"four layer norms and gelus",
       {{256, 1024},
        [](Params& p) {
          for (int k = 0; k < 4; ++k) {
            p.push_back(torch::ones({1024}).set_requires_grad(true));
            p.push_back(torch::zeros({1024}).set_requires_grad(true));
          }
          return [p](const Tensor& x) {
            Tensor h = x;
            for (std::size_t k = 0; k < 4; ++k)
              h = torch::gelu(torch::layer_norm(h, {1024}, p[2 * k], p[2 * k + 1]));
            return h.square().mean();
          };
        }}},
      {"Elman network, 200 steps", recurrent(1,
                                             [] {
                                               return [](const Tensor& a, const Tensor& U,
                                                         const Tensor& h) {
                                                 return torch::tanh(torch::addmm(a, h, U));
                                               };
                                             })},
      {"GRU, 200 steps", recurrent(3,
                                   [] {
                                     return [](const Tensor& a, const Tensor& U, const Tensor& h) {
                                       const auto x = a.chunk(3, 1);
                                       const auto c = torch::mm(h, U).chunk(3, 1);
                                       const Tensor z = torch::sigmoid(x[0] + c[0]);
                                       const Tensor reset = torch::sigmoid(x[1] + c[1]);
                                       return z * h + (1 - z) * torch::tanh(x[2] + reset * c[2]);
                                     };
                                   })},
      {"LSTM, 200 steps",
       recurrent(4,
                 [] {
                   Tensor cell = torch::zeros({32, 100});
                   return [cell](const Tensor& a, const Tensor& U, const Tensor& h) mutable {
                     const auto g = torch::addmm(a, h, U).chunk(4, 1);
                     cell = torch::sigmoid(g[1]) * cell + torch::sigmoid(g[0]) * torch::tanh(g[3]);
                     return torch::sigmoid(g[2]) * torch::tanh(cell);
                   };
                 })},
      {"32 of 4096 latents",
       {{64, 256},
        [](Params& p) {
          const auto e = layers(p, {256, 4096}), d = layers(p, {4096, 256});
          return [=](const Tensor& x) {
            const auto [values, indices] = torch::relu(e[0](x)).topk(32);
            const Tensor code = torch::zeros({x.size(0), 4096}).scatter(1, indices, values);
            return (d[0](code) - x).square().sum(1).mean();
          };
        }}},
  };
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: torch_formulas NAME SECONDS THREADS\n");
    return 2;
  }
  at::set_num_threads(std::atoi(argv[3]));
  const auto found = formulas().find(argv[1]);
  if (found == formulas().end()) return 0;
  torch::manual_seed(1);
  Params params;
  const auto cost = found->second.cost(params);
  const Tensor x = torch::rand(found->second.input);
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  const auto step = [&] {
    cost(x).backward();
    const torch::NoGradGuard no_grad;
    for (Tensor& p : params) {
      if (!p.grad().defined()) continue;
      p.sub_(p.grad(), 1e-4);
      p.mutable_grad() = Tensor();
    }
  };
  for (int k = 0; k < 3; ++k) step();
  std::vector<double> times;
  const double budget = std::atof(argv[2]);
  for (const double start = now();
       times.size() < 5 || (now() - start < budget && times.size() < 100000);) {
    const double a = now();
    step();
    times.push_back((now() - a) * 1e3);
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  std::printf("%.6g\n", *middle);
}
