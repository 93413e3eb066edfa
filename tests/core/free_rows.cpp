// Shared variables whose number of rows may change.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "cinch/cinch.hpp"
#include "support/random_program.hpp"
#include "support/samples.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

Tensor doubles(std::vector<double> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return Tensor::from<double>({n}, std::span<const double>(values));
}

/// Some first rows of a value, or the value and its first row again.
Tensor with_rows(const Tensor& value, std::int64_t rows) {
  const Expr v = variable("v", value.dtype(), Shape(value.shape().size(), -1));
  const std::int64_t known = std::min(rows, value.shape()[0]);
  Expr result = slice(v, 0, known);
  if (rows > known) result = concatenate({result, slice(v, 0, rows - known)}, 0);
  return evaluate(result, {{v, value}});
}

}  // namespace

TEST_CASE("a variable of free rows takes any number of them, and nothing else") {
  Shared data = Shared::with_free_rows(doubles({1, 2, 3, 4}).reshaped({2, 2}), "data");
  CHECK(text(data.type()) == "float64 (?, 2)");
  const Expr x = dvector("x");
  const Function total = function({x}, {sum(dot(data, x)), size(data, 0), mean(data, 0)});
  CHECK(total({doubles({1, 1})})[0].item() == 10);
  data.set(doubles({1, 2, 3, 4, 5, 6}).reshaped({3, 2}));
  CHECK(total({doubles({1, 1})})[0].item() == 21);
  CHECK(total({doubles({1, 1})})[1].item() == 3);
  CHECK(total({doubles({1, 1})})[2] == doubles({3, 4}));
  CHECK(total.plans_made() == 2);
  data.set(doubles({1, 2}).reshaped({1, 2}));
  CHECK(total({doubles({1, 1})})[0].item() == 3);
  data.set(Tensor(DType::float64, {0, 2}));
  CHECK(total({doubles({1, 1})})[0].item() == 0);
  CHECK(data.takes(Tensor(DType::float64, {7, 2})));
  for (const Tensor& other : {Tensor(DType::float64, {2, 3}), Tensor(DType::float64, {2}),
                              Tensor(DType::float32, {2, 2}), Tensor(1.0)}) {
    CHECK_FALSE(data.takes(other));
    CHECK_THROWS_WITH_AS(data.set(other),
                         doctest::Contains("shared variable data is float64 (?, 2)"), TypeError);
  }
  CHECK(data.value().shape() == Shape{0, 2});
  CHECK_THROWS_WITH_AS(Shared::with_free_rows(Tensor(1.0), "s"), doctest::Contains("no rows"),
                       TypeError);
}

TEST_CASE("an update may grow and shrink a variable of free rows") {
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    Shared seen = Shared::with_free_rows(Tensor(DType::float64, {0, 2}), "seen");
    Shared count(Tensor(0.0), "count");
    const Expr x = dmatrix("x"), keep = lscalar("keep");
    const Function push =
        function({.inputs = {x},
                  .outputs = {sum(seen)},
                  .updates = {{seen, concatenate({seen, x}, 0)},
                              {count, count + cast(size(seen, 0), DType::float64)}},
                  .mode = mode});
    CHECK(push({doubles({1, 2}).reshaped({1, 2})})[0].item() == 0);
    CHECK(push({doubles({3, 4, 5, 6}).reshaped({2, 2})})[0].item() == 3);
    CHECK(seen.get() == doubles({1, 2, 3, 4, 5, 6}).reshaped({3, 2}));
    CHECK(count.get().item() == 1);
    // The last ones, doubled; the new value is a part of the old one.
    const Function last =
        function({.inputs = {keep},
                  .outputs = {},
                  .updates = {{seen, slice(seen, size(seen, 0) - keep, size(seen, 0))}},
                  .mode = mode});
    last({2});
    CHECK(seen.get() == doubles({3, 4, 5, 6}).reshaped({2, 2}));
    last({2});
    CHECK(seen.get() == doubles({3, 4, 5, 6}).reshaped({2, 2}));
    last({0});
    CHECK(seen.get().shape() == Shape{0, 2});
    // Two that exchange their values, of different sizes.
    Shared a = Shared::with_free_rows(doubles({1, 2, 3}), "a"),
           b = Shared::with_free_rows(doubles({4}), "b");
    const Function swap =
        function({.outputs = {sum(a)}, .updates = {{a, b}, {b, a * 10}}, .mode = mode});
    CHECK(swap()[0].item() == 6);
    CHECK(a.get() == doubles({4}));
    CHECK(b.get() == doubles({10, 20, 30}));
    CHECK(swap()[0].item() == 4);
    CHECK(a.get() == doubles({10, 20, 30}));
    CHECK(b.get() == doubles({40}));
    // A wrong width leaves all as it was.
    const Function wrong =
        function({.inputs = {x}, .outputs = {}, .updates = {{seen, x}}, .mode = mode});
    CHECK_THROWS_WITH_AS(wrong({Tensor(DType::float64, {2, 3})}), doctest::Contains("seen"),
                         TypeError);
    CHECK(seen.get().shape() == Shape{0, 2});
  }
}

