// Sizes, positions and steps of any magnitude, negative ones too: a value, or an error of ours.
// scripts/sanitize shows that no sum or product of them overflows on the way.
#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "cinch/cinch.hpp"
#include "support/settings.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                       most = std::numeric_limits<std::int64_t>::max();

/// What is small enough to be made, and what no memory holds; nothing between.
const std::vector<std::int64_t>& numbers() {
  static const std::vector<std::int64_t> all = [] {
    std::vector<std::int64_t> result{least, least + 1, most, most - 1, -3, -2, -1,
                                     0,     1,         2,    3,        5,  8};
    for (const int bits : {51, 53, 59, 60, 61, 62}) {
      for (const std::int64_t near : {-1, 0, 1}) {
        result.push_back((std::int64_t{1} << bits) + near);
        result.push_back(-(std::int64_t{1} << bits) + near);
      }
    }
    return result;
  }();
  return all;
}
/// Whose squares no memory holds.
const std::vector<std::int64_t> roots = {std::int64_t{1} << 31, (std::int64_t{1} << 31) + 1,
                                         std::int64_t{1} << 32, std::int64_t{3037000500}};

struct Maker {
  const char* name;
  std::function<Expr(const Arg& k)> make;
  bool square = false;
};

const Expr& vector_x() {
  static const Expr x = variable("x", Type{DType::float64, {Dim::unknown()}});
  return x;
}
const Expr& matrix_x() {
  static const Expr x = variable("X", Type{DType::float64, {Dim::unknown(), Dim::unknown()}});
  return x;
}

Expr first_of(const std::vector<Expr>& parts) { return parts.empty() ? Expr(0.0) : parts[0]; }

std::vector<Maker> makers() {
  static RandomStreams random(1);
  const Expr x = vector_x(), X = matrix_x();
  return {
      {"arange", [](const Arg& k) { return arange(k); }},
      {"arange from", [](const Arg& k) { return arange(k, 3); }},
      {"arange to", [](const Arg& k) { return arange(-3, k); }},
      {"arange by", [](const Arg& k) { return arange(0, 9, k); }},
      {"arange by 2", [](const Arg& k) { return arange(k, -1 * k, 2); }},
      {"zeros", [](const Arg& k) { return zeros({k}); }},
      {"ones",
       [](const Arg& k) {
         return ones({k, 2});
       }},
      {"full",
       [](const Arg& k) {
         return full({2, k}, 3.5);
       }},
      {"zeros, nothing",
       [](const Arg& k) {
         return zeros({k, 0});
       }},
      {"zeros, nothing of much",
       [](const Arg& k) {
         return zeros({0, k, k});
       }},
      {"zeros, square",
       [](const Arg& k) {
         return zeros({k, k});
       },
       true},
      {"eye", [](const Arg& k) { return eye(k); }, true},
      {"broadcast_to",
       [=](const Arg& k) {
         return broadcast_to(dimshuffle(x, {0, -1}), {size(x, 0), k});
       }},
      {"broadcast_to, square",
       [](const Arg& k) {
         return broadcast_to(1.5, {k, k});
       },
       true},
      {"reshape",
       [=](const Arg& k) {
         return reshape(x, {k.expr(), Expr(std::int64_t{2})});
       }},
      {"reshape, rest",
       [=](const Arg& k) {
         return reshape(x, {k.expr(), Expr(std::int64_t{-1})});
       }},
      {"linspace", [](const Arg& k) { return linspace(0.0, 1.0, k); }},
      {"one_hot", [](const Arg& k) { return one_hot(arange(3), k); }},
      {"bincount", [](const Arg& k) { return bincount(arange(3), k); }},
      {"tile", [=](const Arg& k) { return tile(x, {k}); }},
      {"repeat", [=](const Arg& k) { return repeat(x, k, 0); }},
      {"roll", [=](const Arg& k) { return roll(x, k, 0); }},
      {"resize_bilinear", [=](const Arg& k) { return resize_bilinear(X, k, 2); }},
      {"uniform", [](const Arg& k) { return random.uniform({k}); }},
      {"normal",
       [](const Arg& k) {
         return random.normal({k, 3});
       }},
      {"binomial", [](const Arg& k) { return random.binomial({k}, 1, 0.5); }},
      {"normal, square",
       [](const Arg& k) {
         return random.normal({k, k});
       },
       true},
      {"slice to", [=](const Arg& k) { return slice(x, 0, k); }},
      {"slice from", [=](const Arg& k) { return slice(x, k, size(x, 0)); }},
      {"slice of two", [=](const Arg& k) { return slice(x, k, k + 2); }},
      {"slice, minibatch", [=](const Arg& k) { return slice(x, k * 2, (k + 1) * 2); }},
      {"slice of arange", [](const Arg& k) { return slice(arange(9), k, k + 3); }},
      {"narrow", [=](const Arg& k) { return narrow(x, 0, k, 2); }},
      {"narrow, length", [=](const Arg& k) { return narrow(x, 0, 1, k); }},
      {"at", [=](const Arg& k) { return at(x, k); }},
      {"at of arange", [](const Arg& k) { return at(arange(k), -1); }},
      {"take", [=](const Arg& k) { return take(x, arange(2) + k); }},
      {"subscript",
       [=](const Arg& k) {
         return subscript(X, {Slice{k, {}, -1}, k});
       }},
      {"subscript, to",
       [=](const Arg& k) {
         return subscript(X, {Slice{{}, k, 2}});
       }},
      {"subscript, from, backwards",
       [=](const Arg& k) {
         return subscript(X, {Slice{{}, k, -3}});
       }},
      {"set_subtensor",
       [=](const Arg& k) {
         return set_subtensor(x, subscript(x, {Slice{k, {}}}), 0.0);
       }},
      {"split_sizes",
       [=](const Arg& k) {
         return split_sizes(x, {k, size(x, 0) - k})[0];
       }},
  };
}

