"""Fused element-wise passes over a minibatch on the CPU, compiled by numba when they are first called.

A decoder's output is cells x features, far larger than a core's cache. Torch walks over it once an operation;
here every row is finished while it is in the cache. Exponential and logarithm are the usual range reductions
with minimax polynomials in single precision (coefficients of Moshier's Cephes library, relative error under
2e-7), written out so that the compiler turns the loops into vector instructions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from scipy.special import gammaln

_F, _I, _U = np.float32, np.int32, np.uint32
# Reassociation and fused multiply-adds let loops be vectorised; infinities and NaN keep their meaning.
_FAST = {"contract", "reassoc", "nsz", "arcp"}
_LOG_FACTORIAL = gammaln(np.arange(256) + 1.0)
_SMALL = 16  # up to here, differences of gamma functions are products
_LARGE = 8.0  # from here on, Stirling's series is exact to double precision


def _compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile on first call; the machine code is kept on disk where there is a folder for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no folder can be written: compile in every process
        return numba.njit(nogil=True, error_model="numpy", **options)(function)


def _exp(x: Any) -> Any:
    """Return e^x of a float32 up to 88.3; under -87.3 it is that of -87.3, 1.2e-38."""
    x = max(x, _F(-87.3))
    n = np.floor(x * _F(1.44269504) + _F(0.5))
    r = x - n * _F(0.693359375) + n * _F(2.12194440e-4)
    p = _F(1.9875691500e-4) * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    p = p * r * r + r + _F(1)
    return p * _I((_I(n) + _I(127)) << _I(23)).view(_F)


def _log(x: Any) -> Any:
    """Return the natural logarithm of a positive, normal float32."""
    bits = _F(x).view(_I)
    exponent = (bits - _I(0x3F3504F3)) >> _I(23)
    m = _I(bits - (exponent << _I(23))).view(_F) - _F(1)
    return log_of_parts(exponent, m)


def _log1p(y: Any) -> Any:
    """Return log(1 + y) of a float32 that is not negative; exact also where y is small."""
    bits = _F(_F(1) + y).view(_I)
    exponent = (bits - _I(0x3F3504F3)) >> _I(23)
    m = _I(bits - (exponent << _I(23))).view(_F) - _F(1)
    return log_of_parts(exponent, y if exponent == _I(0) else m)


def _log_of_parts(exponent: Any, m: Any) -> Any:
    """Return log(2^exponent (1 + m)), m between -0.3 and 0.42."""
    p = _F(7.0376836292e-2) * m - _F(1.1514610310e-1)
    p = p * m + _F(1.1676998740e-1)
    p = p * m - _F(1.2420140846e-1)
    p = p * m + _F(1.4249322787e-1)
    p = p * m - _F(1.6668057665e-1)
    p = p * m + _F(2.0000714765e-1)
    p = p * m - _F(2.4999993993e-1)
    p = p * m + _F(3.3333331174e-1)
    z = m * m
    return m - _F(0.5) * z + p * m * z + _F(exponent) * _F(0.69314718)


def _gamma_terms(x: float, theta: float, r: float) -> tuple[float, float]:
    """Return lgamma(x + theta) - lgamma(theta) - x log r, and digamma(x + theta) - digamma(theta)."""
    if x <= _SMALL and x == math.floor(x):
        product, total, inverse = 1.0, 0.0, 1.0 / r
        for k in range(int(x)):
            product *= (theta + k) * inverse
            total += 1.0 / (theta + k)
        return math.log(product), total
    gammas = math.lgamma(x + theta) - math.lgamma(theta)
    return gammas - x * math.log(r), digamma(x + theta) - digamma(theta)


def _digamma(x: float) -> float:
    """Return the digamma function of a positive number: recurrence, then Stirling's series."""
    total = 0.0
    while x < _LARGE:
        total -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * 691 / 32760)))))
    return total + math.log(x) - 0.5 / x - series


exp = _compiled(_exp, inline="always")
log_of_parts = _compiled(_log_of_parts, inline="always")
log = _compiled(_log, inline="always")
log1p = _compiled(_log1p, inline="always")
digamma = _compiled(_digamma)
gamma_terms = _compiled(_gamma_terms)


