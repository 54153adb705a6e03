"""Profiles: how each feature's counts change along the joint embedding, as the data alone tell.

The feature embeddings of the model carry the guidance graph, so that linked features are alike whatever the
data say. A profile is fitted to counts and cell embeddings alone: what it says of a pair of features is
evidence that the graph did not put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.errors import InputError
from omicsglue.tl.embeddings import REMEDY, checked_embeddings
from omicsglue.tl.metacells import Codes, Counts, membership

Floats = npt.NDArray[np.float64]

SMALLEST_AXIS = 0.01  # of the largest: axes of the embedding with less variance are empty
PRIOR_PRECISION = 5.0  # of a coefficient, which is a log fold change over one deviation of an axis
CELLS_IN_METACELL = 10
MOST_METACELLS = 300
_FEATURES, _NEWTON_STEPS, _LONGEST_STEP = 4096, 6, 1.5
_DISPERSION = 0.1  # of metacell counts, before it is estimated


@dataclass(frozen=True)
class Profiles:
    """Profiles of the features of one modality.

    Attributes
    ----------
    direction
        Expected direction of the change of the log rate along the axes of the embedding, float64, shape
        ``(features, axes)``. Its length is at most 1, and the shorter the less the counts tell.
    size
        Deviation of the log rate over cells, shape ``(features,)``.
    """

    direction: Floats
    size: Floats

    @property
    def unit(self) -> Floats:
        """Directions of length 1 (0 for features without any count), shape ``(features, axes)``."""
        return self.direction / np.maximum(np.sqrt(self.reliability), 1e-12)[:, None]

    @property
    def reliability(self) -> Floats:
        """Share of the profile that is signal, between 0 and 1, shape ``(features,)``."""
        return np.asarray(np.square(self.direction).sum(axis=1), dtype=np.float64)


def joint_axes(embeddings: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, Floats]:
    """Return cells of all modalities in uncorrelated coordinates of mean 0 and variance 1.

    Modalities count alike, whatever their number of cells. Axes of the embedding along which cells hardly
    differ are left out.

    Parameters
    ----------
    embeddings
        Embedding of the cells of each modality, ``(cells, D)``.

    Returns
    -------
    Coordinates of each modality, float64, ``(cells, axes)``.

    Raises
    ------
    InputError
        If an embedding is not finite, embeddings differ in width, or all cells lie in one point.
    """
    found = checked_embeddings(embeddings)
    if all(np.ptp(each, axis=0).max() == 0 for each in found.values()):
        raise InputError("all cells have one and the same embedding", where="embedding", remedy=REMEDY)
    mean = np.mean([each.mean(axis=0) for each in found.values()], axis=0)
    covariance = np.mean([(each - mean).T @ (each - mean) / len(each) for each in found.values()], axis=0)
    variance, axes = np.linalg.eigh(covariance)
    kept = variance > SMALLEST_AXIS * variance[-1]
    scaled = axes[:, kept] / np.sqrt(variance[kept])
    return {name: (each - mean) @ scaled for name, each in found.items()}


def fit_profiles(
    counts: Counts, coordinates: Floats, batch: Codes | None = None, *, seed: int = 0
) -> Profiles:
    """Fit the profile of every feature: a log-linear negative binomial regression on the coordinates.

    Cells are first added up to metacells (k-means on the coordinates, each batch by itself). The regression
    has a normal prior on its coefficients and an offset for each batch and feature; it is fitted by Newton's
    method, all features of a block at once, with the dispersion of each feature estimated on the way.

    Parameters
    ----------
    counts
        Cells x features.
    coordinates
        What :func:`joint_axes` returned, cells x axes.
    batch
        Codes of experimental batches, int64, shape ``(cells,)``.
    seed
        Seed of the k-means.

    Returns
    -------
    Profiles
    """
    group = _metacells(coordinates, batch, seed)
    members = membership(group)
    size = np.asarray(members.sum(axis=1)).ravel()
    design = np.column_stack([np.ones(len(size)), members @ coordinates / size[:, None]])
    of_batch = np.zeros(len(size), dtype=np.int64) if batch is None else _batch_of(group, batch)
    by_feature = sp.csc_matrix(counts, dtype=np.float64)
    depth = members @ np.asarray(by_feature.sum(axis=1)).ravel()
    direction = np.zeros((by_feature.shape[1], coordinates.shape[1]))
    length = np.zeros(len(direction))
    for start in range(0, len(direction), _FEATURES):
        block = slice(start, start + _FEATURES)
        total = (members @ by_feature[:, block]).toarray().T
        slope, uncertain = _regress(total, _expected(total, depth, of_batch), design)
        length[block] = np.sqrt(np.square(slope).sum(axis=1))
        spread = np.sqrt(np.square(slope).sum(axis=1) + uncertain)
        direction[block] = slope / spread[:, None]
    return Profiles(direction, length)


def _metacells(coordinates: Floats, batch: Codes | None, seed: int) -> Codes:
    """Return the metacell of each cell; none spans two batches."""
    from sklearn.cluster import MiniBatchKMeans

    group = np.zeros(len(coordinates), dtype=np.int64)
    codes = group if batch is None else batch
    for code in np.unique(codes):
        here = np.flatnonzero(codes == code)
        wanted = min(MOST_METACELLS, max(len(here) // CELLS_IN_METACELL, 1))
        kmeans = MiniBatchKMeans(wanted, batch_size=4096, n_init=1, random_state=seed)
        group[here] = group.max() + 1 + kmeans.fit_predict(coordinates[here].astype(np.float32))
    _, group = np.unique(group, return_inverse=True)
    return group.astype(np.int64)


def _batch_of(group: Codes, batch: Codes) -> Codes:
    """Return the batch of each metacell."""
    found = np.zeros(group.max() + 1, dtype=np.int64)
    found[group] = batch
    return found


def _expected(total: Floats, depth: Floats, batch: Codes) -> Floats:
    """Return the counts expected of metacells if cells differed in depth and batch alone, features x n."""
    expected = np.empty_like(total)
    share = (total.sum(axis=1) + 0.5) / depth.sum()
    for code in np.unique(batch):
        here = batch == code
        inside = depth[here].sum()
        # half a count is added, in as much depth as holds one over all batches
        of_batch = (total[:, here].sum(axis=1) + 0.5) / (inside + 0.5 / share)
        expected[:, here] = of_batch[:, None] * depth[here]
    return expected


def _regress(total: Floats, expected: Floats, design: Floats) -> tuple[Floats, Floats]:
    """Return slopes, features x axes, and the sums over axes of their posterior variances."""
    width = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    precision = np.diag([1e-6] + [PRIOR_PRECISION] * (width - 1))
    beta = np.zeros((len(total), width))
    dispersion = np.full((len(total), 1), _DISPERSION)
    for step in range(_NEWTON_STEPS):
        mean = expected * np.exp(np.clip(beta @ design.T, -20, 20))
        if step == _NEWTON_STEPS // 2:
            dispersion = _dispersion(total, mean)
        weight = 1 / (1 + dispersion * mean)
        hessian = ((mean * weight) @ products).reshape(-1, width, width) + precision
        gradient = ((total - mean) * weight) @ design - beta @ precision
        change = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        longest = np.abs(change).max(axis=1, keepdims=True)
        beta += change * np.minimum(1, _LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))
    variance = np.linalg.inv(hessian)
    uncertain: Floats = np.trace(variance, axis1=1, axis2=2) - variance[:, 0, 0]
    return beta[:, 1:], uncertain


def _dispersion(total: Floats, mean: Floats) -> Floats:
    """Estimate the dispersion of each feature by moments, shape ``(features, 1)``."""
    excess = (np.square(total - mean) - mean).sum(axis=1, keepdims=True)
    return np.asarray(np.clip(excess / np.square(mean).sum(axis=1, keepdims=True), 1e-3, 10))
