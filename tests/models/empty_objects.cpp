// Objects without a value, as they are before one is assigned and after std::move(): whatever uses
// one is an error that says so.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cinch/cinch.hpp"
#include "cinch/core/compile/inspect.hpp"

using namespace cinch;

namespace {

/// An object and ways to have none of it.
template <class T>
std::vector<std::pair<std::string, std::function<T()>>> ways_to_have_none(const T& some) {
  std::vector<std::pair<std::string, std::function<T()>>> result;
  if constexpr (std::is_default_constructible_v<T> && !std::is_same_v<T, Tensor>)
    result.emplace_back("never assigned", [] { return T(); });
  result.emplace_back("moved from", [some] {
    T from = some;
    const T to = std::move(from);
    return from;
  });
  result.emplace_back("assigned away", [some] {
    T from = some, to = some;
    to = std::move(from);
    return from;
  });
  return result;
}

struct Use {
  std::string name;
  std::function<void()> call;
};

/// What a call throws; "" for nothing, "not ours" for what is no Error.
std::string thrown(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("not ours: ") + error.what();
  }
  return "";
}

void check_refused(const std::string& way, const std::vector<Use>& uses) {
  for (const Use& use : uses) {
    CAPTURE(way);
    CAPTURE(use.name);
    const std::string error = thrown(use.call);
    CAPTURE(error);
    CHECK_FALSE(error.empty());
    CHECK_FALSE(error.starts_with("not ours"));
  }
}

const Type vectors{DType::float64, {3}}, matrices{DType::float64, {2, 3}};

}  // namespace

TEST_CASE("a function without a value is refused by all that calls or looks at it") {
  const Expr v = variable("v", vectors);
  const Function some = function({v}, {sum(v)});
  const Tensor value(DType::float64, {3});
  for (const auto& [way, none] : ways_to_have_none(some)) {
    const Function f = [&none = none]() -> Function {
      try {
        return none();
      } catch (const Error&) {
        return {};
      }
    }();
    CHECK_FALSE(f);
    std::vector<Tensor> outputs;
    const Tensor* one = &value;
    const Shared W(Tensor(DType::float64, {3}), "W");
    cinch::compiling::CompileLog log;
    check_refused(way, {{"()", [&] { f({value}); }},
                        {"call by name",
                         [&] {
                           f.call({{"v", value}});
                         }},
                        {"call", [&] { f.call(std::span(&one, 1)); }},
                        {"call into", [&] { f.call(std::span(&one, 1), outputs); }},
                        {"graph", [&] { f.graph(); }},
                        {"plan_text", [&] { f.plan_text(); }},
                        {"arena_bytes", [&] { f.arena_bytes(); }},
                        {"plans_made", [&] { f.plans_made(); }},
                        {"set_profiling", [&] { f.set_profiling(true); }},
                        {"plans", [&] { Inspect::plans(f); }},
                        {"program", [&] { Inspect::program(f); }},
                        {"replan", [&] { Inspect::replan(f, log); }},
                        {"explain", [&] { explain(f); }},
                        {"profile", [&] { profile(f); }},
                        {"train", [&] { train({.step = f, .data = {&value}, .out = nullptr}); }},
                        {"train, validation",
                         [&] {
                           train({.step = function({v}, {sum(v * W)}, sgd(sum(v * W), {W}, 0.1)),
                                  .data = {&value},
                                  .validate = f,
                                  .validation_data = {&value},
                                  .out = nullptr});
                         }},
                        {"mean_over", [&] { mean_over(f, {&value}); }},
                        {"lbfgs", [&] { lbfgs(f, {W}); }},
                        {"conjugate_gradient", [&] { conjugate_gradient(f, {W}); }}});
  }
}

TEST_CASE("a shared variable without a value is refused by all that takes one") {
  const Expr x = variable("x", matrices);
  const Shared W(Tensor(DType::float64, {3}), "W");
  const Expr cost = sum(dot(x, W));
  for (const auto& [way, none] : ways_to_have_none(W)) {
    const Shared s = none();
    CHECK_FALSE(s.has_value());
    check_refused(way, {{"get", [&] { s.get(); }},
                        {"value", [&] { s.value(); }},
                        {"label", [&] { s.label(); }},
                        {"set", [&] { Shared(s).set(Tensor(1.0)); }},
                        {"is_shared", [&] { is_shared(s); }},
                        {"as_shared", [&] { as_shared(s); }},
                        {"shared_variables", [&] { shared_variables(std::vector<Expr>{s}); }},
                        {"update",
                         [&] {
                           function({.inputs = {x}, .outputs = {cost}, .updates = {{s, cost}}});
                         }},
                        {"output", [&] { function({.outputs = {s}}); }},
                        {"given",
                         [&] {
                           function({.inputs = {x}, .outputs = {cost}, .givens = {{s, W}}});
                         }},
                        {"givens' value",
                         [&] {
                           function({.inputs = {x}, .outputs = {cost}, .givens = {{W, s}}});
                         }},
                        {"evaluate", [&] { evaluate(s); }},
                        {"evaluate at",
                         [&] {
                           evaluate(cost, {{s, Tensor(1.0)}});
                         }},
                        {"evaluate at a list",
                         [&] {
                           evaluate(cost, std::vector<Binding>{{s, Tensor(1.0)}});
                         }},
                        {"grad", [&] { grad(cost, s); }},
                        {"sgd", [&] { sgd(cost, {s}, 0.1); }},
                        {"sgd, gradients", [&] { sgd({s}, {cost}, 0.1); }},
                        {"momentum", [&] { momentum(cost, {s}, 0.1, 0.9); }},
                        {"nesterov", [&] { nesterov(cost, {s}, 0.1, 0.9); }},
                        {"adam", [&] { adam(cost, {s}); }},
                        {"adamw", [&] { adamw(cost, {s}); }},
                        {"adagrad", [&] { adagrad(cost, {s}); }},
                        {"rmsprop", [&] { rmsprop(cost, {s}); }},
                        {"adadelta", [&] { adadelta(cost, {s}); }},
                        {"advance", [&] { advance(s); }},
                        {"checkpoint",
                         [&] {
                           checkpoint({{s, cost}});
                         }},
                        {"restore",
                         [&] {
                           restore({{s, cost}}, {});
                         }},
                        {"targets",
                         [&] {
                           checkpoint({{W, cost}, {s, cost}});
                         }},
                        {"weight_decay", [&] { weight_decay(std::vector<Shared>{s}); }},
                        {"audit",
                         [&] {
                           audit(cost, {s}, {{x, Tensor(DType::float64, {2, 3})}});
                         }},
                        {"check_grad",
                         [&] {
                           check_grad(cost, {s}, {{x, Tensor(DType::float64, {2, 3})}});
                         }},
                        {"lbfgs", [&] { lbfgs(cost, {s}); }},
                        {"conjugate_gradient", [&] { conjugate_gradient(cost, {s}); }},
                        {"named", [&] { named({s}); }},
                        {"codes", [&] { codes(Network{}, s); }},
                        {"train, params", [&] {
                           const Tensor data(DType::float64, {2, 3});
                           train({.step = function({x}, {cost}, sgd(cost, {W}, 0.1)),
                                  .data = {&data},
                                  .batch = 2,
                                  .params = {s},
                                  .out = nullptr});
                         }}});
  }
}

