"""Decompositions of matrices that are seen a block of rows at a time: by a Gram matrix, or by a subspace.

A Gram matrix of the columns, summed over the blocks, gives the exact components and needs features x features
of memory. Where there are too many features, the subspace of a sample of rows begins a block Lanczos
iteration on all rows (Golub & Underwood 1977; Halko, Martinsson & Tropp 2011, doi 10.1137/090771806), with a
pass over the blocks for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats32 = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Walk = Callable[[], Iterable[tuple[int, sp.csr_matrix]]]
"""Begins a pass: first row, and rows, of each block."""

MORE = 20  # directions carried along beside those wanted
SAMPLE_ITERATIONS = 2  # of a start that is to be refined
EDGE_ITERATIONS = 7
TURNS = 3  # of the subspace towards all rows
ROUNDING = 1e-5
_AT_ONCE = 2**22  # entries
_DENSE_ROWS = 2**11


def gram(blocks: Iterable[tuple[int, sp.csr_matrix]], columns: int) -> tuple[Floats64, Floats64, Floats64]:
    """Return means and deviations of columns, and cross-products of what differs from the means: one pass.

    Parameters
    ----------
    blocks
        First row and rows of each block.
    columns
        How many there are.

    Returns
    -------
    Float64, shapes ``(columns,)``, ``(columns,)`` and ``(columns, columns)``.
    """
    rows, total, cross = 0, np.zeros(columns), np.zeros((columns, columns))
    for _, block in blocks:
        for first in range(0, block.shape[0], _DENSE_ROWS):
            dense = block[first : first + _DENSE_ROWS].toarray().astype(np.float64)
            rows += len(dense)
            total += dense.sum(axis=0)
            cross += dense.T @ dense
    mean = total / rows
    cross -= np.outer(rows * mean, mean)
    return mean, _deviation(np.diagonal(cross), rows), cross


def column_moments(blocks: Iterable[tuple[int, sp.csr_matrix]], columns: int) -> tuple[Floats64, Floats64]:
    """Return means and deviations of the columns: one pass.

    Parameters
    ----------
    blocks, columns
        As for :func:`gram`.
    """
    rows, total, squares = 0, np.zeros(columns), np.zeros(columns)
    for _, block in blocks:
        rows += block.shape[0]
        values = block.data.astype(np.float64)
        total += np.bincount(block.indices, weights=values, minlength=columns)
        squares += np.bincount(block.indices, weights=values**2, minlength=columns)
    mean = total / rows
    return mean, _deviation(squares - rows * mean**2, rows)


def _deviation(squares: Floats64, rows: int) -> Floats64:
    return np.sqrt(np.maximum(squares, 0) / (rows - 1))


def scores(walk: Walk, rows: int, weights: Floats64, shift: Floats64 | None = None) -> Floats32:
    """Return rows times weights, of mean 0: one pass.

    Parameters
    ----------
    walk
        Begins the pass.
    rows
        How many there are.
    weights
        Float64, shape ``(columns, components)``.
    shift
        What is to be taken off so that the means are 0; by default they are taken off at the end.

    Returns
    -------
    float32, shape ``(rows, components)``.
    """
    found = np.empty((rows, weights.shape[1]), dtype=np.float32)
    narrow = weights.astype(np.float32)
    for first, block in walk():
        part = block @ (narrow if shift is None else weights)
        found[first : first + len(part)] = part if shift is None else part - shift
    if shift is None:
        found -= found.mean(axis=0, dtype=np.float64).astype(np.float32)
    return found


def leading(symmetric: Floats64, number: int) -> tuple[Floats64, Floats64]:
    """Return the largest eigenvalues, falling, and their vectors; the largest loading of each is positive.

    Parameters
    ----------
    symmetric
        Square, shape ``(n, n)``.
    number
        How many are wanted.

    Returns
    -------
    Shapes ``(number,)`` and ``(n, number)``.
    """
    from scipy.linalg import eigh

    size = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=(max(size - number, 0), size - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    return values, vectors * signs(vectors)


def signs(vectors: Floats64 | Floats32) -> Floats64:
    """Return the sign of the largest loading of each column, 1 or -1."""
    largest = np.abs(vectors).argmax(axis=0)
    return np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)


def sample_subspace(sample: sp.csr_matrix | Floats32, size: int, seed: int) -> Floats32:
    """Return the leading right singular vectors of a sample of rows, shape ``(columns, size)``."""
    from sklearn.utils.extmath import randomized_svd

    size = min(size, *(side - 1 for side in sample.shape))
    found = randomized_svd(sample, size, n_iter=SAMPLE_ITERATIONS, random_state=seed)[2]
    return np.ascontiguousarray(found.T, dtype=np.float32)


@dataclass(frozen=True)
class Rows:
    """A matrix A seen a block of rows at a time, with standardised columns where their means are given.

    Attributes
    ----------
    walk
        Begins a pass.
    shape
        Rows and columns.
    mean, scale
        Taken off each column, and then multiplied by; shape ``(columns,)``.
    """

    walk: Walk
    shape: tuple[int, int]
    mean: Floats64 | None = None
    scale: Floats64 | None = None

    def product(self, basis: Floats32) -> Floats32:
        """Return A'A times a basis, float32, shape ``(columns, size)``: one pass."""
        weights, shift = self._weights(basis)
        product, total = np.zeros(basis.shape, dtype=np.float32), np.zeros(basis.shape[1])
        for _, block in self.walk():
            found = block @ weights
            found -= shift
            product += block.T @ found
            total += found.sum(axis=0, dtype=np.float64)
        if self.mean is not None and self.scale is not None:
            product -= np.outer(self.mean, total).astype(np.float32)
            product *= self.scale[:, None].astype(np.float32)
        return product

    def gram(self, basis: Floats32) -> Floats64:
        """Return V'A'AV of a basis V, float64, shape ``(size, size)``: one pass."""
        weights, shift = self._weights(basis)
        gram = np.zeros((basis.shape[1], basis.shape[1]))
        for _, block in self.walk():
            found = (block @ weights - shift).astype(np.float64)
            gram += found.T @ found
        return gram

    def _weights(self, basis: Floats32) -> tuple[Floats32, Floats32]:
        """Return by what rows as they are become coordinates, and what is taken off these."""
        if self.mean is None or self.scale is None:
            return basis, np.zeros(basis.shape[1], dtype=np.float32)
        weights = self.scale[:, None] * basis
        return np.asarray(weights, dtype=np.float32), np.asarray(self.mean @ weights, dtype=np.float32)


