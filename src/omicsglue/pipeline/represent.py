"""What is modelled of each modality, and what its encoder sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omicsglue.errors import InputError
from omicsglue.keys import CLR, HIGHLY_VARIABLE, LSI, PCA
from omicsglue.pipeline.coordinates import GENES, PROTEINS, REGIONS, Kind
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pp.clr import clr
from omicsglue.pp.features import select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.pca import pca

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from anndata import AnnData


def select(name: str, adata: AnnData, kind: Kind, options: IntegrateOptions) -> None:
    """Mark variable genes, and regions that are seen at all."""
    n_top = options.n_genes if kind == GENES else None
    selected = select_features(adata, n_top, layer=options.layer.get(name))
    if not selected.any():
        raise InputError("no feature is seen in any cell", where=name, remedy="check the matrix: it is empty")


def represent(
    name: str,
    adata: AnnData,
    kind: Kind,
    options: IntegrateOptions,
    genes: npt.NDArray[np.bool_] | None = None,
) -> str:
    """Compute what the encoder sees, and return its key; ``genes`` are seen, or else those modelled."""
    layer, size, seed = options.layer.get(name), options.n_components, options.seed
    try:
        if kind == REGIONS:
            lsi(adata, size, layer=layer, seed=seed)
            return LSI
        if kind == PROTEINS:
            clr(adata, layer=layer)
            return CLR
        seen = adata.var[HIGHLY_VARIABLE].to_numpy() if genes is None else genes
        pca(adata, size, features=seen, layer=layer, seed=seed)
        return PCA
    except InputError as error:
        raise InputError(error.what, where=f"{name}, {error.where}", remedy=error.remedy) from error
