#include "cinch/train/parallel/stage.hpp"

#include <cstring>
#include <utility>

#include "cinch/core/graph/shared_state.hpp"
#include "cinch/core/run/row_parts.hpp"

namespace cinch::parallel {

namespace {

Tensor& value(const Shared& variable) { return variable.attrs().state->value; }

/// Where each part of a range ends, counted from its first row.
std::vector<std::int64_t> ends_of(const Share& share, PartRange range) {
  std::vector<std::int64_t> result;
  const std::int64_t from = share.rows_of(range).first;
  for (std::int64_t part = range.begin; part < range.end; ++part) {
    const PartRows rows = part_rows(share.rows, share.parts, part);
    result.push_back(rows.first + rows.count - from);
  }
  return result;
}

std::size_t row_bytes(const Tensor& t) {
  return t.shape()[0] == 0 ? 0 : t.bytes() / static_cast<std::size_t>(t.shape()[0]);
}

}  // namespace

PartRows Share::rows_of(PartRange range) const {
  const PartRows first = part_rows(rows, parts, range.begin),
                 last = part_rows(rows, parts, range.end - 1);
  return {first.first, last.first + last.count - first.first};
}

Stage::Stage(Functions functions, std::vector<Combine> how)
    : f_(std::move(functions)), outputs_(f_.outputs), how_(std::move(how)) {
  // They take the variables' places, which have rows.
  for (const Shared& kept : f_.kept) kept_.push_back(value(kept));
}

void Stage::begin(const Share& share) {
  share_ = &share;
  if (f_.kept.empty()) return;
  Agreement alone;
  const bool one = share.own.end - share.own.begin == 1;
  Agreement& agreement = one ? alone : together_[share.rows];
  if (!one && agreement.holds && !is_known(agreement)) return compare_together(agreement);
  if (agreement.holds) {
    compute_rows(share.own);
    for (std::size_t k = 0; k < kept_.size(); ++k) std::swap(kept_[k], value(f_.kept[k]));
  } else {
    compute_rows_apart();
  }
}

/// A formula that is planned otherwise for more rows may round one element in some hundreds
/// otherwise: that few are equal proves nothing.
bool Stage::is_known(const Agreement& agreement) const {
  constexpr std::int64_t of_vectors = 1 << 11, of_matrices = 1 << 15;
  if (agreement.minibatches < 2) return false;
  for (std::size_t k = 0; k < kept_.size(); ++k) {
    const Shape& shape = kept_[k].shape();
    const std::int64_t width = shape.size() > 1 ? shape[1] : 1;
    if (width > 0 && agreement.rows[k] * width < (width > 1 ? of_matrices : of_vectors))
      return false;
  }
  return true;
}

void Stage::compute_rows(PartRange range) {
  const PartRows rows = share_->rows_of(range);
  const std::vector<std::int64_t> ends = ends_of(*share_, range);
  const running::RowParts parts(share_->rows, ends);
  std::vector<Tensor> none;
  f_.rows.call(share_->arguments(rows, rows), none);
}

void Stage::compute_rows_apart() {
  const PartRows all = share_->rows_of(share_->own);
  for (std::int64_t part = share_->own.begin; part < share_->own.end; ++part) {
    compute_rows({part, part + 1});
    const std::int64_t at = part_rows(share_->rows, share_->parts, part).first - all.first;
    for (std::size_t k = 0; k < kept_.size(); ++k) {
      const Tensor& own = value(f_.kept[k]);
      Shape shape = own.shape();
      shape[0] = all.count;
      if (kept_[k].dtype() != own.dtype() || kept_[k].shape() != shape)
        kept_[k] = Tensor(own.dtype(), shape);
      std::memcpy(
          static_cast<std::byte*>(kept_[k].raw()) + static_cast<std::size_t>(at) * row_bytes(own),
          own.raw(), own.bytes());
    }
  }
}

/// Kernels are chosen by sizes, and formulas are planned for them: whether the number of rows makes
/// a difference is seen by computing both. What each part computed alone is what is meant.
void Stage::compare_together(Agreement& agreement) {
  compute_rows_apart();
  compute_rows(share_->own);
  agreement.rows.resize(kept_.size());
  for (std::size_t k = 0; k < kept_.size(); ++k) {
    const Tensor& all = value(f_.kept[k]);
    if (std::memcmp(all.raw(), kept_[k].raw(), all.bytes()) != 0) agreement.holds = false;
    agreement.rows[k] += all.shape()[0];
  }
  ++agreement.minibatches;
}

void Stage::compute(std::int64_t part, std::vector<Tensor>& result) {
  const std::size_t outputs = outputs_.size();
  if (result.size() < outputs + f_.slots.size()) result.resize(outputs + f_.slots.size());
  for (std::size_t k = 0; k < outputs; ++k) std::swap(outputs_[k], result[k]);
  for (std::size_t k = 0; k < f_.slots.size(); ++k) {
    Tensor& place = result[outputs + k];
    if (place.shape() != value(f_.slots[k]).shape()) place = value(f_.slots[k]);
    std::swap(place, value(f_.slots[k]));
  }
  const PartRows own = part_rows(share_->rows, share_->parts, part);
  const PartRows held = f_.reads_kept ? share_->rows_of(share_->own) : own;
  const auto given = share_->arguments(held, own);
  std::vector<const Tensor*> arguments(given.begin(), given.end());
  const Tensor at(own.first - held.first);
  if (f_.reads_kept) {
    arguments.push_back(&at);
    for (const Tensor& kept : kept_) arguments.push_back(&kept);
  }
  f_.part.call(arguments, outputs_);
  for (std::size_t k = 0; k < outputs; ++k) std::swap(outputs_[k], result[k]);
  for (std::size_t k = 0; k < f_.slots.size(); ++k)
    std::swap(result[outputs + k], value(f_.slots[k]));
}

/// The rows that these parts have of the operands.
std::vector<blas::PartsTerm> Stage::terms_of(std::size_t k, PartRange range) const {
  const PartRows held = share_->rows_of(share_->own);
  const auto data = share_->arguments(held, held);
  const std::int64_t first = share_->rows_of(range).first - held.first;
  const auto rows_at = [&](Rows rows) {
    const Tensor& t = rows.of_data ? *data[rows.index] : kept_[rows.index];
    return static_cast<const std::byte*>(t.raw()) + static_cast<std::size_t>(first) * row_bytes(t);
  };
  std::vector<blas::PartsTerm> result;
  for (const Products::Term& t : f_.products[k].terms)
    result.push_back({rows_at(t.a), rows_at(t.b), t.negative});
  return result;
}

void Stage::multiply(std::size_t k, PartRange range, PartRange rows, Tensor& result) {
  const Products& p = f_.products[k];
  if (result.dtype() != p.dtype || result.shape() != p.shape) result = Tensor(p.dtype, p.shape);
  blas::parts_product_rows(p.dtype, p.shape[0], p.shape[1], terms_of(k, range),
                           ends_of(*share_, range), rows.begin, rows.end - rows.begin,
                           static_cast<std::byte*>(result.raw()));
}

bool Stage::has_rows_apart(std::size_t k, PartRange range) const {
  const Products& p = f_.products[k];
  return blas::is_dense(p.dtype, p.shape[0], p.shape[1], terms_of(k, range),
                        ends_of(*share_, range));
}

}  // namespace cinch::parallel
