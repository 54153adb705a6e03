"""Places of evidence laid over promoters and elements."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, examples
from omicsglue.genome.evidence import Evidence
from omicsglue.genome.intervals import IntervalPairs, has_coordinates, nearest_distance, window_pairs
from omicsglue.keys import CHROM, END, START
from omicsglue.tl.places import Places, gaps

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BLOCK = 2**23  # combinations of genes and elements that are formed at one time
_TOLERANCE = 10_000  # bases: promoters of one build lie nearer to each other, whatever the annotation
_ENOUGH_GENES = 5
_OFFSET = np.int64(1) << 42  # longer than a chromosome: puts all of them on one line


def supported_pairs(
    places: Places, evidence: Evidence, table: pd.DataFrame, slack: int, *, same_fragment: bool
) -> Ints:
    """Return the pairs that rows of evidence connect.

    Parameters
    ----------
    places
        Genes and elements.
    evidence
        The evidence, by 'ends', 'gene' or 'names'.
    table
        The rows of it that count.
    slack
        Bases between a place of the evidence and a promoter or element.
    same_fragment
        Whether both may lie on one and the same first end.

    Returns
    -------
    numpy.ndarray
        Sorted keys, int64: row of the gene x number of elements + row of the element.
    """
    if evidence.by == "names":
        gene, element = _gene_of_rows(places, table), _element_of_rows(places, table)
        return np.unique((gene * len(places.elements) + element)[(gene >= 0) & (element >= 0)])
    if evidence.by == "gene":
        near = window_pairs(places.elements, _end(table, 2), slack)
        gene = _gene_of_rows(places, table)[near.right]
        return np.unique((gene * len(places.elements) + near.left)[gene >= 0])
    ends = pd.concat([_end(table, 1), _end(table, 2)], axis=1).drop_duplicates()
    first, second = ends.iloc[:, :3].reset_index(drop=True), ends.iloc[:, 3:].reset_index(drop=True)
    on_promoter = [window_pairs(places.promoters, end, slack) for end in (first, second)]
    on_element = [window_pairs(places.elements, end, slack) for end in (second, first)]
    meetings = list(zip(on_promoter, on_element, strict=True))
    if same_fragment:
        meetings.append((on_promoter[0], on_element[1]))
    keys = [block for pair in meetings for block in _meeting(*pair, len(first), len(places.elements))]
    return np.unique(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64)


def within_domains(places: Places, table: pd.DataFrame, gene: Ints, element: Ints, slack: int) -> Bools:
    """Tell which pairs lie in one domain, promoter and element.

    Parameters
    ----------
    places
        Genes and elements.
    table
        Evidence whose first ends are domains.
    gene, element
        Rows of the pairs, int64, shape ``(pairs,)``.
    slack
        Bases by which a pair may reach beyond its domain on either side.

    Returns
    -------
    numpy.ndarray
        bool, shape ``(pairs,)``.
    """
    promoter, target = places.promoters.iloc[gene], places.elements.iloc[element]
    low = np.minimum(promoter[START].to_numpy(), target[START].to_numpy()) + slack
    high = np.maximum(promoter[END].to_numpy(), target[END].to_numpy()) - slack
    domains = _end(table, 1)
    codes = pd.factorize(pd.concat([domains[CHROM], promoter[CHROM]], ignore_index=True))[0] * _OFFSET
    of_domain, of_pair = codes[: len(domains)], codes[len(domains) :]
    order = np.argsort(of_domain + domains[START].to_numpy())
    start = (of_domain + domains[START].to_numpy())[order]
    # Of the domains that begin before a pair, the one that reaches farthest decides
    farthest = np.maximum.accumulate((of_domain + domains[END].to_numpy())[order])
    last = np.searchsorted(start, of_pair + low, side="right") - 1
    inside = (last >= 0) & (farthest[last] >= of_pair + high)
    return np.asarray(inside & (promoter[CHROM].to_numpy() == target[CHROM].to_numpy()), dtype=np.bool_)


def check_build(places: Places, evidence: Evidence) -> None:
    """Compare promoters of evidence that names both gene and promoter with those of the same genes.

    Raises
    ------
    InputError
        If most are more than 10 kb apart: no two annotations of one genome build differ so much.
    """
    rows = evidence.table.drop_duplicates(["chrom1", "start1", "gene", "gene_id"])
    gene = _gene_of_rows(places, rows)
    known = (gene >= 0) & rows["chrom1"].notna().to_numpy()
    apart = gaps(places.promoters.iloc[gene[known]], _end(rows[known], 1))
    nearest = pd.Series(np.nan_to_num(apart, nan=np.inf)).groupby(gene[known]).min()
    if len(nearest) < _ENOUGH_GENES or nearest.median() <= _TOLERANCE:
        return
    median = nearest.median()
    where = "on another chromosome" if np.isinf(median) else f"{median:,.0f} bases away"
    raise InputError(
        f"promoters of {len(nearest):,} genes are known to both; half of them lie at least {where} in it",
        where=evidence.name,
        remedy="The genome builds differ (say hg19 and hg38): lift the evidence over to that of the data.",
    )


def no_overlap(places: Places, evidence: Evidence, slack: int) -> InputError:
    """Return the error that says why evidence may support no pair.

    Parameters
    ----------
    places
        Genes and elements.
    evidence
        The evidence.
    slack
        Bases that were allowed.

    Returns
    -------
    InputError
    """
    table = evidence.table
    if evidence.by == "names":
        return _no_name(places, evidence)
    ends = _end(table, 2)
    shared = sorted(set(ends[CHROM].dropna()) & set(places.elements[CHROM].dropna()))
    if not shared:
        return _refusal(
            evidence,
            f"it shares no chromosome with the elements: {examples(ends[CHROM].dropna().unique(), 3)} and "
            f"{examples(places.elements[CHROM].dropna().unique(), 3)}",
            "Use evidence of the same species, and spell chromosomes as UCSC or Ensembl do.",
        )
    facts = [f"common chromosomes: {examples(shared, 3)}", _distances(places.elements, ends)]
    if evidence.by == "gene":
        gene = _gene_of_rows(places, table)
        facts.append(f"genes found for {(gene >= 0).sum():,} of {len(table):,} pairs")
        if not (gene >= 0).any():
            return _refusal(
                evidence, "; ".join([*facts, _names(places, table)]), _remedy_for_names(places, table)
            )
    elif evidence.by == "ends":
        on = [len(np.unique(window_pairs(places.promoters, _end(table, i), slack).right)) for i in (1, 2)]
        facts.append(f"promoters lie on {on[0]:,} first and {on[1]:,} second ends of {len(table):,}")
    return _refusal(
        evidence,
        "; ".join(facts),
        "Probably the genome builds differ (say hg19 and hg38): lift the evidence over. If not, it has none "
        "of these genes and elements, or only pairs longer than the window of the links.",
    )


def _no_name(places: Places, evidence: Evidence) -> InputError:
    table = evidence.table
    known = _gene_of_rows(places, table) >= 0, _element_of_rows(places, table) >= 0
    facts = [
        f"genes found for {known[0].sum():,} and elements for {known[1].sum():,} of {len(table):,} pairs",
        *([] if known[0].any() else [_names(places, table)]),
    ]
    if not known[1].any():
        there, here = examples(table["element"].unique(), 3), examples(places.elements.index, 3)
        facts.append(f"elements are called {there} there and {here} here")
    if not known[0].any():
        remedy = _remedy_for_names(places, table)
    elif not known[1].any():
        remedy = "Name elements as the data do: pairs are compared by name, whatever the places of peaks."
    else:
        remedy = "Its pairs are other ones, or lie farther apart than the window of the links."
    return _refusal(evidence, "; ".join(facts), remedy)


def _refusal(evidence: Evidence, facts: str, remedy: str) -> InputError:
    return InputError(f"the evidence meets no candidate pair; {facts}", where=evidence.name, remedy=remedy)


def _distances(elements: pd.DataFrame, ends: pd.DataFrame) -> str:
    """Return in words how far the evidence lies from elements."""
    elements, ends = elements[has_coordinates(elements)], ends[has_coordinates(ends)]
    codes = pd.factorize(pd.concat([elements[CHROM], ends[CHROM]], ignore_index=True))[0].astype(np.int64)
    of_element, of_end = codes[: len(elements)], codes[len(elements) :]
    both = np.isin(of_end, of_element)
    middle = [((table[START] + table[END]) // 2).to_numpy(dtype=np.int64) for table in (elements, ends)]
    distance = nearest_distance(middle[1][both], of_end[both], middle[0], of_element)
    return f"from the evidence to the nearest element it is {np.median(distance):,.0f} bases (median)"


def _names(places: Places, table: pd.DataFrame) -> str:
    there = table["gene"].fillna(table["gene_id"]).dropna().unique()
    return f"genes are called {examples(there, 3)} there and {examples(places.genes.index, 3)} here"


def _remedy_for_names(places: Places, table: pd.DataFrame) -> str:
    ids = table["gene_id"].astype(str).str.startswith("ENS").mean() > 0.5
    here = pd.Series(places.gene_ids, dtype=object).astype(str)
    if ids and not here.str.startswith("ENS").any():
        return "The evidence names genes by Ensembl id: give the ids of the genes (gene_ids)."
    if table["gene"].astype(str).str.upper().isin(places.genes.index.astype(str).str.upper()).any():
        return (
            "The names differ in case only, as human (ACTB) and mouse (Actb) names do: use the right species."
        )
    return "Use evidence of the same species that names genes as the data do, or by Ensembl id."


def _end(table: pd.DataFrame, which: int) -> pd.DataFrame:
    columns = {f"{part}{which}": part for part in (CHROM, START, END)}
    return table[list(columns)].rename(columns=columns).reset_index(drop=True)


def _gene_of_rows(places: Places, table: pd.DataFrame) -> Ints:
    """Return the row of each pair's gene, by name or else by id, int64; -1 where it is not known."""
    by_name = places.genes.index.get_indexer(pd.Index(table["gene"]))
    first = ~pd.Index(places.gene_ids).duplicated()
    at = pd.Index(places.gene_ids[first]).get_indexer(pd.Index(table["gene_id"]))
    by_id = np.where(at >= 0, np.flatnonzero(first)[at], -1)
    return np.where(by_name >= 0, by_name, by_id).astype(np.int64)


