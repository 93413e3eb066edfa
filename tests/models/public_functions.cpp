// What holds of every public function: empty expressions are errors, errors can be read, and what
// is built belongs to the user's line.
#include "support/public_functions.hpp"

#include <doctest/doctest.h>

#include <regex>
#include <set>

#include "cinch/cinch.hpp"
#include "cinch/ops/catalog.hpp"

using namespace cinch;
using namespace cinch::testing;

namespace {

std::vector<Expr> variables(const std::vector<Type>& types) {
  std::vector<Expr> result;
  for (std::size_t k = 0; k < types.size(); ++k) result.push_back(variable(text("x", k), types[k]));
  return result;
}

/// What the call throws; "" where it does not.
std::string error_of(const PublicFunction& f, const std::vector<Expr>& x) {
  try {
    f.call(x);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Files that a text names with a line, "file.cpp:12".
std::set<std::string> files_in(const std::string& text) {
  static const std::regex pattern(R"((\w+\.[ch]pp):\d+)");
  std::set<std::string> result;
  for (auto m = std::sregex_iterator(text.begin(), text.end(), pattern);
       m != std::sregex_iterator(); ++m)
    result.insert((*m)[1]);
  return result;
}

/// Whether a text says of something which dtype and shape it has.
bool names_a_type(const std::string& text) {
  static const std::regex pattern(R"((bool|int64|float32|float64|uint8|float16) \([0-9?, ]*\))");
  return std::regex_search(text, pattern);
}

/// Names that an error may begin with: of functions that users call, and of ops.
const std::set<std::string>& known_names() {
  static const std::set<std::string> all = [] {
    std::set<std::string> names{"sizes"};
    for (const PublicFunction& f : public_functions()) names.insert(f.name);
    for (const Op* op : all_ops()) names.insert(std::string(op->name));
    return names;
  }();
  return all;
}

/// Says what is missing in an error, "" where it is as it should be.
std::string fault_in(const PublicFunction& f, const std::string& error) {
  // Some calls have others for arguments, which may be the ones that refuse.
  const std::string first = error.substr(0, error.find(':'));
  if (error.find(f.name) == std::string::npos && !known_names().contains(first))
    return "does not name " + f.name;
  if (error.find("written at public_functions.cpp:") == std::string::npos)
    return "does not give the line";
  for (const std::string& file : files_in(error)) {
    if (file != "public_functions.cpp") return "speaks of " + file;
  }
  if (error.find(first + ": " + first + ": ") != std::string::npos) return "says its name twice";
  const std::string where = "written at ";
  if (error.find(where) != error.rfind(where)) return "says its line twice";
  std::istringstream lines(error);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > 100) return text("has a line of ", line.size(), " characters");
  }
  return "";
}

}  // namespace

TEST_CASE("an empty expression is an error in every public function, which it names") {
  for (const PublicFunction& f : public_functions()) {
    for (std::size_t k = 0; k < f.inputs.size(); ++k) {
      std::vector<Expr> x = variables(f.inputs);
      x[k] = Expr();
      const std::string error = error_of(f, x);
      CAPTURE(f.name);
      CAPTURE(k);
      CAPTURE(error);
      CHECK(fault_in(f, error) == "");
      CHECK(error.find("empty") != std::string::npos);
    }
  }
}

TEST_CASE("what a public function builds belongs to the line that called it") {
  for (const PublicFunction& f : public_functions()) {
    const std::vector<Expr> x = variables(f.inputs);
    CAPTURE(f.name);
    std::vector<Expr> results;
    REQUIRE_NOTHROW(results = f.call(x));
    for (const Expr& node : topological(results)) {
      if (std::ranges::find(x, node) != x.end()) continue;
      CAPTURE(node);
      CAPTURE(text(node->where.file, ":", node->where.line));
      CHECK(is_callers_line(node->where));
    }
  }
}

TEST_CASE("operands of a wrong shape or dtype are refused in words that can be read") {
  int refused = 0;
  for (const PublicFunction& f : public_functions()) {
    for (std::size_t k = 0; k < f.inputs.size(); ++k) {
      std::vector<Type> wrong;
      for (const DType dtype : {DType::bool_, DType::int64, DType::float32, DType::float64,
                                DType::uint8, DType::float16})
        wrong.push_back({dtype, f.inputs[k].dims});
      for (const Shape& shape : {Shape{}, {7}, {5, 7}, {2, 5, 7}, {2, 3, 5, 7}, {1, 2, 3, 5, 7}})
        wrong.push_back({f.inputs[k].dtype, to_dims(shape)});
      for (const Type& type : wrong) {
        std::vector<Type> types = f.inputs;
        types[k] = type;
        const std::string error = error_of(f, variables(types));
        if (error.empty()) continue;
        ++refused;
        CAPTURE(f.name);
        CAPTURE(k);
        CAPTURE(text(type));
        CAPTURE(error);
        CHECK(fault_in(f, error) == "");
        CHECK_MESSAGE(names_a_type(error), error);
      }
    }
  }
  CHECK(refused > 500);
}

