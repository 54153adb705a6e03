"""Latent semantic indexing of chromatin accessibility: what the encoder of an ATAC modality sees."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.keys import LSI

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
DEPTH_CORRELATION = 0.9


def lsi(
    adata: AnnData,
    n_components: int = 100,
    *,
    layer: str | None = None,
    seed: int = 0,
    drop_depth: bool = True,
    key_added: str = LSI,
) -> Floats:
    """Compute LSI on all features and write it to ``adata.obsm``.

    TF-IDF, rows scaled to 10,000 and logged, a randomised truncated SVD on the sparse matrix, then each cell's scores
    standardised over its components, as in the published preprocessing of GLUE. Features that no cell has are left out.

    Parameters
    ----------
    adata
        Cells x features of counts; ``obsm`` is changed.
    n_components
        Dimensions; fewer where there are fewer cells or features.
    layer
        Layer with the counts; ``None`` is ``X``.
    seed
        Seed of the randomised SVD.
    drop_depth
        Leave out components whose absolute correlation with the log of the depth exceeds 0.9, and say so.
    key_added
        Key of ``obsm``.

    Returns
    -------
    The representation, float32, shape ``(cells, n_components)``.

    Raises
    ------
    InputError
        If there are too few cells or features with counts.
    """
    from sklearn.utils.extmath import randomized_svd

    x, depth = tf_idf(adata, layer)
    components = min(n_components, *(size - 1 for size in x.shape))
    if components < 2:
        raise InputError(
            f"LSI needs at least 3 cells and 3 features with counts, found {x.shape[0]} and {x.shape[1]}",
            where="lsi",
            remedy="check the step that made or filtered these data",
        )
    spare = min(components + 1, min(x.shape) - 1)
    scores = randomized_svd(x, spare, n_iter=7, random_state=seed)[0]
    if drop_depth:
        scores = scores[:, _free_of_depth(scores, depth)]
    scores = scores[:, :components]
    scores = scores - scores.mean(axis=1, keepdims=True)
    spread = scores.std(axis=1, ddof=1, keepdims=True)
    result = (scores / np.where(spread > 0, spread, 1)).astype(np.float32)
    adata.obsm[key_added] = result
    return result


def tf_idf(adata: AnnData, layer: str | None = None) -> tuple[sp.csr_matrix, npt.NDArray[np.float64]]:
    """Return log-scaled TF-IDF of the features that are seen, and the depth of each cell.

    Term frequency is the share of the cell's counts; inverse document frequency the number of cells over the
    feature's counts.

    Returns
    -------
    CSR float32, cells x features seen; and sums of counts, shape ``(cells,)``.
    """
    blocks = [sp.csr_matrix(block, dtype=np.float32) for _, block in iter_row_blocks(matrix_of(adata, layer))]
    counts = sp.csr_matrix(sp.vstack(blocks))
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    totals = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    counts = counts[:, totals > 0] if (totals == 0).any() else counts
    idf = counts.shape[0] / totals[totals > 0]
    frequency = sp.diags(1 / np.where(depth > 0, depth, 1)) @ counts @ sp.diags(idf)
    sums = np.asarray(frequency.sum(axis=1)).ravel()
    x = sp.csr_matrix(sp.diags(1e4 / np.where(sums > 0, sums, 1)) @ frequency, dtype=np.float32)
    np.log1p(x.data, out=x.data)
    return x, depth


def _free_of_depth(scores: npt.NDArray[np.floating], depth: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    log_depth = np.log1p(depth)
    if log_depth.std() == 0:
        return np.ones(scores.shape[1], dtype=bool)
    spread = np.maximum(scores.std(axis=0), np.finfo(np.float32).tiny)
    centred = (scores - scores.mean(axis=0)) / spread
    correlation = np.abs(centred.T @ (log_depth - log_depth.mean())) / (len(depth) * log_depth.std())
    tied = correlation > DEPTH_CORRELATION
    if tied.any():
        said = ", ".join(f"{i + 1} ({correlation[i]:.2f})" for i in np.flatnonzero(tied))
        warnings.warn(
            f"LSI: left out component(s) that follow sequencing depth (correlation): {said}",
            OmicsGlueWarning,
            stacklevel=3,
        )
    return np.asarray(~tied)
