"""What sets modalities against each other: the discriminator's loss, and the discrepancy of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, compiled
from omicsglue.nn.kernels.functions import exp


def _cross_entropy(logits: Any, truth: Any, weight: Any, cells: int, down: Any) -> Any:
    """Return the sum of weighted cross entropies of some cells; receive its gradient over ``cells``."""
    total: Any = 0.0
    for i in range(len(logits)):
        top, right = logits[i, 0], logits[i, truth[i]]
        for k in range(1, logits.shape[1]):
            top = max(top, logits[i, k])
        mass = F(0)
        for k in range(logits.shape[1]):
            mass += exp(logits[i, k] - top)
        total += np.float64(weight[i]) * (np.log(np.float64(mass)) + np.float64(top) - np.float64(right))
        share = weight[i] / F(cells)
        for k in range(logits.shape[1]):
            down[i, k] = share * (exp(logits[i, k] - top) / mass - (F(1) if k == truth[i] else F(0)))
    return total


cross_entropy = compiled(_cross_entropy, fastmath=FAST)


def _mean_distance(x: Any) -> Any:
    """Return twice the total variance of points, n x D: their mean squared distance."""
    n, dim = x.shape
    mean, total = np.zeros(dim, dtype=F), F(0)
    for i in range(n):
        for d in range(dim):
            mean[d] += x[i, d]
    for d in range(dim):
        mean[d] /= F(n)
    for i in range(n):
        for d in range(dim):
            total += (x[i, d] - mean[d]) * (x[i, d] - mean[d])
    return F(2) * total / F(n)


mean_distance = compiled(_mean_distance, fastmath=FAST)


def _four_multiquadrics(gram: Any, contrast: Any, scales: Any, turn: Any) -> Any:
    """Return the weighted sum of four inverse multiquadric kernels, of points' inner products, n x n.

    Weights are the mean of w w^T over the rows w of ``contrast``. ``gram`` becomes the weighted derivatives
    by the squared distances, and ``turn`` receives the sums of its rows.
    """
    n = len(gram)
    a, b, c, d = scales[0], scales[1], scales[2], scales[3]
    square, weight = np.empty(n, dtype=F), np.empty(n, dtype=F)
    for i in range(n):
        square[i] = gram[i, i]
    total: Any = 0.0
    for i in range(n):
        row, own = gram[i], square[i]
        for j in range(n):
            weight[j] = F(0)
        for p in range(len(contrast)):
            w = contrast[p, i] / F(len(contrast))
            for j in range(n):
                weight[j] += w * contrast[p, j]
        line, pull = F(0), F(0)
        for j in range(n):
            x = max(own + square[j] - F(2) * row[j], F(0))
            e, f, g, h = F(1) / (x + a), F(1) / (x + b), F(1) / (x + c), F(1) / (x + d)
            line += weight[j] * (a * e + b * f + c * g + d * h)
            slope = -weight[j] * (a * e * e + b * f * f + c * g * g + d * h * h)
            row[j] = slope
            pull += slope
        turn[i] = pull
        total += np.float64(line)
    return total


four_multiquadrics = compiled(_four_multiquadrics, fastmath=FAST)
