"""Keys of annotated data and the columns of ``obs`` that batches and labels come from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from omicsglue.errors import InputError, OmicsGlueWarning, examples
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from anndata import AnnData

Slot = Literal["obs", "var", "obsm", "varm", "layers"]


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
        Column of ``obs``.
    where
        Name of the modality or object.

    Returns
    -------
    pandas.Categorical, length cells
        Batches as strings, with no unused category.

    Raises
    ------
    InputError
        If the column is missing, lacks a value, or differs between all cells.
    """
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
    if len(batches.categories) == adata.n_obs > 1:
        raise InputError(
            f"every cell has a batch of its own ({examples(batches.categories, limit=3)})",
            where=place,
            remedy="choose the column of donors, plates or lanes; this looks like a barcode or measurement",
        )
    if len(batches.categories) == 1:
        warnings.warn(
            f"{place}: all cells are of one batch ({batches.categories[0]}), so the key has no effect\n"
            "  -> leave it out, or choose the column that names donors, plates or lanes",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return batches


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
        Column of ``obs``; None puts all cells in one batch.
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
        return np.zeros(adata.n_obs, dtype=np.int64), tuple(batches) if batches else ("all",)
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
