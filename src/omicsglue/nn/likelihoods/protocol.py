"""What a decoder asks of a likelihood, and what a likelihood is told of the data before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from omicsglue.data.tensors import CellBatch

LEAST_VARIANCE = 1e-12


class Likelihood(Protocol):
    """What a decoder asks of a likelihood.

    Entries that ``cells.coverage`` does not hold are missing: they change neither value nor gradient.
    """

    name: ClassVar[str]
    support: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Return starting values of ``bias`` and of every parameter, each batches x features.

        ``scale`` may be among them: the decoder's factor of u and V before its softplus, 0 otherwise.
        """
        ...

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the negative log-likelihood, summed over features and weighted over cells: a scalar."""
        ...

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected value of the data, B x features."""
        ...

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the data, B x features."""
        ...

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw data, B x features."""
        ...


@dataclass(frozen=True)
class CoverageProfile:
    """Moments of covered counts; each of shape ``(batches, features)``.

    Attributes
    ----------
    trials
        Sum of the coverage.
    inverse
        Sum of 1 / coverage over the covered cells.
    rates, squares
        Sums of the methylated fraction and of its square over the covered cells.
    """

    trials: Tensor
    inverse: Tensor
    rates: Tensor
    squares: Tensor


@dataclass(frozen=True)
class FeatureProfile:
    """Moments of the training data, from which parameters start; missing entries are left out.

    Attributes
    ----------
    total
        Sum of the data, shape ``(batches, features)``.
    cells
        Number of cells, shape ``(batches,)``.
    squares, nonzero
        Sum of squares, and number of values other than 0, shape ``(batches, features)``.
    log_total, log_squares
        Sums of the logarithms of positive values and of their squares, shape ``(batches, features)``.
    measured
        Number of cells in which a feature was measured, shape ``(batches, features)``; ``None`` where
        that is all of them.
    exposure
        Sum of the libraries of the cells in which a feature was measured, shape ``(batches, features)``.
    coverage
        Moments of covered counts; ``None`` for other data.
    """

    total: Tensor
    cells: Tensor
    squares: Tensor | None = None
    nonzero: Tensor | None = None
    log_total: Tensor | None = None
    log_squares: Tensor | None = None
    measured: Tensor | None = None
    exposure: Tensor | None = None
    coverage: CoverageProfile | None = None

    @property
    def count(self) -> Tensor:
        """Number of cells in which each feature was measured, shape ``(batches, features)``."""
        if self.measured is not None:
            return self.measured
        return self.cells.to(self.total.dtype).unsqueeze(1).expand_as(self.total)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the data, each ``(batches, features)``."""
        return moments(self.total, required(self.squares), self.count)

    def nonzero_moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the values other than 0, each ``(batches, features)``."""
        return moments(self.total, required(self.squares), required(self.nonzero))

    def log_moments(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the logarithms of positive values, each ``(batches, features)``."""
        return moments(required(self.log_total), required(self.log_squares), required(self.nonzero))

    def zero_share(self) -> Tensor:
        """Return the share of zeros among what was measured, half a value added to either side."""
        return 1 - (required(self.nonzero) + 0.5) / (self.count + 1)


def required(value: Tensor | None) -> Tensor:
    """Return a moment that a likelihood needs.

    Raises
    ------
    ValueError
        If the profile was made without it.
    """
    if value is None:
        raise ValueError("the profile of the features lacks a moment that this likelihood starts from")
    return value


def moments(total: Tensor, squares: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and variances from sums by batch and feature.

    A batch without a value of a feature takes the mean of all batches, and one with fewer than two the
    pooled variance. Where that is 0 too (a constant feature), the median of the features stands in.
    """
    total, squares, count = total.double(), squares.double(), count.double()
    pooled_count = count.sum(0, keepdim=True)
    pooled_mean = total.sum(0, keepdim=True) / pooled_count.clamp(min=1)
    pooled_variance = squares.sum(0, keepdim=True) / pooled_count.clamp(min=1) - pooled_mean.square()
    mean = torch.where(count > 0, total / count.clamp(min=1), pooled_mean)
    variance = squares / count.clamp(min=1) - mean.square()
    least = LEAST_VARIANCE + 1e-9 * mean.square()  # less is rounding
    variance = torch.where((count > 1) & (variance > least), variance, pooled_variance)
    usable = variance[variance > least]
    typical = usable.median() if len(usable) else variance.new_ones(())
    variance = torch.where(variance > least, variance, typical)
    return mean.float(), variance.float()
