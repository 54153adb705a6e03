"""Principal components of counts that are walked through in blocks of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.errors import InputError
from omicsglue.pp.blocks import CellBlocks, drawn_cells, stored
from omicsglue.pp.decomposition import (
    MORE,
    Rows,
    column_moments,
    gram,
    leading,
    refined,
    sample_subspace,
    scores,
)
from omicsglue.pp.shrinkage import kept_share, noise_edge

Floats32 = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
FLAT = 1e-5  # deviation, relative to the mean, that is rounding and no difference between cells
MOST_FOR_GRAM = 8000  # features; their matrix takes 0.5 GB, and its decomposition three times that
SAMPLE_ENTRIES = 2**26  # of the dense sample by which components of more features are begun


def bytes_at_once(matrix: Any, features: int) -> float:
    """Return about how much memory PCA of so many features takes with all cells at once."""
    return 24.0 * stored(matrix) + 16.0 * int(matrix.shape[0]) * features


def pca_in_blocks(
    blocks: CellBlocks, features: npt.NDArray[np.bool_] | None, components: int, seed: int
) -> Floats32:
    """Return principal components of log-normalised, standardised counts, shrunk to their signal.

    Passes over the counts: one for the depth of the cells, one for means and cross-products of the features,
    one for the scores. The components are exact. Of more than 8,000 features, no matrix of cross-products is
    kept: an SVD is begun on a sample of cells, whose four steps take a pass each.

    Parameters
    ----------
    blocks
        Counts, cells x features.
    features
        Which features to use, shape ``(features,)``; all by default.
    components
        Dimensions at most; at least 2.
    seed
        Of the sample, where there is one.

    Returns
    -------
    float32, shape ``(cells, at most components)``.

    Raises
    ------
    InputError
        If no feature differs between cells, or a value is no count.
    """
    walk = _LogNormalised(blocks, features)
    cells, genes = blocks.shape[0], walk.size
    exact = genes <= MOST_FOR_GRAM
    mean, std, cross = gram(walk(), genes) if exact else (*column_moments(walk(), genes), None)
    std[std <= FLAT * np.abs(mean)] = 0
    varying = int((std > 0).sum())
    if not varying:
        raise InputError(
            "no feature differs between cells", where="pca", remedy="check that the right matrix was chosen"
        )
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    if cross is None:
        singular, vectors = _by_subspace(Rows(walk, (cells, genes), mean, scale), components, seed)
    else:
        cross *= scale
        cross *= scale[:, None]
        values, vectors = leading(cross, components)
        singular = np.sqrt(np.maximum(values, 0))
    shape = (cells, varying)
    share, unit = kept_share(singular, noise_edge(shape), shape, "PCA")
    weights = scale[:, None] * vectors[:, share > 0] * (share[share > 0] * unit)
    return scores(walk, cells, weights, mean @ weights)


class _LogNormalised:
    """Walks through counts that are scaled to the median depth and logged, of chosen features."""

    def __init__(self, blocks: CellBlocks, features: npt.NDArray[np.bool_] | None) -> None:
        self.blocks = blocks
        self.columns = None if features is None else np.flatnonzero(features)
        self.size = blocks.shape[1] if self.columns is None else len(self.columns)
        depth = np.empty(blocks.shape[0])
        for first, block in blocks:
            depth[first : first + block.shape[0]] = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
        seen = depth[depth > 0]
        target = float(np.median(seen)) if len(seen) else 1.0
        self.factor = target / np.where(depth > 0, depth, 1)

    def __call__(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        for first, block in self.blocks:
            chosen = block if self.columns is None else sp.csr_matrix(block[:, self.columns])
            factor = self.factor[first : first + block.shape[0]]
            chosen.data = np.log1p(chosen.data * np.repeat(factor, np.diff(chosen.indptr)), dtype=np.float32)
            yield first, chosen


def _by_subspace(rows: Rows, components: int, seed: int) -> tuple[Floats64, Floats64]:
    """Return singular values and right vectors of features that are too many for a Gram matrix."""
    (cells, genes), mean, scale = rows.shape, rows.mean, rows.scale
    assert mean is not None
    assert scale is not None
    drawn = drawn_cells(np.full(cells, genes), max(SAMPLE_ENTRIES, 2 * genes * MORE), seed)
    sample = np.vstack(
        [
            block[drawn[first : first + block.shape[0]]].toarray()
            for first, block in rows.walk()
            if drawn[first : first + block.shape[0]].any()
        ]
    )
    sample -= mean.astype(np.float32)
    sample *= scale.astype(np.float32)
    basis = sample_subspace(sample, components + MORE, seed)
    return refined(rows, basis, components)
