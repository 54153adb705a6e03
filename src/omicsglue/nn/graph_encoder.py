"""Graph encoder and decoder: feature embeddings by one propagation over the signed guidance graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsglue.nn.layers import EPS, DiagonalNormal


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


class _SymmetricProduct(torch.autograd.Function):
    """A symmetric sparse matrix, as CSR arrays, times a dense table; backward it is the same product."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, indptr: Tensor, indices: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(indptr, indices, values)
        return _product(table, indptr, indices, values)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        return _product(grad_outputs[0].contiguous(), *ctx.saved_tensors), None, None, None


def _product(table: Tensor, indptr: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Sum rows of the table by CSR row: an embedding bag, torch's fastest form of this product."""
    return functional.embedding_bag(indices, table, indptr[:-1], mode="sum", per_sample_weights=values)


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
    norm: Tensor

    def __init__(self, matrix: sp.csr_matrix, degree: npt.NDArray[np.float32], dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(matrix.shape[0], dim))
        self.loc = nn.Linear(dim, dim)
        self.std = nn.Linear(dim, dim)
        self.register_buffer("indptr", torch.from_numpy(matrix.indptr.astype(np.int64)), persistent=False)
        self.register_buffer("indices", torch.from_numpy(matrix.indices.astype(np.int64)), persistent=False)
        self.register_buffer("values", torch.from_numpy(matrix.data), persistent=False)
        self.register_buffer("norm", torch.from_numpy(degree).rsqrt().unsqueeze(1), persistent=False)

    def forward(self) -> DiagonalNormal:
        """Return a normal over the embeddings of all vertices, ``(vertices, D)``."""
        h: Tensor = _SymmetricProduct.apply(  # type: ignore[no-untyped-call]
            self.table, self.indptr, self.indices, self.values
        )
        h = self.norm * h
        return DiagonalNormal(self.loc(h), functional.softplus(self.std(h)) + EPS)


def edge_logits(v: Tensor, source: Tensor, target: Tensor, sign: Tensor) -> Tensor:
    """Return log-odds of edges: sign times the inner product of their ends, shape ``(edges,)``.

    Rows are taken with ``index_select``, whose gradient is summed in one order however many threads there
    are; that of plain indexing is not, and two runs would differ in the last bits.
    """
    return sign * (v.index_select(0, source) * v.index_select(0, target)).sum(1)
