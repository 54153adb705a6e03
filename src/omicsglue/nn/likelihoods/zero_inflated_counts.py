"""Zero-inflated negative binomial: counts of which some are lost altogether."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import CellBatch, SparseRows
from omicsglue.nn.likelihoods.counts import start_of_shares
from omicsglue.nn.likelihoods.entries import (
    at,
    by_cell,
    expected_shares,
    measured,
    negative_binomial_draw,
    of_shares,
    weight_by_batch,
    weight_of_entries,
)
from omicsglue.nn.likelihoods.protocol import FeatureProfile

START = -4.0  # logit of the share of lost counts, 2 %: the mean starts as near to the data's


class _ZeroInflatedNLL(torch.autograd.Function):
    """Weighted negative log-likelihood of zero-inflated counts, with its gradient in closed form.

    With z = theta (log theta - log r) the log-probability that a negative binomial is 0, and l the logit of
    loss, a zero contributes log(e^l + e^z) - log(1 + e^l). Its gradients are those of the negative binomial
    times the chance that the zero was drawn, sigmoid(z - l). Whatever needs lgamma is computed at the
    non-zero entries alone.
    """

    @staticmethod
    def forward(
        ctx: Any,
        eta: Tensor,
        log_theta: Tensor,
        zero_logit: Tensor,
        counts: SparseRows,
        cells: CellBatch,
        weight: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        batch, batches = cells.batch, len(log_theta)
        flat, row, x, weight_at = counts.flat, counts.row, counts.value, weight[counts.row]
        theta = log_theta.exp()
        theta_at, theta_row, logit_row = (
            at(theta, batch, counts),
            by_cell(theta, batch),
            by_cell(zero_logit, batch),
        )
        log_mu = functional.log_softmax(eta, dim=1).add_(cells.library.log().unsqueeze(1))
        log_mu_at = log_mu.view(-1)[flat]
        mu = log_mu.exp_()
        q = mu / (mu + theta_row)
        gap = torch.log1p(mu / theta_row)
        gap_at, q_at = gap.view(-1)[flat], q.view(-1)[flat]

        excess = torch.addcmul(logit_row, gap, theta_row)  # l - z
        drawn = torch.sigmoid(-excess)
        zeros = functional.softplus(excess).addcmul_(gap, theta_row, value=-1)  # log(e^l + e^z)
        if mask is not None:
            zeros.masked_fill_(~mask, 0)
        zeros.view(-1)[flat] = 0
        drawn.view(-1)[flat] = 1
        gamma = torch.lgamma(x + theta_at) - torch.lgamma(theta_at) - torch.lgamma(x + 1)
        found = gamma + x * (log_mu_at - gap_at - theta_at.log()) - theta_at * gap_at
        nonzero, absent = weight_of_entries(cells, counts, weight, batches, mask)
        seen = nonzero + absent
        log_likelihood = (
            weight @ zeros.sum(1) + weight_at @ found - (seen * functional.softplus(zero_logit)).sum()
        )

        by_batch = weight_by_batch(weight, batch, batches)
        lost = 1 - drawn if mask is None else (1 - drawn).masked_fill_(~mask, 0)
        grad_logit = by_batch @ lost - seen * torch.sigmoid(zero_logit)
        grad_theta = theta * (by_batch @ (q - gap).mul_(drawn))
        digammas = torch.digamma(x + theta_at) - torch.digamma(theta_at)
        at_counts = weight_at * (theta_at * digammas - x * (1 - q_at))
        grad_theta.view(-1).index_add_(0, batch[row] * eta.shape[1] + counts.column, at_counts)

        grad = q.mul_(drawn).mul_(theta_row).neg_()
        grad.view(-1).index_add_(0, flat, x * (1 - q_at))
        share = grad.sum(1, keepdim=True).div_(cells.library.unsqueeze(1))
        grad.addcmul_(mu, share, value=-1).mul_(weight.unsqueeze(1))
        ctx.save_for_backward(grad, grad_theta, grad_logit)
        return -log_likelihood

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        grads = (grad * -grad_outputs[0] for grad in ctx.saved_tensors)
        return (*grads, None, None, None, None)


class ZeroInflatedNegativeBinomial:
    """Negative binomial counts, each lost (read as 0) with a chance of its own for each batch and feature."""

    name: ClassVar[str] = "zinb"
    support: ClassVar[str] = "counts"
    parameters: ClassVar[tuple[str, ...]] = ("log_theta", "zero_logit")

    def initial(self, profile: FeatureProfile) -> dict[str, Tensor]:
        """Start at the mean profile of each batch, dispersion 1 and few lost counts."""
        bias = start_of_shares(profile)
        return {
            "bias": bias,
            "log_theta": torch.zeros_like(bias),
            "zero_logit": torch.full_like(bias, START),
        }

    def nll(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, weight: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood, a scalar."""
        mask = measured(cells)
        eta, counts, weight = of_shares(eta, cells, weight)
        out: Tensor = _ZeroInflatedNLL.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            eta, params["log_theta"], params["zero_logit"], counts, cells, weight, mask
        )
        return out

    def mean(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the expected counts, those that are lost among them, B x features."""
        kept = torch.sigmoid(-by_cell(params["zero_logit"], cells.batch))
        return kept * expected_shares(eta, cells) * cells.library.unsqueeze(1)

    def variance(self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch) -> Tensor:
        """Return the variance of the counts, B x features."""
        kept = torch.sigmoid(-by_cell(params["zero_logit"], cells.batch))
        mu = expected_shares(eta, cells) * cells.library.unsqueeze(1)
        theta = by_cell(params["log_theta"].exp(), cells.batch)
        return kept * (mu + mu.square() * (1 / theta + 1 - kept))

    def sample(
        self, eta: Tensor, params: Mapping[str, Tensor], cells: CellBatch, generator: torch.Generator
    ) -> Tensor:
        """Draw counts, B x features."""
        mu = expected_shares(eta, cells) * cells.library.unsqueeze(1)
        drawn = negative_binomial_draw(mu, by_cell(params["log_theta"].exp(), cells.batch), generator)
        kept = torch.sigmoid(-by_cell(params["zero_logit"], cells.batch)).expand_as(mu)
        return drawn * torch.bernoulli(kept, generator=generator)
