"""Simulated surface proteins: antibody counts, a mixture of background and foreground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Float = NDArray[np.float64]

_BACKGROUND, _BACKGROUND_SD = 6.0, 0.7  # counts of unbound antibody in a typical cell, over proteins
_FOLD, _FOLD_SD = 10.0, 0.5  # foreground over background, over proteins
_DEPTH_SD = 0.4  # of the log depth over cells
_STEEPNESS = 2.0  # of the chance of foreground in the standardised log rate of the gene
_DISPERSION = 0.25


@dataclass(frozen=True)
class ProteinParameters:
    """What protein counts are drawn from.

    Attributes
    ----------
    genes
        Position of the gene of each protein (int64, proteins).
    base, loadings
        Logit of the chance of foreground and its change with the latent state (proteins; states x proteins).
    background, foreground
        Expected counts of the two parts in a typical cell (proteins).
    dispersion
        Negative binomial dispersion of both parts.
    batch
        Log factor of each batch (batches x proteins).
    depth_shift
        Change of the log depth in each batch (batches).
    """

    genes: NDArray[np.int64]
    base: Float
    loadings: NDArray[np.float32]
    background: Float
    foreground: Float
    dispersion: float
    batch: Float
    depth_shift: Float


def protein_parameters(
    number: int,
    expression: Float,
    types: int,
    *,
    depth: float,
    noise: float,
    batch_sd: Float,
    rng: np.random.Generator,
) -> ProteinParameters:
    """Draw the parameters of surface proteins, made by the genes that vary most between types.

    Parameters
    ----------
    number
        Number of proteins.
    expression
        Loadings of the genes' log rates (states x genes).
    types
        Number of types.
    depth
        Factor on the counts.
    noise
        Scales overdispersion.
    batch_sd
        Standard deviation of the effects of each batch (batches).
    rng
        Source of randomness.

    Returns
    -------
    The parameters.
    """
    spread = expression[:types].std(axis=0)
    genes = np.sort(np.argsort(-spread, kind="stable")[:number])
    chosen, unit = expression[:, genes], np.where(spread[genes] > 0, spread[genes], 1.0)
    background = depth * np.exp(rng.normal(np.log(_BACKGROUND), _BACKGROUND_SD, size=number))
    threshold = rng.uniform(-0.3, 1.0, size=number)
    return ProteinParameters(
        genes=genes,
        base=-_STEEPNESS * (chosen[:types].mean(axis=0) / unit + threshold),
        loadings=(_STEEPNESS * chosen / unit).astype(np.float32),
        background=background,
        foreground=background * np.exp(rng.normal(np.log(_FOLD), _FOLD_SD, size=number)).clip(3.0),
        dispersion=noise * _DISPERSION,
        batch=rng.standard_normal((len(batch_sd), number)) * batch_sd[:, None],
        depth_shift=rng.standard_normal(len(batch_sd)) * batch_sd,
    )


def draw_protein(
    p: ProteinParameters,
    latent: NDArray[np.float32],
    depth: Float,
    batch: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, sparse.csr_array]:
    """Draw a mixture of two negative binomials.

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
    ``X``, counts (cells x proteins, float32).
    """
    chance = 1.0 / (1.0 + np.exp(-(latent @ p.loadings + p.base)))
    shown = rng.random(chance.shape) < chance
    scale = np.exp(_DEPTH_SD * depth + p.depth_shift[batch])
    mean = scale[:, None] * np.where(shown, p.foreground, p.background) * np.exp(p.batch)[batch]
    if p.dispersion > 0:
        mean *= rng.gamma(1.0 / p.dispersion, p.dispersion, size=mean.shape)
    return {"X": sparse.csr_array(rng.poisson(mean).astype(np.float32))}
