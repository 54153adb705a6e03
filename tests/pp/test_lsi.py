"""LSI against dense linear algebra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.pp import lsi
from omicsglue.pp.lsi import tf_idf
from omicsglue.pp.shrinkage import noise_edge, permuted_columns

CELLS, PEAKS = 150, 400


@pytest.fixture
def counts() -> np.ndarray:
    """Return sparse counts of three types of cells, with depths that differ."""
    rng = np.random.default_rng(0)
    profile = rng.gamma(0.3, 1.0, (3, PEAKS)) + 0.05
    mean = profile[np.arange(CELLS) % 3] * rng.uniform(0.3, 2.0, CELLS)[:, None]
    return rng.poisson(mean).astype(np.float32)


def dense_tf_idf(counts: np.ndarray) -> np.ndarray:
    seen = counts[:, counts.sum(0) > 0]
    frequency = seen / np.maximum(counts.sum(1, keepdims=True), 1) * (len(counts) / seen.sum(0))
    return np.log1p(1e4 * frequency / np.maximum(frequency.sum(1, keepdims=True), 1e-12))


def test_tf_idf_equals_the_formula_and_leaves_out_what_is_not_seen(counts: np.ndarray) -> None:
    counts[:, 7] = 0
    counts[3] = 0
    x, depth = tf_idf(ad.AnnData(sp.csr_matrix(counts)))
    assert x.shape == (CELLS, (counts.sum(0) > 0).sum())
    np.testing.assert_allclose(x.toarray(), dense_tf_idf(counts), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(depth, counts.sum(1))


def test_scores_equal_those_of_a_dense_svd(counts: np.ndarray) -> None:
    adata = ad.AnnData(sp.csr_matrix(counts))
    found = lsi(adata, 20)
    assert adata.obsm["X_lsi"] is found or np.array_equal(adata.obsm["X_lsi"], found)
    x = dense_tf_idf(counts)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    null = permuted_columns(sp.csr_matrix(x), np.random.default_rng(0)).toarray()
    edge = np.linalg.svd(null, compute_uv=False)[1]
    beta = min(x.shape) / max(x.shape)
    y = s[:20] / edge * (1 + np.sqrt(beta))
    kept = y > 1 + np.sqrt(beta)
    shrunk = np.sqrt((y[kept] ** 2 - beta - 1) ** 2 - 4 * beta) / y[kept] ** 2
    expected = u[:, :20][:, kept] * s[:20][kept] * shrunk * noise_edge(x.shape) / edge
    expected -= expected.mean(axis=0)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, rtol=0.01, atol=0.01 * expected.std())


def test_types_stand_apart(counts: np.ndarray) -> None:
    found = lsi(ad.AnnData(sp.csr_matrix(counts)), 20)
    types = np.arange(CELLS) % 3
    centres = np.array([found[types == t].mean(0) for t in range(3)])
    nearest = np.linalg.norm(found[:, None] - centres, axis=2).argmin(1)
    assert (nearest == types).all()


@pytest.mark.parametrize("form", [np.asarray, sp.csc_matrix, lambda x: sp.csr_matrix(x, dtype=np.int32)])
def test_the_form_of_the_matrix_does_not_matter(counts: np.ndarray, form: Any) -> None:
    expected = lsi(ad.AnnData(sp.csr_matrix(counts)), 10)
    np.testing.assert_allclose(lsi(ad.AnnData(form(counts)), 10), expected, rtol=1e-4, atol=1e-4)


def test_a_backed_file_and_a_layer_give_the_same(counts: np.ndarray, tmp_path: Path) -> None:
    expected = lsi(ad.AnnData(sp.csr_matrix(counts)), 10)
    layered = ad.AnnData(np.ones_like(counts), layers={"counts": sp.csr_matrix(counts)})
    assert np.array_equal(lsi(layered, 10, layer="counts", key_added="mine"), expected)
    assert list(layered.obsm) == ["mine"]
    ad.AnnData(sp.csr_matrix(counts)).write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    assert np.array_equal(lsi(backed, 10), expected)
    backed.file.close()


def test_seeds_repeat_and_the_counts_stay(counts: np.ndarray) -> None:
    adata = ad.AnnData(sp.csr_matrix(counts))
    one, two = lsi(adata, 10, seed=3), lsi(adata, 10, seed=3)
    assert np.array_equal(one, two)
    assert np.array_equal(adata.X.toarray(), counts)


def test_cells_without_counts_are_kept_and_finite(counts: np.ndarray) -> None:
    counts[[2, 9]] = 0
    found = lsi(ad.AnnData(sp.csr_matrix(counts)), 10)
    assert np.isfinite(found).all()
    assert np.array_equal(found[2], found[9])


def test_a_component_that_follows_depth_is_dropped_on_request() -> None:
    rng = np.random.default_rng(0)
    depth = np.exp(rng.normal(0, 0.5, CELLS))
    deep = rng.poisson(0.3 * depth[:, None] * (rng.gamma(0.3, 1.0, (3, PEAKS)) + 0.05)[np.arange(CELLS) % 3])
    deep[np.arange(CELLS), rng.integers(PEAKS, size=CELLS)] += 1
    adata = ad.AnnData(sp.csr_matrix(deep, dtype=np.float32))
    whole = lsi(adata, 10, drop_depth=False)
    with pytest.warns(OmicsGlueWarning, match="follow sequencing depth"):
        dropped = lsi(adata, 10, drop_depth=True)
    log_depth = np.log1p(deep.sum(1))

    def highest(scores: np.ndarray) -> float:
        return max(abs(np.corrcoef(column, log_depth)[0, 1]) for column in scores.T)

    assert highest(dropped) < 0.5
    assert highest(whole) > 0.9


@pytest.mark.parametrize("shape", [(2, 50), (50, 2), (1, 1)])
def test_too_little_is_refused(shape: tuple[int, int]) -> None:
    adata = ad.AnnData(sp.csr_matrix(np.ones(shape, dtype=np.float32)))
    with pytest.raises(InputError, match="at least 3 cells and 3 features"):
        lsi(adata)
    assert "X_lsi" not in adata.obsm


def test_cells_that_are_all_alike_are_no_crash() -> None:
    alike = ad.AnnData(np.ones((20, 30), dtype=np.float32))
    with pytest.warns(OmicsGlueWarning, match="no structure"):
        assert np.isfinite(lsi(alike)).all()
