"""Selection and principal components of values that are no complete counts: real, fractions, with gaps.

Such values are dense once gaps are filled, and come into memory, cells x features, also where they are on
disk; a warning says so where that takes more than 2 GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from anndata.abc import CSCDataset, CSRDataset

from omicsglue.data.encoder_input import Standard, encoder_values
from omicsglue.data.kinds import SUPPORT
from omicsglue.data.matrices import column_blocks, iter_row_blocks, matrix_of
from omicsglue.data.missing import coverage_key, measured_entries
from omicsglue.data.stacked import StackedRows
from omicsglue.errors import InputError
from omicsglue.keys import HIGHLY_VARIABLE, PCA
from omicsglue.pp.blocks import on_disk
from omicsglue.pp.counts import check_components, warn_of_memory
from omicsglue.pp.pca import FLAT, components_of

if TYPE_CHECKING:
    from anndata import AnnData

    from omicsglue.data.setup import ModalitySetup

Floats = npt.NDArray[np.float32]
_PART = 2**22
_BYTES = 12  # of an entry, all of which are dense


def are_complete_counts(adata: AnnData, setup: ModalitySetup) -> bool:
    """Return whether a modality holds counts (or zeros and ones) of which none is missing.

    Of a sparse matrix on disk only the values are read, and those a part at a time.
    """
    if SUPPORT[setup.likelihood] not in ("counts", "binary") or setup.coverage is not None:
        return False
    matrix = matrix_of(adata, setup.layer)
    if matrix.dtype.kind != "f":
        return True
    return not any(np.isnan(values).any() for values in _parts(matrix))


def _parts(matrix: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield all values of a matrix, a part at a time."""
    if isinstance(matrix, CSRDataset | CSCDataset) and not isinstance(matrix, StackedRows):
        values = matrix.group["data"]
        yield from (np.asarray(values[first : first + _PART]) for first in range(0, values.shape[0], _PART))
    else:
        for _, block in iter_row_blocks(matrix):
            yield block if isinstance(block, np.ndarray) else block.data


def select_measured(
    adata: AnnData, setup: ModalitySetup, n_top: int | None = None, *, where: str = "adata"
) -> npt.NDArray[np.bool_]:
    """Mark the features that are modelled in ``adata.var["highly_variable"]``, of any kind of data.

    Parameters
    ----------
    adata
        Cells x features; ``var`` is changed.
    setup
        Names likelihood, layer and coverage.
    n_top
        How many to select, by the variance of what the encoder sees before it is standardised; all that
        differ between cells where there are no more, or with ``None``.
    where
        Name of the modality or object.

    Returns
    -------
    The mask written, shape ``(features,)``.
    """
    _, standard, varying = _values(adata, setup, np.arange(adata.n_vars), where)
    selected = varying.copy()
    if n_top is not None and varying.sum() > n_top:
        order = np.argsort(-np.where(varying, standard.sd, -1), kind="stable")
        selected[order[n_top:]] = False
    adata.var[HIGHLY_VARIABLE] = selected
    return selected


def pca_measured(
    adata: AnnData,
    setup: ModalitySetup,
    n_components: int = 100,
    *,
    features: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    where: str = "adata",
) -> Floats:
    """Compute principal components of standardised values and write them to ``adata.obsm["X_pca"]``.

    Values that are missing take the mean of their feature; covered counts enter as methylated fractions.

    Parameters
    ----------
    adata
        Cells x features; ``obsm`` is changed.
    setup
        Names likelihood, layer and coverage.
    n_components
        Dimensions at most; those that do not stand out from the noise are left out.
    features
        Which features to use, shape ``(features,)``; all by default.
    seed
        Seed of the decomposition.
    where
        Name of the modality or object.

    Returns
    -------
    The representation, float32, shape ``(cells, at most n_components)``.

    Raises
    ------
    InputError
        If there are too few cells or features that differ.
    OptionError
        If ``n_components`` is less than 2.
    """
    check_components(n_components, where)
    columns = np.arange(adata.n_vars) if features is None else np.flatnonzero(features)
    x, _, varying = _values(adata, setup, columns, where)
    x[:, ~varying] = 0
    components = min(n_components, len(x) - 1, len(columns) - 1)
    if components < 2 or not varying.any():
        raise InputError(
            f"PCA needs at least 3 cells and 3 features that differ, found {len(x)} and {int(varying.sum())}",
            where=where,
            remedy="check the step that made or filtered these data",
        )
    result = components_of(x, int(varying.sum()), components, seed)
    adata.obsm[PCA] = result
    return result


def _values(
    adata: AnnData, setup: ModalitySetup, columns: npt.NDArray[np.int64], where: str
) -> tuple[Floats, Standard, npt.NDArray[np.bool_]]:
    """Return standardised values, by what they were standardised, and which features differ."""
    matrix = matrix_of(adata, setup.layer, where=where)
    if on_disk(matrix):
        warn_of_memory(_BYTES * adata.n_obs * len(columns), "gaps are filled in", where)
    key = coverage_key(adata, setup, where)
    coverage = None if key is None else column_blocks(matrix_of(adata, key, where=where), columns)
    values, coverage = measured_entries(column_blocks(matrix, columns), coverage)
    kind = SUPPORT[setup.likelihood]
    inputs, standard = encoder_values(values, coverage, kind)
    if standard is None:
        raise ValueError("complete counts have selection and components of their own")
    dense = np.asarray(inputs)
    if kind in ("counts", "binary"):
        dense = (dense - standard.mean) / standard.sd
    return dense, standard, dense.std(axis=0) > FLAT
