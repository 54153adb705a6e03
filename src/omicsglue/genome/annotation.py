"""Genes and their coordinates, read from GTF, GFF3 and BED files."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd

from omicsglue.errors import AnnotationError
from omicsglue.genome.names import harmonise_chroms
from omicsglue.keys import CHROM, END, START, STRAND

GENE_ID, GENE_NAME, GENE_TYPE = "gene_id", "gene_name", "gene_type"
ANNOTATION_COLUMNS = (CHROM, START, END, STRAND, GENE_ID, GENE_NAME, GENE_TYPE)

_GET_ANOTHER = (
    "Give a GTF, GFF3 or BED file (plain or gzip), for instance GENCODE's annotation of your genome."
)
_GENE_TYPES = frozenset(
    {"gene", "ncRNA_gene", "pseudogene", "protein_coding_gene", "transposable_element_gene"}
)
_PART_TYPES = frozenset(
    {"transcript", "exon", "mRNA", "CDS", "five_prime_utr", "three_prime_utr", "lnc_RNA", "ncRNA", "UTR"}
)
_GTF_ATTRIBUTE = re.compile(r'\s*([^\s;"]+)\s+(?:"([^"]*)"|([^;"]+))\s*(?:;|$)')
_PACKED = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x89HDF": "HDF5", b"PAR1": "Parquet"}
# Transcripts of one gene that lie farther apart than this are taken for copies of the gene.
_COPY_GAP = 100_000


class _Row(NamedTuple):
    chrom: str
    start: int
    end: int
    strand: str
    gene_id: str
    gene_name: str
    gene_type: str


def read_annotation(path: str | Path) -> pd.DataFrame:
    """Read genes and their coordinates.

    The format is found from the content: GTF and GFF3 as Ensembl, GENCODE and RefSeq write them, and BED with
    names in its fourth column; plain or gzip. Where a GTF or GFF3 file holds no gene lines, a gene is
    the extent of its transcripts and exons; its copies on another chromosome or strand, or over 100 kb
    away, become rows of their own.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    pandas.DataFrame
        One row a gene, in the file's order: `chrom` (harmonised, see `harmonise_chroms`), `start` and `end`
        (int64, 0-based, half-open), `strand` ('+', '-' or '.'), `gene_id` (as in the file, with its version),
        `gene_name` (the id where the file has no name) and `gene_type` (empty where the file does not tell).

    Raises
    ------
    AnnotationError
        The file is missing, empty, cut short, not an annotation, or has a line that cannot be read.
    """
    path = Path(path)
    layout, gff3 = _find_format(path)
    if layout == "bed":
        rows = [row for number, line in _lines(path) if (row := _bed_row(path, number, line)) is not None]
        table = pd.DataFrame(rows, columns=list(ANNOTATION_COLUMNS))
    else:
        parse = _gff3_attributes if gff3 else _gtf_attributes
        table = pd.DataFrame(_gene_rows(path, parse), columns=list(ANNOTATION_COLUMNS))
        if table.empty:
            table = _extents(path, parse)
    if table.empty:
        raise AnnotationError("the file holds no gene", where=str(path), remedy=_GET_ANOTHER)
    table[CHROM] = harmonise_chroms(table[CHROM])
    return table.astype({START: np.int64, END: np.int64})


def _find_format(path: Path) -> tuple[str, bool]:
    with closing(_lines(path, comments=True)) as lines:
        return _format_of(path, lines)


def _format_of(path: Path, lines: Iterator[tuple[int, str]]) -> tuple[str, bool]:
    """Return 'bed' or 'gff', and whether the latter is GFF3, from the first line that is no comment."""
    gff3 = False
    for number, line in lines:
        if line.startswith("##gff-version"):
            gff3 = line.split()[-1].startswith("3")
        if _is_comment(line):
            continue
        fields = _bed_fields(line)
        if len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit():
            return "bed", False
        fields = line.split("\t")
        if len(fields) >= 8 and fields[3].isdigit() and fields[4].isdigit():
            attributes = fields[8] if len(fields) > 8 else ""
            return "gff", gff3 or bool(re.match(r"\s*[^\s;=\"]+=", attributes))
        raise AnnotationError(
            f"line {number} is neither GTF, GFF3 nor BED: {_shown(line)}",
            where=str(path),
            remedy=_GET_ANOTHER,
        )
    raise AnnotationError("the file is empty or holds only comments", where=str(path), remedy=_GET_ANOTHER)


def _lines(path: Path, *, comments: bool = False) -> Generator[tuple[int, str], None, None]:
    """Yield the numbered lines of a plain or gzip file, with its faults told in words."""
    number = 0
    try:
        with path.open("rb") as raw:
            head = raw.read(8)
            raw.seek(0)
            _refuse_packed(path, head)
            # gzip is known by its first bytes, since files are renamed more often than they are repacked
            stream = gzip.GzipFile(fileobj=raw) if head[:2] == b"\x1f\x8b" else raw
            with io.TextIOWrapper(stream, encoding="utf-8", errors="replace") as text:
                for line in text:
                    number += 1
                    if "\0" in line:
                        raise AnnotationError("this is a binary file", where=str(path), remedy=_GET_ANOTHER)
                    if comments or not _is_comment(line):
                        yield number, line.rstrip("\r\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnnotationError(
            f"the gzip file is cut short or damaged after line {number:,} ({error})",
            where=str(path),
            remedy="Fetch the file again and test it with 'gzip -t'.",
        ) from error
    except OSError as error:
        raise AnnotationError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(path),
            remedy="Check the path and its permissions.",
        ) from error


def _refuse_packed(path: Path, head: bytes) -> None:
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise AnnotationError(f"this is a {name} file", where=str(path), remedy=_GET_ANOTHER)


def _is_comment(line: str) -> bool:
    return line.startswith(("#", "track ", "track\t", "browser ")) or not line.strip()


def _shown(line: str) -> str:
    return repr(line if len(line) <= 80 else line[:79] + "…")


def _bad_line(path: Path, number: int, line: str, what: str) -> AnnotationError:
    return AnnotationError(
        f"line {number:,}: {what}: {_shown(line)}",
        where=str(path),
        remedy="Mend or remove this line; if it is the last one, the file was cut short: fetch it again.",
    )


def _bed_fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _bed_row(path: Path, number: int, line: str) -> _Row | None:
    fields = _bed_fields(line)
    if len(fields) < 3:
        raise _bad_line(path, number, line, "fewer than 3 columns")
    start, end = _positions(path, number, line, fields[1], fields[2], first=0)
    name = fields[3].strip() if len(fields) > 3 else ""
    name = name if name not in ("", ".") else f"{fields[0]}:{start}-{end}"
    strand = fields[5].strip() if len(fields) > 5 else "."
    return _Row(fields[0], start, end, strand if strand in ("+", "-") else ".", name, name, "")


def _positions(path: Path, number: int, line: str, start: str, end: str, *, first: int) -> tuple[int, int]:
    """Return 0-based half-open positions from a line that counts from `first`."""
    try:
        begin, stop = int(start) - first, int(end)
    except ValueError:
        raise _bad_line(path, number, line, "start or end is not a whole number") from None
    if begin < 0 or stop <= begin:
        raise _bad_line(path, number, line, f"positions {start} to {end} are not an interval")
    return begin, stop


def _gff_lines(path: Path, wanted: frozenset[str]) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in _lines(path):
        fields = line.split("\t", 8)
        if len(fields) < 8:
            if line.startswith(">"):  # sequences may follow the features in GFF3
                return
            raise _bad_line(path, number, line, f"{len(fields)} columns where 9 are needed")
        if fields[2] in wanted:
            yield number, line, fields


def _gff_place(path: Path, number: int, line: str, fields: list[str]) -> tuple[str, int, int, str]:
    start, end = _positions(path, number, line, fields[3], fields[4], first=1)
    return fields[0], start, end, fields[6] if fields[6] in ("+", "-") else "."


def _gene_rows(path: Path, parse: Callable[[str], dict[str, str]]) -> Iterator[_Row]:
    for number, line, fields in _gff_lines(path, _GENE_TYPES):
        place = _gff_place(path, number, line, fields)
        attributes = parse(fields[8] if len(fields) > 8 else "")
        gene_id = _gene_id(attributes) or _bare_id(attributes.get("ID", ""))
        if not gene_id:
            raise _bad_line(path, number, line, "the gene has neither id nor name")
        yield _Row(*place, gene_id, _gene_name(attributes) or gene_id, _gene_type(attributes))


def _extents(path: Path, parse: Callable[[str], dict[str, str]]) -> pd.DataFrame:
    """Build genes from the transcripts and exons of a file without gene lines."""
    rows = []
    for number, line, fields in _gff_lines(path, _PART_TYPES):
        attributes = parse(fields[8] if len(fields) > 8 else "")
        gene_id = _gene_id(attributes) or _bare_id(attributes.get("Parent", ""))
        if gene_id:
            place = _gff_place(path, number, line, fields)
            transcript = attributes.get("transcript_id") or attributes.get("ID") or gene_id
            rows.append(
                (*place, gene_id, _part_name(attributes) or gene_id, _gene_type(attributes), transcript)
            )
    parts = pd.DataFrame(rows, columns=[*ANNOTATION_COLUMNS, "transcript"])
    if parts.empty:
        return parts[list(ANNOTATION_COLUMNS)]
    gene = [GENE_ID, CHROM, STRAND]
    first_and_last = {START: "min", END: "max", GENE_NAME: "first", GENE_TYPE: "first"}
    transcripts = parts.groupby([*gene, "transcript"], sort=False, as_index=False).agg(first_and_last)
    transcripts["order"] = np.arange(len(transcripts))
    transcripts = transcripts.sort_values([*gene, START], kind="stable")
    reached = transcripts.groupby(gene, sort=False)[END].cummax()
    reached = reached.groupby([transcripts[key] for key in gene], sort=False).shift()
    transcripts["copy"] = (transcripts[START] > reached + _COPY_GAP).cumsum()
    genes = transcripts.groupby([*gene, "copy"], sort=False, as_index=False).agg(
        {**first_and_last, "order": "min"}
    )
    return genes.sort_values("order", ignore_index=True)[list(ANNOTATION_COLUMNS)]


def _gtf_attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, quoted, bare in _GTF_ATTRIBUTE.findall(text):
        found.setdefault(key, quoted or bare.strip())
    return found


def _gff3_attributes(text: str) -> dict[str, str]:
    pairs = (item.split("=", 1) for item in text.strip().split(";") if "=" in item)
    return {key.strip(): unquote(value.strip()) for key, value in pairs}


def _bare_id(text: str) -> str:
    """Drop the kind that Ensembl (`gene:`) and RefSeq (`gene-`) write before an ID."""
    return re.sub(r"^(?:gene|transcript|rna)[:-]", "", text)


def _gene_id(attributes: dict[str, str]) -> str:
    gene_id = attributes.get(GENE_ID) or attributes.get("gene") or attributes.get("geneID") or ""
    return gene_id or attributes.get(GENE_NAME, "")


def _gene_name(attributes: dict[str, str]) -> str:
    keys = (GENE_NAME, "Name", "gene", "gene_symbol")
    return next((attributes[key] for key in keys if attributes.get(key)), "")


def _part_name(attributes: dict[str, str]) -> str:
    """Return the gene's name on a transcript or exon line, where `Name` is the transcript's own."""
    keys = (GENE_NAME, "gene", "gene_symbol")
    return next((attributes[key] for key in keys if attributes.get(key)), "")


def _gene_type(attributes: dict[str, str]) -> str:
    keys = (GENE_TYPE, "gene_biotype", "biotype")
    return next((attributes[key] for key in keys if attributes.get(key)), "")
