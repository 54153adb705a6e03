"""Balancing weights: how much each cell counts in the alignment where composition differs between modalities.

Source: Cao & Gao 2022. Each modality is clustered in the pretrained space; clusters are matched between modalities by
the cosine similarity of their centroids; every cell gets the summed similarity of its cluster, over the cluster's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


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
    mass = matched_mass(
        [_centroids(u, clusters[name]) for name, u in embeddings.items()], config.cutoff, config.power
    )
    weights = {}
    for (name, labels), total in zip(clusters.items(), mass, strict=True):
        each = total / np.bincount(labels)
        weight = each[labels]
        mean = weight.mean()
        weights[name] = (weight / mean if mean > 0 else np.ones(len(labels))).astype(np.float32)
    return weights


def leiden_clusters(u: Floats, config: BalancingConfig, seed: int) -> Ints:
    """Cluster cells on a cosine nearest-neighbour graph; returns codes of shape ``(n,)``."""
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


def matched_mass(
    centroids: list[npt.NDArray[np.float64]], cutoff: float, power: float
) -> list[npt.NDArray[np.float64]]:
    """Return, for each cluster of each modality, the summed similarity of the combinations that it takes part in.

    A combination holds one cluster of every modality; its similarity is the product of the sharpened cosine
    similarities of all its pairs. Combinations with a pair under the cutoff have none and are never formed, so the
    work grows with the matches and not with the product of the cluster numbers.

    Parameters
    ----------
    centroids
        Centroids of each modality, ``(clusters, D)``.

    Returns
    -------
    One array of shape ``(clusters,)`` a modality.
    """
    unit = [unit_rows(c) for c in centroids]
    similarity = {}
    for i, j in combinations(range(len(unit)), 2):
        cosine = unit[i] @ unit[j].T
        similarity[i, j] = np.where(cosine > cutoff, np.maximum(cosine, 0) ** power, 0.0)
    members = np.arange(len(unit[0]))[:, None]
    mass = np.ones(len(unit[0]))
    for k in range(1, len(unit)):
        joint = mass[:, None] * np.prod([similarity[i, k][members[:, i]] for i in range(k)], axis=0)
        rows, columns = np.nonzero(joint)
        members, mass = np.column_stack([members[rows], columns]), joint[rows, columns]
    return [np.bincount(members[:, k], mass, minlength=len(c)) for k, c in enumerate(unit)]


def unit_rows(x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return rows scaled to length 1; rows of zeros stay as they are."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1))


def _centroids(u: Floats, labels: Ints) -> npt.NDArray[np.float64]:
    sums = np.zeros((labels.max() + 1, u.shape[1]))
    np.add.at(sums, labels, u.astype(np.float64))
    return sums / np.bincount(labels)[:, None]


def _leiden(graph: object, resolution: float, seed: int) -> Ints:
    """Leiden on an igraph graph with the resolution of modularity; the library's generator is put back after."""
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
