"""Evidence and binding sites for the links of a run, checked before anything slow begins."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.keys import CHROM, END, KIND, SOURCE, START, STRAND, TARGET
from omicsglue.tl.candidates import candidate_pairs
from omicsglue.tl.evidence import evidence_edges, match_evidence
from omicsglue.tl.tf_tables import bound_elements

Source = str | Path | Evidence

_AT_PROMOTER = 500  # as in omicsglue.tl.tf_target_network


def read_sources(sources: Sequence[Source], flag: str) -> list[Evidence]:
    """Read evidence; files of one kind are called by their names.

    Parameters
    ----------
    sources
        Files, or evidence that has been read.
    flag
        The option that names them, for messages.

    Returns
    -------
    list of Evidence
        In the order given, no two of one name.

    Raises
    ------
    InputError
        If a file cannot be used.
    OptionError
        If two have one name.
    """
    found = [each if isinstance(each, Evidence) else read_evidence(each) for each in sources]
    shared = _repeated(found)
    named = [
        replace(each, name=Path(source).name.split(".")[0])
        if each.name in shared and not isinstance(source, Evidence)
        else each
        for each, source in zip(found, sources, strict=True)
    ]
    repeated = _repeated(named)
    if repeated:
        raise OptionError(
            f"several are called {examples(sorted(repeated))}",
            where=flag,
            remedy="give each once, and rename files that differ in their folder or ending only",
        )
    return named


def _repeated(evidence: Sequence[Evidence]) -> set[str]:
    names = pd.Index([each.name for each in evidence], dtype=object)
    return set(names[names.duplicated()])


def candidate_table(
    genes: pd.DataFrame, elements: Mapping[str, pd.DataFrame], *, window: int, promoter: int
) -> pd.DataFrame:
    """Return the candidate pairs of all modalities with their places, in the order of the links.

    Parameters
    ----------
    genes, elements
        What :func:`omicsglue.graph.coordinates` returns, of elements by modality.
    window, promoter
        Bases; see :func:`omicsglue.tl.regulatory_links`.

    Returns
    -------
    pandas.DataFrame
        `source`, `target` and the places of both, as in a table of links.

    Raises
    ------
    InputError, OptionError
        If a modality has no candidate pair, or a distance is negative.
    """
    parts = []
    for table in elements.values():
        pairs = candidate_pairs(genes, table, window=window, promoter=promoter)
        source = genes[[CHROM, START, END, STRAND]].iloc[pairs.gene].rename_axis(SOURCE).add_prefix("source_")
        target = table[[CHROM, START, END]].iloc[pairs.element].rename_axis(TARGET).add_prefix("target_")
        parts.append(pd.concat([source.reset_index(), target.reset_index()], axis=1))
    return pd.concat(parts, ignore_index=True)


def judged_pairs(
    candidates: pd.DataFrame, evidence: Evidence, promoter: int, gene_ids: Mapping[str, str] | None
) -> pd.Series:
    """Tell which candidate pairs an experiment supports; see :func:`omicsglue.tl.match_evidence`.

    Raises
    ------
    InputError
        If there is none, so that it cannot judge.
    """
    found = match_evidence(candidates, evidence, promoter=promoter, gene_ids=gene_ids)
    if not found.any():
        raise InputError(
            f"all {found.notna().sum():,} candidate pairs that it tested are without effect",
            where=evidence.name,
            remedy="judge links by evidence that some of them are true, or leave it out",
        )
    return found


def guiding_pairs(
    guides: Sequence[Evidence],
    genes: pd.DataFrame,
    elements: Mapping[str, pd.DataFrame],
    *,
    window: int,
    promoter: int,
    gene_ids: Mapping[str, str] | None,
) -> pd.DataFrame | None:
    """Return pairs for which evidence speaks beforehand: `source`, `target` and its name as `kind`.

    Parameters
    ----------
    guides
        The evidence.
    genes, elements, window, promoter
        As of :func:`candidate_table`.
    gene_ids
        Ensembl id of each gene by its name.

    Returns
    -------
    pandas.DataFrame or None
        ``None`` without evidence.

    Raises
    ------
    InputError, OptionError
        See :func:`omicsglue.tl.evidence_edges`.
    """
    places = pd.concat(list(elements.values()))
    parts = [
        evidence_edges(each, genes, places, promoter=promoter, gene_ids=gene_ids, max_distance=window).assign(
            **{KIND: each.name}
        )
        for each in guides
    ]
    return pd.concat(parts, ignore_index=True)[[SOURCE, TARGET, KIND]] if parts else None


def check_binding(
    binding: str | Path, genes: pd.DataFrame, elements: pd.DataFrame, known: pd.Index, pattern: str | None
) -> None:
    """Check that binding sites can make a network of factors; the file is read for that alone.

    Parameters
    ----------
    binding
        BED file.
    genes, elements
        Their places.
    known
        Names of all genes.
    pattern
        Finds the factor in the names of sites.

    Raises
    ------
    InputError, OptionError
        If no factor is among the genes, no site lies in an element or promoter, or the file cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)  # said when the network is made
        bound_elements(binding, elements, genes, known, _AT_PROMOTER, pattern)
