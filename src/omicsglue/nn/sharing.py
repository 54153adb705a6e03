"""Feature embeddings that processes of one machine draw together, each those of its own vertices.

They are alike in all processes and do not depend on cells. So each process draws a part of them into memory
that all see, and goes the same part of the way back of their gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from omicsglue.nn.common_memory import CommonMemory
from omicsglue.nn.compute import Compute, spans
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.encoding import Encoded, Steps, encoded, encoder_passes, side_by_side
from omicsglue.nn.graph_encoder import VERTICES, DrawByBlocks, GraphEncoder
from omicsglue.nn.layers import Draw
from omicsglue.nn.randomness import Randomness
from omicsglue.nn.ranks import Floats, Ranks

_NO_SUMS: Final[Floats] = np.empty((2, 0), dtype=np.float32)  # a stop until all processes are there


def embed_together(
    graph: GraphEncoder,
    encoders: Mapping[str, DataEncoder],
    inputs: Mapping[str, Tensor],
    sources: tuple[Randomness, Randomness],
    compute: Compute,
    ranks: Ranks,
) -> tuple[Draw, dict[str, Encoded]]:
    """Draw the embeddings of all features and of a minibatch's cells, in training.

    Parameters
    ----------
    graph, encoders
        Of features, and of each modality's cells.
    inputs
        What each encoder sees, ``(B, inputs)``.
    sources
        Of what all processes draw alike, and of what each draws for its cells.
    compute
        Compiled kernels and threads.
    ranks
        Processes of one machine.
    """
    assert ranks.memory is not None
    passes = [
        _Part(graph, sources[0], compute, ranks.memory),
        *encoder_passes(encoders, inputs, sources[1], ranks),
    ]
    (value, divergence), *cells = side_by_side(passes, compute, ranks)
    return Draw(value, divergence), encoded(encoders, cells)


class _Part:
    """A process's part in the draw of the feature embeddings.

    Nothing in memory is written before all have read what was there: the exchanges of a step lie in between.
    """

    outputs = 2

    def __init__(
        self, graph: GraphEncoder, random: Randomness, compute: Compute, memory: CommonMemory
    ) -> None:
        self.parameters = [graph.table, *graph.head.joined()]
        self.graph, self.compute, self.rank, self.number = graph, compute, memory.rank, memory.number
        rows, dim = graph.table.shape

        def room(name: str, *shape: int) -> Tensor:
            return memory.room(name, shape, torch.float32).detach()

        self.value, self.divergence = room("draw", rows, dim), room("divergence", rows)
        self.up = room("to draw", self.number, rows, dim), room("to divergence", self.number, rows)
        self.to_h, self.to_table = room("to sums", rows, dim), room("to table", rows, dim)
        # the blocks that one process would draw, since their noise depends on where they begin and end
        self.spans = spans(rows, VERTICES)[self.rank :: self.number]
        weight, bias = self.parameters[1:]
        self.blocks = DrawByBlocks(
            graph, weight, bias, random.seed(), self.value, self.divergence, compute.kernels
        )

    def forward(self, kernels: Any) -> Steps[tuple[Tensor, ...]]:
        """Return the draws and divergences of all vertices."""
        self.compute.each(self.blocks.draw, self.spans)
        yield _NO_SUMS
        return self.value, self.divergence

    def backward(self, kernels: Any, *ups: Tensor) -> Steps[list[Tensor | None]]:
        """Return gradients whose mean over processes is the whole; the one by the table is put in its place.

        Its rows of other processes are there when all have met once more.
        """
        for room, up in zip(self.up, ups, strict=True):
            room[self.rank].copy_(up)
        yield _NO_SUMS
        weight, bias = self.parameters[1:]
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for part in self.compute.each(self._heads, self.spans):
            to_weight += part[0]
            to_bias += part[1]
        yield _NO_SUMS
        self.compute.each(lambda span: self.blocks.tables(span, self.to_h, self.to_table), self.spans)
        self.graph.table.grad = self.to_table
        return [None, to_weight * self.number, to_bias * self.number]

    def _heads(self, span: slice) -> tuple[Tensor, Tensor]:
        to_value, to_divergence = (room[:, span].mean(0) for room in self.up)
        return self.blocks.heads(span, to_value, to_divergence, self.to_h)
