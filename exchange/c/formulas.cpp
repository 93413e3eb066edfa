#include "cinch/exchange/c/formulas.hpp"

#include <cmath>
#include <cstdio>
#include <map>

#include "cinch/core/graph/engine_ops.hpp"
#include "cinch/core/op.hpp"
#include "cinch/core/tensor.hpp"

namespace cinch::exchange {

namespace {

/// What one function is: statements in a and b, or with an arity of 0 the whole of it. @N is its
/// name, @T the type, @f the end of the names of functions of <math.h>, @s that of ours, @I what
/// asks for NaN; `calls` are ours that it calls.
struct Definition {
  int arity;
  std::string_view body;
  std::vector<std::string_view> calls = {};
};

const std::map<std::string_view, Definition>& definitions() {
  static const auto& all = *new std::map<std::string_view, Definition>{
      {"sigmoid",
       {1,
        "const @T t = exp@f(-fabs@f(a));\n  const @T r = 1 / (1 + t);\n"
        "  return a < 0 ? t * r : r;"}},
      {"softplus", {1, "return (a < 0 ? 0 : a) + log1p@f(exp@f(-fabs@f(a)));"}},
      {"sign", {1, "return a > 0 ? 1 : (a < 0 ? -1 : (a == 0 ? 0 : a));"}},
      {"maximum", {2, "return a > b ? a : (a != a ? a : b);"}},
      {"minimum", {2, "return a < b ? a : (a != a ? a : b);"}},
      {"sech", {1, "const @T t = exp@f(-fabs@f(a));\n  return 2 * t / (1 + t * t);"}},
      {"sigmoid_slope", {1, "const @T t = exp@f(-fabs@f(a));\n  return t / ((1 + t) * (1 + t));"}},
      {"log1mexp",
       {1, "return a > (@T)-0.6931471805599453 ? log@f(-expm1@f(a)) : log1p@f(-exp@f(a));"}},
      {"logaddexp",
       {2,
        "const @T larger = a > b ? a : (a != a ? a : b);\n"
        "  return larger + log1p@f(exp@f(a == b ? 0 : -fabs@f(a - b)));"}},
      {"xlogy", {2, "return a == 0 && b >= 0 ? 0 : a * log@f(b);"}},
      {"xlog1py", {2, "return a == 0 && b >= -1 ? 0 : a * log1p@f(b);"}},
      {"log_cosh",
       {1,
        "const @T size = fabs@f(a), half = sinh@f(a / 2);\n"
        "  if (size < 1) return log1p@f(2 * half * half);\n"
        "  return (size - (@T)0.6931471805599453) + log1p@f(exp@f(-2 * size));"}},
      {"logit",
       {1,
        "return fabs@f(a - (@T)0.5) < (@T)0.25 ? 2 * atanh@f(2 * a - 1) : log@f(a) - "
        "log1p@f(-a);"}},
      {"normal_cdf", {1, "return (@T)(erfc(-(double)a * 0.70710678118654752440) / 2);"}},
      {"exp_of_product",
       {2,
        "const @T p = a * b;\n  return fabs@f(p) <= 1000 ? exp@f(p) * (1 + fma@f(a, b, -p)) "
        ": exp@f(p);"}},
      {"softsign",
       {1, "return fabs@f(a) > (@T)1e30 ? (a > 0 ? (@T)1 : (@T)-1) : a / (1 + fabs@f(a));"}},
      {"mod",
       {2, "const @T r = fmod@f(a, b);\n  return r != 0 && (r < 0) != (b < 0) ? r + b : r;"}},
      {"floor_div",
       {2,
        "const @T r = fmod@f(a, b), ratio = a / b, whole = (a - r) / b;\n"
        "  const @T q = rint@f(r != 0 && (r < 0) != (b < 0) ? whole - 1 : whole);\n"
        "  return b == 0 ? ratio : (q == 0 ? 0 * ratio : q);"}},
      // Of integers: they wrap around, and nothing traps.
      {"add_int", {2, "return (int64_t)((uint64_t)a + (uint64_t)b);"}},
      {"sub_int", {2, "return (int64_t)((uint64_t)a - (uint64_t)b);"}},
      {"mul_int", {2, "return (int64_t)((uint64_t)a * (uint64_t)b);"}},
      {"mod_int",
       {2,
        "int64_t r;\n  if (b == 0 || b == -1) return 0;\n  r = a % b;\n"
        "  return r != 0 && (r < 0) != (b < 0) ? r + b : r;"}},
      {"floor_div_int",
       {2,
        "if (b == 0) return 0;\n  if (b == -1) return (int64_t)(0 - (uint64_t)a);\n"
        "  return a / b - (a % b != 0 && (a < 0) != (b < 0));"}},
      {"maximum_int", {2, "return a > b ? a : b;"}},
      {"minimum_int", {2, "return a < b ? a : b;"}},
      // The order of n elements, by a heap of which the root comes last: NaN behind all, the first
      // of equal ones in front.
      {"later",
       {0,
        "static int @N(@T a, int64_t i, @T b, int64_t j, int descending) {\n"
        "  const int missing = @I(a), other = @I(b);\n"
        "  if (missing != other) return descending ? other : missing;\n"
        "  if (a < b || a > b) return (a > b) != descending;\n"
        "  return i > j;\n}\n\n"}},
      {"sort",
       {0,
        "static void @N(const @T *x, int64_t stride, int64_t n, int descending, int64_t *order) "
        "{\n"
        "  for (int64_t k = 0; k < n; ++k) order[k] = k;\n"
        "  for (int64_t begin = n / 2, end = n; end > 1;) {\n"
        "    int64_t at = 0, moved;\n"
        "    if (begin > 0) {\n      at = --begin;\n    } else {\n"
        "      moved = order[--end];\n      order[end] = order[0];\n      order[0] = moved;\n"
        "    }\n"
        "    moved = order[at];\n"
        "    for (int64_t child = 2 * at + 1; child < end; child = 2 * at + 1) {\n"
        "      if (child + 1 < end && cinch_later_@s(x[order[child + 1] * stride], order[child + "
        "1],\n          x[order[child] * stride], order[child], descending)) ++child;\n"
        "      if (!cinch_later_@s(x[order[child] * stride], order[child], x[moved * stride], "
        "moved, descending)) break;\n"
        "      order[at] = order[child];\n      at = child;\n    }\n"
        "    order[at] = moved;\n  }\n}\n\n",
        {"later"}}},
      {"whole",  // From a double; what int64 does not hold, as on x86.
       {1,
        "return a >= -9223372036854775808.0 && a < 9223372036854775808.0 ? (int64_t)a : "
        "INT64_MIN;"}},
  };
  return all;
}

/// Formulas of floats: $0 and $1 are the operands; a name in parentheses is one of the functions
/// above.
const std::map<std::string_view, std::string_view>& float_formulas() {
  static const auto& all = *new std::map<std::string_view, std::string_view>{
      {"add", "$0 + $1"},
      {"sub", "$0 - $1"},
      {"mul", "$0 * $1"},
      {"div", "$0 / $1"},
      {"final_div", "$0 / $1"},
      {"neg", "-$0"},
      {"square", "$0 * $0"},
      {"sqrt", "sqrt@f($0)"},
      {"length", "sqrt@f($0)"},
      {"logit", "!logit"},
      {"abs", "fabs@f($0)"},
      {"floor", "floor@f($0)"},
      {"ceil", "ceil@f($0)"},
      {"round", "rint@f($0)"},
      {"trunc", "trunc@f($0)"},
      {"pow", "pow@f($0, $1)"},
      {"exp", "exp@f($0)"},
      {"expm1", "expm1@f($0)"},
      {"log", "log@f($0)"},
      {"final_log", "log@f($0)"},
      {"log1p", "log1p@f($0)"},
      {"sin", "sin@f($0)"},
      {"cos", "cos@f($0)"},
      {"tan", "tan@f($0)"},
      {"sinh", "sinh@f($0)"},
      {"cosh", "cosh@f($0)"},
      {"tanh", "tanh@f($0)"},
      {"arcsin", "asin@f($0)"},
      {"arccos", "acos@f($0)"},
      {"arctan", "atan@f($0)"},
      {"arctan2", "atan2@f($0, $1)"},
      {"arcsinh", "asinh@f($0)"},
      {"arccosh", "acosh@f($0)"},
      {"arctanh", "atanh@f($0)"},
      {"hypot", "hypot@f($0, $1)"},
      {"exp2", "exp2@f($0)"},
      {"log2", "log2@f($0)"},
      {"log10", "log10@f($0)"},
      {"erf", "erf@f($0)"},
      {"erfc", "erfc@f($0)"},
      {"relu", "$0 < 0 ? 0 : $0"},
      {"one_minus_square", "(1 - $0) * (1 + $0)"},
      {"is_nan", "$0 != $0"},
  };
  return all;
}

/// Of integers, and of bools where these have one.
const std::map<std::string_view, std::string_view>& integer_formulas() {
  static const auto& all = *new std::map<std::string_view, std::string_view>{
      {"add", "!add_int"},
      {"sub", "!sub_int"},
      {"mul", "!mul_int"},
      {"mod", "!mod_int"},
      {"maximum", "!maximum_int"},
      {"minimum", "!minimum_int"},
      {"floor_div", "!floor_div_int"},
      {"neg", "(int64_t)(0 - (uint64_t)$0)"},
      {"square", "(int64_t)((uint64_t)$0 * (uint64_t)$0)"},
      {"abs", "$0 < 0 ? (int64_t)(0 - (uint64_t)$0) : $0"},
      {"sign", "($0 > 0) - ($0 < 0)"},
      {"relu", "$0 < 0 ? 0 : $0"},
  };
  return all;
}

/// Of any type.
const std::map<std::string_view, std::string_view>& common_formulas() {
  static const auto& all = *new std::map<std::string_view, std::string_view>{
      {"equal", "$0 == $1"},      {"not_equal", "$0 != $1"},  {"less", "$0 < $1"},
      {"less_equal", "$0 <= $1"}, {"logical_and", "$0 & $1"}, {"logical_or", "$0 | $1"},
      {"logical_not", "!$0"},     {"switch", "$0 ? $1 : $2"}, {"copy", "$0"},
      {"stop_gradient", "$0"},    {"observed", "$0"},         {"checked_parameter", "$0"},
  };
  return all;
}

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string math_suffix(DType dtype) { return dtype == DType::float32 ? "f" : ""; }

}  // namespace

std::string c_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float";
    case DType::float64:
      return "double";
    case DType::int64:
      return "int64_t";
    case DType::bool_:
      return "unsigned char";
    case DType::uint8:
    case DType::float16:
    case DType::bfloat16:
      break;
  }
  throw TypeError(
      text(dtype, " has no counterpart in C: write the function of the float32 tensor"));
}

