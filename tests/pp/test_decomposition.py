"""Decompositions by blocks against dense linear algebra."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import subspace_angles

from omicsglue.pp.decomposition import (
    Rows,
    column_moments,
    edge_of,
    gram,
    leading,
    refined,
    sample_edge,
    sample_subspace,
    scores,
)
from omicsglue.pp.shrinkage import permuted_columns

ROWS, COLUMNS = 400, 90


@pytest.fixture(scope="module")
def matrix() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    profile = rng.gamma(0.5, 1.0, (12, COLUMNS))
    mixture = rng.dirichlet(np.full(12, 0.3), ROWS)
    return sp.csr_matrix(rng.poisson(4 * mixture @ profile), dtype=np.float32)


class Counted:
    """Walks in blocks of 70 rows, and counts how often."""

    def __init__(self, matrix: sp.csr_matrix) -> None:
        self.matrix, self.passes = matrix, 0

    def __call__(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        self.passes += 1
        for first in range(0, self.matrix.shape[0], 70):
            yield first, self.matrix[first : first + 70]


def test_moments_and_gram_are_those_of_numpy(matrix: sp.csr_matrix) -> None:
    dense = matrix.toarray().astype(np.float64)
    mean, deviation, cross = gram(Counted(matrix)(), COLUMNS)
    np.testing.assert_allclose(mean, dense.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, dense.std(0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(cross, (ROWS - 1) * np.cov(dense.T), rtol=1e-9, atol=1e-9)
    for found, expected in zip(column_moments(Counted(matrix)(), COLUMNS), (mean, deviation), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_leading_eigenpairs_fall_and_have_a_sign() -> None:
    a = np.random.default_rng(0).normal(size=(30, 20))
    values, vectors = leading(a.T @ a, 5)
    np.testing.assert_allclose(values, np.linalg.svd(a, compute_uv=False)[:5] ** 2)
    np.testing.assert_allclose(a.T @ a @ vectors, vectors * values, atol=1e-9)
    assert (vectors[np.abs(vectors).argmax(0), range(5)] > 0).all()


@pytest.mark.parametrize("standard", [False, True])
def test_steps_from_a_sample_lead_to_the_components_of_all_rows(
    matrix: sp.csr_matrix, *, standard: bool
) -> None:
    dense = matrix.toarray().astype(np.float64)
    mean, scale = (dense.mean(0), 1 / dense.std(0, ddof=1)) if standard else (None, None)
    exact = (dense - mean) * scale if standard else dense
    walk = Counted(matrix)
    rows = Rows(walk, dense.shape, mean, scale)
    start = sample_subspace(exact[:100].astype(np.float32) if standard else matrix[:100], 15, 0)
    _, true, loadings = np.linalg.svd(exact, full_matrices=False)
    error = []
    for turns in (0, 1, 3):
        singular, vectors = refined(rows, start, 6, turns)
        assert (np.diff(singular) <= 0).all()
        error.append(float(subspace_angles(vectors, loadings[:6].T).max()))
    assert error[0] > 5 * error[1] > 5 * error[2]
    assert walk.passes == 1 + 2 + 4
    assert error[2] < 0.01
    np.testing.assert_allclose(singular, true[:6], rtol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-5)


def test_a_subspace_that_is_all_of_the_space_is_no_trouble(matrix: sp.csr_matrix) -> None:
    small = matrix[:, :12]
    singular, vectors = refined(Rows(Counted(small), small.shape), sample_subspace(small[:50], 11, 0), 8, 4)
    np.testing.assert_allclose(singular, np.linalg.svd(small.toarray(), compute_uv=False)[:8], rtol=1e-4)
    assert vectors.shape == (12, 8)


def test_scores_are_centred_where_no_shift_is_given(matrix: sp.csr_matrix) -> None:
    weights = np.random.default_rng(0).normal(size=(COLUMNS, 3))
    expected = matrix @ weights
    expected -= expected.mean(0)
    np.testing.assert_allclose(scores(Counted(matrix), ROWS, weights), expected, atol=1e-4)
    shift = (matrix @ weights).mean(0)
    np.testing.assert_allclose(scores(Counted(matrix), ROWS, weights, shift), expected, atol=1e-4)


@pytest.mark.parametrize("rows", [300, 3000])
def test_the_edge_is_that_of_noise_of_such_variances(rows: int) -> None:
    rng = np.random.default_rng(0)
    variances = rng.gamma(0.7, 1.0, 500)
    noise = rng.normal(size=(rows, 500)) * np.sqrt(variances)
    assert edge_of(variances, rows) == pytest.approx(np.linalg.norm(noise, 2), rel=0.03)


def test_the_edge_of_all_rows_is_found_on_a_quarter_of_them() -> None:
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.6, 0.2, 1500) + 0.01
    x = sp.csr_matrix(np.log1p(rng.poisson(rate, size=(2000, 1500))), dtype=np.float32)
    permuted = permuted_columns(x, np.random.default_rng(1)).toarray()
    true = np.linalg.svd(permuted, compute_uv=False)[1]
    assert sample_edge(x, 2000, 0) == pytest.approx(true, rel=0.02)
    assert sample_edge(x[:500], 2000, 0) == pytest.approx(true, rel=0.03)
    assert sample_edge(x[:500], 500, 0) < 0.9 * true
