"""Edges of the guidance graph, the discrepancy between modalities, and the optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, compiled


def _edge_products(v: Any, source: Any, target: Any, out: Any) -> None:
    """Receive inner products of the rows at both ends of each edge."""
    for e in range(len(source)):
        total = F(0)
        for d in range(v.shape[1]):
            total += v[source[e], d] * v[target[e], d]
        out[e] = total


edge_products = compiled(_edge_products, fastmath=FAST)


def _edge_gradient(v: Any, source: Any, target: Any, to_product: Any, begin: int, end: int, out: Any) -> None:
    """Add the gradient of `edge_products` with respect to some columns of v."""
    for e in range(len(source)):
        s, t, g = source[e], target[e], to_product[e]
        for d in range(begin, end):
            out[s, d] += g * v[t, d]
            out[t, d] += g * v[s, d]


edge_gradient = compiled(_edge_gradient, fastmath=FAST)


def _multiquadrics(distance: Any, weight: Any, scales: Any) -> Any:
    """Return the weighted sum of inverse multiquadric kernels of squared distances, n x n.

    ``distance`` becomes the weighted derivatives of the kernels by it.
    """
    total: Any = 0.0
    for i in range(len(distance)):
        line = F(0)
        for j in range(distance.shape[1]):
            d, value, slope = max(distance[i, j], F(0)), F(0), F(0)
            for k in range(len(scales)):
                inverse = F(1) / (d + scales[k])
                value += scales[k] * inverse
                slope -= scales[k] * inverse * inverse
            line += weight[i, j] * value
            distance[i, j] = weight[i, j] * slope
        total += line
    return total


multiquadrics = compiled(_multiquadrics, fastmath=FAST)


def _rmsprop(
    grad: Any, weight: Any, square: Any, average: Any, rate: Any, alpha: Any, eps: Any, decay: Any
) -> None:
    """Take a step of RMSprop with weights, mean squares of gradients and the average of the weights."""
    for i in range(len(weight)):
        g = grad[i]
        v = alpha * square[i] + (F(1) - alpha) * g * g
        w = weight[i] - rate * g / (np.sqrt(v) + eps)
        square[i], weight[i] = v, w
        average[i] += (F(1) - decay) * (w - average[i])


rmsprop = compiled(_rmsprop, fastmath=FAST)
