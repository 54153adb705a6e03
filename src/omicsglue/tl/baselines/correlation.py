"""Rank correlation of many pairs of features at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PAIRS, _FEATURES = 2**16, 2**13


def spearman(genes: sp.csr_matrix, elements: sp.csr_matrix, gene: Ints, element: Ints) -> Floats:
    """Return Spearman's correlation over metacells of pairs of features.

    Parameters
    ----------
    genes, elements
        Values, metacells x features, the same metacells in both.
    gene, element
        Columns of the pairs, int64, shape ``(pairs,)``.

    Returns
    -------
    numpy.ndarray
        float64, shape ``(pairs,)``; 0 where a feature does not vary. Ties share their mean rank.

    Examples
    --------
    >>> x = sp.csr_matrix([[1.0, 3.0], [2.0, 2.0], [4.0, 1.0]])
    >>> spearman(x, x, np.array([0]), np.array([1])).round(6).tolist()
    [-1.0]
    """
    used_genes, gene = np.unique(gene, return_inverse=True)
    used_elements, element = np.unique(element, return_inverse=True)
    left, right = _ranks(genes, used_genes), _ranks(elements, used_elements)
    out = np.empty(len(gene))
    for start in range(0, len(gene), _PAIRS):
        block = slice(start, start + _PAIRS)
        out[block] = np.einsum("ij,ij->i", left[gene[block]], right[element[block]])
    return out


def _ranks(values: sp.csr_matrix, columns: Ints) -> npt.NDArray[np.float32]:
    """Return ranks of each column as unit vectors around 0, features x metacells."""
    from scipy.stats import rankdata

    by_feature = sp.csc_matrix(values)
    out = np.empty((len(columns), values.shape[0]), dtype=np.float32)
    for start in range(0, len(columns), _FEATURES):
        block = slice(start, start + _FEATURES)
        ranks = rankdata(by_feature[:, columns[block]].toarray().T, axis=1)
        ranks -= ranks.mean(axis=1, keepdims=True)
        length = np.sqrt(np.square(ranks).sum(axis=1, keepdims=True))
        out[block] = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return out