def _element_of_rows(places: Places, table: pd.DataFrame) -> Ints:
    """Return the row of each pair's element by its name, int64; -1 where it is not known."""
    return places.elements.index.get_indexer(pd.Index(table["element"])).astype(np.int64)


def _meeting(genes: IntervalPairs, elements: IntervalPairs, n_rows: int, n_elements: int) -> Iterator[Ints]:
    """Yield keys of all genes and elements that meet in a row, some rows at a time."""
    gene = genes.left[np.argsort(genes.right, kind="stable")]
    element = elements.left[np.argsort(elements.right, kind="stable")]
    n_genes, n_met = (np.bincount(each.right, minlength=n_rows) for each in (genes, elements))
    first_gene, first_element = np.cumsum(n_genes) - n_genes, np.cumsum(n_met) - n_met
    both = np.flatnonzero(n_genes * n_met)
    size = (n_genes * n_met)[both]
    for rows in np.split(both, np.flatnonzero(np.diff(np.cumsum(size) // _BLOCK)) + 1):
        combinations = (n_genes * n_met)[rows]
        row = np.repeat(rows, combinations)
        place = np.arange(len(row)) - np.repeat(np.cumsum(combinations) - combinations, combinations)
        i = gene[first_gene[row] + place // n_met[row]]
        j = element[first_element[row] + place % n_met[row]]
        yield np.unique(i * n_elements + j)
