"""Methylation calls of many cells added up over regions: methylated and covered reads as AnnData."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.methylation_calls import Calls, context_mask, is_pattern, read_calls
from omicsglue.genome.names import chrom_keys, harmonise_chroms
from omicsglue.genome.regions import PROMOTER, bin_size, bin_table, region_table
from omicsglue.keys import CHROM, COVERAGE, END, START, STRAND

if TYPE_CHECKING:
    from anndata import AnnData

Ints = npt.NDArray[np.int64]
Files = str | Path | Sequence[str | Path] | Mapping[str, str | Path]

_ENDINGS: Final = re.compile(
    r"(?i)(\.(gz|bgz|tsv|txt|csv|allc|cov|bismark|CX_report|CpG_report|cytosine_report))+$"
)
_IN_FOLDERS: Final = re.compile(r"(?i)(allc|\.cov(\.gz)?$|_report|\.(tsv|txt|allc)(\.b?gz)?$)")
_NOT_CALLS: Final = (".tbi", ".idx", ".csi", ".md5", ".json", ".log")


def aggregate_methylation(
    files: Files,
    regions: str | Path | pd.DataFrame = "gene_body",
    *,
    annotation: str | Path | pd.DataFrame | None = None,
    context: str = "CG",
    flank: int = 0,
    promoter: int = 2000,
) -> AnnData:
    """Add up methylation calls over regions, cell by cell.

    Parameters
    ----------
    files
        A folder with one table a cell, paths of such tables, or paths by name of cell. Tables are ALLC files
        or Bismark's coverage files and cytosine reports, plain or gzip. Cells are named by their files,
        without endings and a leading ``allc_``, unless names are given.
    regions
        ``"gene_body"``, ``"promoter"``, ``"bins:100000"``, a BED file, or a table with `chrom`, `start` and
        `end`. A site in several regions counts in each.
    annotation
        GTF, GFF3 or BED file of the genes, or a table of them, for gene bodies and promoters.
    context
        IUPAC pattern of the sequence context: ``CG``, ``CH`` (all but CG), ``CA``, ``CAC`` and so on.
        Bismark's coverage files do not tell contexts: what they hold is taken for the context asked for.
    flank
        Bases added to both ends of gene bodies.
    promoter
        Bases upstream of the transcription start that are the promoter.

    Returns
    -------
    anndata.AnnData
        ``X`` methylated reads and layer ``coverage`` covered reads, CSR float32, cells x regions. ``var``:
        `chrom`, `start`, `end`, `strand`, `region`, `context` (``mCG``) and, of genes, `gene_name` and
        `gene_id`; features are called ``Gad1_mCG``, ``Gad1_promoter_mCG`` or ``chr1:0-100000_mCG``, so that
        they differ from genes and from each other. ``obs``: covered reads of the context in all of the genome
        (`n_covered`) and the share of them that is methylated (`global_level`).

    Raises
    ------
    OmicsGlueError
        If no table is found, one cannot be read, none holds the context, or no chromosome of the tables has a
        region.

    Notes
    -----
    Only a piece of one table is in memory at a time.

    Examples
    --------
    >>> mcg = aggregate_methylation("allc", annotation="genes.gtf.gz", context="CG")  # doctest: +SKIP
    """
    context = context.upper()
    if not is_pattern(context):
        raise OptionError(
            f"{context!r} is no context of methylation",
            where="--context",
            remedy="give CG, CH, CA, CAC or another pattern of bases (IUPAC letters) that begins with C",
        )
    cells = cell_files(files)
    size = bin_size(regions) if isinstance(regions, str) else None
    table = None if size is not None else region_table(regions, annotation, flank=flank, promoter=promoter)
    tally = _Tally(_Regions(table) if table is not None else _Bins(size or 1))
    for path in cells.values():
        tally.add_cell(path, context)
    tally.check(context, table)
    return _annotated(cells, tally, context)


def cell_files(files: Files) -> dict[str, Path]:
    """Return the table of each cell.

    Parameters
    ----------
    files
        As for :func:`aggregate_methylation`.

    Raises
    ------
    InputError
        If there is none, or two have one name.
    """
    if isinstance(files, Mapping):
        return {str(name): Path(path) for name, path in files.items()}
    given = [files] if isinstance(files, str | Path) else list(files)
    found = [path for each in given for path in _in_folder(Path(each))]
    if not found:
        raise InputError(
            "no table of methylation calls is given",
            where="methylation",
            remedy="give ALLC or Bismark files, one a cell, or a folder of them",
        )
    names = pd.Index([_cell_name(path) for path in found])
    if not names.is_unique:
        twice = names[names.duplicated()].unique()
        raise InputError(
            f"several files are of one cell by their names: {examples(twice)}",
            where="methylation",
            remedy="give a table with the columns cell and path, which names each cell",
        )
    return dict(zip(names, found, strict=True))


def read_cells(path: str | Path) -> dict[str, Path]:
    """Read a table of cells and the paths of their files, which may be relative to the table.

    Parameters
    ----------
    path
        Text with tab-separated columns ``cell`` and ``path``, plain or gzip.

    Raises
    ------
    InputError
        If it cannot be read, lacks a column, or names a cell twice.
    """
    from omicsglue.genome.delimited import open_table, read_columns

    table = open_table(Path(path))
    at = table.position("cell", "cell_id", "name"), table.position("path", "file")
    rows = read_columns(table, at)
    names = pd.Index(rows[at[0]].str.strip())
    if not names.is_unique:
        raise InputError(
            f"cells are named twice: {examples(names[names.duplicated()].unique())}",
            where=str(path),
            remedy="name each cell once",
        )
    folder = Path(path).parent
    return {
        str(name): folder / place.strip() for name, place in zip(names, rows[at[1]].astype(str), strict=True)
    }


@dataclass
class _Cell:
    """Reads of one cell over the whole genome."""

    methylated: int = 0
    covered: int = 0


Held = dict[str, npt.NDArray[np.int64]]
"""Methylated and covered reads of each stretch of a chromosome, shape ``(2, stretches)``."""


class _Regions:
    """Adds up calls over a table of regions, which may overlap."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.regions = table
        keys = chrom_keys(table[CHROM].astype(object))
        start, end = (table[column].to_numpy(dtype=np.int64) for column in (START, END))
        rows = pd.Series(np.arange(len(table))).groupby(keys).indices
        self.by_chrom = {str(key): (at, start[at], end[at]) for key, at in rows.items()}

    def add(self, held: Held, chrom: str, position: Ints, reads: Ints) -> None:
        """Add the reads, ``(2, sites)``, of one chromosome, whose positions are sorted."""
        if chrom not in self.by_chrom:
            return
        at, start, end = self.by_chrom[chrom]
        total = held.setdefault("", np.zeros((2, len(self.regions)), dtype=np.int64))
        running = np.concatenate([np.zeros((2, 1), dtype=np.int64), np.cumsum(reads, axis=1)], axis=1)
        total[:, at] += running[:, np.searchsorted(position, end)]
        total[:, at] -= running[:, np.searchsorted(position, start)]

    def table(self, lengths: Mapping[str, int]) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the regions, and at which of them the counts under each key begin."""
        return self.regions, {"": 0}


class _Bins:
    """Adds up calls over bins of one length; chromosomes are as long as their calls reach."""

    def __init__(self, size: int) -> None:
        self.size = size

    def add(self, held: Held, chrom: str, position: Ints, reads: Ints) -> None:
        """Add the reads, ``(2, sites)``, of one chromosome, whose positions are sorted."""
        bins = position // self.size
        before = held.get(chrom, np.zeros((2, 0), dtype=np.int64))
        length = max(int(bins[-1]) + 1, before.shape[1])
        now = np.stack([np.bincount(bins, weights=each, minlength=length).astype(np.int64) for each in reads])
        now[:, : before.shape[1]] += before
        held[chrom] = now

    def table(self, lengths: Mapping[str, int]) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the bins that calls of any cell reach, and at which of them each chromosome begins."""
        table = bin_table(dict(lengths), self.size)
        first = ~table[CHROM].duplicated().to_numpy()
        return table, dict(zip(table[CHROM][first], np.flatnonzero(first).tolist(), strict=True))


