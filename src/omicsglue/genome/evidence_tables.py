"""Readers of the tables in which evidence on regulation is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.delimited import (
    TextTable,
    numbers,
    plain_name,
    read_columns,
    refuse_intervals,
    whole_numbers,
)
from omicsglue.genome.names import chrom_keys, unversioned
from omicsglue.suggest import did_you_mean, listed

By = Literal["ends", "gene", "domain", "names"]
Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

CHICAGO_THRESHOLD = 5.0
EVIDENCE_COLUMNS = (
    *("chrom1", "start1", "end1", "chrom2", "start2", "end2"),
    *("gene", "gene_id", "element", "score", "positive"),
)
GENE_NAMES = ("gene_name", "gene_symbol", "symbol", "gene")
GENE_IDS = ("gene_id", "ensg", "ensembl_id", "phenotype_id", "molecular_trait_id", "gene")
BAIT, OTHER = ("bait",), ("oe", "otherEnd")
# Columns of capture Hi-C tables that are no scores of a cell type
_NO_SCORES = frozenset(
    {"baitid", "baitname", "oeid", "oename", "otherendname", "dist", "distance", "nreads"}
    | {"clusterid", "clusterpostprob"}
)


@dataclass(frozen=True)
class Choice:
    """What of a table counts: scores from `threshold` on, in any of `cell_types` (of all if empty)."""

    threshold: float | None
    cell_types: tuple[str, ...]


def _bedpe(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    _check_width(table, 6, "BEDPE")
    scored = len(table.first) > 7
    rows = read_columns(table, [*range(6), *([7] if scored else [])])
    # BEDPE writes '.' and -1 for an end that is not known
    known = (rows[0] != ".") & (rows[3] != ".") & (rows[1] != "-1") & (rows[4] != "-1")
    rows = rows[known]
    first, second = (_interval(table, rows, at, at + 1, at + 2) for at in (0, 3))
    score = numbers(table, rows, 7, "the score") if scored else np.full(len(rows), np.nan)
    if choice.threshold is not None and not scored:
        raise InputError(
            "there is no eighth column, so no score",
            where=str(table.path),
            remedy="Leave the threshold out, or give a BEDPE file with scores.",
        )
    pairs = pairs_table(first, second, score=score)
    kept = np.ones(len(pairs), dtype=bool) if choice.threshold is None else score >= choice.threshold
    return "ends", pairs[kept].reset_index(drop=True)


def _hic(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    if table.find(*(f"{bait}Chr" for bait in BAIT)) is None:
        return _hic_of_genes(table, choice)
    ends = [
        [table.position(*(f"{side}{part}" for side in sides)) for part in ("Chr", "Start", "End")]
        for sides in (BAIT, OTHER)
    ]
    bait_name = table.find(*(f"{side}Name" for side in BAIT))
    scores = _score_columns(table, choice, {*ends[0], *ends[1]})
    rows = read_columns(table, [*ends[0], *ends[1], *scores, *([] if bait_name is None else [bait_name])])
    first, second = (_interval(table, rows, *each, base=1) for each in ends)
    score = np.max([np.nan_to_num(numbers(table, rows, at, table.header[at])) for at in scores], axis=0)
    gene = None if bait_name is None else text_of(rows[bait_name])
    kept = score >= (CHICAGO_THRESHOLD if choice.threshold is None else choice.threshold)
    return "ends", pairs_table(first, second, gene=gene, score=score)[kept].reset_index(drop=True)


def _score_columns(table: TextTable, choice: Choice, used: set[int]) -> list[int]:
    """Return the positions of the columns that hold scores of the cell types chosen."""
    there = {
        title: at
        for at, title in enumerate(table.header)
        if at not in used and plain_name(title) not in _NO_SCORES and _is_number(table.first[at])
    }
    unknown = [each for each in choice.cell_types if each not in there]
    if unknown:
        raise _no_cell_type(unknown[0], list(there))
    if not there:
        raise InputError(
            "there is no column of scores",
            where=str(table.path),
            remedy="Give a table with CHiCAGO scores, one column a cell type.",
        )
    return [there[each] for each in choice.cell_types] or list(there.values())


def _hic_of_genes(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    place = [table.position("chrom", "chr"), table.position("start"), table.position("end")]
    score_at, cell_type = table.find("score", "chic.score", "chicago"), table.find("cell_type", "celltype")
    name, gene_id = table.find(*GENE_NAMES), table.find(*GENE_IDS)
    rows = read_columns(
        table, [each for each in (*place, score_at, cell_type, name, gene_id) if each is not None]
    )
    if choice.cell_types:
        rows = _of_cell_types(rows, cell_type, choice.cell_types)
    score = np.full(len(rows), np.nan) if score_at is None else numbers(table, rows, score_at, "the score")
    second = _interval(table, rows, *place)
    pairs = pairs_table(None, second, **named_genes(rows, name, gene_id), score=score)
    if score_at is not None:
        pairs = pairs[score >= (CHICAGO_THRESHOLD if choice.threshold is None else choice.threshold)]
    return "gene", pairs.reset_index(drop=True)


def _of_cell_types(rows: pd.DataFrame, at: int | None, wanted: tuple[str, ...]) -> pd.DataFrame:
    there = [] if at is None else list(rows[at].unique())
    unknown = [each for each in wanted if each not in there]
    if at is None or unknown:
        raise _no_cell_type((unknown or wanted)[0], there)
    return rows[rows[at].isin(wanted)]


def _no_cell_type(name: str, there: Sequence[str]) -> OptionError:
    return OptionError(
        f"the evidence has no cell type {name!r}{did_you_mean(name, there)}",
        where="cell_types",
        remedy=f"Choose among: {listed(there, limit=30)}.",
    )


def _eqtl(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    name, gene_id = table.find(*GENE_NAMES), table.find(*GENE_IDS)
    if name is None and gene_id is None:
        table.position("gene_id", *GENE_NAMES)
    genes = [each for each in (name, gene_id) if each is not None]
    slope = table.find("slope", "beta", "effect_size")
    further = genes if slope is None else [*genes, slope]
    variant = table.find("variant_id")
    if variant is None:
        places = [table.position("chrom", "chr"), table.position("pos", "position")]
        rows = read_columns(table, [*places, *further])
        chrom, position = rows[places[0]], whole_numbers(table, rows, places[1], "the position")
        length: Ints = np.ones(len(rows), dtype=np.int64)
    else:
        rows = read_columns(table, [variant, *further])
        parts = rows[variant].str.extract(r"^([^_:]+)[_:](\d+)(?:[_:]([^_:]*))?")
        # Fields that are no variants become empty and are told of as no numbers
        read = rows.assign(**{"position": parts[1].fillna("").to_numpy()})
        read.columns = [*rows.columns, len(table.first)]
        position = whole_numbers(table, read, len(table.first), "the position in the variant's name")
        chrom, length = parts[0], np.maximum(parts[2].str.len().fillna(1).to_numpy(dtype=np.int64), 1)
    refuse_intervals(table, rows, position - 1, position)
    second = pd.DataFrame({"chrom": chrom_keys(chrom), "start": position - 1, "end": position - 1 + length})
    score = np.full(len(rows), np.nan) if slope is None else numbers(table, rows, slope, "the effect")
    return "gene", pairs_table(None, second, **named_genes(rows, name, gene_id), score=score)


def _crispri(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    place = [
        table.position("chrom", "chr"),
        table.position("chromStart", "start"),
        table.position("chromEnd", "end"),
    ]
    outcome = table.position("Regulated", "Significant")
    name, gene_id = table.position("measuredGeneSymbol", *GENE_NAMES), table.find("measuredGeneEnsemblId")
    valid, effect = table.find("ValidConnection"), table.find("EffectSize")
    tss = [table.find(each) for each in ("chrTSS", "startTSS", "endTSS")]
    wanted = (*place, outcome, name, gene_id, valid, effect, *tss)
    rows = read_columns(table, [each for each in wanted if each is not None])
    if valid is not None:
        rows = rows[rows[valid].str.upper() == "TRUE"]
    positive = rows[outcome].str.upper().map({"TRUE": True, "FALSE": False, "1": True, "0": False})
    told = positive.notna()  # the benchmark writes NA where a test tells nothing
    rows, positive = rows[told], positive[told]
    score = np.full(len(rows), np.nan) if effect is None else numbers(table, rows, effect, "the effect")
    at = [each for each in tss if each is not None]
    first = _interval_or_none(table, rows, *at) if len(at) == 3 else None
    pairs = pairs_table(
        first, _interval(table, rows, *place), **named_genes(rows, name, gene_id), score=score
    )
    return "gene", pairs.assign(positive=pd.array(positive.to_numpy(dtype=bool), dtype="boolean"))


def _tad(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    _check_width(table, 3, "BED")
    domains = _interval(table, read_columns(table, [0, 1, 2]), 0, 1, 2)
    return "domain", pairs_table(domains, domains)


def _check_width(table: TextTable, needed: int, form: str) -> None:
    if len(table.first) < needed:
        raise InputError(
            f"there are {len(table.first)} columns; {form} has {needed} at least",
            where=str(table.path),
            remedy=f"Give tab-separated {form}, or say what kind of table it is.",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip().upper() in ("", "NA", ".")
    return True


def _interval(
    table: TextTable, rows: pd.DataFrame, chrom: int, start: int, end: int, *, base: int = 0
) -> pd.DataFrame:
    """Return intervals, 0-based and half-open, of columns that count from `base`."""
    low = whole_numbers(table, rows, start, "start") - base
    high = whole_numbers(table, rows, end, "end")
    refuse_intervals(table, rows, low, high)
    return pd.DataFrame({"chrom": chrom_keys(rows[chrom]), "start": low, "end": high})


def _interval_or_none(table: TextTable, rows: pd.DataFrame, chrom: int, start: int, end: int) -> pd.DataFrame:
    """Return intervals; a missing chrom and -1 where a row has none."""
    low, high = (pd.to_numeric(rows[at], errors="coerce").to_numpy(dtype=np.float64) for at in (start, end))
    known = low < high  # the benchmark writes 0 and 0, or NA, where it does not know a TSS
    found = _nowhere(len(rows))
    found.loc[known, :] = _interval(table, rows[known], chrom, start, end).to_numpy()
    return found.astype({"start": np.int64, "end": np.int64})


def _nowhere(n: int) -> pd.DataFrame:
    nothing = np.full(n, -1, dtype=np.int64)
    return pd.DataFrame({"chrom": np.full(n, np.nan, dtype=object), "start": nothing, "end": nothing})


def text_of(values: pd.Series) -> Objects:
    """Return names, missing where the field is empty."""
    text = values.str.strip()
    named = text.where(~text.isin(["", ".", "NA", "nan"]), np.nan)
    return np.asarray(named.to_numpy(), dtype=object)


def named_genes(
    rows: pd.DataFrame, name: int | str | None, gene_id: int | str | None = None
) -> dict[str, Objects]:
    """Return names and ids of genes, `gene` and `gene_id`; where there is one column, it may hold either."""
    either = name if name is not None else gene_id
    ids = gene_id if gene_id is not None else name
    if either is None or ids is None:
        return {}
    codes, unique = pd.factorize(text_of(rows[ids]))
    plain = np.append(unversioned(unique), np.nan)  # code -1: missing
    return {"gene": text_of(rows[either]), "gene_id": plain[codes]}


def pairs_table(
    first: pd.DataFrame | None,
    second: pd.DataFrame,
    *,
    gene: Objects | None = None,
    gene_id: Objects | None = None,
    element: Objects | None = None,
    score: npt.NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Return the table of some evidence, with all its columns; see :class:`omicsglue.genome.Evidence`."""
    nothing = np.full(len(second), np.nan, dtype=object)
    ends = [_nowhere(len(second)) if first is None else first, second]
    columns: dict[str, object] = {
        f"{part}{i}": end[part].to_numpy()
        for i, end in enumerate(ends, 1)
        for part in ("chrom", "start", "end")
    }
    columns["gene"] = nothing if gene is None else gene
    columns["gene_id"] = nothing if gene_id is None else gene_id
    columns["element"] = nothing if element is None else element
    columns["score"] = np.full(len(second), np.nan) if score is None else score
    columns["positive"] = pd.array([pd.NA] * len(second), dtype="boolean")
    return pd.DataFrame(columns, columns=list(EVIDENCE_COLUMNS))


READERS: dict[str, Callable[[TextTable, Choice], tuple[By, pd.DataFrame]]] = {
    "bedpe": _bedpe,
    "hic": _hic,
    "eqtl": _eqtl,
    "crispri": _crispri,
    "tad": _tad,
}
