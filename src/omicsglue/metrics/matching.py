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
from omicsglue.metrics.estimate import Estimate, Rows, drawn_rows, mean_error
from omicsglue.metrics.neighbours import rows_per_block

_ROUNDING = 1e-12  # of the mean squared norm: distances nearer than this are equal


def foscttm_per_cell(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    block: int | None = None,
    queries: int | None = None,
    seed: int = 0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Fraction of samples closer than the true match, for each cell and in both directions.

    Parameters
    ----------
    x, y
        Embeddings of the same cells in two modalities, in the same order: ``(n_cells, n_dims)``.
    block
        Cells handled at a time (default: as many as fit in 32 MB).
    queries
        If there are more cells, so many are drawn at random, and looked at among all; the same in both
        directions.
    seed
        Of the drawing.

    Returns
    -------
    from_x
        ``(n_cells,)``, or of the cells drawn, in the order of rows, float64: for the cell of ``x``, the
        fraction of the cells of ``y`` that lie strictly closer than its own counterpart.
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
    some = drawn_rows(len(a), None if queries is None else positive(queries, "queries"), seed)
    return _closer(a, b, limit, step, some), _closer(b, a, limit, step, some)


def _closer(
    a: Matrix, b: Matrix, limit: npt.NDArray[np.float64], step: int, some: Rows | None = None
) -> npt.NDArray[np.float64]:
    """Fraction of the rows of ``b`` whose squared distance to a row of ``a`` (or some) is below its limit."""
    if some is not None:
        return _closer(a[some], b, limit[some], step)
    norm_a, norm_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    closer = np.empty(len(a))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        distance = a[rows] @ b.T
        distance *= -2
        distance += norm_b
        closer[rows] = (distance < (limit[rows] - norm_a[rows])[:, None]).sum(axis=1)
    return closer / len(b)


def foscttm(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    block: int | None = None,
    queries: int | None = None,
    seed: int = 0,
) -> float:
    """Fraction of samples closer than the true match (FOSCTTM): 0 perfect, 0.5 chance.

    For every cell, the fraction of the cells of the other modality that lie strictly closer to it than its
    own counterpart does; the mean over cells and over both directions. Distances are Euclidean.

    Parameters
    ----------
    x, y
        Embeddings of the same cells in two modalities, in the same order: ``(n_cells, n_dims)``.
    block
        Cells handled at a time (default: as many as fit in 32 MB).
    queries
        If there are more cells, so many are drawn at random and looked at among all others: the time grows
        with the cells then, not with their square. By default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

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
    from_x, from_y = foscttm_per_cell(x, y, block=block, queries=queries, seed=seed)
    mean, cells = float((from_x.mean() + from_y.mean()) / 2), len(np.asarray(x))
    if len(from_x) == cells:
        return mean
    # both directions look at the same cells, whose two fractions are hardly independent
    error = mean_error((from_x + from_y) / 2)
    return Estimate(mean, f"{len(from_x):,} of {cells:,} cells, each among all", error)


def label_transfer_accuracy(
    reference: npt.ArrayLike,
    reference_labels: npt.ArrayLike | pd.Series[Any],
    query: npt.ArrayLike,
    query_labels: npt.ArrayLike | pd.Series[Any],
    *,
    neighbours: int = 15,
    queries: int | None = None,
    seed: int = 0,
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
    queries
        If the query has more cells, so many of them are drawn at random. By default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

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
    cells = len(b)
    some = drawn_rows(cells, None if queries is None else positive(queries, "queries"), seed)
    if some is not None:
        b, expected = b[some], expected[some]
    step = rows_per_block(neighbours)
    right = sum(
        int((voters.predict(b[start : start + step]) == expected[start : start + step]).sum())
        for start in range(0, len(b), step)
    )
    share = right / len(b)
    if some is None:
        return share
    return Estimate(share, f"{len(b):,} of {cells:,} cells", float(np.sqrt(share * (1 - share) / len(b))))
