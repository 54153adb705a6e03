"""Tables in text files, read column by column, with the lines at fault named."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError
from omicsglue.suggest import did_you_mean

_FIRST_FAULTS = 3
_LINES_AHEAD = 1000  # a header and comments are shorter
_GET_ANOTHER = "Give a table of tab-separated text, plain or gzip; unpack other archives first."


@dataclass(frozen=True)
class TextTable:
    """Where the rows of a text table begin and what its columns are called.

    Attributes
    ----------
    path
        The file.
    header
        Names of the columns; empty if there is no header.
    first
        Fields of the first row below header and comments.
    skipped
        Lines above that row.
    separator
        Tab, or a pattern for blanks where the first row has no tab.
    """

    path: Path
    header: tuple[str, ...]
    first: tuple[str, ...]
    skipped: int
    separator: str

    def find(self, *names: str) -> int | None:
        """Return the position of the first of these columns that is there, whatever case and punctuation."""
        plain = [plain_name(name) for name in self.header]
        return next((plain.index(plain_name(name)) for name in names if plain_name(name) in plain), None)

    def position(self, *names: str) -> int:
        """Return the position of the first of these columns that is there.

        Raises
        ------
        InputError
            If none is.
        """
        found = self.find(*names)
        if found is None:
            raise InputError(
                f"there is no column {names[0]}{did_you_mean(names[0], self.header)}; "
                f"columns are {', '.join(self.header[:12]) or 'not named'}",
                where=str(self.path),
                remedy="Give the file as it was published, with its header, or say what kind of table it is.",
            )
        return found


def plain_name(name: str) -> str:
    """Return a column's name in lower case without punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def open_table(path: Path) -> TextTable:
    """Find header, first row and separator of a table.

    Parameters
    ----------
    path
        Text, plain or gzip. Lines that begin with `#`, `track` or `browser` are comments; the last one of
        them is the header where it has as many fields as the first row. Otherwise the first row is a header
        if no field of it is a whole number.

    Returns
    -------
    TextTable

    Raises
    ------
    InputError
        If the file is missing, empty, binary or damaged.
    """
    above: list[str] = []
    with _told(path), open_stream(path) as stream:
        lines = [line.decode("utf-8", "replace").rstrip("\r\n") for line in _head(stream)]
    if any("\0" in line for line in lines):
        raise InputError("this is a binary file", where=str(path), remedy=_GET_ANOTHER)
    while lines and is_comment(lines[0]):
        above.append(lines.pop(0))
    if not lines:
        raise InputError("the file holds no rows", where=str(path), remedy=_GET_ANOTHER)
    separator = "\t" if "\t" in lines[0] else r"\s+"
    first, header = _fields(lines[0], separator), []
    if not any(re.fullmatch(r"-?\d+", field) for field in first) and len(first) > 1:
        header = first
        above.append(lines.pop(0))
        if not lines:
            raise InputError("there is a header and no row", where=str(path), remedy=_GET_ANOTHER)
        first = _fields(lines[0], separator)
    elif above and len(_fields(above[-1].lstrip("# "), separator)) == len(first):
        header = _fields(above[-1].lstrip("# "), separator)
    return TextTable(path, tuple(header), tuple(first), len(above), separator)


def read_columns(table: TextTable, positions: Sequence[int]) -> pd.DataFrame:
    """Read some columns as text.

    Parameters
    ----------
    table
        What :func:`open_table` returned.
    positions
        Columns wanted.

    Returns
    -------
    pandas.DataFrame
        Columns are named by position, and rows by the number of their line, counted from 1. Blank lines and
        comments are left out.

    Raises
    ------
    InputError
        If the file is damaged, or a line has fewer columns than are needed.
    """
    with _told(table.path), open_stream(table.path) as stream:
        rows = pd.read_csv(
            stream,
            sep=table.separator,
            header=None,
            usecols=sorted(set(positions)),
            dtype=str,
            keep_default_na=False,
            na_values=[],
            skiprows=table.skipped,
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8",
            encoding_errors="replace",
        )
    rows.index = pd.RangeIndex(table.skipped + 1, table.skipped + 1 + len(rows))
    lead = rows[min(positions)]
    rows = rows[lead.notna() & (lead != "") & ~lead.astype(str).str.startswith("#")]
    short = rows.isna().any(axis=1)
    if short.any():
        _refuse(table, rows, short.to_numpy(), f"fewer than {max(positions) + 1} columns")
    return rows


