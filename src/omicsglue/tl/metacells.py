"""Metacells: cells of all modalities that lie together in the joint embedding, added up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.errors import OptionError
from omicsglue.tl.embeddings import checked_embeddings

Codes = npt.NDArray[np.int64]
Counts = sp.spmatrix | sp.sparray | npt.NDArray[np.floating]


def joint_metacells(
    embeddings: Mapping[str, npt.NDArray[np.floating]], number: int = 200, *, seed: int = 0
) -> dict[str, Codes]:
    """Group the cells of all modalities by k-means on their joint embedding.

    Parameters
    ----------
    embeddings
        Embedding of the cells of each modality, ``(cells, D)``, in one space.
    number
        Metacells wanted; there are fewer where cells are.
    seed
        Seed of the k-means.

    Returns
    -------
    dict
        Metacell of each cell by modality, int64, shape ``(cells,)``, from 0 to the number of metacells - 1.

    Raises
    ------
    OptionError
        If `number` is not positive.
    InputError
        If embeddings are not finite, or differ in width.
    """
    from sklearn.cluster import MiniBatchKMeans

    if number < 1:
        raise OptionError(f"{number} metacells", where="metacells", remedy="Give 1 or more, usually 200.")
    found = checked_embeddings(embeddings)
    together = np.concatenate(list(found.values())).astype(np.float32)
    kmeans = MiniBatchKMeans(min(number, len(together)), batch_size=4096, n_init=3, random_state=seed)
    # k-means may leave a group empty: number those that are not
    _, code = np.unique(kmeans.fit_predict(together), return_inverse=True)
    cuts = np.cumsum([len(each) for each in found.values()])[:-1]
    return dict(zip(found, np.split(code.astype(np.int64), cuts), strict=True))


def membership(group: Codes, number: int | None = None) -> sp.csr_matrix:
    """Return the matrix that adds cells up to metacells, metacells x cells, of ones.

    Parameters
    ----------
    group
        Metacell of each cell, int64, shape ``(cells,)``; cells of -1 are in none.
    number
        Metacells in all, where the last ones have no cell of this modality.
    """
    cells = np.flatnonzero(group >= 0)
    rows = int(group.max(initial=-1)) + 1 if number is None else number
    return sp.csr_matrix((np.ones(len(cells)), (group[cells], cells)), shape=(rows, len(group)))


def aggregate(counts: Counts, group: Codes, number: int | None = None) -> sp.csr_matrix:
    """Add up the counts of the cells of each metacell.

    Parameters
    ----------
    counts
        Cells x features, sparse or dense.
    group
        Metacell of each cell, int64, shape ``(cells,)``; cells of -1 are in none.
    number
        Metacells in all, where the last ones have no cell of this modality.

    Returns
    -------
    scipy.sparse.csr_matrix
        Metacells x features, float64; rows of metacells without cells are 0.

    Examples
    --------
    >>> aggregate(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 5.0]]), np.array([0, 0, 1])).toarray()
    array([[3., 1.],
           [0., 5.]])
    """
    # a conversion by way of CSC takes every kind of matrix
    return sp.csr_matrix(membership(group, number) @ sp.csc_matrix(counts, dtype=np.float64))


def log_normalised(totals: sp.csr_matrix, *, scale: float = 1e4) -> sp.csr_matrix:
    """Return log(1 + `scale` x share of the metacell's counts), float64, metacells x features.

    Parameters
    ----------
    totals
        What :func:`aggregate` returned.
    scale
        Counts to which each metacell is brought.

    Examples
    --------
    >>> log_normalised(sp.csr_matrix([[1.0, 0.0], [0.0, 0.0]]), scale=np.e - 1).toarray()
    array([[1., 0.],
           [0., 0.]])
    """
    depth = np.asarray(totals.sum(axis=1)).ravel()
    factor = np.divide(scale, depth, out=np.zeros_like(depth), where=depth > 0)
    return sp.csr_matrix((sp.diags(factor) @ totals).log1p())


def log_rates(methylated: sp.csr_matrix, covered: sp.csr_matrix) -> sp.csr_matrix:
    """Return the logarithm of rates relative to each metacell's own level, float64, metacells x features.

    One read of the level is added, so that few reads tell little; what no read covers is 0, the level.

    Parameters
    ----------
    methylated, covered
        Reads added up by :func:`aggregate`.

    Examples
    --------
    >>> log_rates(sp.csr_matrix([[3.0, 0.0, 0.0]]), sp.csr_matrix([[3.0, 3.0, 0.0]])).toarray().round(3)
    array([[ 0.56 , -1.386,  0.   ]])
    """
    sums = [np.asarray(each.sum(axis=1)).ravel() for each in (methylated, covered)]
    level = np.clip(sums[0] / np.maximum(sums[1], 1), 1e-6, 1)
    reads = sp.csr_matrix(covered)
    row = np.repeat(np.arange(reads.shape[0]), np.diff(reads.indptr))
    inside = sp.csr_matrix(reads.copy())
    inside.data = np.asarray(methylated[row, reads.indices]).ravel()
    inside.data = np.log((inside.data + level[row]) / (reads.data + 1) / level[row])
    return inside
