"""Beta: fractions between 0 and 1, such as methylation rates whose coverage is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods.entries import by_cell, dense_values, gamma_draw, measured, weighted
from omicsglue.nn.likelihoods.protocol import FeatureProfile

EDGE = 1e-4
"""A beta density has no 0 and no 1: fractions nearer to them are taken for so much."""

FARTHEST = 60.0
"""Predictors beyond count as this, so that neither shape of a beta becomes 0 in single precision."""


class Beta:
    """Fractions with mean sigmoid(eta) and a precision for each batch and feature.

    Shapes are sigmoid(eta) e^p and sigmoid(-eta) e^p with p the logarithm of the precision. Fractions below
    :data:`EDGE` or above 1 - :data:`EDGE` count as these.
    """

    name: ClassVar[str] = "beta"
    support: ClassVar[str] = "fractions"
    parameters: ClassVar[tuple[str, ...]] = ("log_precision",)

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at mean and variance of each batch."""
        mean, variance = profile.moments()
        mean = mean.clamp(EDGE, 1 - EDGE)
        precision = mean * (1 - mean) / variance.clamp(min=1e-8) - 1
        return {"bias": torch.logit(mean), "log_precision": precision.clamp(0.1, 1e3).log()}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        x = dense_values(cells, mask).clamp(EDGE, 1 - EDGE)
        log_precision = by_cell(params["log_precision"], cells.batch)
        a, b = shapes(eta, log_precision)
        density = (a - 1) * x.log() + (b - 1) * torch.log1p(-x) - torch.lgamma(a) - torch.lgamma(b)
        return weighted(density + torch.lgamma(log_precision.exp()), mask, weight)

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected fractions, B x features."""
        return torch.sigmoid(eta)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the fractions, B x features."""
        precision = by_cell(params["log_precision"], cells.batch).exp()
        return torch.sigmoid(eta) * torch.sigmoid(-eta) / (1 + precision)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw fractions, B x features."""
        return beta_draw(eta, by_cell(params["log_precision"], cells.batch), generator)


def shapes(eta: Tensor, log_precision: Tensor) -> tuple[Tensor, Tensor]:
    """Return both shapes of a beta of mean sigmoid(eta), by logarithms, exact near 0 and near 1."""
    eta = eta.clamp(-FARTHEST, FARTHEST)
    return (
        (functional.logsigmoid(eta) + log_precision).exp(),
        (functional.logsigmoid(-eta) + log_precision).exp(),
    )


def beta_draw(eta: Tensor, log_precision: Tensor, generator: torch.Generator) -> Tensor:
    """Draw beta variates of mean sigmoid(eta), of the shape of ``eta``."""
    a, b = shapes(eta, log_precision)
    one, other = gamma_draw(a, generator), gamma_draw(b, generator)
    both = one + other
    side = torch.bernoulli(torch.sigmoid(eta), generator=generator)  # where both shapes are next to 0
    return torch.where(both > 0, one / both.clamp(min=torch.finfo(both.dtype).tiny), side)
