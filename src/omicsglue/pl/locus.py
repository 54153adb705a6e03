"""What lies in a stretch of the genome: its genes, elements, links, evidence and accessibility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.intervals import has_coordinates
from omicsglue.genome.names import chrom_keys, parse_peak_names
from omicsglue.keys import CHROM, END, SIGN, SOURCE, START, STRAND, TARGET
from omicsglue.pl.scatter import groups_of
from omicsglue.runs.link_table import EVIDENCE, PLACES, Q_VALUE, SCORE, check_links, promoters
from omicsglue.suggest import did_you_mean, listed

NARROWEST = 20_000  # bases of a view whose width was not asked for
PAIR_ENDS = ("chrom1", "start1", "end1", "chrom2", "start2", "end2")


@dataclass(frozen=True)
class Locus:
    """A stretch of one chromosome and what is drawn of it.

    Parameters
    ----------
    chrom, start, end
        The stretch, 0-based and half-open.
    genes
        Genes that reach into it: index name; `start`, `end`, `strand`, `tss`, and `focus` (its links are
        drawn).
    elements
        Elements that reach into it: index name; `start`, `end`.
    arcs
        Links drawn: `source`, `target`, `tss`, `middle` (of the element), `score`, `sign`, `significant`.
    evidence
        Supported pairs by name of the evidence: `left`, `right` (ends of the arc, in bases).
    """

    chrom: str
    start: int
    end: int
    genes: pd.DataFrame
    elements: pd.DataFrame
    arcs: pd.DataFrame
    evidence: dict[str, pd.DataFrame]

    @property
    def span(self) -> int:
        """Bases shown."""
        return self.end - self.start


def locus_of(
    links: pd.DataFrame,
    gene: str | None,
    region: str | None,
    *,
    elements: pd.DataFrame | None,
    genes: pd.DataFrame | None,
    evidence: Sequence[str] | Mapping[str, pd.DataFrame] | None,
    window: int | None,
    min_score: float,
    q_value: float,
) -> Locus:
    """Gather what is drawn of a locus; the arguments are those of `omicsglue.pl.links`.

    Raises
    ------
    InputError
        The gene has no link, the region cannot be read or holds neither gene nor element, or a table lacks a
        column.
    OptionError
        Neither or both of gene and region are given.
    """
    check_links(links, (SOURCE, TARGET, *PLACES, SCORE, SIGN, Q_VALUE))
    if (gene is None) == (region is None):
        raise OptionError(
            "give one of the two" if gene is None else "both are given",
            where="gene and region",
            remedy="name a gene, or a region such as region='chr1:1,000,000-1,200,000'",
        )
    here, chrom, start, end = (
        _around_gene(links, gene, window, min_score)
        if gene is not None
        else _within_region(links, str(region))
    )
    drawn = here[here[SCORE] >= min_score]
    arcs = drawn[[SOURCE, TARGET, "tss", "middle", SCORE, SIGN]].assign(significant=drawn[Q_VALUE] < q_value)
    known = _table_of_genes(links, genes)
    known = _reaching(known, chrom, start, end, where="genes")
    known = known.assign(focus=known.index.isin({gene} if gene is not None else set(arcs[SOURCE])))
    near = _reaching(_table_of_elements(links, elements), chrom, start, end, where="elements")
    if known.empty and near.empty:
        raise InputError(
            f"neither a gene nor an element lies in {chrom}:{start:,}-{end:,}",
            where="region",
            remedy=f"choose a place on one of {listed(links['target_chrom'].unique())}, or give the tables "
            "genes and elements",
        )
    support = _evidence(here, evidence, chrom, start, end)
    return Locus(chrom, start, end, known, near, arcs.sort_values(SCORE), support)


def accessibility_by_group(
    accessibility: pd.DataFrame | AnnData, groupby: str | None, names: Sequence[str]
) -> pd.DataFrame:
    """Return how open some elements are in each group of cells.

    Parameters
    ----------
    accessibility
        Cell types x elements, or counts of cells x elements.
    groupby
        Column of obs with the cell types, for counts.
    names
        The elements wanted; those that are not there are left out.

    Returns
    -------
    pandas.DataFrame
        Groups x elements; from counts the mean over cells of counts in 10,000.

    Raises
    ------
    InputError
        There is no such column, or none of the elements is there.
    """
    if isinstance(accessibility, pd.DataFrame):
        table = accessibility.loc[:, accessibility.columns.isin(list(names))].astype(float).fillna(0.0)
    else:
        table = _mean_by_group(accessibility, groupby, names)
    if table.empty:
        have = accessibility.columns if isinstance(accessibility, pd.DataFrame) else accessibility.var_names
        raise InputError(
            f"it has none of the elements shown ({examples(names, 3)}), but {examples(have, 3)}",
            where="accessibility",
            remedy="name its elements as the targets of the links are named",
        )
    return table


def _mean_by_group(data: AnnData, groupby: str | None, names: Sequence[str]) -> pd.DataFrame:
    from scipy import sparse

    if groupby is None or groupby not in data.obs:
        said = "groupby is not given" if groupby is None else f"obs has no column {groupby!r}"
        raise InputError(
            f"{said}{did_you_mean(groupby or '', data.obs.columns)}",
            where="accessibility",
            remedy=f"give as groupby the column of cell types, one of: {listed(data.obs.columns)}",
        )
    labels = data.obs[groupby]
    groups = [group.name for group in groups_of(labels.dropna()) if group.cells]
    code = pd.Index(groups).get_indexer(pd.Index(labels.astype(object).where(labels.notna()).map(str)))
    total = np.asarray(data.X.sum(axis=1), dtype=float).ravel()
    kept = np.flatnonzero((code >= 0) & (total > 0))
    share = 1e4 / total[kept] / np.bincount(code[kept], minlength=len(groups))[code[kept]]
    weights = sparse.csr_matrix((share, (code[kept], kept)), shape=(len(groups), data.n_obs))
    columns = np.flatnonzero(data.var_names.isin(list(names)))
    mean = weights @ sparse.csr_matrix(data.X[:, columns])
    return pd.DataFrame(mean.toarray(), index=pd.Index(groups), columns=data.var_names[columns])


def _around_gene(
    links: pd.DataFrame, gene: str, window: int | None, min_score: float
) -> tuple[pd.DataFrame, str, int, int]:
    """Return the links of a gene with their ends, and a view of them."""
    mine = links[links[SOURCE] == gene]
    if mine.empty:
        raise InputError(
            f"no link has the gene {gene!r}{did_you_mean(gene, links[SOURCE].unique())}",
            where="gene",
            remedy="give a gene of the column source, or a region",
        )
    mine = _with_ends(mine)
    first = mine.iloc[0]
    low, high = int(first["source_start"]), int(first["source_end"])
    if window is not None:
        return mine, str(first["source_chrom"]), max(low - window, 0), high + window
    drawn = mine[mine[SCORE] >= min_score]
    low = int(min(drawn["target_start"].min(), low)) if len(drawn) else low
    high = int(max(drawn["target_end"].max(), high)) if len(drawn) else high
    margin = max(int(0.06 * (high - low)), (NARROWEST - high + low) // 2)
    return mine, str(first["source_chrom"]), max(low - margin, 0), high + margin


def _within_region(links: pd.DataFrame, region: str) -> tuple[pd.DataFrame, str, int, int]:
    """Return the links with both ends in a region, and the region."""
    place = parse_peak_names([region]).iloc[0]
    if pd.isna(place[CHROM]):
        raise InputError(
            f"{region!r} is no place on the genome",
            where="region",
            remedy="write it as chr1:1,000,000-1,200,000",
        )
    chrom, start, end = str(place[CHROM]), int(place[START]), int(place[END])
    there = links[_same_chrom(links["source_chrom"], chrom)]
    there = _with_ends(there)
    inside = there["tss"].between(start, end) & there["middle"].between(start, end)
    return there[inside], chrom, start, end


def _with_ends(links: pd.DataFrame) -> pd.DataFrame:
    """Add both ends of the arcs: the transcription start and the middle of the element."""
    start, end = promoters(links, upstream=0)
    middle = (links["target_start"] + links["target_end"]) / 2
    return links.assign(tss=(start + end - 1) / 2, middle=middle)


def _same_chrom(chroms: pd.Series, chrom: str) -> pd.Series:
    return pd.Series(chrom_keys(chroms) == chrom_keys([chrom])[0], index=chroms.index)


def _table_of_genes(links: pd.DataFrame, genes: pd.DataFrame | None) -> pd.DataFrame:
    """Return the genes of a table, and those of the links that it lacks."""
    columns = {f"source_{name}": name for name in (CHROM, START, END, STRAND)}
    linked = links.drop_duplicates(SOURCE).set_index(SOURCE)[list(columns)].rename(columns=columns)
    if genes is None:
        return linked
    _check_places(genes, (CHROM, START, END, STRAND), "genes")
    others = genes.loc[~genes.index.isin(linked.index), [CHROM, START, END, STRAND]]
    return pd.concat([linked, others])


def _table_of_elements(links: pd.DataFrame, elements: pd.DataFrame | None) -> pd.DataFrame:
    columns = {f"target_{name}": name for name in (CHROM, START, END)}
    if elements is None:
        return links.drop_duplicates(TARGET).set_index(TARGET)[list(columns)].rename(columns=columns)
    _check_places(elements, (CHROM, START, END), "elements")
    return elements[[CHROM, START, END]]


def _check_places(table: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(
            f"no column {examples(missing)}; there are {listed(table.columns)}",
            where=where,
            remedy=f"give a table with the columns {', '.join(columns)}, one row a name (var of the data)",
        )


def _reaching(table: pd.DataFrame, chrom: str, start: int, end: int, *, where: str) -> pd.DataFrame:
    """Return the rows that reach into a stretch, by position; genes with their transcription start."""
    table = table[has_coordinates(table)]
    table = table[_same_chrom(table[CHROM], chrom)]
    table = table[(table[START] < end) & (table[END] > start)].sort_values([START, END])
    table = table.astype({START: np.int64, END: np.int64})
    if where == "genes":
        ends = table[[START, END, STRAND]].rename(columns=lambda name: f"source_{name}")
        low, high = promoters(ends, upstream=0)
        table = table.assign(tss=(low + high - 1) / 2)
    return table.drop(columns=CHROM)


def _evidence(
    here: pd.DataFrame,
    evidence: Sequence[str] | Mapping[str, pd.DataFrame] | None,
    chrom: str,
    start: int,
    end: int,
) -> dict[str, pd.DataFrame]:
    if isinstance(evidence, Mapping):
        return {name: _pairs_within(table, name, chrom, start, end) for name, table in evidence.items()}
    columns = {str(name).removeprefix(EVIDENCE): name for name in here if str(name).startswith(EVIDENCE)}
    wanted = list(columns) if evidence is None else [name.removeprefix(EVIDENCE) for name in evidence]
    unknown = [name for name in wanted if name not in columns]
    if unknown:
        raise InputError(
            f"no column {EVIDENCE}{unknown[0]}{did_you_mean(unknown[0], columns)}",
            where="evidence",
            remedy=f"choose among: {listed(columns)}; or give tables of pairs by name",
        )
    found = {}
    for name in wanted:
        supported = here[here[columns[name]].astype("boolean").fillna(value=False).astype(bool)]
        pairs = pd.DataFrame({"left": supported["tss"], "right": supported["middle"]})
        if len(pairs) or evidence is not None:
            found[name] = pairs
    return found


def _pairs_within(table: pd.DataFrame, name: str, chrom: str, start: int, end: int) -> pd.DataFrame:
    """Return the pairs of a table of evidence with both ends in a stretch, as arcs between middles."""
    _check_places(table, PAIR_ENDS, f"evidence {name!r}")
    there = table[_same_chrom(table["chrom1"], chrom) & _same_chrom(table["chrom2"], chrom)]
    left, right = ((there[f"start{side}"] + there[f"end{side}"]) / 2 for side in (1, 2))
    pairs = pd.DataFrame({"left": left, "right": right})
    return pairs[pairs["left"].between(start, end) & pairs["right"].between(start, end)]