def _negative_binomial(
    z: Any,
    scale: Any,
    bias: Any,
    theta: Any,
    batch: Any,
    indptr: Any,
    column: Any,
    value: Any,
    library: Any,
    weight: Any,
    order: Any,
    found: Any,
    sums: Any,
) -> None:
    """Evaluate the negative binomial on a block of cells.

    ``z`` is u V^T of the cells that ``order`` names, and becomes the gradient with respect to it of the
    negative log-likelihood. ``found`` receives the weighted log-likelihood of each cell, and ``sums`` what
    the block adds to the derivatives of the log-likelihood by theta, and of its negative by bias and scale.

    With r = mu + theta and q = mu / r, an entry of zero contributes -theta log(r / theta); what needs gamma
    functions is computed at the non-zero entries alone. The derivative by log mu is x (1 - q) - theta q, and
    through the softmax that of eta is g - p sum(g).
    """
    features = z.shape[1]
    mu, g = np.empty(features, dtype=_F), np.empty(features, dtype=_F)
    to_theta, to_bias, to_scale = sums[0], sums[1], sums[2]
    to_theta[:], to_bias[:], to_scale[:] = _F(0), _F(0), _F(0)
    for k in range(len(order)):
        i = order[k]
        row, w = z[k], weight[i]
        a, b, t = scale[batch[i]], bias[batch[i]], theta[batch[i]]
        top = _F(-np.inf)
        for j in range(features):
            mu[j] = a[j] * row[j] + b[j]
            top = max(top, mu[j])
        total = _F(0)
        for j in range(features):
            mu[j] = exp(mu[j] - top)
            total += mu[j]
        depth = library[i] / total
        zeros, slope = _F(0), _F(0)
        for j in range(features):
            mu[j] *= depth
            r = mu[j] + t[j]
            q = mu[j] / r
            gap = log1p(mu[j] / t[j])
            zeros += t[j] * gap
            to_theta[j] += w * (q - gap)
            g[j] = -t[j] * q
            slope += g[j]
        likely = -np.float64(zeros)
        shift = np.log(np.float64(depth)) - np.float64(top)
        for p in range(indptr[i], indptr[i + 1]):
            j, x = column[p], np.float64(value[p])
            m, s = np.float64(mu[j]), np.float64(t[j])
            gammas, digammas = gamma_terms(x, s, m + s)
            whole = x == np.floor(x) and x < 256
            factorial = _LOG_FACTORIAL[int(x)] if whole else math.lgamma(x + 1)
            likely += gammas - factorial + x * (a[j] * row[j] + b[j] + shift)
            change = _F(x * (s / (m + s)))
            g[j] += change
            slope += change
            to_theta[j] += w * _F(digammas - x / (m + s))
        found[k] = w * likely
        share = slope / library[i]
        for j in range(features):
            down = w * (mu[j] * share - g[j])
            to_bias[j] += down
            to_scale[j] += down * row[j]
            row[j] = down * a[j]


negative_binomial = _compiled(_negative_binomial, fastmath=_FAST)


def _hashed(counter: Any, first: Any, second: Any) -> Any:
    """Return 32 random bits for a counter and a seed of 64: multiply, fold, twice over."""
    x = _U(_U(counter) * _U(0x9E3779B9) + first)
    x = _U((x ^ (x >> _U(16))) * _U(0x21F0AAAD))
    x = _U((x ^ (x >> _U(15)) ^ second) * _U(0xD35A2D97))
    x = _U((x ^ (x >> _U(15))) * _U(0x735A2D97))
    return _U(x ^ (x >> _U(16)))


hashed = _compiled(_hashed, inline="always")


def _gauss_pair(first: Any, second: Any) -> Any:
    """Return two standard normal numbers made of two times 32 random bits: Box & Muller 1958.

    An eighth of the circle is computed, from 29 bits of the second word, and turned and mirrored by three.
    The tails end at 6.7.
    """
    radius = np.sqrt(_F(-2) * log((_F(first) + _F(0.5)) * _F(2.0**-32)))
    x = _F(second >> _U(3)) * _F(math.pi / 4 * 2.0**-29)
    y = x * x
    sine = ((_F(-1.9515295891e-4) * y + _F(8.3321608736e-3)) * y - _F(1.6666654611e-1)) * y * x + x
    cosine = (_F(2.443315711809948e-5) * y - _F(1.388731625493765e-3)) * y + _F(4.166664568298827e-2)
    cosine = cosine * y * y - _F(0.5) * y + _F(1)
    one, two = (sine, cosine) if second & _U(4) else (cosine, sine)
    one = -one if second & _U(2) else one
    two = -two if second & _U(1) else two
    return radius * one, radius * two


gauss_pair = _compiled(_gauss_pair, inline="always")


