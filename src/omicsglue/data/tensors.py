"""The tensors that walk from the data into the network: minibatches of cells and of graph edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", "SparseRows", "CellBatch", "EdgeBatch")


def _moved(item: T, device: torch.device) -> T:
    """Return a copy of a dataclass of tensors on another device."""
    values = {}
    for field in fields(item):
        value = getattr(item, field.name)
        movable = isinstance(value, Tensor | SparseRows)
        values[field.name] = value.to(device, non_blocking=True) if movable else value
    return type(item)(**values)


@dataclass(frozen=True)
class SparseRows:
    """Non-zero entries of a few rows of a sparse matrix.

    Attributes
    ----------
    row, column
        Positions of the non-zero entries, int64, shape ``(nnz,)``.
    value
        Their values, shape ``(nnz,)``.
    indptr
        Where each row begins among them, and the end of the last, int64, shape ``(rows + 1,)``.
    shape
        Rows (cells) and columns (features).
    """

    row: Tensor
    column: Tensor
    value: Tensor
    indptr: Tensor
    shape: tuple[int, int]

    @property
    def flat(self) -> Tensor:
        """Positions in the flattened dense matrix, int64, shape ``(nnz,)``."""
        return self.row * self.shape[1] + self.column

    def to(self, device: torch.device, *, non_blocking: bool = False) -> SparseRows:
        """Return the same rows on another device."""
        return _moved(self, device)

    def take(self, rows: Tensor) -> SparseRows:
        """Return some of the rows, by their positions, shape ``(n,)``."""
        start = self.indptr[rows]
        length = self.indptr[rows + 1] - start
        indptr = torch.cat([length.new_zeros(1), length.cumsum(0)])
        row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length)
        entry = torch.arange(len(row), device=rows.device) + (start - indptr[:-1])[row]
        return SparseRows(row, self.column[entry], self.value[entry], indptr, (len(rows), self.shape[1]))

    def dense(self) -> Tensor:
        """Return the rows as a dense matrix of shape ``shape``."""
        out = self.value.new_zeros(self.shape)
        out.view(-1)[self.flat] = self.value
        return out


@dataclass(frozen=True)
class CellBatch:
    """A minibatch of B cells of one modality.

    Attributes
    ----------
    counts
        The modelled data, B x features.
    inputs
        What the encoder sees: a representation or log-normalised counts, shape ``(B, d)``.
    library
        Library size over the modelled features, shape ``(B,)``.
    batch
        Code of the experimental batch, int64, shape ``(B,)``.
    weight
        Balancing weight, mean 1 over the modality, shape ``(B,)``.
    label
        Code of the cell type, -1 where unknown, int64, shape ``(B,)``.
    coverage
        How much of each entry was measured, B x features: entries that are not in it are missing, whatever
        ``counts`` holds there. ``None`` where everything was measured.
    """

    counts: SparseRows
    inputs: Tensor
    library: Tensor
    batch: Tensor
    weight: Tensor
    label: Tensor
    coverage: SparseRows | None = None

    def take(self, rows: Tensor) -> CellBatch:
        """Return some of the cells, by their positions, shape ``(n,)``."""
        taken: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            taken[field.name] = value.take(rows) if isinstance(value, SparseRows) else value
            if isinstance(value, Tensor):
                taken[field.name] = value[rows]
        return CellBatch(**taken)

    def to(self, device: torch.device) -> CellBatch:
        """Return the same cells on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class EdgeBatch:
    """Positive edges of the guidance graph and sampled negatives, P + N in all.

    Attributes
    ----------
    source, target
        Vertex indices, int64, shape ``(P + N,)``.
    sign
        +1 or -1, float, shape ``(P + N,)``.
    present
        1 for an edge of the graph, 0 for a sampled non-edge, float, shape ``(P + N,)``.
    """

    source: Tensor
    target: Tensor
    sign: Tensor
    present: Tensor

    def to(self, device: torch.device) -> EdgeBatch:
        """Return the same edges on another device."""
        return _moved(self, device)


@dataclass(frozen=True)
class Batch:
    """What one training step sees: cells of every modality, and edges.

    Attributes
    ----------
    cells, edges
        The cells of each modality, and the edges.
    joint
        Where the same cell is in several modalities: for each of P joint cells its position in each of the K
        modalities, -1 where it is not there, int64, shape ``(P, K)``. ``None`` where pairs are not used.
    """

    cells: Mapping[str, CellBatch]
    edges: EdgeBatch
    joint: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on another device."""
        cells = {name: batch.to(device) for name, batch in self.cells.items()}
        return Batch(cells, self.edges.to(device), None if self.joint is None else self.joint.to(device))
