// What convolutions are made of: products with a matrix whose rows begin anywhere, as what windows
// see of an image does, and matrices turned. Included by kernels_body.inl after products_body.inl.

/// Rows and vectors of a tile: as many sums as leave registers for the vectors of b and one of a.
constexpr int indirect_rows = CINCH_VECTOR_BYTES == 64 ? 8 : 4;

/// `count` of the lanes.
template <class T>
CINCH_INLINE Vector<T> load_some(const T* from, std::int64_t count) {
  T all[lanes<T>] = {};
  for (std::int64_t k = 0; k < count; ++k) all[k] = from[k];
  return load(all);
}

template <class T>
CINCH_INLINE void store_some(T* to, Vector<T> v, std::int64_t count) {
  T all[lanes<T>];
  store(all, v);
  for (std::int64_t k = 0; k < count; ++k) to[k] = all[k];
}

/// Rows x `columns` of c = a' b, where row k of b begins at offsets[k]. `columns` reaches into
/// the last of the vectors.
template <class T, int Rows, int Vectors>
CINCH_INLINE void tile_indirect(const T* a, std::int64_t lda, const T* b,
                                const std::int32_t* offsets, std::int64_t depth, T* c,
                                std::int64_t ldc, std::int64_t columns, SumStart start) {
  constexpr std::int64_t L = lanes<T>;
  const std::int64_t rest = columns - (Vectors - 1) * L;
  Vector<T> sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) sum[i][j] = Vector<T>{};
  }
  if (start == SumStart::old) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j + 1 < Vectors; ++j) sum[i][j] = load(c + i * ldc + j * L);
      const T* const last = c + i * ldc + (Vectors - 1) * L;
      sum[i][Vectors - 1] = rest == L ? load(last) : load_some(last, rest);
    }
  }
  for (std::int64_t k = 0; k < depth; ++k, a += lda) {
    const T* const row = b + offsets[k];
    Vector<T> right[Vectors];
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) right[j] = load(row + j * L);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const T x = a[i];
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) sum[i][j] += x * right[j];
    }
  }
  if (start == SumStart::apart) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j + 1 < Vectors; ++j) sum[i][j] += load(c + i * ldc + j * L);
      const T* const last = c + i * ldc + (Vectors - 1) * L;
      sum[i][Vectors - 1] += rest == L ? load(last) : load_some(last, rest);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j + 1 < Vectors; ++j) store(c + i * ldc + j * L, sum[i][j]);
    T* const last = c + i * ldc + (Vectors - 1) * L;
    if (rest == L) {
      store(last, sum[i][Vectors - 1]);
    } else {
      store_some<T>(last, sum[i][Vectors - 1], rest);
    }
  }
}

template <class T, int Rows, int Vectors>
void columns_indirect(const T* a, std::int64_t lda, const T* b, const std::int32_t* offsets,
                      std::int64_t depth, T* c, std::int64_t ldc, std::int64_t columns,
                      SumStart start) {
  tile_indirect<T, Rows, Vectors>(a, lda, b, offsets, depth, c, ldc, columns, start);
}

template <class T, int Vectors>
struct Indirect {
  using Run = decltype(&columns_indirect<T, 1, Vectors>);
  template <int Rows>
  static constexpr Run run = columns_indirect<T, Rows, Vectors>;
};

/// Every sum runs over k in ascending order, whatever tile it is in.
template <class T>
void indirect_product(std::int64_t rows, std::int64_t columns, std::int64_t depth, const void* a,
                      std::int64_t lda, const void* b, const std::int32_t* offsets, void* c,
                      std::int64_t ldc, SumStart start) {
  constexpr std::int64_t L = lanes<T>;
  constexpr auto all = std::make_integer_sequence<int, indirect_rows>();
  constexpr auto half = std::make_integer_sequence<int, indirect_rows / 2>();
  const bool few = rows <= indirect_rows / 2;
  const std::int64_t tiles = (rows + indirect_rows - 1) / indirect_rows;
  for (std::int64_t at = 0; at < columns;) {
    const std::int64_t left = (columns - at + L - 1) / L;
    // No vector is left alone: there is one row's sum for each of b's numbers then.
    const std::int64_t vectors = few && left >= 6         ? 6
                                 : left >= 5 || left == 3 ? 3
                                 : left >= 2              ? 2
                                                          : 1;
    const std::int64_t wide = columns - at < vectors * L ? columns - at : vectors * L;
    const T* const right = static_cast<const T*>(b) + at;
    for (std::int64_t t = 0, row = 0; t < tiles; ++t) {
      const auto count = static_cast<int>((rows - row + (tiles - t) - 1) / (tiles - t));
      const auto run = vectors == 6   ? by_rows<Indirect<T, 6>>(count, half)
                       : vectors == 3 ? by_rows<Indirect<T, 3>>(count, all)
                       : vectors == 2 ? by_rows<Indirect<T, 2>>(count, all)
                                      : by_rows<Indirect<T, 1>>(count, all);
      run(static_cast<const T*>(a) + row, lda, right, offsets, depth,
          static_cast<T*>(c) + row * ldc + at, ldc, wide, start);
      row += count;
    }
    at += wide;
  }
}

