// Recurrent networks trained in parts: what a loop sums over rows is added up as other sums are.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "cinch/train/parallel/stages.hpp"
#include "io/temporary_folder.hpp"
#include "ranks.hpp"
#include "small_training.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t steps = 5, width = 3, units = 4;

/// A network that reads sequences, rows of (steps width) numbers, and a cost of what it read.
struct Reader {
  Shared W, U, b, V{numbers({units, width}, 3), "V"};
  Expr x = matrix("x"), rows, none;

  explicit Reader(std::int64_t gates = 1)
      : W(numbers({width, gates * units}, 0), "W"),
        U(numbers({units, gates * units}, 1), "U"),
        b(numbers({gates * units}, 2), "b"),
        rows(swapaxes(reshape(x, {size(x, 0), steps, width}), 0, 1)),
        none(zeros({size(x, 0), units}, DType::float32)) {}

  std::vector<Shared> params() const { return {W, U, b, V}; }
  Expr gate(const Expr& all, std::int64_t k) const { return narrow(all, 1, k * units, units, 1); }
  Expr elman(const Expr& in, const Expr& h) const { return tanh(dot(in, W) + dot(h, U) + b); }
};

struct Trainable {
  Expr x, cost;
  std::vector<Shared> params;
};
Trainable of_last(const Reader& r, const Expr& h) {
  return {r.x, mean(square(dot(h, r.V) - r.rows[steps - 1])), r.params()};
}

using Network = std::function<Trainable()>;
struct Named {
  const char* name;
  Network make;
};

const std::vector<Named>& networks() {
  static const std::vector<Named> result{
      {"Elman",
       [] {
         const Reader r;
         const Scan h = scan([&](Expr x, Expr s) { return r.elman(x, s); },
                             {.sequences = {r.rows}, .initial = {r.none}});
         return of_last(r, h.last());
       }},
      {"GRU",
       [] {
         const Reader r(3);
         const auto step = [&](const Expr& x, const Expr& h) {
           const Expr in = dot(x, r.W) + r.b, back = dot(h, r.U);
           const Expr reset = sigmoid(r.gate(in, 0) + r.gate(back, 0)),
                      keep = sigmoid(r.gate(in, 1) + r.gate(back, 1));
           return keep * h + (1 - keep) * tanh(r.gate(in, 2) + reset * r.gate(back, 2));
         };
         return of_last(r, scan(step, {.sequences = {r.rows}, .initial = {r.none}}).last());
       }},
      {"LSTM",
       [] {
         const Reader r(4);
         const auto step = [&](const Expr& x, const Expr& h, const Expr& cell) {
           const Expr all = dot(x, r.W) + dot(h, r.U) + r.b;
           const Expr next =
               sigmoid(r.gate(all, 0) + 1) * cell + sigmoid(r.gate(all, 1)) * tanh(r.gate(all, 2));
           return std::vector<Expr>{sigmoid(r.gate(all, 3)) * tanh(next), next};
         };
         return of_last(r,
                        scan(step, {.sequences = {r.rows}, .initial = {r.none, r.none}}).last(0));
       }},
      {"two layers, backwards, kept at some steps only",
       [] {
         const Reader r, other;
         const auto layer = [&](const Reader& of, const Expr& in, bool backwards) {
           return scan([&](Expr x, Expr s) { return of.elman(x, s); }, {.sequences = {in},
                                                                        .initial = {r.none},
                                                                        .go_backwards = backwards,
                                                                        .checkpoint = true});
         };
         const Expr first = layer(r, r.rows, false)[0],
                    second = layer(other, dot(first, other.V), true).last();
         std::vector<Shared> params = r.params();
         for (const Shared& p : other.params()) params.push_back(p);
         return Trainable{r.x, mean(square(dot(second, r.V) - r.rows[0])), params};
       }},
      {"a cost, a mean over the rows, at each step, and a state that begins as weights",
       [] {
         const Reader r;
         const Shared begin(numbers({units}, 7), "begin");
         const Expr initial = broadcast_to(Expr(begin), {size(r.x, 0), units});
         const Scan all = scan(
             [&](const Expr& x, const Expr& s) {
               const Expr h = r.elman(x, s);
               return std::vector<Expr>{h, mean(square(dot(h, r.V) - x))};
             },
             {.sequences = {r.rows}, .initial = {initial, ScanInitial()}});
         std::vector<Shared> params = r.params();
         params.push_back(begin);
         return Trainable{r.x, sum(all[1]) + mean(square(all[0])), params};
       }},
      {"draws at each step, sequences of different lengths, an end that is the same for all",
       [] {
         const Reader r;
         RandomStreams streams(5);
         const Expr length = floor(2 + 2 * sigmoid(sum(r.x, 1)));
         const Scan h = scan(
             [&](const Expr& x, const Expr& s, const Expr& t) {
               const Expr mask = streams.binomial({size(r.x, 0), units}, 1, 0.8);
               const Expr next = where(expand_dims(t < length, 1), mask * r.elman(x, s), s);
               return ScanStep({next, t + 1}, {}, t > 2);
             },
             {.sequences = {r.rows}, .initial = {r.none, 0.0f}});
         return of_last(r, h.last());
       }},
      {"each example's Jacobian through the loop",
       [] {
         const Reader r;
         const Expr h = scan([&](Expr x, Expr s) { return r.elman(x, s); },
                             {.sequences = {r.rows}, .initial = {r.none}})
                            .last();
         Trainable t = of_last(r, h);
         t.cost = t.cost + 0.1 * mean(jacobian_norm2(h, r.x));
         return t;
       }},
      {"a sum that a state adds up",
       [] {
         const Reader r;
         const Scan all = scan(
             [&](const Expr& x, const Expr& s, const Expr& total) {
               const Expr h = r.elman(x, s);
               return std::vector<Expr>{h, total + dot(transpose(h), h)};
             },
             {.sequences = {r.rows}, .initial = {r.none, zeros({units, units}, DType::float32)}});
         const Expr covariance = all.last(1) / cast(size(r.x, 0), DType::float32);
         return Trainable{r.x, mean(square(covariance - 0.3)) + mean(all.last(0)), {r.W, r.U, r.b}};
       }},
  };
  return result;
}

