"""Checks of what the user gives: each returns what it resolved, warns of what can be lived with, or raises.

None of them changes an object. ``where`` is what the user calls the object, the name of a modality for
example, and begins every message.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from omicsglue.data.columns import batch_codes, check_batch_key, check_key
from omicsglue.data.counts import check_counts, check_finite, warn_of_empty
from omicsglue.data.kinds import SUPPORT, check_values, suits
from omicsglue.data.labels import check_labels
from omicsglue.data.matrices import (
    MatrixSurvey,
    column_blocks,
    is_sparse,
    iter_row_blocks,
    matrix_of,
    survey_matrix,
)
from omicsglue.data.missing import check_coverage, coverage_key
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from anndata import AnnData

    from omicsglue.data.setup import ModalitySetup

__all__ = [
    "SUPPORT",
    "batch_codes",
    "check_batch_key",
    "check_counts",
    "check_coverage",
    "check_enough_cells",
    "check_finite",
    "check_key",
    "check_labels",
    "check_likelihood",
    "check_modalities",
    "check_modality_name",
    "check_representation",
    "check_setup",
    "check_shape",
    "check_unique_names",
    "check_values",
    "coverage_key",
    "iter_row_blocks",
    "matrix_of",
    "modelled_matrix",
    "survey_matrix",
    "warn_of_empty",
]

_MODALITY_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_FEW_CELLS: Final = 2

# Whole modalities


def check_shape(adata: AnnData, *, where: str = "adata") -> tuple[int, int]:
    """Return numbers of cells and features, neither of them 0.

    Raises
    ------
    InputError
        If there are no cells or no features.
    """
    for number, kind in ((adata.n_obs, "cells"), (adata.n_vars, "features")):
        if number == 0:
            raise InputError(
                f"there are no {kind} (shape {adata.n_obs:,} cells x {adata.n_vars:,} features)",
                where=where,
                remedy="check the step that made or filtered these data: it left nothing",
            )
    return int(adata.n_obs), int(adata.n_vars)


def check_unique_names(adata: AnnData, *, where: str = "adata") -> None:
    """Check that names of cells, and of features, differ from one another.

    Raises
    ------
    InputError
        If a name occurs twice.
    """
    for index, slot, kind in ((adata.obs_names, "obs", "cells"), (adata.var_names, "var", "features")):
        if index.is_unique:
            continue
        twice = index[index.duplicated()].unique()
        raise InputError(
            f"names of {kind} occur more than once: {examples(twice)}",
            where=f"{where}.{slot}_names",
            remedy=f"call adata.{slot}_names_make_unique() and save the file again",
        )


def check_modality_name(name: str) -> str:
    """Return the name of a modality, which names files, columns and command-line options.

    Raises
    ------
    OptionError
        If it holds anything but letters, digits, ``_`` and ``-``, or does not begin with a letter.
    """
    if not isinstance(name, str) or not _MODALITY_NAME.fullmatch(name):
        raise OptionError(
            f"{name!r} cannot be the name of a modality",
            remedy="begin with a letter and use letters, digits, '_' and '-' only, such as rna or atac",
        )
    return name


def check_modalities(modalities: Mapping[str, AnnData]) -> None:
    """Check that modalities can be integrated with one another.

    Parameters
    ----------
    modalities
        Annotated data by name.

    Raises
    ------
    OptionError
        If there are fewer than two, or a name cannot be used.
    InputError
        If one is empty, has duplicate names, is given twice, or shares a feature name with another.
    """
    if len(modalities) < 2:
        raise OptionError(
            f"integration needs at least two modalities, but got {listed(modalities)}",
            remedy="give each modality by its name, such as rna=rna.h5ad and atac=atac.h5ad",
        )
    seen: dict[int, str] = {}
    for name, adata in modalities.items():
        check_modality_name(name)
        if id(adata) in seen:
            raise InputError(
                f"the same object is given as {seen[id(adata)]!r} and as {name!r}",
                remedy="give each modality its own AnnData",
            )
        seen[id(adata)] = name
        check_shape(adata, where=name)
        check_unique_names(adata, where=name)
    _check_features_apart(modalities)


def _check_features_apart(modalities: Mapping[str, AnnData]) -> None:
    names = list(modalities)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = modalities[first].var_names.intersection(modalities[second].var_names)
            if len(shared):
                prefixed = f"{second}.var_names = '{second}:' + {second}.var_names"
                raise InputError(
                    f"the same feature names occur in both: {examples(shared)}",
                    where=f"{first} and {second}",
                    remedy=f"add a prefix to one of them, such as {prefixed}",
                )


def check_enough_cells(n_cells: int, batch_size: int, *, where: str = "adata") -> int:
    """Return a batch size that the cells can fill.

    Parameters
    ----------
    n_cells
        Cells to draw from.
    batch_size
        Cells wanted in a batch.
    where
        Name of the modality.

    Returns
    -------
    int
        The smaller of the two, with a warning if it is the number of cells.

    Raises
    ------
    InputError
        If there are fewer than two cells.
    OptionError
        If the batch size is below 2.
    """
    if batch_size < _FEW_CELLS:
        raise OptionError(
            f"the batch size is {batch_size}", where=where, remedy=f"use at least {_FEW_CELLS}, usually 128"
        )
    if n_cells < _FEW_CELLS:
        raise InputError(
            "there is only one cell to train on" if n_cells == 1 else "there are no cells to train on",
            where=where,
            remedy="integration needs at least some hundreds of cells in each modality",
        )
    if n_cells < batch_size:
        warnings.warn(
            f"{where}: there are {n_cells:,} cells to train on, fewer than a batch of {batch_size:,}; "
            f"batches of {n_cells:,} are used\n  -> so few cells embed coarsely; add cells if you can",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return min(n_cells, batch_size)


# Keys and what they name


def check_likelihood(name: str, known: Collection[str] = tuple(SUPPORT), *, where: str | None = None) -> str:
    """Return the name of a likelihood that is known.

    Raises
    ------
    OptionError
        If it is not known.
    """
    if name not in known:
        raise OptionError(
            f"there is no likelihood {name!r}{did_you_mean(str(name), known)}",
            where=where,
            remedy=f"choose one of: {listed(known)}",
        )
    return name


def check_representation(
    adata: AnnData, representation: str | Any, *, where: str = "adata", min_dimensions: int = 2
) -> NDArray[np.float32]:
    """Return a representation of the cells as a dense array.

    Parameters
    ----------
    adata
        Annotated data.
    representation
        Key of ``obsm``, or an array of cells x dimensions.
    where
        Name of the modality or object.
    min_dimensions
        Fewest dimensions that will do.

    Returns
    -------
    ndarray of float32, cells x dimensions
        A copy if the type had to change.

    Raises
    ------
    InputError
        If it is missing, has other rows than cells, too few dimensions, or values that are not finite.
    """
    place = where
    if isinstance(representation, str):
        check_key(adata, "obsm", representation, where=where)
        place, representation = f"{where}.obsm[{representation!r}]", adata.obsm[representation]
    values = _dense(representation, place)
    if values.ndim != 2 or len(values) != adata.n_obs:
        raise InputError(
            f"the representation has shape {values.shape}, but there are {adata.n_obs:,} cells",
            where=place,
            remedy="give one row for each cell, in the order of the cells",
        )
    if values.shape[1] < min_dimensions:
        raise InputError(
            f"the representation has {values.shape[1]} dimension{'' if values.shape[1] == 1 else 's'}, "
            f"fewer than {min_dimensions}",
            where=place,
            remedy="compute one with more, such as 50 to 100 components of PCA or LSI",
        )
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        cells = adata.obs_names[np.flatnonzero(~finite)]
        share = f"{len(cells):,} of {len(values):,} cells"
        raise InputError(
            f"the representation is NaN or infinite for {share}: {examples(cells)}",
            where=place,
            remedy="remove these cells, or compute the representation again (empty cells are a common cause)",
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def _dense(values: Any, where: str) -> NDArray[Any]:
    if is_sparse(values):
        values = values.toarray()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"the representation holds values of type {array.dtype}, not numbers",
            where=where,
            remedy="give a numerical array of cells x dimensions",
        )
    return array


# What a modality's setup names


def check_setup(adata: AnnData, setup: ModalitySetup, where: str = "adata") -> MatrixSurvey:
    """Check that everything a setup names is there and can be used.

    Parameters
    ----------
    adata
        Annotated data.
    setup
        What it is to be taken for.
    where
        Name of the modality or object.

    Returns
    -------
    MatrixSurvey
        Of the modelled matrix.

    Raises
    ------
    InputError, OptionError
        Whatever the single checks find.
    """
    check_shape(adata, where=where)
    check_unique_names(adata, where=where)
    check_likelihood(setup.likelihood, where=where)
    if setup.layer is not None:
        check_key(adata, "layers", setup.layer, where=where)
    if setup.representation is not None:
        check_representation(adata, setup.representation, where=where)
    if setup.batch_key is not None:
        check_batch_key(adata, setup.batch_key, where=where)
    if setup.labels_key is not None:
        check_labels(adata, setup.labels_key, unknown=setup.unknown_labels, where=where)
    survey = check_values(adata, setup.layer, SUPPORT[setup.likelihood], where=where)
    covered = check_coverage(adata, setup, where)
    warn_of_empty(covered or survey, adata, where=where)
    return survey


def modelled_matrix(
    adata: AnnData, setup: ModalitySetup, modelled: NDArray[np.bool_], where: str = "adata"
) -> sp.csr_matrix:
    """Return the columns of the modelled features, read in blocks.

    Parameters
    ----------
    adata
        Annotated data, in memory or backed.
    setup
        Names the layer and the likelihood.
    modelled
        Which features are modelled, length features.
    where
        Name of the modality or object.

    Returns
    -------
    scipy.sparse.csr_matrix of float32, cells x modelled features
        A copy without stored zeros; NaN where a value is missing.

    Raises
    ------
    InputError
        If no feature is modelled, or the values do not suit the likelihood.
    """
    if not modelled.any():
        raise InputError(
            f"none of its {len(modelled):,} features is in the guidance graph "
            f"({examples(adata.var_names, limit=3)})",
            where=where,
            remedy="build the graph from these very data; check annotation, genome build and names",
        )
    matrix = column_blocks(matrix_of(adata, setup.layer, where=where), np.flatnonzero(modelled))
    kind = SUPPORT[setup.likelihood]
    if not suits(survey_matrix(matrix), kind):
        check_values(adata, setup.layer, kind, where=where)
    if kind == "binary":
        matrix.data[matrix.data > 1] = 1
    return matrix
