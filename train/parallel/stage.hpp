// What the parts of a minibatch compute of their rows: sums over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/ops/linalg/parts.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// Of a minibatch of `rows` rows, cut into `parts`, those that a rank computes.
struct Share {
  std::int64_t rows, parts;
  PartRange own;  ///< At least one.
  /// The arguments of a stage's functions for rows `held` of the data, counted within the
  /// minibatch, and what is computed of `meant`, some of these. In this order: the rows of each
  /// tensor of the data, or, where the step holds its data itself, the number of the minibatch; the
  /// minibatch's number of rows; the first of `meant` and their number; the states of random draws;
  /// the sums of the stages before. Valid until the next call.
  std::function<std::span<const Tensor* const>(PartRows held, PartRows meant)> arguments;

  PartRows rows_of(PartRange range) const;
};

/// How a part computes its sums: what rows decide each for itself first, then sums of that.
class Stage {
 public:
  /// A value of the rows: a tensor of the data, or one that is computed.
  struct Rows {
    bool of_data;
    std::size_t index;
  };
  /// A sum of products a' b of such.
  struct Products {
    struct Term {
      Rows a, b;
      bool negative;
    };
    DType dtype;
    Shape shape;
    std::vector<Term> terms;
  };
  struct Functions {
    /// New values of `kept` are what rows decide; a function of no updates where that is nothing.
    Function rows;
    std::vector<Shared> kept;
    /// Outputs and then the new values of `slots` are a part's sums. After the arguments it takes,
    /// where `reads_kept`, the part's first row among those held and what is kept.
    Function part;
    std::vector<Shared> slots;
    std::size_t outputs = 0;
    bool reads_kept = false;
    std::vector<Products> products = {};
  };
  Stage(Functions functions, std::vector<Combine> how);

  /// Computes what the rows of the share decide. It has to live as long as sums of it are asked
  /// for.
  void begin(const Share& share);
  /// A part's sums but for the products, of the same dtypes and sizes for every part; what `result`
  /// has of these is written over.
  void compute(std::int64_t part, std::vector<Tensor>& result);
  std::size_t other_count() const { return outputs_.size() + f_.slots.size(); }
  /// Behind these are the products.
  std::size_t product_count() const { return f_.products.size(); }
  /// Of product k, these rows of the sum over several parts along their tree; what `result` has of
  /// them is written over.
  void multiply(std::size_t k, PartRange range, PartRange rows, Tensor& result);
  /// Whether some rows of product k, over these parts, may be computed before others.
  bool has_rows_apart(std::size_t k, PartRange range) const;
  /// How each is put together with those of other parts.
  const std::vector<Combine>& how() const { return how_; }

 private:
  /// Whether rows of several parts, computed at once, have the bits of each part alone, as far as
  /// is known.
  struct Agreement {
    bool holds = true;
    std::int64_t minibatches = 0;
    std::vector<std::int64_t> rows;  ///< That were compared, of each value that is kept.
  };

  void compute_rows(PartRange range);
  void compute_rows_apart();
  void compare_together(Agreement& agreement);
  bool is_known(const Agreement& agreement) const;
  std::vector<blas::PartsTerm> terms_of(std::size_t k, PartRange range) const;

  Functions f_;
  std::vector<Tensor> outputs_;
  std::vector<Combine> how_;
  const Share* share_ = nullptr;
  std::vector<Tensor> kept_;                    // Of the share's rows.
  std::map<std::int64_t, Agreement> together_;  // By the number of the minibatch's rows.
};

}  // namespace cinch::parallel
