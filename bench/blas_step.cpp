// The bare products: a bound that no program which multiplies by OpenBLAS can pass.
#include <cblas.h>

#include <array>
#include <memory>

#include "works.hpp"

namespace cinch::bench {

namespace {

template <class T>
constexpr auto select(auto single, auto twice) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return single;
  } else {
    return twice;
  }
}

/// c (m, n) = alpha op(a) op(b) + beta c, all row-major without gaps; by the simpler routines for
/// one row or one term.
template <class T>
void product(bool ta, bool tb, blasint m, blasint n, blasint k, T alpha, const T* a, const T* b,
             T beta, T* c) {
  constexpr auto gemm = select<T>(cblas_sgemm, cblas_dgemm);
  constexpr auto gemv = select<T>(cblas_sgemv, cblas_dgemv);
  constexpr auto ger = select<T>(cblas_sger, cblas_dger);
  const auto order = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  const blasint lda = ta ? m : k, ldb = tb ? k : n;
  if (m == 1) {
    gemv(CblasRowMajor, order(!tb), tb ? n : k, ldb, alpha, b, ldb, a, 1, beta, c, 1);
  } else if (k == 1 && beta == 1) {
    ger(CblasRowMajor, m, n, alpha, a, 1, b, 1, c, n);
  } else {
    gemm(CblasRowMajor, order(ta), order(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, n);
  }
}

/// Products of matrices made for the purpose, in the order they are to be computed.
template <class T>
class Products {
 public:
  using Matrix = std::shared_ptr<Tensor>;

  Matrix matrix(std::int64_t rows, std::int64_t columns) {
    return std::make_shared<Tensor>(initial_matrix(++count_, rows, columns, 1, dtype_of<T>()));
  }

  /// c = op(a) op(b), or c += as long as it changes nothing: the figures have to stay finite.
  void multiply(bool ta, const Matrix& a, bool tb, const Matrix& b, const Matrix& c,
                bool accumulate = false) {
    calls_.push_back({ta, tb, accumulate, a, b, c});
  }

  void run() const {
    for (const Call& call : calls_) {
      const Shape &a = call.a->shape(), &c = call.c->shape();
      product<T>(call.ta, call.tb, static_cast<blasint>(c[0]), static_cast<blasint>(c[1]),
                 static_cast<blasint>(a[call.ta ? 0 : 1]), T(call.accumulate ? 1e-20 : 1),
                 call.a->template data<T>().data(), call.b->template data<T>().data(),
                 T(call.accumulate ? 1 : 0), call.c->template data<T>().data());
    }
  }

 private:
  struct Call {
    bool ta, tb, accumulate;
    Matrix a, b, c;
  };
  std::vector<Call> calls_;
  std::uint64_t count_ = 0;
};

/// W1 to W3: code, reconstruction, gradient of the code, and both parts of the weight's in one.
template <class T>
void tied_autoencoder(Products<T>& p, std::int64_t n) {
  const auto W = p.matrix(visible, hidden), X = p.matrix(n, visible), H = p.matrix(n, hidden),
             Z = p.matrix(n, visible), dH = p.matrix(n, hidden);
  const auto left = p.matrix(2 * n, visible), right = p.matrix(2 * n, hidden);
  p.multiply(false, X, false, W, H);
  p.multiply(false, H, true, W, Z);
  p.multiply(false, Z, false, W, dH);
  p.multiply(true, left, false, right, W, /*accumulate=*/true);
}

/// A stack of layers, forwards and backwards. `in_place`: gradients go straight into the weights.
template <class T>
std::vector<typename Products<T>::Matrix> stack(Products<T>& p, std::int64_t n,
                                                std::span<const std::int64_t> units,
                                                bool in_place) {
  std::vector<typename Products<T>::Matrix> H{p.matrix(n, units[0])}, W, gradients;
  for (std::size_t k = 0; k + 1 < units.size(); ++k) {
    W.push_back(p.matrix(units[k], units[k + 1]));
    H.push_back(p.matrix(n, units[k + 1]));
    p.multiply(false, H[k], false, W[k], H[k + 1]);
  }
  auto d = p.matrix(n, units.back());
  for (std::size_t k = W.size(); k-- > 0;) {
    const auto next = k > 0 ? p.matrix(n, units[k]) : nullptr;
    if (next) p.multiply(false, d, true, W[k], next);
    p.multiply(true, H[k], false, d, in_place ? W[k] : p.matrix(units[k], units[k + 1]), in_place);
    d = next;
  }
  return W;
}

/// W5's penalty: G = W1' W1, P = W2 (D2 W3 D3), A = D1 P, <A, G A>, and back.
template <class T>
void gram_penalty(Products<T>& p, std::int64_t n,
                  const std::vector<typename Products<T>::Matrix>& W) {
  const auto G = p.matrix(64, 64), Q = p.matrix(32, 16 * n), A = p.matrix(64, 16 * n),
             GA = p.matrix(64, 16 * n), S = p.matrix(64, 64), dQ = p.matrix(32, 16 * n);
  p.multiply(true, W[0], false, W[0], G);
  p.multiply(false, W[1], false, Q, A);
  p.multiply(false, G, false, A, GA);
  p.multiply(false, A, true, A, S);
  p.multiply(false, W[0], false, S, p.matrix(visible, 64), /*accumulate=*/true);
  p.multiply(true, W[1], false, GA, dQ);
  p.multiply(false, GA, true, Q, p.matrix(64, 32), /*accumulate=*/true);
}

template <class T>
Step products_of(const Config& config) {
  const auto p = std::make_shared<Products<T>>();
  if (config.work == "W4") {
    stack<T>(*p, config.batch, std::array<std::int64_t, 3>{visible, 64, visible}, false);
  } else if (config.work == "W5") {
    const auto W = stack<T>(
        *p, config.batch, std::array<std::int64_t, 7>{visible, 64, 32, 16, 32, 64, visible}, false);
    gram_penalty(*p, config.batch, W);
  } else if (config.work == "W6") {
    stack<T>(*p, config.batch, std::array<std::int64_t, 5>{visible, 1000, 1000, 1000, 10}, true);
  } else {
    tied_autoencoder(*p, config.batch);
  }
  return [p](std::int64_t) {
    p->run();
    return no_loss;
  };
}

}  // namespace

Step blas_step(const Config& config) {
  set_blas_threads(config.threads);
  return dispatch_float(config.dtype, [&]<class T>() -> Step { return products_of<T>(config); });
}

void set_blas_threads(int threads) { openblas_set_num_threads(threads); }

}  // namespace cinch::bench
