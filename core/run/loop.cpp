#include "cinch/core/run/loop.hpp"

#include <algorithm>
#include <cstring>

#include "cinch/core/run/cost.hpp"
#include "cinch/core/run/row_folds.hpp"
#include "cinch/core/run/team.hpp"

namespace cinch::running {

namespace {

constexpr std::size_t register_bytes =
    4096;  // A handful of such registers fit the first-level cache.

/// Additions to one float32 that cost no more than its last digit or two.
constexpr std::int64_t longest_narrow_sum = 128;

std::int64_t offset_of(const Strided& where, std::span<const std::int64_t> outer, std::int64_t row,
                       std::int64_t column) {
  std::int64_t offset = where.offset;
  for (std::size_t k = 0; k < outer.size(); ++k) offset += outer[k] * where.strides[k];
  return offset + row * where.strides[outer.size()] + column * where.strides[outer.size() + 1];
}

/// Elements `stride` apart, next to each other; or back.
template <class T>
void pick(T* to, const T* from, std::int64_t n, std::int64_t stride) {
  for (std::int64_t k = 0; k < n; ++k) to[k] = from[k * stride];
}
template <class T>
void spread(T* to, const T* from, std::int64_t n, std::int64_t stride) {
  for (std::int64_t k = 0; k < n; ++k) to[k * stride] = from[k];
}

/// Calls `f` with an unsigned integer of so many bytes: for what only moves elements.
template <class F>
void with_unsigned(std::size_t bytes, const F& f) {
  switch (bytes) {
    case 8:
      return f.template operator()<std::uint64_t>();
    case 4:
      return f.template operator()<std::uint32_t>();
    case 2:
      return f.template operator()<std::uint16_t>();
    default:
      return f.template operator()<std::uint8_t>();
  }
}

/// `zip(results, row, n)` for each of the rows, of `columns` operands of `width` bytes, whose
/// results of type T lie `stride` apart: of some of them at a time, brought together.
template <class T, class Zip>
void zip_apart(std::byte* results, std::int64_t stride, std::int64_t row_stride,
               const std::byte* from, std::int64_t rows, std::int64_t columns, std::int64_t width,
               const Zip& zip) {
  constexpr std::int64_t most = 64;
  alignas(64) T together[most];
  for (std::int64_t c = 0; c < columns; c += most) {
    const std::int64_t n = std::min(most, columns - c);
    T* to = reinterpret_cast<T*>(results) + c * stride;
    for (std::int64_t r = 0; r < rows; ++r, to += row_stride) {
      if (r == 0 || row_stride != 0) pick(together, to, n, stride);
      zip(reinterpret_cast<std::byte*>(together), from + (r * columns + c) * width, n);
      if (r + 1 == rows || row_stride != 0) spread(to, together, n, stride);
    }
  }
}

/// A square of a matrix whose columns lie in memory one by one, `stride` apart, as rows that are
/// `width` apart: four by four elements, or two by two of 8 bytes.
void turn_square(std::uint32_t* out, const std::uint32_t* in, std::int64_t width,
                 std::int64_t stride) {
  using Four [[gnu::vector_size(16)]] = std::uint32_t;
  Four column[4];
  for (int c = 0; c < 4; ++c) std::memcpy(&column[c], in + c * stride, sizeof(Four));
  const Four a = __builtin_shufflevector(column[0], column[1], 0, 4, 1, 5),
             b = __builtin_shufflevector(column[2], column[3], 0, 4, 1, 5),
             c = __builtin_shufflevector(column[0], column[1], 2, 6, 3, 7),
             d = __builtin_shufflevector(column[2], column[3], 2, 6, 3, 7);
  const Four row[4] = {
      __builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
      __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
  for (int r = 0; r < 4; ++r) std::memcpy(out + r * width, &row[r], sizeof(Four));
}

void turn_square(std::uint64_t* out, const std::uint64_t* in, std::int64_t width,
                 std::int64_t stride) {
  using Two [[gnu::vector_size(16)]] = std::uint64_t;
  Two column[2];
  for (int c = 0; c < 2; ++c) std::memcpy(&column[c], in + c * stride, sizeof(Two));
  const Two row[2] = {__builtin_shufflevector(column[0], column[1], 0, 2),
                      __builtin_shufflevector(column[0], column[1], 1, 3)};
  for (int r = 0; r < 2; ++r) std::memcpy(out + r * width, &row[r], sizeof(Two));
}

template <class T>
void gather(std::byte* to, const std::byte* from, std::int64_t rows, std::int64_t columns,
            std::int64_t row_stride, std::int64_t stride) {
  T* out = reinterpret_cast<T*>(to);
  const T* in = reinterpret_cast<const T*>(from);
  if (row_stride == 1 && stride > 1) {
    // Along the lines of the cache that are read; those of large powers of two would not stay.
    std::int64_t c = 0;
    if constexpr (sizeof(T) >= 4) {
      constexpr std::int64_t side = 16 / sizeof(T);
      for (; c + side <= columns; c += side) {
        std::int64_t r = 0;
        for (; r + side <= rows; r += side)
          turn_square(out + r * columns + c, in + c * stride + r, columns, stride);
        for (; r < rows; ++r) {
          for (std::int64_t k = c; k < c + side; ++k) out[r * columns + k] = in[k * stride + r];
        }
      }
    }
    for (; c < columns; ++c) {
      for (std::int64_t r = 0; r < rows; ++r) out[r * columns + c] = in[c * stride + r];
    }
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r, in += row_stride, out += columns) {
    if (stride == 1) {
      std::memcpy(out, in, static_cast<std::size_t>(columns) * sizeof(T));
    } else if (stride == 0) {
      std::fill_n(out, columns, *in);
    } else {
      for (std::int64_t c = 0; c < columns; ++c) out[c] = in[c * stride];
    }
  }
}

/// Whether nothing is computed: rows that lie one after the other are folded.
bool only_folds_rows(const LoopSpec& spec) {
  const std::size_t row = spec.shape.size() - 2;
  return spec.instructions.empty() &&
         std::ranges::all_of(spec.inputs,
                             [&](const LoopSpec::Input& in) {
                               return in.where.strides[row + 1] == 1 &&
                                      in.where.strides[row] == spec.shape[row + 1];
                             }) &&
         std::ranges::all_of(
             spec.outputs, [](const LoopSpec::Output& out) { return out.accumulator != nullptr; });
}

}  // namespace

double nanoseconds_of(const LoopSpec& spec) {
  const auto touches =
      static_cast<double>(spec.inputs.size() + spec.outputs.size() + spec.instructions.size());
  return cost::element * static_cast<double>(element_count(spec.shape)) * touches;
}

Loop::Loop(LoopSpec spec, BlockFn (*copy)(DType)) : spec_(std::move(spec)) {
  merge_axes();
  choose_tile();
  place_registers(copy);
  choose_parts();
}

/// Drops axes of size 1 and merges neighbours that every operand walks as one, then pads to at
/// least two axes.
void Loop::merge_axes() {
  std::vector<Strided*> all;
  for (auto& in : spec_.inputs) all.push_back(&in.where);
  for (auto& out : spec_.outputs) all.push_back(&out.where);
  Shape shape;
  std::vector<std::vector<std::int64_t>> strides(all.size());
  for (std::size_t axis = 0; axis < spec_.shape.size(); ++axis) {
    const std::int64_t n = spec_.shape[axis];
    if (n == 1) continue;
    const bool merges = !shape.empty() && [&] {
      for (std::size_t k = 0; k < all.size(); ++k) {
        if (strides[k].back() != all[k]->strides[axis] * n) return false;
      }
      return true;
    }();
    if (merges) {
      shape.back() *= n;
    } else {
      shape.push_back(n);
    }
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (merges) {
        strides[k].back() = all[k]->strides[axis];
      } else {
        strides[k].push_back(all[k]->strides[axis]);
      }
    }
  }
  while (shape.size() < 2) {
    shape.insert(shape.begin(), 1);
    for (auto& s : strides) s.insert(s.begin(), 0);
  }
  // A single axis gets its stride in the last place, where unit strides are recognised.
  for (std::size_t k = 0; k < all.size(); ++k) all[k]->strides = std::move(strides[k]);
  spec_.shape = std::move(shape);
  turn_axes();
  columns_ = spec_.shape.back();
  rows_ = spec_.shape[spec_.shape.size() - 2];
}

/// Makes that axis the rows along which most of the operands that do not lie along the columns lie:
/// choose_tile() has them read in squares.
void Loop::turn_axes() {
  const std::size_t rows = spec_.shape.size() - 2;
  const auto lying = [&](std::size_t axis) {
    return std::ranges::count_if(spec_.inputs, [&](const LoopSpec::Input& in) {
      return in.where.strides[axis] == 1 && in.where.strides.back() > 1;
    });
  };
  std::size_t best = rows;
  for (std::size_t axis = rows; axis-- > 0;) {
    if (lying(axis) > lying(best)) best = axis;
  }
  const auto turn = [&](std::vector<std::int64_t>& axes) {
    std::rotate(axes.begin() + static_cast<std::ptrdiff_t>(best),
                axes.begin() + static_cast<std::ptrdiff_t>(best) + 1, axes.end() - 1);
  };
  turn(spec_.shape);
  for (auto& in : spec_.inputs) turn(in.where.strides);
  for (auto& out : spec_.outputs) turn(out.where.strides);
}

void Loop::choose_tile() {
  std::size_t widest = 1;
  // A single number fills no register, whatever its type.
  for (const auto& in : spec_.inputs) {
    const bool single =
        std::ranges::all_of(in.where.strides, [](std::int64_t s) { return s == 0; });
    if (!single) widest = std::max(widest, size_of(in.dtype));
  }
  for (const auto& i : spec_.instructions) widest = std::max(widest, size_of(i.result));
  const auto most = static_cast<std::int64_t>(register_bytes / widest);
  // An operand that lies the other way round is read in squares, so that the cache lines it touches
  // serve several rows.
  const bool crosses = std::ranges::any_of(spec_.inputs, [](const LoopSpec::Input& in) {
    const auto& strides = in.where.strides;
    return strides[strides.size() - 2] == 1 && strides.back() > 1;
  });
  constexpr std::int64_t side = 32;
  if (columns_ <= most && only_folds_rows(spec_)) {
    // Nothing but folds of what is read where it lies, which needs no registers.
    constexpr std::int64_t folded_at_once = 16;
    tile_columns_ = std::max<std::int64_t>(columns_, 1);
    tile_rows_ = std::clamp<std::int64_t>(std::max(most / tile_columns_, folded_at_once), 1,
                                          std::max<std::int64_t>(rows_, 1));
  } else if (crosses && columns_ > side && rows_ > 1) {
    tile_columns_ = side;
    tile_rows_ = std::clamp<std::int64_t>(most / side, 1, rows_);
  } else if (columns_ > most) {
    const std::int64_t blocks = (columns_ + most - 1) / most;
    tile_columns_ = std::min(most, ((columns_ + blocks - 1) / blocks + 15) / 16 * 16);
  } else {
    tile_columns_ = std::max<std::int64_t>(columns_, 1);
    tile_rows_ =
        std::clamp<std::int64_t>(most / tile_columns_, 1, std::max<std::int64_t>(rows_, 1));
  }
}

Loop::Access Loop::access(const Strided& where) const {
  const std::int64_t stride = where.strides.back();
  const std::int64_t row = where.strides[where.strides.size() - 2];
  const bool several = tile_rows_ > 1;
  // Rows of a tile lie one after the other only where it is as wide as the whole.
  const bool joined = tile_columns_ == columns_;
  if (columns_ > 1 && stride == 1 && (!several || (joined && row == columns_)))
    return Access::direct;
  if (columns_ == 1 && !several) return Access::splat;
  if (columns_ == 1 && several && row == 1) return Access::direct;
  if ((stride == 0 || columns_ == 1) && (!several || row == 0)) return Access::splat;
  const bool same_everywhere = row == 0 && tile_columns_ == columns_ &&
                               std::all_of(where.strides.begin(), where.strides.end() - 2,
                                           [](std::int64_t s) { return s == 0; });
  return same_everywhere ? Access::gather_once : Access::gather;
}

void Loop::place_registers(BlockFn (*copy)(DType)) {
  for (const auto& in : spec_.inputs) access_.push_back(access(in.where));
  const int inputs = static_cast<int>(spec_.inputs.size());
  // Results are read from a block of memory: an input that is one element, or that is to be stored,
  // is copied to one.
  for (auto& out : spec_.outputs) {
    if (out.value >= inputs) continue;
    const auto& in = spec_.inputs[static_cast<std::size_t>(out.value)];
    if (out.accumulator && access_[static_cast<std::size_t>(out.value)] != Access::splat) continue;
    spec_.instructions.push_back({copy(in.dtype), in.dtype, {out.value, 0, 0}, 1});
    out.value = inputs + static_cast<int>(spec_.instructions.size()) - 1;
  }
  const std::size_t values = spec_.inputs.size() + spec_.instructions.size();
  direct_store_.assign(spec_.instructions.size(), -1);
  std::vector<int> last_use(values, -1);
  for (std::size_t k = 0; k < spec_.instructions.size(); ++k) {
    for (int a = 0; a < spec_.instructions[k].arity; ++a) {
      last_use[static_cast<std::size_t>(spec_.instructions[k].args[static_cast<std::size_t>(a)])] =
          static_cast<int>(k);
    }
  }
  const int end = static_cast<int>(spec_.instructions.size());
  for (std::size_t o = 0; o < spec_.outputs.size(); ++o) {
    const auto& out = spec_.outputs[o];
    last_use[static_cast<std::size_t>(out.value)] = end;
    const Access how = access(out.where);
    const bool one = columns_ == 1 && tile_rows_ == 1;
    if (!out.accumulator && !out.in_place && (how == Access::direct || one)) {
      direct_store_[static_cast<std::size_t>(out.value - inputs)] = static_cast<int>(o);
    }
  }
  // Registers are handed on when their value has had its last use, but never within the instruction
  // that ends it.
  std::size_t used = aligned((values + spec_.outputs.size()) * sizeof(std::byte*));
  const std::size_t width = aligned(static_cast<std::size_t>(tile_rows_ * tile_columns_) * 8);
  register_.assign(values, 0);
  std::vector<std::size_t> free;
  const auto take = [&] {
    if (free.empty()) {
      used += width;
      return used - width;
    }
    const std::size_t offset = free.back();
    free.pop_back();
    return offset;
  };
  for (std::size_t v = 0; v < spec_.inputs.size(); ++v) {
    if (access_[v] == Access::gather || access_[v] == Access::gather_once) register_[v] = take();
  }
  for (std::size_t k = 0; k < spec_.instructions.size(); ++k) {
    const std::size_t v = spec_.inputs.size() + k;
    if (direct_store_[k] < 0) register_[v] = take();
    const auto& i = spec_.instructions[k];
    for (int a = 0; a < i.arity; ++a) {
      const auto arg = static_cast<std::size_t>(i.args[static_cast<std::size_t>(a)]);
      const bool own = arg >= spec_.inputs.size() && direct_store_[arg - spec_.inputs.size()] < 0;
      if (own && last_use[arg] == static_cast<int>(k)) {
        free.push_back(register_[arg]);
        last_use[arg] = -2;  // Once, also where an instruction names a value twice.
      }
    }
    if (direct_store_[k] < 0 && last_use[v] == -1) free.push_back(register_[v]);
  }
  scratch_bytes_ = used;
}

/// Positions along an axis are dealt out in whole tiles.
std::int64_t Loop::unit(std::size_t axis) const {
  const std::size_t rank = spec_.shape.size();
  return axis == rank - 1 ? tile_columns_ : axis == rank - 2 ? tile_rows_ : 1;
}

/// Whether several parts contribute to elements of this result.
bool Loop::is_partial(const LoopSpec::Output& out) const {
  return parts_ > 1 && out.accumulator && out.where.strides[split_axis_] == 0;
}

/// Whether so many elements go into each of this result that float32 would lose digits.
bool Loop::is_wide(const LoopSpec::Output& out) const {
  if (out.accumulator != wide_sum.narrow_one || out.dtype != DType::float32) return false;
  return out.size > 0 && element_count(spec_.shape) / out.size > longest_narrow_sum;
}

DType Loop::working_dtype(const LoopSpec::Output& out) const {
  return is_wide(out) ? DType::float64 : out.dtype;
}

/// Where a part collects output `o`, if not in the result itself: memory of its own where several
/// parts contribute to an element, else one for all.
std::byte* Loop::region(std::size_t o, std::byte* partial, std::int64_t part) const {
  const bool own = is_partial(spec_.outputs[o]);
  const std::size_t before =
      own ? shared_bytes_ + static_cast<std::size_t>(part) * partial_bytes_ : 0;
  return partial + before + partial_offset_[o];
}

void Loop::choose_parts() {
  const auto elements = static_cast<double>(element_count(spec_.shape));
  const double nanoseconds = nanoseconds_of(spec_);
  // The axis that can be divided furthest; of equals the outermost one. Parts that would write more
  // partial results than a fraction of what they read are not worth it.
  for (std::size_t axis = 0; axis < spec_.shape.size(); ++axis) {
    const std::int64_t parts =
        parts_for(nanoseconds, (spec_.shape[axis] + unit(axis) - 1) / unit(axis));
    if (parts <= parts_) continue;
    double combined = 0;
    for (const auto& out : spec_.outputs) {
      if (out.accumulator && out.where.strides[axis] == 0)
        combined += static_cast<double>(out.size * parts);
    }
    if (combined > elements / 4) continue;
    split_axis_ = axis;
    parts_ = parts;
  }
  for (const auto& out : spec_.outputs) {
    std::size_t& bytes = is_partial(out) ? partial_bytes_ : shared_bytes_;
    partial_offset_.push_back(bytes);
    if (is_partial(out) || is_wide(out))
      bytes += aligned(static_cast<std::size_t>(out.size) * size_of(working_dtype(out)));
  }
}

void Loop::load(const Block& block) const {
  for (std::size_t v = 0; v < spec_.inputs.size(); ++v) {
    const auto& in = spec_.inputs[v];
    const std::size_t width = size_of(in.dtype);
    std::byte* from =
        block.buffers[in.buffer] + offset_of(in.where, block.outer, block.row, block.column) *
                                       static_cast<std::int64_t>(width);
    if (access_[v] == Access::direct || access_[v] == Access::splat) {
      block.slots[v] = from;
      continue;
    }
    std::byte* to = block.slots[v] = block.scratch + register_[v];
    if (access_[v] == Access::gather_once && !block.first) continue;
    const std::int64_t row_stride = in.where.strides[block.outer.size()],
                       stride = in.where.strides[block.outer.size() + 1];
    with_unsigned(width, [&]<class T> {
      gather<T>(to, from, block.rows, block.columns, row_stride, stride);
    });
  }
}

void Loop::compute(const Block& block) const {
  const std::size_t first = spec_.inputs.size();
  for (std::size_t k = 0; k < spec_.instructions.size(); ++k) {
    const auto& i = spec_.instructions[k];
    std::byte* result = block.scratch + register_[first + k];
    if (direct_store_[k] >= 0) {
      const auto o = static_cast<std::size_t>(direct_store_[k]);
      const auto& out = spec_.outputs[o];
      result = block.results[o] + offset_of(out.where, block.outer, block.row, block.column) *
                                      static_cast<std::int64_t>(size_of(out.dtype));
    }
    block.slots[first + k] = result;
    const void* in[3] = {};
    unsigned splat = 0;
    for (int a = 0; a < i.arity; ++a) {
      const auto arg = static_cast<std::size_t>(i.args[static_cast<std::size_t>(a)]);
      in[a] = block.slots[arg];
      if (arg < first && access_[arg] == Access::splat) splat |= 1u << a;
    }
    i.run(result, in, splat, static_cast<std::size_t>(block.rows * block.columns));
  }
}

void Loop::store(const Block& block) const {
  const std::size_t first = spec_.inputs.size();
  const std::int64_t columns = block.columns;
  for (std::size_t o = 0; o < spec_.outputs.size(); ++o) {
    const auto& out = spec_.outputs[o];
    const auto value = static_cast<std::size_t>(out.value);
    if (value >= first && direct_store_[value - first] == static_cast<int>(o)) continue;
    const auto width = static_cast<std::int64_t>(size_of(out.dtype));
    const bool wide = is_wide(out);
    const std::int64_t step = wide ? 8 : width;  // Bytes of a result, where `width` are read.
    std::byte* to =
        block.results[o] + offset_of(out.where, block.outer, block.row, block.column) * step;
    const std::byte* from = block.slots[value];
    const std::int64_t rows_apart = out.where.strides[block.outer.size()];
    const std::int64_t row_stride = rows_apart * step;
    const std::int64_t stride = out.where.strides[block.outer.size() + 1];
    const auto fold = [&](std::int64_t n) {
      const auto count = static_cast<std::size_t>(n);
      wide ? wide_sum.fold(to, from, count) : out.accumulator->fold(out.dtype, to, from, count);
    };
    const auto zip = [&](std::byte* result, const std::byte* operand, std::int64_t n) {
      const auto count = static_cast<std::size_t>(n);
      wide ? wide_sum.zip(result, operand, count)
           : out.accumulator->zip(out.dtype, result, operand, count);
    };
    if (out.accumulator && stride != 0 && stride != 1) {
      with_unsigned(static_cast<std::size_t>(step), [&]<class T> {
        zip_apart<T>(to, stride, rows_apart, from, block.rows, columns, width, zip);
      });
      continue;
    }
    const auto rows = static_cast<std::size_t>(block.rows), n = static_cast<std::size_t>(columns);
    if (out.accumulator && block.rows > 1) {
      // Many short rows, or many rows onto one, in a call.
      RowFolds::Fold block_fold = nullptr;
      if (stride == 0 && row_stride == step)
        block_fold = row_folds.rows(out.accumulator, wide, out.dtype);
      if (stride == 1 && row_stride == 0)
        block_fold = row_folds.columns(out.accumulator, wide, out.dtype);
      if (block_fold) {
        block_fold(to, from, rows, n);
        continue;
      }
    }
    for (std::int64_t r = 0; r < block.rows; ++r, to += row_stride, from += columns * width) {
      if (!out.accumulator) {
        std::memcpy(to, from, static_cast<std::size_t>(columns * width));
      } else if (stride == 0) {
        if (row_stride == 0) {
          fold(block.rows * columns);
          break;
        }
        fold(columns);
      } else {
        zip(to, from, columns);
      }
    }
  }
}

void Loop::run_part(std::byte* const* buffers, std::byte* partial, std::int64_t part) const {
  std::byte* scratch = thread_scratch(scratch_bytes_);
  auto** slots = reinterpret_cast<std::byte**>(scratch);
  auto** results = slots + spec_.inputs.size() + spec_.instructions.size();
  for (std::size_t o = 0; o < spec_.outputs.size(); ++o) {
    const auto& out = spec_.outputs[o];
    results[o] = buffers[out.buffer];
    if (!is_partial(out) && !is_wide(out)) continue;
    const DType dtype = working_dtype(out);
    std::byte* own = region(o, partial, part);
    if (is_partial(out)) out.accumulator->start(dtype, own, static_cast<std::size_t>(out.size));
    results[o] = own - out.where.offset * static_cast<std::int64_t>(size_of(dtype));
  }
  const std::size_t rank = spec_.shape.size(), outer_axes = rank - 2;
  std::array<std::int64_t, 32> index{}, begin{}, end{};
  std::copy(spec_.shape.begin(), spec_.shape.end(), end.begin());
  const Span own = part_of(spec_.shape[split_axis_], unit(split_axis_), parts_, part);
  begin[split_axis_] = own.begin;
  end[split_axis_] = own.end;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (begin[axis] >= end[axis]) return;
  }
  index = begin;
  Block block{buffers, scratch, slots, results, std::span(index.data(), outer_axes),
              0,       0,       0,     0,       true};
  while (true) {
    for (block.row = begin[rank - 2]; block.row < end[rank - 2]; block.row += tile_rows_) {
      block.rows = std::min(tile_rows_, end[rank - 2] - block.row);
      for (block.column = begin[rank - 1]; block.column < end[rank - 1];
           block.column += tile_columns_) {
        block.columns = std::min(tile_columns_, end[rank - 1] - block.column);
        load(block);
        block.first = false;
        compute(block);
        store(block);
      }
    }
    std::size_t axis = outer_axes;
    while (axis > 0 && ++index[axis - 1] == end[axis - 1]) {
      --axis;
      index[axis] = begin[axis];
    }
    if (axis == 0) return;
  }
}

