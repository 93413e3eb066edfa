// Products of a matrix of few rows with a large one, which is read once, where it lies. General
// routines copy the large operand into blocks first, which costs more than the product when there
// are few rows. Included by kernels_body.inl, once for each instruction set that has the registers
// for it.

template <class T>
using Vector __attribute__((vector_size(CINCH_VECTOR_BYTES))) = T;

template <class T>
constexpr std::int64_t lanes = CINCH_VECTOR_BYTES / static_cast<std::int64_t>(sizeof(T));

template <class T>
CINCH_INLINE Vector<T> load(const T* from) {
  Vector<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <class T, class V>
CINCH_INLINE void store(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}

constexpr int tile_columns = 2;  // Vectors.

/// Two vectors of a row. Only the lanes from `skip` on are written.
template <class T>
CINCH_INLINE void write_row(T* to, const Vector<T> (&sum)[tile_columns], bool accumulate,
                            std::int64_t skip) {
  constexpr std::int64_t L = lanes<T>;
  if (skip == 0) {
#pragma GCC unroll 2
    for (int j = 0; j < tile_columns; ++j)
      store(to + j * L, accumulate ? load(to + j * L) + sum[j] : sum[j]);
  } else {
    T all[tile_columns * L];
    store(all, sum[0]);
    store(all + L, sum[1]);
    for (std::int64_t j = skip; j < tile_columns * L; ++j)
      to[j] = accumulate ? to[j] + all[j] : all[j];
  }
}

/// Rows x 2 vectors of c (+)= a b over `depth` rows of b; and of `squares`, unless it is null, the
/// sums of b's squares along its columns.
template <class T, int Rows, bool Squares>
CINCH_INLINE void tile_nn(const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* c,
                          std::int64_t ldc, T* squares, std::int64_t depth, bool accumulate,
                          std::int64_t skip) {
  constexpr std::int64_t L = lanes<T>;
  Vector<T> norm[tile_columns] = {};
  Vector<T> sum[Rows][tile_columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < tile_columns; ++j) sum[i][j] = Vector<T>{};
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const Vector<T> b0 = load(b + k * ldb), b1 = load(b + k * ldb + L);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const T x = a[i * lda + k];
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
    if constexpr (Squares) {
      norm[0] += b0 * b0;
      norm[1] += b1 * b1;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) write_row<T>(c + i * ldc, sum[i], accumulate, skip);
  if constexpr (Squares) write_row<T>(squares, norm, accumulate, skip);
}

/// Rows of c = a b; b is (depth, columns).
template <class T, int Rows, bool Squares>
CINCH_INLINE void sweep_nn(const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* c,
                           std::int64_t ldc, T* squares, std::int64_t columns, std::int64_t depth,
                           bool accumulate) {
  constexpr std::int64_t width = tile_columns * lanes<T>;
  std::int64_t j = 0;
  for (; j + width <= columns; j += width) {
    tile_nn<T, Rows, Squares>(a, lda, b + j, ldb, c + j, ldc, Squares ? squares + j : nullptr,
                              depth, accumulate, 0);
  }
  if (j < columns) {
    // The last tile overlaps the one before it.
    const std::int64_t at = columns - width;
    tile_nn<T, Rows, Squares>(a, lda, b + at, ldb, c + at, ldc, Squares ? squares + at : nullptr,
                              depth, accumulate, j - at);
  }
}

template <class T, int Rows>
void rows_nn(const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
             T* squares, std::int64_t columns, std::int64_t depth, bool accumulate) {
  if (squares) {
    sweep_nn<T, Rows, true>(a, lda, b, ldb, c, ldc, squares, columns, depth, accumulate);
  } else {
    sweep_nn<T, Rows, false>(a, lda, b, ldb, c, ldc, squares, columns, depth, accumulate);
  }
}

/// Rows x 2 vectors of c = start + a' b over `depth` rows of a and of b.
template <class T, int Rows, UpdateStart Start>
CINCH_INLINE void tile_update(const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
                              const T* scale, T* c, std::int64_t ldc, std::int64_t depth,
                              std::int64_t skip) {
  constexpr std::int64_t L = lanes<T>;
  Vector<T> sum[Rows][tile_columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < tile_columns; ++j) {
      if constexpr (Start == UpdateStart::zero) {
        sum[i][j] = Vector<T>{};
      } else {
        sum[i][j] = load(c + i * ldc + j * L);
        if constexpr (Start == UpdateStart::scaled) sum[i][j] *= load(scale + j * L);
      }
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const Vector<T> b0 = load(b + k * ldb), b1 = load(b + k * ldb + L);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const T x = a[k * lda + i];
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) write_row<T>(c + i * ldc, sum[i], false, skip);
}

template <class T, int Rows, UpdateStart Start>
CINCH_INLINE void sweep_update(const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
                               const T* scale, T* c, std::int64_t ldc, std::int64_t columns,
                               std::int64_t depth) {
  constexpr std::int64_t width = tile_columns * lanes<T>;
  constexpr bool scaled = Start == UpdateStart::scaled;
  std::int64_t j = 0;
  for (; j + width <= columns; j += width)
    tile_update<T, Rows, Start>(a, lda, b + j, ldb, scaled ? scale + j : nullptr, c + j, ldc, depth,
                                0);
  if (j < columns) {
    // The last tile overlaps the one before it; what that has written is not written again.
    const std::int64_t at = columns - width;
    tile_update<T, Rows, Start>(a, lda, b + at, ldb, scaled ? scale + at : nullptr, c + at, ldc,
                                depth, j - at);
  }
}

template <class T, int Rows>
void rows_update(UpdateStart start, const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
                 const T* scale, T* c, std::int64_t ldc, std::int64_t columns, std::int64_t depth) {
  switch (start) {
    case UpdateStart::zero:
      return sweep_update<T, Rows, UpdateStart::zero>(a, lda, b, ldb, scale, c, ldc, columns,
                                                      depth);
    case UpdateStart::old:
      return sweep_update<T, Rows, UpdateStart::old>(a, lda, b, ldb, scale, c, ldc, columns, depth);
    case UpdateStart::scaled:
      return sweep_update<T, Rows, UpdateStart::scaled>(a, lda, b, ldb, scale, c, ldc, columns,
                                                        depth);
  }
}

/// Of so many parts the sums that wait for their right halves: no more than parts have bits.
constexpr int deepest = 24;

/// Rows x 2 vectors of c, a part after the other: a part's sum meets those of the parts before it
/// where it is the right half of a subtree.
template <class T, int Rows>
CINCH_INLINE void tile_parts(const SkinnyProducts::Term* terms, std::int64_t term_count,
                             const std::int64_t* ends, std::int64_t parts, std::int64_t column,
                             T* c, std::int64_t ldc, std::int64_t skip, bool accumulate) {
  constexpr std::int64_t L = lanes<T>;
  Vector<T> waiting[deepest][Rows][tile_columns];
  int depth = 0;
  Vector<T> sum[Rows][tile_columns];
  for (std::int64_t p = 0, begin = 0; p < parts; begin = ends[p++]) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < tile_columns; ++j)
        sum[i][j] = accumulate ? load(c + i * ldc + j * L) : Vector<T>{};
    }
    for (std::int64_t t = 0; t < term_count; ++t) {
      const T* a = static_cast<const T*>(terms[t].a) + begin * Rows;
      const std::int64_t ldb = terms[t].ldb;
      const T* b = static_cast<const T*>(terms[t].b) + begin * ldb + column;
      for (std::int64_t k = begin; k < ends[p]; ++k, a += Rows, b += ldb) {
        const Vector<T> b0 = load(b), b1 = load(b + L);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
          const T x = a[i];
          sum[i][0] += x * b0;
          sum[i][1] += x * b1;
        }
      }
    }
    const bool last = p + 1 == parts;
    for (std::int64_t whole = p + 1; depth > 0 && (last || whole % 2 == 0); whole /= 2) {
      --depth;
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
        for (int j = 0; j < tile_columns; ++j) sum[i][j] = waiting[depth][i][j] + sum[i][j];
      }
    }
    if (last) break;
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < tile_columns; ++j) waiting[depth][i][j] = sum[i][j];
    }
    ++depth;
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) write_row<T>(c + i * ldc, sum[i], false, skip);
}

