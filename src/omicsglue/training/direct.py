"""A step of the usual objective without autograd, for one process on a CPU.

The plain way, through the network's forward pass, the terms of the objective and autograd, is the reference,
and serves whatever is not served here; `tests/training/test_direct.py` holds the two against each other. What
is gained: no graph of operations is built and walked, no memory is taken and given back, and all work but a
few sums is shared out to the threads, in four rounds:

1. encoders forward; feature embeddings;
2. decoders with their gradients by cells; discriminator forward and back; discrepancy; losses of edges;
3. encoders back; gradients by features, and back through the maps of the graph encoder;
4. back through the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from omicsglue import objective
from omicsglue.data.tensors import Batch, CellBatch
from omicsglue.nn.compute import Compute, arrays, spans
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.direct.cells import EncoderPart
from omicsglue.nn.direct.decoder import DecoderPart
from omicsglue.nn.direct.features import GraphPart
from omicsglue.nn.direct.judges import DiscrepancyPart, DiscriminatorPart
from omicsglue.nn.direct.memory import Memory
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.network import Network
from omicsglue.nn.randomness import Randomness
from omicsglue.objective import KERNEL_SCALES, ObjectiveWeights

FEATURES = 512  # in a block of work
SERVED = objective.TERMS  # with other terms than these, autograd serves
Task = Callable[[], Any]


def serves(network: Network, weights: ObjectiveWeights) -> bool:
    """Whether the objective is one of which the gradients are written out here."""
    decoders = [cast(DataDecoder, each) for each in network.decoders.values()]
    factors = weights.modality or {}
    return (
        objective.TERMS is SERVED
        and all(each.likelihood.name == "nb" for each in decoders)
        and all(weights.data * factors.get(name, 1.0) > 0 for name in network.modalities)
        and network.in_turn
        and len(network.modalities) > 1
        and network.classifier is None
        and not network.shares_batches
    )


class DirectStep:
    """Gradients of the objective, written to those of the network's parameters.

    Parameters
    ----------
    network
        One that :func:`serves` accepts.
    weights
        Weights of the objective's terms.
    compute
        Kernels and threads.
    """

    def __init__(self, network: Network, weights: ObjectiveWeights, compute: Compute) -> None:
        self.network, self.weights, self.compute = network, weights, compute
        kernels = compute.kernels
        self.encoders = [EncoderPart(cast(DataEncoder, e), kernels) for e in network.encoders.values()]
        self.decoders = [DecoderPart(cast(DataDecoder, d), kernels) for d in network.decoders.values()]
        self.spans = _modality_spans(network)
        blocks = [
            (k, slice(whole.start + part.start, whole.start + part.stop), part)
            for k, whole in enumerate(self.spans)
            for part in _even(whole.stop - whole.start, FEATURES)
        ]
        self.blocks = blocks
        self.graph = GraphPart(network.graph, [vertices for _, vertices, _ in blocks], kernels)
        self.discriminator = DiscriminatorPart(network.discriminator, kernels)
        self.discrepancy = DiscrepancyPart(KERNEL_SCALES, kernels)
        self.memory = Memory()
        self.factors = [weights.data * (weights.modality or {}).get(k, 1.0) for k in network.modalities]
        self.names = [f"data_{part}_{name}" for name in network.modalities for part in ("nll", "kl")]
        self.names += ["graph_nll", "graph_kl", "align", *(["discrepancy"] if weights.discrepancy else [])]
        self.names += ["vae_loss"]

    def serves(self, batch: Batch) -> bool:
        """Whether there is nothing in a minibatch that the plain way is needed for."""
        return batch.joint is None and all(cells.coverage is None for cells in batch.cells.values())

    def gradients(self, batch: Batch, random: Randomness, noise: float, meanwhile: Task) -> Tensor:
        """Write the gradients; return the recorded values, in the order of ``names``.

        Parameters
        ----------
        batch
            The minibatch.
        random
            Source of sampling and dropout.
        noise
            On the discriminator's input, in units of the embeddings' spread.
        meanwhile
            Called when the threads have begun.
        """
        with torch.no_grad():
            return self._gradients(list(batch.cells.values()), batch, random, noise, meanwhile)

    def _gradients(
        self, cells: list[CellBatch], batch: Batch, random: Randomness, noise: float, meanwhile: Task
    ) -> Tensor:
        sizes = [len(each.library) for each in cells]
        means = self.memory("means", sum(sizes), self.graph.table.shape[1])
        divergences = self._forward(cells, batch, random, means)
        meanwhile()
        discrepancies = self._middle(cells, batch, random, noise, means)
        self._backward(torch.split(means, sizes), sizes)
        return self._values(cells, divergences, discrepancies)

    def _forward(
        self, cells: list[CellBatch], batch: Batch, random: Randomness, means: Tensor
    ) -> list[float]:
        """Draw all embeddings; return the sums of the cells' divergences."""
        weights, graph = self.weights, self.graph
        vertices = len(graph.table)
        seeds = random.seeds(1 + sum(each.seeds for each in self.encoders))
        graph.begin(seeds.pop(0), weights.graph * len(cells) * weights.kl / vertices**2)
        shares = [
            factor * weights.kl / (each.counts.shape[1] * len(each.library))
            for factor, each in zip(self.factors, cells, strict=True)
        ]
        found = [0.0] * len(cells)
        parts = torch.split(means, [len(each.library) for each in cells])
        own = []
        for each in self.encoders:
            own.append(seeds[: each.seeds])
            del seeds[: each.seeds]

        def encode(k: int) -> None:
            found[k] = self.encoders[k].forward(cells[k], own[k], shares[k], parts[k])

        def prepare() -> None:
            graph.sort_edges(batch.edges)
            for decoder in self.decoders:
                decoder.prepare()

        self._all(
            [
                *(partial(encode, k) for k in range(len(cells))),
                *(partial(graph.forward, k) for k in range(len(graph.forward_blocks))),
                prepare,
            ]
        )
        return found

    def _middle(
        self, cells: list[CellBatch], batch: Batch, random: Randomness, noise: float, means: Tensor
    ) -> float:
        """Do all that looks at embeddings of cells and features; return the discrepancy."""
        weights, judge = self.weights, self.discriminator
        x = means
        if noise > 0:
            x = means + random.normal(means) * (means.std(0) * noise)
        balancing = arrays(*(each.weight for each in cells))
        truth = np.repeat(np.arange(len(cells)), [len(each) for each in balancing])
        seeds = random.seeds(judge.seeds)
        tasks = self._decoding(cells)
        tasks += [
            partial(judge.work, block)
            for block in judge.begin(x, truth, np.concatenate(balancing), seeds, weights.align)
        ]
        found = [0.0]
        if weights.discrepancy:

            def compare() -> None:
                found[0] = self.discrepancy.work(means, balancing, weights.discrepancy)

            tasks.append(compare)
        positives = max(int(batch.edges.present.sum()), 1)
        negatives = max(len(batch.edges.present) - positives, 1)
        half = weights.graph * len(cells) / 2
        tasks += self.graph.edge_blocks((half / negatives, half / positives))
        self.counts = negatives, positives
        self._all(tasks)
        return found[0]

    def _decoding(self, cells: list[CellBatch]) -> list[Task]:
        """Return what evaluates decoders on blocks of cells, those of many features first: they take long."""
        tasks: list[Task] = []
        for k in sorted(range(len(cells)), key=lambda k: -cells[k].counts.shape[1]):
            decoder, (n, features) = self.decoders[k], cells[k].counts.shape
            blocks = decoder.begin(cells[k], self.factors[k] / (features * n))
            decoder.sorted(self.encoders[k].u)
            v = self.graph.v[self.spans[k]]
            tasks += [partial(decoder.forward, block, v) for block in blocks]
        return tasks

    def _backward(self, means: tuple[Tensor, ...], sizes: list[int]) -> None:
        """Go back from the gradients by embeddings to those of all parameters."""
        to_means = self.discriminator.to_x
        if self.weights.discrepancy:
            to_means = torch.add(
                to_means, self.discrepancy.to_x, out=self.memory("to_means", *to_means.shape)
            )
        parts, graph = torch.split(to_means, sizes), self.graph

        def encoder(k: int) -> None:
            self.encoders[k].backward(self.decoders[k].to_embeddings(), parts[k])

        def features(block: int) -> None:
            k, vertices, part = self.blocks[block]
            self.decoders[k].backward(part, graph.to_v[vertices])
            graph.backward(vertices)

        self._all(
            [
                *(partial(encoder, k) for k in range(len(sizes))),
                *(partial(features, k) for k in range(len(self.blocks))),
                self.discriminator.finish,
            ]
        )
        self._all([*(partial(graph.tables, k) for k in range(len(graph.forward_blocks))), graph.finish])

    def _values(self, cells: list[CellBatch], divergences: list[float], discrepancy: float) -> Tensor:
        """Return the recorded values."""
        weights, graph = self.weights, self.graph
        values, total = [], 0.0
        for k, each in enumerate(cells):
            n, features = each.counts.shape
            likely, kl = self.decoders[k].value() / self.factors[k], divergences[k] / (n * features)
            values += [likely, kl]
            total += self.factors[k] * (likely + weights.kl * kl)
        negative, positive = graph.losses.sum(0)
        edges = (negative / self.counts[0] + positive / self.counts[1]) / 2
        kl = graph.divergences.sum() / len(graph.table) ** 2
        total += weights.graph * len(cells) * (edges + weights.kl * kl)
        values += [edges, kl, self.discriminator.value()]
        if weights.discrepancy:
            values.append(discrepancy)
        return torch.tensor([*values, total], dtype=torch.float32)

    def _all(self, tasks: list[Task]) -> None:
        self.compute.each(_call, tasks)


def _call(task: Task) -> Any:
    return task()


def _modality_spans(network: Network) -> list[slice]:
    found, start = [], 0
    for name in network.modalities:
        stop = start + len(network.get_buffer(f"vertices_{name}"))
        found.append(slice(start, stop))
        start = stop
    return found


def _even(length: int, size: int) -> list[slice]:
    """Cut a range into as few runs of at most ``size`` as there must be, of about one length."""
    number = -(-length // size)
    return spans(length, -(-length // number))
