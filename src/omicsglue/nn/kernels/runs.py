"""Draws from normals, and parameters of decoders, as runs of numbers without rows.

A row of 50 numbers leaves a remainder in every vector loop; whole blocks of rows, end to end, do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, compiled
from omicsglue.nn.kernels.functions import exp, log, log1p


def _draw_run(
    mean: Any, raw: Any, mean_bias: Any, raw_bias: Any, noise: Any, share: Any, eps: Any, value: Any
) -> Any:
    """Draw from normals, and leave what their gradient is made of; return the sum of their divergences.

    ``mean`` and ``raw`` come without their biases, which repeat every so many numbers (a multiple of four).
    ``mean`` becomes the means, and ``value`` the draws. With g the gradient by the draws and ``share`` that
    by the divergences, the gradient by ``raw`` is g times what becomes of ``noise`` plus what becomes of
    ``raw``.
    The loops are as many as they are because each writes to few arrays, or it would not become vectors.
    """
    size = len(mean_bias)
    quarter = size // 4
    spread, slope = np.empty(size, dtype=F), np.empty(size, dtype=F)
    total: Any = 0.0
    for start in range(0, len(mean), size):
        n = min(size, len(mean) - start)
        m, r = mean[start : start + n], raw[start : start + n]
        z, v = noise[start : start + n], value[start : start + n]
        squares = F(0)
        for j in range(n):
            x = r[j] + raw_bias[j]
            e = exp(-abs(x))
            spread[j] = max(x, F(0)) + log1p(e) + eps
            slope[j] = (F(1) if x >= F(0) else e) / (F(1) + e)
        for j in range(n):
            x = m[j] + mean_bias[j]
            m[j] = x
            v[j] = x + spread[j] * z[j]
            squares += x * x
        for j in range(n):
            z[j] *= slope[j]
        for j in range(n):
            s = spread[j]
            r[j] = share * (s - F(1) / s) * slope[j]
            squares += s * s
        for j in range(n, size):
            spread[j] = F(1)
        logs = F(0)
        for j in range(quarter):
            logs += log(spread[j] * spread[quarter + j] * spread[2 * quarter + j] * spread[3 * quarter + j])
        total += 0.5 * (np.float64(squares) - n) - np.float64(logs)
    return total


draw_run = compiled(_draw_run, fastmath=FAST)


def _gradient_run(down: Any, mean: Any, factor: Any, pull: Any, share: Any) -> None:
    """Turn the gradient by the draws of `draw_run` into those by the means and, in ``factor``, by ``raw``."""
    for j in range(len(down)):
        g = down[j]
        factor[j] = g * factor[j] + pull[j]
        down[j] = g + share * mean[j]


gradient_run = compiled(_gradient_run, fastmath=FAST)


def _decoder_parameters(raw: Any, log_theta: Any, scale: Any, theta: Any) -> None:
    """Receive scales, the softplus of ``raw``, and dispersions."""
    for j in range(len(raw)):
        x = raw[j]
        scale[j] = max(x, F(0)) + log1p(exp(-abs(x)))
    for j in range(len(raw)):
        theta[j] = exp(min(log_theta[j], F(88)))


decoder_parameters = compiled(_decoder_parameters, fastmath=FAST)


def _decoder_gradient(
    sums: Any,
    batch: Any,
    raw: Any,
    theta: Any,
    begin: int,
    end: int,
    to_scale: Any,
    to_bias: Any,
    to_theta: Any,
) -> None:
    """Receive the gradients by raw scales, biases and logarithms of dispersions, of some features.

    ``sums`` are those of `negative_binomial` for each block of cells, and ``batch`` is the block's batch.
    """
    for b in range(len(raw)):
        for j in range(begin, end):
            to_theta[b, j], to_bias[b, j], to_scale[b, j] = F(0), F(0), F(0)
    for k in range(len(batch)):
        b = batch[k]
        for j in range(begin, end):
            to_theta[b, j] += sums[k, 0, j]
        for j in range(begin, end):
            to_bias[b, j] += sums[k, 1, j]
        for j in range(begin, end):
            to_scale[b, j] += sums[k, 2, j]
    for b in range(len(raw)):
        for j in range(begin, end):
            x = raw[b, j]
            e = exp(-abs(x))
            to_scale[b, j] *= (F(1) if x >= F(0) else e) / (F(1) + e)
        for j in range(begin, end):
            to_theta[b, j] *= -theta[b, j]


decoder_gradient = compiled(_decoder_gradient, fastmath=FAST)
