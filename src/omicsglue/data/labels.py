"""Columns of known cell types, with what is not known of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.data.columns import check_key
from omicsglue.errors import InputError, OmicsGlueWarning, examples
from omicsglue.suggest import listed

if TYPE_CHECKING:
    from anndata import AnnData

Codes = npt.NDArray[np.int64]
EncoderInput = npt.NDArray[np.float32] | sp.csr_matrix

_MANY_LABELS: Final = 0.5
_REFERENCES: Final = 10_000  # labelled cells among which neighbours are looked for
_BLOCK: Final = 2048  # cells
_SHARE, _LIFT = (
    0.5,
    3.0,
)  # what supports a label: half the commonest label's votes, or thrice what chance gives
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


def supported_labels(codes: Codes, inputs: EncoderInput, neighbours: int) -> Codes:
    """Return labels without those that a cell's nearest labelled neighbours speak against.

    A label stays where, among the neighbours, it is at least half as frequent as their commonest label, or
    three times as frequent as among all labelled cells, so that rare types stay too.

    Parameters
    ----------
    codes
        Codes of cell types, -1 where unknown, shape ``(n,)``.
    inputs
        What the encoder sees, ``(n, d)``; nearness is the cosine.
    neighbours
        Neighbours that vote, at most; a tenth of the labelled cells where that is fewer. With 0, or with
        fewer than 20 labelled cells, labels stay as they are.

    Notes
    -----
    Editing by nearest neighbours, after Wilson 1972. Of more than 10,000 labelled cells, 10,000 drawn at
    random vote.
    """
    labelled = np.flatnonzero(codes >= 0)
    votes = min(neighbours, len(labelled) // 10)
    if votes < 2:
        return codes
    from sklearn.neighbors import NearestNeighbors

    draw = np.random.default_rng(0).choice(labelled, min(len(labelled), _REFERENCES), replace=False)
    draw.sort()
    search = NearestNeighbors(n_neighbors=votes + 1, metric="cosine", algorithm="brute").fit(inputs[draw])
    chance = np.bincount(codes[labelled], minlength=codes.max() + 1) / len(labelled)
    kept = codes.copy()
    for start in range(0, len(labelled), _BLOCK):
        rows = labelled[start : start + _BLOCK]
        found = draw[search.kneighbors(inputs[rows], return_distance=False)]
        others = found != rows[:, None]  # a cell does not vote for itself
        others[others.all(axis=1), -1] = False
        share = np.zeros((len(rows), len(chance)))
        at = np.broadcast_to(np.arange(len(rows))[:, None], found.shape)
        np.add.at(share, (at[others], codes[found[others]]), 1 / votes)
        own = share[np.arange(len(rows)), codes[rows]]
        needed = np.minimum(_SHARE * share.max(axis=1), _LIFT * chance[codes[rows]])
        kept[rows[own < needed]] = -1
    return kept


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
