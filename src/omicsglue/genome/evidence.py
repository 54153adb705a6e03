"""Evidence on regulation from elsewhere: chromatin contacts, eQTL, CRISPRi screens, domains, named pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.delimited import TextTable, open_table
from omicsglue.genome.evidence_names import is_parquet, pairs_in_parquet, pairs_in_text, with_commas
from omicsglue.genome.evidence_tables import BAIT, GENE_IDS, GENE_NAMES, OTHER, READERS, By, Choice
from omicsglue.keys import SOURCE, TARGET
from omicsglue.suggest import did_you_mean

Kind = Literal["bedpe", "hic", "eqtl", "crispri", "tad", "pairs"]

_READERS = {**READERS, "pairs": pairs_in_text}


@dataclass(frozen=True)
class Evidence:
    """Pairs of places on the genome, or of a place and a gene, that an experiment connects.

    Attributes
    ----------
    name
        What to call it; the column `evidence_<name>` of a table of links.
    kind
        'bedpe', 'hic', 'eqtl', 'crispri', 'tad' or 'pairs'.
    by
        How it is matched: 'ends', one end on the promoter and the other on the element; 'gene', by the gene's
        name or id and the second end on the element; 'domain', promoter and element inside one interval;
        'names', by the gene's name or id and the element's name.
    table
        One row a pair. `chrom1`, `start1`, `end1`: bait, promoter or domain (0-based, half-open; missing
        chrom and -1 where it is not known). `chrom2`, `start2`, `end2`: the element, variant or other end
        (the domain again). `gene`, `gene_id` (without version) and `element` (its name): object, missing
        where not known. `score`: float64. `positive`: nullable bool; False where a pair was tested and has no
        effect, missing where the experiment does not test pairs one by one.
    """

    name: str
    kind: Kind
    by: By
    table: pd.DataFrame

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.table)

    def __str__(self) -> str:
        """Return what it is in a line."""
        negative = int((~self.table["positive"].fillna(value=True).astype(bool)).sum())
        tested = f", {negative:,} of them without effect" if negative else ""
        return f"{self.name} ({self.kind}): {len(self):,} pairs{tested}"


def read_evidence(
    path: str | Path,
    kind: Kind | Literal["auto"] = "auto",
    *,
    name: str | None = None,
    threshold: float | None = None,
    cell_types: Sequence[str] | str = (),
) -> Evidence:
    """Read evidence on which elements regulate or touch which genes.

    Parameters
    ----------
    path
        Tab-separated text, plain or gzip (named pairs also separated by commas, or Parquet):

        - BEDPE ('bedpe'): six columns, with or without header; score in the eighth, where there is one.
        - Promoter-capture Hi-C ('hic'): baits and other ends (`baitChr`, `baitStart`, `baitEnd`, `oeChr`,
          `oeStart`, `oeEnd`; 1-based as CHiCAGO writes them) with a column of scores for each cell type; or
          CHiCAGO's ibed; or a table of other ends and genes (`chrom`, `start`, `end`, `gene`, `score`).
        - eQTL ('eqtl'): GTEx's significant pairs (`variant_id`, `gene_id`) or columns `chrom`, `pos`, `gene`;
          positions are 1-based.
        - CRISPRi ('crispri'): the ENCODE benchmark (`chrom`, `chromStart`, `chromEnd`, `measuredGeneSymbol`,
          `Regulated`); pairs that were tested and are not regulated stay as negatives, pairs that its
          `ValidConnection` rules out are dropped.
        - Domains ('tad'): BED.
        - Named pairs ('pairs'): a gene's name or id in the column `source` and the name of an element,
          spelled as in the data, in `target`, as in a table of links; with a column `positive`, pairs where
          it is false were tested without effect.
    kind
        What it is; found from the columns by default.
    name
        What to call it; the kind by default, and of named pairs the name of the file without its ending.
    threshold
        Least score that counts, for 'hic' (5 by default) and 'bedpe' (all count by default).
    cell_types
        Cell types whose scores count, for 'hic'; all by default.

    Returns
    -------
    Evidence

    Raises
    ------
    InputError
        If the file is missing or damaged, is none of these, lacks a column, has lines that cannot be read
        (the first are quoted), or nothing passes the threshold.
    OptionError
        If an option does not fit the kind, or there is no such cell type.
    """
    chosen = (cell_types,) if isinstance(cell_types, str) else tuple(cell_types)
    _check_options(kind, threshold, chosen)
    place = Path(path)
    packed = kind in ("auto", "pairs") and is_parquet(place)
    table = None if packed else with_commas(open_table(place))
    found: Kind = kind if kind != "auto" else "pairs" if table is None else _detect(table)
    _check_fit(found, threshold, chosen)
    by, pairs = (
        pairs_in_parquet(place) if table is None else _READERS[found](table, Choice(threshold, chosen))
    )
    if pairs.empty:
        limit = "" if threshold is None else f", threshold {threshold:g}"
        raise InputError(
            f"no pair is left of it (kind {found!r}{limit})",
            where=str(path),
            remedy="Lower the threshold, choose other cell types, or check that this is the right file.",
        )
    called = place.name.split(".")[0] if by == "names" else found
    return Evidence(name or called, found, by, pairs)


def _check_options(kind: str, threshold: float | None, cell_types: tuple[str, ...]) -> None:
    if kind not in ("auto", *get_args(Kind)):
        raise OptionError(
            f"there is no kind {kind!r}{did_you_mean(kind, get_args(Kind))}",
            where="kind",
            remedy=f"Use 'auto', {', '.join(map(repr, get_args(Kind)))}.",
        )
    if threshold is not None and not np.isfinite(threshold):
        raise OptionError(f"it is {threshold}", where="threshold", remedy="Give a number.")
    if any(not each for each in cell_types):
        raise OptionError("a name is empty", where="cell_types", remedy="Give names of cell types.")


def _check_fit(kind: Kind, threshold: float | None, cell_types: tuple[str, ...]) -> None:
    if kind not in ("hic", "bedpe") and threshold is not None:
        raise OptionError(
            f"evidence of kind {kind!r} has no threshold", where="threshold", remedy="Leave it out."
        )
    if kind != "hic" and cell_types:
        raise OptionError(
            f"evidence of kind {kind!r} has no cell types", where="cell_types", remedy="Leave them out."
        )


def _detect(table: TextTable) -> Kind:
    def has(*names: str) -> bool:
        return table.find(*names) is not None

    def whole(*positions: int) -> bool:
        return len(table.first) > max(positions) and all(
            table.first[i].lstrip("-").isdigit() for i in positions
        )

    gene = has(*GENE_NAMES, *GENE_IDS)
    if has(SOURCE) and has(TARGET):
        return "pairs"
    if has("measuredGeneSymbol") and has("Regulated", "Significant"):
        return "crispri"
    if has(*(f"{bait}Chr" for bait in BAIT)) and has(*(f"{other}Chr" for other in OTHER)):
        return "hic"
    if gene and (has("variant_id") or (has("chrom", "chr") and has("pos", "position"))):
        return "eqtl"
    if whole(1, 2, 4, 5):
        return "bedpe"
    if gene and has("chrom", "chr") and has("start") and has("end"):
        return "hic"
    if whole(1, 2):
        return "tad"
    raise InputError(
        f"it is no evidence that is known (first row: {' | '.join(table.first[:8])})",
        where=str(table.path),
        remedy="Give BEDPE, promoter-capture Hi-C, eQTL or CRISPRi tables, pairs in columns source and "
        "target, or a BED file of domains, tab-separated and with their header; see read_evidence.",
    )
