#!/usr/bin/env python3
"""Values, gradients, Hessian-vector products and Jacobians by NumPy, for tests/oracle/oracle.cpp to compare Cinch's with.

    tests/oracle/make.py [FILE.npz]      writes FILE, oracle.npz beside this script unless named
    tests/oracle/make.py --check FILE    computes all of it again and compares with FILE

Nothing here knows of Cinch. A formula is a NumPy function of complex arrays. Its first derivatives come from complex steps,
f(x + ih).imag / h, which lose no digits; its second derivatives from fourth-order differences of those. For each formula NAME
with inputs A, B, ... the file holds NAME:in:A, NAME:value, and for cost = sum(weight * value), NAME:weight:
NAME:grad:A = d cost / d A, and NAME:hvp:A = d^2 cost / dA d(all inputs) applied to NAME:v:A, ... . NAME:jacobian is there for
formulas whose value is (batch, m) and whose first input, x, is (batch, n): d value[b] / d x[b], (batch, m, n).
"""
import sys

import numpy as np

FORMULAS = {}


def formula(jacobian=False, **shapes):
    def keep(f):
        FORMULAS[f.__name__] = (f, shapes, jacobian)
        return f
    return keep


# Functions of complex numbers that are right on the real axis and analytic around it.
def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softplus(a):
    return np.log1p(np.exp(-np.abs(a.real) - 1j * np.sign(a.real) * a.imag)) + np.where(a.real > 0, a, 0)


def relu(a):
    return np.where(a.real > 0, a, 0)


def absolute(a):
    return np.where(a.real < 0, -a, a)


def log_softmax(a):
    shifted = a - a.real.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(x, z):
    return -(x * np.log(z) + (1 - x) * np.log(1 - z)).sum(axis=1)


def unit(u):
    """Anything to (0, 1): pixels."""
    return sigmoid(2 * u)


def one_hot(n, classes):
    return np.eye(classes)[np.arange(n) % classes]


AE = dict(x=(5, 6), W=(6, 4), b=(4,), c=(6,))
UNTIED = dict(x=(5, 6), W=(6, 4), b=(4,), V=(4, 6), c=(6,))


# --- elementwise and reductions
@formula(a=(3, 4), b=(4,))
def arithmetic(a, b):
    return a * b - a / (2 + b * b) + (a - b) ** 2


@formula(a=(3, 4))
def transcendental(a):
    return np.exp(a) * np.sin(a) + np.cos(a) * np.tanh(a) - np.log(3 + a) + np.sqrt(2 + a)


@formula(a=(3, 4))
def log_sigmoid(a):
    return np.log(sigmoid(3 * a)) - np.log(1 - sigmoid(2 * a))


@formula(a=(3, 4))
def softplus_of(a):
    return softplus(4 * a)


@formula(a=(3, 4), b=(3, 4))
def powers(a, b):
    return (2 + a) ** (1.5 + b) + (2 + a) ** 3 - (2 + a) ** -0.5


@formula(a=(4, 5))
def log_sum_exp(a):
    return np.log(np.exp(a).sum(axis=1))


@formula(a=(4, 5), jacobian=True)
def softmax_rows(a):
    return np.exp(log_softmax(a))


@formula(a=(4, 5))
def variance(a):
    m = a.mean(axis=0)
    return ((a - m) ** 2).mean(axis=0)


@formula(a=(2, 3, 4))
def sums_over_axes(a):
    return a.sum(axis=(0, 2)) * (a * a).sum(axis=(0, 2)) + np.exp(a).mean(axis=(0, 2))


@formula(a=(4, 5))
def products_of_rows(a):
    return np.exp(np.log(1.5 + a).sum(axis=1))


@formula(a=(6,), b=(6,))
def correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


# --- shapes and indices
@formula(a=(3, 4))
def slices_and_transposes(a):
    return a.T[1:3] @ a[:, ::-1] + a[2]


