"""Matching of the clusters of two modalities whose composition may differ.

Before alignment each modality has its own origin in the shared space and its own scale in every feature, so
clusters are compared by what sets them apart from the mean of the clusters of their modality: in the
embedding, and in the features that the guidance graph links. A pair is judged by its similarity in relation
to the best that either cluster finds, so that the like of a cluster is not shared with a lesser one.
Clusterings of several resolutions are matched all with all, and those whose clusters find the best likes
count most. Figures behind the choices: ``docs/experiments.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.batches import slice_rows
from omicsglue.data.kinds import SUPPORT
from omicsglue.data.modality import ModalityData
from omicsglue.data.streaming import RowsOnDisk
from omicsglue.graph.guidance import GuidanceGraph

Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Profiles = Mapping[tuple[str, str], tuple[Floats64, Floats64]]
LIKENESS = 0.5  # likeness of clusterings by the embedding alone below which they say nothing of composition
LIKENESS_LINKED = 0.75  # the same where linked features are compared as well
LINKED = 2.0  # counts a cosine of linked features, which are noisy, as this much of one in the embedding
SHARPNESS = 0.03  # difference of likeness at which one pair of clusterings counts e times as much as another
UNUSED = 0.1  # of the largest spread: a dimension below it in one of two modalities says nothing
FEWEST_FEATURES = 50  # linked features below which profiles are not compared
BLOCK = 4096  # cells whose values are summed at a time


@dataclass(frozen=True)
class Clustering:
    """One clustering of a modality.

    Attributes
    ----------
    labels
        Cluster of each cell, codes from 0, shape ``(n,)``.
    centroids
        Means of the embedding, ``(clusters, D)``.
    profiles
        By the name of another modality: what the clusters hold in the features linked with it,
        ``(clusters, features)``. Modalities with too few links are left out.
    """

    labels: Ints
    centroids: Floats64
    profiles: Mapping[str, Floats64]

    @property
    def shares(self) -> Floats64:
        """Share of the cells in each cluster, sum 1."""
        return np.bincount(self.labels, minlength=len(self.centroids)) / len(self.labels)


def pair_weights(
    names: tuple[str, str],
    ones: Sequence[Clustering],
    others: Sequence[Clustering],
    cutoff: float,
    power: float,
    root: int = 2,
) -> tuple[Floats64, Floats64]:
    """Return weights of the cells of two modalities after which their composition is the same.

    Parameters
    ----------
    names
        Names of the two modalities.
    ones, others
        Clusterings of each; all are matched with all of the other.
    cutoff, power
        See :func:`matched_ratios`.
    root
        The ratio of shares to the power 1/root is the weight: the number of modalities.

    Returns
    -------
    Shape ``(n,)`` each, mean 1. All are 1 where no two clusterings are alike enough to say anything.
    """
    likenesses, found = [], []
    for one, other in product(ones, others):
        similarity, likeness = relative_similarity(names, one, other, cutoff, power)
        if likeness is not None:
            ratios = matched_ratios(similarity, one.shares, other.shares)
            found.append([_per_cell(r ** (1 / root), c) for r, c in zip(ratios, (one, other), strict=True)])
            likenesses.append(likeness)
    if not found:
        return np.ones(len(ones[0].labels)), np.ones(len(others[0].labels))
    belief = np.exp((np.array(likenesses) - max(likenesses)) / SHARPNESS)
    belief /= belief.sum()
    first, second = (belief @ np.stack(weights) for weights in zip(*found, strict=True))
    return first, second


def _per_cell(by_cluster: Floats64, clustering: Clustering) -> Floats64:
    weight = by_cluster[clustering.labels]
    return np.asarray(weight / weight.mean()) if weight.any() else np.ones(len(weight))


def matched_ratios(similarity: Floats64, one: Floats64, other: Floats64) -> tuple[Floats64, Floats64]:
    """Return the other modality's share of each cluster's cells over the cluster's own share.

    The shares of the other's clusters are handed to the clusters that they match, in proportion to similarity
    and size; so the ratio is 1 where composition agrees, however the clusters are cut, and 0 without a match.

    Parameters
    ----------
    similarity
        Of every pair of clusters, 0 where they do not match, ``(clusters, clusters of the other)``.
    one, other
        Shares of the cells in each cluster, sum 1.

    Returns
    -------
    Ratios of the clusters of the first and of the second.
    """
    ratios = []
    for matrix, own, theirs in ((similarity, one, other), (similarity.T, other, one)):
        claimed = matrix.T @ own
        ratios.append(matrix @ np.divide(theirs, claimed, out=np.zeros(len(theirs)), where=claimed > 0))
    return ratios[0], ratios[1]


def relative_similarity(
    names: tuple[str, str], one: Clustering, other: Clustering, cutoff: float, power: float
) -> tuple[Floats64, float | None]:
    """Return how well each pair of clusters of two modalities matches, and how alike the clusterings are.

    The cosines of the clusters in the embedding and in the linked features, each divided by the mean that
    clusters reach with their likes, are averaged. The square of a pair's mean cosine over those of the best
    pairs of its two clusters, to a power, is its similarity: 1 where each is the best of the other.

    Parameters
    ----------
    names
        Names of the two modalities.
    one, other
        Their clusterings.
    cutoff
        Similarity under which two clusters do not match.
    power
        Exponent that sharpens the similarity.

    Returns
    -------
    Similarity, ``(clusters, clusters of the other)``, and the mean cosine of the clusters and their likes,
    with that of linked features counted twice; ``None`` where it is too low to say anything.
    """
    cosine = _cosines(*_in_common(one.centroids, other.centroids))
    likeness, enough = _likeness(cosine), LIKENESS
    mean = cosine / max(likeness, UNUSED)
    if names[1] in one.profiles:
        linked = _cosines(_centred(one.profiles[names[1]]), _centred(other.profiles[names[0]]))
        alike = _likeness(linked)
        likeness, enough = likeness + LINKED * alike, LIKENESS_LINKED
        mean = (mean + linked / max(alike, UNUSED / LINKED)) / 2
    mean = np.maximum(mean, 0)
    best = mean.max(1, keepdims=True) * mean.max(0, keepdims=True)
    similarity = np.divide(mean**2, best, out=np.zeros_like(mean), where=best > 0) ** power
    return np.where(similarity > cutoff, similarity, 0), likeness if likeness >= enough else None


def _likeness(cosine: Floats64) -> float:
    return float(cosine.max(0).mean() + cosine.max(1).mean()) / 2


def _centred(x: Floats64) -> Floats64:
    return np.asarray(x - x.mean(axis=0))


def _cosines(one: Floats64, other: Floats64) -> Floats64:
    return np.asarray(unit_rows(one) @ unit_rows(other).T)


def _in_common(one: Floats64, other: Floats64) -> tuple[Floats64, Floats64]:
    """Return centred centroids of two modalities in the dimensions that both use."""
    one, other = _centred(one), _centred(other)
    used = common_use(one.std(axis=0), other.std(axis=0))
    return one * used, other * used


def common_use(one: Floats64, other: Floats64) -> Floats64:
    """Return how far each dimension is used by both of two modalities, 0 to 1, from its spread in each."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    used = smaller > UNUSED * larger.max(initial=0)
    return np.divide(smaller, larger, out=np.zeros(len(larger)), where=used)


