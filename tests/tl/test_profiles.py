from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError
from omicsglue.tl.profiles import fit_profiles, joint_axes


def test_axes_are_uncorrelated_and_of_variance_one() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 10))
    embeddings = {"rna": rng.normal(size=(500, 4)) @ mixing, "atac": rng.normal(size=(300, 4)) @ mixing}
    found = joint_axes(embeddings)
    assert found["rna"].shape == (500, 4)  # the other six are empty
    covariance = sum(each.T @ each / len(each) for each in found.values()) / 2
    np.testing.assert_allclose(covariance, np.eye(4), atol=1e-8)


def test_modalities_count_alike() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=(100, 3)), 5 + rng.normal(size=(10_000, 3))
    found = joint_axes({"rna": one, "atac": two})
    np.testing.assert_allclose(found["rna"].mean(axis=0), -found["atac"].mean(axis=0), atol=1e-8)


@pytest.mark.parametrize(
    ("atac", "words"),
    [
        (np.full((5, 3), np.nan), "not finite"),
        (np.zeros((5, 4)), "3 and 4 dimensions"),
        (np.zeros((5, 3)), "one and the same embedding"),
    ],
)
def test_embeddings_that_cannot_be_used_are_refused(atac: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        joint_axes({"rna": np.zeros((6, 3)), "atac": atac})


def counts(
    coordinates: np.ndarray, slope: np.ndarray, mean: float, depth: np.ndarray, rng: np.random.Generator
) -> sp.csr_matrix:
    rate = mean * depth[:, None] * np.exp(coordinates @ slope.T)
    return sp.csr_matrix(rng.poisson(rate).astype(np.float32))


def test_slopes_are_recovered_whatever_the_depth() -> None:
    rng = np.random.default_rng(2)
    cells = 3_000
    coordinates = rng.normal(size=(cells, 3))
    slope = rng.normal(scale=0.4, size=(200, 3))
    depth = np.exp(rng.normal(scale=0.6, size=cells) + 0.8 * coordinates[:, 0])  # depth goes with the state
    depth /= depth.mean()
    # total counts follow depth alone: features are many, and their slopes average to nothing
    found = fit_profiles(counts(coordinates, slope, 2.0, depth, rng), coordinates)
    unit = slope / np.linalg.norm(slope, axis=1, keepdims=True)
    cosine = (found.unit * unit).sum(axis=1)
    assert np.quantile(cosine, 0.1) > 0.97
    np.testing.assert_allclose(np.median(found.size / np.linalg.norm(slope, axis=1)), 1, atol=0.15)
    assert found.reliability.min() > 0.5


def test_reliability_falls_with_the_counts() -> None:
    rng = np.random.default_rng(3)
    coordinates = rng.normal(size=(1_000, 3))
    slope = np.array([[0.5, -0.4, 0.3]]) * np.resize([1, -1], 300)[:, None]  # so that totals do not change
    means = np.repeat([0.003, 0.03, 0.3], 100)
    found = fit_profiles(
        sp.csr_matrix(rng.poisson(means * np.exp(coordinates @ slope.T)).astype(np.float32)), coordinates
    )
    low, middle, high = found.reliability.reshape(3, 100).mean(axis=1)
    assert low < 0.4 < middle < 0.85 < high
    np.testing.assert_allclose(np.linalg.norm(found.direction, axis=1) ** 2, found.reliability)


def test_features_without_counts_have_no_profile() -> None:
    rng = np.random.default_rng(4)
    matrix = rng.poisson(1.0, size=(400, 5)).astype(np.float32)
    matrix[:, 2] = 0
    found = fit_profiles(sp.csr_matrix(matrix), rng.normal(size=(400, 2)))
    assert np.isfinite(found.unit).all()
    assert found.reliability[2] < 0.05


def test_batches_do_not_become_profiles() -> None:
    rng = np.random.default_rng(5)
    cells = 2_000
    batch = rng.integers(0, 2, size=cells)
    coordinates = rng.normal(size=(cells, 2)) + np.array([0.8, 0.0]) * (
        batch[:, None] * 2 - 1
    )  # unequal batches
    effect = np.exp(rng.normal(scale=1.0, size=(2, 100)))
    matrix = sp.csr_matrix(rng.poisson(effect[batch]).astype(np.float32))
    blind, aware = fit_profiles(matrix, coordinates), fit_profiles(matrix, coordinates, batch)
    assert np.median(aware.size) < 0.2 * np.median(blind.size)


def test_blocks_of_features_and_dense_counts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    coordinates = rng.normal(size=(300, 2))
    matrix = rng.poisson(1.0, size=(300, 50)).astype(np.float32)
    whole = fit_profiles(sp.csr_matrix(matrix), coordinates)
    monkeypatch.setattr("omicsglue.tl.profiles._FEATURES", 7)
    np.testing.assert_allclose(fit_profiles(matrix, coordinates).direction, whole.direction, atol=1e-9)


def reads(
    coordinates: np.ndarray, slope: np.ndarray, depth: np.ndarray, rng: np.random.Generator
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Methylated and covered reads, whose rates have these slopes on the logit scale."""
    covered = rng.poisson(depth)
    rate = 1 / (1 + np.exp(-(0.8 + coordinates @ slope.T)))
    rate = rng.beta(20 * rate, 20 * (1 - rate))
    return sp.csr_matrix(rng.binomial(covered, rate).astype(np.float32)), sp.csr_matrix(covered)


def test_slopes_of_rates_are_recovered_whatever_the_coverage() -> None:
    rng = np.random.default_rng(5)
    cells = 2_000
    coordinates = rng.normal(size=(cells, 3))
    slope = rng.normal(scale=0.5, size=(150, 3))
    # every other feature is read more in one state: nothing of its rate
    follows = np.exp(np.outer(coordinates[:, 0], np.resize([0, 1], 150)))
    methylated, covered = reads(coordinates, slope, 2.0 * follows, rng)
    unit = slope / np.linalg.norm(slope, axis=1, keepdims=True)
    by_rate = fit_profiles(methylated, coordinates, coverage=covered)
    by_count = fit_profiles(methylated, coordinates)
    cosine = (by_rate.unit * unit).sum(axis=1)
    assert np.quantile(cosine, 0.1) > 0.9
    assert np.median((by_count.unit * unit).sum(axis=1)) < np.median(cosine) - 0.1
    np.testing.assert_allclose(np.median(by_rate.size / np.linalg.norm(slope, axis=1)), 1, atol=0.2)


def test_rates_of_few_reads_tell_little() -> None:
    rng = np.random.default_rng(6)
    coordinates = rng.normal(size=(1_000, 3))
    slope = np.array([[0.5, -0.4, 0.3]]) * np.resize([1, -1], 300)[:, None]
    depth = np.broadcast_to(np.repeat([0.01, 0.1, 1.0], 100), (1_000, 300))
    methylated, covered = reads(coordinates, slope, depth, rng)
    covered = sp.csr_matrix(covered)
    few, some, many = np.split(fit_profiles(methylated, coordinates, coverage=covered).reliability, 3)
    assert np.median(few) < 0.5 < np.median(some) < np.median(many)
    assert np.median(many) > 0.9


def test_rates_that_differ_between_batches_alone_have_no_profile() -> None:
    rng = np.random.default_rng(7)
    batch = np.repeat([0, 1], 500)
    coordinates = rng.normal(size=(1_000, 2)) + batch[:, None]
    covered = rng.poisson(5, size=(1_000, 100))
    rate = np.where(batch[:, None] == 1, rng.uniform(0.2, 0.8, size=100), 0.5)
    methylated = sp.csr_matrix(rng.binomial(covered, rate).astype(np.float32))
    confounded = fit_profiles(methylated, coordinates, coverage=sp.csr_matrix(covered))
    found = fit_profiles(methylated, coordinates, batch, coverage=sp.csr_matrix(covered))
    assert np.median(found.size) < 0.3 * np.median(confounded.size)
