"""Sparse negative binomial counts for a block of cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from omicsglue.datasets.cells import CellBlock
from omicsglue.datasets.methylation import draw_methylation
from omicsglue.datasets.options import MODALITIES
from omicsglue.datasets.protein import draw_protein
from omicsglue.datasets.truth import COUNT_STREAM, CountParameters, SimulationTruth, random_stream


def draw_negative_binomial(
    mean: NDArray[np.float64], dispersion: NDArray[np.float64], double: float, rng: np.random.Generator
) -> sparse.csr_array:
    """Draw a sparse matrix of negative binomial counts without drawing its zeros.

    A negative binomial with mean mu and dispersion phi is a Poisson number, of mean log(1 + phi mu) / phi, of
    clusters whose sizes follow the logarithmic distribution with parameter phi mu / (1 + phi mu) (Quenouille,
    Biometrics 1949). The clusters of the whole matrix are drawn together and then given their places, so that
    the dense work is one logarithm and one cumulative sum.

    Parameters
    ----------
    mean
        Expected counts (cells x features, float64).
    dispersion
        phi of each feature; 0 means Poisson (features).
    double
        Chance that a unit of a count is counted twice; the mean then grows by ``1 + double``.
    rng
        Source of randomness.

    Returns
    -------
    Counts (cells x features, float32).
    """
    product = mean * dispersion
    poisson = dispersion == 0
    clusters = np.log1p(product)
    clusters /= np.where(poisson, 1.0, dispersion)
    if poisson.any():
        clusters[:, poisson] = mean[:, poisson]
    total = np.cumsum(clusters, axis=None)
    number = int(rng.poisson(total[-1]))
    place = np.searchsorted(total, np.sort(rng.random(number)) * total[-1], side="right")
    place = np.minimum(place, total.size - 1)
    at = product.ravel()[place]
    size = rng.logseries(at / (1.0 + at))
    if double > 0:
        size = size + rng.binomial(size, double)
    return _gather(place, size, (mean.shape[0], mean.shape[1]))


def _gather(place: NDArray[np.int64], size: NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_array:
    """Add up the sizes at sorted flat places into a CSR matrix."""
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    values = np.add.reduceat(size, starts) if len(starts) else size
    rows, columns = np.divmod(place[starts], shape[1])
    pointer = np.zeros(shape[0] + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=pointer[1:])
    return sparse.csr_array((values.astype(np.float32), columns.astype(np.int32), pointer), shape=shape)


def expected_counts(parameters: CountParameters, block: CellBlock, modality: str) -> NDArray[np.float64]:
    """Return the expected counts, before double counting, of the cells of a block in one modality.

    Parameters
    ----------
    parameters
        Parameters of the modality.
    block
        The cells.
    modality
        Name of the modality.

    Returns
    -------
    Expected counts (cells x features).
    """
    p = parameters
    depth = p.depth * np.exp(p.depth_sd * block.depth[modality] + p.depth_shift[block.batch])
    rate = (block.latent @ p.loadings).astype(np.float64)
    rate += p.base
    np.exp(rate, out=rate)
    rate *= 1.0 - p.background
    rate += p.background * p.profile
    if p.batch.any():
        rate *= np.exp(p.batch)[block.batch]
    rate *= (depth / (1.0 + p.double))[:, None]
    return rate


def draw_counts(truth: SimulationTruth, block: CellBlock, modality: str) -> dict[str, sparse.csr_array]:
    """Draw the counts of a block of cells in one modality.

    Parameters
    ----------
    truth
        What `draw_truth` returned.
    block
        Cells drawn from it.
    modality
        Name of the modality.

    Returns
    -------
    ``X`` and further layers by name, for the cells measured in that modality (cells x features, float32).
    """
    rng = random_stream(truth.options.seed, COUNT_STREAM + MODALITIES.index(modality), block.number)
    if modality in ("methylation", "methylation_ch"):
        parameters = truth.methylation if modality == "methylation" else truth.methylation_ch
        drawn = draw_methylation(parameters, block.latent, block.depth[modality], block.batch, rng)
    elif modality == "protein":
        drawn = draw_protein(truth.protein, block.latent, block.depth[modality], block.batch, rng)
    else:
        of_counts = truth.counts[modality]
        mean = expected_counts(of_counts, block, modality)
        drawn = {"X": draw_negative_binomial(mean, of_counts.dispersion, of_counts.double, rng)}
    return {layer: counts[block.present[modality]] for layer, counts in drawn.items()}
