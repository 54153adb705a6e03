"""Minibatches from disk: rows of a sparse matrix by way of a buffer of blocks, read as they are wanted.

Blocks of consecutive cells are shuffled, as many of them as fill the buffer are read together, and the cells
in the buffer are shuffled. Reading is sequential inside a block, memory is that of the buffer, and the order
is a matter of the seed alone, so that a resumed run sees the same.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset

from omicsglue.data.matrices import Matrix
from omicsglue.data.stores import Place, StackedPlace, location, reopened, stored_entries

Rows = npt.NDArray[np.int64]
BUFFER_CELLS = 32_768
BUFFER_BYTES = 2**27
BLOCKS = 128  # in the buffer: places of the file that a minibatch may come from
FEWEST = 16  # consecutive cells that are read together, at least
BUFFERS_KEPT = 3  # the one that is drawn from, the one before, of which some may be wanted yet, and the next
_ENTRY = 8  # bytes of an index and a value


@dataclass(frozen=True)
class BlockShuffle:
    """How cells on disk are put into a random order.

    Attributes
    ----------
    block
        Consecutive cells that are read together.
    blocks
        Blocks in the buffer, within which cells are in random order.
    """

    block: int
    blocks: int

    @property
    def cells(self) -> int:
        """Cells in the buffer."""
        return self.block * self.blocks

    def order(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return rows in random order; those that fit into one buffer as a plain permutation.

        Parameters
        ----------
        rows
            Row numbers, shape ``(n,)``.
        rng
            Decides the order of blocks, and of cells in a buffer.
        """
        of_row = rows // self.block
        present = np.unique(of_row)
        if len(present) <= self.blocks:
            return rng.permutation(rows)
        rank = np.empty(len(present), dtype=np.int64)
        rank[rng.permutation(len(present))] = np.arange(len(present))
        buffer = rank[np.searchsorted(present, of_row)] // self.blocks
        return rows[np.lexsort((rng.random(len(rows)), buffer))]

    def held_out(self, cells: int, wanted: int, rng: np.random.Generator) -> Rows:
        """Return rows for validation: whole blocks drawn at random, not more than one buffer; sorted."""
        number = max(min(wanted // self.block, self.blocks), 1)
        chosen = rng.permutation(cells // self.block)[:number]
        return np.sort((chosen[:, None] * self.block + np.arange(self.block)).ravel())


def bytes_of_row(matrix: Matrix) -> float:
    """Return how many bytes a row of a matrix on disk takes in memory as CSR, in the mean."""
    if not isinstance(matrix, CSRDataset | CSCDataset):
        return float(matrix.shape[1] * _ENTRY)
    return max(stored_entries(matrix) / max(int(matrix.shape[0]), 1), 1) * _ENTRY


def shuffle_of(matrix: Matrix) -> BlockShuffle:
    """Return how a matrix on disk is shuffled: the deeper its cells, the fewer in a block and in the buffer.

    The number of blocks stays, on which it depends how well a file that is sorted is mixed.
    """
    cells = int(min(BUFFER_BYTES / bytes_of_row(matrix), BUFFER_CELLS))
    block = max(cells // BLOCKS, FEWEST)
    return BlockShuffle(block, max(cells // block, BLOCKS // 4))


class RowsOnDisk:
    """Some columns of a matrix on disk, of which rows are read when they are wanted.

    Parameters
    ----------
    matrix
        Cells x features, what :func:`omicsglue.data.matrices.matrix_of` returns of data on disk.
    columns
        Which columns, in the order that is wanted, shape ``(f,)``.
    binary
        Take every value above 1 for 1.
    """

    def __init__(self, matrix: Matrix, columns: Rows, *, binary: bool = False) -> None:
        self.matrix, self.columns, self.binary = matrix, columns, binary
        self.shape = (int(matrix.shape[0]), len(columns))
        self.shuffle = shuffle_of(matrix)
        self._place = np.full(matrix.shape[1], -1, dtype=np.int64)
        self._place[columns] = np.arange(len(columns))
        blocks = -(-self.shape[0] // self.shuffle.block)
        self._chunk_of = np.full(blocks, -1, dtype=np.int64)
        self._start_of = np.zeros(blocks, dtype=np.int64)
        self._coming = np.zeros(blocks, dtype=bool)
        self._chunks: dict[int, sp.csr_matrix] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._reader: ThreadPoolExecutor | None = None
        self._reading: list[Future[None]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell other processes where the matrix lies, not what it holds: they open it anew."""
        return _at, (location(self.matrix), self.columns, self.binary)

    def expect(self, rows: Rows) -> None:
        """Begin to read, in the background, the blocks of rows that will be wanted soon."""
        blocks = np.unique(rows // self.shuffle.block)
        with self._lock:
            missing = blocks[(self._chunk_of[blocks] < 0) & ~self._coming[blocks]]
            self._coming[missing] = True
            self._reading = [each for each in self._reading if not each.done()]
        if len(missing):
            self._reader = self._reader or ThreadPoolExecutor(1, thread_name_prefix="omicsglue-read")
            self._reading.append(self._reader.submit(self._load, missing))

    def held(self, rows: Rows) -> tuple[sp.csr_matrix, Rows]:
        """Return a CSR matrix in memory that holds the given rows, and where in it they are.

        Parameters
        ----------
        rows
            Row numbers in any order, shape ``(n,)``.
        """
        blocks, within = np.divmod(rows, self.shuffle.block)
        while True:
            with self._lock:
                chunk = self._chunk_of[blocks]
                if (chunk >= 0).all():
                    return self._gathered(chunk, self._start_of[blocks] + within)
                missing = np.unique(blocks[(chunk < 0) & ~self._coming[blocks]])
                self._coming[missing] = True
                reading = list(self._reading)
            if len(missing):
                self._load(missing, set(chunk.tolist()))
            for each in reading:
                each.result()

    def _gathered(self, chunk: Rows, at: Rows) -> tuple[sp.csr_matrix, Rows]:
        used = np.unique(chunk)
        if len(used) == 1:
            return self._chunks[int(used[0])], at
        order = np.argsort(chunk, kind="stable")
        parts = [self._chunks[int(number)][at[chunk == number]] for number in used]
        position = np.empty(len(at), dtype=np.int64)
        position[order] = np.arange(len(at))
        return sp.csr_matrix(sp.vstack(parts, format="csr")), position

    def walk(self) -> Iterator[tuple[Rows, sp.csr_matrix]]:
        """Yield all rows in order, a buffer of them at a time, past the buffer: row numbers and a CSR."""
        step = self.shuffle.cells
        for start in range(0, self.shape[0], step):
            end = min(start + step, self.shape[0])
            yield np.arange(start, end), self._read(start, end)

    def _load(self, blocks: Rows, needed: Collection[int] = ()) -> None:
        """Read blocks, sorted, as one chunk; nobody waits for the lock meanwhile."""
        try:
            size = self.shuffle.block
            runs = np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1)
            parts = [self._read(int(run[0]) * size, (int(run[-1]) + 1) * size) for run in runs]
            chunk = parts[0] if len(parts) == 1 else sp.csr_matrix(sp.vstack(parts, "csr"))
            with self._lock:
                self._make_room(chunk.shape[0], needed)
                self._chunk_of[blocks] = self._next
                self._start_of[blocks] = np.arange(len(blocks)) * size  # only the last may be shorter
                self._chunks[self._next] = chunk
                self._next += 1
        finally:
            self._coming[blocks] = False

    def _make_room(self, wanted: int, needed: Collection[int]) -> None:
        """Forget the oldest chunks until so many rows more fit, but none that is needed now."""
        room = BUFFERS_KEPT * self.shuffle.cells - wanted
        held = sum(chunk.shape[0] for chunk in self._chunks.values())
        for number in sorted(set(self._chunks).difference(needed)):
            if held <= room:
                return
            held -= self._chunks.pop(number).shape[0]
            self._chunk_of[self._chunk_of == number] = -1

    def _read(self, start: int, end: int) -> sp.csr_matrix:
        """Return rows of the wanted columns as CSR, float32, without stored zeros, in order."""
        block: Any = self.matrix[start : min(end, self.shape[0])]
        found = sp.csr_matrix(block)
        column = self._place[found.indices]
        kept = (column >= 0) & (found.data != 0)
        indptr = np.concatenate([[0], np.cumsum(kept)])[found.indptr]
        values = found.data[kept].astype(np.float32)
        if self.binary:
            np.minimum(values, 1, out=values)
        shape = (found.shape[0], self.shape[1])
        rows = sp.csr_matrix((values, column[kept].astype(np.int32), indptr.astype(np.int32)), shape)
        if not rows.has_canonical_format:
            rows.sum_duplicates()
        return rows


def _at(place: Place | StackedPlace, columns: Rows, binary: bool) -> RowsOnDisk:  # noqa: FBT001 - __reduce__ gives it by position
    return RowsOnDisk(reopened(place), columns, binary=binary)
