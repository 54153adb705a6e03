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
        h, parameters = torch.empty_like(table), table.new_empty(len(table), len(bias))
        value, noise = table.new_empty(2, *table.shape)
        divergence = table.new_empty(len(table))
        given, offset, drawn, shocks, losses = arrays(parameters, bias, value, noise, divergence)
        kernels = compute.kernels

        def work(span: slice) -> None:
            kernels.normal_noise(*seed, span.start * table.shape[1], shocks[span].reshape(-1))
            h[span] = graph.product(table, graph.values, span)
            torch.mm(h[span], weight.T, out=parameters[span])
            kernels.normal_draw(given[span], offset, shocks[span], np.float32(EPS), drawn[span], losses[span])

        compute.each(work, spans(len(table), VERTICES))
        ctx.save_for_backward(h, weight, bias, parameters, noise)
        ctx.graph, ctx.compute = graph, compute
        return value, divergence

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        h, weight, *rest = ctx.saved_tensors
        bias, parameters, noise = arrays(*rest)
        to_value, to_divergence = arrays(*(x.contiguous() for x in grad_outputs))
        graph, compute = ctx.graph, ctx.compute
        to_h, to_table = torch.empty_like(h), torch.empty_like(h)
        blocks = spans(len(h), VERTICES)

        def heads(span: slice) -> tuple[Tensor, Tensor]:
            down = np.empty_like(parameters[span])
            compute.kernels.normal_gradient(
                parameters[span],
                bias,
                noise[span],
                to_value[span],
                to_divergence[span],
                np.float32(EPS),
                down,
            )
            to_parameters = torch.from_numpy(down)
            torch.mm(to_parameters, weight, out=to_h[span])
            return to_parameters.T @ h[span], to_parameters.sum(0)

        def tables(span: slice) -> None:
            to_table[span] = graph.product(to_h, graph.transposed, span)

        parts = compute.each(heads, blocks)
        compute.each(tables, blocks)
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
