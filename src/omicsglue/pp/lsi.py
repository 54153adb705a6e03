"""Latent semantic indexing of chromatin accessibility: what the encoder of an ATAC modality sees."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.matrices import matrix_of
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.keys import LSI
from omicsglue.pp.blocks import cell_blocks, too_large
from omicsglue.pp.counts import check_components, csr_counts
from omicsglue.pp.decomposition import scores
from omicsglue.pp.lsi_blocks import TfIdf, bytes_at_once, components_of_blocks
from omicsglue.pp.shrinkage import kept_share, permuted_columns, shrunken_scores

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
DEPTH_CORRELATION = 0.9
POWER_ITERATIONS = 7


def lsi(
    adata: AnnData,
    n_components: int = 100,
    *,
    layer: str | None = None,
    seed: int = 0,
    drop_depth: bool = False,
    key_added: str = LSI,
) -> Floats:
    """Compute LSI on all features and write it to ``adata.obsm``.

    TF-IDF, rows scaled to 10,000 and logged, a randomised truncated SVD on the sparse matrix, and shrinkage
    of the components to their signal. The noise is that of the same matrix with its columns permuted.
    Features that no cell has are left out.

    Where that would take more than 1 GB for counts on disk (8 GB for counts in memory), they are read in
    blocks of cells, six times: for totals, for four steps of an SVD begun on cells drawn in the first pass
    (30 million non-zero counts at most), and for the scores.

    Parameters
    ----------
    adata
        Cells x features of counts; ``obsm`` is changed.
    n_components
        Dimensions at most; those that do not stand out from the noise are left out.
    layer
        Layer with the counts; ``None`` is ``X``.
    seed
        Seed of the randomised SVD and of the permutation.
    drop_depth
        Leave out components whose absolute correlation with the log of the depth exceeds 0.9, and say so. Off
        by default: on SNARE-seq it cost 0.016 FOSCTTM (``docs/experiments.md``).
    key_added
        Key of ``obsm``.

    Returns
    -------
    The representation, float32, shape ``(cells, at most n_components)``.

    Raises
    ------
    InputError
        If there are too few cells or features with counts, or a value is no count.
    OptionError
        If ``n_components`` is less than 2.
    """
    check_components(n_components, "lsi")
    matrix = matrix_of(adata, layer, where="lsi")
    if too_large(matrix, bytes_at_once(matrix)):
        result, depth = _in_blocks(adata, n_components, layer, seed)
        if drop_depth:
            result = np.ascontiguousarray(result[:, ~_follows_depth(result.astype(np.float64), depth)])
    else:
        result = _at_once(adata, n_components, layer, seed, drop_depth=drop_depth)
    adata.obsm[key_added] = result
    return result


def _at_once(adata: AnnData, n_components: int, layer: str | None, seed: int, *, drop_depth: bool) -> Floats:
    x, depth = tf_idf(adata, layer)
    components = _components(n_components, x.shape)
    u, s = _truncated_svd(x, components, seed)
    # The mean profile survives permutation as the first component: the second is the largest of the noise
    null = _truncated_svd(permuted_columns(x, np.random.default_rng(seed)), 2, seed)[1]
    if drop_depth:
        free = ~_follows_depth(u, depth)
        u, s = u[:, free], s[free]
    return shrunken_scores(u * s, s, null[1], x.shape, "LSI")


def _in_blocks(adata: AnnData, n_components: int, layer: str | None, seed: int) -> tuple[Floats, Floats64]:
    values = TfIdf(cell_blocks(adata, layer, "lsi"), seed)
    singular, loadings, edge = components_of_blocks(values, _components(n_components, values.shape), seed)
    share, unit = kept_share(singular, edge, values.shape, "LSI")
    weights = loadings[:, share > 0] * (share[share > 0] * unit)
    return scores(values, values.shape[0], weights), values.depth


def _components(wanted: int, shape: tuple[int, int]) -> int:
    """Return how many components can be found."""
    components = min(wanted, *(size - 1 for size in shape))
    if components < 2:
        raise InputError(
            f"LSI needs at least 3 cells and 3 features with counts, found {shape[0]} and {shape[1]}",
            where="lsi",
            remedy="check the step that made or filtered these data",
        )
    return components


def tf_idf(adata: AnnData, layer: str | None = None) -> tuple[sp.csr_matrix, npt.NDArray[np.float64]]:
    """Return log-scaled TF-IDF of the features that are seen, and the depth of each cell.

    Term frequency is the share of the cell's counts; inverse document frequency the number of cells over the
    feature's counts.

    Parameters
    ----------
    adata
        Cells x features of counts.
    layer
        Layer with the counts; ``None`` is ``X``.

    Returns
    -------
    CSR float32, cells x features seen; and sums of counts, shape ``(cells,)``.
    """
    counts = csr_counts(adata, layer, "lsi")
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    totals = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    counts = counts[:, totals > 0] if (totals == 0).any() else counts
    idf = counts.shape[0] / totals[totals > 0]
    frequency = sp.diags(1 / np.where(depth > 0, depth, 1)) @ counts @ sp.diags(idf)
    sums = np.asarray(frequency.sum(axis=1)).ravel()
    x = sp.csr_matrix(sp.diags(1e4 / np.where(sums > 0, sums, 1)) @ frequency, dtype=np.float32)
    np.log1p(x.data, out=x.data)
    return x, depth


def _truncated_svd(
    x: sp.csr_matrix, components: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    from sklearn.utils.extmath import randomized_svd

    u, s, _ = randomized_svd(x, components, n_iter=POWER_ITERATIONS, random_state=seed)
    return u.astype(np.float64), s.astype(np.float64)


def _follows_depth(u: npt.NDArray[np.float64], depth: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    log_depth = np.log1p(depth)
    if log_depth.std() == 0:
        return np.zeros(u.shape[1], dtype=bool)
    spread = np.maximum(u.std(axis=0), np.finfo(np.float64).tiny)
    centred = (u - u.mean(axis=0)) / spread
    correlation = np.abs(centred.T @ (log_depth - log_depth.mean())) / (len(depth) * log_depth.std())
    tied = np.asarray(correlation > DEPTH_CORRELATION)
    if tied.any():
        said = ", ".join(f"{i + 1} ({correlation[i]:.2f})" for i in np.flatnonzero(tied))
        warnings.warn(
            f"LSI: left out component(s) that follow sequencing depth (correlation): {said}\n"
            "  -> nothing need be done; use drop_depth=False to keep them",
            OmicsGlueWarning,
            stacklevel=3,
        )
    return tied
