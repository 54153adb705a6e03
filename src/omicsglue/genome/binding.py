"""Where transcription factors (TFs) bind: motif hits or ChIP peaks, and the elements they fall in."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.genome.bed_sites import FORM, TF, read_sites
from omicsglue.genome.intervals import window_pairs
from omicsglue.genome.names import chrom_keys
from omicsglue.keys import CHROM, END, START

_COLUMNS = (CHROM, START, END, TF)
# There are some 1,600 human TFs and a few motifs for each; a file with more names does not name TFs.
_MOST_NAMES = 20_000


@dataclass(frozen=True)
class BindingSites:
    """Sites at which TFs bind, in memory.

    Attributes
    ----------
    sites
        One row a site: `chrom` (category, spelled for comparison, see `chrom_keys`), `start`, `end` (int64,
        0-based, half-open) and `tf` (category).
    where
        What to call them in messages.
    """

    sites: pd.DataFrame
    where: str = "binding sites"


class BindingMatrix(NamedTuple):
    """Which TF binds in which element.

    Attributes
    ----------
    counts
        Sites of each TF in each element, int32, shape (n_elements, n_tfs), CSR.
    factors
        Names of the TFs, object, shape (n_tfs,).
    """

    counts: sparse.csr_array
    factors: npt.NDArray[np.object_]


def read_binding(path: str | Path, *, name_pattern: str | None = None) -> BindingSites:
    r"""Read motif hits or ChIP peaks of TFs.

    `binding_matrix` reads a file in pieces and needs no more memory for a larger one; read the sites first
    where they are wanted themselves, or are used many times.

    Parameters
    ----------
    path
        BED file, plain or gzip, separated by tabs or spaces, with the TF's name in its fourth column.
        Comments and a header may stand before the sites. Strands do not matter.
    name_pattern
        Regular expression that finds the TF in the name: its first group, or all that it matches.
        ``r"^([^_]+)_"`` makes SPI1 of ``SPI1_HUMAN.H11MO.0.A``, ``r"^MA\d+\.\d+\.(.+)$"`` of
        ``MA0080.5.SPI1`` and ``r"\|(.+)$"`` of ``ENCFF002COQ|SPI1``. Names in which it finds nothing stay
        as they are.

    Returns
    -------
    BindingSites
        The sites, in the order of the file.

    Raises
    ------
    InputError
        The file is missing, damaged, empty, has lines that are no sites, or does not name TFs.
    OptionError
        `name_pattern` is no regular expression, or finds nothing in any name.
    """
    chunks = list(_chunks(Path(path), name_pattern))
    columns: dict[str, Any] = {
        key: pd.api.types.union_categoricals([chunk[key] for chunk in chunks])
        if key in (CHROM, TF)
        else np.concatenate([chunk[key].to_numpy() for chunk in chunks])
        for key in _COLUMNS
    }
    return BindingSites(pd.DataFrame(columns), str(path))


def binding_matrix(
    binding: BindingSites | str | Path, elements: pd.DataFrame, *, name_pattern: str | None = None
) -> BindingMatrix:
    """Count the sites of each TF in each element.

    Parameters
    ----------
    binding
        A BED file as `read_binding` takes it, which is read in pieces, or sites that are in memory.
    elements
        Columns `chrom`, `start`, `end` (0-based, half-open), one row an element. Elements may overlap.
    name_pattern
        As in `read_binding`; for files.

    Returns
    -------
    BindingMatrix
        Counts of sites that share at least one base with the element, and the names of all TFs of the file.

    Raises
    ------
    InputError
        As `read_binding`, or no site lies in any element.
    OptionError
        As `read_binding`.
    """
    if isinstance(binding, BindingSites):
        where, chunks = binding.where, iter([binding.sites])
    else:
        where, chunks = str(binding), _chunks(Path(binding), name_pattern)
    places = pd.DataFrame({key: elements[key].to_numpy() for key in (CHROM, START, END)})
    places[CHROM] = chrom_keys(places[CHROM].astype(object))
    code: dict[str, int] = {}
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    chroms: dict[str, None] = {}
    for chunk in chunks:
        chroms |= dict.fromkeys(map(str, chunk[CHROM].cat.categories))
        names = chunk[TF].cat.categories
        code |= {str(name): len(code) + i for i, name in enumerate(n for n in names if str(n) not in code)}
        column = np.array([code[str(name)] for name in names], dtype=np.int64)[chunk[TF].cat.codes]
        pairs = window_pairs(places, chunk)
        rows.append(pairs.left)
        columns.append(column[pairs.right])
    row, hit = np.concatenate(rows), np.concatenate(columns)
    if not len(row):
        raise _nowhere(where, list(chroms), places[CHROM])
    counts = sparse.coo_array(
        (np.ones(len(row), dtype=np.int32), (row, hit)), shape=(len(places), len(code))
    ).tocsr()
    return BindingMatrix(counts, np.array(list(code), dtype=object))


def match_factors(
    factors: Sequence[str] | npt.NDArray[np.object_],
    genes: Sequence[str] | pd.Index,
    *,
    where: str = "binding sites",
) -> npt.NDArray[np.int64]:
    """Find TFs among genes, by name; where the spelling differs in case only (SPI1, Spi1), they match.

    Parameters
    ----------
    factors
        Names of TFs, shape (n_tfs,).
    genes
        Names of genes, shape (n_genes,).
    where
        What to call the TFs' source in messages.

    Returns
    -------
    numpy.ndarray
        Position of each TF among the genes, int64, shape (n_tfs,); -1 for a TF that is not there.

    Raises
    ------
    InputError
        No TF is among the genes.

    Warns
    -----
    OmicsGlueWarning
        Some TFs are not among the genes.

    Examples
    --------
    >>> match_factors(["SPI1", "Gata1"], ["Gata1", "Spi1"]).tolist()
    [1, 0]
    """
    names, known = (pd.Index([str(name) for name in each], dtype=object) for each in (factors, genes))
    at = _first_place(names, known)
    folded = _first_place(names.str.casefold(), known.str.casefold())
    at = np.where(at >= 0, at, folded)
    absent = names[at < 0]
    if len(absent) == len(names):
        raise InputError(
            f"none of the {len(names):,} TFs is among the {len(known):,} genes of the data. "
            f"TFs: {examples(names, 3)}; genes: {examples(known, 3)}",
            where=where,
            remedy="If the names hold more than the TF, say how to find it with name_pattern; "
            "if the data hold gene ids, use gene names.",
        )
    if len(absent):
        warnings.warn(
            f"{where}: {len(absent):,} of {len(names):,} TFs are not among the genes of the data, and get no "
            f"targets: {examples(absent)}",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return at


def _first_place(names: pd.Index, known: pd.Index) -> npt.NDArray[np.int64]:
    """Return the first position of each name in an index that may hold names twice."""
    first = np.flatnonzero(~known.duplicated())
    at = known[first].get_indexer(names)
    return np.asarray(np.where(at >= 0, first[at], -1), dtype=np.int64)


# Names


def _chunks(path: Path, name_pattern: str | None) -> Iterator[pd.DataFrame]:
    """Yield the sites of a file, piece by piece, checked and with harmonised names."""
    pattern = _compiled(name_pattern)
    names: set[str] = set()
    changed = pattern is None
    for chunk in read_sites(path):
        chroms, factors = (chunk[key].cat.categories.to_numpy(dtype=object) for key in (CHROM, TF))
        found = factors if pattern is None else np.array([_name(n, pattern) for n in factors], dtype=object)
        changed |= bool((found != factors).any())
        names.update(found)
        _check_names(path, names)
        chunk[CHROM] = _recoded(chunk[CHROM], chrom_keys(chroms))
        chunk[TF] = _recoded(chunk[TF], found)
        yield chunk
    if not changed:
        raise OptionError(
            f"{name_pattern!r} finds nothing new in any name: {examples(sorted(names), 3)}",
            where="name_pattern",
            remedy="Leave it out, or mend it.",
        )


def _compiled(name_pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if name_pattern is None else re.compile(name_pattern)
    except re.error as error:
        raise OptionError(
            f"{name_pattern!r} is no regular expression ({error})",
            where="name_pattern",
            remedy="Mend it; r'^([^_]+)_' takes what stands before the first underscore.",
        ) from error


def _name(name: str, pattern: re.Pattern[str]) -> str:
    match = pattern.search(name)
    found = (match[1] if pattern.groups else match[0]) if match else None
    return found or name


def _recoded(column: pd.Series, names: npt.NDArray[np.object_]) -> pd.Categorical:
    """Give the categories of a column other names, of which some may be equal."""
    codes, unique = pd.factorize(names)
    return pd.Categorical.from_codes(codes[column.cat.codes], pd.Index(unique, dtype=object))


def _check_names(path: Path, names: set[str]) -> None:
    if len(names) > _MOST_NAMES:
        raise InputError(
            f"the fourth column holds more than {_MOST_NAMES:,} names, so it does not name TFs: "
            f"{examples(islice(names, 3))}",
            where=str(path),
            remedy=f"{FORM} If the names hold the TF and more, say how to find it with name_pattern.",
        )


def _nowhere(where: str, chroms: list[str], element_chroms: pd.Series) -> InputError:
    known = list(pd.unique(element_chroms.dropna()))
    common = sorted(set(chroms) & set(known))
    if not common:
        return InputError(
            f"no chromosome is in both: sites are on {examples(chroms, 3)}, elements on {examples(known, 3)}",
            where=where,
            remedy="Use sites of the genome on which the data were aligned, with chromosomes spelled alike.",
        )
    return InputError(
        f"no site lies in any of the {len(element_chroms):,} elements; both are on {examples(common, 3)}",
        where=where,
        remedy="The sites are probably of another genome build: use those of the data's build (say mm10, not "
        "mm39), or lift their coordinates over. If the sites are right, they may be too few.",
    )
