"""The user's features found in the annotation: which, by what key, and which not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import AnnotationError, OptionError, examples
from omicsglue.genome.annotation import GENE_ID, GENE_NAME, GENE_TYPE
from omicsglue.genome.names import is_main_chrom, unversioned
from omicsglue.keys import CHROM, END, START, STRAND

MatchOn = Literal["auto", "gene_name", "gene_id"]


@dataclass(frozen=True)
class MatchReport:
    """How many features were given coordinates, and which were not.

    Attributes
    ----------
    what
        'genes' or 'peaks'.
    n_features, n_matched
        Features in all, and those with coordinates.
    matched_on
        The key that was used: 'gene_name', 'gene_id', 'names' or the names of `var` columns.
    unmatched
        Names of the features without coordinates, all of them, in the order of the data.
    n_ambiguous
        Matched features that had several places in the annotation, of which one was chosen.
    """

    what: str
    n_features: int
    n_matched: int
    matched_on: str
    unmatched: tuple[str, ...]
    n_ambiguous: int = 0

    @property
    def n_unmatched(self) -> int:
        """Features without coordinates."""
        return self.n_features - self.n_matched

    def __str__(self) -> str:
        """Return the report as a line or two for people."""
        text = (
            f"{self.n_matched:,} of {self.n_features:,} {self.what} have coordinates (by {self.matched_on})"
        )
        if self.n_ambiguous:
            text += f"; {self.n_ambiguous:,} had several places, one was chosen"
        if self.unmatched:
            text += f"\n{self.n_unmatched:,} without, left out of the graph: {examples(self.unmatched)}"
        return text


@dataclass(frozen=True)
class GeneMatch:
    """Coordinates of genes, and the report on how they were found.

    Attributes
    ----------
    coordinates
        One row a queried name, in their order: `chrom` (NaN if not found), `start`, `end` (int64, 0-based,
        half-open; -1 if not found), `strand` ('.' if not found), `gene_id` (NaN if not found).
    report
        Counts and the names not found.
    """

    coordinates: pd.DataFrame
    report: MatchReport


def match_genes(
    names: Sequence[str] | pd.Index, annotation: pd.DataFrame, match_on: MatchOn = "auto"
) -> GeneMatch:
    """Find genes in an annotation by name or id.

    Ids are compared without their version. Where one name or id stands at several places, one is chosen: on a
    whole chromosome before scaffolds and patches, on another chromosome before Y (so the X copy of
    pseudo-autosomal genes), protein-coding before other types, then the longest, then the first in the file.

    Parameters
    ----------
    names
        Gene names or ids, shape (n,).
    annotation
        A table as `read_annotation` returns it.
    match_on
        The column to look in; 'auto' takes the one with more matches, names where both have as many.

    Returns
    -------
    GeneMatch
        Coordinates for each name, in order, and the report.

    Raises
    ------
    AnnotationError
        No name was found, or the annotation lacks a column.
    OptionError
        `match_on` is none of the three.
    """
    if match_on not in ("auto", GENE_NAME, GENE_ID):
        raise OptionError(
            f"cannot match genes on {match_on!r}",
            where="match_on",
            remedy="Use 'auto', 'gene_name' or 'gene_id'.",
        )
    annotation = _completed(annotation)
    queries = np.array([str(name) for name in names], dtype=object)
    keys = (GENE_NAME, GENE_ID) if match_on == "auto" else (match_on,)
    best = max((_look_up(queries, annotation, key) for key in keys), key=lambda found: found.n_found)
    if best.n_found == 0 and len(queries):
        raise _no_match(queries, annotation, keys)
    hit = best.row >= 0
    coordinates = annotation[[CHROM, START, END, STRAND, GENE_ID]].iloc[best.row].reset_index(drop=True)
    coordinates[CHROM] = coordinates[CHROM].astype(object).where(hit, np.nan)
    coordinates[GENE_ID] = coordinates[GENE_ID].astype(object).where(hit, np.nan)
    coordinates[STRAND] = coordinates[STRAND].astype(object).where(hit, ".")
    for column in (START, END):
        coordinates[column] = coordinates[column].astype(np.int64).where(hit, -1)
    report = MatchReport(
        what="genes",
        n_features=len(queries),
        n_matched=int(hit.sum()),
        matched_on=best.key,
        unmatched=tuple(queries[~hit]),
        n_ambiguous=best.n_ambiguous,
    )
    return GeneMatch(coordinates, report)


@dataclass(frozen=True)
class _Found:
    key: str
    row: npt.NDArray[np.int64]  # row of the annotation, -1 where there is none
    n_ambiguous: int

    @property
    def n_found(self) -> int:
        return int((self.row >= 0).sum())


def _completed(annotation: pd.DataFrame) -> pd.DataFrame:
    missing = [c for c in (CHROM, START, END) if c not in annotation.columns]
    if missing or not ({GENE_ID, GENE_NAME} & set(annotation.columns)):
        raise AnnotationError(
            f"the annotation table lacks the column(s) {examples(missing or ['gene_name'])}",
            where="annotation",
            remedy="Use read_annotation, or name its columns chrom, start, end, strand and gene_name.",
        )
    filled = annotation.reset_index(drop=True)
    if GENE_NAME not in filled:
        filled[GENE_NAME] = filled[GENE_ID]
    if GENE_ID not in filled:
        filled[GENE_ID] = filled[GENE_NAME]
    for column, value in ((STRAND, "."), (GENE_TYPE, "")):
        if column not in filled:
            filled[column] = value
    return filled


def _look_up(queries: npt.NDArray[np.object_], annotation: pd.DataFrame, key: str) -> _Found:
    targets = annotation[key].astype(str).to_numpy(dtype=object)
    if key == GENE_ID:
        queries, targets = unversioned(queries), unversioned(targets)
    ranked = _preference(annotation)
    ordered = pd.Index(targets[ranked])
    first = ~ordered.duplicated()
    at = pd.Index(ordered[first]).get_indexer(pd.Index(queries))
    row = np.where(at >= 0, ranked[first][at], -1).astype(np.int64)
    repeated = pd.Index(ordered[ordered.duplicated()].unique())
    return _Found(key, row, int(pd.Index(queries).isin(repeated).sum()))


def _preference(annotation: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the annotation's rows, the preferred ones first."""
    chrom = annotation[CHROM].to_numpy(dtype=object)
    length = (annotation[END] - annotation[START]).to_numpy()
    coding = (annotation[GENE_TYPE] == "protein_coding").to_numpy()
    return np.lexsort((-length, ~coding, chrom == "chrY", ~is_main_chrom(chrom))).astype(np.int64)