def _normal_noise(first: Any, second: Any, begin: int, out: Any) -> None:
    """Receive standard normal numbers, flat; ``begin`` is the place of the first among all of one seed."""
    half = len(out) // 2
    for i in range(half):
        counter = _U(begin) + _U(2) * _U(i)
        out[i], out[half + i] = gauss_pair(
            hashed(_U(counter), first, second), hashed(_U(counter + _U(1)), first, second)
        )
    if len(out) % 2:
        last = _U(begin) + _U(len(out) - 1)
        out[-1], _ = gauss_pair(hashed(_U(last), first, second), hashed(_U(last), second, first))


normal_noise = _compiled(_normal_noise, fastmath=_FAST)


def _normal_draw(parameters: Any, bias: Any, noise: Any, eps: Any, value: Any, divergence: Any) -> None:
    """Draw from normals, given means and beside them raw, of standard deviation softplus(raw) + eps.

    Parameters come without their ``bias``. Receives draws, n x D, and the divergences from the standard
    normal, n. Logarithms of four deviations are taken as one of their product.
    """
    n, dim = value.shape
    quarter = (dim + 63) // 64 * 16
    spread = np.ones(4 * quarter, dtype=_F)
    for i in range(n):
        total = _F(0)
        for j in range(dim):
            m, r = parameters[i, j] + bias[j], parameters[i, dim + j] + bias[dim + j]
            s = max(r, _F(0)) + log1p(exp(-abs(r))) + eps
            spread[j] = s
            value[i, j] = m + s * noise[i, j]
            total += m * m + s * s
        logs = _F(0)
        for j in range(quarter):
            logs += log(spread[j] * spread[quarter + j] * spread[2 * quarter + j] * spread[3 * quarter + j])
        divergence[i] = _F(0.5) * (total - _F(dim)) - logs


normal_draw = _compiled(_normal_draw, fastmath=_FAST)


def _normal_gradient(
    parameters: Any, bias: Any, noise: Any, to_value: Any, to_divergence: Any, eps: Any, out: Any
) -> None:
    """Receive the gradient of `normal_draw` with respect to its parameters."""
    n, dim = noise.shape
    for i in range(n):
        d = to_divergence[i]
        for j in range(dim):
            r, g = parameters[i, dim + j] + bias[dim + j], to_value[i, j]
            e = exp(-abs(r))
            s = max(r, _F(0)) + log1p(e) + eps
            slope = (_F(1) if r >= _F(0) else e) / (_F(1) + e)
            out[i, j] = g + d * (parameters[i, j] + bias[j])
            out[i, dim + j] = (g * noise[i, j] + d * (s - _F(1) / s)) * slope


normal_gradient = _compiled(_normal_gradient, fastmath=_FAST)


def _rmsprop(
    grad: Any, weight: Any, square: Any, average: Any, rate: Any, alpha: Any, eps: Any, decay: Any
) -> None:
    """Take a step of RMSprop with weights, mean squares of gradients and the average of the weights."""
    for i in range(len(weight)):
        g = grad[i]
        v = alpha * square[i] + (_F(1) - alpha) * g * g
        w = weight[i] - rate * g / (np.sqrt(v) + eps)
        square[i], weight[i] = v, w
        average[i] += (_F(1) - decay) * (w - average[i])


rmsprop = _compiled(_rmsprop, fastmath=_FAST)


def _keep(size: int, rate: float, first: Any, second: Any) -> Any:
    """Return a mask of dropout: 0 at a rate, 1 / (1 - rate) elsewhere, shape ``(size,)``."""
    out = np.empty(size, dtype=_F)
    limit, up = _U(rate * 2.0**32), _F(1 / (1 - rate))
    for i in range(size):
        out[i] = _F(0) if hashed(_U(i), first, second) < limit else up
    return out


keep = _compiled(_keep)


def _multiquadrics(distance: Any, weight: Any, scales: Any) -> Any:
    """Return the weighted sum of inverse multiquadric kernels of squared distances, n x n.

    ``distance`` becomes the weighted derivatives of the kernels by it.
    """
    total: Any = 0.0
    for i in range(len(distance)):
        line = _F(0)
        for j in range(distance.shape[1]):
            d, value, slope = max(distance[i, j], _F(0)), _F(0), _F(0)
            for k in range(len(scales)):
                inverse = _F(1) / (d + scales[k])
                value += scales[k] * inverse
                slope -= scales[k] * inverse * inverse
            line += weight[i, j] * value
            distance[i, j] = weight[i, j] * slope
        total += line
    return total


multiquadrics = _compiled(_multiquadrics, fastmath=_FAST)


