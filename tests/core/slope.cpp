// Derivatives from values alone.
#include "cinch/core/check/slope.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

using namespace cinch;
using checking::Slope;
using checking::slope_at_zero;

TEST_CASE("a slope is within its error, and the error is small, at any scale") {
  struct Row {
    const char* what;
    double (*f)(double);
    double slope;
    double error;  ///< Largest accepted.
  };
  const Row rows[] = {
      {"exp", [](double t) { return std::exp(t); }, 1, 1e-12},
      {"a large function", [](double t) { return 1e8 * std::sin(1 + t); }, 1e8 * std::cos(1), 1e-4},
      {"a small function", [](double t) { return 1e-8 * std::sin(1 + t); }, 1e-8 * std::cos(1),
       1e-20},
      {"a slow argument", [](double t) { return std::sin(1 + 1e-6 * t); }, 1e-6 * std::cos(1),
       1e-15},
      {"a fast argument", [](double t) { return std::sin(1 + 1.37e7 * t); }, 1.37e7 * std::cos(1),
       1},
      {"a large offset", [](double t) { return 1e8 + std::exp(t); }, 1, 1e-5},
      {"a small difference of large numbers", [](double t) { return (1e8 + std::exp(t)) - 1e8; }, 1,
       1e-5},
      {"beside a pole", [](double t) { return std::log(1e-6 + t); }, 1e6, 1e-2},
      {"a saturated sigmoid", [](double t) { return 1 / (1 + std::exp(-(40 + t))); },
       std::exp(-40.0), 1e-12},
      {"a minimum", [](double t) { return t * t; }, 0, 1e-20},
      {"a constant", [](double) { return 3.0; }, 0, 1e-12},
      {"zero", [](double) { return 0.0; }, 0, 1e-290},
      {"coarse rounding", [](double t) { return std::round(1e9 * std::sin(1 + t)) / 1e9; },
       std::cos(1), 1e-4},
      {"a kink nearby", [](double t) { return std::abs(t + 1e-4) + t; }, 2, 1e-9},
      {"a step nearby", [](double t) { return t + std::floor(10 * (t + 0.0501)); }, 1, 1e-9},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.what));
    const Slope s = slope_at_zero(row.f);
    CAPTURE(s.value);
    CAPTURE(s.error);
    CHECK(std::abs(s.value - row.slope) <= s.error);
    CHECK(s.error <= row.error);
  }
}

TEST_CASE("a slope says where it cannot be told") {
  const auto error = [](double (*f)(double)) { return slope_at_zero(f).error; };
  CHECK(error([](double t) { return std::abs(t); }) > 0.1);
  CHECK(error([](double t) { return std::max(t, 0.0); }) > 0.1);
  CHECK(error([](double t) { return t > 0 ? 1.0 : 0.0; }) > 0.1);
  CHECK(error([](double) { return std::nan(""); }) == std::numeric_limits<double>::infinity());
  CHECK(error([](double t) { return std::sqrt(t); }) == std::numeric_limits<double>::infinity());
}

TEST_CASE("a slope that is good enough costs nine values") {
  int calls = 0;
  const auto f = [&](double t) { return ++calls, std::sin(t); };
  CHECK(std::abs(slope_at_zero(f, 1e-8).value - 1) < 1e-8);
  CHECK(calls == 9);
}
