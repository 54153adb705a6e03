"""Which features are modelled: variable genes, and peaks by detection."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.data.columns import check_batch_key
from omicsglue.data.counts import check_counts
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import OptionError
from omicsglue.keys import HIGHLY_VARIABLE
from omicsglue.pp.blocks import cell_blocks, stored, too_large
from omicsglue.pp.residuals import most_variable, totals_of

if TYPE_CHECKING:
    from anndata import AnnData

_BATCH = "batch"
_BYTES = 40  # of a stored entry, while features are ranked


def detection(adata: AnnData, layer: str | None = None) -> npt.NDArray[np.int64]:
    """Return in how many cells each feature is seen.

    Parameters
    ----------
    adata
        Cells x features.
    layer
        Layer with the counts; ``None`` is ``X``.

    Returns
    -------
    int64, shape ``(features,)``; counts are read in blocks, once.
    """
    seen = np.zeros(adata.n_vars, dtype=np.int64)
    for _, block in iter_row_blocks(matrix_of(adata, layer)):
        seen += np.asarray((block != 0).sum(axis=0)).ravel().astype(np.int64)
    return seen


def select_features(
    adata: AnnData,
    n_top: int | None = 2000,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    min_cells: int = 1,
) -> npt.NDArray[np.bool_]:
    """Mark the features that are modelled in ``adata.var["highly_variable"]``.

    Highly variable features are ranked on raw counts by the variance of their analytic Pearson residuals
    (scanpy's implementation of Lause et al. 2021), which needs no normalisation. Where that would take more
    than 1 GB for counts on disk (8 GB for counts in memory), the same variances are summed over blocks of
    cells, which are read twice.

    Parameters
    ----------
    adata
        Cells x features of counts; ``var`` is changed.
    n_top
        How many to select; all that are detected where there are no more, or with ``None``.
    layer
        Layer with the counts; ``None`` is ``X``.
    batch_key
        ``obs`` column of batches in which features are ranked apart; several with commas between them.
    min_cells
        Features seen in fewer cells are never selected.

    Returns
    -------
    The mask written, shape ``(features,)``.

    Raises
    ------
    OptionError
        If ``n_top`` is not positive or ``min_cells`` is negative.
    InputError
        If there is no such layer or batch column, or the matrix does not hold counts.
    """
    if (n_top is not None and n_top < 1) or min_cells < 0:
        raise OptionError(
            f"n_top={n_top}, min_cells={min_cells}", where="select_features", remedy="give positive numbers"
        )
    batches = None if batch_key is None else check_batch_key(adata, batch_key, where="select_features")
    matrix = matrix_of(adata, layer, where="select_features")
    if n_top is not None and too_large(matrix, _BYTES * stored(matrix)):
        selected = _in_blocks(adata, n_top, layer, batches, max(min_cells, 1))
    else:
        selected = _at_once(adata, n_top, layer, batches, max(min_cells, 1))
    adata.var[HIGHLY_VARIABLE] = selected
    return selected


def _in_blocks(
    adata: AnnData, n_top: int, layer: str | None, batches: pd.Categorical | None, fewest: int
) -> npt.NDArray[np.bool_]:
    blocks = cell_blocks(adata, layer, "select_features")
    codes = np.zeros(adata.n_obs, dtype=np.int64)
    if batches is not None:
        codes = np.unique(np.asarray(batches), return_inverse=True)[1]
    totals = totals_of(blocks, codes)
    selected = totals.seen >= fewest
    if selected.sum() > n_top:
        ranked = most_variable(blocks, codes, totals, np.flatnonzero(selected), n_top)
        selected = np.zeros(adata.n_vars, dtype=bool)
        selected[ranked] = True
    return np.asarray(selected, dtype=bool)


def _at_once(
    adata: AnnData, n_top: int | None, layer: str | None, batches: pd.Categorical | None, fewest: int
) -> npt.NDArray[np.bool_]:
    selected = detection(adata, layer) >= fewest
    if n_top is not None and selected.sum() > n_top:
        check_counts(adata, layer, where="select_features")
        ranked = _ranked(adata, np.flatnonzero(selected), n_top, layer, batches)
        selected = np.zeros(adata.n_vars, dtype=bool)
        selected[ranked] = True
    return np.asarray(selected, dtype=bool)


def _ranked(
    adata: AnnData,
    candidates: npt.NDArray[np.int64],
    n_top: int,
    layer: str | None,
    batches: pd.Categorical | None,
) -> npt.NDArray[np.int64]:
    import scanpy as sc
    from anndata import AnnData as Copy

    matrix = matrix_of(adata, layer, where="select_features")
    blocks = [sp.csr_matrix(block[:, candidates]) for _, block in iter_row_blocks(matrix)]
    obs = None if batches is None else pd.DataFrame({_BATCH: batches}, index=adata.obs_names)
    counts = Copy(sp.csr_matrix(sp.vstack(blocks), dtype=np.float32), obs=obs)
    counts = counts[np.asarray(counts.X.sum(axis=1)).ravel() > 0].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sc.experimental.pp.highly_variable_genes(
            counts,
            n_top_genes=n_top,
            batch_key=None if batches is None else _BATCH,
            flavor="pearson_residuals",
            inplace=False,
        )
    assert isinstance(found, pd.DataFrame)
    return candidates[np.flatnonzero(found["highly_variable"].to_numpy())]