@formula(a=(3, 4), b=(2, 4))
def concatenation(a, b):
    t = np.concatenate([a, np.sin(b), a * 2], axis=0)
    return t[[0, 3, 3, 7]] ** 2


@formula(a=(4, 3))
def picked_log_probabilities(a):
    return -log_softmax(a)[np.arange(4), np.arange(4) % 3]


# --- linear algebra and contractions
@formula(a=(3, 4), b=(4, 5), c=(5, 2))
def chain_of_products(a, b, c):
    return np.tanh(a @ b @ c)


@formula(a=(4, 5), b=(5, 4))
def trace_of_product(a, b):
    return np.trace(a @ b)


@formula(a=(4, 3), b=(5, 3))
def gaussian_kernel(a, b):
    d = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
    return np.exp(-0.5 * d)


@formula(a=(2, 3, 4), b=(2, 4, 3))
def batched_products(a, b):
    return np.einsum('nij,njk->nik', a, b) ** 2


@formula(x=(6,), A=(6, 6))
def rayleigh_quotient(x, A):
    return (x @ A @ x) / (x @ x)


@formula(a=(3, 4), b=(5, 4), c=(3, 5))
def three_way_contraction(a, b, c):
    return np.einsum('ik,jk,ij->k', a, b, c)


# --- autoencoders: mission 0 and 1
@formula(jacobian=True, x=(5, 6), W=(6, 4), b=(4,))
def encoder(x, W, b):
    return sigmoid(x @ W + b)


@formula(jacobian=True, **AE)
def tied_reconstruction(x, W, b, c):
    return sigmoid(sigmoid(x @ W + b) @ W.T + c)


@formula(**AE)
def tied_cross_entropy(x, W, b, c):
    return cross_entropy(unit(x), sigmoid(sigmoid(unit(x) @ W + b) @ W.T + c))


def penalty(h, W):
    return ((h * (1 - h)) ** 2 @ (W ** 2).sum(axis=0))


@formula(**AE)
def contractive_closed(x, W, b, c):
    h = sigmoid(unit(x) @ W + b)
    return cross_entropy(unit(x), sigmoid(h @ W.T + c)).mean() + 0.1 * penalty(h, W).mean()


@formula(**AE)
def contractive_literal(x, W, b, c):
    h = sigmoid(unit(x) @ W + b)
    J = (h * (1 - h))[:, None, :] * W[None]
    return cross_entropy(unit(x), sigmoid(h @ W.T + c)).mean() + 0.1 * (J ** 2).sum() / len(x)


@formula(**AE)
def contractive_tanh(x, W, b, c):
    h = np.tanh(x @ W + b)
    return ((x - (h @ W.T + c)) ** 2).sum(axis=1).mean() + 0.3 * ((1 - h * h) ** 2 @ (W ** 2).sum(axis=0)).mean()


@formula(**UNTIED)
def plain_untied_relu(x, W, b, V, c):
    return ((relu(x @ W + b) @ V + c - x) ** 2).mean()


@formula(x=(5, 6), W=(6, 3))
def linear_autoencoder(x, W):
    return ((x @ W @ W.T - x) ** 2).sum() / len(x)


@formula(x=(6, 5), W=(5, 3), b=(3,))
def logistic_regression(x, W, b):
    return -(one_hot(6, 3) * log_softmax(x @ W + b)).sum(axis=1).mean()


@formula(x=(6, 5), W=(5, 4), b=(4,), V=(4, 3), c=(3,))
def mlp(x, W, b, V, c):
    nll = -(one_hot(6, 3) * log_softmax(np.tanh(x @ W + b) @ V + c)).sum(axis=1).mean()
    return nll + 1e-2 * ((W ** 2).sum() + (V ** 2).sum())


@formula(x=(4, 6), W1=(6, 5), W2=(5, 4), W3=(4, 3))
def stacked_classifier(x, W1, W2, W3):
    h = sigmoid(sigmoid(x @ W1) @ W2)
    return -(one_hot(4, 3) * log_softmax(h @ W3)).sum(axis=1).mean()


