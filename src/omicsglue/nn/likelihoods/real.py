"""Likelihoods of real values: normal, and normal or log-normal with a share of exact zeros."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch, SparseRows
from omicsglue.nn.likelihoods.entries import (
    at,
    by_cell,
    dense_values,
    measured,
    measured_counts,
    predictor_at,
    weight_of_entries,
    weighted,
)
from omicsglue.nn.likelihoods.protocol import FeatureProfile

LOG_NORMALISER = 0.5 * math.log(2 * math.pi)


class Normal:
    """Real values with mean eta and a standard deviation for each batch and feature."""

    name: ClassVar[str] = "normal"
    support: ClassVar[str] = "real"
    parameters: ClassVar[tuple[str, ...]] = ("log_sd",)

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at mean and standard deviation of each batch; the product of u and V counts in the latter."""
        mean, variance = profile.moments()
        return _start(mean, variance)

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        log_sd = by_cell(params["log_sd"], cells.batch)
        return weighted(_log_normal(dense_values(cells, mask), eta, log_sd), mask, weight)

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected values, B x features."""
        return eta

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the values, B x features."""
        return by_cell(params["log_sd"], cells.batch).mul(2).exp().expand_as(eta)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw values, B x features."""
        return eta + by_cell(params["log_sd"], cells.batch).exp() * _noise(eta, generator)


class ZeroInflatedNormal:
    """Real values that are exactly 0 with a chance for each batch and feature, else normal with mean eta.

    Zeros say nothing of eta, so that everything but two sums is computed at the non-zero entries alone.
    """

    name: ClassVar[str] = "zinormal"
    support: ClassVar[str] = "real"
    parameters: ClassVar[tuple[str, ...]] = ("log_sd", "zero_logit")

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the share of zeros and the moments of the other values of each batch."""
        mean, variance = profile.nonzero_moments()
        return {**_start(mean, variance), "zero_logit": torch.logit(profile.zero_share())}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        counts = measured_counts(cells.counts, mask)
        found = _log_normal(
            counts.value, predictor_at(eta, counts), at(params["log_sd"], cells.batch, counts)
        )
        return _with_zeros(found, params["zero_logit"], counts, cells, weight, mask)

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected values, zeros among them, B x features."""
        return torch.sigmoid(-by_cell(params["zero_logit"], cells.batch)) * eta

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the values, B x features."""
        kept = torch.sigmoid(-by_cell(params["zero_logit"], cells.batch))
        return kept * (by_cell(params["log_sd"], cells.batch).mul(2).exp() + (1 - kept) * eta.square())

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw values, B x features."""
        drawn = Normal().sample(eta, params, cells, generator)
        return drawn * _kept(eta, params["zero_logit"], cells, generator)


class ZeroInflatedLogNormal:
    """Values that are exactly 0 with a chance for each batch and feature, else of normal logarithm, mean eta.

    Zeros say nothing of eta, so that everything but two sums is computed at the non-zero entries alone.
    """

    name: ClassVar[str] = "zilognormal"
    support: ClassVar[str] = "non-negative"
    parameters: ClassVar[tuple[str, ...]] = ("log_sd", "zero_logit")

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the share of zeros and the moments of the logarithms, so that the mean is the data's."""
        mean, variance = profile.log_moments()
        amount, _ = profile.nonzero_moments()
        bias = torch.where(amount > 0, amount.clamp(min=1e-30).log() - variance / 2, mean)
        return {**_start(bias, variance), "zero_logit": torch.logit(profile.zero_share())}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        counts = measured_counts(cells.counts, mask)
        log_x, log_sd = counts.value.log(), at(params["log_sd"], cells.batch, counts)
        found = _log_normal(log_x, predictor_at(eta, counts), log_sd) - log_x
        return _with_zeros(found, params["zero_logit"], counts, cells, weight, mask)

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected values, zeros among them, B x features."""
        half_variance = by_cell(params["log_sd"], cells.batch).mul(2).exp() / 2
        return torch.sigmoid(-by_cell(params["zero_logit"], cells.batch)) * (eta + half_variance).exp()

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the values, B x features."""
        variance = by_cell(params["log_sd"], cells.batch).mul(2).exp()
        kept = torch.sigmoid(-by_cell(params["zero_logit"], cells.batch))
        return kept * (2 * eta + variance).exp() * (variance.exp() - kept)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw values, B x features."""
        drawn = Normal().sample(eta, params, cells, generator).exp()
        return drawn * _kept(eta, params["zero_logit"], cells, generator)


def _start(mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
    sd = variance.sqrt()
    unit = math.log(2) * sd.double()  # softplus(0) in units of the data
    scale = unit + torch.log(-torch.expm1(-unit))
    return {"bias": mean, "scale": scale.float(), "log_sd": sd.log()}


def _log_normal(x: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """Return the log-density of a normal."""
    return -0.5 * ((x - mean) * torch.exp(-log_sd)).square() - log_sd - LOG_NORMALISER


def _with_zeros(
    found: Tensor,
    zero_logit: Tensor,
    counts: SparseRows,
    cells: CellBatch,
    weight: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """Return the negative log-likelihood of non-zero entries, whose density is given, and of the zeros."""
    nonzero, zeros = weight_of_entries(cells, counts, weight, len(zero_logit), mask)
    chance = nonzero * functional.logsigmoid(-zero_logit) + zeros * functional.logsigmoid(zero_logit)
    return -(weight[counts.row] @ found) - chance.sum()


def _noise(eta: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(eta.shape, generator=generator, dtype=eta.dtype, device=eta.device)


def _kept(eta: Tensor, zero_logit: Tensor, cells: CellBatch, generator: torch.Generator) -> Tensor:
    chance = torch.sigmoid(-by_cell(zero_logit, cells.batch)).expand_as(eta)
    return torch.bernoulli(chance, generator=generator)
