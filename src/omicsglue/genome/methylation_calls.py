"""Methylation calls of one cell, read piece by piece from the tables in which pipelines write them.

Understood are ALLC tables (chromosome, position, strand, context, methylated, covered), Bismark's cytosine
reports (chromosome, position, strand, methylated, unmethylated, context, trinucleotide) and its coverage
files (chromosome, start, end, percentage, methylated, unmethylated), which do not name contexts. Positions in
all of them are counted from 1.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError
from omicsglue.genome.delimited import TextTable, is_comment, open_stream, open_table, readable

FORM: Final = (
    "Give one table a cell, plain or gzip: ALLC (chromosome, position, strand, context, methylated, "
    "covered), or Bismark's coverage file or cytosine report."
)
_CHUNK: Final = 1_000_000  # lines that are in memory at one time
_FIRST_FAULTS: Final = 3


class Calls(NamedTuple):
    """Calls of some sites of one cell.

    Attributes
    ----------
    chrom
        Chromosomes as they are spelled in the file, categorical, shape ``(sites,)``.
    position
        Places, counted from 0, int64, shape ``(sites,)``.
    context
        Sequence contexts such as ``CGN``, categorical; ``None`` where the file does not name them.
    methylated, covered
        Reads that are methylated, and reads in all, int64, shape ``(sites,)``.
    """

    chrom: pd.Categorical
    position: npt.NDArray[np.int64]
    context: pd.Categorical | None
    methylated: npt.NDArray[np.int64]
    covered: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Layout:
    """Where in a line each value stands; `total` is the covered reads, or the unmethylated ones."""

    name: str
    methylated: int
    total: int
    context: int | None

    @property
    def columns(self) -> list[int]:
        """Columns that are read, in order."""
        context = [] if self.context is None else [self.context]
        return sorted([0, 1, self.methylated, self.total, *context])

    @property
    def width(self) -> int:
        """Fields that a line must have."""
        return max(self.columns) + 1


_ALLC: Final = _Layout("an ALLC table", 4, 5, 3)
_REPORT: Final = _Layout("a cytosine report", 3, 4, 6)
_COVERAGE: Final = _Layout("a coverage file", 4, 5, None)


def read_calls(path: str | Path, *, chunk: int = _CHUNK) -> Iterator[Calls]:
    """Yield the calls of one cell in pieces; sites that no read covers are left out.

    Parameters
    ----------
    path
        Table of one cell, plain or gzip; a header is allowed.
    chunk
        Lines in a piece.

    Yields
    ------
    Calls

    Raises
    ------
    InputError
        If the file is missing, damaged, of another kind, or has lines that are no calls (more methylated than
        covered reads among them); the first of these are quoted with their numbers.
    """
    place = Path(path)
    table = open_table(place)
    layout = _layout(table)
    with _told(table, layout), open_stream(place) as stream:
        types = dict.fromkeys(layout.columns, "int64") | {0: "category"}
        if layout.context is not None:
            types[layout.context] = "category"
        reader = pd.read_csv(
            stream,
            sep=table.separator,
            header=None,
            usecols=layout.columns,
            dtype=types,
            skiprows=table.skipped,
            comment="#",
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            encoding_errors="replace",
            chunksize=chunk,
        )
        for rows in reader:
            yield _calls(rows, layout)


def context_mask(contexts: pd.Categorical, pattern: str) -> npt.NDArray[np.bool_]:
    """Tell which sites are of a context.

    Parameters
    ----------
    contexts
        Contexts of the sites, such as ``CGN`` or ``CACTG``.
    pattern
        IUPAC pattern of the first bases, such as ``CG``, ``CH`` or ``CAC``.

    Returns
    -------
    bool, shape ``(sites,)``. An ambiguous base matches where everything that it may be matches.

    Examples
    --------
    >>> context_mask(pd.Categorical(["CGN", "CAC", "CHH", "CNN"]), "CH").tolist()
    [False, True, True, False]
    """
    fits = np.array([_fits(str(each).upper(), pattern) for each in contexts.categories] + [False])
    return np.asarray(fits[contexts.codes], dtype=np.bool_)


_BASES: Final = {
    **{base: base for base in "ACGT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}


def is_pattern(text: str) -> bool:
    """Tell whether a text is a pattern of contexts: IUPAC letters that begin with C."""
    return len(text) > 1 and text[0] == "C" and all(letter in _BASES for letter in text)


def _fits(context: str, pattern: str) -> bool:
    if len(context) < len(pattern):
        context += "N" * (len(pattern) - len(context))
    pairs = zip(context, pattern, strict=False)
    return all(set(_BASES.get(base, "?")) <= set(_BASES[wanted]) for base, wanted in pairs)


def _calls(rows: pd.DataFrame, layout: _Layout) -> Calls:
    position = rows[1].to_numpy(dtype=np.int64) - 1
    methylated, total = (rows[at].to_numpy(dtype=np.int64) for at in (layout.methylated, layout.total))
    covered = total if layout is _ALLC else methylated + total
    if (position < 0).any() or (methylated < 0).any() or (methylated > covered).any():
        raise ValueError("values that cannot be")
    seen = covered > 0
    context = None if layout.context is None else pd.Categorical(rows[layout.context])[seen]
    return Calls(pd.Categorical(rows[0])[seen], position[seen], context, methylated[seen], covered[seen])


def _layout(table: TextTable) -> _Layout:
    """Tell from the first line what kind of table this is."""
    fields = table.first
    for layout in (_ALLC, _REPORT, _COVERAGE):
        if not _fault(list(fields), layout):
            return layout
    if len(fields) >= 6 and _whole(fields[1]) and fields[2] in ("+", "-"):
        # an ALLC table with a bad first line is told what is wrong with that line
        return _ALLC
    raise InputError(
        f"line {table.skipped + 1:,} is no methylation call: {_shown(' '.join(fields))}",
        where=str(table.path),
        remedy=FORM,
    )


@contextmanager
def _told(table: TextTable, layout: _Layout) -> Iterator[None]:
    """Tell the faults of a file in words, with the lines that hold them."""
    try:
        with readable(table.path):
            yield
    except ValueError as error:  # the parser's own errors are of this kind
        raise InputError(
            f"it was taken for {layout.name}, but not all lines fit: {_offenders(table, layout) or error}",
            where=str(table.path),
            remedy="Mend or remove these lines; if the last one is cut short, fetch the file again.",
        ) from error


def _offenders(table: TextTable, layout: _Layout) -> str:
    """Describe the first lines that are no calls."""
    found = []
    with open_stream(table.path) as stream:
        for number, raw in enumerate(stream, start=1):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if number <= table.skipped or is_comment(line):
                continue
            fields = line.split("\t") if table.separator == "\t" else line.split()
            if fault := _fault(fields, layout):
                found.append(f"line {number:,} ({fault}): {_shown(line)}")
            if len(found) == _FIRST_FAULTS:
                break
    return "; ".join(found)


def _fault(fields: list[str], layout: _Layout) -> str:
    """Say what is wrong with a line; nothing if it is in order."""
    if len(fields) < layout.width:
        return f"{len(fields)} column(s) where {layout.width} are needed"
    if not _whole(fields[1]) or int(fields[1]) < 1:
        return "the position is not a whole number from 1 on"
    counts = [fields[layout.methylated].strip(), fields[layout.total].strip()]
    if not all(_whole(each) for each in counts):
        return "counts are not whole numbers"
    if layout is not _COVERAGE and fields[2].strip() not in ("+", "-"):
        return "the strand is neither + nor -"
    if layout is _COVERAGE and not _whole(fields[2]):
        return "the end is not a whole number"
    if layout.context is not None and not set(fields[layout.context].strip().upper()) <= set(_BASES):
        return "the context is no sequence of bases"
    if layout is _ALLC and int(counts[0]) > int(counts[1]):
        return f"{counts[0]} methylated of {counts[1]} covered reads"
    return ""


def _whole(field: str) -> bool:
    return field.strip().isdecimal()


def _shown(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:59]}…")
