"""Beta-binomial: methylated counts out of covered counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods.entries import at, by_cell, measured, predictor_at
from omicsglue.nn.likelihoods.fractions import beta_draw, shapes
from omicsglue.nn.likelihoods.protocol import FeatureProfile, moments


class BetaBinomial:
    """Counts out of ``cells.coverage`` of mean rate sigmoid(eta), with a precision by batch and feature.

    Entries without coverage are missing; everything is computed at the covered entries alone. Where a batch
    has no coverage at all (cells of another modality, whose rates are to be predicted), mean, variance and
    samples are those of the rate itself.
    """

    name: ClassVar[str] = "betabinomial"
    support: ClassVar[str] = "covered counts"
    parameters: ClassVar[tuple[str, ...]] = ("log_precision",)

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the rate of each batch, and at the spread of rates that coverage leaves unexplained."""
        known = profile.coverage
        if known is None:
            raise ValueError("a beta-binomial starts from the moments of covered counts")
        pooled = (profile.total.sum(0) + 0.5) / (known.trials.sum(0) + 1)
        rate = (profile.total + pooled) / (known.trials + 1)
        _, variance = moments(known.rates, known.squares, profile.count)
        expected = (known.inverse.sum(0) + 0.5) / (profile.count.sum(0) + 1)  # of a binomial, over p (1 - p)
        relative = variance / (rate * (1 - rate)).clamp(min=1e-4)
        excess = ((relative - expected) / (1 - expected).clamp(min=0.05)).clamp(0.01, 0.6)
        return {"bias": torch.logit(rate), "log_precision": (1 / excess - 1).log()}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar.

        Raises
        ------
        ValueError
            If the cells have no coverage.
        """
        covered = cells.coverage
        if covered is None:
            raise ValueError("a beta-binomial needs the coverage of its counts")
        x = cells.counts.dense().view(-1)[covered.flat]
        n, weight_at = covered.value, weight[covered.row]
        mask = n > 0
        if not bool(mask.all()):  # stored zeros are no coverage: no count, no trial, no weight
            x, weight_at = x.masked_fill(~mask, 0), weight_at.masked_fill(~mask, 0)
        log_precision = at(params["log_precision"], cells.batch, covered)
        a, b = shapes(predictor_at(eta, covered), log_precision)
        choose = torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
        rises = torch.lgamma(x + a) - torch.lgamma(a) + torch.lgamma(n - x + b) - torch.lgamma(b)
        precision = log_precision.exp()
        return -(weight_at @ (choose + rises + torch.lgamma(precision) - torch.lgamma(n + precision)))

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected counts out of the coverage, B x features."""
        return torch.sigmoid(eta) * _trials(eta, cells)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the counts, B x features."""
        n = _trials(eta, cells)
        precision = by_cell(params["log_precision"], cells.batch).exp()
        between = torch.sigmoid(eta) * torch.sigmoid(-eta) / (1 + precision)
        return between if cells.coverage is None else n * between * (n + precision)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw counts out of the coverage, B x features."""
        rate = beta_draw(eta, by_cell(params["log_precision"], cells.batch), generator)
        if cells.coverage is None:
            return rate
        return torch.binomial(_trials(eta, cells), rate, generator=generator)


def _trials(eta: Tensor, cells: CellBatch) -> Tensor:
    covered, mask = cells.coverage, measured(cells)
    if covered is None or mask is None:
        return torch.ones_like(eta)
    return covered.dense() * mask