def refined(rows: Rows, start: Floats32, number: int, turns: int = TURNS) -> tuple[Floats64, Floats64]:
    """Return leading singular values and right singular vectors, from a start that is near them.

    A block Lanczos step for each turn, fully orthogonalised; the components are those within all the
    directions met. One pass over the rows for each turn, and one more.

    Parameters
    ----------
    rows
        The matrix.
    start
        Orthonormal, shape ``(columns, size)``.
    number
        How many components are wanted, at most size.
    turns
        How many steps.

    Returns
    -------
    Falling, shape ``(number,)``; and shape ``(columns, number)``.
    """
    basis, newest = start, start
    inner, coupled = np.zeros((0, 0)), np.zeros((start.shape[1], 0))
    for _ in range(turns):
        product = rows.product(newest)
        inner = _bordered(inner, coupled, newest.T @ product)
        fresh = _fresh(product, basis)
        coupled, newest = np.asarray(fresh.T @ product, dtype=np.float64), fresh
        if not fresh.shape[1]:
            break
        basis = np.hstack([basis, fresh])
    if newest.shape[1]:
        inner = _bordered(inner, coupled, rows.gram(newest))
    values, rotation = leading(inner, min(number, len(inner)))
    vectors = (basis @ rotation.astype(np.float32)).astype(np.float64)
    return np.sqrt(np.maximum(values, 0)), vectors * signs(vectors)


def _bordered(inner: Floats64, coupled: Floats64, corner: Floats64 | Floats32) -> Floats64:
    """Return V'A'AV of a basis that has grown by some directions, which see only the last of those before."""
    old, new = len(inner), len(corner)
    grown = np.zeros((old + new, old + new))
    grown[:old, :old] = inner
    before = slice(old - coupled.shape[1], old)
    grown[old:, before], grown[before, old:] = coupled, coupled.T
    grown[old:, old:] = (corner + corner.T) / 2
    return grown


