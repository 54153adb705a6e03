"""PCA against scikit-learn."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

from omicsglue.errors import InputError
from omicsglue.pp import pca
from omicsglue.pp.shrinkage import noise_edge, signal_share

CELLS, GENES = 120, 80


@pytest.fixture
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    profile = rng.gamma(1.0, 3.0, (3, GENES)) + 0.2
    mean = profile[np.arange(CELLS) % 3] * rng.uniform(0.5, 2.0, CELLS)[:, None]
    return rng.poisson(mean).astype(np.float32)


def standardised(counts: np.ndarray) -> np.ndarray:
    depth = counts.sum(1, keepdims=True)
    target = np.median(depth[depth > 0])
    x = np.log1p(counts / np.where(depth > 0, depth, 1) * target)
    std = x.std(axis=0, ddof=1)
    return (x - x.mean(axis=0)) / np.where(std > 0, std, 1)


def expected_scores(x: np.ndarray, components: int) -> np.ndarray:
    fitted = PCA(components, svd_solver="full").fit(x)
    share = signal_share(fitted.singular_values_, noise_edge(x.shape), x.shape)
    return (fitted.transform(x) * share)[:, share > 0]


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_scores_equal_those_of_scikit_learn(counts: np.ndarray, form: Any) -> None:
    adata = ad.AnnData(form(counts))
    found = pca(adata, 10)
    expected = expected_scores(standardised(counts), 10)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, rtol=1e-3, atol=1e-3)
    assert np.array_equal(adata.obsm["X_pca"], found)
    kept = adata.X.toarray() if sp.issparse(adata.X) else adata.X
    assert np.array_equal(kept, counts)


def test_depth_is_that_of_all_features_when_some_are_chosen(counts: np.ndarray) -> None:
    chosen = np.arange(GENES) % 2 == 0
    found = pca(ad.AnnData(sp.csr_matrix(counts)), 10, features=chosen)
    expected = expected_scores(standardised(counts)[:, chosen], 10)
    assert found.shape == expected.shape
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, rtol=1e-3, atol=1e-3)


def test_a_layer_and_a_key_are_used_where_named(counts: np.ndarray) -> None:
    adata = ad.AnnData(np.ones_like(counts), layers={"counts": counts})
    found = pca(adata, 10, layer="counts", key_added="mine")
    assert np.array_equal(found, pca(ad.AnnData(counts), 10))
    assert list(adata.obsm) == ["mine"]


def test_cells_without_counts_and_constant_genes_are_no_trouble(counts: np.ndarray) -> None:
    counts[5] = 0
    counts[:, 3] = 0
    found = pca(ad.AnnData(sp.csr_matrix(counts)), 10)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("shape", [(2, 50), (50, 2)])
def test_too_little_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="at least 3 cells and 3 features"):
        pca(ad.AnnData(np.ones(shape, dtype=np.float32)))


def test_cells_that_are_all_alike_are_no_crash() -> None:
    alike = ad.AnnData(np.ones((20, 30), dtype=np.float32))
    with pytest.raises(InputError, match="no feature differs"):
        pca(alike)
