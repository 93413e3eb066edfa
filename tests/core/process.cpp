// What a process does besides calling functions: it forks, ends while others compute, has no thread
// to spare.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// A product, a loop and a sort, each divided among threads.
std::vector<Tensor> compute(std::int64_t n) {
  const Expr x = dmatrix("x");
  const Function f =
      function({x}, {sum(softplus(dot(x, x))), sum(sort(reshape(sin(x * 1e4), {n * n}))), det(x)});
  Tensor value(DType::float64, {n, n});
  double k = 0;
  for (double& v : value.data<double>()) v = 1 / (++k + 10);
  return f({value});
}

/// How a child that does this ends: "0", "exit 3", "signal 11".
std::string end_of(const std::function<void()>& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);  // For a child that waits for ever.
    try {
      work();
    } catch (...) {
      _exit(3);
    }
    std::exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return text("signal ", WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "0" : text("exit ", WEXITSTATUS(status));
}

/// Computes when the program's static objects go.
struct ComputesAtTheEnd {
  Function f;
  Tensor x;
  ~ComputesAtTheEnd() {
    f({x});
    compute(70);  // New formulas, new sizes.
  }
};

void leave_one_that_computes_at_the_end() {
  static ComputesAtTheEnd last;
  const Expr x = dmatrix("x");
  last.f = function({x}, {sum(log(1 + exp(dot(x, x))))});
  last.x = Tensor::full(DType::float64, {200, 200}, 0.01);
}

/// More of each by hand.
std::int64_t rounds(std::int64_t usual) { return usual * number_from("CINCH_ROUNDS", 1); }

}  // namespace

TEST_CASE("a forked child computes and exits, whatever other threads of its parent were doing") {
  const int before = threads();
  set_threads(4);
  const std::vector<Tensor> expected = compute(150);
  std::atomic<bool> enough = false;
  std::thread other([&] {
    while (!enough) compute(120);
  });
  for (std::int64_t k = 0; k < rounds(20); ++k) {
    CHECK(end_of([&] {
            if (compute(150) != expected) _exit(4);
          }) == "0");
    CHECK(end_of([] {}) == "0");
    // And its own children.
    CHECK(end_of([&] {
            compute(100);
            if (end_of([] { compute(110); }) != "0") _exit(5);
          }) == "0");
  }
  enough = true;
  other.join();
  CHECK(compute(150) == expected);
  set_threads(before);
}

TEST_CASE("static objects may compute while the program ends") {
  const int before = threads();
  set_threads(4);
  for (std::int64_t k = 0; k < rounds(10); ++k) {
    CHECK(end_of([] {
            leave_one_that_computes_at_the_end();  // Before the rules and the team of the child.
            compute(130);
          }) == "0");
    CHECK(end_of([] {
            compute(130);
            leave_one_that_computes_at_the_end();
          }) == "0");
  }
  set_threads(before);
}

TEST_CASE("detached threads may compute while the program ends") {
  const int before = threads();
  set_threads(3);
  for (std::int64_t k = 0; k < rounds(20); ++k) {
    CHECK(end_of([&] {
            for (int t = 0; t < 2; ++t) {
              std::thread([] {
                while (true) compute(90);
              }).detach();
            }
            usleep(static_cast<useconds_t>(3000 + 700 * k));
            leave_one_that_computes_at_the_end();
          }) == "0");
  }
  set_threads(before);
}

TEST_CASE("where the system gives no thread, work is done alone, with the same bits") {
  const int before = threads();
  set_threads(4);
  const std::vector<Tensor> expected = compute(150);
  const auto without_threads = [&](rlim_t processes) {
    return end_of([&] {
      if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return;  // Root has no limit.
      const rlimit limit{processes, processes};
      if (setrlimit(RLIMIT_NPROC, &limit) != 0) _exit(6);
      if (compute(150) != expected) _exit(4);
      bool given = true;
      try {
        std::thread([] {}).join();
      } catch (const std::system_error&) {
        given = false;
      }
      if (!given && threads() >= 4) _exit(7);  // It says what there is.
      set_threads(8);
      if (compute(150) != expected) _exit(8);
    });
  };
  CHECK(without_threads(0) == "0");
  CHECK(without_threads(1) == "0");
  CHECK(without_threads(3) == "0");  // Some, perhaps.
  set_threads(before);
}
