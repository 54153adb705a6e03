"""What is particular about methylation in a run: reads of two kinds, and signs by region and context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from omicsglue.errors import InputError, examples
from omicsglue.genome.methylation_calls import is_pattern
from omicsglue.keys import COVERAGE, SIGN
from omicsglue.pipeline.options import LIKELIHOOD, IntegrateOptions
from omicsglue.pp.methylation import HYPOMETHYLATION
from omicsglue.pp.methylation_reads import holds_rates

if TYPE_CHECKING:
    from anndata import AnnData

    from omicsglue.graph import GuidanceGraph

BETA_BINOMIAL: Final = "betabinomial"
CONTEXT: Final = "context"
GENE_COLUMNS: Final = ("gene_name", "gene_id")


def is_methylation(name: str, adata: AnnData, options: IntegrateOptions) -> bool:
    """Tell whether a modality holds methylation: by its likelihood, or by the contexts in ``var``."""
    if options.likelihood.get(name) == BETA_BINOMIAL:
        return True
    if CONTEXT not in adata.var:
        return False
    contexts = [str(each).removeprefix("m") for each in adata.var[CONTEXT].unique()]
    return bool(contexts) and all(map(is_pattern, contexts))


def layers_of_reads(name: str, adata: AnnData, options: IntegrateOptions) -> tuple[str | None, str] | None:
    """Return the layers of methylated and covered reads of a modality that goes by rates.

    Those are modalities with the beta-binomial likelihood, and those that hold methylation by their contexts,
    or for which a layer of coverage is named, if the numbers can be such reads.

    Parameters
    ----------
    name, adata
        The modality.
    options
        Options of the run.

    Returns
    -------
    The layer of methylated reads (``None`` is ``X``) and that of covered ones; ``None`` for modalities that
    do not go by rates.
    """
    coverage = options.coverage.get(name, COVERAGE)
    layer = options.layer.get(name)
    if options.likelihood.get(name) == BETA_BINOMIAL:
        return layer, coverage
    if name in options.coverage or is_methylation(name, adata, options):
        # scores of hypomethylation may fit inside the coverage too, but are no reads
        for candidate in dict.fromkeys([None if layer == HYPOMETHYLATION else layer, None]):
            if holds_rates(adata, candidate, coverage):
                return candidate, coverage
    return None


def signs(
    name: str, adata: AnnData, options: IntegrateOptions, *, against_methylation: bool = False
) -> pd.Series | None:
    """Return the signs of the edges of a modality's features, where they are not those of the options.

    The option ``sign`` comes first, then a column `sign` of ``var``. Without either, methylation of gene
    bodies, promoters and elsewhere, in whatever context, falls as the gene rises: -1; and scores of
    hypomethylation rise with it: +1.

    Parameters
    ----------
    name, adata
        The modality.
    options
        Options of the run.
    against_methylation
        Whether the features are linked to methylation of genes, in place of their expression, which turns
        the signs that are not given.

    Returns
    -------
    Signs by name of the feature, int8; ``None`` where the option holds, or its default of +1.

    Raises
    ------
    InputError
        If the column holds anything but 1 and -1.
    """
    if name in options.sign:
        return None
    if SIGN in adata.var:
        return _column_of_signs(name, adata.var[SIGN])
    methylation = is_methylation(name, adata, options)
    if not methylation and not against_methylation:
        return None
    falls = methylation and options.layer.get(name) != HYPOMETHYLATION
    sign = 1 if falls == against_methylation else -1
    return pd.Series(sign, index=adata.var_names, dtype=np.int8)


def with_signs(
    graph: GuidanceGraph, modalities: Mapping[str, AnnData], genes: str, options: IntegrateOptions
) -> GuidanceGraph:
    """Return the graph with the signs that :func:`signs` tells of features of all modalities but `genes`."""
    found = _all_signs(modalities, genes, options)
    if not found:
        return graph
    of_feature = pd.concat(list(found.values())).reindex(graph.vertices).to_numpy()[graph.target]
    return replace(graph, sign=np.where(np.isnan(of_feature), graph.sign, of_feature).astype(np.int8))


def expression(
    modalities: Mapping[str, AnnData], holding: Sequence[str], options: IntegrateOptions
) -> str | None:
    """Return the first modality, of those that hold genes, that is no methylation; the first if all are."""
    others = [name for name in holding if not is_methylation(name, modalities[name], options)]
    return next(iter([*others, *holding]), None)


def genes_by_column(genes: pd.DataFrame, others: pd.DataFrame) -> dict[str, str]:
    """Return the gene that columns with names or ids of genes tell of each feature of methylation."""
    found: dict[str, str] = {}
    if CONTEXT not in others:
        return found
    for column in GENE_COLUMNS:
        if column not in others:
            continue
        names = genes[column] if column in genes else pd.Series(genes.index, index=genes.index)
        lookup = pd.Series(genes.index, index=names.astype(str).to_numpy())
        lookup = lookup[~lookup.index.duplicated()]
        told = others[column].astype(str).map(lookup).dropna()
        found = {str(feature): str(gene) for feature, gene in told.items()} | found
    return found


def notes(modalities: Mapping[str, AnnData], options: IntegrateOptions, genes: str | None) -> list[str]:
    """Return what the owner of the data should know of how methylation and signs are taken."""
    said = []
    for name, found in ({} if genes is None else _all_signs(modalities, genes, options)).items():
        told = SIGN in modalities[name].var
        why = "column sign of var" if told else "methylation falls where expression and accessibility rise"
        down, up = int((found < 0).sum()), int((found > 0).sum())
        said.append(
            f"{name}: {down:,} features have sign -1 and {up:,} have +1 ({why}); --sign says otherwise"
        )
    for name, adata in modalities.items():
        as_counts = options.likelihood.get(name, LIKELIHOOD) == LIKELIHOOD
        if as_counts and layers_of_reads(name, adata, options) is not None:
            said.append(
                f"{name}: methylated reads are taken for counts, without their coverage; "
                f"--likelihood {name}={BETA_BINOMIAL} takes coverage into account"
            )
    return said


def _all_signs(
    modalities: Mapping[str, AnnData], genes: str, options: IntegrateOptions
) -> dict[str, pd.Series]:
    against = is_methylation(genes, modalities[genes], options)
    found = {
        name: signs(name, adata, options, against_methylation=against)
        for name, adata in modalities.items()
        if name != genes
    }
    return {name: each for name, each in found.items() if each is not None}


def _column_of_signs(name: str, column: pd.Series) -> pd.Series:
    values = pd.to_numeric(column, errors="coerce")
    bad = ~values.isin([-1, 1])
    if bad.any():
        raise InputError(
            f"{int(bad.sum()):,} of {len(bad):,} features have a sign other than 1 and -1: "
            f"{examples(f'{feature} ({value})' for feature, value in column[bad].items())}",
            where=f"{name}.var['{SIGN}']",
            remedy="write 1 for features that rise with the gene and -1 for those that fall, or remove the "
            "column",
        )
    return values.astype(np.int8)
