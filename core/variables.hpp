// Symbolic inputs by Theano's names. Sizes are not known until a function is called; variable()
// takes known ones.
#pragma once

#include "cinch/core/expr.hpp"
#include "cinch/core/visibility.hpp"

namespace CINCH_PUBLIC cinch {

inline Expr scalar(std::string label = "", DType dtype = DType::float32,
                   Source where = Source::here()) {
  return variable(std::move(label), dtype, {}, where);
}
inline Expr vector(std::string label = "", DType dtype = DType::float32,
                   Source where = Source::here()) {
  return variable(std::move(label), dtype, {-1}, where);
}
inline Expr matrix(std::string label = "", DType dtype = DType::float32,
                   Source where = Source::here()) {
  return variable(std::move(label), dtype, {-1, -1}, where);
}
inline Expr tensor3(std::string label = "", DType dtype = DType::float32,
                    Source where = Source::here()) {
  return variable(std::move(label), dtype, {-1, -1, -1}, where);
}
/// Images: (batch, channels, height, width).
inline Expr tensor4(std::string label = "", DType dtype = DType::float32,
                    Source where = Source::here()) {
  return variable(std::move(label), dtype, {-1, -1, -1, -1}, where);
}

// f: float32, d: float64, l and i: int64, the only integers there are, b: bool.
inline Expr fscalar(std::string label = "", Source where = Source::here()) {
  return scalar(std::move(label), DType::float32, where);
}
inline Expr dscalar(std::string label = "", Source where = Source::here()) {
  return scalar(std::move(label), DType::float64, where);
}
inline Expr lscalar(std::string label = "", Source where = Source::here()) {
  return scalar(std::move(label), DType::int64, where);
}
inline Expr iscalar(std::string label = "", Source where = Source::here()) {
  return lscalar(std::move(label), where);
}
inline Expr fvector(std::string label = "", Source where = Source::here()) {
  return vector(std::move(label), DType::float32, where);
}
inline Expr dvector(std::string label = "", Source where = Source::here()) {
  return vector(std::move(label), DType::float64, where);
}
inline Expr lvector(std::string label = "", Source where = Source::here()) {
  return vector(std::move(label), DType::int64, where);
}
inline Expr ivector(std::string label = "", Source where = Source::here()) {
  return lvector(std::move(label), where);
}
inline Expr fmatrix(std::string label = "", Source where = Source::here()) {
  return matrix(std::move(label), DType::float32, where);
}
inline Expr dmatrix(std::string label = "", Source where = Source::here()) {
  return matrix(std::move(label), DType::float64, where);
}
inline Expr lmatrix(std::string label = "", Source where = Source::here()) {
  return matrix(std::move(label), DType::int64, where);
}
inline Expr bmatrix(std::string label = "", Source where = Source::here()) {
  return matrix(std::move(label), DType::bool_, where);
}

}  // namespace cinch
