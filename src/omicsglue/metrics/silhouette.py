"""Silhouettes of all cells without the matrix of all distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omicsglue.metrics.checks import Matrix
from omicsglue.metrics.neighbours import rows_per_block


def silhouettes(x: Matrix, codes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Silhouette of every cell by Euclidean distance.

    With ``a`` a cell's mean distance to the other cells of its label and ``b`` the smallest mean distance to
    the cells of another label, the silhouette is ``(b - a) / max(a, b)``; 0 for the only cell of a label.

    Parameters
    ----------
    x
        ``(n_cells, n_dims)``, float64.
    codes
        Labels from 0 to ``n_labels - 1``, each of which occurs, two at least: ``(n_cells,)``.

    Returns
    -------
    ``(n_cells,)``, float64, in [-1, 1].

    Notes
    -----
    Distances are computed in blocks of 32 MB and summed over the cells of each label by a second matrix
    product, so that time goes to BLAS and memory does not grow with the square of the cells.
    """
    members = np.zeros((len(x), int(codes.max()) + 1))
    members[np.arange(len(x)), codes] = 1
    sizes = members.sum(axis=0)
    centred = x - x.mean(axis=0)
    norms = (centred**2).sum(axis=1)
    result = np.empty(len(x))
    step = rows_per_block(len(x))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        distance = centred[rows] @ centred.T
        distance *= -2
        distance += norms
        distance += norms[rows, None]
        np.maximum(distance, 0, out=distance)
        distance[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0
        np.sqrt(distance, out=distance)
        result[rows] = _from_sums(distance @ members, codes[rows], sizes)
    return result


def _from_sums(
    sums: npt.NDArray[np.float64], codes: npt.NDArray[np.integer], sizes: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Silhouettes from the sums of distances to the cells of each label, ``(n_rows, n_labels)``."""
    row = np.arange(len(sums))
    own = sizes[codes]
    a = sums[row, codes] / np.maximum(own - 1, 1)
    means = sums / sizes
    means[row, codes] = np.inf
    b = means.min(axis=1)
    scale = np.maximum(a, b)
    usable = (own > 1) & (scale > 0)
    return np.where(usable, (b - a) / np.where(usable, scale, 1), 0.0)
