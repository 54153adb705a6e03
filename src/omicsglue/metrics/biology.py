"""Scores of how well an embedding keeps the biology: types and neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError
from omicsglue.metrics.checks import Matrix, as_labels, as_matrix, at_least_cells, positive, same_rows
from omicsglue.metrics.estimate import Estimate, drawn_rows, mean_error
from omicsglue.metrics.neighbours import FRACTION, neighbour_blocks, neighbour_count
from omicsglue.metrics.silhouette import silhouettes

Values = npt.NDArray[np.float64]


def mean_average_precision(
    x: npt.ArrayLike,
    labels: npt.ArrayLike | pd.Series[Any],
    *,
    neighbours: float = FRACTION,
    most: int | None = None,
    seed: int = 0,
) -> float:
    """Mean average precision (MAP) of finding a cell's own type among its nearest neighbours.

    For a cell with its k nearest neighbours in order, the mean, over those neighbours that share its label,
    of the share of equal labels among the neighbours up to and including that one; 0 where none shares it.
    Then the mean over cells. From 0 to 1, higher is better.

    Parameters
    ----------
    x
        Joint embedding, ``(n_cells, n_dims)``.
    labels
        Type of each cell.
    neighbours
        Neighbourhood as a share of all cells.
    most
        If there are more cells, so many are drawn at random, and the score is that of these by themselves:
        a neighbourhood that is a share of the cells is about the same one then. By default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, or labels are missing.

    References
    ----------
    Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    joint = as_matrix(x, "x")
    at_least_cells(joint, 2, "x")
    types = as_labels(labels, len(joint), "labels")
    some = drawn_rows(len(joint), None if most is None else positive(most, "most"), seed)
    if some is None:
        parts = _average_precisions(joint, types.codes, neighbours)
        return _total(parts) / len(joint)
    parts = _average_precisions(joint[some], types.codes[some], neighbours)
    how = f"{len(some):,} of {len(joint):,} cells, among themselves"
    return Estimate(_total(parts) / len(some), how, mean_error(np.concatenate(parts)))


def _average_precisions(joint: Matrix, codes: npt.NDArray[np.int64], neighbours: float) -> list[Values]:
    """Average precision of each cell, in blocks."""
    k = neighbour_count(len(joint), neighbours)
    rank = np.arange(1, k + 1)
    parts = []
    for rows, indices, _ in neighbour_blocks(joint, k):
        match = codes[indices] == codes[rows][:, None]
        precision = np.cumsum(match, axis=1) / rank
        hits = match.sum(axis=1)
        parts.append((precision * match).sum(axis=1) / np.maximum(hits, 1))
    return parts


def _total(parts: list[Values]) -> float:
    return sum(float(part.sum()) for part in parts)


def cell_type_asw(
    x: npt.ArrayLike, labels: npt.ArrayLike | pd.Series[Any], *, most: int | None = None, seed: int = 0
) -> float:
    """Average silhouette width of cell types, scaled to 0..1: ``(mean silhouette + 1) / 2``.

    Parameters
    ----------
    x
        Joint embedding, ``(n_cells, n_dims)``.
    labels
        Type of each cell; two types at least.
    most
        If there are more cells, so many are drawn at random, and distances are those among them. By default
        all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, labels are missing, or there is one type only.

    References
    ----------
    Luecken et al. 2022, doi 10.1038/s41592-021-01336-8; Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    joint = as_matrix(x, "x")
    types = as_labels(labels, len(joint), "labels", at_least=2)
    some = drawn_rows(len(joint), None if most is None else positive(most, "most"), seed)
    if some is None:
        return float((silhouettes(joint, types.codes).mean() + 1) / 2)
    _, codes = np.unique(types.codes[some], return_inverse=True)
    found = (silhouettes(joint[some], codes) + 1) / 2 if codes.any() else np.zeros(len(some))
    how = f"{len(some):,} of {len(joint):,} cells, among themselves"
    return Estimate(float(found.mean()), how, mean_error(found))


def neighbour_conservation(
    embeddings: Sequence[npt.ArrayLike],
    representations: Sequence[npt.ArrayLike],
    *,
    neighbours: float = FRACTION,
    most: int | None = None,
    seed: int = 0,
) -> float:
    """How far the neighbours of a cell within its own modality stay its neighbours after integration.

    For each cell, with S its k nearest neighbours of the same modality before and I after integration, the
    share ``|S & I| / |S | I|`` of those in both among those in either. The mean over the cells of a modality,
    then over modalities. From 0 to 1, higher is better.

    Parameters
    ----------
    embeddings
        Integrated embedding of each modality, ``(n_cells, n_dims)``.
    representations
        Representation of each modality by itself (PCA, LSI), of the same cells in the same order; the number
        of dimensions may differ.
    neighbours
        Neighbourhood as a share of the cells of all modalities together.
    most
        If the modalities hold more cells together, so many are drawn at random, of each in proportion, and
        neighbours are searched among them. By default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If the numbers of modalities or cells differ, or values are not finite.

    References
    ----------
    Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    if len(embeddings) != len(representations) or not len(embeddings):
        raise InputError(
            f"{len(embeddings)} embeddings and {len(representations)} representations were given",
            where="embeddings and representations",
            remedy="give one of each for every modality, in the same order",
        )
    pairs = []
    for position, (after, before) in enumerate(zip(embeddings, representations, strict=True)):
        names = (f"embeddings[{position}]", f"representations[{position}]")
        pair = as_matrix(after, names[0]), as_matrix(before, names[1])
        same_rows(*pair, names)
        at_least_cells(pair[0], 2, names[0])
        pairs.append(pair)
    cells = sum(len(after) for after, _ in pairs)
    if most is None or cells <= positive(most, "most"):
        return float(np.mean([_total(parts) / len(pair[0]) for parts, pair in _shared(pairs, neighbours)]))
    random = np.random.default_rng(seed)
    some = []
    for after, before in pairs:
        wanted = max(round(len(after) * most / cells), min(2, len(after)))
        rows = np.sort(random.choice(len(after), wanted, replace=False))
        some.append((after[rows], before[rows]))
    found = [np.concatenate(parts) for parts, _ in _shared(some, neighbours)]
    how = f"{sum(map(len, found)):,} of {cells:,} cells, among themselves"
    return Estimate(float(np.mean([each.mean() for each in found])), how, mean_error(*found))


def _shared(
    pairs: list[tuple[Matrix, Matrix]], neighbours: float
) -> list[tuple[list[Values], tuple[Matrix, Matrix]]]:
    """Jaccard index of each cell's neighbours in two spaces, in blocks; and the spaces of each modality."""
    wanted = neighbour_count(sum(len(after) for after, _ in pairs), neighbours)
    return [
        (_jaccard(after, before, min(wanted, len(after) - 1)), (after, before)) for after, before in pairs
    ]


def _jaccard(after: Matrix, before: Matrix, k: int) -> list[Values]:
    parts = []
    # Both searches walk in the same blocks, since these depend on k alone.
    for (_, a, _), (_, b, _) in zip(neighbour_blocks(after, k), neighbour_blocks(before, k), strict=True):
        both = np.sort(np.concatenate([a, b], axis=1), axis=1)
        shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
        parts.append(shared / (2 * k - shared))
    return parts
