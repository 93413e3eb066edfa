// Elementwise ops as ONNX operators.
#include <functional>
#include <limits>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/exchange/onnx/graph.hpp"

namespace cinch::exchange {

namespace {

constexpr double ln2 = 0.69314718055994530942;

/// A value in a formula, of one dtype throughout.
struct Value {
  OnnxGraph* graph;
  DType dtype;
  std::string name;

  Value with(std::string_view op, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> inputs{name};
    inputs.insert(inputs.end(), more.begin(), more.end());
    return {graph, dtype, graph->add(op, inputs)};
  }
  Value number(double x) const { return {graph, dtype, graph->number(dtype, x)}; }
  Value with(std::string_view op, const Value& b) const { return with(op, {b.name}); }
};

Value operator+(const Value& a, const Value& b) { return a.with("Add", b); }
Value operator-(const Value& a, const Value& b) { return a.with("Sub", b); }
Value operator*(const Value& a, const Value& b) { return a.with("Mul", b); }
Value operator/(const Value& a, const Value& b) { return a.with("Div", b); }
Value operator+(const Value& a, double b) { return a + a.number(b); }
Value operator+(double a, const Value& b) { return b.number(a) + b; }
Value operator-(const Value& a, double b) { return a - a.number(b); }
Value operator-(double a, const Value& b) { return b.number(a) - b; }
Value operator*(double a, const Value& b) { return b.number(a) * b; }
Value operator/(double a, const Value& b) { return b.number(a) / b; }
Value operator/(const Value& a, double b) { return a / a.number(b); }
Value operator-(const Value& a) { return a.with("Neg"); }
Value less(const Value& a, const Value& b) { return a.with("Less", b); }
Value less(const Value& a, double b) { return less(a, a.number(b)); }
Value is(const Value& a, double b) { return a.with("Equal", a.number(b)); }
Value both(const Value& a, const Value& b) { return a.with("And", b); }
Value choose(const Value& c, const Value& a, const Value& b) {
  return {a.graph, a.dtype, a.graph->add("Where", {c.name, a.name, b.name})};
}
Value abs(const Value& a) { return a.with("Abs"); }
Value exp(const Value& a) { return a.with("Exp"); }
Value log(const Value& a) { return a.with("Log"); }

/// 2 t / (1 - t) for t = tanh(a / 2), where exp(a) - 1 would cancel.
Value expm1(const Value& a) {
  const Value t = (0.5 * a).with("Tanh");
  return choose(less(abs(a), 1), 2 * t / (1 - t), exp(a) - 1);
}
/// Kahan: what rounding adds to 1 + a is taken back by the quotient.
Value log1p(const Value& a) {
  const Value sum = 1 + a, added = sum - 1;
  const Value small = choose(is(added, 0), a, log(sum) * (a / added));
  return choose(less(abs(a), 0.5), small, log(sum));
}
Value relu(const Value& a) { return choose(less(a, 0), a.number(0), a); }
Value softplus(const Value& a) { return relu(a) + log1p(exp(-abs(a))); }
/// The remainder has the sign of the divisor.
Value mod(const Value& a, const Value& b) {
  const Value r{a.graph, a.dtype,
                a.graph->add("Mod", {a.name, b.name}, {{"fmod", std::int64_t{1}}})};
  const Value wrong = both(is(r, 0).with("Not"), less(r, 0).with("Xor", less(b, 0)));
  return choose(wrong, r + b, r);
}
Value floor_div(const Value& a, const Value& b) {
  const Value ratio = a / b, whole = ((a - mod(a, b)) / b).with("Round");
  return choose(is(b, 0), ratio, choose(is(whole, 0), 0 * ratio, whole));
}
/// Of integers; 0 where the divisor is 0.
Value whole_mod(const Value& a, const Value& b) {
  const Value divisor = choose(is(b, 0), b.number(1), b);
  return choose(is(b, 0), b.number(0), a.with("Mod", divisor));
}
Value whole_floor_div(const Value& a, const Value& b) {
  const Value divisor = choose(is(b, 0), b.number(1), b);
  return choose(is(b, 0), b.number(0), (a - a.with("Mod", divisor)) / divisor);
}
Value log1mexp(const Value& a) { return choose(less(a, -ln2), log1p(-exp(a)), log(-expm1(a))); }
Value logaddexp(const Value& a, const Value& b) {
  const Value gap = choose(a.with("Equal", b), a.number(0), -abs(a - b));
  return a.with("Max", b) + log1p(exp(gap));
}
Value log_cosh(const Value& a) {
  const Value size = abs(a), e = expm1(0.5 * a), twice_sinh = e + e / (e + 1);
  return choose(less(size, 1), log1p(0.5 * (twice_sinh * twice_sinh)),
                (size - ln2) + log1p(exp(-2 * size)));
}
Value slope(const Value& a) {
  const Value t = exp(-abs(a)), sum = 1 + t;
  return t / (sum * sum);
}
Value sech(const Value& a) {
  const Value t = exp(-abs(a));
  return 2 * t / (1 + t * t);
}
Value softsign(const Value& a) {
  return choose(less(a.number(1e30), abs(a)), a.with("Sign"), a / (1 + abs(a)));
}
/// 0 log b is 0 wherever the logarithm is defined.
Value times_log(const Value& a, const Value& b, double least, const Value& logarithm) {
  const Value defined = b.number(least).with("LessOrEqual", b);
  return choose(both(is(a, 0), defined), a.number(0), a * logarithm);
}

/// By the larger one, so that no square overflows.
Value hypot(const Value& a, const Value& b) {
  const Value x = abs(a), y = abs(b), most = x.with("Max", y);
  const Value ratio = x.with("Min", y) / most, length = most * (1 + ratio * ratio).with("Sqrt");
  const double infinite = std::numeric_limits<double>::infinity();
  const Value ends = is(x, infinite).with("Or", is(y, infinite));
  return choose(ends, a.number(infinite), choose(is(most, 0), most, length));
}

/// By atanh in the middle, where the logarithms cancel.
Value logit(const Value& a) {
  const Value t = 2 * a - 1;
  return choose(less(abs(t), 0.5), log1p(2 * t / (1 - t)), log(a) - log1p(-a));
}

/// What an elementwise op is: one operator, or a formula.
struct Formula {
  std::string_view op = "";
  std::function<Value(const Value&, const Value&)> formula = {};
  std::string_view operators = "";  ///< Those of the formula, for the tables.
};

const std::map<std::string_view, Formula>& formulas() {
  using V = const Value&;
  static const auto& all = *new std::map<std::string_view, Formula>{
      {"add", {"Add"}},
      {"sub", {"Sub"}},
      {"mul", {"Mul"}},
      {"div", {"Div"}},
      {"final_div", {"Div"}},
      {"neg", {"Neg"}},
      {"square", {"", [](V a, V) { return a * a; }, "Mul"}},
      {"sqrt", {"Sqrt"}},
      {"length", {"Sqrt"}},
      {"logit", {"", [](V a, V) { return logit(a); }, "Log, Where"}},
      {"abs", {"Abs"}},
      {"sign", {"Sign"}},
      {"maximum", {"Max"}},
      {"minimum", {"Min"}},
      {"floor", {"Floor"}},
      {"ceil", {"Ceil"}},
      {"round", {"Round"}},
      {"trunc",
       {"", [](V a, V) { return choose(less(a, 0), a.with("Ceil"), a.with("Floor")); },
        "Floor, Ceil, Where"}},
      {"pow", {"Pow"}},
      {"exp", {"Exp"}},
      {"expm1", {"", [](V a, V) { return expm1(a); }, "Exp, Tanh, Where"}},
      {"log", {"Log"}},
      {"final_log", {"Log"}},
      {"log1p", {"", [](V a, V) { return log1p(a); }, "Log, Where"}},
      {"sin", {"Sin"}},
      {"cos", {"Cos"}},
      {"tan", {"", [](V a, V) { return a.with("Sin") / a.with("Cos"); }, "Sin, Cos, Div"}},
      {"arcsin", {"Asin"}},
      {"arccos", {"Acos"}},
      {"arctan", {"Atan"}},
      {"sinh",
       {"",
        [](V a, V) {
          const Value e = expm1(a);
          const Value half = exp(0.5 * abs(a));
          return choose(less(abs(a), 1), 0.5 * (e + e / (e + 1)),
                        a.with("Sign") * ((0.5 * half) * half - (0.5 / half) / half));
        },
        "Exp, Tanh, Where"}},
      {"cosh",
       {"",
        [](V a, V) {
          const Value half = exp(0.5 * abs(a));
          return (0.5 * half) * half + (0.5 / half) / half;
        },
        "Exp, Abs"}},
      {"arcsinh", {"Asinh"}},
      {"arccosh", {"Acosh"}},
      {"arctanh", {"Atanh"}},
      {"exp2", {"", [](V a, V) { return a.number(2).with("Pow", a); }, "Pow"}},
      {"log2", {"", [](V a, V) { return log(a) / ln2; }, "Log, Div"}},
      {"log10", {"", [](V a, V) { return log(a) / 2.30258509299404568402; }, "Log, Div"}},
      {"sigmoid", {"Sigmoid"}},
      {"tanh", {"Tanh"}},
      {"softplus", {"", [](V a, V) { return softplus(a); }, "Exp, Log, Where"}},
      {"relu", {"", [](V a, V) { return relu(a); }, "Where"}},
      {"softsign", {"", [](V a, V) { return softsign(a); }, "Abs, Div, Where"}},
      {"erf", {"Erf"}},
      // What is left beyond a point is right to the rounding of 1.
      {"erfc", {"", [](V a, V) { return 1 - a.with("Erf"); }, "Erf, Sub"}},
      {"normal_cdf",
       {"", [](V a, V) { return 0.5 * (1 + (0.70710678118654752440 * a).with("Erf")); },
        "Erf, Add, Mul"}},
      {"hypot", {"", [](V a, V b) { return hypot(a, b); }, "Max, Min, Div, Sqrt, Where"}},
      {"log1mexp", {"", [](V a, V) { return log1mexp(a); }, "Exp, Tanh, Log, Where"}},
      {"logaddexp", {"", [](V a, V b) { return logaddexp(a, b); }, "Max, Exp, Log, Where"}},
      {"log_cosh", {"", [](V a, V) { return log_cosh(a); }, "Exp, Tanh, Log, Where"}},
      {"xlogy", {"", [](V a, V b) { return times_log(a, b, 0, log(b)); }, "Log, Mul, Where"}},
      {"xlog1py", {"", [](V a, V b) { return times_log(a, b, -1, log1p(b)); }, "Log, Mul, Where"}},
      {"sech", {"", [](V a, V) { return sech(a); }, "Exp, Abs, Div"}},
      {"sigmoid_slope", {"", [](V a, V) { return slope(a); }, "Exp, Abs, Div"}},
      {"one_minus_square", {"", [](V a, V) { return (1 - a) * (1 + a); }, "Sub, Add, Mul"}},
      {"exp_of_product", {"", [](V a, V b) { return exp(a * b); }, "Mul, Exp"}},
      {"is_nan", {"IsNaN"}},
      {"equal", {"Equal"}},
      {"not_equal", {"", [](V a, V b) { return a.with("Equal", b).with("Not"); }, "Equal, Not"}},
      {"less", {"Less"}},
      {"less_equal", {"LessOrEqual"}},
      {"logical_and", {"And"}},
      {"logical_or", {"Or"}},
      {"logical_not", {"Not"}},
      {"switch", {"Where"}},
      {"cast", {"Cast"}},
      {"copy", {"Identity"}},
      {"stop_gradient", {"Identity"}},
      {"observed", {"Identity"}},
      {"checked_parameter", {"Identity"}},
      {"mod", {"", [](V a, V b) { return mod(a, b); }, "Mod, Where"}},
      {"floor_div", {"", [](V a, V b) { return floor_div(a, b); }, "Mod, Div, Where"}},
  };
  return all;
}

}  // namespace

bool has_onnx_formula(const Expr& node) {
  const auto found = formulas().find(node.op().name);
  if (found == formulas().end()) return false;
  return true;
}

std::string onnx_formula(const Op& op) {
  const auto found = formulas().find(op.name);
  if (found == formulas().end()) return "";
  return std::string(found->second.op.empty() ? found->second.operators : found->second.op);
}

std::string add_formula(OnnxGraph& graph, const Expr& node) {
  const std::string_view op = node.op().name;
  const Formula& f = formulas().at(op);
  std::vector<std::string> inputs;
  const std::span<const Expr> x = node.inputs();
  for (const Expr& input : x) inputs.push_back(graph.name_of(input));
  const DType from = x[0].dtype();
  if (op == "cast") return graph.cast(inputs[0], node.dtype());
  if (f.op == "Identity") return inputs[0];
  if (op == "switch" && node.dtype() == DType::bool_) {
    const std::string a = graph.add("And", {inputs[0], inputs[1]}),
                      none = graph.add("Not", {inputs[0]});
    return graph.add("Or", {a, graph.add("And", {none, inputs[2]})});
  }
  if (from == DType::bool_ &&
      (op == "less" || op == "less_equal" || op == "maximum" || op == "minimum")) {
    for (std::string& input : inputs) input = graph.cast(input, DType::int64);
    const std::string result = graph.add(f.op, inputs);
    return node.dtype() == DType::bool_ && !op.starts_with("less")
               ? graph.cast(result, DType::bool_)
               : result;
  }
  if (!f.op.empty()) return graph.add(f.op, inputs);
  const Value a{&graph, from, inputs[0]}, b{&graph, from, inputs.back()};
  if (!is_float(from) && op == "mod") return whole_mod(a, b).name;
  if (!is_float(from) && op == "floor_div") return whole_floor_div(a, b).name;
  return f.formula(a, b).name;
}

}  // namespace cinch::exchange
