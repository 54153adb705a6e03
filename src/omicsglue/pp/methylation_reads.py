"""Methylated and covered reads, side by side at every feature that a cell covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.counts import matrix_name
from omicsglue.errors import InputError
from omicsglue.keys import COVERAGE
from omicsglue.pp.counts import csr_counts
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reads:
    """Reads at covered entries, in order of cells and features.

    Attributes
    ----------
    shape
        Cells and features.
    row, column
        Cell and feature of each entry, int32, shape ``(entries,)``.
    methylated, covered
        Methylated reads, and reads in all, which are at least 1; float64, shape ``(entries,)``.
    """

    shape: tuple[int, int]
    row: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    methylated: Floats
    covered: Floats

    def matrix(self, values: Floats) -> sp.csr_matrix:
        """Return values at the entries as CSR, float32, cells x features."""
        start = np.zeros(self.shape[0] + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.row, minlength=self.shape[0]), out=start[1:])
        return sp.csr_matrix((values.astype(np.float32), self.column.copy(), start), shape=self.shape)

    def level(self) -> Floats:
        """Return the methylated share of all reads, shape ``()``."""
        return _share(self.methylated.sum(), self.covered.sum(), 0.5)

    def cell_level(self) -> Floats:
        """Return the methylated share of each cell's reads; that of all where a cell has none."""
        return self._by(self.row, self.shape[0])

    def feature_level(self) -> Floats:
        """Return the methylated share of each feature's reads; that of all where a feature has none."""
        return self._by(self.column, self.shape[1])

    def _by(self, code: npt.NDArray[np.int32], number: int) -> Floats:
        prior = self.level()
        methylated, covered = (
            np.asarray(np.bincount(code, weights=each, minlength=number), dtype=np.float64)
            for each in (self.methylated, self.covered)
        )
        return _share(methylated, covered, prior)


def methylated_reads(adata: AnnData, layer: str | None, coverage: str, where: str) -> Reads:
    """Return methylated and covered reads, checked.

    Parameters
    ----------
    adata
        Cells x features.
    layer
        Layer with the methylated reads; ``None`` is ``X``.
    coverage
        Layer with the covered reads.
    where
        Who asks, for messages.

    Raises
    ------
    InputError
        If a layer is missing, a value is negative or not finite, more reads are methylated than covered, or
        nothing is covered.
    """
    if coverage not in adata.layers:
        raise InputError(
            f"there is no layer {coverage!r} of covered reads{did_you_mean(coverage, list(adata.layers))}",
            where=where,
            remedy=f"name the layer that holds them (layers there are: {listed(adata.layers)})",
        )
    methylated, covered = csr_counts(adata, layer, where), csr_counts(adata, coverage, where)
    for matrix in (methylated, covered):
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if not covered.nnz:
        raise InputError(
            f"no read covers any feature in layers[{coverage!r}]",
            where=where,
            remedy="check that the right layer was chosen",
        )
    _check_fewer(adata, methylated, covered, layer, coverage, where)
    both = covered.tocoo()
    aligned = np.zeros(covered.nnz)
    aligned[np.searchsorted(_keys(covered), _keys(methylated))] = methylated.data
    return Reads(
        (adata.n_obs, adata.n_vars),
        both.row.astype(np.int32),
        both.col.astype(np.int32),
        aligned,
        covered.data.astype(np.float64),
    )


def holds_rates(adata: AnnData, layer: str | None, coverage: str = COVERAGE) -> bool:
    """Tell whether a matrix may hold the methylated ones of the reads in a layer."""
    if coverage not in adata.layers:
        return False
    try:
        methylated_reads(adata, layer, coverage, "methylation")
    except InputError:
        return False
    return True


def logit(rate: npt.ArrayLike) -> Floats:
    """Return log(p / (1 - p)), with p kept off 0 and 1."""
    p = np.clip(np.asarray(rate, dtype=np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)), dtype=np.float64)


def sigmoid(value: Floats) -> Floats:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-value)), dtype=np.float64)


def _share(methylated: Floats, covered: Floats, prior: Floats | float) -> Floats:
    """Return methylated over covered reads, with half a read of the prior added to each."""
    return np.asarray((methylated + 0.5 * prior) / (covered + 0.5), dtype=np.float64)


def _keys(matrix: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Return a number for each stored entry, rising in order of rows and columns."""
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.asarray(row * matrix.shape[1] + matrix.indices, dtype=np.int64)


def _check_fewer(
    adata: AnnData,
    methylated: sp.csr_matrix,
    covered: sp.csr_matrix,
    layer: str | None,
    coverage: str,
    where: str,
) -> None:
    over = sp.coo_matrix(methylated - covered)
    bad = np.flatnonzero(over.data > 0)
    if not len(bad):
        return
    cell, feature = int(over.row[bad[0]]), int(over.col[bad[0]])
    raise InputError(
        f"more reads are methylated than covered in {len(bad):,} entries: cell {adata.obs_names[cell]}, "
        f"feature {adata.var_names[feature]} has {methylated[cell, feature]:g} in {matrix_name(layer)} and "
        f"{covered[cell, feature]:g} in {matrix_name(coverage)}",
        where=where,
        remedy="check that the two matrices are not swapped, and that coverage counts all reads, not the "
        "unmethylated ones",
    )
