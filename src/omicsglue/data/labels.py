"""Columns of known cell types, with what is not known of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from omicsglue.data.columns import check_key
from omicsglue.errors import InputError, OmicsGlueWarning, examples
from omicsglue.suggest import listed

if TYPE_CHECKING:
    from anndata import AnnData

_MANY_LABELS: Final = 0.5
_NO_TYPES: Final = frozenset(
    {"unknown", "unassigned", "undefined", "undetermined", "unlabeled", "unlabelled", "unannotated"}
    | {"na", "n/a", "nan", "none", "null", "-"}
)


def known_labels(column: pd.Series[Any], unknown: Collection[str] = ()) -> pd.Series[Any]:
    """Return a column as text, ``None`` where no cell type is known.

    Parameters
    ----------
    column
        Labels of any type, one a cell.
    unknown
        Labels that mean that the type is not known, beside missing values and empty text.
    """
    text = column.astype(str).astype(object)
    return text.where(column.notna() & ~text.isin(["", *unknown]), None)


def check_labels(
    adata: AnnData, key: str, *, unknown: Collection[str] = (), where: str = "adata"
) -> pd.Categorical:
    """Return the label of each cell, missing ones allowed.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Column of ``obs``.
    unknown
        Labels that mean that the type is not known.
    where
        Name of the modality or object.

    Returns
    -------
    pandas.Categorical, length cells
        Labels as strings; code -1 where there is none.

    Raises
    ------
    InputError
        If the column is missing, holds no label at all, or nearly as many labels as cells.

    Warns
    -----
    OmicsGlueWarning
        If cells have no label, or one that seems to mean that it is not known.
    """
    check_key(adata, "obs", key, where=where)
    place = f"{where}.obs[{key!r}]"
    labels = _categories(adata.obs[key], unknown)
    known = int((labels.codes >= 0).sum())
    if known == 0:
        raise InputError(
            "no cell has a label", where=place, remedy="choose another column, or leave the labels out"
        )
    if len(labels.categories) > max(2, _MANY_LABELS * known):
        raise InputError(
            f"there are {len(labels.categories):,} different labels for {known:,} cells "
            f"({examples(labels.categories, limit=3)})",
            where=place,
            remedy="choose the column that names cell types; this one looks like a barcode or a measurement",
        )
    if known < adata.n_obs:
        without = adata.n_obs - known
        warnings.warn(
            f"{place}: {without:,} of {adata.n_obs:,} cells ({without / adata.n_obs:.1%}) have no label; "
            "they are used without one\n  -> nothing need be done if that is meant",
            OmicsGlueWarning,
            stacklevel=2,
        )
    _warn_of_no_types(labels, place)
    return labels


def check_types(found: Mapping[str, Collection[str]]) -> None:
    """Check that the cell types known in the modalities can teach a classifier.

    Parameters
    ----------
    found
        Cell types known in each modality that has labels.

    Raises
    ------
    InputError
        If all labels are of one type.

    Warns
    -----
    OmicsGlueWarning
        If two modalities have labels and share none: most likely the same types are spelled in two ways,
        which would pull apart what belongs together.
    """
    types = sorted({label for labels in found.values() for label in labels})
    if len(types) == 1:
        raise InputError(
            f"all labels are of one type ({examples(types)}), from which nothing can be learned",
            where=" and ".join(found),
            remedy="label cells of two types at least, or leave the labels out",
        )
    for one, other in combinations(found, 2):
        if not set(found[one]) & set(found[other]):
            warnings.warn(
                f"{one} and {other} share no cell type: {one} has {listed(sorted(found[one]))}; "
                f"{other} has {listed(sorted(found[other]))}\n"
                "  -> spell the same types alike in both, or leave the labels of one out",
                OmicsGlueWarning,
                stacklevel=2,
            )


def _categories(column: pd.Series[Any], unknown: Collection[str]) -> pd.Categorical:
    """Return known labels as categories: in the column's own order if it is categorical, sorted if not."""
    values = known_labels(column, unknown)
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [str(value) for value in column.cat.categories]
    else:
        order = [str(value) for value in sorted(column.dropna().unique(), key=str)]
    there = set(values.dropna())
    return pd.Categorical(values, categories=[name for name in dict.fromkeys(order) if name in there])


def _warn_of_no_types(labels: pd.Categorical, place: str) -> None:
    words = [name for name in labels.categories if str(name).strip().lower() in _NO_TYPES]
    if words:
        cells = int(pd.Series(labels).isin(words).sum())
        warnings.warn(
            f"{place}: {examples(words)} ({cells:,} cells) is taken for a cell type like any other\n"
            "  -> if it means that the type is not known, name it with unknown_labels= or --unknown-label",
            OmicsGlueWarning,
            stacklevel=3,
        )
