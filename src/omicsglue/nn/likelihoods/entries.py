"""Which entries of a minibatch count, and what several likelihoods do with them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from omicsglue.data.tensors import CellBatch, SparseRows

FAR = -1e30
"""Predictor of what is missing: its share of a softmax is 0 in every precision."""


def measured(cells: CellBatch) -> Tensor | None:
    """Return which entries were measured, bool, B x features; ``None`` where all were."""
    if cells.coverage is None:
        return None
    mask = torch.zeros(cells.coverage.shape, dtype=torch.bool, device=cells.library.device)
    mask.view(-1)[cells.coverage.flat] = cells.coverage.value > 0
    return mask


def measured_counts(counts: SparseRows, mask: Tensor | None) -> SparseRows:
    """Return the non-zero entries that were measured."""
    if mask is None:
        return counts
    kept = mask.view(-1)[counts.flat]
    if bool(kept.all()):
        return counts
    row = counts.row[kept]
    indptr = counts.indptr.new_zeros(counts.shape[0] + 1)
    indptr[1:] = torch.bincount(row, minlength=counts.shape[0]).cumsum(0)
    return replace(counts, row=row, column=counts.column[kept], value=counts.value[kept], indptr=indptr)


def of_shares(eta: Tensor, cells: CellBatch, weight: Tensor) -> tuple[Tensor, SparseRows, Tensor]:
    """Return predictor, counts and weights with which a softmax runs over the measured features alone.

    The expectation of a missing entry is then exactly 0, of which its likelihood and gradient are 0; a cell
    of which nothing was measured weighs nothing.
    """
    mask = measured(cells)
    if mask is None:
        return eta, cells.counts, weight
    return (
        eta.masked_fill(~mask, FAR),
        measured_counts(cells.counts, mask),
        weight * mask.any(1).to(weight.dtype),
    )


def expected_shares(eta: Tensor, cells: CellBatch) -> Tensor:
    """Return each feature's share of the cell's library, B x features.

    Shares of the measured features add up to 1; that of a missing one is on the same scale, so that its
    product with the library is what would have been expected of it.
    """
    mask = measured(cells)
    if mask is None:
        return torch.softmax(eta, dim=1)
    known = torch.where(mask.any(1, keepdim=True), eta.masked_fill(~mask, FAR), eta)
    return (eta - known.logsumexp(1, keepdim=True)).exp()


def by_cell(parameter: Tensor, batch: Tensor) -> Tensor:
    """Return a parameter of batches x features for each cell, B x features (1 x features of one batch)."""
    return parameter if len(parameter) == 1 else parameter.index_select(0, batch)


def at(parameter: Tensor, batch: Tensor, entries: SparseRows) -> Tensor:
    """Return a parameter of batches x features at some entries, shape ``(entries,)``."""
    flat = batch[entries.row] * parameter.shape[1] + entries.column
    return parameter.reshape(-1).index_select(0, flat)


def predictor_at(eta: Tensor, entries: SparseRows) -> Tensor:
    """Return the predictor at some entries, shape ``(entries,)``."""
    return eta.reshape(-1).index_select(0, entries.flat)


def weight_by_batch(weight: Tensor, batch: Tensor, batches: int) -> Tensor:
    """Return weights of cells as a matrix that adds up their rows by batch, batches x B."""
    out = weight.new_zeros(batches, len(weight))
    out[batch, torch.arange(len(batch), device=batch.device)] = weight
    return out


def weight_of_entries(
    cells: CellBatch, counts: SparseRows, weight: Tensor, batches: int, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return weights of the non-zero entries and of the zeros, added up by batch and feature.

    Returns
    -------
    Two tensors of batches x features.
    """
    sums = weight_by_batch(weight, cells.batch, batches)
    features = counts.shape[1]
    nonzero = weight.new_zeros(batches * features)
    nonzero.index_add_(0, cells.batch[counts.row] * features + counts.column, weight[counts.row])
    nonzero = nonzero.view(batches, features)
    both = sums.sum(1, keepdim=True) if mask is None else sums @ mask.to(weight.dtype)
    return nonzero, both - nonzero


def dense_values(cells: CellBatch, mask: Tensor | None) -> Tensor:
    """Return the data as a dense matrix, B x features, 0 where they are missing."""
    values = cells.counts.dense()
    return values if mask is None else values.masked_fill(~mask, 0)


def weighted(log_density: Tensor, mask: Tensor | None, weight: Tensor) -> Tensor:
    """Return the negative sum of log-densities, B x features, that were measured, weighted by cell."""
    if mask is not None:
        log_density = log_density.masked_fill(~mask, 0)
    return -(log_density.sum(1) @ weight)


def gamma_draw(shape: Tensor, generator: torch.Generator) -> Tensor:
    """Draw gamma variates of scale 1."""
    return torch._standard_gamma(shape.contiguous(), generator=generator)


def negative_binomial_draw(mu: Tensor, theta: Tensor, generator: torch.Generator) -> Tensor:
    """Draw counts as a gamma mixture of Poissons, of the shape of ``mu``."""
    rate = gamma_draw(theta.expand_as(mu), generator) / theta * mu
    return torch.poisson(rate, generator=generator)