@dataclass
class _Tally:
    """Counts of all cells so far, of covered stretches alone."""

    adder: _Regions | _Bins
    contexts: set[str] = field(default_factory=set)
    chroms: set[str] = field(default_factory=set)
    cells: list[_Cell] = field(default_factory=list)
    parts: list[tuple[int, str, Ints, npt.NDArray[np.float32]]] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=dict)

    def add_cell(self, path: Path, context: str) -> None:
        """Add up the calls in one table."""
        held: Held = {}
        cell = _Cell()
        for calls in read_calls(path):
            self._add_piece(calls, context, held, cell)
        for key, reads in held.items():
            covered = np.flatnonzero(reads[1])
            self.parts.append((len(self.cells), key, covered, reads[:, covered].astype(np.float32)))
            self.lengths[key] = max(self.lengths.get(key, 0), reads.shape[1])
        self.cells.append(cell)

    def _add_piece(self, calls: Calls, context: str, held: Held, cell: _Cell) -> None:
        kept = np.ones(len(calls.position), dtype=bool)
        if calls.context is not None:
            self.contexts.update(map(str, calls.context.categories))
            kept = context_mask(calls.context, context)
        spell = harmonise_chroms if isinstance(self.adder, _Bins) else chrom_keys
        keys = spell(np.asarray(calls.chrom.categories, dtype=object))
        self.chroms.update(map(str, keys))
        reads = np.stack([calls.methylated, calls.covered])
        cell.methylated += int(reads[0, kept].sum())
        cell.covered += int(reads[1, kept].sum())
        for code, key in enumerate(keys):
            here = np.flatnonzero(kept & (calls.chrom.codes == code))
            if len(here):
                position = calls.position[here]
                if (np.diff(position) < 0).any():
                    here = here[np.argsort(position, kind="stable")]
                self.adder.add(held, str(key), calls.position[here], reads[:, here])

    def check(self, context: str, table: pd.DataFrame | None) -> None:
        """Refuse tables without a call of the context, or on none of the regions' chromosomes."""
        if not any(cell.covered for cell in self.cells):
            raise InputError(
                f"no read is of context {context}; contexts there are: {examples(sorted(self.contexts), 16)}"
                if self.contexts
                else "the tables hold no covered site",
                where="methylation",
                remedy="choose a context that the tables hold with --context, or call all contexts anew",
            )
        if table is not None and not set(chrom_keys(table[CHROM].astype(object))) & self.chroms:
            raise InputError(
                f"no chromosome of the tables ({examples(sorted(self.chroms), 3)}) has a region "
                f"({examples(pd.unique(table[CHROM]), 3)})",
                where="methylation",
                remedy="use the annotation of the genome on which the reads were aligned, with its names",
            )

    def matrices(self, start: Mapping[str, int], features: int) -> list[sp.csr_matrix]:
        """Return methylated and covered reads, CSR float32, cells x features."""
        nothing = np.zeros(0, dtype=np.int64)
        row = np.concatenate([nothing, *(np.full(len(at), cell) for cell, _, at, _ in self.parts)])
        column = np.concatenate([nothing, *(start[key] + at for _, key, at, _ in self.parts)])
        found = []
        for which in (0, 1):
            values = np.concatenate([np.zeros(0, np.float32), *(each[which] for *_, each in self.parts)])
            matrix = sp.csr_matrix((values, (row, column)), shape=(len(self.cells), features))
            matrix.eliminate_zeros()
            found.append(matrix)
        return found