def _no_match(
    queries: npt.NDArray[np.object_], annotation: pd.DataFrame, keys: tuple[str, ...]
) -> AnnotationError:
    sides = "; ".join(f"{key} in the annotation: {examples(annotation[key].head(3))}" for key in keys)
    reason = _likely_reason(queries, annotation)
    return AnnotationError(
        f"none of the {len(queries):,} genes is in the annotation. "
        f"In the data: {examples(queries[:3])}; {sides}",
        where="annotation",
        remedy=reason,
    )


def _likely_reason(queries: npt.NDArray[np.object_], annotation: pd.DataFrame) -> str:
    names = annotation[GENE_NAME].astype(str)
    ids = pd.Series(unversioned(annotation[GENE_ID].to_numpy(dtype=object)))
    upper = pd.Series(queries).astype(str).str.upper()
    if pd.Series(unversioned(queries)).isin(ids).any():
        return "The data hold gene ids: use match_on='gene_id'."
    if pd.Series(queries).isin(names).any():
        return "The data hold gene names: use match_on='gene_name'."
    if upper.isin(names.str.upper()).mean() > 0.1:
        return (
            "The names differ in case only, as human (ACTB) and mouse (Actb) names do: "
            "use the annotation of the species of your data."
        )
    if upper.str.startswith("ENS").mean() > 0.5:
        if ids.str.startswith("ENS").mean() < 0.5:
            return (
                "The data hold Ensembl ids, the annotation does not: use Ensembl's or GENCODE's annotation."
            )
        return "Both hold Ensembl ids, it seems of different species: use the annotation of your species."
    if upper.str.fullmatch(r".+[:_-]\d+[-_]\d+").mean() > 0.5:
        return "These are peaks rather than genes: use annotate_peaks for them."
    return (
        "Check that the annotation is of the right species, and that the data's names are gene names or ids."
    )
