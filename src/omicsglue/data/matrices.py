"""The matrix of a modality, whatever holds it: chosen, walked through in blocks, and surveyed in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset
from numpy.typing import NDArray

from omicsglue.data.stores import is_on_disk
from omicsglue.errors import InputError
from omicsglue.suggest import listed

if TYPE_CHECKING:
    from anndata import AnnData

Matrix = Any
"""ndarray, SciPy CSR or CSC (array or matrix), or their backed forms in an open HDF5 file."""

PLACES_KEPT: Final = 3
_DENSE_BLOCK: Final = 2**22
_SPARSE_BLOCK: Final = 2**25


def is_sparse(matrix: Matrix) -> bool:
    """Return whether a matrix in memory is a SciPy sparse one."""
    return bool(sp.issparse(matrix))


def matrix_of(adata: AnnData, layer: str | None, *, where: str = "the data") -> Matrix:
    """Return ``X`` or a layer without copying or loading it.

    Parameters
    ----------
    adata
        Annotated data, in memory or backed.
    layer
        Name of a layer; ``X`` if None.
    where
        How messages call these data.

    Returns
    -------
    ndarray, SciPy CSR or CSC, or a backed matrix
        Cells x features.

    Raises
    ------
    InputError
        If there is no such matrix or it is of a kind that cannot be read.
    """
    if layer is None:
        matrix, key = adata.X, "X"
        if matrix is None:
            raise InputError(
                "there is no matrix X",
                where=where,
                remedy=f"name the layer that holds the counts (layers there are: {listed(adata.layers)})",
            )
    else:
        if layer not in adata.layers:
            raise InputError(
                f"there is no layer {layer!r}; layers there are: {listed(adata.layers)}",
                where=where,
                remedy="correct the name of the layer, or leave it out to use X",
            )
        matrix, key = adata.layers[layer], f"layers[{layer!r}]"
    return _readable(matrix, f"{where}, {key}")


def iter_row_blocks(matrix: Matrix, block_size: int | None = None) -> Iterator[tuple[int, Any]]:
    """Walk through the rows of a matrix, a block at a time.

    Parameters
    ----------
    matrix
        What :func:`matrix_of` returns.
    block_size
        Rows in a block; by default as many as fit in some tens of megabytes.

    Yields
    ------
    tuple of int and (ndarray or CSR)
        Index of the first row, and the rows: dense blocks of dense matrices, CSR blocks of sparse ones.
        A backed CSC matrix is the one kind that has to be loaded as a whole.
    """
    n_rows, n_columns = matrix.shape
    if isinstance(matrix, CSCDataset):
        matrix = matrix.to_memory()
    if is_sparse(matrix) and matrix.format != "csr":
        matrix = matrix.tocsr()
    size = block_size or _block_length(matrix, n_columns)
    for start in range(0, n_rows, size):
        block = matrix[start : start + size]
        yield start, block if is_sparse(block) else np.asarray(block)


@dataclass(slots=True)
class Tally:
    """How often something was met in a matrix, and where first.

    Attributes
    ----------
    count
        Number of entries.
    places
        Row, column and value of the first few of them.
    """

    count: int = 0
    places: list[tuple[int, int, float]] = field(default_factory=list)

    def add(
        self, met: NDArray[np.bool_], rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any]
    ) -> None:
        """Count the entries at which `met` is true."""
        found = np.flatnonzero(met)
        self.count += int(found.size)
        for at in found[: PLACES_KEPT - len(self.places)]:
            self.places.append((int(rows[at]), int(columns[at]), float(values[at])))


@dataclass(frozen=True, slots=True)
class MatrixSurvey:
    """What one pass over a matrix of counts finds.

    Attributes
    ----------
    nonzero_per_cell
        Non-zero entries of each cell, int64, length cells.
    nonzero_per_feature
        Non-zero entries of each feature, int64, length features.
    nan, infinite, negative, fractional
        Entries that are not counts.
    largest
        The largest finite value (0 for an empty matrix).
    nan_per_cell, nan_per_feature
        NaN entries of each cell and of each feature, int64; they count as non-zero too.
    """

    nonzero_per_cell: NDArray[np.int64]
    nonzero_per_feature: NDArray[np.int64]
    nan: Tally
    infinite: Tally
    negative: Tally
    fractional: Tally
    largest: float
    nan_per_cell: NDArray[np.int64]
    nan_per_feature: NDArray[np.int64]

    @property
    def n_nonzero(self) -> int:
        """Number of non-zero entries."""
        return int(self.nonzero_per_cell.sum())

    @property
    def is_finite(self) -> bool:
        """Whether no entry is NaN or infinite, nor becomes so in single precision."""
        return not (self.nan.count or self.infinite.count or self.is_too_large)

    @property
    def is_too_large(self) -> bool:
        """Whether a value lies outside single precision."""
        return self.largest > float(np.finfo(np.float32).max)

    @property
    def is_counts(self) -> bool:
        """Whether every entry is a whole number that is not negative."""
        return self.is_finite and not (self.negative.count or self.fractional.count)

    def of_measured(self) -> MatrixSurvey:
        """Return what was found of the entries that are not NaN."""
        if not self.nan.count:
            return self
        return replace(
            self,
            nonzero_per_cell=self.nonzero_per_cell - self.nan_per_cell,
            nonzero_per_feature=self.nonzero_per_feature - self.nan_per_feature,
            nan=Tally(),
        )


def survey_matrix(matrix: Matrix) -> MatrixSurvey:
    """Count, in one pass and in blocks, the entries that are not counts and the empty cells and features.

    Parameters
    ----------
    matrix
        What :func:`matrix_of` returns, cells x features.

    Returns
    -------
    MatrixSurvey
        The findings; the matrix itself is not changed.
    """
    n_cells, n_features = matrix.shape
    per_cell, per_feature = np.zeros(n_cells, dtype=np.int64), np.zeros(n_features, dtype=np.int64)
    nan, infinite, negative, fractional = Tally(), Tally(), Tally(), Tally()
    nan_per_cell, nan_per_feature = np.zeros_like(per_cell), np.zeros_like(per_feature)
    largest = 0.0
    for rows, columns, values in _iter_entries(matrix):
        _count(per_cell, rows)
        _count(per_feature, columns)
        if values.dtype.kind in "iu":
            if values.dtype.kind == "i":
                negative.add(values < 0, rows, columns, values)
            largest = max(largest, float(values.max(initial=0)))
            continue
        finite = np.isfinite(values)
        if not finite.all():
            missing = np.isnan(values)
            nan.add(missing, rows, columns, values)
            _count(nan_per_cell, rows[missing])
            _count(nan_per_feature, columns[missing])
            infinite.add(np.isinf(values), rows, columns, values)
            rows, columns, values = rows[finite], columns[finite], values[finite]
        negative.add(values < 0, rows, columns, values)
        fractional.add(values != np.rint(values), rows, columns, values)
        largest = max(largest, float(values.max(initial=0)))
    return MatrixSurvey(
        per_cell,
        per_feature,
        nan,
        infinite,
        negative,
        fractional,
        largest,
        nan_per_cell,
        nan_per_feature,
    )


def tally_values(matrix: Matrix, wanted: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> Tally:
    """Count the non-zero entries whose values are wanted, and keep the places of the first.

    Parameters
    ----------
    matrix
        What :func:`matrix_of` returns, cells x features.
    wanted
        Tells of an array of values which are to be counted.
    """
    tally = Tally()
    for rows, columns, values in _iter_entries(matrix):
        tally.add(wanted(values), rows, columns, values)
    return tally


def column_blocks(matrix: Matrix, columns: NDArray[np.int64]) -> sp.csr_matrix:
    """Return some columns of a matrix as CSR, float32, without stored zeros, read in blocks."""
    blocks = []
    for _, block in iter_row_blocks(matrix):
        with np.errstate(over="ignore"):  # becomes infinite, which checks of the values refuse
            blocks.append(sp.csr_matrix(block[:, columns], dtype=np.float32))
    found = sp.csr_matrix(sp.vstack(blocks, format="csr"))
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def _iter_entries(matrix: Matrix) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]:
    """Yield row, column and value of the non-zero entries, along the axis that is cheap to cut."""
    by_column = isinstance(matrix, CSCDataset) or (is_sparse(matrix) and matrix.format == "csc")
    length = matrix.shape[1] if by_column else matrix.shape[0]
    size = _block_length(matrix, matrix.shape[0] if by_column else matrix.shape[1])
    for start in range(0, length, size):
        block = matrix[:, start : start + size] if by_column else matrix[start : start + size]
        if is_sparse(block):
            entries = block.tocoo()
            rows, columns, values = entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data
            kept = values != 0
            if not kept.all():
                rows, columns, values = rows[kept], columns[kept], values[kept]
        else:
            dense = np.asarray(block)
            rows, columns = np.nonzero(dense)
            values = dense[rows, columns]
        if values.dtype.kind == "b":
            values = values.astype(np.uint8)
        yield (rows, columns + start, values) if by_column else (rows + start, columns, values)


def _count(into: NDArray[np.int64], places: NDArray[np.int64]) -> None:
    """Add to each place how often it occurs; the cost is that of the places, however long the array is."""
    if len(places):
        first = int(places.min())
        found = np.bincount(places - first)
        into[first : first + len(found)] += found


def _block_length(matrix: Matrix, width: int) -> int:
    dense = not is_sparse(matrix) and not isinstance(matrix, CSRDataset | CSCDataset)
    return max(1, (_DENSE_BLOCK if dense else _SPARSE_BLOCK) // max(1, width))


def _readable(matrix: Matrix, where: str) -> Matrix:
    if isinstance(matrix, pd.DataFrame):
        matrix = matrix.to_numpy()
    sparse = isinstance(matrix, CSRDataset | CSCDataset) or (
        is_sparse(matrix) and matrix.format in {"csr", "csc"}
    )
    if not sparse and not isinstance(matrix, np.ndarray) and not is_on_disk(matrix):
        raise InputError(
            f"is a {type(matrix).__name__}, which cannot be read",
            where=where,
            remedy="make it a NumPy array or a SciPy CSR matrix in memory, or save it as .h5ad and open that",
        )
    if np.dtype(matrix.dtype).kind not in "biuf":
        raise InputError(
            f"holds values of type {matrix.dtype}, not numbers",
            where=where,
            remedy="convert the matrix to numbers, for example with .astype('float32')",
        )
    return matrix