TEST_CASE("models and parts of them that were never made are refused") {
  const Expr x = variable("x", matrices);
  RandomStreams random(1);
  check_refused(
      "never made",
      {{"ContractiveAutoencoder", [&] { contractive_cost(ContractiveAutoencoder{}, x, 0.1); }},
       {"literal_jacobian", [&] { literal_jacobian(ContractiveAutoencoder{}, x); }},
       {"contractive params", [&] { sgd(sum(x), ContractiveAutoencoder{}.params(), 0.1); }},
       {"Layer", [&] { Layer{}(x); }},
       {"jacobian_change", [&] { jacobian_change(Layer{}, x, 0.1, random); }},
       {"Posterior", [&] { sample(Posterior{}, random); }},
       {"prior_divergence", [&] { prior_divergence(Posterior{}); }},
       {"VariationalAutoencoder",
        [&] { variational_cost(VariationalAutoencoder{}, x, random, cross_entropy); }},
       {"emphasized", [&] { emphasized(x, Corrupted{}, 1, 1); }},
       {"Update", [&] { function({.updates = {Update{}}}); }}});
}

TEST_CASE("a tensor that was moved from is refused by all that takes one") {
  const Tensor some = Tensor::from<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Expr x = variable("x", Type{DType::float64, {Dim::unknown(), 3}});
  const Function f = function({x}, {sum(x)});
  for (const char* way : {"moved from", "assigned away"}) {
    Tensor t = some, to = some;
    if (way == std::string("moved from")) {
      const Tensor taken = std::move(t);
      CHECK(taken == some);
    } else {
      to = std::move(t);
    }
    const std::vector<const Tensor*> one{&t};
    check_refused(way,
                  {{"copy", [&] { const Tensor copy(t); }},
                   {"assign",
                    [&] {
                      Tensor other;
                      other = t;
                    }},
                   {"data", [&] { t.data<double>(); }},
                   {"raw", [&] { t.raw(); }},
                   {"item", [&] { t.item(); }},
                   {"at", [&] { t.at(0); }},
                   {"()", [&] { t(0, 0); }},
                   {"cast", [&] { t.cast(DType::float32); }},
                   {"reshaped",
                    [&] {
                      t.reshaped({3, 2});
                    }},
                   {"== ", [&] { static_cast<void>(t == t); }},
                   {"text", [&] { text(t); }},
                   {"print",
                    [&] {
                      std::ostringstream out;
                      out << t;
                    }},
                   {"constant", [&] { constant(t); }},
                   {"operand", [&] { x + t; }},
                   {"Shared", [&] { const Shared s(t); }},
                   {"set",
                    [&] {
                      Shared s(some);
                      s.set(t);
                    }},
                   {"argument", [&] { f({t}); }},
                   {"argument not copied", [&] { f.call(one); }},
                   {"evaluate",
                    [&] {
                      evaluate(sum(x), {{x, t}});
                    }},
                   {"write_npy", [&] { write_npy("/nowhere/a.npy", t); }},
                   {"write_npz",
                    [&] {
                      write_npz("/nowhere/a.npz", {{"a", t}});
                    }},
                   {"tile_images", [&] { tile_images(t, {.tile_height = 1, .tile_width = 3}); }},
                   {"mean_over", [&] { mean_over(f, one); }},
                   {"train",
                    [&] {
                      const Shared w(Tensor(1.0), "w");
                      train({.step = function({x}, {sum(x) * w}, sgd(sum(x) * w, {w}, 0.1)),
                             .data = {&t},
                             .out = nullptr});
                    }},
                   {"audit", [&] {
                      const Shared w(Tensor(1.0), "w");
                      audit(sum(x) * w, {w}, {{x, t}});
                    }}});
  }
}