# --- mission 2 to 4
@formula(**UNTIED)
def contractive_keras(x, W, b, V, c):
    h = sigmoid(x @ W + b)
    return ((x - (h @ V + c)) ** 2).mean(axis=1).mean() + 1e-1 * penalty(h, W).mean()


@formula(x=(5, 6), mask=(5, 6), W=(6, 4), b=(4,), c=(6,))
def denoising(x, mask, W, b, c):
    pixels = unit(x)
    return cross_entropy(pixels, sigmoid(sigmoid(pixels * (mask.real > 0) @ W + b) @ W.T + c)).mean()


@formula(x=(5, 6), mask=(5, 6), W=(6, 4), b=(4,), c=(6,))
def denoising_emphasised(x, mask, W, b, c):
    kept = mask.real > 0.5
    z = sigmoid(x * kept @ W + b) @ W.T + c
    return (np.where(kept, 0.5, 1.5) * (z - x) ** 2).sum(axis=1).mean()


@formula(jacobian=True, x=(4, 6), W1=(6, 5), W2=(5, 4), W3=(4, 3))
def deep_encoder(x, W1, W2, W3):
    return sigmoid(np.tanh(softplus(x @ W1) @ W2) @ W3)


@formula(x=(4, 6), W1=(6, 5), W2=(5, 4), W3=(4, 3))
def deep_contractive(x, W1, W2, W3):
    a1, h2 = x @ W1, np.tanh(softplus(x @ W1) @ W2)
    h3 = sigmoid(h2 @ W3)
    d1, d2, d3 = sigmoid(a1), 1 - h2 ** 2, h3 * (1 - h3)
    J = np.einsum('ij,nj,jk,nk,kl,nl->nil', W1, d1, W2, d2, W3, d3)
    return (J ** 2).sum(axis=(1, 2)).mean()


@formula(x=(4, 6), W1=(6, 5), W2=(5, 4))
def deep_contractive_relu(x, W1, W2):
    a1 = x @ W1
    J = np.einsum('ij,nj,jk,nk->nik', W1, (a1.real > 0) * 1.0, W2, (relu(a1) @ W2).real > 0)
    return (J ** 2).sum(axis=(1, 2)).mean()


# --- mission 5: variants
@formula(**AE)
def sparse_kl(x, W, b, c):
    h = sigmoid(x @ W + b)
    rho, mean = 0.05, h.mean(axis=0)
    kl = rho * np.log(rho / mean) + (1 - rho) * np.log((1 - rho) / (1 - mean))
    return ((h @ W.T + c - x) ** 2).sum(axis=1).mean() + 0.2 * kl.sum()


@formula(**AE)
def sparse_l1(x, W, b, c):
    h = np.tanh(x @ W + b)
    return ((h @ W.T + c - x) ** 2).sum(axis=1).mean() + 0.1 * absolute(h).sum(axis=1).mean()


@formula(**AE)
def weight_decay(x, W, b, c):
    return ((sigmoid(x @ W + b) @ W.T + c - x) ** 2).sum(axis=1).mean() + 0.05 * (W ** 2).sum()


@formula(x=(5, 6), W=(6, 4), b=(4,), eps=(5, 6))
def cae_h_stochastic(x, W, b, eps):
    def jac(x):
        h = sigmoid(x @ W + b)
        return (h * (1 - h))[:, None, :] * W[None]
    return ((jac(x) - jac(x + 0.1 * eps)) ** 2).sum(axis=(1, 2)).mean()


@formula(x=(5, 6), W=(6, 4), b=(4,))
def cae_h_exact(x, W, b):
    h = sigmoid(x @ W + b)
    second = h * (1 - h) * (1 - 2 * h)
    return (second ** 2 @ ((W ** 2).sum(axis=0) ** 2)).mean()


