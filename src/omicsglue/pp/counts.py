"""The counts of a modality as one sparse matrix, checked on the way."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset

from omicsglue.data.counts import check_finite, matrix_name
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.data.stores import stored_entries
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError

if TYPE_CHECKING:
    from anndata import AnnData

MUCH = 2**31  # bytes from which on loading a matrix is worth a warning


def csr_counts(adata: AnnData, layer: str | None, where: str) -> sp.csr_matrix:
    """Return counts as CSR, float32, cells x features, whatever holds them.

    All counts come into memory, those of a file too, with a warning where they take more than 2 GB.
    :func:`omicsglue.pp.blocks.cell_blocks` does not load them.

    Parameters
    ----------
    adata
        Cells x features, in memory or backed; not changed.
    layer
        Layer with the counts; ``None`` is ``X``.
    where
        Who asks, for messages.

    Raises
    ------
    InputError
        If there are no cells or no such layer, or a value is NaN, infinite or negative.
    """
    matrix = matrix_of(adata, layer, where=where)
    warn_of_loading(matrix, where)
    blocks = [sp.csr_matrix(block, dtype=np.float32) for _, block in iter_row_blocks(matrix)]
    if not blocks:
        raise InputError(
            "there are no cells", where=where, remedy="check the step that made or filtered these data"
        )
    counts = sp.csr_matrix(sp.vstack(blocks))
    if not np.isfinite(counts.data).all() or counts.data.min(initial=0) < 0:
        refuse_values(adata, layer, where)
    return counts


def refuse_values(adata: AnnData, layer: str | None, where: str) -> NoReturn:
    """Refuse a matrix that was found to hold values that are no counts.

    Raises
    ------
    InputError
        Which says what they are.
    """
    check_finite(adata, layer, where=where)
    blocks = (block for _, block in iter_row_blocks(matrix_of(adata, layer, where=where)))
    lowest = min(float(block.min()) for block in blocks if block.shape[0])
    raise InputError(
        f"{matrix_name(layer)} holds negative values, down to {lowest:.4g}",
        where=where,
        remedy="name the layer that holds the counts",
    )


def warn_of_loading(matrix: Any, where: str) -> None:
    """Warn of a sparse matrix in a file that is about to be loaded, where it is large.

    Parameters
    ----------
    matrix
        What :func:`omicsglue.data.matrices.matrix_of` returns.
    where
        Who asks, for the message.
    """
    if isinstance(matrix, CSCDataset):
        warn_of_memory(16 * stored_entries(matrix), "it is stored by columns (CSC)", where)
    elif isinstance(matrix, CSRDataset):
        warn_of_memory(16 * stored_entries(matrix), "this step needs it whole", where)


def warn_of_memory(needed: float, reason: str, where: str) -> None:
    """Warn that a matrix on disk is about to be loaded, where that takes much memory.

    Parameters
    ----------
    needed
        About how many bytes.
    reason
        Why it is loaded.
    where
        Who asks, for the message.
    """
    if needed > MUCH:
        advice = "store counts by rows (CSR), or take fewer cells or features, if there is less"
        warnings.warn(
            f"{where}: the matrix on disk is loaded, for {reason}; this takes about {needed / 1e9:.0f} GB of "
            f"memory\n  -> {advice}",
            OmicsGlueWarning,
            stacklevel=4,
        )


def check_components(n_components: int, where: str) -> None:
    """Check that a representation of so many dimensions can be made.

    Raises
    ------
    OptionError
        If there are fewer than two.
    """
    if n_components < 2:
        raise OptionError(
            f"n_components is {n_components}", where=where, remedy="give 2 or more, usually 50 to 100"
        )
