"""Regulatory links in files: tables, BEDPE, the interact format of the UCSC browser."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.io import PathLike, atomic_path, write_parquet
from omicsglue.keys import DISTANCE, SIGN, SOURCE, TARGET
from omicsglue.runs.link_table import EVIDENCE, PLACES, Q_VALUE, SCORE, check_links, gene_table, promoters

__all__ = ["check_ending", "gene_table", "read_links", "write_bedpe", "write_interact", "write_links"]

FORMATS: Final = (
    ".parquet",
    ".tsv",
    ".tsv.gz",
    ".csv",
    ".csv.gz",
    ".bedpe",
    ".bedpe.gz",
    ".interact",
    ".interact.gz",
)
_TEXT: Final = (SOURCE, TARGET, "source_chrom", "source_strand", "target_chrom", "modality")
_WHOLE: Final = ("source_start", "source_end", "target_start", "target_end", DISTANCE)
_BLUE, _VERMILION = (0, 114, 178), (213, 94, 0)  # positive and negative links, as in the pictures


def check_ending(path: PathLike, known: Sequence[str] = FORMATS) -> str:
    """Check that a file's ending tells a format of links, before anything is computed.

    Parameters
    ----------
    path
        The file.
    known
        Endings that will do.

    Returns
    -------
    str
        The ending, such as `.tsv.gz`.

    Raises
    ------
    OptionError
        The ending is unknown.
    """
    name = Path(path).name.lower()
    for ending in sorted(known, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    raise OptionError(
        "this ending tells no format of links", where=str(path), remedy=f"use one of {', '.join(known)}"
    )


def write_links(links: pd.DataFrame, path: PathLike) -> None:
    """Write a table of links in the format that the ending of its name tells; whole or not at all.

    Parameters
    ----------
    links
        One row a pair of gene and element, as `regulatory_links` returns it.
    path
        `.parquet`, `.tsv` or `.csv` for the whole table; `.bedpe` (see `write_bedpe`) or `.interact` (see
        `write_interact`) for genome browsers. All but Parquet may end in `.gz`.

    Raises
    ------
    OptionError
        The ending is unknown.
    InputError
        A column is missing.
    RunFolderError
        The file cannot be written.
    """
    ending = check_ending(path)
    if ending == ".parquet":
        check_links(links)
        write_parquet(path, links)
    elif ending.startswith(".bedpe"):
        write_bedpe(links, path)
    elif ending.startswith(".interact"):
        write_interact(links, path)
    else:
        check_links(links)
        _write_text(path, links, separator=_separator(ending), header=True)


def read_links(path: PathLike) -> pd.DataFrame:
    """Read a table of links.

    Parameters
    ----------
    path
        `.parquet`, `.tsv`, `.csv` or the last two with `.gz`, as `write_links` writes them.

    Returns
    -------
    pandas.DataFrame
        One row a pair, in the order of the file.

    Raises
    ------
    OptionError
        The ending is unknown.
    InputError
        The file is missing or damaged, lacks a column, or holds no number where one is needed.
    """
    ending = check_ending(path, FORMATS[:5])
    where = str(path)
    if not Path(path).is_file():
        raise InputError("there is no such file", where=where, remedy="check the path of the links")
    with _readable(where):
        links = pd.read_parquet(path) if ending == ".parquet" else _parse_text(path, _separator(ending))
    check_links(links, where=where)
    return _typed(links, where)


def write_bedpe(links: pd.DataFrame, path: PathLike) -> None:
    """Write links as BEDPE: promoter (2,000 bases and the transcription start) and element, by position.

    The ten columns are those of bedtools. The name is `gene|element`, the score that of the link times 1,000
    (0 to 1,000), the strand of elements `.`; a first line beginning with `#` names the columns.

    Parameters
    ----------
    links
        Table of links.
    path
        The file; packed where it ends in `.gz`.

    Raises
    ------
    InputError
        A column is missing.
    RunFolderError
        The file cannot be written.
    """
    check_links(links, (SOURCE, TARGET, *PLACES, SCORE))
    start, end = promoters(links)
    table = pd.DataFrame(
        {
            "#chrom1": links["source_chrom"].to_numpy(),
            "start1": start,
            "end1": end,
            "chrom2": links["target_chrom"].to_numpy(),
            "start2": links["target_start"].to_numpy(),
            "end2": links["target_end"].to_numpy(),
            "name": _pair_names(links),
            "score": _thousandths(links),
            "strand1": links["source_strand"].to_numpy(),
            "strand2": ".",
        }
    )
    table = table.sort_values(["#chrom1", "start1", "start2"], kind="stable")
    _write_text(path, table, header=True)


def write_interact(
    links: pd.DataFrame, path: PathLike, *, track_name: str | None = "omicsglue links"
) -> None:
    """Write links in the interact format of the UCSC genome browser, by position.

    The regulating end (`source` of the format) is the element, the regulated one (`target`) the base of the
    gene's transcription start. Positive links are blue, negative ones vermilion, paler with a lower score.

    Parameters
    ----------
    links
        Table of links; both ends of a pair lie on one chromosome.
    path
        The file; packed where it ends in `.gz`.
    track_name
        Name of the custom track. With None the lines of the track and of the columns' names are left out, as
        `bedToBigBed -as=interact.as -type=bed5+13` needs it to make a bigInteract file.

    Raises
    ------
    InputError
        A column is missing.
    RunFolderError
        The file cannot be written.

    Notes
    -----
    Format: https://genome.ucsc.edu/goldenPath/help/interact.html
    """
    check_links(links, (SOURCE, TARGET, *PLACES, SCORE, SIGN))
    start, end = promoters(links, upstream=0)
    low, high = (links[f"target_{side}"].to_numpy(dtype=np.int64) for side in ("start", "end"))
    modality = links["modality"] if "modality" in links else pd.Series(".", index=links.index)
    table = pd.DataFrame(
        {
            "#chrom": links["source_chrom"].to_numpy(),
            "chromStart": np.minimum(start, low),
            "chromEnd": np.maximum(end, high),
            "name": _pair_names(links),
            "score": _thousandths(links),
            "value": links[SCORE].to_numpy(dtype=float).round(4),
            "exp": _no_blanks(modality),
            "color": _colours(links),
            "sourceChrom": links["target_chrom"].to_numpy(),
            "sourceStart": low,
            "sourceEnd": high,
            "sourceName": _no_blanks(links[TARGET]),
            "sourceStrand": ".",
            "targetChrom": links["source_chrom"].to_numpy(),
            "targetStart": start,
            "targetEnd": end,
            "targetName": _no_blanks(links[SOURCE]),
            "targetStrand": links["source_strand"].to_numpy(),
        }
    )
    table = table.sort_values(["#chrom", "chromStart", "chromEnd"], kind="stable")
    _write_text(path, table, lead=_track_line(track_name), header=track_name is not None)


def _separator(ending: str) -> str:
    return "\t" if ending.startswith(".tsv") else ","


def _pair_names(links: pd.DataFrame) -> pd.Series[str]:
    return _no_blanks(links[SOURCE]) + "|" + _no_blanks(links[TARGET])


def _no_blanks(names: pd.Series[str]) -> pd.Series[str]:
    """Return names that stay one word: browsers split lines at blanks."""
    return names.astype(str).str.replace(r"\s+", "_", regex=True).reset_index(drop=True)


def _thousandths(links: pd.DataFrame) -> npt.NDArray[np.int64]:
    score = links[SCORE].to_numpy(dtype=float)
    return np.asarray(np.rint(1000 * np.clip(np.nan_to_num(score), 0, 1)), dtype=np.int64)


def _colours(links: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return `r,g,b` of each link, in eleven shades of its sign's colour; the palest are still to be seen."""
    shade = 0.3 + 0.07 * np.arange(11)[:, None]
    ramps = [np.rint(255 + shade * (np.array(colour) - 255)).astype(int) for colour in (_BLUE, _VERMILION)]
    names = np.array([[",".join(map(str, rgb)) for rgb in ramp] for ramp in ramps], dtype=object)
    negative = (links[SIGN].to_numpy() < 0).astype(np.int64)
    return np.asarray(names[negative, _thousandths(links) // 100], dtype=object)


def _track_line(name: str | None) -> str:
    if name is None:
        return ""
    plain = name.replace('"', "'").replace("\n", " ")
    return (
        f'track type=interact name="{plain}" description="{plain}: element to gene" '
        "interactDirectional=true maxHeightPixels=300:150:50 visibility=full\n"
    )


def _write_text(
    path: PathLike, table: pd.DataFrame, *, separator: str = "\t", lead: str = "", header: bool
) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        if str(path).lower().endswith(".gz"):
            # No time stamp and no name in the gzip header: one table gives one file
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                _write_lines(packed, table, separator, lead, header=header)
        else:
            _write_lines(raw, table, separator, lead, header=header)


def _write_lines(
    file: IO[bytes] | gzip.GzipFile, table: pd.DataFrame, separator: str, lead: str, *, header: bool
) -> None:
    file.write(lead.encode())
    table.to_csv(file, mode="wb", sep=separator, index=False, header=header, lineterminator="\n")


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Tell whatever the parsers raise as one kind of error."""
    import pyarrow as pa

    try:
        yield
    except (ValueError, OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the file cannot be read ({reason})",
            where=where,
            remedy="check that it is whole and that its ending tells its format, or write it anew",
        ) from error


def _parse_text(path: PathLike, separator: str) -> pd.DataFrame:
    # A gene may be called NA: only an empty cell is missing
    return pd.read_csv(
        path,
        sep=separator,
        dtype=dict.fromkeys(_TEXT, str),
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )


def _typed(links: pd.DataFrame, where: str) -> pd.DataFrame:
    """Give the columns of a table that was read their types."""
    numbers = links[[*_WHOLE, SIGN, SCORE, Q_VALUE]]
    wrong = [
        str(column)
        for column, values in numbers.items()
        if len(links)
        and (not pd.api.types.is_numeric_dtype(values) or (column in (*_WHOLE, SIGN) and values.hasnans))
    ]
    if wrong:
        raise InputError(
            f"column {examples(wrong)} holds something other than numbers",
            where=where,
            remedy="give coordinates, distance, score, sign and q-value of every pair as numbers",
        )
    types: dict[str, str] = {
        **dict.fromkeys(_WHOLE, "int64"),
        SIGN: "int8",
        SCORE: "float64",
        Q_VALUE: "float64",
    }
    for column in links.columns:  # where some pairs were not tested, a text file holds yes, no and nothing
        if str(column).startswith(EVIDENCE) and links[column].dtype == object:
            types[str(column)] = "boolean"
    return links.astype(types)
