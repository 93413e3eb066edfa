// Random formulas of a minibatch's rows: in parts they have the value, and train to the parameters,
// that they have as one function, or they are refused.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "cinch/train/parallel/stages.hpp"
#include "io/temporary_folder.hpp"
#include "small_training.hpp"
#include "support/samples.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t rows_count = 67, width = 3;

/// Values of four kinds that a formula is grown of: (n, 3), (n), (3) and scalars.
struct Growing {
  std::mt19937 random;
  Expr x = dmatrix("x");
  Shared W{RandomState(3).normal(0, 0.5, {width, width}), "W"};
  RandomStreams streams{11};
  std::vector<Expr> tables, rows, columns, numbers;

  explicit Growing(unsigned seed) : random(seed) {
    tables = {x, dot(x, W)};
    rows = {sum(x, 1)};
    columns = {sum(W, 0)};
    numbers = {mean(square(W))};
  }

  Expr one_of(const std::vector<Expr>& all) { return all[random() % all.size()]; }
  Expr table() { return one_of(tables); }
  Expr row() { return one_of(rows); }
  Expr column() { return one_of(columns); }
  Expr number() { return one_of(numbers); }
  Expr count() { return cast(size(table(), 0), DType::float64); }
  Expr labels() { return cast(row() > 0, DType::int64) + 1; }

  void grow() {
    using Make = std::function<void()>;
    const auto into = [](std::vector<Expr>& all, const Expr& e) {
      all.push_back(tanh(e));  // Stays within bounds.
    };
    const std::vector<Make> makes = {
        [&] { into(tables, table() * column() + number()); },
        [&] { into(tables, dot(table(), W)); },
        [&] { into(tables, table() - mean(table(), 0)); },
        [&] { into(tables, softmax(table(), 0)); },
        [&] { into(tables, softmax(table(), 1)); },
        [&] { into(tables, where(table() < max(table(), 0) - 0.5, table(), column())); },
        [&] { into(tables, expand_dims(row(), 1) * table()); },
        [&] { into(tables, sort(table(), 1)); },
        [&] {
          into(tables,
               reshape(transpose(reshape(table(), {size(x, 0) * width})), {size(x, 0), width}));
        },
        [&] {
          into(tables, table() + 0.1 * streams.normal(sizes(table()), 0.0, 1.0, DType::float64));
        },
        [&] { into(tables, broadcast_to(column(), sizes(table()))); },
        [&] {
          into(tables, concatenate({slice(table(), 1, 3, 1), expand_dims(row(), 1)}, 1));
        },
        [&] { into(tables, outer(row(), column())); },
        [&] { into(tables, take(W, labels())); },
        [&] {
          into(rows, gather(table(), {arange(size(table(), 0)), labels()}));
        },
        [&] {  // A loop over the columns, whose state has a row for each.
          const Expr all = table(), weights = W + number();
          const bool checkpoint = random() % 2 == 0;
          const auto step = [&](const Expr& one, const Expr& state) {
            return tanh(dot(state, weights) + expand_dims(one, 1));
          };
          const Scan loop =
              scan(step,
                   {.sequences = {transpose(all)}, .initial = {table()}, .checkpoint = checkpoint});
          into(tables, random() % 2 == 0 ? loop.last() : loop[0][1]);
        },
        [&] {  // What its steps sum over the rows.
          const auto step = [](const Expr& one, const Expr& total) {
            return total + dot(one, one) * cos(total);
          };
          const Scan loop = scan(
              [](const Expr& one, const Expr& total) { return total + mean(square(one)); },
              {.sequences = {transpose(table())}, .initial = {Expr(zeros({}, DType::float64))}});
          into(numbers, loop.last());
          const Scan mixing = scan(step, {.sequences = {transpose(table())},
                                          .initial = {Expr(zeros({}, DType::float64))}});
          if (random() % 4 == 0) into(numbers, mixing.last() / square(count()));
        },
        [&] { into(rows, sum(square(table()), 1)); },
        [&] { into(rows, logsumexp(table(), 1)); },
        [&] { into(rows, dot(table(), column())); },
        [&] { into(rows, row() / sqrt(mean(square(row())) + 0.1)); },
        [&] { into(rows, row() * streams.uniform({size(x, 0)}, 0.5, 1.0, DType::float64)); },
        [&] { into(columns, mean(table(), 0)); },
        [&] { into(columns, max(table(), 0) - min(table(), 0)); },
        [&] { into(columns, logsumexp(table(), 0) - log(count())); },
        [&] { into(columns, dot(row(), table()) / count()); },
        [&] { into(columns, sum(dot(transpose(table()), table()), 1) / square(count())); },
        [&] { into(columns, take(dot(transpose(table()), table()) / count(), 1)); },
        [&] { into(columns, var(table(), Axes{0})); },
        [&] { into(numbers, dot(row(), row()) / count()); },
        [&] { into(numbers, max(row())); },
        [&] { into(numbers, mean(table()) * log(count())); },
        [&] { into(numbers, sum(zeros({size(x, 0)}, DType::float64) + number()) / count()); },
        [&] { into(numbers, sum(square(sum(table(), 0)))); },
        [&] { into(numbers, mean(sort(row(), 0))); },
        [&] { into(numbers, mean(cumsum(row(), 0)) / count()); },
        [&] { into(numbers, mean(cast(arange(size(x, 0)), DType::float64) * row()) / count()); },
        [&] { into(numbers, mean(row() * at(row(), 0))); },
        [&] { into(numbers, mean(abs(expand_dims(row(), 0) - expand_dims(row(), 1)))); },
    };
    makes[random() % makes.size()]();
  }
};

/// Two steps, and what they end with; the draws go on.
std::vector<Tensor> trained(unsigned seed, int steps, bool in_parts) {
  Growing g(seed);
  for (int k = 0; k < steps; ++k) g.grow();
  const Expr cost = mean(square(g.tables.back())) + mean(g.rows.back()) + sum(g.columns.back()) +
                    sum(g.numbers.back()) + mean(dot(g.x, g.W));
  const Tensor data =
      RandomState(static_cast<std::int64_t>(seed)).normal(0, 1, {rows_count, width});
  TrainOptions o;
  o.step = function({.inputs = {g.x}, .outputs = {cost}, .updates = sgd(cost, {g.W}, 0.1)});
  o.data = {&data};
  o.batch = rows_count;
  o.epochs = 2;
  o.out = nullptr;
  if (in_parts) o.distribute = one_process();
  const TrainResult result = train(o);
  return {g.W.get(), Tensor(result.state.history.back().training[0])};
}

}  // namespace

TEST_CASE("random formulas train in parts as in one, or are refused") {
  int refused = 0, same = 0;
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    const int steps = 1 + static_cast<int>(seed % 9);
    const std::vector<Tensor> whole = trained(seed, steps, false);
    std::vector<Tensor> parts;
    try {
      parts = trained(seed, steps, true);
    } catch (const TypeError& error) {
      const std::string said = error.what();
      CAPTURE(said);
      CHECK(contains(said, "train: "));
      CHECK(contains(said, "parallel_random.cpp:"));
      ++refused;
      continue;
    }
    ++same;
    for (std::size_t k = 0; k < whole.size(); ++k) CHECK(distance(whole[k], parts[k]) < 1e-9);
  }
  CAPTURE(refused);
  CHECK(same > 150);
  CHECK(refused > 50);  // Of five rules that mix rows.
}
