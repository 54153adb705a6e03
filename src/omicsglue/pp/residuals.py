"""Variance of Pearson residuals of counts that are walked through in blocks of cells.

The most variable features are those of scanpy's ``experimental.pp.highly_variable_genes`` by Pearson
residuals (Lause, Berens & Kobak, Genome Biology 2021, doi 10.1186/s13059-021-02451-7), in two passes and
without holding all counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.counts import check_counts
from omicsglue.pp.blocks import CellBlocks

Floats = npt.NDArray[np.float64]
THETA = 100.0  # overdispersion of the model
_AT_ONCE = 2**20  # residuals


@dataclass(frozen=True)
class Totals:
    """What a first pass gathers.

    Attributes
    ----------
    seen
        In how many cells each feature is seen, int64, shape ``(features,)``.
    sums
        Counts of each feature in each batch, float64, shape ``(batches, features)``.
    cells
        Cells with counts of each batch, int64, shape ``(batches,)``.
    """

    seen: npt.NDArray[np.int64]
    sums: Floats
    cells: npt.NDArray[np.int64]


def totals_of(blocks: CellBlocks, codes: npt.NDArray[np.int64]) -> Totals:
    """Return totals of features, from one pass.

    Parameters
    ----------
    blocks
        Counts, cells x features.
    codes
        Batch of each cell, from 0, shape ``(cells,)``.

    Raises
    ------
    InputError
        If a value is no count.
    """
    features, batches = blocks.shape[1], int(codes.max()) + 1
    seen, cells = np.zeros(features, dtype=np.int64), np.zeros(batches, dtype=np.int64)
    sums = np.zeros((batches, features))
    for first, block in blocks:
        if not np.array_equal(block.data, np.rint(block.data)):
            check_counts(blocks.adata, blocks.layer, where=blocks.where)
        seen += np.bincount(block.indices[block.data != 0], minlength=features)
        here = codes[first : first + block.shape[0]]
        counted = np.asarray(block.sum(axis=1)).ravel() > 0
        cells += np.bincount(here[counted], minlength=batches)
        for batch in np.unique(here):
            sums[batch] += block[np.flatnonzero(here == batch)].sum(axis=0, dtype=np.float64).A1
    return Totals(seen, sums, cells)


def most_variable(
    blocks: CellBlocks,
    codes: npt.NDArray[np.int64],
    totals: Totals,
    candidates: npt.NDArray[np.int64],
    n_top: int,
) -> npt.NDArray[np.int64]:
    """Return the features whose residuals vary most, from one pass.

    Parameters
    ----------
    blocks, codes
        As for :func:`totals_of`.
    totals
        What that returned.
    candidates
        Among which features.
    n_top
        How many of them.

    Returns
    -------
    Indices of features, rising, shape ``(n_top,)``.
    """
    sums = totals.sums[:, candidates]
    clip = float(np.sqrt(totals.cells[totals.cells > 0][0]))  # scanpy's, which is that of the first batch
    total, squares = np.zeros_like(sums), np.zeros_like(sums)
    step = max(1, _AT_ONCE // len(candidates))
    for first, block in blocks:
        chosen = sp.csr_matrix(block[:, candidates])
        depth = np.asarray(chosen.sum(axis=1), dtype=np.float64).ravel()
        here = codes[first : first + block.shape[0]]
        for batch in np.unique(here):
            rows = np.flatnonzero((here == batch) & (depth > 0))
            for part in (rows[at : at + step] for at in range(0, len(rows), step)):
                residuals = _residuals(chosen[part].toarray(), depth[part], sums[batch], clip)
                total[batch] += residuals.sum(axis=0)
                squares[batch] += np.einsum("ij,ij->j", residuals, residuals)
    with_cells = totals.cells > 0
    number = totals.cells[with_cells, None]
    variance = squares[with_cells] / number - (total[with_cells] / number) ** 2
    return np.sort(candidates[_top(variance, n_top)])


def _residuals(counts: npt.NDArray[np.float32], depth: Floats, sums: Floats, clip: float) -> Floats:
    """Return clipped Pearson residuals, 0 for features that the batch does not have."""
    mean = np.outer(depth / sums.sum(), sums)
    deviation = np.sqrt(mean + mean**2 / THETA)
    found = np.zeros_like(mean)
    np.divide(counts - mean, deviation, out=found, where=deviation > 0)
    return np.clip(found, -clip, clip, out=found)


def _top(variance: Floats, n_top: int) -> npt.NDArray[np.int64]:
    """Return columns that are most variable in most batches, and then by their median rank there."""
    ranks = np.argsort(np.argsort(-variance, axis=1), axis=1).astype(np.float32)
    among = (ranks < n_top).sum(axis=0)
    chosen = among > 0  # the others have no rank, and come last
    ranks[ranks >= n_top] = np.nan
    median = np.full(ranks.shape[1], np.inf)
    median[chosen] = np.nanmedian(ranks[:, chosen], axis=0)
    return np.lexsort((median, -among))[:n_top]
