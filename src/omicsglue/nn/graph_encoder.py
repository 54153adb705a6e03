"""Graph encoder and decoder: feature embeddings by one propagation over the signed guidance graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsglue.nn.compute import Compute, arrays, spans
from omicsglue.nn.layers import EPS, DiagonalNormal, Draw, NormalHead
from omicsglue.nn.randomness import Randomness, Seed

VERTICES, EDGES = 1024, 4096  # in a block of work


def adjacency(
    source: npt.NDArray[np.int64],
    target: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float32],
    sign: npt.NDArray[np.int8],
    vertices: int,
) -> tuple[sp.csr_matrix, npt.NDArray[np.float32]]:
    """Return the symmetric signed adjacency matrix, with self-loops of weight 1, and the weighted degrees.

    Returns
    -------
    Matrix of shape ``(vertices, vertices)`` and degrees of shape ``(vertices,)``, float32; signs do not enter
    the degrees.
    """
    loops = np.arange(vertices)
    rows = np.concatenate([target, source, loops])
    columns = np.concatenate([source, target, loops])
    weights = np.concatenate([weight, weight, np.ones(vertices)]).astype(np.float32)
    signs = np.concatenate([sign, sign, np.ones(vertices)]).astype(np.float32)
    degree = np.bincount(rows, weights, minlength=vertices).astype(np.float32)
    return sp.csr_matrix((weights * signs, (rows, columns)), shape=(vertices, vertices)), degree


class _Propagate(torch.autograd.Function):
    """A sparse matrix of symmetric pattern, as CSR arrays, times a dense table.

    Its transpose, by which gradients go back, has the same pattern and so the same arrays but for the values.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, indptr: Tensor, indices: Tensor, values: Tensor, transposed: Tensor
    ) -> Tensor:
        ctx.save_for_backward(indptr, indices, transposed)
        return _product(table, indptr, indices, values)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        return _product(grad_outputs[0].contiguous(), *ctx.saved_tensors), None, None, None, None


