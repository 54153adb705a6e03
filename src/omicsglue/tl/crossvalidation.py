"""Cross-validated linear regressions of many genes at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def draw_folds(metacells: int, folds: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the fold of each metacell, int64, shape ``(metacells,)``; folds are of nearly one size."""
    return np.asarray(rng.permutation(metacells) % folds, dtype=np.int64)


def cross_validated_r2(y: Floats, x: Floats, fold: npt.NDArray[np.int64], *, penalty: float = 1e-3) -> Floats:
    """Return how much of each gene's variance is predicted in metacells that the regression has not seen.

    Each gene has predictors of its own. In turn, one fold is left out; means, deviations and the coefficients
    come from the others. R2 is 1 less the squared errors over those of the mean of the other folds: 0 where
    nothing is gained over that mean, negative where the predictors mislead.

    Parameters
    ----------
    y
        Metacells x genes; NaN is left out.
    x
        Predictors x metacells x genes; where one is NaN, the metacell is left out for this gene.
    fold
        Fold of each metacell, from 0, int64, shape ``(metacells,)``.
    penalty
        Of ridge regression, for predictors of variance 1 and a mean over metacells.

    Returns
    -------
    float64, shape ``(genes,)``; NaN where a gene or one of its predictors is constant, or known nowhere.

    Notes
    -----
    Normal equations of all genes are solved together. Source of cross-validation: Stone, J. R. Stat. Soc. B
    1974.
    """
    known = (np.isfinite(y) & np.isfinite(x).all(axis=0)).astype(np.float64)
    y, x = np.where(known, y, 0.0), np.where(known, x, 0.0)
    wrong, total = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    usable = np.ones(y.shape[1], dtype=bool)
    for left in np.unique(fold):
        out = fold == left
        mean_y, mean_x, coefficients, fine = _fit(y[~out], x[:, ~out], known[~out], penalty)
        usable &= fine
        expected = np.einsum("kmg,kg->mg", x[:, out] - mean_x[:, None], coefficients)
        rest = y[out] - mean_y
        wrong += (known[out] * (rest - expected) ** 2).sum(axis=0)
        total += (known[out] * rest**2).sum(axis=0)
    usable &= total > 0
    return np.where(usable, 1 - wrong / np.where(usable, total, 1), np.nan)


def _fit(
    y: Floats, x: Floats, known: Floats, penalty: float
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Return means, coefficients (predictors x genes), and which genes can be fitted."""
    n = np.maximum(known.sum(axis=0), 1)
    mean_y, mean_x = (known * y).sum(axis=0) / n, (known * x).sum(axis=1) / n
    centred = known * (x - mean_x[:, None])
    deviation = np.sqrt((centred**2).sum(axis=1) / n)
    fine = (deviation > 1e-9 * (1 + np.abs(mean_x))).all(axis=0)
    unit = centred / np.where(fine, deviation, 1)[:, None]
    products = np.einsum("kmg,lmg->gkl", unit, unit, optimize=True) / n[:, None, None]
    products += penalty * np.eye(len(x))
    right = np.einsum("kmg,mg->gk", unit, known * (y - mean_y), optimize=True) / n[:, None]
    solved = np.linalg.solve(products, right[..., None])[..., 0].T
    return mean_y, mean_x, solved / np.where(fine, deviation, 1), fine
