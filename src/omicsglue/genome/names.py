"""Spellings of chromosomes, gene ids and peak names, brought to one form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.keys import CHROM, END, START

# 1-22, 2L, 3R, X, Y, W, Z and the roman numerals of yeast and worm, with or without 'chr'
_MAIN = re.compile(r"(?:chr)?(\d{1,3}[LRAB]?|[XYWZ]|[IVX]{1,5})", re.IGNORECASE)
_MITOCHONDRION = re.compile(r"(?:chr)?(?:M|MT|mito)", re.IGNORECASE)
_REFSEQ = re.compile(r"NC_(\d{6})\.\d+")
_UCSC_SCAFFOLD = re.compile(r"chr[^_]+_([A-Z]{2}_?\d{5,})(?:v(\d+))?(?:_(?:random|alt|fix))?", re.IGNORECASE)
_ENSEMBL_ID = re.compile(r"(ENS[A-Z_]*\d{6,})\.\d+(_PAR_Y)?")
_PEAK = re.compile(r"(.*[^:_\-\s])[:_\-\s](\d[\d,]*)(?:-|_|:|\.\.|\s)(\d[\d,]*)")
_LONGEST = 10**12  # bases; no genome is longer


def harmonise_chroms(
    chroms: Sequence[object] | pd.Series | npt.NDArray[np.object_],
) -> npt.NDArray[np.object_]:
    """Spell chromosomes as UCSC does: `1` and `Chr1` become `chr1`, `MT` becomes `chrM`.

    RefSeq accessions of human and mouse chromosomes (`NC_000001.11`) become `chr1` and so on; other
    accessions and scaffolds keep their spelling.

    Parameters
    ----------
    chroms
        Chromosome names; missing values stay missing.

    Returns
    -------
    numpy.ndarray
        object, shape (n,), of str or NaN.

    Examples
    --------
    >>> harmonise_chroms(["1", "chrX", "MT", "NC_000067.6", "GL000194.1"]).tolist()
    ['chr1', 'chrX', 'chrM', 'chr1', 'GL000194.1']
    """
    return _map_unique(chroms, _harmonise)


def chrom_keys(chroms: Sequence[object] | pd.Series | npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Spell chromosomes so that two tables can be compared.

    As `harmonise_chroms`, and UCSC's scaffolds become the accession that Ensembl, GENCODE and Cell Ranger
    use: `chrUn_KI270302v1` becomes `KI270302.1` and `chr4_GL456216_random` becomes `GL456216.1`.

    Parameters
    ----------
    chroms
        Chromosome names; missing values stay missing.

    Returns
    -------
    numpy.ndarray
        object, shape (n,), of str or NaN.

    Examples
    --------
    >>> chrom_keys(["1", "chrUn_KI270302v1", "GL000194.1"]).tolist()
    ['chr1', 'KI270302.1', 'GL000194.1']
    """
    return _map_unique(chroms, _key)


