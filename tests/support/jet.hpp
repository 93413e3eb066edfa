// Functions of one number with their first derivatives, in long double: what tests compute next to
// Cinch, by formulas that neither overflow nor cancel.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "cinch/cinch.hpp"

namespace cinch::testing {

using Real = long double;
constexpr int orders = 4;

/// A function of one number by its value and derivatives / k! to third order.
struct Jet {
  Real c[orders] = {};
};

inline Jet constant_jet(Real value) { return {{value}}; }
inline Jet line(Real slope, Real x, Real offset) { return {{slope * x + offset, slope}}; }
inline Jet combine(const Jet& a, Real k, const Jet& b) {
  Jet y;
  for (int i = 0; i < orders; ++i) y.c[i] = a.c[i] + k * b.c[i];
  return y;
}
inline Jet scaled(Real k, const Jet& a) { return combine({}, k, a); }
inline Jet product(const Jet& a, const Jet& b) {
  Jet y;
  for (int i = 0; i < orders; ++i) {
    for (int j = 0; j <= i; ++j) y.c[i] += a.c[j] * b.c[i - j];
  }
  return y;
}
inline Jet exp_of(const Jet& a) {
  Jet y = constant_jet(std::exp(a.c[0]));
  for (int k = 1; k < orders; ++k) {
    for (int j = 1; j <= k; ++j) y.c[k] += static_cast<Real>(j) / k * a.c[j] * y.c[k - j];
  }
  return y;
}
inline Jet log_of(const Jet& a) {
  Jet y = constant_jet(std::log(a.c[0]));
  for (int k = 1; k < orders; ++k) {
    Real rest = a.c[k];
    for (int j = 1; j < k; ++j) rest -= static_cast<Real>(j) / k * y.c[j] * a.c[k - j];
    y.c[k] = rest / a.c[0];
  }
  return y;
}
/// log of the sum of what has these logarithms.
inline Jet log_sum(const std::vector<Jet>& logs) {
  std::size_t most = 0;
  for (std::size_t k = 1; k < logs.size(); ++k) most = logs[k].c[0] > logs[most].c[0] ? k : most;
  const Real shift = logs[most].c[0];
  Jet rest;  // The largest one is 1 and some slopes.
  for (std::size_t k = 0; k < logs.size(); ++k) {
    Jet share = exp_of(combine(logs[k], -shift, constant_jet(1)));
    if (k == most) share.c[0] = 0;
    rest = combine(rest, 1, share);
  }
  Jet result = log_of(combine(rest, 1, constant_jet(1)));
  result.c[0] = shift + std::log1p(rest.c[0]);
  return result;
}
inline Jet log_sigmoid(const Jet& a) {
  return scaled(-1, log_sum({constant_jet(0), scaled(-1, a)}));
}
inline Jet log_cosh_of(const Jet& a) {
  return combine(log_sum({a, scaled(-1, a)}), -std::log(Real(2)), constant_jet(1));
}

/// y, y', y'', y''' of a function of each element of x, as many as asked for.
inline std::vector<Expr> derivatives(const Expr& y, const Expr& x, int count) {
  std::vector<Expr> result{y};
  for (int k = 1; k < count; ++k)
    result.push_back(grad(sum(result.back()), {x}, {.disconnected = Disconnected::zero})[0]);
  return result;
}

}  // namespace cinch::testing
