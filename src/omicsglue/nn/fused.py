"""Decoder and likelihood of a modality as one operation with a closed-form gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.compute import Compute, arrays, spans

CELLS = 32  # of one batch in a block: their predictors stay in a core's cache
FEATURES = 1024


class CellBlocks:
    """Cells sorted by experimental batch, and cut into blocks none of which spans two batches.

    Parameters
    ----------
    batch
        Code of each cell's batch, shape ``(B,)``.
    batches
        Number of batches.
    """

    def __init__(self, batch: Tensor, batches: int) -> None:
        codes, self.order = batch.sort(stable=True)
        count = torch.bincount(codes, minlength=batches)
        within = torch.arange(len(codes)) - (count.cumsum(0) - count)[codes]
        starts = torch.nonzero(within % CELLS == 0).view(-1)
        ends = [*starts[1:].tolist(), len(codes)]
        self.spans = [slice(a, b) for a, b in zip(starts.tolist(), ends, strict=True)]
        self.batch, self.batches = codes[starts], batches

    def by_batch(self, sums: Tensor) -> Tensor:
        """Add up sums of blocks, ``(blocks, k, features)``, to ``(k, batches, features)``."""
        if self.batches == 1:
            return sums.sum(0).unsqueeze(1)
        out = sums.new_zeros(self.batches, *sums.shape[1:])
        return out.index_add_(0, self.batch, sums).transpose(0, 1)


class _NegativeBinomialDecoder(torch.autograd.Function):
    """Weighted negative log-likelihood of counts given u and V; see the kernel for the arithmetic.

    Gradients are formed in the forward pass, block by block, while predictors are in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        v: Tensor,
        scale: Tensor,
        bias: Tensor,
        log_theta: Tensor,
        cells: CellBatch,
        weight: Tensor,
        compute: Compute,
    ) -> Tensor:
        theta, counts, blocks = log_theta.exp(), cells.counts, CellBlocks(cells.batch, len(bias))
        u = u.index_select(0, blocks.order)
        z = u.new_empty(len(u), len(v))
        to_u = torch.empty_like(u)
        found = u.new_empty(len(u), dtype=torch.float64)
        sums = u.new_empty(len(blocks.spans), 3, len(v))

        parameters = arrays(scale, bias, theta)
        data = arrays(cells.batch, counts.indptr, counts.column, counts.value, cells.library, weight)
        z_array, order, found_array, sums_array = arrays(z, blocks.order, found, sums)

        def work(block: int) -> None:
            span = blocks.spans[block]
            torch.mm(u[span], v.T, out=z[span])
            compute.kernels.negative_binomial(
                z_array[span], *parameters, *data, order[span], found_array[span], sums_array[block]
            )
            torch.mm(z[span], v, out=to_u[span])  # the kernel left the gradient in z

        compute.each(work, range(len(blocks.spans)))
        to_theta, to_bias, to_scale = blocks.by_batch(sums)
        to_u = torch.empty_like(to_u).index_copy_(0, blocks.order, to_u)
        ctx.save_for_backward(u, z, to_u, to_scale, to_bias, to_theta.mul(theta).neg_())
        ctx.compute = compute
        return found.sum().neg().to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        factor = grad_outputs[0]
        u, z, *rest = ctx.saved_tensors
        u = u * factor
        to_v = z.new_empty(z.shape[1], u.shape[1])

        def work(span: slice) -> None:
            torch.mm(z[:, span].T, u, out=to_v[span])

        ctx.compute.each(work, spans(len(to_v), FEATURES))
        to_u, to_scale, to_bias, to_theta = (x * factor for x in rest)
        return to_u, to_v, to_scale, to_bias, to_theta, None, None, None


def _negative_binomial(
    u: Tensor,
    v: Tensor,
    scale: Tensor,
    bias: Tensor,
    params: Mapping[str, Tensor],
    cells: CellBatch,
    weight: Tensor,
    compute: Compute,
) -> Tensor:
    out: Tensor = _NegativeBinomialDecoder.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        u, v, scale, bias, params["log_theta"], cells, weight, compute
    )
    return out


FusedDecoder = Callable[
    [Tensor, Tensor, Tensor, Tensor, Mapping[str, Tensor], CellBatch, Tensor, Compute],
    Tensor,
]
FUSED_DECODERS: dict[str, FusedDecoder] = {"nb": _negative_binomial}
