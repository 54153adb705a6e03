"""The guidance graph: the product with its matrix, and the loss of sampled edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from omicsglue.compiling import FAST, F, compiled
from omicsglue.nn.kernels.functions import exp, log1p


def _propagate(table: Any, indptr: Any, indices: Any, values: Any, begin: int, out: Any) -> None:
    """Receive some rows, from ``begin`` on, of a sparse matrix in CSR form times a table.

    Every row of the matrix has an entry. The first three are added up at once, and the row written once.
    """
    dim = table.shape[1]
    for i in range(len(out)):
        p, end = indptr[begin + i], indptr[begin + i + 1]
        a, w = indices[p], values[p]
        if end - p == 1:
            for d in range(dim):
                out[i, d] = w * table[a, d]
            continue
        b, x = indices[p + 1], values[p + 1]
        if end - p == 2:
            for d in range(dim):
                out[i, d] = w * table[a, d] + x * table[b, d]
            continue
        c, y = indices[p + 2], values[p + 2]
        for d in range(dim):
            out[i, d] = w * table[a, d] + x * table[b, d] + y * table[c, d]
        for q in range(p + 3, end):
            a, w = indices[q], values[q]
            for d in range(dim):
                out[i, d] += w * table[a, d]


propagate = compiled(_propagate, fastmath=FAST)


def _edge_losses(
    v: Any, source: Any, target: Any, sign: Any, present: Any, up: Any, down: Any, sums: Any
) -> None:
    """Receive the derivative of the loss by the inner product of each edge's ends.

    ``up`` are the weights of negatives and of positives; ``sums`` receives the sums of the losses of both.
    """
    for e in range(len(source)):
        product, s, t = F(0), source[e], target[e]
        for d in range(v.shape[1]):
            product += v[s, d] * v[t, d]
        x, there = sign[e] * product, int(present[e])
        small = exp(-abs(x))
        sums[there] += np.float64(max(x, F(0)) - x * F(there) + log1p(small))
        probability = (F(1) if x >= F(0) else small) / (F(1) + small)
        down[e] = (probability - F(there)) * sign[e] * up[there]


edge_losses = compiled(_edge_losses, fastmath=FAST)


def _incidence(source: Any, target: Any, indptr: Any, other: Any, edge: Any) -> None:
    """Sort both ends of edges by vertex: receive where each vertex's begin, the other ends, and the edges."""
    n = len(indptr) - 1
    at = np.zeros(n + 1, dtype=np.int64)
    for e in range(len(source)):
        at[source[e] + 1] += 1
        at[target[e] + 1] += 1
    for i in range(n):
        at[i + 1] += at[i]
    indptr[:] = at
    for e in range(len(source)):
        s, t = source[e], target[e]
        other[at[s]], edge[at[s]] = t, e
        at[s] += 1
        other[at[t]], edge[at[t]] = s, e
        at[t] += 1


incidence = compiled(_incidence)


def _add_edges(v: Any, indptr: Any, other: Any, edge: Any, down: Any, begin: int, out: Any) -> None:
    """Add the gradient of the edges with respect to some rows of v, from ``begin`` on."""
    for i in range(len(out)):
        for q in range(indptr[begin + i], indptr[begin + i + 1]):
            g, k = down[edge[q]], other[q]
            for d in range(v.shape[1]):
                out[i, d] += g * v[k, d]


add_edges = compiled(_add_edges, fastmath=FAST)
