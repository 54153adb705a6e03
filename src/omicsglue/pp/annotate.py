"""Coordinates for the features of a modality, written to `adata.var`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicsglue.errors import AnnotationError, InputError, OmicsGlueWarning, examples
from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.intervals import has_coordinates
from omicsglue.genome.matching import MatchOn, MatchReport, match_genes
from omicsglue.genome.names import harmonise_chroms, parse_peak_names
from omicsglue.keys import CHROM, END, START, STRAND

if TYPE_CHECKING:
    from anndata import AnnData

# Spellings that other tools use, in the order in which they are looked for
_SPELLINGS = {
    CHROM: ("chrom", "chr", "chromosome", "seqnames", "seqname", "Chromosome", "Chrom", "Chr", "#chrom"),
    START: ("start", "chromStart", "Start", "chrom_start", "peak_start"),
    END: ("end", "chromEnd", "End", "stop", "chrom_end", "peak_end"),
    STRAND: ("strand", "Strand"),
}
_NAME_PEAKS = "Name peaks like chr1:100-600, or put their place in the columns chrom, start and end of var."
# Under this share of features with coordinates, something more than a few odd names is wrong.
_FEW = 0.5


def annotate_genes(
    adata: AnnData,
    annotation: str | Path | pd.DataFrame,
    *,
    match_on: MatchOn = "auto",
    var_key: str | None = None,
) -> MatchReport:
    """Give the genes of a modality their coordinates.

    Writes `chrom`, `start`, `end` (0-based, half-open) and `strand` to `adata.var`. Genes that are not in the
    annotation stay in the data with missing `chrom`, -1 and '.', and stay out of the graph.

    Parameters
    ----------
    adata
        Cells x genes; `var` is changed.
    annotation
        A GTF, GFF3 or BED file, or a table from `read_annotation`.
    match_on
        Whether the names are looked up among gene names or gene ids (without version); 'auto' takes whichever
        finds more.
    var_key
        Column of `var` with the names or ids to look up; the var names if not given.

    Returns
    -------
    MatchReport
        How many genes were found and which were not; `print` it.

    Raises
    ------
    AnnotationError
        The annotation cannot be read, or no gene was found in it.

    Warns
    -----
    OmicsGlueWarning
        Fewer than half of the genes were found.
    """
    table = annotation if isinstance(annotation, pd.DataFrame) else read_annotation(annotation)
    if var_key is not None and var_key not in adata.var:
        raise InputError(
            f"var has no column {var_key!r}; it has {examples(adata.var.columns) or 'none'}",
            where="annotate_genes",
            remedy="Give the column of var with names or ids, or leave var_key out to use the var names.",
        )
    match = match_genes(list(adata.var_names if var_key is None else adata.var[var_key]), table, match_on)
    _write(adata, match.coordinates)
    return _checked(match.report, "Check the species and the release of the annotation.")


def annotate_peaks(adata: AnnData) -> MatchReport:
    """Give the peaks of a modality their coordinates, from `var` or from their names.

    Columns of `var` are used where all three of chromosome, start and end are there, under the package's
    names or a common other spelling (`seqnames`, `chromStart`, `Start` and the like; numbers are taken
    as 0-based, half-open). Otherwise the names are read (`chr1:100-600`, `chr1-100-600`,
    `chr1_100_600`). Writes `chrom`, `start`, `end` and `strand` to `adata.var`.

    Parameters
    ----------
    adata
        Cells x peaks; `var` is changed.

    Returns
    -------
    MatchReport
        How many peaks have coordinates and which have not; `print` it.

    Raises
    ------
    AnnotationError
        No peak has coordinates.

    Warns
    -----
    OmicsGlueWarning
        Fewer than half of the peaks have coordinates.
    """
    found = {key: next((c for c in names if c in adata.var), None) for key, names in _SPELLINGS.items()}
    columns = [found[key] for key in (CHROM, START, END)]
    if None in columns:
        coordinates, used = parse_peak_names(list(adata.var_names)), "names"
    else:
        coordinates, used = _from_columns(adata.var, found), "var columns " + ", ".join(map(str, columns))
    if STRAND not in coordinates:
        coordinates[STRAND] = "."
    good = has_coordinates(coordinates)
    if not good.any() and len(good):
        raise AnnotationError(
            f"no coordinates could be read from the {used} of {len(good):,} peaks: "
            f"{examples(adata.var_names[:3])}",
            where="annotate_peaks",
            remedy=_NAME_PEAKS,
        )
    _write(adata, coordinates)
    unmatched = tuple(str(name) for name in adata.var_names[~good])
    report = MatchReport("peaks", len(good), int(good.sum()), used, unmatched)
    return _checked(report, _NAME_PEAKS)


def _from_columns(var: pd.DataFrame, found: dict[str, str | None]) -> pd.DataFrame:
    def positions(key: str) -> pd.Series:
        numbers = pd.to_numeric(var[found[key]].astype(object), errors="coerce")
        whole = numbers.where((numbers % 1 == 0) & (numbers >= 0), -1)
        return whole.fillna(-1).astype(np.int64).reset_index(drop=True)

    chrom = harmonise_chroms(var[found[CHROM]].astype(object))
    table = pd.DataFrame({CHROM: chrom, START: positions(START), END: positions(END)})
    if found[STRAND] is not None:
        strand = var[found[STRAND]].astype(object).reset_index(drop=True)
        table[STRAND] = strand.where(strand.isin(["+", "-"]), ".")
    good = has_coordinates(table)
    table[CHROM] = table[CHROM].where(good, np.nan)
    for key in (START, END):
        table[key] = table[key].where(good, -1)
    return table


def _write(adata: AnnData, coordinates: pd.DataFrame) -> None:
    # Categories, so that missing chromosomes survive an h5ad file. Replacing the table as a whole also
    # turns a view into an object of its own without a warning.
    adata.var = adata.var.assign(
        **{
            CHROM: pd.Categorical(coordinates[CHROM]),
            START: coordinates[START].to_numpy(dtype=np.int64),
            END: coordinates[END].to_numpy(dtype=np.int64),
            STRAND: pd.Categorical(coordinates[STRAND], categories=["+", "-", "."]),
        }
    )


def _checked(report: MatchReport, advice: str) -> MatchReport:
    if report.n_matched < _FEW * report.n_features:
        warnings.warn(f"only {report}. {advice}", OmicsGlueWarning, stacklevel=3)
    return report