/// Rows x Taps vectors of sums += g b', both along their rows.
template <class T, int Rows, int Taps>
CINCH_INLINE void tile_lanes(const T* g, std::int64_t ldg, const T* b, const std::int32_t* offsets,
                             std::int64_t n, T* sums, std::int64_t ldsums) {
  constexpr std::int64_t L = lanes<T>;
  Vector<T> sum[Rows][Taps];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) sum[i][j] = load(sums + i * ldsums + j * L);
  }
  std::int64_t k = 0;
  for (; k + L <= n; k += L) {
    Vector<T> left[Rows];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) left[i] = load(g + i * ldg + k);
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) {
      const Vector<T> right = load(b + offsets[j] + k);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) sum[i][j] += left[i] * right;
    }
  }
  if (k < n) {
    // Zeros on both sides in lanes that are nobody's, so that no infinity meets a zero.
    Vector<T> left[Rows];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) left[i] = load_some(g + i * ldg + k, n - k);
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) {
      const Vector<T> right = load_some(b + offsets[j] + k, n - k);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) sum[i][j] += left[i] * right;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Taps; ++j) store(sums + i * ldsums + j * L, sum[i][j]);
  }
}

template <class T, int Rows, int Taps>
void rows_lanes(const T* g, std::int64_t ldg, const T* b, const std::int32_t* offsets,
                std::int64_t n, T* sums, std::int64_t ldsums) {
  tile_lanes<T, Rows, Taps>(g, ldg, b, offsets, n, sums, ldsums);
}

template <class T, int Rows>
struct Lanes {
  using Run = decltype(&rows_lanes<T, Rows, 1>);
  template <int Taps>
  static constexpr Run run = rows_lanes<T, Rows, Taps>;
};

template <class T>
void lane_products(std::int64_t rows, std::int64_t taps, std::int64_t n, const void* g,
                   std::int64_t ldg, const void* b, const std::int32_t* offsets, void* sums) {
  constexpr std::int64_t L = lanes<T>;
  constexpr int most_rows = CINCH_VECTOR_BYTES == 64 ? 4 : 2, most_taps = 5;
  constexpr auto all = std::make_integer_sequence<int, most_taps>();
  const std::int64_t tiles = (taps + most_taps - 1) / most_taps;
  for (std::int64_t row = 0; row < rows;) {
    const std::int64_t high = rows - row >= most_rows ? most_rows : rows - row >= 2 ? 2 : 1;
    for (std::int64_t t = 0, tap = 0; t < tiles; ++t) {
      const auto count = static_cast<int>((taps - tap + (tiles - t) - 1) / (tiles - t));
      const auto run = high == 1   ? by_rows<Lanes<T, 1>>(count, all)
                       : high == 2 ? by_rows<Lanes<T, 2>>(count, all)
                                   : by_rows<Lanes<T, most_rows>>(count, all);
      run(static_cast<const T*>(g) + row * ldg, ldg, static_cast<const T*>(b), offsets + tap, n,
          static_cast<T*>(sums) + (row * taps + tap) * L, taps * L);
      tap += count;
    }
    row += high;
  }
}

template <class T>
void sum_lanes(std::int64_t count, const void* sums, void* out) {
  for (std::int64_t k = 0; k < count; ++k)
    static_cast<T*>(out)[k] = horizontal_sum<T>(load(static_cast<const T*>(sums) + k * lanes<T>));
}

template <class T, int... I>
CINCH_INLINE Vector<T> lower_mixed(Vector<T> a, Vector<T> b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (I / 2 + I % 2 * L)...);
}
template <class T, int... I>
CINCH_INLINE Vector<T> upper_mixed(Vector<T> a, Vector<T> b, std::integer_sequence<int, I...>) {
  constexpr int L = sizeof...(I);
  return __builtin_shufflevector(a, b, (L / 2 + I / 2 + I % 2 * L)...);
}

/// As many rows as a vector has lanes, and columns: rows k and k + half are mixed element by
/// element, as often as half of a half is left.
template <class T>
CINCH_INLINE void turn_block(const T* from, std::int64_t ldf, T* to, std::int64_t ldt) {
  constexpr int L = static_cast<int>(lanes<T>);
  constexpr auto all = std::make_integer_sequence<int, L>();
  Vector<T> a[L], b[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) a[i] = load(from + i * ldf);
#pragma GCC unroll 4
  for (int stage = 1; stage < L; stage *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < L / 2; ++i) {
      b[2 * i] = lower_mixed<T>(a[i], a[i + L / 2], all);
      b[2 * i + 1] = upper_mixed<T>(a[i], a[i + L / 2], all);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) a[i] = b[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) store(to + i * ldt, a[i]);
}

