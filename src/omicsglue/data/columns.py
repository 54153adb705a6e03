"""Keys of annotated data and the columns of ``obs`` that batches and labels come from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from omicsglue.errors import InputError, OmicsGlueWarning, examples
from omicsglue.keys import batch_columns
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from anndata import AnnData

Slot = Literal["obs", "var", "obsm", "varm", "layers"]

ONE_BATCH: Final = ("all",)  # where there is no column of batches
FEW_CELLS: Final = 20  # of a batch: fewer hardly tell its parameters from noise
SEPARATOR: Final = " / "  # between the values of several columns


def check_key(adata: AnnData, slot: Slot, key: str, *, where: str = "adata") -> str:
    """Return a key that is there.

    Parameters
    ----------
    adata
        Annotated data.
    slot
        Where the key shall be found.
    key
        The key.
    where
        Name of the modality or object.

    Raises
    ------
    InputError
        If it is not there; the message lists those that are and the nearest ones.
    """
    known = [str(name) for name in getattr(adata, slot)]
    if key not in known:
        kind = {"obs": "column", "var": "column", "layers": "layer"}.get(slot, "key")
        raise InputError(
            f"there is no {kind} {key!r}{did_you_mean(str(key), known)}",
            where=f"{where}.{slot}",
            remedy=f"choose one of those there are: {listed(known)}"
            if known
            else "there is none: leave it out",
        )
    return key


def check_batch_key(adata: AnnData, key: str, *, where: str = "adata") -> pd.Categorical:
    """Return the experimental batch of each cell.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Column of ``obs``; or several with commas between them, whose combinations are the batches then.
    where
        Name of the modality or object.

    Returns
    -------
    pandas.Categorical, length cells
        Batches as strings, with no unused category.

    Raises
    ------
    InputError
        If a column is missing, lacks a value, or differs between all cells; or combinations do.

    Warns
    -----
    OmicsGlueWarning
        If a column has one value, or combinations of columns leave few cells to a batch.
    """
    columns = batch_columns(key, adata.obs)
    if len(columns) == 1:
        return _one_column(adata, columns[0], where)
    for column in columns:
        _one_column(adata, column, where)
    batches = combined(adata.obs, columns)
    place = f"{where}.obs[{columns!r}]"
    _check_not_unique(batches, adata.n_obs, place)
    sizes = dict(zip(batches.categories, np.bincount(batches.codes).tolist(), strict=True))
    few = [f"{name}: {size}" for name, size in sizes.items() if size < FEW_CELLS]
    if few:
        warnings.warn(
            f"{place}: {len(few):,} of {len(sizes):,} combinations have fewer than {FEW_CELLS} cells "
            f"({examples(few, 3)}); their parameters "
            "rest on these cells alone\n  -> leave out the column that matters least",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return batches


def combined(table: pd.DataFrame, columns: Sequence[str]) -> pd.Categorical:
    """Return the combinations of several columns that occur, as text, missing where one of them is.

    The order is that of the columns' own categories, the first column first.
    """
    parts = [_as_strings(table[column]) for column in columns]
    codes = pd.DataFrame({number: part.codes for number, part in enumerate(parts)})
    found = codes[(codes >= 0).all(axis=1)].drop_duplicates().sort_values(codes.columns.tolist())
    names = [
        SEPARATOR.join(str(part.categories[code]) for part, code in zip(parts, row, strict=True))
        for row in found.itertuples(index=False)
    ]
    position = pd.MultiIndex.from_frame(found).get_indexer(pd.MultiIndex.from_frame(codes))
    values = [names[i] if i >= 0 else None for i in position]
    return pd.Categorical(values, categories=names)


def _one_column(adata: AnnData, key: str, where: str) -> pd.Categorical:
    check_key(adata, "obs", key, where=where)
    place = f"{where}.obs[{key!r}]"
    column = adata.obs[key]
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise InputError(
            f"{len(missing):,} of {adata.n_obs:,} cells have no batch: {examples(adata.obs_names[missing])}",
            where=place,
            remedy="fill in the column, or remove these cells",
        )
    batches = _as_strings(column)
    _check_not_unique(batches, adata.n_obs, place)
    if len(batches.categories) == 1:
        warnings.warn(
            f"{place}: all cells are of one batch ({batches.categories[0]}), so the key has no effect\n"
            "  -> leave it out, or choose the column that names donors, plates or lanes",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return batches


def _check_not_unique(batches: pd.Categorical, cells: int, place: str) -> None:
    if len(batches.categories) == cells > 1:
        raise InputError(
            f"every cell has a batch of its own ({examples(batches.categories, limit=3)})",
            where=place,
            remedy="choose the column of donors, plates or lanes; this looks like a barcode or measurement",
        )


def batch_values(table: pd.DataFrame, key: str) -> pd.Series[Any] | None:
    """Return the values of a batch key in a table of cells, as recorded by a run.

    Parameters
    ----------
    table
        ``obs`` of a modality.
    key
        One column, or several with commas between them.

    Returns
    -------
    The column, or the combinations of several; ``None`` where one is not there.
    """
    columns = batch_columns(key, table)
    if any(column not in table for column in columns):
        return None
    if len(columns) == 1:
        return table[columns[0]]
    return pd.Series(combined(table, columns), index=table.index)


def _as_strings(column: pd.Series[Any]) -> pd.Categorical:
    """Return a column as categories of strings: its own order if it is categorical, sorted if not."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used: Iterable[Any] = column.cat.remove_unused_categories().cat.categories
    else:
        used = sorted(column.dropna().unique(), key=str)
    categories = list(dict.fromkeys(str(value) for value in used))
    values = [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Categorical(values, categories=categories)


def batch_codes(
    adata: AnnData, key: str | None, batches: Sequence[str] | None = None, where: str = "adata"
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the batch of each cell as a number, and the names behind the numbers.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Column or columns of ``obs``, as for :func:`check_batch_key`; None puts all cells in one batch.
    batches
        Names known already, of a trained model; by default those found.
    where
        Name of the modality or object.

    Returns
    -------
    codes : ndarray of int64, length cells
    names : tuple of str

    Raises
    ------
    InputError
        As :func:`check_batch_key`, and if a batch is not among `batches`.
    """
    if key is None:
        return np.zeros(adata.n_obs, dtype=np.int64), tuple(batches) if batches else ONE_BATCH
    found = check_batch_key(adata, key, where=where)
    names = tuple(str(name) for name in found.categories) if batches is None else tuple(batches)
    unknown = [name for name in found.categories if name not in names]
    if unknown:
        raise InputError(
            f"the model does not know the batch {examples(unknown)}",
            where=f"{where}.obs[{key!r}]",
            remedy=f"use the batches it was trained on ({listed(names)}), or train it again",
        )
    position = np.array([names.index(str(name)) for name in found.categories], dtype=np.int64)
    return position[found.codes], names
