"""Balancing weights: how much each cell counts in the alignment where composition differs between modalities.

Each modality is clustered in the pretrained space and clusters are matched between modalities by the cosine
similarity of their centroids, as in Cao & Gao 2022. They give a cell the summed similarity of its cluster
over the cluster's size; here it gets the ratio of matched shares, which is 1 where composition does not
differ (``docs/decisions/0007-balancing-by-ratios.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

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
UNUSED = 0.1  # of the largest spread: a dimension below it in one of two modalities says nothing


@dataclass(frozen=True)
class BalancingConfig:
    """Settings of the balancing step; defaults are the published ones but for a lower cutoff (0.5 there).

    Attributes
    ----------
    resolution
        Resolution of the Leiden clustering.
    neighbours
        Neighbours of each cell in the clustered graph.
    cutoff
        Cosine similarity of centroids under which two clusters do not match.
    power
        Exponent that sharpens the similarity of those that do.
    batch_cutoff
        As `cutoff`, between the batches of one modality, which are alike in more than modalities are.
    """

    resolution: float = 1.0
    neighbours: int = 15
    cutoff: float = 0.3
    power: float = 4.0
    batch_cutoff: float = 0.5


def balancing_weights(
    embeddings: Mapping[str, Floats], config: BalancingConfig, seed: int
) -> dict[str, Floats]:
    """Return the balancing weight of every cell.

    Parameters
    ----------
    embeddings
        Cell embeddings of each modality in the pretrained space, ``(n_k, D)``.
    config
        Settings.
    seed
        Seed of the clustering.

    Returns
    -------
    Weights of each modality, shape ``(n_k,)``, float32, mean 1.
    """
    clusters = {name: leiden_clusters(u, config, seed) for name, u in embeddings.items()}
    by_cluster = cluster_weights(
        [_centroids(u, clusters[name]) for name, u in embeddings.items()],
        [np.bincount(labels) / len(labels) for labels in clusters.values()],
        config.cutoff,
        config.power,
    )
    weights = {}
    for (name, labels), each in zip(clusters.items(), by_cluster, strict=True):
        weight = each[labels]
        mean = weight.mean()
        weights[name] = (weight / mean if mean > 0 else np.ones(len(labels))).astype(np.float32)
    return weights


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
    config = replace(config, cutoff=config.batch_cutoff)
    weights = np.ones(len(u), dtype=np.float32)
    for code, found in balancing_weights({c: u[r] for c, r in rows.items()}, config, seed).items():
        weights[rows[code]] = found
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
    if len(u) <= MOST_CELLS:
        return _clusters(unit_rows(u.astype(np.float64)), config, seed)
    some = np.sort(np.random.default_rng(seed).choice(len(u), MOST_CELLS, replace=False))
    unit = unit_rows(u[some].astype(np.float64))
    labels = _clusters(unit, config, seed)
    centroids = unit_rows(_centroids(unit, labels))
    blocks = (u[i : i + MOST_CELLS].astype(np.float64) for i in range(0, len(u), MOST_CELLS))
    nearest = [(unit_rows(block) @ centroids.T).argmax(1) for block in blocks]
    found = np.concatenate(nearest).astype(np.int64)
    found[some] = labels
    return found


def _clusters(unit: Floats64, config: BalancingConfig, seed: int) -> Ints:
    if len(unit) < FEWEST_CELLS:
        return np.zeros(len(unit), dtype=np.int64)
    import igraph

    adjacency = sp.triu(fuzzy_neighbours(unit, min(config.neighbours, len(unit) - 1)), k=1).tocoo()
    graph = igraph.Graph(len(unit), np.column_stack([adjacency.row, adjacency.col]))
    graph.es["weight"] = adjacency.data
    return _leiden(graph, config.resolution, seed)


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
    """Return the weight of a cell in each cluster of each modality.

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
            common = _common(spreads[k], spreads[m])
            cosine = unit_rows(own * common) @ unit_rows(other * common).T
            if (cosine.max(0).mean() + cosine.max(1).mean()) / 2 < LIKENESS:
                continue
            similarity = np.where(cosine > cutoff, np.maximum(cosine, 0) ** power, 0.0)
            claimed = similarity.T @ shares[k]
            handed = np.divide(shares[m], claimed, out=np.zeros(len(other)), where=claimed > 0)
            ratios *= similarity @ handed
        found.append(ratios ** (1 / len(centred)))
    return found


def _common(one: Floats64, other: Floats64) -> Floats64:
    """Return how far each dimension is used by both of two modalities, 0 to 1, from its spread in each."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    used = smaller > UNUSED * larger.max(initial=0)
    return np.divide(smaller, larger, out=np.zeros(len(larger)), where=used)


def unit_rows(x: Floats64) -> Floats64:
    """Return rows scaled to length 1; rows of zeros stay as they are."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1))


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
