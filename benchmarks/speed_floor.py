"""The floor of a training step: the arithmetic that no implementation of the model gets around, and no more.

Dense products of decoders and encoders forward and backward (the input of an encoder needs no gradient), the
graph encoder's sparse product and its two linear maps, and one pass of log-softmax and one of log over the
cells x features of each modality. Every output is allocated beforehand, every part is timed alone, and of two
forms of the sparse product the faster one counts. Sampling, optimiser, losses, discriminator and the reading
of data are not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

Operation = Callable[[], object]


@dataclass(frozen=True)
class Shape:
    """Width of a modality's encoder input, and number of its features."""

    inputs: int
    features: int


@dataclass(frozen=True)
class Sizes:
    """Cells in a step, dimensions of the embedding, and width of the encoders' hidden layers."""

    batch: int = 128
    dim: int = 50
    width: int = 256


class Floor:
    """Measures the floor for given data.

    Parameters
    ----------
    shapes
        Modalities by name.
    matrix
        Symmetric adjacency of the guidance graph with self-loops, vertices x vertices.
    sizes
        Batch and network.
    """

    def __init__(self, shapes: Mapping[str, Shape], matrix: sp.csr_matrix, sizes: Sizes) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.sizes = sizes
        self.parts: dict[str, list[Operation]] = {"graph": self._graph(matrix)}
        for part, build in (
            ("decoder", self._decoder),
            ("encoder", self._encoder),
            ("elementwise", self._elementwise),
        ):
            self.parts[part] = [operation for shape in shapes.values() for operation in build(shape)]

    def measure(self, rounds: int) -> dict[str, float]:
        """Return the median time of each part over some rounds, in ms."""
        with torch.no_grad():
            return {part: 1e3 * _median_time(operations, rounds) for part, operations in self.parts.items()}

    def _random(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def _linear(self, x: Tensor, width: int, *, first: bool = False) -> list[Operation]:
        """Return the products of a linear layer: output, gradient of the weight, gradient of the input."""
        weight, grad = self._random(width, x.shape[1]), self._random(len(x), width)
        out, grad_weight, grad_x = torch.empty_like(grad), torch.empty_like(weight), torch.empty_like(x)
        products: list[Operation] = [
            lambda: torch.mm(x, weight.t(), out=out),
            lambda: torch.mm(grad.t(), x, out=grad_weight),
        ]
        return products if first else [*products, lambda: torch.mm(grad, weight, out=grad_x)]

    def _decoder(self, shape: Shape) -> list[Operation]:
        return self._linear(self._random(self.sizes.batch, self.sizes.dim), shape.features)

    def _encoder(self, shape: Shape) -> list[Operation]:
        batch, width = self.sizes.batch, self.sizes.width
        return [
            *self._linear(self._random(batch, shape.inputs), width, first=True),
            *self._linear(self._random(batch, width), width),
            *self._linear(self._random(batch, width), 2 * self.sizes.dim),
        ]

    def _elementwise(self, shape: Shape) -> list[Operation]:
        x = self._random(self.sizes.batch, shape.features) + 0.5
        out, log = torch.empty_like(x), torch.empty_like(x)
        return [lambda: torch.log_softmax(x, 1, out=out), lambda: torch.log(x, out=log)]

    def _graph(self, matrix: sp.csr_matrix) -> list[Operation]:
        table = self._random(matrix.shape[0], self.sizes.dim)
        product = min(_sparse_products(matrix, table), key=lambda form: _median_time([form], 5))
        return [product, product, *self._linear(table, 2 * self.sizes.dim)]  # both maps side by side


def _sparse_products(matrix: sp.csr_matrix, table: Tensor) -> list[Operation]:
    """Return two forms of the product of a sparse matrix and a table."""
    starts, columns = (torch.from_numpy(a.astype(np.int64)) for a in (matrix.indptr, matrix.indices))
    values, out = torch.from_numpy(matrix.data.astype(np.float32)), torch.empty_like(table)
    sparse = torch.sparse_csr_tensor(starts, columns, values, matrix.shape)

    def bag() -> object:
        return functional.embedding_bag(columns, table, starts[:-1], mode="sum", per_sample_weights=values)

    return [bag, lambda: torch.addmm(out, sparse, table, beta=0, out=out)]


def _median_time(operations: list[Operation], rounds: int) -> float:
    """Return the median time of the operations, one after the other, in seconds; a first round warms up."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        for operation in operations:
            operation()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])
