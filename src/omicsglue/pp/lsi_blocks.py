"""LSI of counts that are walked through in blocks of cells, and never held as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.pp.blocks import CellBlocks, drawn_cells, stored
from omicsglue.pp.decomposition import MORE, Rows, refined, sample_edge, sample_subspace

Floats64 = npt.NDArray[np.float64]
SAMPLE_NONZEROS = 30_000_000  # of the cells on which components are begun


def bytes_at_once(matrix: Any) -> float:
    """Return about how much memory LSI takes with all cells at once."""
    return 60.0 * stored(matrix)


class TfIdf:
    """Walks through log-scaled TF-IDF: of each cell the shares of features, weighted, summing to 10,000.

    Features that no cell has stay, without weight. The counts are read once to begin with, and cells that
    are drawn for the sample are kept from that pass.

    Attributes
    ----------
    depth
        Sum of the counts of each cell, shape ``(cells,)``.
    shape
        Cells, and features that any cell has.
    sample
        Log-scaled TF-IDF of the cells drawn, CSR float32, drawn cells x all features.
    """

    def __init__(self, blocks: CellBlocks, seed: int) -> None:
        self.blocks = blocks
        cells, features = blocks.shape
        drawn = drawn_cells(blocks.nonzeros, SAMPLE_NONZEROS, seed)
        self.depth, totals = np.empty(cells), np.zeros(features)
        sample = []
        for first, block in blocks:
            end = first + block.shape[0]
            self.depth[first:end] = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            totals += block.T @ np.ones(block.shape[0])
            if drawn[first:end].any():
                sample.append(block[np.flatnonzero(drawn[first:end])])
        self.shape = cells, int((totals > 0).sum())
        self.weight = np.divide(cells, totals, out=np.zeros(features), where=totals > 0)
        for part in sample:
            self._weigh(part)
        self.sample: sp.csr_matrix | None = sp.csr_matrix(sp.vstack(sample, format="csr"))

    def __call__(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Begin a pass."""
        for first, block in self.blocks:
            self._weigh(block)
            yield first, block

    def _weigh(self, block: sp.csr_matrix) -> None:
        """Turn counts into log-scaled TF-IDF where they stand."""
        weighted = block.data * self.weight[block.indices]
        lengths = np.diff(block.indptr)
        sums = np.bincount(np.repeat(np.arange(len(lengths)), lengths), weighted, minlength=len(lengths))
        weighted *= np.repeat(1e4 / np.where(sums > 0, sums, 1), lengths)
        block.data[:] = np.log1p(weighted)


def components_of_blocks(tf_idf: TfIdf, components: int, seed: int) -> tuple[Floats64, Floats64, float]:
    """Return components of log-scaled TF-IDF, and the largest singular value that noise alone makes.

    Parameters
    ----------
    tf_idf
        Of the counts.
    components
        Dimensions wanted, at least 2.
    seed
        Of the randomised SVD and of the permutation.

    Returns
    -------
    Singular values, falling, shape ``(components,)``; loadings, shape ``(features, components)``; and the
    edge of the noise.
    """
    rows = Rows(tf_idf, (tf_idf.shape[0], tf_idf.blocks.shape[1]))
    sample, tf_idf.sample = tf_idf.sample, None  # let go before the passes
    assert sample is not None
    edge = sample_edge(sample, rows.shape[0], seed)
    start = sample_subspace(sample, components + MORE, seed)
    del sample
    return *refined(rows, start, components), edge
