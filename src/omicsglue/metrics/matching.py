"""Scores of single cells against cells of another modality: true matches and transferred labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.metrics.checks import (
    Matrix,
    as_labels,
    as_matrix,
    at_least_cells,
    positive,
    same_columns,
    same_rows,
)
from omicsglue.metrics.neighbours import rows_per_block

_ROUNDING = 1e-12  # of the mean squared norm: distances nearer than this are equal


def foscttm_per_cell(
    x: npt.ArrayLike, y: npt.ArrayLike, *, block: int | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fraction of samples closer than the true match, for each cell and in both directions.

    Parameters
    ----------
    x, y
        Embeddings of the same cells in two modalities, in the same order: ``(n_cells, n_dims)``.
    block
        Cells handled at a time (default: as many as fit in 32 MB).

    Returns
    -------
    from_x
        ``(n_cells,)``, float64: for the cell of ``x``, the fraction of the cells of ``y`` that lie strictly
        closer than its own counterpart.
    from_y
        The same for the cells of ``y`` among those of ``x``.

    Raises
    ------
    InputError
        If the shapes differ or values are not finite.
    """
    a, b = as_matrix(x, "x"), as_matrix(y, "y")
    same_rows(a, b, ("x", "y"))
    same_columns(a, b, ("x", "y"))
    centre = (a.mean(axis=0) + b.mean(axis=0)) / 2
    a, b = a - centre, b - centre
    step = rows_per_block(len(a)) if block is None else positive(block, "block")
    true = ((a - b) ** 2).sum(axis=1)
    limit = true - _ROUNDING * float(((a**2).sum() + (b**2).sum()) / len(a))
    return _closer(a, b, limit, step), _closer(b, a, limit, step)


def _closer(a: Matrix, b: Matrix, limit: npt.NDArray[np.float64], step: int) -> npt.NDArray[np.float64]:
    """Fraction of the rows of ``b`` whose squared distance to a row of ``a`` is below its limit."""
    norm_a, norm_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    closer = np.empty(len(a))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        distance = a[rows] @ b.T
        distance *= -2
        distance += norm_b
        closer[rows] = (distance < (limit[rows] - norm_a[rows])[:, None]).sum(axis=1)
    return closer / len(b)


def foscttm(x: npt.ArrayLike, y: npt.ArrayLike, *, block: int | None = None) -> float:
    """Fraction of samples closer than the true match (FOSCTTM): 0 perfect, 0.5 chance.

    For every cell, the fraction of the cells of the other modality that lie strictly closer to it than its
    own counterpart does; the mean over cells and over both directions. Distances are Euclidean.

    Parameters
    ----------
    x, y
        Embeddings of the same cells in two modalities, in the same order: ``(n_cells, n_dims)``.
    block
        Cells handled at a time (default: as many as fit in 32 MB).

    Raises
    ------
    InputError
        If the shapes differ or values are not finite.

    References
    ----------
    Singh et al. 2020 (MMD-MA); Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.

    Examples
    --------
    >>> foscttm([[0.0], [1.0], [2.0]], [[0.0], [1.0], [2.0]])
    0.0
    """
    from_x, from_y = foscttm_per_cell(x, y, block=block)
    return float((from_x.mean() + from_y.mean()) / 2)


def label_transfer_accuracy(
    reference: npt.ArrayLike,
    reference_labels: npt.ArrayLike | pd.Series[Any],
    query: npt.ArrayLike,
    query_labels: npt.ArrayLike | pd.Series[Any],
    *,
    neighbours: int = 15,
) -> float:
    """Share of the query's cells whose label the majority of their nearest reference cells gives.

    Parameters
    ----------
    reference, query
        Embeddings in one common space: ``(n_reference, n_dims)`` and ``(n_query, n_dims)``.
    reference_labels, query_labels
        One label a cell.
    neighbours
        Reference cells that vote, each with one vote; ties go to the label that sorts first.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, labels are missing, or there are fewer reference cells
        than voters.
    """
    from sklearn.neighbors import KNeighborsClassifier

    a, b = as_matrix(reference, "reference"), as_matrix(query, "query")
    same_columns(a, b, ("reference", "query"))
    at_least_cells(a, positive(neighbours, "neighbours"), "reference")
    known = as_labels(reference_labels, len(a), "reference_labels")
    truth = as_labels(query_labels, len(b), "query_labels")
    voters = KNeighborsClassifier(neighbours, algorithm="brute").fit(a, np.array(known.names)[known.codes])
    expected = np.array(truth.names)[truth.codes]
    step = rows_per_block(neighbours)
    right = sum(
        int((voters.predict(b[start : start + step]) == expected[start : start + step]).sum())
        for start in range(0, len(b), step)
    )
    return right / len(b)
