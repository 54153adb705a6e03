"""Likelihoods over a block of cells, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import gammaln

from omicsglue.compiling import FAST, F, compiled
from omicsglue.nn.kernels.functions import exp, gamma_terms, log1p

_LOG_FACTORIAL = gammaln(np.arange(256) + 1.0)


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
    mu, g = np.empty(features, dtype=F), np.empty(features, dtype=F)
    to_theta, to_bias, to_scale = sums[0], sums[1], sums[2]
    to_theta[:], to_bias[:], to_scale[:] = F(0), F(0), F(0)
    for k in range(len(order)):
        i = order[k]
        row, w = z[k], weight[i]
        a, b, t = scale[batch[i]], bias[batch[i]], theta[batch[i]]
        top = F(-np.inf)
        for j in range(features):
            mu[j] = a[j] * row[j] + b[j]
            top = max(top, mu[j])
        total = F(0)
        for j in range(features):
            mu[j] = exp(mu[j] - top)
            total += mu[j]
        depth = library[i] / total
        zeros, slope = F(0), F(0)
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
            change = F(x * (s / (m + s)))
            g[j] += change
            slope += change
            to_theta[j] += w * F(digammas - x / (m + s))
        found[k] = w * likely
        share = slope / library[i]
        for j in range(features):
            down = w * (mu[j] * share - g[j])
            to_bias[j] += down
            to_scale[j] += down * row[j]
            row[j] = down * a[j]


negative_binomial = compiled(_negative_binomial, fastmath=FAST)