/// to[j, i] = from[i, j]. The last blocks overlap those before them.
template <class T>
void turn(std::int64_t rows, std::int64_t columns, const void* from_, std::int64_t ldf, void* to_,
          std::int64_t ldt) {
  constexpr std::int64_t L = lanes<T>;
  const T* const from = static_cast<const T*>(from_);
  T* const to = static_cast<T*>(to_);
  if (rows < L || columns < L) {
    for (std::int64_t j = 0; j < columns; ++j) {
      for (std::int64_t i = 0; i < rows; ++i) to[j * ldt + i] = from[i * ldf + j];
    }
    return;
  }
  for (std::int64_t i = 0; i < rows; i += L) {
    const std::int64_t row = i + L <= rows ? i : rows - L;
    for (std::int64_t j = 0; j < columns; j += L) {
      const std::int64_t column = j + L <= columns ? j : columns - L;
      turn_block(from + row * ldf + column, ldf, to + column * ldt + row, ldt);
    }
  }
}

template <class T, int... I>
CINCH_INLINE Vector<T> every_second(Vector<T> a, Vector<T> b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...);
}

/// Whole vectors, from the beginning of a row: what one writes beyond a row is written again by the
/// next, or is nobody's, and what was read beside a row becomes 0.
template <class T, int Stride>
CINCH_INLINE void see_row(const WindowRows& r, bool whole, const T* from, T* to) {
  constexpr std::int64_t L = lanes<T>;
  constexpr auto all = std::make_integer_sequence<int, static_cast<int>(L)>();
  if (!whole) {
    for (std::int64_t p = r.begin; p < r.end; ++p) to[p] = from[p * Stride];
  } else if constexpr (Stride == 1) {
    for (std::int64_t p = 0; p < r.count; p += L) store(to + p, load(from + p));
  } else {
    for (std::int64_t p = 0; p < r.count; p += L)
      store(to + p, every_second<T>(load(from + 2 * p), load(from + 2 * p + L), all));
  }
  for (std::int64_t p = 0; p < r.begin; ++p) to[p] = T(0);
  for (std::int64_t p = r.end; p < r.count; ++p) to[p] = T(0);
}

template <class T>
CINCH_INLINE void zero_rows(std::int64_t rows, const WindowRows& r, T* to) {
  constexpr std::int64_t L = lanes<T>;
  if (r.to_row == r.count) {
    for (std::int64_t p = 0; p < rows * r.count; p += L) store(to + p, Vector<T>{});
  } else {
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t p = 0; p < r.count; ++p) to[row * r.to_row + p] = T(0);
    }
  }
}

template <class T>
void see_rows(const WindowRows& rows, const void* first_, const void* limit_, const void* from_,
              void* to_) {
  constexpr std::int64_t L = lanes<T>;
  const WindowRows r = rows;
  const T *const first = static_cast<const T*>(first_), *const limit =
                                                            static_cast<const T*>(limit_);
  const std::int64_t reach = (r.count + L - 1) / L * L * r.stride;
  for (std::int64_t plane = 0; plane < r.planes; ++plane) {
    const T* from = static_cast<const T*>(from_) + plane * r.from_plane;
    T* to = static_cast<T*>(to_) + plane * r.to_plane;
    zero_rows<T>(r.before, r, to);
    to += r.before * r.to_row;
    for (std::int64_t row = 0; row < r.rows; ++row, from += r.from_row, to += r.to_row) {
      const bool whole = r.to_row == r.count && from >= first && from + reach <= limit;
      if (r.stride == 1) {
        see_row<T, 1>(r, whole, from, to);
      } else if (r.stride == 2) {
        see_row<T, 2>(r, whole, from, to);
      } else {
        for (std::int64_t p = 0; p < r.begin; ++p) to[p] = T(0);
        for (std::int64_t p = r.begin; p < r.end; ++p) to[p] = from[p * r.stride];
        for (std::int64_t p = r.end; p < r.count; ++p) to[p] = T(0);
      }
    }
    zero_rows<T>(r.after, r, to);
  }
}

/// to[2 k] = a[k], to[2 k + 1] = b[k].
template <class T>
void weave(std::int64_t n, const void* a_, const void* b_, void* to_) {
  constexpr std::int64_t L = lanes<T>;
  constexpr auto all = std::make_integer_sequence<int, static_cast<int>(L)>();
  const T *const a = static_cast<const T*>(a_), *const b = static_cast<const T*>(b_);
  T* const to = static_cast<T*>(to_);
  std::int64_t k = 0;
  for (; k + L <= n; k += L) {
    const Vector<T> x = load(a + k), y = load(b + k);
    store(to + 2 * k, lower_mixed<T>(x, y, all));
    store(to + 2 * k + L, upper_mixed<T>(x, y, all));
  }
  for (; k < n; ++k) {
    to[2 * k] = a[k];
    to[2 * k + 1] = b[k];
  }
}
