"""Effects of all candidate elements on a gene at once, by LASSO."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PENALTIES = np.geomspace(1.0, 0.03, 12)  # of the least penalty that sets all effects to 0
_FOLDS = 4


def lasso(
    genes: sp.csr_matrix, elements: sp.csr_matrix, gene: Ints, element: Ints, *, seed: int = 0
) -> Floats:
    """Return the effect of each element on its gene, given the gene's other candidates.

    Gene and elements are brought to variance 1 over metacells. The penalty of each gene is the best of a
    fixed path by cross-validation over metacells.

    Parameters
    ----------
    genes, elements
        Values, metacells x features, the same metacells in both.
    gene, element
        Columns of the pairs, int64, shape ``(pairs,)``.
    seed
        Seed of the division into folds.

    Returns
    -------
    numpy.ndarray
        Coefficients, float64, shape ``(pairs,)``.

    Notes
    -----
    Source: Tibshirani 1996; as a baseline for links, Cao & Gao 2022.
    """
    from sklearn.exceptions import ConvergenceWarning

    of_genes, of_elements = sp.csc_matrix(genes), sp.csc_matrix(elements)
    fold = np.random.default_rng(seed).permutation(genes.shape[0]) % min(_FOLDS, genes.shape[0])
    order = np.argsort(gene, kind="stable")
    out = np.zeros(len(gene))
    with warnings.catch_warnings():
        # The end of a path that converges slowly is hardly ever the best of it
        warnings.simplefilter("ignore", ConvergenceWarning)
        for pairs in np.split(order, np.flatnonzero(np.diff(gene[order])) + 1):
            if len(pairs):
                response = _standard(of_genes[:, [gene[pairs[0]]]].toarray())[:, 0]
                out[pairs] = _effects(_standard(of_elements[:, element[pairs]].toarray()), response, fold)
    return out


def _effects(design: Floats, response: Floats, fold: Ints) -> Floats:
    steepest = np.abs(design.T @ response).max(initial=0.0) / len(response)
    if steepest <= 0:
        return np.zeros(design.shape[1])
    penalties = _PENALTIES * steepest
    error = np.zeros(len(penalties))
    for held in range(fold.max() + 1):
        out = fold == held
        path = _path(design[~out], response[~out], penalties)
        error += np.square(response[out, None] - design[out] @ path).sum(axis=0)
    return np.asarray(_path(design, response, penalties)[:, int(error.argmin())], dtype=np.float64)


def _path(design: Floats, response: Floats, penalties: Floats) -> Floats:
    """Return coefficients along the path, elements x penalties."""
    from sklearn.linear_model import lasso_path

    found = lasso_path(
        np.asfortranarray(design),
        response,
        alphas=penalties,
        precompute=np.ascontiguousarray(design.T @ design),
        Xy=design.T @ response,
        check_input=False,  # the checks take longer than the path
        tol=1e-3,
        max_iter=300,
    )
    return np.asarray(found[1], dtype=np.float64)


def _standard(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.where(deviation > 0, deviation, 1.0), dtype=np.float64)
