"""Scores of how well an embedding keeps the biology: types and neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError
from omicsglue.metrics.checks import Matrix, as_labels, as_matrix, at_least_cells, positive, same_rows
from omicsglue.metrics.estimate import drawn_rows, repeated
from omicsglue.metrics.neighbours import FRACTION, neighbour_blocks, neighbour_count
from omicsglue.metrics.silhouette import silhouettes


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
        a neighbourhood that is a share of the cells is about the same one then. The mean of four draws. By
        default all.
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
    if most is None or len(joint) <= positive(most, "most"):
        return _average_precision(joint, types.codes, neighbours)

    def score(draw: Sequence[int]) -> float:
        rows = drawn_rows(len(joint), most, draw)
        return _average_precision(joint[rows], types.codes[rows], neighbours)

    return repeated(score, seed, f"{most:,} of {len(joint):,} cells, among themselves")


def _average_precision(joint: Matrix, codes: npt.NDArray[np.int64], neighbours: float) -> float:
    """Mean average precision of cells among themselves."""
    k = neighbour_count(len(joint), neighbours)
    rank = np.arange(1, k + 1)
    total = 0.0
    for rows, indices, _ in neighbour_blocks(joint, k):
        match = codes[indices] == codes[rows][:, None]
        precision = np.cumsum(match, axis=1) / rank
        hits = match.sum(axis=1)
        total += float(((precision * match).sum(axis=1) / np.maximum(hits, 1)).sum())
    return total / len(joint)


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
        If there are more cells, so many are drawn at random, and distances are those among them; the mean of
        four draws. By default all.
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
    if most is None or len(joint) <= positive(most, "most"):
        return float((silhouettes(joint, types.codes).mean() + 1) / 2)

    def score(draw: Sequence[int]) -> float:
        rows = drawn_rows(len(joint), most, draw)
        _, codes = np.unique(types.codes[rows], return_inverse=True)
        return float((silhouettes(joint[rows], codes).mean() + 1) / 2) if codes.any() else 0.5

    return repeated(score, seed, f"{most:,} of {len(joint):,} cells, among themselves")


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
        neighbours are searched among them; the mean of four draws. By default all.
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
        return _conserved(pairs, neighbours)

    def score(draw: Sequence[int]) -> float:
        some = []
        for number, (after, before) in enumerate(pairs):
            wanted = max(round(len(after) * most / cells), 2)
            rows = drawn_rows(len(after), wanted, [*draw, number])
            some.append((after, before) if rows is None else (after[rows], before[rows]))
        return _conserved(some, neighbours)

    return repeated(score, seed, f"{most:,} of {cells:,} cells, among themselves")


def _conserved(pairs: Sequence[tuple[Matrix, Matrix]], neighbours: float) -> float:
    wanted = neighbour_count(sum(len(after) for after, _ in pairs), neighbours)
    return float(np.mean([_shared(after, before, min(wanted, len(after) - 1)) for after, before in pairs]))


def _shared(after: Matrix, before: Matrix, k: int) -> float:
    """Mean Jaccard index of the k nearest neighbours in two spaces."""
    total = 0.0
    # Both searches walk in the same blocks, since these depend on k alone.
    for (_, a, _), (_, b, _) in zip(neighbour_blocks(after, k), neighbour_blocks(before, k), strict=True):
        both = np.sort(np.concatenate([a, b], axis=1), axis=1)
        shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
        total += float((shared / (2 * k - shared)).sum())
    return total / len(after)
