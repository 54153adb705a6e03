"""Mixture of two negative binomials: antibody counts, of which a part is background."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods.entries import (
    at,
    by_cell,
    dense_values,
    measured,
    measured_counts,
    negative_binomial_draw,
    weighted,
)
from omicsglue.nn.likelihoods.protocol import FeatureProfile, required

FOREGROUND = 0.2  # of the cells, to begin with
FOREGROUND_LOGIT = math.log(FOREGROUND / (1 - FOREGROUND))
FOLDS = (0.5, 30.0)  # of foreground over background, less 1: what a start may be
MIXED = 0.75  # share of the variance beyond Poisson's that the mixture starts with


class NegativeBinomialMixture:
    r"""Counts of antibodies: background in every cell, foreground in those that carry the protein.

    With library :math:`l` (the cell's counts of all measured proteins), each batch and protein has a
    background rate :math:`b`, a dispersion :math:`\theta` and an offset :math:`o`:

    .. math:: x \sim (1 - \pi)\,\mathrm{NB}(l b, \theta) + \pi\,\mathrm{NB}(l b (1 + e^\eta), \theta),
       \qquad \pi = \sigma(\eta + o).

    Foreground exceeds background whatever eta, and one predictor moves both how likely it is and how strong:
    where eta falls, both components become one, so that nothing is left undetermined. Everything is computed
    from log l + log b + softplus(eta), which cannot overflow. The library is that of the proteins, not of
    another modality: staining and sequencing depth move background and foreground of a cell alike. It holds
    the foreground too; in a small panel, eta is therefore relative to what else the cell carries.

    Source: the mixture is that of totalVI (Gayoso et al. 2021, doi 10.1038/s41592-020-01050-x), whose
    background is drawn for each cell and whose mixing has a network of its own.
    """

    name: ClassVar[str] = "nbmixture"
    support: ClassVar[str] = "counts"
    parameters: ClassVar[tuple[str, ...]] = ("log_background", "log_theta", "foreground")

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at mean and variance of each batch, with foreground in a fifth of the cells."""
        mean, variance = profile.moments()
        mean = mean.clamp(min=1e-4)
        beyond = ((variance - mean) / mean.square()).clamp(0.05, 3.0)
        root = (MIXED * beyond).sqrt()
        spread = math.sqrt(FOREGROUND * (1 - FOREGROUND))
        fold = (root / (spread - FOREGROUND * root).clamp(min=1e-3)).clamp(*FOLDS)
        share = (profile.total + 0.5) / (required(profile.exposure) + 1)
        return {
            "bias": fold.log(),
            "log_background": (share / (1 + FOREGROUND * fold)).log(),
            "log_theta": -((1 - MIXED) * beyond).log(),
            "foreground": FOREGROUND_LOGIT - fold.log(),
        }

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        x, counts = dense_values(cells, mask), measured_counts(cells.counts, mask)
        log_theta = by_cell(params["log_theta"], cells.batch)
        low = _log_background(params, cells) - log_theta
        logit = eta + by_cell(params["foreground"], cells.batch)
        density = torch.logaddexp(
            _shape(x, low, log_theta.exp()) + functional.logsigmoid(-logit),
            _shape(x, low + functional.softplus(eta), log_theta.exp()) + functional.logsigmoid(logit),
        )
        theta = at(params["log_theta"], cells.batch, counts).exp()
        value = counts.value
        gamma = torch.lgamma(value + theta) - torch.lgamma(theta) - torch.lgamma(value + 1)
        return weighted(density, mask, weight) - weight[counts.row] @ gamma

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected counts, background and foreground, B x features."""
        background, fold, chance = _components(eta, params, cells)
        return background * (1 + chance * fold)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the counts, B x features."""
        background, fold, chance = _components(eta, params, cells)
        theta = by_cell(params["log_theta"], cells.batch).exp()
        mean = background * (1 + chance * fold)
        square = background.square() * (1 + chance * fold * (2 + fold))
        return mean + square * (1 + 1 / theta) - mean.square()

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw counts, B x features."""
        background, fold, chance = _components(eta, params, cells)
        shown = torch.bernoulli(chance, generator=generator)
        theta = by_cell(params["log_theta"], cells.batch).exp()
        return negative_binomial_draw(background * (1 + shown * fold), theta, generator)


def _log_background(params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
    return cells.library.log().unsqueeze(1) + by_cell(params["log_background"], cells.batch)


def _components(eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Return expected background, foreground over background less 1, and chance of foreground."""
    chance = torch.sigmoid(eta + by_cell(params["foreground"], cells.batch))
    return _log_background(params, cells).exp(), eta.exp(), chance


def _shape(x: Tensor, log_ratio: Tensor, theta: Tensor) -> Tensor:
    """Return a negative binomial's log-density without its gamma functions, of log(mu / theta)."""
    return x * functional.logsigmoid(log_ratio) + theta * functional.logsigmoid(-log_ratio)