std::vector<Tensor> trained(const Network& network, std::shared_ptr<Distribution> distribution) {
  const Trainable t = network();
  const Tensor data = numbers({150, steps * width}, 4);
  const Function step =
      function({.inputs = {t.x}, .outputs = {t.cost}, .updates = adam(t.cost, t.params, 0.02)});
  train(quiet_options(step, data, 70, 2, std::move(distribution)));
  std::vector<Tensor> result;
  for (const Shared& p : t.params) result.push_back(p.get());
  return result;
}

std::string refusal_of(const Expr& x, const Expr& cost, const std::vector<Shared>& params) {
  const Tensor data = numbers({70, steps * width}, 0);
  const Function step =
      function({.inputs = {x}, .outputs = {cost}, .updates = sgd(cost, params, 0.1)});
  return error_of<TypeError>([&] { parallel::staged("train", step, {&data}); });
}

}  // namespace

TEST_CASE("recurrent networks learn the same in parts as whole, and the same bits on any ranks") {
  for (const Named& network : networks()) {
    CAPTURE(network.name);
    const std::vector<Tensor> one = trained(network.make, one_process()),
                              whole = trained(network.make, nullptr);
    REQUIRE(one.size() == whole.size());
    for (std::size_t k = 0; k < one.size(); ++k) {
      CAPTURE(k);
      CHECK(distance(one[k], whole[k]) < 1e-4);
    }
    for (const int ranks : {2, 3, 4, 8}) {
      CAPTURE(ranks);
      ThreadRanks all(ranks);
      std::mutex mutex;
      for (const std::string& error : all.run([&](std::shared_ptr<Distribution> rank) {
             const std::vector<Tensor> ended = trained(network.make, rank);
             const std::scoped_lock lock(mutex);
             CHECK((ended == one));
           }))
        CHECK(error == "");
    }
  }
}

TEST_CASE("steps of loops that need all rows at once are refused with their line") {
  const Reader r;
  const auto refused = [&](const std::function<Expr(const Expr&)>& of, const std::string& says) {
    const int line = __LINE__ + 1;
    const Expr h = scan([&](Expr x, Expr s) { return of(r.elman(x, s)); },
                        {.sequences = {r.rows}, .initial = {r.none}})
                       .last();
    const std::string said = refusal_of(r.x, of_last(r, h).cost, r.params());
    CAPTURE(said);
    CHECK(contains(said, says));
    CHECK(contains(said, text("parallel_loops.cpp:", line)));
  };
  const std::string whole = "each step of a loop needs this of";
  refused([](const Expr& h) { return h - mean(h, 0); }, whole);
  refused([](const Expr& h) { return h / max(abs(h)); }, whole);
  refused([](const Expr& h) { return sort(h, 0); }, "argsort needs them all");
  refused([](const Expr& h) { return softmax(h, 0); }, "softmax needs them all");
  refused([](const Expr& h) { return h + reverse(h, 0); }, "narrow needs them all");
  refused([](const Expr& h) { return h + cumsum(h, 0); }, "cumsum needs them all");

  // Ends for all when the sum over the rows is large enough.
  const Scan ends = scan(
      [&](const Expr& x, const Expr& s) {
        const Expr h = r.elman(x, s);
        return ScanStep({h}, {}, sum(h) > 3);
      },
      {.sequences = {r.rows}, .initial = {r.none}});
  const std::string said = refusal_of(r.x, of_last(r, ends.last()).cost, r.params());
  CAPTURE(said);
  CHECK(contains(said, "train: .distribute cuts a minibatch into parts of its rows"));
}
