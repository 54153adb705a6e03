"""Principal components of expression: what the encoder of an RNA modality sees."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import InputError
from omicsglue.keys import PCA

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]


def pca(
    adata: AnnData,
    n_components: int = 100,
    *,
    features: npt.NDArray[np.bool_] | None = None,
    layer: str | None = None,
    seed: int = 0,
    key_added: str = PCA,
) -> Floats:
    """Compute principal components of log-normalised, scaled counts and write them to ``adata.obsm``.

    Counts are scaled to 10,000 a cell over all features, logged, standardised, and decomposed, by scanpy; the
    counts themselves are not changed.

    Parameters
    ----------
    adata
        Cells x features of counts; ``obsm`` is changed.
    n_components
        Dimensions; fewer where there are fewer cells or features.
    features
        Which features to use, shape ``(features,)``; all by default.
    layer
        Layer with the counts; ``None`` is ``X``.
    seed
        Seed of the decomposition.
    key_added
        Key of ``obsm``.

    Returns
    -------
    The representation, float32, shape ``(cells, n_components)``.

    Raises
    ------
    InputError
        If there are too few cells or features.
    """
    import scanpy as sc
    from anndata import AnnData as Copy

    normalised = Copy(_log_normalised(adata, features, layer))
    components = min(n_components, *(size - 1 for size in normalised.shape))
    if components < 2:
        raise InputError(
            f"PCA needs at least 3 cells and 3 features, found {normalised.shape[0]} and {normalised.shape[1]}",
            where="pca",
            remedy="check the step that made or filtered these data",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.scale(normalised)
        sc.pp.pca(normalised, n_comps=components, random_state=seed)
    result = np.ascontiguousarray(normalised.obsm["X_pca"], dtype=np.float32)
    adata.obsm[key_added] = result
    return result


def _log_normalised(
    adata: AnnData, features: npt.NDArray[np.bool_] | None, layer: str | None
) -> sp.csr_matrix:
    blocks = []
    for _, block in iter_row_blocks(matrix_of(adata, layer)):
        counts = sp.csr_matrix(block, dtype=np.float32)
        depth = np.asarray(counts.sum(axis=1)).ravel()
        scaled = sp.csr_matrix(sp.diags(1e4 / np.where(depth > 0, depth, 1)) @ counts, dtype=np.float32)
        blocks.append(scaled if features is None else scaled[:, np.flatnonzero(features)])
    x = sp.csr_matrix(sp.vstack(blocks))
    np.log1p(x.data, out=x.data)
    return x
