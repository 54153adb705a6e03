"""Local inverse Simpson's index: how many batches or modalities a cell's neighbourhood holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import OptionError
from omicsglue.metrics.checks import as_labels, as_matrix, at_least_cells, positive
from omicsglue.metrics.estimate import Estimate, drawn_rows, median_error
from omicsglue.metrics.neighbours import neighbour_blocks

_STEPS = 60  # of the bisection for each cell's bandwidth
_TOLERANCE = 1e-5  # of the entropy, in nats


def lisi_per_cell(
    x: npt.ArrayLike,
    labels: npt.ArrayLike | pd.Series[Any],
    *,
    perplexity: float = 30.0,
    queries: int | None = None,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Effective number of labels around each cell, from 1 to the number of labels.

    The ``3 * perplexity`` nearest neighbours of a cell are weighted by ``exp(-beta * distance)``, with beta
    such that the weights have the given perplexity; with ``p`` the weight of each label, the index is
    ``1 / sum(p ** 2)``.

    Parameters
    ----------
    x
        Embedding, ``(n_cells, n_dims)``.
    labels
        Batch or modality of each cell.
    perplexity
        Effective number of neighbours; lowered where there are too few cells.
    queries
        If there are more cells, so many are drawn at random, whose neighbours are searched among all.
    seed
        Of the drawing.

    Returns
    -------
    ``(n_cells,)``, or of the cells drawn, in the order of rows, float64.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, or labels are missing.

    References
    ----------
    Korsunsky et al. 2019, doi 10.1038/s41592-019-0619-0.
    """
    joint = as_matrix(x, "x")
    at_least_cells(joint, 4, "x")
    codes = as_labels(labels, len(joint), "labels")
    if not perplexity > 1:
        raise OptionError(f"{perplexity!r} is not above 1", where="perplexity", remedy="give 30, for example")
    k = min(round(3 * perplexity), len(joint) - 1)
    target = float(np.log(min(perplexity, k / 3 if k >= 6 else (k + 1) / 2)))
    some = drawn_rows(len(joint), None if queries is None else positive(queries, "queries"), seed)
    result = np.empty(len(joint) if some is None else len(some))
    for rows, indices, distances in neighbour_blocks(joint, k, some):
        weights = perplexity_weights(distances, target)
        found = codes.codes[indices]
        simpson = sum(
            np.where(found == code, weights, 0).sum(axis=1) ** 2 for code in range(len(codes.names))
        )
        result[rows] = 1 / simpson
    return result


def ilisi(
    x: npt.ArrayLike,
    labels: npt.ArrayLike | pd.Series[Any],
    *,
    perplexity: float = 30.0,
    queries: int | None = None,
    seed: int = 0,
) -> float:
    """Integration LISI, scaled: 0 where every neighbourhood holds one label, 1 where all are equally shared.

    With m the median over cells of :func:`lisi_per_cell` and B the number of labels, ``(m - 1) / (B - 1)``.

    Parameters
    ----------
    x
        Joint embedding, ``(n_cells, n_dims)``.
    labels
        Batch or modality of each cell; two at least.
    perplexity
        Effective number of neighbours.
    queries
        If there are more cells, so many are drawn at random, whose neighbours are searched among all. By
        default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, labels are missing, or there is one label only.

    References
    ----------
    Korsunsky et al. 2019, doi 10.1038/s41592-019-0619-0; Luecken et al. 2022, doi 10.1038/s41592-021-01336-8.
    """
    joint = as_matrix(x, "x")
    kinds = as_labels(labels, len(joint), "labels", at_least=2)
    found = lisi_per_cell(joint, kinds.codes, perplexity=perplexity, queries=queries, seed=seed)
    scale = len(kinds.names) - 1
    score = (float(np.median(found)) - 1) / scale
    if len(found) == len(joint):
        return score
    how = f"{len(found):,} of {len(joint):,} cells, each among all"
    return Estimate(score, how, median_error(found) / scale)


def perplexity_weights(distances: npt.NDArray[np.float64], target: float) -> npt.NDArray[np.float64]:
    """Weights ``exp(-beta * distance)`` of each row, of sum 1 and of a given entropy.

    Parameters
    ----------
    distances
        ``(n_cells, k)``, float64.
    target
        Entropy wanted, in nats; below ``log(k)``.

    Returns
    -------
    ``(n_cells, k)``, float64. Where all distances of a row are equal, its weights are equal too.
    """
    near = distances - distances.min(axis=1, keepdims=True)
    spread = near.mean(axis=1)
    low, high = np.zeros(len(near)), np.full(len(near), np.inf)
    beta = 1 / np.where(spread > 0, spread, 1)
    for _ in range(_STEPS):
        weights, entropy = _weights(near, beta)
        wide = entropy > target
        if ((np.abs(entropy - target) < _TOLERANCE) | (spread == 0)).all():
            break
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), np.minimum(beta * 2, 1e300), (low + np.minimum(high, 1e300)) / 2)
    weights, _ = _weights(near, beta)
    return weights


def _weights(
    near: npt.NDArray[np.float64], beta: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights of each row at given bandwidths, and their entropies."""
    scaled = near * beta[:, None]
    weights = np.exp(-scaled)
    total = weights.sum(axis=1)
    entropy = np.log(total) + (scaled * weights).sum(axis=1) / total
    return weights / total[:, None], entropy