template <class T, int Rows>
void rows_parts(const SkinnyProducts::Term* terms, std::int64_t term_count,
                const std::int64_t* ends, std::int64_t parts, T* c, std::int64_t ldc,
                std::int64_t columns, bool accumulate) {
  constexpr std::int64_t width = tile_columns * lanes<T>;
  std::int64_t j = 0;
  for (; j + width <= columns; j += width)
    tile_parts<T, Rows>(terms, term_count, ends, parts, j, c + j, ldc, 0, accumulate);
  if (j < columns) {
    // The last tile overlaps the one before it; what that has written is not written again.
    const std::int64_t at = columns - width;
    tile_parts<T, Rows>(terms, term_count, ends, parts, at, c + at, ldc, j - at, accumulate);
  }
}

template <class T, std::size_t Bytes>
using Part __attribute__((vector_size(Bytes))) = T;

/// The two halves of a vector added, until one element is left.
template <class T, std::size_t Bytes, int... I>
CINCH_INLINE T halved_sum(Part<T, Bytes> v, std::integer_sequence<int, I...>) {
  constexpr int half = sizeof...(I);
  const Part<T, Bytes / 2> sum =
      __builtin_shufflevector(v, v, I...) + __builtin_shufflevector(v, v, (I + half)...);
  if constexpr (half * sizeof(T) == 16) {
    T total = sum[0];
    for (int k = 1; k < half; ++k) total += sum[k];
    return total;
  } else {
    return halved_sum<T, Bytes / 2>(sum, std::make_integer_sequence<int, half / 2>());
  }
}