void Loop::run(std::byte* const* buffers, std::byte* partial) const {
  const auto first_element = [&](const LoopSpec::Output& out) {
    return buffers[out.buffer] + out.where.offset * static_cast<std::int64_t>(size_of(out.dtype));
  };
  for (std::size_t o = 0; o < spec_.outputs.size(); ++o) {
    const auto& out = spec_.outputs[o];
    if (!out.accumulator || (is_wide(out) && is_partial(out))) continue;
    std::byte* to = is_wide(out) ? region(o, partial, 0) : first_element(out);
    out.accumulator->start(working_dtype(out), to, static_cast<std::size_t>(out.size));
  }
  share_work(parts_, [&](std::int64_t part) { run_part(buffers, partial, part); });
  for (std::size_t o = 0; o < spec_.outputs.size(); ++o) {
    const auto& out = spec_.outputs[o];
    const auto count = static_cast<std::size_t>(out.size);
    const bool wide = is_wide(out);
    std::byte* total = wide ? region(o, partial, 0) : first_element(out);
    if (is_partial(out)) {
      for (std::int64_t part = wide ? 1 : 0; part < parts_; ++part)
        out.accumulator->zip(working_dtype(out), total, region(o, partial, part), count);
    }
    if (wide) wide_sum.narrow(first_element(out), total, count);
  }
}

}  // namespace cinch::running
