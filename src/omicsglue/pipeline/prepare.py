"""Preparation: coordinates, the guidance graph, feature selection and representations."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsglue import graph as guidance
from omicsglue.data import checks
from omicsglue.data.inputs import read_modality
from omicsglue.data.setup import ModalitySetup, write_setup
from omicsglue.errors import GraphError, InputError, OmicsGlueWarning, OptionError
from omicsglue.genome import MatchReport, has_coordinates, parse_peak_names, read_annotation
from omicsglue.keys import CHROM, HIGHLY_VARIABLE, LSI, PCA
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pp.annotate import annotate_genes, annotate_peaks
from omicsglue.pp.features import detection, select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.pca import pca
from omicsglue.runs.folder import shell

if TYPE_CHECKING:
    from anndata import AnnData

GENES, REGIONS = "genes", "regions"
PEAK_NAMES = 0.5  # share of names that must read as coordinates for features to be taken as regions


@dataclass(frozen=True)
class Prepared:
    """Everything that the model needs.

    Attributes
    ----------
    modalities
        Set-up copies of the inputs that share their matrices; the inputs are unchanged.
    graph
        The guidance graph.
    matches
        How features were given coordinates, where they were.
    """

    modalities: dict[str, AnnData]
    graph: guidance.GuidanceGraph
    matches: dict[str, MatchReport]


def read_inputs(modalities: Mapping[str, AnnData | str | Path], options: IntegrateOptions) -> dict[str, AnnData]:
    """Return the inputs as objects whose tables may be changed: files are read, the user's objects not touched."""
    options.check_modalities(modalities)
    for name in modalities:
        checks.check_modality_name(name)
    read = {
        name: read_modality(given, name=name) if isinstance(given, str | Path) else shell(given)
        for name, given in modalities.items()
    }
    checks.check_modalities(read)
    for name, adata in read.items():
        setup = _setup(name, options, options.representation.get(name))
        checks.check_setup(adata, setup, name)
    return read


def prepare(
    modalities: dict[str, AnnData],
    annotation: str | Path | pd.DataFrame | None,
    graph: str | Path | guidance.GuidanceGraph | None,
    options: IntegrateOptions,
) -> Prepared:
    """Prepare inputs for the model.

    Parameters
    ----------
    modalities
        What :func:`read_inputs` returned; changed in place.
    annotation
        GTF, GFF3 or BED file, or a table of genes.
    graph
        A guidance graph or its file; built from the annotation where not given.
    options
        Options of the run.

    Raises
    ------
    OptionError
        If neither annotation nor graph is given, or no modality holds genes.
    AnnotationError, GraphError, InputError
        If something does not fit.
    """
    if annotation is None and graph is None:
        raise OptionError(
            "neither a genome annotation nor a guidance graph is given",
            where="integrate",
            remedy="give --annotation genes.gtf.gz to build the graph, or --graph edges.parquet",
        )
    kinds = {name: _kind(adata) for name, adata in modalities.items()}
    matches = _annotate(modalities, kinds, annotation)
    for name, adata in modalities.items():
        _select(name, adata, kinds[name], options)
    if graph is None:
        built = _build_graph(modalities, kinds, options)
    else:
        built = guidance.read_graph(graph) if isinstance(graph, str | Path) else graph
    for name, adata in modalities.items():
        representation = options.representation.get(name) or _represent(adata, kinds[name], options, name)
        with _quiet():  # the same checks have spoken already
            write_setup(adata, _setup(name, options, representation), name)
    return Prepared(modalities, built, matches)


def _setup(name: str, options: IntegrateOptions, representation: str | None) -> ModalitySetup:
    return ModalitySetup(
        likelihood=options.likelihood.get(name, "nb"),
        layer=options.layer.get(name),
        representation=representation,
        batch_key=options.batch_key.get(name),
        labels_key=options.label_key.get(name),
    )


def _kind(adata: AnnData) -> str:
    """Return whether features are genome regions (by name or coordinates without a strand) or genes."""
    parsed = parse_peak_names(adata.var_names[:2000])[CHROM].notna().mean()
    return REGIONS if parsed >= PEAK_NAMES else GENES


def _annotate(
    modalities: Mapping[str, AnnData], kinds: Mapping[str, str], annotation: str | Path | pd.DataFrame | None
) -> dict[str, MatchReport]:
    genes = read_annotation(annotation) if isinstance(annotation, str | Path) else annotation
    matches = {}
    for name, adata in modalities.items():
        if kinds[name] == REGIONS:
            matches[name] = annotate_peaks(adata)
        elif genes is not None:
            matches[name] = annotate_genes(adata, genes)
    return matches


def _select(name: str, adata: AnnData, kind: str, options: IntegrateOptions) -> None:
    """Mark variable genes, and regions that are seen at all."""
    n_top = options.n_genes if kind == GENES else None
    layer = options.layer.get(name)
    selected = select_features(adata, n_top, layer=layer, batch_key=None)
    if not selected.any():
        raise InputError("no feature is seen in any cell", where=name, remedy="check the matrix: it is empty")


def _build_graph(
    modalities: Mapping[str, AnnData], kinds: Mapping[str, str], options: IntegrateOptions
) -> guidance.GuidanceGraph:
    genes = [name for name, kind in kinds.items() if kind == GENES]
    regions = [name for name, kind in kinds.items() if kind == REGIONS]
    if len(genes) != 1:
        what = "no modality holds genes" if not genes else f"several modalities hold genes ({', '.join(genes)})"
        raise GraphError(
            what, where="guidance graph", remedy="give the graph yourself with --graph (see docs/guidance-graph.md)"
        )
    names = [*genes, *regions]
    tables = [_coordinates(modalities[name]) for name in names]
    signs = {name: options.sign.get(name, 1) for name in regions}
    return guidance.from_genome(
        *tables, promoter=options.promoter, window=options.window, signs=signs, names=names
    )


def _coordinates(adata: AnnData) -> pd.DataFrame:
    var = adata.var[adata.var[HIGHLY_VARIABLE].to_numpy()]
    return var[has_coordinates(var)]


def _represent(adata: AnnData, kind: str, options: IntegrateOptions, name: str) -> str:
    layer, size, seed = options.layer.get(name), options.n_components, options.seed
    if kind == REGIONS:
        lsi(adata, size, layer=layer, seed=seed)
        return LSI
    pca(adata, size, features=adata.var[HIGHLY_VARIABLE].to_numpy(), layer=layer, seed=seed)
    return PCA


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)
        yield
