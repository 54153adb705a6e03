"""BED files of named sites, read piece by piece, with the faults of their lines told in words."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from omicsglue.errors import InputError
from omicsglue.genome.delimited import readable
from omicsglue.keys import CHROM, END, START

TF = "tf"
FORM = "Give a BED file (plain or gzip): chromosome, start, end and the TF's name in its first four columns."
_CHUNK = 1_000_000  # sites that are in memory at one time
_N_EXAMPLES = 3


class _Layout(NamedTuple):
    packed: bool
    n_before: int  # lines before the first site
    separator: str


def read_sites(path: Path) -> Iterator[pd.DataFrame]:
    """Yield the sites of a BED file in pieces of at most a million.

    Parameters
    ----------
    path
        The file, plain or gzip, separated by tabs or spaces. Comments and a header may come first.

    Yields
    ------
    pandas.DataFrame
        `chrom` (category), `start`, `end` (int64, 0-based, half-open) and `tf` (category, the fourth column).

    Raises
    ------
    InputError
        The file is missing, damaged, empty, or has lines that are no sites; the first of these are quoted.
    """
    with _told(path):
        layout = _layout(path)
        reader = pd.read_csv(
            path,
            sep=layout.separator,
            header=None,
            names=[CHROM, START, END, TF],
            usecols=[0, 1, 2, 3],
            dtype={CHROM: "category", START: "int64", END: "int64", TF: "category"},
            skiprows=layout.n_before,
            chunksize=_CHUNK,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            encoding_errors="replace",
            compression="gzip" if layout.packed else None,
        )
        with reader:
            for chunk in reader:
                start = chunk[START].to_numpy()
                blank = chunk[TF].cat.categories.astype(str).str.strip() == ""
                if (start < 0).any() or (start >= chunk[END].to_numpy()).any() or blank.any():
                    raise ValueError("positions or names that cannot be")
                yield chunk


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell the faults of a file in words, with the lines that hold them."""
    try:
        with readable(path):
            yield
    except ValueError as error:  # the parser's own errors are of this kind
        raise InputError(
            f"it holds lines that are no binding sites: {_offenders(path) or error}",
            where=str(path),
            remedy=f"{FORM} Positions are whole numbers with 0 <= start < end.",
        ) from error


def _layout(path: Path) -> _Layout:
    """Find how a file is packed, what stands before its first site, and what parts its columns."""
    packed = _is_packed(path)
    for number, line in _site_lines(path, packed=packed):
        if fault := _fault(line):
            raise ValueError(fault)
        return _Layout(packed, number - 1, "\t" if "\t" in line else r"\s+")
    raise InputError("the file holds no binding site", where=str(path), remedy=FORM)


def _lines(path: Path, *, packed: bool) -> Iterator[tuple[int, str]]:
    with gzip.open(path, "rt", errors="replace") if packed else path.open(errors="replace") as file:
        for number, line in enumerate(file, start=1):
            yield number, line.rstrip("\r\n")


def _site_lines(path: Path, *, packed: bool) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines without comments, blank lines and a header."""
    first = True
    for number, line in _lines(path, packed=packed):
        if _is_comment(line):
            continue
        if not (first and _is_header(line)):
            yield number, line
        first = False


def _offenders(path: Path) -> str:
    """Describe the first lines that are no sites."""
    found = []
    for number, line in _site_lines(path, packed=_is_packed(path)):
        if fault := _fault(line):
            shown = line if len(line) <= 60 else f"{line[:59]}…"
            found.append(f"line {number:,} ({fault}): {shown!r}")
        if len(found) == _N_EXAMPLES:
            break
    return "; ".join(found)


def _fault(line: str) -> str:
    """Say what is wrong with the line of a site; nothing if it is in order."""
    fields = _fields(line)
    if len(fields) < 4:
        return f"{len(fields)} column(s) where 4 are needed"
    if not (_is_number(fields[1]) and _is_number(fields[2])):
        return "start or end is not a whole number"
    if not 0 <= int(fields[1]) < int(fields[2]):
        return "start is not below end"
    return "" if fields[3].strip() else "no name"


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _is_number(field: str) -> bool:
    return re.fullmatch(r"[-+]?\d+", field) is not None


def _is_comment(line: str) -> bool:
    return line.startswith(("#", "track ", "track\t", "browser ")) or not line.strip()


def _is_header(line: str) -> bool:
    fields = _fields(line)
    return len(fields) > 3 and not re.search(r"\d", fields[1] + fields[2])


def _is_packed(path: Path) -> bool:
    """Tell gzip by its first bytes, since files are renamed more often than they are repacked."""
    with path.open("rb") as raw:
        return raw.read(2) == b"\x1f\x8b"