def unit_rows(x: Floats64) -> Floats64:
    """Return rows scaled to length 1; rows of zeros stay as they are."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1))


def linked_profiles(
    modalities: Mapping[str, ModalityData], graph: GuidanceGraph, groups: Mapping[str, sp.csr_matrix]
) -> dict[tuple[str, str], tuple[Floats64, Floats64]]:
    """Return what groups of cells hold in the features that link two modalities.

    Of two modalities, that with fewer features is seen in those of its own that have links, the other in the
    weighted sums of the features linked with each. Counts are logarithms of shares of all counts, covered
    counts of fractions; other values are means. Edges of negative sign turn the values round.

    Parameters
    ----------
    modalities, graph
        The data.
    groups
        Which cells are in which group, 1 or 0, CSR, ``(groups, n)``; a cell may be in several groups.

    Returns
    -------
    By the names of two modalities, in their order, profiles of the groups of each, ``(groups, features)``.
    Pairs with fewer than 50 linked features are left out.
    """
    sums = {name: group_sums(modalities[name], each) for name, each in groups.items()}
    found = {}
    for one, other in combinations(modalities, 2):
        links = _links(modalities[one], modalities[other], graph)
        linked = {one: np.diff(links.tocsr().indptr) > 0, other: np.diff(links.tocsc().indptr) > 0}
        few, many = sorted((one, other), key=lambda name: len(modalities[name].features))
        table = (links if few == one else links.T).tocsr()[linked[few]]
        if table.shape[0] < FEWEST_FEATURES:
            continue
        own = sp.identity(len(linked[few]), format="csr")[linked[few]]
        profile = {
            few: _profile(modalities[few], sums[few], own),
            many: _profile(modalities[many], sums[many], table),
        }
        found[one, other] = profile[one], profile[other]
    return found


def group_sums(data: ModalityData, groups: sp.csr_matrix) -> tuple[Floats64, Floats64]:
    """Return the sums of a modality's values over groups of cells, and of how much was measured.

    Parameters
    ----------
    data
        The modality; its rows are read in blocks.
    groups
        As for :func:`linked_profiles`.

    Returns
    -------
    Sums, ``(groups, f)``, and their coverage, ``(groups, f)``; where all was measured, ``(groups, 1)``:
    all counts of the group, or its cells for other values.
    """
    values = np.zeros((groups.shape[0], len(data.features)))
    measured = np.zeros_like(values)
    for start in range(0, groups.shape[1], BLOCK):
        rows = np.arange(start, min(start + BLOCK, groups.shape[1]))
        members = groups[:, rows]
        values += (members @ _block(data.counts, rows)).toarray()
        if data.coverage is not None:
            measured += (members @ _block(data.coverage, rows)).toarray()
    if data.coverage is not None:
        return values, measured
    if SUPPORT[data.likelihood] in ("counts", "binary"):
        return values, values.sum(axis=1, keepdims=True)
    return values, np.asarray(groups.sum(axis=1), dtype=np.float64).reshape(-1, 1)


def _block(matrix: sp.csr_matrix | RowsOnDisk, rows: Ints) -> sp.csr_matrix:
    block = slice_rows(matrix, rows)
    parts = (block.value.numpy().astype(np.float64), block.column.numpy(), block.indptr.numpy())
    return sp.csr_matrix(parts, shape=block.shape)


def _profile(data: ModalityData, sums: tuple[Floats64, Floats64], table: sp.csr_matrix) -> Floats64:
    """Return the profile of groups over the rows of a table of signed links, ``(groups, rows)``."""
    values, measured = sums
    sign = np.sign(np.asarray(table.sum(axis=1)).ravel())
    table = abs(table)
    total = values @ table.T
    if measured.shape[1] > 1:
        measured = measured @ table.T
    if SUPPORT[data.likelihood] in ("counts", "binary", "covered counts"):
        return np.asarray(np.log((total + 1) / (measured + 1)) * sign)
    return np.asarray(total / np.maximum(measured, 1) * sign)


def _links(one: ModalityData, other: ModalityData, graph: GuidanceGraph) -> sp.coo_matrix:
    """Return the edges between two modalities, weight times sign, ``(features, features of the other)``."""
    at = np.full((2, graph.n_vertices), -1)
    for row, data in enumerate((one, other)):
        at[row, graph.index(data.features)] = np.arange(len(data.features))
    value = graph.weight.astype(np.float64) * graph.sign
    ends = [(graph.source, graph.target), (graph.target, graph.source)]
    rows, columns = (np.concatenate([at[i][pair[i]] for pair in ends]) for i in (0, 1))
    real = (rows >= 0) & (columns >= 0)
    same = (at >= 0).all(axis=0)  # features that both have
    entries = np.concatenate([np.tile(value, 2)[real], np.ones(same.sum())])
    where = np.concatenate([rows[real], at[0, same]]), np.concatenate([columns[real], at[1, same]])
    return sp.coo_matrix((entries, where), shape=(len(one.features), len(other.features)))
