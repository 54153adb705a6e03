"""What each modality of a run is to its links: genes or elements, and how these are expected to act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import scipy.sparse as sp

from omicsglue.data.setup import read_setup
from omicsglue.errors import InputError, OptionError, examples
from omicsglue.graph import GuidanceGraph
from omicsglue.graph.rules import coordinates
from omicsglue.keys import CHROM, END, SIGN, START, TARGET
from omicsglue.pipeline.methylation import layers_of_reads
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pp.methylation import HYPOMETHYLATION

if TYPE_CHECKING:
    from anndata import AnnData


def roles(
    modalities: Mapping[str, AnnData], graph: GuidanceGraph, asked: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the modality that holds the genes, and those that hold elements."""
    sources = pd.Index(graph.vertices[pd.unique(graph.source)])
    held = {name: int(adata.var_names.isin(sources).sum()) for name, adata in modalities.items()}
    genes = max(held, key=lambda name: held[name])
    placed = [name for name, adata in modalities.items() if {CHROM, START, END} <= set(adata.var)]
    others = [name for name in modalities if name != genes]
    unknown = [name for name in asked if name not in others]
    if unknown:
        raise OptionError(
            f"{examples(unknown)} cannot be elements of the genes in {genes!r}",
            where="--elements",
            remedy=f"choose among: {examples(others)}",
        )
    targets = list(asked) or [name for name in others if name in placed]
    without = [name for name in [genes, *(targets or others)] if name not in placed]
    if without:
        raise InputError(
            "its features have no coordinates in var",
            where=" and ".join(without),
            remedy="integrate with --annotation, which gives genes and peaks their places",
        )
    return genes, targets


def expected_sign(graph: GuidanceGraph, elements: AnnData) -> int:
    """Return the sign of most edges to a modality; +1 where there are none."""
    edges = graph.to_frame()
    signs = edges.loc[edges[TARGET].isin(elements.var_names), SIGN]
    return -1 if len(signs) and signs.mean() < 0 else 1


def layers_of(elements: AnnData, name: str) -> tuple[str | None, str | None]:
    """Return the layers of counts and, of methylation by rate, of covered reads of a modality of a run."""
    setup = read_setup(elements, name)
    if setup.layer == HYPOMETHYLATION:
        return setup.layer, None  # the scores that are linked, with a sign of their own
    known = {"likelihood": setup.likelihood, "layer": setup.layer, "coverage": setup.coverage}
    options = IntegrateOptions.from_values({option: {name: value} for option, value in known.items()})
    reads = layers_of_reads(name, elements, options)
    return (setup.layer, None) if reads is None else reads


def detected(elements: AnnData, name: str, links: pd.DataFrame) -> pd.DataFrame:
    """Return the places of the elements in pairs, and in how many cells each was seen (`n_cells`)."""
    adata = elements[:, pd.unique(links[TARGET])]
    layer, coverage = layers_of(elements, name)
    layer = layer if coverage is None else coverage
    seen = sp.csc_matrix(adata.X if layer is None else adata.layers[layer]).getnnz(axis=0)
    places = coordinates(adata, name)
    return places.assign(n_cells=pd.Series(seen, index=adata.var_names).loc[places.index])
