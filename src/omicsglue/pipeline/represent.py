"""What is modelled of each modality, and what its encoder sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from omicsglue.errors import InputError
from omicsglue.keys import CLR, HIGHLY_VARIABLE, LSI, PCA
from omicsglue.pipeline.coordinates import GENES, PROTEINS, REGIONS, Kind
from omicsglue.pipeline.methylation import layers_of_reads
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pp.clr import clr
from omicsglue.pp.features import select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.measured import are_complete_counts, pca_measured, select_measured
from omicsglue.pp.methylation import methylation_pca, select_methylation, variable_rates
from omicsglue.pp.methylation_reads import methylated_reads
from omicsglue.pp.pca import pca

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from anndata import AnnData

MOST_REGIONS = 5000  # of methylation, the most variable ones, in a representation


def select(name: str, adata: AnnData, kind: Kind, options: IntegrateOptions) -> None:
    """Mark variable genes, and regions that are seen at all; methylation by rate."""
    n_top, setup = options.n_genes if kind == GENES else None, options.setup(name)
    reads = layers_of_reads(name, adata, options)
    if reads is not None:
        with _called(name):
            select_methylation(adata, n_top, layer=reads[0], coverage=reads[1])
        return
    if are_complete_counts(adata, setup):
        selected = select_features(adata, n_top, layer=setup.layer)
    else:
        selected = select_measured(adata, setup, n_top, where=name)
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
    size, seed, setup = options.n_components, options.seed, options.setup(name)
    reads = layers_of_reads(name, adata, options)
    variable = adata.var[HIGHLY_VARIABLE].to_numpy() if genes is None else genes
    if kind == PROTEINS:
        with _called(name):
            clr(adata, layer=setup.layer)
        return CLR
    if reads is None and not are_complete_counts(adata, setup):
        pca_measured(adata, setup, size, features=variable, seed=seed, where=name)
        return PCA
    with _called(name):
        if reads is not None:
            if kind == REGIONS:
                variable = variable_rates(methylated_reads(adata, *reads, name), MOST_REGIONS)
            methylation_pca(adata, size, features=variable, layer=reads[0], coverage=reads[1], seed=seed)
            return PCA
        if kind == REGIONS:
            lsi(adata, size, layer=setup.layer, seed=seed)
            return LSI
        pca(adata, size, features=variable, layer=setup.layer, seed=seed)
        return PCA


@contextmanager
def _called(name: str) -> Iterator[None]:
    """Put the name of the modality before what an error is about."""
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=f"{name}, {error.where}", remedy=error.remedy) from error