@formula(**AE)
def contracted_reconstruction(x, W, b, c):
    h = sigmoid(x @ W + b)
    z = sigmoid(h @ W.T + c)
    J = np.einsum('ni,ij,nj,kj->nik', z * (1 - z), W, h * (1 - h), W)
    return (J ** 2).sum(axis=(1, 2)).mean()


@formula(x=(5, 6), W=(6, 4), U=(6, 2), V=(2, 6), eps=(5, 2))
def variational(x, W, U, V, eps):
    pixels = unit(x)
    mean, log_variance = np.tanh(pixels @ W)[:, :2] , pixels @ U
    code = mean + np.exp(log_variance / 2) * eps
    kl = -0.5 * (1 + log_variance - mean ** 2 - np.exp(log_variance)).sum(axis=1)
    return (cross_entropy(pixels, sigmoid(code @ V)) + 2 * kl).mean()


@formula(**UNTIED)
def nuclear_norm_bound(x, W, b, V, c):
    h = sigmoid(x @ W + b)
    return 0.5 * ((V ** 2).sum() + penalty(h, W).mean())


@formula(x=(4, 5), W=(3, 5), b=(5,))
def isometric(x, W, b):
    code = x[:, :3]
    d = 1 - np.tanh(code @ W + b) ** 2
    J = np.einsum('ij,nj->nij', W, d)
    G = np.einsum('nij,nkj->nik', J, J)
    return ((G - np.eye(3)) ** 2).sum(axis=(1, 2)).mean()


@formula(x=(4, 6), W=(6, 5), V=(5, 3), tangent=(4, 6))
def manifold_tangent(x, W, V, tangent):
    h = np.tanh(x @ W)
    along = ((tangent @ W) * (1 - h ** 2)) @ V
    nll = -(one_hot(4, 3) * log_softmax(h @ V)).sum(axis=1)
    return (nll + 0.7 * (along ** 2).sum(axis=1)).mean()


@formula(jacobian=True, x=(5, 2), W=(2, 4), b=(4,))
def score_of_denoiser(x, W, b):
    return (np.tanh(x @ W + b) @ W.T - x) / 0.25


def largest(h, count, axis):
    """Where h is among the `count` largest along the axis."""
    order = np.argsort(np.argsort(-h.real, axis=axis), axis=axis)
    return order < count


@formula(x=(5, 6), W=(6, 8), b=(8,), c=(6,))
def k_sparse_code(x, W, b, c):
    h = x @ W + b
    z = (h * largest(h, 3, 1)) @ W.T + c
    return ((z - x) ** 2).sum(axis=1).mean()


@formula(x=(5, 6), W=(6, 8), b=(8,), c=(6,))
def winner_take_all_code(x, W, b, c):
    h = relu(x @ W + b + 1)
    z = (h * largest(h, 2, 0)) @ W.T + c
    return ((z - x) ** 2).sum(axis=1).mean()


def windows(x, width):
    """(n, c, h, w) -> (n, c, h', w', width, width), without NumPy's strides."""
    rows, columns = x.shape[2] - width + 1, x.shape[3] - width + 1
    return np.stack([np.stack([x[:, :, i:i + rows, j:j + columns] for j in range(width)], -1) for i in range(width)], -2)


@formula(x=(2, 2, 5, 6), F=(3, 2, 3, 3), b=(3,), c=(2,))
def convolutional(x, F, b, c):
    h = np.tanh(np.einsum('ncijkl,fckl->nfij', windows(x, 3), F) + b[:, None, None])
    padded = np.zeros(h.shape[:2] + (7, 8), dtype=complex)
    padded[:, :, 2:5, 2:6] = h
    z = np.einsum('nfijkl,fckl->ncij', windows(padded, 3), F[:, :, ::-1, ::-1]) + c[:, None, None]
    return ((z - x) ** 2).sum(axis=(1, 2, 3)).mean()


