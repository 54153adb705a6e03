"""Likelihoods of counts that share a library: negative binomial and Poisson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch, SparseRows
from omicsglue.nn.likelihoods.entries import (
    by_cell,
    expected_shares,
    negative_binomial_draw,
    of_shares,
    predictor_at,
)
from omicsglue.nn.likelihoods.protocol import FeatureProfile


class _NegativeBinomialNLL(torch.autograd.Function):
    """Weighted negative log-likelihood of sparse counts, with its gradient in closed form.

    With r = mu + theta, an entry of zero contributes theta (log theta - log r); whatever needs lgamma is
    computed at the non-zero entries alone. The gradient is formed in the forward pass, while mu and r are at
    hand.
    """

    @staticmethod
    def forward(
        ctx: Any,
        eta: Tensor,
        log_theta: Tensor,
        counts: SparseRows,
        library: Tensor,
        batch: Tensor,
        weight: Tensor,
    ) -> Tensor:
        one_batch = log_theta.shape[0] == 1
        theta = log_theta.exp()
        flat, row, x = counts.flat, counts.row, counts.value
        theta_at = theta[batch[row], counts.column]

        log_mu = functional.log_softmax(eta, dim=1).add_(library.log().unsqueeze(1))
        log_mu_at = log_mu.view(-1)[flat]
        mu = log_mu.exp_()
        theta_row = theta if one_batch else theta[batch]
        q = mu / (mu + theta_row)
        gap = torch.log1p(mu / theta_row)  # log r - log theta, exact also where mu is far below theta
        log_r_at, q_at = gap.view(-1)[flat] + theta_at.log(), q.view(-1)[flat]

        by_batch = eta.new_zeros(theta.shape[0], eta.shape[0])
        by_batch[batch, torch.arange(len(batch), device=batch.device)] = weight
        zeros = -by_batch @ gap  # as if all counts were zero
        weight_at = weight[row]
        gamma = torch.lgamma(x + theta_at) - torch.lgamma(theta_at) - torch.lgamma(x + 1)
        log_likelihood = (theta * zeros).sum() + (weight_at * (gamma + x * (log_mu_at - log_r_at))).sum()

        grad_theta = theta * (by_batch @ gap.neg_().add_(q))
        digammas = torch.digamma(x + theta_at) - torch.digamma(theta_at)
        at_counts = weight_at * (theta_at * digammas - x * (1 - q_at))
        grad_theta.view(-1).index_add_(0, batch[row] * eta.shape[1] + counts.column, at_counts)

        grad = q.mul_(theta_row).neg_()
        grad.view(-1).index_add_(0, flat, x * (1 - q_at))
        share = grad.sum(1, keepdim=True).div_(library.unsqueeze(1))
        grad.addcmul_(mu, share, value=-1).mul_(weight.unsqueeze(1))
        ctx.save_for_backward(grad, grad_theta)
        return -log_likelihood

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        grad, grad_theta = ctx.saved_tensors
        scale = -grad_outputs[0]
        return grad * scale, grad_theta * scale, None, None, None, None


class NegativeBinomial:
    """Counts with mean softmax(eta) times the library size, and a dispersion for each batch and feature.

    Source: Cao & Gao 2022; the sparse form and its gradient are derived in ``docs/design.md``.
    """

    name: ClassVar[str] = "nb"
    support: ClassVar[str] = "counts"
    parameters: ClassVar[tuple[str, ...]] = ("log_theta",)

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the mean profile of each batch and at dispersion 1."""
        bias = start_of_shares(profile)
        return {"bias": bias, "log_theta": torch.zeros_like(bias)}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        eta, counts, weight = of_shares(eta, cells, weight)
        out: Tensor = _NegativeBinomialNLL.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            eta, params["log_theta"], counts, cells.library, cells.batch, weight
        )
        return out

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected counts, B x features."""
        return expected_shares(eta, cells) * cells.library.unsqueeze(1)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the counts, mu + mu^2 / theta, B x features."""
        mu = self.mean(eta, params, cells)
        return mu + mu.square() / by_cell(params["log_theta"].exp(), cells.batch)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw counts as a gamma mixture of Poissons, B x features."""
        mu = self.mean(eta, params, cells)
        return negative_binomial_draw(mu, by_cell(params["log_theta"].exp(), cells.batch), generator)


class Poisson:
    """Counts with mean softmax(eta) times the library size.

    The expectations of a cell add up to its library, whatever eta: dense work is the softmax alone.
    """

    name: ClassVar[str] = "poisson"
    support: ClassVar[str] = "counts"
    parameters: ClassVar[tuple[str, ...]] = ()

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the mean profile of each batch."""
        return {"bias": start_of_shares(profile)}

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        eta, counts, weight = of_shares(eta, cells, weight)
        log_share = predictor_at(functional.log_softmax(eta, dim=1), counts)
        log_mu = log_share + cells.library.log()[counts.row]
        log_likelihood = counts.value * log_mu - torch.lgamma(counts.value + 1)
        return weight @ cells.library - weight[counts.row] @ log_likelihood

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected counts, B x features."""
        return expected_shares(eta, cells) * cells.library.unsqueeze(1)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the counts, which is their mean, B x features."""
        return self.mean(eta, params, cells)

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw counts, B x features."""
        return torch.poisson(self.mean(eta, params, cells), generator=generator)


def start_of_shares(profile: FeatureProfile) -> Tensor:
    """Return the bias whose softmax is the mean profile of each batch, batches x features.

    Where entries are missing, a feature's share is that of its mean over the cells in which it was measured.
    """
    smoothed = profile.total + 0.5
    if profile.measured is not None:
        smoothed = smoothed / (profile.measured + 1)
    bias = (smoothed / smoothed.sum(1, keepdim=True)).log()
    return bias - bias.mean(1, keepdim=True)