TEST_CASE("what has no value says so, wherever it is used") {
  const auto error_of = [](auto&& use) -> std::string {
    try {
      use();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto all_refuse = [&](const std::vector<std::function<void()>>& uses, const char* what) {
    for (std::size_t k = 0; k < uses.size(); ++k) {
      const std::string error = error_of(uses[k]);
      CAPTURE(k);
      CAPTURE(error);
      CHECK(error.find(what) != std::string::npos);
      CHECK(error.find("expr.") == std::string::npos);
    }
  };
  Expr e, moved = dmatrix("m");
  const Expr taken = std::move(moved), x = dmatrix("x");
  for (const Expr& none : {e, moved}) {
    all_refuse({[&] { none.type(); },
                [&] { none.dtype(); },
                [&] { none.dims(); },
                [&] { none.rank(); },
                [&] { none.op(); },
                [&] { none.attrs(); },
                [&] { none.inputs(); },
                [&] { (void)none->where; },
                [&] { (void)(*none).type; },
                [&] { describe(none); },
                [&] { graph_text(std::vector{none}); },
                [&] { graph_dot(std::vector{none}); },
                [&] { constant_value(none); },
                [&] { is_variable(none); },
                [&] { is_shared(none); },
                [&] { as_shared(none); },
                [&] { shared_variables(std::vector{none}); },
                [&] { (void)none[0]; },
                [&] {
                  Expr total;
                  total += x;
                },
                [&] {
                  Expr total = x;
                  total *= none;
                },
                [&] { evaluate(none); },
                [&] { function({.inputs = {x}, .outputs = {none}}); },
                [&] {
                  function({.inputs = {x}, .outputs = {x}, .givens = {{none, x}}});
                },
                [&] {
                  function({.inputs = {x}, .outputs = {x}, .givens = {{x, none}}});
                },
                [&] {
                  function({.outputs = {x}, .updates = {{Shared(), x}}});
                },
                [&] { check_grad(none, {x}); },
                [&] { check_grad(sum(x), {none}); },
                [&] { audit(none, {x}); },
                [&] { audit(sum(x), {none}); },
                [&] { jacobian(x, none); },
                [&] { jacobian(none, x); },
                [&] { examples_are_separate(none, x); },
                [&] { grad(sum(x), none); },
                [&] {
                  grad(sum(x), {x, none});
                },
                [&] { Lop(x, x, none); },
                [&] { grad(sum(x), x, {.consider_constant = {none}}); },
                [&] {
                  substitute(std::vector{x}, {{none, x}});
                },
                [&] { vectorize(x, x, none); },
                [&] { vectorize(x, none, x); },
                [&] { product({none}); },
                [&] { concatenate({none}, 0); },
                [&] { stack({none}); },
                [&] { sizes(none); },
                [&] { RandomStreams(1).uniform({none}); },
                [&] {
                  broadcast_to(x, {none, 3});
                },
                [&] {
                  reshape(x, {none, 3});
                },
                [&] { gather(x, {none}); },
                [&] { Layer{}.params(); },
                [&] { Layer{}(x); },
                [&] { Network{{Layer{}}}.params(); },
                [&] { ContractiveAutoencoder{}.encode(x); },
                [&] { ContractiveAutoencoder{}.decode(x); },
                [&] { sgd(sum(x), {Shared()}, 0.1); },
                [&] { adam(none, {Shared()}); },
                [&] { lbfgs(sum(x), {Shared()}); },
                [&] {
                  checkpoint({{Shared(), x}});
                },
                [&] { weight_decay(std::vector{Shared()}); }},
               "empty");
  }
  Shared none, gone(Tensor(1.0), "W");
  const Shared kept = std::move(gone);
  for (Shared& shared : std::vector<Shared>{none, gone}) {
    all_refuse({[&] { shared.get(); }, [&] { shared.value(); }, [&] { shared.label(); },
                [&] { shared.set(Tensor(1.0)); }, [&] { (void)(shared + 1); }},
               "empty");
  }
  Function unmade, f = function({.inputs = {x}, .outputs = {sum(x)}});
  const Function mine = std::move(f);
  for (const Function& function : {unmade, f}) {
    all_refuse({[&] { function({Tensor(1.0)}); },
                [&] {
                  function.call({{"x", Tensor(1.0)}});
                },
                [&] { function.graph(); }, [&] { function.plan_text(); },
                [&] { explain(function); }, [&] { profile(function); },
                [&] { function.arena_bytes(); }, [&] { function.plans_made(); },
                [&] { function.set_profiling(true); }, [&] { lbfgs(function, {kept}); }},
               "empty function");
  }
  Tensor t = Tensor::from({1.0, 2.0});
  const Tensor now = std::move(t);
  all_refuse({[&] { t.item(); }, [&] { t.at(0); }, [&] { t(0); }, [&] { t.data<double>(); },
              [&] { t.cast(DType::float32); }, [&] { t.reshaped({2}); }, [&] { (void)Tensor(t); },
              [&] { text(t); }, [&] { (void)(t == t); }, [&] { constant(t); }, [&] { Shared s(t); },
              [&] { mine({t}); },
              [&] {
                evaluate(sum(x), {{x, t}});
              }},
             "std::move()");
  CHECK(t.shape().empty());
  CHECK(t.size() == 0);
  t = now;
  CHECK(t == now);
}
