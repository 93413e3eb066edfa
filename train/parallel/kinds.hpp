// What each node of a step's formula is, seen from a part of the minibatch's rows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "cinch/core/derive/examples.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// What a node is, seen from a part of the rows.
enum class Kind : std::uint8_t {
  same,     ///< For all parts, and for the whole.
  size,     ///< An integer made of the number of rows: the part's where it is a size, else that of
            ///< the whole minibatch, as in a mean.
  local,    ///< Has an axis of the part's rows.
  sum,      ///< A sum over the rows, of which each part knows its own.
  extreme,  ///< The largest or smallest of the rows, likewise.
  blocked,  ///< Needs such a sum, whole.
};

/// The kinds of all nodes of a formula, up to the first sums over rows.
class Kinds {
 public:
  /// `rows` are the variables that have a row for each of the `examples` of a part. Throws
  /// TypeError, in the name of `what`, with the user's line, where parts cannot be computed apart.
  Kinds(const char* what, std::span<const Expr> roots,
        std::span<const deriving::Separation::Given> rows, const deriving::Count& examples);

  Kind of(const Expr& node) const { return kinds_.at(node.get()); }
  /// Where the part's rows stand in a node of Kind::local.
  deriving::Place place(const Expr& node) const { return all_.place(node); }
  /// Whether the part's own rows get into `node` by input k: as rows, or as a size.
  bool is_local_operand(const Expr& node, std::size_t k) const;
  /// Notes that all that `roots` are made of is the same for all parts, where it is not known.
  void note_same(std::span<const Expr> roots);

  /// Sums and extremes over the rows that other nodes, or roots, need whole, in the order of the
  /// formula; empty where all roots are the same for all parts.
  const std::vector<Expr>& needed() const { return needed_; }
  /// How one of these is put together from those of parts.
  Combine how(const Expr& needed) const;
  /// Of Kind::size, a size() itself: how many there are of each example; null where that is not
  /// known.
  const deriving::Count* of_each_example(const Expr& size) const;
  /// Of Kind::same: the number that a size is, where only the sizes of rows make it known.
  const Expr* number(const Expr& node) const;

  /// A node that is of no kind, which the same of simpler ops may be: nothing else holds then.
  struct Replacement {
    Expr node, by;
  };
  const std::optional<Replacement>& replacement() const { return replacement_; }

 private:
  /// What a variable of a loop's step stands for.
  struct StepVariable {
    deriving::Separation::Given given;
    Kind kind;
    bool counts;  ///< Numbers rows.
  };
  /// The same of a step of a loop whose node is of `around`.
  Kinds(const Kinds& around, std::span<const Expr> roots, std::span<const StepVariable> variables,
        std::span<const deriving::Separation::Given> given);

  void follow(std::span<const Expr> nodes);
  void require_alone(std::span<const Expr> roots) const;
  Kind kind_of(const Expr& node);
  Kind kind_of_local(const Expr& node, const std::vector<bool>& local, bool counts);
  Kind kind_of_size(const Expr& node);
  Kind kind_of_loop(const Expr& node);
  Kind kind_with_sums(const Expr& node, bool any_local);
  std::int64_t row_axes(const Expr& node) const;
  [[noreturn]] void refuse_mixing(const Expr& node) const;

  const char* what_;
  deriving::Count examples_;
  deriving::Separation all_;
  NodeMap<Kind> kinds_;
  NodeMap<deriving::Count> counts_;
  NodeMap<Expr> numbers_;
  NodeMap<Combine> extremes_;
  NodeSet counting_;                                // Integers that number rows.
  std::unordered_set<std::int64_t> known_symbols_;  // Sizes of what is the same for all parts.
  std::vector<Expr> needed_;
  std::optional<Replacement> replacement_;
};

}  // namespace cinch::parallel
