"""Hidden layers, and draws from the normals that encoders end in; each with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, U, compiled
from omicsglue.nn.kernels.functions import exp, log, log1p
from omicsglue.nn.kernels.noise import hashed


def _normal_draw(parameters: Any, bias: Any, noise: Any, eps: Any, value: Any, divergence: Any) -> None:
    """Draw from normals, given means and beside them raw, of standard deviation softplus(raw) + eps.

    Parameters come without their ``bias``. Receives draws, n x D, and the divergences from the standard
    normal, n. Logarithms of four deviations are taken as one of their product.
    """
    n, dim = value.shape
    quarter = (dim + 63) // 64 * 16
    spread = np.ones(4 * quarter, dtype=F)
    for i in range(n):
        total = F(0)
        for j in range(dim):
            m, r = parameters[i, j] + bias[j], parameters[i, dim + j] + bias[dim + j]
            s = max(r, F(0)) + log1p(exp(-abs(r))) + eps
            spread[j] = s
            value[i, j] = m + s * noise[i, j]
            total += m * m + s * s
        logs = F(0)
        for j in range(quarter):
            logs += log(spread[j] * spread[quarter + j] * spread[2 * quarter + j] * spread[3 * quarter + j])
        divergence[i] = F(0.5) * (total - F(dim)) - logs


normal_draw = compiled(_normal_draw, fastmath=FAST)


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
            s = max(r, F(0)) + log1p(e) + eps
            slope = (F(1) if r >= F(0) else e) / (F(1) + e)
            out[i, j] = g + d * (parameters[i, j] + bias[j])
            out[i, dim + j] = (g * noise[i, j] + d * (s - F(1) / s)) * slope


normal_gradient = compiled(_normal_gradient, fastmath=FAST)


def _activate(a: Any, bias: Any, rate: float, first: Any, second: Any, row: int, out: Any) -> None:
    """Leaky ReLU of slope 0.2 and dropout of a layer's products ``a``, which become what left the former.

    ``row`` is the place of the first row among all that share the seed.
    """
    n, width = a.shape
    limit, up = U(rate * 2.0**32), F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            x = a[i, j] + bias[j]
            x = max(x, F(0.2) * x)
            kept = hashed(U((row + i) * width + j), first, second) >= limit
            a[i, j] = x
            out[i, j] = x * up if kept else F(0)


activate = compiled(_activate, fastmath=FAST)


def _activate_backward(down: Any, a: Any, rate: float, first: Any, second: Any, row: int) -> None:
    """Turn the gradient by the output of `activate` into that by the products."""
    n, width = a.shape
    limit, up = U(rate * 2.0**32), F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            kept = hashed(U((row + i) * width + j), first, second) >= limit
            slope = F(1) if a[i, j] > F(0) else F(0.2)
            down[i, j] = down[i, j] * slope * up if kept else F(0)


activate_backward = compiled(_activate_backward, fastmath=FAST)


def _hidden_moments(a: Any, bias: Any, moments: Any) -> None:
    """Leaky ReLU of slope 0.2 of a layer's products ``a``, n x width, which become what left it.

    Receives means and variances of columns.
    """
    n, width = a.shape
    mean, var = moments[0], moments[1]
    for i in range(n):
        for j in range(width):
            x = a[i, j] + bias[j]
            a[i, j] = max(x, F(0.2) * x)
            mean[j] += a[i, j]
    for j in range(width):
        mean[j] /= F(n)
    for i in range(n):
        for j in range(width):
            x = a[i, j] - mean[j]
            var[j] += x * x
    for j in range(width):
        var[j] /= F(n)


hidden_moments = compiled(_hidden_moments, fastmath=FAST)


def _hidden_forward(
    a: Any,
    moments: Any,
    gamma: Any,
    beta: Any,
    eps: Any,
    rate: float,
    first: Any,
    second: Any,
    inverse: Any,
    normed: Any,
    out: Any,
) -> None:
    """Batch norm by given means and variances, and dropout, of what `hidden_moments` left.

    Receives the inverse deviations, what left the norm before scale and shift, and the layer's output.
    """
    n, width = a.shape
    mean, var = moments[0], moments[1]
    limit, up = U(rate * 2.0**32), F(1 / (1 - rate))
    for j in range(width):
        inverse[j] = F(1) / np.sqrt(var[j] + eps)
    for i in range(n):
        for j in range(width):
            x = (a[i, j] - mean[j]) * inverse[j]
            kept = hashed(U(i * width + j), first, second) >= limit
            normed[i, j] = x
            out[i, j] = (x * gamma[j] + beta[j]) * up if kept else F(0)


hidden_forward = compiled(_hidden_forward, fastmath=FAST)


def _hidden_sums(
    to_out: Any, normed: Any, rate: float, first: Any, second: Any, to_a: Any, sums: Any
) -> None:
    """Receive the gradient of `hidden_forward` by the output of the norm, and by scale and shift."""
    n, width = to_out.shape
    to_gamma, to_beta = sums[0], sums[1]
    limit, up = U(rate * 2.0**32), F(1 / (1 - rate))
    for i in range(n):
        for j in range(width):
            kept = hashed(U(i * width + j), first, second) >= limit
            g = to_out[i, j] * up if kept else F(0)
            to_a[i, j] = g
            to_beta[j] += g
            to_gamma[j] += g * normed[i, j]


hidden_sums = compiled(_hidden_sums, fastmath=FAST)


def _hidden_backward(
    a: Any, normed: Any, gamma: Any, inverse: Any, sums: Any, cells: int, to_a: Any, to_bias: Any
) -> None:
    """Turn the gradient that `hidden_sums` left into that by the products; receive that by the bias.

    ``sums`` are those of `hidden_sums` over all the ``cells`` over which the norm was taken.
    """
    n, width = a.shape
    to_gamma, to_beta = sums[0], sums[1]
    for i in range(n):
        for j in range(width):
            g = to_a[i, j] - (to_beta[j] + normed[i, j] * to_gamma[j]) / F(cells)
            g *= gamma[j] * inverse[j] * (F(1) if a[i, j] > F(0) else F(0.2))
            to_a[i, j] = g
            to_bias[j] += g


hidden_backward = compiled(_hidden_backward, fastmath=FAST)
