"""Principal components of expression: what the encoder of an RNA modality sees."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.matrices import matrix_of
from omicsglue.errors import InputError
from omicsglue.keys import PCA
from omicsglue.pp.blocks import cell_blocks, too_large
from omicsglue.pp.counts import check_components, csr_counts
from omicsglue.pp.pca_blocks import FLAT, bytes_at_once, pca_in_blocks
from omicsglue.pp.shrinkage import noise_edge, shrunken_scores

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]

__all__ = ["FLAT", "components_of", "pca", "standardised"]


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

    Counts are scaled to the median depth, logged, standardised and decomposed by scanpy; components are then
    shrunk to their signal, the noise being that of independent standardised genes. The counts stay.

    Where that would take more than 1 GB for counts on disk (8 GB for counts in memory), they are read in
    blocks of cells, three times, and the same components are found from the cross-products of the features.

    Parameters
    ----------
    adata
        Cells x features of counts; ``obsm`` is changed.
    n_components
        Dimensions at most; those that do not stand out from the noise are left out.
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
    The representation, float32, shape ``(cells, at most n_components)``.

    Raises
    ------
    InputError
        If there are too few cells or features, no feature differs between cells, or a value is no count.
    OptionError
        If ``n_components`` is less than 2.
    """
    check_components(n_components, "pca")
    matrix = matrix_of(adata, layer, where="pca")
    cells, genes = matrix.shape[0], matrix.shape[1] if features is None else int(np.sum(features))
    components = min(n_components, cells - 1, genes - 1)
    if components < 2:
        raise InputError(
            f"PCA needs at least 3 cells and 3 features, found {cells} and {genes}",
            where="pca",
            remedy="check the step that made or filtered these data",
        )
    if too_large(matrix, bytes_at_once(matrix, genes)):
        result = pca_in_blocks(cell_blocks(adata, layer, "pca"), features, components, seed)
    else:
        x, varying = standardised(_log_normalised(adata, features, layer))
        if not varying:
            raise InputError(
                "no feature differs between cells",
                where="pca",
                remedy="check that the right matrix was chosen",
            )
        result = components_of(x, varying, components, seed)
    adata.obsm[key_added] = result
    return result


def components_of(x: Floats, varying: int, components: int, seed: int) -> Floats:
    """Return principal components of standardised values, shrunk to their signal.

    Parameters
    ----------
    x
        Values of mean 0 and deviation 1, cells x features; 0 where a feature does not differ.
    varying
        How many features do.
    components
        Dimensions at most.
    seed
        Seed of the decomposition.
    """
    import scanpy as sc
    from anndata import AnnData as Copy

    normalised = Copy(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.pca(normalised, n_comps=components, random_state=seed)
    singular = np.sqrt(normalised.uns["pca"]["variance"] * (len(x) - 1))
    scores = np.asarray(normalised.obsm["X_pca"], dtype=np.float64)
    shape = (len(x), varying)
    return shrunken_scores(scores, singular, noise_edge(shape), shape, "PCA")


def standardised(x: sp.csr_matrix) -> tuple[Floats, int]:
    """Return columns of mean 0 and deviation 1, dense, and how many of them differ between cells at all."""
    dense = x.toarray()
    mean = dense.mean(axis=0, dtype=np.float64)
    std = dense.std(axis=0, ddof=1, dtype=np.float64)
    std[std <= FLAT * np.abs(mean)] = 0
    dense -= mean.astype(np.float32)
    dense /= np.where(std > 0, std, 1).astype(np.float32)
    return dense, int((std > 0).sum())


def _log_normalised(
    adata: AnnData, features: npt.NDArray[np.bool_] | None, layer: str | None
) -> sp.csr_matrix:
    counts = csr_counts(adata, layer, "pca")
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    seen = depth[depth > 0]
    target = float(np.median(seen)) if len(seen) else 1.0
    scaled = sp.diags(target / np.where(depth > 0, depth, 1)) @ counts
    x = sp.csr_matrix(scaled if features is None else scaled[:, np.flatnonzero(features)], dtype=np.float32)
    np.log1p(x.data, out=x.data)
    return x
