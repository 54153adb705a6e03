"""Profiles: how each feature's counts change along the joint embedding, as the data alone tell.

The feature embeddings of the model carry the guidance graph, so that linked features are alike whatever the
data say. A profile is fitted to counts and cell embeddings alone: what it says of a pair of features is
evidence that the graph did not put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

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
_CORRELATION = 0.05  # of the reads of a metacell at a feature, before it is estimated


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
    counts: Counts,
    coordinates: Floats,
    batch: Codes | None = None,
    *,
    coverage: Counts | None = None,
    seed: int = 0,
) -> Profiles:
    """Fit the profile of every feature: a log-linear negative binomial regression on the coordinates.

    With `coverage` it is a regression of rates: a beta-binomial one on the logit scale, with the level of the
    metacell over all features in place of its depth. The fewer reads cover a feature, the less it tells.

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
    coverage
        Covered reads, cells x features, where `counts` are the methylated ones of them.
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
    covered = None if coverage is None else sp.csc_matrix(coverage, dtype=np.float64)
    reads = depth if covered is None else members @ np.asarray(covered.sum(axis=1)).ravel()
    direction = np.zeros((by_feature.shape[1], coordinates.shape[1]))
    length = np.zeros(len(direction))
    for start in range(0, len(direction), _FEATURES):
        block = slice(start, start + _FEATURES)
        total = (members @ by_feature[:, block]).toarray().T
        family: _Family = _CountFamily(_expected(total, depth, of_batch))
        if covered is not None:
            held = (members @ covered[:, block]).toarray().T
            family = _RateFamily(held, _expected_logit(total, held, (depth, reads), of_batch))
        slope, uncertain = _regress(total, family, design)
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


def _expected_logit(total: Floats, covered: Floats, sums: tuple[Floats, Floats], batch: Codes) -> Floats:
    """Return the logit of the rates expected of metacells if they differed in level and batch alone."""
    overall = sums[0].sum() / max(sums[1].sum(), 1.0)
    rate = (total.sum(axis=1) + overall / 2) / (covered.sum(axis=1) + 0.5)
    expected = np.empty_like(total)
    for code in np.unique(batch):
        here = batch == code
        # half a read of what is known of all batches is added
        of_batch = (total[:, here].sum(axis=1) + rate / 2) / (covered[:, here].sum(axis=1) + 0.5)
        level = (sums[0][here] + overall / 2) / (sums[1][here] + 0.5)
        of_all = (sums[0][here].sum() + overall / 2) / (sums[1][here].sum() + 0.5)
        expected[:, here] = _logit(of_batch)[:, None] + _logit(level) - _logit(of_all)
    return expected


def _logit(rate: Floats) -> Floats:
    p = np.clip(rate, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), dtype=np.float64)


class _Family(Protocol):
    """How totals of metacells are distributed around a linear predictor."""

    @property
    def first_dispersion(self) -> float:
        """The dispersion before it is estimated."""

    def curve(self, linear: Floats) -> tuple[Floats, Floats]:
        """Return means, and their derivatives by the linear predictor, features x metacells."""

    def weight(self, mean: Floats, dispersion: Floats) -> Floats:
        """Return by how much less a metacell counts than without overdispersion."""

    def dispersion(self, total: Floats, mean: Floats) -> Floats:
        """Estimate the dispersion of each feature by moments, shape ``(features, 1)``."""


@dataclass(frozen=True)
class _CountFamily:
    """Negative binomial counts, of which `expected` are expected without slopes."""

    expected: Floats
    first_dispersion: float = _DISPERSION

    def curve(self, linear: Floats) -> tuple[Floats, Floats]:
        mean = self.expected * np.exp(np.clip(linear, -20, 20))
        return mean, mean

    def weight(self, mean: Floats, dispersion: Floats) -> Floats:
        return np.asarray(1 / (1 + dispersion * mean), dtype=np.float64)

    def dispersion(self, total: Floats, mean: Floats) -> Floats:
        excess = (np.square(total - mean) - mean).sum(axis=1, keepdims=True)
        return np.asarray(np.clip(excess / np.square(mean).sum(axis=1, keepdims=True), 1e-3, 10))


@dataclass(frozen=True)
class _RateFamily:
    """Beta-binomial reads out of `covered`, whose rates have the logit `expected` without slopes."""

    covered: Floats
    expected: Floats
    first_dispersion: float = _CORRELATION

    def curve(self, linear: Floats) -> tuple[Floats, Floats]:
        rate = 1 / (1 + np.exp(-np.clip(self.expected + linear, -20, 20)))
        mean = self.covered * rate
        return mean, mean * (1 - rate)

    def weight(self, mean: Floats, dispersion: Floats) -> Floats:
        return np.asarray(1 / (1 + dispersion * np.maximum(self.covered - 1, 0)), dtype=np.float64)

    def dispersion(self, total: Floats, mean: Floats) -> Floats:
        variance = mean * (1 - mean / np.maximum(self.covered, 1))
        excess = (np.square(total - mean) - variance).sum(axis=1, keepdims=True)
        scale = (np.maximum(self.covered - 1, 0) * variance).sum(axis=1, keepdims=True)
        return np.asarray(np.clip(excess / np.maximum(scale, 1e-12), 1e-3, 0.5))


def _regress(total: Floats, family: _Family, design: Floats) -> tuple[Floats, Floats]:
    """Return slopes, features x axes, and the sums over axes of their posterior variances."""
    width = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    precision = np.diag([1e-6] + [PRIOR_PRECISION] * (width - 1))
    beta = np.zeros((len(total), width))
    dispersion = np.full((len(total), 1), family.first_dispersion)
    for step in range(_NEWTON_STEPS):
        mean, steepness = family.curve(beta @ design.T)
        if step == _NEWTON_STEPS // 2:
            dispersion = family.dispersion(total, mean)
        weight = family.weight(mean, dispersion)
        hessian = ((steepness * weight) @ products).reshape(-1, width, width) + precision
        gradient = ((total - mean) * weight) @ design - beta @ precision
        change = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        longest = np.abs(change).max(axis=1, keepdims=True)
        beta += change * np.minimum(1, _LONGEST_STEP / np.maximum(longest, _LONGEST_STEP))
    variance = np.linalg.inv(hessian)
    uncertain: Floats = np.trace(variance, axis1=1, axis2=2) - variance[:, 0, 0]
    return beta[:, 1:], uncertain