std::string c_suffix(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "f32";
    case DType::float64:
      return "f64";
    case DType::int64:
      return "i64";
    case DType::bool_:
      return "b8";
    case DType::uint8:
    case DType::float16:
    case DType::bfloat16:
      break;
  }
  throw TypeError(
      text(dtype, " has no counterpart in C: write the function of the float32 tensor"));
}

std::int64_t bytes_of(const Type& type) {
  return element_count(type.shape()) * static_cast<std::int64_t>(cinch::size_of(type.dtype));
}

std::string c_number(DType dtype, double value) {
  if (!is_float(dtype)) {
    if (value == -0x1p63) return "INT64_MIN";
    const auto whole = static_cast<long long>(value);
    const bool wide = whole > 2147483647 || whole < -2147483647;
    const std::string digits = std::to_string(whole);
    return wide ? "INT64_C(" + digits + ")" : (whole < 0 ? "(" + digits + ")" : digits);
  }
  const std::string cast = dtype == DType::float32 ? "(float)" : "";
  if (std::isnan(value)) return "(" + cast + "NAN)";
  if (std::isinf(value)) return "(" + cast + (value < 0 ? "-INFINITY)" : "INFINITY)");
  char digits[64];
  for (int precision = 1; precision <= 17; ++precision) {
    std::snprintf(digits, sizeof digits, "%.*g", precision, value);
    double back = 0;
    std::sscanf(digits, "%lf", &back);
    if (dtype == DType::float32 ? static_cast<float>(back) == static_cast<float>(value)
                                : back == value)
      break;
  }
  std::string result = digits;
  if (result.find_first_of(".e") == std::string::npos) result += ".0";
  if (dtype == DType::float32) result += "f";
  return value < 0 || std::signbit(value) ? "(" + result + ")" : result;
}