def _annotated(cells: Mapping[str, Path], tally: _Tally, context: str) -> AnnData:
    from anndata import AnnData

    table, start = tally.adder.table(tally.lengths)
    methylated, covered = tally.matrices(start, len(table))
    total = np.array([each.covered for each in tally.cells], dtype=np.int64)
    level = np.array([each.methylated for each in tally.cells]) / np.maximum(total, 1)
    obs = pd.DataFrame(
        {"n_covered": total, "global_level": np.where(total > 0, level, np.nan)}, index=list(cells)
    )
    mark = f"m{context}"
    var = table.assign(context=mark)
    middle = np.where(var["region"] == PROMOTER, "_promoter_", "_").astype(object)
    var.index = pd.Index(var.index.to_numpy(dtype=object) + middle + mark)
    for column in (CHROM, STRAND, "region", "context"):
        var[column] = pd.Categorical(var[column])
    return AnnData(methylated, obs=obs, var=var, layers={COVERAGE: covered})


def _in_folder(path: Path) -> list[Path]:
    """Return a file, or the tables in a folder."""
    if not path.is_dir():
        return [path]
    found = [
        each
        for each in sorted(path.iterdir())
        if each.is_file() and _IN_FOLDERS.search(each.name) and not each.name.endswith(_NOT_CALLS)
    ]
    if not found:
        held = sorted(each.name for each in path.iterdir())
        raise InputError(
            f"no file in this folder is called like a table of methylation calls; it holds: "
            f"{examples(held, 4) or 'nothing'}",
            where=str(path),
            remedy="call them allc_CELL.tsv.gz or CELL.cov.gz, or give their paths one by one",
        )
    return found


def _cell_name(path: Path) -> str:
    plain = _ENDINGS.sub("", path.name)
    return re.sub(r"(?i)^allc[_.-]", "", plain) or path.name
