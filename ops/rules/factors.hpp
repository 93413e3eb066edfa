// Formulas of exponentials read as products: exponentials, sums and differences of two of them,
// values whose logarithm is known, each to a power, and the rest.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cinch/core/expr.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/ops/rules/exponents.hpp"
#include "cinch/ops/rules/normal_tail.hpp"

namespace cinch::exponentials {

struct Power {
  Expr x;
  double k;
  bool counts = false;  ///< It is a number of elements.
};
struct Pair {
  Expr a, b;  ///< An empty b is 0.
  double k;
};
struct Known {
  Expr value, log;
  double k;
  bool grows, vanishes = true;
  std::optional<Tail> tail = {};  ///< What of its logarithm exponents may cancel.
};

/// weight * exp(log), the weight of any sign; an empty log is 0.
struct Addend {
  Expr weight, log;
  bool grows = false, vanishes = false;
};

/// A sum of addends, of which nothing says that it is positive: over axes of `terms`, their
/// logarithms, with `weights` of the same shape, or of a pair of addends.
struct Weighted {
  Expr sum;  ///< As it was written.
  Expr terms = {}, weights = {};
  std::vector<std::int64_t> axes = {};
  std::vector<Addend> pair = {};
  Expr log = {};                 ///< Of each term, before it was repeated to the weights' shape.
  std::vector<Expr> moves = {};  ///< Nodes that move the sum's elements, from the inside out.
  bool grows = false;
  bool ordinary = false;  ///< An addend is none of exponentials: seldom 0, and never large.
  double k = 1;
};

/// What is known of a positive expression.
struct Positive {
  Expr log = {};         ///< Empty: nothing is known.
  bool grows = false;    ///< It may overflow where its logarithm does not,
  bool vanishes = true;  ///< or be 0.
};

/// constant * product of exp(x)^k, (exp(a) + exp(b))^k, (exp(a) - exp(b))^k, values known by their
/// logarithms, and the rest.
struct Product {
  double constant = 1;
  std::vector<Power> exps = {}, rest = {};
  std::vector<Pair> sums = {}, differences = {};
  std::vector<Known> known = {};
  std::vector<Weighted> weighted = {};
  bool divided = false;  ///< By something that overflows or vanishes.
  bool mildly = false;  ///< By what vanishes so late that only another such factor makes it matter.
  bool rooted = false;  ///< A root, or a power that is not whole, was taken of such.
  int growing = 0;      ///< Factors that overflow.

  bool plain() const {
    return exps.empty() && sums.empty() && differences.empty() && known.empty() && weighted.empty();
  }
  bool positive() const {
    const bool known_signs = std::ranges::all_of(rest, [](const Power& x) { return x.counts; });
    return constant > 0 && known_signs && differences.empty() && weighted.empty();
  }
};

/// Reads expressions as products. One for each formula: it looks at so many nodes and no more. One
/// that is made while another one reads, on this thread, looks at what that one has left.
class Reader {
 public:
  Reader();
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Multiplies `e` to the power k into `p`.
  void read(const Expr& e, double k, Product& p, int depth);

  /// Whether `e` has factors that overflow.
  bool grows(const Expr& e);

  /// The logarithm of `e`, where it is known to be positive and in other terms than log(e).
  Positive positive(const Expr& e, int depth);

 private:
  std::optional<Addend> addend(const Expr& e, int depth);
  bool collect(const Expr& e, double sign, int depth, std::vector<Addend>& found);
  std::optional<Weighted> weighted_sum(const Expr& e, int depth);
  std::optional<Weighted> weighted(const Expr& e, int depth);
  std::optional<Weighted> sum_of_terms(const Expr& e, int depth);
  void read_two(const Expr& e, double k, double second, Product& p, int depth);
  void read_power(const Expr& e, const Expr& x, double by, double k, Product& p, int depth);
  bool read_root(const Expr& x, double k, Product& p, int depth);
  bool sign_known(const Expr& e, int depth);
  bool read_sum(const Expr& e, double k, Product& p, int depth);
  Positive find(const Expr& e, int depth);
  Positive bounded_sum(const Expr& e, int depth);

  NodeMap<Positive> known_;
  // Nodes to look at: formulas written by hand have fewer, generated ones do not become slow.
  int own_budget_ = 250;
  int& budget_;
};

/// Whether an op puts elements elsewhere and changes none: their logarithm is that of the elements.
bool rearranges(const Op& op);

/// log of what `p` says, empty where that is log of the whole.
Expr log_of(Product p);

/// Each weighted sum of `p` as an exponential, of its largest term, times what is left, which
/// neither overflows nor vanishes unless terms cancel.
void shift_weighted(Product& p);

/// The factors of `rest` as one expression; empty if there are none.
Expr product_of(const std::vector<Power>& rest);

/// log of the exponentials, sums and known values of `p`.
Expr log_of_factors(const Product& p);

/// Sum of the exponents, as they are written and as multiples of terms.
Expr exponent_of(const std::vector<Power>& exps);
Linear linear_of(const std::vector<Power>& exps);

/// Sums that differ by an exponential are one; differences become sums times a hyperbolic
/// tangent.
void gather(Product& p);

/// exp(left a + right b) / (exp(a) + exp(b))^(left + right) is sigmoid(a - b)^left
/// sigmoid(b - a)^right.
struct Shares {
  double left, right;
};

/// What of `exponent` the sum takes up, leaving fewer terms: exp(left a + right b) with left +
/// right = k, both at least 0.
std::optional<Shares> take_up(const Pair& sum, Linear& exponent);

}  // namespace cinch::exponentials
