"""Feature embeddings and the guidance graph: forward to draws, the loss of edges, and back to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from omicsglue.data.tensors import EdgeBatch
from omicsglue.nn.compute import arrays, spans
from omicsglue.nn.direct.cells import NormalMaps
from omicsglue.nn.direct.memory import Memory, gradient_of
from omicsglue.nn.graph_encoder import EDGES, VERTICES, GraphEncoder
from omicsglue.nn.layers import EPS
from omicsglue.nn.randomness import Seed


class GraphPart:
    """The graph encoder in training.

    Parameters
    ----------
    graph
        The encoder.
    blocks
        Runs of vertices in which the way back is taken.
    kernels
        Compiled ones.
    """

    def __init__(self, graph: GraphEncoder, blocks: list[slice], kernels: Any) -> None:
        self.kernels, self.memory, self.maps = kernels, Memory(), NormalMaps(graph.head)
        self.table, self.to_table = arrays(graph.table, gradient_of(graph.table))
        self.matrix = arrays(graph.indptr, graph.indices, graph.values)
        self.transposed = arrays(graph.indptr, graph.indices, graph.transposed)
        n, dim = self.table.shape
        self.forward_blocks, self.places = spans(n, VERTICES), {b.start: i for i, b in enumerate(blocks)}
        names = ("h", "mean", "pull", "factor", "v", "to_v")
        self.h, self.mean, self.pull, self.factor, self.v, self.to_v = (
            self.memory(name, n, dim) for name in names
        )
        self.parts = (
            self.memory("weights", len(blocks), 2, dim, dim),
            self.memory("biases", len(blocks), 2, dim),
        )
        self.divergences = np.zeros(len(self.forward_blocks))
        self.indptr = np.empty(n + 1, dtype=np.int64)

    def begin(self, seed: Seed, share: float) -> None:
        """Make ready for a pass; ``share`` is the objective's derivative by a vertex's divergence."""
        self.seed, self.share, self.tiles = seed, np.float32(share), self.maps.biases_repeated()

    def forward(self, block: int) -> None:
        """Draw the embeddings of a block of vertices."""
        span, kernels = self.forward_blocks[block], self.kernels
        h = self.h[span]
        runs = [each[span].reshape(-1) for each in arrays(self.mean, self.pull, self.factor, self.v)]
        kernels.normal_noise(*self.seed, span.start * h.shape[1], runs[2])
        kernels.propagate(self.table, *self.matrix, span.start, h.numpy())
        torch.mm(h, self.maps.loc.T, out=self.mean[span])
        torch.mm(h, self.maps.std.T, out=self.pull[span])
        self.divergences[block] = kernels.draw_run(
            *runs[:2], *self.tiles, runs[2], self.share, np.float32(EPS), runs[3]
        )

    def sort_edges(self, edges: EdgeBatch) -> None:
        """Find the edges of each vertex."""
        self.edges = arrays(edges.source, edges.target, edges.sign, edges.present)
        n = len(edges.source)
        self.other, self.edge = np.empty((2, 2 * n), dtype=np.int64)
        self.to_product = np.empty(n, dtype=np.float32)
        self.kernels.incidence(*self.edges[:2], self.indptr, self.other, self.edge)

    def edge_blocks(self, up: tuple[float, float]) -> list[Callable[[], Any]]:
        """Return what evaluates the losses of edges, given the weights of negatives and positives."""
        weights = np.array(up, dtype=np.float32)
        blocks = spans(len(self.to_product), EDGES)
        self.losses = np.zeros((len(blocks), 2))
        v = self.v.numpy()

        def task(block: int) -> Callable[[], Any]:
            def work() -> None:
                given = [each[blocks[block]] for each in self.edges]
                self.kernels.edge_losses(
                    v, *given, weights, self.to_product[blocks[block]], self.losses[block]
                )

            return work

        return [task(block) for block in range(len(blocks))]

    def backward(self, span: slice) -> None:
        """Turn the gradient by a block of embeddings, in ``to_v``, into those by the maps and by ``h``."""
        maps, place = self.maps, self.places[span.start]
        to_v, factor, h = self.to_v[span], self.factor[span], self.h[span]
        self.kernels.add_edges(
            self.v.numpy(), self.indptr, self.other, self.edge, self.to_product, span.start, to_v.numpy()
        )
        runs = [each.reshape(-1) for each in arrays(to_v, self.mean[span], factor, self.pull[span])]
        self.kernels.gradient_run(*runs, self.share)
        weights, biases = (part[place] for part in self.parts)
        for down, to_weight, to_bias in zip((to_v, factor), weights, biases, strict=True):
            torch.mm(down.T, h, out=to_weight)
            torch.sum(down, 0, out=to_bias)
        torch.mm(to_v, maps.loc, out=h)
        h.addmm_(factor, maps.std)

    def tables(self, block: int) -> None:
        """Write the gradient of a block of the table; all of ``h`` must be there."""
        span = self.forward_blocks[block]
        self.kernels.propagate(self.h.numpy(), *self.transposed, span.start, self.to_table[span])

    def finish(self) -> None:
        """Write the gradients of the maps."""
        maps, (weights, biases) = self.maps, (part.sum(0) for part in self.parts)
        maps.to_loc.copy_(weights[0])
        maps.to_std.copy_(weights[1])
        maps.to_loc_bias.copy_(biases[0])
        maps.to_std_bias.copy_(biases[1])
