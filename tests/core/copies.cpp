// What calls keep and copy: plans of many sizes, values that are bound, parts of inputs.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <random>

#include "cinch/cinch.hpp"
#include "support/random_program.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Mebibytes by which the work raises a child's memory.
std::int64_t growth(const std::function<void()>& work) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto most = [] {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      return usage.ru_maxrss;
    };
    const auto before = most();
    work();
    const std::int64_t grown = (most() - before) / 1024;
    static_cast<void>(write(ends[1], &grown, sizeof grown) > 0);
    _exit(0);
  }
  std::int64_t grown = -1;
  REQUIRE(read(ends[0], &grown, sizeof grown) == sizeof grown);
  close(ends[0]);
  close(ends[1]);
  int status = 0;
  waitpid(child, &status, 0);
  return grown;
}

}  // namespace

TEST_CASE("what is bound in braces is not copied, and rows of it once") {
  const Tensor images = Tensor::full(DType::float32, {20000, 1000}, 1);  // 76 MiB.
  const Expr x = matrix("x", DType::float32);
  CHECK(growth([&] { evaluate(sum(x), {{x, images}}); }) < 15);
  CHECK(growth([&] { evaluate(slice(x, 0, 20000), {{x, images}}); }) < 95);
  CHECK(growth([&] { evaluate(slice(x, 10000, 20000), {{x, images}}); }) < 55);
  CHECK(growth([&] { evaluate(at(x, 7), {{x, images}}); }) < 15);
}

TEST_CASE("an output that lies whole in an input or a variable takes no memory on the way") {
  const Tensor value = Tensor::from<double>({4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Shared W(value, "W");
  const Expr x = dmatrix("x"), k = lscalar("k");
  struct Row {
    std::function<Expr(const Expr&)> part;
    bool whole;
  };
  const Row rows[] = {{[](const Expr& e) { return slice(e, 1, 3); }, true},
                      {[&](const Expr& e) { return slice(e, k, k + 2); }, true},
                      {[&](const Expr& e) { return at(e, k); }, true},
                      {[&](const Expr& e) { return at(at(e, k), 1); }, true},
                      {[](const Expr& e) { return reshape(slice(e, 1, 3), {Expr(6)}); }, true},
                      {[](const Expr& e) { return slice(e, 1, 3, 1); }, false},
                      {[](const Expr& e) { return transpose(e); }, false},
                      {[](const Expr& e) {
                         return subscript(e, {Slice{{}, {}, -1}});
                       },
                       false},
                      {[](const Expr& e) { return slice(e, 0, 4, 0, 2); }, false},
                      {[](const Expr& e) { return slice(e, 2, 2); }, true}};
  for (const Row& row : rows) {
    for (const bool of_variable : {false, true}) {
      const Expr part = row.part(of_variable ? Expr(W) : x);
      // Beside an update of what it shows: outputs are from before.
      const auto compiled = [&](Mode mode, const Updates& updates) {
        return function({.inputs = {x, k},
                         .outputs = {part, sum(part)},
                         .updates = updates,
                         .mode = mode,
                         .allow_unused_inputs = true});
      };
      const Function fast = compiled(Mode::fast, {}),
                     with_update = compiled(Mode::fast, {{W, W + 1}});
      const auto expected = compiled(Mode::checked, {})({value, 1});
      CHECK(fast({value, 1}) == expected);
      CHECK(with_update({value, 1}) == expected);
      Shared(W).set(value);
      CHECK((fast.arena_bytes() <= 192) == true);
      const auto again = fast({value, std::int64_t{1}});
      CHECK(again == expected);
    }
  }
}

TEST_CASE("sequences of many lengths are planned twice at most") {
  const Expr x = dvector("x");
  for (const std::int64_t lengths : {17, 40, 200}) {
    const Function f = function({x}, {sum(exp(x)), x * 2});
    for (int round = 0; round < 5; ++round) {
      for (std::int64_t n = 0; n < lengths; ++n) f({Tensor(DType::float64, {n})});
      if (round == 1) CHECK(f.plans_made() <= static_cast<std::size_t>(2 * lengths));
    }
    CHECK(f.plans_made() <= static_cast<std::size_t>(2 * lengths));
  }
  // Large ones are given up, the one used longest ago first.
  const Function large = function({x}, {sum(sort(exp(x)))});
  const std::int64_t first = 800000;
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t n = 0; n < 40; ++n) large({Tensor(DType::float64, {first + n})});
  }
  const std::size_t made = large.plans_made();
  CHECK(made == 80);
  large({Tensor(DType::float64, {first + 39})});
  large({Tensor(DType::float64, {first + 30})});
  CHECK(large.plans_made() == made);
}

TEST_CASE("a CINCH_THREADS that is no number is refused") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // A program of its own: the number of threads is read once.
    setenv("CINCH_THREADS", "several", 1);
    close(STDOUT_FILENO);  // Failures are what is expected.
    execl("/proc/self/exe", "test_core", "-tc=*every part of shared work runs once*", nullptr);
    _exit(9);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
}

TEST_CASE("random programs give the same bits wherever their arguments lie in memory") {
  std::mt19937 random(static_cast<std::uint32_t>(number_from("CINCH_RANDOM_SEED", 7)));
  const int programs = static_cast<int>(number_from("CINCH_RANDOM_PROGRAMS", 200));
  int moved = 0;
  for (int number = 0; number < programs; ++number) {
    const RandomProgram program =
        random_program(random, {.real = number % 2 ? DType::float32 : DType::float64, .steps = 6});
    std::vector<Expr> inputs;
    std::vector<Tensor> values, elsewhere;
    for (const auto& [x, value] : program.bindings) {
      inputs.push_back(x);
      values.push_back(value);
      dispatch(value.dtype(), [&]<class T> {
        // As far from what a tensor of its own memory has as its elements allow.
        const auto memory = std::make_shared<Tensor>(
            DType::bool_, Shape{static_cast<std::int64_t>(value.bytes() + 64)});
        const auto first = static_cast<T*>(memory->raw()) + 1 + random() % (64 / sizeof(T) - 1);
        std::ranges::copy(value.data<T>(), first);
        elsewhere.push_back(Tensor::adopt<T>(value.shape(), std::shared_ptr<T>(memory, first)));
      });
      ++moved;
    }
    const Function f =
        function({.inputs = inputs, .outputs = program.roots, .allow_unused_inputs = true});
    CAPTURE(as_cpp(program));
    CHECK(std::ranges::equal(f(elsewhere), f(values), same_bits));
  }
  CHECK(moved > programs);
}
