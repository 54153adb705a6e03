"""Simulated gene-body methylation in two contexts, CG and CH: it falls where the gene is expressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Float = NDArray[np.float64]

_COVERAGE_SD = 0.45  # of the log depth over cells
_COVERAGE_DISPERSION = 0.3


@dataclass(frozen=True)
class Context:
    """How methylation of one sequence context looks.

    Attributes
    ----------
    coverage
        Covered sites of a gene of median length in a typical cell.
    level, level_sd
        Mean and standard deviation over genes of the logit of the methylated fraction.
    silenced
        Share of the genes whose methylation follows their expression.
    slope
        Fall of the logit with a rise of the log rate of expression.
    precision
        Precision of the beta distribution of a cell's fraction around its expectation.
    """

    coverage: float
    level: float
    level_sd: float
    silenced: float
    slope: float
    precision: float


# CH (not before a G) is twenty times as frequent and rarely methylated, as in neurons
CG: Final = Context(coverage=25.0, level=1.1, level_sd=0.5, silenced=0.8, slope=0.6, precision=20.0)
CH: Final = Context(coverage=500.0, level=-3.2, level_sd=0.5, silenced=0.6, slope=0.5, precision=200.0)


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
    context: Context = CG,
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
    context
        CG or CH.

    Returns
    -------
    The parameters.
    """
    number = len(genes)
    length = (genes["end"] - genes["start"]).to_numpy(dtype=np.float64)
    slope = context.slope * (rng.random(number) < context.silenced)
    loadings = -slope * expression
    base = rng.normal(context.level, context.level_sd, size=number) - shares @ loadings[: len(shares)]
    return MethylationParameters(
        base=base,
        loadings=loadings.astype(np.float32),
        coverage=depth * context.coverage * length / np.median(length),
        precision=context.precision / noise if noise > 0 else np.inf,
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
