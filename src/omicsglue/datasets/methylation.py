"""Simulated gene-body CG methylation: methylated and covered counts, falling where the gene is expressed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Float = NDArray[np.float64]

_COVERAGE = 25.0  # covered sites of a gene of median length in a typical cell
_COVERAGE_SD = 0.45  # of the log depth over cells
_COVERAGE_DISPERSION = 0.3
_LEVEL, _LEVEL_SD = 1.1, 0.5  # logit of the methylated fraction over genes
_SILENCED = 0.8  # share of the genes whose methylation follows their expression
_SLOPE = 0.6  # fall of the logit with a rise of the log rate of expression
_PRECISION = 20.0  # of the beta distribution of a cell's fraction around its expectation


@dataclass(frozen=True)
class MethylationParameters:
    """What methylation is drawn from.

    Attributes
    ----------
    base
        Logit of the methylated fraction at the mean expression (genes).
    loadings
        Change of the logit for each coordinate of the latent state (states x genes, float32).
    coverage
        Expected covered sites in a typical cell (genes).
    precision
        Precision of the beta distribution around the expected fraction.
    batch
        Change of the logit in each batch (batches x genes).
    depth_shift
        Change of the log depth in each batch (batches).
    """

    base: Float
    loadings: NDArray[np.float32]
    coverage: Float
    precision: float
    batch: Float
    depth_shift: Float


def methylation_parameters(
    genes: pd.DataFrame,
    expression: Float,
    shares: Float,
    *,
    depth: float,
    noise: float,
    batch_sd: Float,
    rng: np.random.Generator,
) -> MethylationParameters:
    """Draw the parameters of gene-body methylation.

    Parameters
    ----------
    genes
        Places of the genes; longer ones are covered better.
    expression
        Loadings of the genes' log rates (states x genes).
    shares
        Shares of the types, which fix the mean expression (types).
    depth
        Factor on the coverage.
    noise
        Divides the precision; 0 gives binomial counts.
    batch_sd
        Standard deviation of the effects of each batch (batches).
    rng
        Source of randomness.

    Returns
    -------
    The parameters.
    """
    number = len(genes)
    length = (genes["end"] - genes["start"]).to_numpy(dtype=np.float64)
    slope = _SLOPE * (rng.random(number) < _SILENCED)
    loadings = -slope * expression
    base = rng.normal(_LEVEL, _LEVEL_SD, size=number) - shares @ loadings[: len(shares)]
    return MethylationParameters(
        base=base,
        loadings=loadings.astype(np.float32),
        coverage=depth * _COVERAGE * length / np.median(length),
        precision=_PRECISION / noise if noise > 0 else np.inf,
        batch=rng.standard_normal((len(batch_sd), number)) * batch_sd[:, None],
        depth_shift=rng.standard_normal(len(batch_sd)) * batch_sd,
    )


def draw_methylation(
    p: MethylationParameters,
    latent: NDArray[np.float32],
    depth: Float,
    batch: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, sparse.csr_array]:
    """Draw beta-binomial methylated counts out of negative binomial coverage.

    Parameters
    ----------
    p
        The parameters.
    latent
        Latent states (cells x states).
    depth
        Standard normal scores of the log depth (cells).
    batch
        Batch of each cell (cells).
    rng
        Source of randomness.

    Returns
    -------
    ``X``, methylated counts, and ``coverage``, covered counts (cells x genes, float32). Genes without
    coverage are absent from both.
    """
    scale = np.exp(_COVERAGE_SD * depth + p.depth_shift[batch])
    shape = (len(latent), len(p.base))
    wobble = rng.gamma(1.0 / _COVERAGE_DISPERSION, _COVERAGE_DISPERSION, size=shape)
    coverage = rng.poisson(scale[:, None] * p.coverage * wobble)
    logit = latent @ p.loadings + p.base + p.batch[batch]
    fraction = 1.0 / (1.0 + np.exp(-logit))
    if np.isfinite(p.precision):
        fraction = rng.beta(fraction * p.precision, (1.0 - fraction) * p.precision)
    methylated = rng.binomial(coverage, fraction)
    return {
        "X": sparse.csr_array(methylated.astype(np.float32)),
        "coverage": sparse.csr_array(coverage.astype(np.float32)),
    }
