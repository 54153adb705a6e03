"""Balancing weights: how much each cell counts in the alignment where composition differs between modalities.

Each modality is clustered in the pretrained space and clusters are matched between modalities by the cosine
similarity of their centroids, as in Cao & Gao 2022. They give a cell the summed similarity of its cluster
over the cluster's size; here it gets the ratio of matched shares, which is 1 where composition does not
differ (``docs/decisions/0007-balancing-by-ratios.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEWEST_CELLS = 3  # fewer have no graph of neighbours to speak of: they are one cluster


@dataclass(frozen=True)
class BalancingConfig:
    """Settings of the balancing step; defaults are the published ones.

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
    """

    resolution: float = 1.0
    neighbours: int = 15
    cutoff: float = 0.5
    power: float = 4.0


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


def leiden_clusters(u: Floats, config: BalancingConfig, seed: int) -> Ints:
    """Cluster cells on a cosine nearest-neighbour graph; returns codes of shape ``(n,)``."""
    if len(u) < FEWEST_CELLS:
        return np.zeros(len(u), dtype=np.int64)
    import igraph
    import scanpy as sc
    from anndata import AnnData

    cells = AnnData(obsm={"u": unit_rows(u)})
    neighbours = min(config.neighbours, len(u) - 1)
    sc.pp.neighbors(cells, n_neighbors=neighbours, use_rep="u", metric="euclidean", random_state=seed)
    adjacency = cells.obsp["connectivities"].tocoo()
    upper = adjacency.row < adjacency.col
    graph = igraph.Graph(len(u), np.column_stack([adjacency.row[upper], adjacency.col[upper]]))
    graph.es["weight"] = adjacency.data[upper]
    return _leiden(graph, config.resolution, seed)


def cluster_weights(
    centroids: Sequence[Floats64], shares: Sequence[Floats64], cutoff: float, power: float
) -> list[Floats64]:
    """Return the weight of a cell in each cluster of each modality.

    What modality m has of the cells in cluster i of modality k is found by handing the shares of m's
    clusters to the clusters of k that they resemble, in proportion to similarity and size. Its ratio to the
    cluster's own share is 1 where composition agrees, however the clusters are cut, and 0 where m has no
    match. The weight is the product of these ratios over the other modalities to the power 1/K, so that
    after weighting all modalities have the geometric mean of their compositions.

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
    unit = [unit_rows(c) for c in centroids]
    weights = []
    for k, own in enumerate(unit):
        weight = np.ones(len(own))
        for m, other in enumerate(unit):
            if m == k:
                continue
            cosine = own @ other.T
            similarity = np.where(cosine > cutoff, np.maximum(cosine, 0) ** power, 0.0)
            claimed = similarity.T @ shares[k]
            handed = np.divide(shares[m], claimed, out=np.zeros(len(other)), where=claimed > 0)
            weight *= similarity @ handed
        weights.append(weight ** (1 / len(unit)))
    return weights


def unit_rows(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return rows scaled to length 1; rows of zeros stay as they are."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1))


def _centroids(u: Floats, labels: Ints) -> npt.NDArray[np.float64]:
    sums = np.zeros((labels.max() + 1, u.shape[1]))
    np.add.at(sums, labels, u.astype(np.float64))
    return sums / np.bincount(labels)[:, None]


def _leiden(graph: object, resolution: float, seed: int) -> Ints:
    """Cluster an igraph graph by modularity; the library's generator is put back afterwards."""
    import random

    import igraph

    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = graph.community_leiden(  # type: ignore[attr-defined]
            objective_function="modularity", weights="weight", resolution=resolution, n_iterations=2
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(found.membership, dtype=np.int64)
