"""Minibatches from memory: rows of CSR matrices by index arithmetic, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from omicsglue.data.modality import ModalityData
from omicsglue.data.pairing import Pairing
from omicsglue.data.shards import number_held_out
from omicsglue.data.streaming import BlockShuffle, RowsOnDisk
from omicsglue.data.tensors import Batch, CellBatch, EdgeBatch, SparseRows
from omicsglue.graph.sampling import EdgeSampler

Rows = npt.NDArray[np.int64]
SOON = 4  # minibatches whose cells on disk are looked up at once


def slice_rows(matrix: sp.csr_matrix | RowsOnDisk, rows: Rows) -> SparseRows:
    """Return rows of a matrix as coordinates, without building a matrix of them."""
    if isinstance(matrix, RowsOnDisk):
        matrix, rows = matrix.held(rows)
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
    )


@dataclass(frozen=True)
class Split:
    """Rows of one modality that train, and rows held out for validation; both sorted."""

    train: Rows
    validation: Rows


def split_cells(
    cells: int, fraction: float, rng: np.random.Generator, shuffle: BlockShuffle | None = None
) -> Split:
    """Hold out a fraction of the cells at random.

    At least one where the fraction is not zero, unless that left fewer than two to train on, of which batch
    normalisation can make nothing; at most 8,192. Of cells on disk that need more than one buffer, whole
    blocks are held out, at most one buffer of them.

    Parameters
    ----------
    cells, fraction
        Number of cells, and the share to hold out.
    rng
        Decides which.
    shuffle
        How cells on disk are read; ``None`` for those in memory.
    """
    held = number_held_out(cells, fraction)
    if held and shuffle is not None and cells > shuffle.cells:
        out = shuffle.held_out(cells, held, rng)
        return Split(np.setdiff1d(np.arange(cells), out, assume_unique=True), out)
    order = rng.permutation(cells)
    return Split(np.sort(order[held:]), np.sort(order[:held]))


def split_together(
    cells: Mapping[str, int], fraction: float, rng: np.random.Generator, pairing: Pairing
) -> dict[str, Split]:
    """Hold out a fraction of the cells of each modality, so that a joint cell is held out in all or in none.

    The largest modality is split as by :func:`split_cells`; the others hold out the partners of what is held
    out, and of their remaining cells as many as are missing. A modality of which fewer than two cells were
    left to train on keeps two all the same.

    Parameters
    ----------
    cells
        Number of cells of each modality.
    fraction, rng
        As for :func:`split_cells`.
    pairing
        The joint cells.
    """
    decided = np.full(pairing.count + 1, -1, dtype=np.int64)  # 1 held out, 0 trains, -1 open as the last
    splits = {}
    for name in sorted(cells, key=lambda name: -cells[name]):
        joint = pairing.joint[name]
        fate = decided[joint]
        wanted = number_held_out(cells[name], fraction)
        free = rng.permutation(np.flatnonzero(fate < 0))
        fate[free] = 0
        fate[free[: max(wanted - int((fate == 1).sum()), 0)]] = 1
        decided[joint[joint >= 0]] = fate[joint >= 0]
        if (fate == 0).sum() < 2:
            fate[:2] = 0
        splits[name] = Split(np.flatnonzero(fate == 0), np.flatnonzero(fate == 1))
    return {name: splits[name] for name in cells}


class CellStream:
    """An endless stream of one modality's cells: shuffled, passed over, shuffled again.

    Every draw has the same size; the remainder of a pass opens the next one, so that no cell is favoured.

    Parameters
    ----------
    rows
        The cells, sorted.
    size
        Cells in a draw.
    shuffle
        How cells on disk are shuffled; ``None`` for those in memory.
    """

    def __init__(self, rows: Rows, size: int, shuffle: BlockShuffle | None = None) -> None:
        self.rows, self.size, self.shuffle = rows, min(size, len(rows)), shuffle
        self.order: Rows = rows[:0]

    def draw(self, rng: np.random.Generator) -> Rows:
        """Return the rows of the next minibatch."""
        return self._next(self.size, rng)

    def soon(self) -> Rows:
        """Return cells on disk that are drawn half a buffer from now, so that they can be read meanwhile."""
        if self.shuffle is None:
            return self.order[:0]
        ahead = self.shuffle.cells // 2
        return self.order[ahead : ahead + SOON * self.size]

    def draw_with(self, wanted: Rows, rng: np.random.Generator) -> Rows:
        """Return the rows of the next minibatch, those that are wanted first.

        They are taken out of the current pass or, where they have had their turn, out of the next one, so
        that in the long run every cell is drawn equally often all the same.
        """
        wanted = wanted[: self.size]
        marked = np.zeros(self.rows[-1] + 1, dtype=bool)
        marked[wanted] = True
        while True:
            at = np.flatnonzero(marked[self.order])
            found, first = np.unique(self.order[at], return_index=True)
            if len(found) == len(wanted):
                break
            self._shuffle(rng)
        self.order = np.delete(self.order, at[first])
        return np.concatenate([wanted, self._next(self.size - len(wanted), rng)])

    def _next(self, size: int, rng: np.random.Generator) -> Rows:
        while len(self.order) < size:
            self._shuffle(rng)
        drawn, self.order = self.order[:size], self.order[size:]
        return drawn

    def _shuffle(self, rng: np.random.Generator) -> None:
        order = rng.permutation(self.rows) if self.shuffle is None else self.shuffle.order(self.rows, rng)
        self.order = np.concatenate([self.order, order])


class PairedStreams:
    """The streams of all modalities, drawn so that partners meet in a minibatch.

    The largest modality leads: its stream goes its own way. The others take the partners of what has been
    drawn, and fill up with what is next in their own streams. So in every minibatch as large a share of cells
    have their partners with them as in the data, and no cell is favoured.

    Parameters
    ----------
    streams
        One a modality.
    pairing
        The joint cells.
    """

    def __init__(self, streams: Mapping[str, CellStream], pairing: Pairing) -> None:
        self.streams, self.pairing = streams, pairing
        self.leaders = sorted(streams, key=lambda name: -len(streams[name].rows))
        self.rows = {name: pairing.rows_of(name, stream.rows) for name, stream in streams.items()}

    def draw(self, rng: np.random.Generator) -> dict[str, Rows]:
        """Return the rows of the next minibatch of each modality."""
        drawn: dict[str, Rows] = {}
        present = np.empty(0, dtype=np.int64)  # joint cells that are in this minibatch
        for name in self.leaders:
            partners = self.rows[name][present]
            drawn[name] = self.streams[name].draw_with(partners[partners >= 0], rng)
            joint = self.pairing.joint[name][drawn[name]]
            present = np.union1d(present, joint[joint >= 0])
        return {name: drawn[name] for name in self.streams}


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
        Cells of each modality in a minibatch, or by name.
    positives
        Positive edges in a minibatch.
    pairing
        Joint cells, whose partners are then drawn together; ``None`` draws every modality by itself.
    """

    def __init__(
        self,
        data: Mapping[str, ModalityData],
        rows: Mapping[str, Rows],
        edges: EdgeSampler,
        *,
        batch_size: int | Mapping[str, int],
        positives: int,
        pairing: Pairing | None = None,
    ) -> None:
        self.data, self.edges, self.positives = data, edges, positives
        sizes = dict.fromkeys(data, batch_size) if isinstance(batch_size, int) else batch_size
        self.streams = {name: CellStream(rows[name], sizes[name], data[name].shuffle) for name in data}
        self.paired = None if pairing is None else PairedStreams(self.streams, pairing)

    def draw(self, rng: np.random.Generator) -> Batch:
        """Return the next minibatch."""
        if self.paired is None:
            rows = {name: stream.draw(rng) for name, stream in self.streams.items()}
            self._read_ahead()
            return batch_of(self.data, rows, edge_batch(self.edges, self.positives, rng))
        rows = self.paired.draw(rng)
        return batch_of(self.data, rows, edge_batch(self.edges, self.positives, rng), self.paired.pairing)

    def _read_ahead(self) -> None:
        for name, stream in self.streams.items():
            counts, rows = self.data[name].counts, stream.soon()
            if isinstance(counts, RowsOnDisk) and len(rows):
                counts.expect(rows)

    def state(self) -> dict[str, Rows]:
        """Return what remains of each modality's current pass, for a checkpoint; not to be written to."""
        return {name: stream.order for name, stream in self.streams.items()}

    def restore(self, state: Mapping[str, Rows]) -> None:
        """Continue from a saved :meth:`state`."""
        for name, stream in self.streams.items():
            stream.order = np.asarray(state[name], dtype=np.int64)


