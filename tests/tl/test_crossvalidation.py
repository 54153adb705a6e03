"""Cross-validated regressions of many genes at once, against plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from omicsglue.tl.crossvalidation import cross_validated_r2, draw_folds


def gene_by_gene(
    y: np.ndarray, x: np.ndarray, fold: np.ndarray, known: np.ndarray, penalty: float
) -> np.ndarray:
    """Return what scikit-learn makes of one gene after the other."""
    found = []
    for gene in range(y.shape[1]):
        wrong = total = 0.0
        for left in np.unique(fold):
            train, test = (fold != left) & known[:, gene], (fold == left) & known[:, gene]
            mean, deviation = x[:, train, gene].mean(axis=1), x[:, train, gene].std(axis=1)
            unit = ((x[:, :, gene].T - mean) / deviation).copy()
            model = Ridge(alpha=penalty * train.sum()) if penalty else LinearRegression()
            model.fit(unit[train], y[train, gene])
            wrong += ((y[test, gene] - model.predict(unit[test])) ** 2).sum()
            total += ((y[test, gene] - y[train, gene].mean()) ** 2).sum()
        found.append(1 - wrong / total)
    return np.array(found)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_all_genes_at_once_are_genes_one_by_one(penalty: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, size=(3, 40, 12))
    y = 0.5 * x[0] - x[2] + rng.normal(size=(40, 12))
    known = rng.random((40, 12)) < 0.9
    fold = draw_folds(40, 5, rng)
    expected = gene_by_gene(y, x, fold, known, penalty)
    hidden = np.where(known, x, np.nan)
    np.testing.assert_allclose(cross_validated_r2(y, hidden, fold, penalty=penalty), expected, atol=1e-10)
    hidden = np.where(known, y, np.nan)
    np.testing.assert_allclose(cross_validated_r2(hidden, x, fold, penalty=penalty), expected, atol=1e-10)


def test_noise_explains_nothing_and_adds_nothing() -> None:
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=(100, 500)), rng.normal(size=(3, 100, 500))
    fold = draw_folds(100, 5, rng)
    alone = cross_validated_r2(y, x, fold).mean()
    assert -0.08 < alone < 0
    y = y + x[0]  # half of the variance
    informed = cross_validated_r2(y, x[:1], fold).mean()
    assert informed == pytest.approx(0.5, abs=0.02)
    assert informed - 0.05 < cross_validated_r2(y, x, fold).mean() < informed


def test_what_cannot_be_fitted_is_nan() -> None:
    rng = np.random.default_rng(2)
    y, x = rng.normal(size=(30, 4)), rng.normal(size=(2, 30, 4))
    y[:, 0], x[1, :, 1], x[0, :, 2] = 3.0, 7.0, np.nan
    found = cross_validated_r2(y, x, draw_folds(30, 3, rng))
    assert np.isnan(found).tolist() == [True, True, True, False]


def test_twins_among_the_predictors_do_not_break_the_regression() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1, 60, 5))
    y = x[0] + 0.1 * rng.normal(size=(60, 5))
    fold = draw_folds(60, 5, rng)
    twins = cross_validated_r2(y, np.concatenate([x, x]), fold)
    np.testing.assert_allclose(twins, cross_validated_r2(y, x, fold), atol=1e-3)


def test_folds_are_even_and_drawn() -> None:
    fold = draw_folds(23, 5, np.random.default_rng(4))
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    assert (fold != draw_folds(23, 5, np.random.default_rng(5))).any()