def is_main_chrom(chroms: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Tell whole chromosomes (`chr1`, `chrX`, `chrM`) from scaffolds, patches and alternative loci.

    Parameters
    ----------
    chroms
        Harmonised names, shape (n,).

    Returns
    -------
    numpy.ndarray
        bool, shape (n,).
    """
    codes, unique = pd.factorize(chroms)
    main = np.array(
        [bool(_MAIN.fullmatch(str(c)) or _MITOCHONDRION.fullmatch(str(c))) for c in unique] + [False]
    )
    return np.asarray(main[codes], dtype=np.bool_)


def unversioned(ids: Sequence[str] | npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Drop the version of Ensembl ids and keep the mark of pseudo-autosomal copies.

    Parameters
    ----------
    ids
        Gene ids; ids that are not Ensembl's come back unchanged.

    Returns
    -------
    numpy.ndarray
        object, shape (n,), of str.

    Examples
    --------
    >>> unversioned(["ENSG00000182378.15_PAR_Y", "ENSG00000186092.7", "LOC1.2"]).tolist()
    ['ENSG00000182378_PAR_Y', 'ENSG00000186092', 'LOC1.2']
    """
    out = np.empty(len(ids), dtype=object)
    for i, value in enumerate(ids):
        match = _ENSEMBL_ID.fullmatch(str(value))
        out[i] = f"{match[1]}{match[2] or ''}" if match else str(value)
    return out


def parse_peak_names(names: Sequence[str] | pd.Index) -> pd.DataFrame:
    """Read coordinates out of peak names.

    Understood are `chr1:100-600`, `chr1-100-600`, `chr1_100_600` and mixtures of these, on chromosomes and on
    scaffolds whose names hold dots, dashes and underscores (`GL000194.1-100-600`,
    `chrUn_KI270302v1_100_600`). The two last numbers are taken as start and end, as they stand (0-based,
    half-open). A prefix that ends with a colon and that all names share, as in `second:chr1:100-600`, tells
    two sets of peaks apart and is no part of the chromosome.

    Parameters
    ----------
    names
        Peak names, shape (n,).

    Returns
    -------
    pandas.DataFrame
        Columns `chrom` (harmonised; NaN where the name could not be read), `start` and `end` (int64; -1
        there), in the order of `names`, with a plain integer index.

    Examples
    --------
    >>> parse_peak_names(["chr1:100-600", "GL000194.1-5-9", "peak7"]).values.tolist()
    [['chr1', 100, 600], ['GL000194.1', 5, 9], [nan, -1, -1]]
    """
    places = [_place(str(name)) for name in names]
    chrom = harmonise_chroms(_without_prefix(np.array([place[0] for place in places], dtype=object)))
    start, end = (np.array([place[i] for place in places], dtype=np.int64) for i in (1, 2))
    return pd.DataFrame({CHROM: chrom, START: start, END: end})


def _without_prefix(chroms: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return chromosomes without a prefix that all share, where what is left are main chromosomes."""
    unique = pd.unique(pd.Series(chroms, dtype=object).dropna())
    prefix, colon, first = str(unique[0]).rpartition(":") if len(unique) else ("", "", "")
    lead = prefix + colon
    # a single contig may have colons in its name (HLA-A*01:01:01:01)
    if not colon or not (len(unique) > 1 or first.startswith("chr")):
        return chroms
    if not all(str(each).startswith(lead) for each in unique):
        return chroms
    left = [str(each).removeprefix(lead) for each in unique]
    if sum(_MAIN.fullmatch(each) is not None for each in left) < len(left) / 2:
        return chroms
    return np.array(
        [each.removeprefix(lead) if isinstance(each, str) else each for each in chroms], dtype=object
    )


def _place(name: str) -> tuple[str | float, int, int]:
    match = _PEAK.fullmatch(name.strip())
    if match:
        start, end = int(match[2].replace(",", "")), int(match[3].replace(",", ""))
        if start < end < _LONGEST:
            return match[1], start, end
    return np.nan, -1, -1


def _map_unique(values: object, rule: Callable[[str], object]) -> npt.NDArray[np.object_]:
    codes, unique = pd.factorize(np.asarray(values, dtype=object))
    new = np.empty(len(unique) + 1, dtype=object)
    new[:-1] = [rule(str(value).strip()) for value in unique]
    new[-1] = np.nan  # code -1: missing
    return np.asarray(new[codes], dtype=object)


def _harmonise(name: str) -> str:
    if _MITOCHONDRION.fullmatch(name):
        return "chrM"
    main = _MAIN.fullmatch(name)
    if main:
        return f"chr{main[1].upper()}"
    accession = _REFSEQ.fullmatch(name)
    if accession:
        return _refseq_chrom(int(accession[1])) or name
    return name


def _refseq_chrom(number: int) -> str | None:
    """Return the chromosome of a human (NC_000001 to 24) or mouse (NC_000067 to 87) accession."""
    if number in (12920, 5089):
        return "chrM"
    for first, autosomes in ((1, 22), (67, 19)):
        place = number - first + 1
        if 1 <= place <= autosomes:
            return f"chr{place}"
        if place in (autosomes + 1, autosomes + 2):
            return "chrX" if place == autosomes + 1 else "chrY"
    return None


def _key(name: str) -> str:
    scaffold = _UCSC_SCAFFOLD.fullmatch(name)
    if scaffold:
        return f"{scaffold[1].upper()}.{scaffold[2] or 1}"
    return _harmonise(name)
