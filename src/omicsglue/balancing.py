"""Balancing weights: how much each cell counts in the alignment where composition differs between modalities.

Each modality is clustered in the pretrained space and clusters are matched between modalities, as in Cao &
Gao 2022. They give a cell the summed similarity of its cluster over its size; here it gets the ratio of
matched shares, which is 1 where composition does not differ (``docs/decisions/0007-balancing-by-ratios.md``).
How clusters of modalities are matched: :mod:`omicsglue.matching`. Batches of one modality lie in one space:
their clusters are matched by the cosine similarity of centroids alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.matching import Clustering, Profiles, common_use, pair_weights, unit_rows
from omicsglue.metrics.neighbours import neighbour_blocks

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST_CELLS = 3  # fewer have no graph of neighbours to speak of: they are one cluster
MOST_CELLS = 50_000  # more are clustered by a sample: the time of exact neighbours grows with the square
SMALLEST_SCALE, LARGEST_SCALE = 1e-3, 1e4  # in units of a cell's distances to its neighbours
ZERO = 1e-100  # where all neighbours lie in one place
BISECTIONS = 60
LIKENESS = 0.5  # mean cosine of clusters and their likes below which nothing can be said of composition
DIFFERENT = 0.25  # mean departure of the weights from 1 beyond which composition differs
TURNS = 6  # of finding weights and means of clusters
LEAST = 1e-3  # weight of a cluster in the mean of its modality
FINENESS = (0.4, 0.5, 0.7, 1.0)  # times the resolution: the clusterings by which modalities are matched


@dataclass(frozen=True)
class BalancingConfig:
    """Settings of the balancing step; defaults are the published ones but for a lower cutoff (0.5 there).

    Attributes
    ----------
    resolution
        Resolution of the Leiden clustering of batches, and of the finest one of modalities.
    neighbours
        Neighbours of each cell in the clustered graph.
    cutoff
        Similarity, in relation to the best matches of both, under which clusters of modalities do not match.
    power
        Exponent that sharpens the similarity of those that do.
    batch_cutoff
        Cosine similarity of centroids under which clusters of batches do not match.
    """

    resolution: float = 1.0
    neighbours: int = 15
    cutoff: float = 0.3
    power: float = 4.0
    batch_cutoff: float = 0.5


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


def batch_weights(u: Floats, batch: Ints, config: BalancingConfig, seed: int) -> Floats:
    """Return the weight of every cell of one modality in the alignment of its batches.

    Batches are balanced as modalities are: a cell whose like is in no other batch weighs nothing, so that it
    is not drawn to cells of another kind.

    Parameters
    ----------
    u
        Cell embeddings in the pretrained space, ``(n, D)``.
    batch
        Code of each cell's batch, ``(n,)``.
    config, seed
        As for :func:`balancing_weights`.

    Returns
    -------
    Shape ``(n,)``, float32, mean 1 over each batch.
    """
    rows = {str(code): np.flatnonzero(batch == code) for code in np.unique(batch)}
    clusters = {code: leiden_clusters(u[each], config, seed) for code, each in rows.items()}
    by_cluster = cluster_weights(
        [_centroids(u[rows[code]], labels) for code, labels in clusters.items()],
        [np.bincount(labels) / len(labels) for labels in clusters.values()],
        config.batch_cutoff,
        config.power,
    )
    weights = np.ones(len(u), dtype=np.float32)
    for (code, labels), each in zip(clusters.items(), by_cluster, strict=True):
        weights[rows[code]] = _of_mean_one(each[labels])
    return weights


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


def cluster_weights(
    centroids: Sequence[Floats64], shares: Sequence[Floats64], cutoff: float, power: float
) -> list[Floats64]:
    """Return the weight of a cell in each cluster of each modality, or batch, by cosines of centroids alone.

    What modality m has of the cells in cluster i of modality k is found by handing the shares of m's
    clusters to the clusters of k that they resemble, in proportion to similarity and size. Its ratio to the
    cluster's own share is 1 where composition agrees, however the clusters are cut, and 0 where m has no
    match. The weight is the product of these ratios over the other modalities to the power 1/K, so that
    after weighting all modalities have the geometric mean of their compositions.

    Similarity is the cosine of centroids seen from the modality's weighted mean. Weights and means are
    found in turn, beginning with clusters of equal weight. Two modalities whose clusters hardly resemble each
    other at all (the nearest ones by less than 0.5 in the mean) say nothing of each other's composition: the
    guidance has not tied them.

    Parameters
    ----------
    centroids
        Centroids of each of K modalities, ``(clusters, D)``.
    shares
        Share of the modality's cells in each cluster, ``(clusters,)``, sum 1.
    cutoff, power
        See :class:`BalancingConfig`.

    Returns
    -------
    One array of shape ``(clusters,)`` a modality; its mean over cells is not yet 1.
    """
    weights = [1 / (len(share) * share) for share in shares]
    for turn in range(TURNS):
        found = _matched_weights(centroids, shares, weights, cutoff, power)
        if turn < TURNS - 1:
            weights = [np.maximum(np.sqrt(a * b), LEAST) for a, b in zip(weights, found, strict=True)]
    return found


def _matched_weights(
    centroids: Sequence[Floats64],
    shares: Sequence[Floats64],
    weights: Sequence[Floats64],
    cutoff: float,
    power: float,
) -> list[Floats64]:
    """Return new weights of clusters, given weights from which the modalities' means are taken."""
    masses = [w * share / (w @ share) for w, share in zip(weights, shares, strict=True)]
    centred = [c - mass @ c for c, mass in zip(centroids, masses, strict=True)]
    spreads = [np.sqrt(mass @ np.square(c)) for c, mass in zip(centred, masses, strict=True)]
    found = []
    for k, own in enumerate(centred):
        ratios = np.ones(len(own))
        for m, other in enumerate(centred):
            if m == k:
                continue
            common = common_use(spreads[k], spreads[m])
            cosine = unit_rows(own * common) @ unit_rows(other * common).T
            if (cosine.max(0).mean() + cosine.max(1).mean()) / 2 < LIKENESS:
                continue
            similarity = np.where(cosine > cutoff, np.maximum(cosine, 0) ** power, 0.0)
            claimed = similarity.T @ shares[k]
            handed = np.divide(shares[m], claimed, out=np.zeros(len(other)), where=claimed > 0)
            ratios *= similarity @ handed
        found.append(ratios ** (1 / len(centred)))
    return found


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