TEST_CASE("what watches a variable of free rows puts it back") {
  Shared v = Shared::with_free_rows(doubles({1, 2}), "v");
  const Expr x = dvector("x");
  const Function f = function({.inputs = {x},
                               .outputs = {},
                               .updates = {{v, concatenate({v, log(x)}, 0)}},
                               .watch = Watch::not_finite});
  CHECK_THROWS_AS(f({doubles({0})}), ValueError);
  CHECK(v.get() == doubles({1, 2}));
  f({doubles({1})});
  CHECK(v.get() == doubles({1, 2, 0}));
}

TEST_CASE("minibatches, gradients, loops and checkpoints go over free rows") {
  Shared data = Shared::with_free_rows(doubles({1, 2, 3, 4, 5, 6}).reshaped({3, 2}), "data");
  Shared w(doubles({1, -1}), "w");
  const Expr i = lscalar("i"), batch = slice(data, i * 2, (i + 1) * 2);
  const Expr cost = sum(square(dot(batch, w)));
  const Function step = function({i}, {cost}, {{w, w - 0.1 * grad(cost, w)}});
  CHECK(step({0})[0].item() == 2);
  const double expected = evaluate(square(5 * w[0] + 6 * w[1])).item();
  CHECK(step({1})[0].item() == doctest::Approx(expected));
  data.set(Tensor::full(DType::float64, {5, 2}, 1.0));
  CHECK_NOTHROW(step({2}));
  // By the data itself, and along a loop over its rows.
  const Scan sums = scan([](const Expr& row, const Expr& last) { return last + sum(square(row)); },
                         {.sequences = {data}, .initial = {0.0}});
  const Expr total = sums.outputs[0][-1];
  const Function slopes = function({}, {grad(total, data), jacobian(sum(square(data), 1), data)});
  for (const std::int64_t rows : {5, 1, 3}) {
    data.set(Tensor::full(DType::float64, {rows, 2}, 3.0));
    CHECK(slopes()[0] == Tensor::full(DType::float64, {rows, 2}, 6.0));
  }
}

TEST_CASE("random programs on variables of free rows are those on arguments") {
  std::mt19937 random(static_cast<std::uint32_t>(number_from("CINCH_RANDOM_SEED", 5)));
  const int programs = static_cast<int>(number_from("CINCH_RANDOM_PROGRAMS", 300));
  int compared = 0, refused = 0, resized = 0;
  for (int number = 0; number < programs; ++number) {
    const RandomProgram program = random_program(random, {.steps = 6, .symbolic = true});
    Substitutions stored;
    std::vector<Shared> variables;
    std::vector<Expr> inputs;
    std::vector<Tensor> values;
    for (const auto& [x, value] : program.bindings) {
      inputs.push_back(x);
      values.push_back(value);
      // What an argument may be of, whatever the symbolic sizes are, the variable is of too.
      if (value.rank() == 0 || x.dims()[0].known()) continue;
      variables.push_back(
          Shared::with_free_rows(with_rows(value, value.shape()[0] + 1), describe(x)));
      stored.emplace_back(x, variables.back());
    }
    if (stored.empty()) continue;
    try {
      std::vector<Expr> left;
      std::vector<Tensor> left_values;
      for (std::size_t k = 0, s = 0; k < inputs.size(); ++k) {
        if (s < stored.size() && stored[s].first == inputs[k]) {
          variables[s++].set(values[k]);
        } else {
          left.push_back(inputs[k]);
          left_values.push_back(values[k]);
        }
      }
      const Function f =
          function({.inputs = inputs, .outputs = program.roots, .allow_unused_inputs = true});
      const std::vector<Tensor> expected = f(values);
      const std::vector<Expr> roots = substitute(program.roots, stored);
      // New values of variables that have another number of rows so far, and of those that are
      // read.
      Updates updates;
      std::vector<std::size_t> whose;
      for (std::size_t k = 0; k < roots.size(); ++k) {
        if (expected[k].rank() == 0) continue;
        const auto taken = [&](const Shared& v) {
          return std::ranges::any_of(updates, [&](const Update& u) { return u.target == v; });
        };
        const auto read = std::ranges::find_if(
            variables, [&](const Shared& v) { return v.takes(expected[k]) && !taken(v); });
        updates.push_back(
            {read != variables.end()
                 ? *read
                 : Shared::with_free_rows(with_rows(expected[k], expected[k].shape()[0] > 0), "t"),
             roots[k]});
        resized += updates.back().target.value().shape() != expected[k].shape();
        whose.push_back(k);
      }
      const Function g = function(
          {.inputs = left, .outputs = roots, .updates = updates, .allow_unused_inputs = true});
      CAPTURE(as_cpp(program));
      CHECK(std::ranges::equal(g(left_values), expected, same_bits));
      for (std::size_t k = 0; k < whose.size(); ++k)
        CHECK(same_bits(updates[k].target.get(), expected[whose[k]]));
      ++compared;
    } catch (const TypeError&) {
      // A known size of a result that the rows decide.
      ++refused;
    } catch (const ValueError&) {
      ++refused;
    }
  }
  MESSAGE(compared << " compared, " << refused << " refused, " << resized << " updates resized");
  CHECK(compared > programs / 4);
  CHECK(refused < programs / 10);
  CHECK(resized > programs / 10);
}