def batch_of(
    data: Mapping[str, ModalityData],
    rows: Mapping[str, Rows],
    edges: EdgeBatch,
    pairing: Pairing | None = None,
) -> Batch:
    """Return the given cells and edges as a minibatch, with the places of joint cells if there are any."""
    cells = {name: cell_batch(data[name], each) for name, each in rows.items()}
    joint = None if pairing is None else torch.from_numpy(pairing.positions(rows))
    return Batch(cells, edges, joint)


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


def blocks_in_step(
    held: Mapping[str, Rows], size: int, pairing: Pairing | None = None
) -> Iterator[dict[str, Rows]]:
    """Yield rows of all modalities in step, in as few blocks of at most ``size`` cells or so as fit.

    A modality with fewer rows than there are blocks begins anew, so that none is ever empty. Partners are in
    one block.
    """
    blocks = max(int(np.ceil(len(rows) / size)) for rows in held.values())
    parts = {name: _parts(rows, blocks, name, pairing) for name, rows in held.items()}
    for i in range(blocks):
        yield {name: each[i] for name, each in parts.items()}


def _parts(rows: Rows, blocks: int, name: str, pairing: Pairing | None) -> list[Rows]:
    if pairing is None or blocks == 1:
        return np.array_split(rows if len(rows) >= blocks else np.resize(rows, blocks), blocks)
    joint = pairing.joint[name][rows]
    single = np.array_split(rows[joint < 0], blocks)
    parts = [np.concatenate([rows[(joint >= 0) & (joint % blocks == i)], single[i]]) for i in range(blocks)]
    return [part if len(part) else rows[:1] for part in parts]
