"""Scores of how well the modalities (or batches) mix, and summaries of all scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError
from omicsglue.metrics.approximate import nearest_neighbours
from omicsglue.metrics.checks import (
    Labels,
    Matrix,
    as_labels,
    as_matrix,
    at_least_cells,
    positive,
    same_columns,
)
from omicsglue.metrics.estimate import Estimate, drawn_rows, mean_error, repeated
from omicsglue.metrics.neighbours import FRACTION, neighbour_blocks, neighbour_count
from omicsglue.metrics.silhouette import silhouettes


def seurat_alignment_score(
    embeddings: Sequence[npt.ArrayLike],
    *,
    neighbours: float = FRACTION,
    repeats: int = 4,
    seed: int = 0,
    most: int | None = None,
) -> float:
    r"""Seurat alignment score: 0 where modalities lie apart, 1 where they are mixed.

    The N modalities are subsampled to the size of the smallest. With :math:`\bar x` the mean
    number of a cell's k nearest neighbours that come from its own modality, the score is
    :math:`1 - (\bar x - k/N) / (k - k/N)`, at most 1. The mean over repeated subsamplings; where all
    modalities have one size there is nothing to sample, and it is computed once.

    Parameters
    ----------
    embeddings
        One array a modality, ``(n_cells, n_dims)`` each; two at least.
    neighbours
        Neighbourhood as a share of the cells after subsampling.
    repeats
        Subsamplings.
    seed
        Of the subsampling.
    most
        If all modalities hold more cells than that, they are subsampled to so many. By default only to the
        size of the smallest.

    Returns
    -------
    float
        Where `most` made a difference, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If there are fewer than two modalities, shapes do not fit or values are not finite.

    References
    ----------
    Butler et al. 2018, doi 10.1038/nbt.4096.
    """
    matrices = _matrices(embeddings, "embeddings", at_least=2)
    positive(repeats, "repeats")
    least = min(map(len, matrices))
    smallest = least if most is None else min(least, positive(most, "most"))
    if all(len(each) == smallest for each in matrices):
        return _alignment(matrices, neighbours)
    random = np.random.default_rng(seed)
    scores = [
        _alignment([each[random.choice(len(each), smallest, replace=False)] for each in matrices], neighbours)
        for _ in range(repeats)
    ]
    if smallest == least:
        return float(np.mean(scores))
    how = f"{smallest:,} cells of each modality, drawn {repeats} times"
    return Estimate(float(np.mean(scores)), how, mean_error(np.array(scores)))


def _matrices(values: Sequence[npt.ArrayLike], name: str, *, at_least: int) -> list[Matrix]:
    """Return the matrices of several modalities that lie in one space."""
    matrices = [as_matrix(each, f"{name}[{position}]") for position, each in enumerate(values)]
    if len(matrices) < at_least:
        raise InputError(
            f"it holds {len(matrices)} modality, {at_least} are needed",
            where=name,
            remedy="give a list with one array of cells by dimensions for each modality",
        )
    for position, each in enumerate(matrices[1:], start=1):
        same_columns(matrices[0], each, (f"{name}[0]", f"{name}[{position}]"))
    return matrices


def _alignment(matrices: list[Matrix], neighbours: float) -> float:
    """Alignment score of modalities of one size."""
    joint = np.concatenate(matrices)
    modality = np.repeat(np.arange(len(matrices)), [len(each) for each in matrices])
    k = neighbour_count(len(joint), neighbours)
    same = sum(
        int((modality[indices] == modality[rows][:, None]).sum())
        for rows, indices, _ in neighbour_blocks(joint, k)
    ) / len(joint)
    expected = k / len(matrices)
    return min(1 - (same - expected) / (k - expected), 1.0)


def omics_layer_asw(
    x: npt.ArrayLike,
    modality: npt.ArrayLike | pd.Series[Any],
    labels: npt.ArrayLike | pd.Series[Any],
    *,
    most: int | None = None,
    seed: int = 0,
) -> float:
    """Average silhouette width of the modalities within cell types: 1 mixed, 0 apart.

    For each cell type, the mean of ``1 - |s|`` over its cells, with ``s`` the silhouette of a cell for the
    modalities among the cells of that type; then the mean over types. Types that occur in one modality only
    say nothing about mixing and are left out.

    Parameters
    ----------
    x
        Joint embedding, ``(n_cells, n_dims)``.
    modality
        Modality (or batch) of each cell.
    labels
        Type of each cell.
    most
        Of a type with more cells, so many are drawn at random; the mean of four draws. By default all.
    seed
        Of the drawing.

    Returns
    -------
    float
        Where cells were drawn, an :class:`~omicsglue.metrics.Estimate` with its standard error.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, labels are missing, there is one modality, or no type
        occurs in two modalities.

    References
    ----------
    Luecken et al. 2022, doi 10.1038/s41592-021-01336-8; Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    joint = as_matrix(x, "x")
    layers = as_labels(modality, len(joint), "modality", at_least=2)
    types = as_labels(labels, len(joint), "labels")
    largest = int(types.sizes.max())
    if most is None or largest <= positive(most, "most"):
        return _layer_widths(joint, layers.codes, [types.of(code) for code in range(len(types.names))])

    def score(draw: Sequence[int]) -> float:
        some = []
        for code in range(len(types.names)):
            rows = drawn_rows(int(types.sizes[code]), most, [*draw, code])
            some.append(types.of(code) if rows is None else types.of(code)[rows])
        return _layer_widths(joint, layers.codes, some)

    return repeated(score, seed, f"{most:,} cells, at most, of each type")