/// What does not take an expression.
std::vector<Maker> makers_of_numbers(std::int64_t k) {
  const Expr x = vector_x(), X = matrix_x();
  const Expr maps = dimshuffle(X, {-1, -1, 0, 1}), lines = dimshuffle(X, {-1, 0, 1});
  const Expr filters = ones({1, 1, 2, 2}, DType::float64);
  const auto expr = [](std::function<Expr()> f) { return [f](const Arg&) { return f(); }; };
  return {
      {"slice by", expr([=] { return slice(x, 0, size(x, 0), 0, k); })},
      {"narrow by", expr([=] { return narrow(x, 0, 1, 2, k); })},
      {"subscript by", expr([=] {
         return subscript(x, {Slice{{}, {}, k}});
       })},
      {"split", expr([=] { return first_of(split(x, k)); })},
      {"unstack", expr([=] { return first_of(unstack(x, 0, k)); })},
      {"pad", expr([=] {
         return pad(x, {{k, 1}});
       })},
      {"pad behind", expr([=] {
         return pad(x, {{0, k}}, PadMode::edge);
       })},
      {"pad, wrap", expr([=] {
         return pad(x, {{k, k}}, PadMode::wrap);
       })},
      {"pad, reflect", expr([=] {
         return pad(x, {{2, k}}, PadMode::reflect);
       })},
      {"diagonal", expr([=] { return diagonal(X, k); })},
      {"diag", expr([=] { return diag(x, k); })},
      {"tril", expr([=] { return tril(X, k); })},
      {"triu", expr([=] { return triu(X, k); })},
      {"sum, axis", expr([=] { return sum(X, k); })},
      {"largest", expr([=] { return largest(x, k); })},
      {"matrix power", expr([=] { return matrix_power(dot(transpose(X), X), k); })},
      {"k_sparse", expr([=] { return k_sparse(X, k); })},
      {"max_pool2d", expr([=] { return max_pool2d(maps, k); })},
      {"max_pool2d, stride", expr([=] { return max_pool2d(maps, 2, {.stride = k}); })},
      {"max_pool2d, dilation", expr([=] { return max_pool2d(maps, 2, {.dilation = k}); })},
      {"max_pool2d, padding", expr([=] {
         return max_pool2d(maps, 2, {.padding = {{k, 0}, {0, k}}});
       })},
      {"max_pool2d, ceil", expr([=] {
         return max_pool2d(maps, 2, {.stride = k, .padding = {{1, 1}, {1, 1}}, .ceil = true});
       })},
      {"average_pool1d", expr([=] {
         return average_pool1d(lines, k, {.stride = 1, .padding = {{0, k}}});
       })},
      {"average_pool2d, stride", expr([=] { return average_pool2d(maps, 2, {.stride = k}); })},
      {"upsample1d", expr([=] { return upsample1d(lines, k); })},
      {"upsample2d", expr([=] { return upsample2d(maps, k); })},
      {"conv2d, stride", expr([=] { return conv2d(maps, filters, {.stride = k}); })},
      {"conv2d, dilation", expr([=] { return conv2d(maps, filters, {.dilation = k}); })},
      {"conv2d, padding", expr([=] {
         return conv2d(maps, filters, {.padding = {{k, 0}, {k, k}}});
       })},
      {"conv2d, groups", expr([=] { return conv2d(maps, filters, {.groups = k}); })},
      {"Sizes", expr([=] {
         return zeros(Shape{k, k == 0 ? k : 2});
       })},
  };
}