def _product(table: Tensor, indptr: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Sum rows of the table by CSR row: an embedding bag, torch's fastest form of this product."""
    first, last = indptr[0], indptr[-1]
    return functional.embedding_bag(
        indices[first:last], table, indptr[:-1] - first, mode="sum", per_sample_weights=values[first:last]
    )


class DrawByBlocks:
    """One draw of the embeddings of all vertices, and the way back of its gradient, by blocks of vertices.

    Blocks can be done in any order, and by different processes.

    Parameters
    ----------
    graph
        The encoder.
    weight, bias
        Of its maps to mean and standard deviation, joined.
    seed
        Of the noise.
    value, divergence
        Where the draw and its divergences go, ``(vertices, D)`` and ``(vertices,)``.
    kernels
        Compiled loops.
    """

    def __init__(
        self,
        graph: GraphEncoder,
        weight: Tensor,
        bias: Tensor,
        seed: Seed,
        value: Tensor,
        divergence: Tensor,
        kernels: Any,
    ) -> None:
        self.graph, self.weight, self.seed, self.kernels = graph, weight.detach(), seed, kernels
        table = graph.table.detach()
        self.table, self.h = table, torch.empty_like(table)
        self.parameters = table.new_empty(len(table), len(bias))
        self.given, self.noise = arrays(self.parameters, torch.empty_like(table))
        self.bias, self.value, self.divergence = arrays(bias, value, divergence)

    def draw(self, span: slice) -> None:
        """Draw the embeddings of some vertices: propagation, the two maps, and noise."""
        self.kernels.normal_noise(*self.seed, span.start * self.table.shape[1], self.noise[span].reshape(-1))
        self.h[span] = self.graph.product(self.table, self.graph.values, span)
        torch.mm(self.h[span], self.weight.T, out=self.parameters[span])
        self.kernels.normal_draw(
            self.given[span], self.bias, self.noise[span], np.float32(EPS), self.value[span],
            self.divergence[span],
        )  # fmt: skip

    def heads(
        self, span: slice, to_value: Tensor, to_divergence: Tensor, to_h: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fill in the gradient by what some vertices receive, and return theirs by weight and bias.

        Parameters
        ----------
        span
            The vertices.
        to_value, to_divergence
            Gradients by their draws and divergences.
        to_h
            Of all vertices.
        """
        down = np.empty_like(self.given[span])
        up = arrays(to_value, to_divergence)
        self.kernels.normal_gradient(
            self.given[span], self.bias, self.noise[span], *up, np.float32(EPS), down
        )
        to_parameters = torch.from_numpy(down)
        torch.mm(to_parameters, self.weight, out=to_h[span])
        return to_parameters.T @ self.h[span], to_parameters.sum(0)

    def tables(self, span: slice, to_h: Tensor, to_table: Tensor) -> None:
        """Fill in the gradient by some rows of the table, given that by what all vertices receive."""
        to_table[span] = self.graph.product(to_h, self.graph.transposed, span)


class _FusedDraw(torch.autograd.Function):
    """Propagation, the maps to mean and standard deviation, and a draw: block by block of vertices."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        weight: Tensor,
        bias: Tensor,
        graph: GraphEncoder,
        seed: Seed,
        compute: Compute,
    ) -> tuple[Tensor, Tensor]:
        value, divergence = torch.empty_like(table), table.new_empty(len(table))
        ctx.compute = compute
        ctx.blocks = DrawByBlocks(graph, weight, bias, seed, value, divergence, compute.kernels)
        compute.each(ctx.blocks.draw, spans(len(table), VERTICES))
        return value, divergence

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        to_value, to_divergence = (x.contiguous() for x in grad_outputs)
        blocks, compute = ctx.blocks, ctx.compute
        to_h, to_table = torch.empty_like(blocks.h), torch.empty_like(blocks.h)
        cut = spans(len(to_h), VERTICES)
        parts = compute.each(lambda span: blocks.heads(span, to_value[span], to_divergence[span], to_h), cut)
        compute.each(lambda span: blocks.tables(span, to_h, to_table), cut)
        to_weight, to_bias = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
        return to_table, to_weight, to_bias, None, None, None


class GraphEncoder(nn.Module):
    """A free table of vertices, propagated once, then two linear maps to mean and standard deviation of V.

    A vertex receives the signed, weighted sum of its neighbours' rows and its own, divided by the square
    root of its weighted degree.

    Parameters
    ----------
    matrix, degree
        See :func:`adjacency`.
    dim
        Dimensions D of the embedding.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    transposed: Tensor

    def __init__(self, matrix: sp.csr_matrix, degree: npt.NDArray[np.float32], dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(matrix.shape[0], dim))
        self.head = NormalHead(dim, dim)
        self.register_buffer("indptr", torch.from_numpy(matrix.indptr.astype(np.int64)), persistent=False)
        self.register_buffer("indices", torch.from_numpy(matrix.indices.astype(np.int64)), persistent=False)
        norm = 1 / np.sqrt(degree)
        values, transposed = (
            matrix.data * norm.repeat(np.diff(matrix.indptr)),
            matrix.data * norm[matrix.indices],
        )
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        self.register_buffer("transposed", torch.from_numpy(transposed), persistent=False)

    def product(self, table: Tensor, values: Tensor, span: slice) -> Tensor:
        """Return some rows of the matrix, with the given values, times a table."""
        return _product(table, self.indptr[span.start : span.stop + 1], self.indices, values)

    def draw(self, random: Randomness | None, compute: Compute | None = None) -> Draw:
        """Draw embeddings of all vertices, ``(vertices, D)``; without randomness, their means."""
        if random is None or compute is None:
            return self.forward().draw(random)
        value, divergence = _FusedDraw.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.table, *self.head.joined(), self, random.seed(), compute
        )
        return Draw(value, divergence)

    def forward(self) -> DiagonalNormal:
        """Return a normal over the embeddings of all vertices, ``(vertices, D)``."""
        h: Tensor = _Propagate.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.table, self.indptr, self.indices, self.values, self.transposed
        )
        normal: DiagonalNormal = self.head(h)
        return normal


class _EdgeProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, source: Tensor, target: Tensor, compute: Compute) -> Tensor:
        out = v.new_empty(len(source))
        rows, *ends, products = arrays(v, source, target, out)

        def work(span: slice) -> None:
            compute.kernels.edge_products(rows, ends[0][span], ends[1][span], products[span])

        compute.each(work, spans(len(source), EDGES))
        ctx.save_for_backward(v, source, target)
        ctx.compute = compute
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None, None, None]:
        v = arrays(*ctx.saved_tensors, grad_outputs[0].contiguous())
        down = np.zeros_like(v[0])

        def work(span: slice) -> None:  # columns, so that no two threads add to the same number
            ctx.compute.kernels.edge_gradient(*v, span.start, span.stop, down)

        ctx.compute.each(work, spans(down.shape[1], math.ceil(down.shape[1] / 2)))
        return torch.from_numpy(down), None, None, None


def edge_logits(
    v: Tensor, source: Tensor, target: Tensor, sign: Tensor, compute: Compute | None = None
) -> Tensor:
    """Return log-odds of edges: sign times the inner product of their ends, shape ``(edges,)``.

    In plain torch, rows are taken with ``index_select``, whose gradient is summed in one order however many
    threads there are; that of plain indexing is not, and two runs would differ in the last bits.
    """
    if compute is not None:
        products: Tensor = _EdgeProducts.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            v, source, target, compute
        )
        return sign * products
    return sign * (v.index_select(0, source) * v.index_select(0, target)).sum(1)
