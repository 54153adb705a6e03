"""Minibatches from memory: rows of CSR matrices by index arithmetic, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from omicsglue.data.modality import ModalityData
from omicsglue.data.tensors import Batch, CellBatch, EdgeBatch, SparseRows
from omicsglue.graph.sampling import EdgeSampler

Rows = npt.NDArray[np.int64]


def slice_rows(matrix: sp.csr_matrix, rows: Rows) -> SparseRows:
    """Return rows of a CSR matrix as coordinates, without building a matrix of them."""
    start = matrix.indptr[rows].astype(np.int64)
    length = matrix.indptr[rows + 1].astype(np.int64) - start
    indptr = np.concatenate([[0], np.cumsum(length)])
    index = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], length)
    return SparseRows(
        row=torch.from_numpy(np.repeat(np.arange(len(rows)), length)),
        column=torch.from_numpy(matrix.indices[index].astype(np.int64)),
        value=torch.from_numpy(matrix.data[index]),
        indptr=torch.from_numpy(indptr),
        shape=(len(rows), matrix.shape[1]),
    )


def cell_batch(data: ModalityData, rows: Rows) -> CellBatch:
    """Return a minibatch of the given cells."""
    return CellBatch(
        counts=slice_rows(data.counts, rows),
        inputs=torch.from_numpy(data.input_rows(rows)),
        library=torch.from_numpy(data.library[rows]),
        batch=torch.from_numpy(data.batch[rows]),
        weight=torch.from_numpy(data.weight[rows]),
        label=torch.from_numpy(data.label[rows]),
        coverage=None if data.coverage is None else slice_rows(data.coverage, rows),
        batch_weight=None if data.batch_weight is None else torch.from_numpy(data.batch_weight[rows]),
    )


@dataclass(frozen=True)
class Split:
    """Rows of one modality that train, and rows held out for validation; both sorted."""

    train: Rows
    validation: Rows


def split_cells(cells: int, fraction: float, rng: np.random.Generator) -> Split:
    """Hold out a fraction of the cells at random.

    At least one where the fraction is not zero, unless that left fewer than two to train on, of which batch
    normalisation can make nothing.
    """
    held = max(min(int(np.ceil(cells * fraction)), cells - 2), 0)
    order = rng.permutation(cells)
    return Split(np.sort(order[held:]), np.sort(order[:held]))


class CellStream:
    """An endless stream of one modality's cells: shuffled, passed over, shuffled again.

    Every draw has the same size; the remainder of a pass opens the next one, so that no cell is favoured.
    """

    def __init__(self, rows: Rows, size: int) -> None:
        self.rows, self.size = rows, min(size, len(rows))
        self.order: Rows = rows[:0]

    def draw(self, rng: np.random.Generator) -> Rows:
        """Return the rows of the next minibatch."""
        while len(self.order) < self.size:
            self.order = np.concatenate([self.order, rng.permutation(self.rows)])
        drawn, self.order = self.order[: self.size], self.order[self.size :]
        return drawn


class BatchLoader:
    """Minibatches of all modalities and edges, without end.

    Parameters
    ----------
    data
        The modalities.
    rows
        The rows of each that may be drawn.
    edges
        Sampler of guidance-graph edges.
    batch_size
        Cells of each modality in a minibatch.
    positives
        Positive edges in a minibatch.
    """

    def __init__(
        self,
        data: Mapping[str, ModalityData],
        rows: Mapping[str, Rows],
        edges: EdgeSampler,
        *,
        batch_size: int,
        positives: int,
    ) -> None:
        self.data, self.edges, self.positives = data, edges, positives
        self.streams = {name: CellStream(rows[name], batch_size) for name in data}

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return the next minibatch."""
        cells = {name: cell_batch(self.data[name], stream.draw(rng)) for name, stream in self.streams.items()}
        return Batch(cells, edge_batch(self.edges, self.positives, rng))

    def state(self) -> dict[str, Rows]:
        """Return what remains of each modality's current pass, for a checkpoint; not to be written to."""
        return {name: stream.order for name, stream in self.streams.items()}

    def restore(self, state: Mapping[str, Rows]) -> None:
        """Continue from a saved :meth:`state`."""
        for name, stream in self.streams.items():
            stream.order = np.asarray(state[name], dtype=np.int64)


def edge_batch(edges: EdgeSampler, positives: int, rng: np.random.Generator) -> EdgeBatch:
    """Draw edges as tensors."""
    drawn = edges.draw(positives, rng)
    return EdgeBatch(
        source=torch.from_numpy(drawn.source),
        target=torch.from_numpy(drawn.target),
        sign=torch.from_numpy(drawn.sign),
        present=torch.from_numpy(drawn.present),
    )


def passes(cells: int, size: int) -> Iterator[Rows]:
    """Yield row numbers 0 to ``cells - 1`` in order, in blocks of at most ``size``."""
    for start in range(0, cells, size):
        yield np.arange(start, min(start + size, cells))