def _activate(a: Any, bias: Any, rate: float, first: Any, second: Any, row: int, out: Any) -> None:
    """Leaky ReLU of slope 0.2 and dropout of a layer's products ``a``, which become what left the former.

    ``row`` is the place of the first row among all that share the seed.
    """
    n, width = a.shape
    limit, up = _U(rate * 2.0**32), _F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            x = a[i, j] + bias[j]
            x = max(x, _F(0.2) * x)
            kept = hashed(_U((row + i) * width + j), first, second) >= limit
            a[i, j] = x
            out[i, j] = x * up if kept else _F(0)


activate = _compiled(_activate, fastmath=_FAST)


def _activate_backward(down: Any, a: Any, rate: float, first: Any, second: Any, row: int) -> None:
    """Turn the gradient by the output of `activate` into that by the products."""
    n, width = a.shape
    limit, up = _U(rate * 2.0**32), _F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            kept = hashed(_U((row + i) * width + j), first, second) >= limit
            slope = _F(1) if a[i, j] > _F(0) else _F(0.2)
            down[i, j] = down[i, j] * slope * up if kept else _F(0)


activate_backward = _compiled(_activate_backward, fastmath=_FAST)


def _hidden_forward(
    a: Any,
    bias: Any,
    gamma: Any,
    beta: Any,
    eps: Any,
    rate: float,
    first: Any,
    second: Any,
    normed: Any,
    moments: Any,
    out: Any,
) -> None:
    """Leaky ReLU of slope 0.2, batch norm and dropout of a layer's products ``a``, n x width.

    ``a`` becomes what left the leaky ReLU. Receives what left the norm before scale and shift, the means,
    variances and inverse deviations of columns, and the layer's output.
    """
    n, width = a.shape
    mean, var, inverse = moments[0], moments[1], moments[2]
    limit, up = _U(rate * 2.0**32), _F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            x = a[i, j] + bias[j]
            a[i, j] = max(x, _F(0.2) * x)
            mean[j] += a[i, j]
    for j in range(width):
        mean[j] /= _F(n)
    for i in range(n):
        for j in range(width):
            x = a[i, j] - mean[j]
            var[j] += x * x
    for j in range(width):
        var[j] /= _F(n)
        inverse[j] = _F(1) / np.sqrt(var[j] + eps)
    for i in range(n):
        for j in range(width):
            x = (a[i, j] - mean[j]) * inverse[j]
            kept = hashed(_U(i * width + j), first, second) >= limit
            normed[i, j] = x
            out[i, j] = (x * gamma[j] + beta[j]) * up if kept else _F(0)


hidden_forward = _compiled(_hidden_forward, fastmath=_FAST)


def _hidden_backward(
    to_out: Any,
    a: Any,
    normed: Any,
    gamma: Any,
    inverse: Any,
    rate: float,
    first: Any,
    second: Any,
    to_a: Any,
    sums: Any,
) -> None:
    """Receive the gradients of `hidden_forward` by the products, and by bias, scale and shift."""
    n, width = a.shape
    to_bias, to_gamma, to_beta = sums[0], sums[1], sums[2]
    limit, up = _U(rate * 2.0**32), _F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            kept = hashed(_U(i * width + j), first, second) >= limit
            g = to_out[i, j] * up if kept else _F(0)
            to_a[i, j] = g
            to_beta[j] += g
            to_gamma[j] += g * normed[i, j]
    for i in range(n):
        for j in range(width):
            g = to_a[i, j] - (to_beta[j] + normed[i, j] * to_gamma[j]) / _F(n)
            g *= gamma[j] * inverse[j] * (_F(1) if a[i, j] > _F(0) else _F(0.2))
            to_a[i, j] = g
            to_bias[j] += g


hidden_backward = _compiled(_hidden_backward, fastmath=_FAST)


def _edge_products(v: Any, source: Any, target: Any, out: Any) -> None:
    """Receive inner products of the rows at both ends of each edge."""
    for e in range(len(source)):
        total = _F(0)
        for d in range(v.shape[1]):
            total += v[source[e], d] * v[target[e], d]
        out[e] = total


edge_products = _compiled(_edge_products, fastmath=_FAST)


def _edge_gradient(v: Any, source: Any, target: Any, to_product: Any, begin: int, end: int, out: Any) -> None:
    """Add the gradient of `edge_products` with respect to some columns of v."""
    for e in range(len(source)):
        s, t, g = source[e], target[e], to_product[e]
        for d in range(begin, end):
            out[s, d] += g * v[t, d]
            out[t, d] += g * v[s, d]


edge_gradient = _compiled(_edge_gradient, fastmath=_FAST)
