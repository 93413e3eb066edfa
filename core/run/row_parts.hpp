// A minibatch that is cut into parts, several of which are computed in one call.
#pragma once

#include <cstdint>
#include <span>

namespace cinch::running {

/// Says, as long as it lives, to what this thread computes, that rows are those of parts of a
/// minibatch: each row of a product shall have the bits that it has where its part is computed
/// alone. Kernels then choose their ways by the part, or by the whole minibatch, never by how many
/// rows there happen to be.
class RowParts {
 public:
  /// Parts of a minibatch of `batch` rows; part k has the rows up to ends[k], counted within these.
  RowParts(std::int64_t batch, std::span<const std::int64_t> ends);
  ~RowParts();
  RowParts(const RowParts&) = delete;
  RowParts& operator=(const RowParts&) = delete;

  /// The one that lives on this thread; null where there is none.
  static const RowParts* current();

  std::int64_t batch() const { return batch_; }
  std::span<const std::int64_t> ends() const { return ends_; }
  /// Of all the parts.
  std::int64_t rows() const { return ends_.back(); }

 private:
  std::int64_t batch_;
  std::span<const std::int64_t> ends_;
  const RowParts* outer_;
};

/// The number of rows by which it is chosen how a product of so many is computed.
inline std::int64_t deciding_rows(std::int64_t rows) {
  const RowParts* parts = RowParts::current();
  return parts && rows == parts->rows() ? parts->batch() : rows;
}

}  // namespace cinch::running