struct User {
  const char* name;
  std::function<Expr(const Expr&)> use;
};
const std::vector<User>& users() {
  static const std::vector<User> all = {
      {"itself", [](const Expr& y) { return y; }},
      {"sum", [](const Expr& y) { return sum(y); }},
      {"cumsum", [](const Expr& y) { return y.rank() > 0 ? cumsum(y, 0) : y; }},
      {"sort", [](const Expr& y) { return y.rank() > 0 ? sort(y) : y; }},
      {"last", [](const Expr& y) { return y.rank() > 0 ? at(y, -1) : y; }},
      {"gradient", [](const Expr& y) {
         return is_float(y.dtype())
                    ? grad(sum(square(y)), vector_x(), {.disconnected = Disconnected::zero})
                    : y;
       }}};
  return all;
}

/// All of them for some numbers, to be done in seconds; for all where CINCH_ROUNDS is set.
std::vector<User> users_for(std::int64_t k) {
  const bool all = number_from("CINCH_ROUNDS", 0) > 0 || k == std::int64_t{1} << 62 ||
                   k == std::int64_t{1} << 51 || k == least || k == most || k == 2;
  return all ? users() : std::vector<User>{users()[0]};
}

/// Calls it in both modes. What is thrown and no Error of ours is told.
std::string fault_of(const std::function<Expr(const Arg&)>& make, std::int64_t k, bool as_input) {
  const Expr input = lscalar("k");
  const Tensor x = Tensor::from<double>({6}, {6, 1, 5, 2, 4, 3}),
               X = Tensor::from<double>({4, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  for (const Mode mode : {Mode::fast, Mode::checked}) {
    try {
      const Expr y = as_input ? make(input) : make(k);
      const Function f = function({.inputs = {input, vector_x(), matrix_x()},
                                   .outputs = {y},
                                   .mode = mode,
                                   .allow_unused_inputs = true});
      const Tensor value = f({Tensor(k), x, X})[0];
      if (value.size() > 100000) return "made something large";
    } catch (const Error&) {
    } catch (const std::exception& error) {
      return text(mode == Mode::fast ? "fast: " : "checked: ", error.what());
    }
  }
  return "";
}

}  // namespace

TEST_CASE("sizes and positions of any magnitude give a value or an error of ours") {
  for (const Maker& maker : makers()) {
    std::vector<std::int64_t> all = numbers();
    if (maker.square) all.insert(all.end(), roots.begin(), roots.end());
    for (const std::int64_t k : all) {
      for (const User& user : users_for(k)) {
        for (const bool as_input : {true, false}) {
          const std::string fault =
              fault_of([&](const Arg& n) { return user.use(maker.make(n)); }, k, as_input);
          CAPTURE(maker.name);
          CAPTURE(user.name);
          CAPTURE(k);
          CAPTURE(as_input);
          CHECK(fault == "");
        }
      }
    }
  }
}

TEST_CASE("steps, windows, paddings and axes of any magnitude give a value or an error of ours") {
  for (const std::int64_t k : numbers()) {
    for (const Maker& maker : makers_of_numbers(k)) {
      for (const User& user : users_for(k)) {
        const std::string fault =
            fault_of([&](const Arg& n) { return user.use(maker.make(n)); }, k, true);
        CAPTURE(maker.name);
        CAPTURE(user.name);
        CAPTURE(k);
        CHECK(fault == "");
      }
    }
  }
}

TEST_CASE("tensors of any shape are made or refused") {
  for (const std::int64_t a : numbers()) {
    for (const std::int64_t b : numbers()) {
      for (const DType dtype : {DType::bool_, DType::float32, DType::float64}) {
        try {
          const Tensor t(dtype, {a, b});
          CHECK(t.size() == a * b);
          t.cast(DType::int64);
          t.reshaped({b, a});
        } catch (const Error&) {
        }
      }
    }
  }
}