@formula(A=(4, 4), v=(4,))
def log_likelihood(A, v):
    S = A @ A.T + 2 * np.eye(4)
    return v @ np.linalg.solve(S, v) + np.log(np.linalg.det(S))


@formula(a=(4, 7))
def sorted_and_summed(a):
    order = np.argsort(a.real, axis=1)
    return np.take_along_axis(a, order, 1).cumsum(axis=1) * a


@formula(a=(3, 5))
def padded_and_rolled(a):
    wide = np.pad(a, ((1, 2), (0, 1)))
    return np.roll(np.tile(wide, (1, 2)), 3, axis=1) ** 2


# --- derivatives
def weights(shape):
    return np.cos(1 + np.arange(int(np.prod(shape)))).reshape(shape)


def gradient(f, inputs, weight):
    step, result = 1e-100, {}
    for name, value in inputs.items():
        g = np.zeros(value.shape)
        for at in np.ndindex(value.shape):
            moved = {k: v.astype(complex) for k, v in inputs.items()}
            moved[name][at] += 1j * step
            g[at] = (np.asarray(f(**moved)) * weight).sum().imag / step
        result[name] = g
    return result


def hessian_vector(f, inputs, vectors, weight):
    # Fourth order, combined at two steps to sixth.
    def difference(step):
        def at(t):
            return gradient(f, {k: x + t * vectors[k] for k, x in inputs.items()}, weight)
        a, b, c, d = at(-2 * step), at(-step), at(step), at(2 * step)
        return {k: (a[k] - 8 * b[k] + 8 * c[k] - d[k]) / (12 * step) for k in inputs}
    coarse, fine = difference(4e-3), difference(2e-3)
    return {k: fine[k] + (fine[k] - coarse[k]) / 15 for k in inputs}


def jacobian(f, inputs):
    name, step = next(iter(inputs)), 1e-100
    x = inputs[name]
    columns = []
    for j in range(x.shape[1]):
        moved = {k: v.astype(complex) for k, v in inputs.items()}
        moved[name][:, j] += 1j * step
        columns.append(np.asarray(f(**moved)).imag / step)
    return np.stack(columns, axis=2)


def everything():
    result = {}
    for number, (name, (f, shapes, wants_jacobian)) in enumerate(FORMULAS.items()):
        random = np.random.RandomState(1000 + number)
        inputs = {k: random.uniform(-0.9, 0.9, shape) for k, shape in shapes.items()}
        vectors = {k: random.uniform(-1, 1, shape) for k, shape in shapes.items()}
        value = np.asarray(f(**{k: v.astype(complex) for k, v in inputs.items()})).real
        weight = weights(value.shape)
        parts = {'value': value, 'weight': weight}
        for prefix, arrays in [('in', inputs), ('v', vectors), ('grad', gradient(f, inputs, weight)),
                               ('hvp', hessian_vector(f, inputs, vectors, weight))]:
            parts.update({f'{prefix}:{k}': v for k, v in arrays.items()})
        if wants_jacobian:
            parts['jacobian'] = jacobian(f, inputs)
        result.update({f'{name}:{k}': v for k, v in parts.items()})
    return result


def main():
    if len(sys.argv) == 3 and sys.argv[1] == '--check':
        stored, now = np.load(sys.argv[2]), everything()
        if set(stored.files) != set(now):
            sys.exit('other names: ' + ' '.join(sorted(set(stored.files) ^ set(now))))
        for key, value in now.items():
            if not np.allclose(stored[key], value, rtol=1e-9, atol=1e-9):
                sys.exit(f'{key} differs')
        print(f'{len(FORMULAS)} formulas, {len(now)} arrays: all as stored')
        return
    target = sys.argv[1] if len(sys.argv) > 1 else __file__.rsplit('/', 1)[0] + '/oracle.npz'
    np.savez_compressed(target, **everything())
    print(f'{len(FORMULAS)} formulas written to {target}')


main()