def _layer_widths(
    joint: Matrix, layers: npt.NDArray[np.int64], cells_of_types: Sequence[npt.NDArray[np.int64]]
) -> float:
    widths = []
    for cells in cells_of_types:
        _, within = np.unique(layers[cells], return_inverse=True)
        if within.max() > 0:
            widths.append(float((1 - np.abs(silhouettes(joint[cells], within))).mean()))
    if not widths:
        raise InputError(
            "no cell type occurs in more than one modality",
            where="labels",
            remedy="use one vocabulary of cell types in all modalities",
        )
    return float(np.mean(widths))


def graph_connectivity(
    x: npt.ArrayLike,
    labels: npt.ArrayLike | pd.Series[Any],
    *,
    neighbours: int = 15,
    exact: bool = True,
    seed: int = 0,
) -> float:
    """Share of each type's cells in its largest connected part of the neighbour graph, averaged over types.

    Two cells are joined where either is among the other's nearest neighbours. These are searched
    approximately where there are many cells.

    Parameters
    ----------
    x
        Joint embedding, ``(n_cells, n_dims)``.
    labels
        Type of each cell.
    neighbours
        Size of a neighbourhood, the cell itself counted (as in scanpy).
    exact
        Whether neighbours are searched exactly however many cells there are. If not, of more than 100,000
        cells they are found approximately, from the seed.
    seed
        Of the approximate search.

    Returns
    -------
    float
        With approximate neighbours, an :class:`~omicsglue.metrics.Estimate` that tells their recall.

    Raises
    ------
    InputError
        If shapes do not fit, values are not finite, or labels are missing.

    References
    ----------
    Luecken et al. 2022, doi 10.1038/s41592-021-01336-8.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joint = as_matrix(x, "x")
    at_least_cells(joint, 3, "x")
    types = as_labels(labels, len(joint), "labels")
    if positive(neighbours, "neighbours") < 2:
        raise OptionError(
            "a neighbourhood of 1 holds the cell alone", where="neighbours", remedy="give 2 or more"
        )
    k, recall = min(neighbours - 1, len(joint) - 1), None
    if exact:
        within = [_edges_within(types, rows, found) for rows, found, _ in neighbour_blocks(joint, k)]
    else:
        near = nearest_neighbours(joint, k, seed=seed)
        recall, within = near.recall, [_edges_within(types, slice(0, len(joint)), near.indices)]
    source, target = np.concatenate(within, axis=1)
    graph = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(len(joint),) * 2)
    _, component = connected_components(graph.tocsr(), directed=False)
    largest = pd.Series(component).groupby(types.codes).agg(lambda part: part.value_counts().iloc[0])
    score = float((largest.to_numpy() / types.sizes).mean())
    return score if recall is None else Estimate(score, f"approximate neighbours, of recall {recall:.3f}")


def _edges_within(types: Labels, rows: slice, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Edges of one block that join cells of one type, ``(2, n_edges)``."""
    own = np.arange(rows.start, rows.stop)[:, None]
    same = types.codes[indices] == types.codes[own]
    edges: npt.NDArray[np.int64] = np.stack([np.broadcast_to(own, indices.shape)[same], indices[same]])
    return edges
