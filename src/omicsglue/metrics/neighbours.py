"""Exact nearest neighbours, handed out in blocks of cells so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from omicsglue.errors import OptionError
from omicsglue.metrics.checks import Matrix

FRACTION = 0.01  # of the cells: the neighbourhood of most scores
_ENTRIES = 4_000_000  # of one block, distances and indices alike

Block = tuple[slice, npt.NDArray[np.int64], npt.NDArray[np.float64]]


def neighbour_count(cells: int, fraction: float = FRACTION) -> int:
    """Return how many neighbours a fraction of the cells is: rounded, at least 1, never all cells.

    Raises
    ------
    OptionError
        If the fraction does not lie in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise OptionError(
            f"{fraction!r} does not lie in (0, 1]",
            where="neighbours",
            remedy="give the neighbourhood as a share of the cells, such as 0.01",
        )
    return max(min(round(cells * fraction), cells - 1), 1)


def rows_per_block(width: int) -> int:
    """Return how many rows of ``width`` entries one block may hold."""
    return max(_ENTRIES // max(width, 1), 1)


def neighbour_blocks(x: Matrix, k: int, queries: npt.NDArray[np.int64] | None = None) -> Iterator[Block]:
    """Yield the ``k`` nearest other cells of each cell, nearest first.

    Parameters
    ----------
    x
        Cells by dimensions, float64.
    k
        Number of neighbours, below the number of cells; the cell itself is never among them, not even where
        another cell lies in the same place.
    queries
        Rows of the cells whose neighbours are wanted; all by default.

    Yields
    ------
    rows
        The block's rows, a slice; of the queries, where these are given.
    indices
        ``(n_rows, k)``, int64.
    distances
        Euclidean, ``(n_rows, k)``, float64.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(x)
    step = rows_per_block(k + 1)
    cells = len(x) if queries is None else len(queries)
    for start in range(0, cells, step):
        rows = slice(start, min(start + step, cells))
        own = np.arange(rows.start, rows.stop) if queries is None else queries[rows]
        distances, indices = search.kneighbors(x[rows] if queries is None else x[own])
        keep = others(indices, own)
        shape = (rows.stop - rows.start, k)
        yield rows, indices[keep].reshape(shape).astype(np.int64, copy=False), distances[keep].reshape(shape)


def others(indices: npt.NDArray[np.integer], own: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mask that drops each row's own index, or its last entry where its own is not listed.

    Parameters
    ----------
    indices
        ``(n_rows, k)``.
    own
        Index of each row's own cell, ``(n_rows,)``.
    """
    itself = indices == own[:, None]
    width = indices.shape[1]
    drop = np.where(itself.any(axis=1), itself.argmax(axis=1), width - 1)
    keep: npt.NDArray[np.bool_] = np.arange(width)[None, :] != drop[:, None]
    return keep
