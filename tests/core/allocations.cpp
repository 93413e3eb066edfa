// A planned call allocates nothing: counted by replacing the global allocation functions.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>

#include "cinch/cinch.hpp"
#include "support/samples.hpp"

namespace {
std::atomic<long> allocations = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes ? bytes : 1)
                                                        : std::aligned_alloc(alignment, bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 1); }
void* operator new[](std::size_t bytes) { return counted(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
// Temporary buffers of the standard library.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes ? bytes : 1);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes ? bytes : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace cinch;
using namespace cinch::testing;

namespace {
/// Whether fifty calls in a row come to allocate nothing. A thread gets its workspace when it first
/// helps, which on a busy machine may be late.
bool settles(const std::function<void()>& call) {
  for (int round = 0; round < 40; ++round) {
    const long count = allocations;
    for (int k = 0; k < 50; ++k) call();
    if (allocations == count) return true;
  }
  return false;
}
}  // namespace

TEST_CASE("a planned call allocates nothing") {
  std::mt19937 random(5);
  const Shared images(random_tensor(DType::float32, {200, 784}, random, 0, 1), "images");
  const Shared W(random_tensor(DType::float32, {784, 500}, random, -0.1, 0.1), "W"),
      b(Tensor(DType::float32, {500}), "b"), c(Tensor(DType::float32, {784}), "c");
  const Expr index = lscalar("index"), x = matrix("x");
  const Expr h = sigmoid(dot(x, W) + b), z = sigmoid(dot(h, transpose(W)) + c);
  const Expr cost =
      mean(-sum(x * log(z) + (1 - x) * log(1 - z), {1})) + 0.1 * sum(square(jacobian(h, x))) / 10;
  const auto g = grad(cost, std::vector<Shared>{W, b, c});
  const Expr noise = RandomStreams(3).uniform({size(x, 0)});
  const Function step = function({index}, {cost, mean(noise)},
                                 {{W, W - 0.01 * g[0]}, {b, b - 0.01 * g[1]}, {c, c - 0.01 * g[2]}},
                                 {{x, slice(images, index * 10, (index + 1) * 10)}});
  for (const int n : {1, 2}) {
    set_threads(n);
    const Tensor third(std::int64_t{3}), fourth(4);
    const Tensor* arguments[] = {&third};
    std::vector<Tensor> outputs;
    step.call(arguments, outputs);
    const Tensor before = outputs[0];
    int calls = 0;
    CHECK(settles([&] {
      arguments[0] = ++calls % 2 ? &third : &fourth;
      step.call(arguments, outputs);
    }));
    CHECK(outputs[0].item() != before.item());
    CHECK(step.plans_made() == 1);
  }
  set_threads(0);
}

TEST_CASE("decompositions of many matrices allocate nothing once their workspace is there") {
  std::mt19937 random(6);
  const Expr A = variable("A", DType::float64, {-1, 6, 6});
  const Expr S = batched_dot(A, transpose(A, {0, 2, 1})) + eye(6);
  const Expr cost = nuclear_norm(A) + logdet(S) + sum(solve(S, A), {1, 2}) + det(A) +
                    sum(eigh(S).vectors + cholesky(S) + expm(A) + pinv(A) + qr(A).Q, {1, 2});
  const Function f = function({A}, {cost, grad(sum(cost), A)});
  const Tensor a = random_tensor(DType::float64, {40, 6, 6}, random);
  const Tensor* arguments[] = {&a};
  for (const int n : {1, 2}) {
    set_threads(n);
    std::vector<Tensor> outputs;
    CHECK(settles([&] { f.call(arguments, outputs); }));
  }
  set_threads(0);
}

TEST_CASE("converted scalars and reused outputs allocate nothing") {
  const Expr rate = scalar("rate"), x = vector("x");
  const Function f = function({x, rate}, {x * rate, sum(x)});
  const Tensor v = Tensor::full(DType::float32, {100}, 2), double_rate(0.5);
  const Tensor* arguments[] = {&v, &double_rate};
  std::vector<Tensor> outputs;
  f.call(arguments, outputs);
  const void* memory = outputs[0].raw();
  const long count = allocations;
  for (int k = 0; k < 10; ++k) f.call(arguments, outputs);
  CHECK(allocations == count);
  CHECK(outputs[0].raw() == memory);
  CHECK(outputs[0].at(7) == 1);
  // Other sizes are another plan, and another array.
  const Tensor w = Tensor::full(DType::float32, {3}, 2);
  arguments[0] = &w;
  f.call(arguments, outputs);
  CHECK(outputs[0].shape() == Shape{3});
  CHECK(outputs[1].item() == 6);
}