def whole_numbers(table: TextTable, rows: pd.DataFrame, position: int, what: str) -> npt.NDArray[np.int64]:
    """Return a column of whole numbers, int64, shape ``(rows,)``.

    Raises
    ------
    InputError
        If a field is none; the first lines at fault are named.
    """
    values = numbers(table, rows, position, what)
    # Empty fields are allowed to numbers, not to whole ones
    bad = ~np.isfinite(values) | (np.nan_to_num(values) % 1 != 0)
    if bad.any():
        _refuse(table, rows, bad, f"{what} is not a whole number")
    return values.astype(np.int64)


def numbers(table: TextTable, rows: pd.DataFrame, position: int, what: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, float64, shape ``(rows,)``; `.`, `NA` and empty fields become NaN.

    Raises
    ------
    InputError
        If a field is none; the first lines at fault are named.
    """
    text = rows[position]
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(values) & ~text.str.strip().str.lower().isin(["", ".", "na", "nan", "null"]).to_numpy()
    if bad.any():
        _refuse(table, rows, bad, f"{what} is not a number")
    return values


def refuse_intervals(
    table: TextTable, rows: pd.DataFrame, start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> None:
    """Raise :class:`InputError` if a start is negative or not before its end; the first lines are named."""
    bad = (start < 0) | (end <= start)
    if bad.any():
        _refuse(table, rows, bad, "start and end are not an interval")


def _refuse(table: TextTable, rows: pd.DataFrame, bad: npt.NDArray[np.bool_], what: str) -> None:
    faulty = rows[bad]
    quoted = "; ".join(
        f"line {number:,}: {' | '.join(str(field) for field in fields)}"
        for number, fields in zip(
            faulty.index[:_FIRST_FAULTS], faulty.iloc[:_FIRST_FAULTS].to_numpy(), strict=True
        )
    )
    raise InputError(
        f"{what} in {len(faulty):,} of {len(rows):,} lines ({quoted})",
        where=str(table.path),
        remedy="Mend or remove these lines; if the last one is cut short, fetch the file again.",
    )


def is_comment(line: str) -> bool:
    """Tell whether a line is blank, a comment or a line for a genome browser."""
    return line.startswith(("#", "track ", "track\t", "browser ")) or not line.strip()


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip() for field in re.split(separator, line.strip() if separator != "\t" else line)]


def _head(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield lines until there are two that are no comments."""
    rows = 0
    for number, line in enumerate(stream):
        yield line
        rows += not is_comment(line.decode("utf-8", "replace"))
        if rows == 2 or number == _LINES_AHEAD:
            return


@contextmanager
def open_stream(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzip file; gzip is known by its first bytes, since files are often renamed."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        # GzipFile reads and iterates as IO[bytes] does, though its type does not say so
        yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell in words why a plain or gzip file cannot be read.

    Raises
    ------
    InputError
        If it is missing, cut short, damaged, or may not be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), remedy="Check the path.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"the gzip file is cut short or damaged ({error})",
            where=str(path),
            remedy="Fetch the file again and test it with 'gzip -t'.",
        ) from error
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(path),
            remedy="Check the path and its permissions.",
        ) from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        with readable(path):
            yield
    except pd.errors.ParserError as error:
        raise InputError(f"it is no table ({error})", where=str(path), remedy=_GET_ANOTHER) from error
