"""Candidate pairs of genes and elements that other experiments support, and guidance edges made of these."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.evidence import Evidence
from omicsglue.keys import DISTANCE, KIND, SIGN, SOURCE, TARGET, WEIGHT
from omicsglue.tl.evidence_pairs import check_build, no_overlap, supported_pairs, within_domains
from omicsglue.tl.places import found_places, gaps, places_of

SLACK = 1_000  # bases between a fragment of chromatin contacts and what lies on it
_POINTED = ("eqtl", "crispri", "tad", "pairs")  # kinds whose places are exact


def match_evidence(
    links: pd.DataFrame,
    evidence: Evidence,
    *,
    slack: int | None = None,
    promoter: int = 2_000,
    gene_ids: Mapping[str, str] | None = None,
    same_fragment: bool = False,
) -> pd.Series:
    """Tell which candidate pairs an experiment supports.

    Parameters
    ----------
    links
        Candidate pairs: `source`, `target` and the coordinates of both (`source_chrom`, `source_start`,
        `source_end`, `source_strand`, `target_chrom`, `target_start`, `target_end`).
    evidence
        What :func:`omicsglue.genome.evidence.read_evidence` returned. By 'ends', a pair is supported if one
        end lies within `slack` bases of the promoter and the other within `slack` bases of the element,
        either way round. By 'gene', if the gene is the same by name or id and the place lies within `slack`
        bases of the element. By 'domain', if promoter and element lie in one domain. By 'names', if gene
        and element are called so.
    slack
        Bases; 0 is overlap. By default 1,000 for chromatin contacts and 0 for all else.
    promoter
        Bases upstream of the transcription start. Of genes without strand, the body with both ends counts.
    gene_ids
        Ensembl id of each gene by its name, for evidence that names genes by id.
    same_fragment
        Whether promoter and element on (or within `slack` bases of) one and the same first end (bait) count
        too: capture Hi-C cannot see contacts within a fragment.

    Returns
    -------
    pandas.Series
        Index of `links`, named `evidence_<name>`; bool, or nullable bool for evidence with negatives
        (True: an effect was found; False: tested without effect; missing: not tested).

    Raises
    ------
    InputError
        If no pair is supported (or tested), with what was compared; or the promoters of the evidence are not
        where those of the same genes are, so that the genome builds differ.
    OptionError
        If an option is out of range or does not fit the evidence.

    Notes
    -----
    Source: Cao & Gao 2022 (1 kb about bait and other end; pairs on one fragment added).
    """
    reach = _check_options(evidence, slack, promoter, same_fragment=same_fragment)
    places = found_places(places_of(links, SOURCE), places_of(links, TARGET), promoter, gene_ids)
    gene = pd.factorize(links[SOURCE])[0].astype(np.int64)
    element = pd.factorize(links[TARGET])[0].astype(np.int64)
    check_build(places, evidence)
    name = f"evidence_{evidence.name}"
    if evidence.by == "domain":
        found = within_domains(places, evidence.table, gene, element, reach)
        if not found.any():
            raise no_overlap(places, evidence, reach)
        return pd.Series(found, index=links.index, name=name)
    pairs = gene * len(places.elements) + element
    tested = supported_pairs(places, evidence, evidence.table, reach, same_fragment=same_fragment)
    hit = np.isin(pairs, tested)
    if not hit.any():
        raise no_overlap(places, evidence, reach)
    positive = evidence.table["positive"].fillna(value=True).to_numpy(dtype=bool)
    if positive.all():
        return pd.Series(hit, index=links.index, name=name)
    confirmed = supported_pairs(
        places, evidence, evidence.table[positive], reach, same_fragment=same_fragment
    )
    values = pd.arrays.BooleanArray(np.isin(pairs, confirmed), ~hit)
    return pd.Series(values, index=links.index, name=name)


def evidence_edges(
    evidence: Evidence,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    *,
    slack: int | None = None,
    promoter: int = 2_000,
    gene_ids: Mapping[str, str] | None = None,
    max_distance: int | None = None,
    weight: float = 1.0,
) -> pd.DataFrame:
    """Turn evidence into edges of a guidance graph.

    What guides the model cannot judge its links: leave evidence that became edges out of evaluations.

    Parameters
    ----------
    evidence
        What :func:`omicsglue.genome.evidence.read_evidence` returned, but for domains. Pairs that were tested
        without effect make no edge.
    genes, elements
        Tables with `chrom`, `start`, `end` and `strand`, indexed by name, as
        :func:`omicsglue.graph.rules.coordinates` returns them.
    slack, promoter, gene_ids
        As for :func:`match_evidence`.
    max_distance
        Bases between promoter and element beyond which there is no edge; no limit by default.
    weight
        Weight of the edges, in (0, 1].

    Returns
    -------
    pandas.DataFrame
        One row an edge, for `GuidanceGraph.add_edges`: `source`, `target`, `weight`, `sign` (+1), `kind`
        (that of the evidence) and `distance` (bases; NaN between chromosomes).

    Raises
    ------
    InputError
        As :func:`match_evidence`, or if all edges are longer than `max_distance`.
    OptionError
        If an option is out of range, or the evidence is one of domains.
    """
    reach = _check_options(evidence, slack, promoter, same_fragment=False)
    if evidence.by == "domain":
        raise OptionError(
            "a domain links every gene in it with every element in it",
            where=evidence.name,
            remedy="Use domains with match_evidence; make edges of contacts, eQTL or CRISPRi pairs.",
        )
    if not 0 < weight <= 1:
        raise OptionError(f"{weight}", where="weight", remedy="Give a weight above 0, at most 1.")
    places = found_places(genes, elements, promoter, gene_ids)
    check_build(places, evidence)
    positive = evidence.table["positive"].fillna(value=True).to_numpy(dtype=bool)
    keys = supported_pairs(places, evidence, evidence.table[positive], reach, same_fragment=False)
    if not len(keys):
        raise no_overlap(places, evidence, reach)
    gene, element = np.divmod(keys, len(elements))
    distance = gaps(places.promoters.iloc[gene], places.elements.iloc[element])
    kept = np.ones(len(keys), dtype=bool) if max_distance is None else distance <= max_distance
    if not kept.any():
        raise InputError(
            f"all {len(keys):,} edges are longer than {max_distance:,} bases",
            where=evidence.name,
            remedy="Allow a greater max_distance.",
        )
    columns = {
        SOURCE: places.genes.index.to_numpy(dtype=object)[gene],
        TARGET: places.elements.index.to_numpy(dtype=object)[element],
        WEIGHT: np.full(len(keys), float(weight)),
        SIGN: np.ones(len(keys), dtype=np.int8),
        KIND: np.full(len(keys), evidence.kind, dtype=object),
        DISTANCE: distance,
    }
    return pd.DataFrame(columns)[kept].reset_index(drop=True)


def _check_options(evidence: Evidence, slack: int | None, promoter: int, *, same_fragment: bool) -> int:
    for name, value in (("slack", slack), ("promoter", promoter)):
        if value is not None and value < 0:
            raise OptionError(f"{value} bases", where=name, remedy="Give 0 or more.")
    if same_fragment and evidence.by != "ends":
        raise OptionError(
            f"{evidence.name} does not tell where baits lie",
            where="same_fragment",
            remedy="Leave it out, or give capture Hi-C with the coordinates of baits.",
        )
    if slack is not None:
        return slack
    return 0 if evidence.kind in _POINTED else SLACK
