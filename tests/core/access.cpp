// Variables that several threads read and write at once.
#include "cinch/core/graph/access.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "cinch/cinch.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

/// Runs `work` again and again, until told not to.
class Again {
 public:
  template <class F>
  explicit Again(F work)
      : thread_([this, work]() mutable {
          while (!enough_) {
            work();
            ++rounds_;
          }
        }) {}
  ~Again() { stop(); }
  std::int64_t stop() {
    enough_ = true;
    if (thread_.joinable()) thread_.join();
    return rounds_;
  }

 private:
  std::atomic<bool> enough_ = false;
  std::atomic<std::int64_t> rounds_ = 0;
  std::thread thread_;
};

void wait_a_while() {
  std::this_thread::sleep_for(std::chrono::milliseconds(300 * number_from("CINCH_ROUNDS", 1)));
}

}  // namespace

TEST_CASE("many read or one writes, and a writer is not kept waiting by readers that follow") {
  graphs::Access access;
  std::int64_t a = 0, b = 0;
  std::atomic<std::int64_t> torn = 0, written = 0;
  const auto read = [&] {
    const std::shared_lock lock(access);
    if (a != b) ++torn;
  };
  const auto write = [&] {
    const std::unique_lock lock(access);
    ++a;
    std::this_thread::yield();
    ++b;
    ++written;
  };
  {
    Again r1(read), r2(read), r3(read), w1(write), w2(write);
    wait_a_while();
  }
  CHECK(torn == 0);
  CHECK(written > 100);
  CHECK(a == written);
}

TEST_CASE("set() while functions read, in both modes: each call sees one value, whole") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    for (const std::int64_t n : {7, 3000}) {
      CAPTURE(n);
      const Shared W(Tensor::full(DType::float64, {n}, 1), "W"), V(Tensor(1.0), "V");
      const Expr x = dscalar("x");
      const Function most =
          function({.inputs = {x}, .outputs = {max(W), min(W * x), V}, .mode = mode});
      const Function other =
          function({.inputs = {x}, .outputs = {max(W + x), min(W + x)}, .mode = mode});
      std::atomic<std::int64_t> torn = 0;
      {
        Again reader([&] {
          const auto y = most({1.0});
          if (y[0] != y[1]) ++torn;
        });
        Again second([&] {
          const auto y = other({0.0});
          if (y[0] != y[1]) ++torn;
        });
        Again getter([&] {
          const Tensor all = W.get();
          if (all.at(0) != all.at(n - 1)) ++torn;
        });
        double next = 1;
        Again setter(
            [&, next]() mutable { Shared(W).set(Tensor::full(DType::float64, {n}, ++next)); });
        Again scalar([&] { Shared(V).set(2.0); });
        wait_a_while();
        CHECK(setter.stop() > 10);
        CHECK(reader.stop() > 10);
      }
      CHECK(torn == 0);
    }
  }
}

TEST_CASE("functions that change what others read take turns: no update is lost") {
  const Shared a(Tensor(DType::float64, {50}), "a"), b(Tensor(DType::float64, {50}), "b");
  const Function up = function({.outputs = {sum(a - b)}, .updates = {{a, a + 1}, {b, b + 1}}});
  const Function up_too = function({.outputs = {sum(b - a)}, .updates = {{b, b + 1}, {a, a + 1}}});
  const Function swap = function({.outputs = {sum(b - a)}, .updates = {{b, a}, {a, b}}});
  const Function look = function({.outputs = {sum(abs(a - b))}});
  std::atomic<std::int64_t> wrong = 0;
  const auto call = [&](const Function& f) {
    return [&wrong, f] {
      if (f()[0].item() != 0) ++wrong;
    };
  };
  std::int64_t made = 0;
  {
    Again one(call(up)), two(call(up_too)), three(call(swap)), four(call(look));
    wait_a_while();
    made = one.stop() + two.stop();
  }
  CHECK(wrong == 0);
  CHECK(made > 10);
  CHECK(a.get() == Tensor::full(DType::float64, {50}, static_cast<double>(made)));
}
