"""Balancing weights: how much each cell counts in the alignment where composition differs between modalities.

Each modality is clustered in the pretrained space and clusters are matched between modalities, as in Cao &
Gao 2022. They give a cell the summed similarity of its cluster over its size; here it gets the ratio of
matched shares, which is 1 where composition does not differ (``docs/decisions/0007-balancing-by-ratios.md``).
How clusters of modalities are matched: :mod:`omicsglue.matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.matching import Clustering, Profiles, pair_weights, unit_rows
from omicsglue.metrics.neighbours import neighbour_blocks

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST_CELLS = 3  # fewer have no graph of neighbours to speak of: they are one cluster
MOST_CELLS = 50_000  # more are clustered by a sample: the time of exact neighbours grows with the square
SMALLEST_SCALE, LARGEST_SCALE = 1e-3, 1e4  # in units of a cell's distances to its neighbours
ZERO = 1e-100  # where all neighbours lie in one place
BISECTIONS = 60
DIFFERENT = 0.25  # mean departure of the weights from 1 beyond which composition differs
FINENESS = (0.4, 0.5, 0.7, 1.0)  # times the resolution: the clusterings by which modalities are matched


@dataclass(frozen=True)
class BalancingConfig:
    """Settings of the balancing step; defaults are the published ones but for a lower cutoff (0.5 there).

    Attributes
    ----------
    resolution
        Resolution of the finest Leiden clustering.
    neighbours
        Neighbours of each cell in the clustered graph.
    cutoff
        Similarity, in relation to the best matches of both, under which clusters of modalities do not match.
    power
        Exponent that sharpens the similarity of those that do.
    """

    resolution: float = 1.0
    neighbours: int = 15
    cutoff: float = 0.3
    power: float = 4.0


def balancing_weights(
    embeddings: Mapping[str, Floats],
    config: BalancingConfig,
    seed: int,
    profiles: Callable[[Mapping[str, sp.csr_matrix]], Profiles] | None = None,
) -> dict[str, Floats]:
    """Return the balancing weight of every cell.

    It is the product, over the other modalities, of the ratios of shares to the power 1/K, so that after
    weighting all K modalities have the geometric mean of their compositions.

    Parameters
    ----------
    embeddings
        Cell embeddings of each modality in the pretrained space, ``(n_k, D)``.
    config
        Settings.
    seed
        Seed of the clustering.
    profiles
        Returns the profiles of groups of cells in linked features, as
        :func:`~omicsglue.matching.linked_profiles` does; without it embeddings alone are compared.

    Returns
    -------
    Weights of each modality, shape ``(n_k,)``, float32, mean 1.
    """
    levels = {
        name: leiden_clusterings(u, [f * config.resolution for f in FINENESS], config, seed)
        for name, u in embeddings.items()
    }
    linked = profiles({name: _groups(each) for name, each in levels.items()}) if profiles else {}
    clusterings = {name: _clusterings(name, u, levels[name], linked) for name, u in embeddings.items()}
    weights = {name: np.ones(len(u)) for name, u in embeddings.items()}
    for one, other in combinations(embeddings, 2):
        found = pair_weights(
            (one, other), clusterings[one], clusterings[other], config.cutoff, config.power, len(weights)
        )
        weights[one] *= found[0]
        weights[other] *= found[1]
    return {name: _of_mean_one(weight) for name, weight in weights.items()}


def _of_mean_one(weight: Floats64) -> Floats:
    mean = weight.mean()
    return (weight / mean if mean > 0 else np.ones(len(weight))).astype(np.float32)


def _groups(levels: Sequence[Ints]) -> sp.csr_matrix:
    """Return which cells are in which cluster of several clusterings, clusters of all x cells."""
    cells = np.arange(len(levels[0]))
    tables = [sp.csr_matrix((np.ones(len(cells)), (labels, cells))) for labels in levels]
    return sp.csr_matrix(sp.vstack(tables))


def _clusterings(name: str, u: Floats, levels: Sequence[Ints], linked: Profiles) -> list[Clustering]:
    """Return clusterings of one modality with their centroids and their parts of the profiles."""
    of_all = {
        (other if name == one else one): pair[name != one]
        for (one, other), pair in linked.items()
        if name in (one, other)
    }
    ends = np.cumsum([labels.max() + 1 for labels in levels])
    found = []
    for labels, end in zip(levels, ends, strict=True):
        rows = slice(end - labels.max() - 1, end)
        found.append(
            Clustering(labels, _centroids(u, labels), {other: table[rows] for other, table in of_all.items()})
        )
    return found


def composition_differs(weights: Mapping[str, Floats]) -> bool:
    """Return whether balancing weights say that modalities are of different composition.

    They do where the weights of one modality depart from 1 by more than 0.25 in the mean. Where composition
    is the same they depart by up to 0.2, since no clustering is perfect (``docs/experiments.md``).

    Parameters
    ----------
    weights
        Of each modality, ``(n_k,)``, mean 1.
    """
    return any(float(np.abs(weight - 1).mean()) > DIFFERENT for weight in weights.values())


def leiden_clusters(u: Floats, config: BalancingConfig, seed: int) -> Ints:
    """Cluster cells on a cosine nearest-neighbour graph.

    Of more than 50,000 cells, so many drawn at random are clustered, and each other cell joins the cluster
    whose centroid is nearest.

    Parameters
    ----------
    u
        Embedding, ``(n, D)``.
    config
        Resolution and neighbours.
    seed
        Seed of the drawing and of Leiden.

    Returns
    -------
    Codes from 0, shape ``(n,)``, int64.
    """
    return leiden_clusterings(u, [config.resolution], config, seed)[0]


def leiden_clusterings(
    u: Floats, resolutions: Sequence[float], config: BalancingConfig, seed: int
) -> list[Ints]:
    """Cluster cells at several resolutions on one graph; as :func:`leiden_clusters`, which see."""
    if len(u) <= MOST_CELLS:
        return _clusters(unit_rows(u.astype(np.float64)), resolutions, config, seed)
    some = np.sort(np.random.default_rng(seed).choice(len(u), MOST_CELLS, replace=False))
    unit = unit_rows(u[some].astype(np.float64))
    return [_joined(u, unit, some, labels) for labels in _clusters(unit, resolutions, config, seed)]


def _joined(u: Floats, unit: Floats64, some: Ints, labels: Ints) -> Ints:
    """Return the clusters of all cells, given those of some: the nearest centroid's for the others."""
    centroids = unit_rows(_centroids(unit, labels))
    blocks = (u[i : i + MOST_CELLS].astype(np.float64) for i in range(0, len(u), MOST_CELLS))
    nearest = [(unit_rows(block) @ centroids.T).argmax(1) for block in blocks]
    found = np.concatenate(nearest).astype(np.int64)
    found[some] = labels
    return found


