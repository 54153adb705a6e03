"""Nearest neighbours of very many cells, by nearest-neighbour descent, with the recall that it reached."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from omicsglue.metrics.estimate import drawn_rows
from omicsglue.metrics.neighbours import neighbour_blocks, others

APPROXIMATE: Final = 100_000
"""Cells above which approximate neighbours are found sooner than exact ones (``docs/scale-scores.md``)."""

RECALL: Final = 0.95  # wanted share of the true neighbours
_CHECKED: Final = 200  # cells whose neighbours are searched exactly, too
_WIDTHS: Final = (15, 30, 60)  # neighbours kept in the search: more find more


@dataclass(frozen=True)
class Neighbours:
    """The nearest other cells of each cell.

    Parameters
    ----------
    indices
        Nearest first, int64, ``(n_cells, k)``.
    distances
        Euclidean, float64, ``(n_cells, k)``.
    recall
        Share of the true neighbours that were found, measured on 200 cells; ``None`` of an exact search.
    """

    indices: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    recall: float | None = None


def nearest_neighbours(x: npt.NDArray[np.floating], k: int, *, seed: int = 0) -> Neighbours:
    """Find the nearest other cells of each cell: exactly of up to 100,000 cells, approximately of more.

    Parameters
    ----------
    x
        Cells by dimensions, ``(n_cells, n_dims)``.
    k
        Number of neighbours, below the number of cells.
    seed
        Of the approximate search.
    """
    if len(x) > APPROXIMATE:
        return approximate_neighbours(x, k, seed=seed)
    blocks = list(neighbour_blocks(np.asarray(x, dtype=np.float64), k))
    return Neighbours(np.concatenate([b[1] for b in blocks]), np.concatenate([b[2] for b in blocks]))


def approximate_neighbours(x: npt.NDArray[np.floating], k: int, *, seed: int = 0) -> Neighbours:
    """Find nearest other cells by nearest-neighbour descent (Dong, Moses & Li 2011), as pynndescent has it.

    The search is repeated with more room where it finds less than 95 % of the true neighbours of 200 cells,
    up to 60 neighbours a cell. It runs on one thread from a seed, so that it finds the same every time, and
    leaves numba's number of threads as it was.

    Parameters
    ----------
    x, k, seed
        As for :func:`nearest_neighbours`.
    """
    # points of one mean would cancel in single precision if they lay far from the origin
    values = np.ascontiguousarray(x - x.mean(axis=0), dtype=np.float32)
    rows = drawn_rows(len(x), _CHECKED, seed)
    checked = np.arange(len(x)) if rows is None else rows
    truth = np.concatenate([block[1] for block in neighbour_blocks(values.astype(np.float64), k, checked)])
    found, best = None, -1.0
    for width in _WIDTHS:
        wider = max(width, k + 1)
        indices, distances = _descended(values, min(wider, len(x)), seed)
        keep = others(indices[:, : k + 1], np.arange(len(x)))
        shape = (len(x), k)
        near = indices[:, : k + 1][keep].reshape(shape).astype(np.int64)
        apart = distances[:, : k + 1][keep].reshape(shape).astype(np.float64)
        same = [len(np.intersect1d(a, b)) for a, b in zip(near[checked], truth, strict=True)]
        recall = float(np.mean(same)) / k
        if recall > best:
            found, best = Neighbours(near, apart, recall), recall
        if recall >= RECALL:
            break
    assert found is not None
    return found


def _descended(
    values: npt.NDArray[np.float32], width: int, seed: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the neighbours of each cell, itself among them, nearest first."""
    import numba

    threads = numba.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pynndescent import NNDescent

        try:
            search = NNDescent(
                values, n_neighbors=width, random_state=seed, n_jobs=1, low_memory=True, compressed=False
            )
        finally:
            numba.set_num_threads(threads)
    indices, distances = search.neighbor_graph
    return indices, distances
