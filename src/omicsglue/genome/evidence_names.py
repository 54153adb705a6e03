"""Evidence that names its pairs, gene and element, in Parquet or in text separated by tabs or commas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from omicsglue.errors import InputError, RunFolderError, examples
from omicsglue.genome.delimited import TextTable, read_columns
from omicsglue.genome.evidence_tables import By, Choice, named_genes, pairs_table, text_of
from omicsglue.io import read_parquet
from omicsglue.keys import SOURCE, TARGET

_POSITIVE = "positive"
_OUTCOMES = {"TRUE": True, "FALSE": False, "1": True, "0": False}
_UNKNOWN = ("", ".", "NA", "NAN", "NONE", "<NA>")


def is_parquet(path: Path) -> bool:
    """Tell by its first bytes whether a file is Parquet."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def pairs_in_parquet(path: Path) -> tuple[By, pd.DataFrame]:
    """Read named pairs from Parquet: `source`, `target` and perhaps `positive`.

    Parameters
    ----------
    path
        The file, a table of links for instance.

    Returns
    -------
    How pairs are matched, and one row a pair; see :class:`omicsglue.genome.Evidence`.

    Raises
    ------
    InputError
        If the file is damaged, a column is missing, or a value of `positive` is neither true nor false.
    """
    try:
        table = read_parquet(path)
    except RunFolderError as error:  # of an input, not of a run
        raise InputError(error.what, where=error.where, remedy=error.remedy) from error
    missing = [column for column in (SOURCE, TARGET) if column not in table]
    if missing:
        raise InputError(
            f"there is no column {examples(missing)}; columns are {examples(table.columns, 12)}",
            where=str(path),
            remedy="Name the column of genes source and the column of elements target.",
        )
    used = [column for column in (SOURCE, TARGET, _POSITIVE) if column in table]
    words = table[used].astype(object).where(table[used].notna(), "").astype(str)
    return "names", _named_pairs(words, str(path))


def pairs_in_text(table: TextTable, choice: Choice) -> tuple[By, pd.DataFrame]:
    """Read named pairs from text with the columns `source`, `target` and perhaps `positive`.

    Parameters
    ----------
    table
        The table, as :func:`with_commas` returns it.
    choice
        Not heeded: named pairs have neither scores nor cell types.

    Returns
    -------
    As of :func:`pairs_in_parquet`.

    Raises
    ------
    InputError
        If a column or all rows are missing, or a value of `positive` is neither true nor false.
    """
    at = {SOURCE: table.position(SOURCE), TARGET: table.position(TARGET)}
    outcome = table.find(_POSITIVE)
    if outcome is not None:
        at[_POSITIVE] = outcome
    try:
        rows = read_columns(table, list(at.values()))
    except pd.errors.EmptyDataError as error:
        raise InputError(
            "there is a header and no row", where=str(table.path), remedy="Give a table with pairs."
        ) from error
    words = pd.DataFrame({name: rows[position].str.strip(' "') for name, position in at.items()})
    return "names", _named_pairs(words, str(table.path))


def with_commas(table: TextTable) -> TextTable:
    """Return a table whose first row is one word with commas as one separated by commas, with a header.

    Parameters
    ----------
    table
        Any table.

    Returns
    -------
    The same, or the table with `header` and `separator` found anew.
    """
    if len(table.first) != 1 or "," not in table.first[0]:
        return table
    header = tuple(table.first[0].split(","))
    return replace(table, header=header, first=header, skipped=table.skipped + 1, separator=",")


def _named_pairs(words: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return pairs of names; those whose outcome is not known, or that lack a name, are left out."""
    known = text_of(words[SOURCE]), text_of(words[TARGET])
    kept = pd.notna(known[0]) & pd.notna(known[1])
    positive = pd.array([pd.NA] * len(words), dtype="boolean")
    if _POSITIVE in words:
        outcome = words[_POSITIVE].str.upper().str.removesuffix(".0")
        strange = ~outcome.isin([*_OUTCOMES, *_UNKNOWN])
        if strange.any():
            raise InputError(
                f"positive is {examples(words.loc[strange, _POSITIVE].unique(), 3)} in {strange.sum():,} of "
                f"{len(words):,} rows",
                where=where,
                remedy="Write true where the element regulates the gene and false where it was tested "
                "without effect; leave the column out if all pairs are true.",
            )
        positive = pd.array(outcome.map(_OUTCOMES).to_numpy(dtype=object), dtype="boolean")
        kept &= np.asarray(~positive.isna(), dtype=np.bool_)
    nowhere = pd.DataFrame({"chrom": np.nan, "start": -1, "end": -1}, index=words.index)
    gene = named_genes(words, SOURCE)
    pairs = pairs_table(
        None, nowhere.astype({"chrom": object}), gene=gene["gene"], gene_id=gene["gene_id"], element=known[1]
    )
    return pairs.assign(positive=positive)[kept].reset_index(drop=True)
