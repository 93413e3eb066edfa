// An update of which each rank makes the rows of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cinch/core/function.hpp"
#include "cinch/core/graph.hpp"
#include "cinch/core/shared.hpp"
#include "cinch/train/parallel/parts.hpp"

namespace cinch::parallel {

/// Which of so many ranks this is.
struct Rank {
  int rank = 0, ranks = 1;
};

/// Whether a sum, or a variable, of this shape is dealt out by rows.
bool has_slices(const Shape& shape);
/// The rows of `rows` that a rank has of it.
PartRange slice_of(std::int64_t rows, Rank rank);

/// The same in bytes of a tensor.
struct ByteRange {
  std::size_t begin, count;
};
ByteRange slice_of(const Tensor& whole, Rank rank);

/// The functions of an update. All take what the whole update takes, sums of all parts among it,
/// and behind these, but for `norms`, what `norms` gives, of all rows.
struct SlicedUpdate {
  /// A variable whose new values the ranks compute by rows.
  struct Own {
    Shared variable;
    Shared slice;  ///< This rank's rows, which `own` updates.
    /// Whether nothing but its own update reads it: then the slice goes on from step to step, and
    /// the others' rows are fetched when somebody asks for them.
    bool is_kept;
  };
  /// Sums along all axes but the first of this rank's rows, of what is summed whole in the update,
  /// as the norm of a gradient: added up once all ranks have all of them, they have the same bits
  /// for any number of ranks.
  Function norms;
  std::vector<Tensor> norm_values;  ///< Dtypes and sizes, of all rows.
  Function own;                     ///< First; the others do not read what it updates.
  bool has_own = false;
  std::vector<Own> owned;         ///< None on a single rank, whose rows are all.
  Function rest;                  ///< Outputs, and what each rank updates whole; last.
  std::vector<bool> needs_whole;  ///< Of each sum, whether all rows are needed on every rank.
};

/// What an update is made of.
struct WholeUpdate {
  std::vector<Expr> inputs, sums;  ///< `sums` are among the inputs.
  std::vector<Expr> roots;         ///< Outputs, then new values.
  std::size_t output_count = 0;
  std::vector<Shared> targets;
  std::vector<Expr> read_before;  ///< What else the step computes, before.
  std::string name;
  /// A specification without outputs and updates.
  std::function<FunctionSpec(std::vector<Expr> inputs, std::string name)> spec;
};

/// By what the formula does: where each row of a new value depends on no other rows of large
/// variables and sums, but by what is summed over all of them, a rank computes its own. Without
/// `slices` all is computed whole.
SlicedUpdate sliced(const WholeUpdate& update, Rank rank, bool slices);

}  // namespace cinch::parallel
