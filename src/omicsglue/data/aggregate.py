"""Metacells as data to train on: groups of cells of one modality, added up from batches of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.batches import cell_batch
from omicsglue.data.grouping import Codes, group_means, grouped_cells
from omicsglue.data.kinds import SUPPORT
from omicsglue.data.modality import ModalityData
from omicsglue.data.tensors import SparseRows

BLOCK: Final = 8192  # cells read at a time


class RowSum:
    """Sums of groups of rows, taken block by block.

    What has been added is held as a few sparse matrices of growing size, so that each entry is moved only so
    often as the number of blocks can be halved.

    Parameters
    ----------
    groups, columns
        Shape of the sum.
    """

    def __init__(self, groups: int, columns: int) -> None:
        self.shape = (groups, columns)
        self._parts: list[sp.csr_matrix] = []

    def add(self, block: Any, group: Codes) -> None:
        """Add rows, dense or sparse, to the sums of their groups; those of group -1 to none.

        Parameters
        ----------
        block
            ``(n, columns)``.
        group
            Group of each row, ``(n,)``.
        """
        rows = np.flatnonzero(group >= 0)
        adds = sp.csr_matrix((np.ones(len(rows)), (group[rows], rows)), shape=(self.shape[0], len(group)))
        self._parts.append(sp.csr_matrix(adds @ sp.csr_matrix(block, dtype=np.float64)))
        while len(self._parts) > 1 and self._parts[-2].nnz <= 2 * self._parts[-1].nnz:
            self._merge()

    def total(self) -> sp.csr_matrix:
        """Return the sums, float64, groups x columns."""
        while len(self._parts) > 1:
            self._merge()
        found = self._parts[0] if self._parts else sp.csr_matrix(self.shape, dtype=np.float64)
        found.sort_indices()
        return found

    def _merge(self) -> None:
        last = self._parts.pop()
        self._parts[-1] = sp.csr_matrix(self._parts[-1] + last)


def aggregated(
    data: ModalityData, number: int, seed: int, *, rows: Codes | None = None
) -> tuple[ModalityData, Codes]:
    """Return metacells of one modality, never of two batches, and which cell is in which.

    Counts are added up, and so is coverage; values that are no counts are averaged. The encoder's input is
    averaged, the library is that of the sums, the label is that of more than half of the cells or unknown.
    Of zeros and ones, a metacell has 1 where a cell has. Every metacell has weight 1.

    Parameters
    ----------
    data
        Cells of a modality; their counts are read in blocks.
    number
        Metacells at most, one a batch at least. Where there are no more cells than that, every cell is its
        own.
    seed
        Seed of the grouping: the same seed gives the same metacells.
    rows
        Rows of the cells to be grouped, sorted; all by default.

    Returns
    -------
    ModalityData
        Of the metacells.
    ndarray of int64, ``(n,)``
        Metacell of each cell, -1 where it is in none.
    """
    chosen = np.arange(len(data)) if rows is None else rows
    # codes of batches that occur among the chosen cells
    _, strata = np.unique(data.batch[chosen], return_inverse=True)
    code = grouped_cells(_to_group(data, chosen), strata.ravel().astype(np.int64), number, seed=seed)
    member = np.full(len(data), -1, dtype=np.int64)
    member[chosen] = code
    groups = int(code.max()) + 1
    counts, coverage, library = _sums(data, member, groups)
    inputs = group_means(data.input_rows, member, groups, block=BLOCK).astype(np.float32)
    first = np.full(groups, -1, dtype=np.int64)
    first[code[::-1]] = data.batch[chosen[::-1]]
    ones = np.ones(groups, dtype=np.float32)
    return replace(
        data,
        cells=np.array([f"metacell{number}" for number in range(groups)], dtype=object),
        counts=counts,
        inputs=inputs,
        library=library,
        batch=first,
        weight=ones,
        label=majority(data.label[chosen], code, groups),
        coverage=coverage,
    ), member


def majority(label: Codes, group: Codes, groups: int) -> Codes:
    """Return the label that more than half of a group's cells have, -1 where there is none.

    Parameters
    ----------
    label
        Code of each cell, -1 where unknown, ``(n,)``.
    group
        Group of each cell, ``(n,)``.
    groups
        Number of groups.

    Examples
    --------
    >>> majority(np.array([2, 2, -1, 0, 1]), np.array([0, 0, 0, 1, 1]), 2).tolist()
    [2, -1]
    """
    known = label >= 0
    table = sp.csr_matrix(
        (np.ones(int(known.sum())), (group[known], label[known])),
        shape=(groups, int(label.max(initial=-1)) + 1),
    )
    sizes = np.bincount(group, minlength=groups)
    if not table.shape[1]:
        return np.full(groups, -1, dtype=np.int64)
    most = np.asarray(table.max(axis=1).todense()).ravel()
    best = np.asarray(table.argmax(axis=1)).ravel().astype(np.int64)
    return np.where(2 * most > sizes, best, -1)


def _to_group(data: ModalityData, rows: Codes) -> npt.NDArray[np.floating]:
    """Return what cells are grouped by: the encoder's input, of many features their main components."""
    if not sp.issparse(data.inputs):
        return np.asarray(data.inputs)[rows]
    from sklearn.decomposition import TruncatedSVD

    size = min(30, min(data.inputs.shape) - 1)
    if size < 2:
        return data.input_rows(rows)
    return np.asarray(TruncatedSVD(size, random_state=0).fit_transform(data.inputs[rows]))


def _sums(
    data: ModalityData, member: Codes, groups: int
) -> tuple[sp.csr_matrix, sp.csr_matrix | None, npt.NDArray[np.float32]]:
    """Return data, coverage and library of the metacells."""
    kind = SUPPORT[data.likelihood]
    added = kind in ("counts", "covered counts")
    width = len(data.features)
    values, coverage, known = (RowSum(groups, width) for _ in range(3))
    for start in range(0, len(member), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(member)))
        rows = rows[member[rows] >= 0]
        if not len(rows):
            continue
        batch = cell_batch(data, rows)
        values.add(_csr(batch.counts), member[rows])
        if batch.coverage is not None:
            block = _csr(batch.coverage)
            coverage.add(block, member[rows])
            known.add((block > 0).astype(np.float64), member[rows])
    total = values.total()
    covered = coverage.total() if data.coverage is not None else None
    if kind == "binary":
        total = sp.csr_matrix((total > 0).astype(np.float64))
    elif not added:
        total = _mean(total, known.total() if covered is not None else None, member, groups)
    library = np.ones(groups, dtype=np.float32)
    if kind == "counts":
        library = np.maximum(np.asarray(total.sum(axis=1)).ravel(), 1).astype(np.float32)
    total.eliminate_zeros()
    return (
        sp.csr_matrix(total, dtype=np.float32),
        None if covered is None else sp.csr_matrix(covered, dtype=np.float32),
        library,
    )


def _mean(total: sp.csr_matrix, known: sp.csr_matrix | None, member: Codes, groups: int) -> sp.csr_matrix:
    """Return sums divided by how many cells were measured."""
    if known is None:
        sizes = np.bincount(member[member >= 0], minlength=groups)
        return sp.csr_matrix(sp.diags(1 / sizes) @ total)
    inverse = sp.csr_matrix((1 / known.data, known.indices, known.indptr), known.shape)
    return sp.csr_matrix(total.multiply(inverse))


def _csr(rows: SparseRows) -> sp.csr_matrix:
    arrays = (rows.value.numpy(), rows.column.numpy(), rows.indptr.numpy())
    return sp.csr_matrix(arrays, shape=rows.shape)