std::string c_number(const Tensor& value, std::int64_t index) {
  if (value.dtype() != DType::int64) return c_number(value.dtype(), value.at(index));
  const std::int64_t whole = value.data<std::int64_t>()[static_cast<std::size_t>(index)];
  if (whole > 2147483647 || whole < -2147483647)
    return whole == INT64_MIN ? "INT64_MIN" : "INT64_C(" + std::to_string(whole) + ")";
  return whole < 0 ? "(" + std::to_string(whole) + ")" : std::to_string(whole);
}

std::string CFunctions::need(std::string_view function, DType dtype) {
  const Definition& definition = definitions().at(function);
  const std::string name = "cinch_" + std::string(function) + "_" + c_suffix(dtype);
  if (!known_.insert(name).second) return name;
  for (const std::string_view called : definition.calls) need(called, dtype);
  const bool whole = function == "whole";
  std::string text = definition.arity == 0
                         ? std::string(definition.body)
                         : "static @R " + name + "(@T a" + (definition.arity == 2 ? ", @T b" : "") +
                               ") {\n  " + std::string(definition.body) + "\n}\n\n";
  text = replaced(std::move(text), "@N", name);
  text = replaced(std::move(text), "@s", c_suffix(dtype));
  text = replaced(std::move(text), "@I", is_float(dtype) ? "isnan" : "0 * ");
  text = replaced(std::move(text), "@R", whole ? "int64_t" : c_type(dtype));
  text = replaced(std::move(text), "@T", c_type(dtype));
  text_ += replaced(std::move(text), "@f", math_suffix(dtype));
  return name;
}