template <class T>
CINCH_INLINE T horizontal_sum(Vector<T> v) {
  return halved_sum<T, CINCH_VECTOR_BYTES>(
      v, std::make_integer_sequence<int, static_cast<int>(lanes<T> / 2)>());
}

/// Distance between rows of the packed small operand: whole vectors, an odd number of cache lines.
template <class T>
constexpr std::int64_t packed_stride(std::int64_t depth) {
  const std::int64_t bytes = (depth + lanes<T>)*static_cast<std::int64_t>(sizeof(T));
  return ((bytes + 63) / 64 | 1) * 64 / static_cast<std::int64_t>(sizeof(T));
}

/// Rows of `a` on cache line boundaries. The last, incomplete vector of a row becomes one that ends
/// with the row, with zeros for what whole vectors have already covered.
template <class T>
void pack_rows(const T* a, std::int64_t lda, std::int64_t rows, std::int64_t depth, T* to) {
  constexpr std::int64_t L = lanes<T>;
  const std::int64_t stride = packed_stride<T>(depth), whole = depth / L * L;
  for (std::int64_t i = 0; i < rows; ++i) {
    __builtin_memcpy(to + i * stride, a + i * lda, static_cast<std::size_t>(whole) * sizeof(T));
    for (std::int64_t k = 0; k < L; ++k) {
      const std::int64_t at = depth - L + k;
      to[i * stride + whole + k] = at >= whole ? a[i * lda + at] : T(0);
    }
  }
}

/// Rows x Columns of c = a b', both read along their rows; `a` is packed.
template <class T, int Rows, int Columns>
CINCH_INLINE void tile_nt(const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* c,
                          std::int64_t ldc, std::int64_t depth) {
  constexpr std::int64_t L = lanes<T>;
  Vector<T> sum[Rows][Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) sum[i][j] = Vector<T>{};
  }
  std::int64_t k = 0;
  for (; k + L <= depth; k += L) {
    Vector<T> right[Columns];
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) right[j] = load(b + j * ldb + k);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> left = load(a + i * lda + k);
#pragma GCC unroll 2
      for (int j = 0; j < Columns; ++j) sum[i][j] += left * right[j];
    }
  }
  if (k < depth) {
    // Zeros on both sides where the vector overlaps the last whole one, so that no infinity meets a
    // zero.
    Vector<T> position;
    for (std::int64_t l = 0; l < L; ++l) position[l] = static_cast<T>(l);
    const auto fresh = position >= static_cast<T>(L - (depth - k));
    Vector<T> right[Columns];
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j)
      right[j] = fresh ? load(b + j * ldb + depth - L) : Vector<T>{};
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> left = load(a + i * lda + k);
#pragma GCC unroll 2
      for (int j = 0; j < Columns; ++j) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j) c[i * ldc + j] = horizontal_sum<T>(sum[i][j]);
  }
}

template <class T, int Rows>
void rows_nt(const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc,
             std::int64_t columns, std::int64_t depth) {
  std::int64_t j = 0;
  for (; j + 2 <= columns; j += 2) tile_nt<T, Rows, 2>(a, lda, b + j * ldb, ldb, c + j, ldc, depth);
  if (j < columns) tile_nt<T, Rows, 1>(a, lda, b + j * ldb, ldb, c + j, ldc, depth);
}

/// The instantiation of a kernel for a number of rows known at run time.
template <class Kernels, int... R>
constexpr auto by_rows(int rows, std::integer_sequence<int, R...>) {
  typename Kernels::Run result = nullptr;
  ((rows == R + 1 ? void(result = Kernels::template run<R + 1>) : void()), ...);
  return result;
}

