"""Bernoulli: whether a feature was seen in a cell at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods.entries import FAR, measured, measured_counts, predictor_at
from omicsglue.nn.likelihoods.protocol import FeatureProfile, required


class Bernoulli:
    """Zeros and ones, 1 with chance sigmoid(eta).

    Dense work is one softplus: a one adds eta to what a zero has.
    """

    name: ClassVar[str] = "bernoulli"
    support: ClassVar[str] = "binary"
    parameters: ClassVar[tuple[str, ...]] = ()

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the share of ones of each batch."""
        ones = required(profile.nonzero)
        return {"bias": torch.logit((ones + 0.5) / (profile.count + 1))}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        ones = measured_counts(cells.counts, mask)
        known = eta if mask is None else eta.masked_fill(~mask, FAR)
        zeros = functional.softplus(known).sum(1) @ weight
        return zeros - weight[ones.row] @ predictor_at(eta, ones)

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the chance of a one, B x features."""
        return torch.sigmoid(eta)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance, B x features."""
        return torch.sigmoid(eta) * torch.sigmoid(-eta)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw zeros and ones, B x features."""
        return torch.bernoulli(torch.sigmoid(eta), generator=generator)