bool is_trivial(const Op& op) {
  return op.name == "cast" || op.name == "neg" || op.name == "copy" || op.name == "logical_not" ||
         op.name == "stop_gradient" || op.name == "checked_parameter";
}

bool has_formula(const Op& op) {
  return &op == &cast_op || float_formulas().contains(op.name) ||
         integer_formulas().contains(op.name) || common_formulas().contains(op.name) ||
         (definitions().contains(op.name) && op.elementwise());
}

std::string c_formula(const Expr& y, const std::vector<std::string>& operands,
                      CFunctions& functions) {
  const std::string_view op = y.op().name;
  const DType from = y.inputs()[0].dtype(), to = y.dtype();
  if (&y.op() == &cast_op) {
    if (to == DType::bool_) return operands[0] + " != 0";
    if (to == DType::int64 && is_float(from))
      return functions.need("whole", from) + "(" + operands[0] + ")";
    return "(" + c_type(to) + ")" + operands[0];
  }
  std::string formula;
  const auto& own = is_float(from) ? float_formulas() : integer_formulas();
  std::string_view function = op;
  if (const auto common = common_formulas().find(op); common != common_formulas().end()) {
    formula = common->second;
  } else if (const auto found = own.find(op); found != own.end()) {
    formula = found->second;
    if (formula.front() == '!') function = found->second.substr(1), formula.clear();
  }
  if (formula.empty()) {
    formula = functions.need(function, from) + "($0" + (operands.size() > 1 ? ", $1)" : ")");
  }
  formula = replaced(std::move(formula), "@f", math_suffix(from));
  for (std::size_t k = 0; k < operands.size(); ++k)
    formula = replaced(std::move(formula), "$" + std::to_string(k), operands[k]);
  return formula;
}

}  // namespace cinch::exchange