template <class T>
struct NN {
  using Run = decltype(&rows_nn<T, 1>);
  template <int Rows>
  static constexpr Run run = rows_nn<T, Rows>;
};
template <class T>
struct NT {
  using Run = decltype(&rows_nt<T, 1>);
  template <int Rows>
  static constexpr Run run = rows_nt<T, Rows>;
};
template <class T>
struct Update {
  using Run = decltype(&rows_update<T, 1>);
  template <int Rows>
  static constexpr Run run = rows_update<T, Rows>;
};

template <class T>
struct Parts {
  using Run = decltype(&rows_parts<T, 1>);
  template <int Rows>
  static constexpr Run run = rows_parts<T, Rows>;
};

/// Rows of a tile: as many as leave registers for two vectors of b and one of a.
constexpr int tile_rows = CINCH_VECTOR_BYTES == 64 ? 10 : 5;

template <class T>
std::int64_t pack(std::int64_t rows, std::int64_t depth, const void* a, std::int64_t lda,
                  void* packed) {
  pack_rows(static_cast<const T*>(a), lda, rows, depth, static_cast<T*>(packed));
  return packed_stride<T>(depth);
}

/// c = a b, or a b' if `Transposed`. The rows are dealt out evenly over tiles.
template <class T, bool Transposed>
void skinny_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const void* a,
                    std::int64_t lda, const void* b, std::int64_t ldb, void* c, std::int64_t ldc,
                    void* squares) {
  const std::int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  // Blocks of the large matrix that stay in the second-level cache while all rows pass over them.
  const std::int64_t block = std::int64_t{1} << (Transposed ? 17 : 18);
  const std::int64_t unit = Transposed ? depth : columns;
  const std::int64_t step_size = block / (unit * static_cast<std::int64_t>(sizeof(T))) + 1;
  const std::int64_t extent = Transposed ? columns : depth;
  const std::int64_t step = tiles == 1 && Transposed ? extent : (step_size + 1) / 2 * 2;
  for (std::int64_t at = 0; at < extent; at += step) {
    const std::int64_t part = extent - at < step ? extent - at : step;
    for (std::int64_t t = 0, row = 0; t < tiles; ++t) {
      const auto count = static_cast<int>((rows - row + (tiles - t) - 1) / (tiles - t));
      constexpr auto all = std::make_integer_sequence<int, tile_rows>();
      const T* left = static_cast<const T*>(a) + row * lda;
      const T* right = static_cast<const T*>(b) + at * ldb;
      T* to = static_cast<T*>(c) + row * ldc;
      if constexpr (Transposed) {
        by_rows<NT<T>>(count, all)(left, lda, right, ldb, to + at, ldc, part, depth);
      } else {
        by_rows<NN<T>>(count, all)(left + at, lda, right, ldb, to, ldc,
                                   t == 0 ? static_cast<T*>(squares) : nullptr, columns, part,
                                   at > 0);
      }
      row += count;
    }
  }
}

/// c = start + a' b.
template <class T>
void update(UpdateStart start, std::int64_t rows, std::int64_t columns, std::int64_t depth,
            const void* a, std::int64_t lda, const void* b, std::int64_t ldb, const void* scale,
            void* c, std::int64_t ldc) {
  const std::int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  for (std::int64_t t = 0, row = 0; t < tiles; ++t) {
    const auto count = static_cast<int>((rows - row + (tiles - t) - 1) / (tiles - t));
    constexpr auto all = std::make_integer_sequence<int, tile_rows>();
    by_rows<Update<T>>(count, all)(start, static_cast<const T*>(a) + row, lda,
                                   static_cast<const T*>(b), ldb, static_cast<const T*>(scale),
                                   static_cast<T*>(c) + row * ldc, ldc, columns, depth);
    row += count;
  }
}

/// c = the sum over parts of the sums of a' b.
template <class T>
void parts_product(std::int64_t count, std::int64_t columns, const SkinnyProducts::Term* terms,
                   std::int64_t term_count, const std::int64_t* part_ends, std::int64_t part_count,
                   void* c, std::int64_t ldc, bool accumulate) {
  constexpr auto all = std::make_integer_sequence<int, tile_rows>();
  by_rows<Parts<T>>(static_cast<int>(count), all)(terms, term_count, part_ends, part_count,
                                                  static_cast<T*>(c), ldc, columns, accumulate);
}
