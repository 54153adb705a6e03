"""One modality's decoder with its likelihood: block by block of cells, then block by block of features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.compute import arrays, spans
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.direct.memory import Memory, gradient_of
from omicsglue.nn.fused import CELLS, CellBlocks


class DecoderPart:
    """A decoder with the negative binomial.

    Parameters
    ----------
    decoder
        The decoder.
    kernels
        Compiled ones.
    """

    def __init__(self, decoder: DataDecoder, kernels: Any) -> None:
        parameters = decoder.scale, decoder.bias, decoder.params["log_theta"]
        self.raw, self.bias, self.log_theta = arrays(*parameters)
        self.gradients = arrays(*(gradient_of(parameter) for parameter in parameters))
        self.scale, self.theta = np.empty_like(self.raw), np.empty_like(self.raw)
        self.kernels, self.memory = kernels, Memory()

    def prepare(self) -> None:
        """Bring scales and dispersions up to date with the parameters."""
        for each in zip(self.raw, self.log_theta, self.scale, self.theta, strict=True):
            self.kernels.decoder_parameters(*each)

    def begin(self, cells: CellBatch, weight: float) -> list[int]:
        """Make ready for a minibatch; return its blocks of cells.

        Parameters
        ----------
        cells
            The minibatch.
        weight
            Of each cell's negative log-likelihood in the objective.
        """
        n, features = cells.counts.shape
        self.order: Tensor | None = None
        if len(self.bias) == 1:
            self.spans, self.of_block = spans(n, CELLS), np.zeros(-(-n // CELLS), dtype=np.int64)
            order = self.memory("order", n, dtype=torch.int64)
            torch.arange(n, out=order)
        else:
            blocks = CellBlocks(cells.batch, len(self.bias))
            self.spans, order, (self.of_block,) = blocks.spans, blocks.order, arrays(blocks.batch)
            self.order = order
        number = -(-n // CELLS) + len(self.bias)  # blocks at most
        self.z, self.to_u = self.memory("z", n, features), None
        sums, found = self.memory("sums", number, 3, features), self.memory("found", n, dtype=torch.float64)
        weights = self.memory("weight", n).fill_(weight)
        counts = cells.counts
        self.given = arrays(cells.batch, counts.indptr, counts.column, counts.value, cells.library, weights)
        self.positions, self.found, self.sums = *arrays(order, found), sums.numpy()
        return list(range(len(self.spans)))

    def sorted(self, u: Tensor) -> None:
        """Take the embeddings of the cells, ``(B, D)``."""
        if self.order is not None:
            u = torch.index_select(u, 0, self.order, out=self.memory("sorted", *u.shape))
        self.u, self.down = u, self.memory("to_u", *u.shape)

    def forward(self, block: int, v: Tensor) -> None:
        """Evaluate a block of cells given feature embeddings, and form the gradient by the predictors."""
        span = self.spans[block]
        z = self.z[span]
        torch.mm(self.u[span], v.T, out=z)
        self.kernels.negative_binomial(
            z.numpy(), self.scale, self.bias, self.theta, *self.given, self.positions[span],
            self.found[span], self.sums[block],
        )  # fmt: skip
        torch.mm(z, v, out=self.down[span])

    def to_embeddings(self) -> Tensor:
        """Return the gradient by the embeddings of the cells, ``(B, D)``."""
        if self.order is None:
            return self.down
        return self.memory("unsorted", *self.down.shape).index_copy_(0, self.order, self.down)

    def backward(self, span: slice, to_v: Tensor) -> None:
        """Receive the gradient by the embeddings of some features; write those of their parameters."""
        torch.mm(self.z[:, span].T, self.u, out=to_v)
        to_scale, to_bias, to_theta = self.gradients
        self.kernels.decoder_gradient(
            self.sums, self.of_block, self.raw, self.theta, span.start, span.stop, to_scale, to_bias, to_theta
        )

    def value(self) -> float:
        """Return the weighted negative log-likelihood."""
        return -float(self.found.sum())
