"""Files of one modality taken together: their tables joined, their matrices read from disk as one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsglue.data.inputs import split_mudata
from omicsglue.data.matrices import matrix_of
from omicsglue.data.stacked import StackedRows, stacked
from omicsglue.errors import InputError, OmicsGlueWarning, examples

if TYPE_CHECKING:
    from anndata import AnnData

X = "X"


def together(
    parts: Mapping[str, AnnData],
    *,
    who: str,
    prefix_with: str,
    label: str | None = None,
    prefix: bool = False,
) -> AnnData:
    """Return files of one modality as one AnnData, cells file after file.

    Features are in the order of the first file; ``uns``, ``var`` and ``varm`` are those of the first.

    Parameters
    ----------
    parts
        By the name of the file what :func:`~omicsglue.data.inputs.read_modality` reads with ``backed=True``.
    who
        Who asks, for messages.
    prefix_with
        The option that would put the names of files before those of cells, for messages.
    label
        ``obs`` column to add, which holds the name of the file that a cell came from.
    prefix
        Put the name of the file and a colon before the names of cells.

    Returns
    -------
    anndata.AnnData
        ``X`` and layers are :class:`~omicsglue.data.stacked.StackedRows`, which stay on disk.

    Raises
    ------
    InputError
        If features differ, names of cells occur more than once, or a matrix is of a kind that cannot be read.

    Warns
    -----
    OmicsGlueWarning
        Of what is left out: layers and representations that not all files have, and graphs between cells.
    """
    check_features(parts)
    joined = _tables(parts, who, prefix_with, label=label, prefix=prefix)
    have_x = {name: [X] if part.X is not None else [] for name, part in parts.items()}
    for _ in _in_all(have_x, "matrices", who):
        joined.X = _matrix(parts, None)
    for layer in _in_all({name: list(part.layers) for name, part in parts.items()}, "layers", who):
        joined.layers[layer] = _matrix(parts, layer)
    return joined


def names_of(files: Sequence[str | Path]) -> list[str]:
    """Return the names of files without their endings; the whole paths of those whose names are the same."""
    stems = [split_mudata(file)[0].stem for file in files]
    return [stem if stems.count(stem) == 1 else str(file) for stem, file in zip(stems, files, strict=True)]


def check_features(parts: Mapping[str, AnnData]) -> None:
    """Check that all files have the same features, in whatever order.

    Raises
    ------
    InputError
        If not, or if the first has two of one name.
    """
    (first, reference), *others = parts.items()
    if not reference.var_names.is_unique:
        twice = reference.var_names[reference.var_names.duplicated()].unique()
        raise InputError(
            f"names of features occur more than once: {examples(twice)}",
            where=first,
            remedy="call adata.var_names_make_unique() and save the file again",
        )
    for name, part in others:
        differ = reference.var_names.symmetric_difference(part.var_names)
        if len(differ) or part.n_vars != reference.n_vars:
            raise InputError(
                f"{len(differ):,} features are in one of them alone: {examples(differ)}",
                where=f"{first} and {name}",
                remedy="give files with the same features; count peaks again over one set of peaks",
            )


def _matrix(parts: Mapping[str, AnnData], layer: str | None) -> StackedRows:
    matrices = [matrix_of(part, layer, where=name) for name, part in parts.items()]
    return stacked(matrices, [part.var_names for part in parts.values()], list(parts))


def _tables(
    parts: Mapping[str, AnnData], who: str, prefix_with: str, *, label: str | None, prefix: bool
) -> AnnData:
    """Return everything but the matrices."""
    from anndata import AnnData

    first = next(iter(parts.values()))
    frames = []
    for name, part in parts.items():
        frame = part.obs.copy()
        if prefix:
            frame.index = [f"{name}:{cell}" for cell in frame.index]
        if label is not None:
            frame[label] = name
        frames.append(frame)
    obs = pd.concat(frames)
    if not obs.index.is_unique:
        twice = obs.index[obs.index.duplicated()].unique()
        raise InputError(
            f"names of cells occur more than once: {examples(twice)}",
            where=" and ".join(parts),
            remedy=f"add {prefix_with}, which puts the name of the file before each",
        )
    for column in frames[0]:
        if isinstance(frames[0][column].dtype, pd.CategoricalDtype):
            obs[column] = obs[column].astype("category")
    keys = _in_all({name: list(part.obsm) for name, part in parts.items()}, "obsm", who)
    obsm = {key: np.concatenate([np.asarray(part.obsm[key]) for part in parts.values()]) for key in keys}
    lost = sorted({f"obsp[{key!r}]" for part in parts.values() for key in part.obsp})
    if lost:
        _warn(who, f"graphs between cells are left out: {examples(lost)}")
    uns: dict[str, Any] = dict(first.uns)
    return AnnData(obs=obs, var=first.var.copy(), uns=uns, obsm=obsm, varm=dict(first.varm))


def _in_all(named: Mapping[str, list[str]], slot: str, who: str) -> list[str]:
    first = next(iter(named.values()))
    found = [key for key in first if all(key in keys for keys in named.values())]
    lost = sorted({key for keys in named.values() for key in keys}.difference(found))
    if lost:
        _warn(who, f"{slot} that not all files have are left out: {examples(lost)}")
    return found


def _warn(who: str, text: str) -> None:
    warnings.warn(
        f"{who}: {text}\n  -> add them afterwards where you need them", OmicsGlueWarning, stacklevel=5
    )
