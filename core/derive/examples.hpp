// Which example each element of a graph belongs to: what makes a Jacobian one for each example.
//
// An example is one position along the first axis of some x. Examples stay apart in y where every
// element depends on the x of one example only. That is followed forward, op by op: where in a
// tensor the examples stand, through products that are folded into one axis and indices that are
// computed, with sizes known or not. Where x has a single example nothing can mix, so every size is
// that of two examples or more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cinch/core/graph.hpp"
#include "cinch/core/op.hpp"

namespace cinch::deriving {

/// A number of elements: a known factor times sizes that are not known yet, each a symbol.
class Count {
 public:
  Count(std::int64_t factor = 1) : factor_(factor) {}
  static Count symbol(std::int64_t number);

  friend Count operator*(const Count& a, const Count& b);
  /// What times `other` is this, whatever the symbols stand for; nothing where that is not sure.
  std::optional<Count> over(const Count& other) const;
  /// Surely not 1, where `examples` is 2 or more.
  bool is_several(const Count& examples) const;
  std::int64_t factor() const { return factor_; }
  const std::vector<std::int64_t>& symbols() const { return symbols_; }
  /// All that there is to it, as numbers.
  void append_to(std::vector<std::int64_t>& key) const;
  friend bool operator==(const Count&, const Count&) = default;

 private:
  std::int64_t factor_;
  std::vector<std::int64_t> symbols_;  // Ascending.
};

/// Where the examples of a tensor stand: position (o * n + e) * inner + i of an axis belongs to
/// example e of n, for o < outer and i < inner.
struct Place {
  std::int64_t axis = -1;  ///< -1: nowhere, the tensor does not depend on examples.
  Count outer = {}, inner = {};

  bool found() const { return axis >= 0; }
  friend bool operator==(const Place&, const Place&) = default;
};

/// A part of an integer that is a sum of such parts: `weight` times a number in [0, range). Where
/// `place` is found, that number is the one of the example that stands there.
struct Digit {
  Count weight, range;
  Place place = {};
};

class Separation;

/// What an op's rules see: its result and what is known of its inputs.
class Flow {
 public:
  const Expr& y;
  Count examples;  ///< How many there are.

  Args inputs() const { return y.inputs(); }
  /// Of input i.
  const Place& place(std::size_t i) const { return places_[i]; }
  const std::vector<Digit>& digits(std::size_t i) const;
  /// Sizes of y and of its inputs; `axis` >= 0.
  Count size(const Expr& x, std::int64_t axis) const;
  /// The value of an int64 scalar that is an input.
  Count value(const Expr& scalar) const;

 private:
  friend class Separation;
  friend Place followed(const Expr&, const Expr&, const Place&, const Flow&,
                        std::span<const std::pair<Expr, Expr>>);
  Flow(const Expr& node, Count n, std::vector<Place> places, const Separation& all)
      : y(node), examples(std::move(n)), places_(std::move(places)), all_(&all) {}

  std::vector<Place> places_;
  const Separation* all_;
};

/// The digit of `digits` of this weight and range that counts examples, if the others leave it
/// alone: those below add up to less than `weight`, those above are multiples of weight * range.
const Digit* counting_digit(const std::vector<Digit>& digits, const Count& weight,
                            const Count& range);

/// Where the examples that stand at `place` of input i, an index tensor, stand along an axis of n
/// elements that the indices say: axis 0 of the place, which is nowhere unless every index says an
/// element that is its own example's.
Place counted_rows(const Flow& flow, std::size_t i, const Place& place, const Count& n);

/// Where the examples that stand at `place` of `x` stand in `y`, a formula in variables of its own:
/// x and the others, each with a node of the flow that has its sizes. Nowhere where they mix or y
/// does not depend on x.
Place followed(const Expr& y, const Expr& x, const Place& place, const Flow& flow,
               std::span<const std::pair<Expr, Expr>> stand_ins);

/// The examples of x, followed up to y.
class Separation {
 public:
  Separation(const Expr& y, const Expr& x);

  /// A variable of which it is known where examples stand, if anywhere, and what its sizes are.
  struct Given {
    Expr x;
    Place place;
    std::vector<Count> sizes;
  };
  /// The same of several variables of a formula that is part of another one.
  Separation(std::span<const Expr> roots, std::span<const Given> given, const Count& examples);

  /// The first op that mixes examples of what y is made of; empty if they stay apart.
  Expr mixing() const { return mixing(y_); }
  Expr mixing(const Expr& root) const;
  /// Where they stand in y. Only where nothing mixes.
  Place in_result() const { return place(y_); }
  Place place(const Expr& root) const;
  /// Of a node that was followed; `axis` >= 0.
  const Count& size(const Expr& node, std::int64_t axis) const {
    return sizes_.at(node.get())[static_cast<std::size_t>(axis)];
  }

 private:
  friend class Flow;
  friend Place followed(const Expr&, const Expr&, const Place&, const Flow&,
                        std::span<const std::pair<Expr, Expr>>);
  void visit(const Expr& node);
  std::vector<Count> sizes_of(const Expr& node);
  Count size_of_result(const Expr& node, std::int64_t axis);
  Count joined(const Expr& node, std::int64_t axis);
  Count one_of(std::span<const Count> sizes);
  bool is_joined(const Expr& node, std::span<const Count> values) const;
  Count ruled(const Expr& node, Dim dim);
  Count value_of(const Expr& node);
  Place place_of(const Expr& node);
  Place moved(const Expr& node, std::vector<Place> places, const Count& n) const;
  std::vector<Digit> digits_of(const Expr& node);
  std::vector<Digit> sum_of_digits(const Expr& node) const;
  Count symbol_for(std::vector<std::int64_t> key);

  Expr y_;
  const Node* x_ = nullptr;
  Count examples_;
  NodeMap<std::vector<Count>> sizes_;
  NodeMap<Count> values_;               // Of int64 and bool scalars.
  NodeMap<Place> places_;               // Of nodes that depend on examples, which stay apart.
  NodeMap<Expr> mixed_;                 // Where they do not, by which op.
  NodeMap<std::vector<Digit>> digits_;  // Of integers.
  std::map<std::vector<std::int64_t>, Count> symbols_;
  std::vector<Expr> alive_;  // Addresses are keys: none may be used again.
  NodeSet known_;
  std::unordered_set<std::int64_t> size_symbols_;  // Those that cannot be negative.
};

}  // namespace cinch::deriving
