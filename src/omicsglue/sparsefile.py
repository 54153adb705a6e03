"""Sparse matrices written to HDF5 or zarr a block of rows at a time, in the form that AnnData reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

CHUNK: Final = 2**16
"""Entries in a chunk, the least that is read: some hundred cells of usual depth."""

SHARD: Final = 2**24
"""Entries in a file of a zarr store, a multiple of the chunk."""


class CsrWriter:
    """A CSR matrix that grows by blocks of rows.

    Parameters
    ----------
    parent
        Open HDF5 or zarr (format 3) group.
    name
        Name of the matrix in it; must not be there yet.
    columns
        Number of columns.
    dtype
        Type of the values.
    """

    def __init__(self, parent: Any, name: str, columns: int, dtype: npt.DTypeLike = np.float32) -> None:
        self.group = parent.create_group(name)
        self.columns = columns
        self._indptr: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        self._data = _Growing(self.group, "data", np.dtype(dtype))
        self._indices = _Growing(self.group, "indices", np.dtype(np.int32))

    def append(self, block: Any) -> None:
        """Write the next rows.

        Parameters
        ----------
        block
            CSR matrix or array, rows x columns.
        """
        rows = sp.csr_matrix(block)
        self._indptr.append(rows.indptr[1:].astype(np.int64) + self._indptr[-1][-1])
        self._data.append(rows.data)
        self._indices.append(rows.indices)

    def close(self) -> None:
        """Write what is left and what makes the arrays a matrix."""
        self._data.close()
        self._indices.close()
        indptr = np.concatenate(self._indptr)
        # of the type of the column numbers where that is wide enough: SciPy fails on a mixture
        narrow = indptr[-1] <= np.iinfo(np.int32).max
        array = create_array(self.group, "indptr", len(indptr), np.dtype(np.int32 if narrow else np.int64))
        array[:] = indptr
        self.group.attrs["encoding-type"] = "csr_matrix"
        self.group.attrs["encoding-version"] = "0.1.0"
        self.group.attrs["shape"] = [len(indptr) - 1, self.columns]


class _Growing:
    """A one-dimensional array on disk that is written a shard at a time."""

    def __init__(self, group: Any, name: str, dtype: np.dtype[Any]) -> None:
        self.array = create_array(group, name, 0, dtype)
        self.waiting: list[npt.NDArray[Any]] = []
        self.length, self.written = 0, 0

    def append(self, values: npt.NDArray[Any]) -> None:
        self.waiting.append(values.astype(self.array.dtype, copy=False))
        self.length += len(values)
        if self.length - self.written >= SHARD:
            together = np.concatenate(self.waiting)
            whole = len(together) // SHARD * SHARD
            self._write(together[:whole])
            self.waiting = [together[whole:].copy()]

    def close(self) -> None:
        if self.length > self.written:
            self._write(np.concatenate(self.waiting))
        self.waiting = []

    def _write(self, values: npt.NDArray[Any]) -> None:
        start, end = self.written, self.written + len(values)
        self.array.resize((end,))
        self.array[start:end] = values
        self.written = end


def create_array(group: Any, name: str, size: int, dtype: np.dtype[Any]) -> Any:
    """Create a one-dimensional array that can grow, compressed and cut for reading pieces of it.

    Parameters
    ----------
    group
        Open HDF5 or zarr (format 3) group.
    name, size, dtype
        Of the array.
    """
    if is_zarr(group):
        from zarr.codecs import BloscCodec

        return group.create_array(
            name,
            shape=(size,),
            dtype=dtype,
            chunks=(CHUNK,),
            shards=(SHARD,),
            compressors=BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
        )
    return group.create_dataset(
        name, shape=(size,), maxshape=(None,), dtype=dtype, chunks=(CHUNK,), compression="lzf", shuffle=True
    )


def copy_matrix(source: Any, parent: Any, name: str) -> None:
    """Copy a matrix from one open file to another, without loading it.

    Parameters
    ----------
    source
        HDF5 group or dataset, or zarr group or array, of AnnData's making.
    parent
        Open HDF5 group to copy into.
    name
        What the copy is called there; what is there by that name is replaced.
    """
    if name in parent:
        del parent[name]
    if not is_zarr(source):
        source.file.copy(source, parent, name=name)
        return
    if hasattr(source, "shape"):
        _copy_array(source, parent, name)
        return
    group = parent.create_group(name)
    group.attrs.update(_plain(source.attrs))
    for key in ("data", "indices", "indptr"):
        _copy_array(source[key], group, key)


def _copy_array(source: Any, parent: Any, name: str) -> None:
    chunks = (min(CHUNK, max(source.shape[0], 1)), *source.shape[1:])
    array = parent.create_dataset(
        name, shape=source.shape, dtype=source.dtype, chunks=chunks, compression="lzf"
    )
    array.attrs.update(_plain(source.attrs))
    for start, end in _pieces(source.shape[0], int(np.prod(source.shape[1:], dtype=np.int64))):
        array[start:end] = source[start:end]


def _pieces(rows: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(SHARD // max(width, 1), 1)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _plain(attributes: Any) -> dict[str, Any]:
    return {key: np.asarray(value) if isinstance(value, list) else value for key, value in attributes.items()}


def is_zarr(node: Any) -> bool:
    """Return whether a group or array is of a zarr store."""
    return type(node).__module__.partition(".")[0] == "zarr"
