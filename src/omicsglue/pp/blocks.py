"""Counts walked through a block of cells at a time, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset

from omicsglue.data.matrices import is_sparse, matrix_of
from omicsglue.data.stacked import StackedRows
from omicsglue.data.stores import stored_entries
from omicsglue.errors import InputError
from omicsglue.pp.counts import refuse_values, warn_of_loading

if TYPE_CHECKING:
    from anndata import AnnData

BLOCK_NONZEROS = 2**22  # 32 MB as they are read
BLOCK_CELLS = 2**14
ON_DISK_BYTES = 2**30  # what the usual route may need before counts on disk are walked through instead
IN_MEMORY_BYTES = 2**33


@dataclass(frozen=True)
class CellBlocks:
    """The counts of a modality, a block of cells at a time.

    Attributes
    ----------
    adata, layer, where
        Whose counts, and how messages call who asks.
    matrix
        CSR or dense, in memory or on disk, cells x features.
    starts
        First cell of each block, and the number of cells; int64.
    ends
        Where the entries of each cell begin and end, from 0 (of a dense matrix, all entries); int64,
        shape ``(cells + 1,)``.
    """

    adata: AnnData
    layer: str | None
    where: str
    matrix: Any
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @property
    def nonzeros(self) -> npt.NDArray[np.int64]:
        """Non-zero entries of each cell, int64, shape ``(cells,)``."""
        return np.asarray(np.diff(self.ends), dtype=np.int64)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    def __iter__(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield the index of the first cell and the counts of each block, CSR float32, which may be changed.

        Raises
        ------
        InputError
            If a value is NaN, infinite or negative.
        """
        for first, end in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True):
            yield first, self._block(first, end)

    def _block(self, first: int, end: int) -> sp.csr_matrix:
        block = _read(self.matrix, self.ends, first, end)
        if not np.isfinite(block.data).all() or block.data.min(initial=0) < 0:
            refuse_values(self.adata, self.layer, self.where)
        return block


def cell_blocks(adata: AnnData, layer: str | None, where: str) -> CellBlocks:
    """Return the counts of a modality, cut into blocks of cells.

    A matrix by columns (CSC) is turned into one by rows, as a whole, with a warning where it is large.

    Parameters
    ----------
    adata
        Cells x features, in memory or on disk; not changed.
    layer
        Layer with the counts; ``None`` is ``X``.
    where
        Who asks, for messages.

    Raises
    ------
    InputError
        If there are no cells or no such layer.
    """
    matrix = matrix_of(adata, layer, where=where)
    if isinstance(matrix, CSCDataset):
        warn_of_loading(matrix, where)
        matrix = matrix.to_memory()
    if is_sparse(matrix) and matrix.format != "csr":
        matrix = matrix.tocsr()
    cells = int(matrix.shape[0])
    if not cells:
        raise InputError(
            "there are no cells", where=where, remedy="check the step that made or filtered these data"
        )
    ends = _ends(matrix)
    return CellBlocks(adata, layer, where, matrix, _starts(ends, cells), ends)


def on_disk(matrix: Any) -> bool:
    """Return whether a matrix is read from a file."""
    return isinstance(matrix, CSRDataset | CSCDataset | h5py.Dataset)


def stored(matrix: Any) -> int:
    """Return how many entries of a matrix are stored: the non-zero ones, or all of a dense one."""
    if isinstance(matrix, CSRDataset | CSCDataset):
        return stored_entries(matrix)
    return int(matrix.nnz) if is_sparse(matrix) else int(matrix.shape[0]) * int(matrix.shape[1])


def too_large(matrix: Any, needed: float) -> bool:
    """Return whether work on a whole matrix, which needs so many bytes, is better done block by block."""
    return needed > (ON_DISK_BYTES if on_disk(matrix) else IN_MEMORY_BYTES)


def drawn_cells(nonzeros: npt.NDArray[np.int64], most_nonzeros: int, seed: int) -> npt.NDArray[np.bool_]:
    """Draw cells within a limit.

    Parameters
    ----------
    nonzeros
        Non-zero entries of each cell, shape ``(cells,)``.
    most_nonzeros
        Limit of what is drawn in all.
    seed
        Seed of the draw.

    Returns
    -------
    Which cells are drawn, at least one, shape ``(cells,)``.
    """
    order = np.random.default_rng(seed).permutation(len(nonzeros))
    within = np.cumsum(nonzeros[order]) <= most_nonzeros
    within[0] = True
    drawn = np.zeros(len(nonzeros), dtype=bool)
    drawn[order[within]] = True
    return drawn


def _ends(matrix: Any) -> npt.NDArray[np.int64]:
    """Return where the entries of each row begin and end, from 0, shape ``(cells + 1,)``."""
    if isinstance(matrix, StackedRows):
        return matrix.ends()
    if isinstance(matrix, CSRDataset):
        return np.asarray(matrix.group["indptr"][:], dtype=np.int64)
    if is_sparse(matrix):
        return np.asarray(matrix.indptr, dtype=np.int64)
    length = int(matrix.shape[1])
    return np.arange(matrix.shape[0] + 1, dtype=np.int64) * length


def _starts(ends: npt.NDArray[np.int64], cells: int) -> npt.NDArray[np.int64]:
    """Return block bounds: as many cells as stay within the limits, and at least one."""
    starts = [0]
    while starts[-1] < cells:
        first = starts[-1]
        fitting = int(np.searchsorted(ends, ends[first] + BLOCK_NONZEROS, side="right")) - 1
        starts.append(min(max(fitting, first + 1), first + BLOCK_CELLS, cells))
    return np.asarray(starts, dtype=np.int64)


def _read(matrix: Any, ends: npt.NDArray[np.int64], first: int, end: int) -> sp.csr_matrix:
    """Return rows as CSR, float32: a copy."""
    if not isinstance(matrix, CSRDataset) or isinstance(matrix, StackedRows):
        return sp.csr_matrix(matrix[first:end], dtype=np.float32, copy=True)
    entries = slice(int(ends[first]), int(ends[end]))
    values = np.asarray(matrix.group["data"][entries]).astype(np.float32, copy=False)
    columns = np.asarray(matrix.group["indices"][entries])
    start = (ends[first : end + 1] - ends[first]).astype(columns.dtype)
    return sp.csr_matrix((values, columns, start), shape=(end - first, matrix.shape[1]))
