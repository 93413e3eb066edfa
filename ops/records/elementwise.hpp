// How an elementwise op's record is made from its formula.
#pragma once

#include <cmath>
#include <memory>

#include "cinch/core/op.hpp"
#include "cinch/ops/kernels/formulas.hpp"
#include "cinch/ops/kernels/kernels.hpp"

namespace cinch::records {

/// The elementary functions of <cmath>: what the reference path runs formulas with.
struct ExactMath {
  template <class T>
  using Wider = std::conditional_t<sizeof(T) == 4, double, long double>;

  template <class T>
  static T exp(T x) {
    return std::exp(x);
  }
  template <class T>
  static T expm1(T x) {
    return std::expm1(x);
  }
  template <class T>
  static T log(T x) {
    return std::log(x);
  }
  template <class T>
  static T log1p(T x) {
    return std::log1p(x);
  }
  template <class T>
  static T log1p_of_fraction(T x) {
    return std::log1p(x);
  }
  template <class T>
  static T tanh(T x) {
    return std::tanh(x);
  }
  template <class T>
  static T sqrt(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static T abs(T x) {
    return std::abs(x);
  }
  template <class T>
  static T floor(T x) {
    return std::floor(x);
  }
  template <class T>
  static T ceil(T x) {
    return std::ceil(x);
  }
  template <class T>
  static T round(T x) {
    return std::nearbyint(x);
  }
  template <class T>
  static T fmod(T x, T y) {
    return std::fmod(x, y);
  }
  template <class T>
  static T pow(T x, T y) {
    return std::pow(x, y);
  }
  template <class T>
  static T sin(T x) {
    return std::sin(x);
  }
  template <class T>
  static T cos(T x) {
    return std::cos(x);
  }
  template <class T>
  static T tan(T x) {
    return std::tan(x);
  }
  template <class T>
  static T sinh(T x) {
    return std::sinh(x);
  }
  template <class T>
  static T cosh(T x) {
    return std::cosh(x);
  }
  template <class T>
  static T asin(T x) {
    return std::asin(x);
  }
  template <class T>
  static T acos(T x) {
    return std::acos(x);
  }
  template <class T>
  static T atan(T x) {
    return std::atan(x);
  }
  template <class T>
  static T asinh(T x) {
    return std::asinh(x);
  }
  template <class T>
  static T acosh(T x) {
    return std::acosh(x);
  }
  template <class T>
  static T atanh(T x) {
    return std::atanh(x);
  }
  template <class T>
  static T erf(T x) {
    return std::erf(x);
  }
  template <class T>
  static T erfc(T x) {
    return std::erfc(x);
  }
  template <class T>
  static T normal_cdf(T x) {
    return static_cast<T>(std::erfc(Wider<T>(x) * -Wider<T>(0.70710678118654752440L)) / 2);
  }
  template <class T>
  static T exp_of_product(T x, T y) {
    return static_cast<T>(std::exp(Wider<T>(x) * y));
  }
  template <class T>
  static T exp2(T x) {
    return std::exp2(x);
  }
  template <class T>
  static T log2(T x) {
    return std::log2(x);
  }
  template <class T>
  static T log10(T x) {
    return std::log10(x);
  }
  template <class T>
  static T trunc(T x) {
    return std::trunc(x);
  }
  template <class T>
  static T atan2(T x, T y) {
    return std::atan2(x, y);
  }
  template <class T>
  static T hypot(T x, T y) {
    return std::hypot(x, y);
  }
};

/// One application of a formula to single elements, for each dtype it is made for.
struct ScalarFunctions {
  void (*run[simd::dtype_count])(void* out, const void* const* in);
  bool to_bool;  ///< The result is bool whatever the operands are.
};

/// The formula over broadcast operands, by xtensor.
Tensor elementwise_reference(const ScalarFunctions& f, Values in);

/// Result type of an elementwise op: sizes broadcast, dtype of the last operand.
Type broadcast_type(Args x, const Attrs&);
/// The same as bool.
Type broadcast_bool_type(Args x, const Attrs&);

template <class F, class T>
constexpr auto scalar_function() -> void (*)(void*, const void* const*) {
  if constexpr (!formula::in_domain<T, F::domain>) {
    return nullptr;
  } else if constexpr (F::arity == 1) {
    return [](void* out, const void* const* in) {
      const auto r = F::template f<ExactMath>(*static_cast<const T*>(in[0]));
      *static_cast<std::remove_const_t<decltype(r)>*>(out) = r;
    };
  } else {
    return [](void* out, const void* const* in) {
      const auto r =
          F::template f<ExactMath>(*static_cast<const T*>(in[0]), *static_cast<const T*>(in[1]));
      *static_cast<std::remove_const_t<decltype(r)>*>(out) = r;
    };
  }
}

template <class F>
constexpr bool gives_bool() {
  using T = std::conditional_t<F::domain == formula::Domain::boolean, bool, double>;
  if constexpr (F::arity == 1) {
    return std::is_same_v<decltype(F::template f<ExactMath>(T())), bool>;
  } else {
    return std::is_same_v<decltype(F::template f<ExactMath>(T(), T())), bool>;
  }
}

template <class F>
inline constexpr ScalarFunctions scalar_functions{
    {scalar_function<F, bool>(), scalar_function<F, std::int64_t>(), scalar_function<F, float>(),
     scalar_function<F, double>()},
    gives_bool<F>()};

/// `op`, which says its name, gradient and rules, completed with everything that follows from its
/// formula.
template <class F>
constexpr Op elementwise(Op op) {
  op.type = gives_bool<F>() ? broadcast_bool_type : broadcast_type;
  op.reference = [](Values in, const Attrs&) {
    return elementwise_reference(scalar_functions<F>, in);
  };
  // Made anew: clang 14 cannot assign to a variant of the library of g++ 12 in a constant.
  std::construct_at(&op.runs, Elementwise{[](DType in, DType) {
    return simd::kernels().elementwise[formula::formula_index<F>()][static_cast<std::size_t>(in)];
  }});
  op.operands = F::domain == formula::Domain::real      ? Operands::real
                : F::domain == formula::Domain::number  ? Operands::numeric
                : F::domain == formula::Domain::boolean ? Operands::boolean
                                                        : Operands::any;
  op.arity = F::arity;
  return op;
}

/// `op`, which says its name and gradient, of the value of its first operand: the others are what
/// the gradient goes by.
constexpr Op first_operand(Op op) {
  op = elementwise<formula::Identity>(op);
  op.type = [](Args x, const Attrs&) { return x[0].type(); };
  op.reference = [](Values in, const Attrs&) { return *in[0]; };
  op.expand = [](const Expr& y) { return y.inputs()[0]; };
  op.operands = Operands::as_given;
  return op;
}

}  // namespace cinch::records
