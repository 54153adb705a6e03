"""Which features are modelled: variable genes, and peaks by detection."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.data.columns import check_batch_key
from omicsglue.data.counts import check_counts
from omicsglue.data.matrices import iter_row_blocks, matrix_of, survey_matrix
from omicsglue.errors import OptionError
from omicsglue.keys import HIGHLY_VARIABLE
from omicsglue.pp.blocks import cell_blocks, drawn_cells, on_disk, stored, too_large

if TYPE_CHECKING:
    from anndata import AnnData

_BATCH = "batch"
SAMPLE_CELLS = 50_000  # of many, by which features are ranked
SAMPLE_NONZEROS = 2**25
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
    seed: int = 0,
) -> npt.NDArray[np.bool_]:
    """Mark the features that are modelled in ``adata.var["highly_variable"]``.

    Highly variable features are ranked on raw counts by the variance of their analytic Pearson residuals
    (scanpy's implementation of Lause et al. 2021), which needs no normalisation. Where more than
    50,000 cells or 34 million non-zero counts are on disk (or 210 million in memory), features are ranked by
    cells drawn within these limits, as many of each batch as there are or as of the others; all cells are
    checked, and tell which features are seen.

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
    seed
        Seed of the draw of cells, where there are too many to rank features by all.

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
    survey = survey_matrix(matrix) if on_disk(matrix) and n_top is not None else None
    seen = detection(adata, layer) if survey is None else survey.nonzero_per_feature
    selected = seen >= max(min_cells, 1)
    if n_top is not None and selected.sum() > n_top:
        check_counts(adata, layer, where="select_features", survey=survey)
        candidates = np.flatnonzero(selected)
        if _too_many(matrix):
            counts, batches = _drawn(adata, candidates, layer, batches, seed)
        else:
            blocks = [sp.csr_matrix(block[:, candidates]) for _, block in iter_row_blocks(matrix)]
            counts = sp.csr_matrix(sp.vstack(blocks), dtype=np.float32)
        ranked = candidates[_ranked(counts, n_top, batches)]
        selected = np.zeros(adata.n_vars, dtype=bool)
        selected[ranked] = True
    adata.var[HIGHLY_VARIABLE] = selected
    return selected


def _too_many(matrix: Any) -> bool:
    """Return whether features are ranked by a part of the cells."""
    beyond = matrix.shape[0] > SAMPLE_CELLS or stored(matrix) > SAMPLE_NONZEROS
    return beyond and too_large(matrix, _BYTES * stored(matrix))


def _drawn(
    adata: AnnData,
    candidates: npt.NDArray[np.int64],
    layer: str | None,
    batches: pd.Categorical | None,
    seed: int,
) -> tuple[sp.csr_matrix, pd.Categorical | None]:
    """Return counts of cells that are drawn, and their batches, in the order of the cells."""
    blocks = cell_blocks(adata, layer, "select_features")
    groups = None if batches is None else batches.codes
    drawn = drawn_cells(blocks.nonzeros, SAMPLE_CELLS, SAMPLE_NONZEROS, seed, groups)
    counts = sp.vstack([rows[:, candidates] for rows in blocks.rows(drawn)])
    return sp.csr_matrix(counts, dtype=np.float32), None if batches is None else batches[drawn]


def _ranked(counts: sp.csr_matrix, n_top: int, batches: pd.Categorical | None) -> npt.NDArray[np.int64]:
    """Return which columns vary most."""
    import scanpy as sc
    from anndata import AnnData as Copy

    obs = None if batches is None else pd.DataFrame({_BATCH: batches})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = Copy(counts, obs=obs)
        part = part[np.asarray(part.X.sum(axis=1)).ravel() > 0].copy()
        found = sc.experimental.pp.highly_variable_genes(
            part,
            n_top_genes=n_top,
            batch_key=None if batches is None else _BATCH,
            flavor="pearson_residuals",
            inplace=False,
        )
    assert isinstance(found, pd.DataFrame)
    return np.flatnonzero(found["highly_variable"].to_numpy())