def _clusters(unit: Floats64, resolutions: Sequence[float], config: BalancingConfig, seed: int) -> list[Ints]:
    if len(unit) < FEWEST_CELLS:
        return [np.zeros(len(unit), dtype=np.int64) for _ in resolutions]
    import igraph

    adjacency = sp.triu(fuzzy_neighbours(unit, min(config.neighbours, len(unit) - 1)), k=1).tocoo()
    graph = igraph.Graph(len(unit), np.column_stack([adjacency.row, adjacency.col]))
    graph.es["weight"] = adjacency.data
    return [_leiden(graph, resolution, seed) for resolution in resolutions]


def fuzzy_neighbours(x: Floats64, neighbours: int) -> sp.csr_matrix:
    """Return the symmetric graph of nearest neighbours with the weights of UMAP.

    A cell is tied to its nearest neighbour with weight 1 and to the others with weights that fall
    exponentially, at a rate at which they sum to log2 of the number of neighbours; the two directions are
    united as probabilities. Source: McInnes et al. 2018. It is computed here since scanpy's function fails on
    over 8,191 cells with current SciPy, takes seconds to compile, and changes the threads of the process.

    Parameters
    ----------
    x
        Cells x dimensions.
    neighbours
        Neighbours of each cell, itself among them.

    Returns
    -------
    CSR, cells x cells, weights in (0, 1].
    """
    k = max(neighbours - 1, 1)
    blocks = list(neighbour_blocks(x, k))
    indices = np.concatenate([block[1] for block in blocks])
    distances = np.concatenate([block[2] for block in blocks])
    beyond = np.maximum(distances - distances[:, :1], 0)
    weights = np.exp(-beyond / _scales(beyond, distances, np.log2(max(neighbours, 2)))[:, None])
    rows = np.repeat(np.arange(len(x)), k)
    one_way = sp.csr_matrix((weights.ravel(), (rows, indices.ravel())), shape=(len(x), len(x)))
    return sp.csr_matrix(one_way + one_way.T - one_way.multiply(one_way.T))


def _scales(beyond: Floats64, distances: Floats64, total: float) -> Floats64:
    """Return the scale of each row at which exp(-beyond / scale) sums to a total, found by bisection."""
    least = np.maximum(SMALLEST_SCALE * distances.mean(axis=1), ZERO)
    low, high = least.copy(), np.maximum(LARGEST_SCALE * beyond.max(axis=1), 2 * least)
    for _ in range(BISECTIONS):
        middle = np.sqrt(low * high)
        above = np.exp(-beyond / middle[:, None]).sum(axis=1) > total
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray(high)


def _centroids(u: npt.NDArray[np.floating], labels: Ints) -> Floats64:
    sums = np.zeros((labels.max() + 1, u.shape[1]))
    np.add.at(sums, labels, u.astype(np.float64))
    return sums / np.bincount(labels)[:, None]


def _leiden(graph: object, resolution: float, seed: int) -> Ints:
    """Cluster an igraph graph by modularity; the library's generator is put back afterwards."""
    import random

    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(  # type: ignore[attr-defined]  # added at run time
            objective_function="modularity", weights="weight", resolution=resolution, n_iterations=2
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.membership, dtype=np.int64)