def _fresh(product: Floats32, basis: Floats32) -> Floats32:
    """Return orthonormal directions of what a product holds beside a basis; fewer where that is rounding."""
    least = ROUNDING * float(np.linalg.norm(product, axis=0).max(initial=0))
    for _ in range(2):  # the second time for what rounding left
        product = product - basis @ (basis.T @ product)
        exact = product.astype(np.float64)
        values, vectors = np.linalg.eigh(exact.T @ exact)
        kept = values > max(least**2, ROUNDING * values.max(initial=0))
        product = product @ (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        least = 0.5
        if not kept.any():
            break
    return product


def sample_edge(sample: sp.csr_matrix, rows: int, seed: int) -> float:
    """Return the largest singular value that noise alone makes in all rows, found on a sample of them.

    The columns of the sample are permuted; the mean profile survives that as the first component, so the
    second is the largest of the noise. What more rows make of it is known from the variances of the columns.

    Parameters
    ----------
    sample
        Rows drawn, shape ``(drawn, columns)``.
    rows
        How many there are in all.
    seed
        Of the permutation.
    """
    from sklearn.utils.extmath import randomized_svd

    drawn = sample.shape[0]
    permuted = _permuted(sample, np.random.default_rng(seed))
    found = float(randomized_svd(permuted, 2, n_iter=EDGE_ITERATIONS, random_state=seed)[1][1])
    if rows == drawn:
        return found
    variances = _variances(sample)
    return found * edge_of(variances, rows) / edge_of(variances, drawn)


def edge_of(variances: Floats64, rows: int) -> float:
    """Return the largest singular value of independent noise whose columns differ in variance.

    Parameters
    ----------
    variances
        Of the columns, at least one above 0, shape ``(columns,)``.
    rows
        How many there are.

    Notes
    -----
    The upper edge of the spectrum in the limit of large matrices: Silverstein & Choi 1995,
    doi 10.1006/jmva.1995.1058. With equal variances it is sqrt(rows) + sqrt(columns), times the deviation.

    Examples
    --------
    >>> round(edge_of(np.ones(400), 100), 3)
    30.0
    """
    from scipy.optimize import brentq

    v = variances[variances > 0]
    v, scale = v / v.max(), float(v.max())

    def excess(t: float) -> float:
        return float(((v * t / (1 - v * t)) ** 2).sum() - rows)

    t = brentq(excess, 0.0, 1 - 1e-12)
    return float(np.sqrt(scale * rows * (1 / t + (v / (1 - v * t)).sum() / rows)))


def _permuted(x: sp.csr_matrix, rng: np.random.Generator) -> sp.csc_matrix:
    """Return what `permuted_columns` does, by columns, with memory for one copy alone."""
    rows, columns = x.shape
    moved = x.tocsc()
    shuffled = rng.permutation(rows)
    seen = np.diff(moved.indptr) > 0
    turn = np.zeros(columns, dtype=np.int64)
    turn[seen] = rng.integers(rows, size=int(seen.sum()))
    step = max(1, columns * _AT_ONCE // max(1, moved.nnz))
    for first in range(0, columns, step):
        ends = moved.indptr[first : first + step + 1]
        entries = slice(ends[0], ends[-1])
        by = np.repeat(turn[first : first + step], np.diff(ends))
        moved.indices[entries] = (shuffled[moved.indices[entries]] + by) % rows
    moved.has_sorted_indices = False
    return moved


def _variances(x: sp.csr_matrix) -> Floats64:
    rows, columns = x.shape
    total, squares = np.zeros(columns), np.zeros(columns)
    for first in range(0, x.nnz, _AT_ONCE):
        entries = slice(first, first + _AT_ONCE)
        values = x.data[entries].astype(np.float64)
        total += np.bincount(x.indices[entries], weights=values, minlength=columns)
        squares += np.bincount(x.indices[entries], weights=values**2, minlength=columns)
    return np.maximum(squares / rows - (total / rows) ** 2, 0)
