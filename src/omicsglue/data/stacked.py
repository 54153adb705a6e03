"""Matrices of several files on disk, one below the other, of which rows are read as if they were one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset

Columns = npt.NDArray[np.int64]
_BLOCK: Final = 2**25  # places of a block, as of one file


class StackedRows(CSRDataset):  # type: ignore[misc] # AnnData says nothing of its types
    """Matrices on disk, one below the other, which AnnData holds as it holds one of its own.

    Whatever is read of it comes as CSR. Rows are read from the file in which they are; nothing is copied.

    Parameters
    ----------
    parts
        Matrices on disk, cells x features: sparse or dense, of HDF5 or zarr.
    places
        Of each part where in the stack each of its columns is, shape ``(features,)``; ``None`` where they
        are in order.
    names
        How messages call the parts.
    """

    backend = "hdf5"

    def __init__(
        self, parts: Sequence[Any], places: Sequence[Columns | None], names: Sequence[str] = ()
    ) -> None:
        self.parts, self.places, self.names = tuple(parts), tuple(places), tuple(names)
        self.bounds = np.cumsum([0, *(int(part.shape[0]) for part in self.parts)])
        self.shape = (int(self.bounds[-1]), int(self.parts[0].shape[1]))
        self.dtype = np.result_type(*(np.dtype(part.dtype) for part in self.parts))

    def __getitem__(self, index: Any) -> Any:
        """Return rows, as CSR: a slice, row numbers in any order, or a mask; with columns as a pair."""
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        if isinstance(rows, slice) and rows.step in (None, 1):
            found = self._between(*rows.indices(self.shape[0])[:2])
        else:
            found = self._at(np.atleast_1d(np.arange(self.shape[0])[rows]))
        return found if isinstance(columns, slice) and columns == slice(None) else found[:, columns]

    def to_memory(self) -> Any:
        """Return the whole in memory: dense where all files are, else CSR."""
        if not any(map(_is_sparse, self.parts)):
            return np.concatenate(
                [
                    np.asarray(part[...], dtype=self.dtype)[:, _order(place)]
                    for part, place in zip(self.parts, self.places, strict=True)
                ]
            )
        room = self.stored
        data: npt.NDArray[Any] = np.empty(room, dtype=self.dtype)
        indices: npt.NDArray[Any] = np.empty(room, dtype=np.int32 if room < 2**31 else np.int64)
        indptr = np.zeros(self.shape[0] + 1, dtype=indices.dtype)
        row = end = 0
        for block in self.walk():
            data[end : end + block.nnz] = block.data
            indices[end : end + block.nnz] = block.indices
            indptr[row + 1 : row + block.shape[0] + 1] = block.indptr[1:] + end
            row, end = row + block.shape[0], end + block.nnz
        if end < room:
            data, indices = data[:end].copy(), indices[:end].copy()
        return sp.csr_matrix((data, indices, indptr), shape=self.shape)

    def copy(self) -> Any:
        """Return the whole in memory: AnnData's ``copy`` loads it thereby."""
        return self.to_memory()

    def walk(self) -> Iterator[sp.csr_matrix]:
        """Yield all rows in order as CSR blocks of some tens of megabytes; a part by column is loaded."""
        size = max(1, _BLOCK // max(1, self.shape[1]))
        for number, part in enumerate(self.parts):
            matrix = part.to_memory().tocsr() if isinstance(part, CSCDataset) else part
            for start in range(0, int(part.shape[0]), size):
                yield self._ordered(matrix[start : start + size], number)

    @property
    def stored(self) -> int:
        """How many entries are stored: of dense parts all, of sparse ones the non-zero ones."""
        return sum(map(_stored, self.parts))

    @property
    def wider(self) -> int:
        """How many bytes more the entries take as they are read, where files hold numbers of other types."""
        width = self.dtype.itemsize
        return sum(_stored(part) * (width - np.dtype(part.dtype).itemsize) for part in self.parts)

    def ends(self) -> npt.NDArray[np.int64]:
        """Return where the stored entries of each row begin and end, from 0, shape ``(cells + 1,)``."""
        found = [np.zeros(1, dtype=np.int64)]
        for part in self.parts:
            ends = np.arange(int(part.shape[0]) + 1, dtype=np.int64) * int(part.shape[1])
            if isinstance(part, CSRDataset):
                ends = np.asarray(part.group["indptr"][:], dtype=np.int64)
            found.append(ends[1:] - ends[0] + found[-1][-1])
        return np.concatenate(found)

    def _between(self, start: int, end: int) -> sp.csr_matrix:
        """Return consecutive rows."""
        blocks = []
        for number, part in enumerate(self.parts):
            first, last = (int(each - self.bounds[number]) for each in (start, end))
            first, last = max(first, 0), min(last, int(part.shape[0]))
            if first < last:
                blocks.append(self._ordered(part[first:last], number))
        if len(blocks) == 1:
            return blocks[0]
        return sp.csr_matrix(sp.vstack(blocks, "csr")) if blocks else self._none()

    def _at(self, rows: npt.NDArray[np.int64]) -> sp.csr_matrix:
        """Return rows in any order."""
        wanted, back = np.unique(rows, return_inverse=True)
        blocks = [self._none()]
        for number, part in enumerate(self.parts):
            first, last = np.searchsorted(wanted, self.bounds[number : number + 2])
            if first < last:
                blocks.append(self._ordered(part[wanted[first:last] - self.bounds[number]], number))
        return sp.csr_matrix(sp.vstack(blocks, "csr")[back.ravel()])

    def _ordered(self, block: Any, number: int) -> sp.csr_matrix:
        """Return rows of a part as CSR with the columns in the order of the stack."""
        found, place = sp.csr_matrix(block, dtype=self.dtype), self.places[number]
        if place is None:
            return found
        indices = place[found.indices].astype(found.indices.dtype)
        moved = sp.csr_matrix((found.data, indices, found.indptr), shape=found.shape)
        moved.sort_indices()
        return moved

    def _none(self) -> sp.csr_matrix:
        return sp.csr_matrix((0, self.shape[1]), dtype=self.dtype)


def stacked(parts: Sequence[Any], features: Sequence[Any], names: Sequence[str] = ()) -> StackedRows:
    """Return matrices as one.

    Parameters
    ----------
    parts
        Matrices on disk, cells x features.
    features
        Names of the features of each part: the same in all, in any order (:class:`pandas.Index`).
    names
        How messages call the parts.
    """
    found = [features[0].get_indexer(each) for each in features]
    places = [None if (each == np.arange(len(each))).all() else each.astype(np.int64) for each in found]
    return StackedRows(parts, places, names)


def _order(place: Columns | None) -> Any:
    """Return which column of a part comes at each place of the stack."""
    return slice(None) if place is None else np.argsort(place)


def _is_sparse(part: Any) -> bool:
    return isinstance(part, CSRDataset | CSCDataset)


def _stored(part: Any) -> int:
    if _is_sparse(part):
        return int(part.group["data"].shape[0])
    return int(part.shape[0]) * int(part.shape[1])
