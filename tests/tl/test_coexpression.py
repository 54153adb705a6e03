"""Coexpression by boosting, on expression whose regulation is known."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from omicsglue.errors import InputError, OptionError
from omicsglue.tl.coexpression import coexpression, metacell_expression

FACTORS = np.arange(10)


def expression(rng: np.random.Generator, n_metacells: int = 200) -> np.ndarray:
    """Ten TFs; genes 10 (rises with TF 0), 11 (falls with TF 1), 12 (noise), 13 (constant)."""
    factors = rng.normal(size=(n_metacells, 10))
    noise = 0.5 * rng.normal(size=(n_metacells, 3))
    genes = [np.tanh(2 * factors[:, 0]) + noise[:, 0], -factors[:, 1] + noise[:, 1], noise[:, 2]]
    return np.column_stack([factors, *genes, np.ones(n_metacells)])


@pytest.fixture(scope="module")
def found() -> tuple:
    values = expression(np.random.default_rng(0))
    return values, coexpression(values, FACTORS, np.array([10, 11, 12, 13, 0]), seed=1)


def test_regulators_are_found(found: tuple) -> None:
    importance = found[1].importance
    assert importance.shape == (10, 5)
    assert importance[:, 0].argmax() == 0
    assert importance[:, 1].argmax() == 1
    assert importance[0, 0] > 0.4
    assert importance[1, 1] > 0.4


def test_importances_are_shares_of_variance(found: tuple) -> None:
    total = found[1].importance.sum(axis=0)
    assert (found[1].importance >= 0).all()
    assert (total <= 1).all()
    assert total[2] < 0.15  # nothing predicts noise
    assert total[3] == 0  # what does not vary is not predicted
    assert total[0] > 0.6


def test_a_tf_does_not_predict_itself(found: tuple) -> None:
    assert found[1].importance[0, 4] == 0


def test_correlation_is_spearmans(found: tuple) -> None:
    values, result = found
    expected = stats.spearmanr(values[:, 1], values[:, 11]).statistic
    np.testing.assert_allclose(result.correlation[1, 1], expected)
    assert result.correlation[0, 0] > 0.5
    assert (result.correlation[:, 3] == 0).all()


def test_result_depends_on_the_seed_alone(found: tuple) -> None:
    values, result = found
    targets = np.array([10, 11, 12, 13, 0])
    again = coexpression(values, FACTORS, targets, seed=1)
    assert (again.importance == result.importance).all()
    other = coexpression(values, FACTORS, targets, seed=2)
    assert (other.importance != result.importance).any()


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_processes(found: tuple) -> None:
    values, result = found
    again = coexpression(values, FACTORS, np.array([10, 11, 12, 13, 0]), seed=1, n_jobs=2)
    assert (again.importance == result.importance).all()


def test_what_cannot_be_used() -> None:
    values = expression(np.random.default_rng(0))
    with pytest.raises(InputError, match="20 metacells are too few"):
        coexpression(values[:20], FACTORS, FACTORS)
    with pytest.raises(OptionError, match="n_jobs"):
        coexpression(values, FACTORS, FACTORS, n_jobs=0)
    values[3, 4] = np.nan
    with pytest.raises(InputError, match="not a finite number"):
        coexpression(values, FACTORS, FACTORS)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_cells_are_gathered(form: type) -> None:
    counts = np.random.default_rng(0).poisson(2.0, (6, 3)).astype(np.float32)
    adata = ad.AnnData(form(counts), var=pd.DataFrame(index=["a", "b", "c"]))
    adata.obs["metacell"] = pd.Categorical(["y", "x", "y", None, "x", "x"])
    found = metacell_expression(adata, "metacell")
    assert list(found.index) == ["y", "x"]
    sums = np.stack([counts[[0, 2]].sum(axis=0), counts[[1, 4, 5]].sum(axis=0)])
    np.testing.assert_allclose(found, np.log1p(1e4 * sums / sums.sum(axis=1, keepdims=True)), rtol=1e-6)
    with pytest.raises(InputError, match="5 labels for 6 cells"):
        metacell_expression(adata, [0, 0, 0, 1, 1])
    with pytest.raises(InputError, match="no column 'cluster'"):
        metacell_expression(adata, "cluster")
