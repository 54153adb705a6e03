"""The counts of a modality as one sparse matrix, checked on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from omicsglue.data.counts import check_finite, matrix_name
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import InputError, OptionError

if TYPE_CHECKING:
    from anndata import AnnData


def csr_counts(adata: AnnData, layer: str | None, where: str) -> sp.csr_matrix:
    """Return counts as CSR, float32, cells x features, whatever holds them.

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
    blocks = [
        sp.csr_matrix(block, dtype=np.float32)
        for _, block in iter_row_blocks(matrix_of(adata, layer, where=where))
    ]
    if not blocks:
        raise InputError(
            "there are no cells", where=where, remedy="check the step that made or filtered these data"
        )
    counts = sp.csr_matrix(sp.vstack(blocks))
    if not np.isfinite(counts.data).all():
        check_finite(adata, layer, where=where)
    if counts.data.min(initial=0) < 0:
        raise InputError(
            f"{matrix_name(layer)} holds negative values, down to {counts.data.min():.4g}",
            where=where,
            remedy="name the layer that holds the counts",
        )
    return counts


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
