"""Tables of regions over which calls are added up: gene bodies, promoters, BED files; and bins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from omicsglue.errors import AnnotationError, OptionError
from omicsglue.genome.annotation import GENE_ID, GENE_NAME, read_annotation
from omicsglue.genome.delimited import open_table, read_columns, refuse_intervals, whole_numbers
from omicsglue.genome.intervals import has_coordinates
from omicsglue.genome.names import harmonise_chroms, is_main_chrom
from omicsglue.keys import CHROM, END, START, STRAND

GENE_BODY, PROMOTER, BIN, REGION = "gene_body", "promoter", "bin", "region"
_BINS: Final = re.compile(r"bins:(\d[\d_,]*)")
_SMALLEST_BIN: Final = 100


def bin_size(regions: str) -> int | None:
    """Return the bases of a bin for ``bins:100000``, and ``None`` for anything else.

    Raises
    ------
    OptionError
        If bins are asked for in words that cannot be used.
    """
    if not regions.startswith("bins"):
        return None
    match = _BINS.fullmatch(regions)
    size = int(match[1].replace(",", "").replace("_", "")) if match else 0
    if size < _SMALLEST_BIN:
        raise OptionError(
            f"{regions!r} does not say how long bins are",
            where="regions",
            remedy=f"write bins:100000, with {_SMALLEST_BIN} bases at least",
        )
    return size


def region_table(
    regions: str | Path | pd.DataFrame,
    annotation: str | Path | pd.DataFrame | None,
    *,
    flank: int = 0,
    promoter: int = 2000,
) -> pd.DataFrame:
    """Return regions with names.

    Parameters
    ----------
    regions
        ``"gene_body"``, ``"promoter"``, a BED file, or a table with `chrom`, `start` and `end` and names in
        its index.
    annotation
        The genes, for gene bodies and promoters: a GTF, GFF3 or BED file, or a table of them.
    flank
        Bases added to both ends of gene bodies.
    promoter
        Bases upstream of the transcription start that are the promoter.

    Returns
    -------
    pandas.DataFrame
        Index: names, each once. Columns `chrom` (harmonised), `start`, `end` (0-based, half-open), `strand`,
        `region` and, of genes, `gene_name` and `gene_id`.

    Raises
    ------
    OmicsGlueError
        If a file cannot be read, genes are asked for without an annotation, or genes without strand for
        promoters.
    """
    if isinstance(regions, str) and regions in (GENE_BODY, PROMOTER):
        if flank < 0 or promoter < 1:
            raise OptionError(
                f"flank={flank}, promoter={promoter}", where="regions", remedy="give positive numbers"
            )
        return _of_genes(regions, _genes(annotation, regions), flank if regions == GENE_BODY else promoter)
    table = regions if isinstance(regions, pd.DataFrame) else _read_bed(Path(regions))
    missing = [column for column in (CHROM, START, END) if column not in table]
    if missing or not len(table):
        raise AnnotationError(
            f"the table of regions lacks {', '.join(missing)}"
            if missing
            else "the table of regions is empty",
            where="regions",
            remedy="give chrom, start and end (0-based, half-open) of each region, and names in the index",
        )
    table = table[has_coordinates(table)]
    plain = pd.DataFrame(
        {
            CHROM: harmonise_chroms(table[CHROM].astype(object)),
            START: table[START].to_numpy(dtype=np.int64),
            END: table[END].to_numpy(dtype=np.int64),
            STRAND: table[STRAND].to_numpy(dtype=object) if STRAND in table else ".",
            "region": REGION,
        },
        index=_unique(table.index.astype(str), places(table)),
    )
    return plain.assign(**{name: table[name].to_numpy() for name in (GENE_NAME, GENE_ID) if name in table})


def bin_table(lengths: dict[str, int], size: int) -> pd.DataFrame:
    """Return all bins of some chromosomes, in natural order.

    Parameters
    ----------
    lengths
        Number of bins of each chromosome.
    size
        Bases of a bin.
    """
    chroms = sorted(lengths, key=_natural)
    number = np.concatenate([np.arange(lengths[chrom]) for chrom in chroms]).astype(np.int64)
    table = pd.DataFrame(
        {
            CHROM: np.repeat(np.array(chroms, dtype=object), [lengths[chrom] for chrom in chroms]),
            START: number * size,
            END: (number + 1) * size,
            STRAND: ".",
            "region": BIN,
        }
    )
    return table.set_index(places(table))


def places(table: pd.DataFrame) -> pd.Index:
    """Return names such as ``chr1:0-100000``."""
    columns = (table[column].to_numpy() for column in (CHROM, START, END))
    names = [f"{chrom}:{start}-{end}" for chrom, start, end in zip(*columns, strict=True)]
    return pd.Index(names, dtype=object)


def _genes(annotation: str | Path | pd.DataFrame | None, regions: str) -> pd.DataFrame:
    if annotation is None:
        raise OptionError(
            f"there is no annotation from which to take the {regions.replace('_', ' ')} of each gene",
            where="--annotation",
            remedy="give a GTF, GFF3 or BED file of the genes",
        )
    table = annotation if isinstance(annotation, pd.DataFrame) else read_annotation(annotation)
    # copies on scaffolds and patches, and genes of a name twice, would be one gene twice
    table = table[has_coordinates(table)].drop_duplicates(GENE_ID)
    main = is_main_chrom(table[CHROM].to_numpy(dtype=object))
    return table[main] if main.any() else table


def _of_genes(regions: str, genes: pd.DataFrame, bases: int) -> pd.DataFrame:
    start, end = genes[START].to_numpy(dtype=np.int64), genes[END].to_numpy(dtype=np.int64)
    strand = genes[STRAND].to_numpy(dtype=object)
    if regions == PROMOTER:
        known = (strand == "+") | (strand == "-")
        if not known.any():
            raise AnnotationError(
                "no gene has a strand, so that nobody knows where its promoter is",
                where="--annotation",
                remedy="give an annotation with strands, such as GENCODE's",
            )
        genes, start, end, strand = genes[known], start[known], end[known], strand[known]
        low = np.where(strand == "-", end, start - bases)
        high = np.where(strand == "-", end + bases, start)
    else:
        low, high = start - bases, end + bases
    table = pd.DataFrame(
        {
            CHROM: genes[CHROM].to_numpy(dtype=object),
            START: np.maximum(low, 0),
            END: high,
            STRAND: strand,
            "region": regions,
            GENE_NAME: genes[GENE_NAME].to_numpy(dtype=object),
            GENE_ID: genes[GENE_ID].to_numpy(dtype=object),
        },
        index=_unique(pd.Index(genes[GENE_NAME].astype(str)), pd.Index(genes[GENE_ID].astype(str))),
    )
    return table[table[END] > table[START]]


def _unique(names: pd.Index, fuller: pd.Index) -> pd.Index:
    """Return names; those that occur twice with a fuller name behind them, and a number where need be."""
    twice = names.duplicated(keep=False)
    pairs = zip(names, fuller, twice, strict=True)
    found = pd.Series([f"{name}_{full}" if again else str(name) for name, full, again in pairs], dtype=object)
    number = found.groupby(found).cumcount() + 1
    numbered = [name if count == 1 else f"{name}_{count}" for name, count in zip(found, number, strict=True)]
    return pd.Index(numbered, dtype=object)


def _read_bed(path: Path) -> pd.DataFrame:
    if path.is_dir() or not path.exists():
        raise OptionError(
            f"{str(path)!r} is neither a kind of region nor a file",
            where="--regions",
            remedy="give gene_body, promoter, bins:100000, or the path of a BED file",
        )
    table = open_table(path)
    named = len(table.first) > 3
    rows = read_columns(table, [0, 1, 2, *([3] if named else [])])
    start = whole_numbers(table, rows, 1, "the start")
    end = whole_numbers(table, rows, 2, "the end")
    refuse_intervals(table, rows, start, end)
    found = pd.DataFrame({CHROM: rows[0].to_numpy(dtype=object), START: start, END: end})
    return found.set_index(pd.Index(rows[3].to_numpy(dtype=object)) if named else places(found))


def _natural(chrom: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", chrom)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]
