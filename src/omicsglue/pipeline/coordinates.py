"""What the features of each modality are, genes, regions of the genome or proteins, and where they lie."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pandas as pd

from omicsglue.errors import AnnotationError, OptionError
from omicsglue.genome import MatchReport, match_genes, parse_peak_names
from omicsglue.keys import CHROM, STRAND
from omicsglue.pipeline.notices import named
from omicsglue.pp.annotate import annotate_genes, annotate_peaks

if TYPE_CHECKING:
    from anndata import AnnData

Kind = Literal["genes", "regions", "proteins"]
GENES: Final = "genes"
REGIONS: Final = "regions"
PROTEINS: Final = "proteins"

NAME_COLUMNS: Final = (
    "gene_name",
    "gene_names",
    "gene_symbol",
    "gene_symbols",
    "symbol",
    "feature_name",
    "gene",
    "gene_id",
    "gene_ids",
    "ensembl_id",
    "feature_id",
)
"""Columns of ``var`` with names or ids of genes, looked at where the features have other names."""

_LOOKED_AT: Final = 2000  # names read to tell peaks from genes
_PEAKS: Final = 0.5  # share of names that must read as coordinates for features to be taken as regions
_GENES: Final = 0.1  # share of names that must be in the annotation for features to be taken as genes
_STRANDS: Final = 0.5  # share of features with a strand for coordinates to be taken as those of genes


def kind_of(adata: AnnData, genes: pd.DataFrame | None = None) -> Kind:
    """Tell whether features are genes or regions of the genome.

    Regions are features whose names read as coordinates (``chr1:100-600``), or that are not in the annotation
    and have coordinates without strand in ``var``; all others are genes.

    Parameters
    ----------
    adata
        The modality.
    genes
        The annotation, where there is one.
    """
    names = adata.var_names[:_LOOKED_AT]
    if parse_peak_names(names)[CHROM].notna().mean() >= _PEAKS:
        return REGIONS
    if genes is not None and _found(names, genes) >= _GENES * len(names):
        return GENES
    var = coordinates_in_columns(adata)
    if var is None or (var[STRAND] != ".").mean() >= _STRANDS:
        return GENES
    return REGIONS


def coordinates_in_columns(adata: AnnData) -> pd.DataFrame | None:
    """Return ``chrom``, ``start``, ``end`` and ``strand`` where ``var`` has columns with them."""
    from anndata import AnnData

    probe = AnnData(np.zeros((0, adata.n_vars), dtype=np.float32), var=adata.var.copy())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = annotate_peaks(probe)
    except AnnotationError:
        return None
    return probe.var if report.matched_on.startswith("var columns") else None


def annotate(
    modalities: Mapping[str, AnnData], kinds: Mapping[str, Kind], genes: pd.DataFrame | None, *, needed: bool
) -> dict[str, MatchReport]:
    """Write coordinates to ``var`` of each modality but proteins, which are linked to genes by name.

    Parameters
    ----------
    modalities
        Changed in place.
    kinds
        What their features are.
    genes
        The annotation, where there is one; without it, genes must have coordinates in ``var``.
    needed
        Whether the guidance graph is to be built from them; if not, a modality without any is let pass.

    Returns
    -------
    How features were found, of the modalities that have coordinates.

    Raises
    ------
    AnnotationError
        If no feature of a modality has coordinates.
    OptionError
        If there is no annotation, and genes have no coordinates.
    """
    matches = {}
    needed = needed and sum(kind != PROTEINS for kind in kinds.values()) > 1  # proteins are linked by name
    for name, adata in modalities.items():
        if kinds[name] == PROTEINS:
            continue
        try:
            matches[name] = _annotate_one(name, adata, kinds[name], genes)
        except (AnnotationError, OptionError) as error:
            if not needed:
                continue
            if isinstance(error, AnnotationError):
                raise AnnotationError(
                    error.what, where=f"{name}, {error.where}", remedy=error.remedy
                ) from error
            raise
    return matches


def _annotate_one(name: str, adata: AnnData, kind: Kind, genes: pd.DataFrame | None) -> MatchReport:
    with named(name):
        if kind == REGIONS:
            return annotate_peaks(adata)
        if genes is not None:
            return annotate_genes(adata, genes, var_key=_column_of_genes(adata, genes))
        if coordinates_in_columns(adata) is None:
            raise OptionError(
                f"neither a genome annotation nor a guidance graph is given, and the genes of {name} have no "
                "coordinates in var",
                where="--annotation",
                remedy="give --annotation genes.gtf.gz to build the graph, or --graph edges.parquet",
            )
        return replace(annotate_peaks(adata), what="genes")


def _column_of_genes(adata: AnnData, genes: pd.DataFrame) -> str | None:
    """Return the column of ``var`` whose entries are best found in the annotation; ``None`` for the names."""
    columns = [column for column in NAME_COLUMNS if column in adata.var]
    if not columns:
        return None
    best, most = None, _found(adata.var_names, genes)
    for column in columns:
        found = _found(adata.var[column].astype(str), genes)
        if found > most:
            best, most = column, found
    return best


def _found(names: Iterable[str], genes: pd.DataFrame) -> int:
    """Return how many names or ids are in the annotation."""
    try:
        return match_genes(list(names), genes).report.n_matched
    except AnnotationError:
        return 0
